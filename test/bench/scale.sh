# shellcheck shell=bash disable=SC2034,SC2154
#
# scale.sh -- whether the number of topics, queues and waiting messages changes
# the cost of producing and consuming.  Parts "cold" and "first" are in cold.sh,
# "many" in many.sh.
#
# Each is compared with itself: the same statements for the same number of
# messages, spread over more topics or queues, or taken from a longer backlog.
# Producing is also measured with synchronous_commit off, where the flush of
# WAL does not hide the other costs.
#
# Parts "topics" and "queues" measure the steady state of producing: every queue
# already has a message, and each session begins with one for every queue and
# then has some time, so that it has looked up its topics and mapped their
# files.  Consumers are new sessions.

measure_scale()
{
    local part
    new_cluster scale
    for part in topics queues backlog cold first; do
        ! is_scale_part $part || "measure_$part"
    done
    remove_cluster scale
    ! is_scale_part many || measure_many
}

is_scale_part()     # name
{
    [[ " ${scale_parts[*]} " == *" $1 "* ]]
}

# Sides are named by their size: others are compared with the first one.
scale_compare()     # title case unit
{
    local size how
    for size in "${sizes[@]:1}"; do
        how=compare
        [ "$size/$sync" != "${sizes[-1]}/on" ] || how=headline
        $how "$1: ${sizes[0]} to $size" scale "$2" "$(parameters)" "$3" "$size" "${sizes[0]}"
    done
}

# Sizes take turns; scale_HOW_one produces, given size and round.
scale_produce()     # how what title
{
    local case=$1_$2 values what=$2
    for sync in "${syncs[@]}"; do
        values=
        alternate "scale_$1_one" "${sizes[@]}"
        progress "$case $(parameters):$values"
        scale_compare "produce, $connections $3$(sync_words)" "$case" messages/s
    done
    sync=${syncs[0]}
}

scale_produce_one() # size round
{
    local before first=$((connections * $1 * queues_each))
    query CHECKPOINT
    before=$(count_all)
    pgbench_warm "$warm_seconds" -D cold=1 -D size="$1" -f "$(script rocketq "produce_$what")"
    must_be "messages" $(($(count_all) - before)) $((transactions * batch + first))
    record scale "$case" "$(parameters)" "$1" "$2" "$tps" messages/s
    values+="  $1 $(calc "$tps" %.0f)"
}

count_all()
{
    query 'SELECT coalesce(sum(messages), 0) FROM rocketq.topics'
}

#
# Topics: bench_1, ... of 8 queues each.
#

measure_topics()
{
    local sizes=("${topic_counts[@]}") queues_each=8
    create_topics
    scale_produce produce topics "connections, topics"
    drop_topics
}

# As many as are needed, each queue with a message.
create_topics()
{
    execute_each "SELECT format('SELECT rocketq.create_topic(%L)', 'bench_' || i)
                  FROM generate_series(1, $(greatest "${topic_counts[@]}")) AS i"
    touch_queues
}

touch_queues()
{
    execute_each "SELECT format('SELECT count(rocketq.produce(%L, %L, queue_id => q)) ' ||
                                'FROM generate_series(0, %s) AS q', topic, 'x', queues - 1)
                  FROM rocketq.topics"
}

drop_topics()
{
    execute_each "SELECT format('DROP TABLE %s', topic) FROM rocketq.topics"
}

#
# Queues: topics bench_N of N queues.  Consuming gets 1000 messages per call; a
# queue of the largest topic has 100 of them.
#

measure_queues()
{
    local sizes=("${queue_counts[@]}") queues_each=1 size
    for size in "${sizes[@]}"; do
        query "SELECT rocketq.create_topic('bench_$size', $size)" >/dev/null
    done
    touch_queues
    scale_produce produce queues "connections, queues"
    scale_consume_queues
    drop_topics
}

scale_consume_queues()
{
    local case=consume_queues batch=1000 connections=1 values='' size
    for size in "${sizes[@]}"; do
        query "TRUNCATE bench_$size;
               INSERT INTO bench_$size (body, sharding_key)
               SELECT '$(make_body "$body")', i::text
               FROM generate_series(1, $messages) AS i"
    done
    alternate scale_consume_one "${sizes[@]}"
    progress "$case:$values"
    scale_compare 'consume and commit, batches of 1000, queues' $case messages/s
}

# All messages of a topic, by a group of its own.
scale_consume_one() # size round
{
    local consumer=c$2 lag
    query "SELECT rocketq.create_group('bench_$1', '$consumer'); CHECKPOINT" >/dev/null
    pgbench -t $((messages / batch)) -D size="$1" -D consumer="$consumer" \
        -f "$(script rocketq consume_size)"
    lag=$(query "SELECT sum(lag) FROM rocketq.groups
                 WHERE topic = 'bench_$1' AND consumer_group = '$consumer'")
    must_be_at_least 'messages consumed' $((messages - lag)) $((messages * 9 / 10))
    record scale "$case" "$(parameters)" "$1" "$2" "$(calc "($messages - $lag) / $elapsed")" messages/s
    values+="  $1 $(calc "($messages - $lag) / $elapsed" %.0f)"
    query "SELECT rocketq.drop_group('bench_$1', '$consumer')" >/dev/null
}

#
# Backlog: many groups read the first messages of a short and of a long topic,
# and a table's SKIP LOCKED takes the same number of rows from its beginning.
#

measure_backlog()
{
    local case=backlog batch=100 connections=1 values='' size side sizes=("${lengths[@]}")
    local calls=90 groups=$((10 * seconds)) names=() how
    for size in "${sizes[@]}"; do
        fill_backlog "$size"
        names+=("rocketq/$size" "table/$size")
    done
    alternate scale_backlog_one "${names[@]}"
    progress "$case:$values"
    for size in "${sizes[@]:1}"; do
        for side in rocketq table; do
            how=compare
            [ "$size/$side" != "${sizes[-1]}/rocketq" ] || how=headline
            $how "cost of a message consumed from a backlog ($side): ${sizes[0]} to $size" \
                scale $case "$(parameters)" us/message "$side/$size" "$side/${sizes[0]}"
        done
    done
}

fill_backlog()      # messages
{
    query "SELECT rocketq.create_topic('bench_$1');
           CREATE TABLE table_$1 (id bigserial PRIMARY KEY, body bytea NOT NULL)" >/dev/null
    query "INSERT INTO bench_$1 (body) SELECT '$(make_body "$body")' FROM generate_series(1, $1)"
    query "INSERT INTO table_$1 (body) SELECT body FROM bench_$1"
    query "VACUUM ANALYZE table_$1"
}

# The table's messages are consumed once, and restored.
scale_backlog_one() # side/size round
{
    local side=${1%/*} size=${1#*/} n cost
    query CHECKPOINT
    case $side in
        rocketq)
            query "SELECT rocketq.create_group('bench_$size', 'c$2_' || i)
                   FROM generate_series(1, $groups) AS i" >/dev/null
            pgbench -t $((calls * groups)) -D n=0 -D calls=$calls -D size="$size" \
                -D round="$2" -f "$(script rocketq consume_backlog)"
            n=$(query "SELECT sum(committed_offset) FROM rocketq.groups
                       WHERE topic = 'bench_$size' AND consumer_group LIKE 'c$2\\_%'")
            ;;
        table)
            pgbench -M simple -t $calls -D size="$size" -f "$(script table consume_size)"
            n=$((size - $(query "SELECT count(*) FROM table_$size")))
            query "INSERT INTO table_$size (body) SELECT body FROM bench_$size LIMIT $n"
            query "VACUUM table_$size"
            ;;
    esac
    must_be_at_least 'messages consumed' "$n" $((transactions * batch * 9 / 10))
    cost=$(calc "$elapsed / $n * 1000000")
    record scale "$case" "$(parameters)" "$1" "$2" "$cost" us/message
    values+="  $1 $(calc "$cost" %.2f)"
}

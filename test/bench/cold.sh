# shellcheck shell=bash disable=SC2034,SC2154
#
# cold.sh -- part "cold" and "first" of theme scale: what a session pays for
# topics and queues that it has not met.
#
# Cold sessions produce single messages, each to a random queue, which has
# messages, but not of this session.  Each value begins with new sessions, and
# counts from their first message on, for twice as long as elsewhere.  What
# PostgreSQL's own lookup of the topics' names costs of that is measured with the
# floor: the same names, and no topics.
#
# First messages: one statement, so one transaction, produces a message to each
# queue of a new topic, and then a new session does so again.  A value is the
# time of that transaction.

# Queues of a topic; the others are in further topics.
cold_topic_queues=50000

measure_cold()
{
    cold_topics
    cold_queues
}

# Topics: bench_1, ... of 8 queues each.
cold_topics()
{
    local sizes=("${topic_counts[@]}")
    create_topics
    scale_produce cold topics "new sessions, topics at random"
    cold_floor
    drop_topics
}

cold_floor()
{
    local case=cold_topics_floor values=
    alternate cold_floor_one "${sizes[@]}"
    progress "$case $(parameters):$values"
    scale_compare "pg_logical_emit_message(), $connections new sessions, names of topics at random" "$case" messages/s
}

cold_floor_one()    # size round
{
    local before
    query CHECKPOINT
    before=$(query 'SELECT pg_current_wal_lsn()')
    pgbench -T $((2 * seconds)) -D size="$1" -f "$(script floor produce_cold_topics)"
    must_be_at_least 'bytes of WAL of floor' "$(query "SELECT pg_current_wal_lsn() - '$before'")" \
        $((transactions * body))
    record scale "$case" "$(parameters)" "$1" "$2" "$tps" messages/s
    values+="  $1 $(calc "$tps" %.0f)"
}

# Queues: topics cold_N_0, cold_N_1, ... of N queues together.
cold_queues()
{
    local sizes=("${cold_counts[@]}") size
    for size in "${sizes[@]}"; do
        execute_each "SELECT format('SELECT rocketq.create_topic(%L, %s)', 'cold_${size}_' || k,
                                    least($size - k * $cold_topic_queues, $cold_topic_queues))
                      FROM generate_series(0, ($size - 1) / $cold_topic_queues) AS k"
    done
    touch_queues
    scale_produce cold queues "new sessions, queues at random"
    drop_topics
}

scale_cold_one()    # size round
{
    local before
    query CHECKPOINT
    before=$(count_all)
    pgbench -T $((2 * seconds)) -D size="$1" -D topic_queues=$cold_topic_queues \
        -f "$(script rocketq "produce_cold_$what")"
    must_be "messages" $(($(count_all) - before)) "$transactions"
    record scale "$case" "$(parameters)" "$1" "$2" "$tps" messages/s
    values+="  $1 $(calc "$tps" %.0f)"
}

measure_first()
{
    local case=first batch=1 connections=1 size how values=
    alternate first_one "${first_counts[@]}"
    progress "$case $(parameters):$values"
    for size in "${first_counts[@]}"; do
        how=compare
        [ "$size" != "${first_counts[-1]}" ] || how=headline
        $how "first message to each of $size queues, of the second" scale "$case" "$(parameters)" ms \
            "first/$size" "second/$size"
    done
}

first_one()         # size round
{
    local nth
    query "SELECT rocketq.create_topic('bench', $1)" >/dev/null
    for nth in first second; do
        query CHECKPOINT
        pgbench -t 1 -D size="$1" -f "$(script rocketq produce_each)"
        record scale "$case" "$(parameters)" "$nth/$1" "$2" "$(calc "$elapsed * 1000")" ms
        values+="  $nth/$1 $(calc "$elapsed * 1000" %.0f) ms"
    done
    must_be 'messages' "$(count_all)" $((2 * $1))
    drop_topics
}

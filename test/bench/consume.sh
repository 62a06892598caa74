# shellcheck shell=bash disable=SC2034,SC2154
#
# consume.sh -- messages per second that reach a client and count as consumed.
#
# The messages are produced before, under conditions that are favourable for
# each side: tables are vacuumed, and PgQ's ticks give batches of the same
# size.  rocketq and SELECT read the same messages again in each round; the
# others are filled again, since some of them delete what they consumed.  A
# consumer gets the id and body of each message and durably records that it has
# them.  SELECT does not do the latter; it shows the cost of reading.  PgQ
# knows one consumer of a queue at a time, so it is not measured with several
# connections; a topic of 8 queues feeds 8 consumers of a group.

measure_consume()
{
    new_cluster consume
    fill rocketq "$messages"
    fill table "$messages"
    query 'CREATE TABLE bench_read (id bigint PRIMARY KEY, body bytea NOT NULL);
           INSERT INTO bench_read SELECT * FROM bench_table'
    query 'VACUUM ANALYZE bench_read'
    consume_case 1000 1 rocketq rocketq/auto select select_all table pgq pgmq
    for batch in "${batches[@]}"; do
        [ "$batch" = 1000 ] || consume_case "$batch" 1 rocketq select table pgq pgmq
    done
    reset_settings
    for connections in "${connection_counts[@]}"; do
        [ "$connections" = 1 ] || [ "$connections" -gt 8 ] ||
            consume_case 100 "$connections" rocketq table pgmq
    done
    for sync in "${syncs[@]}"; do
        [ "$sync" = on ] || consume_case 1000 1 rocketq select table pgq pgmq
    done
    reset_settings
    consume_pull
    remove_cluster consume
}

# Only as many as a side can consume in a moment: some of them are slow.
consume_amount()    # side
{
    local amount=$messages most=$((batch * 500 * seconds * connections))
    case $1 in
        table | pgq) amount=$((messages / 2)) ;;
        pgmq) amount=$((messages / 20)) ;;
    esac
    [ $amount -lt $most ] || amount=$most
    echo $((amount / batch / connections * batch * connections))
}

consume_one()       # side round
{
    local side=${1%/*} amount consumed consumer=c$2.$RANDOM
    amount=$(consume_amount "$side")
    case $1 in
        rocketq*) fill_size=$messages; create_group "$consumer" ;;
        table | pgq | pgmq) fill_size=$amount; fill_batch=$batch fill "$1" "$amount" ;;
    esac
    # PgQ's consumer begins at the first tick.
    [ "$1" != pgq ] ||
        query "SELECT pgq.register_consumer_at('bench', '$consumer', min(tick_id))
               FROM pgq.tick" >/dev/null
    query CHECKPOINT
    case $1 in
        select) pgbench -t $((amount / batch)) -D last=0 -f "$(script table select)"; consumed=$amount ;;
        select_all) pgbench -t 3 -f "$(script table select_all)"; consumed=$((3 * messages)) ;;
        *)
            local file=consume${1#"$side"}
            pgbench -t $((amount / batch / connections)) -D consumer="$consumer" \
                -f "$(script "$side" "${file/\//_}")"
            consumed=$((fill_size - $(side_sql "$side" left -v consumer="$consumer")))
            must_be_at_least "messages that $1 consumed" $consumed $((amount * 9 / 10))
            ;;
    esac
    record consume "$case" "$(parameters)" "$1" "$2" "$(calc "$consumed / $elapsed")" messages/s
    values+="  $1 $(calc "$consumed / $elapsed" %.0f)"
}

create_group()      # name
{
    query "SELECT rocketq.create_group('bench', '$1')" >/dev/null
}

consume_case()      # batch connections side...
{
    local batch=$1 connections=$2 case=consume side taking_part=() values='' words
    shift 2
    for side; do
        [[ " ${sides[*]} rocketq/auto select select_all " != *" $side "* ]] || taking_part+=("$side")
    done
    alternate consume_one "${taking_part[@]}"
    progress "$case $(parameters):$values"
    words="consume and commit, batches of $batch, $connections $(plural connection "$connections")$(sync_words)"
    for side in "${taking_part[@]:1}"; do
        case $batch/$connections/$sync/$side in
            */rocketq/auto) continue ;;
            1000/1/on/*) headline "$words" consume $case "$(parameters)" messages/s rocketq "$side" ;;
            *) compare "$words" consume $case "$(parameters)" messages/s rocketq "$side" ;;
        esac
    done
    [[ " ${taking_part[*]} " != *' rocketq/auto '* ]] ||
        compare "$words, auto_commit" consume $case "$(parameters)" messages/s rocketq/auto select
}

# A queue of its own, read from its beginning.
consume_pull()
{
    local batch=1000 connections=1 case=pull values='' amount=$((messages / 10))
    query "SELECT rocketq.create_topic('bench_queue', 1)" >/dev/null
    query "SELECT count(rocketq.produce('bench_queue', '$(make_body "$body")'))
           FROM generate_series(1, $amount)" >/dev/null
    alternate consume_pull_one rocketq select
    progress "$case $(parameters):$values"
    compare "pull, batches of $batch" consume $case "$(parameters)" messages/s rocketq select
}

consume_pull_one()  # side round
{
    case $1 in
        rocketq) pgbench -t $((amount / batch)) -D next=0 -f "$(script rocketq pull)" ;;
        select) pgbench -t $((amount / batch)) -D last=0 -f "$(script table select)" ;;
    esac
    record consume "$case" "$(parameters)" "$1" "$2" "$(calc "$tps * $batch")" messages/s
    values+="  $1 $(calc "$tps * $batch" %.0f)"
}

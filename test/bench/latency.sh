# shellcheck shell=bash disable=SC2034,SC2154
#
# latency.sh -- how long producing takes under a steady load, also during
# checkpoints; and how long a message takes to reach a waiting consumer.
#
# The load is open: each transaction has a time at which it should begin,
# independent of those before.  A latency counts from that time, so that the
# wait for a stall is included (no coordinated omission).
#
# End to end, each message carries the time of its producing statement.  The
# consumer records the time when it has the row, in the same server.  "from
# commit" counts from that statement, so it includes the flush of WAL by its
# COMMIT; "from schedule" is from the time that pgbench had planned, "from
# acknowledgement" from when the producer's client got the answer to its
# COMMIT; below 0, the consumer had the row before that.  rocketq's consumer
# sleeps in consume(wait => ...); a table's and PgQ's poll every 10 ms, PgQ's
# ticker runs every 100 ms; pgmq's read_with_poll polls every 100 ms, its
# default.

measure_latency()
{
    local rate
    new_cluster latency
    for rate in "${rates[@]}"; do
        latency_case steady "produce, $rate a second, 8 connections" "$rate" rocketq floor table
    done
    latency_case checkpoints "produce while checkpoints run, ${rates[-1]} a second" \
        "${rates[-1]}" rocketq floor table
    for rate in "${rates[@]}"; do
        arrival_case "$rate" "${queues[@]}"
    done
    remove_cluster latency
}

#
# Distributions, from a file of latencies in ms.
#

percentages=(0 10 25 50 75 90 95 99 99.5 99.9 99.95 99.99 99.995 99.999 100)

# A percentile is known only with some messages beyond it.
is_known()          # number of values, percentage
{
    [ "$2" = 100 ] || [ "$(calc "$1 * (100 - $2) / 100 >= 3" %d)" = 1 ]
}

record_latency()    # file side round
{
    local p n
    LC_ALL=C sort -n "$1" -o "$1"
    n=$(wc -l <"$1")
    must_be_at_least "transactions of $2" "$n" 1
    for p in 50 99 99.9 99.99 99.999 100; do
        ! is_known "$n" $p ||
            record latency "$case" "$what p$p" "$2" "$3" "$(percentile "$1" $p)" ms
    done
    record latency "$case" "$what within 10 ms" "$2" "$3" \
        "$(awk '$1 <= 10 { n++ } END { printf "%.6g", 100 * n / NR }' "$1")" %
}

# All rounds of a side together: the high percentiles and the curve.
record_all_rounds() # side
{
    local p n all=$work/latency.$1
    LC_ALL=C sort -n "$work/latency.$1".[0-9]* -o "$all"
    rm "$work/latency.$1".[0-9]*
    record_latency "$all" "$1" 0
    n=$(wc -l <"$all")
    for p in "${percentages[@]}"; do
        ! is_known "$n" "$p" || series "latency $case $what" "$1" "$p" "$(percentile "$all" "$p")"
    done
    values+="  $1 p50 $(percentile "$all" 50) p99 $(percentile "$all" 99) max $(percentile "$all" 100) ms"
    rm "$all"
}

recorded()          # percentile side
{
    grep -q "^latency,$case,\"$what $1\",$2,0," "$out/results.csv"
}

compare_latency()   # title side... (the first one against the others)
{
    local title=$1 mine=$2 p how unit reference
    for p in p50 p99 p99.9 p99.99 p99.999 p100 'within 10 ms'; do
        recorded "$p" "$mine" || continue
        how=compare unit=ms
        [ "$p" != 'within 10 ms' ] || unit=%
        is_headline "$p" && how=headline
        for reference in "${@:3}"; do
            ! recorded "$p" "$reference" ||
                $how "$title: ${p/p100/longest}" latency "$case" "$what $p" $unit "$mine" "$reference"
            [ "$case" != arrival ] || how=compare
        done
    done
}

# At the highest rate that all scales have: the share within 10 ms, and the
# tail compared with the floor's; and how soon an idle consumer gets a message.
is_headline()       # percentile
{
    local idle=${rates[0]} busy=${rates[1]:-${rates[0]}}
    case $case/$rate/$1 in
        steady/"$busy"/within* | steady/"$busy"/p99.9*) true ;;
        arrival/"$idle"/p99) [[ $what != *schedule* ]] ;;
        *) false ;;
    esac
}

#
# Producing.
#

latency_case()      # case title rate side...
{
    local case=$1 title=$2 rate=$3 connections=8 what values='' side
    what="rate=$rate body=$body"
    shift 3
    for side; do
        fresh "$side"
    done
    alternate latency_one "$@"
    for side; do
        record_all_rounds "$side"
    done
    progress "$case $what:$values"
    compare_latency "$title" "$@"
}

# Checkpoints, half a second apart, each with something to write.
run_checkpoints()
{
    while [ ! -e "$work/over" ]; do
        query 'UPDATE dirty SET x = x + 1; CHECKPOINT; SELECT pg_sleep(0.5)' || break
    done >/dev/null 2>&1
}

latency_one()       # side round
{
    local checkpoints=
    if [ "$case" = checkpoints ]; then
        rm -f "$work/over"
        query 'CREATE TABLE IF NOT EXISTS dirty AS
               SELECT g AS x, repeat($$x$$, 1000) AS y FROM generate_series(1, 5000) AS g' >/dev/null
        run_checkpoints &
        checkpoints=$!
    else
        query CHECKPOINT
    fi
    pgbench -T "$latency_seconds" -R "$rate" -l --log-prefix="$work/log/tx" \
        -f "$(script "$1" produce)"
    if [ -n "$checkpoints" ]; then
        touch "$work/over"
        wait $checkpoints
    fi
    awk '{ print $3 / 1000 }' "$work/log/tx."* >"$work/latency.$1.$2"
    rm "$work/log/tx."*
    must_be "transactions in the log" "$(wc -l <"$work/latency.$1.$2")" "$transactions"
    record_latency "$work/latency.$1.$2" "$1" "$2"
}

#
# From producer to consumer.
#

arrival_case()      # rate side...
{
    local case=arrival rate=$1 connections=8 what values side kind
    shift
    alternate arrival_one "$@"
    for kind in commit schedule acknowledgement; do
        what="from $kind rate=$rate body=$body" values=''
        for side; do
            for ((round = 1; round <= rounds; round++)); do
                mv "$work/$kind.$side.$round" "$work/latency.$side.$round"
                record_latency "$work/latency.$side.$round" "$side" $round
            done
            record_all_rounds "$side"
        done
        progress "$case $what:$values"
        compare_latency "$rate a second to a consumer that waits, from $kind" "$@"
    done
}

# psql, repeating the same statements.  It ends when its connection does.
run_psql_forever()  # side file output
{
    while [ ! -e "$work/over" ]; do
        cat "$here/sql/$1/$2.sql"
    done 2>/dev/null | PGAPPNAME=forever sql -At -F ' ' >"$3" 2>/dev/null || true
}

connected_forever()
{
    query "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'forever'"
}

wait_until()        # what, seconds, command that prints, what it must print
{
    local give_up=$((SECONDS + $2)) what=$1 target=$4
    until [ "$($3)" = "$target" ]; do
        [ $SECONDS -lt $give_up ] || die "wrong measurement: $what: $($3), must be $target"
        sleep 0.1
    done
}

start_forever()     # side
{
    forever=()
    rm -f "$work/over"
    run_psql_forever "$1" wait "$work/received" &
    forever+=($!)
    ! has_script "$1" tick || {
        run_psql_forever "$1" tick /dev/null &
        forever+=($!)
    }
    wait_until 'consumers' 10 connected_forever ${#forever[@]}
}

stop_forever()
{
    touch "$work/over"
    query "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE application_name = 'forever'" >/dev/null
    wait "${forever[@]}" || true
}

# A row contains: when it arrived, the client, its number, when it was sent,
# the body.
count_received()
{
    awk 'NF == 5' "$work/received" | wc -l
}

arrival_one()       # side round
{
    local forever n
    fresh "$1"
    ! has_script "$1" subscribe || side_sql "$1" subscribe >/dev/null
    start_forever "$1"
    pgbench -T "$latency_seconds" -R "$rate" -l --log-prefix="$work/log/tx" \
        -D n=0 -f "$(script "$1" send)"
    wait_until 'messages that arrived' 30 count_received "$transactions"
    stop_forever
    n=$(awk 'NF == 5 { print $2, $3 }' "$work/received" | sort -u | wc -l)
    must_be 'different messages that arrived' "$n" "$transactions"
    # pgbench logs the end of a transaction and how long before that it should
    # have begun, and numbers a client's transactions as the messages are
    # numbered.
    awk -v commit="$work/commit.$1.$2" -v schedule="$work/schedule.$1.$2" \
        -v acknowledgement="$work/acknowledgement.$1.$2" '
        FNR == NR {
            known[$1, $2] = $5 + $6 / 1e6
            planned[$1, $2] = known[$1, $2] - $3 / 1e6
            next
        }
        NF == 5 {
            printf "%.3f\n", ($1 - $4) * 1000 >commit
            printf "%.3f\n", ($1 - planned[$2, $3]) * 1000 >schedule
            printf "%.3f\n", ($1 - known[$2, $3]) * 1000 >acknowledgement
        }' <(cat "$work/log/tx."*) "$work/received"
    rm "$work/log/tx."*
}

# shellcheck shell=bash disable=SC2034,SC2154
#
# soak.sh -- producing and consuming at the same time, as fast as possible,
# while a transaction is held open; and the effect over time on the rate, on
# files, and on small transactions of an unrelated client.
#
# There are two clusters: in one, "pinned", a transaction holds a snapshot from
# beginning to end, so that VACUUM removes nothing; in the other nothing does.
# They and the sides take turns in slices, so that only one of them has load.
# rocketq.retention_time is 1 min, so that segments are removed as fast as they
# are created, and checkpoints occur every 5 min, the default.
#
# Half of the transactions produce 10 messages, half consume up to 20, so that
# the backlog stays short.  pgbench has one thread: several of them count the
# transactions of each script without a lock, and miss some.  The probe is
# pgbench's simple-update, 50 a second.

measure_soak()
{
    local connections=4 batch=10 name number cell cells=() totals pinned
    for name in free pinned; do
        soak_cluster $name
    done
    use_cluster pinned "$(soak_port pinned)"
    hold_snapshot
    for name in rocketq table; do
        cells+=("$name/free" "$name/pinned")
    done
    declare -A totals
    for ((number = 1; number * slice <= soak; number++)); do
        for ((cell = 0; cell < ${#cells[@]}; cell++)); do
            soak_slice "${cells[(cell + number) % ${#cells[@]}]}" $number
        done
    done
    number=$((number - 1))
    must_be 'snapshots held in the end' "$(use_cluster pinned "$(soak_port pinned)"; held_snapshots)" 1
    soak_compare
    for name in free pinned; do
        use_cluster $name "$(soak_port $name)"
        soak_check
    done
    release_snapshot
    for name in free pinned; do
        remove_cluster $name "$(soak_port $name)"
    done
}

soak_port()         # cluster
{
    [ "$1" = free ] && echo 5432 || echo 5433
}

soak_cluster()      # name
{
    new_cluster "$1" "$(soak_port "$1")"
    sql -c "ALTER SYSTEM SET rocketq.retention_time = '1min'" \
        -c "ALTER SYSTEM SET checkpoint_timeout = '5min'" \
        -c "ALTER SYSTEM SET max_wal_size = '4GB'" -c 'SELECT pg_reload_conf()' >/dev/null
    as_user "$bindir/pgbench" -i -q -s 1 >/dev/null 2>&1
    fresh rocketq
    fresh table
    query "SELECT rocketq.create_group('bench', 'bench')" >/dev/null
}

hold_snapshot()
{
    mkfifo "$work/holder"
    PGAPPNAME=holder sql -At <"$work/holder" >/dev/null &
    pinned=$!
    exec 8>"$work/holder"
    echo 'BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TEMP TABLE held ();' >&8
    wait_until 'a snapshot to hold' 10 held_snapshots 1
}

held_snapshots()
{
    query "SELECT count(*) FROM pg_stat_activity
           WHERE application_name = 'holder' AND backend_xid IS NOT NULL
             AND state = 'idle in transaction'"
}

release_snapshot()
{
    exec 8>&-
    wait $pinned
    rm "$work/holder"
}

files_mb()          # side
{
    case $1 in
        rocketq) as_user du -sm "$work/$cluster/pg_rocketq" | cut -f 1 ;;
        table) query "SELECT round(pg_total_relation_size('bench_table') / 1048576.0, 1)" ;;
    esac
}

soak_slice()        # side/cluster number
{
    local side=${1%/*} produced probe what="slices of $slice s" at=$(($2 * slice))
    use_cluster "${1#*/}" "$(soak_port "${1#*/}")"
    run_probe &
    probe=$!
    pgbench -T "$slice" -j 1 -D consumer=bench \
        -f "$(script "$side" produce_many 1)" -f "$(script "$side" consume_some 1)"
    wait $probe
    produced=${scripts%% *}
    totals[$1]=$((${totals[$1]-0} + produced * batch))
    soak_value rate "$(calc "$produced * $batch / $elapsed")" messages/s
    soak_value files "$(files_mb "$side")" MB
    awk '{ print $3 / 1000 }' "$work/log/probe."* | LC_ALL=C sort -n >"$work/probe"
    soak_value probe_p99 "$(percentile "$work/probe" 99)" ms
    rm "$work/log/probe."*
    progress "$at s  $1: $(calc "$produced * $batch / $elapsed" %.0f) messages/s, $(files_mb "$side") MB, probe p99 $(percentile "$work/probe" 99) ms"
}

run_probe()
{
    as_user "$bindir/pgbench" -n -M prepared -c 1 -T "$slice" -R 50 -l \
        --log-prefix="$work/log/probe" -b simple-update >/dev/null 2>&1
}

# Of the slice that soak_slice is in: for the table by side and by cluster, and
# for the curves.
soak_value()        # case value unit
{
    record soak "$1" "$what" "$side/$cluster" "$((at / slice))" "$2" "$3"
    series "soak $1" "$side/$cluster" $at "$2"
}

# What counts is the state at the end: the last third of the slices.
soak_compare()
{
    local side parameters="slices of $slice s"
    local from=$((number * 2 / 3 + 1))
    for side in rocketq table; do
        soak_compare_one "$side, a transaction held open: rate" rate messages/s
        soak_compare_one "$side, a transaction held open: files" files MB
        soak_compare_one "$side, a transaction held open: probe, p99" probe_p99 ms
    done
}

soak_compare_one()  # title case unit
{
    awk -F, -v OFS=, -v from=$from -v case="$2" -v side="$side/" '
        $1 == "soak" && $2 == case && index($4, side) == 1 && $5 >= from { $2 = case "_end"; print }
    ' "$out/results.csv" >"$work/end"
    cat "$work/end" >>"$out/results.csv"
    headline "$1, last third" soak "$2_end" "$parameters" "$3" \
        "$side/pinned" "$side/free"
}

# Every message was produced once and has been consumed, or is still there.
soak_check()
{
    must_be "messages of rocketq in $cluster" \
        "$(query "SELECT sum(max_offset) FROM rocketq.groups WHERE consumer_group = 'bench'")" \
        "${totals[rocketq/$cluster]}"
    must_be "messages of the table in $cluster" \
        "$(query "SELECT last_value FROM bench_table_id_seq")" "${totals[table/$cluster]}"
}

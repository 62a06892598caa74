# shellcheck shell=bash disable=SC2034,SC2154
#
# scan.sh -- messages per second that SELECT over a whole topic reads: counting
# them, reading their bodies, and doing so with parallel workers.

measure_scan()
{
    local fill_batch=1000
    new_cluster scan
    fill rocketq "$messages"
    query "ANALYZE bench"
    fill table "$messages"
    scan_case count 'SELECT count(*)' 'count(*)' 0
    scan_case bodies 'SELECT of all bodies' 'sum(octet_length(body))' 0
    scan_case parallel 'SELECT of all bodies, 2 parallel workers' 'sum(octet_length(body))' 2
    remove_cluster scan
}

scan_case()         # case title expression workers
{
    local case=$1 batch=$messages connections=1 values='' expression=$3 workers=$4
    alternate scan_one rocketq table
    progress "$case:$values"
    compare "$2" scan "$case" "$(parameters)" messages/s rocketq table
}

scan_one()          # side round
{
    local table=bench
    [ "$1" = rocketq ] || table=bench_table
    echo "SELECT $expression FROM $table;" | as_user tee "$work/scan.sql" >/dev/null
    query "ALTER DATABASE postgres SET max_parallel_workers_per_gather = $workers"
    case $case in
        count) must_be "rows of $1" "$(query "$(cat "$work/scan.sql")")" "$messages" ;;
        *) must_be "bytes of $1" "$(query "$(cat "$work/scan.sql")")" $((messages * body)) ;;
    esac
    pgbench -t 3 -f "$work/scan.sql"
    record scan "$case" "$(parameters)" "$1" "$2" "$(calc "$tps * $messages")" messages/s
    values+="  $1 $(calc "$tps * $messages" %.0f)"
}

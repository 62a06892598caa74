# shellcheck shell=bash disable=SC2034,SC2154
#
# recovery.sh -- how long a server takes to restart after a kill, by the amount
# of WAL to replay, and how far a standby lags behind.
#
# The floor's records do nothing during replay: its time is that of reading WAL
# and starting a server.

measure_recovery()
{
    local mb
    new_cluster recovery
    for mb in "${replays[@]}"; do
        recovery_case "$mb"
    done
    remove_cluster recovery
    measure_standby
}

#
# After a kill.
#

recovery_case()     # MB of WAL
{
    local case=kill mb=$1 values='' reference connections=4 batch=1000
    # A large amount of WAL takes minutes each time.
    [ "$mb" -le 1024 ] || local rounds=1
    alternate recovery_one rocketq floor table
    progress "kill, $mb MB of WAL:$values"
    for reference in floor table; do
        compare "from kill -9 to connections again, $mb MB of WAL" recovery $case "wal=$mb MB" s \
            rocketq $reference
    done
}

wal_since()         # lsn
{
    query "SELECT (pg_current_wal_lsn() - '$1') / 1048576"
}

recovery_one()      # side round
{
    local begin produced=0 start start_timeout=600
    fresh "$1"
    while [ "$(calc "$(wal_since "$lsn") < $mb" %d)" = 1 ]; do
        pgbench -t $((mb * 1048576 / batch / connections / (body + 100) / 8 + 1)) \
            -f "$(script "$1" produce_many)"
        produced=$((produced + transactions * batch))
    done
    begin=$(wal_since "$lsn")
    kill_server
    start=$(date +%s%N)
    start_after_crash >"$work/log/restart.log" 2>&1 || die 'the server does not start after the kill'
    start=$(calc "($(date +%s%N) - $start) / 1e9")
    ! has_script "$1" count || check_count "$1" $produced
    record recovery $case "wal=$mb MB" "$1" "$2" "$start" s
    record recovery replay "wal=$mb MB" "$1" "$2" "$(redo_seconds)" s
    series 'recovery' "$1" "$(calc "$begin" %.0f)" "$start"
    values+="  $1 $(calc "$start" %.1f) s, redo $(redo_seconds) s"
}

# From the last line "redo done at ... elapsed: 1.23 s".
redo_seconds()
{
    sed -nE 's/.*redo done at .*elapsed: ([0-9.]+) s$/\1/p' "$work/log/server.log" | tail -n 1
}

#
# A standby that streams.
#

measure_standby()
{
    local case=standby connections=8 batch=10 values='' rate reference p
    new_cluster primary
    as_user "$bindir/pg_basebackup" -D "$work/standby" -R -c fast -X stream
    use_cluster standby 5433
    start_server || die 'the standby does not start'
    use_cluster primary 5432
    wait_until 'standbys' 30 streaming_standbys 1
    alternate standby_one rocketq floor table
    progress "standby:$values"
    for reference in floor table; do
        compare "standby: replay lag under 500 x $batch messages a second, p99" recovery standby_lag \
            "$(parameters)" ms rocketq $reference
        compare "standby: to replay $seconds s of producing as fast as it goes, after their end" \
            recovery standby_catch_up "$(parameters)" s rocketq $reference
    done
    remove_cluster primary
    use_cluster standby 5433
    remove_cluster standby 5433
}

streaming_standbys()
{
    query "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
}

replay_lag_bytes()
{
    query "SELECT pg_current_wal_flush_lsn() - replay_lsn FROM pg_stat_replication"
}

# The age of the last transaction that the standby has replayed, from the lag
# that the standby itself reports.
watch_standby()
{
    while [ ! -e "$work/over" ]; do
        query 'SELECT extract(epoch FROM replay_lag) * 1000 FROM pg_stat_replication
               WHERE replay_lag IS NOT NULL'
        sleep 0.05
    done
}

standby_one()       # side round
{
    local watcher start
    fresh "$1"
    wait_until 'bytes to replay' 120 replay_lag_bytes 0
    rm -f "$work/over"
    watch_standby >"$work/lag" &
    watcher=$!
    pgbench -T $((seconds + 2)) -R 500 -f "$(script "$1" produce_many)"
    touch "$work/over"
    wait $watcher
    LC_ALL=C sort -n "$work/lag" -o "$work/lag"
    must_be_at_least 'samples of the lag' "$(wc -l <"$work/lag")" 1
    record recovery standby_lag "$(parameters)" "$1" "$2" "$(percentile "$work/lag" 99)" ms
    pgbench -T "$seconds" -f "$(script "$1" produce_many)"
    start=$(date +%s%N)
    until [ "$(replay_lag_bytes)" = 0 ]; do sleep 0.01; done
    start=$(calc "($(date +%s%N) - $start) / 1e9")
    record recovery standby_catch_up "$(parameters)" "$1" "$2" "$start" s
    values+="  $1 lag p99 $(percentile "$work/lag" 99) ms, catch-up $(calc "$start" %.2f) s"
}

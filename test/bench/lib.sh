# shellcheck shell=bash disable=SC2034,SC2154
#
# lib.sh -- how the benchmark measures: sides, rounds, pgbench, recorded
# values, and checks that a measurement is valid.
#
# A side is a system that is measured: rocketq, or a peer.  Its scripts are in
# sql/SIDE/:
#
#   create.sql        make the topic, table or queue "bench"
#   drop.sql          remove it
#   count.sql         how many messages there are
#   produce.sql       one message, in a transaction of its own
#   produce_many.sql  :batch messages in one statement
#   fill.sql          :batch messages, made ready to be consumed, where that is
#                     not what produce_many.sql does
#   consume.sql       at most :batch messages as :consumer, and make that last
#   left.sql          how many messages :consumer has not consumed
#   wait.sql          what a consumer does over and over that waits for messages
#
# Scripts for pgbench get the body as :body.  All sides get the same bodies:
# random letters and digits, so that compression gains nothing.
#
# Settings of a measurement are the global variables body, batch, connections
# and sync.  Sides take turns, in another order in each round, so that a drift
# of the machine affects all of them; a ratio is that of two values of the same
# round.

# The sides to measure; see find_sides.
sides=()
# Those of them that keep messages; the floor does not.
queues=()

cores=$(nproc)
seconds=3
rounds=3
body=200
batch=1
connections=8
sync=on

side_name()         # side
{
    case $1 in
        floor) echo 'pg_logical_emit_message' ;;
        table) echo 'table, SKIP LOCKED' ;;
        pgq) echo 'PgQ' ;;
        select) echo 'table, SELECT by key' ;;
        select_all) echo 'table, one SELECT' ;;
        *) echo "$1" ;;
    esac
}

#
# What is recorded.
#

# One line for each measured value.  Round 0 is the sum of all rounds.
record()            # theme case parameters side round value unit
{
    printf '%s,%s,"%s",%s,%s,%s,%s\n' "$@" >>"$out/results.csv"
}

# A line of the table: the side's value against the reference's, round by round,
# or alone when the reference is empty.
compare()           # title theme case parameters unit side reference
{
    local IFS='|'
    echo "${headline-}|$*" >>"$out/comparisons"
}

# A line that the first table shows, too.
headline()          # as compare
{
    headline='!' compare "$@"
}

# Points of curves without rounds: latency distributions, and values over time.
series()            # plot side x y
{
    printf '%s,%s,%s,%s\n' "$@" >>"$out/series.csv"
}

parameters()
{
    echo "body=$body batch=$batch connections=$connections sync=$sync"
}

progress()
{
    printf '    %s\n' "$*"
}

#
# Rounds.
#

# Call a function with each side and the number of the round; each round begins
# with another side.
alternate()         # function side...
{
    local function=$1 round i
    shift
    local taking_turns=("$@")
    for ((round = 1; round <= rounds; round++)); do
        for ((i = 0; i < $#; i++)); do
            $function "${taking_turns[(i + round - 1) % $#]}" "$round"
        done
    done
}

#
# psql and pgbench.  They run beside the server, on the same cores.
#

export PGOPTIONS='-c client_min_messages=warning'

query()             # SQL
{
    sql -At -c "$1"
}

# Run the statements that a query returns, each in a transaction of its own.
execute_each()      # SQL
{
    printf '%s\n\\gexec\n' "$1" | sql >/dev/null
}

side_sql()          # side file [argument of psql...]
{
    sql -At -f "$here/sql/$1/$2.sql" "${@:3}"
}

has_script()        # side file
{
    [ -e "$here/sql/$1/$2.sql" ]
}

# A random body, created once and so the same for all sides and rounds.
make_body()         # bytes
{
    [ -s "$work/body.$1" ] || {
        base64 -w 0 /dev/urandom | tr -d '+/=' | head -c "$1" || true
    } | as_user tee "$work/body.$1" >/dev/null
    cat "$work/body.$1"
}

# Sets transactions, scripts (the transactions of each script), tps and elapsed
# (seconds), excluding the time to connect.  Every transaction must succeed.
pgbench()           # argument of pgbench...
{
    local log=$work/log/pgbench.$BASHPID threads=$connections
    pgbench_log=$log
    [ "$threads" -le "$cores" ] || threads=$cores
    PGOPTIONS="-c synchronous_commit=$sync" as_user "$bindir/pgbench" \
        -n -M prepared -c "$connections" -j "$threads" -D batch="$batch" \
        -D body="$(make_body "$body")" "$@" >"$log" 2>&1 </dev/null || {
        show_log "$log"
        die "pgbench failed: ${*: -2}"
    }
    transactions=$(sed -nE 's/^number of transactions actually processed: ([0-9]+).*/\1/p' "$log")
    tps=$(sed -nE 's/^tps = ([0-9.]+) \(without.*/\1/p' "$log")
    scripts=$(sed -nE 's/^ - ([0-9]+) transactions .*/\1/p' "$log" | paste -sd ' ')
    elapsed=$(calc "$transactions / $tps")
    grep -q '^number of failed transactions: 0 ' "$log" ||
        die "pgbench had failed transactions: ${*: -2}"
}

# As pgbench() for some seconds and then for $seconds, whose rate tps is.  One
# second more, so that the last line of progress is not lost.
pgbench_warm()      # seconds, argument of pgbench...
{
    pgbench -T $(($1 + seconds + 1)) -P 1 "${@:2}"
    tps=$(sed -nE 's/^progress: [0-9.]+ s, ([0-9.]+) tps.*/\1/p' "$pgbench_log" |
        awk -v from="$1" -v to=$(($1 + seconds)) '
            NR > from && NR <= to { sum += $1; n++ }
            END { print n ? sum / n : 0 }')
    must_be_at_least 'rate when warm' "$tps" 0.1
}

script()            # side file [weight]
{
    echo "$here/sql/$1/$2.sql${3:+@$3}"
}

calc()              # expression [printf format]
{
    awk "BEGIN { printf \"${2:-%.6g}\", ($1) }"
}

greatest()          # number...
{
    printf '%s\n' "$@" | sort -n | tail -n 1
}

sum()               # number...
{
    printf '%s\n' "$@" | awk '{ s += $1 } END { print s }'
}

# One value of a table of numbers: percentile, maximum (100) of a sorted file.
percentile()        # sorted file, percentage
{
    awk -v p="$2" -v n="$(wc -l <"$1")" '
        BEGIN { at = int(n * p / 100 + 0.999999); if (at < 1) at = 1; if (at > n) at = n }
        NR == at { print; exit }' "$1"
}

#
# A measurement is valid only if the work was really done.
#

must_be()           # what, number, number that it must be
{
    [ "$2" = "$3" ] || die "wrong measurement: $1: $2, must be $3"
}

must_be_at_least()  # what, number, limit
{
    [ "$(calc "$2 >= $3" %d)" = 1 ] || die "wrong measurement: $1: $2, must be at least $3"
}

# An empty topic, table or queue, and no checkpoint to come soon.
fresh()             # side
{
    local how=()
    ! has_script "$1" drop || how+=(-f "$here/sql/$1/drop.sql")
    ! has_script "$1" create || how+=(-f "$here/sql/$1/create.sql")
    lsn=$(sql -At "${how[@]}" -c CHECKPOINT -c 'SELECT pg_current_wal_lsn()' | tail -n 1)
}

# A side that leaves nothing to count must at least have written WAL.
check_count()       # side messages
{
    if has_script "$1" count; then
        must_be "messages of $1" "$(side_sql "$1" count)" "$2"
    else
        must_be_at_least "bytes of WAL of $1" \
            "$(query "SELECT pg_current_wal_insert_lsn() - '$lsn'")" $(($2 * body))
    fi
}

# Messages to consume, vacuumed where that applies.
fill()              # side messages
{
    local connections=1 batch=${fill_batch:-1000} sync=off file=produce_many
    ! has_script "$1" fill || file=fill
    fresh "$1"
    pgbench -t $(($2 / batch)) -f "$(script "$1" "$file")"
    check_count "$1" "$2"
    ! has_script "$1" settle || side_sql "$1" settle >/dev/null
    query CHECKPOINT
}

#
# The private clusters.
#

write_settings()
{
    cat <<END
shared_buffers = '1GB'
max_connections = 200
wal_level = replica
fsync = on
full_page_writes = on
synchronous_commit = on
min_wal_size = '${wal_mb}MB'
max_wal_size = '16GB'
checkpoint_timeout = '1h'
max_worker_processes = 16
max_locks_per_transaction = 256
rocketq.max_topics = $(($(greatest "${topic_counts[@]}") + 1000))
rocketq.max_queues = $(most_queues)
rocketq.max_queues_per_topic = 65535
rocketq.max_consumer_slots = 65536
rocketq.max_consumer_slots_per_topic = 65536
END
}

# As many as the parts of scale make at a time, and some.  TRUNCATE needs a
# topic's once more.
most_queues()
{
    local sums=(
        $((8 * $(greatest "${topic_counts[@]}")))
        $(($(sum "${queue_counts[@]}") + $(greatest "${queue_counts[@]}")))
        $(($(sum "${cold_counts[@]}")))
        $(greatest "${first_counts[@]}")
    )
    echo $(($(greatest "${sums[@]}") + 1000))
}

# Existing WAL files cost less to write than new ones: create as many as
# min_wal_size keeps, so that the order of sides does not matter.
warm_wal()
{
    query "SELECT count(pg_logical_emit_message(false, 'warm', repeat('x', 1048576)))
           FROM generate_series(1, $wal_mb); CHECKPOINT; SELECT pg_switch_wal(); CHECKPOINT" >/dev/null
}

new_cluster()       # name [port [file with settings]]
{
    use_cluster "$1" "${2:-5432}"
    create_cluster "${3:-$work/settings.conf}" >"$work/log/initdb.log" 2>&1 ||
        { show_log "$work/log/initdb.log"; die 'cannot create a cluster'; }
    start_server || die 'the server does not start'
    query 'CREATE EXTENSION rocketq'
    local peer
    for peer in pgq pgmq; do
        [[ " ${sides[*]} " != *" $peer "* ]] || query "CREATE EXTENSION $peer"
    done
    warm_wal
}

remove_cluster()    # name [port]
{
    local problems
    use_cluster "$1" "${2:-5432}"
    problems=$(query 'SELECT * FROM rocketq.verify() LIMIT 5')
    [ -z "$problems" ] || die "rocketq.verify(): $problems"
    stop_server >/dev/null || die 'the server does not stop'
    rm -rf "${work:?}/$1"
}

# The peers whose extension the server has.
find_sides()
{
    local peer
    sides=(rocketq floor table)
    for peer in pgq pgmq; do
        if [ -e "$("$PG_CONFIG" --sharedir)/extension/$peer.control" ]; then
            sides+=("$peer")
        else
            say "skipped  $(side_name $peer): its extension is not installed"
        fi
    done
    queues=()
    for peer in "${sides[@]}"; do
        [ "$peer" = floor ] || queues+=("$peer")
    done
}

#
# Words for the table.
#

plural()            # noun number
{
    [ "$2" = 1 ] && echo "$1" || echo "${1}s"
}

sync_words()
{
    [ "$sync" = on ] || echo ', synchronous_commit = off'
}

# shellcheck shell=bash disable=SC2034,SC2154
#
# produce.sh -- messages per second: one or more in a transaction, and 200,000
# in one statement.
#
# Connections, bodies and batches vary one at a time; the others have the first
# value of their lists.  The floor, pg_logical_emit_message(true, ...), writes
# the same bytes into WAL and does nothing else.  A rate is measured after
# sessions have been at work for a second: a new one has caches to fill and
# files to map.

measure_produce()
{
    new_cluster produce
    produce_by_connections
    produce_by_body
    produce_by_batch
    produce_statement
    remove_cluster produce
}

produce_one()       # side round
{
    local file=produce
    [ "$batch" = 1 ] || file=produce_many
    fresh "$1"
    pgbench_warm 1 -f "$(script "$1" $file)"
    check_count "$1" $((transactions * batch))
    record produce "$case" "$(parameters)" "$1" "$2" "$(calc "$tps * $batch")" messages/s
    values+="  $1 $(calc "$tps * $batch" %.0f)"
}

# All sides, with the current settings.
produce_case()      # case title
{
    local case=$1 reference values=
    alternate produce_one "${sides[@]}"
    progress "$case $(parameters):$values"
    for reference in "${sides[@]:1}"; do
        local how=compare
        [ "$case/$sync/$reference" != connections/on/floor ] || how=headline
        $how "$2" produce "$case" "$(parameters)" messages/s rocketq "$reference"
    done
}

produce_by_connections()
{
    local counts=("${connection_counts[@]}")
    for sync in "${syncs[@]}"; do
        for connections in "${counts[@]}"; do
            produce_case connections "produce, 1 message a transaction, $connections $(plural connection "$connections")$(sync_words)"
        done
        counts=("${other_connection_counts[@]}")
    done
    reset_settings
}

produce_by_body()
{
    for body in "${bodies[@]:1}"; do
        produce_case body "produce, bodies of $body bytes, $connections connections"
    done
    reset_settings
}

produce_by_batch()
{
    for batch in "${batches[@]:1}"; do
        produce_case batch "produce, $batch messages a transaction, $connections connections"
    done
    reset_settings
}

#
# One statement.  A way is a side and a script.
#

statement_size=200000

produce_way()       # side/script round
{
    local side=${1%/*} way=$1 protocol=prepared
    [ "${1#*/}" != produce_many ] || way=$side
    [ "${1#*/}" != copy ] || protocol=simple
    fresh "$side"
    pgbench -t 1 -M $protocol -D file="'$work/copy.txt'" -f "$(script "$side" "${1#*/}")"
    check_count "$side" $batch
    record produce statement "$(parameters)" "$way" "$2" "$(calc "$tps * $batch")" messages/s
    values+="  $way $(calc "$tps * $batch" %.0f)"
}

produce_statement()
{
    local batch=$statement_size connections=1 values='' way reference
    local ways=(rocketq/{produce_many,produce_batch,insert_select,copy})
    for reference in "${sides[@]:1}"; do
        ways+=("$reference/produce_many")
    done
    ways+=(table/copy)
    yes "$(make_body "$body")" | head -n $batch | as_user tee "$work/copy.txt" >/dev/null || true
    alternate produce_way "${ways[@]}"
    rm "$work/copy.txt"
    progress "statement $(parameters):$values"
    headline "produce, one statement of $batch: $(way_words rocketq)" \
        produce statement "$(parameters)" messages/s rocketq floor
    for way in rocketq/produce_batch rocketq/insert_select rocketq/copy; do
        compare "produce, one statement of $batch: $(way_words $way)" \
            produce statement "$(parameters)" messages/s $way floor
    done
    for reference in "${sides[@]:2}"; do
        compare "produce, one statement of $batch: $(way_words rocketq)" \
            produce statement "$(parameters)" messages/s rocketq "$reference"
    done
    compare "produce, one statement of $batch: COPY" \
        produce statement "$(parameters)" messages/s rocketq/copy table/copy
}

way_words()         # way
{
    case $1 in
        rocketq) echo 'produce() over a query' ;;
        */produce_batch) echo 'produce_batch()' ;;
        */insert_select) echo 'INSERT ... SELECT' ;;
        */copy) echo 'COPY' ;;
    esac
}

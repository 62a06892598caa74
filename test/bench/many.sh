# shellcheck shell=bash disable=SC2034,SC2154
#
# many.sh -- part "many" of theme scale: what queues cost that have a message
# and a group, and are otherwise at rest.
#
# Two servers take turns: "many" has as many queues as the largest number of
# many_counts, in topics of 1000, and settings for that; "few" has 8, and the
# settings of the other parts.  All queues get a message and a group before
# anything is measured.
#
#   sync      a checkpoint after the same number of messages to 8 or more of the
#             queues of "many": how long the keeper's sync takes
#             (rocketq.workers.last_sync_ms), what it writes, and how long
#             CHECKPOINT takes.  Beside it, what the bytes alone cost: fsync of a
#             plain file of which as many have changed as the disk has written
#   rest      the same after 1000 messages to 8 queues, in "few" and in "many"
#   crash     from kill -9 to connections again, 1000 messages after a
#             checkpoint
#   disk      bytes of the store but for the log, for a queue of "many"
#   memory    shared memory of rocketq, by pg_shmem_allocations

many_topic_queues=1000
few=8

measure_many()
{
    local case batch connections=1 start_timeout=900 most values
    local messages_at_rest=1000 side
    most=$(greatest "${many_counts[@]}")
    many_settings | as_user tee "$work/many.conf" >/dev/null
    new_cluster few 5433
    many_fill $few
    new_cluster many 5434 "$work/many.conf"
    many_fill "$most"
    many_space
    many_syncs
    many_rests
    many_crashes
    for side in few many; do
        use_many $side
        drop_topics
        remove_cluster $side "$PGPORT"
    done
}

many_settings()
{
    cat "$work/settings.conf"
    cat <<END
rocketq.max_topics = $((most / many_topic_queues + 100))
rocketq.max_groups = $((most / many_topic_queues + 100))
rocketq.max_queues = $((most + 1000))
rocketq.max_consumer_slots = $((most + 1000))
END
}

use_many()          # few | many
{
    local port=5433
    [ "$1" = few ] || port=5434
    use_cluster "$1" $port
}

many_fill()         # queues
{
    execute_each "SELECT format('SELECT rocketq.create_topic(%L, %s)', 'many_' || k,
                                least($1 - k * $many_topic_queues, $many_topic_queues))
                  FROM generate_series(0, ($1 - 1) / $many_topic_queues) AS k"
    execute_each "SELECT format('SELECT rocketq.create_group(%L, %L)', topic, 'g') FROM rocketq.topics"
    touch_queues
    must_be 'messages' "$(count_all)" "$1"
    query CHECKPOINT
}

# Messages to so many of the queues, in one transaction.
many_produce()      # queues messages
{
    local before batch=$2
    before=$(count_all)
    pgbench -t 1 -D size="$1" -D topic_queues=$many_topic_queues -f "$(script rocketq produce_spread)"
    must_be 'messages' $(($(count_all) - before)) "$2"
}

# Bytes that the disk below the clusters has written.
many_disk()
{
    local numbers
    read -ra numbers <"/sys/dev/block/$(stat -c %Hd:%Ld "$work")/stat" ||
        die "what the disk of $work has written is not known"
    echo $((numbers[6] * 512))
}

# Sets checkpoint_ms, checkpoint_bytes (of the disk), sync_ms, sync_bytes.
many_checkpoint()
{
    local syncs before disk
    before=$(query 'SELECT sum(syncs) FROM rocketq.workers')
    disk=$(many_disk)
    checkpoint_ms=$(sql -At <<END | tail -n 1
SELECT clock_timestamp() AS began \gset
CHECKPOINT;
SELECT extract(epoch FROM clock_timestamp() - :'began') * 1000;
END
)
    IFS='|' read -r syncs sync_ms sync_bytes < <(
        query "SELECT syncs, last_sync_ms, last_sync_bytes FROM rocketq.workers WHERE worker = 'keeper'")
    checkpoint_bytes=$(($(many_disk) - disk))
    must_be_at_least 'syncs of a checkpoint' $((syncs - before)) 1
}

# Sets floor_ms: fsync of a file of so many bytes, all of which have changed.
many_floor()        # bytes
{
    local file=$work/floor start
    dd if=/dev/urandom of="$file" bs=1M count=$((($1 + 1048575) / 1048576)) iflag=fullblock \
        conv=fsync status=none
    dd if="$file" of="$file" bs=1M conv=notrunc status=none
    start=$(date +%s%N)
    sync "$file"
    floor_ms=$(calc "($(date +%s%N) - $start) / 1e6")
    rm "$file"
}

many_record()       # side round
{
    record scale "$case" "$(parameters)" "$1" "$2" "$sync_ms" ms
    record scale "${case}_checkpoint" "$(parameters)" "$1" "$2" "$checkpoint_ms" ms
    record scale "${case}_bytes" "$(parameters)" "$1" "$2" "$(calc "$sync_bytes / 1048576")" MB
    values+="  $1 $(calc "$sync_ms" %.0f) of $(calc "$checkpoint_ms" %.0f) ms, $(calc "$sync_bytes / 1048576" %.0f) MB"
}

many_compare()      # title side reference
{
    headline "$1: sync" scale "$case" "$(parameters)" ms "$2" "$3"
    compare "$1: CHECKPOINT" scale "${case}_checkpoint" "$(parameters)" ms "$2" "$3"
    compare "$1: bytes of the sync" scale "${case}_bytes" "$(parameters)" MB "$2" "$3"
}

many_syncs()
{
    local case=sync sizes=("${many_counts[@]}") size
    batch=$most values=
    use_many many
    alternate many_sync_one "${sizes[@]}"
    progress "$case, $batch messages:$values"
    many_but_bytes "${sizes[0]}" >"$work/but_bytes"
    cat "$work/but_bytes" >>"$out/results.csv"
    for size in "${sizes[@]:1}"; do
        many_compare "checkpoint after $batch messages, to ${sizes[0]} queues to $size" "$size" "${sizes[0]}"
        headline "checkpoint after $batch messages, to ${sizes[0]} queues to $size: sync but for the further bytes" \
            scale "${case}_but_bytes" "$(parameters)" ms "$size" "${sizes[0]}"
        compare "checkpoint after $batch messages, to ${sizes[0]} queues to $size: fsync of the bytes alone" \
            scale "${case}_floor" "$(parameters)" ms "$size" "${sizes[0]}"
    done
}

# Each sync without what its bytes alone cost more than those of the first size,
# in the same round.
many_but_bytes()    # first size
{
    awk -F, -v OFS=, -v name="$case" -v first="$1" '
        $2 == name { sync[$4, $5] = $6; line[$4, $5] = $0 }
        $2 == name "_floor" { floor[$4, $5] = $6 }
        END {
            for (key in sync) {
                split(key, part, SUBSEP)
                $0 = line[key]
                $2 = name "_but_bytes"
                $6 = sync[key] - floor[key] + floor[first, part[2]]
                print
            }
        }' "$out/results.csv"
}

many_sync_one()     # queues round
{
    query CHECKPOINT
    many_produce "$1" "$batch"
    many_checkpoint
    many_record "$1" "$2"
    many_floor "$checkpoint_bytes"
    record scale "${case}_disk" "$(parameters)" "$1" "$2" "$(calc "$checkpoint_bytes / 1048576")" MB
    record scale "${case}_floor" "$(parameters)" "$1" "$2" "$floor_ms" ms
    values+=" (disk $(calc "$checkpoint_bytes / 1048576" %.0f) MB, alone $(calc "$floor_ms" %.0f) ms)"
}

many_rests()
{
    local case=rest
    batch=$messages_at_rest values=
    alternate many_rest_one few many
    progress "$case, $batch messages:$values"
    many_compare "checkpoint after $batch messages, $few queues to $most" many few
}

many_rest_one()     # side round
{
    use_many "$1"
    query CHECKPOINT
    many_produce $few "$batch"
    many_checkpoint
    many_record "$1" "$2"
}

many_crashes()
{
    local case=crash
    batch=$messages_at_rest values=
    alternate many_crash_one few many
    progress "$case, $batch messages:$values"
    headline "from kill -9 to connections again, $few queues to $most" scale "$case" "$(parameters)" s many few
}

many_crash_one()    # side round
{
    local before start
    use_many "$1"
    query CHECKPOINT
    many_produce $few "$batch"
    before=$(count_all)
    kill_server
    start=$(date +%s%N)
    start_after_crash >"$work/log/restart.log" 2>&1 || die 'the server does not start after the kill'
    start=$(calc "($(date +%s%N) - $start) / 1e9")
    must_be 'messages after a crash' "$(count_all)" "$before"
    record scale "$case" "$(parameters)" "$1" "$2" "$start" s
    values+="  $1 $(calc "$start" %.1f) s"
}

# What does not change: measured once.
many_space()
{
    local side bytes=() each parameters="queues=$most"
    for side in few many; do
        use_many $side
        bytes+=($(($(du -s -B1 "$work/$side/pg_rocketq" | cut -f 1) - $(du -s -B1 "$work/$side/pg_rocketq/log" | cut -f 1))))
        record scale memory "$parameters" $side 1 "$(query "SELECT sum(allocated_size) / 1048576
            FROM pg_shmem_allocations WHERE name LIKE 'rocketq%'")" MB
    done
    each=$(calc "(${bytes[1]} - ${bytes[0]}) / ($most - $few)")
    record scale disk "$parameters" many 1 "$each" bytes
    headline "disk for a queue with one message, of $most" scale disk "$parameters" bytes many ''
    headline "shared memory, settings for $most queues with a group each" scale memory "$parameters" MB many few
    progress "space: $(calc "$each" %.0f) bytes of disk a queue, shared memory$(
        grep '^scale,memory,' "$out/results.csv" | awk -F, '{ printf "  %s %.0f MB", $4, $6 }')"
}

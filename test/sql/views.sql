-- The monitoring views, compared with a known load.

-- what they show
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = 'rocketq' AND table_name IN ('topics', 'queues', 'groups', 'group_totals', 'segments', 'queue_space',
    'disk', 'slots', 'workers', 'settings')
ORDER BY table_name, ordinal_position;

-- every view has a comment, and so has every column of views, tables and
-- types; except for four that filter their rows, the views are for pg_monitor
-- only
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'rocketq'::regnamespace AND c.relkind IN ('v', 'r', 'c') AND a.attnum > 0
      AND col_description(c.oid, a.attnum) IS NULL;
SELECT relname FROM pg_class c WHERE relnamespace = 'rocketq'::regnamespace AND relkind = 'v'
      AND (obj_description(oid, 'pg_class') IS NULL OR NOT has_table_privilege('pg_monitor', oid, 'SELECT')
           OR EXISTS (SELECT FROM aclexplode(relacl) WHERE grantee = 0)) ORDER BY 1;
CREATE ROLE watched_monitor IN ROLE pg_monitor;
CREATE ROLE watched_nobody;
SET ROLE watched_monitor;
DO $$
DECLARE
    v text;
BEGIN
    FOR v IN SELECT relname FROM pg_class WHERE relnamespace = 'rocketq'::regnamespace AND relkind = 'v' LOOP
        EXECUTE format('SELECT count(*) FROM rocketq.%I', v);
    END LOOP;
END $$;
SET ROLE watched_nobody;
SELECT count(*) FROM rocketq.topics;
SELECT count(*) FROM rocketq.get_topics();
SELECT * FROM rocketq.segments;
SELECT * FROM rocketq.get_segments();
SELECT * FROM rocketq.settings;
RESET ROLE;
DROP ROLE watched_monitor, watched_nobody;

SELECT coalesce(sum(used_bytes), 0) AS used FROM rocketq.segments \gset
SELECT rocketq.create_topic('watched', 3);
CREATE VIEW watched_queues AS
    SELECT queue_id, min_offset, max_offset, end_offset, messages, bytes, unresolved, unresolved_since,
           unresolved_pid, oldest_at IS NOT NULL AS oldest,
           newest_at IS NOT NULL AS newest, newest_at >= oldest_at AS in_order
    FROM rocketq.queues WHERE topic = 'watched' ORDER BY queue_id;
CREATE VIEW watched_groups AS
    SELECT consumer_group, queue_id, committed_offset, max_offset, lag, lag_seconds > 0 AS late,
           oldest_unconsumed_at IS NOT NULL AS unconsumed, committed_at IS NOT NULL AS moved,
           owner_pid = pg_backend_pid() AS own, created_at <= clock_timestamp() AS created
    FROM rocketq.groups WHERE topic = 'watched' ORDER BY 1, 2;

-- what differs between totals and their parts: never anything
CREATE VIEW watched_differences AS
    SELECT * FROM (
        (SELECT topic, topic_oid, consumer_group, count(*) AS queues, sum(lag) AS lag,
                min(oldest_unconsumed_at) AS oldest_at, sum(committed_offset) AS committed_total,
                max(committed_at) AS committed_at, min(created_at) AS created_at, count(owner_pid) AS owned,
                bool_or(holding) AS holding, sum(lost_messages) AS lost
         FROM rocketq.groups GROUP BY 1, 2, 3)
        EXCEPT
        SELECT topic, topic_oid, consumer_group, queues, lag, oldest_unconsumed_at, committed_total,
               committed_at, created_at, owned_queues, holding, lost_messages
        FROM rocketq.group_totals WHERE (lag_seconds > 0) = (oldest_unconsumed_at IS NOT NULL)) g
    UNION ALL
    SELECT topic, topic_oid, NULL, queues, messages, oldest_at, enqueued, newest_at, unresolved_since, NULL, NULL, NULL FROM (
        (SELECT topic, topic_oid, count(*) AS queues, sum(messages) AS messages, min(oldest_at) AS oldest_at,
                sum(end_offset) AS enqueued, max(newest_at) AS newest_at, min(unresolved_since) AS unresolved_since
         FROM rocketq.queues GROUP BY 1, 2)
        EXCEPT
        SELECT topic, topic_oid, queues, messages, oldest_at, enqueued, newest_at, unresolved_since
        FROM rocketq.topics) t;

-- nothing in it
SELECT topic, queues, groups, messages, bytes, unresolved, max_lag, oldest_at, newest_at FROM rocketq.topics
WHERE topic = 'watched';
SELECT * FROM watched_queues;
SELECT * FROM watched_groups;

-- a known load: 7 and 3 messages, 2 of them rolled back before they were
-- enqueued
SELECT count(rocketq.produce('watched', 'm' || i, queue_id => 0)) FROM generate_series(1, 7) i;
SELECT count(rocketq.produce('watched', 'm' || i, queue_id => 2)) FROM generate_series(1, 3) i;
BEGIN;
SELECT count(rocketq.produce('watched', 'm' || i, queue_id => 2)) FROM generate_series(1, 2) i;
ROLLBACK;
SELECT topic, queues, groups, messages, bytes, unresolved, max_lag, oldest_at < newest_at AS times FROM rocketq.topics
WHERE topic = 'watched';
SELECT * FROM watched_queues;
-- entries of a commit that failed at its very end are counted, but have no time
BEGIN;
CREATE TEMP TABLE parent (id int PRIMARY KEY) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE child (id int REFERENCES parent);
SELECT count(rocketq.produce('watched', 'lost', queue_id => 1));
COMMIT;
SELECT * FROM watched_queues;
SELECT queue_id, oldest_at = (SELECT min(stored_at) FROM rocketq.pull('watched', q.queue_id, 0)) AS oldest,
       newest_at = (SELECT max(stored_at) FROM rocketq.pull('watched', q.queue_id, 0)) AS newest
FROM rocketq.queues q WHERE topic = 'watched' AND oldest_at IS NOT NULL ORDER BY 1;

-- groups
SELECT rocketq.create_group('watched', 'late', 'last');
SELECT rocketq.create_group('watched', 'early');
SELECT count(*) FROM rocketq.consume('watched', 'middle', 4, auto_commit => true);
SELECT groups, max_lag, max_lag = (SELECT sum(lag) FROM rocketq.groups g WHERE g.topic = t.topic AND consumer_group = 'early')
       AS of_the_last
FROM rocketq.topics t WHERE topic = 'watched';
SELECT * FROM watched_groups WHERE consumer_group <> 'middle';
-- which queue was read first is undefined, and so is whether the aborted entry
-- was skipped
SELECT sum(committed_offset) IN (4, 5) AS committed, sum(committed_offset + lag) AS all_entries FROM rocketq.groups
WHERE topic = 'watched' AND consumer_group = 'middle';
SELECT rocketq.commit_offset('watched', 'early', 0, 2);
SELECT * FROM watched_groups WHERE consumer_group = 'early';
SELECT oldest_unconsumed_at = (SELECT stored_at FROM rocketq.pull('watched', 0, 2, 1)) AS oldest_unconsumed,
       committed_at BETWEEN created_at AND clock_timestamp() AS committed
FROM rocketq.groups WHERE topic = 'watched' AND consumer_group = 'early' AND queue_id = 0;
SELECT consumer_group, queues, lag, lag_seconds > 0 AS late, committed_total, committed_at IS NOT NULL AS moved,
       owned_queues, holding, lost_messages
FROM rocketq.group_totals WHERE topic = 'watched' AND consumer_group <> 'middle' ORDER BY 1;
SELECT enqueued, unresolved_since FROM rocketq.topics WHERE topic = 'watched';
SELECT * FROM watched_differences;
-- the owner of what is being consumed
BEGIN;
SELECT count(*) FROM rocketq.consume('watched', 'early', 100);
SELECT consumer_group, queue_id, owner_pid = pg_backend_pid() AS own FROM rocketq.groups
WHERE topic = 'watched' AND owner_pid IS NOT NULL ORDER BY 1, 2;
SELECT consumer_group, owned_queues FROM rocketq.group_totals WHERE topic = 'watched' ORDER BY 1;
SELECT * FROM watched_differences;
SELECT locktype, mode, granted, count(*) FROM pg_locks WHERE objsubid BETWEEN 21073 AND 21075 AND pid = pg_backend_pid() GROUP BY 1, 2, 3;
COMMIT;
SELECT count(*) FROM rocketq.groups WHERE topic = 'watched' AND owner_pid IS NOT NULL;
-- other advisory locks are not mistaken for it
SELECT pg_advisory_lock(g.id::int, 0) IS NOT NULL FROM generate_series(1, 50) g(id) \g /dev/null
SELECT count(*) FROM rocketq.groups WHERE topic = 'watched' AND owner_pid IS NOT NULL;
SELECT pg_advisory_unlock_all();

-- a transaction sees its own groups and topics
BEGIN;
SELECT rocketq.create_group('watched', 'mine');
SELECT rocketq.drop_group('watched', 'late');
SELECT rocketq.create_topic('watched_too', 2);
SELECT DISTINCT consumer_group FROM rocketq.groups WHERE topic = 'watched' ORDER BY 1;
SELECT queues FROM rocketq.topics WHERE topic = 'watched_too';
SELECT consumer_group FROM rocketq.group_totals WHERE topic = 'watched' ORDER BY 1;
ROLLBACK;
SELECT DISTINCT consumer_group FROM rocketq.groups WHERE topic = 'watched' ORDER BY 1;

SELECT consumer_group FROM rocketq.group_totals WHERE topic = 'watched' ORDER BY 1;

-- room, of which groups that were rolled back have some for a while
SELECT s.slots, s.setting, s.size = current_setting(s.setting)::bigint AS as_set,
       s.used <= s.size AND s.used >= CASE s.slots WHEN 'topics' THEN (SELECT count(*) FROM rocketq.get_topics())
                             WHEN 'queues' THEN (SELECT sum(ceil(queues / 8.0)) * 8 FROM rocketq.get_topics())
                             WHEN 'groups' THEN (SELECT count(*) FROM rocketq.get_group_totals())
                             ELSE (SELECT sum(ceil(queues / 8.0)) * 8 FROM rocketq.get_group_totals()) END AS fits
FROM rocketq.slots s;
SELECT used_bytes BETWEEN 1 AND size_bytes AS fits, round(100.0 * used_bytes / size_bytes) - round(used_percent) IN (-1, 0, 1) AS share,
       refusing FROM rocketq.disk;

-- segments: the log, without gaps, and where it is being written
DO $$
BEGIN
    WHILE NOT EXISTS (SELECT FROM rocketq.segments WHERE state = 'ready') LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
SELECT count(*) FILTER (WHERE state = 'writing') <= 1 AS writing, count(*) FILTER (WHERE state = 'ready') >= 1 AS ready,
       bool_and(file LIKE 'pg_rocketq/log/%') AS files,
       bool_and(end_position - start_position = pg_size_bytes(current_setting('rocketq.segment_size'))) AS sizes,
       bool_and(disk_bytes >= end_position - start_position) AS allocated,
       bool_and(CASE state WHEN 'full' THEN used_bytes = end_position - start_position
                           WHEN 'writing' THEN used_bytes BETWEEN 1 AND end_position - start_position
                           ELSE used_bytes = 0 END) AS used,
       bool_and((oldest_at IS NULL) OR state <> 'ready') AS times
FROM rocketq.segments;
SELECT bool_and(start_position = before) AS no_gaps
FROM (SELECT start_position, lag(end_position) OVER (ORDER BY start_position) AS before FROM rocketq.segments) s;
SELECT bool_and((pg_stat_file(file)).size = end_position - start_position) AS on_disk FROM rocketq.segments;
-- the files of queues have room for what queues have; a topic that is dropped gives back what it had
SELECT rocketq.create_topic('watched_space', 1);
SELECT used_bytes AS used_before FROM rocketq.queue_space \gset
SELECT set_config('watched.used_before', :'used_before', false) \g /dev/null
SELECT count(rocketq.produce('watched_space', 'x')) FROM generate_series(1, 20000);
SELECT files >= 1 AS files, used_bytes - :used_before BETWEEN 20000 * 32 AND 5 * 20000 * 32 AS used,
       disk_bytes >= used_bytes + waiting_bytes + free_bytes AS on_disk
FROM rocketq.queue_space;
DROP TABLE watched_space;
DO $$
BEGIN
    WHILE (SELECT used_bytes FROM rocketq.queue_space) - current_setting('watched.used_before')::bigint >= 20000 * 32 LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
-- bytes written since: at least the bodies
SELECT count(rocketq.produce('watched', repeat('x', 100000))) FROM generate_series(1, 50);
SELECT sum(used_bytes) - :used > 5000000 AS more FROM rocketq.segments;
SELECT count(*) = 1 AS in_a_segment
FROM rocketq.segments s, (SELECT max(message_id) AS id FROM generate_series(0, 2) q, rocketq.pull('watched', q, 0, 100)) m
WHERE m.id >= s.start_position AND m.id < s.start_position + s.used_bytes;

-- workers
SELECT worker, pid IS NOT NULL AS runs, started_at <= last_tick_at AS times, ticks > 0 AS ticks,
       state IN ('idle', 'working', 'syncing') AS state, syncs IS NOT NULL AS syncs,
       synced_redo_lsn IS NOT NULL AS redo
FROM rocketq.workers ORDER BY worker;
SELECT count(*) FROM rocketq.workers w JOIN pg_stat_activity a USING (pid) WHERE a.backend_type LIKE 'rocketq%';
-- the keeper syncs for each checkpoint that has something to sync
SELECT syncs AS syncs FROM rocketq.workers WHERE worker = 'keeper' \gset
SELECT count(rocketq.produce('watched', 'before the checkpoint'));
CHECKPOINT;
SELECT syncs > :syncs AS synced, synced_redo_lsn >= (SELECT redo_lsn FROM pg_control_checkpoint()) AS redo,
       last_sync_at > started_at AS sync_at, last_sync_ms > 0 AS sync_ms, last_sync_bytes > 100 AS sync_bytes
FROM rocketq.workers WHERE worker = 'keeper';

-- settings
SELECT name, setting, built_in, unit, source, context, pending_restart, short_desc FROM rocketq.settings
WHERE name IN ('rocketq.default_queues', 'rocketq.keeper_interval', 'rocketq.segment_size') ORDER BY 1;
SET rocketq.default_queues = 5;
SELECT setting, built_in, source FROM rocketq.settings WHERE name = 'rocketq.default_queues';
RESET rocketq.default_queues;
SELECT count(*) = (SELECT count(*) FROM pg_settings WHERE name ^@ 'rocketq.') AND count(*) > 9 AS all_of_them FROM rocketq.settings;

DROP VIEW watched_queues, watched_groups, watched_differences;
SELECT rocketq.drop_topic('watched');
SELECT count(*) FROM rocketq.queues WHERE topic = 'watched';
SELECT * FROM rocketq.verify();

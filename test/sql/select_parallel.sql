-- Topics read by several processes at once.

SELECT rocketq.create_topic('shared', 4);
-- one queue has most of the messages, one has none
INSERT INTO shared (queue_id, tag, body)
    SELECT CASE WHEN i % 10 = 0 THEN 0 WHEN i % 10 = 1 THEN 3 ELSE 1 END, 't' || i % 7, convert_to(i::text, 'UTF8')
    FROM generate_series(1, 200000) i;
CREATE TABLE small (n int) WITH (parallel_workers = 0);
INSERT INTO small SELECT generate_series(1, 3);
ANALYZE small;

-- large topics are read in parallel without being asked for
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM shared WHERE tag = 't1' AND length(body) > 3;
SELECT count(*) FROM shared WHERE tag = 't1' AND length(body) > 3;

SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = on;

-- each row once, whoever reads it
EXPLAIN (COSTS OFF) SELECT count(*), sum(rocketq.text(body)::int) FROM shared;
SELECT count(*), count(DISTINCT body), sum(rocketq.text(body)::int) FROM shared;
SELECT count(*), count(DISTINCT ctid), count(DISTINCT message_id) FROM shared;
SELECT queue_id, count(*), min(queue_offset), max(queue_offset) FROM shared GROUP BY 1 ORDER BY 1;
SELECT tag, count(*) FROM shared GROUP BY tag ORDER BY tag;
-- by workers alone, and by the leader alone
SET parallel_leader_participation = off;
SELECT count(*), count(DISTINCT message_id) FROM shared;
SET max_parallel_workers = 0;
SET parallel_leader_participation = on;
SELECT count(*), count(DISTINCT message_id) FROM shared;
RESET max_parallel_workers;

-- sorted, limited, appended
EXPLAIN (COSTS OFF) SELECT rocketq.text(body) FROM shared WHERE queue_id = 1;
SELECT rocketq.text(body) FROM shared WHERE queue_id = 1 ORDER BY queue_offset DESC LIMIT 3;
SELECT count(*) FROM (SELECT FROM shared LIMIT 7) s;
SELECT count(*) FROM (SELECT message_id FROM shared WHERE queue_id = 0 UNION ALL SELECT message_id FROM shared WHERE queue_id = 3) u;

-- Gather below a nested loop: the same scan is repeated
SET enable_material = off;
SET enable_memoize = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT s.n, count(*) FROM small s LEFT JOIN (SELECT queue_offset FROM shared WHERE tag = 't3' OFFSET 0) t ON t.queue_offset > s.n GROUP BY 1;
SELECT s.n, count(*) FROM small s LEFT JOIN (SELECT queue_offset FROM shared WHERE tag = 't3' OFFSET 0) t ON t.queue_offset > s.n GROUP BY 1 ORDER BY 1;
SELECT s.n, (SELECT count(*) FROM shared WHERE queue_offset % 3 = s.n % 3) FROM small s ORDER BY 1;
-- as the inner side of a join
EXPLAIN (COSTS OFF) SELECT count(*) FROM shared a JOIN small s ON a.queue_offset = s.n;
SELECT count(*) FROM shared a JOIN small s ON a.queue_offset = s.n;
RESET enable_mergejoin;
RESET enable_hashjoin;
RESET enable_memoize;
RESET enable_material;
-- several topics, and one twice, in one plan
EXPLAIN (COSTS OFF) SELECT count(*) FROM shared a JOIN shared b USING (message_id);
SELECT count(*) FROM shared a JOIN shared b USING (message_id);

-- plans that are used again
PREPARE by_queue(int) AS SELECT count(*) FROM shared WHERE queue_id = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE by_queue(0);
INSERT INTO shared (queue_id, tag, body) SELECT 0, 'later', 'x' FROM generate_series(1, 1000);
EXECUTE by_queue(0);
RESET plan_cache_mode;
DEALLOCATE by_queue;
-- what was rolled back, and what a snapshot does not see
BEGIN;
INSERT INTO shared (queue_id, body) SELECT 3, 'aborted' FROM generate_series(1, 3000);
ROLLBACK;
SELECT count(*) FROM shared WHERE queue_id = 3;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM shared WHERE queue_id = 3;
SELECT count(rocketq.produce('shared', 'at once', queue_id => 3, transactional => false));
COMMIT;
SELECT count(*) FROM shared WHERE queue_id = 3;

-- an error in whichever process it occurs
\set SHOW_CONTEXT never
SELECT count(*) FROM shared WHERE tag LIKE 't_' AND 1 / (rocketq.text(body)::int - 777) = 2;
\set SHOW_CONTEXT errors

-- topics with few rows, and with none
SELECT rocketq.create_topic('shared_few', 3);
SELECT count(*) FROM shared_few;
EXPLAIN (COSTS OFF) SELECT count(*) FROM shared_few;
INSERT INTO shared_few (queue_id, body) VALUES (2, 'a'), (0, 'b');
SELECT count(*), sum(length(body)) FROM shared_few;
SELECT count(*) FROM shared_few JOIN shared USING (queue_id) WHERE shared.tag = 't0';
SELECT rocketq.drop_topic('shared_few');

-- CREATE TABLE AS
CREATE TABLE taken AS SELECT * FROM shared WHERE tag = 't5';
SELECT count(*), count(DISTINCT message_id) FROM taken;
DROP TABLE taken, small;
SELECT rocketq.drop_topic('shared');

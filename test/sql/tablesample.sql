-- TABLESAMPLE.  A block is 64 messages, in the order of the queues.

SELECT rocketq.create_topic('sampled', 2);
INSERT INTO sampled (queue_id, tag, body)
    SELECT i % 2, (i / 2)::text, convert_to(i::text, 'UTF8') FROM generate_series(0, 1999) i;

-- all and nothing
SELECT count(*) FROM sampled TABLESAMPLE system (100);
SELECT count(*) FROM sampled TABLESAMPLE bernoulli (100);
SELECT count(*) FROM sampled TABLESAMPLE system (0);
SELECT count(*) FROM sampled TABLESAMPLE bernoulli (0);
SELECT count(*) FROM sampled TABLESAMPLE system (100) REPEATABLE (1 + 2);

-- each row once, and one that is there
SELECT count(*) BETWEEN 1 AND 1999 AS some, count(DISTINCT body) = count(*) AS each_once,
    bool_and(rocketq.text(body)::int = queue_offset * 2 + queue_id AND tag = queue_offset::text) AS right
FROM sampled TABLESAMPLE bernoulli (30);
-- whole blocks
SELECT queue_id, queue_offset / 64 AS block, count(*), min(queue_offset), max(queue_offset)
FROM sampled TABLESAMPLE system (15) REPEATABLE (5) GROUP BY 1, 2 ORDER BY 1, 2;
-- the same seed gives the same rows
CREATE TABLE first_sample AS SELECT message_id FROM sampled TABLESAMPLE bernoulli (10) REPEATABLE (7);
SELECT count(*), count(s.message_id) = count(*) AS same FROM first_sample f
    FULL JOIN (SELECT message_id FROM sampled TABLESAMPLE bernoulli (10) REPEATABLE (7)) s USING (message_id);
SELECT count(*) = 0 AS same FROM first_sample f
    FULL JOIN (SELECT message_id FROM sampled TABLESAMPLE bernoulli (10) REPEATABLE (8)) s USING (message_id)
    WHERE f.message_id IS NULL OR s.message_id IS NULL;
DROP TABLE first_sample;

-- plans, views, conditions
EXPLAIN (COSTS OFF) SELECT * FROM sampled TABLESAMPLE system (50) REPEATABLE (2) WHERE queue_id = 1;
CREATE VIEW sample_view AS SELECT queue_id, queue_offset FROM sampled TABLESAMPLE bernoulli (20 * 5) REPEATABLE (2);
SELECT count(*) FROM sample_view WHERE queue_id = 1;
DROP VIEW sample_view;

-- scanned again, with another argument each time
SELECT pct, s.n FROM (VALUES (0), (100), (0), (100)) v(pct),
    LATERAL (SELECT count(*) AS n FROM sampled TABLESAMPLE bernoulli (pct)) s;
SELECT pct, s.n FROM (VALUES (0), (100), (0), (100)) v(pct),
    LATERAL (SELECT count(*) AS n FROM sampled TABLESAMPLE system (pct)) s;
SELECT count(DISTINCT s.n) AS sizes FROM generate_series(1, 5) i,
    LATERAL (SELECT count(*) AS n FROM sampled TABLESAMPLE bernoulli (10) REPEATABLE (3) WHERE i > 0) s;

-- a cursor keeps its sample
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT queue_id, queue_offset FROM sampled TABLESAMPLE system (15) REPEATABLE (5);
FETCH 2 FROM c;
SELECT count(*) > 0 AS another FROM sampled TABLESAMPLE system (50) REPEATABLE (6);
FETCH NEXT FROM c;
FETCH PRIOR FROM c;
FETCH FIRST FROM c;
COMMIT;

-- what is not seen is not in a sample
BEGIN;
INSERT INTO sampled (body) SELECT 'aborted' FROM generate_series(1, 500);
ROLLBACK;
BEGIN;
INSERT INTO sampled (body) SELECT 'not yet' FROM generate_series(1, 500);
SELECT count(*) FROM sampled TABLESAMPLE system (100);
SELECT count(*) FROM sampled TABLESAMPLE bernoulli (100);
ROLLBACK;

-- wrong arguments
SELECT * FROM sampled TABLESAMPLE system (NULL);
SELECT * FROM sampled TABLESAMPLE bernoulli (-1);
SELECT * FROM sampled TABLESAMPLE system (101);
SELECT * FROM sampled TABLESAMPLE bernoulli (1) REPEATABLE (NULL);

-- partitions that are topics
CREATE TABLE sampled_parts (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE sampled_part1 PARTITION OF sampled_parts FOR VALUES IN ('1') USING rocketq;
CREATE TABLE sampled_part2 PARTITION OF sampled_parts FOR VALUES IN ('2') USING rocketq;
INSERT INTO sampled_parts (tag, body) VALUES ('1', 'a'), ('2', 'b'), ('2', 'c');
EXPLAIN (COSTS OFF) SELECT * FROM sampled_parts TABLESAMPLE bernoulli (100);
SELECT tag, count(*) FROM sampled_parts TABLESAMPLE bernoulli (100) GROUP BY 1 ORDER BY 1;
DROP TABLE sampled_parts;

-- no messages
SELECT rocketq.create_topic('sampled_empty', 2);
SELECT count(*) FROM sampled_empty TABLESAMPLE system (100);
SELECT count(*) FROM sampled_empty TABLESAMPLE bernoulli (100);
SELECT rocketq.drop_topic('sampled_empty');

--
-- ANALYZE
--
ANALYZE sampled;
SELECT reltuples FROM pg_class WHERE oid = 'sampled'::regclass;
SELECT attname, null_frac, avg_width, n_distinct FROM pg_stats
WHERE tablename = 'sampled' AND attname NOT IN ('message_id', 'born_at', 'stored_at') ORDER BY attname;
-- it lets the planner estimate the selectivity of a condition
CREATE FUNCTION estimated(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SELECT estimated('SELECT * FROM sampled'), estimated('SELECT * FROM sampled WHERE queue_id = 1');
SELECT estimated('SELECT * FROM sampled WHERE queue_offset < 100') BETWEEN 150 AND 250 AS by_histogram;
-- one column, larger and smaller samples, together with VACUUM
ALTER TABLE sampled ALTER COLUMN body SET STATISTICS 0;
ALTER TABLE sampled ALTER COLUMN tag SET STATISTICS 5;
VACUUM (ANALYZE) sampled;
ANALYZE sampled (queue_id, tag);
CREATE STATISTICS sampled_stat ON queue_id, queue_offset FROM sampled;
ANALYZE sampled;
SELECT stxname FROM pg_statistic_ext JOIN pg_statistic_ext_data d ON d.stxoid = oid
WHERE stxrelid = 'sampled'::regclass AND stxdndistinct IS NOT NULL;
-- partitions of both kinds count by their rows
CREATE TABLE analyzed (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE analyzed_topic PARTITION OF analyzed FOR VALUES IN ('topic') USING rocketq;
CREATE TABLE analyzed_table PARTITION OF analyzed FOR VALUES IN ('table');
INSERT INTO analyzed (tag, body) SELECT CASE WHEN i % 4 = 0 THEN 'table' ELSE 'topic' END, 'x' FROM generate_series(1, 1000) i;
ANALYZE analyzed;
SELECT most_common_vals, most_common_freqs FROM pg_stats WHERE tablename = 'analyzed' AND attname = 'tag';
DROP TABLE analyzed;
-- values too long for statistics
TRUNCATE sampled;
INSERT INTO sampled (keys, properties, body)
    SELECT ARRAY[repeat('k', 5000), 'x'], jsonb_build_object('p', repeat('p', 5000)), convert_to(repeat(i::text, 9000), 'UTF8')
    FROM generate_series(1, 20) i;
ALTER TABLE sampled ALTER COLUMN body SET STATISTICS -1;
ANALYZE sampled;
SELECT attname, null_frac, avg_width > 1000 AS wide FROM pg_stats
WHERE tablename = 'sampled' AND attname IN ('properties', 'body') ORDER BY 1;
TRUNCATE sampled;
ANALYZE sampled;
SELECT reltuples FROM pg_class WHERE oid = 'sampled'::regclass;
DROP FUNCTION estimated(text);

SELECT rocketq.drop_topic('sampled');

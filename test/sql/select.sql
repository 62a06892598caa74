-- SELECT from topics, in all the ways that tables are read.

SELECT rocketq.create_topic('read', 2);
INSERT INTO read (queue_id, tag, keys, properties, body)
    SELECT i % 2, 't' || i % 3, CASE WHEN i % 4 = 0 THEN ARRAY['k' || i] END,
        CASE WHEN i % 5 = 0 THEN jsonb_build_object('n', i) END, convert_to('m' || i, 'UTF8')
    FROM generate_series(0, 19) i;
-- aborted messages between the others
BEGIN;
INSERT INTO read (queue_id, body) VALUES (0, 'aborted'), (1, 'aborted');
ROLLBACK;
INSERT INTO read (queue_id, tag, body) VALUES (0, 'last', 'm20'), (1, 'last', 'm21');
-- rows to join them with
CREATE TABLE plain (n int, name text);
INSERT INTO plain SELECT i, 'm' || i FROM generate_series(0, 29) i;

-- conditions and order
SELECT queue_id, queue_offset, tag, rocketq.text(body) FROM read WHERE queue_offset < 2 ORDER BY 1, 2;
SELECT queue_offset FROM read WHERE tag = 'last' ORDER BY 1;
SELECT rocketq.text(body), keys FROM read WHERE keys && '{k4,k8}' ORDER BY queue_offset;
SELECT rocketq.text(body) FROM read WHERE properties @> '{"n": 15}';
SELECT count(*) FROM read WHERE keys IS NULL AND properties IS NULL;
SELECT DISTINCT tag FROM read ORDER BY tag;
SELECT rocketq.text(body) FROM read ORDER BY queue_offset DESC, queue_id LIMIT 3;
SELECT rocketq.text(body) FROM read ORDER BY queue_offset, queue_id OFFSET 19 LIMIT 5;
SELECT count(*) FROM (SELECT FROM read LIMIT 5) s;
SELECT count(*) FROM (SELECT FROM read LIMIT 0) s;
SELECT 1 AS one FROM read LIMIT 1;
-- within a queue, rows come in the order of their offsets
SELECT queue_id, bool_and(queue_offset > before) AS in_order FROM (
    SELECT queue_id, queue_offset, lag(queue_offset) OVER (PARTITION BY queue_id ORDER BY n) AS before
    FROM (SELECT queue_id, queue_offset, row_number() OVER () AS n FROM read) a) b
WHERE before IS NOT NULL GROUP BY 1 ORDER BY 1;

-- aggregates and window functions
SELECT count(*), count(keys), min(queue_offset), max(queue_offset), sum(length(body)) FROM read;
SELECT tag, count(*), array_agg(rocketq.text(body) ORDER BY queue_offset, queue_id) FROM read GROUP BY tag ORDER BY tag;
SELECT queue_id, tag, count(*) FROM read GROUP BY ROLLUP (queue_id, tag) ORDER BY 1, 2;
SELECT tag, count(*) FROM read GROUP BY tag HAVING count(*) < 7 ORDER BY 1;
SELECT count(*) FILTER (WHERE queue_id = 0), count(DISTINCT tag) FROM read;
SELECT queue_id, queue_offset, row_number() OVER w, first_value(rocketq.text(body)) OVER w FROM read
WHERE queue_offset > 7 WINDOW w AS (PARTITION BY queue_id ORDER BY queue_offset) ORDER BY 1, 2;
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY queue_offset) FROM read;

-- joins
EXPLAIN (COSTS OFF) SELECT p.n FROM read r JOIN plain p ON p.name = rocketq.text(r.body) WHERE r.queue_id = 0;
SELECT count(*), sum(p.n) FROM read r JOIN plain p ON p.name = rocketq.text(r.body);
SELECT p.n FROM plain p LEFT JOIN read r ON p.name = rocketq.text(r.body) WHERE r.message_id IS NULL ORDER BY 1;
SELECT count(*) FROM read r FULL JOIN plain p ON p.name = rocketq.text(r.body) AND r.tag = 't1';
SELECT a.queue_offset, rocketq.text(a.body), rocketq.text(b.body) FROM read a JOIN read b USING (queue_offset)
WHERE a.queue_id = 0 AND b.queue_id = 1 AND a.queue_offset < 3 ORDER BY 1;
SELECT count(*) FROM read a, read b, read c WHERE a.message_id = b.message_id AND b.message_id = c.message_id;
SET enable_hashjoin = off;
SET enable_material = off;
SELECT count(*), sum(p.n) FROM read r JOIN plain p ON p.name = rocketq.text(r.body);
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM read a JOIN read b ON a.body = b.body;
SELECT count(*) FROM read a JOIN read b ON a.body = b.body;
RESET enable_mergejoin;
RESET enable_material;
RESET enable_hashjoin;
SELECT p.n, l.queue_id, l.tag FROM plain p,
    LATERAL (SELECT * FROM read r WHERE r.queue_offset = p.n ORDER BY queue_id LIMIT 1) l WHERE p.n > 7 ORDER BY 1;

-- subqueries, unions, common table expressions
SELECT n FROM plain WHERE name IN (SELECT rocketq.text(body) FROM read WHERE tag = 't0') ORDER BY 1;
SELECT count(*) FROM plain p WHERE NOT EXISTS (SELECT FROM read r WHERE rocketq.text(r.body) = p.name);
SELECT rocketq.text(body) FROM read r WHERE queue_offset = (SELECT max(queue_offset) FROM read WHERE queue_id = r.queue_id) ORDER BY 1;
SELECT n, (SELECT count(*) FROM read WHERE queue_offset >= n) AS rest FROM plain WHERE n > 7 AND n < 12 ORDER BY 1;
SELECT tag FROM read UNION SELECT name FROM plain WHERE n < 2 ORDER BY 1;
SELECT count(*) FROM (SELECT * FROM read UNION ALL SELECT * FROM read) u;
SELECT count(*) FROM (SELECT * FROM read EXCEPT SELECT * FROM read WHERE tag = 't2') e;
SELECT count(*) FROM (SELECT * FROM read INTERSECT SELECT * FROM read WHERE queue_id = 1) i;
WITH m AS MATERIALIZED (SELECT * FROM read WHERE tag = 'last') SELECT count(*) FROM m a, m b;
WITH RECURSIVE chain AS (
    SELECT 0::bigint AS off UNION ALL
    SELECT r.queue_offset FROM chain, read r WHERE r.queue_id = 1 AND r.queue_offset = chain.off + 1)
SELECT count(*) FROM chain;

-- rows as a whole, and system columns
SELECT (r).tag, (r).queue_offset FROM (SELECT r FROM read r WHERE tag = 'last') s ORDER BY 2;
SELECT count(*) FROM read r WHERE r IS NOT NULL;
SELECT row_to_json(r)::jsonb - '{message_id,born_at,stored_at}'::text[] FROM read r WHERE rocketq.text(body) = 'm0';
SELECT DISTINCT tableoid::regclass FROM read;
SELECT xmin FROM read;

-- cursors
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT queue_id, queue_offset FROM read WHERE queue_offset IN (0, 1, 11);
FETCH 2 FROM c;
FETCH 3 FROM c;
FETCH 2 FROM c;
FETCH BACKWARD ALL FROM c;
FETCH BACKWARD 1 FROM c;
FETCH NEXT FROM c;
FETCH ABSOLUTE 5 FROM c;
FETCH RELATIVE -2 FROM c;
FETCH ABSOLUTE -1 FROM c;
FETCH LAST FROM c;
MOVE BACKWARD ALL FROM c;
FETCH ALL FROM c;
CLOSE c;
DECLARE once NO SCROLL CURSOR FOR SELECT queue_offset FROM read;
FETCH once;
FETCH PRIOR FROM once;
ROLLBACK;
-- one that outlives its transaction, even when messages are added and removed
BEGIN;
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT queue_id, rocketq.text(body) FROM read WHERE tag = 'last' ORDER BY 1;
FETCH 1 FROM held;
COMMIT;
INSERT INTO read (queue_id, tag, body) VALUES (0, 'last', 'behind the cursor');
FETCH ALL FROM held;
FETCH FIRST FROM held;
CLOSE held;
-- rows that are kept while the scan continues
DO $$
DECLARE
    first read;
    r read;
    n int := 0;
BEGIN
    FOR r IN SELECT * FROM read ORDER BY queue_id, queue_offset LOOP
        IF n = 0 THEN
            first := r;
        END IF;
        n := n + 1;
    END LOOP;
    RAISE NOTICE '% rows, the first one is %', n, rocketq.text(first.body);
END $$;

-- prepared statements see what is there when they run
PREPARE by_tag(text) AS SELECT count(*), max(queue_offset) FROM read WHERE tag = $1;
EXECUTE by_tag('last');
INSERT INTO read (queue_id, tag, body) VALUES (1, 'last', 'one more');
EXECUTE by_tag('last');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE by_tag('last');
EXECUTE by_tag('t0');
RESET plan_cache_mode;
DEALLOCATE by_tag;

-- what the planner knows, without ANALYZE
CREATE FUNCTION estimate(query text, OUT rows int, OUT width int) LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    rows := plan -> 0 -> 'Plan' ->> 'Plan Rows';
    width := plan -> 0 -> 'Plan' ->> 'Plan Width';
END $$;
TRUNCATE read;
SELECT * FROM estimate('SELECT * FROM read');
INSERT INTO read (tag, sharding_key, body) SELECT 'four', 's', convert_to(repeat('x', 1000), 'UTF8') FROM generate_series(1, 500);
SELECT * FROM estimate('SELECT * FROM read');
SELECT * FROM estimate('SELECT body FROM read');
SELECT * FROM estimate('SELECT tag, sharding_key, queue_id FROM read');
DROP FUNCTION estimate(text);

-- only the requested columns are built: here the entry alone is read
EXPLAIN (VERBOSE, COSTS OFF) SELECT queue_id, queue_offset, message_id FROM read;
SELECT count(*), count(DISTINCT message_id), max(queue_offset) - min(queue_offset) FROM (SELECT queue_id, queue_offset, message_id FROM read) s;

DROP TABLE plain;
SELECT rocketq.drop_topic('read');
SELECT * FROM rocketq.verify();

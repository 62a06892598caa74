-- A topic as a table: INSERT and COPY produce, SELECT browses.

SELECT rocketq.create_topic('browsed', 2);

--
-- INSERT
--
INSERT INTO browsed (queue_id, body) VALUES (0, 'only a body');
INSERT INTO browsed (queue_id, tag, keys, sharding_key, properties, body)
    VALUES (0, 'paid', '{k1,k2}', 's', '{"a": 1}', 'everything');
INSERT INTO browsed (queue_id, body) SELECT 1, convert_to('m' || i, 'UTF8') FROM generate_series(1, 3) i;
SELECT queue_id, queue_offset, tag, keys, sharding_key, properties, rocketq.text(body) FROM browsed
ORDER BY 1, 2;
-- the same as by the functions
SELECT count(*) FROM (
    (TABLE browsed EXCEPT SELECT m.* FROM generate_series(0, 1) q, rocketq.pull('browsed', q, 0) m)
    UNION ALL
    (SELECT m.* FROM generate_series(0, 1) q, rocketq.pull('browsed', q, 0) m EXCEPT TABLE browsed)) d;
SELECT rocketq.text(body), delivery_attempt FROM rocketq.consume('browsed', 'g', tags => 'paid');
-- the queue is that of the sharding key
BEGIN;
INSERT INTO browsed (sharding_key, body) SELECT 'key', 'sharded' FROM generate_series(1, 5);
SELECT count(rocketq.produce('browsed', 'sharded', sharding_key => 'key'));
COMMIT;
SELECT count(DISTINCT queue_id), count(*) FROM browsed WHERE body = 'sharded';
-- what is known before COMMIT is returned
INSERT INTO browsed (queue_id, tag, body) VALUES (1, 'returned', 'r')
    RETURNING queue_id, queue_offset, message_id IS NOT NULL AS id, tag, born_at = statement_timestamp() AS born,
              stored_at, delivery_attempt, body;
-- a value for a column that rocketq sets is an error
INSERT INTO browsed (queue_offset, body) VALUES (1, 'x');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO browsed (message_id, body) VALUES (1, 'x');
INSERT INTO browsed (stored_at, body) VALUES (now(), 'x');
-- as are these
INSERT INTO browsed (tag) VALUES ('no body');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO browsed DEFAULT VALUES;
INSERT INTO browsed (queue_id, body) VALUES (2, 'x');
INSERT INTO browsed (queue_id, body) VALUES (-1, 'x');
INSERT INTO browsed (properties, body) VALUES ('[]', 'x');
INSERT INTO browsed (tag, body) VALUES (repeat('t', 128), 'x');
-- the whole statement is undone
INSERT INTO browsed (tag, body) SELECT repeat('t', 120 + i), 'too long at last' FROM generate_series(1, 10) i;
SELECT count(*) FROM browsed WHERE body = 'too long at last';

--
-- COPY
--
COPY browsed (queue_id, tag, body) FROM stdin;
1	copied	one
1	copied	\\x74776f
1	\N	three
\.
COPY browsed (queue_id, keys, properties, body) FROM stdin (FORMAT csv);
1,"{a,b}","{""n"": 1}",four
\.
SELECT tag, keys, properties, rocketq.text(body) FROM browsed WHERE queue_id = 1 AND
    rocketq.text(body) IN ('one', 'two', 'three', 'four') ORDER BY queue_offset;
COPY browsed (queue_id, body) FROM stdin;
1	not kept
2	no such queue
\.
SELECT count(*) FROM browsed WHERE body = 'not kept';
COPY (SELECT queue_id, tag, rocketq.text(body) FROM browsed WHERE tag IS NOT NULL ORDER BY 1, queue_offset) TO stdout;
-- a large one
CREATE TABLE source AS SELECT i % 2 AS queue_id, 'bulk'::text AS tag, convert_to(repeat(i::text, 20), 'UTF8') AS body
    FROM generate_series(1, 5000) i;
INSERT INTO browsed (queue_id, tag, body) SELECT * FROM source;
SELECT count(*), count(DISTINCT body) FROM browsed WHERE tag = 'bulk';
SELECT count(*) FROM browsed m JOIN source s USING (body) WHERE m.tag = 'bulk' AND m.queue_id = s.queue_id;
SELECT bool_and(n > before) AS in_order
FROM (SELECT n, lag(n) OVER (PARTITION BY queue_id ORDER BY queue_offset) AS before
      FROM (SELECT queue_id, queue_offset, i AS n FROM browsed m JOIN generate_series(1, 5000) i
                ON m.body = convert_to(repeat(i::text, 20), 'UTF8')
            WHERE m.tag = 'bulk') o) p;
DROP TABLE source;

--
-- A whole row is the copy of a message: offsets and ids are new, the rest is
-- kept.
--
SELECT rocketq.create_topic('browsed_copy', 2);
INSERT INTO browsed_copy SELECT * FROM browsed WHERE tag = 'paid' OR tag = 'copied' ORDER BY queue_id, queue_offset;
SELECT queue_id, queue_offset, tag, keys, sharding_key, properties, rocketq.text(body) FROM browsed_copy ORDER BY 1, 2;
SELECT count(*) FROM browsed b JOIN browsed_copy c USING (message_id);
-- a queue that the copy does not have
SELECT rocketq.create_topic('browsed_narrow', 1);
INSERT INTO browsed_narrow SELECT * FROM browsed_copy ORDER BY queue_id, queue_offset;
SELECT queue_id, count(*) FROM browsed_narrow GROUP BY 1;
SELECT rocketq.drop_topic('browsed_narrow');
SELECT rocketq.drop_topic('browsed_copy');
-- Where the number of queues differs, a copy goes to the queue of new messages
-- with its key.
SELECT rocketq.create_topic('keyed', 4);
SELECT count(rocketq.produce('keyed', 'm' || i, sharding_key => 'k' || i % 20)) FROM generate_series(1, 200) i;
SELECT count(rocketq.produce('keyed', 'm' || i, sharding_key => 'own choice', queue_id => 3)) FROM generate_series(1, 5) i;
SELECT count(rocketq.produce('keyed', 'm' || i, queue_id => i)) FROM generate_series(0, 3) i;
-- How many keys lie in several queues afterwards, and how many of their messages are out of order?
CREATE PROCEDURE copy_keyed(queues int, how text) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    PERFORM rocketq.create_topic('copied', queues);
    EXECUTE how;
    COMMIT;
    SELECT count(*) AS copies, count(*) FILTER (WHERE c.queue_id <> k.queue_id) AS moved INTO r
        FROM copied c JOIN keyed k USING (born_at, body, sharding_key);
    PERFORM rocketq.produce('copied', 'm1000', sharding_key => 'k' || i) FROM generate_series(0, 19) i;
    COMMIT;
    RAISE NOTICE '% queues: % copies with a key, moved %, % keys split, % messages out of order, without a key %', queues,
        r.copies, r.moved > 0,
        (SELECT count(*) FROM (SELECT FROM copied WHERE sharding_key LIKE 'k%' GROUP BY sharding_key
            HAVING count(DISTINCT queue_id) > 1) s),
        (SELECT count(*) FROM (SELECT substr(rocketq.text(body), 2)::int AS n, lag(substr(rocketq.text(body), 2)::int)
                OVER (PARTITION BY queue_id, sharding_key ORDER BY queue_offset) AS before
            FROM copied WHERE sharding_key LIKE 'k%') o WHERE n < before),
        (SELECT array_agg(queue_id ORDER BY body) FROM copied WHERE sharding_key IS NULL);
    PERFORM rocketq.drop_topic('copied');
    COMMIT;
END $$;
CALL copy_keyed(5, 'INSERT INTO copied SELECT * FROM keyed');
CALL copy_keyed(5, 'INSERT INTO copied SELECT * FROM keyed ORDER BY queue_id, queue_offset');
CALL copy_keyed(5, 'INSERT INTO copied SELECT m.* FROM generate_series(0, 3) q, rocketq.pull(''keyed'', q, 0, 1000) m');
CALL copy_keyed(3, 'WITH k AS MATERIALIZED (SELECT * FROM keyed) INSERT INTO copied SELECT * FROM k');
CALL copy_keyed(3, 'WITH c AS (INSERT INTO copied SELECT * FROM keyed RETURNING tag) SELECT 1');
-- Otherwise, and where a dump is restored, it stays in its queue.
CALL copy_keyed(4, 'INSERT INTO copied SELECT * FROM keyed');
CALL copy_keyed(4, 'INSERT INTO copied SELECT k.* FROM keyed k JOIN pg_class c ON c.oid = k.tableoid');
SELECT 'INSERT INTO copied VALUES ' || string_agg(format('(%s)', concat_ws(', ', queue_id, queue_offset, message_id,
    quote_nullable(tag), quote_nullable(keys), quote_nullable(sharding_key), quote_nullable(properties),
    quote_nullable(born_at), quote_nullable(stored_at), delivery_attempt, quote_nullable(body))), ', '
    ORDER BY queue_id, queue_offset) AS rows FROM keyed \gset
SELECT rocketq.create_topic('copied', 4);
:rows;
SELECT count(*), count(*) FILTER (WHERE c.queue_id <> k.queue_id) AS moved FROM copied c JOIN keyed k USING (born_at, body);
SELECT rocketq.drop_topic('copied');
SELECT rocketq.drop_topic('keyed');
DROP PROCEDURE copy_keyed;
-- and into a table, which can do what topics cannot
CREATE TABLE copied AS SELECT * FROM browsed WHERE tag = 'paid';
CREATE INDEX ON copied (message_id);
SELECT c.body = b.body AS body, c.born_at = b.born_at AS born FROM copied c JOIN browsed b USING (message_id);
DROP TABLE copied;

--
-- Transactions.
--
TRUNCATE browsed;
BEGIN;
INSERT INTO browsed (queue_id, body) VALUES (0, '1');
SAVEPOINT a;
INSERT INTO browsed (queue_id, body) VALUES (0, '2 rolled back');
ROLLBACK TO a;
INSERT INTO browsed (queue_id, body) VALUES (0, '3');
-- not even by the transaction itself
SELECT count(*) FROM browsed;
COMMIT;
SELECT queue_offset, rocketq.text(body) FROM browsed ORDER BY queue_offset;
BEGIN;
INSERT INTO browsed (queue_id, body) VALUES (0, '4 rolled back');
ROLLBACK;
SELECT count(*) FROM browsed;
-- INSERT and produce() in one transaction keep their order
BEGIN;
INSERT INTO browsed (queue_id, body) VALUES (0, '4');
SELECT count(rocketq.produce('browsed', '5', queue_id => 0));
INSERT INTO browsed (queue_id, body) VALUES (0, '6');
COMMIT;
SELECT string_agg(rocketq.text(body), ' ' ORDER BY queue_offset) FROM browsed;
-- an INSERT that reads what it fills
INSERT INTO browsed (queue_id, body) SELECT 1, body FROM browsed;
SELECT queue_id, count(*) FROM browsed GROUP BY 1 ORDER BY 1;
-- a refused transaction type, a read-only one
BEGIN;
INSERT INTO browsed (queue_id, body) VALUES (0, 'x');
PREPARE TRANSACTION 'rocketq insert';
BEGIN READ ONLY;
INSERT INTO browsed (queue_id, body) VALUES (0, 'x');
ROLLBACK;
BEGIN READ ONLY;
SELECT count(*) FROM browsed;
COMMIT;

--
-- SELECT
--
-- a scan obeys the snapshot; of non-transactional messages, it sees those
-- enqueued before BEGIN
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM browsed;
SELECT count(rocketq.produce('browsed', 'at once', queue_id => 1, transactional => false));
SELECT count(*) FROM browsed;
COMMIT;
EXPLAIN (COSTS OFF) SELECT * FROM browsed WHERE tag = 'x';
SELECT tableoid::regclass, count(DISTINCT ctid) = count(*) AS rows_differ FROM browsed GROUP BY 1;
SELECT b.body = c.body AS same FROM browsed b JOIN browsed c ON b.ctid = c.ctid WHERE b.queue_id = 0 AND b.queue_offset = 2;
-- a row by its ctid
SELECT ctid AS place FROM browsed WHERE queue_id = 0 AND queue_offset = 3 \gset
SELECT queue_id, queue_offset FROM browsed WHERE ctid = :'place';
SELECT count(*) FROM browsed WHERE ctid = '(1000000,1)' OR ctid = '(0,60000)';
-- joins, subqueries, aggregates, a whole row
SELECT count(*) FROM browsed a, browsed b WHERE a.queue_id = b.queue_id AND a.queue_offset = b.queue_offset + 1;
SELECT (b).queue_offset FROM (SELECT b FROM browsed b WHERE queue_id = 0) s ORDER BY 1 LIMIT 2;
SELECT rocketq.text(body) FROM browsed WHERE queue_offset = (SELECT max(queue_offset) FROM browsed) ORDER BY 1;
SELECT count(*) FROM browsed WHERE EXISTS (SELECT FROM browsed b WHERE b.body = browsed.body AND b.queue_id <> browsed.queue_id);
-- cursors, also backwards, also after other messages have arrived
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT queue_id, queue_offset, rocketq.text(body) FROM browsed;
FETCH 2 FROM c;
SELECT count(rocketq.produce('browsed', 'behind the cursor', queue_id => 1, transactional => false));
FETCH BACKWARD 1 FROM c;
FETCH LAST FROM c;
FETCH PRIOR FROM c;
FETCH FIRST FROM c;
MOVE ALL FROM c;
FETCH BACKWARD 2 FROM c;
COMMIT;
-- prepared, in a function, in a view
PREPARE p(int) AS SELECT count(*) FROM browsed WHERE queue_id = $1;
EXECUTE p(0);
INSERT INTO browsed (queue_id, body) VALUES (0, 'one more');
EXECUTE p(0);
DEALLOCATE p;
CREATE VIEW browsed_text AS SELECT queue_id, queue_offset, rocketq.text(body) AS body FROM browsed;
SELECT max(body) FROM browsed_text WHERE queue_id = 0;
INSERT INTO browsed_text (queue_id, body) VALUES (0, 'x');
DROP VIEW browsed_text;
-- many rows, with parallel workers if the planner chooses them
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
INSERT INTO browsed (queue_id, tag, body) SELECT i % 2, 'many', convert_to(i::text, 'UTF8') FROM generate_series(1, 10000) i;
SELECT count(*), count(DISTINCT body), sum(rocketq.text(body)::int) FROM browsed WHERE tag = 'many';
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
-- maintenance has nothing to do
VACUUM browsed;
ANALYZE browsed;
VACUUM (ANALYZE, FREEZE) browsed;
SELECT count(*) FROM browsed WHERE tag = 'many';
SELECT pg_relation_size('browsed'), pg_total_relation_size('browsed');

-- BEFORE ROW triggers change what is produced, statement triggers see it
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.tag := coalesce(NEW.tag, 'stamped');
    RETURN CASE WHEN NEW.body <> 'unwanted' THEN NEW END;
END $$;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'inserted: %', (SELECT string_agg(rocketq.text(body) || '/' || tag, ', ' ORDER BY body) FROM new_messages);
    RETURN NULL;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON browsed FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TRIGGER tell AFTER INSERT ON browsed REFERENCING NEW TABLE AS new_messages
    FOR EACH STATEMENT EXECUTE FUNCTION tell();
INSERT INTO browsed (queue_id, tag, body) VALUES (0, NULL, 'a'), (0, 'own', 'b'), (0, NULL, 'unwanted');
SELECT tag, rocketq.text(body) FROM browsed WHERE body IN ('a', 'b', 'unwanted') ORDER BY queue_offset;
DROP TRIGGER stamp ON browsed;
DROP TRIGGER tell ON browsed;
DROP FUNCTION stamp(), tell();
-- constraints and defaults apply to INSERT; existing messages are checked
ALTER TABLE browsed ADD CONSTRAINT short CHECK (length(body) < 5);
ALTER TABLE browsed ALTER tag SET NOT NULL;
SELECT rocketq.create_topic('checked', 1);
ALTER TABLE checked ALTER tag SET DEFAULT 'default';
ALTER TABLE checked ADD CONSTRAINT short CHECK (length(body) < 5);
ALTER TABLE checked ALTER tag SET NOT NULL;
INSERT INTO checked (body) VALUES ('c') RETURNING tag;
INSERT INTO checked (body) VALUES ('longer');
INSERT INTO checked (tag, body) VALUES (NULL, 'd');
DROP TABLE checked;
-- INSERTs of other kinds
WITH moved AS (INSERT INTO browsed (queue_id, body) VALUES (1, 'in WITH') RETURNING body)
SELECT rocketq.text(body) FROM moved;
MERGE INTO browsed USING (VALUES ('merged'::bytea)) v (body) ON browsed.body = v.body
    WHEN NOT MATCHED THEN INSERT (queue_id, body) VALUES (1, v.body);
INSERT INTO browsed (queue_id, body) VALUES (1, 'no conflict') ON CONFLICT DO NOTHING;
SELECT rocketq.text(body) FROM browsed WHERE body IN ('in WITH', 'merged', 'no conflict') ORDER BY queue_offset;
CREATE TABLE made USING rocketq AS SELECT * FROM browsed WHERE tag = 'own';
SELECT queues, messages FROM rocketq.topics WHERE topic = 'made';
DROP TABLE made;
-- partitions
CREATE TABLE parted (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu') USING rocketq;
CREATE TABLE parted_us PARTITION OF parted FOR VALUES IN ('us') USING rocketq;
INSERT INTO parted (tag, body) VALUES ('us', '1'), ('eu', '2'), ('us', '3');
SELECT tableoid::regclass, rocketq.text(body) FROM parted ORDER BY 2;
SELECT rocketq.text(body) FROM rocketq.consume('parted_eu', 'g');
SELECT rocketq.produce('parted', 'x');
-- a row goes to its partition, or is refused
INSERT INTO parted_eu (tag, body) VALUES ('us', 'x');
DROP TABLE parted;

SELECT rocketq.drop_topic('browsed');
SELECT * FROM rocketq.verify();

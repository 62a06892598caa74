-- Producing: the overloads, the parts of a message, the choice of a queue, and
-- the fate of a message when its transaction ends.

SELECT rocketq.create_topic('produced', 4);

-- The contents of a queue.
CREATE FUNCTION held(queue int, OUT queue_offset bigint, OUT tag text, OUT body text)
    RETURNS SETOF record LANGUAGE sql AS
$$ SELECT queue_offset, tag, rocketq.text(body) FROM rocketq.pull('produced', queue, 0, 100000) $$;

--
-- The type of the body chooses the overload; a literal is text.
--
SELECT rocketq.produce('produced', 'a literal', queue_id => 0) AS literal,
       rocketq.produce('produced', 'some text'::text, queue_id => 0) AS text,
       rocketq.produce('produced', '\x00ff01'::bytea, queue_id => 0) AS bytea,
       rocketq.produce('produced', '{"b": [1, null], "a": "x"}'::jsonb, queue_id => 0) AS jsonb \gset
SELECT queue_offset,
       message_id = (ARRAY[:literal, :text, :bytea, :jsonb])[queue_offset + 1] AS id_returned,
       CASE queue_offset WHEN 2 THEN body::text ELSE rocketq.text(body) END AS body
FROM rocketq.pull('produced', 0, 0);
SELECT rocketq.json(body) ->> 'a' AS a, rocketq.json(body) -> 'b' AS b
FROM rocketq.pull('produced', 0, 3);
-- later messages have higher ids
SELECT :literal < :text AND :text < :bytea AND :bytea < :jsonb AS ids_rise;

-- The messages of a batch share all parts except the body.
SELECT count(*) AS ids, count(DISTINCT id) AS different
FROM rocketq.produce_batch('produced', ARRAY['one', 'two', 'three'], tag => 'batch', queue_id => 1) id;
SELECT count(*) FROM rocketq.produce_batch('produced', ARRAY['\x01', '\x02']::bytea[], 'batch', queue_id => 1);
SELECT count(*) FROM rocketq.produce_batch('produced', ARRAY['{"n": 1}', '2']::jsonb[], 'batch', queue_id => 1);
SELECT queue_offset, tag, body FROM rocketq.pull('produced', 1, 0);
-- ids come in the order of the bodies
SELECT array_agg(id ORDER BY n) AS ids
FROM rocketq.produce_batch('produced', ARRAY['x', 'y', 'z'], queue_id => 1) WITH ORDINALITY AS b(id, n) \gset
SELECT array_agg(message_id ORDER BY queue_offset) = :'ids' AS same_ids FROM rocketq.pull('produced', 1, 7);
SELECT array_agg(rocketq.text(body) ORDER BY message_id) FROM rocketq.pull('produced', 1, 7);
-- all parts, and at once
BEGIN;
SELECT count(*) FROM rocketq.produce_batch('produced', ARRAY['first', 'second'], tag => 'paid', keys => '{k}',
    properties => '{"p": 1}', sharding_key => 's', queue_id => 3, transactional => false);
ROLLBACK;
SELECT queue_offset, tag, keys, sharding_key, properties, rocketq.text(body) FROM rocketq.pull('produced', 3, 0);
-- the queue of a sharding key is the same for both functions
SELECT count(*) FROM rocketq.produce_batch('produced', ARRAY['a', 'b'], 'sharded', sharding_key => 'key');
SELECT count(rocketq.produce('produced', 'c', 'sharded', sharding_key => 'key'));
SELECT count(DISTINCT m.queue_id) AS queues, string_agg(rocketq.text(m.body), '' ORDER BY m.queue_offset) AS bodies
FROM generate_series(0, 3) q, rocketq.pull('produced', q, 0, tags => 'sharded') m;
TRUNCATE produced;
SELECT count(*) FROM rocketq.produce_batch('produced', ARRAY['r', 's'], queue_id => 1);
-- nothing in, nothing out
SELECT * FROM rocketq.produce_batch('produced', '{}'::text[], queue_id => 1);
-- dimensions do not matter
SELECT count(*) FROM rocketq.produce_batch('produced', ARRAY[['p', 'q'], ['r', 's']], queue_id => 1);
SELECT string_agg(rocketq.text(body), '' ORDER BY queue_offset) FROM rocketq.pull('produced', 1, 0);

--
-- The parts of a message.
--
SELECT rocketq.produce('produced', 'all parts', tag => 'paid', keys => ARRAY['order 1', 'käse', ''],
                       properties => '{"n": 1, "deep": {"list": [true, null]}}',
                       sharding_key => 'customer 7', queue_id => 2) AS id,
       statement_timestamp() AS began \gset
SELECT queue_id, queue_offset, message_id = :id AS id, tag, keys, sharding_key, properties,
       born_at = :'began' AS born, stored_at >= born_at AND stored_at <= clock_timestamp() AS stored,
       rocketq.text(body) AS body
FROM rocketq.pull('produced', 2, 0);
-- left out
SELECT count(rocketq.produce('produced', '', queue_id => 2));
SELECT tag, keys, sharding_key, properties, body, length(body) FROM rocketq.pull('produced', 2, 1);
-- given as NULL
SELECT count(rocketq.produce('produced', 'nulls', NULL, NULL, NULL, NULL, 2, NULL));
SELECT tag, keys, sharding_key, properties, rocketq.text(body) FROM rocketq.pull('produced', 2, 2);
-- empty ones
SELECT count(rocketq.produce('produced', 'empty', keys => '{}', properties => '{}', sharding_key => '',
                             queue_id => 2));
SELECT tag, cardinality(keys) > 0 AS has_keys, properties, rocketq.text(body)
FROM rocketq.pull('produced', 2, 3);
-- values that are compressed and out of line in a table
CREATE TABLE source (body text, keys text[], properties jsonb);
INSERT INTO source
    SELECT repeat('body', 50000), ARRAY[repeat('key', 3000)], jsonb_build_object('p', repeat('prop', 20000));
SELECT count(rocketq.produce('produced', body, keys => keys, properties => properties, queue_id => 2)) FROM source;
SELECT rocketq.text(m.body) = s.body AS body, m.keys = s.keys AS keys, m.properties = s.properties AS properties
FROM rocketq.pull('produced', 2, 4) m, source s;
DROP TABLE source;

-- a body is bytes, of whichever encoding
SELECT count(rocketq.produce('produced', convert_to('Käse', 'LATIN1'), queue_id => 2));
SELECT rocketq.text(body, 'LATIN1'), rocketq.text(body) FROM rocketq.pull('produced', 2, 5);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.text(body, 'LATIN1') FROM rocketq.pull('produced', 2, 5);
SELECT rocketq.text(body, 'KLINGON') FROM rocketq.pull('produced', 2, 5);
SELECT rocketq.text('\xff', 'UTF8');

--
-- The choice of a queue.
--
SELECT rocketq.create_topic('chosen', 8);
-- one sharding key, one queue, in order, whatever the transaction
SELECT count(rocketq.produce('chosen', k || ' ' || i, sharding_key => 'key ' || k))
FROM generate_series(1, 3) i, generate_series(1, 50) k;
\c -
SELECT count(rocketq.produce('chosen', k || ' ' || i, sharding_key => 'key ' || k))
FROM generate_series(4, 5) i, generate_series(1, 50) k;
CREATE VIEW chosen_messages AS
    SELECT m.queue_id, m.queue_offset, m.sharding_key, rocketq.text(m.body) AS body
    FROM generate_series(0, 7) q, rocketq.pull('chosen', q, 0, 100000) m;
SELECT count(*) AS keys, min(queues) AS min_queues, max(queues) AS max_queues, bool_and(in_order) AS in_order
FROM (SELECT count(DISTINCT queue_id) AS queues,
             array_agg(body ORDER BY queue_offset) = array_agg(body ORDER BY body) AS in_order
      FROM chosen_messages GROUP BY sharding_key) k;
SELECT count(DISTINCT queue_id) > 4 AS keys_spread FROM chosen_messages;
-- an explicit queue takes precedence
SELECT count(rocketq.produce('chosen', 'named', sharding_key => 'key ' || k, queue_id => 3))
FROM generate_series(1, 50) k;
SELECT DISTINCT queue_id FROM chosen_messages WHERE body = 'named';
-- without either: few queues per transaction, in order, and all queues over
-- time
BEGIN;
SELECT count(rocketq.produce('chosen', 'run ' || lpad(i::text, 3, '0'))) FROM generate_series(1, 100) i;
COMMIT;
SELECT count(DISTINCT queue_id) AS queues FROM chosen_messages WHERE body LIKE 'run %';
SELECT count(rocketq.produce('chosen', 'many ' || lpad(i::text, 5, '0'))) FROM generate_series(1, 5000) i;
SELECT count(DISTINCT queue_id) AS queues, count(*) AS messages FROM chosen_messages WHERE body LIKE 'many %';
SELECT bool_and(body > before) AS in_order
FROM (SELECT body, lag(body) OVER (PARTITION BY queue_id ORDER BY queue_offset) AS before
      FROM chosen_messages WHERE body LIKE 'many %') m;
DROP VIEW chosen_messages;
SELECT rocketq.drop_topic('chosen');

--
-- Transactions.
--
TRUNCATE produced;
-- visible after COMMIT, also to the transaction itself
BEGIN;
SELECT count(rocketq.produce('produced', 'committed', queue_id => 0));
SELECT * FROM held(0);
COMMIT;
SELECT * FROM held(0);
-- never after ROLLBACK
BEGIN;
SELECT count(rocketq.produce('produced', 'rolled back', queue_id => 0));
ROLLBACK;
SELECT * FROM held(0);
-- nor after an error, in the same statement or a later one
SELECT rocketq.produce('produced', 'division', queue_id => 0) / 0;
BEGIN;
SELECT count(rocketq.produce('produced', 'before an error', queue_id => 0));
SELECT 1 / 0;
COMMIT;
SELECT * FROM held(0);

-- A commit can still fail after messages got their places in the queue; these
-- places stay empty.
SELECT rocketq.max_offset('produced', 0) AS before \gset
BEGIN;
CREATE TEMP TABLE parent (id int PRIMARY KEY) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE child (id int REFERENCES parent);
SELECT count(rocketq.produce('produced', 'commit fails ' || i, queue_id => 0)) FROM generate_series(1, 3) i;
SELECT count(rocketq.produce('produced', 'commit fails', queue_id => 1));
COMMIT;
SELECT count(rocketq.produce('produced', 'behind the gap', queue_id => 0));
SELECT queue_offset, body FROM held(0);
SELECT rocketq.max_offset('produced', 0) - :before AS places, rocketq.max_offset('produced', 1);
SELECT count(*) FROM rocketq.pull('produced', 0, :before, 1);
-- so that the rest of the test need not take it into account
TRUNCATE produced;
SELECT count(rocketq.produce('produced', 'committed', queue_id => 0));

-- Savepoints.
BEGIN;
SELECT count(rocketq.produce('produced', '1', queue_id => 1));
SAVEPOINT a;
SELECT count(rocketq.produce('produced', '2 rolled back', queue_id => 1));
SAVEPOINT b;
SELECT count(rocketq.produce('produced', '3 rolled back', queue_id => 1));
RELEASE b;
ROLLBACK TO a;
SELECT count(rocketq.produce('produced', '4', queue_id => 1));
SAVEPOINT c;
SELECT count(rocketq.produce('produced', '5', queue_id => 1));
SAVEPOINT d;
SELECT count(rocketq.produce('produced', '6 rolled back', queue_id => 1));
SELECT 1 / 0;
ROLLBACK TO d;
SELECT count(rocketq.produce('produced', '7', queue_id => 1));
RELEASE c;
SAVEPOINT e;
ROLLBACK TO e;
SELECT count(rocketq.produce('produced', '8', queue_id => 1));
COMMIT;
SELECT * FROM held(1);
-- everything is rolled back to a savepoint
BEGIN;
SAVEPOINT a;
SELECT count(rocketq.produce('produced', 'rolled back', queue_id => 1));
ROLLBACK TO a;
COMMIT;
SELECT count(*) FROM held(1);
-- an exception block is a savepoint
DO $$
BEGIN
    PERFORM rocketq.produce('produced', 'before', queue_id => 2);
    FOR i IN 1 .. 4 LOOP
        BEGIN
            PERFORM rocketq.produce('produced', 'round ' || i, queue_id => 2);
            IF i % 2 = 0 THEN
                RAISE division_by_zero;
            END IF;
        EXCEPTION WHEN division_by_zero THEN
            PERFORM rocketq.produce('produced', 'handled ' || i, queue_id => 2);
        END;
    END LOOP;
END $$;
SELECT * FROM held(2);
-- a procedure commits in between
CREATE PROCEDURE in_steps() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 4 LOOP
        PERFORM rocketq.produce('produced', 'step ' || i, queue_id => 3);
        IF i = 2 THEN
            ROLLBACK;
        ELSE
            COMMIT;
        END IF;
    END LOOP;
END $$;
CALL in_steps();
SELECT * FROM held(3);
DROP PROCEDURE in_steps();

-- Several queues and topics in one transaction.
SELECT rocketq.create_topic('other', 2);
BEGIN;
SELECT count(rocketq.produce(t, 'both', queue_id => q))
FROM unnest('{produced,other}'::regclass[]) t, generate_series(0, 1) q;
COMMIT;
SELECT t, q, rocketq.max_offset(t, q) FROM unnest('{produced,other}'::regclass[]) t, generate_series(0, 1) q;
SELECT rocketq.drop_topic('other');

-- Produced while the transaction commits: by a deferred trigger, by a cursor that is held.
CREATE TABLE orders (id int);
CREATE FUNCTION announce() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rocketq.produce('produced', 'order ' || NEW.id, queue_id => 3);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER announce AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION announce();
BEGIN;
INSERT INTO orders VALUES (1), (2);
DECLARE produced CURSOR WITH HOLD FOR
    SELECT rocketq.produce('produced', 'held cursor ' || i, queue_id => 3) > 0 FROM generate_series(1, 2) i;
COMMIT;
CLOSE produced;
SELECT * FROM held(3);
DROP TABLE orders;
DROP FUNCTION announce();

-- transactional => false: at once, and ROLLBACK does not undo it.
SELECT rocketq.max_offset('produced', 0) AS before \gset
BEGIN;
SELECT count(rocketq.produce('produced', 'with the transaction', queue_id => 0));
SELECT count(rocketq.produce('produced', 'at once', 'now', queue_id => 0, transactional => false));
SELECT count(*) FROM rocketq.produce_batch('produced', ARRAY['at once 2', 'at once 3'], queue_id => 0,
                                           transactional => false);
SELECT queue_offset - :before AS queue_offset, tag, body FROM held(0) WHERE queue_offset >= :before;
SAVEPOINT a;
SELECT count(rocketq.produce('produced', 'at once 4', queue_id => 0, transactional => false));
ROLLBACK TO a;
ROLLBACK;
SELECT queue_offset - :before AS queue_offset, tag, body FROM held(0) WHERE queue_offset >= :before;
SET synchronous_commit = off;
SELECT count(rocketq.produce('produced', 'at once 5', queue_id => 0, transactional => false));
RESET synchronous_commit;
SELECT queue_offset - :before AS queue_offset, tag, body FROM held(0) WHERE queue_offset >= :before + 4;

--
-- More messages than work_mem holds go through a temporary file.
--
SET work_mem = '64kB';
SELECT rocketq.create_topic('spilled', 4);
CREATE FUNCTION spill(stretch text, messages int) RETURNS bigint LANGUAGE sql AS
$$ SELECT count(rocketq.produce('spilled', stretch || ' ' || lpad(i::text, 5, '0'), queue_id => i % 4))
   FROM generate_series(1, messages) i $$;
CREATE VIEW spilled_messages AS
    SELECT m.queue_id, m.queue_offset, rocketq.text(m.body) AS body
    FROM generate_series(0, 3) q, rocketq.pull('spilled', q, 0, 100000) m;
BEGIN;
SELECT spill('a', 8000);
SAVEPOINT one;
SELECT spill('b', 4000);
ROLLBACK TO one;
SELECT spill('c', 2000);
SAVEPOINT two;
SELECT spill('d', 6000);
SAVEPOINT three;
SELECT spill('e', 2000);
ROLLBACK TO three;
RELEASE three;
RELEASE two;
SAVEPOINT four;
SELECT spill('f', 20);
SAVEPOINT five;
SELECT spill('g', 2000);
RELEASE five;
ROLLBACK TO four;
SELECT spill('h', 4000);
COMMIT;
SELECT left(body, 1) AS stretch, count(*), count(DISTINCT body) AS different, count(DISTINCT queue_id) AS queues
FROM spilled_messages GROUP BY 1 ORDER BY 1;
SELECT queue_id, count(*), min(queue_offset), max(queue_offset), bool_and(body > before) AS in_order
FROM (SELECT *, lag(body) OVER (PARTITION BY queue_id ORDER BY queue_offset) AS before FROM spilled_messages) m
GROUP BY queue_id ORDER BY queue_id;
-- all of it rolled back
BEGIN;
SELECT spill('i', 20000);
ROLLBACK;
-- the first spill is in a subtransaction that is rolled back
BEGIN;
SELECT spill('k', 100);
SAVEPOINT one;
SELECT spill('l', 10000);
ROLLBACK TO one;
SELECT spill('m', 40000);
COMMIT;
SELECT left(body, 1) AS stretch, count(*), count(DISTINCT body) AS different
FROM spilled_messages GROUP BY 1 ORDER BY 1;
-- work_mem may change in between
BEGIN;
SELECT spill('n', 5000);
SET LOCAL work_mem = '4MB';
SELECT spill('o', 3000);
SET LOCAL work_mem = '64kB';
SELECT spill('p', 5000);
COMMIT;
SELECT left(body, 1) AS stretch, count(*) FROM spilled_messages WHERE body > 'n' GROUP BY 1 ORDER BY 1;
RESET work_mem;
DROP VIEW spilled_messages;
DROP FUNCTION spill(text, int);
SELECT rocketq.drop_topic('spilled');

-- Large writes cross from one segment of the log to the next.
SELECT rocketq.create_topic('large', 1);
BEGIN;
SELECT count(rocketq.produce('large', repeat(chr(96 + i), 1000000))) FROM generate_series(1, 12) i;
COMMIT;
SELECT queue_offset, length(body), left(rocketq.text(body), 1) AS first, right(rocketq.text(body), 1) AS last,
       rocketq.text(body) = repeat(left(rocketq.text(body), 1), 1000000) AS whole
FROM rocketq.pull('large', 0, 0);
SELECT rocketq.drop_topic('large');

DROP FUNCTION held(int);
SELECT rocketq.drop_topic('produced');
SELECT * FROM rocketq.verify();

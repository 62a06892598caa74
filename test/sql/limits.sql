-- What is refused, and that a refused call leaves nothing behind.

SELECT rocketq.create_topic('limited', 2);
SELECT count(rocketq.produce('limited', 'm', queue_id => 0));
SELECT rocketq.create_group('limited', 'g');

--
-- Sizes of a message.
--
SHOW rocketq.max_message_size;
SET rocketq.max_message_size = 2048;
SELECT count(rocketq.produce('limited', repeat('x', 2048), queue_id => 1));
SELECT rocketq.produce('limited', repeat('x', 2049), queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited', 'x', properties => jsonb_build_object('p', repeat('x', 2048)), queue_id => 1);
SELECT rocketq.produce('limited', repeat('x', 2000), keys => ARRAY[repeat('x', 100)], queue_id => 1);
SELECT rocketq.produce('limited', convert_to(repeat('x', 2049), 'UTF8'), queue_id => 1);
-- bytes count, not characters
SELECT rocketq.produce('limited', repeat('ä', 1025), queue_id => 1);
RESET rocketq.max_message_size;
-- a segment is even smaller here
SELECT rocketq.produce('limited', repeat('x', 4194304), queue_id => 1, transactional => false);
\echo :LAST_ERROR_SQLSTATE

SELECT count(rocketq.produce('limited', 'tag', tag => repeat('t', 127), queue_id => 1));
SELECT rocketq.produce('limited', 'tag', tag => repeat('t', 128), queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited', 'tag', tag => repeat('ä', 64), queue_id => 1);
SELECT rocketq.produce('limited', 'tag', tag => '', queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited', 'tag', tag => '*', queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited', 'tag', tag => 'a|b', queue_id => 1);
-- tags that no filter could match
SELECT rocketq.produce('limited', 'tag', tag => 'blank ', queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited', 'tag', tag => ' blank', queue_id => 1);
SELECT rocketq.produce('limited', 'tag', tag => ' ', queue_id => 1);
SELECT rocketq.produce('limited', 'tag', tag => E'tab\t', queue_id => 1);
SELECT * FROM rocketq.produce_batch('limited', ARRAY['tag'], tag => E'\nline', queue_id => 1);
INSERT INTO limited (tag, body) VALUES ('blank ', 'tag');
-- and filters that could match no tag
SELECT * FROM rocketq.pull('limited', 0, 0, tags => repeat('t', 128));
SELECT * FROM rocketq.pull('limited', 0, 0, tags => 'a || *');
SELECT count(*) FROM rocketq.pull('limited', 0, 0, tags => (SELECT string_agg('t' || i, '||') FROM generate_series(1, 1000) i));
SELECT * FROM rocketq.pull('limited', 0, 0, tags => (SELECT string_agg('t' || i, '||') FROM generate_series(1, 1001) i));
\echo :LAST_ERROR_SQLSTATE

SELECT count(rocketq.produce('limited', 'sharding key', sharding_key => repeat('s', 1024), queue_id => 1));
SELECT rocketq.produce('limited', 'sharding key', sharding_key => repeat('s', 1025), queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT count(rocketq.produce('limited', 'keys', keys => array_fill('k'::text, ARRAY[1024]), queue_id => 1));
SELECT rocketq.produce('limited', 'keys', keys => array_fill('k'::text, ARRAY[1025]), queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited', 'keys', keys => ARRAY['a', NULL], queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited', 'keys', keys => ARRAY[['a'], ['b']], queue_id => 1);
SELECT rocketq.produce('limited', 'properties', properties => '[1]', queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited', 'properties', properties => '"scalar"', queue_id => 1);

SELECT rocketq.produce('limited', NULL::text, queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited', NULL::bytea, queue_id => 1);
SELECT rocketq.produce('limited', NULL::jsonb, queue_id => 1);
SELECT * FROM rocketq.produce_batch('limited', NULL::text[], queue_id => 1);
\echo :LAST_ERROR_SQLSTATE
-- the whole batch is refused
SELECT * FROM rocketq.produce_batch('limited', ARRAY['one', NULL, 'three'], queue_id => 1, transactional => false);
SELECT * FROM rocketq.produce_batch('limited', ARRAY['one', repeat('x', 4194305)], queue_id => 1, transactional => false);

-- none of this has been stored
SELECT queue_offset, length(body), tag = repeat('t', 127) AS tag, length(sharding_key) AS sharding_key,
       cardinality(keys) AS keys
FROM rocketq.pull('limited', 1, 0);

--
-- Queues.
--
SELECT rocketq.produce('limited', 'm', queue_id => 2);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited', 'm', queue_id => -1);
SELECT rocketq.produce('limited', 'm', queue_id => 2147483647);
SELECT rocketq.create_topic('limited_too', 0);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.create_topic('limited_too', -1);
SELECT rocketq.create_topic('limited_too', 65536);
SET rocketq.default_queues = 0;
-- a topic's share of them; a topic that has more keeps them
SELECT rocketq.create_topic('limited_too', 1025);
\echo :LAST_ERROR_SQLSTATE
SET rocketq.default_queues = 1025;
CREATE TABLE limited_too (LIKE rocketq.message) USING rocketq;
RESET rocketq.default_queues;
SET rocketq.max_queues_per_topic = 3;
SELECT rocketq.alter_topic('limited', queues => 4);
SECURITY LABEL FOR rocketq ON TABLE limited IS 'queues=4';
SELECT rocketq.create_topic('limited_too', 3);
SET rocketq.max_queues_per_topic = 2;
SELECT rocketq.alter_topic('limited_too', retention_time => '1 day');
SELECT rocketq.alter_topic('limited_too', queues => 3);
TRUNCATE limited_too;
SELECT queues FROM rocketq.topics WHERE topic = 'limited_too';
SELECT rocketq.drop_topic('limited_too');
RESET rocketq.max_queues_per_topic;

--
-- A topic's share of groups, and who creates them.
--
SET rocketq.max_groups_per_topic = 3;
SELECT rocketq.create_group('limited', 'g2');
SELECT count(*) FROM rocketq.consume('limited', 'g3', 1);
SELECT count(*) FROM rocketq.consume('limited', 'g4', 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.create_group('limited', 'g4');
-- existing ones still work
SELECT count(*) FROM rocketq.consume('limited', 'g3', 1);
-- instead of another one, also within a transaction
BEGIN;
SELECT rocketq.drop_group('limited', 'g3');
SELECT rocketq.create_group('limited', 'g4');
COMMIT;
SELECT array_agg(DISTINCT consumer_group ORDER BY consumer_group) FROM rocketq.groups WHERE topic = 'limited';
-- but not repeatedly in one
DO $$
BEGIN
    FOR i IN 1 .. 7 LOOP
        PERFORM rocketq.drop_group('limited', 'g4');
        PERFORM rocketq.create_group('limited', 'g4');
    END LOOP;
END $$;
-- TRUNCATE keeps all existing ones
SET rocketq.max_groups_per_topic = 1;
BEGIN;
TRUNCATE limited;
SELECT array_agg(DISTINCT consumer_group ORDER BY consumer_group) FROM rocketq.groups WHERE topic = 'limited';
ROLLBACK;
RESET rocketq.max_groups_per_topic;
-- and of consumer slots, here a block of 8 for a group
SELECT count(*) AS groups FROM rocketq.groups WHERE topic = 'limited' AND queue_id = 0;
SET rocketq.max_consumer_slots_per_topic = 31;
SELECT rocketq.create_group('limited', 'g5');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM rocketq.consume('limited', 'g5', 1);
SELECT rocketq.alter_topic('limited', queues => 9);
\echo :LAST_ERROR_SQLSTATE
SELECT queues FROM rocketq.topics WHERE topic = 'limited';
-- existing ones still work, even when the share gets smaller
SELECT count(*) FROM rocketq.consume('limited', 'g4', 1);
SET rocketq.max_consumer_slots_per_topic = 1;
SELECT rocketq.alter_topic('limited', retention_time => '1 day');
BEGIN;
TRUNCATE limited;
SELECT count(*) AS groups FROM rocketq.groups WHERE topic = 'limited' AND queue_id = 0;
ROLLBACK;
-- up to the last one
SET rocketq.max_consumer_slots_per_topic = 32;
BEGIN;
SELECT rocketq.create_group('limited', 'g5');
ROLLBACK;
SELECT rocketq.alter_topic('limited', queues => 8);
SELECT rocketq.alter_topic('limited', queues => 2);
-- but not repeatedly in one transaction
DO $$
BEGIN
    FOR i IN 1 .. 7 LOOP
        PERFORM rocketq.drop_group('limited', 'g4');
        PERFORM rocketq.create_group('limited', 'g4');
    END LOOP;
END $$;
RESET rocketq.max_consumer_slots_per_topic;
SET rocketq.auto_create_groups = off;
SELECT count(*) FROM rocketq.consume('limited', 'g5');
\echo :LAST_ERROR_SQLSTATE
-- nor can one wait for such a group, even if the topic is empty
CALL rocketq.wait_for_messages('limited', 'g5', '1 s');
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.create_topic('limited_empty', 1);
CALL rocketq.wait_for_messages('limited_empty', 'g5', '1 s');
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.drop_topic('limited_empty');
SELECT rocketq.create_group('limited', 'g5');
SELECT count(*) FROM rocketq.consume('limited', 'g5', 1);
RESET rocketq.auto_create_groups;
SELECT rocketq.drop_group('limited', 'g' || i) FROM unnest(ARRAY[2, 4, 5]) i;
-- ordinary users can change none of this
CREATE ROLE limited_user;
SET ROLE limited_user;
SET rocketq.max_groups_per_topic = 1000;
SET rocketq.max_queues_per_topic = 1000;
SET rocketq.max_consumer_slots_per_topic = 1000;
SET rocketq.auto_create_groups = on;
RESET ROLE;
DROP ROLE limited_user;

-- limits of all topics together
SET rocketq.max_queues_per_topic = 65535;
SET rocketq.max_consumer_slots_per_topic = 10000000;
-- the errors name the setting to raise
\set VERBOSITY terse
SELECT rocketq.create_topic('limited_too', current_setting('rocketq.max_queues')::int + 1);
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY default
SELECT to_regclass('limited_too');

DO $$
DECLARE
    detail text;
    hint text;
BEGIN
    PERFORM rocketq.create_topic('limited_too', current_setting('rocketq.max_queues')::int + 1);
EXCEPTION WHEN configuration_limit_exceeded THEN
    GET STACKED DIAGNOSTICS detail = pg_exception_detail, hint = pg_exception_hint;
    RAISE NOTICE '% %', regexp_replace(detail, '\d+', 'N', 'g'), hint;
END $$;
-- groups: a slot for each of the topic's queues
SELECT rocketq.create_topic('limited_too', current_setting('rocketq.max_consumer_slots')::int / 2);
DO $$
DECLARE
    detail text;
    hint text;
    n int := 0;
BEGIN
    LOOP
        PERFORM rocketq.create_group('limited_too', 'group ' || n);
        n := n + 1;
        EXIT WHEN n > 2;
    END LOOP;
EXCEPTION WHEN configuration_limit_exceeded THEN
    GET STACKED DIAGNOSTICS detail = pg_exception_detail, hint = pg_exception_hint;
    RAISE NOTICE '% groups at most: %', n, SQLERRM;
    RAISE NOTICE '% %', regexp_replace(detail, '\d+', 'N', 'g'), hint;
END $$;
SELECT count(*) FROM rocketq.groups WHERE topic = 'limited_too';
SELECT rocketq.drop_topic('limited_too');
-- topics
DO $$
DECLARE
    detail text;
    hint text;
BEGIN
    FOR i IN 1 .. current_setting('rocketq.max_topics')::int + 1 LOOP
        PERFORM rocketq.create_topic('limited_' || i, 1);
    END LOOP;
EXCEPTION WHEN configuration_limit_exceeded THEN
    GET STACKED DIAGNOSTICS detail = pg_exception_detail, hint = pg_exception_hint;
    RAISE NOTICE '%', SQLERRM;
    RAISE NOTICE '% %', regexp_replace(detail, '\d+', 'N', 'g'), hint;
END $$;
SELECT count(*) FROM pg_class WHERE relname ~ '^limited_\d';
-- the janitor has to remove their storage before others can use the slots
DO $$
BEGIN
    WHILE (SELECT count(DISTINCT (database, relfilenode)) FROM rocketq.get_queues()) >
          current_setting('rocketq.max_topics')::int / 2 LOOP
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;

--
-- Names and counts.
--
SELECT rocketq.create_group('limited', repeat('g', 120));
SELECT rocketq.create_group('limited', repeat('g', 121));
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.create_group('limited', repeat('ä', 61));
SELECT rocketq.create_group('limited', '');
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.create_group('limited', 'g ');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.consume('limited', E'g\ninvented line of the server log');
SELECT count(*) FROM rocketq.groups WHERE topic = 'limited' AND consumer_group ~ '[[:cntrl:] ]';
-- a name is not truncated to that of another topic, and no topic has a name to
-- which a longer one could be truncated
SELECT rocketq.create_topic(repeat('n', 59), 1) = repeat('n', 59)::regclass AS longest;
SELECT rocketq.create_topic(repeat('n', 60), 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.create_topic('public . ' || repeat('ä', 30), 1);
SELECT rocketq.create_topic(repeat('s', 60) || '.t', 1);
SELECT rocketq.create_topic('"' || repeat('x', 57) || '. ."', 1);
SELECT rocketq.create_topic('public."' || repeat('""', 60) || '"', 1);
SELECT rocketq.create_topic(' public . "' || repeat('""', 31) || repeat('.', 28) || '"', 1)::oid AS odd \gset
SELECT length(relname), rocketq.drop_topic(oid) FROM pg_class WHERE oid = :odd;
SELECT repeat('n', 59) AS longest, repeat('n', 60) AS longer, repeat('n', 80) AS cut \gset
CREATE TABLE :longer (LIKE rocketq.message) USING rocketq;
CREATE TABLE :cut (LIKE rocketq.message) USING rocketq;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE :longest RENAME TO :longer;
ALTER TABLE :longest RENAME TO m;
ALTER TABLE m RENAME TO :longest;
CREATE SCHEMA :longer;
CREATE TABLE :longer.t (LIKE rocketq.message) USING rocketq;
ALTER TABLE :longest SET SCHEMA :longer;
ALTER SCHEMA :longer RENAME TO roomy;
ALTER TABLE :longest SET SCHEMA roomy;
ALTER SCHEMA roomy RENAME TO :longer;
ALTER SCHEMA roomy RENAME TO :longest;
SELECT rocketq.produce(:'cut', 'meant for another topic');
SELECT rocketq.produce(:'longest' || '.' || :'cut', 'meant for another topic');
SELECT rocketq.drop_topic((:'longest' || '.' || :'longest')::regclass);
-- other tables can have any name
CREATE TABLE :longer ();
DROP TABLE :longer;
ALTER SCHEMA :longest RENAME TO :longer;
DROP SCHEMA :longer;
-- nor when a dump is restored
INSERT INTO rocketq.saved_groups VALUES (repeat('n', 64), 'g', '{}', '{}');
SELECT * FROM rocketq.consume('limited', repeat('g', 121));
SELECT * FROM rocketq.consume('limited', '');
SELECT * FROM rocketq.consume('limited', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.consume('limited', 'g', 0);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.consume('limited', 'g', -1);
SELECT * FROM rocketq.consume('limited', 'g', 1000001);
SELECT * FROM rocketq.consume('limited', 'g', NULL);
SELECT * FROM rocketq.consume('limited', 'g', tags => 'a ||');
\echo :LAST_ERROR_SQLSTATE
-- how long to wait
SELECT * FROM rocketq.consume('limited', 'g', wait => '-1 second');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.pull('limited', 0, 0, wait => '-1 ms');
SELECT count(*) FROM rocketq.pull('limited', 0, 0, wait => '0');
SELECT count(*) FROM rocketq.pull('limited', 0, 0, wait => NULL);

--
-- Relations that are not topics.
--
CREATE TABLE limited_heap (LIKE rocketq.message);
CREATE VIEW limited_view AS SELECT * FROM limited;
CREATE SEQUENCE limited_sequence;
SELECT rocketq.produce('limited_heap', 'm');
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('limited_view', 'm');
SELECT rocketq.produce('limited_sequence', 'm');
SELECT * FROM rocketq.produce_batch('limited_heap', ARRAY['m']);
SELECT * FROM rocketq.consume('limited_heap', 'g');
SELECT * FROM rocketq.pull('limited_heap', 0, 0);
SELECT rocketq.create_group('limited_heap', 'g');
SELECT rocketq.drop_group('limited_heap', 'g');
SELECT rocketq.commit_offset('limited_heap', 'g');
SELECT rocketq.commit_offset('limited_heap', 'g', 0, 0);
SELECT rocketq.reset_offset('limited_heap', 'g', 'first');
SELECT rocketq.max_offset('limited_heap', 0);
SELECT rocketq.drop_topic('limited_heap');
SELECT to_regclass('limited_heap');
DROP VIEW limited_view;
DROP TABLE limited_heap;
DROP SEQUENCE limited_sequence;
SELECT rocketq.produce('no_such_topic', 'm');
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce(0, 'm');
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce(NULL, 'm');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.produce_batch(NULL, ARRAY['m']);
SELECT * FROM rocketq.consume(NULL, 'g');
SELECT * FROM rocketq.pull(NULL, 0, 0);
SELECT rocketq.create_group(NULL, 'g');
SELECT rocketq.commit_offset(NULL, 'g');
SELECT rocketq.max_offset(NULL, 0);
SELECT rocketq.drop_topic(NULL);

--
-- Bodies that are not text.
--
SELECT rocketq.text('\xff'), 'unreachable';
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.text('\x610062');
SELECT rocketq.json('\xff');
SELECT rocketq.json('{"a": ');
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.text('käse'::bytea), rocketq.text(''), rocketq.text(NULL), rocketq.json('{"a": 1}'), rocketq.json(NULL);
SELECT count(rocketq.produce('limited', '\xff00fe'::bytea, queue_id => 0));
SELECT queue_offset, body FROM rocketq.pull('limited', 0, 1);
SELECT queue_offset, rocketq.text(body) FROM rocketq.pull('limited', 0, 1);

--
-- Transactions.
--
BEGIN READ ONLY;
SAVEPOINT a;
SELECT rocketq.produce('limited', 'm');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO a;
SELECT rocketq.produce('limited', 'm', transactional => false);
ROLLBACK TO a;
SELECT * FROM rocketq.produce_batch('limited', ARRAY['m']);
ROLLBACK TO a;
SELECT * FROM rocketq.consume('limited', 'g');
ROLLBACK TO a;
SELECT rocketq.commit_offset('limited', 'g');
ROLLBACK TO a;
SELECT rocketq.commit_offset('limited', 'g', 0, 0);
ROLLBACK TO a;
SELECT rocketq.create_group('limited', 'h');
ROLLBACK TO a;
SELECT rocketq.drop_group('limited', 'g');
ROLLBACK TO a;
SELECT rocketq.reset_offset('limited', 'g', 'first');
ROLLBACK TO a;
SELECT rocketq.reset_offset('limited', 'g', 0, 0);
ROLLBACK TO a;
SELECT rocketq.drop_topic('limited');
ROLLBACK TO a;
SELECT rocketq.max_offset('limited', 0), rocketq.committed_offset('limited', 'g', 0);
COMMIT;

-- two phases
BEGIN;
SELECT count(rocketq.produce('limited', 'm', queue_id => 0));
PREPARE TRANSACTION 'rocketq limits';
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT count(*) FROM rocketq.consume('limited', 'g');
PREPARE TRANSACTION 'rocketq limits';
BEGIN;
SELECT rocketq.commit_offset('limited', 'g', 0, 1);
PREPARE TRANSACTION 'rocketq limits';
BEGIN;
SELECT rocketq.reset_offset('limited', 'g', 0, 1);
PREPARE TRANSACTION 'rocketq limits';
BEGIN;
SELECT rocketq.drop_group('limited', 'g');
PREPARE TRANSACTION 'rocketq limits';
BEGIN;
SELECT rocketq.create_group('limited', 'h');
PREPARE TRANSACTION 'rocketq limits';
BEGIN;
SECURITY LABEL FOR rocketq ON TABLE limited IS 'queues=3';
PREPARE TRANSACTION 'rocketq limits';
BEGIN;
SAVEPOINT a;
SELECT rocketq.alter_topic('limited', 3);
ROLLBACK TO a;
PREPARE TRANSACTION 'rocketq limits';
-- also when no message matches the filter
BEGIN;
SELECT count(*) FROM rocketq.consume('limited', 'g', tags => 'none');
PREPARE TRANSACTION 'rocketq limits';
BEGIN;
SELECT rocketq.create_group('limited', 'h');
SELECT rocketq.drop_group('limited', 'h');
PREPARE TRANSACTION 'rocketq limits';
BEGIN;
SAVEPOINT a;
SELECT rocketq.create_group('limited', 'h');
ROLLBACK TO a;
PREPARE TRANSACTION 'rocketq limits';
-- all of them are undone
SELECT rocketq.max_offset('limited', 0), rocketq.committed_offset('limited', 'g', 0);
-- nothing is left of messages that were rolled back, even if their list had a file
BEGIN;
SAVEPOINT a;
SET LOCAL work_mem = '64kB';
SELECT count(rocketq.produce('limited', 'm', queue_id => 0)) FROM generate_series(1, 10000);
ROLLBACK TO a;
PREPARE TRANSACTION 'rocketq limits';
COMMIT PREPARED 'rocketq limits';
SELECT rocketq.max_offset('limited', 0);
SELECT DISTINCT consumer_group FROM rocketq.groups
WHERE topic = 'limited' AND consumer_group NOT LIKE 'gg%' ORDER BY 1;
-- what was rolled back does not matter
BEGIN;
SAVEPOINT a;
SELECT count(rocketq.produce('limited', 'm', queue_id => 0));
ROLLBACK TO a;
SELECT count(*) FROM rocketq.consume('limited', 'g');
SELECT rocketq.commit_offset('limited', 'g');
ROLLBACK TO a;
PREPARE TRANSACTION 'rocketq limits';
SELECT count(*) FROM rocketq.consume('limited', 'g');
COMMIT PREPARED 'rocketq limits';
-- reading and non-transactional calls are fine
BEGIN;
SELECT count(*) FROM rocketq.pull('limited', 0, 0);
SELECT count(rocketq.produce('limited', 'at once', queue_id => 0, transactional => false));
PREPARE TRANSACTION 'rocketq limits';
ROLLBACK PREPARED 'rocketq limits';
SELECT rocketq.max_offset('limited', 0);

SELECT rocketq.drop_topic('limited');
SELECT * FROM rocketq.verify();

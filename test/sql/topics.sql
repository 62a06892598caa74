-- Topics: creating, dropping, emptying and renaming them, in and out of
-- transactions.

-- a topic is a table
SELECT rocketq.create_topic('made', 3);
SELECT c.relkind, a.amname, pg_get_userbyid(c.relowner) = current_user AS own
FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = 'made'::regclass;
SELECT queues, messages FROM rocketq.topics WHERE topic = 'made';
-- with the columns of a message
SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'made'::regclass AND attnum > 0
EXCEPT SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = (SELECT typrelid FROM pg_type WHERE oid = 'rocketq.message'::regtype);
SELECT rocketq.create_topic('made', 3);
SELECT rocketq.drop_topic('made');
SELECT rocketq.drop_topic('made');

-- the default is 8 queues, also for CREATE TABLE; a setting can change it
SELECT rocketq.create_topic('made');
SELECT rocketq.drop_topic('made');
CREATE TABLE made (LIKE rocketq.message) USING rocketq;
SELECT queues FROM rocketq.topics WHERE topic = 'made';
SELECT count(rocketq.produce('made', 'm', queue_id => 7));
SELECT queue_offset, rocketq.text(body) FROM rocketq.consume('made', 'g');
DROP TABLE made;
SET rocketq.default_queues = 2;
CREATE TABLE made (LIKE rocketq.message) USING rocketq;
SELECT queues FROM rocketq.topics WHERE topic = 'made';
RESET rocketq.default_queues;
DROP TABLE made;
-- create_topic() leaves the setting alone, and uses it without a number
SET rocketq.default_queues = 5;
SELECT rocketq.create_topic('made', 2);
SHOW rocketq.default_queues;
SELECT rocketq.create_topic('made_too'), rocketq.create_topic('made_thus', NULL);
SELECT topic, queues FROM rocketq.topics WHERE topic ~ '^made' ORDER BY 1;
DROP TABLE made_too, made_thus;
RESET rocketq.default_queues;
DROP TABLE made;
-- the columns may be spelled out
CREATE TABLE made (queue_id int, queue_offset bigint, message_id bigint, tag text, keys text[], sharding_key text,
    properties jsonb, born_at timestamptz, stored_at timestamptz, delivery_attempt int, body bytea) USING rocketq;
SELECT count(rocketq.produce('made', 'm'));
DROP TABLE made;
SET default_table_access_method = rocketq;
CREATE TABLE made (LIKE rocketq.message);
RESET default_table_access_method;
SELECT queues FROM rocketq.topics WHERE topic = 'made';
DROP TABLE made;
-- but must be those of a message
CREATE TABLE made (a int) USING rocketq;
CREATE TABLE made () USING rocketq;
CREATE TABLE made (LIKE rocketq.message, more int) USING rocketq;
CREATE TABLE made (queue_id int, queue_offset bigint, message_id bigint, tag varchar, keys text[], sharding_key text,
    properties jsonb, born_at timestamptz, stored_at timestamptz, delivery_attempt int, body bytea) USING rocketq;
CREATE TABLE made (queue_id int, queue_offset bigint, message_id bigint, keys text[], tag text, sharding_key text,
    properties jsonb, born_at timestamptz, stored_at timestamptz, delivery_attempt int, body bytea) USING rocketq;
CREATE TABLE made USING rocketq AS SELECT 1 AS a;
SELECT to_regclass('made');

--
-- Names.
--
CREATE SCHEMA "Other Schema";
SELECT rocketq.create_topic('"Other Schema"."Mixed ""Case"""', 1);
SELECT rocketq.create_topic('Folded', 1);
SELECT topic, queues FROM rocketq.topics
WHERE topic IN ('folded', '"Other Schema"."Mixed ""Case"""') ORDER BY topic;
SELECT count(rocketq.produce('"Other Schema"."Mixed ""Case"""', 'm'));
SELECT rocketq.text(body) FROM rocketq.consume('"Other Schema"."Mixed ""Case"""', 'g', auto_commit => true);
-- following the search path, when created and when used
SET search_path = "Other Schema", public;
SELECT rocketq.create_topic('folded', 2);
SELECT count(rocketq.produce('folded', 'm', queue_id => 1));
RESET search_path;
SELECT count(rocketq.produce('folded', 'm', queue_id => 1));
SELECT rocketq.drop_topic('folded');
SELECT rocketq.drop_topic('"Other Schema".folded');
-- renamed and moved, with all its contents
ALTER TABLE "Other Schema"."Mixed ""Case""" RENAME TO plain;
ALTER TABLE "Other Schema".plain SET SCHEMA public;
SELECT rocketq.committed_offset('plain', 'g', 0);
SELECT rocketq.text(body) FROM rocketq.pull('plain', 0, 0);
DROP TABLE plain;
DROP SCHEMA "Other Schema";
-- invalid names
SELECT rocketq.create_topic('');
SELECT rocketq.create_topic('a..b');
SELECT rocketq.create_topic('no_such_schema.topic');
SELECT rocketq.create_topic('no_such_database.public.topic');
SELECT rocketq.create_topic('a.b.c.d');
SELECT rocketq.create_topic('x; DROP TABLE y');
SELECT rocketq.create_topic('my topic');
SELECT rocketq.create_topic(NULL);
-- a temporary table of the same name is not mistaken for the new topic
CREATE TEMP TABLE made (a int);
SELECT rocketq.create_topic('made', 1);
SELECT rocketq.drop_topic('public.made');
DROP TABLE made;

--
-- Rolled back.
--
BEGIN;
SELECT rocketq.create_topic('rolled_back', 1);
SELECT count(rocketq.produce('rolled_back', 'm'));
-- a non-transactional message would be removed with its queue
SELECT count(rocketq.produce('rolled_back', 'at once', transactional => false));
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT to_regclass('rolled_back');
BEGIN;
SAVEPOINT a;
SELECT rocketq.create_topic('rolled_back', 1);
SELECT count(rocketq.produce('rolled_back', 'm'));
ROLLBACK TO a;
SELECT rocketq.create_topic('rolled_back', 2);
SELECT count(rocketq.produce('rolled_back', 'second', queue_id => 1));
COMMIT;
SELECT rocketq.text(body) FROM rocketq.pull('rolled_back', 1, 0);
-- the drop is rolled back: everything is still there
SELECT count(*) FROM rocketq.consume('rolled_back', 'g', auto_commit => true);
BEGIN;
SELECT rocketq.drop_topic('rolled_back');
SELECT count(*) FROM rocketq.topics WHERE topic = 'rolled_back';
ROLLBACK;
BEGIN;
SAVEPOINT a;
DROP TABLE rolled_back;
ROLLBACK TO a;
SELECT count(rocketq.produce('rolled_back', 'third', queue_id => 1));
COMMIT;
SELECT rocketq.text(body) FROM rocketq.pull('rolled_back', 1, 0);
SELECT rocketq.committed_offset('rolled_back', 'g', 1);
-- messages produced into a topic that is dropped in the same transaction
BEGIN;
SELECT count(rocketq.produce('rolled_back', 'lost'));
SELECT count(*) FROM rocketq.consume('rolled_back', 'g', auto_commit => true);
SELECT rocketq.create_group('rolled_back', 'h');
SELECT rocketq.drop_topic('rolled_back');
COMMIT;
SELECT to_regclass('rolled_back');
-- created, used and dropped
BEGIN;
SELECT rocketq.create_topic('brief', 1);
SELECT rocketq.create_group('brief', 'g');
SELECT count(rocketq.produce('brief', 'm'));
SELECT count(*) FROM rocketq.consume('brief', 'g', auto_commit => true);
SELECT rocketq.drop_topic('brief');
COMMIT;
SELECT to_regclass('brief');
-- used by a transaction that continues
BEGIN;
SELECT rocketq.create_topic('brief', 1);
SELECT count(rocketq.produce('brief', 'm'));
SAVEPOINT a;
SELECT rocketq.drop_topic('brief');
ROLLBACK TO a;
COMMIT;
SELECT rocketq.text(body) FROM rocketq.pull('brief', 0, 0);
SELECT rocketq.drop_topic('brief');

--
-- TRUNCATE empties a topic; its offsets start again at 0, and so do its
-- groups.
--
SELECT rocketq.create_topic('emptied', 3);
SELECT count(rocketq.produce('emptied', 'm' || i, queue_id => 2)) FROM generate_series(0, 4) i;
SELECT count(*) FROM rocketq.consume('emptied', 'g', 2, auto_commit => true);
BEGIN;
TRUNCATE emptied;
SELECT rocketq.max_offset('emptied', 2);
SELECT count(rocketq.produce('emptied', 'lost', queue_id => 2));
SELECT count(rocketq.produce('emptied', 'at once', queue_id => 2, transactional => false));
ROLLBACK;
BEGIN;
SELECT count(rocketq.produce('emptied', 'at once', queue_id => 0, transactional => false));
TRUNCATE emptied;
SAVEPOINT a;
SELECT * FROM rocketq.produce_batch('emptied', ARRAY['at once'], queue_id => 2, transactional => false);
ROLLBACK;
SELECT queue_offset, rocketq.text(body) FROM rocketq.pull('emptied', 0, 0);
-- a truncation that was rolled back does not matter
BEGIN;
SAVEPOINT a;
TRUNCATE emptied;
ROLLBACK TO a;
SELECT count(rocketq.produce('emptied', 'at once', queue_id => 0, transactional => false));
ROLLBACK;
SELECT queue_offset, rocketq.text(body) FROM rocketq.pull('emptied', 0, 0);
SELECT queue_offset, rocketq.text(body) FROM rocketq.pull('emptied', 2, 0);
SELECT rocketq.committed_offset('emptied', 'g', 2);
BEGIN;
SAVEPOINT a;
TRUNCATE emptied;
ROLLBACK TO a;
SELECT count(rocketq.produce('emptied', 'm5', queue_id => 2));
COMMIT;
SELECT rocketq.max_offset('emptied', 2), rocketq.committed_offset('emptied', 'g', 2);
-- produced before and after it in one transaction
BEGIN;
SELECT count(rocketq.produce('emptied', 'before', queue_id => 2));
TRUNCATE emptied;
SELECT count(rocketq.produce('emptied', 'after', queue_id => 2));
COMMIT;
SELECT queue_offset, rocketq.text(body) FROM rocketq.pull('emptied', 2, 0);
SELECT queues, messages, groups FROM rocketq.topics WHERE topic = 'emptied';
SELECT rocketq.committed_offset('emptied', 'g', 2);
-- groups of the same transaction, in all states
BEGIN;
SELECT rocketq.create_group('emptied', 'created before', 'last');
SELECT rocketq.create_group('emptied', 'dropped again');
SELECT rocketq.drop_group('emptied', 'dropped again');
SAVEPOINT a;
SELECT rocketq.create_group('emptied', 'rolled back');
ROLLBACK TO a;
TRUNCATE emptied;
SELECT rocketq.create_group('emptied', 'created after');
SELECT count(*) FROM rocketq.consume('emptied', 'created before', auto_commit => true);
COMMIT;
SELECT DISTINCT consumer_group FROM rocketq.groups WHERE topic = 'emptied' ORDER BY 1;
BEGIN;
SELECT rocketq.drop_group('emptied', 'g');
SAVEPOINT a;
TRUNCATE emptied;
SELECT rocketq.drop_group('emptied', 'created before');
ROLLBACK TO a;
SELECT DISTINCT consumer_group FROM rocketq.groups WHERE topic = 'emptied' ORDER BY 1;
TRUNCATE emptied;
SELECT rocketq.drop_group('emptied', 'created after');
COMMIT;
SELECT DISTINCT consumer_group FROM rocketq.groups WHERE topic = 'emptied' ORDER BY 1;
SELECT count(rocketq.produce('emptied', 'm', queue_id => 2));
SELECT count(*) FROM rocketq.consume('emptied', 'g');
-- consumed before it
BEGIN;
SELECT count(*) FROM rocketq.consume('emptied', 'g', auto_commit => true);
TRUNCATE emptied;
COMMIT;
SELECT rocketq.max_offset('emptied', 2);
-- twice, with a topic of the same transaction
BEGIN;
TRUNCATE emptied;
TRUNCATE emptied;
SELECT count(rocketq.produce('emptied', 'again', queue_id => 2));
COMMIT;
SELECT queue_offset, rocketq.text(body) FROM rocketq.pull('emptied', 2, 0);
BEGIN;
SELECT rocketq.create_topic('emptied_too', 2);
SELECT count(rocketq.produce('emptied_too', 'before', queue_id => 1));
TRUNCATE emptied_too;
SELECT count(rocketq.produce('emptied_too', 'after', queue_id => 1));
COMMIT;
SELECT queue_offset, rocketq.text(body) FROM rocketq.pull('emptied_too', 1, 0);
TRUNCATE emptied, emptied_too;
SELECT topic, queues, messages FROM rocketq.topics WHERE topic LIKE 'emptied%' ORDER BY topic;
DROP TABLE emptied, emptied_too;

-- A commit that fails at its very end.
SELECT rocketq.create_topic('failing', 1);
SELECT count(rocketq.produce('failing', 'kept'));
SELECT rocketq.create_topic('failing_too', 1);
SELECT count(rocketq.produce('failing_too', 'kept'));
BEGIN;
CREATE TEMP TABLE parent (id int PRIMARY KEY) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE child (id int REFERENCES parent);
TRUNCATE failing;
SELECT count(rocketq.produce('failing', 'lost'));
SELECT rocketq.create_topic('failing_new', 1);
SELECT count(rocketq.produce('failing_new', 'lost'));
SELECT rocketq.drop_topic('failing_too');
COMMIT;
SELECT rocketq.text(body) FROM rocketq.pull('failing', 0, 0);
SELECT rocketq.text(body) FROM rocketq.pull('failing_too', 0, 0);
SELECT to_regclass('failing_new');
DROP TABLE failing, failing_too;

-- DROP EXTENSION, rolled back.
SELECT rocketq.create_topic('extended', 1);
SELECT count(rocketq.produce('extended', 'kept'));
BEGIN;
SET LOCAL client_min_messages = warning;
DROP EXTENSION rocketq CASCADE;
SELECT to_regclass('extended');
ROLLBACK;
SELECT rocketq.text(body) FROM rocketq.pull('extended', 0, 0);
DROP TABLE extended;

-- A copy of the database has the tables but no messages.
SELECT rocketq.create_topic('copied', 3);
SELECT count(rocketq.produce('copied', 'in the original', queue_id => 2));
SELECT count(*) FROM rocketq.consume('copied', 'g');
\set original :DBNAME
CREATE DATABASE regress_rocketq_copy TEMPLATE :"original";
\c regress_rocketq_copy
SELECT count(*) FROM copied;
SELECT count(*) FROM rocketq.topics;
SELECT * FROM rocketq.pull('copied', 0, 0);
SELECT rocketq.max_offset('copied', 0);
SELECT rocketq.committed_offset('copied', 'g', 0);
SELECT count(rocketq.produce('copied', 'in the copy', queue_id => 2));
SELECT rocketq.text(body) FROM rocketq.consume('copied', 'h', auto_commit => true);
SELECT topic, queues, messages, groups FROM rocketq.topics;
SELECT * FROM rocketq.verify();
\c :original
SELECT rocketq.text(body) FROM rocketq.pull('copied', 2, 0);
SELECT consumer_group, sum(lag) FROM rocketq.groups WHERE topic = 'copied' GROUP BY 1;
DROP DATABASE regress_rocketq_copy;
SELECT rocketq.text(body) FROM rocketq.pull('copied', 2, 0);
DROP TABLE copied;

-- Dropped with its schema, owner or database.
CREATE SCHEMA holder;
SELECT rocketq.create_topic('holder.held', 1);
SELECT count(rocketq.produce('holder.held', 'm'));
CREATE VIEW holder.bodies AS SELECT rocketq.text(body) AS body FROM holder.held;
SELECT rocketq.drop_topic('holder.held');
DROP SCHEMA holder CASCADE;
SELECT count(*) FROM rocketq.topics WHERE topic LIKE 'holder%';

-- Not in a read-only transaction.
BEGIN READ ONLY;
SELECT rocketq.create_topic('made', 1);
ROLLBACK;

SELECT * FROM rocketq.verify();

--
-- The size of a topic, for everybody, as pg_table_size() is for other tables.
--
CREATE ROLE regress_rocketq_sizes;
SELECT rocketq.create_topic('sized', 2);
SELECT rocketq.topic_size('sized'), pg_table_size('sized');
SELECT count(rocketq.produce('sized', repeat('x', 1000))) FROM generate_series(1, 100);
-- 1000 for the body, 64 for the header of a frame, 32 for the entry in a queue
SELECT rocketq.topic_size('sized');
BEGIN;
SELECT count(rocketq.produce('sized', repeat('x', 1000)));
SELECT rocketq.topic_size('sized');
COMMIT;
SET ROLE regress_rocketq_sizes;
SELECT rocketq.topic_size('sized');
RESET ROLE;
-- what SELECT reads is counted as for any table; what is produced is counted
-- only by rocketq
SELECT count(tag) FROM sized;
SELECT pg_stat_force_next_flush();
SELECT seq_scan, seq_tup_read, n_tup_ins FROM pg_stat_user_tables WHERE relid = 'sized'::regclass;
TRUNCATE sized;
SELECT rocketq.topic_size('sized');
SELECT rocketq.topic_size(NULL), rocketq.topic_size(0), rocketq.topic_size(1);
SELECT rocketq.topic_size('pg_class');
DROP TABLE sized;
DROP ROLE regress_rocketq_sizes;

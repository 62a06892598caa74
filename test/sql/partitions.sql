-- Topics as partitions, and as children of tables.

CREATE SCHEMA parts;
SET search_path = parts, public;
CREATE TABLE parent (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE eu PARTITION OF parent FOR VALUES IN ('eu') USING rocketq;
CREATE TABLE us PARTITION OF parent FOR VALUES IN ('us') USING rocketq;
CREATE TABLE heap PARTITION OF parent FOR VALUES IN ('heap');
CREATE FUNCTION parent() RETURNS TABLE (part regclass, tag text, body text) LANGUAGE sql
    AS $$ SELECT tableoid::regclass, tag, rocketq.text(body) FROM parts.parent ORDER BY 1, queue_offset, 3 $$;

--
-- Rows are routed to their topic.
--
INSERT INTO parent (tag, queue_id, body) VALUES ('us', 0, '1'), ('eu', 0, '2'), ('heap', 0, '3'), ('us', 0, '4')
    RETURNING tableoid::regclass, queue_id, queue_offset, message_id > 0 AS id;
INSERT INTO parent (tag, body) VALUES ('us', 'not kept'), ('asia', 'no place');
\echo :LAST_ERROR_SQLSTATE
COPY parent (queue_id, tag, body) FROM stdin;
0	eu	5
0	us	6
0	heap	7
0	eu	8
\.
COPY parent (queue_id, tag, body) FROM stdin;
0	eu	not kept
0	us	\N
\.
BEGIN;
INSERT INTO parent (queue_id, tag, body) VALUES (0, 'eu', '9');
SAVEPOINT a;
INSERT INTO parent (queue_id, tag, body) VALUES (0, 'us', 'not kept'), (0, 'heap', 'not kept');
ROLLBACK TO a;
COMMIT;
SELECT * FROM parent();
SELECT rocketq.text(body) FROM parent WHERE tag = 'us' ORDER BY queue_offset;
EXPLAIN (COSTS OFF) SELECT * FROM parent WHERE tag = 'us';
SELECT rocketq.text(body) FROM rocketq.consume('us', 'g', auto_commit => true);
-- inserted directly, only rows that belong there
INSERT INTO eu (queue_id, tag, body) VALUES (0, 'eu', '10');
INSERT INTO eu (queue_id, tag, body) VALUES (0, 'us', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('eu', 'x', tag => 'us');
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('parent', 'x');
\echo :LAST_ERROR_SQLSTATE

--
-- The parent's other partitions can be changed, as long as no message is
-- affected.
--
UPDATE parent SET sharding_key = 'changed' WHERE tag = 'heap';
UPDATE parent SET sharding_key = 'changed';
\echo :LAST_ERROR_SQLSTATE
UPDATE parent SET sharding_key = 'changed' WHERE tag = 'eu';
DELETE FROM parent WHERE body = '2';
\echo :LAST_ERROR_SQLSTATE
SELECT tag FROM parent WHERE tag = 'heap' FOR UPDATE;
SELECT tag FROM parent FOR UPDATE;
\echo :LAST_ERROR_SQLSTATE
-- a row that moves to a topic becomes a message, and stays one
UPDATE parent SET tag = 'us' WHERE body = '3' RETURNING tableoid::regclass, tag, queue_offset;
UPDATE parent SET tag = 'heap' WHERE body = '1';
SELECT * FROM parent();

--
-- ATTACH and DETACH
--
ALTER TABLE parent DETACH PARTITION us;
SELECT count(rocketq.produce('us', 'alone', queue_id => 0));
ALTER TABLE parent ATTACH PARTITION us FOR VALUES IN ('us');
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE parent ATTACH PARTITION us FOR VALUES IN ('us', NULL);
ALTER TABLE parent DETACH PARTITION us CONCURRENTLY;
SELECT count(*) FROM parent WHERE tag = 'us';
SELECT count(*) FROM us;
DROP TABLE us;
SELECT rocketq.create_topic('asia', 1);
ALTER TABLE parent ATTACH PARTITION asia DEFAULT;
INSERT INTO parent (tag, body) VALUES ('elsewhere', 'default');
-- the default partition is checked
CREATE TABLE other PARTITION OF parent FOR VALUES IN ('elsewhere') USING rocketq;
\echo :LAST_ERROR_SQLSTATE
TRUNCATE parent;
SELECT count(*) FROM parent();
DROP TABLE parent;
SELECT count(*) FROM pg_class WHERE relnamespace = 'parts'::regnamespace;

-- The parent's columns may have another order.
CREATE TABLE parent (body bytea, delivery_attempt int, stored_at timestamptz, born_at timestamptz, tag text,
    properties jsonb, sharding_key text, keys text[], message_id bigint, queue_offset bigint, gone int, queue_id int)
    PARTITION BY RANGE (tag);
ALTER TABLE parent DROP COLUMN gone;
CREATE TABLE first PARTITION OF parent FOR VALUES FROM ('a') TO ('m') USING rocketq;
CREATE TABLE first (LIKE rocketq.message) USING rocketq;
ALTER TABLE parent ATTACH PARTITION first FOR VALUES FROM ('a') TO ('m');
CREATE TABLE second (queue_offset bigint, message_id bigint, body bytea, tag text, keys text[], sharding_key text,
    properties jsonb, queue_id int, born_at timestamptz, stored_at timestamptz, delivery_attempt int);
ALTER TABLE parent ATTACH PARTITION second FOR VALUES FROM ('m') TO ('z');
INSERT INTO parent (body, queue_id, tag) VALUES ('1', 0, 'b'), ('2', 0, 'n')
    RETURNING tableoid::regclass, body, tag, queue_id, queue_offset, message_id > 0 AS id;
COPY parent (tag, body, queue_id) FROM stdin;
c	3	0
o	4	0
\.
SELECT * FROM parent();
UPDATE parent SET tag = 'd' WHERE tag = 'o' RETURNING tableoid::regclass, body, tag;
INSERT INTO parent SELECT * FROM parent WHERE tag = 'b';
SELECT * FROM parent();
DROP TABLE parent;

-- What a topic cannot have, its parent cannot have either.
CREATE TABLE parent (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE eu PARTITION OF parent FOR VALUES IN ('eu') USING rocketq;
CREATE INDEX ON parent (message_id);
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE parent ADD UNIQUE (tag, message_id);
ALTER TABLE parent ADD PRIMARY KEY (tag);
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE parent ADD COLUMN more int;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE parent DROP COLUMN body;
ALTER TABLE parent RENAME COLUMN body TO payload;
ALTER TABLE parent ALTER COLUMN sharding_key TYPE varchar;
ALTER TABLE parent ALTER COLUMN message_id SET NOT NULL;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE parent ADD CHECK (length(body) < 10);
INSERT INTO parent (tag, body) VALUES ('eu', 'far too long');
ALTER TABLE parent DETACH PARTITION eu;
CREATE INDEX tag_index ON parent (tag);
ALTER TABLE parent ATTACH PARTITION eu FOR VALUES IN ('eu');
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE us PARTITION OF parent FOR VALUES IN ('us') USING rocketq;
\echo :LAST_ERROR_SQLSTATE
DROP INDEX tag_index;
CREATE INDEX only_index ON ONLY parent (tag);
ALTER TABLE parent ATTACH PARTITION eu FOR VALUES IN ('eu');
DROP INDEX only_index;
ALTER TABLE parent ADD PRIMARY KEY (tag, message_id);
CREATE TABLE us PARTITION OF parent FOR VALUES IN ('us') USING rocketq;
\echo :LAST_ERROR_SQLSTATE
\set VERBOSITY sqlstate
ALTER TABLE parent ATTACH PARTITION eu FOR VALUES IN ('eu');
\set VERBOSITY default
SELECT to_regclass('us');
SELECT count(*) FROM pg_index WHERE indrelid = 'eu'::regclass;
DROP TABLE parent, eu;

-- Partitions of partitions
CREATE TABLE parent (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE sub PARTITION OF parent FOR VALUES IN ('a', 'b') PARTITION BY HASH (sharding_key);
CREATE TABLE sub0 PARTITION OF sub FOR VALUES WITH (MODULUS 2, REMAINDER 0) USING rocketq;
CREATE TABLE sub1 PARTITION OF sub FOR VALUES WITH (MODULUS 2, REMAINDER 1) USING rocketq;
INSERT INTO parent (tag, sharding_key, body) SELECT 'a', i::text, convert_to(i::text, 'UTF8') FROM generate_series(1, 20) i;
SELECT count(*), count(DISTINCT part) FROM parent();
SELECT count(*) FROM parent() p JOIN sub0 ON rocketq.text(sub0.body) = p.body WHERE p.part = 'sub0'::regclass;
DROP TABLE parent;

--
-- Inheritance
--
CREATE TABLE plain (LIKE rocketq.message);
CREATE TABLE topic () INHERITS (plain) USING rocketq;
CREATE TABLE below () INHERITS (topic);
INSERT INTO plain (body) VALUES ('plain');
INSERT INTO topic (body) VALUES ('topic');
INSERT INTO below (body) VALUES ('below');
SELECT tableoid::regclass, rocketq.text(body) FROM plain ORDER BY 2;
SELECT tableoid::regclass, rocketq.text(body) FROM topic ORDER BY 2;
SELECT rocketq.text(body) FROM ONLY topic;
SELECT rocketq.text(body) FROM rocketq.consume('topic', 'g');
-- a table below a topic is a table
UPDATE below SET tag = 'changed';
UPDATE topic SET tag = 'changed' WHERE tag = 'changed';
\echo :LAST_ERROR_SQLSTATE
UPDATE ONLY plain SET tag = 'changed';
UPDATE plain SET tag = 'changed too' WHERE tag = 'changed' RETURNING tableoid::regclass;
UPDATE plain SET tag = 'changed too';
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE plain ADD COLUMN more int;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE topic NO INHERIT plain;
ALTER TABLE plain ADD COLUMN more int;
ALTER TABLE topic INHERIT plain;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE plain DROP COLUMN more;
ALTER TABLE topic INHERIT plain;
CREATE TABLE more (a int);
CREATE TABLE wrong () INHERITS (plain, more) USING rocketq;
\echo :LAST_ERROR_SQLSTATE
TRUNCATE plain;
SELECT count(*) FROM plain;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA parts CASCADE;
RESET client_min_messages;
SELECT * FROM rocketq.verify();

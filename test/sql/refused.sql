-- What a topic does not support, although it is a table.

SELECT rocketq.create_topic('refusing', 1);
INSERT INTO refusing (body) VALUES ('kept');
CREATE TABLE plain (LIKE rocketq.message);
INSERT INTO plain (body) VALUES ('plain');

--
-- Messages do not change.
--
UPDATE refusing SET tag = 'x';
\echo :LAST_ERROR_SQLSTATE
DELETE FROM refusing;
\echo :LAST_ERROR_SQLSTATE
UPDATE refusing SET tag = 'x' WHERE false;
DELETE FROM refusing WHERE false;
SELECT * FROM refusing FOR UPDATE;
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM refusing FOR KEY SHARE;
INSERT INTO refusing (body) VALUES ('x') ON CONFLICT (message_id) DO UPDATE SET tag = 'x';
MERGE INTO refusing r USING plain p ON r.body = 'kept'
    WHEN MATCHED THEN DELETE;
MERGE INTO refusing r USING plain p ON r.body = 'kept'
    WHEN MATCHED THEN UPDATE SET tag = 'x';
SELECT count(*) FROM refusing;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM refusing;
MOVE c;
DELETE FROM refusing WHERE CURRENT OF c;
ROLLBACK;

--
-- No indexes and constraints that need them.
--
CREATE INDEX ON refusing (message_id);
\echo :LAST_ERROR_SQLSTATE
CREATE INDEX CONCURRENTLY refusing_index ON refusing (message_id);
\echo :LAST_ERROR_SQLSTATE
CREATE UNIQUE INDEX ON refusing (message_id);
ALTER TABLE refusing ADD PRIMARY KEY (message_id);
ALTER TABLE refusing ADD UNIQUE (tag);
ALTER TABLE refusing ADD EXCLUDE USING btree (message_id WITH =);
CREATE TABLE refusing_too (LIKE rocketq.message, PRIMARY KEY (message_id)) USING rocketq;
-- nor foreign keys, in either direction
CREATE TABLE plain_key (id bigint PRIMARY KEY);
ALTER TABLE refusing ADD FOREIGN KEY (message_id) REFERENCES plain_key;
CREATE TABLE refusing_too (id bigint REFERENCES refusing (message_id));
DROP TABLE plain_key;
SELECT count(*) FROM pg_index WHERE indrelid = 'refusing'::regclass;
SELECT count(*) FROM pg_constraint WHERE conrelid = 'refusing'::regclass;

--
-- The columns are always those of a message.
--
ALTER TABLE refusing ADD COLUMN more int;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE refusing ADD COLUMN more int DEFAULT 1;
ALTER TABLE refusing DROP COLUMN tag;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE refusing RENAME COLUMN tag TO label;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE refusing ALTER COLUMN tag TYPE varchar(10);
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE refusing ALTER COLUMN body TYPE text USING convert_from(body, 'UTF8');
SELECT array_agg(attname ORDER BY attnum) = (SELECT array_agg(attname ORDER BY attnum) FROM pg_attribute
                                             WHERE attrelid = 'plain'::regclass AND attnum > 0) AS columns
FROM pg_attribute WHERE attrelid = 'refusing'::regclass AND attnum > 0;

--
-- No rewriting, no moving to other storage.
--
VACUUM FULL refusing;
-- for several or all tables it works, and skips topics
SELECT pg_relation_filenode('plain') AS plain, pg_relation_filenode('refusing') AS refusing \gset
VACUUM (FULL, ANALYZE) refusing (body), plain (body), refusing;
SELECT pg_relation_filenode('plain') <> :plain AS plain, pg_relation_filenode('refusing') = :refusing AS refusing;
CREATE TABLE parted (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE parted_topic PARTITION OF parted FOR VALUES IN ('t') USING rocketq;
CREATE TABLE parted_heap PARTITION OF parted FOR VALUES IN ('h') USING heap;
CREATE TABLE parted_more PARTITION OF parted DEFAULT PARTITION BY LIST (tag);
CREATE TABLE parted_more_topic PARTITION OF parted_more DEFAULT USING rocketq;
SELECT pg_relation_filenode('parted_heap') AS heap \gset
VACUUM FULL parted;
SELECT pg_relation_filenode('parted_heap') <> :heap AS heap;
VACUUM FULL parted_more;
DROP TABLE parted;
-- errors of VACUUM itself are unchanged
VACUUM (FULL, UNKNOWN) refusing;
VACUUM FULL refusing_not, plain;
BEGIN;
VACUUM FULL refusing;
ROLLBACK;
-- the same for indexes
REINDEX TABLE refusing;
REINDEX TABLE CONCURRENTLY refusing;
REINDEX SCHEMA public;
SELECT pg_relation_filenode('plain') AS plain, pg_relation_filenode('refusing') AS refusing \gset
VACUUM FULL;
SELECT pg_relation_filenode('plain') <> :plain AS plain, pg_relation_filenode('refusing') = :refusing AS refusing;
VACUUM (FULL off);
CLUSTER refusing;
ALTER TABLE refusing SET ACCESS METHOD heap;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE plain SET ACCESS METHOD rocketq;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE refusing SET UNLOGGED;
\echo :LAST_ERROR_SQLSTATE
CREATE UNLOGGED TABLE refusing_too (LIKE rocketq.message) USING rocketq;
\echo :LAST_ERROR_SQLSTATE
CREATE TEMP TABLE refusing_too (LIKE rocketq.message) USING rocketq;
\echo :LAST_ERROR_SQLSTATE
CREATE MATERIALIZED VIEW refusing_too USING rocketq AS SELECT * FROM plain;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE refusing SET TABLESPACE pg_default;
SELECT to_regclass('refusing_too');

--
-- A topic has no pages, and functions that read pages find none.
--
SET client_min_messages = warning;
CREATE EXTENSION pg_prewarm;
CREATE EXTENSION pg_visibility;
CREATE EXTENSION pg_freespacemap;
CREATE EXTENSION pageinspect;
CREATE EXTENSION pgstattuple;
CREATE EXTENSION amcheck;
RESET client_min_messages;
SELECT pg_prewarm('refusing'), pg_prewarm('refusing', 'prefetch');
SELECT count(*) FROM pg_visibility('refusing');
SELECT count(*) FROM pg_visibility_map('refusing');
SELECT * FROM pg_visibility_map_summary('refusing');
SELECT count(*) FROM pg_check_visible('refusing');
SELECT count(*) FROM pg_check_frozen('refusing');
SELECT count(*) FROM pg_freespace('refusing');
SELECT get_raw_page('refusing', 0);
SELECT * FROM pgstattuple('refusing');
SELECT * FROM pgstattuple_approx('refusing');
SELECT * FROM verify_heapam('refusing');
-- but ANALYZE gets a sample
CREATE TABLE sampled_here (LIKE rocketq.message) USING rocketq;
INSERT INTO sampled_here (tag, body) SELECT 'tag' || i % 3, 'x' FROM generate_series(1, 300) i;
ANALYZE sampled_here;
SELECT n_distinct FROM pg_stats WHERE tablename = 'sampled_here' AND attname = 'tag';
ANALYZE sampled_here (nothing);
SELECT pg_prewarm('sampled_here');
DROP TABLE sampled_here;
DROP EXTENSION pg_prewarm, pg_visibility, pg_freespacemap, pageinspect, pgstattuple, amcheck;

--
-- Triggers that would read a message back before it is visible.
--
CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER after_row AFTER INSERT ON refusing FOR EACH ROW EXECUTE FUNCTION never();
\echo :LAST_ERROR_SQLSTATE
DROP FUNCTION never();

-- Row-level security applies to rows of a plan: functions do not bypass it.
CREATE ROLE regress_rocketq_reader;
GRANT SELECT, INSERT ON refusing TO regress_rocketq_reader;
ALTER TABLE refusing ENABLE ROW LEVEL SECURITY;
CREATE POLICY tagged ON refusing TO regress_rocketq_reader USING (tag = 'public') WITH CHECK (tag = 'public');
SET ROLE regress_rocketq_reader;
SELECT count(*) FROM refusing;
INSERT INTO refusing (tag, body) VALUES ('public', 'x');
INSERT INTO refusing (tag, body) VALUES ('secret', 'x');
SELECT count(*) FROM refusing;
SELECT count(*) FROM rocketq.pull('refusing', 0, 0);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('refusing', 'x');
RESET ROLE;
SELECT count(*) FROM rocketq.pull('refusing', 0, 0);
DROP POLICY tagged ON refusing;
ALTER TABLE refusing DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON refusing FROM regress_rocketq_reader;
DROP ROLE regress_rocketq_reader;

-- A child is a topic of its own, but its columns do not follow its parent's.
CREATE TABLE refusing_child () INHERITS (plain) USING rocketq;
SELECT count(rocketq.produce('refusing_child', 'of the child'));
SELECT tableoid::regclass, rocketq.text(body) FROM plain ORDER BY 1;
ALTER TABLE plain ADD COLUMN more int;
UPDATE plain SET tag = 'x';
DROP TABLE refusing_child;

-- The return type of the functions cannot be changed, and if it is, they fail.
ALTER TYPE rocketq.message ADD ATTRIBUTE more int;
ALTER TYPE rocketq.message DROP ATTRIBUTE body;
ALTER TYPE rocketq.message ALTER ATTRIBUTE queue_offset TYPE text CASCADE;
ALTER TYPE rocketq.message RENAME ATTRIBUTE tag TO label CASCADE;
ALTER TYPE rocketq.message RENAME TO letter;
ALTER TYPE rocketq.message SET SCHEMA public;
ALTER SCHEMA rocketq RENAME TO letters;
-- but it can have another owner
BEGIN;
CREATE ROLE regress_rocketq_heir;
ALTER TYPE rocketq.message OWNER TO regress_rocketq_heir;
ALTER SCHEMA rocketq OWNER TO regress_rocketq_heir;
ROLLBACK;
BEGIN;
ALTER EXTENSION rocketq DROP TYPE rocketq.message;
SAVEPOINT before;
ALTER TYPE rocketq.message ALTER ATTRIBUTE queue_offset TYPE text;
SELECT * FROM rocketq.pull('refusing', 0, 0);
ROLLBACK TO before;
ALTER TYPE rocketq.message ADD ATTRIBUTE more text;
SELECT * FROM rocketq.consume('refusing', 'altered');
ROLLBACK TO before;
ALTER TYPE rocketq.message DROP ATTRIBUTE body;
SELECT * FROM rocketq.pull('refusing', 0, 0);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;

-- All of that left the topic as it was.
SELECT queue_offset, tag, rocketq.text(body) FROM rocketq.pull('refusing', 0, 0);
SELECT count(rocketq.produce('refusing', 'goes on'));
SELECT rocketq.text(body) FROM rocketq.consume('refusing', 'g');
DROP TABLE plain;
SELECT rocketq.drop_topic('refusing');
SELECT * FROM rocketq.verify();

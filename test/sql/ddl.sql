-- CREATE, ALTER and the rest of DDL on topics: what works, and what is refused
-- without leaving anything behind.

CREATE SCHEMA ddl;
SET search_path = ddl, public;
-- everything that exists: names, and whether the store agrees
CREATE VIEW topics AS
    SELECT c.relname, (SELECT count(*) FROM rocketq.get_queues() q
                       WHERE q.relfilenode = c.relfilenode AND q.database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS queues
    FROM pg_class c JOIN pg_am a ON a.oid = c.relam
    WHERE a.amname = 'rocketq' AND c.relnamespace = 'ddl'::regnamespace;
SET rocketq.default_queues = 2;

--
-- CREATE TABLE
--
CREATE TABLE liked (LIKE rocketq.message INCLUDING ALL) USING rocketq WITH (fillfactor = 50, autovacuum_enabled = off);
CREATE TABLE again (LIKE liked INCLUDING ALL) USING rocketq;
CREATE TABLE IF NOT EXISTS again (LIKE rocketq.message) USING rocketq;
CREATE TABLE spelled (queue_id int4, queue_offset int8, message_id bigint, tag text COLLATE "C", keys text ARRAY, sharding_key text,
    properties jsonb, born_at timestamp with time zone, stored_at timestamptz, delivery_attempt integer, body bytea) USING rocketq;
CREATE TYPE typ AS (queue_id int, queue_offset bigint, message_id bigint, tag text, keys text[], sharding_key text,
    properties jsonb, born_at timestamptz, stored_at timestamptz, delivery_attempt int, body bytea);
CREATE TABLE of_type OF typ USING rocketq;
CREATE TABLE of_message OF rocketq.message USING rocketq;
CREATE TABLE selected USING rocketq AS SELECT NULL::int AS queue_id, NULL::bigint AS queue_offset, NULL::bigint AS message_id, 'made'::text AS tag,
    NULL::text[] AS keys, NULL::text AS sharding_key, NULL::jsonb AS properties, NULL::timestamptz AS born_at, NULL::timestamptz AS stored_at,
    NULL::int AS delivery_attempt, convert_to(i::text, 'UTF8') AS body FROM generate_series(1, 3) i;
CREATE TABLE no_data USING rocketq AS TABLE selected WITH NO DATA;
SELECT tag, string_agg(rocketq.text(body), ' ' ORDER BY message_id) FROM selected GROUP BY 1;
TABLE topics ORDER BY relname;
DROP TABLE liked, again, spelled, of_message, no_data;
-- wrong columns: the first wrong one is reported
CREATE TABLE wrong () USING rocketq;
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE wrong (queue_id int, "Queue_offset" bigint) USING rocketq;
CREATE TABLE wrong (queue_id int, queue_offset bigint, message_id bigint, tag varchar(10)) USING rocketq;
CREATE TABLE wrong (LIKE rocketq.message, more int) USING rocketq;
CREATE TABLE wrong USING rocketq AS SELECT queue_offset, queue_id FROM selected;
CREATE TABLE wrong (LIKE rocketq.message) USING rocketq WITH (queues = 3);
CREATE TABLE indexed (LIKE rocketq.message, UNIQUE (tag));
CREATE TABLE wrong (LIKE indexed INCLUDING ALL) USING rocketq;
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE wrong (LIKE rocketq.message, EXCLUDE USING btree (tag WITH =)) USING rocketq;
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE wrong (LIKE rocketq.message) USING rocketq TABLESPACE pg_global;
-- as the default access method
SET default_table_access_method = rocketq;
CREATE TABLE dflt (LIKE rocketq.message);
CREATE TABLE wrong (a int);
CREATE TABLE wrong AS SELECT 1 AS a;
SELECT * INTO into_topic FROM selected;
SELECT count(*) FROM into_topic;
CREATE TEMP TABLE wrong (LIKE rocketq.message);
\echo :LAST_ERROR_SQLSTATE
CREATE TEMP TABLE wrong AS SELECT 1;
CREATE UNLOGGED TABLE wrong (LIKE rocketq.message);
\echo :LAST_ERROR_SQLSTATE
CREATE MATERIALIZED VIEW wrong AS SELECT 1 AS a;
\echo :LAST_ERROR_SQLSTATE
CREATE MATERIALIZED VIEW right_view USING heap AS SELECT count(*) FROM selected;
CREATE TEMP TABLE right_temp USING heap AS SELECT 1;
CREATE SEQUENCE right_sequence;
CREATE VIEW right_view_too AS SELECT 1;
RESET default_table_access_method;
SELECT to_regclass('wrong');
REFRESH MATERIALIZED VIEW right_view;
TABLE right_view;
DROP MATERIALIZED VIEW right_view;
DROP TABLE right_temp, dflt, into_topic, indexed, selected;
DROP SEQUENCE right_sequence;
DROP VIEW right_view_too;
DROP TABLE of_type;
DROP TYPE typ;

--
-- ALTER TABLE: what works
--
SELECT rocketq.create_topic('altered', 3);
SELECT count(rocketq.produce('altered', 'kept', tag => 't', queue_id => 1));
SELECT rocketq.create_group('altered', 'g');
ALTER TABLE altered RENAME TO renamed;
ALTER TABLE renamed SET SCHEMA public;
ALTER TABLE public.renamed SET SCHEMA ddl;
ALTER TABLE renamed RENAME TO altered;
CREATE ROLE regress_rocketq_owner;
GRANT CREATE ON SCHEMA ddl TO regress_rocketq_owner;
ALTER TABLE altered OWNER TO regress_rocketq_owner;
SELECT tableowner FROM pg_tables WHERE tablename = 'altered' AND schemaname = 'ddl';
ALTER TABLE altered OWNER TO current_user;
GRANT ALL ON altered TO regress_rocketq_owner WITH GRANT OPTION;
REVOKE ALL ON altered FROM regress_rocketq_owner CASCADE;
REVOKE ALL ON SCHEMA ddl FROM regress_rocketq_owner;
DROP ROLE regress_rocketq_owner;
COMMENT ON TABLE altered IS 'a topic';
COMMENT ON COLUMN altered.tag IS 'its tag';
SELECT obj_description('altered'::regclass, 'pg_class'), col_description('altered'::regclass, 4);
ALTER TABLE altered SET (fillfactor = 70, autovacuum_enabled = off);
ALTER TABLE altered RESET (fillfactor);
ALTER TABLE altered ALTER tag SET STATISTICS 10, ALTER tag SET (n_distinct = 5), ALTER body SET STORAGE EXTERNAL,
    ALTER body SET COMPRESSION pglz, ALTER tag SET DEFAULT 'd';
ALTER TABLE altered ALTER tag DROP DEFAULT;
ALTER TABLE altered ALTER tag SET NOT NULL;
ALTER TABLE altered ADD CONSTRAINT tagged CHECK (tag <> 'x');
ALTER TABLE altered ADD CONSTRAINT later CHECK (tag <> 'y') NOT VALID;
ALTER TABLE altered VALIDATE CONSTRAINT later;
ALTER TABLE altered RENAME CONSTRAINT later TO earlier;
ALTER TABLE altered DROP CONSTRAINT earlier, DROP CONSTRAINT tagged, ALTER tag DROP NOT NULL;
-- existing messages are checked
ALTER TABLE altered ADD CHECK (tag <> 't');
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE altered ALTER sharding_key SET NOT NULL;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE altered ADD COLUMN IF NOT EXISTS tag text;
ALTER TABLE altered ALTER tag TYPE text;
ALTER TABLE altered SET LOGGED;
ALTER TABLE altered SET ACCESS METHOD rocketq;
ALTER TABLE altered SET TABLESPACE pg_default;
ALTER TABLE altered SET WITHOUT CLUSTER;
ALTER TABLE altered REPLICA IDENTITY FULL, REPLICA IDENTITY DEFAULT;
ALTER TABLE altered ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE altered DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
ALTER TABLE altered OF rocketq.message;
ALTER TABLE altered NOT OF;
CREATE STATISTICS altered_stat ON tag, sharding_key FROM altered;
CREATE STATISTICS altered_stat_too ON (length(body)) FROM altered;
ANALYZE altered;
ANALYZE altered (tag);
DROP STATISTICS altered_stat, altered_stat_too;
VACUUM altered;
VACUUM (FREEZE, ANALYZE) altered;
REINDEX TABLE altered;
REINDEX TABLE CONCURRENTLY altered;
BEGIN;
LOCK TABLE altered IN SHARE MODE;
LOCK TABLE altered;
COMMIT;
SELECT queue_id, queue_offset, tag, rocketq.text(body) FROM altered;
SELECT queues, messages, groups FROM rocketq.topics WHERE topic = 'altered';

--
-- ALTER TABLE: what is refused
--
CREATE TABLE refused (command text, n serial);
INSERT INTO refused (command) VALUES
    ('ALTER TABLE altered ADD COLUMN more int'),
    ('ALTER TABLE altered ADD COLUMN more int GENERATED ALWAYS AS IDENTITY'),
    ('ALTER TABLE altered DROP COLUMN tag'),
    ('ALTER TABLE altered DROP COLUMN tag CASCADE'),
    ('ALTER TABLE altered RENAME COLUMN tag TO label'),
    ('ALTER TABLE altered ALTER tag TYPE varchar'),
    ('ALTER TABLE altered ALTER tag TYPE text USING upper(tag)'),
    ('ALTER TABLE altered ALTER delivery_attempt TYPE bigint'),
    ('ALTER TABLE altered ALTER message_id SET NOT NULL'),
    ('ALTER TABLE altered ALTER born_at SET DEFAULT now()'),
    ('ALTER TABLE altered SET UNLOGGED'),
    ('ALTER TABLE altered SET ACCESS METHOD heap'),
    ('ALTER TABLE plain SET ACCESS METHOD rocketq'),
    ('ALTER TABLE altered ADD PRIMARY KEY (tag)'),
    ('ALTER TABLE altered ADD UNIQUE (tag)'),
    ('ALTER TABLE altered ADD EXCLUDE USING btree (tag WITH =)'),
    ('ALTER TABLE altered ADD FOREIGN KEY (tag) REFERENCES keyed'),
    ('CREATE INDEX ON altered (tag)'),
    ('CREATE INDEX ON altered USING hash (tag)'),
    ('CREATE INDEX ON altered USING brin (message_id)'),
    ('CREATE INDEX ON altered USING gin (keys)'),
    ('CREATE INDEX ON altered ((lower(tag))) WHERE tag IS NOT NULL');
CREATE TABLE plain (LIKE rocketq.message);
CREATE TABLE keyed (tag text PRIMARY KEY);
CREATE FUNCTION outcome(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    hint text;
BEGIN
    EXECUTE command;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ': ' || message || CASE WHEN hint = '' THEN ', without a hint' ELSE '' END;
END $$;
TRUNCATE altered;
SELECT command, outcome(command) FROM refused ORDER BY n;
-- from 16 on the server itself refuses this, for every table
SELECT outcome('CREATE RULE "_RETURN" AS ON SELECT TO altered DO INSTEAD SELECT * FROM plain')
    ~ '^(0A000: topic "altered" cannot be turned into a view|42809: relation "altered" cannot have ON SELECT rules)' AS refused;
CREATE INDEX CONCURRENTLY ON altered (tag);
\echo :LAST_ERROR_SQLSTATE
VACUUM FULL altered;
\echo :LAST_ERROR_SQLSTATE
CLUSTER altered USING nothing;
SELECT count(*) FROM pg_index WHERE indrelid = 'altered'::regclass;
SELECT count(*) FROM pg_constraint WHERE conrelid = 'altered'::regclass;
SELECT count(*) FROM pg_class WHERE relname LIKE 'altered%';
-- a type that a topic has cannot change below it
CREATE TYPE typ AS (queue_id int, queue_offset bigint, message_id bigint, tag text, keys text[], sharding_key text,
    properties jsonb, born_at timestamptz, stored_at timestamptz, delivery_attempt int, body bytea);
ALTER TABLE altered OF typ;
ALTER TYPE typ ADD ATTRIBUTE more int;
ALTER TYPE typ ADD ATTRIBUTE more int CASCADE;
\echo :LAST_ERROR_SQLSTATE
ALTER TYPE typ DROP ATTRIBUTE tag CASCADE;
ALTER TYPE typ RENAME ATTRIBUTE tag TO label CASCADE;
ALTER TABLE altered NOT OF;
DROP TYPE typ;
-- after all of that it is still a topic
SELECT count(rocketq.produce('altered', 'still'));
SELECT rocketq.text(body) FROM rocketq.consume('altered', 'g');
DROP TABLE altered, refused, plain, keyed;
DROP FUNCTION outcome(text);

--
-- TRUNCATE
--
SELECT rocketq.create_topic('one', 1), rocketq.create_topic('two', 1);
CREATE TABLE three (id serial);
SELECT count(rocketq.produce(t, 'old', queue_id => 0)) FROM unnest('{one,two}'::regclass[]) t;
INSERT INTO three DEFAULT VALUES;
SELECT rocketq.text(body) FROM rocketq.consume('one', 'g', auto_commit => true);
BEGIN;
TRUNCATE one, two, three RESTART IDENTITY;
SELECT count(rocketq.produce('one', 'not kept'));
SELECT (SELECT count(*) FROM one) AS one, (SELECT count(*) FROM two) AS two;
ROLLBACK;
SELECT rocketq.text(body) FROM one UNION ALL SELECT rocketq.text(body) FROM two;
BEGIN;
INSERT INTO one (body) VALUES ('stays, too');
SAVEPOINT a;
TRUNCATE one;
INSERT INTO one (body) VALUES ('goes with the savepoint');
TRUNCATE one;
ROLLBACK TO a;
INSERT INTO one (body) VALUES ('stays');
COMMIT;
SELECT rocketq.text(body) FROM one ORDER BY queue_offset;
BEGIN;
INSERT INTO one (body) VALUES ('goes with TRUNCATE');
SAVEPOINT a;
TRUNCATE one, two RESTART IDENTITY CASCADE;
RELEASE a;
INSERT INTO one (body) VALUES ('stays');
SAVEPOINT b;
INSERT INTO one (body) VALUES ('goes');
ROLLBACK TO b;
COMMIT;
SELECT rocketq.text(body) FROM one;
SELECT count(*) FROM two;
SELECT rocketq.text(body) FROM rocketq.consume('one', 'g', auto_commit => true);
-- of one that is new
BEGIN;
CREATE TABLE fresh (LIKE rocketq.message) USING rocketq;
INSERT INTO fresh (body) VALUES ('1');
TRUNCATE fresh;
INSERT INTO fresh (body) VALUES ('2');
SAVEPOINT a;
TRUNCATE fresh;
INSERT INTO fresh (body) VALUES ('3');
ROLLBACK TO a;
INSERT INTO fresh (body) VALUES ('4');
COMMIT;
SELECT rocketq.text(body) FROM fresh ORDER BY message_id;
DROP TABLE one, two, three, fresh;

--
-- No tablespace contains a topic, or is kept by one.
--
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_rocketq LOCATION '';
CREATE VIEW places AS
    SELECT relname, reltablespace = 0 AS has_none, pg_relation_filepath(oid) LIKE 'base/%' AS in_base
    FROM pg_class WHERE relname LIKE 'placed%' ORDER BY relname;
CREATE TABLE placed (LIKE rocketq.message) USING rocketq TABLESPACE regress_rocketq;
SET default_tablespace = regress_rocketq;
CREATE TABLE placed_too (LIKE rocketq.message) USING rocketq;
SELECT rocketq.create_topic('placed_by_function', 2);
CREATE TABLE placed_copy USING rocketq AS SELECT * FROM placed;
CREATE TABLE placed_root (LIKE rocketq.message) PARTITION BY LIST (tag);
RESET default_tablespace;
CREATE TABLE placed_part PARTITION OF placed_root DEFAULT USING rocketq;
ALTER TABLE placed_root SET TABLESPACE pg_default;
SELECT * FROM places WHERE relname <> 'placed_root';
SELECT count(rocketq.produce('placed', 'x', queue_id => 0));
-- moving it does nothing, whatever else is done to it
SELECT pg_relation_filenode('placed') AS filenode \gset
ALTER TABLE placed SET TABLESPACE regress_rocketq;
ALTER TABLE placed SET TABLESPACE pg_default;
ALTER TABLE placed SET TABLESPACE regress_rocketq, ALTER COLUMN body SET STORAGE EXTERNAL;
BEGIN;
ALTER TABLE placed SET TABLESPACE regress_rocketq;
SELECT count(rocketq.produce('placed', 'y', queue_id => 0));
SAVEPOINT a;
ALTER TABLE placed SET TABLESPACE regress_rocketq;
ROLLBACK TO a;
SELECT count(rocketq.produce('placed', 'z', queue_id => 0));
COMMIT;
SELECT rocketq.text(body) FROM placed ORDER BY queue_offset;
SELECT pg_relation_filenode('placed') = :filenode AS keeps_its_file;
BEGIN;
ALTER TABLE placed SET TABLESPACE regress_rocketq;
TRUNCATE placed;
SELECT count(rocketq.produce('placed', 'after'));
ALTER TABLE placed SET TABLESPACE regress_rocketq;
ROLLBACK;
SELECT pg_relation_filenode('placed') = :filenode AS keeps_its_file, count(*) FROM placed;
BEGIN;
TRUNCATE placed;
ALTER TABLE placed SET TABLESPACE regress_rocketq;
SELECT count(rocketq.produce('placed', 'after'));
COMMIT;
SELECT rocketq.text(body) FROM placed;
TRUNCATE placed;
SELECT count(rocketq.produce('placed', 'y'));
SELECT rocketq.text(body) FROM placed;
-- everything in a tablespace, including topics
CREATE SCHEMA placed_here;
CREATE TABLE placed_here.plain (a int);
SET client_min_messages = warning;
ALTER TABLE ALL IN TABLESPACE pg_default OWNED BY CURRENT_USER SET TABLESPACE regress_rocketq;
SELECT count(*) FROM pg_class JOIN pg_tablespace t ON t.oid = reltablespace
WHERE spcname = 'regress_rocketq' AND relam = (SELECT oid FROM pg_am WHERE amname = 'rocketq');
SELECT spcname FROM pg_class c JOIN pg_tablespace t ON t.oid = reltablespace WHERE c.oid = 'placed_here.plain'::regclass;
ALTER TABLE ALL IN TABLESPACE regress_rocketq SET TABLESPACE pg_default;
ALTER INDEX ALL IN TABLESPACE regress_rocketq SET TABLESPACE pg_default;
RESET client_min_messages;
SELECT * FROM places WHERE relname <> 'placed_root';
SELECT rocketq.text(body) FROM placed;
DROP TABLESPACE regress_rocketq;
RESET allow_in_place_tablespaces;
DROP TABLE placed_here.plain;
DROP SCHEMA placed_here;
DROP TABLE placed, placed_too, placed_by_function, placed_copy, placed_root CASCADE;
DROP VIEW places;

--
-- Rolled back: nothing is left in the catalog or in the store.
--
BEGIN;
CREATE TABLE gone (LIKE rocketq.message) USING rocketq;
INSERT INTO gone (body) VALUES ('x');
ROLLBACK;
BEGIN;
SAVEPOINT a;
CREATE TABLE gone (LIKE rocketq.message) USING rocketq;
INSERT INTO gone (body) VALUES ('x');
ROLLBACK TO a;
CREATE TABLE stays (LIKE rocketq.message) USING rocketq;
INSERT INTO stays (body) VALUES ('x');
SAVEPOINT b;
DROP TABLE stays;
ROLLBACK TO b;
SAVEPOINT c;
ALTER TABLE stays RENAME TO other;
CREATE INDEX ON other (tag);
ROLLBACK TO c;
COMMIT;
DO $$
BEGIN
    FOR i IN 1..5 LOOP
        BEGIN
            EXECUTE format('CREATE TABLE many%s (LIKE rocketq.message) USING rocketq', i);
            EXECUTE format('INSERT INTO many%s (body) VALUES (%L)', i, i);
            IF i % 2 = 1 THEN PERFORM 1 / 0; END IF;
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
    END LOOP;
END $$;
TABLE topics ORDER BY relname;
SELECT (SELECT rocketq.text(body) FROM stays), (SELECT rocketq.text(body) FROM many2), (SELECT rocketq.text(body) FROM many4);
-- created and dropped, with messages in between
BEGIN;
CREATE TABLE gone (LIKE rocketq.message) USING rocketq;
INSERT INTO gone (body) VALUES ('x');
DROP TABLE gone;
INSERT INTO stays (body) VALUES ('y');
DROP TABLE many2;
COMMIT;
TABLE topics ORDER BY relname;
SELECT count(*) FROM stays;

RESET rocketq.default_queues;
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA ddl CASCADE;
RESET client_min_messages;
SELECT * FROM rocketq.verify();

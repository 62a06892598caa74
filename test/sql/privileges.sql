-- Who may do what: INSERT produces, SELECT reads and consumes, the owner
-- administers, pg_monitor watches.

-- roles may be left from an earlier run that failed
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_rocketq_owner, regress_rocketq_producer, regress_rocketq_consumer,
    regress_rocketq_nobody, regress_rocketq_monitor;
RESET client_min_messages;
CREATE ROLE regress_rocketq_owner;
CREATE ROLE regress_rocketq_producer;
CREATE ROLE regress_rocketq_consumer;
CREATE ROLE regress_rocketq_nobody;
CREATE ROLE regress_rocketq_monitor IN ROLE pg_monitor;
CREATE SCHEMA guarded AUTHORIZATION regress_rocketq_owner;
GRANT USAGE ON SCHEMA guarded TO PUBLIC;

-- no superuser is needed
SET SESSION AUTHORIZATION regress_rocketq_owner;
SELECT rocketq.create_topic('guarded.topic', 1);
GRANT INSERT ON guarded.topic TO regress_rocketq_producer;
GRANT SELECT ON guarded.topic TO regress_rocketq_consumer;
-- the owner has all rights
SELECT count(rocketq.produce('guarded.topic', 'from the owner'));
SELECT rocketq.create_group('guarded.topic', 'g');
SELECT rocketq.text(body) FROM rocketq.consume('guarded.topic', 'g', auto_commit => true);
SELECT rocketq.reset_offset('guarded.topic', 'g', 'first');
RESET SESSION AUTHORIZATION;

-- Every call there is, and who may make it.
CREATE TABLE calls (n serial, call text);
INSERT INTO calls (call) VALUES
    ('rocketq.produce(''guarded.topic'', ''m'')'),
    ('rocketq.produce(''guarded.topic'', ''m''::bytea)'),
    ('rocketq.produce(''guarded.topic'', ''1''::jsonb)'),
    ('rocketq.produce(''guarded.topic'', ''m'', transactional => false)'),
    ('rocketq.produce_batch(''guarded.topic'', ARRAY[''m''])'),
    ('rocketq.consume(''guarded.topic'', ''g'')'),
    ('rocketq.consume(''guarded.topic'', ''a new group'')'),
    ('rocketq.pull(''guarded.topic'', 0, 0)'),
    ('rocketq.commit_offset(''guarded.topic'', ''g'')'),
    ('rocketq.commit_offset(''guarded.topic'', ''g'', 0, 0)'),
    ('rocketq.committed_offset(''guarded.topic'', ''g'', 0)'),
    ('rocketq.min_offset(''guarded.topic'', 0)'),
    ('rocketq.max_offset(''guarded.topic'', 0)'),
    ('rocketq.offset_at(''guarded.topic'', 0, now())'),
    ('rocketq.create_group(''guarded.topic'', ''h'')'),
    ('rocketq.reset_offset(''guarded.topic'', ''g'', ''first'')'),
    ('rocketq.reset_offset(''guarded.topic'', ''g'', now())'),
    ('rocketq.reset_offset(''guarded.topic'', ''g'', 0, 0)'),
    ('rocketq.drop_group(''guarded.topic'', ''g'')'),
    ('rocketq.drop_topic(''guarded.topic'')'),
    ('rocketq.create_topic(''guarded.other'')'),
    ('rocketq.text(''a'')'),
    ('count(*) FROM rocketq.verify()'),
    ('count(*) FROM rocketq.topics'),
    ('count(*) FROM rocketq.queues'),
    ('count(*) FROM rocketq.groups'),
    ('count(*) FROM rocketq.segments'),
    ('count(*) FROM rocketq.workers'),
    ('count(*) FROM rocketq.get_queues()'),
    ('count(*) FROM rocketq.get_groups()'),
    ('count(*) FROM rocketq.get_segments()'),
    ('count(*) FROM rocketq.get_workers()');
-- 'yes', or why not; what is allowed is undone
CREATE FUNCTION may(role text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    done constant text := 'done and to be undone';
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    EXECUTE 'SELECT ' || call;
    RAISE EXCEPTION '%', done;
EXCEPTION
    WHEN raise_exception THEN
        RETURN CASE SQLERRM WHEN done THEN 'yes' ELSE SQLERRM END;
    WHEN insufficient_privilege THEN
        RETURN 'no';
END $$;
SELECT call, may('regress_rocketq_owner', call) AS owner, may('regress_rocketq_producer', call) AS producer,
       may('regress_rocketq_consumer', call) AS consumer, may('regress_rocketq_nobody', call) AS nobody,
       may('regress_rocketq_monitor', call) AS monitor
FROM calls ORDER BY n;
SELECT count(*) FROM rocketq.groups WHERE topic = 'guarded.topic'::regclass AND consumer_group IN ('g', 'h');

-- how it is said
SET ROLE regress_rocketq_nobody;
SELECT rocketq.produce('guarded.topic', 'm');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.consume('guarded.topic', 'g');
SELECT rocketq.drop_topic('guarded.topic');
SELECT rocketq.create_group('guarded.topic', 'h');
SELECT * FROM rocketq.verify();
SELECT * FROM rocketq.topics;
-- whether there is such a group is nobody's business
SELECT rocketq.committed_offset('guarded.topic', 'no such group', 0);
RESET ROLE;

-- rights on the table hold for SQL, too
SET ROLE regress_rocketq_producer;
INSERT INTO guarded.topic (body) VALUES ('inserted');
SELECT count(*) FROM guarded.topic;
SET ROLE regress_rocketq_consumer;
SELECT count(*) > 0 AS some FROM guarded.topic;
INSERT INTO guarded.topic (body) VALUES ('inserted');
TRUNCATE guarded.topic;
RESET ROLE;
-- rights on columns are not enough for the functions
GRANT INSERT (body), SELECT (body) ON guarded.topic TO regress_rocketq_nobody;
SELECT call, may('regress_rocketq_nobody', call) AS nobody FROM calls WHERE n IN (1, 6, 8) ORDER BY n;

-- A function with its owner's rights passes them on.
CREATE FUNCTION guarded.order_placed(id int) RETURNS boolean LANGUAGE sql SECURITY DEFINER
    AS $$ SELECT rocketq.produce('guarded.topic', 'order ' || id) > 0 $$;
ALTER FUNCTION guarded.order_placed(int) OWNER TO regress_rocketq_owner;
SET ROLE regress_rocketq_nobody;
SELECT guarded.order_placed(7);
RESET ROLE;

-- A role that may not create in the schema may not create topics there.
SET ROLE regress_rocketq_nobody;
SELECT rocketq.create_topic('guarded.other');
RESET ROLE;

-- Settings that only a superuser may change.
SET ROLE regress_rocketq_nobody;
SET rocketq.max_message_size = 2048;
SET rocketq.default_queues = 2;
RESET ROLE;

-- A role without schema USAGE does not get through by an OID.
REVOKE USAGE ON SCHEMA guarded FROM PUBLIC;
SET ROLE regress_rocketq_consumer;
SELECT count(*) FROM rocketq.pull('guarded.topic', 0, 0);
RESET ROLE;

DROP FUNCTION may(text, text);
DROP TABLE calls;
SET client_min_messages = warning;
DROP SCHEMA guarded CASCADE;
RESET client_min_messages;
DROP ROLE regress_rocketq_owner, regress_rocketq_producer, regress_rocketq_consumer, regress_rocketq_nobody,
    regress_rocketq_monitor;
SELECT * FROM rocketq.verify();

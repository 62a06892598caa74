-- Privileges: INSERT produces, SELECT reads and consumes, the owner
-- administers, pg_monitor monitors.

-- roles may be left over from an earlier run that failed
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

-- Every call, and who may make it.
CREATE TABLE calls (n serial, call text);
INSERT INTO calls (call) VALUES
    ('rocketq.produce(''guarded.topic'', ''m'')'),
    ('rocketq.produce(''guarded.topic'', ''m''::bytea)'),
    ('rocketq.produce(''guarded.topic'', ''1''::jsonb)'),
    ('rocketq.produce(''guarded.topic'', ''m'', transactional => false)'),
    ('rocketq.produce_batch(''guarded.topic'', ARRAY[''m''])'),
    ('rocketq.produce_batch(''guarded.topic'', ARRAY[''1'']::jsonb[])'),
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
    ('rocketq.create_group(''guarded.topic'', ''h'', now())'),
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
    ('count(*) FROM rocketq.group_totals'),
    ('count(*) FROM rocketq.disk'),
    ('count(*) FROM rocketq.slots'),
    ('count(*) FROM rocketq.segments'),
    ('count(*) FROM rocketq.workers'),
    ('count(*) FROM rocketq.get_topics()'),
    ('count(*) FROM rocketq.get_queues()'),
    ('count(*) FROM rocketq.get_groups()'),
    ('count(*) FROM rocketq.get_group_totals()'),
    ('count(*) FROM rocketq.get_disk()'),
    ('count(*) FROM rocketq.get_slots()'),
    ('count(*) FROM rocketq.get_segments()'),
    ('count(*) FROM rocketq.get_workers()');
-- 'yes', or why not; what is allowed is rolled back
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
SELECT count(*) FROM rocketq.groups WHERE topic = 'guarded.topic' AND consumer_group IN ('g', 'h');

-- The views show a topic to those who may read its messages, and everything to
-- pg_monitor.
SELECT rocketq.create_topic('others_topic', 2);
SELECT rocketq.create_group('others_topic', 'g');
CREATE FUNCTION seen(role text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v text;
    found text;
    result text := '';
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    FOREACH v IN ARRAY ARRAY['topics', 'queues', 'groups'] LOOP
        EXECUTE format($q$SELECT string_agg(DISTINCT topic, ' ' ORDER BY topic) FROM rocketq.%s
            WHERE topic IN ('guarded.topic', 'others_topic')$q$, v) INTO found;
        result := format('%s%s: %s; ', result, v, coalesce(found, 'none'));
        -- nor do their functions return more
        EXECUTE format($q$SELECT count(*) FILTER (WHERE v IS NULL OR NOT v = ANY (SELECT DISTINCT topic_oid FROM rocketq.%s))
            FROM (SELECT f.database, c.oid FROM rocketq.get_%s() f
                  LEFT JOIN pg_class c ON c.relfilenode = f.relfilenode AND f.database =
                      (SELECT oid FROM pg_database WHERE datname = current_database())) x(d, v)$q$, v, v) INTO found;
        result := result || CASE WHEN found = '0' OR role LIKE '%monitor' THEN '' ELSE 'and more; ' END;
    END LOOP;
    RESET ROLE;
    RETURN result;
END $$;
SELECT r.role, seen('regress_rocketq_' || role) FROM unnest(ARRAY['owner', 'producer', 'consumer', 'nobody', 'monitor']) r(role);
GRANT SELECT ON others_topic TO PUBLIC;
SELECT seen('regress_rocketq_consumer'), seen('regress_rocketq_nobody');
REVOKE SELECT ON others_topic FROM PUBLIC;
GRANT SELECT (body) ON others_topic TO regress_rocketq_nobody;
SELECT seen('regress_rocketq_nobody');
-- a role that cannot read all rows, because of the schema or row security,
-- sees nothing of it
GRANT SELECT ON others_topic TO PUBLIC;
REVOKE USAGE ON SCHEMA guarded FROM PUBLIC;
ALTER TABLE others_topic ENABLE ROW LEVEL SECURITY;
SELECT r.role, seen('regress_rocketq_' || role) FROM unnest(ARRAY['owner', 'consumer', 'monitor']) r(role);
ALTER TABLE others_topic DISABLE ROW LEVEL SECURITY;
GRANT USAGE ON SCHEMA guarded TO PUBLIC;
SELECT seen('regress_rocketq_consumer');
-- a SECURITY DEFINER function sees what its owner may see
CREATE FUNCTION guarded.lag() RETURNS numeric LANGUAGE sql SECURITY DEFINER
    AS $$ SELECT sum(lag) FROM rocketq.groups WHERE topic_oid = 'guarded.topic'::regclass $$;
ALTER FUNCTION guarded.lag() OWNER TO regress_rocketq_owner;
SET ROLE regress_rocketq_nobody;
SELECT guarded.lag() > 0 AS lag;
RESET ROLE;
DROP FUNCTION seen(text);
DROP TABLE others_topic;

-- the error messages
SET ROLE regress_rocketq_nobody;
SELECT rocketq.produce('guarded.topic', 'm');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.consume('guarded.topic', 'g');
SELECT rocketq.drop_topic('guarded.topic');
SELECT rocketq.create_group('guarded.topic', 'h');
SELECT * FROM rocketq.verify();
SELECT * FROM rocketq.workers;
-- the error does not reveal whether there is such a group
SELECT rocketq.committed_offset('guarded.topic', 'no such group', 0);
RESET ROLE;

-- privileges on the table apply to SQL, too
SET ROLE regress_rocketq_producer;
INSERT INTO guarded.topic (body) VALUES ('inserted');
SELECT count(*) FROM guarded.topic;
SET ROLE regress_rocketq_consumer;
SELECT count(*) > 0 AS some FROM guarded.topic;
INSERT INTO guarded.topic (body) VALUES ('inserted');
TRUNCATE guarded.topic;
RESET ROLE;
-- privileges on columns are not enough for the functions
GRANT INSERT (body), SELECT (body) ON guarded.topic TO regress_rocketq_nobody;
SELECT call, may('regress_rocketq_nobody', call) AS nobody FROM calls WHERE n IN (1, 7, 9) ORDER BY n;

-- A SECURITY DEFINER function works with its owner's privileges.
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

-- A role without USAGE of the schema is refused, by OID as well as by name,
-- and so is the topic's owner.
GRANT INSERT ON guarded.topic TO regress_rocketq_consumer;
REVOKE USAGE ON SCHEMA guarded FROM PUBLIC;
SELECT 'guarded.topic'::regclass::oid AS topic \gset
SET ROLE regress_rocketq_consumer;
SELECT count(*) FROM rocketq.pull('guarded.topic', 0, 0);
SELECT count(*) FROM rocketq.pull(:topic, 0, 0);
SELECT rocketq.produce(:topic, 'm');
SELECT rocketq.committed_offset(:topic, 'g', 0);
INSERT INTO guarded.topic (body) VALUES ('m');
-- its dumps contain no such topics, nor topics of which it sees only some rows
SELECT topic FROM rocketq.dump_groups() WHERE topic ~ 'guarded';
RESET ROLE;
ALTER SCHEMA guarded OWNER TO CURRENT_USER;
REVOKE ALL ON SCHEMA guarded FROM regress_rocketq_owner;
SET ROLE regress_rocketq_owner;
SELECT rocketq.alter_topic(:topic, 2);
SELECT rocketq.drop_topic(:topic);
SELECT rocketq.create_group(:topic, 'h');
RESET ROLE;
GRANT USAGE ON SCHEMA guarded TO regress_rocketq_consumer;
SET ROLE regress_rocketq_consumer;
SELECT topic, consumer_group FROM rocketq.dump_groups() WHERE topic ~ 'guarded';
RESET ROLE;
ALTER TABLE guarded.topic ENABLE ROW LEVEL SECURITY;
SET ROLE regress_rocketq_consumer;
SELECT topic, consumer_group FROM rocketq.dump_groups() WHERE topic ~ 'guarded';
RESET ROLE;
SELECT topic, consumer_group FROM rocketq.dump_groups() WHERE topic ~ 'guarded';

DROP FUNCTION may(text, text);
DROP TABLE calls;
SET client_min_messages = warning;
DROP SCHEMA guarded CASCADE;
RESET client_min_messages;
DROP ROLE regress_rocketq_owner, regress_rocketq_producer, regress_rocketq_consumer, regress_rocketq_nobody,
    regress_rocketq_monitor;
SELECT * FROM rocketq.verify();

--
-- The number of a topic's queues: alter_topic() and the label that keeps it.
--
\set VERBOSITY default
CREATE VIEW number_of_queues AS
    SELECT t.topic, t.queues, l.label FROM rocketq.topics t
        LEFT JOIN pg_seclabel l ON l.objoid = t.topic_oid AND l.provider = 'rocketq';
CREATE FUNCTION settled() RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
    n bigint := (SELECT ticks FROM rocketq.workers WHERE worker = 'janitor');
BEGIN
    -- The janitor takes back the slots of removed queues.
    FOR i IN 1 .. 600 LOOP
        IF (SELECT ticks FROM rocketq.workers WHERE worker = 'janitor') >= n + 2 THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.05);
    END LOOP;
    RETURN false;
END $$;

-- Every way of creating a topic leaves the label.
SELECT rocketq.create_topic('alt', 4);
CREATE TABLE alt_table (LIKE rocketq.message) USING rocketq;
SET rocketq.default_queues = 3;
CREATE TABLE alt_as USING rocketq AS SELECT * FROM alt;
RESET rocketq.default_queues;
SELECT * FROM number_of_queues ORDER BY topic;
DROP TABLE alt_table, alt_as;
SELECT count(*) FROM pg_seclabel WHERE provider = 'rocketq';

-- Growth.
SELECT count(rocketq.produce('alt', 'm' || i, queue_id => i % 4)) FROM generate_series(1, 8) i;
SELECT rocketq.create_group('alt', 'g');
SELECT rocketq.alter_topic('alt', queues => 6);
SELECT * FROM number_of_queues;
SELECT count(rocketq.produce('alt', 'new', queue_id => 5));
SELECT queue_id, committed_offset, lag FROM rocketq.groups ORDER BY queue_id;
SELECT rocketq.alter_topic('alt', 6);

-- It follows the transaction, and savepoints.
BEGIN;
SELECT rocketq.alter_topic('alt', 9);
SELECT count(rocketq.produce('alt', 'never', queue_id => 8));
SELECT * FROM number_of_queues;
ROLLBACK;
SELECT * FROM number_of_queues;
SELECT rocketq.produce('alt', 'never', queue_id => 8);
-- A non-transactional message would be removed with its queue.
BEGIN;
SELECT rocketq.alter_topic('alt', 9);
SELECT rocketq.produce('alt', 'never', queue_id => 8, transactional => false);
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT rocketq.alter_topic('alt', 9);
ROLLBACK TO s;
SELECT rocketq.alter_topic('alt', retention_time => '1 h');
SELECT count(rocketq.produce('alt', 'at once', queue_id => 5, transactional => false));
ROLLBACK;
SELECT rocketq.text(body) FROM rocketq.pull('alt', 5, 1);
-- invalid times, and times without a unit
SELECT rocketq.alter_topic('alt', retention_time => 'forever');
SELECT rocketq.alter_topic('alt', retention_time => '-2 s');
SELECT rocketq.create_topic('timed', 1);
SELECT rocketq.alter_topic('timed', retention_time => '5');
SELECT retention_time FROM rocketq.topics WHERE topic = 'timed';
SELECT rocketq.alter_topic('timed', retention_time => '0');
SELECT retention_time FROM rocketq.topics WHERE topic = 'timed';
-- The same as values of several types, as parameters of any or none, and what is none.
CREATE DOMAIN days AS interval;
CREATE VIEW kept AS SELECT retention_time FROM rocketq.topics WHERE topic = 'timed';
SELECT rocketq.alter_topic('timed', retention_time => interval '3 days 1 s');
SELECT * FROM kept;
SELECT rocketq.alter_topic('timed', retention_time => '2 days'::days);
SELECT * FROM kept;
SELECT rocketq.alter_topic('timed', retention_time => 3600);
SELECT * FROM kept;
SELECT rocketq.alter_topic('timed', NULL, 1.5);
SELECT * FROM kept;
SELECT rocketq.alter_topic('timed', retention_time => -1);
SELECT * FROM kept;
SELECT rocketq.alter_topic('timed', retention_time => 'default'::varchar);
SELECT * FROM kept;
SELECT rocketq.alter_topic('timed', 2, '1 month');
SELECT * FROM kept;
PREPARE untyped AS SELECT rocketq.alter_topic('timed', $1, $2);
EXECUTE untyped(3, '5 h');
SELECT * FROM kept;
EXECUTE untyped(NULL, '-1');
SELECT * FROM kept;
PREPARE typed(interval, double precision) AS
    SELECT rocketq.alter_topic('timed', retention_time => $1), rocketq.alter_topic('timed', retention_time => $2);
EXECUTE typed('5 h', 7);
SELECT * FROM kept;
SELECT rocketq.alter_topic('timed', retention_time => interval '-1 day');
SELECT rocketq.alter_topic('timed', retention_time => interval '100 years');
SELECT rocketq.alter_topic('timed', retention_time => -2);
SELECT rocketq.alter_topic('timed', retention_time => 'NaN'::float8);
SELECT rocketq.alter_topic('timed', retention_time => 1e300);
SELECT rocketq.alter_topic('timed', retention_time => true);
SELECT rocketq.alter_topic('timed', retention_time => ARRAY[interval '1 day']);
SELECT rocketq.alter_topic('timed', retention_time => now());
SELECT rocketq.alter_topic('timed', retention_time => NULL::interval);
SELECT rocketq.alter_topic('timed', NULL, NULL);
SELECT rocketq.alter_topic('timed');
SELECT * FROM kept;
DROP VIEW kept;
DROP DOMAIN days;
SELECT rocketq.drop_topic('timed');
BEGIN;
SELECT rocketq.alter_topic('alt', 8);
SAVEPOINT s;
SELECT rocketq.alter_topic('alt', 20);
SELECT rocketq.create_group('alt', 'made meanwhile');
SELECT count(rocketq.produce('alt', 'never', queue_id => 19));
ROLLBACK TO s;
SELECT * FROM number_of_queues;
SELECT rocketq.produce('alt', 'never', queue_id => 19);
ROLLBACK TO s;
SELECT count(rocketq.produce('alt', 'late', queue_id => 7));
SELECT rocketq.create_group('alt', 'h');
COMMIT;
SELECT * FROM number_of_queues;
SELECT queue_id, rocketq.text(body) FROM alt WHERE queue_id > 3 ORDER BY 1;
SELECT consumer_group, count(*), sum(lag) FROM rocketq.groups GROUP BY 1 ORDER BY 1;

-- Fewer: not while a group may need messages in them.
SELECT rocketq.alter_topic('alt', 7);
SELECT count(*) FROM rocketq.consume('alt', 'g', auto_commit => true);
SELECT rocketq.alter_topic('alt', 7);
SELECT rocketq.drop_group('alt', 'h');
BEGIN;
SELECT rocketq.alter_topic('alt', 5);
SELECT count(*) FROM alt;
ROLLBACK;
SELECT count(*) FROM alt;
BEGIN;
SELECT count(rocketq.produce('alt', 'mine', queue_id => 6));
SELECT rocketq.alter_topic('alt', 5);
ROLLBACK;
SELECT settled();
SELECT rocketq.alter_topic('alt', 2);
SELECT * FROM number_of_queues;
SELECT count(*), max(queue_id) FROM alt;
SELECT settled();
SELECT rocketq.alter_topic('alt', 4);
SELECT queue_id, min_offset, max_offset FROM rocketq.queues ORDER BY 1;
SELECT count(rocketq.produce('alt', 'again', queue_id => 3));
SELECT queue_id, queue_offset, rocketq.text(body) FROM rocketq.consume('alt', 'g');
-- Without a group, everything is unconsumed.
SELECT rocketq.drop_group('alt', 'g');
SELECT rocketq.alter_topic('alt', 3);

-- In the transaction that creates it, and with TRUNCATE.
BEGIN;
SELECT rocketq.create_topic('alt2', 2);
SELECT rocketq.alter_topic('alt2', 5);
SAVEPOINT s;
SELECT rocketq.alter_topic('alt2', 1);
ROLLBACK TO s;
TRUNCATE alt2;
SELECT count(rocketq.produce('alt2', 'm', queue_id => 4));
COMMIT;
SELECT * FROM number_of_queues ORDER BY topic;
TRUNCATE alt2;
SELECT rocketq.alter_topic('alt2', 1);
SELECT * FROM number_of_queues ORDER BY topic;

-- Refused.
SELECT rocketq.alter_topic('alt', 0);
SELECT rocketq.alter_topic('alt', 65536);
SET rocketq.max_queues_per_topic = 65535;
\set VERBOSITY terse
SELECT rocketq.alter_topic('alt', 65535);
\set VERBOSITY default
RESET rocketq.max_queues_per_topic;
SELECT rocketq.alter_topic('alt', NULL);
SELECT rocketq.alter_topic(NULL, 4);
SELECT rocketq.alter_topic('pg_class', 4);
CREATE ROLE regress_alter_topic;
GRANT ALL ON alt TO regress_alter_topic;
SET ROLE regress_alter_topic;
SELECT rocketq.alter_topic('alt', 5);
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=5';
RESET ROLE;
BEGIN READ ONLY;
SELECT rocketq.alter_topic('alt', 5);
ROLLBACK;
BEGIN;
SELECT rocketq.alter_topic('alt', 5);
PREPARE TRANSACTION 'alt';
SELECT * FROM number_of_queues WHERE topic = 'alt';

-- The label by hand, as a dump does it.
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=7';
SELECT * FROM number_of_queues WHERE topic = 'alt';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=0';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=070';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=99999999999999999999';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'color=red';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=7, color=red';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=7, queues=7';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=7,';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues';
SECURITY LABEL FOR rocketq ON TABLE alt IS '';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'retention_time=60s';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=7, retention_time=60';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=7, retention_time=-2';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=7, retention_time=2147483648s';
SECURITY LABEL FOR rocketq ON TABLE alt IS NULL;
-- The order does not matter, nor do blanks around a setting.
SECURITY LABEL FOR rocketq ON TABLE alt IS ' retention_time=3600s,queues=7 ';
SELECT queues, retention_time FROM rocketq.topics WHERE topic_oid = 'alt'::regclass;
TRUNCATE alt;
SELECT queues, retention_time FROM rocketq.topics WHERE topic_oid = 'alt'::regclass;
SELECT rocketq.alter_topic('alt', queues => 8);
SELECT * FROM number_of_queues WHERE topic = 'alt';
SECURITY LABEL FOR rocketq ON TABLE alt IS 'queues=7';
SELECT queues, retention_time FROM rocketq.topics WHERE topic_oid = 'alt'::regclass;
SECURITY LABEL FOR rocketq ON COLUMN alt.body IS 'queues=7';
SECURITY LABEL FOR rocketq ON TABLE pg_class IS 'queues=7';
SECURITY LABEL FOR rocketq ON SCHEMA rocketq IS 'queues=7';
SELECT * FROM number_of_queues WHERE topic = 'alt';

SELECT * FROM rocketq.verify();
DROP TABLE alt, alt2;
DROP FUNCTION settled;
DROP VIEW number_of_queues;
DROP ROLE regress_alter_topic;

-- What a sample has in it: something of everything that a store can keep.

CREATE EXTENSION rocketq;

-- Before each topic, so that whoever creates it again has OIDs to spare for its types.
CREATE FUNCTION more_oids() RETURNS bigint LANGUAGE sql
    RETURN (SELECT count(lo_create(0)) FROM generate_series(1, 5));

-- Older than retention allows: the log and queues do not start at 0.
SELECT more_oids();
SELECT rocketq.create_topic('old', 2);
SELECT count(rocketq.produce('old', repeat('old ', 10000) || i)) FROM generate_series(1, 60) i;
SELECT rocketq.create_group('old', 'behind', 'last');

-- Extents of all sizes: a queue for each.
SELECT more_oids();
SELECT rocketq.create_topic('sizes', 4);
SELECT rocketq.alter_topic('sizes', retention_time => -1);
SELECT rocketq.create_group('sizes', 'all');
SELECT count(rocketq.produce('sizes', i::text, queue_id => 0)) FROM generate_series(1, 3) i;
SELECT count(rocketq.produce('sizes', i::text, queue_id => 1)) FROM generate_series(1, 40) i;
SELECT count(rocketq.produce('sizes', i::text, queue_id => 2)) FROM generate_series(1, 150) i;
SELECT count(rocketq.produce('sizes', i::text, queue_id => 3)) FROM generate_series(1, 1030) i;
SELECT count(*) FROM rocketq.consume('sizes', 'half', 100, auto_commit => true);

-- All parts of a message, in all kinds of transactions.
SELECT more_oids();
SELECT rocketq.create_topic('parts', 2);
SELECT rocketq.alter_topic('parts', retention_time => -1);
SELECT rocketq.create_group('parts', 'gr' || U&'\00FC' || 'n');
SELECT rocketq.create_group('parts', 'dropped');
SELECT rocketq.produce('parts', 'plain');
SELECT rocketq.produce('parts', 'all', 'tag', ARRAY['key 1', 'key 2'], '{"p": [1, null, "x"]}', 'sharding');
SELECT rocketq.produce('parts', '\x00ff'::bytea, tag => U&'\00E9t\00E9');
SELECT rocketq.produce('parts', '{"json": 1}'::jsonb);
SELECT rocketq.produce('parts', 'not transactional', transactional => false);
BEGIN;
SELECT rocketq.produce('parts', 'rolled back', queue_id => 0);
ROLLBACK;
BEGIN;
SELECT rocketq.produce('parts', 'before the savepoint', queue_id => 1);
SAVEPOINT s;
SELECT rocketq.produce('parts', 'after the savepoint', queue_id => 1);
ROLLBACK TO s;
COMMIT;
BEGIN;
SELECT rocketq.produce('parts', 'not transactional, rolled back', transactional => false);
ROLLBACK;
SELECT rocketq.produce('parts', repeat('long ', 50000));
INSERT INTO parts (tag, body) VALUES ('inserted', 'x');
INSERT INTO parts SELECT * FROM sizes WHERE queue_id = 0;
SELECT count(*) FROM rocketq.consume('parts', 'reader', 3, auto_commit => true);
SELECT rocketq.drop_group('parts', 'dropped');

-- Topics that have changed, and one that is gone.
SELECT more_oids();
SELECT rocketq.create_topic('altered', 2);
SELECT rocketq.alter_topic('altered', retention_time => '30 days');
SELECT rocketq.produce('altered', 'a', queue_id => 1);
SELECT rocketq.alter_topic('altered', queues => 5, retention_time => '20000 days');
SELECT rocketq.create_group('altered', 'later');
SELECT rocketq.produce('altered', 'b', queue_id => 4);
SELECT more_oids();
SELECT rocketq.create_topic('emptied', 3);
SELECT rocketq.alter_topic('emptied', retention_time => -1);
SELECT rocketq.produce('emptied', 'a');
SELECT rocketq.create_group('emptied', 'kept');
TRUNCATE emptied;
SELECT rocketq.produce('emptied', 'b', queue_id => 2);
SELECT more_oids();
SELECT rocketq.create_topic('gone', 2);
SELECT count(rocketq.produce('gone', i::text)) FROM generate_series(1, 100) i;
DROP TABLE gone;
SELECT more_oids();
SELECT rocketq.create_topic('never_used', 1);

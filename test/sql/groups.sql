-- Consumer groups: creating, dropping and moving them, and their offsets.

SELECT rocketq.create_topic('grouped', 2);
SELECT count(rocketq.produce('grouped', 'm' || i, queue_id => i % 2)) FROM generate_series(0, 9) i;
CREATE FUNCTION stands(consumer_group text) RETURNS bigint[] LANGUAGE sql AS
$$ SELECT array_agg(rocketq.committed_offset('grouped', consumer_group, q) ORDER BY q)
   FROM generate_series(0, 1) q $$;
CREATE VIEW names AS
    SELECT consumer_group, count(*) AS queues FROM rocketq.groups WHERE topic = 'grouped'
    GROUP BY 1 ORDER BY 1;

--
-- create_group
--
SELECT rocketq.create_group('grouped', 'default');
SELECT rocketq.create_group('grouped', 'first', 'first');
SELECT rocketq.create_group('grouped', 'last', 'last');
SELECT rocketq.create_group('grouped', 'First', 'FIRST');
SELECT stands('default') AS "default", stands('first') AS "first", stands('last') AS "last", stands('First') AS "First";
SELECT * FROM names;
-- at a time: the first message stored at that time or later
SELECT stored_at AS third FROM rocketq.pull('grouped', 0, 0, 1) \gset
SELECT rocketq.create_group('grouped', 'at the first', :'third');
SELECT rocketq.create_group('grouped', 'long ago', '1999-12-31 23:59:59 UTC');
SELECT rocketq.create_group('grouped', 'ages ago', '-infinity');
SELECT rocketq.create_group('grouped', 'to come', 'infinity');
SELECT stands('at the first') AS "at the first", stands('long ago') AS "long ago", stands('ages ago') AS "ages ago",
       stands('to come') AS "to come";
-- all groups see later messages
SELECT count(rocketq.produce('grouped', 'later', queue_id => 0));
SELECT count(*) FROM rocketq.consume('grouped', 'last');
SELECT count(*) FROM rocketq.consume('grouped', 'to come');
-- refused
SELECT rocketq.create_group('grouped', 'first');
SELECT rocketq.create_group('grouped', 'wrong', 'middle');
SELECT rocketq.create_group('grouped', 'wrong', NULL);
SELECT rocketq.create_group('grouped', '');
SELECT rocketq.create_group('grouped', NULL);
-- groups belong to their topic
SELECT rocketq.create_topic('grouped_too', 1);
SELECT rocketq.create_group('grouped_too', 'first');
SELECT rocketq.committed_offset('grouped_too', 'first', 0);
SELECT rocketq.committed_offset('grouped_too', 'last', 0);
SELECT rocketq.drop_topic('grouped_too');

--
-- drop_group
--
SELECT rocketq.drop_group('grouped', 'First');
SELECT rocketq.drop_group('grouped', 'at the first');
SELECT rocketq.drop_group('grouped', 'long ago');
SELECT rocketq.drop_group('grouped', 'ages ago');
SELECT rocketq.drop_group('grouped', 'to come');
SELECT * FROM names;
SELECT stands('First');
SELECT rocketq.drop_group('grouped', 'First');
SELECT rocketq.drop_group('grouped', NULL);
-- its offsets are forgotten: a group with the same name is a new one
SELECT count(*) FROM rocketq.consume('grouped', 'default', auto_commit => true);
SELECT stands('default');
SELECT rocketq.drop_group('grouped', 'default');
SELECT rocketq.create_group('grouped', 'default');
SELECT stands('default');
-- in the middle of consuming
BEGIN;
SELECT count(*) FROM rocketq.consume('grouped', 'default', auto_commit => true);
SELECT rocketq.drop_group('grouped', 'default');
SELECT rocketq.commit_offset('grouped', 'default');
ROLLBACK;
SELECT stands('default');
BEGIN;
SELECT count(*) FROM rocketq.consume('grouped', 'default', auto_commit => true);
SELECT rocketq.drop_group('grouped', 'default');
COMMIT;
SELECT * FROM names;

--
-- Both are part of the transaction.
--
BEGIN;
SELECT rocketq.create_group('grouped', 'created');
SELECT stands('created');
SELECT count(*) FROM rocketq.consume('grouped', 'created', 3, auto_commit => true);
ROLLBACK;
SELECT stands('created');
BEGIN;
SELECT rocketq.create_group('grouped', 'created', 'last');
COMMIT;
SELECT stands('created');
BEGIN;
SELECT rocketq.drop_group('grouped', 'created');
SELECT * FROM names;
ROLLBACK;
SELECT stands('created');
BEGIN;
SELECT rocketq.drop_group('grouped', 'created');
SELECT rocketq.drop_group('grouped', 'created');
ROLLBACK;
-- dropped and created anew
BEGIN;
SELECT rocketq.drop_group('grouped', 'created');
SELECT rocketq.create_group('grouped', 'created');
SELECT stands('created');
ROLLBACK;
SELECT stands('created');
SELECT * FROM names;
BEGIN;
SELECT rocketq.drop_group('grouped', 'created');
SELECT rocketq.create_group('grouped', 'created');
COMMIT;
SELECT stands('created');
SELECT * FROM names;
-- dropped, and created anew by consuming
SELECT rocketq.reset_offset('grouped', 'created', 'last');
BEGIN;
SELECT rocketq.drop_group('grouped', 'created');
SELECT count(*) FROM rocketq.consume('grouped', 'created');
ROLLBACK;
SELECT * FROM names;
SELECT stands('created');
BEGIN;
SELECT rocketq.drop_group('grouped', 'created');
SELECT count(*) FROM rocketq.consume('grouped', 'created', auto_commit => true);
COMMIT;
SELECT * FROM names;
SELECT stands('created');
-- created and dropped
BEGIN;
SELECT rocketq.create_group('grouped', 'brief');
SELECT rocketq.drop_group('grouped', 'brief');
SELECT * FROM names;
SELECT rocketq.create_group('grouped', 'brief', 'last');
SELECT rocketq.drop_group('grouped', 'brief');
COMMIT;
SELECT * FROM names;
-- savepoints
BEGIN;
SAVEPOINT a;
SELECT rocketq.create_group('grouped', 'saved');
ROLLBACK TO a;
SELECT * FROM names;
SELECT rocketq.create_group('grouped', 'saved', 'last');
SAVEPOINT b;
SELECT rocketq.drop_group('grouped', 'saved');
ROLLBACK TO b;
SELECT stands('saved');
SAVEPOINT c;
SELECT rocketq.drop_group('grouped', 'created');
SAVEPOINT d;
SELECT rocketq.create_group('grouped', 'created', 'last');
ROLLBACK TO c;
SELECT stands('created');
COMMIT;
SELECT * FROM names;
BEGIN;
SAVEPOINT a;
SELECT rocketq.drop_group('grouped', 'saved');
RELEASE a;
SAVEPOINT b;
SELECT rocketq.create_group('grouped', 'saved');
SELECT count(*) FROM rocketq.consume('grouped', 'saved', 3, auto_commit => true);
RELEASE b;
COMMIT;
SELECT (SELECT sum(o) FROM unnest(stands('saved')) o);
BEGIN;
SAVEPOINT a;
SELECT rocketq.create_group('grouped', 'of a savepoint');
SELECT rocketq.drop_group('grouped', 'of a savepoint');
ROLLBACK TO a;
SELECT rocketq.create_group('grouped', 'of a savepoint');
SAVEPOINT b;
SELECT rocketq.drop_group('grouped', 'of a savepoint');
SAVEPOINT c;
ROLLBACK TO c;
RELEASE b;
COMMIT;
SELECT * FROM names;
-- a group and its topic in one transaction
BEGIN;
SELECT rocketq.create_topic('grouped_new', 1);
SELECT rocketq.create_group('grouped_new', 'g');
COMMIT;
SELECT rocketq.committed_offset('grouped_new', 'g', 0);
BEGIN;
SELECT rocketq.drop_group('grouped_new', 'g');
SELECT rocketq.drop_topic('grouped_new');
COMMIT;
BEGIN;
SAVEPOINT a;
SELECT rocketq.create_topic('grouped_new', 1);
SELECT rocketq.create_group('grouped_new', 'g');
ROLLBACK TO a;
-- let the janitor run
DO $$
DECLARE
    rounds bigint := (SELECT ticks FROM rocketq.workers WHERE worker = 'janitor');
BEGIN
    WHILE (SELECT ticks FROM rocketq.workers WHERE worker = 'janitor') < rounds + 2 LOOP
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;
COMMIT;
SELECT * FROM names;

-- a commit that fails at its very end
BEGIN;
CREATE TEMP TABLE parent (id int PRIMARY KEY) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE child (id int REFERENCES parent);
SELECT rocketq.create_group('grouped', 'failed');
SELECT rocketq.drop_group('grouped', 'saved');
SELECT rocketq.reset_offset('grouped', 'created', 'first');
COMMIT;
SELECT * FROM names;
SELECT stands('created');
SELECT rocketq.drop_group('grouped', 'saved');

--
-- reset_offset
--
SELECT rocketq.create_group('grouped', 'reset', 'last');
SELECT stands('reset');
SELECT rocketq.reset_offset('grouped', 'reset', 'first');
SELECT stands('reset');
SELECT rocketq.reset_offset('grouped', 'reset', 'last');
SELECT stands('reset');
SELECT rocketq.reset_offset('grouped', 'reset', 0, 3);
SELECT stands('reset');
SELECT rocketq.reset_offset('grouped', 'reset', '2000-01-01 00:00 UTC');
SELECT stands('reset');
SELECT rocketq.reset_offset('grouped', 'reset', now());
SELECT stands('reset');
SELECT rocketq.reset_offset('grouped', 'reset', (SELECT stored_at FROM rocketq.pull('grouped', 0, 5, 1)));
SELECT stands('reset');
SELECT rocketq.reset_offset('grouped', 'reset', '-infinity'::timestamptz);
SELECT stands('reset');
-- part of the transaction; what it consumes starts there
BEGIN;
SELECT rocketq.reset_offset('grouped', 'reset', 0, 4);
SELECT stands('reset');
SELECT min(queue_offset) FROM rocketq.consume('grouped', 'reset') WHERE queue_id = 0;
ROLLBACK;
SELECT stands('reset');
BEGIN;
SELECT count(*) FROM rocketq.consume('grouped', 'reset');
SELECT rocketq.reset_offset('grouped', 'reset', 'first');
SELECT count(*) FROM rocketq.consume('grouped', 'reset');
SAVEPOINT a;
SELECT rocketq.reset_offset('grouped', 'reset', 'last');
ROLLBACK TO a;
SELECT rocketq.reset_offset('grouped', 'reset', 1, 2);
COMMIT;
SELECT stands('reset');
-- refused
SELECT rocketq.reset_offset('grouped', 'reset', 0, -1);
SELECT rocketq.reset_offset('grouped', 'reset', 0, 7);
SELECT rocketq.reset_offset('grouped', 'reset', 2, 0);
SELECT rocketq.reset_offset('grouped', 'reset', 'yesterday at noon or so');
SELECT rocketq.reset_offset('grouped', 'nobody', 'first');
SELECT rocketq.reset_offset('grouped', 'nobody', now());
SELECT rocketq.reset_offset('grouped', 'nobody', 0, 0);
SELECT rocketq.reset_offset('grouped', 'reset', NULL::text);
SELECT rocketq.reset_offset('grouped', 'reset', NULL::timestamptz);
SELECT rocketq.reset_offset('grouped', 'reset', 0, NULL);
SELECT stands('reset');

--
-- commit_offset of one queue
--
SELECT rocketq.create_group('grouped', 'explicit');
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 2);
SELECT stands('explicit');
-- its current offset is fine
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 2);
-- neither backwards nor past the end
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 1);
SELECT rocketq.commit_offset('grouped', 'explicit', 0, -1);
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 7);
SELECT rocketq.commit_offset('grouped', 'explicit', 1, 6);
SELECT rocketq.commit_offset('grouped', 'explicit', 2, 0);
SELECT rocketq.commit_offset('grouped', 'explicit', -1, 0);
SELECT rocketq.commit_offset('grouped', 'explicit', NULL, 0);
SELECT rocketq.commit_offset('grouped', 'explicit', 0, NULL);
SELECT rocketq.commit_offset('grouped', 'nobody', 0, 0);
SELECT rocketq.commit_offset('grouped', 'nobody');
SELECT stands('explicit');
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 6);
SELECT stands('explicit');
-- messages of this transaction are not in the queue yet
BEGIN;
SELECT count(rocketq.produce('grouped', 'uncommitted', queue_id => 0));
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 7);
ROLLBACK;
-- within one transaction
SELECT rocketq.reset_offset('grouped', 'explicit', 'first');
BEGIN;
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 2);
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 4);
SAVEPOINT a;
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 3);
ROLLBACK TO a;
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 5);
ROLLBACK TO a;
COMMIT;
SELECT stands('explicit');
-- message by message, and part of a batch
BEGIN;
SELECT array_agg(queue_offset ORDER BY queue_offset) FROM rocketq.consume('grouped', 'explicit') WHERE queue_id = 1;
SELECT rocketq.commit_offset('grouped', 'explicit', 1, 3);
COMMIT;
SELECT stands('explicit');
-- a later commit of all that was consumed does not take back an explicit one
SELECT rocketq.reset_offset('grouped', 'explicit', 'first');
BEGIN;
SELECT count(*) FROM rocketq.consume('grouped', 'explicit', 1);
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 4);
SELECT rocketq.commit_offset('grouped', 'explicit', 1, 4);
SELECT rocketq.commit_offset('grouped', 'explicit');
COMMIT;
SELECT stands('explicit');
-- consuming continues after what was committed
BEGIN;
SELECT rocketq.commit_offset('grouped', 'explicit', 0, 5);
SELECT queue_id, array_agg(queue_offset ORDER BY queue_offset) FROM rocketq.consume('grouped', 'explicit') GROUP BY 1 ORDER BY 1;
ROLLBACK;

--
-- Looking up offsets
--
SELECT q, rocketq.min_offset('grouped', q), rocketq.max_offset('grouped', q) FROM generate_series(0, 1) q;
SELECT rocketq.min_offset('grouped', 2);
SELECT rocketq.max_offset('grouped', -1);
SELECT rocketq.max_offset('grouped', NULL);
SELECT rocketq.committed_offset('grouped', 'explicit', 2);
SELECT rocketq.committed_offset('grouped', 'nobody', 0);
SELECT rocketq.committed_offset('grouped', NULL, 0);
-- messages of one transaction have the same time, or ascending times
SELECT rocketq.create_topic('timed', 1);
SELECT count(rocketq.produce('timed', 'one'));
SELECT count(rocketq.produce('timed', 'two'));
SELECT count(rocketq.produce('timed', 'three'));
SELECT queue_offset, rocketq.offset_at('timed', 0, stored_at) AS at_its_time,
       rocketq.offset_at('timed', 0, stored_at + '1 us') AS just_behind
FROM rocketq.pull('timed', 0, 0);
SELECT rocketq.offset_at('timed', 0, '-infinity'), rocketq.offset_at('timed', 0, 'infinity');
SELECT rocketq.offset_at('timed', 0, NULL);
SELECT rocketq.offset_at('timed', 1, now());
SELECT rocketq.drop_topic('timed');

DROP VIEW names;
DROP FUNCTION stands(text);
SELECT rocketq.drop_topic('grouped');
SELECT * FROM rocketq.verify();

-- Consuming with a group: what is delivered, in which order, and when the
-- group moves on.

SELECT rocketq.create_topic('consumed', 3);
-- ten messages in each queue, with three tags in turn and then none
SELECT count(rocketq.produce('consumed', 'm' || i, tag => (ARRAY['paid', 'shipped', 'lost'])[i % 4], queue_id => q))
FROM generate_series(0, 9) i, generate_series(0, 2) q;

-- What a call delivers, per queue; queues come in any order.
CREATE FUNCTION got(consumer_group text, max_messages int DEFAULT 32, tags text DEFAULT '*',
                    auto_commit bool DEFAULT false, OUT queue_id int, OUT offsets bigint[], OUT bodies text[])
    RETURNS SETOF record LANGUAGE sql AS
$$ SELECT queue_id, array_agg(queue_offset ORDER BY n), array_agg(rocketq.text(body) ORDER BY n)
   FROM rocketq.consume('consumed', consumer_group, max_messages, tags, auto_commit) WITH ORDINALITY
        AS m(queue_id, queue_offset, message_id, tag, keys, sharding_key, properties, born_at, stored_at,
             delivery_attempt, body, n)
   GROUP BY queue_id ORDER BY queue_id $$;
-- The offsets of the group.
CREATE FUNCTION stands(consumer_group text) RETURNS bigint[] LANGUAGE sql AS
$$ SELECT array_agg(rocketq.committed_offset('consumed', consumer_group, q) ORDER BY q)
   FROM generate_series(0, 2) q $$;

-- All columns of a message.
BEGIN;
SELECT queue_offset, message_id IN (SELECT message_id FROM rocketq.pull('consumed', m.queue_id, 0)) AS id, tag,
       keys, sharding_key, properties, born_at <= stored_at AS times, delivery_attempt, body
FROM rocketq.consume('consumed', 'columns', 2) m ORDER BY queue_id, queue_offset;
ROLLBACK;

--
-- The group moves only with COMMIT after commit_offset().
--
BEGIN;
SELECT * FROM got('g');
SELECT stands('g');
COMMIT;
SELECT stands('g');

BEGIN;
SELECT count(*) FROM rocketq.consume('consumed', 'g');
SELECT rocketq.commit_offset('consumed', 'g');
-- not moved yet, as far as others can see
SELECT stands('g');
ROLLBACK;
SELECT stands('g');

BEGIN;
SELECT count(*) FROM rocketq.consume('consumed', 'g');
SELECT rocketq.commit_offset('consumed', 'g') AS queues;
COMMIT;
SELECT stands('g');
SELECT * FROM got('g');

-- Other groups are not affected; a group's name is taken literally.
BEGIN;
SELECT sum(cardinality(offsets)) FROM got('G');
SELECT sum(cardinality(offsets)) FROM got('ein Käufer, "quoted"');
ROLLBACK;

--
-- max_messages, and calls that continue where the last one of the transaction
-- ended.
--
BEGIN;
SELECT count(*), count(DISTINCT (queue_id, queue_offset)) AS different
FROM (SELECT * FROM rocketq.consume('consumed', 'max', 1)
      UNION ALL SELECT * FROM rocketq.consume('consumed', 'max', 4)
      UNION ALL SELECT * FROM rocketq.consume('consumed', 'max', 11)
      UNION ALL SELECT * FROM rocketq.consume('consumed', 'max')
      UNION ALL SELECT * FROM rocketq.consume('consumed', 'max')) m;
SELECT rocketq.commit_offset('consumed', 'max') AS queues;
COMMIT;
SELECT stands('max');

-- The default is 32.
SELECT rocketq.create_topic('many', 1);
SELECT count(*) FROM rocketq.produce_batch('many', (SELECT array_agg(i::text) FROM generate_series(1, 100) i));
SELECT count(*), min(queue_offset), max(queue_offset) FROM rocketq.consume('many', 'g');
SELECT count(*), min(queue_offset), max(queue_offset) FROM rocketq.consume('many', 'g', 1000000);
-- A batch that is not committed is delivered again; the committed part is not.
BEGIN;
SELECT count(*), max(queue_offset) FROM rocketq.consume('many', 'part', 10);
SELECT rocketq.commit_offset('many', 'part');
SELECT count(*), max(queue_offset) FROM rocketq.consume('many', 'part', 10);
COMMIT;
SELECT rocketq.committed_offset('many', 'part', 0);
SELECT count(*), min(queue_offset) FROM rocketq.consume('many', 'part', 1);
SELECT rocketq.drop_topic('many');

-- Nothing consumed, nothing committed.
BEGIN;
SELECT rocketq.commit_offset('consumed', 'max');
COMMIT;
-- A transaction does not commit what an earlier one consumed.
SELECT count(*) FROM rocketq.consume('consumed', 'forgotten', 5);
SELECT rocketq.commit_offset('consumed', 'forgotten');
-- it warns of that, but not in a query of a function or block, nor where the
-- statement itself consumes
CREATE FUNCTION commit_forgotten() RETURNS int LANGUAGE plpgsql
    AS $$ BEGIN RETURN (SELECT rocketq.commit_offset('consumed', 'forgotten')); END $$;
SELECT commit_forgotten();
DO $$ BEGIN PERFORM rocketq.commit_offset('consumed', 'forgotten'); END $$;
SELECT rocketq.create_group('consumed', 'at the end', 'last');
SELECT rocketq.commit_offset('consumed', 'at the end') FROM (SELECT count(*) FROM rocketq.consume('consumed', 'at the end')) c;
SELECT rocketq.drop_group('consumed', 'at the end');
BEGIN;
SELECT rocketq.commit_offset('consumed', 'forgotten');
COMMIT;
DROP FUNCTION commit_forgotten;
SELECT stands('forgotten');

--
-- auto_commit.
--
SELECT sum(cardinality(offsets)) FROM got('auto', 12, auto_commit => true);
SELECT (SELECT sum(o) FROM unnest(stands('auto')) o) AS committed;
BEGIN;
SELECT sum(cardinality(offsets)) FROM got('auto', 5, auto_commit => true);
ROLLBACK;
SELECT (SELECT sum(o) FROM unnest(stands('auto')) o) AS committed;
BEGIN;
SELECT sum(cardinality(offsets)) FROM got('auto', 5, auto_commit => true);
SELECT sum(cardinality(offsets)) FROM got('auto', 100, auto_commit => true);
COMMIT;
SELECT stands('auto');
SELECT * FROM got('auto', auto_commit => true);

--
-- Filters.  What does not match is skipped for good.
--
BEGIN;
SELECT * FROM got('filter', tags => 'paid');
SELECT rocketq.commit_offset('consumed', 'filter') AS queues;
COMMIT;
SELECT stands('filter');
SELECT * FROM got('filter');
BEGIN;
SELECT * FROM got('either', tags => 'paid || lost');
ROLLBACK;
BEGIN;
SELECT * FROM got('either', tags => '  lost||paid  ||  paid');
ROLLBACK;
BEGIN;
SELECT sum(cardinality(offsets)) FROM got('either', tags => '*');
ROLLBACK;
BEGIN;
SELECT sum(cardinality(offsets)) FROM got('either', tags => NULL);
ROLLBACK;
-- tags are compared literally
SELECT * FROM got('either', tags => 'Paid || pai || paidx');
SELECT stands('either');
-- max_messages counts what matches
BEGIN;
SELECT sum(cardinality(offsets)) FROM got('few', 4, 'shipped');
ROLLBACK;
-- nothing matches: the group moves anyway
BEGIN;
SELECT * FROM got('none', tags => 'no such tag');
SELECT rocketq.commit_offset('consumed', 'none') AS queues;
COMMIT;
SELECT stands('none');
-- a filter may change within a transaction, and applies to what is still ahead
BEGIN;
SELECT sum(cardinality(offsets)) AS paid FROM got('change', tags => 'paid');
SELECT sum(cardinality(offsets)) AS all FROM got('change');
ROLLBACK;
-- two tags with the same hash are different tags
SELECT rocketq.create_topic('tagged', 1);
SELECT count(rocketq.produce('tagged', tag, tag => tag)) FROM unnest('{tag15566,tag66554,tag15566}'::text[]) tag;
SELECT queue_offset, tag FROM rocketq.consume('tagged', 'g', tags => 'tag66554');
SELECT queue_offset, tag FROM rocketq.pull('tagged', 0, 0, tags => 'tag15566');
-- over several lines
SELECT count(*) FROM rocketq.pull('tagged', 0, 0, tags => E'tag15566 ||\n\ttag1\n');
SELECT rocketq.drop_topic('tagged');
-- malformed ones
SELECT * FROM got('bad', tags => '');
SELECT * FROM got('bad', tags => 'a || ');
SELECT * FROM got('bad', tags => 'a | b');
SELECT * FROM got('bad', tags => 'a ||| b');
SELECT * FROM got('bad', tags => 'a || *');
-- the refused calls have not created the group
SELECT rocketq.committed_offset('consumed', 'bad', 0);

--
-- Savepoints give back what was consumed after them.
--
BEGIN;
SELECT count(*) FROM rocketq.consume('consumed', 'save', 10);
SAVEPOINT a;
SELECT count(*) FROM rocketq.consume('consumed', 'save', 15);
SELECT rocketq.commit_offset('consumed', 'save') > 0 AS committed;
ROLLBACK TO a;
SELECT count(*) FROM rocketq.consume('consumed', 'save', 100);
ROLLBACK TO a;
SELECT rocketq.commit_offset('consumed', 'save') > 0 AS committed;
COMMIT;
SELECT (SELECT sum(o) FROM unnest(stands('save')) o) AS committed;
-- a commit that is rolled back to a savepoint
BEGIN;
SELECT count(*) FROM rocketq.consume('consumed', 'save', 100);
SAVEPOINT a;
SELECT rocketq.commit_offset('consumed', 'save') > 0 AS committed;
ROLLBACK TO a;
COMMIT;
SELECT (SELECT sum(o) FROM unnest(stands('save')) o) AS committed;
-- released savepoints keep what they consumed
BEGIN;
SAVEPOINT a;
SELECT count(*) FROM rocketq.consume('consumed', 'save', 5);
SAVEPOINT b;
SELECT count(*) FROM rocketq.consume('consumed', 'save', 5, auto_commit => true);
RELEASE b;
RELEASE a;
SAVEPOINT c;
SELECT count(*) FROM rocketq.consume('consumed', 'save', 5, auto_commit => true);
ROLLBACK TO c;
COMMIT;
SELECT (SELECT sum(o) FROM unnest(stands('save')) o) AS committed;
-- the first consume of the transaction is what is rolled back
BEGIN;
SAVEPOINT a;
SELECT count(*) FROM rocketq.consume('consumed', 'save', 100);
SELECT rocketq.commit_offset('consumed', 'save') > 0 AS committed;
ROLLBACK TO a;
SELECT rocketq.commit_offset('consumed', 'save') AS queues;
COMMIT;
SELECT (SELECT sum(o) FROM unnest(stands('save')) o) AS committed;

-- A handler that fails on some messages: an exception block per batch.
CREATE TABLE handled (body text);
CREATE FUNCTION handle(fail_at text, OUT rounds int, OUT errors int) LANGUAGE plpgsql AS $$
DECLARE
    found int;
BEGIN
    rounds := 0;
    errors := 0;
    LOOP
        BEGIN
            WITH batch AS (SELECT * FROM rocketq.consume('consumed', 'handler', 4)),
                 kept AS (INSERT INTO handled SELECT queue_id || '/' || rocketq.text(body) FROM batch RETURNING body)
            SELECT count(*) INTO found FROM kept;
            EXIT WHEN found = 0;
            PERFORM rocketq.commit_offset('consumed', 'handler');
            IF EXISTS (SELECT FROM handled WHERE body = fail_at) THEN
                RAISE EXCEPTION 'cannot handle %', fail_at;
            END IF;
            rounds := rounds + 1;
        EXCEPTION WHEN raise_exception THEN
            errors := errors + 1;
            EXIT WHEN errors = 3;
        END;
    END LOOP;
END $$;
-- stops before the bad batch, three times over
SELECT errors FROM handle('1/m5');
SELECT count(*) = (SELECT sum(o) FROM unnest(stands('handler')) o) AS in_step, count(DISTINCT body) = count(*) AS once,
       count(*) < 30 AS part
FROM handled;
-- and continues from there
SELECT errors FROM handle('');
SELECT count(*), count(DISTINCT body) FROM handled;
SELECT stands('handler');
DROP FUNCTION handle(text);
DROP TABLE handled;

-- A consumer that commits after each batch.
CREATE PROCEDURE drain(INOUT batches int, INOUT messages int) LANGUAGE plpgsql AS $$
DECLARE
    n int;
BEGIN
    LOOP
        SELECT count(*) INTO n FROM rocketq.consume('consumed', 'drain', 7, auto_commit => true);
        EXIT WHEN n = 0;
        batches := batches + 1;
        messages := messages + n;
        COMMIT;
    END LOOP;
END $$;
CALL drain(0, 0);
SELECT stands('drain');
DROP PROCEDURE drain(int, int);

-- A commit that fails at its very end gives the messages back, and leaves
-- empty places in the queue that consumers skip.
BEGIN;
CREATE TEMP TABLE parent (id int PRIMARY KEY) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE child (id int REFERENCES parent);
SELECT * FROM got('fails', 4, auto_commit => true) \g /dev/null
SELECT count(rocketq.produce('consumed', 'lost', queue_id => 1));
COMMIT;
SELECT stands('fails');
SELECT count(rocketq.produce('consumed', 'behind the gap', queue_id => 1));
BEGIN;
SELECT count(*) FROM rocketq.consume('consumed', 'fails', 100);
SELECT * FROM got('drain');
SELECT rocketq.commit_offset('consumed', 'drain') AS queues;
COMMIT;
SELECT stands('drain');
-- nothing but empty places
BEGIN;
CREATE TEMP TABLE parent (id int PRIMARY KEY) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE child (id int REFERENCES parent);
SELECT count(rocketq.produce('consumed', 'lost', queue_id => 1));
COMMIT;
SELECT * FROM got('drain', auto_commit => true);
SELECT stands('drain');

-- Consume from a topic into which the same transaction produces: only earlier,
-- committed messages.
BEGIN;
SELECT count(rocketq.produce('consumed', 'mine', queue_id => 0));
SELECT * FROM got('drain');
COMMIT;
SELECT * FROM got('drain', auto_commit => true);

-- Pass messages on: consume and produce in one transaction.
SELECT rocketq.create_topic('passed_on', 1);
BEGIN;
SELECT count(rocketq.produce('passed_on', rocketq.text(body))) FROM rocketq.consume('consumed', 'pass', 100, auto_commit => true);
ROLLBACK;
SELECT stands('pass'), rocketq.max_offset('passed_on', 0);
BEGIN;
SELECT count(rocketq.produce('passed_on', rocketq.text(body))) FROM rocketq.consume('consumed', 'pass', 100, auto_commit => true);
COMMIT;
SELECT stands('pass'), rocketq.max_offset('passed_on', 0);
SELECT rocketq.drop_topic('passed_on');

-- An unknown group starts from 'first', in the topic's own transaction, too.
BEGIN;
SELECT rocketq.create_topic('fresh', 1);
SELECT * FROM rocketq.consume('fresh', 'g', auto_commit => true);
SELECT count(rocketq.produce('fresh', 'm'));
COMMIT;
SELECT queue_offset, rocketq.text(body) FROM rocketq.consume('fresh', 'g', auto_commit => true);
SELECT rocketq.committed_offset('fresh', 'g', 0);
SELECT * FROM rocketq.consume('fresh', 'g');
SELECT rocketq.drop_topic('fresh');

-- LIMIT has no effect on the call: everything that it returned is consumed.
BEGIN;
SELECT count(*) FROM (SELECT * FROM rocketq.consume('consumed', 'limit', 100, auto_commit => true) LIMIT 2) m;
COMMIT;
SELECT stands('limit');

-- Locks are those of the queues that were read, until the end of the transaction.
SELECT rocketq.create_topic('locked', 2);
SELECT count(rocketq.produce('locked', 'm', queue_id => 1));
BEGIN;
SELECT count(*) FROM rocketq.consume('locked', 'g');
SELECT queue_id, owner_pid = pg_backend_pid() AS own FROM rocketq.groups WHERE topic = 'locked' ORDER BY 1;
SAVEPOINT a;
ROLLBACK TO a;
SELECT queue_id, owner_pid = pg_backend_pid() AS own FROM rocketq.groups WHERE topic = 'locked' ORDER BY 1;
COMMIT;
SELECT queue_id, owner_pid FROM rocketq.groups WHERE topic = 'locked' ORDER BY 1;
BEGIN;
SAVEPOINT a;
SELECT count(*) FROM rocketq.consume('locked', 'g');
ROLLBACK TO a;
SELECT queue_id, owner_pid FROM rocketq.groups WHERE topic = 'locked' ORDER BY 1;
COMMIT;
SELECT rocketq.drop_topic('locked');

DROP FUNCTION got(text, int, text, bool), stands(text);
SELECT rocketq.drop_topic('consumed');
SELECT * FROM rocketq.verify();

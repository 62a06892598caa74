-- Pulling: reading a queue from an offset on, for no group.

SELECT rocketq.create_topic('pulled', 2);
SELECT count(*) FROM rocketq.produce_batch('pulled', (SELECT array_agg('m' || i ORDER BY i) FROM generate_series(0, 39) i),
                                           queue_id => 0);
SELECT count(rocketq.produce('pulled', 't' || i, tag => CASE WHEN i % 3 = 0 THEN 'third' WHEN i % 5 = 0 THEN 'fifth' END,
                             queue_id => 1))
FROM generate_series(0, 19) i;

-- from an offset on, in order, 32 by default
SELECT count(*), min(queue_offset), max(queue_offset),
       array_agg(queue_offset) = array_agg(queue_offset ORDER BY queue_offset) AS in_order
FROM rocketq.pull('pulled', 0, 0);
SELECT queue_id, queue_offset, rocketq.text(body) FROM rocketq.pull('pulled', 0, 38);
SELECT queue_id, queue_offset, rocketq.text(body) FROM rocketq.pull('pulled', 0, 10, 2);
-- again and again
SELECT queue_id, queue_offset, rocketq.text(body) FROM rocketq.pull('pulled', 0, 10, 2);
-- at the end and past it
SELECT * FROM rocketq.pull('pulled', 0, 40);
SELECT * FROM rocketq.pull('pulled', 0, 9223372036854775807);
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.pull('pulled', 0, 41);
SELECT * FROM rocketq.pull('pulled', 0, 41, wait => '1 s');
-- filtered
SELECT array_agg(queue_offset) FROM rocketq.pull('pulled', 1, 0, tags => 'third');
SELECT array_agg(queue_offset) FROM rocketq.pull('pulled', 1, 0, tags => 'fifth || third');
SELECT array_agg(queue_offset) FROM rocketq.pull('pulled', 1, 4, 3, 'fifth || third');
SELECT array_agg(queue_offset) FROM rocketq.pull('pulled', 1, 0, tags => 'fourth');
-- what it delivers is not counted
SELECT queue_offset, delivery_attempt FROM rocketq.pull('pulled', 0, 0, 1);

-- It moves no group and creates none.
SELECT count(*) FROM rocketq.groups WHERE topic = 'pulled';

-- It sees what is committed when it runs, whatever the snapshot.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM rocketq.pull('pulled', 1, 20);
SELECT count(rocketq.produce('pulled', 'at once', queue_id => 1, transactional => false));
SELECT queue_offset, rocketq.text(body) FROM rocketq.pull('pulled', 1, 20);
COMMIT;

-- It works in a read-only transaction, as on a standby.
BEGIN READ ONLY;
SELECT queue_offset, rocketq.text(body) FROM rocketq.pull('pulled', 1, 20);
COMMIT;

-- A loop continues after the last message, forever; when the topic is
-- truncated, it gets an error, before it could skip messages that it has not
-- seen.
SELECT rocketq.create_topic('pulled_on', 1);
CREATE TABLE place AS SELECT 0::bigint AS next;
CREATE FUNCTION go_on() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    read text;
    detail text;
BEGIN
    WITH m AS (SELECT m.* FROM place, rocketq.pull('pulled_on', 0, next, 2) m),
         moved AS (UPDATE place SET next = m.next FROM (SELECT max(queue_offset) + 1 AS next FROM m) m WHERE m.next > 0)
    SELECT string_agg(rocketq.text(body), ' ' ORDER BY queue_offset) INTO read FROM m;
    RETURN coalesce(read, 'nothing');
EXCEPTION WHEN invalid_row_count_in_result_offset_clause THEN
    GET STACKED DIAGNOSTICS detail = pg_exception_detail;
    UPDATE place SET next = rocketq.min_offset('pulled_on', 0);
    RETURN detail;
END $$;
SELECT go_on();
SELECT count(rocketq.produce('pulled_on', 'm' || i)) FROM generate_series(1, 3) i;
SELECT go_on(), go_on(), go_on();
BEGIN;
SELECT count(rocketq.produce('pulled_on', 'm4'));
SELECT go_on();
COMMIT;
SELECT go_on(), go_on();
TRUNCATE pulled_on;
SELECT go_on(), go_on();
SELECT count(rocketq.produce('pulled_on', 'new'));
SELECT go_on(), go_on();
SELECT rocketq.drop_topic('pulled_on');
DROP TABLE place;

-- All queues in one statement; a page after the other.
SELECT q AS queue_id, count(*) FROM generate_series(0, 1) q, rocketq.pull('pulled', q, 0, 100000) GROUP BY 1 ORDER BY 1;
WITH RECURSIVE page AS (
    SELECT 0::bigint AS next, 0::bigint AS got
    UNION ALL
    SELECT (SELECT max(queue_offset) + 1 FROM rocketq.pull('pulled', 0, page.next, 15)),
           (SELECT count(*) FROM rocketq.pull('pulled', 0, page.next, 15))
    FROM page WHERE page.next IS NOT NULL
)
SELECT next, got FROM page;

-- wrong arguments
SELECT * FROM rocketq.pull('pulled', 2, 0);
SELECT * FROM rocketq.pull('pulled', -1, 0);
SELECT * FROM rocketq.pull('pulled', 0, -1);
SELECT * FROM rocketq.pull('pulled', 0, 0, 0);
SELECT * FROM rocketq.pull('pulled', 0, 0, -1);
SELECT * FROM rocketq.pull('pulled', 0, 0, 1000001);
SELECT * FROM rocketq.pull('pulled', 0, NULL);
SELECT * FROM rocketq.pull('pulled', NULL, 0);
SELECT * FROM rocketq.pull('pulled', 0, 0, tags => '|');

-- A topic is empty before its first message.
SELECT rocketq.create_topic('pulled_empty', 1);
SELECT * FROM rocketq.pull('pulled_empty', 0, 0);
SELECT * FROM rocketq.pull('pulled_empty', 0, 5);
SELECT rocketq.drop_topic('pulled_empty');

SELECT rocketq.drop_topic('pulled');
SELECT * FROM rocketq.verify();

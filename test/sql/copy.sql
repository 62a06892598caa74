-- COPY into and out of topics.

SELECT rocketq.create_topic('copied', 2);
CREATE FUNCTION copied() RETURNS TABLE (queue_id int, queue_offset bigint, tag text, body text) LANGUAGE sql
    AS $$ SELECT queue_id, queue_offset, tag, rocketq.text(body) FROM copied ORDER BY 1, 2 $$;

-- formats, column lists, NULLs, defaults
COPY copied (queue_id, tag, keys, properties, sharding_key, body) FROM stdin;
0	text	{a,b}	{"n": 1}	s	one
0	\N	\N	\N	\N	\\x74776f
1	tab\tin	\N	\N	\N	three
\.
COPY copied (body, queue_id, tag) FROM stdin (FORMAT csv, HEADER, DELIMITER ';', NULL 'none', QUOTE '''');
body;queue_id;tag
'f;our';0;none
five;1;'it''s'
\.
COPY copied (body, queue_id) FROM stdin (FORMAT csv, HEADER match);
body,queue_id
six,0
\.
COPY copied (body, queue_id) FROM stdin (FORMAT csv, HEADER match);
queue_id,body
six,0
\.
ALTER TABLE copied ALTER tag SET DEFAULT 'default';
COPY copied (queue_id, body) FROM stdin;
0	seven
\.
ALTER TABLE copied ALTER tag DROP DEFAULT;
COPY copied (queue_id, body, tag) FROM stdin WHERE tag <> 'unwanted' AND length(body) < 9;
0	eight	wanted
0	no	unwanted
0	far too long	wanted
\.
SELECT * FROM copied();
SELECT keys, properties, sharding_key FROM copied WHERE tag = 'text';

-- the same checks as produce()
COPY copied (queue_id, body) FROM stdin;
0	not kept
0	\N
\.
COPY copied (queue_id, body) FROM stdin;
0	not kept
2	x
\.
COPY copied (tag, body) FROM stdin;
a|b	x
\.
COPY copied (properties, body) FROM stdin;
[1]	x
\.
COPY copied (message_id, body) FROM stdin;
1	x
\.
COPY copied (queue_id, body) FROM stdin;
0	x	too many
\.
COPY copied (queue_id, nothing) FROM stdin;
COPY copied FROM stdin;
0	x
\.
SELECT count(*) FROM copied WHERE body IN ('not kept', 'x');

--
-- COPY TO, and back: a whole row is the copy of a message.
--
SELECT current_setting('data_directory') || '/rocketq_copy' AS file \gset
SELECT rocketq.create_topic('again', 2);
COPY (SELECT queue_id, queue_offset, tag, keys, rocketq.text(body) FROM copied ORDER BY 1, 2) TO stdout (FORMAT csv, HEADER, FORCE_QUOTE *);
COPY copied (queue_id, tag, body) TO stdout;
COPY copied TO :'file';
COPY again FROM :'file';
COPY copied TO :'file' (FORMAT csv, HEADER);
COPY again FROM :'file' (FORMAT csv, HEADER match);
COPY copied TO :'file' (FORMAT binary);
COPY again FROM :'file' (FORMAT binary);
COPY again (queue_id, tag) FROM :'file' (FORMAT binary);
SELECT a.tag, rocketq.text(a.body), count(*), count(*) FILTER (WHERE a.keys IS NOT DISTINCT FROM c.keys
    AND a.properties IS NOT DISTINCT FROM c.properties AND a.sharding_key IS NOT DISTINCT FROM c.sharding_key
    AND a.queue_id = c.queue_id AND a.queue_offset % 6 = c.queue_offset AND a.message_id <> c.message_id) AS same
FROM again a JOIN copied c ON a.body = c.body AND a.tag IS NOT DISTINCT FROM c.tag AND c.queue_id = 0
GROUP BY 1, 2, c.queue_offset ORDER BY c.queue_offset;
-- from a table
CREATE TABLE plain AS SELECT * FROM copied;
COPY plain TO :'file' (FORMAT binary);
TRUNCATE again;
COPY again FROM :'file' (FORMAT binary);
SELECT count(*) FROM again a JOIN plain p USING (queue_id, queue_offset, body);
DROP TABLE plain;

-- FREEZE: there is nothing to freeze, and nothing is visible before COMMIT
COPY again FROM :'file' (FORMAT binary, FREEZE);
BEGIN;
TRUNCATE again;
COPY again FROM :'file' (FORMAT binary, FREEZE);
SELECT count(*) FROM again;
COMMIT;
SELECT count(*) = (SELECT count(*) FROM copied) AS all FROM again;

--
-- Savepoints
--
TRUNCATE copied;
BEGIN;
COPY copied (queue_id, body) FROM stdin;
0	1
\.
SAVEPOINT a;
COPY copied (queue_id, body) FROM stdin;
0	2, rolled back
\.
ROLLBACK TO a;
COPY copied (queue_id, body) FROM stdin;
0	3
0	\N
\.
ROLLBACK TO a;
COPY copied (queue_id, body) FROM stdin;
0	4
\.
SELECT count(rocketq.produce('copied', '5', queue_id => 0));
RELEASE a;
COMMIT;
BEGIN;
COPY copied (queue_id, body) FROM stdin;
0	6, rolled back
\.
ROLLBACK;
SELECT * FROM copied();

--
-- A large COPY is written to the log in runs, with one record for many
-- messages.
--
COPY (SELECT i % 2, 'bulk', repeat(i::text, 10) FROM generate_series(1, 10000) i) TO :'file';
SELECT set_config('copied.before', pg_current_wal_insert_lsn()::text, false) IS NOT NULL AS before;
COPY copied (queue_id, tag, body) FROM :'file';
SELECT set_config('copied.after', pg_current_wal_insert_lsn()::text, false) IS NOT NULL AS after;
SELECT queue_id, count(*), count(DISTINCT body), min(length(body)) FROM copied WHERE tag = 'bulk' GROUP BY 1 ORDER BY 1;
SELECT bool_and(body = convert_to(repeat((2 * n - queue_id)::text, 10), 'UTF8')) AS in_order
FROM (SELECT queue_id, body, row_number() OVER (PARTITION BY queue_id ORDER BY queue_offset) AS n
      FROM copied WHERE tag = 'bulk') o WHERE queue_id = 1;
DO $$
DECLARE
    n int;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_walinspect') THEN
        RETURN;
    END IF;
    CREATE EXTENSION pg_walinspect;
    SELECT count(*) INTO n FROM pg_get_wal_records_info(current_setting('copied.before')::pg_lsn, current_setting('copied.after')::pg_lsn)
    WHERE resource_manager = 'rocketq' AND record_type = 'APPEND';
    IF n NOT BETWEEN 10 AND 100 THEN
        RAISE '% records for 10000 messages', n;
    END IF;
    DROP EXTENSION pg_walinspect;
END $$;

DROP FUNCTION copied();
DROP TABLE copied, again;
SELECT * FROM rocketq.verify();

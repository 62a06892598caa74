-- The session keeps memory for rows of messages, for one query at a time.
SELECT rocketq.create_topic('rm', 1);
SELECT count(rocketq.produce('rm', i || repeat('x', 500))) FROM generate_series(1, 5000) AS i;

-- None before the first call; then it stays, but not all of it.
CREATE VIEW rm_memory AS
    SELECT total_bytes <= 1100000 AS is_bounded, used_bytes < 1000 AS is_free
    FROM pg_backend_memory_contexts WHERE name = 'rocketq rows';
\c -
SELECT * FROM rm_memory;
SELECT count(*) FROM rocketq.pull('rm', 0, 0, 10);
SELECT * FROM rm_memory;
SELECT count(*), sum(length(body)) FROM rocketq.pull('rm', 0, 0, 5000);
SELECT * FROM rm_memory;

-- While a cursor has it, other queries use their own, in whatever order they end.
BEGIN;
DECLARE a CURSOR FOR SELECT queue_offset, rocketq.text(body) LIKE (queue_offset + 1) || 'x%' AS fits
    FROM rocketq.pull('rm', 0, 0, 1000);
FETCH 1 FROM a;
DECLARE b CURSOR FOR SELECT queue_offset, rocketq.text(body) LIKE (queue_offset + 1) || 'x%' AS fits
    FROM rocketq.pull('rm', 0, 1000, 1000);
FETCH 1 FROM b;
SELECT is_free FROM rm_memory;
SELECT count(*) FROM rocketq.pull('rm', 0, 0, 5000);
FETCH 1 FROM a;
CLOSE a;
SELECT is_free FROM rm_memory;
SELECT count(*) FROM rocketq.pull('rm', 0, 0, 5000);
FETCH 1 FROM b;
DECLARE c CURSOR FOR SELECT queue_offset FROM rocketq.pull('rm', 0, 2000, 1000);
FETCH 1 FROM c;
CLOSE b;
FETCH 1 FROM c;
COMMIT;
SELECT is_free FROM rm_memory;

-- A cursor that outlives its transaction.
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT queue_offset FROM rocketq.pull('rm', 0, 0, 3);
COMMIT;
SELECT is_free FROM rm_memory;
SELECT count(*) FROM rocketq.pull('rm', 0, 0, 5000);
FETCH ALL FROM h;
CLOSE h;

-- An error, with a cursor and without.
SELECT sum(1 / (m.queue_offset - 4000)) FROM rocketq.pull('rm', 0, 0, 5000) AS m;
SELECT is_free FROM rm_memory;
BEGIN;
SAVEPOINT s;
DECLARE e CURSOR FOR SELECT queue_offset FROM rocketq.pull('rm', 0, 0, 1000);
FETCH 1 FROM e;
SELECT 1 / 0;
ROLLBACK TO s;
SELECT is_free FROM rm_memory;
DECLARE e CURSOR FOR SELECT queue_offset FROM rocketq.pull('rm', 0, 0, 1000);
FETCH 1 FROM e;
SELECT 1 / 0;
ROLLBACK;
SELECT is_free FROM rm_memory;

-- Several calls in one query, one after the other and at once.
SELECT o, count(*), min(m.queue_offset), max(m.queue_offset)
FROM generate_series(0, 2) AS o, LATERAL rocketq.pull('rm', 0, o * 1000, 1000) AS m
GROUP BY o ORDER BY o;
SELECT count(*), sum(a.queue_offset + b.queue_offset)
FROM rocketq.pull('rm', 0, 0, 1000) AS a
JOIN rocketq.pull('rm', 0, 0, 2000) AS b USING (queue_offset);
SELECT count(*) FROM (SELECT rocketq.pull('rm', 0, 0, 1000), rocketq.pull('rm', 0, 1000, 1000)) AS m;

-- A query within one.
CREATE FUNCTION rm_inner(o bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT count(*) FROM rocketq.pull('rm', 0, o, 100));
END $$;
SELECT sum(rm_inner(m.queue_offset)) FROM rocketq.pull('rm', 0, 0, 100) AS m;

-- Rows that do not fit into work_mem.
SET work_mem = 64;
SELECT count(*), count(DISTINCT body) FROM rocketq.pull('rm', 0, 0, 5000);
RESET work_mem;
SELECT * FROM rm_memory;

DROP FUNCTION rm_inner;
DROP VIEW rm_memory;
DROP TABLE rm;
SELECT * FROM rocketq.verify();

-- A row by its ctid: (queue_offset, queue_id + 1).

SELECT rocketq.create_topic('by_tid', 3);
INSERT INTO by_tid (queue_id, tag, body)
    SELECT q, 'q' || q, convert_to(q || '/' || i, 'UTF8') FROM generate_series(0, 2) q, generate_series(0, 9) i;
-- so few messages would be read one after the other
SET enable_seqscan = off;
SET jit = off;
CREATE TABLE tids AS SELECT ctid AS place, queue_id, queue_offset FROM by_tid;

-- the meaning of a ctid
SELECT count(*) FROM tids WHERE place <> format('(%s,%s)', queue_offset, queue_id + 1)::tid;
SELECT ctid, queue_id, queue_offset FROM by_tid WHERE queue_offset = 7;

-- one
EXPLAIN (COSTS OFF) SELECT ctid, rocketq.text(body) FROM by_tid WHERE ctid = '(7,2)';
SELECT ctid, rocketq.text(body) FROM by_tid WHERE ctid = '(7,2)';
SELECT ctid, rocketq.text(body) FROM by_tid WHERE '(7,2)' = ctid;
-- none: before the first queue, after the last, past the end, never assigned
SELECT ctid FROM by_tid WHERE ctid = '(7,0)';
SELECT ctid FROM by_tid WHERE ctid = '(7,4)';
SELECT ctid FROM by_tid WHERE ctid = '(7,65535)';
SELECT ctid FROM by_tid WHERE ctid = '(10,1)';
SELECT ctid FROM by_tid WHERE ctid = '(4294967293,1)';
SELECT ctid FROM by_tid WHERE ctid = '(4294967294,1)';
SELECT ctid FROM by_tid WHERE ctid = '(4294967295,1)';
SELECT ctid FROM by_tid WHERE ctid = NULL;
-- some
EXPLAIN (COSTS OFF) SELECT ctid FROM by_tid WHERE ctid = ANY ('{"(7,2)","(0,1)"}'::tid[]);
SELECT ctid, tag FROM by_tid WHERE ctid = ANY ('{"(7,2)","(0,1)","(10,1)","(0,1)"}'::tid[]) ORDER BY 1;
SELECT ctid, tag FROM by_tid WHERE ctid IN ('(9,3)', '(9,2)', NULL) ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT ctid FROM by_tid WHERE (ctid = '(2,1)' AND tag = 'q0') OR ctid = '(1,3)';
SELECT ctid FROM by_tid WHERE (ctid = '(2,1)' AND tag = 'q0') OR (ctid = '(3,1)' AND tag = 'q1') OR ctid = '(1,3)' ORDER BY 1;
-- all but one
SELECT count(*) FROM by_tid WHERE ctid <> '(7,2)';
-- every row is found by its ctid, and is the same
SELECT count(*), count(*) FILTER (WHERE b.queue_id = t.queue_id AND b.queue_offset = t.queue_offset AND
                                        rocketq.text(b.body) = t.queue_id || '/' || t.queue_offset) AS right
FROM tids t JOIN by_tid b ON b.ctid = t.place;
-- (18 would say of a sequential scan that it is disabled)
CREATE INDEX ON tids (place);
EXPLAIN (COSTS OFF) SELECT s.n FROM tids t, LATERAL (SELECT count(*) AS n FROM by_tid b WHERE b.ctid = t.place OFFSET 0) s;
SELECT s.n, count(*) FROM tids t, LATERAL (SELECT count(*) AS n FROM by_tid b WHERE b.ctid = t.place OFFSET 0) s GROUP BY 1;

-- prepared, with a custom plan and a generic one
PREPARE by_place(tid) AS SELECT ctid, tag FROM by_tid WHERE ctid = $1;
EXECUTE by_place('(1,1)');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE by_place('(1,1)');
EXECUTE by_place('(1,3)');
EXECUTE by_place('(99,3)');
EXECUTE by_place(NULL);
RESET plan_cache_mode;
DEALLOCATE by_place;

-- forward and backward
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT ctid FROM by_tid WHERE ctid = ANY ('{"(1,1)","(2,2)","(3,3)"}'::tid[]);
FETCH ALL FROM c;
FETCH BACKWARD 2 FROM c;
FETCH FIRST FROM c;
FETCH PRIOR FROM c;
FETCH NEXT FROM c;
ROLLBACK;

-- aborted messages have ctids, but are never visible; own messages become
-- visible at COMMIT
BEGIN;
INSERT INTO by_tid (queue_id, body) VALUES (0, 'own');
SELECT ctid FROM by_tid WHERE ctid = '(10,1)';
COMMIT;
SELECT ctid, rocketq.text(body) FROM by_tid WHERE ctid = '(10,1)';
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT ctid FROM by_tid WHERE ctid = '(11,1)';
SELECT count(rocketq.produce('by_tid', 'at once', queue_id => 0, transactional => false));
COMMIT;
SELECT rocketq.text(body) FROM by_tid WHERE ctid = '(11,1)';

-- messages cannot be changed, by ctid either
UPDATE by_tid SET tag = 'x' WHERE ctid = '(0,1)';
DELETE FROM by_tid WHERE ctid = '(0,1)';
SELECT * FROM by_tid WHERE ctid = '(0,1)' FOR UPDATE;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM by_tid;
MOVE c;
UPDATE by_tid SET tag = 'x' WHERE CURRENT OF c;
ROLLBACK;

DROP TABLE tids;
SELECT rocketq.drop_topic('by_tid');

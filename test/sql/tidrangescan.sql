-- Ranges of ctids: (queue_offset, queue_id + 1).

SELECT rocketq.create_topic('ranged', 3);
INSERT INTO ranged (queue_id, body)
    SELECT q, convert_to(q || '/' || i, 'UTF8') FROM generate_series(0, 2) q, generate_series(0, 9 + q) i;
-- the same rows in a table that is read completely
CREATE TABLE ranged_copy AS SELECT ctid AS place FROM ranged;

-- so few messages would be read one after the other
SET enable_seqscan = off;
SET jit = off;
EXPLAIN (COSTS OFF) SELECT ctid FROM ranged WHERE ctid < '(1,0)';
SELECT ctid FROM ranged WHERE ctid < '(1,0)';
SELECT ctid FROM ranged WHERE ctid <= '(1,2)';
EXPLAIN (COSTS OFF) SELECT ctid FROM ranged WHERE '(9,3)' < ctid;
SELECT ctid FROM ranged WHERE '(9,3)' < ctid;
SELECT ctid FROM ranged WHERE ctid >= '(9,3)';
EXPLAIN (COSTS OFF) SELECT ctid FROM ranged WHERE ctid > '(4,2)' AND '(5,2)' >= ctid;
SELECT ctid FROM ranged WHERE ctid > '(4,2)' AND '(5,2)' >= ctid;
SELECT ctid FROM ranged WHERE ctid BETWEEN '(4,2)' AND '(5,2)' AND ctid > '(4,3)';
-- together with something else
EXPLAIN (COSTS OFF) SELECT ctid FROM ranged WHERE ctid >= '(9,0)' AND queue_id = 2;
SELECT ctid, rocketq.text(body) FROM ranged WHERE ctid >= '(9,0)' AND queue_id = 2;
-- impossible
SELECT ctid FROM ranged WHERE ctid > '(5,1)' AND ctid < '(5,1)';
SELECT ctid FROM ranged WHERE ctid > '(6,1)' AND ctid < '(5,1)';
SELECT ctid FROM ranged WHERE ctid < '(0,0)';
SELECT ctid FROM ranged WHERE ctid > '(4294967295,65535)';
SELECT ctid FROM ranged WHERE ctid >= NULL::tid;

-- nothing is read and then filtered out
CREATE FUNCTION rows_read(query text, OUT node text, OUT rows numeric, OUT removed text) LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT json) ' || query INTO plan;
    plan := plan -> 0 -> 'Plan';
    node := plan ->> 'Node Type';
    rows := round((plan ->> 'Actual Rows')::numeric);
    removed := plan ->> 'Rows Removed by Filter';
END $$;
SELECT * FROM rows_read($$SELECT * FROM ranged WHERE ctid >= '(5,2)' AND ctid < '(6,0)'$$);
DROP FUNCTION rows_read(text);

-- every combination of bounds, compared with the copy
CREATE TABLE bounds AS SELECT format('(%s,%s)', b, o)::tid AS bound
    FROM unnest('{0,1,5,9,10,11,12,4294967293,4294967294,4294967295}'::bigint[]) b,
        unnest('{0,1,2,3,4,65535}'::int[]) o;
CREATE FUNCTION differences() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    conditions text[];
    condition text;
    got tid[];
    expected tid[];
BEGIN
    SELECT array_agg(format('%%1$s %s %L', op, bound)) INTO conditions
        FROM bounds, unnest('{<,<=,>,>=}'::text[]) op;
    conditions := conditions || ARRAY(SELECT format('%%1$s %s %L AND %%1$s %s %L', op1, b1.bound, op2, b2.bound)
        FROM bounds b1, bounds b2, unnest('{>,>=}'::text[]) op1, unnest('{<,<=}'::text[]) op2
        WHERE b1.bound <= b2.bound AND b1.bound >= '(4,0)' AND b2.bound <= '(12,0)');
    FOREACH condition IN ARRAY conditions LOOP
        EXECUTE 'SELECT array_agg(ctid ORDER BY ctid) FROM ranged WHERE ' || format(condition, 'ctid') INTO got;
        EXECUTE 'SELECT array_agg(place ORDER BY place) FROM ranged_copy WHERE ' || format(condition, 'place') INTO expected;
        IF got IS DISTINCT FROM expected THEN
            RETURN NEXT format('%s: %s instead of %s', format(condition, 'ctid'), got, expected);
        END IF;
    END LOOP;
    RETURN NEXT 'conditions: ' || cardinality(conditions);
END $$;
SELECT * FROM differences();
DROP FUNCTION differences();
DROP TABLE bounds;

-- the range is a parameter, and is scanned again
-- (18 would say of a sequential scan that it is disabled)
CREATE INDEX ON ranged_copy (place);
EXPLAIN (COSTS OFF)
SELECT c.place, r.n FROM ranged_copy c, LATERAL (SELECT count(*) AS n FROM ranged WHERE ctid < c.place) r;
SELECT sum(r.n), count(*) * (count(*) - 1) / 2 AS expected
FROM ranged_copy c, LATERAL (SELECT count(*) AS n FROM ranged WHERE ctid < c.place) r;
SELECT a.ctid, b.ctid FROM ranged a JOIN ranged b ON a.ctid > b.ctid WHERE a.ctid < '(0,3)' ORDER BY 1, 2;
PREPARE between_places(tid, tid) AS SELECT count(*) FROM ranged WHERE ctid > $1 AND ctid < $2;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE between_places('(1,1)', '(2,1)');
EXECUTE between_places('(1,1)', '(2,1)');
EXECUTE between_places('(2,1)', '(1,1)');
EXECUTE between_places('(0,0)', NULL);
RESET plan_cache_mode;
DEALLOCATE between_places;

-- forward and backward
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT ctid FROM ranged WHERE ctid >= '(9,2)';
FETCH NEXT FROM c;
FETCH NEXT FROM c;
FETCH PRIOR FROM c;
FETCH PRIOR FROM c;
FETCH NEXT FROM c;
FETCH LAST FROM c;
FETCH BACKWARD ALL FROM c;
FETCH ALL FROM c;
FETCH BACKWARD 2 FROM c;
COMMIT;
-- nothing to go through
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT ctid FROM ranged WHERE ctid > '(100,1)';
FETCH NEXT FROM c;
FETCH PRIOR FROM c;
FETCH LAST FROM c;
COMMIT;

-- the snapshot applies to a range as to everything
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM ranged WHERE ctid >= '(9,2)';
SELECT count(rocketq.produce('ranged', 'later', queue_id => 1, transactional => true));
SELECT count(*) FROM ranged WHERE ctid >= '(9,2)';
COMMIT;
SELECT count(*) FROM ranged WHERE ctid >= '(9,2)';
BEGIN;
INSERT INTO ranged (queue_id, body) VALUES (2, 'aborted');
ROLLBACK;
SELECT max(ctid) FROM ranged WHERE ctid >= '(9,2)';

-- a topic without messages
TRUNCATE ranged;
SELECT count(*) FROM ranged WHERE ctid >= '(0,0)';

DROP TABLE ranged_copy;
SELECT rocketq.drop_topic('ranged');

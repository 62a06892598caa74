-- A session caches the topics that it has used: any change of a topic or of
-- roles must affect the next call, also within a transaction.
SET client_min_messages = warning;
CREATE ROLE regress_rq_lookup;
CREATE ROLE regress_rq_lookup_group;
SELECT rocketq.create_topic('looked_up', 1);

CREATE FUNCTION try(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE call;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END $$;

-- twice, so that the second call uses what the first one has found
CREATE FUNCTION produce_twice() RETURNS text LANGUAGE sql AS $$
	SELECT try($q$SELECT rocketq.produce('looked_up', 'm')$q$) || ', ' ||
		try($q$SELECT rocketq.produce('looked_up', 'm')$q$)
$$;
CREATE FUNCTION consume_twice() RETURNS text LANGUAGE sql AS $$
	SELECT try($q$SELECT rocketq.consume('looked_up', 'g', 1)$q$) || ', ' ||
		try($q$SELECT rocketq.consume('looked_up', 'g', 1)$q$)
$$;
SELECT produce_twice(), consume_twice();

-- privileges
SET ROLE regress_rq_lookup;
SELECT produce_twice(), consume_twice();
RESET ROLE;
GRANT INSERT, SELECT ON looked_up TO regress_rq_lookup;
SET ROLE regress_rq_lookup;
SELECT produce_twice(), consume_twice();
RESET ROLE;
REVOKE INSERT ON looked_up FROM regress_rq_lookup;
SET ROLE regress_rq_lookup;
SELECT produce_twice(), consume_twice();
RESET ROLE;

-- by membership, and as a superuser
GRANT INSERT ON looked_up TO regress_rq_lookup_group;
GRANT regress_rq_lookup_group TO regress_rq_lookup;
SET ROLE regress_rq_lookup;
SELECT produce_twice();
RESET ROLE;
REVOKE regress_rq_lookup_group FROM regress_rq_lookup;
SET ROLE regress_rq_lookup;
SELECT produce_twice();
RESET ROLE;
ALTER ROLE regress_rq_lookup SUPERUSER;
SET ROLE regress_rq_lookup;
SELECT produce_twice();
RESET ROLE;
ALTER ROLE regress_rq_lookup NOSUPERUSER;
SET ROLE regress_rq_lookup;
SELECT produce_twice();
RESET ROLE;

-- what only the executor enforces
BEGIN;
SELECT produce_twice();
ALTER TABLE looked_up ADD CHECK (length(body) < 10) NOT VALID;
SELECT produce_twice();
ROLLBACK;
SELECT produce_twice();
BEGIN;
ALTER TABLE looked_up ENABLE ROW LEVEL SECURITY;
SET LOCAL ROLE regress_rq_lookup;
SELECT consume_twice();
RESET ROLE;
SELECT consume_twice();
SET LOCAL ROLE regress_rq_lookup;
SELECT consume_twice();
ROLLBACK;

-- columns, which new sessions do not look at again
\c -
SELECT produce_twice();
ALTER TABLE looked_up ALTER tag SET DEFAULT 'd';
\c -
SELECT produce_twice();
BEGIN;
ALTER TABLE looked_up ALTER tag DROP DEFAULT;
SELECT produce_twice(), consume_twice();
ROLLBACK;
\c -
SELECT produce_twice();
ALTER TABLE looked_up ALTER tag DROP DEFAULT;
SELECT produce_twice();

-- other storage
BEGIN;
SELECT produce_twice();
SAVEPOINT a;
TRUNCATE looked_up;
SELECT rocketq.produce('looked_up', 'never') IS NOT NULL AS produced;
SELECT rocketq.text(body) FROM rocketq.pull('looked_up', 0, 0, 1);
ROLLBACK TO a;
SELECT rocketq.text(body) FROM rocketq.pull('looked_up', 0, 0, 1);
COMMIT;
TRUNCATE looked_up;
SELECT produce_twice();
SELECT count(*) FROM looked_up;

-- a lock released by a rollback is taken again
BEGIN;
SAVEPOINT a;
SELECT produce_twice();
ROLLBACK TO a;
SELECT count(*) AS locks FROM pg_locks WHERE relation = 'looked_up'::regclass AND mode = 'RowExclusiveLock';
SELECT rocketq.produce('looked_up', 'm') IS NOT NULL AS produced;
SELECT count(*) AS locks FROM pg_locks WHERE relation = 'looked_up'::regclass AND mode = 'RowExclusiveLock';
COMMIT;

-- a read-only transaction
BEGIN READ ONLY;
SELECT produce_twice();
COMMIT;

-- dropped, and another one with the same name
SELECT 'looked_up'::regclass::oid AS oid \gset
DROP TABLE looked_up;
\set VERBOSITY sqlstate
SELECT rocketq.produce(:oid::regclass, 'm');
\set VERBOSITY default
SELECT rocketq.create_topic('looked_up', 1);
SELECT produce_twice();
SELECT count(*) FROM looked_up;

-- NOT NULL, after others have seen that there is none
DROP TABLE looked_up;
SELECT rocketq.create_topic('looked_up', 1);
SELECT consume_twice();
BEGIN;
ALTER TABLE looked_up ALTER tag SET NOT NULL;
SELECT produce_twice();
COMMIT;
\c -
SELECT produce_twice();

DROP TABLE looked_up;
DROP FUNCTION produce_twice, consume_twice, try;
DROP ROLE regress_rq_lookup, regress_rq_lookup_group;

-- Logical replication does not carry messages, so no publication may appear to
-- include topics.

CREATE SCHEMA pubs;
SET search_path = pubs, public;
SELECT rocketq.create_topic('published', 1);
CREATE TABLE plain (LIKE rocketq.message);

-- by name: refused
CREATE PUBLICATION regress_rocketq FOR TABLE published;
\echo :LAST_ERROR_SQLSTATE
CREATE PUBLICATION regress_rocketq FOR TABLE plain, published (tag, body) WHERE (tag = 'x');
\echo :LAST_ERROR_SQLSTATE
CREATE PUBLICATION regress_rocketq FOR TABLE plain;
ALTER PUBLICATION regress_rocketq ADD TABLE published;
\echo :LAST_ERROR_SQLSTATE
ALTER PUBLICATION regress_rocketq SET TABLE plain, published;
\echo :LAST_ERROR_SQLSTATE
SELECT tablename FROM pg_publication_tables WHERE pubname = 'regress_rocketq';
-- children of a table are added by name
CREATE TABLE child () INHERITS (plain) USING rocketq;
ALTER PUBLICATION regress_rocketq SET TABLE plain;
ALTER PUBLICATION regress_rocketq SET TABLE ONLY plain;
ALTER TABLE child NO INHERIT plain;
DROP TABLE child;

-- by a partitioned table, in either order
CREATE TABLE parent (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE parent_plain PARTITION OF parent FOR VALUES IN ('plain');
CREATE TABLE sub PARTITION OF parent FOR VALUES IN ('sub') PARTITION BY LIST (sharding_key);
ALTER PUBLICATION regress_rocketq ADD TABLE parent;
CREATE TABLE parent_topic PARTITION OF parent DEFAULT USING rocketq;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE parent ATTACH PARTITION published DEFAULT;
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE sub_topic PARTITION OF sub DEFAULT USING rocketq;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE parent DETACH PARTITION sub;
CREATE TABLE sub_topic PARTITION OF sub DEFAULT USING rocketq;
ALTER TABLE parent ATTACH PARTITION sub FOR VALUES IN ('sub');
\echo :LAST_ERROR_SQLSTATE
ALTER PUBLICATION regress_rocketq DROP TABLE parent;
ALTER TABLE parent ATTACH PARTITION sub FOR VALUES IN ('sub');
ALTER PUBLICATION regress_rocketq ADD TABLE parent;
\echo :LAST_ERROR_SQLSTATE
ALTER PUBLICATION regress_rocketq ADD TABLE sub;
ALTER PUBLICATION regress_rocketq ADD TABLE parent_plain;
SELECT tablename FROM pg_publication_tables WHERE pubname = 'regress_rocketq' ORDER BY 1;
DROP PUBLICATION regress_rocketq;
DROP TABLE parent;

-- for a schema: a warning
CREATE PUBLICATION regress_rocketq FOR TABLES IN SCHEMA pubs;
CREATE SCHEMA pubs_too;
ALTER PUBLICATION regress_rocketq SET TABLES IN SCHEMA pubs_too;
ALTER PUBLICATION regress_rocketq ADD TABLES IN SCHEMA pubs;
-- also for a topic created later
SELECT rocketq.create_topic('pubs_too.coming', 1);
CREATE TABLE public.moving (LIKE rocketq.message) USING rocketq;
ALTER TABLE public.moving SET SCHEMA pubs_too;
ALTER TABLE pubs_too.moving RENAME TO moved;
ALTER TABLE pubs_too.moved SET SCHEMA public;
DROP TABLE public.moved;
-- under a table of the schema
CREATE TABLE parent (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE public.parent_topic PARTITION OF parent DEFAULT USING rocketq;
ALTER PUBLICATION regress_rocketq SET TABLES IN SCHEMA pubs;
ALTER TABLE parent SET SCHEMA pubs_too;
ALTER TABLE pubs_too.parent SET SCHEMA pubs;
DROP TABLE parent;
DROP PUBLICATION regress_rocketq;

-- for all tables
\set VERBOSITY terse
CREATE PUBLICATION regress_rocketq_all FOR ALL TABLES;
\set VERBOSITY default
SELECT rocketq.create_topic('also', 1);
CREATE TABLE no_topic (a int);
-- no warning for TRUNCATE or other changes
TRUNCATE also;
ALTER TABLE also RENAME TO again;
ALTER TABLE again ALTER tag SET STATISTICS 10;
DROP PUBLICATION regress_rocketq_all;
-- without effect: there is nothing to replicate
CREATE PUBLICATION regress_rocketq_none;
DROP PUBLICATION regress_rocketq_none;

-- A replica identity has no effect, and does no harm.
ALTER TABLE published REPLICA IDENTITY FULL;
ALTER TABLE published REPLICA IDENTITY NOTHING;
SELECT count(rocketq.produce('published', 'x'));
SELECT count(*) FROM published;

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA pubs, pubs_too CASCADE;
RESET client_min_messages;
SELECT * FROM rocketq.verify();

-- Row-level security: policies apply to INSERT, COPY and SELECT; the
-- functions, which would bypass them, refuse.

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_rocketq_alice, regress_rocketq_bob, regress_rocketq_bypass;
RESET client_min_messages;
CREATE ROLE regress_rocketq_alice;
CREATE ROLE regress_rocketq_bob;
CREATE ROLE regress_rocketq_bypass BYPASSRLS;
SELECT rocketq.create_topic('secured', 1);
GRANT SELECT, INSERT ON secured TO regress_rocketq_alice, regress_rocketq_bob, regress_rocketq_bypass;
INSERT INTO secured (tag, body) VALUES ('regress_rocketq_alice', 'for alice'), ('regress_rocketq_bob', 'for bob'), ('public', 'for all');
CREATE VIEW seen AS SELECT tag, rocketq.text(body) AS body FROM secured;
GRANT SELECT ON seen TO regress_rocketq_alice;

ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
-- without policies no row is visible
SET ROLE regress_rocketq_alice;
SELECT count(*) FROM secured;
INSERT INTO secured (tag, body) VALUES ('public', 'x');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

CREATE POLICY own ON secured FOR SELECT USING (tag = current_user OR tag = 'public');
CREATE POLICY write ON secured FOR INSERT WITH CHECK (tag = 'public' OR length(body) < 5);
SET ROLE regress_rocketq_alice;
SELECT tag, rocketq.text(body) FROM secured ORDER BY queue_offset;
SELECT tag, rocketq.text(body) FROM secured WHERE rocketq.text(body) LIKE '%o%' ORDER BY queue_offset;
INSERT INTO secured (tag, body) VALUES ('public', 'from alice');
INSERT INTO secured (tag, body) VALUES ('secret', 'from alice');
\echo :LAST_ERROR_SQLSTATE
INSERT INTO secured (tag, body) VALUES ('public', 'a good one'), ('secret', 'a bad one');
-- what is returned must be visible
INSERT INTO secured (tag, body) VALUES ('secret', 'abc') RETURNING tag;
INSERT INTO secured (tag, body) VALUES ('secret', 'abc');
INSERT INTO secured (tag, body) VALUES ('public', 'returned') RETURNING tag, message_id > 0 AS id;
COPY secured (tag, body) FROM stdin;
public	x
\.
COPY (SELECT tag, rocketq.text(body) FROM secured ORDER BY queue_offset) TO stdout;
COPY secured (tag) TO stdout;
-- a view applies the policies of its owner
SELECT count(*) FROM seen;
EXPLAIN (COSTS OFF) SELECT body FROM secured WHERE body LIKE 'x%';
-- by the functions
SELECT rocketq.produce('secured', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.consume('secured', 'g');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.pull('secured', 0, 0);
RESET ROLE;
SET ROLE regress_rocketq_bob;
SELECT tag, rocketq.text(body) FROM secured ORDER BY queue_offset;
RESET ROLE;
SET ROLE regress_rocketq_bypass;
SELECT count(*) FROM secured;
SELECT count(rocketq.produce('secured', 'by who may'));
SELECT count(*) FROM rocketq.pull('secured', 0, 0);
RESET ROLE;

-- the owner is not affected, unless forced
ALTER TABLE secured OWNER TO regress_rocketq_bob;
SET ROLE regress_rocketq_bob;
SELECT count(*) FROM secured;
SELECT count(rocketq.produce('secured', 'by the owner'));
ALTER TABLE secured FORCE ROW LEVEL SECURITY;
SELECT count(*) FROM secured;
SELECT rocketq.produce('secured', 'by the owner');
ALTER TABLE secured NO FORCE ROW LEVEL SECURITY;
-- policies for commands that are refused anyway
CREATE POLICY changes ON secured FOR UPDATE USING (true);
CREATE POLICY deletes ON secured FOR DELETE USING (true);
UPDATE secured SET tag = 'x';
DELETE FROM secured;
RESET ROLE;

-- row_security = off is an error for those who are not exempt
SET ROLE regress_rocketq_alice;
SET row_security = off;
SELECT count(*) FROM secured;
SELECT rocketq.produce('secured', 'x');
\echo :LAST_ERROR_SQLSTATE
RESET row_security;
RESET ROLE;

-- a policy that asks another topic
SELECT rocketq.create_topic('members', 1);
GRANT SELECT ON members TO regress_rocketq_alice;
DROP POLICY own ON secured;
CREATE POLICY own ON secured FOR SELECT USING (EXISTS (SELECT FROM members WHERE members.tag = current_user AND secured.tag = rocketq.text(members.body)));
INSERT INTO members (tag, body) VALUES ('regress_rocketq_alice', 'secret');
SET ROLE regress_rocketq_alice;
SELECT tag, rocketq.text(body) FROM secured ORDER BY queue_offset;
RESET ROLE;

DROP VIEW seen;
DROP TABLE secured, members;
DROP ROLE regress_rocketq_alice, regress_rocketq_bob, regress_rocketq_bypass;
SELECT * FROM rocketq.verify();

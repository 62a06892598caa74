-- Triggers on topics: BEFORE triggers may change or skip a message, and AFTER
-- STATEMENT triggers see what was produced.  AFTER ROW triggers are not
-- possible.

SELECT rocketq.create_topic('triggered', 1);
CREATE FUNCTION triggered() RETURNS TABLE (queue_offset bigint, tag text, body text) LANGUAGE sql
    AS $$ SELECT queue_offset, tag, rocketq.text(body) FROM triggered ORDER BY 1 $$;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.tag := coalesce(NEW.tag, TG_ARGV[0]);
    NEW.properties := coalesce(NEW.properties, '{}') || jsonb_build_object('by', TG_NAME);
    RETURN CASE WHEN NEW.body <> 'unwanted' THEN NEW END;
END $$;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_WHEN = 'AFTER' AND TG_OP = 'INSERT' THEN
        RAISE NOTICE '% % %: %', TG_NAME, TG_WHEN, TG_OP,
            (SELECT string_agg(rocketq.text(body) || '/' || tag || '/' || (message_id > 0), ', ' ORDER BY message_id) FROM news);
    ELSE
        RAISE NOTICE '% % %', TG_NAME, TG_WHEN, TG_OP;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER a_stamp BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION stamp('stamped');
CREATE TRIGGER b_before BEFORE INSERT ON triggered FOR EACH STATEMENT EXECUTE FUNCTION tell();
CREATE TRIGGER c_after AFTER INSERT ON triggered REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION tell();
INSERT INTO triggered (tag, body) VALUES (NULL, '1'), ('own', '2'), (NULL, 'unwanted') RETURNING tag, properties;
COPY triggered (body) FROM stdin;
3
unwanted
4
\.
INSERT INTO triggered (body) SELECT 'none' WHERE false;
SELECT * FROM triggered();
-- the functions would bypass them
SELECT rocketq.produce('triggered', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.produce_batch('triggered', ARRAY['x']);
-- disabled ones do not run
ALTER TABLE triggered DISABLE TRIGGER ALL;
INSERT INTO triggered (body) VALUES ('5');
ALTER TABLE triggered ENABLE TRIGGER ALL;
DROP TRIGGER a_stamp ON triggered;
DROP TRIGGER b_before ON triggered;
DROP TRIGGER c_after ON triggered;
CREATE TRIGGER d_truncate BEFORE TRUNCATE ON triggered FOR EACH STATEMENT EXECUTE FUNCTION tell();
SELECT count(rocketq.produce('triggered', '6'));
SELECT * FROM triggered();
TRUNCATE triggered;
DROP TRIGGER d_truncate ON triggered;

-- The functions would bypass defaults and rules as well.
ALTER TABLE triggered ALTER tag SET DEFAULT 'by default';
SELECT rocketq.produce('triggered', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.produce_batch('triggered', ARRAY['x'], tag => 'given');
BEGIN;
INSERT INTO triggered (body) VALUES ('7') RETURNING tag;
ROLLBACK;
ALTER TABLE triggered ALTER tag DROP DEFAULT;
CREATE RULE elsewhere AS ON INSERT TO triggered DO INSTEAD NOTHING;
INSERT INTO triggered (body) VALUES ('8');
SELECT rocketq.produce('triggered', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM rocketq.produce_batch('triggered', ARRAY['x']);
DROP RULE elsewhere ON triggered;
CREATE RULE others AS ON UPDATE TO triggered DO INSTEAD NOTHING;
BEGIN;
SELECT count(rocketq.produce('triggered', '9'));
ROLLBACK;
DROP RULE others ON triggered;
SELECT * FROM triggered();

-- A trigger that fails, one that produces into other topics, one that sets a
-- column that it may not set
SELECT rocketq.create_topic('audit', 1);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rocketq.produce('audit', 'seen ' || rocketq.text(NEW.body));
    IF NEW.body = 'bad' THEN
        RAISE 'bad message';
    ELSIF NEW.body = 'forged' THEN
        NEW.message_id := 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION audit();
INSERT INTO triggered (body) VALUES ('good'), ('better');
INSERT INTO triggered (body) VALUES ('good'), ('bad');
INSERT INTO triggered (body) VALUES ('forged');
DROP TRIGGER audit ON triggered;
SELECT * FROM triggered();
SELECT rocketq.text(body) FROM audit ORDER BY queue_offset;
-- an ordinary table's trigger produces; that is the transactional outbox
CREATE TABLE orders (id int, CHECK (id < 4));
CREATE FUNCTION outbox() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO triggered (tag, body) SELECT 'order', convert_to(id::text, 'UTF8') FROM news ORDER BY id; RETURN NULL; END $$;
CREATE TRIGGER outbox AFTER INSERT ON orders REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION outbox();
INSERT INTO orders VALUES (1), (2);
INSERT INTO orders VALUES (3), (4);
CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM rocketq.produce('triggered', NEW.id::text, tag => 'at commit'); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit();
BEGIN;
INSERT INTO orders VALUES (3);
SELECT count(rocketq.produce('triggered', '3', tag => 'in between'));
COMMIT;
SELECT * FROM triggered();
DROP TABLE orders, audit;

--
-- AFTER ROW: the message would have to be read back, but becomes visible only
-- at commit.
--
CREATE TRIGGER after_row AFTER INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION tell();
\echo :LAST_ERROR_SQLSTATE
CREATE TRIGGER after_row AFTER INSERT OR UPDATE OR DELETE ON triggered FOR EACH ROW WHEN (false) EXECUTE FUNCTION tell();
CREATE TRIGGER after_row AFTER INSERT ON triggered REFERENCING NEW TABLE AS news FOR EACH ROW EXECUTE FUNCTION tell();
CREATE CONSTRAINT TRIGGER after_row AFTER INSERT ON triggered DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION tell();
\echo :LAST_ERROR_SQLSTATE
-- foreign keys need such triggers
CREATE TABLE tags (tag text PRIMARY KEY);
ALTER TABLE triggered ADD FOREIGN KEY (tag) REFERENCES tags;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE triggered ADD FOREIGN KEY (tag) REFERENCES tags NOT VALID;
ALTER TABLE triggered ADD FOREIGN KEY (tag) REFERENCES tags DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE referring (LIKE rocketq.message, FOREIGN KEY (tag) REFERENCES tags) USING rocketq;
\echo :LAST_ERROR_SQLSTATE
SELECT to_regclass('referring');
-- a partition inherits triggers and keys of the partitioned table
CREATE TABLE parent (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TRIGGER parent_row AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TABLE child PARTITION OF parent DEFAULT USING rocketq;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE parent ATTACH PARTITION triggered DEFAULT;
\echo :LAST_ERROR_SQLSTATE
DROP TRIGGER parent_row ON parent;
ALTER TABLE parent ADD FOREIGN KEY (tag) REFERENCES tags;
CREATE TABLE child PARTITION OF parent DEFAULT USING rocketq;
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE parent ATTACH PARTITION triggered DEFAULT;
ALTER TABLE parent DROP CONSTRAINT parent_tag_fkey;
-- also those added later
CREATE TABLE child PARTITION OF parent DEFAULT USING rocketq;
CREATE TRIGGER parent_row AFTER INSERT ON parent FOR EACH ROW EXECUTE FUNCTION tell();
\echo :LAST_ERROR_SQLSTATE
CREATE CONSTRAINT TRIGGER parent_row AFTER INSERT ON parent DEFERRABLE FOR EACH ROW EXECUTE FUNCTION tell();
ALTER TABLE parent ADD FOREIGN KEY (tag) REFERENCES tags;
\echo :LAST_ERROR_SQLSTATE
-- supported triggers
CREATE TRIGGER parent_before BEFORE INSERT ON parent FOR EACH ROW EXECUTE FUNCTION stamp('by the parent');
CREATE TRIGGER parent_after AFTER INSERT ON parent REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION tell();
INSERT INTO parent (body) VALUES ('p'), ('unwanted') RETURNING tableoid::regclass, tag, properties;
DROP TABLE parent, tags;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'triggered'::regclass;
SELECT count(*) FROM pg_constraint WHERE conrelid = 'triggered'::regclass;

-- Triggers for events that never happen do no harm.
CREATE TRIGGER never AFTER UPDATE OR DELETE ON triggered FOR EACH ROW EXECUTE FUNCTION tell();
CREATE TRIGGER never_before BEFORE UPDATE OR DELETE ON triggered FOR EACH ROW EXECUTE FUNCTION tell();
UPDATE triggered SET tag = 'x';
\echo :LAST_ERROR_SQLSTATE
DELETE FROM triggered;
\echo :LAST_ERROR_SQLSTATE

DROP TABLE triggered;
DROP FUNCTION triggered(), stamp(), tell(), audit(), outbox(), at_commit();
SELECT * FROM rocketq.verify();

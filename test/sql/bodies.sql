-- Bodies of every type that can be one, and what has no type.

SELECT rocketq.create_topic('bodied', 1);
CREATE VIEW bodied_texts AS SELECT queue_offset AS n, rocketq.text(body) FROM bodied ORDER BY 1;
CREATE DOMAIN a_text AS text;
CREATE DOMAIN a_document AS jsonb;

-- a literal is text, and nothing in it is interpreted
SELECT count(rocketq.produce('bodied', '\x41 {"a":  1}'));
-- as is a parameter without a type
PREPARE untyped AS SELECT count(rocketq.produce($1, $2, tag => $3, keys => $4, properties => $5, sharding_key => $6));
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'untyped';
EXECUTE untyped('bodied', '\x42', 'a tag', '{k}', '{"p": 1}', 's');
-- strings of all kinds
SELECT count(rocketq.produce('bodied', 'text'::text)), count(rocketq.produce('bodied', 'varchar'::varchar(10))),
       count(rocketq.produce('bodied', 'char'::char(10))), count(rocketq.produce('bodied', 'name'::name)),
       count(rocketq.produce('bodied', 'a domain'::a_text));
-- bytes, and JSON as it is written or as PostgreSQL writes it
SELECT count(rocketq.produce('bodied', '\x6279746573'::bytea)), count(rocketq.produce('bodied', '{"a":  1, "a": 2}'::json)),
       count(rocketq.produce('bodied', '{"b":  1, "b": 2}'::jsonb)), count(rocketq.produce('bodied', '[1,2]'::a_document));
SELECT count(rocketq.produce('bodied', json_build_object('c', 1))), count(rocketq.produce('bodied', jsonb_build_object('d', 1))),
       count(rocketq.produce('bodied', row_to_json(r))), count(rocketq.produce('bodied', to_jsonb(r)))
FROM (VALUES (1, 'x')) r(id, name);
-- an empty one, and none
SELECT count(rocketq.produce('bodied', ''));
SELECT rocketq.produce('bodied', NULL);
SELECT rocketq.produce('bodied', NULL::jsonb);
SELECT * FROM bodied_texts;
SELECT tag, keys, properties, sharding_key FROM rocketq.pull('bodied', 0, 1, 1);

-- a prepared statement keeps the type for all of its executions
SELECT count(rocketq.produce('bodied', b)), count(rocketq.produce('bodied', to_jsonb(b)))
FROM (VALUES ('one'), ('two')) v(b);
SELECT * FROM bodied_texts WHERE n >= 16;
CREATE FUNCTION produce_any(body anyelement) RETURNS text LANGUAGE plpgsql
    AS $$ BEGIN RETURN rocketq.text(m.body) FROM rocketq.pull('bodied', 0, rocketq.max_offset('bodied', 0)
        + 0 * rocketq.produce('bodied', $1, transactional => false)) m; END $$;
SELECT produce_any('text'::text), produce_any('"jsonb"'::jsonb), produce_any('\x627974'::bytea), produce_any('text'::text);

-- types that cannot be a body, and the hints
SELECT rocketq.produce('bodied', 1);
\echo :LAST_ERROR_SQLSTATE
SELECT rocketq.produce('bodied', now());
SELECT rocketq.produce('bodied', ROW (1, 2));
SELECT rocketq.produce('bodied', ARRAY['a', 'b']);
SELECT rocketq.produce('bodied', NULL::int);
SELECT rocketq.produce_batch('bodied', ARRAY[1, 2]);
SELECT rocketq.produce_batch('bodied', 'one body'::text);

-- a literal for a column is bytea, unless it is converted
TRUNCATE bodied;
INSERT INTO bodied (body) VALUES ('C:\\dir'), ('\x41');
INSERT INTO bodied (body) SELECT convert_to(x::text, 'UTF8') FROM (VALUES ('C:\\dir'), ('\x41')) v(x);
SELECT * FROM bodied_texts;

-- batches
TRUNCATE bodied;
PREPARE untyped_batch AS SELECT count(*) FROM rocketq.produce_batch($1, $2);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'untyped_batch';
EXECUTE untyped_batch('bodied', '{parameter,"\\x43"}');
SELECT count(*) FROM rocketq.produce_batch('bodied', '{literal,""}');
SELECT count(*) FROM rocketq.produce_batch('bodied', ARRAY['text', 'text too']);
SELECT count(*) FROM rocketq.produce_batch('bodied', ARRAY['varchar']::varchar[]);
SELECT count(*) FROM rocketq.produce_batch('bodied', ARRAY['char']::char(10)[]);
SELECT count(*) FROM rocketq.produce_batch('bodied', ARRAY['a domain']::a_text[]);
SELECT count(*) FROM rocketq.produce_batch('bodied', ARRAY['bytea']::bytea[]);
SELECT count(*) FROM rocketq.produce_batch('bodied', ARRAY['{"a":  1}']::json[]);
SELECT count(*) FROM rocketq.produce_batch('bodied', ARRAY['{"b":  1}']::jsonb[]);
SELECT count(*) FROM rocketq.produce_batch('bodied', '{}');
SELECT count(*) FROM rocketq.produce_batch('bodied', (SELECT array_agg(row_to_json(r)) FROM (VALUES (1), (2)) r(i)));
SELECT * FROM bodied_texts;

-- groups that start at a time, given as text and as a timestamp
SELECT rocketq.create_group('bodied', 'a', now());
SELECT rocketq.create_group('bodied', 'b', 'now');
SELECT rocketq.create_group('bodied', 'c', current_date - 1);
SELECT rocketq.create_group('bodied', 'd', NULL::timestamptz);
SELECT consumer_group, lag FROM rocketq.groups WHERE topic = 'bodied' ORDER BY 1;

-- views find a topic by its name, and by the OID of its table
CREATE SCHEMA elsewhere;
SELECT rocketq.create_topic('elsewhere."Mixed Case"', 1);
SELECT topic, topic_oid = 'bodied'::regclass AS same FROM rocketq.topics WHERE topic = 'bodied';
SELECT t.topic, q.topic = t.topic AS queue, q.topic_oid = t.topic_oid AS same, rocketq.max_offset(t.topic, q.queue_id)
FROM rocketq.topics t JOIN rocketq.queues q USING (topic_oid) WHERE topic_oid = 'elsewhere."Mixed Case"'::regclass;
SET search_path = elsewhere;
SELECT topic FROM rocketq.topics WHERE topic = '"Mixed Case"';
SELECT topic FROM rocketq.groups WHERE topic = 'public.bodied' AND consumer_group = 'a';
RESET search_path;

SET client_min_messages = warning;
DROP SCHEMA elsewhere CASCADE;
DROP FUNCTION produce_any(anyelement);
DROP TABLE bodied CASCADE;
DROP DOMAIN a_text, a_document;

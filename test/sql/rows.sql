-- consume() and pull() return the same rows as a scan, byte for byte: with and
-- without each optional part, and at the lengths where the representation of a
-- value changes.
SELECT rocketq.create_topic('shapes', 1);
INSERT INTO shapes (tag, keys, sharding_key, properties, body)
	SELECT CASE WHEN i & 1 <> 0 THEN repeat('t', 1 + i % 127) END,
		CASE WHEN i & 2 <> 0 THEN ARRAY(SELECT repeat('k', k * i % 200) FROM generate_series(1, 1 + i % 5) k) END,
		CASE WHEN i & 4 <> 0 THEN repeat('s', 1 + i % 255) END,
		CASE WHEN i & 8 <> 0 THEN jsonb_build_object('n', i, 'p', repeat('p', i % 300)) END,
		convert_to(repeat('b', CASE WHEN i % 100 = 0 THEN 100000 + i ELSE i % 260 END), 'UTF8')
	FROM generate_series(0, 2047) i;
CREATE TABLE by_scan AS SELECT * FROM shapes;
CREATE TABLE by_pull AS SELECT * FROM rocketq.pull('shapes', 0, 0, 5000);
CREATE TABLE by_consume AS SELECT * FROM rocketq.consume('shapes', 'g', 5000);
SELECT count(*), count(DISTINCT length(body)), count(tag), count(keys), count(sharding_key), count(properties) FROM by_scan;

CREATE FUNCTION differ(a regclass, b regclass, OUT differ bigint) LANGUAGE plpgsql AS $$
BEGIN
    -- as records, which are compared byte by byte
	EXECUTE format('SELECT count(*) FROM %s a FULL JOIN %s b USING (queue_offset)
		WHERE a.queue_id IS NULL OR b.queue_id IS NULL OR NOT a *= b', a, b) INTO differ;
END $$;
SELECT differ('by_scan', 'by_pull'), differ('by_scan', 'by_consume');

-- in a select list, through a sort that spills, and with columns left out
SELECT count(*) FROM (SELECT (rocketq.pull('shapes', 0, 0, 5000)).*) p JOIN by_scan s USING (message_id)
	WHERE p.body = s.body AND p.keys IS NOT DISTINCT FROM s.keys;
SET work_mem = '64kB';
SELECT count(*), sum(length(body)), md5(string_agg(md5(body), '' ORDER BY queue_offset))
		= (SELECT md5(string_agg(md5(body), '' ORDER BY queue_offset)) FROM by_scan) AS same
	FROM rocketq.pull('shapes', 0, 0, 5000);
RESET work_mem;
SELECT tag, sharding_key IS NULL AS no_sharding_key, delivery_attempt FROM rocketq.pull('shapes', 0, 127, 2);
SELECT rocketq.drop_topic('shapes');
DROP TABLE by_scan, by_pull, by_consume;
DROP FUNCTION differ;

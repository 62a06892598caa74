DELETE FROM bench_table
WHERE id = ANY (ARRAY(SELECT id FROM bench_table ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED))
RETURNING extract(epoch FROM clock_timestamp()), convert_from(body, 'UTF8');
SELECT pg_sleep(0.01);

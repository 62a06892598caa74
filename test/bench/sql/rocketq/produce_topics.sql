\if :cold
SELECT count(rocketq.produce(('bench_' || t)::regclass, :body::text, queue_id => q)) FROM generate_series(1, :size) AS t, generate_series(0, 7) AS q;
\set cold 0
\endif
\set i random(1, :size)
SELECT rocketq.produce(('bench_' || :i::text)::regclass, :body::text);

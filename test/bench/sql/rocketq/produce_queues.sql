\if :cold
SELECT count(rocketq.produce(('bench_' || :size::text)::regclass, :body::text, queue_id => q)) FROM generate_series(0, :size - 1) AS q;
\set cold 0
\endif
SELECT rocketq.produce(('bench_' || :size::text)::regclass, :body::text);

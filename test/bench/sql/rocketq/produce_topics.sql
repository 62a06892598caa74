\set i random(1, :size)
SELECT rocketq.produce(('bench_' || :i::text)::regclass, :body::text);

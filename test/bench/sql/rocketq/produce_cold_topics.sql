\set i random(1, :size)
\set q random(0, 7)
SELECT rocketq.produce(('bench_' || :i::text)::regclass, :body::text, queue_id => :q);

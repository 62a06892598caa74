SELECT rocketq.produce(('bench_' || :size::text)::regclass, :body::text);

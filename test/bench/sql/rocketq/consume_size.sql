BEGIN;
SELECT message_id, body FROM rocketq.consume(('bench_' || :size::text)::regclass, :consumer, :batch);
SELECT rocketq.commit_offset(('bench_' || :size::text)::regclass, :consumer);
COMMIT;

\set group 1 + :n / :calls
\set n :n + 1
BEGIN;
SELECT message_id, body FROM rocketq.consume(('bench_' || :size::text)::regclass, 'c' || :round::text || '_' || :group::text, :batch);
SELECT rocketq.commit_offset(('bench_' || :size::text)::regclass, 'c' || :round::text || '_' || :group::text);
COMMIT;

\set q random(0, :size - 1)
\set k :q / :topic_queues
\set q :q - :k * :topic_queues
SELECT rocketq.produce(('cold_' || :size::text || '_' || :k::text)::regclass, :body::text, queue_id => :q);

SELECT count(rocketq.produce(('many_' || i % :size / :topic_queues)::regclass, :body::text, queue_id => i % :size % :topic_queues))
FROM generate_series(0, :batch - 1) AS i;

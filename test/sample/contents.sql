-- Everything that a sample's store keeps, for the database that has its topics.
-- Older samples are compared with it, too: columns are named.

SET TimeZone = 'UTC';

SELECT topic, queues, retention_time FROM rocketq.topics ORDER BY topic;
SELECT topic, queue_id, min_offset, max_offset FROM rocketq.queues ORDER BY topic, queue_id;
SELECT topic, consumer_group, queue_id, committed_offset FROM rocketq.groups
ORDER BY topic, consumer_group COLLATE "C", queue_id;
SELECT q.topic, m.queue_id, m.queue_offset, m.message_id, m.tag, m.keys, m.sharding_key, m.properties,
    m.born_at, m.stored_at, length(m.body) AS length,
    CASE WHEN length(m.body) > 100 THEN md5(m.body) ELSE encode(m.body, 'escape') END AS body
FROM rocketq.queues q, rocketq.pull(q.topic, q.queue_id, q.min_offset, 100000) m
ORDER BY q.topic, m.queue_id, m.queue_offset;

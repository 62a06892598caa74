SELECT sum(rocketq.max_offset('bench', q) - rocketq.committed_offset('bench', :'consumer', q))
FROM generate_series(0, (SELECT queues - 1 FROM rocketq.topics WHERE topic = 'bench')) AS q;

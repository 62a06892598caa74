SELECT message_id, body FROM rocketq.pull('bench_queue', 0, :next, :batch);
\set next :next + :batch

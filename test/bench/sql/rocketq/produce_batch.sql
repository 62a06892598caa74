SELECT count(*) FROM rocketq.produce_batch('bench', array_fill(:body::text, ARRAY[:batch::int]));

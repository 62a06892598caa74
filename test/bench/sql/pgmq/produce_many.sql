SELECT count(*) FROM pgmq.send_batch('bench', array_fill(to_jsonb(:body::text), ARRAY[:batch::int]));

SELECT pgmq.send('bench', to_jsonb(:body::text));

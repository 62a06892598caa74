\set n :n + 1
SELECT pgmq.send('bench', to_jsonb(concat_ws(' ', :client_id::text, :n::text, extract(epoch FROM clock_timestamp())::text, :body::text)));

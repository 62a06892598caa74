\set n :n + 1
INSERT INTO bench_table (body) VALUES (convert_to(concat_ws(' ', :client_id::text, :n::text, extract(epoch FROM clock_timestamp())::text, :body::text), 'UTF8'));

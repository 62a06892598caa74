\set n :n + 1
SELECT rocketq.produce('bench', concat_ws(' ', :client_id::text, :n::text, extract(epoch FROM clock_timestamp())::text, :body::text));

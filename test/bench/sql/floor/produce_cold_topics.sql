\set i random(1, :size)
SELECT pg_logical_emit_message(true, ('bench_' || :i::text)::regclass::text, :body::text);

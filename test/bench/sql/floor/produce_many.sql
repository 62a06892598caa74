SELECT count(pg_logical_emit_message(true, 'bench', :body::text)) FROM generate_series(1, :batch);

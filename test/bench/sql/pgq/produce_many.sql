SELECT count(pgq.insert_event('bench', 'bench', :body)) FROM generate_series(1, :batch);

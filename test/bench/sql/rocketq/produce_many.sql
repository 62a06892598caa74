SELECT count(rocketq.produce('bench', :body::text)) FROM generate_series(1, :batch);

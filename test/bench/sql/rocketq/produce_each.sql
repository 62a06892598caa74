SELECT count(rocketq.produce('bench', :body::text, queue_id => q)) FROM generate_series(0, :size - 1) AS q;

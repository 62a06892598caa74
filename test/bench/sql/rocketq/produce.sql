SELECT rocketq.produce('bench', :body::text);

INSERT INTO bench (body) SELECT convert_to(:body, 'UTF8') FROM generate_series(1, :batch);

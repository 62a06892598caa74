INSERT INTO bench_table (body) VALUES (convert_to(:body, 'UTF8'));

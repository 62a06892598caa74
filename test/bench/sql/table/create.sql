CREATE TABLE bench_table (id bigserial PRIMARY KEY, body bytea NOT NULL);

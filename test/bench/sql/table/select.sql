SELECT id, body FROM bench_read WHERE id > :last ORDER BY id LIMIT :batch;
\set last :last + :batch

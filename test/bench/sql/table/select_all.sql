SELECT id, body FROM bench_read;

VACUUM ANALYZE bench_table;

SELECT count(*) FROM bench_table;

DROP TABLE IF EXISTS bench_table;

VACUUM ANALYZE pgmq.q_bench;

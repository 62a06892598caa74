SELECT pgq.ticker();
SELECT pg_sleep(0.1);

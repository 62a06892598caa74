SELECT coalesce(pgq.next_batch('bench', 'bench'), 0) AS of \gset
SELECT :of > 0 AS got \gset
\if :got
SELECT extract(epoch FROM clock_timestamp()), ev_data FROM pgq.get_batch_events(:of);
SELECT pgq.finish_batch(:of);
\else
SELECT pg_sleep(0.01);
\endif

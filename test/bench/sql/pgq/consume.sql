BEGIN;
SELECT coalesce(pgq.next_batch('bench', :consumer), 0) AS of \gset
\if :of > 0
SELECT ev_id, ev_data FROM pgq.get_batch_events(:of);
SELECT pgq.finish_batch(:of);
\endif
COMMIT;

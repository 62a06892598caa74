SELECT format('VACUUM ANALYZE %s', queue_data_pfx || '_' || i) FROM pgq.queue, generate_series(0, 2) AS i WHERE queue_name = 'bench' \gexec

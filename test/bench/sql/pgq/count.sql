SELECT format('SELECT count(*) FROM %s', queue_data_pfx) FROM pgq.queue WHERE queue_name = 'bench' \gexec

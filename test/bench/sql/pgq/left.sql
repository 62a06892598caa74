SELECT format('SELECT count(*) FROM %s WHERE ev_id > %s', q.queue_data_pfx, t.tick_event_seq)
FROM pgq.subscription AS s
JOIN pgq.consumer AS c ON c.co_id = s.sub_consumer AND c.co_name = :'consumer'
JOIN pgq.queue AS q ON q.queue_id = s.sub_queue AND q.queue_name = 'bench'
JOIN pgq.tick AS t ON t.tick_queue = s.sub_queue AND t.tick_id = s.sub_last_tick \gexec

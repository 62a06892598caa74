SELECT pgq.create_queue('bench');
SELECT pgq.ticker('bench');

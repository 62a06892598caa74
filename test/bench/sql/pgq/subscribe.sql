SELECT pgq.register_consumer('bench', 'bench');
SELECT pgq.set_queue_config('bench', 'ticker_max_lag', '100 ms');
SELECT pgq.set_queue_config('bench', 'ticker_idle_period', '1 s');

SELECT extract(epoch FROM clock_timestamp()), convert_from(body, 'UTF8')
FROM rocketq.consume('bench', 'bench', 1000, auto_commit => true, wait => '1 s');

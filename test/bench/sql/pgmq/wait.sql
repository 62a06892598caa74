WITH taken AS MATERIALIZED (
    SELECT clock_timestamp() AS at, msg_id, message FROM pgmq.read_with_poll('bench', 30, 1000, 1)
), gone AS MATERIALIZED (
    SELECT count(*) FROM pgmq.delete('bench', ARRAY(SELECT msg_id FROM taken))
)
SELECT extract(epoch FROM at), message #>> '{}' FROM taken, gone;

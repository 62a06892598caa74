WITH taken AS MATERIALIZED (
    SELECT msg_id, message FROM pgmq.read('bench', 30, :batch)
), gone AS MATERIALIZED (
    SELECT count(*) FROM pgmq.delete('bench', ARRAY(SELECT msg_id FROM taken))
)
SELECT msg_id, message FROM taken, gone;

BEGIN;
SELECT message_id, body FROM rocketq.consume('bench', :consumer, :batch);
SELECT rocketq.commit_offset('bench', :consumer);
COMMIT;

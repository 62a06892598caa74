BEGIN;
SELECT message_id, body FROM rocketq.consume('bench', :consumer, 2 * :batch);
SELECT rocketq.commit_offset('bench', :consumer);
COMMIT;

SELECT message_id, body FROM rocketq.consume('bench', :consumer, :batch, auto_commit => true);

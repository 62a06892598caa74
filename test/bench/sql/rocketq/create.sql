SELECT rocketq.create_topic('bench');

SELECT rocketq.create_group('bench', 'bench');

SELECT pgq.insert_event('bench', 'bench', :body);

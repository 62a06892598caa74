SELECT count(*) FROM bench;

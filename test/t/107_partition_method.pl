# 107_partition_method.pl -- from 17 on a partitioned table can have an access
# method, which its partitions inherit.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main');

plan skip_all => 'before 17 a partitioned table has no access method' if $node->pg_version < 17;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub topics
{
	my ($expected, $what) = @_;
	return is(sql("SELECT string_agg(topic, ' ' ORDER BY topic) FROM rocketq.topics"), $expected, $what);
}

sql(<<'EOQ');
CREATE TABLE orders (LIKE rocketq.message) PARTITION BY LIST (tag) USING rocketq;
CREATE TABLE orders_eu PARTITION OF orders FOR VALUES IN ('eu');
CREATE TABLE orders_us PARTITION OF orders FOR VALUES IN ('us', 'ca') PARTITION BY HASH (sharding_key);
CREATE TABLE orders_us0 PARTITION OF orders_us FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE orders_us1 PARTITION OF orders_us FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE orders_rest PARTITION OF orders DEFAULT USING heap;
INSERT INTO orders (tag, sharding_key, body)
	SELECT (ARRAY['eu', 'us', 'ca', 'br'])[1 + i % 4], i, convert_to(i::text, 'UTF8') FROM generate_series(1, 400) i;
EOQ
topics('orders_eu orders_us0 orders_us1', 'partitions are topics, unless they say otherwise');
is(sql("SELECT count(*), count(DISTINCT tableoid) FROM orders"), '400|4', 'the parent has all rows');
is(sql("SELECT count(*) FROM rocketq.consume('orders_eu', 'g', 1000, auto_commit => true)"), '100', 'a partition is consumed');
sql('VACUUM orders');
sql('ANALYZE orders');
foreach my $call ("produce('orders', 'b')", "create_group('orders', 'g')", "drop_topic('orders')",
	"consume('orders_us', 'g', 1)")
{
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT rocketq.$call");
	like($err, qr/ERROR:  "orders(_us)?" is not a topic\nDETAIL:  It is a partitioned table/, "$call is refused");
}
my ($rc, $out, $err) = $node->psql('postgres', <<'EOQ');
CREATE TABLE other (tag text, n int) PARTITION BY LIST (tag) USING rocketq;
CREATE TABLE other_eu PARTITION OF other FOR VALUES IN ('eu');
EOQ
like($err, qr/columns of topic "other_eu" do not match/, 'a parent with other columns has no topics');

# The method of a parent is that of partitions to come.
sql(<<'EOQ');
ALTER TABLE orders SET ACCESS METHOD heap;
CREATE TABLE orders_jp PARTITION OF orders FOR VALUES IN ('jp');
ALTER TABLE orders SET ACCESS METHOD rocketq;
CREATE TABLE orders_kr PARTITION OF orders FOR VALUES IN ('kr');
INSERT INTO orders (tag, body) VALUES ('jp', ''), ('kr', '');
EOQ
topics('orders_eu orders_kr orders_us0 orders_us1', 'the method can be changed');
sql('ALTER TABLE orders DETACH PARTITION orders_kr');
is(sql("SELECT rocketq.produce('orders_kr', 'b', tag => 'any') > 0"), 't', 'a detached partition is a topic like any other');
sql('DROP TABLE orders_kr');

rq_kill9($node, all => 1);
rq_start($node);
is(sql("SELECT count(*), count(DISTINCT tableoid) FROM orders"), '401|5', 'the same after a crash');
sql('TRUNCATE orders');
is(sql("SELECT count(*) FROM orders"), '0', 'TRUNCATE of the parent');
rq_verify($node, 'after TRUNCATE');
sql('DROP TABLE orders, other');
topics('', 'DROP TABLE of the parent');
rq_verify($node, 'after DROP');

done_testing();

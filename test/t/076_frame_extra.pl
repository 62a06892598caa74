# 076_frame_extra.pl -- messages whose frames have an extra part, with items of
# unknown kinds: readers get the messages as they were produced.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
EOC
rq_require_faults($node);

sub query { return $node->safe_psql('postgres', shift); }

# Messages with all parts and with none, short and long, in statements with one
# and with many; the same with produce() and with INSERT.
query(<<'EOQ');
CREATE TABLE messages AS
SELECT i AS n, CASE WHEN i % 3 > 0 THEN 'tag' || i % 5 END AS tag,
	CASE WHEN i % 4 > 0 THEN 'key' || i % 7 END AS sharding_key,
	CASE WHEN i % 5 > 0 THEN ARRAY['one' || i, repeat('two', i % 11)] END AS keys,
	CASE WHEN i % 2 > 0 THEN jsonb_build_object('i', i) END AS properties,
	convert_to(repeat('b', (i * 37) % 3000), 'UTF8') AS body
FROM generate_series(1, 400) i;
SELECT rocketq.create_topic(t, 1) FROM unnest(ARRAY['plain', 'extra']) t;
SELECT rocketq.create_group('extra', 'readers');
EOQ

my $produce = <<'EOQ';
SELECT count(rocketq.produce('TOPIC', body, tag, keys => keys, properties => properties,
	sharding_key => sharding_key, queue_id => 0)) FROM (SELECT * FROM messages ORDER BY n) m;
INSERT INTO TOPIC (tag, sharding_key, keys, properties, body)
	SELECT tag, sharding_key, keys, properties, body FROM messages ORDER BY n;
SELECT rocketq.produce('TOPIC', 'at once', transactional => false);
EOQ
my @sizes = (0, 1, 7, 100, 65000);
foreach my $size (@sizes)
{
	query($produce =~ s/TOPIC/plain/gr);
	query("SET rocketq.test_extra = $size;" . $produce =~ s/TOPIC/extra/gr);
}

sub bytes { return query("SELECT sum(bytes) FROM rocketq.queues WHERE topic = '$_[0]'"); }
my $count = 801 * @sizes;
my $expected = 801 * (0 + 1 + 7 + 100 + 65000);
cmp_ok(bytes('extra') - bytes('plain'), '>', $expected, 'the extra parts are in the log');
my $item = 'ff01' =~ s/(..)(..)/$2$1/r . '6400' . '65' x 100 . '02ff' . '0100' . '21';
is( query(<<"EOQ"), 't', 'the extra parts are unchanged');
SELECT bool_or(encode(pg_read_binary_file('pg_rocketq/log/' || f), 'hex') ~ '$item')
FROM pg_ls_dir('pg_rocketq/log') f WHERE f !~ 'tmp'
EOQ

sub same
{
	my $label = shift;
	my $of = 'SELECT queue_offset, tag, sharding_key, keys, properties, body FROM';

	is(query("SELECT count(*) FROM extra"), $count, "$label: all are there");
	is(query(<<"EOQ"), '0', "$label: a scan finds them as they were produced");
SELECT count(*) FROM (($of plain EXCEPT ALL $of extra) UNION ALL ($of extra EXCEPT ALL $of plain)) d
EOQ
	my $pull = $of =~ s/SELECT /SELECT p./r =~ s/ FROM//r;
	is(query(<<"EOQ"), '0', "$label: pull() too");
WITH e AS (SELECT p.* FROM rocketq.queues q, rocketq.pull('extra', 0, 0, 10000) p
		WHERE q.topic = 'extra')
SELECT count(*) FROM (($of plain EXCEPT ALL $of e) UNION ALL ($of e EXCEPT ALL $of plain)) d
EOQ
	is(query(q{SELECT count(*) FROM rocketq.verify()}), '0', "$label: verify() finds nothing");
	return;
}

same('produced');
$node->stop('immediate');
$node->start;
same('replayed');

is(query(<<'EOQ'), $count, 'consume() reads them');
SELECT count(*) FROM rocketq.consume('extra', 'readers', 10000) c JOIN plain p USING (queue_offset)
WHERE (c.tag, c.sharding_key, c.keys, c.properties, c.body) IS NOT DISTINCT FROM
	(p.tag, p.sharding_key, p.keys, p.properties, p.body)
EOQ
is(query(q{SELECT count(*) FROM extra WHERE tag = 'tag1'}), query(q{SELECT count(*) FROM plain WHERE tag = 'tag1'}), 'a filter finds them');

done_testing();

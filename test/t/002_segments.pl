# 002_segments.pl -- the log and queues grow over many segments, old segments
# are removed when they are no longer needed, and many queues cost next to
# nothing.

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
rocketq.max_queues = 12000
rocketq.max_consumer_slots_per_topic = 12000
rocketq.janitor_interval = '20ms'
rocketq.retention_time = -1
EOC

my $sound = <<'EOQ';
SELECT count(*) || ' ' || count(DISTINCT p.message_id) || ' ' || sum(length(body))
	|| ' ' || coalesce(string_agg(DISTINCT rocketq.text(body), ',')
		FILTER (WHERE rocketq.text(body) !~ ('^' || tag || '(x*)$')), 'good')
FROM rocketq.queues q, LATERAL rocketq.pull(q.topic, q.queue_id, q.min_offset, 100000) p
WHERE q.topic = 'big'
EOQ

#
# 3 queues of 5000 messages, 15 MB: three segments of each queue and many of
# the log.  Sizes go up to the largest that fits.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('big', 3);
SELECT rocketq.produce('big', i || repeat('x', i % 2000), i::text, queue_id => i % 3)
FROM generate_series(1, 15000) i;
EOQ
is( $node->safe_psql('postgres',
		"SELECT string_agg(max_offset::text, ',') FROM rocketq.queues"),
	'5000,5000,5000',
	'queues of more than two segments');
my ($rows) = $node->safe_psql('postgres', $sound);
like($rows, qr/^15000 15000 \d+ good$/, 'all messages are there and whole');
rq_poll_query($node, 'a segment to be made ahead of need',
	"SELECT count(*) >= 1 FROM rocketq.segments WHERE state = 'ready'");
is( $node->safe_psql('postgres', <<'EOQ'), 't', 'the view shows contiguous segments');
SELECT bool_and(start_position = lag) AND count(*) FILTER (WHERE state = 'full') >= 14
	AND count(*) FILTER (WHERE state = 'writing') = 1
FROM (SELECT *, lag(end_position, 1, 0::bigint) OVER (ORDER BY start_position) AS lag
	FROM rocketq.segments) s
EOQ
is( $node->safe_psql('postgres', <<'EOQ'), '0', 'disk space of segments is allocated');
SELECT count(*) FROM rocketq.segments
WHERE disk_bytes < 1024 * 1024 OR used_bytes > 1024 * 1024
EOQ

# A frame that fills a segment, and one that is too large.
$node->safe_psql('postgres',
	"SELECT rocketq.produce('big', '9' || repeat('x', 1024 * 1024 - 400), '9', queue_id => 0)");
my ($rc, $out, $err) = $node->psql('postgres',
	"SELECT rocketq.produce('big', repeat('x', 1024 * 1024), queue_id => 0)");
like($err, qr/does not fit into a segment.*1 MB/s, 'too large for a segment');

$rows = $node->safe_psql('postgres', $sound);
$node->restart;
is($node->safe_psql('postgres', $sound), $rows, 'the same after a restart');
rq_kill9($node);
rq_start($node);
is($node->safe_psql('postgres', $sound), $rows, 'the same after a crash');
rq_verify($node, 'after growing');

#
# Trim.  First with a group that holds everything back.
#
$node->safe_psql('postgres', "SELECT rocketq.create_group('big', 'slow')");
my $log_from = rq_log_from($node);
$node->safe_psql('postgres', "ALTER SYSTEM SET rocketq.retention_time = 0");
rq_reload($node);
rq_wait_ticks($node, 'janitor', 20);
is($node->safe_psql('postgres', $sound),
	$rows, 'nothing is removed before the group has consumed it');

# Then it consumes part of it.
$node->safe_psql('postgres', <<'EOQ');
BEGIN;
SELECT count(*) FROM rocketq.consume('big', 'slow', 6000);
SELECT rocketq.commit_offset('big', 'slow');
COMMIT;
EOQ
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM rocketq.groups WHERE lag = 0 AND consumer_group = 'slow'"
	),
	'1',
	'one queue is consumed, another in part');
rq_wait_ticks($node, 'janitor', 20);
is( $node->safe_psql('postgres',
		"SELECT sum(max_offset - min_offset) >= 9001 FROM rocketq.queues"),
	't',
	'what the group still needs is kept');

# And all of it.
$node->safe_psql('postgres', <<'EOQ');
BEGIN;
SELECT count(*) FROM rocketq.consume('big', 'slow', 100000);
SELECT rocketq.commit_offset('big', 'slow');
COMMIT;
EOQ
rq_poll_query($node, 'the segments to go',
	"SELECT count(*) FILTER (WHERE state = 'full') = 0 FROM rocketq.segments");
# It is logged after the files have been removed.
rq_wait_ticks($node, 'janitor', 1);
like(slurp_file($node->logfile, $log_from),
	qr/rocketq trimmed the commit log/, 'the server log reports the trim');
is( $node->safe_psql('postgres', <<'EOQ'), 't', 'queues are trimmed, too');
SELECT bool_and(min_offset > 4096 AND max_offset >= 5000) FROM rocketq.queues
EOQ
is(scalar(grep { /^[0-9A-Fa-f]{16}$/ } rq_store_files($node, 'log')),
	$node->safe_psql('postgres', 'SELECT count(*) FROM rocketq.segments'),
	'files of trimmed segments are gone');
my $big = rq_topic_key($node, 'big');
rq_extents_gone($node, 'extents that were trimmed to be free',
	sub { $_[0]{key} eq $big && $_[0]{first} + $_[0]{count} <= 4096 });
rq_verify($node, 'after trimming');

my $bounds = "SELECT queue_id, min_offset, max_offset FROM rocketq.queues ORDER BY 1";
my $bounds_before = $node->safe_psql('postgres', $bounds);
rq_kill9($node);
rq_start($node);
is($node->safe_psql('postgres', $bounds),
	$bounds_before, 'bounds are the same after a crash');
$node->safe_psql('postgres',
	"SELECT rocketq.produce('big', i || 'x', i::text, queue_id => i % 3) FROM generate_series(1, 30) i");
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM rocketq.consume('big', 'slow', 1000, auto_commit => true)"
	),
	'30',
	'producing and consuming still work');
rq_verify($node, 'after trimming and a crash');

#
# Trim close behind a producer, with crashes in the middle.  Whole segments of
# a queue are created and removed before the keeper has logged even once how
# far the queue is resolved.  Does this survive a crash, and a checkpoint in
# between?
#
foreach my $round (1 .. 4)
{
	my $checkpoint = $round == 2 || $round == 3;
	my $trimmed = "SELECT min(start_position) FROM rocketq.segments";
	my $trimmed_before = $node->safe_psql('postgres', $trimmed);

	# A paused keeper logs nothing; if it is then killed, it can't do so at the
	# end either.
	rq_pause($node, 'rocketq keeper') if $round == 1;
	$node->safe_psql('postgres', <<'EOQ');
DO $$
BEGIN
	FOR i IN 1 .. 50 LOOP
		PERFORM rocketq.produce('big', '0' || repeat('x', 300), '0', queue_id => 0)
			FROM generate_series(1, 200);
		COMMIT;
		PERFORM FROM rocketq.consume('big', 'slow', 10000, auto_commit => true);
		COMMIT;
	END LOOP;
END $$
EOQ
	# Entries not logged as resolved are not trimmed.
	rq_poll_query($node, 'trim', "SELECT ($trimmed) >= $trimmed_before + 2 * 1024 * 1024")
	  if $round != 1;
	$node->safe_psql('postgres', 'CHECKPOINT') if $checkpoint;
	if ($round == 3) { $node->stop('immediate'); }
	elsif ($round == 4) { $node->stop('fast'); }
	else { rq_kill9($node, all => 1); }
	rq_start($node);
	is( $node->safe_psql('postgres', <<'EOQ'), 't', "round $round: messages appear after trimming and a crash");
SELECT rocketq.produce('big', '0', '0', queue_id => q) FROM generate_series(0, 2) q \g /dev/null
SELECT bool_and(unresolved = 0 AND messages >= 1 AND rocketq.max_offset(topic, queue_id) = max_offset)
FROM rocketq.queues
EOQ
	is( $node->safe_psql('postgres',
			"SELECT count(*) >= 3 FROM rocketq.consume('big', 'slow', 10000, auto_commit => true)"
		),
		't',
		"round $round: messages can be consumed");
	rq_verify($node, "round $round");
}

#
# 10,000 queues.
#
$node->safe_psql('postgres', "ALTER SYSTEM RESET rocketq.retention_time");
rq_reload($node);
$node->safe_psql('postgres', "DROP TABLE big");
rq_poll_query($node, 'the topic to go',
	'SELECT count(*) = 0 FROM rocketq.get_queues()');
rq_extents_gone($node, 'its extents to be free', sub { 1 });

sub used_kb
{
	my ($kb) = split ' ', `du -sk @{[ $node->data_dir ]}/pg_rocketq`;
	return $kb;
}

$node->safe_psql('postgres', 'CHECKPOINT');
my $kb_before = used_kb();
$node->safe_psql('postgres',
	"SET rocketq.max_queues_per_topic = 10000; SELECT rocketq.create_topic('wide', 10000)");
$node->safe_psql('postgres', 'CHECKPOINT');
my $kb_more = used_kb() - $kb_before;
note("10,000 empty queues take $kb_more KB");
cmp_ok($kb_more / 10_000, '<', 1, 'an empty queue takes less than 1 KB');

$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.produce('wide', 'to ' || q, queue_id => q)
FROM generate_series(0, 9999) q, generate_series(1, 2);
SELECT rocketq.produce('wide', 'again', sharding_key => i::text)
FROM generate_series(1, 5000) i;
EOQ
my $wide = <<'EOQ';
SELECT count(*) || ' ' || sum(max_offset) || ' ' || sum(unresolved)
FROM rocketq.queues WHERE topic = 'wide'
EOQ
is($node->safe_psql('postgres', $wide),
	'10000 25000 0', 'messages in 10,000 queues');
$node->safe_psql('postgres', 'CHECKPOINT');
is(scalar(rq_area_files($node)), 1, 'entries of 10,000 queues are in one file');
# A transaction holds a lock on each queue that it reads, so read a few at a
# time.
$node->safe_psql('postgres', <<'EOQ');
CREATE TABLE taken (queue_id int);
DO $$
DECLARE
	n bigint := 1;
BEGIN
	WHILE n > 0 LOOP
		INSERT INTO taken SELECT queue_id
			FROM rocketq.consume('wide', 'all', 1000, auto_commit => true);
		GET DIAGNOSTICS n = ROW_COUNT;
		COMMIT;
	END LOOP;
END $$;
EOQ
is( $node->safe_psql('postgres',
		'SELECT count(*), count(DISTINCT queue_id) FROM taken'),
	'25000|10000',
	'messages consumed from 10,000 queues');
$node->restart;
is($node->safe_psql('postgres', $wide), '10000 25000 0', 'after a restart');
rq_kill9($node);
rq_start($node);
is($node->safe_psql('postgres', $wide), '10000 25000 0', 'after a crash');
is( $node->safe_psql('postgres',
		"SELECT sum(lag) FROM rocketq.groups WHERE consumer_group = 'all'"),
	'0',
	'the group kept its offsets');
rq_verify($node, 'with 10,000 queues');
#
# A long queue continues in larger extents, with transactions on both sides of
# where these begin, and after a crash in the middle of one.
#
$node->safe_psql('postgres', 'DROP TABLE wide');
rq_extents_gone($node, 'its extents to be free', sub { 1 });
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('long', 1);
SELECT count(rocketq.produce('long', i::text)) FROM generate_series(1, 32700) i;
BEGIN;
SELECT rocketq.produce('long', i::text) FROM generate_series(32701, 32800) i;
COMMIT;
SELECT count(rocketq.produce('long', i::text)) FROM generate_series(32801, 49100) i;
EOQ
rq_kill9($node, all => 1);
rq_start($node);
$node->safe_psql('postgres',
	"SELECT count(rocketq.produce('long', i::text)) FROM generate_series(49101, 60000) i");
is( $node->safe_psql('postgres', <<'EOQ'), '60000|0|1|60000', 'a long queue is in order');
SELECT count(*), count(*) FILTER (WHERE n <> queue_offset + 1), min(n), max(n)
FROM (SELECT queue_offset, rocketq.text(body)::bigint AS n
	FROM rocketq.pull('long', 0, 0, 100000)) m
EOQ
my $long = rq_topic_key($node, 'long');
my @classes = map { $_->{class} } rq_extents_of($node, $long);
is(join(' ', @classes), join(' ', sort @classes), 'its extents become larger');
cmp_ok(scalar(grep { $_ == 3 } @classes), '>=', 6, 'most of it is in large ones');
cmp_ok(scalar(@classes), '<=', 16, 'there are few of them');
rq_verify($node, 'a long queue');
$node->safe_psql('postgres', <<'EOQ');
ALTER SYSTEM SET rocketq.retention_time = 0;
EOQ
rq_reload($node);
rq_poll_query($node, 'most of it to go',
	"SELECT rocketq.min_offset('long', 0) > 32768");
rq_extents_gone($node, 'its extents to be free',
	sub { $_[0]{key} eq $long && $_[0]{first} + $_[0]{count} <= 32768 });
rq_verify($node, 'what is left');

$node->stop;

done_testing();

# 048_standby_trim.pl -- a standby is trimmed with its primary, even if it is
# being read: a reader continues with the next message or gets a clear error,
# both servers have the same messages afterwards, and a promoted standby keeps
# what has to be kept.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $primary = rq_node(
	'primary',
	allows_streaming => 1,
	conf             => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
rocketq.janitor_interval = '20ms'
rocketq.retention_time = '-1'
max_wal_size = 1GB
EOC
$primary->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('t', 1), rocketq.create_topic('brief', 1);
SELECT rocketq.create_group('t', 'slow');
EOQ
my $standby = rq_standby($primary);

sub produce
{
	my ($node, $topic, $megabytes) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM (SELECT rocketq.produce('$topic', repeat('x', 10000)) FROM generate_series(1, $megabytes * 104)) p");
}

sub settings
{
	my ($node, %value) = @_;
	$node->safe_psql('postgres',
		join("\n", map { "ALTER SYSTEM SET rocketq.$_ = $value{$_};" } sort keys %value));
	rq_reload($node);
	return;
}

my $contents = <<'EOQ';
SELECT (SELECT md5(string_agg(concat_ws(' ', topic, queue_id, min_offset, max_offset, bytes), ',' ORDER BY topic)) FROM rocketq.queues),
	(SELECT min(start_position) FROM rocketq.segments),
	(SELECT string_agg(concat_ws(' ', consumer_group, committed_offset, lag), ',') FROM rocketq.groups),
	(SELECT md5(string_agg(m::text, '' ORDER BY message_id)) FROM t m)
EOQ

sub same
{
	my ($label) = @_;
	my ($here, $there);

	$primary->wait_for_catchup($standby, 'replay', $primary->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()'));
	rq_poll(
		"$label: both to have the same",
		sub {
			$there = $primary->safe_psql('postgres', $contents);
			$here = $standby->safe_psql('postgres', $contents);
			return $here eq $there;
		});
	rq_verify($standby, "$label, standby");
	return is($here, $there, "$label: both have the same");
}

produce($primary, 't', 6);
same('before');
is( $standby->safe_psql('postgres', "SELECT DISTINCT kept_by FROM rocketq.segments WHERE state = 'full'"),
	'the primary', 'the view of a standby says who decides');

#
# Readers of the standby hold nothing.  A cursor continues after what was
# removed, and a message removed while it is being read causes an error.
#
my $cursor = $standby->background_psql('postgres');
$cursor->query_safe('BEGIN');
$cursor->query_safe('DECLARE c CURSOR FOR SELECT queue_offset, length(body) FROM t');
is($cursor->query_safe('FETCH 1 FROM c'), '0|10000', 'a cursor begins');

my $lock = $standby->background_psql('postgres');
$lock->query_safe('SELECT pg_advisory_lock(1)');
my $reader = $standby->background_psql('postgres', on_error_stop => 0);
$reader->query_until(qr/reading/, <<'EOQ');
\set VERBOSITY verbose
\echo reading
SELECT pg_advisory_lock_shared(1), t FROM t LIMIT 1;
EOQ
rq_poll_query($standby, 'a reader to stand at a message',
	"SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");

settings($primary, retention_time => 0, max_kept_size => "'2MB'");
rq_poll_query($primary, 'the primary to trim',
	"SELECT count(*) <= 3 FROM rocketq.segments WHERE state <> 'ready'");
my $first = $primary->safe_psql('postgres', "SELECT min_offset FROM rocketq.queues WHERE topic = 't'");
cmp_ok($first, '>', 300, 'most messages have been removed');
same('trimmed');
is($cursor->query_safe('FETCH 1 FROM c'), "$first|10000", 'the cursor continues with the next message');
$cursor->query_safe('COMMIT');
$cursor->quit;
$lock->quit;
$reader->query('SELECT 1');
like($reader->{stderr},
	qr/ERROR:  40001: message \d+ was removed by retention while it was being read\n.*HINT:  Repeat the query/s,
	'a message removed while it is being read is an error');
$reader->quit;
my ($rc, $out, $err) = $standby->psql('postgres', "SELECT * FROM rocketq.pull('t', 0, 0, 10)");
like($err, qr/queue 0 begins after offset 0\nDETAIL:  The offsets of the queue range from $first to/, 'pull reports what is left');
is( $standby->safe_psql('postgres', "SELECT min(queue_offset), count(*) FROM rocketq.pull('t', 0, $first, 10)"),
	"$first|10", 'pull continues with the next message');

#
# The retention time of a topic.
#
$primary->safe_psql('postgres', "SELECT rocketq.alter_topic('brief', retention_time => '1s'); SELECT rocketq.produce('brief', 'x')");
rq_poll_query($primary, 'a message to expire',
	"SELECT min_offset = 1 FROM rocketq.queues WHERE topic = 'brief'");
same('expired');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM brief'), 0, 'removed from the standby, too');
is( $standby->safe_psql('postgres', "SELECT retention_time FROM rocketq.topics WHERE topic = 'brief'"),
	'00:00:01', 'which knows the time');

# The standby crashes in between, and recovers to the same state.
produce($primary, 't', 4);
rq_kill9($standby, all => 1);
rq_start($standby);
same('after a crash of the standby');

#
# After promotion, the group holds messages, and its idle time counts from now.
#
settings($primary, retention_time => "'-1'", max_kept_size => "'-1'");
produce($primary, 't', 4);
same('before promotion');
my $before = $standby->safe_psql('postgres', $contents);
$primary->stop('immediate');
$standby->promote;
rq_poll_query($standby, 'the workers', "SELECT count(pid) = 3 FROM rocketq.workers");
is($standby->safe_psql('postgres', $contents), $before, 'promoted: the same as before');
settings($standby, retention_time => 0, max_kept_size => "'-1'", group_idle_timeout => "'1h'");
rq_poll_query($standby, 'the group to hold',
	"SELECT kept_by LIKE 'group slow of %' FROM rocketq.segments ORDER BY start_position LIMIT 1");
is($standby->safe_psql('postgres', $contents), $before, 'the group holds what it has not consumed');
is( $standby->safe_psql('postgres', 'SELECT holding FROM rocketq.groups'), 't', 'the view shows that the group holds messages');
$standby->safe_psql('postgres', "SELECT rocketq.drop_group('t', 'slow')");
rq_poll_query($standby, 'the log to be trimmed',
	"SELECT count(*) = 0 FROM rocketq.segments WHERE state = 'full'");
rq_verify($standby, 'at the end');
$standby->stop;

done_testing();

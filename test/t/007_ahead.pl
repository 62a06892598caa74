# 007_ahead.pl -- what is done in advance, so that nobody has to wait for it:
# making extents of queues free, and flushing the log; and who waits when it has
# not been done.

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
rocketq.retention_time = -1
rocketq.flush_delay = 50ms
log_checkpoints = on
EOC
rq_require_faults($node);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# How many chunks of 4 MB there are.
sub chunks
{
	my $bytes = 0;

	$bytes += -s $_ foreach rq_area_files($node);
	return $bytes / 4 / 1024 / 1024;
}

sub produce
{
	my ($count, $queue) = @_;
	return sql("SELECT count(rocketq.produce('t', 'x', queue_id => $queue)) FROM generate_series(1, $count)");
}

# Produce so many messages in a transaction, whose commit has to wait.
sub waits
{
	my ($count, $queue) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_until(qr/begun/,
		"\\echo begun\nSELECT count(rocketq.produce('t', 'x', queue_id => $queue)) FROM generate_series(1, $count);\n");
	rq_poll_query($node, 'the commit to wait for the allocator',
		"SELECT wait_event IN ('RocketqSpace', 'Extension') FROM pg_stat_activity WHERE pid = $pid");
	return ($session, $pid);
}

#
# An unused store takes no space; then there is a chunk of the smallest extents.
#
rq_wait_ticks($node, 'allocator', 2);
is(chunks(), 0, 'an unused store takes no space');
sql("SELECT rocketq.create_topic('t', 4)");
rq_poll('a first chunk', sub { return chunks() == 1; });
produce(1, 0);
rq_wait_ticks($node, 'allocator', 2);
is(chunks(), 1, 'a message needs no more');

#
# Without the allocator, small extents are there, but larger ones have never been
# needed: who does, waits.  He can be canceled, and nothing is left of that.
#
my $paused = rq_pause($node, 'rocketq allocator');
produce(14, 0);
my ($session, $pid) = waits(100, 1);
is(sql("SELECT rocketq.produce('t', 'x', queue_id => 1) > 0"), 't', 'others go on meanwhile, in the same queue too');
sql("SELECT pg_cancel_backend($pid)");
rq_poll_query($node, 'the wait to end',
	"SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
$session->query('SELECT 1');
like($session->{stderr}, qr/canceling statement due to user request/, 'it can be canceled');
is(sql("SELECT rocketq.max_offset('t', 1)"), '1', 'nothing of it is in the queue');
$session->quit;
($session, $pid) = waits(100, 1);
kill('CONT', $paused);
rq_poll_query($node, 'the wait to end',
	"SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
is(sql("SELECT rocketq.max_offset('t', 1)"), '101', 'when the allocator goes on, so does the producer');
$session->quit;

#
# For a large transaction extents are made free before it commits.
#
my $large = $node->background_psql('postgres');
$large->query_safe('BEGIN');
$large->query_safe(
	"SELECT count(rocketq.produce('t', 'x', queue_id => 2)) FROM generate_series(1, 200000)");
rq_poll('its extents to be made free', sub { return chunks() >= 4; });
rq_wait_ticks($node, 'allocator', 3);
is(sql("SELECT rocketq.max_offset('t', 2)"), '0', 'the large transaction has not committed yet');
$paused = rq_pause($node, 'rocketq allocator');
$large->query_safe('COMMIT');
kill('CONT', $paused);
is(sql("SELECT count(*), max(queue_offset) FROM rocketq.pull('t', 2, 0, 300000)"), '200000|199999',
	'its messages are there after the commit');

# What a transaction has asked for and does not need goes back.
$large->query_safe('BEGIN');
$large->query_safe(
	"SELECT count(rocketq.produce('t', 'x', queue_id => 3)) FROM generate_series(1, 200000)");
$large->query_safe('ROLLBACK');
$large->quit;
rq_verify($node, 'extents without entries');

#
# A queue that is drained and used again goes on with small extents, which are
# used in turn.
#
sql("SELECT rocketq.create_topic('drained', 1)");
sql("SELECT rocketq.create_group('drained', 'g')");
sql("SELECT rocketq.alter_topic('drained', retention_time => '0')");
my $drained = rq_topic_key($node, 'drained');
foreach my $round (1 .. 3)
{
	sql("SELECT count(rocketq.produce('drained', 'x')) FROM generate_series(1, 3000)");
	rq_poll('all to be consumed', sub {
			return sql("SELECT count(*) FROM rocketq.consume('drained', 'g', 10000, auto_commit => true)") eq '0';
		});
	rq_poll_query($node, 'all to be trimmed',
		"SELECT rocketq.min_offset('drained', 0) = 3000 * $round");
	rq_extents_gone($node, 'its extents to be free',
		sub { $_[0]{key} eq $drained && $_[0]{class} > 0 });
}
cmp_ok(scalar(rq_extents_of($node, $drained)), '<=', 1, 'a drained queue has one small extent at most');

# After a drop and a sync the space is there for others, and not kept.
sql('DROP TABLE t');
rq_extents_gone($node, 'all extents to be free', sub { $_[0]{key} ne $drained });
my $used = "stat -c %b " . join(' ', rq_area_files($node));
rq_poll('the space to be given back', sub {
		my $blocks = 0;
		$blocks += $_ foreach split /\n/, `$used`;
		return $blocks * 512 <= 9 * 4 * 1024 * 1024;
	});
my $before = chunks();
$node->restart;
is(sql("SELECT rocketq.max_offset('drained', 0)"), '9000', 'a queue without messages keeps its end');
cmp_ok(chunks(), '<=', $before, 'a restart makes area files no longer');

#
# The log.  Segments are flushed as they become full, so that a checkpoint has
# only one left to flush.
#
sql("SELECT rocketq.create_topic('t', 1)");
sql('CHECKPOINT');
sql("SELECT count(rocketq.produce('t', repeat('x', 1000))) FROM generate_series(1, 8000)");
rq_wait_ticks($node, 'keeper', 10);
is(rq_checkpoint_segments($node), 1, 'full segments are on disk before the checkpoint');
sql("ALTER SYSTEM SET rocketq.flush_delay = -1");
rq_reload($node);
rq_wait_ticks($node, 'keeper', 2);
sql("SELECT count(rocketq.produce('t', repeat('x', 1000))) FROM generate_series(1, 8000)");
rq_wait_ticks($node, 'keeper', 10);
cmp_ok(rq_checkpoint_segments($node), '>=', 8, 'unless rocketq.flush_delay is -1');

rq_verify($node, 'at the end');
$node->stop;

done_testing();

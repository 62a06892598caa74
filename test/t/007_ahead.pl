# 007_ahead.pl -- what is done in advance, so that nobody has to wait for it:
# creating segments of queues, and flushing the log.

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

# The numbers of a queue's segments.
sub segments
{
	my ($queue) = @_;
	my ($directory) = rq_store_files($node, 'queue');

	return join(' ', sort map { /^$queue\.0*([0-9a-f]+)$/ ? hex($1) : () }
		  rq_store_files($node, "queue/$directory"));
}

sub produce
{
	my ($count, $queue) = @_;
	return sql("SELECT count(rocketq.produce('t', 'x', queue_id => $queue)) FROM generate_series(1, $count)");
}

#
# Segments of 2048 entries.  Each is created when the one before it is half
# full.
#
sql("SELECT rocketq.create_topic('t', 3)");
sql("DO \$\$ BEGIN FOR i IN 1 .. 1000 LOOP PERFORM rocketq.produce('t', 'x', queue_id => 0); COMMIT; END LOOP; END \$\$");
rq_wait_ticks($node, 'allocator', 2);
is(segments(0), '0', 'half a segment does not request the next one');
sql("DO \$\$ BEGIN FOR i IN 1 .. 30 LOOP PERFORM rocketq.produce('t', 'x', queue_id => 0); COMMIT; END LOOP; END \$\$");
rq_poll('a segment to be made ahead', sub { return segments(0) eq '0 1'; });
pass('more than half of it does');

# If none could be created, writing continues past the end of the first one.
sql(<<'EOQ');
SET rocketq.fault = 'segment-zero=error';
DO $$ BEGIN FOR i IN 1 .. 1030 LOOP PERFORM rocketq.produce('t', 'x', queue_id => 0); COMMIT; END LOOP; END $$
EOQ
is(sql("SELECT rocketq.max_offset('t', 0)"), '2060', 'a producer finds the next segment ready');

# Without the allocator, producers create segments themselves.
my $paused = rq_pause($node, 'rocketq allocator');
produce(1000, 0);
produce(2000, 0);
is(segments(0), '0 1 2', 'without the allocator a producer creates a segment');
kill('CONT', $paused);

#
# For a large transaction they are created before it commits.
#
my $large = $node->background_psql('postgres');
$large->query_safe('BEGIN');
$large->query_safe(
	"SELECT count(rocketq.produce('t', 'x', queue_id => 1)) FROM generate_series(1, 9000)");
rq_poll('its segments to be made', sub { return segments(1) eq '0 1 2 3 4'; });
is(sql("SELECT rocketq.max_offset('t', 1)"), '0', 'the large transaction has not committed yet');
$large->query_safe('COMMIT');
is(sql("SELECT count(*) FROM rocketq.pull('t', 1, 0, 10000)"), '9000', 'its messages are there after the commit');
$large->query_safe('BEGIN');
$large->query_safe(
	"SELECT count(rocketq.produce('t', 'x', queue_id => 2)) FROM generate_series(1, 5000)");
rq_poll('the segments to be made', sub { return segments(2) eq '0 1 2'; });
$large->query_safe('ROLLBACK');
$large->quit;
rq_verify($node, 'segments without entries');
produce(1, 2);
is(segments(2), '0 1 2', 'a transaction that rolls back leaves its segments for others');

# They are removed by a restart, and created again.
$node->restart;
rq_poll('what is not needed to be removed', sub { return segments(2) eq '0'; });
produce(1500, 2);
rq_poll('it to be made again', sub { return segments(2) eq '0 1'; });
is(sql("SELECT count(*) FROM rocketq.pull('t', 2, 0, 10000)"), '1501', 'all is there');

# A segment with entries is not created anew when it is missing.
my ($directory) = rq_store_files($node, 'queue');
unlink($node->data_dir . "/pg_rocketq/queue/$directory/1.00000004") or die "no such file: $!";
my ($rc, $out, $err) = $node->psql('postgres',
	"SELECT count(rocketq.produce('t', 'x', queue_id => 1)) FROM generate_series(1, 1200)");
like($err, qr/1\.00000004" is missing/, 'a missing segment is reported');
rq_wait_ticks($node, 'allocator', 2);
unlike(segments(1), qr/4/, 'a missing segment is not created in advance');
sql('TRUNCATE t');

# A dropped topic leaves nothing behind.
$large = $node->background_psql('postgres');
$large->query_safe('BEGIN');
$large->query_safe("SELECT rocketq.create_topic('gone', 1)");
$large->query_safe("SELECT count(rocketq.produce('gone', 'x')) FROM generate_series(1, 20000)");
$large->query_safe('ROLLBACK');
$large->quit;
sql('DROP TABLE t');
rq_poll('all directories to go', sub { return !rq_store_files($node, 'queue'); });

# A topic without messages has no directory.  Who makes segments ahead makes it.
sql("SELECT rocketq.create_topic('fresh', 1)");
is(scalar(rq_store_files($node, 'queue')), 0, 'no topic has a directory');
$large = $node->background_psql('postgres');
$large->query_safe('BEGIN');
$large->query_safe("SELECT count(rocketq.produce('fresh', 'x')) FROM generate_series(1, 9000)");
rq_poll('directory and segments to be made', sub { return segments(0) eq '0 1 2 3 4'; });
$large->query_safe('ROLLBACK');
$large->quit;
sql('DROP TABLE fresh');
rq_poll('its directory to go', sub { return !rq_store_files($node, 'queue'); });

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

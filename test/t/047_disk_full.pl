# 047_disk_full.pl -- the disk of the store fills up at each moment that needs
# room: a clear error or a wait, the server stays up, all goes on by itself
# once there is room, and nothing is lost or there in part.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use RocketqDisk;    # before the modules that change where output goes
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

sub number { return $_[0]->safe_psql('postgres', $_[1]); }

rq_seed();
my $node = rq_node(
	'main',
	allows_streaming => 1,
	conf             => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
checkpoint_timeout = 1h
rocketq.disk_trim_percent = 0
rocketq.disk_refuse_percent = 0
EOC
rq_create_load($node, queues => 2);
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('plain', 1);
SELECT load.make_for(k, 5) FROM generate_series(0, 39) k;
EOQ
$node->stop;
my $disk = mount_small($node, 24);
rq_start($node);
my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');

my $counted = 'SELECT refused_disk_full FROM rocketq.stats';

# Produce, one call after the other, until it is refused.  Returns the error.
sub produce_until_refused
{
	my ($call) = @_;
	my $before = number($node, $counted);

	foreach my $i (1 .. 1000)
	{
		my ($rc, $out, $err) =
		  $node->psql('postgres', "\\set VERBOSITY verbose\n$call");
		if ($rc != 0 || $err ne '')
		{
			is(number($node, $counted) - $before, '1', 'the refusal is counted');
			return $err;
		}
	}
	return 'it was never refused';
}

my $refused =
  qr/ERROR:\s+53100: could not allocate a segment of the rocketq commit log: No space left on device\nHINT:\s+Free some space in "pg_rocketq\/log"; producers go on by themselves/;

sub goes_on
{
	my ($label) = @_;

	rq_poll(
		"$label: producing goes on by itself",
		sub {
			return 0 == $node->psql('postgres', 'SELECT load.make_for(1, 200)');
		});
	is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'),
		$started, "$label: the server stayed up");
	rq_check($node, $label);
	return;
}

#
# Preallocating and producing, in transactions and without.  Queues have room,
# the log has none for another segment.
#
fill_up($disk, 512);
my $log_from = rq_log_from($node);
like( produce_until_refused(
		"SELECT load.make_for(1, 1), rocketq.produce('plain', repeat('x', 5000)) FROM generate_series(1, 20)"
	),
	$refused,
	'producing: a clear error');
$node->wait_for_log(qr/could not allocate a segment of the rocketq commit log: No space left on device\n.*Producers are refused until there is room/, $log_from);
rq_check($node, 'producing, while the disk is full');
my $count = 'SELECT coalesce(sum(messages), 0) FROM rocketq.topics WHERE topic = \'plain\'::regclass';
like( produce_until_refused(
		"SELECT rocketq.produce('plain', repeat('x', 5000), transactional => false)"),
	$refused,
	'producing without a transaction: a clear error');
my $there = number($node, $count);

# Several runs of messages.  The first would have room.
make_room($disk);
goes_on('producing');
rq_wait_ticks($node, 'allocator', 2);
fill_up($disk, 512);
like( produce_until_refused(
		"SELECT count(*) FROM rocketq.produce_batch('plain', array_fill(repeat('y', 5000), ARRAY[500]), transactional => false)"
	),
	$refused,
	'a batch without a transaction: a clear error');
is( number($node,
		"SELECT count(*) % 500 FROM plain WHERE rocketq.text(body) LIKE 'y%'"),
	'0',
	'no part of it is there');
make_room($disk);
goes_on('a batch without a transaction');
cmp_ok(number($node, $count), '>=', $there, 'what was there before still is');
is( number($node, "SELECT count(*) FROM plain WHERE rocketq.text(body) NOT IN (repeat('x', 5000), repeat('y', 5000))"),
	'0', 'and whole');

#
# A queue's next segment, when the transaction commits.  The log has room.
#
$node->safe_psql('postgres', "SELECT rocketq.create_topic('late', 3); CREATE TABLE late_rows (n int)");
rq_wait_ticks($node, 'allocator', 2);
fill_up($disk);
my $refusals = number($node, $counted);
foreach my $produce (
	"INSERT INTO late_rows VALUES (1); SELECT rocketq.produce('late', 'x', queue_id => 1);",
	"SELECT rocketq.produce('late', 'x', queue_id => 1, transactional => false);")
{
	my ($rc, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nBEGIN; $produce COMMIT;");
	like( $err,
		qr/ERROR:\s+53100: could not create (file|directory) "pg_rocketq\/queue.*": No space left on device\nHINT:\s+Free some space in "pg_rocketq\/queue"/,
		'no room for a segment of a queue: a clear error');
}
is(number($node, $counted) - $refusals, '2', 'both are counted');
is(number($node, 'SELECT (SELECT count(*) FROM late) + (SELECT count(*) FROM late_rows)'),
	'0', 'neither message nor row is there');
make_room($disk);
$node->safe_psql('postgres',
	"INSERT INTO late_rows VALUES (1); SELECT rocketq.produce('late', 'x', queue_id => 1)");
is(number($node, 'SELECT (SELECT count(*) FROM late) + (SELECT count(*) FROM late_rows)'),
	'2', 'with room, both');
goes_on('a segment of a queue');

#
# The state file: the checkpoint waits, and so does not lose anything.
#
$node->safe_psql('postgres', 'SELECT load.make_for(k, 2) FROM generate_series(0, 39) k');
rq_wait_ticks($node, 'allocator', 2);
fill_up($disk);
$log_from = rq_log_from($node);
my $redo_lsn = 'SELECT redo_lsn FROM pg_control_checkpoint()';
my $redo = number($node, $redo_lsn);
my $checkpoint = rq_background($node, 'psql', '-XAtq', '-c', 'CHECKPOINT', '-d',
	$node->connstr('postgres'));
$node->wait_for_log(
	qr/could not (write|create) file "pg_rocketq\/state.tmp": No space left on device/,
	$log_from);
is(number($node, $redo_lsn), $redo, 'no room for the state file: the checkpoint waits');
is($node->safe_psql('postgres', 'SELECT load.make_for(2, 1) > 0'), 't',
	'producing goes on meanwhile');
make_room($disk);
$checkpoint->{run}->finish;
isnt(number($node, $redo_lsn), $redo, 'with room it completes');
goes_on('the state file');

# A crash while it is full: what is there is enough to recover.
fill_up($disk);
$node->safe_psql('postgres', 'SELECT load.make_for(k, 1) FROM generate_series(0, 9) k');
rq_kill9($node, all => 1);
make_room($disk);
rq_start($node);
$started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
goes_on('a crash');

#
# A list of messages that does not fit into memory.
#
mkdir "$disk/ts" or die "could not create \"$disk/ts\": $!";
$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$disk/ts'");
rq_wait_ticks($node, 'allocator', 2);
fill_up($disk);
my $rows = number($node, 'SELECT count(*) FROM load.sent');
my ($rc, $out, $err) = $node->psql('postgres', <<'EOQ');
\set VERBOSITY verbose
SET temp_tablespaces = small;
SET work_mem = '64kB';
SELECT load.make_for(3, 1), rocketq.produce_batch('plain', array_fill(''::text, ARRAY[8000]));
EOQ
like($err, qr/ERROR:\s+53100: could not write the temporary file of produced messages: No space left on device/,
	'no room for a list of messages: a clear error');
is(number($node, 'SELECT count(*) FROM load.sent'), $rows, 'and nothing is there');
make_room($disk);
$node->safe_psql('postgres', <<'EOQ');
SET temp_tablespaces = small;
SET work_mem = '64kB';
SELECT load.make_for(3, 1), rocketq.produce_batch('plain', array_fill(''::text, ARRAY[8000]));
EOQ
is(number($node, "SELECT count(*) FROM plain WHERE body = ''"), '8000', 'with room, all is');
goes_on('a list of messages');
$node->safe_psql('postgres', 'DROP TABLESPACE small');

#
# A standby with less room than its primary: recovery ends with a clear error,
# and goes on where it was when it is started with room.
#
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
my $standby_disk = mount_small($standby, 20);
rq_start($standby);
rq_poll_query($standby, 'the standby to stream',
	'SELECT count(*) = 1 FROM pg_stat_wal_receiver');
fill_up($standby_disk);
$node->safe_psql('postgres', 'SELECT load.make_for(k, 30) FROM generate_series(0, 39) k');
rq_stopped($standby);
like( slurp_file($standby->logfile),
	qr/FATAL:\s+could not (allocate a segment of the rocketq commit log|create file "pg_rocketq.*"): No space left on device.*HINT:\s+Free some space in "pg_rocketq/s,
	'a standby without room: a clear error');
make_room($standby_disk);
rq_start($standby);
rq_catch_up($node, $standby);
rq_check($standby, 'the standby, with room');

rq_drain($node);
rq_check($node, 'all consumed');
rq_applied_all($node, 'at the end');
$standby->stop;
$node->stop;
unmount($_) foreach ($standby, $node);

done_testing();

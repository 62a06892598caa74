# 025_fault_points.pl -- a process is killed at each point in the life of a
# message and of the store's files, under concurrent load.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
EOC
rq_require_faults($node);
rq_create_load($node);
$node->safe_psql('postgres', 'CREATE TABLE load.extra (n int)');

# What the victim does: it produces and consumes a little, among others.
my $victim = <<'EOQ';
BEGIN;
SELECT load.make_for(k, 3) FROM generate_series(0, 39, 13) k;
SELECT load.make_for(k, 30) FROM generate_series(0, 39, 13) k;
SELECT load.take('all', 10);
EOQ

my $rounds = rq_rounds(1);
foreach my $round (1 .. $rounds)
{
	foreach my $point ('append-store', 'append-wal', 'gather-take', 'gather-write',
		'enqueue-store', 'enqueue-wal', 'precommit-done', 'commit-callback')
	{
		my $load = rq_start_load($node);
		my $log_from;
		my $label = "round $round, $point";

		rq_wait_progress($node, rq_random(100, 500));
		$node->safe_psql('postgres', 'CHECKPOINT') if rq_random(0, 1);
		$log_from = rq_log_from($node);
		my ($rc, $out, $err) = $node->psql('postgres',
			"SET rocketq.fault = '$point=kill'; $victim COMMIT;");
		isnt($rc, 0, "$label: the victim was killed");
		rq_restart_after($node, $log_from);
		rq_stop_load($load);
		rq_check($node, $label);
	}

	# One session stops at the point, while others fill the log and the queues
	# after it and commit; then everything is killed.  What that session has
	# written is on disk, but not in WAL.
	foreach my $point ('append-store', 'append-wal', 'gather-take', 'gather-write')
	{
		my $label = "round $round, stopped at $point";
		my $session = $node->background_psql('postgres');
		my $pid = $session->query_safe('SELECT pg_backend_pid()');

		$session->query_safe("SET rocketq.fault = '$point=stop'");
		$session->query_until(qr/begun/, "\\echo begun\n$victim\nCOMMIT;\n");
		rq_poll_stopped($pid);
		$node->safe_psql('postgres', <<'EOQ');
SELECT load.make_for(k, 2) FROM generate_series(1, 11) k;
SELECT load.take('all', 40);
EOQ
		$node->safe_psql('postgres', 'CHECKPOINT');
		rq_kill9($node, all => 1);
		eval { $session->quit; };
		rq_start($node);
		rq_check($node, $label);
		$node->safe_psql('postgres', 'CHECKPOINT');
		rq_kill9($node, all => 1);
		rq_start($node);
		rq_check($node, "$label, once more");
	}

	# The workers.  A point may be reached again during recovery, so the server
	# may not come up again.
	foreach my $point ('keeper-sync', 'keeper-copying', 'keeper-fsynced', 'state-appended', 'state-batch',
		'state-image-slice', 'state-rename', 'state-image-renamed', 'segment-zero', 'keeper-rotate')
	{
		my $label = "round $round, $point";
		my $load = rq_start_load($node);
		my $acker = rq_start_acker($node, 1000 + $round);
		my $log_from;
		my $checkpoint;

		rq_wait_progress($node, rq_random(100, 500));
		$log_from = rq_log_from($node);
		# An image is written only when the state file has become long.
		rq_arm($node, ($point =~ /^state-(rename|image)/ ? 'state-long=fail,' : '') . "$point=kill");
		if ($point eq 'state-appended')
		{
			# So much changes that a sync has more than one batch.
			rq_wait_ticks($node, 'keeper', 2);
			$node->safe_psql('postgres',
				"SELECT rocketq.create_topic('wide_${round}_' || i, 1000) FROM generate_series(1, 4) i");
		}
		# More than one: the first can run before the fault is armed in the
		# keeper.
		$checkpoint = rq_background(
			$node, 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1',
			(map { ('-c', 'CHECKPOINT') } 1 .. 1000),
			'-d', $node->connstr('postgres'));
		rq_disarm_and_recover($node, $log_from);
		eval { $checkpoint->{run}->finish; };
		rq_stop_load($load);
		my $acked = rq_acked($acker);
		rq_check($node, $label);
		cmp_ok(
			$node->safe_psql('postgres',
				"SELECT coalesce(max(seq), 0) FROM load.keys WHERE key = 1000 + $round"
			),
			'>=', $acked, "$label: what was acknowledged is there");
	}
}

# An error at the points where one can be thrown leaves nothing behind.
my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM load.sent');
my ($rc, $out, $err) = $node->psql('postgres',
	"SET rocketq.fault = 'precommit-done=error'; $victim COMMIT;");
like($err, qr/fault point "precommit-done"/, 'an error in pre-commit');
is($node->safe_psql('postgres', 'SELECT count(*) FROM load.sent'),
	$before, 'rolls back');
rq_check($node, 'after an error in pre-commit');

#
# Trim: the record is written, and no file has been removed yet.
#
rq_drain($node);
rq_check($node, 'all consumed');
rq_applied_all($node, 'at the end');
my $min = $node->safe_psql('postgres', 'SELECT min(start_position) FROM rocketq.segments');
my $log_from = rq_log_from($node);
$node->safe_psql('postgres', 'ALTER SYSTEM SET rocketq.retention_time = 0');
rq_arm($node, 'trim-wal=kill');
rq_disarm_and_recover($node, $log_from);
rq_poll_query($node, 'trim to be done', <<"EOQ");
SELECT min(start_position) > $min AND count(*) FILTER (WHERE state = 'full') = 0
FROM rocketq.segments
EOQ
rq_verify($node, 'trim-wal');
is( $node->safe_psql('postgres', <<'EOQ'), 't', 'messages can still be produced');
SELECT rocketq.produce('load.topic', 'x', queue_id => q) FROM generate_series(0, 3) q \g /dev/null
SELECT bool_and(unresolved = 0 AND messages > 0) FROM rocketq.queues WHERE topic = 'load.topic'
EOQ
$node->stop;
rq_start($node);
rq_verify($node, 'at the end');
$node->stop;

done_testing();

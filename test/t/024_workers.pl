# 024_workers.pl -- workers that are terminated, cancelled or killed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main', conf => "rocketq.segment_size = '1MB'");
rq_create_load($node);

# Wait for a new process of that kind, and for the store to be open.
sub wait_for_new
{
	my ($worker, $pid) = @_;
	rq_poll_query($node, "another $worker",
		"SELECT pid IS NOT NULL AND pid <> $pid FROM rocketq.workers WHERE worker = '$worker'"
	);
}

my $load = rq_start_load($node);
my $acker = rq_start_acker($node, 1000);
rq_wait_progress($node, 500);

#
# A terminated worker is restarted, and clients continue: they only have to
# wait.
#
my $rounds = rq_rounds(2);
foreach my $round (1 .. $rounds)
{
	foreach my $worker ('keeper', 'allocator', 'janitor')
	{
		my $pid = rq_worker_pid($node, $worker);
		my $log_from = rq_log_from($node);

		is($node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)"),
			't', "round $round: the $worker is terminated");
		wait_for_new($worker, $pid);
		rq_wait_progress($node, 500);
		unlike(slurp_file($node->logfile, $log_from),
			qr/terminating any other active server processes/,
			'the server is not restarted');
	}
}
# A checkpoint while the keeper is not running, and one afterwards.
my $keeper = rq_worker_pid($node, 'keeper');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($keeper)");
$node->safe_psql('postgres', 'CHECKPOINT');
wait_for_new('keeper', $keeper);
rq_wait_progress($node, 200);
$node->safe_psql('postgres', 'CHECKPOINT');
rq_kill9($node);
rq_stop_load($load);
my $acked = rq_acked($acker);
cmp_ok($acked, '>', 0, 'a client kept working');
rq_start($node);
cmp_ok(
	$node->safe_psql('postgres', 'SELECT seq FROM load.keys WHERE key = 1000'),
	'>=', $acked, 'nothing acknowledged is lost');
rq_check($node, 'after terminated workers');

#
# Cancelling does nothing.
#
$load = rq_start_load($node);
rq_wait_progress($node, 200);
my %pid = map { $_ => rq_worker_pid($node, $_) } ('keeper', 'allocator', 'janitor');
foreach my $i (1 .. 20)
{
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($_)") foreach values %pid;
	$node->safe_psql('postgres', 'CHECKPOINT') if $i % 5 == 0;
}
rq_wait_ticks($node, 'keeper', 3);
is(rq_worker_pid($node, $_), $pid{$_}, "pg_cancel_backend has no effect on the $_")
  foreach sort keys %pid;

#
# Killing a worker is a crash; all processes are restarted.
#
foreach my $worker ('keeper', 'allocator', 'janitor')
{
	my $log_from = rq_log_from($node);

	$load = rq_start_load($node) if !$load;
	rq_wait_progress($node, rq_random(200, 1000));
	rq_signal($node, 'KILL', "rocketq $worker");
	rq_restart_after($node, $log_from);
	rq_stop_load($load);
	$load = undef;
	rq_poll_query($node, 'the workers',
		'SELECT count(pid) = 3 FROM rocketq.workers');
	rq_check($node, "after a killed $worker");
}

#
# While the store is closed, producers wait, then get an error and leave
# nothing behind.
#
SKIP:
{
	skip('no fault points', 4)
	  if !rq_has_faults($node);
	my $count = $node->safe_psql('postgres', 'SELECT sum(seq) FROM load.keys');

	# It closes the store, and stops before the last sync.
	rq_arm($node, 'keeper-sync=stop');
	rq_wait_ticks($node, 'keeper', 2);
	$keeper = rq_worker_pid($node, 'keeper');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($keeper)");
	rq_poll_stopped($keeper);
	my ($rc, $out, $err) =
	  $node->psql('postgres', 'SELECT load.make_for(1, 1)');
	like($err, qr/ERROR:\s+the rocketq store is closed/,
		'an error while the store is closed');
	like($err, qr/DETAIL:.*keeper.*HINT:/s, 'the error says why');
	rq_arm($node, '');
	kill('CONT', $keeper);
	wait_for_new('keeper', $keeper);
	is($node->safe_psql('postgres', 'SELECT sum(seq) FROM load.keys'),
		$count, 'a refused call leaves nothing behind');
	$node->safe_psql('postgres', 'SELECT load.make_for(1, 1)');
	is($node->safe_psql('postgres', 'SELECT sum(seq) FROM load.keys'),
		$count + 1, 'producing works again');
}

#
# A transaction that began while the janitor was at work counts as running like
# any other: what it creates is not mistaken for rolled back.
#
SKIP:
{
	skip('no fault points', 3)
	  if !rq_has_faults($node);
	my $janitor = rq_worker_pid($node, 'janitor');
	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	rq_arm($node, 'janitor-settle=stop');
	rq_poll_stopped($janitor);
	rq_arm($node, '');
	# Another transaction id is assigned in between.
	$node->safe_psql('postgres', 'SELECT load.make_for(1, 1)');
	$session->query_safe("SET rocketq.fault = 'precommit-done=stop'");
	$session->query_until(qr/begun/, <<'EOQ');
\echo begun
BEGIN;
SELECT rocketq.create_topic('load.late', 2);
SELECT rocketq.produce('load.late', 'x', queue_id => 1);
SELECT rocketq.create_group('load.topic', 'late');
COMMIT;
EOQ
	rq_poll_stopped($pid);
	kill('CONT', $janitor);
	rq_wait_ticks($node, 'janitor', 2);
	kill('CONT', $pid);
	$session->query_safe('RESET rocketq.fault');
	$session->quit;
	rq_wait_ticks($node, 'janitor', 2);
	is( $node->safe_psql('postgres', <<'EOQ'), '1|4', 'objects created by a concurrent transaction are kept');
SELECT (SELECT count(*) FROM load.late),
	(SELECT count(*) FROM rocketq.groups WHERE consumer_group = 'late')
EOQ
	$node->safe_psql('postgres', "DROP TABLE load.late; SELECT rocketq.drop_group('load.topic', 'late')");
	rq_check($node, 'a transaction that began meanwhile');
}

rq_drain($node);
rq_check($node, 'all consumed');
rq_applied_all($node, 'at the end');
$node->stop;

done_testing();

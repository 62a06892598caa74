# 032_interrupts.pl -- a session is cancelled, timed out, terminated or left by
# its client at each step of producing, consuming and committing: its
# transaction has taken effect completely or not at all, and nothing of it is
# left that could hold up others.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;
use Time::HiRes qw(usleep);

rq_seed();
my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.janitor_interval = '50ms'
EOC
rq_require_faults($node);
rq_create_load($node);
$node->safe_psql('postgres', <<'EOQ');
CREATE TABLE load.went (label text, part text);
SELECT rocketq.create_topic('load.direct', 2);
CREATE TABLE load.told (message_id bigint);
SELECT load.make_for(k, 5) FROM generate_series(0, 39) k;
EOQ

# The interrupted transaction.  It drops a group, so that it logs everything
# that a commit can log; its list of messages is larger than work_mem.
my %victim = (
	transaction => <<'EOQ',
BEGIN;
INSERT INTO load.went VALUES (:'label', 'first');
SELECT load.make_for(k, 3) FROM generate_series(0, 39, 13) k;
SELECT load.make_for(39, 4000);
SELECT load.take('all', 10);
SELECT load.take('filtered', 10, 't1');
SELECT rocketq.drop_group('load.topic', 'spare');
COMMIT;
EOQ
	rollback => <<'EOQ',
BEGIN;
SELECT load.make_for(k, 3) FROM generate_series(0, 39, 13) k;
SELECT load.take('all', 10);
SET LOCAL rocketq.fault = 'resolve-flags=stop,precommit-done=error';
COMMIT;
EOQ
	direct => <<'EOQ');
SELECT rocketq.produce('load.direct', :'label', queue_id => 1, transactional => false);
EOQ

# Points, and whether the work of the victim is then committed; "maybe" where
# that depends on how soon it handles the signal.
my @points = (
	[ 'append-reserve',  'transaction', 'no' ],
	[ 'append-store',    'transaction', 'no' ],
	[ 'append-wal',      'transaction', 'no' ],
	[ 'gather-take',     'transaction', 'no' ],
	[ 'gather-write',    'transaction', 'no' ],
	[ 'pending-add',     'transaction', 'no' ],
	[ 'pending-spill',   'transaction', 'no' ],
	[ 'consume-read',    'transaction', 'no' ],
	[ 'precommit-sort',  'transaction', 'maybe' ],
	[ 'enqueue-store',   'transaction', 'maybe' ],
	[ 'enqueue-wal',     'transaction', 'maybe' ],
	[ 'enqueue-done',    'transaction', 'maybe' ],
	[ 'offset-wal',      'transaction', 'maybe' ],
	[ 'group-drop-wal',  'transaction', 'maybe' ],
	[ 'precommit-done',  'transaction', 'maybe' ],
	[ 'commit-callback', 'transaction', 'yes' ],
	[ 'resolve-flags',   'transaction', 'yes' ],
	[ 'resolve-flags',   'rollback',    'no' ],
	[ 'append-wal',      'direct',      'maybe' ],
	[ 'direct-enqueued', 'direct',      'yes' ],
	[ 'direct-flushed',  'direct',      'yes' ]);

# What is done to the stopped session, and whether the session survives it.
my %ending = (
	cancel => [ 1, sub { $node->safe_psql('postgres', "SELECT pg_cancel_backend($_[0])") } ],
	timeout => [ 1, sub { } ],
	terminate =>
	  [ 0, sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend($_[0])") } ],
	leave => [ 0, sub { $_[1]->{run}->signal('KILL') } ]);

# Start psql with a script; returns its job and the server's process.
sub start_victim
{
	my ($script, $label, $settings) = @_;
	my $file = $node->basedir . '/victim.sql';
	my $pid_file = $node->basedir . '/victim.pid';
	my $pid;

	unlink($file, $pid_file);
	append_to_file($file, <<"EOQ");
\\set label '$label'
\\set VERBOSITY verbose
SET work_mem = '64kB';
SELECT pg_backend_pid() \\g '$pid_file'
$settings
\\o /dev/null
$script
ROLLBACK;
RESET statement_timeout;
SET rocketq.fault = '';
SELECT load.make_for(40, 1), load.take('all', 5);
INSERT INTO load.went VALUES (:'label', 'second');
EOQ
	my $job = rq_background($node, 'psql', '-XAtq', '-f', $file,
		'-d', $node->connstr('postgres'));
	rq_poll('the victim to connect',
		sub { return (($pid) = (eval { slurp_file($pid_file) } // '') =~ /^(\d+)\n/); });
	return ($job, $pid);
}

# It stops at its point again and again: resume it until it has ended.
sub let_go
{
	my ($pid) = @_;
	rq_poll(
		'the victim to end',
		sub {
			kill('CONT', $pid);
			return !-e "/proc/$pid";
		});
	return;
}

# Start it again until it stops at its point, and return the timeout of its
# statements in milliseconds.  On a busy machine, the timeout can expire before
# the point is reached.
sub stop_victim
{
	my ($script, $label, $stop, $has_timeout) = @_;

	for (my $ms = 200;; $ms *= 3)
	{
		my $log_from = rq_log_from($node);
		my ($job, $pid) = start_victim($script, $label,
			$has_timeout ? "$stop\nSET statement_timeout = $ms;" : $stop);

		# A transaction that is rolled back reaches some of the points, too.
		return ($job, $pid, $ms)
		  if rq_stops_or_ends($pid) &&
		  slurp_file($node->logfile, $log_from) !~ /due to statement timeout/;
		die "$label: the session did not come to its point\n$job->{err}\n"
		  if !$has_timeout || $ms > 1000 * $PostgreSQL::Test::Utils::timeout_default;
		let_go($pid);
		eval { $job->{run}->finish; };
		note("$label: $ms ms were over too soon");
		$node->safe_psql('postgres', "DELETE FROM load.went WHERE label = '$label'");
	}
}

sub is_there
{
	my ($what) = @_;
	return $node->safe_psql('postgres', "SELECT EXISTS ($what)") eq 't';
}

foreach my $case (@points)
{
	my ($point, $kind, $done) = @$case;
	my @labels;

	foreach my $ending (sort keys %ending)
	{
		my ($goes_on, $interrupt) = @{ $ending{$ending} };
		my $label = "$kind, $ending at $point";
		my $stop = $kind eq 'rollback' ? '' : "SET rocketq.fault = '$point=stop';";

		$node->safe_psql('postgres',
			"SELECT rocketq.create_group('load.topic', 'spare')")
		  unless is_there("SELECT FROM rocketq.groups WHERE consumer_group = 'spare'");
		my ($job, $pid, $ms) =
		  stop_victim($victim{$kind}, $label, $stop, $ending eq 'timeout');
		$interrupt->($pid, $job);
		# The timer keeps running while the process is stopped.
		usleep(1000 * ($ms + 50)) if $ending eq 'timeout';
		let_go($pid);
		eval { $job->{run}->finish; };

		my $went = is_there($kind eq 'direct'
			? "SELECT FROM load.direct WHERE rocketq.text(body) = '$label'"
			: "SELECT FROM load.went WHERE label = '$label' AND part = 'first'");
		is($went ? 'yes' : 'no', $done, "$label: whether its work is committed")
		  if $done ne 'maybe' && $ending ne 'leave';
		is( is_there("SELECT FROM rocketq.groups WHERE consumer_group = 'spare'"),
			!$went, "$label: a dropped group") if $kind eq 'transaction';
		is( is_there("SELECT FROM load.went WHERE label = '$label' AND part = 'second'"),
			!!$goes_on, "$label: whether the session survives");
	}
	rq_poll_query($node, 'all to be resolved',
		'SELECT sum(unresolved) = 0 FROM rocketq.queues');
	is($node->safe_psql('postgres',
			"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
		'0', "$kind, $point: no lock is left");
	rq_check($node, "$kind, $point");
}
is( $node->safe_psql('postgres', <<'EOQ'), '0', 'messages without a transaction are there once');
SELECT count(*) FROM (SELECT FROM load.direct GROUP BY body HAVING count(*) > 1) x
EOQ

#
# Nothing that the sessions left behind prevents trimming.
#
rq_drain($node);
rq_applied_all($node, 'after interruptions');
$node->safe_psql('postgres', "SELECT rocketq.drop_group('load.topic', 'spare')")
  if is_there("SELECT FROM rocketq.groups WHERE consumer_group = 'spare'");
$node->safe_psql('postgres', 'ALTER SYSTEM SET rocketq.retention_time = 0');
rq_reload($node);
rq_poll_query($node, 'the log to be trimmed', <<'EOQ');
SELECT count(*) FILTER (WHERE state = 'full') = 0 FROM rocketq.segments
EOQ
rq_verify($node, 'trimmed');
$node->stop;
rq_start($node);
rq_verify($node, 'at the end');
$node->stop;

done_testing();

# RocketqFaults.pm -- points in the code at which tests interfere, and
# processes stopped there or while idle.
package RocketqFaults;

use strict;
use warnings;

use Exporter 'import';
use IO::Handle;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqNode;
use Test::More;

our @EXPORT = qw(
  rq_has_faults rq_require_faults rq_arm rq_disarm rq_disarm_and_recover
  rq_stops_or_ends rq_poll_stopped rq_pause rq_stopped_session rq_resume_session
  rq_checkpoint_held rq_checkpoint_files rq_checkpoint_segments
);

# ---- fault points ----

# Was the library built with fault points?
sub rq_has_faults
{
	my ($node) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) > 0 FROM pg_settings WHERE name = 'rocketq.fault'") eq 't';
}

# Skip the test unless it was.
sub rq_require_faults
{
	my ($node) = @_;

	if (!rq_has_faults($node))
	{
		$node->stop;
		plan(skip_all => 'rocketq was built without RQ_TESTING');
	}
}

# Arm fault points for all processes; empty: none.
sub rq_arm
{
	my ($node, $faults) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET rocketq.fault = '$faults'");
	rq_reload($node);
	return;
}

# The same without a connection, as the server may be crashing in a loop.
sub rq_disarm
{
	my ($node) = @_;
	my $file = $node->data_dir . '/postgresql.auto.conf';
	my $conf = slurp_file($file);

	return if $conf !~ s/^rocketq\.fault.*\n//mg;
	open my $fh, '>', $file or die "could not write \"$file\": $!";
	$fh->autoflush;
	print $fh $conf;
	$fh->sync;
	close $fh;
	return;
}

# Disarm and bring the server up once a process has crashed, which the log says
# behind "log_from": the server restarts by itself, unless the fault kills the
# startup process, which ends it.  Before the postmaster has noticed a crash the
# server still accepts connections, which it is about to end.
sub rq_disarm_and_recover
{
	my ($node, $log_from) = @_;
	my $pid = $node->{_pid};

	rq_poll(
		'the crash to be noticed',
		sub {
			return slurp_file($node->logfile, $log_from) =~ /terminating any other active server processes/
			  || !rq_processes($node);
		});
	rq_disarm($node);
	kill('HUP', $pid);
	rq_poll('the server to come up or end',
		sub { return rq_server_is_up($node) || !rq_processes($node); });
	return if rq_processes($node);
	rq_stopped($node);
	rq_start($node);
	return;
}

# ---- stopped processes ----

# Wait until a process has stopped at a fault point; false if it has ended
# instead.
sub rq_stops_or_ends
{
	my ($pid) = @_;
	my $stat;

	rq_poll(
		"process $pid to stop",
		sub {
			# It may end between any two checks; a zombie has ended.
			$stat = eval { slurp_file("/proc/$pid/stat") } // '';
			return $stat !~ /\) [^TZX] /;
		});
	return $stat =~ /\) T /;
}

sub rq_poll_stopped
{
	my ($pid) = @_;
	return 1 if rq_stops_or_ends($pid);
	fail("process $pid stops");
	die "process $pid has ended and not stopped\n";
}

# System calls in which a process only waits for something to do or for time to
# pass, so that it holds no lock: select, poll, epoll and nanosleep.
my %idle_call = (
	x86_64  => { map { $_ => 1 } (7, 23, 35, 230, 232, 270, 271, 281) },
	aarch64 => { map { $_ => 1 } (22, 72, 73, 101, 115) });

# Stop one process of a kind where it can be resumed later and nobody depends
# on it: not in the middle of its work, where it might hold a lock.
sub rq_pause
{
	my ($node, $backend_type) = @_;
	my ($pid) = split /\n/, $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = '$backend_type'"
	);
	my $idle = $idle_call{ (POSIX::uname())[4] };

	rq_poll(
		"the $backend_type to be idle",
		sub {
			kill('STOP', $pid);
			rq_poll_stopped($pid);
			my $call = eval { slurp_file("/proc/$pid/syscall") } // '';
			return 1 if !$idle || $call !~ /^(\d+) / || $idle->{$1};
			kill('CONT', $pid);
			return 0;
		});
	return $pid;
}

# A session that stops at a point, or at POINT@NUMBER, of the last of its
# statements; returns the session, its process and the results of the
# statements before.
sub rq_stopped_session
{
	my ($node, $point, $before, $last) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $got = $session->query_safe($before);

	$point =~ s/(?=\@)|$/=stop/;
	$session->query_safe("SET rocketq.fault = '$point'");
	$session->query_until(qr/begun/, "\\echo begun\n$last\n");
	rq_poll_stopped($pid);
	return ($session, $pid, $got);
}

# Resume it, and wait until it is ready for the next query.
sub rq_resume_session
{
	my ($node, $session, $pid) = @_;
	rq_poll(
		'the session to go on',
		sub {
			kill('CONT', $pid);
			return $node->safe_psql('postgres',
				"SELECT state LIKE 'idle%' FROM pg_stat_activity WHERE pid = $pid") eq 't';
		});
	return;
}

# ---- checkpoints ----

# Begin a checkpoint while the keeper is stopped at a fault point.  The redo
# pointer has moved when this returns; and when the keeper is sent SIGCONT, it
# syncs the store and stops again before it lets the checkpoint complete,
# unless faults are disarmed.  Returns the job of the client and the keeper's
# pid.
sub rq_checkpoint_held
{
	my ($node) = @_;
	my $keeper = rq_worker_pid($node, 'keeper');
	my $log_from = rq_log_from($node);
	my $job;

	rq_arm($node, 'keeper-rotate=stop');
	rq_poll_stopped($keeper);
	$job = rq_background($node, 'psql', '-XAtq', '-c', 'CHECKPOINT', '-d',
		$node->connstr('postgres'));
	# This is logged when the redo pointer has moved.
	$node->wait_for_log(qr/checkpoint starting/, $log_from);
	return ($job, $keeper);
}

# Perform a checkpoint; return how many segments of the log, and how many files
# of queues, its sync had to flush.  Needs log_checkpoints.
sub rq_checkpoint_files
{
	my ($node) = @_;
	my $from = rq_log_from($node);
	my $said = qr/rocketq sync .*: (\d+) log segments, (\d+) queue files/;

	$node->safe_psql('postgres', 'CHECKPOINT');
	$node->wait_for_log($said, $from);
	return slurp_file($node->logfile, $from) =~ $said;
}

sub rq_checkpoint_segments
{
	my ($segments) = rq_checkpoint_files(@_);
	return $segments;
}

1;

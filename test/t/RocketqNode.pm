# RocketqNode.pm -- servers with rocketq that can be killed, restarted and
# copied, and functions that wait for them.
package RocketqNode;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

our @EXPORT = qw(
  rq_seed rq_random rq_rounds rq_poll rq_poll_query rq_flush rq_archive
  rq_catch_up rq_log_from rq_reload rq_wait_ticks rq_restart_after rq_node rq_standby rq_restored
  rq_processes rq_stopped rq_gone rq_kill9 rq_start rq_server_is_up
  rq_worker_pid rq_signal rq_background rq_verify rq_shm_dirty_kb rq_store_files
  rq_in_store
);

# ---- randomness and rounds ----

# Print the seed of everything random; RQ_SEED repeats the choices of a run,
# but not its timing.
my $seed;

sub rq_seed
{
	$seed = $ENV{RQ_SEED} // (int(time() * 1000) ^ ($$ << 8)) & 0x7fffffff;
	srand($seed);
	diag("seed $seed (RQ_SEED=$seed repeats it)");
	return $seed;
}

sub rq_random
{
	my ($low, $high) = @_;
	return $low + int(rand($high - $low + 1));
}

sub rq_rounds
{
	my ($default) = @_;
	return $ENV{RQ_ROUNDS} // $default;
}

# ---- waiting ----

# Wait until the code returns true.
sub rq_poll
{
	my ($what, $code) = @_;
	my $give_up = time() + $PostgreSQL::Test::Utils::timeout_default;

	while (!$code->())
	{
		if (time() > $give_up)
		{
			fail("timed out waiting for $what");
			die "timed out waiting for $what\n";
		}
		usleep(20_000);
	}
	return 1;
}

# Wait for a query's result, even while the server is not up.  A persistent
# psql would be faster, but would not survive what tests do to the server.
sub rq_poll_query
{
	my ($node, $what, $query) = @_;

	return rq_poll(
		$what,
		sub {
			# psql may have exited before it has been sent the query.
			my ($rc, $out) = eval { $node->psql('postgres', $query) };
			return defined $rc && $rc == 0 && $out eq 't';
		});
}

# Flush all WAL, and return up to where.  The abort record of a transaction
# would otherwise be flushed only with the next commit.
sub rq_flush
{
	my ($node) = @_;
	return $node->safe_psql('postgres', <<'EOQ');
DO $$ BEGIN PERFORM pg_logical_emit_message(true, 'test', ''); END $$;
SELECT pg_current_wal_flush_lsn();
EOQ
}

# Have all WAL archived that there is.  If the segment has only just begun, that
# is up to the one before, which pg_walfile_name() names for the segment's first
# byte only before 17.
sub rq_archive
{
	my ($node) = @_;
	my $last = $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_switch_wal() - 1)');

	return rq_poll_query($node, 'the WAL to be archived',
		"SELECT last_archived_wal >= '$last' FROM pg_stat_archiver");
}

# Wait until a standby has replayed everything that its primary has done so
# far.
sub rq_catch_up
{
	my ($primary, $standby) = @_;

	$primary->wait_for_catchup($standby, 'replay', rq_flush($primary));
	return;
}

# The current end of the server log, for wait_for_log().
sub rq_log_from
{
	my ($node) = @_;
	return -s $node->logfile;
}

# Have changed settings read, and wait until all processes have been signalled:
# the postmaster does that before it starts another session.  A server that
# cannot be asked, because it crashes on the new settings, has read them, too.
sub rq_reload
{
	my ($node) = @_;
	my $when = 'SELECT extract(epoch FROM pg_conf_load_time())';
	my $before = $node->safe_psql('postgres', $when);

	$node->reload;
	return rq_poll(
		'the settings to be read',
		sub {
			my ($rc, $now) = eval { $node->psql('postgres', $when) };
			return !defined $rc || $rc != 0 || $now > $before;
		});
}

# Wait until a worker has completed this many rounds from now on.  After two it
# has also read a changed configuration.
sub rq_wait_ticks
{
	my ($node, $worker, $count) = @_;
	my $ticks = $node->safe_psql('postgres',
		"SELECT ticks FROM rocketq.workers WHERE worker = '$worker'");

	return rq_poll_query($node, "the $worker to go round",
		"SELECT ticks >= $ticks + $count FROM rocketq.workers WHERE worker = '$worker'"
	);
}

# Wait for the restart of a server whose log reports, after "offset", that a
# process crashed.
sub rq_restart_after
{
	my ($node, $offset) = @_;

	$node->wait_for_log(
		qr/terminating any other active server processes.*database system is ready to accept/s,
		$offset);
	return;
}

# ---- nodes ----

# A node with the extension.  "conf" is appended to its configuration, "initdb"
# contains further options of initdb; "install_path" is where another
# PostgreSQL is installed; "data" is an empty directory to use for the data
# instead of the usual one, and "before_start" is called before the server is
# started.
sub rq_node
{
	my ($name, %param) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name,
		install_path => $param{install_path});

	symlink($param{data}, $node->data_dir) or die "could not make a link: $!"
	  if $param{data};
	$node->init(
		extra            => $param{initdb},
		allows_streaming => $param{allows_streaming},
		has_archiving    => $param{has_archiving});
	$node->append_conf('postgresql.conf', <<EOC);
log_statement = none
log_checkpoints = on
log_replication_commands = off
restart_after_crash = on
shared_buffers = 16MB
max_connections = 40
autovacuum = off
rocketq.janitor_interval = '200ms'
EOC
	$node->append_conf('postgresql.conf', $param{conf}) if $param{conf};
	$param{before_start}->() if $param{before_start};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION rocketq')
	  unless $param{no_extension};
	return $node;
}

# A standby of a node, streaming from it.  "name" is its name, "backup" names
# an existing backup of the node, "conf" is appended to its configuration; with
# "start => 0" the test has to start it.
sub rq_standby
{
	my ($from, %param) = @_;
	my $name = $param{name} // 'standby';
	my $backup = $param{backup} // $name;
	my $standby = PostgreSQL::Test::Cluster->new($name);

	$from->backup($backup) unless $param{backup};
	$standby->init_from_backup($from, $backup, has_streaming => 1);
	$standby->append_conf('postgresql.conf', $param{conf}) if $param{conf};
	$standby->start unless defined $param{start} && !$param{start};
	return $standby;
}

# A node restored from a backup of a node and its archive: it is not started,
# and archives nothing itself.  "conf" is appended to its configuration.
sub rq_restored
{
	my ($from, $name, $backup, %param) = @_;
	my $copy = PostgreSQL::Test::Cluster->new($name);

	$copy->init_from_backup($from, $backup, has_restoring => 1, standby => 0);
	$copy->append_conf('postgresql.conf', "archive_mode = off\n" . ($param{conf} // ''));
	return $copy;
}

# All processes of a server, found by their working directory, which is the
# data directory.
sub rq_processes
{
	my ($node) = @_;
	my $dir = $node->data_dir;
	my @stat = stat($dir);
	my @pids;

	foreach my $cwd (glob '/proc/[0-9]*/cwd')
	{
		my @there = stat($cwd);
		next if !@there || $there[0] != $stat[0] || $there[1] != $stat[1];
		push @pids, $cwd =~ m,/proc/(\d+)/,;
	}
	return @pids;
}

# The server has ended or was killed: wait until all of its processes have
# ended.
sub rq_stopped
{
	my ($node) = @_;

	rq_poll('the processes of ' . $node->name . ' to go',
		sub { return !rq_processes($node) });
	rq_gone($node);
	return;
}

# No process of the server is left: remove what would keep it from starting.
sub rq_gone
{
	my ($node) = @_;

	# Where nobody reaps it, a killed postmaster counts as alive.
	unlink($node->data_dir . '/postmaster.pid');
	unlink($node->host . '/.s.PGSQL.' . $node->port . '.lock');
	$node->{_pid} = undef;
	return;
}

# Kill the postmaster; or all processes of the server at once, so that none has
# time to do anything more.
sub rq_kill9
{
	my ($node, %param) = @_;

	if ($param{all})
	{
		# A stopped postmaster can't start processes in the meantime.
		kill('STOP', $node->{_pid});
		kill('STOP', rq_processes($node));
		kill('KILL', rq_processes($node));
	}
	else
	{
		kill('KILL', $node->{_pid});
	}
	rq_stopped($node);
	return;
}

# Start the server, and end only this test if that fails.
sub rq_start
{
	my ($node) = @_;

	if (!$node->start(fail_ok => 1))
	{
		fail($node->name . ' starts');
		die "server did not start\n";
	}
	return;
}

sub rq_server_is_up
{
	my ($node) = @_;
	# psql may have exited before it has been sent the query.
	my ($rc, $out) = eval { $node->psql('postgres', 'SELECT 1') };
	return defined $rc && $rc == 0;
}

sub rq_worker_pid
{
	my ($node, $worker) = @_;
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'rocketq $worker'"
	);
}

# A signal to one kind of process, as pg_stat_activity calls it.
sub rq_signal
{
	my ($node, $signal, $backend_type) = @_;
	my @pids;

	# A worker may still be starting.
	rq_poll(
		"a process of type \"$backend_type\"",
		sub {
			@pids = split /\n/, $node->safe_psql('postgres',
				"SELECT pid FROM pg_stat_activity WHERE backend_type = '$backend_type'");
			return @pids > 0;
		});
	return kill($signal, @pids);
}

# Run a program in the background.
sub rq_background
{
	my ($node, @command) = @_;
	local %ENV = $node->_get_env();
	my %job = (out => '', err => '', in => '');

	$command[0] = $node->installed_command($command[0]);
	$job{run} = IPC::Run::start(\@command, '<', \$job{in}, '>', \$job{out},
		'2>', \$job{err});
	return \%job;
}

# ---- looking at the store ----

sub rq_verify
{
	my ($node, $label) = @_;
	my ($rc, $out, $err) =
	  $node->psql('postgres', 'SELECT * FROM rocketq.verify() LIMIT 20');

	return is("$out$err", '', "$label: verify() finds nothing");
}

# Kilobytes of the store that are dirty in memory, as seen by one process that
# has them mapped.  Only fsync makes them clean at once.
sub rq_shm_dirty_kb
{
	my ($pid, $below) = @_;
	my $dirty = 0;
	my $ours = 0;

	open my $fh, '<', "/proc/$pid/smaps" or return undef;
	while (my $line = <$fh>)
	{
		$ours = ($line =~ m,/pg_rocketq/\Q$below\E,)
		  if $line =~ /^[0-9a-f]+-[0-9a-f]+ /;
		$dirty += $1
		  if $ours && $line =~ /^(?:Shared|Private)_Dirty:\s+(\d+) kB/;
	}
	close $fh;
	return $dirty;
}

# Names in a directory of the store, of a node or in a copy of its data.
sub rq_store_files
{
	my ($node, $below) = @_;
	my $data = ref($node) ? $node->data_dir : $node;
	opendir(my $dir, "$data/pg_rocketq/$below") or return ();
	my @names = sort grep { !/^\./ } readdir($dir);
	closedir($dir);
	return @names;
}

# The number of files in such a directory that contain these bytes.
sub rq_in_store
{
	my ($node, $below, $bytes) = @_;
	my $dir = $node->data_dir . "/pg_rocketq/$below";
	return scalar(
		grep { index(slurp_file("$dir/$_"), $bytes) >= 0 } rq_store_files($node, $below));
}

1;

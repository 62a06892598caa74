# RocketqTest.pm -- what the TAP tests of rocketq share.
#
# Three things: nodes that can be killed and started again, a load that keeps
# plain tables and a topic in step, and the check that they are in step.
#
# The load.  A row of load.keys is locked, its number raised, and a message
# with key and number is produced, and the same goes into the plain table
# load.sent, all in one transaction.  So whatever was committed, and nothing
# else, must be in the topic, once, and each key's numbers in order.  Consumers
# write what they get into load.applied and commit their offset in the same
# transaction: so what was applied is what lies below the committed offsets,
# once, and in order.  load.problems() says where this does not hold; it has
# to be called when nobody produces or consumes.
package RocketqTest;

use strict;
use warnings;

use Exporter 'import';
use IO::Handle;
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep time);

our @EXPORT = qw(
  rq_seed rq_rounds rq_random rq_node rq_has_faults rq_require_faults
  rq_processes rq_kill9 rq_restart_after rq_start rq_stopped rq_gone rq_poll rq_poll_stopped rq_stops_or_ends
  rq_poll_query rq_server_is_up rq_signal rq_pause rq_worker_pid rq_wait_ticks
  rq_log_from rq_checkpoint_held rq_checkpoint_segments rq_checkpoint_files rq_flush rq_catch_up
  rq_arm rq_disarm rq_disarm_and_recover rq_shm_dirty_kb rq_store_files rq_in_store
  rq_stopped_session rq_resume_session
  rq_create_load rq_start_load rq_stop_load rq_wait_progress rq_background
  rq_start_acker rq_acked rq_drain rq_check rq_check_snapshot rq_verify
  rq_applied_all
);

# ---- randomness and rounds ----

# Print the seed of everything random; RQ_SEED repeats a run as far as that
# goes, for the machine adds its own timing.
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

# Wait until a process has stopped at a fault point; false if it has ended
# instead.
sub rq_stops_or_ends
{
	my ($pid) = @_;
	my $stat;

	rq_poll(
		"process $pid to stop",
		sub {
			# It may end between any two looks, and as a zombie it has.
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

# Wait for a query's result, also while the server is not up.  A psql that
# stays would be faster, but it would not survive what we do to the server.
sub rq_poll_query
{
	my ($node, $what, $query) = @_;

	return rq_poll(
		$what,
		sub {
			# psql may be gone before it has been told what to ask.
			my ($rc, $out) = eval { $node->psql('postgres', $query) };
			return defined $rc && $rc == 0 && $out eq 't';
		});
}

# Flush all WAL that is there, and tell up to where.  The end of a transaction
# that rolled back is flushed with the next commit only.
sub rq_flush
{
	my ($node) = @_;
	return $node->safe_psql('postgres', <<'EOQ');
DO $$ BEGIN PERFORM pg_logical_emit_message(true, 'test', ''); END $$;
SELECT pg_current_wal_flush_lsn();
EOQ
}

# Wait until a standby has replayed all that its primary has done so far.
sub rq_catch_up
{
	my ($primary, $standby) = @_;

	$primary->wait_for_catchup($standby, 'replay', rq_flush($primary));
	return;
}

# ---- nodes ----

# A node with the extension.  "conf" is appended to its configuration, "initdb"
# are more options of initdb; "install_path" is where another PostgreSQL is
# installed; "data" is an empty folder for its data, where that
# is not to be in the usual place, and "before_start" is called before the server
# is started.
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

# Was the library built with the points where tests interfere?
sub rq_has_faults
{
	my ($node) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) > 0 FROM pg_settings WHERE name = 'rocketq.fault'") eq 't';
}

# Leave unless it was.
sub rq_require_faults
{
	my ($node) = @_;

	if (!rq_has_faults($node))
	{
		$node->stop;
		plan(skip_all => 'rocketq was built without RQ_TESTING');
	}
}

# All processes of a server, by where they are: each sits in the data folder.
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

# The server has gone by itself or by our doing: wait until all of it has.
sub rq_stopped
{
	my ($node) = @_;

	rq_poll('the processes of ' . $node->name . ' to go',
		sub { return !rq_processes($node) });
	rq_gone($node);
	return;
}

# No process of the server is left: take away what would keep it from starting.
sub rq_gone
{
	my ($node) = @_;

	# Where nobody reaps it, a killed postmaster counts as alive.
	unlink($node->data_dir . '/postmaster.pid');
	unlink($node->host . '/.s.PGSQL.' . $node->port . '.lock');
	$node->{_pid} = undef;
	return;
}

# Kill the postmaster; or all of the server at once, so that no process has
# time to do anything more.
sub rq_kill9
{
	my ($node, %param) = @_;

	if ($param{all})
	{
		# A stopped postmaster can't start anybody in the meantime.
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

# Start, and end this test alone if that fails.
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
	# psql may be gone before it has been told what to ask.
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

	# A worker can still be on its way up.
	rq_poll(
		"a process of type \"$backend_type\"",
		sub {
			@pids = split /\n/, $node->safe_psql('postgres',
				"SELECT pid FROM pg_stat_activity WHERE backend_type = '$backend_type'");
			return @pids > 0;
		});
	return kill($signal, @pids);
}

# System calls in which a process only waits for something to do or for time to
# pass, so that it holds no lock: select, poll, epoll and nanosleep.
my %idle_call = (
	x86_64  => { map { $_ => 1 } (7, 23, 35, 230, 232, 270, 271, 281) },
	aarch64 => { map { $_ => 1 } (22, 72, 73, 101, 115) });

# Stop one process of a kind where it can be resumed later and nobody needs
# anything of it: not in the middle of its work, where it might hold a lock.
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

# Wait until a worker has gone round so many times from now on.  After two it
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

# Begin a checkpoint while the keeper is stopped at a fault point.  The redo
# pointer has moved when this returns; and when the keeper is sent CONT, it
# syncs the store and stops again before it lets the checkpoint pass, unless
# faults are disarmed.  Returns the job of the client and the keeper's pid.
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
	# This is said when the redo pointer has moved.
	$node->wait_for_log(qr/checkpoint starting/, $log_from);
	return ($job, $keeper);
}

# Make a checkpoint; how many segments of the log, and how many files of queues,
# its sync had to bring to disk.  Needs log_checkpoints.
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

# Where the log ends now, for wait_for_log().
sub rq_log_from
{
	my ($node) = @_;
	return -s $node->logfile;
}

# Wait for the restart of a server whose log says, behind "offset", that a
# process crashed.
sub rq_restart_after
{
	my ($node, $offset) = @_;

	$node->wait_for_log(
		qr/terminating any other active server processes.*database system is ready to accept/s,
		$offset);
	return;
}

# ---- fault points ----

# Arm fault points for all processes; empty: none.
sub rq_arm
{
	my ($node, $faults) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET rocketq.fault = '$faults'");
	$node->reload;
	return;
}

# The same with nobody to talk to, as the server may be crashing in a loop.
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

# Disarm and bring the server up, whether it has survived or not: a fault that
# kills the startup process ends the server.
sub rq_disarm_and_recover
{
	my ($node) = @_;
	my $pid = $node->{_pid};

	rq_disarm($node);
	kill('HUP', $pid);
	rq_poll('the server to come up or end',
		sub { return rq_server_is_up($node) || !rq_processes($node); });
	return if rq_processes($node);
	rq_stopped($node);
	rq_start($node);
	return;
}

# A session that stops at a point of the last of its statements; returns it, its
# process and what the statements before that gave.
sub rq_stopped_session
{
	my ($node, $point, $before, $last) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $got = $session->query_safe($before);

	$session->query_safe("SET rocketq.fault = '$point=stop'");
	$session->query_until(qr/begun/, "\\echo begun\n$last\n");
	rq_poll_stopped($pid);
	return ($session, $pid, $got);
}

# Let it go on, and wait until it can be asked again.
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

# ---- looking at the store from outside ----

# Kilobytes of the store that are dirty in memory, as one process sees them
# which has them mapped.  fsync makes them clean, nothing else does so at once.
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

# Names in a folder of the store.
sub rq_store_files
{
	my ($node, $below) = @_;
	opendir(my $dir, $node->data_dir . "/pg_rocketq/$below") or return ();
	my @names = sort grep { !/^\./ } readdir($dir);
	closedir($dir);
	return @names;
}

# How many files of such a folder hold these bytes.
sub rq_in_store
{
	my ($node, $below, $bytes) = @_;
	my $dir = $node->data_dir . "/pg_rocketq/$below";
	return scalar(
		grep { index(slurp_file("$dir/$_"), $bytes) >= 0 } rq_store_files($node, $below));
}

# ---- load ----

my $load_sql = <<'EOS';
CREATE SCHEMA load;
CREATE TABLE load.keys (key int PRIMARY KEY, seq bigint NOT NULL);
CREATE TABLE load.sent (key int NOT NULL, seq bigint NOT NULL);
CREATE TABLE load.applied (pos bigserial, grp text, queue_id int,
	queue_offset bigint, message_id bigint, body text);
INSERT INTO load.keys SELECT key, 0 FROM generate_series(0, 40) key;
SELECT rocketq.create_topic('load.topic', :queues);

-- From none to some thousand bytes behind what tells the message.
CREATE FUNCTION load.body(key int, seq bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT key || ':' || seq || ':' || repeat(md5(key || '/' || seq),
		CASE WHEN (key + seq) % 50 = 0 THEN 150 ELSE (key + seq)::int % 7 END)
$$;

CREATE FUNCTION load.tag(key int, seq bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT 't' || (key + seq) % 3 $$;

-- Messages with the next numbers of a key.
CREATE FUNCTION load.make_for(k int, n int) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	s bigint;
BEGIN
	INSERT INTO load.keys AS l VALUES (k, n)
		ON CONFLICT (key) DO UPDATE SET seq = l.seq + n RETURNING seq INTO s;
	INSERT INTO load.sent SELECT k, g FROM generate_series(s - n + 1, s) g;
	PERFORM rocketq.produce('load.topic', load.body(k, g), load.tag(k, g),
			sharding_key => 'k' || k)
		FROM generate_series(s - n + 1, s) g;
	RETURN s;
END $$;

-- Messages that are rolled back to a savepoint, of the highest key.
CREATE FUNCTION load.make_and_undo() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rocketq.produce_batch('load.topic', array_fill('never'::text, ARRAY[20]));
	PERFORM load.make_for(40, 2);
	RAISE 'undo';
EXCEPTION WHEN raise_exception THEN
	NULL;
END $$;

-- One transaction's messages; keys in rising order, so that none deadlock.
CREATE FUNCTION load.make(kind int) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	k int;
BEGIN
	FOR k IN SELECT DISTINCT floor(random() * 40)::int AS key
		FROM generate_series(0, kind % 3) ORDER BY key
	LOOP
		PERFORM load.make_for(k, CASE WHEN kind % 25 = 1 THEN 30 ELSE 1 END);
	END LOOP;
	IF kind % 10 = 3 THEN
		PERFORM load.make_and_undo();
	END IF;
END $$;

-- Consume and apply in one transaction.
CREATE FUNCTION load.take(g text, n int, filter text DEFAULT '*') RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	taken bigint;
BEGIN
	INSERT INTO load.applied (grp, queue_id, queue_offset, message_id, body)
		SELECT g, m.queue_id, m.queue_offset, m.message_id, rocketq.text(m.body)
		FROM rocketq.consume('load.topic', g, n, filter) m;
	GET DIAGNOSTICS taken = ROW_COUNT;
	PERFORM rocketq.commit_offset('load.topic', g);
	RETURN taken;
END $$;

CREATE FUNCTION load.messages(topic regclass, OUT queue_id int,
	OUT queue_offset bigint, OUT message_id bigint, OUT tag text,
	OUT sharding_key text, OUT body text, OUT key int, OUT seq bigint)
	RETURNS SETOF record
LANGUAGE sql AS $$
	SELECT q.queue_id, p.queue_offset, p.message_id, p.tag, p.sharding_key,
		b.body, substring(b.body FROM '^(\d+):')::int,
		substring(b.body FROM '^\d+:(\d+):')::bigint
	FROM rocketq.queues q,
		LATERAL rocketq.pull(topic, q.queue_id, q.min_offset, 1000000) p,
		LATERAL (SELECT rocketq.text(p.body) AS body OFFSET 0) b
	WHERE q.topic_oid = $1
$$;

CREATE FUNCTION load.problems() RETURNS SETOF text
LANGUAGE sql AS $$
WITH m AS MATERIALIZED (
	SELECT * FROM load.messages('load.topic')
), in_order AS (
	SELECT *, lag(seq) OVER w AS seq_before, lag(queue_offset) OVER w AS offset_before,
		lag(queue_id) OVER w AS queue_before
	FROM m WINDOW w AS (PARTITION BY key ORDER BY seq, queue_offset)
), below AS (
	SELECT g.consumer_group AS grp, m.*
	FROM rocketq.groups g JOIN m
		ON m.queue_id = g.queue_id AND m.queue_offset < g.committed_offset
	WHERE g.topic = 'load.topic' AND
		(g.consumer_group <> 'filtered' OR m.tag = 't1')
), found AS (
	SELECT 'alien message: ' || left(body, 40) AS problem FROM m WHERE seq IS NULL
	UNION ALL
	SELECT format('message %s:%s is not what was sent', key, seq) FROM m
		WHERE body IS DISTINCT FROM load.body(key, seq) OR
			tag IS DISTINCT FROM load.tag(key, seq) OR
			sharding_key IS DISTINCT FROM 'k' || key
	UNION ALL
	(SELECT format('row %s:%s has no message', key, seq)
		FROM (SELECT key, seq FROM load.sent EXCEPT SELECT key, seq FROM m) x)
	UNION ALL
	(SELECT format('message %s:%s has no row', key, seq)
		FROM (SELECT key, seq FROM m EXCEPT SELECT key, seq FROM load.sent) x)
	UNION ALL
	SELECT format('message %s:%s is there %s times', key, seq, count(*))
		FROM m GROUP BY key, seq HAVING count(*) > 1
	UNION ALL
	SELECT format('message %s:%s is out of order', key, seq) FROM in_order
		WHERE queue_before <> queue_id OR offset_before >= queue_offset
	UNION ALL
	SELECT format('key %s should have %s messages, not %s', k.key, k.seq, count(m.seq))
		FROM load.keys k LEFT JOIN m USING (key)
		GROUP BY k.key, k.seq HAVING count(m.seq) <> k.seq
	UNION ALL
	SELECT format('message id %s is there %s times', message_id, count(*))
		FROM m GROUP BY message_id HAVING count(*) > 1
	UNION ALL
	SELECT format('queue %s has %s unresolved entries', queue_id, unresolved)
		FROM rocketq.queues WHERE topic = 'load.topic' AND unresolved <> 0
	UNION ALL
	SELECT format('a scan gives %s messages, pull %s', s.n, p.n)
		FROM (SELECT count(*) AS n FROM load.topic) s, (SELECT count(*) AS n FROM m) p
		WHERE s.n <> p.n
	UNION ALL
	(SELECT format('%s: message %s:%s is below the offset but not applied', grp, queue_id, queue_offset)
		FROM (SELECT grp, queue_id, queue_offset, message_id, body FROM below
			EXCEPT SELECT grp, queue_id, queue_offset, message_id, body FROM load.applied) x)
	UNION ALL
	(SELECT format('%s: message %s:%s is applied but not below the offset', grp, queue_id, queue_offset)
		FROM (SELECT grp, queue_id, queue_offset, message_id, body FROM load.applied
			EXCEPT SELECT grp, queue_id, queue_offset, message_id, body FROM below) x)
	UNION ALL
	SELECT format('%s: message %s:%s was applied %s times', grp, queue_id, queue_offset, count(*))
		FROM load.applied GROUP BY grp, queue_id, queue_offset HAVING count(*) > 1
	UNION ALL
	SELECT format('%s: message %s:%s was applied out of order', grp, queue_id, queue_offset)
		FROM (SELECT *, lag(queue_offset) OVER (PARTITION BY grp, queue_id ORDER BY pos) AS before
			FROM load.applied) x WHERE before >= queue_offset
)
SELECT problem FROM found LIMIT 20
$$;
EOS

my %script = (
	produce => <<'EOS',
\set kind random(1, 1000)
\set end random(1, 20)
BEGIN;
SELECT load.make(:kind);
\if :end = 1
ROLLBACK;
\else
COMMIT;
\endif
EOS
	consume => <<'EOS',
\set n random(1, 60)
\set end random(1, 15)
BEGIN;
SELECT load.take('all', :n) AS taken \gset
\if :end = 1
ROLLBACK;
\else
COMMIT;
\endif
\if :taken = 0
\sleep 10 ms
\endif
EOS
	filter => <<'EOS',
\set n random(1, 200)
SELECT load.take('filtered', :n, 't1') AS taken \gset
\if :taken = 0
\sleep 10 ms
\endif
EOS
);

# The tables, functions and topic of the load.
sub rq_create_load
{
	my ($node, %param) = @_;
	my $queues = $param{queues} // 4;

	$node->safe_psql('postgres', "\\set queues $queues\n$load_sql");
	return;
}

# Run a program that is expected to be still there when we have gone on.
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

sub end_job
{
	my ($job, $signal) = @_;

	$job->{run}->signal($signal) if $signal && $job->{run}->pumpable;
	eval { $job->{run}->finish; };
	return;
}

# Start clients; they end when their connections do.
sub rq_start_load
{
	my ($node, %param) = @_;
	my %clients = (produce => 3, consume => 2, filter => 1, %param);
	my @jobs;

	foreach my $name (sort keys %clients)
	{
		my $file = $node->basedir . "/$name.pgbench";
		next if !defined $script{$name} || !$clients{$name};
		append_to_file($file, $script{$name}) if !-e $file;
		push @jobs,
		  rq_background(
			$node, 'pgbench', '-n', '-T', '3600', '-M', 'prepared',
			'-c', $clients{$name}, '--random-seed', rq_random(1, 1_000_000),
			'-f', $file, '-h', $node->host, '-p', $node->port, 'postgres');
	}
	push @jobs, start_aborter($node) if rq_has_faults($node);
	return { node => $node, jobs => \@jobs };
}

# A client whose transactions fail when entries are written and offsets staged.
sub start_aborter
{
	my ($node) = @_;
	my $script = $node->basedir . '/aborter.sql';

	if (!-e $script)
	{
		append_to_file($script, <<'EOS');
SET client_min_messages = fatal;
SET log_min_messages = fatal;
SET rocketq.fault = 'precommit-done=error';
EOS
		append_to_file($script, <<'EOS' x 20_000);
SELECT load.make_for(40, 3), load.take('all', 20), load.take('filtered', 20, 't1');
SELECT pg_sleep(0.01);
EOS
	}
	return rq_background($node, 'psql', '-XAtq', '-f', $script, '-o', '/dev/null',
		'-d', $node->connstr('postgres') . ' application_name=pgbench');
}

# End the clients, and wait until the server has seen it, if it is up.
sub rq_stop_load
{
	my ($load) = @_;
	my $node = $load->{node};

	end_job($_, 'TERM') foreach @{ $load->{jobs} };
	$load->{jobs} = [];
	if ($node->{_pid} && rq_server_is_up($node))
	{
		rq_poll_query($node, 'the clients to leave', <<'EOQ');
SELECT count(*) = 0 FROM pg_stat_activity
WHERE backend_type = 'client backend' AND application_name = 'pgbench'
EOQ
	}
	return;
}

# Wait until so many more transactions have produced, and one consumed.
sub rq_wait_progress
{
	my ($node, $count) = @_;
	my $now = 'coalesce((SELECT sum(seq) FROM load.keys), 0)';
	my ($sent, $applied) = split /\|/, $node->safe_psql('postgres',
		"SELECT $now, coalesce(max(pos), 0) FROM load.applied");

	rq_poll_query($node, 'progress of the load', <<EOQ);
SELECT $now >= $sent + $count AND EXISTS (SELECT FROM load.applied WHERE pos > $applied)
EOQ
	return;
}

# A client that writes down each commit it was told of.
sub rq_start_acker
{
	my ($node, $key) = @_;
	my $script = $node->basedir . '/acker.sql';
	my $result = $node->basedir . "/acked.$key";

	# psql shows a row once it has been told that its transaction is over.
	append_to_file($script, "SELECT load.make_for(:key, 1);\n" x 100_000)
	  if !-e $script;
	my $job = rq_background($node, 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1',
		'-v', "key=$key", '-f', $script, '-o', $result,
		'-d', $node->connstr('postgres'));
	$job->{result} = $result;
	return $job;
}

# End it; the last number of its key that it knows to be committed.
sub rq_acked
{
	my ($job) = @_;
	end_job($job, 'TERM');
	my @acked = slurp_file($job->{result}) =~ /^(\d+)$/mg;
	return $acked[-1] // 0;
}

# ---- checks ----

# Let the groups consume all there is.
sub rq_drain
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<'EOQ');
DO $$
DECLARE
	idle int := 0;
BEGIN
	WHILE idle < 2 LOOP
		IF load.take('all', 5000) + load.take('filtered', 5000, 't1') = 0 THEN
			idle := idle + 1;
		ELSE
			idle := 0;
		END IF;
		COMMIT;
	END LOOP;
END $$;
EOQ
	return;
}

# After rq_drain(): has each group got all?
sub rq_applied_all
{
	my ($node, $label) = @_;

	return is( $node->safe_psql('postgres', <<'EOQ'), 't|t', "$label: all was consumed");
SELECT (SELECT count(*) FROM load.sent) = count(*) FILTER (WHERE grp = 'all'),
	(SELECT count(*) FROM load.sent WHERE load.tag(key, seq) = 't1') =
		count(*) FILTER (WHERE grp = 'filtered')
FROM load.applied
EOQ
}

sub rq_verify
{
	my ($node, $label) = @_;
	my ($rc, $out, $err) =
	  $node->psql('postgres', 'SELECT * FROM rocketq.verify() LIMIT 20');

	return is("$out$err", '', "$label: verify() finds nothing");
}

# What holds while others are at work, also where replay goes on or is paused:
# one snapshot shows a message for each row, and below the resolved end of a
# queue nothing is missing.
sub rq_check_snapshot
{
	my ($node, $label) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', <<'EOQ');
SELECT (SELECT count(*) FROM load.topic) - (SELECT count(*) FROM load.sent);
SELECT format('%s:%s comes behind %s', key, seq, before) FROM (
	SELECT key, seq, lag(seq) OVER (PARTITION BY key ORDER BY queue_offset) AS before
	FROM load.messages('load.topic')) m
WHERE key IS NULL OR seq <> coalesce(before, 0) + 1
EOQ

	return is("$out$err", '0', "$label: topic and tables agree");
}

# The invariant.  Nobody produces or consumes now, but somebody may still have
# to resolve what a backend left that died: who asks for the end does.
sub rq_check
{
	my ($node, $label) = @_;
	my ($rc, $out, $err);

	rq_poll_query($node, 'all entries to be resolved', <<'EOQ');
SELECT coalesce(bool_and(rocketq.max_offset(topic, queue_id) = max_offset + unresolved), true)
FROM rocketq.queues
EOQ
	($rc, $out, $err) =
	  $node->psql('postgres', 'SELECT * FROM load.problems()');
	is("$out$err", '', "$label: topic and tables agree");
	note("$label: " . $node->safe_psql('postgres', <<'EOQ'));
SELECT (SELECT count(*) FROM load.sent) || ' messages, ' ||
	(SELECT sum(messages) FROM rocketq.topics WHERE topic = 'load.topic')
		- (SELECT count(*) FROM load.sent) || ' aborted, ' ||
	(SELECT count(*) FROM load.applied) || ' applied'
EOQ
	return rq_verify($node, $label);
}

1;

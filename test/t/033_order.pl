# 033_order.pl -- the order of steps in the store, in WAL and in what others
# see, checked while a session is stopped between two steps, and after a crash
# at that moment.

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
checkpoint_timeout = 1h
EOC
rq_require_faults($node);
rq_create_load($node);
$node->safe_psql('postgres', <<'EOQ');
CREATE EXTENSION pg_walinspect;
CREATE TABLE flushed (n int);
SELECT rocketq.create_topic('load.direct', 1);
SELECT load.make_for(k, 5) FROM generate_series(0, 39) k;
EOQ

sub stopped_session { return rq_stopped_session($node, @_); }
sub resume { return rq_resume_session($node, @_); }

sub leave
{
	my ($session, $pid) = @_;
	resume($session, $pid);
	$session->quit;
	return;
}

# Makes the statements after it fail when their messages have been enqueued.
my $fails = "SET rocketq.fault = 'precommit-done=error';";

# Kill all processes at once, and start the server again.
sub crash
{
	my ($session) = @_;
	rq_kill9($node, all => 1);
	eval { $session->quit; };
	rq_start($node);
	return;
}

sub in_store { return rq_in_store($node, @_); }

# The number of WAL records of that type from that LSN on.
sub records
{
	my ($type, $from) = @_;
	$node->safe_psql('postgres', 'INSERT INTO flushed VALUES (1)');
	return $node->safe_psql('postgres', <<"EOQ");
SELECT count(*) FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type = '$type'
EOQ
}

sub wal_from
{
	$node->safe_psql('postgres', 'INSERT INTO flushed VALUES (1)');
	return $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()');
}

my $end = "SELECT rocketq.max_offset('load.direct', 0)";
my $all_ends = "SELECT max_offset + unresolved FROM rocketq.queues WHERE topic = 'load.direct'";

#
# Store first, WAL record second, publish third.
#
{
	my $from = wal_from();
	my ($session, $pid) =
	  stopped_session('append-store', 'BEGIN', "SELECT rocketq.produce('load.direct', 'the first body');");
	is(in_store('log', 'the first body'), 1, 'a frame is stored');
	is(records('APPEND', $from), '0', 'before its record is inserted');
	leave($session, $pid);
}
{
	my $from = wal_from();
	my ($session, $pid) =
	  stopped_session('append-wal', 'BEGIN', "SELECT rocketq.produce('load.direct', 'the second body');");
	is(in_store('log', 'the second body'), 1, 'a frame is stored');
	is(records('APPEND', $from), '1', 'the record of the frame is inserted');
	leave($session, $pid);
}
foreach my $point ('enqueue-store', 'enqueue-wal')
{
	my $from = wal_from();
	my $before = $node->safe_psql('postgres', $end);
	my ($session, $pid, $id) = stopped_session($point,
		"BEGIN; SELECT rocketq.produce('load.direct', 'third')", 'COMMIT;');
	is(rq_entries_with($node, rq_topic_key($node, 'load.direct'), $id), 1, "$point: an entry is stored");
	is(records('ENQUEUE', $from), $point eq 'enqueue-wal' ? '1' : '0',
		"$point: whether its record is inserted");
	is($node->safe_psql('postgres', $all_ends), $before,
		"$point: it is not published");
	leave($session, $pid);
	is($node->safe_psql('postgres', $end), $before + 1, "$point: it is published at the end");
}

# A non-transactional message becomes visible when it is flushed, not before,
# and a later one of another session does not change that.
{
	my $produce = "SELECT rocketq.produce('load.direct', 'direct', transactional => false);";
	my $before = $node->safe_psql('postgres', $end);
	my ($session, $pid) = stopped_session('direct-enqueued', 'SELECT 1', $produce);

	$node->safe_psql('postgres', $produce);
	rq_wait_ticks($node, 'keeper', 3);
	is($node->safe_psql('postgres', $end), $before, 'not visible before its WAL is flushed');
	resume($session, $pid);
	is($node->safe_psql('postgres', $end), $before + 2, 'visible afterwards');
	$session->quit;
}
rq_verify($node, 'after looking');

#
# A range of the log that was reserved and never written, while others have
# written after it.  Redo detects it between records, or the state file lists
# it.
#
foreach my $checkpoint (0, 1)
{
	my $label = 'a hole' . ($checkpoint ? ' before a checkpoint' : '');
	my ($session) = stopped_session('append-reserve', 'BEGIN',
		"SELECT load.make_for(1, 1) FROM generate_series(1, 3);");
	$node->safe_psql('postgres', 'SELECT load.make_for(k, 2) FROM generate_series(2, 11) k');
	$node->safe_psql('postgres', 'CHECKPOINT') if $checkpoint;
	crash($session);
	rq_check($node, $label);
	$node->safe_psql('postgres', 'CHECKPOINT');
	$node->safe_psql('postgres', 'SELECT load.make_for(k, 2) FROM generate_series(2, 11) k');
	crash($session);
	rq_check($node, "$label, once more");
}

#
# RESOLVE reports only known outcomes: entries of an open transaction are not
# resolved by a record about the entries before them.
#
foreach my $point ('enqueue-done', 'precommit-done')
{
	my $keeper = rq_pause($node, 'rocketq keeper');
	my ($session, $pid);

	$node->safe_psql('postgres', 'SELECT load.make_for(k, 1) FROM generate_series(0, 39) k');
	($session, $pid) = stopped_session($point,
		'BEGIN; SELECT load.make_for(k, 3) FROM generate_series(20, 39) k', 'COMMIT;');
	kill('CONT', $keeper);
	$node->safe_psql('postgres', 'CHECKPOINT');
	$node->safe_psql('postgres', 'SELECT load.make_for(k, 1) FROM generate_series(0, 19) k');
	crash($session);
	rq_check($node, "RESOLVE and $point");
}

#
# Flags of aborted entries: only a known rollback sets them, and RESOLVE sets
# again what ENQUEUE clears during redo.
#
{
	my ($session, $pid) = stopped_session('precommit-done',
		'BEGIN; SELECT load.make_for(k, 3) FROM generate_series(20, 39) k', 'COMMIT;');

	$node->psql('postgres', "$fails SELECT load.make_for(k, 2) FROM generate_series(0, 19) k");
	rq_wait_ticks($node, 'keeper', 3);
	$node->safe_psql('postgres', 'CHECKPOINT');
	leave($session, $pid);
	rq_check($node, 'one committed, one rolled back');
	crash($session);
	rq_check($node, 'the same after a crash');
}

#
# Flags are set in entries that were synced before: the next sync includes them
# again, starting at the first that was not resolved then.  Otherwise a loss of
# power would make aborted messages visible.
#
{
	$node->safe_psql('postgres', "SELECT rocketq.create_topic('load.flags', 1)");
	$node->safe_psql('postgres', "SELECT rocketq.produce('load.flags', 'x')");
	$node->safe_psql('postgres', 'CHECKPOINT');
	my ($session, $pid) = stopped_session('precommit-done', 'SELECT 1', <<'EOQ');
BEGIN;
SET LOCAL rocketq.fault = 'precommit-done=stop,precommit-done=error';
SELECT count(rocketq.produce('load.flags', 'x')) FROM generate_series(1, 2100);
COMMIT;
EOQ

	is((rq_checkpoint_files($node))[1], 1, 'a sync with entries');
	resume($session, $pid);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM load.flags'), '1', 'they are rolled back');
	is((rq_checkpoint_files($node))[1], 1, 'the next sync has their flags');
	$session->{stderr} = '';
	$session->quit;
	$node->safe_psql('postgres', 'DROP TABLE load.flags');
}

#
# A checkpoint between the flags of aborted entries and their record.
#
{
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $keeper = rq_pause($node, 'rocketq keeper');
	$node->psql('postgres', "$fails SELECT load.make_for(k, 2) FROM generate_series(0, 19) k");
	$node->safe_psql('postgres', 'SELECT load.make_for(k, 1) FROM generate_series(0, 19) k');
	kill('CONT', $keeper);
	rq_wait_ticks($node, 'keeper', 2);
	$node->safe_psql('postgres', 'CHECKPOINT');
	crash(undef);
	rq_check($node, 'aborted entries below a checkpoint');
}

#
# The state has a queue resolved only as far as RESOLVE records say.  Here
# entries above the redo pointer are rolled back before the state is copied,
# and the record of that does not reach the disk.
#
{
	my $state = $node->data_dir . '/pg_rocketq/state';
	my ($checkpoint, $keeper) = rq_checkpoint_held($node);
	my $before = -s $state;

	rq_arm($node, 'keeper-settled=stop');
	kill('CONT', $keeper);
	rq_poll_stopped($keeper);
	rq_pause($node, $_) foreach ('walwriter', 'background writer', 'checkpointer');
	$node->psql('postgres', "$fails SELECT load.make_for(k, 2) FROM generate_series(0, 19) k");
	kill('CONT', $keeper);
	rq_poll('the state to be written', sub { return -s $state != $before; });
	rq_disarm($node);
	crash(undef);
	eval { $checkpoint->{run}->finish; };
	rq_check($node, 'rolled back before the state was copied');
}

#
# A slot is copied under the lock under which its records are written.  The
# record of these entries lies below the redo pointer, and the queue does not
# know of them yet: the keeper has to wait, or the checkpoint would leave them
# behind.
#
{
	my ($session, $pid) = stopped_session('enqueue-wal',
		'BEGIN; SELECT load.make_for(1, 3)', 'COMMIT;');
	my $checkpoint = rq_background($node, 'psql', '-XAtq', '-c', 'CHECKPOINT',
		'-d', $node->connstr('postgres'));

	rq_poll(
		'the keeper to wait for the queue, or the checkpoint to end',
		sub {
			return !$checkpoint->{run}->pumpable || $node->safe_psql('postgres', <<'EOQ') eq '1';
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'rocketq keeper' AND wait_event = 'RocketqQueue'
EOQ
		});
	leave($session, $pid);
	$checkpoint->{run}->finish;
	crash(undef);
	rq_check($node, 'entries logged before a checkpoint and published behind it');
}

#
# A transaction id in a record must not be assigned again after a crash, even
# if its transaction has logged nothing else.
#
{
	my $session = $node->background_psql('postgres');
	my $xid = 'SELECT pg_snapshot_xmax(pg_current_snapshot())';

	$node->safe_psql('postgres', 'CHECKPOINT');
	rq_pause($node, 'background writer');
	rq_pause($node, 'checkpointer');
	$session->query_safe(
		"BEGIN; SAVEPOINT a; SELECT rocketq.create_group('load.direct', 'ghost')");
	my $given = $node->safe_psql('postgres', $xid);
	# This flushes WAL and has no transaction id.
	$node->safe_psql('postgres',
		"SELECT rocketq.produce('load.direct', 'flush', transactional => false)");
	crash($session);
	cmp_ok($node->safe_psql('postgres', $xid), '>=', $given, 'no transaction id in a record is assigned again');
	$node->safe_psql('postgres', 'INSERT INTO flushed VALUES (1)') foreach (1 .. 3);
	rq_poll_query($node, 'the group to go',
		"SELECT NOT EXISTS (SELECT FROM rocketq.groups WHERE consumer_group = 'ghost')");
	rq_verify($node, 'after a group that never was');
}

#
# An offset is pending when the next consumer moves it: what a crash does to
# the second move does not depend on the outcome of the first.
#
foreach my $commits (0, 1)
{
	my $keeper = rq_pause($node, 'rocketq keeper');
	my $fault = $commits ? '' : 'precommit-done=error';

	$node->safe_psql('postgres', "SELECT load.take('all', 15)");
	$node->psql('postgres', "SET rocketq.fault = '$fault'; SELECT load.take('all', 15)");
	my ($session) =
	  stopped_session('precommit-done', "BEGIN; SELECT load.take('all', 15)", 'COMMIT;');
	$node->safe_psql('postgres', 'INSERT INTO flushed VALUES (1)');
	crash($session);
	rq_check($node, 'offsets behind one ' . ($commits ? 'committed' : 'rolled back'));
}

#
# Killed at steps that the commits of the load reach only rarely.
#
my $drops = "SELECT rocketq.drop_group('load.topic', 'spare');";
my $works = "SELECT load.make_for(k, 3) FROM generate_series(0, 39, 13) k; SELECT load.take('all', 10);";
foreach my $case (
	[ 'append-reserve',  $works ],
	[ 'pending-add',     $works ],
	[ 'consume-read',    $works ],
	[ 'precommit-sort',  $works ],
	[ 'enqueue-done',    $works ],
	[ 'offset-wal',      $works ],
	[ 'group-drop-wal',  "$works $drops" ],
	[ 'commit-callback', "$works $drops" ],
	[ 'resolve-flags',   $works ],
	[ 'direct-enqueued', 'produce' ],
	[ 'direct-flushed',  'produce' ])
{
	my ($point, $work) = @$case;
	my $groups = "SELECT count(*) FROM rocketq.groups WHERE consumer_group = 'spare'";
	my $dropped = $work =~ /drop_group/;
	my $log_from = rq_log_from($node);

	$node->safe_psql('postgres', "SELECT rocketq.create_group('load.topic', 'spare')")
	  if $dropped && $node->safe_psql('postgres', $groups) eq '0';
	$work = $work eq 'produce'
	  ? "SELECT rocketq.produce('load.direct', '$point', transactional => false);"
	  : "BEGIN; $work COMMIT;";
	$node->psql('postgres', "SET rocketq.fault = '$point=kill'; $work");
	rq_restart_after($node, $log_from);
	rq_check($node, "killed at $point");
	rq_poll_query($node, 'the dropped group',
		($point eq 'commit-callback' ? 'SELECT NOT' : 'SELECT')
		. " EXISTS (SELECT FROM rocketq.groups WHERE consumer_group = 'spare')") if $dropped;
	is($node->safe_psql('postgres',
			"SELECT count(*) FROM load.direct WHERE rocketq.text(body) = '$point'"), '1',
		"$point: what is flushed is there") if $point eq 'direct-flushed';
}

# The keeper between a record and its effect; and the janitor.
foreach my $point ('resolve-wal', 'resolve-flags', 'janitor-settle')
{
	my $log_from = rq_log_from($node);
	my $keeper = rq_pause($node, 'rocketq keeper');

	rq_arm($node, "$point=kill");
	$node->psql('postgres',
		"SET rocketq.fault = 'precommit-done=error,resolve-flags=error'; SELECT load.make_for(k, 2) FROM generate_series(0, 19) k");
	kill('CONT', $keeper);
	rq_disarm_and_recover($node, $log_from);
	rq_poll_query($node, 'the workers', 'SELECT count(pid) = 3 FROM rocketq.workers');
	rq_check($node, "a worker killed at $point");
}

rq_drain($node);
rq_check($node, 'all consumed');
rq_applied_all($node, 'at the end');
$node->stop;

done_testing();

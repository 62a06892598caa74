# 028_resize.pl -- a crash at any moment of alter_topic() leaves the queues and
# messages of one outcome, and a standby follows.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main', allows_streaming => 1,
	conf => "checkpoint_timeout = 1h\nwal_keep_size = 1GB\n");
rq_require_faults($node);
my $standby = rq_standby($node);

my $contents = <<'EOQ';
SELECT t.topic, t.queues, l.label,
	(SELECT string_agg(q.queue_id || ':' || q.min_offset || '-' || q.max_offset || '=' ||
		coalesce((SELECT string_agg(rocketq.text(p.body), ',' ORDER BY p.queue_offset)
			FROM rocketq.pull(t.topic, q.queue_id, 0, 10000) p), ''), ' ' ORDER BY q.queue_id)
		FROM rocketq.queues q WHERE q.topic = t.topic),
	(SELECT string_agg(g.consumer_group || '/' || g.queue_id || '@' || g.committed_offset, ' '
		ORDER BY g.consumer_group, g.queue_id)
		FROM rocketq.groups g WHERE g.topic = t.topic)
FROM rocketq.topics t JOIN pg_seclabel l ON l.objoid = t.topic_oid AND l.provider = 'rocketq'
ORDER BY t.topic
EOQ

sub queues_of
{
	my ($topic) = @_;
	return $node->safe_psql('postgres',
		"SELECT queues FROM rocketq.topics WHERE topic = '$topic'");
}

# A topic of 6 queues, of which those from 3 on are consumed.
sub new_topic
{
	my ($name) = @_;
	$node->safe_psql('postgres', <<"EOQ");
SELECT rocketq.create_topic('$name', 6);
SELECT rocketq.create_group('$name', 'g');
SELECT rocketq.produce('$name', '$name' || i, queue_id => i % 6) FROM generate_series(1, 60) i;
SELECT rocketq.commit_offset('$name', 'g', q, 10) FROM generate_series(3, 5) q;
SELECT rocketq.commit_offset('$name', 'g', 0, 4);
EOQ
	return;
}

# The queues of a topic that have extents.
sub queues_with_extents
{
	my ($topic) = @_;
	my %queue = map { $_->{queue} => 1 } rq_extents_of($node, rq_topic_key($node, $topic));

	return join(' ', sort { $a <=> $b } keys %queue);
}

# Wait until the janitor has settled a change, and the extents of queues that
# have gone are free.
sub cut_is_settled
{
	my ($topic, $queues) = @_;
	my $key = rq_topic_key($node, $topic);

	rq_wait_ticks($node, 'janitor', 2);
	return rq_extents_gone($node, "extents of removed queues of $topic to be free",
		sub { $_[0]{key} eq $key && $_[0]{queue} >= $queues });
}

sub crash
{
	my ($what) = @_;
	rq_kill9($node, all => 1);
	rq_disarm($node);
	rq_start($node);
	rq_verify($node, $what);
	return;
}

sub compare_standby
{
	my ($what, $verify) = (@_, 1);
	my $now;
	my $expected = $node->safe_psql('postgres', $contents);

	$node->wait_for_catchup($standby);
	rq_poll("$what: the standby",
		sub { return ($now = $standby->safe_psql('postgres', $contents)) eq $expected; });
	is($now, $expected, "$what: the standby agrees");
	rq_verify($standby, "$what: standby") if $verify;
	return;
}

#
# Crashes while the transaction is open, with the state on disk and without.
#
foreach my $case ([ 'more', 9 ], [ 'fewer', 3 ])
{
	my ($word, $queues) = @$case;
	foreach my $checkpoint (0, 1)
	{
		my $topic = "open_$word$checkpoint";
		new_topic($topic);
		my $before = $node->safe_psql('postgres', $contents);
		my $session = $node->background_psql('postgres');
		$session->query_safe('BEGIN');
		$session->query_safe("SELECT rocketq.alter_topic('$topic', $queues)");
		$session->query_safe("SELECT rocketq.produce('$topic', 'never', queue_id => $queues - 1)");
		$node->safe_psql('postgres', 'CHECKPOINT') if $checkpoint;
		# Make sure that all of it is in WAL.
		$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
		crash("$topic, crash");
		eval { $session->quit };
		is($node->safe_psql('postgres', $contents), $before,
			"$word queues in an open transaction" . ($checkpoint ? ' after a checkpoint' : ''));
	}
}
compare_standby('open transactions');

#
# Crashes after the commit, before the janitor has run.
#
foreach my $checkpoint (0, 1)
{
	my $more = "committed_more$checkpoint";
	my $fewer = "committed_fewer$checkpoint";
	new_topic($_) foreach ($more, $fewer);
	rq_signal($node, 'STOP', 'rocketq janitor');
	$node->safe_psql('postgres', <<"EOQ");
SELECT rocketq.alter_topic('$more', 9);
SELECT rocketq.produce('$more', 'new' || i, queue_id => 8) FROM generate_series(1, 5) i;
SELECT rocketq.alter_topic('$fewer', 3);
EOQ
	$node->safe_psql('postgres', 'CHECKPOINT') if $checkpoint;
	my $after = $node->safe_psql('postgres', $contents);
	like(queues_with_extents($fewer), qr/5/, 'nothing is removed before the janitor does');
	crash("committed, crash");
	is($node->safe_psql('postgres', $contents), $after, 'as committed');
	cut_is_settled($fewer, 3);
}
compare_standby('committed');

#
# The janitor dies when the outcome is logged and the extents are still there.
#
new_topic('settled');
my $log_from = rq_log_from($node);
rq_arm($node, 'alter-settled=kill');
# The server may crash before it has answered.
$node->psql('postgres', "SELECT rocketq.alter_topic('settled', 2 + 1)");
rq_disarm_and_recover($node, $log_from);
is(queues_of('settled'), '3', 'the janitor died');
cut_is_settled('settled', 3);
rq_verify($node, 'the janitor died');

#
# Settings that are rolled back to a savepoint, each alone and both together,
# in a transaction that commits: the janitor, or recovery, settles what the
# record of the change announced.
#
my $settings = "SELECT queues, coalesce(retention_time::text, 'forever') FROM rocketq.topics WHERE topic = 'halfway'";
new_topic('halfway');
$node->safe_psql('postgres', "CREATE TABLE committed (n int); SELECT rocketq.alter_topic('halfway', retention_time => '2 h')");
rq_poll('the time to be in force',
	sub { return $node->safe_psql('postgres', $settings) eq '6|02:00:00'; });
foreach my $case (
	[ 'time', "retention_time => '1s'" ],
	[ 'queues', 'queues => 9' ],
	[ 'fewer queues', 'queues => 3' ],
	[ 'both', "queues => 9, retention_time => '-1'" ])
{
	my ($what, $change) = @$case;
	foreach my $crashes (0, 1)
	{
		my $label = "$what rolled back to a savepoint" . ($crashes ? ', crash' : '');

		rq_signal($node, 'STOP', 'rocketq janitor') if $crashes;
		$node->safe_psql('postgres', <<"EOQ");
BEGIN;
INSERT INTO committed VALUES (1);
SAVEPOINT s;
SELECT rocketq.alter_topic('halfway', $change);
ROLLBACK TO s;
COMMIT;
EOQ
		crash($label) if $crashes;
		rq_wait_ticks($node, 'janitor', 3);
		is($node->safe_psql('postgres', $settings), '6|02:00:00', $label);
	}
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM halfway'), '60', 'no message has been lost');
compare_standby('rolled back to savepoints');

#
# Queues that were removed and added again: old records do not apply to the new
# ones.
#
new_topic('again');
foreach my $round (1 .. 3)
{
	$node->safe_psql('postgres', "SELECT rocketq.alter_topic('again', 3)");
	cut_is_settled('again', 3) if $round < 3;
	$node->safe_psql('postgres', <<"EOQ");
SELECT rocketq.alter_topic('again', 6);
SELECT rocketq.produce('again', 'r$round' || i, queue_id => 4) FROM generate_series(1, $round) i;
BEGIN;
SELECT rocketq.produce('again', 'never', queue_id => 4) FROM generate_series(1, 3) i;
ROLLBACK;
SELECT rocketq.commit_offset('again', 'g', 4, $round);
EOQ
	$node->safe_psql('postgres', 'CHECKPOINT') if $round == 2;
}
my $expected = $node->safe_psql('postgres', $contents);
like($expected, qr/4:0-3=r31,r32,r33/, 'a queue that was added again starts from 0');
crash('queues added again');
is($node->safe_psql('postgres', $contents), $expected, 'queues added again');
compare_standby('queues added again');

#
# The same with a state file that is newer than the redo pointer: the records
# of the earlier queue are replayed onto a topic that has the later one.
#
new_topic('newer');
rq_arm($node, 'keeper-sync=sleep:4000');
my $redo = $node->safe_psql('postgres', 'SELECT redo_lsn FROM pg_control_checkpoint()');
my $checkpoint = rq_background($node, 'psql', '-XAtq', '-c', 'CHECKPOINT',
	'-d', $node->connstr('postgres'));
rq_poll_query($node, 'the checkpoint to begin',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE query = 'CHECKPOINT' AND wait_event = 'CheckpointDone'");
rq_signal($node, 'STOP', 'checkpointer');
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.produce('newer', 'old' || i, queue_id => 4) FROM generate_series(1, 20) i;
SELECT rocketq.commit_offset('newer', 'g', 4, 30);
SELECT rocketq.alter_topic('newer', 3);
EOQ
rq_wait_ticks($node, 'janitor', 2);
$node->safe_psql('postgres', "SELECT rocketq.alter_topic('newer', 6)");
$expected = $node->safe_psql('postgres', $contents);
rq_poll_query($node, 'the state to be written',
	"SELECT synced_redo_lsn > '$redo' FROM rocketq.workers WHERE worker = 'keeper'");
is($node->safe_psql('postgres', 'SELECT redo_lsn FROM pg_control_checkpoint()'),
	$redo, 'the state is newer than the checkpoint');
crash('a newer state');
eval { $checkpoint->{run}->finish; };
is($node->safe_psql('postgres', $contents), $expected, 'a newer state');
compare_standby('a newer state');

#
# The queue for which a trim was decided is removed before the trim is done:
# the queue that has taken its place keeps its messages.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('trimmed', 12);
SELECT rocketq.create_group('trimmed', 'g');
SELECT rocketq.produce('trimmed', 'old', queue_id => 10) FROM generate_series(1, 100);
SELECT rocketq.commit_offset('trimmed', 'g', 10, 100);
EOQ
my $janitor = rq_worker_pid($node, 'janitor');
rq_arm($node, 'trim-decided=stop');
$node->safe_psql('postgres', "SELECT rocketq.alter_topic('trimmed', retention_time => '1 s')");
rq_poll_stopped($janitor);
rq_arm($node, '');
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.alter_topic('trimmed', 8);
SELECT rocketq.alter_topic('trimmed', 12, retention_time => '1 h');
SELECT rocketq.produce('trimmed', 'new', queue_id => 10) FROM generate_series(1, 50);
EOQ
kill('CONT', $janitor);
rq_wait_ticks($node, 'janitor', 2);
my $new = q{SELECT count(*), min(queue_offset) FROM trimmed WHERE rocketq.text(body) = 'new'};
is($node->safe_psql('postgres', $new), '50|0', 'a trim skips the queue that was added later');
is( $node->safe_psql('postgres',
		q{SELECT sum(lost_messages) FROM rocketq.groups WHERE topic::text = 'trimmed'}),
	'0', 'no loss of messages is reported');
compare_standby('a trim of a removed queue');
$node->safe_psql('postgres', 'CHECKPOINT');
$node->restart;
is($node->safe_psql('postgres', $new), '50|0', 'the state has nothing of it');
rq_verify($node, 'a trim of a removed queue');

#
# A failed resize restores what it found: the outcome of an earlier one that
# has not been settled.
#
new_topic('undone');
rq_signal($node, 'STOP', 'rocketq janitor');
$node->safe_psql('postgres', "SELECT rocketq.alter_topic('undone', 5)");
foreach my $fails (
	"SELECT rocketq.produce('undone', 'never', queue_id => 4); SELECT rocketq.alter_topic('undone', 2)",
	"SELECT rocketq.alter_topic('undone', 2)",
	"SELECT rocketq.alter_topic('undone', 7); SELECT rocketq.alter_topic('undone', 9); SELECT 1/0")
{
	isnt($node->psql('postgres', "BEGIN; $fails; COMMIT", on_error_stop => 1), 0, 'a resize fails');
	is(queues_of('undone'), '5', 'it leaves the queues that it found');
}
my ($rc, $out, $err) = $node->psql('postgres', "SELECT rocketq.produce('undone', 'never', queue_id => 5)");
like($err, qr/queue 5/, 'a removed queue accepts no messages');
rq_signal($node, 'CONT', 'rocketq janitor');
cut_is_settled('undone', 5);
is(queues_of('undone'), '5', 'the number of queues is settled');
compare_standby('a failed resize');

#
# A rollback undoes one change after the other, while the janitor may already
# have settled all of them.
#
my ($undoing, $undoing_pid) = rq_stopped_session($node, 'alter-undone',
	q{BEGIN; SELECT rocketq.alter_topic('undone', n) FROM unnest('{6,7,9}'::int[]) n;}, 'ROLLBACK;');
rq_wait_ticks($node, 'janitor', 2);
kill('CONT', $undoing_pid);
rq_poll_stopped($undoing_pid);
is( $node->safe_psql('postgres',
		q{SELECT count(*) FROM rocketq.queues WHERE topic = 'undone'}),
	'5', 'no queue is seen whose slot is free');
rq_resume_session($node, $undoing, $undoing_pid);
$undoing->quit;
is(queues_of('undone'), '5', 'nor when the rollback has ended');

# A change that is rolled back to a savepoint releases its lock before its
# transaction ends.
my $open = $node->background_psql('postgres', on_error_stop => 0);
$open->query_safe("BEGIN; SAVEPOINT s; SELECT rocketq.alter_topic('undone', 9)");
$open->query('ROLLBACK TO s');
$node->safe_psql('postgres', "SELECT rocketq.alter_topic('undone', 8)");
is(queues_of('undone'), '8', 'another one takes the place of what was rolled back to a savepoint');
$open->query_safe('COMMIT');
$open->quit;
rq_wait_ticks($node, 'janitor', 2);
is(queues_of('undone'), '8', 'both changes have the right outcome');
$node->safe_psql('postgres', "SELECT rocketq.reset_offset(topic_oid, consumer_group, 'last') FROM rocketq.groups WHERE topic = 'undone'; SELECT rocketq.alter_topic('undone', 5)");
cut_is_settled('undone', 5);

#
# A transaction fails after its entries have been written: the janitor may
# remove the queues that it created, and another topic may get their slots,
# while the transaction still resolves what it left behind.
#
$node->safe_psql('postgres', q{SELECT rocketq.create_topic('resolved', 1)});
foreach my $make (
	q{SELECT rocketq.create_topic('made', 1); SELECT rocketq.produce('made', 'never') FROM generate_series(1, 5)},
	q{SELECT rocketq.alter_topic('resolved', 2); SELECT rocketq.produce('resolved', 'never', queue_id => 1) FROM generate_series(1, 5)})
{
	my $failing = $node->background_psql('postgres', on_error_stop => 0);
	$failing->query_safe("SET rocketq.fault = 'precommit-done=error,resolve-flags=sleep:2000'");
	$failing->query_safe('BEGIN');
	$failing->query_safe($make);
	my $xid = $failing->query_safe('SELECT pg_current_xact_id()');
	$failing->query_until(qr/failing/, "\\echo failing\nCOMMIT;\n");
	rq_poll_query($node, 'the transaction to fail', "SELECT pg_xact_status('$xid') = 'aborted'");
	rq_wait_ticks($node, 'janitor', 2);
	$node->safe_psql('postgres', q{SELECT rocketq.create_topic('after', 1)});
	$failing->{stderr} = '';
	$failing->query('SELECT 1');
	$failing->quit;
	is( $node->safe_psql('postgres',
			q{SELECT max_offset, unresolved FROM rocketq.queues WHERE topic = 'after'}),
		'0|0', 'the successor of the queue is left alone');
	is( $node->safe_psql('postgres', <<'EOQ'), 'm', 'the successor accepts messages');
SELECT rocketq.produce('after', 'm') IS NULL WHERE false;
DO $$ BEGIN PERFORM rocketq.produce('after', 'm'); END $$;
SELECT rocketq.text(body) FROM rocketq.consume('after', 'g');
EOQ
	$node->safe_psql('postgres', 'CHECKPOINT');
	crash('a transaction that failed late');
	$node->safe_psql('postgres', q{SELECT rocketq.drop_topic('after')});
}

#
# Messages that were rolled back to a savepoint do not prevent the removal of
# their queue.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('savepoint', 4);
BEGIN;
SAVEPOINT s;
SELECT rocketq.produce('savepoint', 'never', queue_id => 3);
ROLLBACK TO s;
SELECT rocketq.alter_topic('savepoint', 2);
COMMIT;
EOQ
is(queues_of('savepoint'), '2', 'a queue with rolled back messages can be removed');

# Redo replays a drop whose extents have been given back, but are not free.
new_topic('redone');
my $redone = rq_topic_key($node, 'redone');
$node->safe_psql('postgres', 'CHECKPOINT');
$node->safe_psql('postgres', "SELECT rocketq.produce('redone', 'y')");
$log_from = rq_log_from($node);
rq_arm($node, 'extents-freed=kill');
# The server may crash before it has answered.
$node->psql('postgres', 'DROP TABLE redone');
rq_disarm_and_recover($node, $log_from);
rq_extents_gone($node, 'extents of a topic whose drop was replayed to be free',
	sub { $_[0]{key} eq $redone });
rq_verify($node, 'a drop again');

#
# Promotion in the middle.
#
new_topic('promoted');
$expected = $node->safe_psql('postgres', $contents);
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN');
$session->query_safe("SELECT rocketq.alter_topic('promoted', 12)");
$session->query_safe("SELECT rocketq.produce('promoted', 'never', queue_id => 11)");
$node->safe_psql('postgres', "SELECT pg_switch_wal()");
$node->wait_for_catchup($standby);
# The topic itself is locked on the standby as it is on the primary.
is( $standby->safe_psql('postgres', "SELECT queues FROM rocketq.topics WHERE topic = 'promoted'"),
	'6', 'the standby shows what is committed');
rq_kill9($node, all => 1);
$standby->promote;
rq_poll_query($standby, 'promotion', 'SELECT NOT pg_is_in_recovery()');
is($standby->safe_psql('postgres', $contents), $expected, 'promoted in the middle');
$standby->safe_psql('postgres', "SELECT rocketq.alter_topic('promoted', 8)");
$standby->safe_psql('postgres', "SELECT rocketq.produce('promoted', 'm', queue_id => 7)");
rq_verify($standby, 'promoted in the middle');
eval { $session->quit };
$standby->stop;
done_testing();

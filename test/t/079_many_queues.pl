# 079_many_queues.pl -- a transaction that has all queues of a group with as many
# as there can be, in a server with the usual number of locks; what savepoints,
# errors and the ends of processes leave of it; and that whoever waits for a
# queue gets it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use POSIX ();

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;

my $queues = 65535;

# Each of these takes 64 KB of disk.
my $filled = $ENV{RQ_QUEUES} // 2500;

my $node = rq_node('main', conf => <<"EOC");
rocketq.max_queues = 70000
rocketq.max_queues_per_topic = $queues
rocketq.max_consumer_slots = 70000
rocketq.max_consumer_slots_per_topic = 70000
EOC
my ($one, $two, $three) = rq_sessions($node, 3);

# The error of one that does not.
sub failed
{
	my ($session, $sql) = @_;
	$session->query($sql) // die "connection lost\n";
	return $session->{error};
}

# How many queues the session owns.
sub owned
{
	my ($session) = @_;
	return rq_value($node, "SELECT count(*) FROM rocketq.groups WHERE owner_pid = $session->{pid}");
}

# Let a session ask for something for which it has to wait.
sub ask_and_wait
{
	my ($session, $sql) = @_;
	$session->ask($sql);
	rq_poll('a session to wait', sub {
		return rq_value($node, "SELECT cardinality(pg_blocking_pids($session->{pid}))") > 0; });
	return;
}

# Move the group in the queues from one number to another.
sub move
{
	my ($session, $from, $to, $offset) = @_;
	return rq_done($session, <<EOQ);
SELECT count(rocketq.reset_offset('wide', 'g', q, $offset)) FROM generate_series($from, $to) q
EOQ
}

# What records of this kind say, since "from"; and of how many queues.
sub logged
{
	my ($type, $from) = @_;
	rq_flush($node);
	return split(/ /, rq_value($node, <<"EOQ"));
SELECT concat_ws(' ', count(*), coalesce(sum(regexp_count(description, ' queue ')), 0))
FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type = '$type'
EOQ
}

# The time that the session's process has taken of a processor, in seconds.
sub cpu_time
{
	my ($session) = @_;
	my @stat = split / /, slurp_file("/proc/$session->{pid}/stat") =~ s/.*\) //sr;
	return ($stat[11] + $stat[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

is(rq_value($node, 'SHOW max_locks_per_transaction'), '64', 'the usual number of locks');
rq_done($one, 'CREATE EXTENSION pg_walinspect');
rq_done($one, "SELECT rocketq.create_topic('wide', $queues)");
rq_done($one, "SELECT rocketq.create_group('wide', 'g')");

#
# All queues, one lock.
#
rq_done($one, 'BEGIN');
is(move($one, 0, $queues - 1, 0), $queues, 'a transaction has all queues');
is(rq_group_locks($node, $one), '21074 ShareLock 1', 'with one lock');
is(owned($one), $queues, 'and is seen to');
ask_and_wait($two, "SELECT rocketq.reset_offset('wide', 'g', @{[ $queues - 1 ]}, 0)");
my $from = rq_flush($node);
my $before = cpu_time($one);
rq_done($one, 'COMMIT');
cmp_ok(cpu_time($one) - $before, '<', 3, 'the time to commit does not grow with the square of their number');
is(rq_answer($two), '', 'who waits for one of them gets it at the end');
is(owned($one), '0', 'when all are given back');
is(join(' of ', logged('OFFSET', $from)), join(' of ', int(($queues + 1023) / 1024) + 1, $queues + 1),
	'its moves take a record for each 1024 of them');
my ($records, $settled);
rq_poll('all to be settled', sub {
	($records, $settled) = logged('SETTLE', $from);
	return $settled >= $queues; });
cmp_ok($records, '<', 200, 'and so, or nearly, do their outcomes');

# In savepoints.
rq_done($one, 'BEGIN');
move($one, 0, 29999, 0);
rq_done($one, 'SAVEPOINT a');
is(move($one, 20000, $queues - 1, 0), $queues - 20000, 'more of them after a savepoint');
is(rq_group_locks($node, $one), '21074 ShareLock 1, 21075 ExclusiveLock 1', 'with a lock for that');
is(owned($one), $queues, 'are its own, too');
ask_and_wait($two, "SELECT rocketq.reset_offset('wide', 'g', 30000, 0)");
ask_and_wait($three, "SELECT rocketq.reset_offset('wide', 'g', 29999, 0)");
rq_done($one, 'ROLLBACK TO a');
is(rq_answer($two), '', 'and are given back with the savepoint');
is(owned($one), '30000', 'but not those from before');
is(rq_group_locks($node, $one), '21074 ShareLock 1', 'and the lock is gone');
rq_done($one, <<EOQ);
DO \$\$ BEGIN FOR q IN 30000 .. 39999 LOOP
	BEGIN PERFORM rocketq.reset_offset('wide', 'g', q, 0); EXCEPTION WHEN division_by_zero THEN NULL; END;
END LOOP; END \$\$
EOQ
is(owned($one), '40000', 'ten thousand savepoints that are released');
is(rq_group_locks($node, $one), '21074 ShareLock 1, 21075 ExclusiveLock 1', 'leave no lock but that of the one around them');
rq_done($one, 'ROLLBACK');
is(rq_answer($three), '', 'all ends with the transaction');

# Many open savepoints, each with a lock.
rq_done($one, 'BEGIN');
for my $s (0 .. 39)
{
	rq_done($one, "SAVEPOINT s$s");
	move($one, $s, $s, 0);
}
is(rq_group_locks($node, $one), '21074 ShareLock 1, 21075 ExclusiveLock 40', 'each of forty savepoints has a lock');
is(owned($one), '40', 'and a queue');
rq_done($one, 'ROLLBACK TO s30');
is(owned($one), '30', 'savepoints give queues back in order');
is(move($two, 30, 39, 0), '10', 'others take those queues');
ask_and_wait($two, "SELECT rocketq.reset_offset('wide', 'g', 29, 0)");
ask_and_wait($three, "SELECT rocketq.reset_offset('wide', 'g', 5, 0)");
rq_done($one, 'ROLLBACK TO s20');
is(rq_answer($two), '', 'a waiter gets its queue with the innermost savepoint that has it');
is(move($one, 29, 29, 0), '1', 'and the former owner can have it again');
rq_done($one, 'ROLLBACK TO s5');
is(rq_answer($three), '', 'another waiter gets its queue with an outer savepoint');
rq_done($one, 'RELEASE s4');
rq_done($one, 'ROLLBACK TO s0');
is(rq_group_locks($node, $one), 'none', 'nothing is left of the savepoints');
rq_done($one, 'COMMIT');

# In a savepoint without room for its lock no queue is taken.
rq_done($one, "SELECT rocketq.produce('wide', 'm', queue_id => 3)");
rq_done($one, 'BEGIN');
move($one, 0, 0, 0);
rq_done($two, 'BEGIN');
rq_done($two, <<'EOQ');
DO $$ BEGIN FOR i IN 1 .. 100000 LOOP
	BEGIN PERFORM pg_advisory_xact_lock(77, i); EXCEPTION WHEN out_of_memory THEN EXIT; END;
END LOOP; END $$
EOQ
rq_done($one, 'SAVEPOINT a');
like(failed($one, "SELECT count(*) FROM rocketq.consume('wide', 'g')"), qr/out of shared memory/,
	'consume() fails, and does not say that there is nothing');
rq_done($one, 'ROLLBACK TO a');
like(failed($one, "SELECT rocketq.reset_offset('wide', 'g', 3, 0)"), qr/out of shared memory/,
	'reset_offset() fails');
rq_done($one, 'ROLLBACK TO a');
rq_done($two, 'ROLLBACK');
is(owned($one), '1', 'an earlier queue stays');
is(rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g', auto_commit => true)"), '1',
	'consume() works when there is room');
rq_done($one, 'COMMIT');

# The whole group, before and after.
rq_done($one, 'BEGIN');
rq_done($one, "SELECT rocketq.reset_offset('wide', 'g', 'last')");
is(rq_group_locks($node, $one), '21074 ExclusiveLock 1', 'reset_offset() of the group');
is(owned($one), $queues, 'has all queues');
rq_done($one, 'ROLLBACK');
rq_done($one, 'BEGIN');
move($one, 0, $queues - 1, 0);
rq_done($one, "SELECT rocketq.drop_group('wide', 'g')");
is(rq_group_locks($node, $one), '21074 ExclusiveLock 1, 21074 ShareLock 1', 'drop_group() by who has all queues');
rq_done($one, 'ROLLBACK');
is(rq_value($node, 'SELECT count(*) FROM rocketq.groups'), $queues, 'which is rolled back');

#
# Consume from many queues.
#
rq_done($one, <<EOQ);
DO \$\$ BEGIN PERFORM rocketq.produce('wide', 'm', queue_id => q * ($queues / $filled))
	FROM generate_series(0, $filled - 1) q; END \$\$
EOQ
rq_done($one, 'BEGIN');
is(rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g', 100000)"), $filled, 'a message of each');
is(rq_group_locks($node, $one), '21074 ShareLock 1', 'with one lock');
is(owned($one), $filled, 'for the queues that had one');
is(rq_done($two, "SELECT count(*) FROM rocketq.consume('wide', 'g', 100000)"), '0', 'others get none');
is(rq_group_locks($node, $two), 'none', 'and have no lock then');
rq_done($one, 'ROLLBACK');
rq_done($one, 'BEGIN');
rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g', 100000, auto_commit => true)");
rq_done($one, 'COMMIT');
is(rq_value($node, 'SELECT sum(lag) FROM rocketq.groups'), '0', 'all are consumed');


# All of the moves of a transaction are made or none, whatever its records are.
SKIP:
{
	my $back = "SELECT rocketq.reset_offset('wide', 'g', 'first')";
	skip 'no fault points', 4 if !rq_has_faults($node);
	my ($rc, $out, $err) = $node->psql('postgres', "SET rocketq.fault = 'offset-wal=error'; $back");
	like($err, qr/offset-wal/, 'a transaction that moves all back fails after one of its records');
	is(rq_value($node, 'SELECT sum(lag) FROM rocketq.groups'), '0', 'it has moved none');
	foreach my $case ([ 'offset-wal', 0 ], [ 'commit-callback', $filled + 1 ])
	{
		my ($point, $lag) = @$case;
		my $log = rq_log_from($node);
		$node->psql('postgres', "SET rocketq.fault = '$point=kill'; $back");
		rq_restart_after($node, $log);
		rq_look_anew($node);
		rq_poll_query($node, 'the server to be open', 'SELECT true');
		is(rq_value($node, 'SELECT sum(lag) FROM rocketq.groups'), $lag,
			"its process is killed at $point: " . ($lag > 0 ? 'all are moved' : 'none is'));
	}
	($one, $two, $three) = rq_sessions($node, 3);
	rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g', 100000, auto_commit => true)");
}
like(failed($one, "BEGIN; SELECT count(rocketq.reset_offset('wide', 'g', 1, 0)); PREPARE TRANSACTION 'p'"),
	qr/cannot PREPARE/, 'no transaction is prepared that has a queue');
rq_done($one, 'ROLLBACK');

#
# Whoever waits gets the queue, however busy others are with it.
#
rq_done($one, "SELECT rocketq.produce('wide', 'm', queue_id => 7)");
rq_done($one, 'BEGIN');
is(rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g')"), '1', 'a consumer has the queue');
ask_and_wait($two, "SELECT rocketq.commit_offset('wide', 'g', 7, 0)");
kill('STOP', $two->{pid});
rq_poll_stopped($two->{pid});
rq_done($one, 'ROLLBACK');
is(rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g')"), '0',
	'and does not get it again while somebody waits');
ask_and_wait($three, "SELECT rocketq.commit_offset('wide', 'g', 7, 1)");
my $four = rq_session($node);
rq_ask_and_sleep("CALL rocketq.wait_for_messages('wide', 'g', '600 s')", $four);
kill('CONT', $two->{pid});
is(rq_answer($two), '', 'who then has it');
is(rq_answer($three), '', 'and after him the next one');
rq_done($one, "SELECT rocketq.reset_offset('wide', 'g', 7, 0)");
isnt(rq_answer($four), 'no answer', 'wait_for_messages() has slept for so long');

# Who waits and ends before its turn.
rq_done($one, "SELECT rocketq.reset_offset('wide', 'g', 7, 0)");
rq_done($one, 'BEGIN');
rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g')");
$four = rq_session($node);
ask_and_wait($four, "SELECT rocketq.commit_offset('wide', 'g', 7, 0)");
ask_and_wait($two, "SELECT rocketq.commit_offset('wide', 'g', 7, 0)");
my $keeper = rq_hold_keeper($node);
rq_ask_and_sleep("SELECT count(*) FROM rocketq.consume('wide', 'g', wait => '600 s')", $three);
rq_done($one, "SELECT pg_terminate_backend($four->{pid}), pg_cancel_backend($two->{pid})");
like(rq_answer($two), qr/canceling statement/, 'one is canceled');
rq_poll('the other to be gone', sub {
	return rq_value($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $four->{pid}") == 0; });
rq_done($one, 'ROLLBACK');
is(rq_answer($three), '1', 'then the queue is offered to who waits for messages');

# The last of those who wait ends when the queue is nobody's any more.
rq_done($one, 'BEGIN');
rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g')");
ask_and_wait($two, "SELECT rocketq.commit_offset('wide', 'g', 7, 0)");
kill('STOP', $two->{pid});
rq_poll_stopped($two->{pid});
rq_done($one, 'ROLLBACK');
rq_ask_and_sleep("SELECT count(*) FROM rocketq.consume('wide', 'g', wait => '600 s')", $three);
rq_done($one, "SELECT pg_cancel_backend($two->{pid})");
kill('CONT', $two->{pid});
rq_answer($two);
is(rq_answer($three), '1', 'whoever gives up waiting offers it');
rq_let_keeper($keeper);

# A deadlock says what it is about.
rq_done($two, "SET deadlock_timeout = '10ms'");
rq_done($one, 'BEGIN');
rq_done($one, "SELECT rocketq.reset_offset('wide', 'g', 7, 0)");
rq_done($two, 'BEGIN');
rq_done($two, "SELECT rocketq.reset_offset('wide', 'g', 8, 0)");
rq_done($one, "SET deadlock_timeout = '600s'");
ask_and_wait($one, "SELECT rocketq.reset_offset('wide', 'g', 8, 0)");
my $log = rq_log_from($node);
like(failed($two, "SELECT rocketq.reset_offset('wide', 'g', 7, 0)"), qr/deadlock detected/, 'a deadlock');
ok($node->wait_for_log(qr/while waiting for queue 7 of consumer group "g"/, $log), 'and its context');
is(rq_answer($one), '', 'ends the wait of the other one');
rq_done($one, 'ROLLBACK');
rq_done($two, 'ROLLBACK');

#
# A cursor that fails after a savepoint does not take with it what it has got
# before.
#
rq_done($one, 'BEGIN');
rq_done($one, <<'EOQ');
DECLARE c CURSOR FOR SELECT rocketq.reset_offset('wide', 'g', 7, 0), 1 / (n - 2) FROM generate_series(1, 2) n
EOQ
rq_done($one, 'FETCH 1 FROM c');
is(rq_group_locks($node, $one), '21074 ShareLock 1', 'a cursor takes a queue');
rq_done($one, 'SAVEPOINT a');
like(failed($one, 'FETCH 1 FROM c'), qr/division by zero/, 'and fails after a savepoint');
rq_done($one, 'ROLLBACK TO a');
is(rq_group_locks($node, $one), '21074 ShareLock 1', 'the group is locked all the same');
is(owned($one), '1', 'and the queue is owned');
rq_done($one, 'COMMIT');

#
# The end of a process.
#
rq_done($one, 'BEGIN');
rq_done($one, 'SAVEPOINT a');
move($one, 0, 9999, 0);
ask_and_wait($two, "SELECT rocketq.reset_offset('wide', 'g', 9999, 0)");
rq_done($three, "SELECT pg_terminate_backend($one->{pid})");
is(rq_answer($two), '', 'who waits for a process that is terminated gets the queue');
is(rq_value($node, 'SELECT count(owner_pid) FROM rocketq.groups'), '0', 'nothing is owned any more');

rq_done($three, 'BEGIN');
rq_done($three, 'SAVEPOINT a');
move($three, 0, 9999, 0);
ask_and_wait($two, "SELECT rocketq.reset_offset('wide', 'g', 9999, 0)");
$log = rq_log_from($node);
kill('KILL', $three->{pid});
rq_restart_after($node, $log);
rq_look_anew($node);
rq_poll_query($node, 'the server to be open', 'SELECT true');
($one, $two) = rq_sessions($node, 2);
is(rq_value($node, 'SELECT count(owner_pid) FROM rocketq.groups'), '0', 'nor after a crash');
is(move($one, 9998, 9999, 0), '2', 'all queues are to be had');

rq_done($one, "SELECT rocketq.drop_group('wide', 'g')");
is(rq_value($node, 'SELECT count(*) FROM rocketq.groups'), '0', 'and the group is dropped');
rq_verify($node, 'at the end');
$node->stop;
done_testing();

# 053_group_lock.pl -- a transaction takes one lock for a group, whether it reads
# some of its queues or operates on all of them; a waiter holds none.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;

my $queues = 6000;
my $node = rq_node('main', conf => <<'EOC');
max_locks_per_transaction = 10
max_connections = 20
rocketq.max_queues_per_topic = 6000
rocketq.max_consumer_slots_per_topic = 6000
EOC
my ($one, $two, $three) = rq_sessions($node, 3);

sub waits_for
{
	my ($session) = @_;
	return rq_value($node, "SELECT pg_blocking_pids($session->{pid})");
}

#
# Many queues, few locks.
#
rq_done($one, "SELECT rocketq.create_topic('wide', $queues)");
rq_done($one, "SELECT rocketq.create_group('wide', 'g')");
rq_done($one, <<EOQ);
DO \$\$ BEGIN PERFORM rocketq.produce('wide', 'm', queue_id => q) FROM generate_series(0, @{[ $queues - 1 ]}) q; END \$\$
EOQ
rq_done($one, 'BEGIN');
rq_done($one, "SELECT rocketq.reset_offset('wide', 'g', 'last')");
is(rq_group_locks($node, $one), '21074 ExclusiveLock 1', 'reset_offset() takes one lock');
is( rq_value($node, "SELECT count(*) FROM rocketq.groups WHERE owner_pid = $one->{pid} AND owner_since IS NOT NULL"),
	$queues, 'the view shows the lock for all queues');
is(rq_done($two, "SELECT count(*) FROM rocketq.consume('wide', 'g')"), '0', 'the lock excludes others');
is(rq_group_locks($node, $two), 'none', 'the others hold no locks');
rq_done($one, 'COMMIT');
is(rq_value($node, 'SELECT sum(lag) FROM rocketq.groups'), '0', 'the group has been moved');
rq_done($one, "SELECT rocketq.reset_offset('wide', 'g', now() - interval '1 day')");
is(rq_value($node, 'SELECT sum(lag) FROM rocketq.groups'), $queues, 'also to a time');

rq_done($one, 'BEGIN');
rq_done($one, "SELECT rocketq.reset_offset('wide', 'g', 'last')");
is(rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g')"), '0', 'a reset group has nothing left');
rq_done($one, "SELECT rocketq.reset_offset('wide', 'g', 'first')");
is(rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g', 10000)"), $queues, 'a reset group has all messages left');
is(rq_group_locks($node, $one), '21074 ExclusiveLock 1', 'the owner of the group needs no lock for a queue');
rq_done($one, 'ROLLBACK');

# Consumers leave the locks to others.
rq_done($one, 'BEGIN');
is( rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g', 10000, auto_commit => true)"),
	$queues, 'all queues in one transaction');
is(rq_group_locks($node, $one), '21074 ShareLock 1', 'which takes one lock');
is(rq_done($two, "SELECT count(pg_advisory_xact_lock(i)) FROM generate_series(1, 100) i"),
	'100', 'there are locks left');
rq_done($one, 'COMMIT');
is(rq_value($node, 'SELECT sum(lag) FROM rocketq.groups'), '0', 'and all have been consumed');

# Savepoints with queues need a lock each.  Who has too many is told so, and not
# that there is nothing to consume.
rq_done($one, "SELECT rocketq.reset_offset('wide', 'g', 'first')");
rq_done($one, 'BEGIN');
my $savepoints = 0;
my $error = '';
while ($error eq '' && $savepoints < 1000)
{
	$savepoints++;
	rq_done($one, "SAVEPOINT s$savepoints");
	my $rows = $one->query("SELECT count(*) FROM rocketq.consume('wide', 'g', 1)") // die "connection lost\n";
	$error = $one->{error};
	last if $error eq '' && $rows->[0] ne '1';
}
is($error, '53400 too many savepoints since which the transaction has consumed', 'too many savepoints');
cmp_ok($savepoints, '>', 50, 'after many of them');
rq_done($one, "ROLLBACK TO s$savepoints");
rq_done($one, "RELEASE s2");
is(rq_done($one, "SELECT count(*) FROM rocketq.consume('wide', 'g', 10000)"), $queues - $savepoints + 1, 'when some are released, it goes on');
rq_done($one, 'COMMIT');

rq_done($one, 'BEGIN');
rq_done($one, "SELECT rocketq.drop_group('wide', 'g')");
is(rq_group_locks($node, $one), '21074 ExclusiveLock 1', 'drop_group() takes one lock');
rq_done($one, 'COMMIT');
is(rq_value($node, 'SELECT count(*) FROM rocketq.groups'), '0', 'the group is gone');

#
# Sessions that read a queue, that have the group locked, and that wait for
# either.
#
rq_done($one, "SELECT rocketq.create_topic('t', 2)");
rq_done($one, "SELECT rocketq.create_group('t', 'g')");
rq_done($one, "SELECT rocketq.produce('t', 'm' || q, queue_id => q) FROM generate_series(0, 1) q");
rq_done($one, 'BEGIN');
rq_done($one, "SELECT count(*) FROM rocketq.consume('t', 'g', 1)");
is(rq_group_locks($node, $one), '21074 ShareLock 1', 'a consumer');
rq_done($two, 'BEGIN');
rq_done($two, "SELECT count(*) FROM rocketq.consume('t', 'g', 1)");
is(rq_group_locks($node, $two), '21074 ShareLock 1', 'and another one');

# The third gets nothing and waits, without blocking the others.
rq_ask_and_sleep("SELECT rocketq.text(body) FROM rocketq.consume('t', 'g', 1, wait => '600 s')", $three);
is(rq_group_locks($node, $three), 'none', 'a waiter holds no locks');
rq_done($two, 'ROLLBACK');
is(rq_answer($three) =~ /^m[01]$/ ? 'a message' : 'none', 'a message', 'the waiter gets what was given back');
rq_done($one, "SELECT count(*) FROM rocketq.consume('t', 'g')");
rq_ask_and_sleep("SELECT count(*) FROM rocketq.consume('t', 'g', 1, wait => '600 s')", $three);
$two->ask("SELECT rocketq.drop_group('t', 'g')");
rq_poll('the drop to wait', sub { waits_for($two) ne '{}' });
is(waits_for($two), "{$one->{pid}}", 'drop_group() waits only for the consumer');
rq_done($one, 'ROLLBACK');
is(rq_answer($two), '', 'drop_group() continues when the consumer has ended');
is(rq_answer($three), '1', 'a waiter continues with a new group of that name');

# Rolling back to a savepoint releases a lock on a group that was taken after
# it.
rq_done($one, "SELECT rocketq.reset_offset('t', 'g', 'first')");
rq_done($one, 'BEGIN');
rq_done($one, "SELECT count(*) FROM rocketq.consume('t', 'g', 1)");
rq_done($one, 'SAVEPOINT s');
rq_done($one, "SELECT rocketq.reset_offset('t', 'g', 'last')");
is(rq_done($two, "SELECT count(*) FROM rocketq.consume('t', 'g')"), '0', 'a group that another one has');
rq_done($one, 'ROLLBACK TO s');
is(rq_group_locks($node, $one), '21074 ShareLock 1', 'the group is released with the savepoint');
is(rq_done($two, "SELECT count(*) FROM rocketq.consume('t', 'g')"), '1', 'others consume again');
rq_done($one, 'COMMIT');

# A session that releases a group wakes the waiters.  The keeper would do so,
# too.
rq_done($one, "SELECT rocketq.reset_offset('t', 'g', 'last')");
my $keeper = rq_hold_keeper($node);
rq_ask_and_sleep("SELECT count(*) FROM rocketq.consume('t', 'g', 1, wait => '600 s')", $two);
rq_done($one, "SELECT rocketq.reset_offset('t', 'g', 'first')");
is(rq_answer($two), '1', 'a reset wakes a waiter');
rq_let_keeper($keeper);

rq_verify($node, 'at the end');
$node->stop;
done_testing();

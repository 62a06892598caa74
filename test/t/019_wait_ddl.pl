# 019_wait_ddl.pl -- waiting for messages does not block changes of the topic,
# and loses nothing by that.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait qw(:DEFAULT $producer topic produce consume wait_for);
use Test::More;

my $node = rq_node('main');
my ($one, $two, $ddl) = rq_sessions($node, 3);
$producer = rq_session($node);

sub run
{
	my ($session, $sql) = @_;
	my $rows = $session->query($sql);
	die "$session->{error} in: $sql\n" if $session->{error} ne '';
	return join(' ', @$rows);
}

sub pull
{
	my ($topic) = @_;
	return "SELECT rocketq.text(body) FROM rocketq.pull('$topic', 1, 0, wait => '60 s')";
}

sub locks
{
	my ($session, $topic) = @_;
	return rq_value($node, <<EOQ);
SELECT coalesce(string_agg(mode, ' ' ORDER BY mode), 'none') FROM pg_locks
WHERE pid = $session->{pid} AND locktype = 'relation' AND relation = '$topic'::regclass
EOQ
}

# Somebody waits for a lock.
sub ask_and_stand
{
	my ($session, $sql) = @_;
	$session->ask($sql);
	rq_poll("\"$sql\" to stand at a lock", sub {
		return rq_value($node,
			"SELECT count(*) FROM pg_stat_activity WHERE pid = $session->{pid} AND wait_event_type = 'Lock'");
	});
	return;
}

my %waiter = (
	consume => \&consume,
	pull => \&pull,
	wait_for_messages =>
	  sub { "CALL rocketq.wait_for_messages('$_[0]', 'g', '60 s')" });

#
# A sleeping waiter has no lock: DDL does not wait for it at all.
#
run($ddl, "SET lock_timeout = '1ms'");
foreach my $kind (sort keys %waiter)
{
	my $got = $kind eq 'wait_for_messages' ? 't' : 'new';

	foreach my $sql (
		'ALTER TABLE %s REPLICA IDENTITY FULL',
		"SELECT rocketq.alter_topic('%s', 3)",
		'BEGIN; LOCK TABLE %s; COMMIT',
		'BEGIN; TRUNCATE %s; ROLLBACK',
		'BEGIN; DROP TABLE %s; ROLLBACK')
	{
		my $topic = topic(2);

		rq_ask_and_sleep($waiter{$kind}->($topic), $one);
		is(locks($one, $topic), 'none', "$kind sleeps without a lock");
		run($ddl, sprintf($sql, $topic));
		pass(sprintf($sql, $topic) . " is not held up by $kind");
		ok(rq_is_asleep($one), 'the waiter keeps sleeping');
		produce($topic, 'new', ', queue_id => 1');
		is(rq_answer($one), $got, 'the waiter gets the next message');
	}
	foreach my $sql ('TRUNCATE %s', 'DROP TABLE %s')
	{
		my $topic = topic(2);

		rq_ask_and_sleep($waiter{$kind}->($topic), $one, $two);
		run($ddl, sprintf($sql, $topic));
		rq_poll('waiters to end', sub { return rq_asleep($one, $two) == 0 });
		if ($kind ne 'wait_for_messages')
		{
			is(rq_answer($_), '', sprintf($sql, $topic) . " ends $kind without a row")
			  foreach $one, $two;
		}
		else
		{
			rq_answer($_) foreach $one, $two;
		}
		next if $sql !~ /TRUNCATE/;
		produce($topic, 'new', ', queue_id => 1');
		is(rq_answer_to($one, $waiter{$kind}->($topic)), $got, 'later messages are there');
	}
}

sub rq_answer_to
{
	my ($session, $sql) = @_;
	$session->ask($sql);
	return rq_answer($session);
}

# New queues are included, and dropped ones are not.
my $topic = topic(2);
rq_ask_and_sleep(consume($topic), $one);
rq_ask_and_sleep(pull($topic), $two);
run($ddl, "SELECT rocketq.alter_topic('$topic', 3)");
produce($topic, 'in the new queue', ', queue_id => 2');
is(rq_answer($one), 'in the new queue', 'a waiter gets what is in a new queue');
run($ddl, "SELECT rocketq.alter_topic('$topic', 1)");
ok(rq_is_asleep($two), 'pull keeps sleeping when its queue has been removed');
rq_value($node, "SELECT pg_cancel_backend($two->{pid})");
like(rq_answer($two), qr/^57014/, 'the wait of pull ends at its timeout');

# The topic is locked when the message arrives: no row is returned, and the
# message stays.
$topic = topic(2);
rq_ask_and_sleep(consume($topic), $one);
run($ddl, "BEGIN; LOCK TABLE $topic; SELECT rocketq.produce('$topic', 'late', transactional => false)");
is(rq_answer($one), '', 'a wait on a locked topic returns no row');
run($ddl, 'COMMIT');
is(run($one, consume($topic)), 'late', 'nothing is lost');

# Privileges that were revoked before it wakes.
$topic = topic(2);
run($producer, "CREATE ROLE reader; GRANT SELECT ON $topic TO reader");
run($one, 'SET ROLE reader');
rq_ask_and_sleep(consume($topic), $one);
run($ddl, "REVOKE SELECT ON $topic FROM reader");
produce($topic, 'secret');
like(rq_answer($one), qr/^42501/, 'a role without the privilege gets nothing');
run($one, 'RESET ROLE');
is(run($one, consume($topic)), 'secret', 'other roles get the message');

# If it has read messages, they and the lock belong to its transaction.
$topic = topic(2);
run($one, 'BEGIN; SAVEPOINT a');
rq_ask_and_sleep(consume($topic), $one);
is(locks($one, $topic), 'none', 'it sleeps without a lock in a savepoint, too');
produce($topic, 'read');
is(rq_answer($one), 'read', 'a message is read');
is(locks($one, $topic), 'AccessShareLock', 'the transaction holds its lock');
$ddl->query("TRUNCATE $topic");
like($ddl->{error}, qr/^55P03/, 'DDL waits for the end of the transaction');
run($one, 'ROLLBACK TO a');
is(locks($one, $topic), 'none', 'the lock ends with the savepoint');
run($ddl, "TRUNCATE $topic");
run($one, 'COMMIT');

#
# A waiter that has to keep its lock ends its wait as soon as somebody waits
# for the lock.
#
run($ddl, "SET lock_timeout = '20s'");

# Messages that the filter skips: how far they were checked belongs to the
# transaction.
foreach my $sql (
	'ALTER TABLE %s REPLICA IDENTITY FULL', "SELECT rocketq.alter_topic('%s', 3)",
	'TRUNCATE %s', 'DROP TABLE %s')
{
	my $topic = topic(2);

	produce($topic, 'not for us', ", tag => 'b', queue_id => 0");
	rq_ask_and_sleep(
		"SELECT rocketq.text(body) FROM rocketq.consume('$topic', 'g', tags => 'a', wait => '60 s')",
		$one);
	is(locks($one, $topic), 'AccessShareLock', 'a waiter that has to keep its lock sleeps');
	$ddl->ask(sprintf($sql, $topic));
	is(rq_answer($one), '', 'gives way to ' . sprintf($sql, $topic));
	is(rq_answer($ddl) =~ s/^\S*//r, '', 'the DDL succeeds');
	next if $sql !~ /ALTER TABLE/i;
	is(run($one, consume($topic, ", tags => 'b', wait => '60 s'")),
		'not for us', 'nothing is lost');
}

# A transaction that had used the topic before: only its client can end it.
$topic = topic(2);
produce($topic, 'first');
run($one, 'BEGIN');
is(run($one, consume($topic)), 'first', 'a transaction has consumed');
rq_ask_and_sleep(consume($topic), $one);
ask_and_stand($ddl, "TRUNCATE $topic");
is(rq_answer($one), '', 'its next wait ends when somebody waits for the topic');
ok(!$ddl->is_answered(0), 'the DDL waits until the consumer commits');
run($one, 'COMMIT');
is(rq_answer($ddl), '', 'then the DDL continues');

# Producers queue up behind the DDL only for that long.
$topic = topic(2);
produce($topic, 'not for us', ", tag => 'b', queue_id => 0");
rq_ask_and_sleep(consume($topic, ", tags => 'a', wait => '60 s'"), $one);
$ddl->ask("ALTER TABLE $topic REPLICA IDENTITY FULL");
is(rq_answer_to($producer, "SELECT count(rocketq.produce('$topic', 'for us', 'a'))"),
	'1', 'a producer behind DDL behind a waiter continues');
is(rq_answer($ddl), '', 'the DDL continues');
my $got = rq_answer($one);
$got = run($one, consume($topic, ", tags => 'a', wait => '60 s'")) if $got eq '';
is($got, 'for us', 'and the waiter gets the message, if not in this wait then in the next');

#
# A client that has died, as described in sql/doc/consumers.md.
#
$topic = topic(2);
foreach my $kind (sort keys %waiter)
{
	my $dying = rq_session($node);

	run($dying, "SET client_connection_check_interval = '50ms'");
	rq_ask_and_sleep($waiter{$kind}->($topic), $dying);
	close($dying->{socket});
	rq_poll("the backend in $kind to end", sub { return !-e "/proc/$dying->{pid}" });
	pass("$kind ends with its client");
}

rq_verify($node, 'after all');
$node->stop;
done_testing();

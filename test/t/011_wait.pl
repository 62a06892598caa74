# 011_wait.pl -- waiting consumers: how long they wait, what wakes them and
# what does not, how a wait ends, and that wait_for_messages() holds nothing
# while it waits.
#
# The keeper is paused where it would also wake a waiter, a second later.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait qw(:DEFAULT $producer topic produce consume wait_for);
use Test::More;
use Time::HiRes qw(time);

my $node = rq_node('main');
my ($one, $two) = rq_sessions($node, 2);
$producer = rq_session($node);

# The answer to a query, and how long it took.
sub timed
{
	my ($session, $sql) = @_;
	my $start = time();
	$session->ask($sql);
	my $answer = rq_answer($session);
	return ($answer, time() - $start);
}

#
# How long.
#
my $topic = topic(2);
foreach my $case (
	[ consume($topic, ", wait => '300 ms'"), '' ],
	[ "SELECT body FROM rocketq.pull('$topic', 1, 0, wait => '300 ms')", '' ],
	[ "CALL rocketq.wait_for_messages('$topic', 'g', '300 ms')", 'f' ])
{
	my ($answer, $seconds) = timed($one, $case->[0]);
	is($answer, $case->[1], "timeout: $case->[0]");
	cmp_ok($seconds, '>=', 0.3, 'not before the timeout');
	cmp_ok($seconds, '<', 30, 'soon after the timeout');
}
foreach my $wait ('NULL', "'0'", "'1 microsecond'")
{
	is($one->query(consume($topic, ", wait => ${wait}::interval"))->[0],
		undef, "wait => $wait");
	is($one->query("CALL rocketq.wait_for_messages('$topic', 'g', $wait)")->[0],
		'f', "timeout => $wait");
}
foreach my $call (
	consume($topic, ", wait => '-1 s'"),
	"SELECT * FROM rocketq.pull('$topic', 0, 0, wait => '1 s -1 day')",
	"CALL rocketq.wait_for_messages('$topic', 'g', '-1 month')")
{
	$one->query($call);
	like($one->{error}, qr/^22023 argument "(wait|timeout)" must not be negative/, $call);
}

# Messages that exist already, and the longest possible wait.
my $longest = "'178000000 years'::interval";
produce($topic, 'there', ', queue_id => 1');
is($one->query("CALL rocketq.wait_for_messages('$topic', 'g', $longest)")->[0],
	't', 'an existing message: wait_for_messages');
is( $one->query("SELECT rocketq.text(body) FROM rocketq.pull('$topic', 1, 0, wait => $longest)")
	  ->[0],
	'there', 'an existing message: pull');
is($one->query(consume($topic, ", wait => $longest"))->[0],
	'there', 'an existing message: consume');

#
# What wakes.
#
my $keeper = rq_hold_keeper($node);

# One message each: a waiter that checks late must not take the message that
# woke another.
my %waiter = (
	consume => sub { consume($_[0], ", max_messages => 1, wait => $longest") },
	wait_for_messages =>
	  sub { "CALL rocketq.wait_for_messages('$_[0]', 'g', $longest)" },
	pull => sub {
		"SELECT rocketq.text(body) FROM rocketq.pull('$_[0]', 1, 0, wait => $longest)";
	});

foreach my $kind (sort keys %waiter)
{
	foreach my $case (
		[ 'a commit', sub { produce($_[0], 'new', ', queue_id => 1') } ],
		[
			'a message without a transaction',
			sub { produce($_[0], 'new', ', queue_id => 1, transactional => false') }
		],
		[
			'INSERT',
			sub {
				$producer->query(
					"INSERT INTO $_[0] (queue_id, body) VALUES (1, 'new')");
			}
		],
		[
			'a released savepoint',
			sub {
				$producer->query('BEGIN');
				$producer->query('SAVEPOINT a');
				produce($_[0], 'never', ', queue_id => 1');
				$producer->query('ROLLBACK TO a');
				produce($_[0], 'new', ', queue_id => 1');
				$producer->query('RELEASE a');
				ok(rq_is_asleep($one), 'nothing is delivered before the commit');
				$producer->query('COMMIT');
			}
		])
	{
		my ($what, $do) = @$case;
		my $topic = topic(2);
		my $wakeups = rq_wakeups($node);

		rq_ask_and_sleep($waiter{$kind}->($topic), $one);
		$do->($topic);
		is(rq_answer($one), $kind eq 'wait_for_messages' ? 't' : 'new',
			"$what wakes $kind");
		is(rq_wakeups($node) - $wakeups, 1, 'once');
	}
}

# What wakes nobody.  If one of these woke a waiter in vain, that would have
# happened by the end of the last one, and the next message would show it.
$topic = topic(2);
my $other = topic(2);
my $wakeups = rq_wakeups($node);
rq_ask_and_sleep(
	"SELECT rocketq.text(body) FROM rocketq.pull('$topic', 1, 0, tags => 'b', wait => '60 s')", $one);
rq_ask_and_sleep(consume($topic, ", tags => 'a || b', wait => '60 s'"), $two);
foreach (1 .. 5)
{
	$producer->query('BEGIN');
	produce($topic, 'rolled back', ", 'a', queue_id => 1");
	$producer->query('ROLLBACK');
	produce($other, 'other topic', ", 'a', queue_id => 1");
	produce($topic, 'other queue, other tag', ", 'c', queue_id => 0");
	produce($topic, 'other queue, no tag', ', queue_id => 0');
	if (rq_has_faults($node))
	{
		$producer->query("SET rocketq.fault = 'precommit-done=error'");
		$producer->query("SELECT rocketq.produce('$topic', 'aborted', 'a', queue_id => 0)");
		like($producer->{error}, qr/precommit-done/, 'a commit fails');
		$producer->query("SET rocketq.fault = ''");
	}
}
is(rq_asleep($one, $two), 2, 'both sleep');
produce($topic, 'offset 0', ", 'c', queue_id => 1");
produce($topic, 'offset 1', ", 'c', queue_id => 1");
is(rq_asleep($one, $two), 2, 'messages of another tag do not wake pull');
produce($topic, 'offset 2', ", 'b', queue_id => 1");
is(rq_answer($one), 'offset 2', 'the first message with the tag wakes pull');
is(rq_answer($two), 'offset 2', 'a message with one of the tags wakes consume');
is(rq_wakeups($node) - $wakeups, 2, 'nobody was woken in vain');

# A filter of many tags, too, is only woken by one of them: a waiter of the same
# group that does not want the message would pass over it for the group.
$topic = topic(1);
rq_ask_and_sleep(
	consume($topic, ", tags => '" . join(' || ', 1 .. 1000) . "', wait => '60 s'"), $one);
rq_ask_and_sleep(
	consume($topic, ", tags => '" . join(' || ', 1001 .. 1020) . "', wait => '60 s'"), $two);
$wakeups = rq_wakeups($node);
produce($topic, 'no', ", '1021'");
ok(rq_is_asleep($two), 'another tag than twenty wakes nobody');
produce($topic, 'for two', ", '1020'");
is(rq_answer($two), 'for two', 'the last of twenty does');
produce($topic, 'for one', ", '1000'");
is(rq_answer($one), 'for one', 'and the last of a thousand');
is(rq_wakeups($node) - $wakeups, 2, 'nobody was woken for nothing');

# Tags that share a hash cannot be told apart by who wakes: both are woken.
my ($same, $hash) = split /\|/, rq_value($node, <<'EOQ');
SELECT min(i) || '|' || max(i) FROM generate_series(1, 300000) i
GROUP BY pg_catalog.hashtext(i::text) HAVING count(*) > 1 ORDER BY 1 LIMIT 1
EOQ
$topic = topic(1);
rq_ask_and_sleep(wait_for($topic, ", tags => '$same'"), $one);
rq_ask_and_sleep(wait_for($topic, ", tags => '$hash'"), $two);
produce($topic, 'for two', ", '$hash'");
is(rq_answer($_), 't', 'a tag with the hash of another one') foreach $two, $one;

# A waiter that was woken and has not checked yet does not affect waiters for
# other tags.
$topic = topic(1);
rq_ask_and_sleep(consume($topic, ", tags => 'a', wait => '60 s'"), $one);
rq_ask_and_sleep(consume($topic, ", tags => 'b', wait => '60 s'"), $two);
kill('STOP', $one->{pid}) or die "could not stop a waiter: $!";
produce($topic, 'for one', ", 'a'");
produce($topic, 'for two', ", 'b'");
is(rq_answer($two), 'for two', 'a message wakes a waiter for its tag, while another is already picked');
kill('CONT', $one->{pid});
produce($topic, 'for one again', ", 'a'");
is(rq_answer($one), 'for one again', 'the picked waiter keeps waiting');

#
# In transactions.
#
$topic = topic(4);
produce($topic, "m$_", ", queue_id => $_") foreach 0 .. 3;
$one->query('BEGIN');
is( join(' ', sort @{ $one->query(consume($topic, ', max_messages => 10')) }),
	'm0 m1 m2 m3', 'a transaction that has all queues');
rq_ask_and_sleep(consume($topic), $two);
rq_ask_and_sleep(consume($topic), $one);
$wakeups = rq_wakeups($node);
produce($topic, 'more', ', queue_id => 2');
is(rq_answer($one), 'more', 'the owner of the queues is woken for more of them');
ok(rq_is_asleep($two), 'no earlier waiter is woken');
is(rq_wakeups($node) - $wakeups, 1, 'one waiter is woken');
$one->query('ROLLBACK');
like(rq_answer($two), qr/^m\d/, 'a rollback wakes the next one');

# Queues acquired in a savepoint are released with it.
$topic = topic(1);
produce($topic, 'there');
$one->query('BEGIN');
$one->query('SAVEPOINT a');
is($one->query(consume($topic))->[0], 'there', 'taken in a savepoint');
rq_ask_and_sleep(consume($topic), $two);
$one->query('ROLLBACK TO a');
is(rq_answer($two), 'there', 'rolling back to it wakes the next one');
$one->query('COMMIT');

# An error during the wait aborts the savepoint, not the transaction.
$topic = topic(1);
$one->query('BEGIN');
$one->query('SAVEPOINT a');
rq_ask_and_sleep(consume($topic), $one);
rq_value($node, "SELECT pg_cancel_backend($one->{pid})");
like(rq_answer($one), qr/^57014/, 'cancelled in a savepoint');
$one->query('ROLLBACK TO a');
rq_ask_and_sleep(consume($topic), $one);
produce($topic, 'new');
is(rq_answer($one), 'new', 'the session can wait again');
$one->query('COMMIT');

# If the offset is not committed, the message is delivered again.
$topic = topic(1);
rq_ask_and_sleep(
	"SELECT rocketq.text(body) FROM rocketq.consume('$topic', 'g', wait => '60 s')", $one);
produce($topic, 'again');
is(rq_answer($one), 'again', 'consumed without a commit');
is($two->query(consume($topic))->[0], 'again', 'the message is delivered again');
is($two->query(consume($topic, ", wait => '0'"))->[0], undef, 'after a commit of the offset it is not delivered again');

# A group whose offset is moved back has messages to consume.
rq_ask_and_sleep(consume($topic), $one);
$producer->query("SELECT rocketq.reset_offset('$topic', 'g', 'first')");
is(rq_answer($one), 'again', 'reset_offset wakes');
rq_ask_and_sleep(wait_for($topic), $one);
$producer->query("SELECT rocketq.reset_offset('$topic', 'g', 0, 0)");
is(rq_answer($one), 't', 'reset_offset wakes wait_for_messages');

# As long as somebody waits for all queues of a group, no other gets one: who
# waits for messages goes on waiting, until that one has come or gone.
foreach my $end ('comes', 'goes')
{
	$topic = topic(2);
	produce($topic, "m$_", ", queue_id => $_") foreach 0, 1;
	$two->query('BEGIN');
	$two->query("SELECT rocketq.reset_offset('$topic', 'g', 0, 0)");
	$producer->ask("SELECT rocketq.reset_offset('$topic', 'g', 'last')");
	rq_poll('one to wait for the group', sub { return rq_value($node,
		"SELECT count(*) FROM pg_locks WHERE pid = $producer->{pid} AND NOT granted"); });
	rq_ask_and_sleep(wait_for($topic), $one);
	if ($end eq 'comes')
	{
		is(join(' ', sort @{ $two->query("SELECT rocketq.text(body) FROM rocketq.consume('$topic', 'g')") }),
			'm0 m1', 'who has a queue gets the others, too');
		$two->query('COMMIT');
		is(rq_answer($producer), '', 'the whole group is moved');
		ok(rq_is_asleep($one), 'and then there is nothing to consume');
		produce($topic, 'new');
	}
	else
	{
		rq_value($node, "SELECT pg_cancel_backend($producer->{pid})");
		like(rq_answer($producer), qr/^57014/, 'who waits for the group is cancelled');
	}
	is(rq_answer($one), 't', "messages, when who waits for the group $end");
	$two->query('ROLLBACK');
}

# A client that is no longer connected gets nothing, and so nothing counts as consumed.
$topic = topic(1);
my $gone = rq_session($node);
rq_ask_and_sleep("SELECT body FROM rocketq.consume('$topic', 'g', auto_commit => true, wait => '60 s')", $gone);
close($gone->{socket});
produce($topic, 'precious');
rq_poll('its session to end', sub { return rq_value($node,
	"SELECT count(*) FROM pg_stat_activity WHERE pid = $gone->{pid}") == 0; });
is($two->query(consume($topic))->[0], 'precious', 'who waits for a client that is disconnected takes nothing');

#
# wait_for_messages() while the topic changes.
#
$topic = topic(2);
rq_ask_and_sleep(wait_for($topic, ", tags => 'a'"), $one);
produce($topic, 'no', ", 'b'");
$producer->query("SELECT rocketq.alter_topic('$topic', 3)");
is($producer->{error}, '', 'alter_topic does not wait for it');
ok(rq_is_asleep($one), 'neither alter_topic nor another tag wakes it');
produce($topic, 'yes', ", 'a', queue_id => 2");
is(rq_answer($one), 't', 'a message in the new queue wakes it');

foreach my $sql ("DROP TABLE %s", "TRUNCATE %s", "SELECT rocketq.drop_topic('%s')",
	"SELECT rocketq.drop_group('%s', 'g')")
{
	my $topic = topic(2);
	produce($topic, 'read');
	is($one->query(consume($topic))->[0], 'read', 'everything is consumed');
	rq_ask_and_sleep(wait_for($topic), $one, $two);
	$producer->query(sprintf($sql, $topic));
	is($producer->{error}, '', sprintf($sql, $topic) . ' does not wait for it');
	if ($sql =~ /TRUNCATE/)
	{
		rq_poll('who waits to go on', sub { return rq_asleep($one, $two) == 2; });
		produce($topic, "new $_", ', queue_id => 1') foreach 1, 2;
		is(rq_answer($_), 't', 'until there is a message in the new storage') foreach $one, $two;
	}
	elsif ($sql =~ /group/i)
	{
		is(rq_answer($_), 't', 'there is a message for a new group') foreach $one, $two;
	}
	else
	{
		like(rq_answer($_), qr/^42P01.*topic "$topic" was dropped concurrently/s, 'dropping the topic ends the wait') foreach $one, $two;
	}
}

# A TRUNCATE does not extend the timeout.
$topic = topic(1);
rq_ask_and_sleep("CALL rocketq.wait_for_messages('$topic', 'g', '2 s')", $one);
my $truncated = time();
$producer->query("TRUNCATE $topic");
is(rq_answer($one), 'f', 'no message has come');
cmp_ok(time() - $truncated, '<', 20, 'the wait ended at its timeout');

$topic = topic(2);
produce($topic, 'read');
is($one->query(consume($topic))->[0], 'read', 'everything is consumed');
rq_ask_and_sleep(consume($topic), $one);
$producer->query("SELECT rocketq.drop_group('$topic', 'g')");
is(rq_answer($one), 'read', 'a dropped group is created anew by a waiting consume');

$topic = topic(2);
rq_ask_and_sleep("CALL rocketq.wait_for_messages('$topic', 'unknown', '60 s')", $one);
produce($topic, 'first');
is(rq_answer($one), 't', 'a group that does not exist yet would get the first message');
is($one->query("SELECT count(*) FROM rocketq.groups WHERE consumer_group = 'unknown'")->[0],
	'0', 'waiting does not create the group');
foreach my $call (
	[ "'nowhere', 'g', '1 s'", '42P01' ],
	[ "'pg_class', 'g', '1 s'", '42809' ],
	[ "'$topic', '', '1 s'", '42602' ],
	[ "'$topic', NULL, '1 s'", '22004' ],
	[ "NULL, 'g', '1 s'", '22004' ],
	[ "'$topic', 'g', '1 s', 'a |||| b'", '22023' ])
{
	$one->query("CALL rocketq.wait_for_messages($call->[0])");
	like($one->{error}, qr/^$call->[1]/, "wait_for_messages($call->[0])");
}
$producer->query("CREATE ROLE $_") foreach 'nobody', 'writer', 'reader';
$producer->query("GRANT INSERT ON $topic TO writer");
$producer->query("GRANT SELECT ON $topic TO reader");
foreach my $role ('nobody', 'writer', 'reader')
{
	$one->query("SET ROLE $role");
	my $found = $one->query(wait_for($topic, ", tags => '*'"));
	$role eq 'reader'
	  ? is($found->[0], 't', 'with SELECT on the topic a role may wait')
	  : like($one->{error}, qr/^42501 permission denied for table $topic/, "$role may not wait");
	$one->query('RESET ROLE');
}

#
# Where it cannot wait.
#
my $inside = qr/^25001 rocketq.wait_for_messages\(\) cannot run inside a transaction block/;
$one->query('BEGIN');
$one->query(wait_for($topic));
like($one->{error}, $inside, 'in a transaction block');
$one->query('ROLLBACK');
$one->query("SELECT 1; " . wait_for($topic));
like($one->{error}, $inside, 'with other statements in one message');
$producer->query(<<EOQ);
CREATE FUNCTION waits() RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	CALL rocketq.wait_for_messages('$topic', 'g', '1 s', available => NULL);
END \$\$
EOQ
$one->query('SELECT waits()');
like($one->{error}, qr/^(25001|42601)/, 'in a function');
$producer->query(<<EOQ);
CREATE OR REPLACE FUNCTION waits() RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	found_some bool;
BEGIN
	CALL rocketq.wait_for_messages('$topic', 'g', '1 s', '*', found_some);
END \$\$
EOQ
$one->query('SELECT waits()');
like($one->{error}, $inside, 'in a function, with a variable');

# It works where a procedure may end its transaction, as COMMIT does.
$producer->query("CREATE TABLE done (worker text)");
my $block = <<EOQ;
DO \$\$
DECLARE
	found_some bool;
	r record;
BEGIN
	INSERT INTO done VALUES ('before');
	FOR r IN SELECT 1 LOOP
		CALL rocketq.wait_for_messages('$topic', 'g2', '60 s', 'z', found_some);
	END LOOP;
	INSERT INTO done VALUES ('found ' || found_some);
END \$\$
EOQ
rq_ask_and_sleep($block, $one);
is(rq_value($node, 'SELECT string_agg(worker, \',\') FROM done'),
	'before', 'what a DO block did before it waits is committed');
is(rq_value($node, "SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = $one->{pid}"),
	't', 'the waiting DO block has no snapshot');
produce($topic, 'last', ", 'z'");
is(rq_answer($one), '', 'the DO block continues');
is(rq_value($node, 'SELECT string_agg(worker, \',\' ORDER BY worker) FROM done'),
	'before,found true', 'the DO block completes');
$block =~ s/FOR r IN/BEGIN FOR r IN/;
$block =~ s/END LOOP;/END LOOP; EXCEPTION WHEN query_canceled THEN NULL; END;/;
$one->query($block);
like($one->{error}, $inside, 'not in a block with EXCEPTION');

#
# It holds nothing while it waits.
#
$topic = topic(2);
rq_ask_and_sleep(wait_for($topic), $one);
is( rq_value($node,
		"SELECT concat_ws(',', state, coalesce(backend_xmin, '0'), coalesce(backend_xid, '0')) FROM pg_stat_activity WHERE pid = $one->{pid}"
	),
	'active,0,0',
	'no xmin and no transaction id');
is( rq_value($node,
		"SELECT string_agg(locktype || ' ' || mode, ',') FROM pg_locks WHERE pid = $one->{pid}"
	),
	'virtualxid ExclusiveLock',
	'no lock but the one each transaction has on itself');
$producer->query('CREATE TABLE plain AS SELECT g AS a FROM generate_series(1, 100) g');
$producer->query('DELETE FROM plain');
$producer->query('VACUUM (ANALYZE, TRUNCATE) plain');
is(rq_value($node, "SELECT pg_relation_size('plain')"), '0', 'VACUUM removes dead rows');
$producer->query('CREATE INDEX CONCURRENTLY ON plain (a)');
is($producer->{error}, '', 'CREATE INDEX CONCURRENTLY comes to its end');
ok(rq_is_asleep($one), 'the session sleeps during that');

# In contrast, consume() does hold a snapshot.
rq_ask_and_sleep(consume($topic), $two);
is(rq_value($node, "SELECT backend_xmin IS NOT NULL FROM pg_stat_activity WHERE pid = $two->{pid}"),
	't', 'consume holds a snapshot');

# One waiter is woken for a message.  If it never consumes the message, the
# keeper offers it to the next waiter.
produce($topic, 'end');
is(rq_answer($one), 't', 'a message wakes the first');
ok(rq_is_asleep($two), 'a message does not wake a second waiter of the group');
rq_let_keeper($keeper);
is(rq_answer($two), 'end', 'the second waiter gets it if the first does not consume it');

#
# Other ways in which a wait ends.
#
foreach my $kind (sort keys %waiter)
{
	my $topic = topic(2);

	rq_ask_and_sleep($waiter{$kind}->($topic), $one);
	rq_value($node, "SELECT pg_cancel_backend($one->{pid})");
	like(rq_answer($one), qr/^57014 .*user request/, "$kind, cancelled");
	$one->query("SET statement_timeout = '200ms'");
	$one->ask($waiter{$kind}->($topic));
	like(rq_answer($one), qr/^57014 .*statement timeout/, "$kind, statement_timeout");
	$one->query('RESET statement_timeout');
	is($one->query('SELECT 1')->[0], '1', 'the connection still works');
	rq_ask_and_sleep($waiter{$kind}->($topic), $one);
	rq_ask_and_sleep($waiter{$kind}->($topic), $two);
	rq_value($node, "SELECT pg_terminate_backend($one->{pid})");
	like(rq_answer($one), qr/^57P01/, "$kind, terminated");
	rq_poll("the session to end", sub { return !-e "/proc/$one->{pid}" });
	$one = rq_session($node);
	rq_ask_and_sleep($waiter{$kind}->($topic), $one);
	produce($topic, 'end', ', queue_id => 1');
	produce($topic, 'end', ', queue_id => 0');
	is(rq_answer($_), $kind eq 'wait_for_messages' ? 't' : 'end', 'the remaining waiters keep waiting')
	  foreach $one, $two;
}

rq_verify($node, 'after all');

# Shutdown of the server, clean and not.
$topic = topic(1);
rq_ask_and_sleep($waiter{$_}->(topic(2)), rq_session($node)) foreach sort keys %waiter;
$node->stop('fast');
pass('a fast stop does not wait for them');
$node->start;
rq_look_anew($node);
($one, $two, $producer) = rq_sessions($node, 3);
rq_ask_and_sleep($waiter{$_}->(topic(2)), rq_session($node)) foreach sort keys %waiter;
rq_kill9($node);
pass('waiters end when the postmaster is gone');

done_testing();

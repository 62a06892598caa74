# 035_wait_race.pl -- waiters and producers race, and no wake-up is lost; a
# message wakes only one of many waiters; and a waiter that is stopped,
# cancelled, terminated or killed at any moment does not keep messages from the
# others.
#
# The keeper is paused most of the time: once a second it offers again what
# nobody has consumed, so a lost wake-up would look like a slow one.

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

rq_seed();
my $node = rq_node('main', conf => <<'EOC');
max_connections = 100
synchronous_commit = off
EOC
rq_require_faults($node);
$producer = rq_session($node);

#
# No wake-up is lost.
#
# Two players throw a ball: each waits for it and throws it back, so that one
# is about to sleep just when the other produces.  A player that is not woken
# sleeps until its timeout, which is longer than the test waits.
#
$producer->query($_) foreach (
	'CREATE TABLE throws (kind text, ms float8)',
	# How the next ball arrives.
	<<'EOQ', <<'EOQ');
CREATE PROCEDURE catch(kind text, topic regclass, at bigint, INOUT ball text)
LANGUAGE plpgsql AS $$
DECLARE
	there bool;
BEGIN
	ball := NULL;
	IF kind = 'pull' THEN
		SELECT rocketq.text(body) INTO ball
			FROM rocketq.pull(topic, 0, at, 1, wait => '60 s');
	ELSIF kind = 'wait_for_messages' THEN
		CALL rocketq.wait_for_messages(topic, 'g', '60 s', '*', there);
		SELECT rocketq.text(body) INTO ball
			FROM rocketq.consume(topic, 'g', 1, auto_commit => true);
	ELSE
		SELECT rocketq.text(body) INTO ball
			FROM rocketq.consume(topic, 'g', 1, auto_commit => true, wait => '60 s');
	END IF;
	COMMIT;
END $$
EOQ
CREATE PROCEDURE play(kind text, mine regclass, other regclass, rounds int)
LANGUAGE plpgsql AS $$
DECLARE
	ball text;
	ms float8[];
BEGIN
	FOR i IN 0 .. rounds - 1 LOOP
		CALL catch(kind, mine, i, ball);
		ms := ms || 1000 * extract(epoch FROM clock_timestamp() - ball::timestamptz)::float8;
		IF random() < 0.1 THEN
			PERFORM pg_sleep(random() / 1000);
		END IF;
		PERFORM rocketq.produce(other, clock_timestamp()::text, queue_id => 0);
		COMMIT;
	END LOOP;
	INSERT INTO throws SELECT kind, unnest(ms);
END $$
EOQ

my $keeper = rq_hold_keeper($node);

sub play
{
	my ($kind, $rounds, @faults) = @_;
	my @topic = (topic(1), topic(1));
	my @player = rq_sessions($node, 2);
	my $label = "$rounds rounds of $kind" . (@faults ? " with @faults" : '');
	my $start = time();

	foreach my $i (0, 1)
	{
		$player[$i]->query("SET rocketq.fault = '$faults[$i]'") if @faults;
		$player[$i]->ask("CALL play('$kind', '$topic[$i]', '$topic[1 - $i]', $rounds)");
	}
	$producer->query(
		"SELECT rocketq.produce('$topic[0]', clock_timestamp()::text, queue_id => 0)");
	rq_poll(
		$label,
		sub {
			return grep({ $_->is_answered(0) } @player) > 0
			  || rq_asleep(@player) == 2 && stuck($label, @player);
		});
	is(join(',', map { rq_answer($_) } @player), ',', "$label: no wake-up is lost");
	note("$label: " . int(time() - $start) . ' s');
	return;
}

# Both sleep although one of them has a ball: once may be chance, repeatedly is
# not.
sub stuck
{
	my ($label, @player) = @_;

	foreach (1 .. 3000)
	{
		return 0 if rq_asleep(@player) < 2;
	}
	return 1;
}

play('consume', rq_rounds(10_000) / 2);
play('wait_for_messages', rq_rounds(10_000) / 4);
play('pull', rq_rounds(10_000) / 4);
foreach my $line (split /\n/, $node->safe_psql('postgres', <<'EOQ'))
SELECT format('%s: p50 %s ms, p99 %s ms, max %s ms of %s', kind,
	p[1]::numeric(9, 3), p[2]::numeric(9, 3), p[3]::numeric(9, 3), n)
FROM (SELECT kind, count(*) AS n,
		percentile_cont(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY ms) AS p
	FROM throws GROUP BY kind) s
EOQ
{
	note($line);
}

# The same with each step of the race drawn out.
foreach my $kind ('consume', 'wait_for_messages', 'pull')
{
	foreach my $faults (
		[ 'wait-looked=sleep:2', 'wait-looked=sleep:2' ],
		[ 'wait-looked=sleep:2', 'commit-callback=sleep:2' ],
		[ 'resolve-flags=sleep:2', 'wait-looked=sleep:3' ],
		[ 'consume-read=sleep:2', 'enqueue-done=sleep:2,commit-callback=sleep:1' ])
	{
		play($kind, 100, @$faults);
	}
}

# Many waiters and producers: each message arrives once, including the last
# ones.
$producer->query($_) foreach (
	'CREATE TABLE got (body text)', <<'EOQ', <<'EOQ');
CREATE PROCEDURE take(topic regclass, idle bool)
LANGUAGE plpgsql AS $$
DECLARE
	b text;
	there bool;
BEGIN
	LOOP
		IF idle THEN
			CALL rocketq.wait_for_messages(topic, 'g', '60 s', '*', there);
		END IF;
		b := NULL;
		SELECT rocketq.text(body) INTO b FROM rocketq.consume(topic, 'g', 1,
			wait => CASE WHEN idle THEN '0' ELSE '60 s' END::interval);
		PERFORM rocketq.commit_offset(topic, 'g');
		INSERT INTO got SELECT b WHERE b IS NOT NULL;
		IF b <> 'end' AND random() < 0.05 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		EXIT WHEN b = 'end';
	END LOOP;
END $$
EOQ
CREATE PROCEDURE give(topic regclass, who int, n int)
LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM rocketq.produce(topic, who || ' ' || i, transactional => random() < 0.8);
		IF random() < 0.1 THEN
			PERFORM rocketq.produce(topic, 'never');
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		PERFORM pg_sleep(random() / 500) WHERE random() < 0.5;
	END LOOP;
END $$
EOQ

foreach my $idle ('false', 'true')
{
	my $topic = topic(4);
	my @takers = rq_sessions($node, 10);
	my @givers = rq_sessions($node, 4);
	my $what = $idle eq 'true' ? 'wait_for_messages' : 'consume';

	# A waiter can end with another message than the one that woke it.
	rq_let_keeper($keeper) if $idle eq 'true';
	$producer->query('TRUNCATE got');
	rq_ask_and_sleep("CALL take('$topic', $idle)", @takers);
	$givers[$_]->ask("CALL give('$topic', $_, 500)") foreach 0 .. $#givers;
	is(join(',', map { rq_answer($_) } @givers), ',,,', "$what: the producers have finished");
	produce($topic, 'end') foreach @takers;
	is(join('', map { rq_answer($_) } @takers), '', "$what: each consumer ends");
	is( rq_value($node,
			"SELECT count(*) || ' ' || count(DISTINCT body) || ' ' || count(*) FILTER (WHERE body = 'never') FROM got WHERE body <> 'end'"
		),
		rq_value($node,
			"SELECT count(*) || ' ' || count(*) || ' 0' FROM $topic WHERE rocketq.text(body) <> 'end'"),
		"$what: each message was consumed once");
}
$keeper = rq_hold_keeper($node);

#
# As many waiters are woken as there is work for.
#
my @waiters = rq_sessions($node, 60);

# End what the others ask for.
sub end_waits
{
	my (@sessions) = @_;
	my $pids = join(',', map { $_->{pid} } @sessions);

	rq_value($node, "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE pid IN ($pids)");
	rq_answer($_) foreach @sessions;
	return;
}

# The sessions that have an answer, and the answers.
sub answered
{
	my (@sessions) = @_;
	return map { [ $_, rq_answer($_) ] } grep { $_->is_answered(0) } @sessions;
}

# Produce again and again; each time this many sessions get the message, and
# ask again.
sub one_by_one
{
	my ($label, $topic, $rounds, $woken, $more, $ask) = @_;
	my $wakeups = rq_wakeups($node);
	my $answers = 0;

	foreach my $i (1 .. $rounds)
	{
		produce($topic, $i, $more);
		my @got;
		rq_poll(
			"$label, answer",
			sub {
				push @got, answered(@waiters);
				return @got >= $woken;
			});
		$answers += @got;
		foreach my $got (@got)
		{
			my ($session) = @$got;
			$session->query(consume($topic) =~ s/60 s/0/r) if $got->[1] eq 't';
			rq_ask_and_sleep($session->{asked}, $session);
		}
	}
	is($answers, $rounds * $woken, "$label: $woken for each message");
	is(rq_wakeups($node) - $wakeups, $rounds * $woken, "$label: nobody is woken in vain");
	is(rq_asleep(@waiters), 60, "$label: the others sleep");
	return;
}

sub let_all_wait
{
	my ($sql) = @_;

	foreach my $i (0 .. $#waiters)
	{
		$waiters[$i]{asked} = $sql->($i);
		$waiters[$i]->ask($waiters[$i]{asked});
	}
	rq_poll('all to sleep', sub { return rq_asleep(@waiters) == @waiters; });
	return;
}

my $topic = topic(8);
let_all_wait(sub { consume($topic) });
one_by_one('one group', $topic, 20, 1);

# A batch: at most one waiter for each queue, and together they get everything.
my $wakeups = rq_wakeups($node);
$producer->query("SELECT count(*) FROM rocketq.produce_batch('$topic', array_fill('x'::text, ARRAY[100]))");
my $count = 0;
rq_poll('the batch to be consumed',
	sub { $count += () = map { split / /, $_->[1] } answered(@waiters); return $count >= 100; });
is($count, 100, 'a batch is consumed');
cmp_ok(rq_wakeups($node) - $wakeups, '<=', 8, 'a batch wakes at most one waiter for each queue');
end_waits(grep { rq_is_asleep($_) } @waiters);

$topic = topic(8);
$producer->query("SELECT rocketq.create_group('$topic', '$_')") foreach 'a', 'b';
let_all_wait(sub { consume($topic, '', $_[0] % 2 ? 'a' : 'b') });
one_by_one('two groups', $topic, 10, 2);
end_waits(@waiters);

$topic = topic(8);
$producer->query("SELECT rocketq.create_group('$topic', '$_')") foreach 'a', 'b';
let_all_wait(sub { my $tag = $_[0] % 2 ? 'a' : 'b'; consume($topic, ", tags => '$tag'", $tag) });
one_by_one('a tag that one group wants', $topic, 10, 1, ", 'a'");
$wakeups = rq_wakeups($node);
produce($topic, 'c', ", 'c'") foreach 1 .. 20;
is(rq_wakeups($node) - $wakeups, 0, 'a tag without a waiter wakes nobody');
end_waits(@waiters);

$topic = topic(8);
let_all_wait(sub { wait_for($topic) });
one_by_one('wait_for_messages', $topic, 20, 1);
end_waits(@waiters);

# The keeper offers messages again to every group, however many of them wait.
$topic = topic(1);
$producer->query("SELECT rocketq.create_group('$topic', 'g' || g) FROM generate_series(1, 58) g");
rq_ask_and_sleep(wait_for($topic), $waiters[0]);
$waiters[$_]->ask(consume($topic, ", tags => 'z'", "g$_")) foreach 1 .. 58;
rq_poll('all to sleep', sub { return rq_asleep(@waiters[0 .. 58]) == 59; });
rq_ask_and_sleep(consume($topic), $waiters[59]);
produce($topic, 'm');
is(rq_answer($waiters[0]), 't', 'one of 59 groups: the first of it is woken');
rq_let_keeper($keeper);
is(rq_answer($waiters[59]), 'm', 'the second waiter is woken if the first does not consume');
$keeper = rq_hold_keeper($node);
end_waits(@waiters[1 .. 58]);

$topic = topic(2);
let_all_wait(sub { "SELECT rocketq.text(body) FROM rocketq.pull('$topic', 1, 0, wait => '60 s')" });
$wakeups = rq_wakeups($node);
produce($topic, 'other queue', ', queue_id => 0') foreach 1 .. 5;
produce($topic, 'all', ', queue_id => 1');
is(join(' ', map { rq_answer($_) } @waiters), join(' ', ('all') x 60), 'every session that pulls gets it');
is(rq_wakeups($node) - $wakeups, 60, 'each waiter is woken once');
undef @waiters;

#
# A waiter that is stopped after it was picked, and then ends.
#
my %ending = (
	cancel => sub { rq_value($node, "SELECT pg_cancel_backend($_[0]{pid})") },
	terminate => sub { rq_value($node, "SELECT pg_terminate_backend($_[0]{pid})") },
	timeout => sub { });

# Let the session's statement_timeout expire.
sub pass_time
{
	my ($session) = @_;
	rq_poll(
		'the time to be over',
		sub {
			return rq_value($node,
				"SELECT clock_timestamp() > query_start + '1100 ms' FROM pg_stat_activity WHERE pid = $session->{pid}"
			) eq 't';
		});
	return;
}

foreach my $kind ('consume', 'wait_for_messages')
{
	foreach my $how (sort keys %ending)
	{
		my $topic = topic(2);
		my ($first, $second) = rq_sessions($node, 2);
		my $label = "$kind, $how of one who sleeps and is picked";

		$first->query("SET statement_timeout = '1s'") if $how eq 'timeout';
		rq_ask_and_sleep($kind eq 'consume' ? consume($topic) : wait_for($topic), $first);
		rq_ask_and_sleep(consume($topic), $second);
		kill('STOP', $first->{pid});
		rq_poll_stopped($first->{pid});
		produce($topic, 'm', ', queue_id => 1') foreach 1 .. 20;
		ok(rq_is_asleep($second), "$label: nobody else is picked");
		$ending{$how}->($first);
		pass_time($first) if $how eq 'timeout';
		kill('CONT', $first->{pid});
		like(rq_answer($first), qr/^57/, "$label: it ends");
		like(rq_answer($second), qr/^m/, "$label: the next one gets the message");
	}
}

# Resume a session that stops at each point, until it has an answer.
sub let_go
{
	my ($session) = @_;
	rq_poll(
		'the session to answer',
		sub {
			kill('CONT', $session->{pid});
			return $session->is_answered(0);
		});
	return rq_answer($session);
}

foreach my $kind ('consume', 'wait_for_messages')
{
	foreach my $how ('nothing', sort keys %ending)
	{
		my $topic = topic(2);
		my ($first, $second) = rq_sessions($node, 2);
		my $label = "$kind, $how between a look and the sleep";

		$first->query("SET rocketq.fault = 'wait-looked=stop'");
		$first->query("SET statement_timeout = '1s'") if $how eq 'timeout';
		$first->ask($kind eq 'consume' ? consume($topic) : wait_for($topic));
		rq_poll_stopped($first->{pid});
		rq_ask_and_sleep(consume($topic), $second);
		produce($topic, 'm');
		ok(rq_is_asleep($second), "$label: nobody else is picked");
		$ending{$how}->($first) if $how ne 'nothing';
		pass_time($first) if $how eq 'timeout';
		my $answer = let_go($first);
		my $got = $kind eq 'consume' ? 'm' : 't';

		# It may have come this far before it noticed that it should end.
		like($answer, $how eq 'nothing' ? qr/^$got$/ : qr/^($got$|57)/, "$label: its answer");
		produce($topic, 'm') if $answer eq 'm';
		# If it was woken for a message, the keeper wakes the next waiter.
		rq_let_keeper($keeper) if $answer eq 't';
		is(rq_answer($second), 'm', "$label: the next one gets the next message");
		$keeper = rq_hold_keeper($node) if $answer eq 't';
	}
}

# A message arrives while it checks, too late for the check.  Its transaction
# has read the queue before, so each check reads it.
{
	my $topic = topic(1);
	my $session = rq_session($node);

	my $waits = rq_value($node, 'SELECT waits FROM rocketq.stats');

	produce($topic, 'no', ", 'b'");
	$session->query("SET rocketq.fault = 'consume-read=stop'");
	$session->ask(consume($topic, ", tags => 'a'"));
	rq_poll_stopped($session->{pid});
	kill('CONT', $session->{pid});
	rq_poll('it to begin to wait',
		sub { return rq_value($node, 'SELECT waits FROM rocketq.stats') > $waits });
	rq_poll_stopped($session->{pid});
	produce($topic, 'yes', ", 'a'");
	is(let_go($session), 'yes', 'messages that arrive during a check are not lost');
}

# An error during the check.
{
	my $topic = topic(1);
	my ($first, $second) = rq_sessions($node, 2);

	$first->query("SET rocketq.fault = 'consume-read=error'");
	rq_ask_and_sleep(consume($topic), $first);
	rq_ask_and_sleep(consume($topic), $second);
	produce($topic, 'm');
	like(rq_answer($first), qr/^XX000 .*consume-read/, 'a check fails');
	is(rq_answer($second), 'm', 'the next one gets the message');
	$first->query("SET rocketq.fault = ''");
	rq_ask_and_sleep(consume($topic), $first);
	produce($topic, 'again');
	is(rq_answer($first), 'again', 'the first waiter can wait again');
}

# An error during a check that has not reached the queue it was picked for: it
# begins with the first queue, where there is something to resolve.
{
	my $topic = topic(2);
	my ($victim, $first, $second) = rq_sessions($node, 3);

	$first->query("SET rocketq.fault = 'resolve-flags=error'");
	rq_ask_and_sleep(wait_for($topic), $first);
	rq_ask_and_sleep(consume($topic, ', max_messages => 1'), $second);
	$victim->query("SET rocketq.fault = 'commit-callback=stop'");
	$victim->ask("SELECT rocketq.produce('$topic', 'unresolved', queue_id => 0)");
	rq_poll_stopped($victim->{pid});
	produce($topic, 'm', ', queue_id => 1');
	like(rq_answer($first), qr/^XX000 .*resolve-flags/, 'a check fails before it reaches its queue');
	is(rq_answer($second), 'm', 'the next one gets the message');
	let_go($victim);
}

# A producer dies in its commit and leaves entries unresolved: a session that
# checks the queue resolves them and wakes the others.
{
	my $topic = topic(1);
	my ($victim, $one, $two) = rq_sessions($node, 3);

	rq_ask_and_sleep("SELECT rocketq.text(body) FROM rocketq.pull('$topic', 0, 0, wait => '60 s')", $one);
	$victim->query("SET rocketq.fault = 'commit-callback=stop'");
	$victim->ask("SELECT rocketq.produce('$topic', 'm')");
	rq_poll_stopped($victim->{pid});
	ok(rq_is_asleep($one), 'nobody is woken before the entry is resolved');
	is( $two->query("SELECT rocketq.text(body) FROM rocketq.pull('$topic', 0, 0)")->[0],
		'm', 'a session that checks resolves it');
	is(rq_answer($one), 'm', 'resolving it wakes a waiter');
	let_go($victim);
}
rq_let_keeper($keeper);

# kill -9: the server restarts, and nothing is left of the waiters.
{
	my $topic = topic(2);
	my ($first, $second) = rq_sessions($node, 2);
	my $log_from = rq_log_from($node);

	rq_ask_and_sleep(consume($topic), $first, $second);
	kill('STOP', $first->{pid});
	rq_poll_stopped($first->{pid});
	$producer->query('SET synchronous_commit = on');
	produce($topic, 'm');
	kill('KILL', $first->{pid});
	rq_restart_after($node, $log_from);
	rq_poll('the server', sub { return rq_server_is_up($node) });
	rq_look_anew($node);
	$producer = rq_session($node);
	my @new = rq_sessions($node, 4);
	is($new[0]->query(consume($topic))->[0], 'm', 'after a crash the message is there');
	rq_ask_and_sleep(consume($topic, ', max_messages => 1'), @new);
	produce($topic, $_) foreach 1 .. 4;
	is(join(' ', sort map { rq_answer($_) } @new), '1 2 3 4', 'waiting works after a crash');
}

rq_verify($node, 'after all');
$node->stop;
done_testing();

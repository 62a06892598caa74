# 049_wait_standby.pl -- pull also waits on a standby: replay of a commit wakes
# it, and after a promotion a local producer does.
#
# The primary's keeper is paused: it would log once a second how far queues are
# resolved, and replay of that wakes waiters as well.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;
use Time::HiRes qw(time);

rq_seed();
my $primary = rq_node('primary', allows_streaming => 1);
$primary->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('topic', 2), rocketq.create_topic('other', 1);
SELECT rocketq.create_group('topic', 'g');
EOQ
my $standby = rq_standby($primary, conf => "max_standby_streaming_delay = '100ms'");
rq_catch_up($primary, $standby);

my $producer = rq_session($primary);
my @pullers = rq_sessions($standby, 6);

sub produce
{
	my ($topic, $body, $more) = @_;
	$producer->query("SELECT rocketq.produce('$topic', '$body', queue_id => 0"
		  . ($more // '') . ')');
	die $producer->{error} if $producer->{error} ne '';
	return;
}

sub pull
{
	my ($topic, $offset, $more) = @_;
	return "SELECT rocketq.text(body) FROM rocketq.pull('$topic', 0, $offset, wait => '60 s'"
	  . ($more // '') . ')';
}

# The end of a wait without a message, and functions that cannot wait here.
my $start = time();
is( $pullers[0]->query(
		"SELECT rocketq.text(body) FROM rocketq.pull('topic', 0, 0, wait => '300 ms')")->[0],
	undef,
	'the timeout expires');
cmp_ok(time() - $start, '>=', 0.3, 'not before the timeout');
foreach my $call (
	"SELECT * FROM rocketq.consume('topic', 'g', wait => '60 s')",
	"CALL rocketq.wait_for_messages('topic', 'g', '60 s')")
{
	$pullers[0]->query($call);
	like($pullers[0]{error}, qr/^25006 cannot .*(read-only|recovery)/, "read-only: $call");
}

my $keeper = rq_hold_keeper($primary);

# Replay wakes.
my $at = 0;
foreach my $case (
	[ 'a commit', sub { produce('topic', "m$at") } ],
	[ 'a message without a transaction',
		sub { produce('topic', "m$at", ', transactional => false') } ],
	[
		'a commit behind a rollback',
		sub {
			$producer->query('BEGIN');
			produce('topic', 'never');
			$producer->query('ROLLBACK');
			produce('topic', "m$at");
		}
	])
{
	my ($what, $do) = @$case;

	rq_ask_and_sleep(pull('topic', $at), @pullers[0 .. 4]);
	rq_ask_and_sleep(pull('other', 0), $pullers[5]);
	$do->();
	is(rq_answer($_), "m$at", "the replay of $what wakes") foreach @pullers[0 .. 4];
	ok(rq_is_asleep($pullers[5]), 'a waiter for another topic sleeps');
	produce('other', 'o');
	is(rq_answer($pullers[5]), 'o', 'it sleeps until that topic has a message');
	$producer->query("TRUNCATE other");
	rq_catch_up($primary, $standby);
	$at++;
}

# How long that takes.
my @ms;
foreach my $i (1 .. 200)
{
	rq_ask_and_sleep(pull('topic', $at), $pullers[0]);
	my $sent = time();
	$producer->ask("SELECT rocketq.produce('topic', 'm', queue_id => 0)");
	is(rq_answer($pullers[0]), 'm', 'woken') or last;
	push @ms, 1000 * (time() - $sent);
	$producer->answer();
	$at++;
}
@ms = sort { $a <=> $b } @ms;
note(sprintf('from the call on the primary to the answer of the standby: p50 %.1f ms, p99 %.1f ms, max %.1f ms',
		@ms[ 99, 197, 199 ]));
cmp_ok($ms[99], '<', 500, 'most of the time is waiting for replay');

# Tags, and messages before the offset.
rq_ask_and_sleep(pull('topic', $at, ", tags => 'a'"), $pullers[0]);
rq_ask_and_sleep(pull('topic', $at + 2), $pullers[1]);
produce('topic', 'b', ", tag => 'b'");
produce('topic', 'a', ", tag => 'a'");
is(rq_answer($pullers[0]), 'a', 'a message with the tag');
produce('topic', 'c');
is(rq_answer($pullers[1]), 'c', 'a message at the offset');
$at += 3;

# Cancelled and terminated waits; and waits that do not block replay, which
# needs the lock of a drop.
rq_ask_and_sleep(pull('topic', $at), @pullers[0 .. 4]);
rq_value($standby, "SELECT pg_cancel_backend($pullers[0]{pid})");
like(rq_answer($pullers[0]), qr/^57014/, 'cancelled');
rq_value($standby, "SELECT pg_terminate_backend($pullers[1]{pid})");
like(rq_answer($pullers[1]), qr/^57P01/, 'terminated');
rq_ask_and_sleep(pull('other', 0), $pullers[5]);
$producer->query('DROP TABLE other');
is(rq_answer($pullers[5]), '', 'a drop that is replayed ends it');
produce('topic', 'm');
is(rq_answer($_), 'm', 'the other waiters keep waiting') foreach @pullers[2 .. 4];
$at++;

# Promotion.
@pullers = @pullers[2 .. 4];
rq_catch_up($primary, $standby);
rq_ask_and_sleep(pull('topic', $at), @pullers);
rq_let_keeper($keeper);
$primary->stop('immediate');
$standby->promote;
is(rq_asleep(@pullers), 3, 'they sleep across the promotion');
rq_poll_query($standby, 'the keeper', "SELECT count(*) = 3 FROM rocketq.workers WHERE pid IS NOT NULL");
$producer = rq_session($standby);
produce('topic', 'new');
is(rq_answer($_), 'new', 'a producer on the new primary wakes') foreach @pullers;
rq_ask_and_sleep("SELECT rocketq.text(body) FROM rocketq.consume('topic', 'h', tags => 'z', wait => '60 s')",
	$pullers[0]);
produce('topic', 'z', ", tag => 'z'");
is(rq_answer($pullers[0]), 'z', 'consume waits there');

rq_verify($standby, 'after all');
rq_gone($primary);
$standby->stop;
done_testing();

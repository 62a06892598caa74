# 056_group_expire.pl -- unused groups are dropped automatically if that is
# set, and no others are.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;

my $node = rq_node('main', conf => "rocketq.janitor_interval = '20ms'");
my ($open, $waits, $creates, $drops, $one) = rq_sessions($node, 5);

sub groups
{
	return rq_value($node,
		"SELECT coalesce(string_agg(DISTINCT consumer_group, ' ' ORDER BY consumer_group), '') FROM rocketq.groups");
}

sub expire
{
	my ($time) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET rocketq.group_expire_time = '$time'");
	rq_reload($node);
	rq_wait_ticks($node, 'janitor', 2);
	return;
}

sub wait_for_groups
{
	my ($expected, $what) = @_;
	rq_poll("$what: groups \"$expected\"", sub { return groups() eq $expected; });
	return pass($what);
}

#
# Off: they are kept.  On: all unused groups are dropped.
#
rq_done($one, "SELECT rocketq.create_topic('t', 2)");
rq_done($one, "SELECT rocketq.produce('t', 'm' || q, queue_id => q) FROM generate_series(0, 1) q");
rq_done($one, "SELECT rocketq.create_group('t', g) FROM unnest('{a,b,c}'::text[]) g");
rq_poll_query($node, 'the groups to be older than a second',
	'SELECT min(created_at) < now() - interval \'2 s\' FROM rocketq.groups');
rq_wait_ticks($node, 'janitor', 5);
is(groups(), 'a b c', 'without the setting groups are kept');
my $log_from = rq_log_from($node);
expire('1s');
wait_for_groups('', 'unused groups are dropped');
$node->wait_for_log(
	qr/consumer group "a" of rocketq topic \d+\/\d+ was dropped\n.*had not been used since .*rocketq\.group_expire_time/,
	$log_from);

#
# Groups in use are kept, even if they were last touched before those that are
# dropped: "open" has read and not committed yet, "waits" has a waiter, and the
# fate of "new" and "old" is not known yet.
#
expire('1h');
rq_done($one, "SELECT rocketq.create_group('t', g) FROM unnest('{old,open,waits}'::text[]) g");
rq_done($one, "SELECT count(*) FROM rocketq.consume('t', 'waits', auto_commit => true)");
rq_done($open, 'BEGIN');
is(rq_done($open, "SELECT count(*) FROM rocketq.consume('t', 'open', auto_commit => true)"), '2', 'one reads');
rq_ask_and_sleep("CALL rocketq.wait_for_messages('t', 'waits', '600 s')", $waits);
rq_done($creates, 'BEGIN');
rq_done($creates, "SELECT rocketq.create_group('t', 'new')");
rq_done($drops, 'BEGIN');
rq_done($drops, "SELECT rocketq.drop_group('t', 'old')");
rq_done($one, "SELECT rocketq.create_group('t', 'unused')");
expire('1s');
wait_for_groups('old open waits', 'unused groups are dropped, others are in use');
rq_wait_ticks($node, 'janitor', 5);
is(groups(), 'old open waits', 'groups in use are kept');
expire('1h');
rq_done($creates, 'COMMIT');
rq_done($open, 'COMMIT');
is(rq_done($one, "SELECT sum(rocketq.committed_offset('t', 'open', q)) FROM generate_series(0, 1) q"),
	'2', 'its offsets are committed');
expire('1s');
wait_for_groups('old waits', 'a group that is no longer used is dropped');
rq_done($drops, 'ROLLBACK');
wait_for_groups('waits', 'a group whose drop was rolled back is dropped');
rq_done($one, "SELECT rocketq.produce('t', 'news', queue_id => 0)");
is(rq_answer($waits), 't', 'the waiter gets its message');
wait_for_groups('', 'all groups have been dropped');

#
# The group is used when it has already expired and is about to be dropped.
#
SKIP:
{
	skip 'rocketq was built without RQ_TESTING', 3 if !rq_has_faults($node);

	my $janitor = rq_worker_pid($node, 'janitor');
	rq_arm($node, 'group-expire=stop');
	rq_wait_ticks($node, 'janitor', 2);
	rq_done($one, "SELECT rocketq.create_group('t', 'late')");
	rq_poll_stopped($janitor);
	is(rq_done($one, "SELECT count(*) FROM rocketq.consume('t', 'late')"), '0', 'the consumer gets nothing at that moment');
	rq_arm($node, '');
	expire_later($janitor);
	is(rq_done($one, "SELECT count(*) FROM rocketq.consume('t', 'late')"), '3', 'the consumer gets everything in its next call');
}

#
# The only group goes after a queue has been found to hold nothing for it, and
# before the queue is removed: then what is there is nobody's, and stays.
#
SKIP:
{
	skip 'rocketq was built without RQ_TESTING', 2 if !rq_has_faults($node);

	rq_done($one, "SELECT rocketq.create_topic('shrinks', 2)");
	rq_done($one, "SELECT rocketq.produce('shrinks', 'm', queue_id => 1)");
	rq_done($one, "SELECT rocketq.create_group('shrinks', 'all', 'last')");
	rq_done($open, "SET rocketq.fault = 'alter-looked=stop'");
	$open->ask("SELECT rocketq.alter_topic('shrinks', 1)");
	rq_poll_stopped($open->{pid});
	expire('1s');
	wait_for_groups('', 'the group goes meanwhile');
	expire('1h');
	kill('CONT', $open->{pid});
	like(rq_answer($open), qr/queue 1 contains messages that have not been consumed/, 'its queue does not');
	rq_done($open, "RESET rocketq.fault");
	rq_done($one, "SELECT rocketq.drop_topic('shrinks')");
	rq_done($one, "SELECT rocketq.create_group('t', 'late')");
}

# Resume the janitor; what it was about to do is done after one round.
sub expire_later
{
	my ($janitor) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET rocketq.group_expire_time = '1h'");
	rq_reload($node);
	kill('CONT', $janitor);
	rq_wait_ticks($node, 'janitor', 2);
	is(groups(), 'late', 'the group that is used again is kept');
	return;
}

#
# The time begins with the last use of the group, and no earlier: also if that
# was within a second of the use before, or by a transaction at its end,
# however long it took.
#
sub lives_on
{
	my ($use, $what) = @_;
	my $from = rq_done($one, 'SELECT clock_timestamp()');

	$use->();
	wait_for_groups('', "$what: it is dropped");
	is(rq_done($one, "SELECT clock_timestamp() - '$from' >= '3 s'"), 't', "$what: it is not dropped early");
	return;
}

sub use_group { return rq_done($one, "SELECT count(*) FROM rocketq.consume('t', 'last')"); }

expire('1h');
wait_for_groups('late', 'one is left');
rq_done($one, "SELECT rocketq.drop_group('t', 'late')");
use_group();
expire('3s');
rq_done($one, 'SELECT pg_sleep(0.8)');
lives_on(\&use_group, 'used twice');
foreach my $end ('COMMIT', 'ROLLBACK', 'ROLLBACK TO SAVEPOINT s; COMMIT')
{
	expire('1h');
	use_group();
	rq_done($open, 'BEGIN; SAVEPOINT s');
	is(rq_done($open, "SELECT count(*) FROM rocketq.consume('t', 'last', auto_commit => true)"), '3', 'one reads');
	my $read = rq_done($one, 'SELECT clock_timestamp()');
	expire('3s');
	rq_poll('the group to be unused for long', sub { return rq_done($one, "SELECT clock_timestamp() > '$read'::timestamptz + '5 s'") eq 't'; });
	rq_wait_ticks($node, 'janitor', 5);
	lives_on(sub { rq_done($open, $_) foreach split /; /, $end; }, $end);
}

#
# Dropped groups do not return after a crash.
#
rq_done($one, "SELECT rocketq.create_group('t', 'gone')");
expire('1s');
wait_for_groups('', 'all groups are dropped again');
rq_flush($node);
rq_kill9($node);
rq_start($node);
is($node->safe_psql('postgres', 'SELECT count(*) FROM rocketq.get_groups()'), '0', 'recovery brings no group back');

rq_verify($node, 'at the end');
$node->stop;
done_testing();

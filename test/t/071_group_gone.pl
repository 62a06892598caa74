# 071_group_gone.pl -- a group, or a queue, is dropped between a check and the
# action that follows from it: its successor in the same slot is not mistaken
# for it.

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
rq_require_faults($node);
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('t', 1);
SELECT count(rocketq.produce('t', 'm')) FROM generate_series(1, 5);
EOQ
my ($session) = rq_sessions($node, 1);

# Send a query during which the session stops.
sub stop_at
{
	my ($point, $sql) = @_;

	$session->query("SET rocketq.fault = '$point=stop'");
	$session->ask($sql);
	rq_poll_stopped($session->{pid});
	return;
}

# Resume it at every stop until it ends; return its answer.
sub go_on
{
	rq_poll('the session to answer',
		sub { kill('CONT', $session->{pid}); return $session->is_answered(0); });
	my $answer = rq_answer($session);
	$session->query('RESET rocketq.fault');
	return $answer;
}

# The group "g" is dropped, and if its slot is to be reused, another group gets
# it.
sub drop_group
{
	my ($reused) = @_;

	$node->safe_psql('postgres', "SELECT rocketq.drop_group('t', 'g')");
	rq_wait_ticks($node, 'janitor', 3);
	$node->safe_psql('postgres', "SELECT rocketq.create_group('t', 'other'); SELECT rocketq.reset_offset('t', 'other', 0, 3)")
	  if $reused;
	return;
}

#
# A session consumes for a group, or asks for its offset, and the group is
# dropped after it has been found.
#
foreach my $reused (0, 1)
{
	my $how = $reused ? 'its slot is reused' : 'its slot is free';

	$node->safe_psql('postgres', "SELECT rocketq.create_group('t', 'g')");
	stop_at('group-found', "SELECT rocketq.committed_offset('t', 'g', 0)");
	drop_group($reused);
	like(go_on(), qr/^42704 consumer group "g" does not exist/, "$how: a dropped group has no offset");
	$node->safe_psql('postgres', "SELECT rocketq.drop_group('t', 'other')") if $reused;

	$node->safe_psql('postgres', "SELECT rocketq.create_group('t', 'g')");
	stop_at('group-found', "SELECT count(*) FROM rocketq.consume('t', 'g', auto_commit => true)");
	drop_group($reused);
	is(go_on(), '5', "$how: consuming creates the group anew");
	$node->safe_psql('postgres', "SELECT rocketq.drop_group('t', 'g')");
}

#
# A transaction moves a group in queues that are removed when it commits: the
# janitor, which it wakes, can be faster.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('cut', 8);
SELECT rocketq.create_group('cut', 'g');
EOQ
my $log_from = rq_log_from($node);
$session->query('BEGIN');
$session->query("SELECT rocketq.reset_offset('cut', 'g', 'first')");
$session->query("SELECT rocketq.alter_topic('cut', 4)");
$session->query("SELECT rocketq.produce('t', 'last')");
is($session->{error}, '', 'a transaction moves a group and removes queues');
stop_at('commit-callback', 'COMMIT');
rq_wait_ticks($node, 'janitor', 3);
is(go_on(), '', 'the transaction is committed');
unlike(slurp_file($node->logfile, $log_from), qr/left the entries of a transaction/, 'nothing is left to the keeper');

#
# It moves a group of a topic that it has created and drops.
#
$node->safe_psql('postgres', "SELECT rocketq.drop_group('t', 'other'), rocketq.drop_topic('cut')");
rq_wait_ticks($node, 'janitor', 3);
my $janitor = rq_pause($node, 'rocketq janitor');
$session->query('BEGIN');
$session->query("SELECT rocketq.create_topic('made', 1)");
$session->query("SELECT rocketq.create_group('made', 'g')");
$session->query("SELECT rocketq.reset_offset('made', 'g', 0, 0)");
$session->query("SELECT rocketq.drop_topic('made')");
is($session->{error}, '', 'a transaction moves a group of a topic that it drops');
stop_at('offset-stage', 'COMMIT');
kill('CONT', $janitor);
rq_wait_ticks($node, 'janitor', 3);
$node->safe_psql('postgres', "SELECT rocketq.create_group('t', 'other'); SELECT rocketq.reset_offset('t', 'other', 0, 3)");
is(go_on(), '', 'the transaction is committed');
is($node->safe_psql('postgres', "SELECT rocketq.committed_offset('t', 'other', 0)"), '3',
	'the group that got the slot has not moved');

rq_verify($node, 'at the end');
$node->stop;
done_testing();

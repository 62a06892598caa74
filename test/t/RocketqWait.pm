# RocketqWait.pm -- sessions that wait for messages, for the tests of waiting.
#
# A session is a RocketqClient that knows its process.  Its queries take time;
# the test observes it from another session.
package RocketqWait;

use strict;
use warnings;

use Exporter 'import';
use RocketqClient;
use RocketqTest;

our @EXPORT = qw(rq_session rq_sessions rq_ask_and_sleep rq_is_asleep rq_asleep
  rq_answer rq_done rq_value rq_look_anew rq_group_locks rq_wakeups rq_hold_keeper
  rq_let_keeper);

# For tests that do little else: the session that produces, which they set, and
# functions that use it.
our @EXPORT_OK = qw($producer topic produce consume wait_for);
our %EXPORT_TAGS = (DEFAULT => \@EXPORT);
our $producer;
my $topics = 0;

# The session used to observe, for each node.
my %look;

# Sessions wait for 60 seconds or longer.
my $answer_seconds = 30;

sub rq_session
{
	my ($node) = @_;
	my $session = RocketqClient->new($node, 'waits')
	  or die "no connection to " . $node->name . "\n";

	$session->{node} = $node;
	$session->{pid} = $session->query('SELECT pg_backend_pid()')->[0];
	return $session;
}

sub rq_sessions
{
	my ($node, $count) = @_;
	return map { rq_session($node) } 1 .. $count;
}

# The server has been restarted.
sub rq_look_anew
{
	my ($node) = @_;
	delete $look{ $node->name };
	return;
}

# One value of a query that takes no time.
sub rq_value
{
	my ($node, $sql) = @_;
	my $session = $look{ $node->name } //= rq_session($node);
	my $rows = $session->query($sql) // die "connection lost\n";

	die "$session->{error} in: $sql\n" if $session->{error} ne '';
	return $rows->[0];
}

# The number of the sessions that sleep.
sub rq_asleep
{
	my (@sessions) = @_;
	my $pids = join(',', map { $_->{pid} } @sessions);

	return rq_value($sessions[0]{node}, <<EOQ);
SELECT count(*) FROM pg_stat_activity
WHERE pid IN ($pids) AND state = 'active' AND wait_event IN ('RocketqMessages', 'Extension')
EOQ
}

sub rq_is_asleep
{
	my ($session) = @_;
	return rq_asleep($session) == 1;
}

# Send a query to sessions, and wait until they sleep in it.
sub rq_ask_and_sleep
{
	my ($sql, @sessions) = @_;

	$_->ask($sql) foreach @sessions;
	rq_poll('sessions to sleep', sub { return rq_asleep(@sessions) == @sessions; });
	return;
}

# The answer of a session that no longer sleeps: its first column, separated by
# spaces, or its error.  It must arrive long before the timeout of the wait.
sub rq_answer
{
	my ($session) = @_;

	return 'no answer' if !$session->is_answered($answer_seconds);
	my $rows = $session->answer();
	return 'connection lost' if !defined $rows && $session->{error} eq '';
	return $session->{error} if $session->{error} ne '';
	return join(' ', @$rows);
}

# The answer of a session to a query that works.
sub rq_done
{
	my ($session, $sql) = @_;
	my $rows = $session->query($sql) // die "connection lost\n";
	die "$session->{error} in: $sql\n" if $session->{error} ne '';
	return join(' ', @$rows);
}

# The session's locks on groups, queues and savepoints, by class and mode.
sub rq_group_locks
{
	my ($node, $session) = @_;
	return rq_value($node, <<EOQ);
SELECT coalesce(string_agg(objsubid || ' ' || mode || ' ' || n, ', ' ORDER BY objsubid, mode), 'none')
FROM (SELECT objsubid, mode, count(*) AS n FROM pg_locks
	WHERE pid = $session->{pid} AND granted AND objsubid BETWEEN 21073 AND 21075 GROUP BY 1, 2) l
EOQ
}

# The number of times that sleepers have been woken.
sub rq_wakeups
{
	my ($node) = @_;
	return rq_value($node, 'SELECT wakeups FROM rocketq.stats');
}

# A new topic with this many queues, and a group "g".
sub topic
{
	my ($queues) = @_;
	my $topic = 'topic' . ++$topics;

	$producer->query("SELECT rocketq.create_topic('$topic', $queues)");
	$producer->query("SELECT rocketq.create_group('$topic', 'g')");
	return $topic;
}

# Produce; "more" are further arguments.
sub produce
{
	my ($topic, $body, $more) = @_;

	$producer->query("SELECT count(rocketq.produce('$topic', '$body'" . ($more // '') . '))');
	die $producer->{error} if $producer->{error} ne '';
	return;
}

# A query that consumes; it waits, unless "more" says for how long.
sub consume
{
	my ($topic, $more, $group) = @_;

	$more //= '';
	$more .= ", wait => '60 s'" if $more !~ /\bwait =>/;
	$group //= 'g';
	return "SELECT rocketq.text(body) FROM rocketq.consume('$topic', '$group', auto_commit => true$more)";
}

sub wait_for
{
	my ($topic, $more) = @_;
	return "CALL rocketq.wait_for_messages('$topic', 'g', '60 s'" . ($more // '') . ')';
}

# The keeper offers again what nobody has consumed, and resolves what nobody
# has resolved: stop it, so that only the processes that must wake waiters do
# so.
sub rq_hold_keeper
{
	my ($node) = @_;
	return rq_pause($node, 'rocketq keeper');
}

sub rq_let_keeper
{
	my ($pid) = @_;
	return kill('CONT', $pid);
}

1;

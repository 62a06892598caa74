# 089_retention_floors.pl -- of many queues retention asks only those that have
# messages in the oldest segment, and none of them too late; and it trims many
# queues in several records.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;

# More than fit into a TRIM record.
my $queues = 1500;
my $node = rq_node('main', conf => <<"EOC");
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
rocketq.janitor_interval = '20ms'
rocketq.retention_time = '-1'
rocketq.max_queues_per_topic = 2000
EOC
my ($one, $two) = rq_sessions($node, 2);
my $log_start = 'SELECT min(start_position) FROM rocketq.segments';

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub keep
{
	my ($time) = @_;
	sql("ALTER SYSTEM SET rocketq.retention_time = '$time'");
	rq_reload($node);
	rq_wait_ticks($node, 'janitor', 2);
	return;
}

# Megabytes of messages that nobody needs once "retention_time" is 0.
sub fill
{
	my ($megabytes) = @_;
	sql("SELECT count(*) FROM (SELECT rocketq.produce('busy', repeat('x', 10000)) FROM generate_series(1, $megabytes * 104)) p");
	return;
}

# A message for each of the queues at rest; they lie in one or two segments.
sub produce_to_all
{
	my ($body) = @_;
	return sql("SELECT count(rocketq.produce('rest', '$body', queue_id => q)) FROM generate_series(0, $queues - 1) q");
}

sub consume
{
	my $bodies = '';
	while (my $more = sql(
		"SELECT string_agg(DISTINCT convert_from(body, 'UTF8'), ',') FROM rocketq.consume('rest', 'g', 10000, auto_commit => true)"))
	{
		$bodies .= ($bodies ne '' ? ',' : '') . $more;
	}
	return join(',', sort split(/,/, $bodies));
}

# How many queues were asked meanwhile and in 20 rounds more; and how many beyond
# those few that are asked in each round as long as one of them holds the log.
sub asked
{
	my ($what, $code) = @_;
	my $both = q(SELECT queues_asked || ' ' || ticks FROM rocketq.stats, rocketq.workers WHERE worker = 'janitor');
	my @before = split(/ /, sql($both));

	$code->();
	rq_wait_ticks($node, 'janitor', 20);
	my @after = split(/ /, sql($both));
	my ($asked, $rounds) = map { $after[$_] - $before[$_] } 0, 1;
	note("$what: $asked queues were asked in $rounds rounds");
	return ($asked, $asked - 3 * $rounds);
}

sub all_goes
{
	rq_poll_query($node, 'full segments to go',
		"SELECT count(*) = 0 FROM rocketq.segments WHERE state = 'full'");
	return;
}

sub kept_by
{
	my ($reason) = @_;
	return rq_poll_query($node, "the log to be kept by $reason",
		"SELECT kept_by LIKE '$reason' FROM rocketq.segments ORDER BY start_position LIMIT 1");
}

#
# Held: the segments before those of the queues go, and then one of them holds the
# log, which is asked first from then on.
#
sql("SELECT rocketq.create_topic('rest', $queues), rocketq.create_topic('busy', 1)");
sql("SELECT rocketq.create_group('rest', 'g')");
fill(3);
produce_to_all('a');
fill(3);
keep('0');
kept_by('group g of %');
cmp_ok(sql($log_start), '>=', 2 << 20, 'what lies before the messages of a group goes');
cmp_ok(sql('SELECT queues_asked FROM rocketq.stats'), '>=', $queues, 'all queues are asked once');
my (undef, $more) = asked('held', sub { });
cmp_ok($more, '<=', 0, 'then in each round the one that holds the log');

#
# Not held: they lose what they have, and are not asked any more while the log goes
# on.
#
is(consume(), 'a', 'the group consumes');
all_goes();
is(sql("SELECT sum(messages) FROM rocketq.queues WHERE topic = 'rest'"), '0', 'then all queues are trimmed');

# Once more, to learn that they have none.
asked('trimmed', sub { fill(2); all_goes(); });
(undef, $more) = asked('at rest', sub { foreach (1 .. 5) { fill(2); all_goes(); } });
cmp_ok($more, '<=', 100, 'queues without messages are not asked');

# Nor are those whose messages lie further up.
sub go_on
{
	my $oldest = sql($log_start);
	sql("SELECT count(*) FROM rocketq.consume('busy', 'h', 120, auto_commit => true)");
	rq_poll_query($node, 'a segment to go', "SELECT ($log_start) > $oldest");
	return;
}

keep('-1');
sql("SELECT rocketq.create_group('busy', 'h', 'last')");
fill(4);
produce_to_all('b');
fill(2);
keep('0');
kept_by('group h of %');
my ($asked) = asked('learnt', \&go_on);
cmp_ok($asked, '>=', $queues, 'queues that got messages are asked once');
(undef, $more) = asked('above', \&go_on);
cmp_ok($more, '<=', 100, 'and then not, if these lie further up');
sql("SELECT rocketq.drop_group('busy', 'h')");
kept_by('group g of %');

#
# Late: frames that are older than other entries of their queue, and older than all
# that was found there.
#
is(consume(), 'b', 'the group consumes');
all_goes();
keep('-1');
sql("SELECT rocketq.create_group('busy', 'h', 'last')");
fill(4);
rq_done($one, 'BEGIN');
rq_done($one, "SELECT rocketq.produce('rest', 'late', queue_id => 7)");
my $late = sql('SELECT max(end_position) FROM rocketq.segments WHERE state <> \'ready\'');
fill(3);
sql("SELECT rocketq.produce('rest', 'early', queue_id => 7)");
fill(2);
keep('0');
kept_by('group h of %');

# The queue is asked when it has nothing but "early".
go_on();
kept_by('group h of %');
rq_wait_ticks($node, 'janitor', 2);
rq_done($one, 'COMMIT');

# The log can go as far as this, which is past "late" and not yet at "early".
sql("SELECT count(*) FROM rocketq.consume('busy', 'h', 380, auto_commit => true)");
kept_by('group g of %');
cmp_ok(sql($log_start), '<', $late, 'the frame of a long transaction is kept');
sql("SELECT rocketq.drop_group('busy', 'h')");
is(consume(), 'early,late', 'and read');
all_goes();

#
# In parts: whoever comes to read between two of them finds what it reads, and a
# crash there leaves something that the janitor goes on with.
#
SKIP:
{
	skip('rocketq was built without RQ_TESTING', 6) if !rq_has_faults($node);

	keep('-1');
	produce_to_all('c');
	fill(2);
	is(consume(), 'c', 'the group consumes');
	my $janitor = rq_worker_pid($node, 'janitor');
	rq_arm($node, 'trim-part=stop');
	rq_wait_ticks($node, 'janitor', 2);
	sql("ALTER SYSTEM SET rocketq.retention_time = '0'");
	rq_reload($node);
	rq_poll_stopped($janitor);
	my $oldest = sql($log_start);
	my $left = sql("SELECT count(*) FROM rocketq.queues WHERE topic = 'rest' AND messages > 0");
	is($left, $queues - 1024, 'a record has 1024 queues');
	rq_done($two, 'BEGIN');
	rq_done($two, 'DECLARE c CURSOR FOR SELECT body FROM rest');
	rq_done($two, 'FETCH 1 FROM c');
	rq_arm($node, '');
	kill('CONT', $janitor);
	kept_by('reader process %');
	my @rows = split(/ /, rq_done($two, 'FETCH ALL FROM c'));
	is(scalar(@rows), $left - 1, 'a reader gets what is left');
	is(sql($log_start), $oldest, 'the log stays for it');
	rq_done($two, 'COMMIT');
	all_goes();

	keep('-1');
	produce_to_all('d');
	fill(2);
	is(consume(), 'd', 'the group consumes');
	my $log = rq_log_from($node);
	rq_arm($node, 'trim-part=kill');
	rq_wait_ticks($node, 'janitor', 2);
	eval { sql("ALTER SYSTEM SET rocketq.retention_time = '0'"); rq_reload($node); };
	rq_disarm_and_recover($node, $log);
	rq_look_anew($node);
	all_goes();
	is(sql("SELECT sum(messages) FROM rocketq.queues WHERE topic = 'rest'"), '0', 'after a crash between two records the rest goes');
}
rq_verify($node, 'at the end');
$node->stop;
done_testing();

# 063_meta_lock.pl -- who looks at very many queues keeps nobody from what changes
# topics and groups.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;

my $queues = 300;
my $node = rq_node('main', conf => '');
rq_require_faults($node);
$node->safe_psql('postgres', <<"EOQ");
SELECT rocketq.create_topic('wide', $queues);
SELECT rocketq.create_topic('other', 1);
SELECT rocketq.create_group('wide', 'g' || i) FROM generate_series(1, 10) i;
DO \$\$ BEGIN PERFORM rocketq.produce('wide', 'm', tag => 'a', queue_id => q)
	FROM generate_series(0, @{[ $queues - 1 ]}) q, generate_series(1, 100); END \$\$;
EOQ

# Create and drop a group of another topic.  No timeout ends a wait for the lock.
sub change
{
	my ($how) = @_;
	my ($session) = rq_sessions($node, 1);

	$session->ask(
		"SELECT rocketq.create_group('other', 'new'); SELECT rocketq.drop_group('other', 'new')");
	is(rq_answer($session), ' ', $how);
	return;
}

#
# Between two queues the lock is free, and the look can be ended.
#
my ($waiter) = rq_sessions($node, 1);
$waiter->query("SET rocketq.fault = 'idle-looked=stop'");
$waiter->ask("CALL rocketq.wait_for_messages('wide', 'g1', '600 s', 'b')");
rq_poll_stopped($waiter->{pid});
change('one stands still in the middle of its look');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($waiter->{pid})");
kill('CONT', $waiter->{pid});
like(rq_answer($waiter), qr/canceling statement due to user request/, 'and can be cancelled there');

#
# Many who do nothing else are not in the way either.
#
my %loop = (
	wait => "CALL rocketq.wait_for_messages('wide', 'g1', '1 ms', 'b');",
	topics => 'SELECT count(*) FROM rocketq.topics;',
	groups => 'SELECT count(*) FROM rocketq.groups;');

foreach my $name (sort keys %loop)
{
	my $file = $node->basedir . "/$name.sql";

	append_to_file($file, "$loop{$name}\n");
	my $job = rq_background($node, 'pgbench', '-n', '-c', '6', '-T', '600', '-f', $file,
		$node->connstr('postgres') . ' application_name=pgbench');
	rq_poll('all to be there', sub { return rq_value($node, <<'EOQ') == 6; });
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'
EOQ
	change("beside six that loop over $name") foreach 1 .. 5;
	is(rq_value($node, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'"),
		'6', 'who go on');
	$job->{run}->signal('TERM');
	$job->{run}->finish;
	rq_poll('them to end', sub { return rq_value($node, <<'EOQ') == 0; });
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'
EOQ
}

rq_verify($node, 'at the end');
$node->stop;
done_testing();

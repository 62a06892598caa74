# 052_paused_views.pl -- while replay is paused, the views show what is
# committed, even before anybody has read a message there.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node(
	'main',
	allows_streaming => 1,
	has_archiving    => 1,
	conf             => 'checkpoint_timeout = 1h');
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('t', 2);
SELECT rocketq.create_group('t', 'g');
EOQ
$node->backup('backup');
rq_wait_ticks($node, 'keeper', 2);

# Commits and rollbacks that only the transactions' own records report.
my $keeper = rq_pause($node, 'rocketq keeper');
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.produce('t', 'a', queue_id => 0), rocketq.produce('t', 'b', queue_id => 1);
BEGIN;
SELECT rocketq.produce('t', 'c', queue_id => 0);
COMMIT;
EOQ
$node->safe_psql('postgres', "SELECT pg_create_restore_point('here')");
kill('CONT', $keeper);
rq_archive($node);

my %view = (
	topics => ["SELECT messages, unresolved, max_lag, newest_at IS NOT NULL FROM rocketq.get_topics()", '3|0|3|t'],
	queues => ["SELECT queue_id, max_offset, unresolved FROM rocketq.queues ORDER BY queue_id", "0|2|0\n1|1|0"],
	groups => ["SELECT queue_id, max_offset, lag FROM rocketq.groups ORDER BY queue_id", "0|2|2\n1|1|1"]);

# Each view on a server of its own, since the first reader resolves entries for
# all.
foreach my $name (sort keys %view)
{
	my ($query, $expected) = @{ $view{$name} };
	my $copy = rq_restored($node, "paused_$name", 'backup', conf => <<'EOC');
recovery_target_name = 'here'
recovery_target_action = 'pause'
EOC
	rq_start($copy);
	rq_poll_query($copy, 'recovery to pause', "SELECT pg_get_wal_replay_pause_state() = 'paused'");
	is($copy->safe_psql('postgres', $query), $expected, "paused: rocketq.$name shows what is committed");
	is($copy->safe_psql('postgres', 'SELECT count(*) FROM t'), '3', 'as many as can be read');
	rq_verify($copy, "paused, $name");
	$copy->stop;
}
$node->stop;

done_testing();

# 060_pg_upgrade.pl -- pg_upgrade to another cluster, as sql/doc says: all
# messages, groups and offsets are there, and everything works.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Cwd qw(getcwd);
use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $old = rq_node('old');
rq_create_load($old, queues => 5);
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init;

# Some history: aborted transactions, dropped topics, several databases, more
# than a segment of a queue.
my $load = rq_start_load($old);
rq_wait_progress($old, 500);
rq_stop_load($load);
$old->safe_psql('postgres', 'CREATE DATABASE other');
$old->safe_psql('other', <<'EOQ');
CREATE EXTENSION rocketq;
CREATE SCHEMA s;
SELECT rocketq.create_topic('s.wide', 100);
SELECT rocketq.create_topic('s.gone', 3);
SELECT rocketq.produce('s.wide', 'wide ' || i, 'tag' || i % 3, array['k' || i], sharding_key => i::text)
FROM generate_series(1, 5000) i;
SELECT rocketq.produce('s.gone', 'gone') FROM generate_series(1, 10);
DROP TABLE s.gone;
SELECT rocketq.create_topic('s.empty', 7);
CREATE ROLE app;
GRANT USAGE ON SCHEMA s TO app;
GRANT SELECT, INSERT ON s.wide TO app;
SELECT count(*) FROM rocketq.consume('s.wide', 'half', 2500, auto_commit => true);
SELECT rocketq.create_group('s.wide', 'idle');
SELECT rocketq.create_group('s.empty', 'waiting');
TRUNCATE s.empty;
EOQ

sub contents
{
	my ($node) = @_;
	my $all = '';

	foreach my $db ('postgres', 'other')
	{
		$all .= $node->safe_psql($db, <<'EOQ');
SELECT q.topic, q.queue_id, q.min_offset, q.max_offset, q.unresolved,
	(SELECT md5(string_agg(p::text, ',' ORDER BY p.queue_offset))
	 FROM rocketq.pull(q.topic, q.queue_id, 0, 100000) p),
	(SELECT string_agg(consumer_group || committed_offset, ',' ORDER BY consumer_group)
	 FROM rocketq.groups g WHERE g.topic = q.topic AND g.queue_id = q.queue_id)
FROM rocketq.queues q ORDER BY q.topic, q.queue_id
EOQ
		$all .= "\n";
	}
	return $all;
}

rq_check($old, 'the old cluster');
my $contents = contents($old);
like($contents, qr/^load\.topic\|4\|.*^s\.empty\|6\|0\|0\|.*waiting0.*^s\.wide\|99\|.*half.*idle0/ms,
	'there is something to keep');
$old->stop;

my $logs = $new->basedir . '/pg_upgrade';
mkdir($logs) or die "could not create \"$logs\": $!";
# It writes into its working directory.
my $here = getcwd();
chdir($logs);
command_ok(
	[
		'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir,
		'-b', $new->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $old->port, '-P', $new->port
	],
	'pg_upgrade');
chdir($here);

# If the messages are forgotten, an error says so before anything new can take
# their place.
my $log_from = rq_log_from($new);
ok(!$new->start(fail_ok => 1), 'the server does not start with the store that pg_upgrade made');
like(slurp_file($new->logfile, $log_from),
	qr/FATAL:  the rocketq store of the old cluster is missing.*DETAIL:  pg_upgrade does not copy "pg_rocketq".*HINT:  Put the old cluster's "pg_rocketq" in its place/s,
	'the server log says what to do');

# Before the first start: the old store in the place of the new one.
ok(-d $new->data_dir . '/pg_rocketq', 'pg_upgrade has left a store of its own');
rmtree($new->data_dir . '/pg_rocketq');
system_or_bail('cp', '-a', $old->data_dir . '/pg_rocketq', $new->data_dir);
$new->start;

is(contents($new), $contents, 'messages, groups and offsets are all there');
rq_check($new, 'the new cluster');
is($new->safe_psql('other', 'SELECT count(DISTINCT topic) FROM rocketq.queues'),
	'2', 'no other topic exists');
is( $new->safe_psql('other', <<'EOQ'), '2500|0|1', 'consumers continue where they were');
SET ROLE app;
SELECT (SELECT count(*) FROM rocketq.consume('s.wide', 'half', 100000, auto_commit => true)),
	(SELECT count(*) FROM rocketq.consume('s.wide', 'half', 100000, auto_commit => true)),
	(SELECT count(rocketq.produce('s.wide', 'new', queue_id => 99)))
EOQ

# Under load, with a checkpoint and a crash.
$load = rq_start_load($new);
rq_wait_progress($new, 300);
$new->safe_psql('postgres', 'CHECKPOINT');
rq_wait_progress($new, 100);
rq_kill9($new, all => 1);
rq_stop_load($load);
rq_start($new);
rq_check($new, 'the new cluster after a crash');
rq_drain($new);
rq_check($new, 'all consumed');
rq_applied_all($new, 'at the end');
$new->stop;

done_testing();

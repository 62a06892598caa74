# 005_removal.pl -- the extension is dropped and created again, and rocketq is
# removed for good as sql/doc/operations.md says, on a server and on its standby.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node(
	'main',
	allows_streaming => 1,
	conf => "rocketq.janitor_interval = '20ms'\nwal_keep_size = 1GB");
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION rocketq');

# Topics with messages and groups, and objects that depend on them.
my $use = <<'EOQ';
SELECT rocketq.create_topic('t' || i, 3) FROM generate_series(1, 4) i;
SELECT rocketq.produce('t1', 'x' || i, queue_id => i % 3) FROM generate_series(1, 30) i;
SELECT rocketq.create_group('t2', 'g');
SELECT count(*) FROM rocketq.consume('t1', 'g', 10, auto_commit => true);
CREATE VIEW lags AS SELECT topic, sum(lag) AS lag FROM rocketq.groups GROUP BY topic;
CREATE VIEW bodies AS SELECT rocketq.text(body) AS body FROM t1;
EOQ

# Nothing in the store belongs to the database.
sub is_empty
{
	my ($db, $label) = @_;
	my $oid = $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = '$db'");

	rq_poll_query($node, "$label: the slots to be free", <<"EOQ") if $db ne 'postgres';
SELECT NOT EXISTS (SELECT FROM rocketq.get_queues() WHERE database = $oid) AND
	NOT EXISTS (SELECT FROM rocketq.get_groups() WHERE database = $oid)
EOQ
	rq_extents_gone($node, "$label: the extents to be free", sub { $_[0]{key} =~ /^${oid}_/ });
	# The schema does not belong to the extension; it must be empty.
	return is( $node->safe_psql($db, <<'EOQ'), '0|0|0|0', "$label: nothing is left in the catalogs");
DROP SCHEMA rocketq RESTRICT;
SELECT (SELECT count(*) FROM pg_am WHERE amname = 'rocketq'),
	(SELECT count(*) FROM pg_class WHERE relname IN ('t1', 't2', 't3', 't4', 'lags', 'bodies')),
	(SELECT count(*) FROM pg_proc WHERE probin LIKE '%rocketq%'),
	(SELECT count(*) FROM pg_seclabel WHERE provider = 'rocketq')
EOQ
}

#
# DROP EXTENSION.
#
foreach my $round (1, 2)
{
	$node->safe_psql('other', $use);
	my $sum = $node->safe_psql('other', 'SELECT sum(lag), (SELECT count(*) FROM bodies) FROM lags');
	is($sum, '20|30', "round $round: topics and views are new");
	my ($rc, $out, $err) = $node->psql('other', 'DROP EXTENSION rocketq');
	like(
		$err,
		qr/ERROR:\s+cannot drop extension rocketq because other objects depend on it.*table t1 depends on access method rocketq/s,
		"round $round: DROP EXTENSION is refused while there are topics");
	is( $node->safe_psql('other',
			'BEGIN; DROP EXTENSION rocketq CASCADE; ROLLBACK; SELECT sum(lag), (SELECT count(*) FROM bodies) FROM lags'
		),
		$sum,
		"round $round: a rolled back DROP EXTENSION does nothing");
	$node->safe_psql('other', 'DROP EXTENSION rocketq CASCADE');
	is_empty('other', "round $round");
	rq_verify($node, "round $round");
	$node->safe_psql('other', 'CREATE EXTENSION rocketq');
}

# A crash right after it.
$node->safe_psql('other', "$use; DROP EXTENSION rocketq CASCADE");
rq_kill9($node, all => 1);
rq_start($node);
is_empty('other', 'crash after DROP EXTENSION');
rq_verify($node, 'crash after DROP EXTENSION');

#
# Permanently.  The standby is down, and finds a server without rocketq when it
# returns; but the WAL up to that point still contains records of the store.
#
$node->safe_psql('postgres', $use);
my $standby = rq_standby($node);
$node->wait_for_catchup($standby, 'replay',
	$node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()'));
is($standby->safe_psql('postgres', 'SELECT count(*) FROM t1'),
	'30', 'the standby has it');
$standby->stop;

sub unset_preload
{
	my ($server) = @_;
	$server->append_conf('postgresql.conf', "shared_preload_libraries = ''");
	return;
}

$node->safe_psql('postgres', "SELECT rocketq.produce('t1', 'last')");
$node->safe_psql('postgres', 'DROP EXTENSION rocketq CASCADE');
is_empty('postgres', 'dropped in the last database');
$node->stop('fast');
unset_preload($node);
rmtree([ glob $node->data_dir . '/pg_rocketq*' ]);
my $log_from = rq_log_from($node);
rq_start($node);
$node->safe_psql('postgres', 'CREATE TABLE on_without AS SELECT 1 AS one');
rq_kill9($node, all => 1);
rq_start($node);
is($node->safe_psql('postgres', 'SELECT one FROM on_without'),
	'1', 'the server runs and recovers without the library');
ok(!-e $node->data_dir . '/pg_rocketq', 'it has no store');
unlike(slurp_file($node->logfile, $log_from),
	qr/rocketq|resource manager with ID/, 'its log does not mention rocketq');

# The standby, first without the library, as if it were not needed there.
unset_preload($standby);
$log_from = rq_log_from($standby);
if ($standby->start(fail_ok => 1))
{
	$standby->wait_for_log(qr/resource manager with ID \d+ not registered/, $log_from);
	rq_poll('the standby to end', sub { return !rq_processes($standby); });
	rq_stopped($standby);
}
like(slurp_file($standby->logfile, $log_from),
	qr/resource manager with ID \d+ not registered/,
	'the standby needs the library for the WAL it has not replayed');
$standby->append_conf('postgresql.conf', "shared_preload_libraries = 'rocketq'");
rq_start($standby);
$node->wait_for_catchup($standby, 'replay',
	$node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()'));
is($standby->safe_psql('postgres', 'SELECT one FROM on_without'),
	'1', 'with the library the standby follows');
$standby->safe_psql('postgres', 'CHECKPOINT');
$standby->stop('fast');
unset_preload($standby);
rmtree([ glob $standby->data_dir . '/pg_rocketq*' ]);
rq_start($standby);
$node->safe_psql('postgres', 'INSERT INTO on_without VALUES (2)');
$node->wait_for_catchup($standby, 'replay',
	$node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()'));
is($standby->safe_psql('postgres', 'SELECT count(*) FROM on_without'),
	'2', 'after that it follows without the library');
$standby->stop;

# And back again, with a new store.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'rocketq'");
$node->restart;
$node->safe_psql('postgres', "CREATE EXTENSION rocketq; $use");
rq_kill9($node, all => 1);
rq_start($node);
is($node->safe_psql('postgres', 'SELECT count(*), max(message_id) < 100000 FROM t1'),
	'30|t', 'rocketq can be installed again');
rq_verify($node, 'at the end');
$node->stop;

done_testing();

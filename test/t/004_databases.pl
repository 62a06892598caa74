# 004_databases.pl -- databases that are copied, renamed, moved and dropped, with
# topics in them.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main', conf => "rocketq.janitor_interval = '20ms'");
my $tablespace = $node->basedir . '/elsewhere';
mkdir($tablespace) or die "could not create \"$tablespace\": $!";
$node->safe_psql('postgres', "CREATE TABLESPACE elsewhere LOCATION '$tablespace'");

$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', <<'EOQ');
CREATE EXTENSION rocketq;
CREATE SCHEMA s;
SELECT rocketq.create_topic('orders', 5);
SELECT rocketq.create_topic('s.events', 2);
CREATE TABLE elsewhere (LIKE rocketq.message) USING rocketq TABLESPACE elsewhere;
SELECT rocketq.produce('orders', 'order ' || i, queue_id => i % 5) FROM generate_series(1, 500) i;
SELECT rocketq.produce('s.events', 'event ' || i, 'tag') FROM generate_series(1, 100) i;
SELECT rocketq.produce('elsewhere', 'x' || i) FROM generate_series(1, 10) i;
SELECT rocketq.create_group('orders', 'idle');
SELECT count(*) FROM rocketq.consume('orders', 'busy', 250, auto_commit => true);
EOQ

# The whole contents of a database's topics.
sub contents
{
	my ($db) = @_;
	return $node->safe_psql($db, <<'EOQ');
SELECT q.topic, q.queue_id, q.min_offset, q.max_offset,
	(SELECT md5(string_agg(p::text, ',' ORDER BY p.queue_offset))
	 FROM rocketq.pull(q.topic, q.queue_id, 0, 10000) p),
	(SELECT string_agg(consumer_group || committed_offset, ',' ORDER BY consumer_group)
	 FROM rocketq.groups g WHERE g.topic = q.topic AND g.queue_id = q.queue_id)
FROM rocketq.queues q ORDER BY q.topic, q.queue_id
EOQ
}

sub oid_of
{
	my ($db) = @_;
	return $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = '$db'");
}

# Let the janitor search for files to be removed, which it does when it starts.
sub janitor_looks
{
	my $janitor = "FROM rocketq.workers WHERE worker = 'janitor'";

	rq_poll_query($node, 'a janitor', "SELECT pid IS NOT NULL $janitor");
	my $pid = $node->safe_psql('postgres', "SELECT pid $janitor");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	rq_poll_query($node, 'another janitor', "SELECT pid <> $pid $janitor");
	return rq_wait_ticks($node, 'janitor', 2);
}

# Nothing in memory or on disk belongs to the database that had this OID.
sub is_gone
{
	my ($oid, $label) = @_;

	janitor_looks();
	rq_extents_gone($node, "$label: the extents to be free", sub { $_[0]{key} =~ /^${oid}_/ });
	is( $node->safe_psql('postgres', <<"EOQ"), '0|0', "$label: nothing is left of the database");
SELECT (SELECT count(*) FROM rocketq.get_queues() WHERE database = $oid),
	(SELECT count(*) FROM rocketq.get_groups() WHERE database = $oid)
EOQ
	return rq_verify($node, $label);
}

my $shop = contents('shop');
like($shop, qr/^orders\|0\|0\|100\|.*busy.*idle0$/m, 'there is something to lose');

#
# Copies.  The topics exist and are empty, with the same number of queues.
#
my %copy = map { ("copy_$_" => undef) } ('wal_log', 'file_copy');
foreach my $copy (sort keys %copy)
{
	my ($strategy) = $copy =~ /copy_(.*)/;

	$node->safe_psql('postgres', "CREATE DATABASE $copy TEMPLATE shop STRATEGY = $strategy");
	is($node->safe_psql($copy, 'SELECT count(*) FROM rocketq.groups'),
		'0', "$strategy: topics have no groups in a copy");
	is($node->safe_psql($copy, <<'EOQ'), '0|0|0|0|0', "$strategy: they are empty");
SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM s.events), (SELECT count(*) FROM elsewhere),
	(SELECT count(*) FROM rocketq.consume('orders', 'new', 10)), rocketq.max_offset('orders', 4)
EOQ
	is( $node->safe_psql($copy, <<'EOQ'), '3|5|3', "$strategy: topics of the copy can be used at once");
SELECT rocketq.produce('orders', 'copy ' || i, queue_id => 4) FROM generate_series(1, 3) i \g /dev/null
SELECT (SELECT count(*) FROM rocketq.consume('orders', 'busy', 10, auto_commit => true)),
	(SELECT queues FROM rocketq.topics WHERE topic = 'orders'),
	(SELECT count(*) FROM orders WHERE rocketq.text(body) LIKE 'copy %')
EOQ
	is(contents('shop'), $shop, "$strategy: the original is unchanged");
	$copy{$copy} = contents($copy);
}
rq_kill9($node, all => 1);
rq_start($node);
janitor_looks();
is(contents($_), $copy{$_}, "$_ after a crash") foreach sort keys %copy;
is(contents('shop'), $shop, 'the original after a crash');

# A topic of a copy that is truncated before its first use keeps its settings,
# too.
$node->safe_psql('shop', "SELECT rocketq.alter_topic('s.events', retention_time => '1 day')");
$node->safe_psql('postgres', 'CREATE DATABASE copy_truncated TEMPLATE shop');
is($node->safe_psql('copy_truncated', <<'EOQ'), "orders|5|3 days\ns.events|2|1 day", 'TRUNCATE of a copy');
BEGIN;
TRUNCATE orders;
ROLLBACK;
TRUNCATE orders, s.events;
SELECT topic, queues, justify_interval(retention_time) FROM rocketq.topics ORDER BY topic::text
EOQ
is($node->safe_psql('copy_truncated', "SELECT count(rocketq.produce('orders', 'x', queue_id => 4))"),
	'1', 'a truncated copy has its last queue');
$copy{copy_truncated} = undef;

foreach my $copy (sort keys %copy)
{
	my $oid = oid_of($copy);
	$node->safe_psql('postgres', "DROP DATABASE $copy");
	is_gone($oid, "DROP DATABASE $copy");
}

#
# Commands that process all tables of all databases.
#
$node->command_ok([ 'vacuumdb', '--full', '--all', '--quiet' ], 'vacuumdb --full completes');
is(contents('shop'), $shop, 'vacuumdb --full skips topics');

#
# Another name, another tablespace.
#
$node->safe_psql('postgres', 'ALTER DATABASE shop RENAME TO store');
is(contents('store'), $shop, 'a renamed database keeps everything');
$node->safe_psql('postgres', 'ALTER DATABASE store RENAME TO shop');

# A topic that was created for the tablespace is not an obstacle.
foreach my $to ('elsewhere', 'pg_default')
{
	$node->safe_psql('postgres', "ALTER DATABASE shop SET TABLESPACE $to");
	is(contents('shop'), $shop, "moved to $to: nothing is lost");
	if ($to eq 'elsewhere')
	{
		rq_kill9($node, all => 1);
		rq_start($node);
	}
	janitor_looks();
	is(contents('shop'), $shop, "moved to $to: it is not mistaken for garbage");
	$node->safe_psql('shop', <<"EOQ");
SELECT rocketq.produce('orders', 'moved');
SELECT count(*) FROM rocketq.consume('orders', 'busy', 10, auto_commit => true);
SELECT rocketq.create_topic('made_$to', 1);
EOQ
	$shop = contents('shop');
	rq_verify($node, "moved to $to");
}
like($shop, qr/^elsewhere.*^made_elsewhere.*^made_pg_default.*^orders/ms, 'topics created in either tablespace');

# The janitor checks while the files are being moved.
my $looks = 0;
while ($looks < 5)
{
	my $mover = rq_background($node, 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1',
		(map { ('-c', "ALTER DATABASE shop SET TABLESPACE $_") } ('elsewhere', 'pg_default') x 2),
		'-d', $node->connstr('postgres'));
	do
	{
		$looks += $node->safe_psql('postgres', <<'EOQ');
SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
WHERE backend_type = 'rocketq janitor'
EOQ
		$mover->{run}->pump_nb;
	} while ($mover->{run}->pumpable);
	$mover->{run}->finish;
	is($mover->{err}, '', 'moved four times');
}
janitor_looks();
is(contents('shop'), $shop, 'moving while the janitor checks loses nothing');

#
# Drops.
#
$node->safe_psql('postgres', 'CREATE DATABASE other');
my $other = oid_of('other');
$node->safe_psql('other', <<'EOQ');
CREATE EXTENSION rocketq;
SELECT rocketq.create_topic('t', 3);
SELECT rocketq.create_group('t', 'g');
SELECT rocketq.produce('t', 'x' || i, queue_id => i % 3) FROM generate_series(1, 30) i;
EOQ
my $session = $node->background_psql('other', on_error_stop => 0);
$session->query_safe('BEGIN');
$session->query_safe("SELECT rocketq.produce('t', 'never')");
$session->query_safe("SELECT rocketq.create_topic('t2', 2)");
$session->query_safe("SELECT rocketq.produce('t2', 'never')");
$node->safe_psql('postgres', 'DROP DATABASE other WITH (FORCE)');
eval { $session->quit; };
is_gone($other, 'DROP DATABASE WITH (FORCE)');

# A new database gets the OID of a dropped one, and the same relfilenodes,
# before the janitor has noticed.
$node->safe_psql('postgres', 'CREATE DATABASE model');
$node->safe_psql('model', <<'EOQ');
CREATE EXTENSION rocketq;
SELECT rocketq.create_topic('t', 3);
EOQ
$node->append_conf('postgresql.conf', "rocketq.janitor_interval = '1h'");
$node->restart;
foreach my $crash (0, 1)
{
	my $label = $crash ? 'the same OID, a crash in between' : 'the same OID';

	$node->safe_psql('postgres', 'CREATE DATABASE again OID = 200000 TEMPLATE model');
	$node->safe_psql('again', <<'EOQ');
SELECT rocketq.produce('t', 'old ' || i, queue_id => i % 3) FROM generate_series(1, 30) i;
SELECT rocketq.create_group('t', 'old');
EOQ
	$node->safe_psql('postgres', 'DROP DATABASE again');
	cmp_ok(scalar(grep { /^200000_/ } rq_extent_topics($node)),
		'>', 0, "$label: the janitor has not run");
	$node->safe_psql('postgres', 'CREATE DATABASE again OID = 200000 TEMPLATE model');
	if ($crash)
	{
		rq_kill9($node, all => 1);
		rq_start($node);
	}
	is( $node->safe_psql('again', <<'EOQ'), '0|0|0|1', "$label: nothing is inherited");
SELECT (SELECT count(*) FROM rocketq.queues), (SELECT count(*) FROM rocketq.groups),
	(SELECT count(*) FROM t), (SELECT count(rocketq.produce('t', 'new', queue_id => 1)))
EOQ
	is($node->safe_psql('again', 'SELECT rocketq.text(body) FROM t'),
		'new', "$label: the topic works");
	$node->safe_psql('postgres', 'DROP DATABASE again');
}

# A crash before the janitor ran.
rq_kill9($node, all => 1);
rq_start($node);
$node->append_conf('postgresql.conf', "rocketq.janitor_interval = '20ms'");
rq_reload($node);
is_gone(200000, 'a crash after DROP DATABASE');
is(contents('shop'), $shop, 'at the end: the other database is unchanged');
$node->stop;

done_testing();

# 003_janitor.pl -- the storage of a dropped topic is removed, however the
# topic was dropped.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', conf => "rocketq.janitor_interval = '20ms'");
my $work = "SELECT count(rocketq.produce('t', 'x' || i)) FROM generate_series(1, 3000) i";

# The store is empty: no slots and no extents.
sub is_empty
{
	my ($label) = @_;

	rq_poll_query($node, "$label: the slots to be free",
		'SELECT count(*) = 0 FROM rocketq.get_queues()');
	rq_extents_gone($node, "$label: the extents to be free", sub { 1 });
	pass("$label: nothing is left");
	return rq_verify($node, $label);
}

$node->safe_psql('postgres', <<"EOQ");
SELECT rocketq.create_topic('t', 4);
$work;
SELECT rocketq.create_group('t', 'g');
EOQ
is(scalar(rq_extent_topics($node)), 1, 'a topic has extents');
$node->safe_psql('postgres', 'DROP TABLE t');
is_empty('DROP TABLE');
is($node->safe_psql('postgres', 'SELECT count(*) FROM rocketq.get_groups()'),
	'0', 'groups are dropped with their topic');

$node->safe_psql('postgres', "SELECT rocketq.create_topic('t', 4); $work");
$node->safe_psql('postgres', "SELECT rocketq.drop_topic('t')");
is_empty('drop_topic()');

$node->safe_psql('postgres', "SELECT rocketq.create_topic('t', 4); $work");
$node->safe_psql('postgres', "BEGIN; DROP TABLE t; ROLLBACK");
is($node->safe_psql('postgres', 'SELECT messages FROM rocketq.topics'),
	'3000', 'a DROP that is rolled back does nothing');
$node->safe_psql('postgres', 'DROP TABLE t');
is_empty('DROP TABLE after a rolled back one');

$node->safe_psql('postgres',
	"BEGIN; SELECT rocketq.create_topic('t', 4); $work; ROLLBACK");
is_empty('rolled back CREATE');

$node->safe_psql('postgres', <<"EOQ");
BEGIN;
SAVEPOINT s;
SELECT rocketq.create_topic('t', 4);
$work;
ROLLBACK TO s;
COMMIT;
EOQ
is_empty('CREATE rolled back to a savepoint');

$node->safe_psql('postgres',
	"BEGIN; SELECT rocketq.create_topic('t', 4); $work; DROP TABLE t; COMMIT");
is_empty('created and dropped in one transaction');

$node->safe_psql('postgres', 'CREATE SCHEMA s');
$node->safe_psql('postgres', "SELECT rocketq.create_topic('s.t' || i, 4) FROM generate_series(1, 20) i");
$node->safe_psql('postgres',
	"SELECT rocketq.produce(c.oid, 'x', queue_id => 1) FROM pg_class c WHERE relnamespace = 's'::regnamespace AND relkind = 'r'");
$node->safe_psql('postgres', 'DROP SCHEMA s CASCADE');
is_empty('DROP SCHEMA CASCADE');

# Topics follow their owner.
$node->safe_psql('postgres', <<"EOQ");
CREATE ROLE one;
CREATE ROLE two;
SELECT rocketq.create_topic('t', 4);
$work;
SELECT rocketq.create_group('t', 'g');
ALTER TABLE t OWNER TO one;
REASSIGN OWNED BY one TO two;
DROP OWNED BY one;
EOQ
is( $node->safe_psql('postgres',
		"SELECT relowner::regrole, (SELECT sum(lag) FROM rocketq.groups) FROM pg_class WHERE relname = 't'"
	),
	'two|3000',
	'REASSIGN OWNED changes only the owner');
$node->safe_psql('postgres', 'DROP OWNED BY two');
is_empty('DROP OWNED');

$node->safe_psql('postgres', "SELECT rocketq.create_topic('t', 4); $work");
my ($rc, $out, $err) = $node->psql('postgres', 'TRUNCATE t');
if ($rc == 0)
{
	is($node->safe_psql('postgres', 'SELECT count(*) FROM t'),
		'0', 'TRUNCATE empties a topic');
	rq_extents_gone($node, 'the old extents to be free', sub { 1 });
	$node->safe_psql('postgres', $work);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM t'),
		'3000', 'a truncated topic can still be used');
}
$node->safe_psql('postgres', 'DROP TABLE t');
is_empty('TRUNCATE and DROP');

# Statements that fail after the topic's storage has been created.
my %failing = (
	'an index' => 'CREATE TABLE t (LIKE rocketq.message, UNIQUE (tag)) USING rocketq',
	'a foreign key' =>
	  'CREATE TABLE t (LIKE rocketq.message, FOREIGN KEY (tag) REFERENCES keyed) USING rocketq',
	'a default' =>
	  'CREATE TABLE t (LIKE defaults INCLUDING DEFAULTS) USING rocketq',
	'its rows' => 'CREATE TABLE t USING rocketq AS SELECT m.* FROM rocketq.message m'
	  . ' UNION ALL SELECT (NULL::rocketq.message).* FROM generate_series(1, 1 / (SELECT count(*) FROM keyed))',
	"its parent's trigger" => 'CREATE TABLE t PARTITION OF triggered DEFAULT USING rocketq',
	"its parent's key" => 'CREATE TABLE t PARTITION OF referring DEFAULT USING rocketq',
	"its parent's index" => 'CREATE TABLE t PARTITION OF indexed DEFAULT USING rocketq',
	"its parent's publication" => 'CREATE TABLE t PARTITION OF published DEFAULT USING rocketq',
);
$node->safe_psql('postgres', <<'EOQ');
CREATE TABLE keyed (tag text PRIMARY KEY);
CREATE TABLE defaults (LIKE rocketq.message);
ALTER TABLE defaults ALTER message_id SET DEFAULT 1;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE triggered (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TRIGGER nothing AFTER INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE referring (LIKE rocketq.message, FOREIGN KEY (tag) REFERENCES keyed) PARTITION BY LIST (tag);
CREATE TABLE indexed (LIKE rocketq.message, UNIQUE (tag)) PARTITION BY LIST (tag);
CREATE TABLE published (LIKE rocketq.message) PARTITION BY LIST (tag);
SET client_min_messages = error;
CREATE PUBLICATION published FOR TABLE published;
EOQ
foreach my $what (sort keys %failing)
{
	my ($rc, $out, $err) = $node->psql('postgres', $failing{$what});
	isnt($rc, 0, "CREATE fails for $what");
	# in a subtransaction that its transaction survives, too
	$node->safe_psql('postgres',
		"DO \$\$ BEGIN $failing{$what}; EXCEPTION WHEN OTHERS THEN NULL; END \$\$");
	is_empty("CREATE that failed for $what");
}
$node->safe_psql('postgres', <<'EOQ');
DROP PUBLICATION published;
DROP TABLE defaults, triggered, referring, indexed, published, keyed;
DROP FUNCTION nothing;
EOQ

# Dropping a database drops its topics.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other',
	"CREATE EXTENSION rocketq; SELECT rocketq.create_topic('t', 4)");
$node->safe_psql('other', $work);
$node->safe_psql('postgres', 'DROP DATABASE other');
# The janitor searches for such topics from time to time, and when it starts.
$node->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid) FROM rocketq.workers WHERE worker = 'janitor'");
is_empty('DROP DATABASE');

# A crash before the commit, with the record of the topic flushed and not
# flushed. The allocator may have made segments in advance.
foreach my $flushed (0, 1)
{
	my $session = $node->background_psql('postgres');
	my $kept = $flushed ? 'flushed' : 'not flushed';

	$session->query_safe('BEGIN');
	$session->query_safe("SELECT rocketq.create_topic('t', 4)");
	$session->query_safe($work);
	if ($flushed)
	{
		$node->safe_psql('postgres', 'CREATE TABLE flush_' . $$ . ' ()');
		$node->safe_psql('postgres', 'CHECKPOINT');
	}
	rq_kill9($node, all => 1);
	eval { $session->quit; };
	rq_start($node);
	is_empty("crash before the commit of CREATE, $kept");
}

# A crash right after a DROP was committed, before the janitor ran.
$node->safe_psql('postgres', "SELECT rocketq.create_topic('t', 4); $work");
$node->append_conf('postgresql.conf', "rocketq.janitor_interval = '1h'");
$node->restart;
rq_pause($node, 'rocketq janitor');
$node->safe_psql('postgres', 'DROP TABLE t');
is(scalar(rq_extent_topics($node)), 1, 'its extents are still there');
rq_kill9($node, all => 1);
$node->append_conf('postgresql.conf', "rocketq.janitor_interval = '20ms'");
rq_start($node);
is_empty('crash before the janitor came');

# A janitor that is started while the server runs looks at once, not only after
# its first wait.
$node->safe_psql('postgres', "SELECT rocketq.create_topic('t', 4); $work");
$node->append_conf('postgresql.conf', "rocketq.janitor_interval = '1h'");
$node->restart;
rq_pause($node, 'rocketq janitor');
my $janitor = rq_worker_pid($node, 'janitor');
$node->safe_psql('postgres', 'DROP TABLE t');
kill('TERM', $janitor);
kill('CONT', $janitor);
is_empty('another janitor');
isnt(rq_worker_pid($node, 'janitor'), $janitor, 'which it is');
$node->append_conf('postgresql.conf', "rocketq.janitor_interval = '20ms'");
$node->restart;

# A dropped topic's relfilenode is not confused with that of a new topic.
$node->safe_psql('postgres', <<"EOQ");
SELECT rocketq.create_topic('t', 4);
$work;
DROP TABLE t;
SELECT rocketq.create_topic('t', 4);
SELECT rocketq.produce('t', 'new', queue_id => 3);
EOQ
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM rocketq.queues q, LATERAL rocketq.pull('t', q.queue_id, 0) p"
	),
	'1',
	'a new topic of the same name holds its own message only');
$node->safe_psql('postgres', 'DROP TABLE t');
is_empty('at the end');
$node->stop;

done_testing();

# 057_tablespaces.pl -- topics and tablespaces, with crashes and on a standby:
# a topic created in a tablespace is not stored there, does not block it, and
# loses nothing.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;

my $conf = <<'EOC';
allow_in_place_tablespaces = on
rocketq.janitor_interval = '20ms'
EOC
my $primary = rq_node('primary', allows_streaming => 1, conf => $conf);
my $standby = rq_standby($primary);

# All topics: where their files are, their contents and their size.
sub topics
{
	my ($node) = @_;
	return $node->safe_psql('postgres', <<'EOQ');
SELECT c.oid::regclass, reltablespace, pg_relation_filepath(c.oid),
	(xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c FROM ' || c.oid::regclass, false, true, '')))[1], rocketq.topic_size(c.oid)
FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE amname = 'rocketq' ORDER BY 1
EOQ
}

sub same_everywhere
{
	my ($what, $expected) = @_;

	rq_catch_up($primary, $standby);
	is(topics($primary), $expected, "$what: on the primary");
	is(topics($standby), $expected, "$what: on the standby");
	return;
}

$primary->safe_psql('postgres', <<'EOQ');
CREATE TABLESPACE ts LOCATION '';
CREATE TABLE one (LIKE rocketq.message) USING rocketq TABLESPACE ts;
SET default_tablespace = ts;
SELECT rocketq.create_topic('two', 2);
RESET default_tablespace;
SELECT rocketq.create_topic('three', 2);
SELECT rocketq.produce(t, 'm' || i) FROM unnest(ARRAY['one', 'two', 'three']::regclass[]) t, generate_series(1, 10) i;
SELECT rocketq.create_group('one', 'g');
EOQ
my $topics = topics($primary);
unlike($topics, qr/\|[^0][0-9]*\|base/, 'no topic has a tablespace');
like($topics, qr/^one\|0\|base\/\d+\/\d+\|10\|[1-9]\d*$/m, 'its file is in that of the database');
same_everywhere('made', $topics);

# Moved in every way, with crashes.
my @moves = (
	'ALTER TABLE one SET TABLESPACE ts',
	'BEGIN; ALTER TABLE one SET TABLESPACE ts; ALTER TABLE two SET TABLESPACE ts; ROLLBACK',
	"ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE ts",
	"ALTER TABLE ALL IN TABLESPACE ts SET TABLESPACE pg_default");
foreach my $sql (@moves)
{
	$primary->safe_psql('postgres', $sql);
	same_everywhere($sql, $topics);
	rq_kill9($primary, all => 1);
	rq_start($primary);
	same_everywhere("$sql, then a crash", $topics);
}

# A crash in the middle of a move.
my $session = rq_session($primary);
$session->query($_)
  foreach 'BEGIN', 'ALTER TABLE one SET TABLESPACE ts', "SELECT rocketq.produce('one', 'never')";
is($session->{error}, '', 'a move that is not committed');
$primary->safe_psql('postgres', 'CHECKPOINT');
rq_kill9($primary, all => 1);
rq_start($primary);
same_everywhere('a crash in the middle of a move', $topics);

# The janitor, which searches for files when it starts, mistakes nothing for
# garbage.
my $janitor = "FROM rocketq.workers WHERE worker = 'janitor'";
rq_poll_query($primary, 'a janitor', "SELECT pid IS NOT NULL $janitor");
$primary->safe_psql('postgres',
	"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'rocketq janitor'");
rq_wait_ticks($primary, 'janitor', 2);
same_everywhere('the janitor has looked', $topics);

# Nothing prevents dropping the tablespace.
$primary->safe_psql('postgres', 'ALTER INDEX ALL IN TABLESPACE ts SET TABLESPACE pg_default');
$primary->safe_psql('postgres', 'CHECKPOINT');
$primary->safe_psql('postgres', 'DROP TABLESPACE ts');
same_everywhere('the tablespace is dropped', $topics);

# The standby replays it.
$primary->stop('immediate');
$standby->promote;
is(topics($standby), $topics, 'after a promotion');
is( $standby->safe_psql('postgres',
		"SELECT count(*) FROM rocketq.consume('one', 'g', 100, auto_commit => true)"),
	'10', 'the group reads everything');
rq_verify($standby, 'after a promotion');
$standby->stop;

done_testing();

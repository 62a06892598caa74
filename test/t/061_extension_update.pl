# 061_extension_update.pl -- ALTER EXTENSION rocketq UPDATE keeps the contents,
# and results in the same objects as CREATE EXTENSION, on every path from one
# version to another.
#
# There is only one version.  So a server that is installed for this test has
# two more: "next", which is the newest version with an addition, and a script
# that updates to it, and "last", which is the same as next.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Basename;
use File::Copy;
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

sub pg_config
{
	my ($what) = @_;
	my ($out) = run_command([ 'pg_config', "--$what" ]);
	return $out;
}

# A private installation of PostgreSQL: a server finds its files relative to
# its program.  Programs that look for others are copied, and so is the
# directory of extensions; everything else is linked.  Returns the directory
# that contains bin/, and the directory of extensions.
sub install_server
{
	my $top = PostgreSQL::Test::Utils::tempdir;
	my ($bin, $lib, $share) = map { pg_config($_) } qw(bindir pkglibdir sharedir);

	die "no bin/ at the end of \"$bin\"\n" if basename($bin) ne 'bin';
	make_path("$top$bin", "$top$share/extension", dirname("$top$lib"));
	symlink($lib, "$top$lib") or die "could not link $lib: $!\n"
	  if !-e "$top$lib";
	foreach my $file (glob "$bin/*")
	{
		my $own = "$top$file";

		if (basename($file) =~ /^(postgres|pg_ctl|pg_config|initdb)$/)
		{
			copy($file, $own) or die "could not copy $file: $!\n";
			chmod(0755, $own);
		}
		else
		{
			symlink($file, $own) or die "could not link $file: $!\n";
		}
	}
	foreach my $file (grep { basename($_) ne 'extension' } glob "$share/*")
	{
		symlink($file, "$top$file") or die "could not link $file: $!\n";
	}
	copy($_, "$top$share/extension")
	  foreach glob "$share/extension/{rocketq,plpgsql}*";
	return (dirname("$top$bin"), "$top$share/extension");
}

# What "next" has in addition to the installed version.
my $added = <<'EOQ';
CREATE FUNCTION rocketq.body_length(m rocketq.message) RETURNS int LANGUAGE sql
	BEGIN ATOMIC SELECT pg_catalog.octet_length(m.body); END;
COMMENT ON FUNCTION rocketq.body_length IS 'bytes of the body';
CREATE VIEW rocketq.lengths AS SELECT rocketq.body_length(NULL::rocketq.message) AS length;
COMMENT ON COLUMN rocketq.lengths.length IS 'bytes';
GRANT SELECT ON rocketq.lengths TO pg_monitor;
REVOKE EXECUTE ON FUNCTION rocketq.body_length FROM PUBLIC;
COMMENT ON FUNCTION rocketq.produce IS 'produce a message';
EOQ

rq_seed();
my ($installation, $extensions) = install_server();
my ($version) = slurp_file("$extensions/rocketq.control") =~ /^default_version = '(.*)'/m;
my $script = slurp_file("$extensions/rocketq--$version.sql");
append_to_file("$extensions/rocketq--next.sql", $script . $added);
append_to_file("$extensions/rocketq--$version--next.sql", $added);
append_to_file("$extensions/rocketq--next--last.sql", '');
append_to_file("$extensions/rocketq--last.sql", $script . $added);

my $node = rq_node('main', install_path => $installation);

# Everything in the catalogs about the extension, without OIDs.
sub catalogs
{
	my ($db) = @_;
	return $node->safe_psql($db, <<'EOQ');
CREATE TEMP TABLE members AS
SELECT d.classid, d.objid, i.type, i.identity
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid,
	pg_identify_object(d.classid, d.objid, d.objsubid) i
WHERE e.extname = 'rocketq' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';

CREATE FUNCTION pg_temp.sorted(acl aclitem[]) RETURNS text LANGUAGE sql AS
	$$SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(acl) a$$;

SELECT 'extension', extversion, extrelocatable, n.nspname, pg_temp.sorted(n.nspacl),
	(SELECT array_agg(c::regclass ORDER BY c::regclass::text) FROM unnest(extconfig) c), extcondition
FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'rocketq';

SELECT 'member', type, identity, obj_description(objid, (SELECT relname FROM pg_class WHERE oid = classid)),
	(SELECT string_agg(p.objsubid || pg_temp.sorted(p.initprivs) || p.privtype::text, ';' ORDER BY p.objsubid)
	 FROM pg_init_privs p WHERE p.classoid = classid AND p.objoid = objid)
FROM members ORDER BY 2, 3;

SELECT 'function', identity, pg_get_functiondef(objid), proowner::regrole,
	pg_temp.sorted(proacl), prosrc, probin
FROM members JOIN pg_proc p ON p.oid = objid
WHERE classid = 'pg_proc'::regclass ORDER BY 2;

SELECT 'relation', identity, relkind, relpersistence, relowner::regrole, a.amname,
	pg_temp.sorted(relacl), reloptions, relrowsecurity, relreplident,
	CASE WHEN relkind = 'v' THEN pg_get_viewdef(objid) END
FROM members JOIN pg_class c ON c.oid = objid LEFT JOIN pg_am a ON a.oid = relam
WHERE classid = 'pg_class'::regclass ORDER BY 2;

SELECT 'column', identity, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
	attisdropped, attcollation::regcollation, pg_temp.sorted(attacl), col_description(objid, attnum),
	pg_get_expr(adbin, adrelid)
FROM members JOIN pg_attribute ON attrelid = objid
	LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE classid = 'pg_class'::regclass AND attnum > 0 ORDER BY 2, 3;

SELECT 'trigger', identity, pg_get_triggerdef(t.oid), tgenabled
FROM members JOIN pg_trigger t ON tgrelid = objid
WHERE classid = 'pg_class'::regclass ORDER BY 2, 3;

SELECT 'constraint', identity, pg_get_constraintdef(o.oid)
FROM members JOIN pg_constraint o ON conrelid = objid
WHERE classid = 'pg_class'::regclass ORDER BY 2, 3;

SELECT 'rule', identity, pg_get_ruledef(r.oid)
FROM members JOIN pg_rewrite r ON ev_class = objid
WHERE classid = 'pg_class'::regclass ORDER BY 2, 3;

SELECT 'access method', amname, amhandler, amtype
FROM members JOIN pg_am a ON a.oid = objid WHERE classid = 'pg_am'::regclass ORDER BY 2;
EOQ
}

my $update_paths = <<'EOQ';
SELECT source, target FROM pg_extension_update_paths('rocketq') WHERE path IS NOT NULL ORDER BY 1, 2
EOQ
is($node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'rocketq'"),
	$version, 'CREATE EXTENSION gives the default version');

#
# Every update path.
#
my %fresh;
sub fresh
{
	my ($of) = @_;

	if (!$fresh{$of})
	{
		$node->safe_psql('postgres', "CREATE DATABASE \"fresh $of\"");
		$node->safe_psql("fresh $of", "CREATE EXTENSION rocketq VERSION '$of'");
		$fresh{$of} = catalogs("fresh $of");
	}
	return $fresh{$of};
}

my @ways = map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', $update_paths);
like(fresh($version), qr/^function\|rocketq\.produce\(.*^relation\|rocketq\.groups\|v\|.*^access method\|rocketq\|/ms,
	'there is something to compare');
foreach my $way (@ways)
{
	my ($from, $to) = @$way;
	my $db = "from $from to $to";

	$node->safe_psql('postgres', "CREATE DATABASE \"$db\"");
	$node->safe_psql($db, "CREATE EXTENSION rocketq VERSION '$from'");
	$node->safe_psql($db, "ALTER EXTENSION rocketq UPDATE TO '$to'");
	is(catalogs($db), fresh($to), "$db: as created with that version");
}
is(join(' ', sort map { "$_->[0]-$_->[1]" } @ways), "$version-last $version-next next-last",
	'these are all versions');

#
# With everything in use.
#
$node->safe_psql('postgres', 'CREATE DATABASE used');
$node->safe_psql('used', <<'EOQ');
CREATE EXTENSION rocketq;
CREATE ROLE app;
CREATE ROLE owner;
CREATE SCHEMA s AUTHORIZATION owner;
SELECT rocketq.create_topic('orders', 3);
SELECT rocketq.create_topic('s.events', 5);
ALTER TABLE s.events OWNER TO owner;
SELECT rocketq.create_topic('truncated', 2);
SELECT rocketq.produce('orders', 'order ' || i, 'tag' || i % 2, queue_id => i % 3) FROM generate_series(1, 300) i;
SELECT rocketq.produce('s.events', 'event ' || i, queue_id => i % 5) FROM generate_series(1, 50) i;
SELECT rocketq.produce('truncated', 'gone');
TRUNCATE truncated;
SELECT rocketq.create_group('orders', 'idle');
SELECT count(*) FROM rocketq.consume('orders', 'busy', 100, auto_commit => true);
GRANT USAGE ON SCHEMA s, rocketq TO app;
GRANT SELECT, INSERT ON orders TO app;
GRANT SELECT ON rocketq.groups, rocketq.queues TO app;
GRANT EXECUTE ON FUNCTION rocketq.get_groups(), rocketq.get_queues() TO app;
REVOKE EXECUTE ON FUNCTION rocketq.text(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rocketq.text(bytea) TO app;
CREATE VIEW lags AS SELECT topic, consumer_group, sum(lag) AS lag FROM rocketq.groups GROUP BY 1, 2;
CREATE VIEW bodies AS SELECT queue_id, queue_offset, rocketq.text(body) AS body FROM orders;
CREATE FUNCTION take() RETURNS SETOF rocketq.message LANGUAGE sql
BEGIN ATOMIC
	SELECT * FROM rocketq.consume('orders'::regclass, 'busy'::text, 10);
END;
CREATE TABLE kept (m rocketq.message);
INSERT INTO kept SELECT m FROM rocketq.pull('orders', 0, 0, 5) m;
GRANT SELECT ON lags, bodies TO app;
EOQ

my $contents = <<'EOQ';
SELECT q.topic, q.queue_id, q.min_offset, q.max_offset,
	(SELECT md5(string_agg(p::text, ',' ORDER BY p.queue_offset))
	 FROM rocketq.pull(q.topic, q.queue_id, 0, 10000) p),
	(SELECT string_agg(consumer_group || committed_offset, ',' ORDER BY consumer_group)
	 FROM rocketq.groups g WHERE g.topic = q.topic AND g.queue_id = q.queue_id)
FROM rocketq.queues q ORDER BY q.topic, q.queue_id;
SELECT count(*), md5(string_agg(body, ',' ORDER BY queue_id, queue_offset)) FROM bodies;
SELECT * FROM lags ORDER BY 1, 2;
SELECT count(*), count((m).body) FROM kept;
EOQ
my $rights = <<'EOQ';
SELECT relname, relowner::regrole, relacl FROM pg_class
WHERE relname IN ('orders', 'events', 'lags', 'bodies', 'groups', 'queues') ORDER BY 1;
SELECT oid::regprocedure, proacl FROM pg_proc
WHERE proname IN ('text', 'get_groups', 'get_queues', 'verify') AND pronamespace = 'rocketq'::regnamespace ORDER BY 1::text;
EOQ
my $contents_before = $node->safe_psql('used', $contents);
my $rights_before = $node->safe_psql('used', $rights);
like($contents_before, qr/^orders\|2\|0\|100\|.*busy.*idle0.*^s\.events\|4\|0\|10\|.*^300\|/ms, 'there is something to lose');

$node->safe_psql('used', "BEGIN; ALTER EXTENSION rocketq UPDATE TO 'last'; ROLLBACK");
is($node->safe_psql('used', $contents), $contents_before, 'an update that is rolled back does nothing');
$node->safe_psql('used', "ALTER EXTENSION rocketq UPDATE TO 'last'");
is($node->safe_psql('used', "SELECT extversion FROM pg_extension WHERE extname = 'rocketq'"),
	'last', 'updated');
is($node->safe_psql('used', $contents), $contents_before, 'messages, groups and views are unchanged');
is($node->safe_psql('used', $rights), $rights_before, 'owners and privileges are unchanged');
is( $node->safe_psql('used',
		"SELECT objoid::regclass, label FROM pg_seclabel WHERE provider = 'rocketq' ORDER BY 1::text"),
	"orders|queues=3\ns.events|queues=5\ntruncated|queues=2",
	'every topic has its label');
is( $node->safe_psql('used', <<'EOQ'), '10|10|1|301', 'everything still works');
SET ROLE app;
SELECT count(*) AS taken FROM take() \gset
SELECT count(*) AS new FROM rocketq.consume('orders', 'new', 10, auto_commit => true) \gset
SELECT count(rocketq.produce('orders', 'new', queue_id => 2)) AS produced \gset
SELECT :taken, :new, :produced, count(*) FROM bodies
EOQ
$node->safe_psql('used', "SELECT rocketq.alter_topic('orders', 4); SELECT rocketq.produce('orders', 'x', queue_id => 3)");
$contents_before = $node->safe_psql('used', $contents);
rq_kill9($node, all => 1);
rq_start($node);
is($node->safe_psql('used', $contents), $contents_before, 'nothing is lost in a crash');
rq_verify($node, 'at the end');
$node->safe_psql('used', 'DROP EXTENSION rocketq CASCADE');
$node->stop;

done_testing();

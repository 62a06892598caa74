# 060_pg_upgrade.pl -- pg_upgrade to another cluster, as sql/doc says: all
# messages, groups and offsets are there, and everything works.  From an older
# version if RQ_OLD_SERVER names the directory with its programs (test/check
# --upgrades), otherwise from this one.

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

my $old_server = $ENV{RQ_OLD_SERVER};

# Only what the system lacks is there.
if ($old_server)
{
	my ($libraries) = $old_server =~ m,^(/[^/]+/[^/]+/[^/]+), or die "RQ_OLD_SERVER is no such directory\n";
	$ENV{LD_LIBRARY_PATH} = join(':', "$libraries/libraries", grep { $_ } $ENV{LD_LIBRARY_PATH});
}

rq_seed();
my $old = rq_node('old', install_path => $old_server);
my $old_bin = $old->config_data('--bindir');
my @databases = ('postgres', 'other');
my $tablespace = PostgreSQL::Test::Utils::tempdir();
rq_create_load($old, queues => 5);

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

-- What the catalogs know about a topic.
CREATE TABLE s.strict (LIKE rocketq.message, CONSTRAINT short CHECK (length(body) < 100)) USING rocketq;
ALTER TABLE s.strict ALTER tag SET DEFAULT 'by default';
SELECT rocketq.alter_topic('s.strict', queues => 2, retention_time => '1000 days');
INSERT INTO s.strict (body) SELECT convert_to('strict ' || i, 'UTF8') FROM generate_series(1, 20) i;
CREATE FUNCTION s.mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.sharding_key := 'marked'; RETURN NEW; END $$;
CREATE TRIGGER mark BEFORE INSERT ON s.strict FOR EACH ROW EXECUTE FUNCTION s.mark();
INSERT INTO s.strict (body) VALUES ('x');
CREATE TABLE s.parts (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE s.part_eu PARTITION OF s.parts FOR VALUES IN ('eu') USING rocketq;
CREATE TABLE s.part_rest PARTITION OF s.parts DEFAULT USING heap;
INSERT INTO s.parts (tag, body) SELECT (ARRAY['eu', 'us'])[1 + i % 2], 'x' FROM generate_series(1, 100) i;
SELECT rocketq.create_group('s.part_eu', 'reader');
SELECT rocketq.produce('s.wide', 'not transactional', transactional => false);
BEGIN;
SELECT rocketq.produce('s.wide', 'rolled back', queue_id => 7);
ROLLBACK;
EOQ

# PostgreSQL can't do that within one version.
if ($old_server)
{
	$old->safe_psql('postgres', "CREATE TABLESPACE apart LOCATION '$tablespace'");
	$old->safe_psql('postgres', 'CREATE DATABASE apart TABLESPACE apart');
	$old->safe_psql('apart', <<'EOQ');
CREATE EXTENSION rocketq;
SELECT rocketq.create_topic('t', 2);
SELECT rocketq.produce('t', 'apart ' || i) FROM generate_series(1, 100) i;
SELECT count(*) FROM rocketq.consume('t', 'g', 30, auto_commit => true);
EOQ
	push @databases, 'apart';
}

sub knows_versions_of_columns
{
	my $bin = `pg_config --bindir`;
	chomp($bin);
	return index(slurp_file("$bin/postgres"), 'pg_attver') >= 0;
}

sub contents
{
	my ($node) = @_;
	my $all = '';

	foreach my $db (@databases)
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

# Since 15.20 and 17.12 a server notes versions of columns among their options,
# which an older release of a newer server does not know: its pg_upgrade fails
# with every table, whether it is a topic or not.
if ($old_server && !knows_versions_of_columns())
{
	$old->safe_psql($_, q(
		UPDATE pg_attribute SET attoptions = NULL
		WHERE attoptions::text ~ 'pg_attver'))
	  foreach @databases, 'template1';
}
rq_check($old, 'the old cluster');
my $contents = contents($old);
like( $contents,
	qr/^load\.topic\|4\|.*^s\.empty\|6\|0\|0\|.*waiting0.*^s\.part_eu\|.*reader0.*^s\.strict\|1.*^s\.wide\|99\|.*half.*idle0/ms,
	'there is something to keep');
$old->stop;

# What pg_upgrade refers to when it fails.
sub show_logs
{
	my ($new) = @_;

	foreach my $log (glob($new->data_dir . '/pg_upgrade_output.d/*/log/*.log'))
	{
		diag("$log:", map { "\n$_" } grep { /error|failed/i } split /\n/, slurp_file($log));
	}
	return;
}

# From 18 on a cluster has checksums unless it is told otherwise, and pg_upgrade
# wants both to be the same.
sub upgrade
{
	my ($mode) = @_;
	my $new = PostgreSQL::Test::Cluster->new("new_$mode");
	my $logs = $new->basedir . '/pg_upgrade';
	my $here = getcwd();

	$new->init(extra => $new->pg_version >= 18 && $old->pg_version < 18 ? ['--no-data-checksums'] : []);
	mkdir($logs) or die "could not create \"$logs\": $!";
	# It writes into its working directory.
	chdir($logs);
	command_ok(
		[
			'pg_upgrade', '--no-sync', ($mode eq 'copy' ? () : "--$mode"), '-d', $old->data_dir, '-D', $new->data_dir,
			'-b', $old_bin, '-B', $new->config_data('--bindir'),
			'-s', $new->host, '-p', $old->port, '-P', $new->port
		],
		"pg_upgrade --$mode") or show_logs($new);
	chdir($here);
	return $new;
}

sub check_upgraded
{
	my ($new, $label) = @_;

	is(contents($new), $contents, "$label: messages, groups and offsets are all there");
	rq_check($new, "$label: the new cluster");
	is($new->safe_psql('other', 'SELECT count(DISTINCT topic) FROM rocketq.queues'),
		'4', "$label: no other topic exists");
	is($new->safe_psql('other', <<'EOQ'), '2501|0|1', "$label: consumers continue where they were");
SET ROLE app;
SELECT (SELECT count(*) FROM rocketq.consume('s.wide', 'half', 100000, auto_commit => true)),
	(SELECT count(*) FROM rocketq.consume('s.wide', 'half', 100000, auto_commit => true)),
	(SELECT count(rocketq.produce('s.wide', 'new', queue_id => 99)))
EOQ
	is($new->safe_psql('other', <<'EOQ'), '50|marked|by default', "$label: what the catalogs say holds");
INSERT INTO s.strict (body) VALUES ('y');
SELECT (SELECT count(*) FROM rocketq.consume('s.part_eu', 'reader', 100, auto_commit => true)), sharding_key, tag
FROM s.strict WHERE body = 'y'
EOQ
	my ($rc, $out, $err) =
	  $new->psql('other', "INSERT INTO s.strict (body) VALUES (convert_to(repeat('z', 100), 'UTF8'))");
	like($err, qr/violates check constraint "short"/, "$label: constraints hold");
	return;
}

my $new = upgrade('copy');

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
check_upgraded($new, 'copied');

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

# With links there is nothing to go back to, so the store can be moved, too.
rmtree([ grep { !m,/PG_@{[ $old->pg_version->major ]}_, } glob("$tablespace/*") ]);
my $linked = upgrade('link');
rmtree($linked->data_dir . '/pg_rocketq');
system_or_bail('mv', $old->data_dir . '/pg_rocketq', $linked->data_dir);
$linked->start;
check_upgraded($linked, 'linked');
rq_kill9($linked, all => 1);
rq_start($linked);
rq_check($linked, 'linked, after a crash');
$linked->stop;

done_testing();

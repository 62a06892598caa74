# 050_dump.pl -- pg_dump and pg_restore restore topics, their settings and
# messages, and each group continues with the same message.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main');
my $dir = $node->basedir;

# Schemas that sort before and after "rocketq", because data is dumped in order
# of names.
$node->safe_psql('postgres', <<'EOQ');
CREATE SCHEMA early;
CREATE SCHEMA "Zoë's";
SELECT rocketq.create_topic('early.orders', 3), rocketq.create_topic('"Zoë''s"."a ""topic"""'),
	rocketq.create_topic('nothing', 2), rocketq.create_topic('wide', 70);
SELECT rocketq.alter_topic('early.orders', 5);
CREATE TABLE part (LIKE rocketq.message) PARTITION BY LIST (queue_id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1) USING rocketq;

SELECT rocketq.produce('early.orders', 'o' || i, tag => 't' || i % 3, keys => ARRAY['k' || i, E'a\tb'],
		properties => jsonb_build_object('n', i), sharding_key => 's' || i % 7)
	FROM generate_series(1, 2000) i;
BEGIN;
SELECT rocketq.produce('early.orders', 'never') FROM generate_series(1, 50);
ROLLBACK;
SELECT rocketq.produce('early.orders', 'at once', transactional => false, queue_id => 0);
SELECT rocketq.produce('early.orders', decode('00ff00' || repeat('ab', 70000), 'hex'), queue_id => 4);
SELECT rocketq.produce('"Zoë''s"."a ""topic"""', 'z' || i) FROM generate_series(1, 900) i;
SELECT rocketq.produce('wide', 'w' || i, queue_id => i % 70) FROM generate_series(1, 700) i;
INSERT INTO part (queue_id, body) SELECT 1, convert_to('p' || i, 'UTF8') FROM generate_series(1, 10) i;

SELECT rocketq.create_group('early.orders', 'begin'), rocketq.create_group('early.orders', 'end', 'last'),
	rocketq.create_group('nothing', 'idle'), rocketq.create_group('part_1', 'last', 'last');
SELECT count(*) FROM rocketq.consume('early.orders', E'it''s {a},"b"\\c', 777, auto_commit => true);
SELECT count(*) FROM rocketq.consume('early.orders', 'filtered', 100, 't1', auto_commit => true);
SELECT count(*) FROM rocketq.consume('"Zoë''s"."a ""topic"""', 'z', 450, auto_commit => true);
SELECT count(*) FROM rocketq.consume('wide', 'w', 333, auto_commit => true);
EOQ

# Everything that a restore has to restore, without what changes.
my $contents = <<'EOQ';
SELECT topic, queues, (SELECT label FROM pg_seclabel s WHERE s.objoid = t.topic_oid AND provider = 'rocketq')
	FROM rocketq.topics t ORDER BY topic;
SELECT q.topic, q.queue_id, count(p.body), md5(string_agg(
		concat_ws('|', p.tag, p.keys, p.sharding_key, p.properties, p.born_at, md5(p.body)),
		',' ORDER BY p.queue_offset))
	FROM rocketq.queues q, LATERAL rocketq.pull(q.topic, q.queue_id, q.min_offset, 100000) p
	GROUP BY 1, 2 ORDER BY q.topic, q.queue_id;
EOQ
my $places = <<'EOQ';
SELECT g.topic, g.consumer_group, g.queue_id, g.lag,
		(SELECT md5(p.body) FROM rocketq.pull(g.topic, g.queue_id, g.committed_offset, 1) p)
	FROM rocketq.groups g ORDER BY g.topic, 2, 3;
EOQ
my $expected = $node->safe_psql('postgres', $contents);
my $expected_places = $node->safe_psql('postgres', $places);
my $count = 0;

sub new_database
{
	my $name = 'r' . ++$count;
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0");
	return $name;
}

# The restored offsets are visible at once; the janitor logs them later.
sub check_database
{
	my ($db, $what) = @_;

	is($node->safe_psql($db, $contents), $expected, "$what: topics and messages");
	is($node->safe_psql($db, $places), $expected_places, "$what: groups");
	is($node->safe_psql($db, 'SELECT count(*) FROM rocketq.saved_groups'),
		'0', "$what: no row is left of them");
	return;
}

sub dump_database
{
	my ($what, @options) = @_;
	my $to = "$dir/dump" . ++$count;
	$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $to, @options ],
		"pg_dump: $what");
	return $to;
}

sub restore
{
	my ($what, $from, $db, @options) = @_;
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($db), @options, $from ],
		"pg_restore: $what");
	return;
}

#
# The ways of dumping and restoring.
#
foreach my $case (
	[ 'plain' ],
	[ 'INSERT commands', '--inserts' ],
	[ 'INSERT commands with columns, several rows each', '--column-inserts', '--rows-per-insert=100' ])
{
	my ($what, @options) = @$case;
	my $file = dump_database($what, @options);
	my $db = new_database();
	$node->command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null',
			'-d', $node->connstr($db), '-f', $file ], "psql: $what");
	check_database($db, $what);
}

my $custom = dump_database('custom', '-Fc');
my $directory = dump_database('directory, two jobs', '-Fd', '-j2');
foreach my $case (
	[ 'custom', $custom ],
	[ 'one transaction', $custom, '-1' ],
	[ 'two jobs', $directory, '-j2' ])
{
	my ($what, $from, @options) = @$case;
	my $db = new_database();
	restore($what, $from, $db, @options);
	check_database($db, $what);
}

# Schema first, then data, the groups before the messages.
my $db = new_database();
restore('schema', $custom, $db, '--section=pre-data');
my ($list) = run_command([ $node->installed_command('pg_restore'), '-l', $custom ]);
my @entries = grep { /TABLE DATA/ } split /\n/, $list;
append_to_file("$dir/list", join("\n", (grep { /saved_groups/ } @entries),
		(grep { !/saved_groups/ } @entries)) . "\n");
restore('data, groups first', $custom, $db, '--section=data', '-L', "$dir/list");
restore('the rest', $custom, $db, '--section=post-data');
check_database($db, 'in sections');

# Over what is there.
restore('over the same database', $custom, $db, '--clean', '--if-exists');
check_database($db, 'over the same database');

# A restored database dumps as its original did.
my $again = "$dir/again";
$node->command_ok([ 'pg_dump', '-Fc', '-d', $node->connstr($db), '-f', $again ], 'dump the restored');
$db = new_database();
restore('a dump of a restored database', $again, $db);
check_database($db, 'second generation');

#
# Consumers that are faster than the janitor, and new messages before them.
#
$node->safe_psql('postgres', "ALTER SYSTEM SET rocketq.janitor_interval = '1h'");
rq_reload($node);
rq_poll_query($node, 'the setting', "SELECT current_setting('rocketq.janitor_interval') = '1h'");
$db = new_database();
restore('before the janitor', $custom, $db);
$node->command_ok([ 'pg_dump', '-Fc', '-d', $node->connstr($db), '-f', "$again.early" ],
	'dump the restored before the janitor');
my $second = new_database();
restore('a dump from before the janitor', "$again.early", $second);
check_database($second, 'second generation before the janitor');
my $next = <<'EOQ';
SELECT md5(string_agg(body, '|' ORDER BY queue_id, ord)) FROM
	(SELECT queue_id, md5(body) AS body, row_number() OVER () AS ord
	FROM rocketq.consume('wide', 'w', 10000)) m WHERE body <> md5('new')
EOQ
my $rest = $node->safe_psql('postgres', $next);
$node->safe_psql($db, "SELECT rocketq.produce('wide', 'new', queue_id => q) FROM generate_series(0, 69) q");
is($node->safe_psql($db, $next), $rest, 'the first consume finds the restored offset');
is( $node->safe_psql($db,
		"SELECT count(*) FROM rocketq.consume('wide', 'w', 10000) WHERE rocketq.text(body) = 'new'"),
	'70', 'the first consume skips no new message');

# The offsets are visible without the help of a consumer or the janitor.
$db = new_database();
restore('for who looks', $custom, $db);
is($node->safe_psql($db, $places), $expected_places, 'the view of groups shows the offsets');
my $lags = 'SELECT topic, groups, max_lag FROM rocketq.topics ORDER BY topic::text';
is($node->safe_psql($db, $lags), $node->safe_psql('postgres', $lags), 'the view of topics shows the lag');
is( $node->safe_psql($db, <<'EOQ'), 't', 'committed_offset() returns the offsets');
SELECT bool_and(rocketq.committed_offset(topic, consumer_group, queue_id) = committed_offset)
	AND bool_or(committed_offset > 0) FROM rocketq.groups
EOQ

# A restart between the groups and the messages, with and without a checkpoint
# before it.
foreach my $case ([ 'fast' ], [ 'immediate' ], [ 'immediate', 'CHECKPOINT' ])
{
	my ($mode, $sql) = @$case;
	my $what = "$mode stop between groups and data" . ($sql ? ', after a checkpoint' : '');

	$db = new_database();
	restore("$what: schema", $custom, $db, '--section=pre-data');
	restore("$what: groups", $custom, $db, '--data-only', '-n', 'rocketq');
	$node->safe_psql('postgres', $sql) if $sql;
	$node->stop($mode);
	rq_start($node);
	append_to_file("$dir/rest", join("\n", grep { !/saved_groups/ } @entries) . "\n") if !-e "$dir/rest";
	restore("$what: data", $custom, $db, '--section=data', '-L', "$dir/rest");
	check_database($db, $what);
	is($node->safe_psql($db, $next), $rest, "$what: consumers get the rest");
}

# Groups without their messages start from the first one.
$db = new_database();
restore('schema alone', $custom, $db, '--section=pre-data');
restore('groups alone', $custom, $db, '--data-only', '-n', 'rocketq');
$node->safe_psql($db, "SELECT rocketq.produce('wide', 'new' || q, queue_id => q) FROM generate_series(0, 69) q");
is($node->safe_psql($db, "SELECT count(*) FROM rocketq.consume('wide', 'w', 1000)"),
	'70', 'a group that was restored without its messages gets the new ones');

# Later copies need not be of those messages: a group that has been used does
# not skip any of them.  Nor does it if there are too few.
foreach my $case ([ 'used', "SELECT count(*) FROM rocketq.consume('wide', 'w')", 10 ],
	[ 'not used', 'SELECT 0', 9 ])
{
	my ($what, $use, $each) = @$case;
	my $log_from = rq_log_from($node);

	$db = new_database();
	restore("$what: schema alone", $custom, $db, '--section=pre-data');
	restore("$what: groups alone", $custom, $db, '--data-only', '-n', 'rocketq');
	is($node->safe_psql($db, $use), '0', "$what: nothing there");
	$node->safe_psql($db, <<"EOQ");
SELECT rocketq.create_topic('other', 70);
SELECT count(rocketq.produce('other', 'o' || i, queue_id => i % 70)) FROM generate_series(1, 70 * $each) i;
INSERT INTO wide SELECT * FROM other;
EOQ
	is($node->safe_psql($db, "SELECT count(*) FROM rocketq.consume('wide', 'w', 10000)"),
		70 * $each, "$what: other copies are not skipped");
	like(slurp_file($node->logfile, $log_from),
		qr/"w" of rocketq topic .* starts from the first message of queue \d+.*as having consumed \d+ of 10 messages/s,
		"$what: the server log reports it");
}
$node->safe_psql('postgres', 'ALTER SYSTEM RESET rocketq.janitor_interval');
rq_reload($node);

# What can't be restored is reported and does no harm.
my ($rc, $out, $err) = $node->psql($db, <<'EOQ');
\set ON_ERROR_STOP 0
INSERT INTO rocketq.saved_groups VALUES ('no.topic', 'g', '{1}', '{1}');
INSERT INTO rocketq.saved_groups VALUES ('wide', 'w', '{1}', '{1}');
INSERT INTO rocketq.saved_groups VALUES ('wide', 'new', '{1}', '{1}');
INSERT INTO rocketq.saved_groups VALUES ('nothing', 'new', '{-5,9223372036854775807}', '{NULL,-1}');
INSERT INTO rocketq.saved_groups VALUES ('nothing', NULL, '{1,1}', '{1,1}');
INSERT INTO rocketq.saved_groups VALUES ('pg_class', 'g', '{1}', '{1}');
EOQ
like($err, qr/could not restore consumer group "g".*"no\.topic" does not exist/s, 'a group without a topic');
like($err, qr/"w" of topic "wide" already exists and keeps its offsets/, 'a group that exists');
like($err, qr/"new" of topic "wide" will start from the first.*different number of queues/s,
	'another number of queues');
like($err, qr/"consumer_group" of rocketq.saved_groups must not be null/, 'a group without a name');
like($err, qr/must be owner of table pg_class|"pg_class" is not a topic/, 'no topic');

#
# A dump contains what its snapshot sees, also for groups that have moved
# since.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('moving', 1);
SELECT rocketq.produce('moving', 'm' || i) FROM generate_series(1, 1000) i;
SELECT count(*) FROM rocketq.consume('moving', 'g', 100, auto_commit => true);
EOQ
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $snapshot = $session->query_safe('SELECT pg_export_snapshot()');
foreach my $case ([ 5, 'few moves', 'exactly' ], [ 200, 'many moves', 'at most' ])
{
	my ($moves, $what, $how) = @$case;
	$node->safe_psql('postgres', join(";\n", map {
		"SELECT count(*) FROM rocketq.consume('moving', 'g', 3, auto_commit => true)" } 1 .. $moves));
	my $file = dump_database($what, '-Fc', "--snapshot=$snapshot");
	$db = new_database();
	restore($what, $file, $db);
	my $at = $node->safe_psql($db, <<'EOQ');
SELECT rocketq.text(body) FROM rocketq.consume('moving', 'g', 1)
EOQ
	cmp_ok(substr($at, 1), $how eq 'exactly' ? '==' : '<=', 101, "$what: $how");
	cmp_ok(substr($at, 1), '>=', 1, "$what: a message");
}
# Nor must it be placed too far back.
$node->safe_psql('postgres', "SELECT rocketq.reset_offset('moving', 'g', 0, 20)");
is( $node->safe_psql('postgres', <<"EOQ"), '{1000}|{980}', 'no further than what it was reset to');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET TRANSACTION SNAPSHOT '$snapshot';
SELECT total, remaining FROM rocketq.dump_groups() WHERE topic = 'public.moving';
EOQ
$session->query_safe('COMMIT');
$session->quit;

#
# Non-transactional messages during a dump: the dump is as of the moment when
# it began, for messages and groups, whichever is dumped first.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('at_once', 1);
SELECT rocketq.produce('at_once', 'm' || i, transactional => false) FROM generate_series(1, 10) i;
SELECT count(*) FROM rocketq.consume('at_once', 'g', 5, auto_commit => true);
EOQ
$session = $node->background_psql('postgres');
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $messages = 'COPY (SELECT count(*), max(queue_offset) FROM at_once) TO STDOUT';
my $groups = "SELECT total, remaining FROM rocketq.dump_groups() WHERE topic = 'public.at_once'";
foreach my $round (1 .. 2)
{
	is($session->query_safe($messages), "10\t9", 'messages of the moment when a dump began');
	$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.produce('at_once', 'new', transactional => false) FROM generate_series(1, 3);
SELECT count(*) FROM rocketq.consume('at_once', 'g', 2, auto_commit => true);
EOQ
	is($session->query_safe($groups), '{10}|{5}', 'and groups');
}
$session->query_safe('COMMIT');
$session->quit;
is($node->safe_psql('postgres', $groups), '{16}|{7}', 'the next dump contains everything');

#
# Under load: tables, messages and groups of one moment.
#
rq_create_load($node);
my $load = rq_start_load($node);
rq_wait_progress($node, 200);
my $file = dump_database('under load', '-Fc');
rq_wait_progress($node, 50);
rq_stop_load($load);
$db = new_database();
restore('under load', $file, $db);
is( $node->safe_psql($db, <<'EOQ'), '0', 'under load: no group has skipped a message');
WITH m AS (SELECT m.* FROM load.messages('load.topic') m),
	due AS (SELECT 'all' AS grp, body FROM m UNION ALL SELECT 'filtered', body FROM m WHERE tag = 't1'),
	ahead AS (SELECT 'all' AS grp, rocketq.text(body) AS body FROM rocketq.consume('load.topic', 'all', 1000000)
		UNION ALL SELECT 'filtered', rocketq.text(body) FROM rocketq.consume('load.topic', 'filtered', 1000000, 't1'))
SELECT count(*) FROM (SELECT * FROM due EXCEPT SELECT grp, body FROM load.applied EXCEPT SELECT * FROM ahead) x
EOQ

# The rest of the check depends on offsets, which are new.
$node->safe_psql($db, <<'EOQ');
SELECT rocketq.drop_group('load.topic', g) FROM (SELECT DISTINCT consumer_group AS g FROM rocketq.groups
	WHERE topic = 'load.topic') x;
TRUNCATE load.applied;
EOQ
is($node->safe_psql($db, 'SELECT * FROM load.problems()'), '', 'under load: topic and tables agree');

#
# A dump by a role that can read only some topics, without a schema that it may
# not use.
#
$db = new_database();
$node->safe_psql($db, <<'EOQ');
CREATE EXTENSION rocketq;
CREATE ROLE reader LOGIN;
CREATE SCHEMA closed;
SELECT rocketq.create_topic(t, 1), rocketq.create_group(t, 'g') FROM unnest('{readable, unreadable, closed.topic}'::text[]) t;
GRANT SELECT ON readable, closed.topic TO reader;
EOQ
append_to_file($node->data_dir . '/pg_hba.conf', "local all reader trust\n");
rq_reload($node);
$file = $node->basedir . '/by_reader.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr($db), '-U', 'reader', '-N', 'closed', '-T', 'unreadable', '-f', $file ],
	'a role can dump what it may read');
is_deeply([ slurp_file($file) =~ /^((?:public|closed)\.\w+)\t/mg ], ['public.readable'], 'the dump has the groups of these topics');

rq_verify($node, 'at the end');
$node->stop;
done_testing();

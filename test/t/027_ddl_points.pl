# 027_ddl_points.pl -- the server is killed at each step of creating, emptying,
# resizing and dropping topics and groups, in transactions and savepoints: what
# was committed is there, and nothing else is left.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main', conf => <<'EOC');
rocketq.janitor_interval = '20ms'
rocketq.max_topics = 16
rocketq.max_queues = 128
rocketq.max_consumer_slots = 256
EOC
rq_require_faults($node);
$node->safe_psql('postgres', 'CREATE TABLE flushed (n int)');

# Each case begins with the topic "keep".  A case consists of SQL, the contents
# after its commit, and points before the commit.  The fault is armed where it
# says ARM, or else at the start.
my $before = 'keep 3 30 g=10';
my $setup = <<'EOQ';
DROP TABLE IF EXISTS keep, made;
SELECT rocketq.create_topic('keep', 3);
SELECT rocketq.produce('keep', 'x' || i, queue_id => i % 3) FROM generate_series(1, 30) i;
SELECT rocketq.create_group('keep', 'g');
SELECT count(*) FROM rocketq.consume('keep', 'g', 10, auto_commit => true);
EOQ
my @cases = (
	[
		'create', <<'EOQ', "$before, made 4 5 m=0", 'topic-wal', 'group-wal' ],
SELECT rocketq.create_topic('made', 4);
SELECT rocketq.produce('made', 'x') FROM generate_series(1, 5);
SELECT rocketq.create_group('made', 'm');
EOQ
	[
		'create in savepoints', <<'EOQ', "$before, made 4 1", 'topic-wal' ],
SAVEPOINT a;
SELECT rocketq.create_topic('gone', 2);
SELECT rocketq.produce('gone', 'x');
ROLLBACK TO a;
SAVEPOINT b;
ARM;
SELECT rocketq.create_topic('made', 4);
SELECT rocketq.produce('made', 'x');
RELEASE b;
EOQ
	[
		'create and drop', <<'EOQ', $before ],
SELECT rocketq.create_topic('made', 4);
SELECT rocketq.produce('made', 'x');
DROP TABLE made;
EOQ
	[
		'drop', <<'EOQ', '' ],
SELECT rocketq.produce('keep', 'x');
SAVEPOINT a;
DROP TABLE keep;
RELEASE a;
EOQ
	[
		'drop undone', <<'EOQ', 'keep 3 31 g=10' ],
SAVEPOINT a;
DROP TABLE keep;
ROLLBACK TO a;
SELECT rocketq.produce('keep', 'x');
EOQ
	[
		'truncate', <<'EOQ', 'keep 3 0 g=0', 'topic-wal', 'group-wal' ],
TRUNCATE keep;
EOQ
	[
		'truncate in savepoints', <<'EOQ', 'keep 3 2 g=0', 'topic-wal' ],
SAVEPOINT a;
TRUNCATE keep;
SELECT rocketq.produce('keep', 'gone');
ROLLBACK TO a;
SELECT rocketq.produce('keep', 'gone');
SAVEPOINT b;
TRUNCATE keep;
SELECT rocketq.produce('keep', 'gone');
ARM;
TRUNCATE keep;
SELECT rocketq.produce('keep', 'x') FROM generate_series(1, 2);
RELEASE b;
EOQ
	[
		'create group', <<'EOQ', 'keep 3 30 g=10 h=0', 'group-wal' ],
SAVEPOINT a;
SELECT rocketq.create_group('keep', 'gone');
ROLLBACK TO a;
SAVEPOINT b;
ARM;
SELECT rocketq.create_group('keep', 'h');
RELEASE b;
EOQ
	[
		'drop group', <<'EOQ', 'keep 3 30' ],
SAVEPOINT a;
SELECT rocketq.drop_group('keep', 'g');
RELEASE a;
EOQ
	[
		'drop group and create it again', <<'EOQ', 'keep 3 30 g=0', 'group-wal' ],
SELECT rocketq.drop_group('keep', 'g');
SELECT rocketq.create_group('keep', 'g');
EOQ
	[
		'resize', <<'EOQ', 'keep 6 31 g=10' ],
SAVEPOINT a;
SELECT rocketq.alter_topic('keep', 9);
ROLLBACK TO a;
SELECT rocketq.alter_topic('keep', 6);
SELECT rocketq.produce('keep', 'x', queue_id => 5);
EOQ
);

# Topics with their queues, messages and groups.
my $state = <<'EOQ';
SELECT string_agg(concat_ws(' ', c.relname,
	(SELECT count(*) FROM rocketq.queues q WHERE q.topic_oid = c.oid),
	(SELECT count(*) FROM rocketq.queues q, rocketq.pull(q.topic, q.queue_id, 0, 1000)
		WHERE q.topic_oid = c.oid),
	(SELECT string_agg(g.consumer_group || '=' || g.n, ' ' ORDER BY g.consumer_group)
		FROM (SELECT consumer_group, sum(committed_offset) AS n FROM rocketq.groups
			WHERE topic_oid = c.oid GROUP BY 1) g)), ', ' ORDER BY c.relname)
FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'rocketq'
EOQ

# There are no extents other than those of topics.
sub only_known_extents
{
	my $known = $node->safe_psql('postgres', <<'EOQ');
SELECT d.oid || '_' || c.relfilenode
FROM pg_class c JOIN pg_am a ON a.oid = c.relam, pg_database d
WHERE a.amname = 'rocketq' AND d.datname = current_database()
EOQ
	my %known = map { $_ => 1 } split /\n/, $known;
	return rq_extents_gone($node, 'extents that belong to nothing to be free',
		sub { !$known{ $_[0]{key} } });
}

# Run the case until it stops at the point, and kill everything: with what was
# logged until then flushed, or not, or in the state file.
sub crash_at
{
	my ($sql, $point, $how) = @_;
	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $arm = "SET rocketq.fault = '$point=stop'";

	$sql = "ARM;\n$sql" if $sql !~ /^ARM;$/m;
	$sql =~ s/^ARM;$/$arm;/m;
	$session->query_until(qr/begun/, "\\echo begun\nBEGIN;\n${sql}COMMIT;\n");
	rq_poll_stopped($pid);
	$node->safe_psql('postgres', 'INSERT INTO flushed VALUES (1)') if $how eq 'flushed';
	$node->safe_psql('postgres', 'CHECKPOINT') if $how eq 'checkpoint';
	rq_kill9($node, all => 1);
	eval { $session->quit; };
	rq_start($node);
	return;
}

sub check
{
	my ($expected, $label) = @_;

	rq_poll_query($node, "$label: slots that belong to nothing to go", <<'EOQ');
SELECT NOT EXISTS (SELECT FROM rocketq.get_queues() q
	WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.relfilenode = q.relfilenode))
EOQ
	only_known_extents();
	is($node->safe_psql('postgres', $state), $expected, $label);
	return rq_verify($node, $label);
}

my @how = ('at once', 'flushed', 'checkpoint');
my $n = rq_random(0, 2);
foreach my $case (@cases)
{
	my ($name, $sql, $after, @points) = @$case;

	$node->safe_psql('postgres', $setup);
	foreach my $point (@points, 'precommit-done', 'commit-callback')
	{
		# PostgreSQL leaves the files of dropped tables behind forever if a
		# checkpoint falls between the commit and their removal.
		foreach my $how ($point eq 'commit-callback' ? @how : $how[ $n++ % 3 ])
		{
			$node->safe_psql('postgres', $setup);
			crash_at($sql, $point, $how);
			check($point eq 'commit-callback' ? $after : $before, "$name, $point, $how");
		}
	}
}

#
# The janitor is killed while it removes what was dropped.
#
foreach my $point ('drop-wal', 'extents-freed')
{
	my $log_from = rq_log_from($node);

	$node->safe_psql('postgres', $setup);
	$node->safe_psql('postgres', 'CHECKPOINT');
	rq_arm($node, "$point=kill");
	rq_wait_ticks($node, 'janitor', 2);
	# The transaction is committed when the janitor notices it, but the restart
	# may come before the client gets its answer.
	eval { $node->psql('postgres', 'DROP TABLE keep'); };
	rq_disarm_and_recover($node, $log_from);
	check('', $point);
}

# All slots are free again.
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('full', 128);
SELECT rocketq.create_group('full', 'g' || i) FROM generate_series(1, 2) i;
EOQ
rq_verify($node, 'at the end');
$node->stop;

done_testing();

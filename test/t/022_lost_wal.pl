# 022_lost_wal.pl -- the kernel kept bytes in the store's files whose WAL was
# lost.  The transactions that wrote them never happened; others get their ids
# and positions.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $seed = rq_seed();
my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
wal_buffers = '64MB'
wal_writer_delay = 10s
wal_writer_flush_after = 0
bgwriter_lru_maxpages = 0
checkpoint_timeout = 1h
EOC
rq_create_load($node, queues => 2);

my $rounds = rq_rounds(5);
foreach my $round (1 .. $rounds)
{
	# A durable starting point, also one that ends in the middle of a segment.
	$node->safe_psql('postgres', <<'EOQ');
SELECT load.make_for(k, 7 + k % 3) FROM generate_series(0, 20) k;
SELECT load.take('all', 50);
EOQ
	$node->safe_psql('postgres', 'CHECKPOINT') if $round % 2;
	my $queues = 'SELECT queue_id, max_offset FROM rocketq.queues ORDER BY 1';
	my $queues_before = $node->safe_psql('postgres', $queues);
	my $sent_before = $node->safe_psql('postgres', 'SELECT count(*) FROM load.sent');

	# From here on nobody flushes WAL.  The session is connected before that,
	# since connecting could require a process that is stopped.
	my $session = $node->background_psql('postgres');
	$session->query_safe('SET synchronous_commit = off');
	$session->query_safe('SELECT 1');
	rq_pause($node, $_)
	  foreach ('walwriter', 'checkpointer', 'background writer', 'rocketq keeper');
	my $flushed = $session->query_safe('SELECT pg_current_wal_flush_lsn()');
	my $xid = $session->query_safe('SELECT pg_current_xact_id()');

	# What is lost: commits, rollbacks and offsets; more than a segment, and in
	# the last round also a whole topic.
	my $count = rq_random(50, 400);
	$session->query_safe("SELECT load.make_for(k % 40, 1 + k % 4) FROM generate_series(1, $count) k");
	$session->query_safe(
		"BEGIN; SELECT load.make_for(k, 5) FROM generate_series(1, 30) k; ROLLBACK");
	$session->query_safe(
		"SELECT rocketq.produce('load.topic', repeat('lost', 5000), queue_id => k % 2) FROM generate_series(1, 80) k");
	$session->query_safe(
		"SELECT rocketq.produce('load.topic', 'lost', transactional => false)");
	$session->query_safe("SELECT load.take('all', 1000)");
	$session->query_safe(
		"SELECT rocketq.create_topic('load.lost', 3); SELECT rocketq.produce('load.lost', 'lost')")
	  if $round == $rounds;
	my $shown = $session->query_safe(
		'SELECT max(max_offset) FROM rocketq.queues');
	my $still = $session->query_safe('SELECT pg_current_wal_flush_lsn()');
	my $inserted = $session->query_safe('SELECT pg_current_wal_insert_lsn()');

	rq_kill9($node, all => 1);
	eval { $session->quit; };
	is($still, $flushed, "round $round: WAL up to $inserted was lost");
	rq_start($node);

	# In some rounds the positions are reused at once, but by fewer bytes, so
	# that the old ones are still there after them.
	if ($round % 2)
	{
		is($node->safe_psql('postgres', $queues), $queues_before,
			"round $round: queues end where they did");
		is( $node->safe_psql('postgres', 'SELECT count(*) FROM load.sent'),
			$sent_before, "round $round: the rows are gone");
		rq_check($node, "round $round, before new work");
	}
	cmp_ok($node->safe_psql('postgres', 'SELECT pg_current_xact_id()'),
		'<=', $xid, "round $round: transaction ids are assigned again");
	my $more = rq_random(1, 60);
	$node->safe_psql('postgres', <<"EOQ");
SELECT load.make_for((k * 7) % 40, 1 + k % 2) FROM generate_series(1, $more) k;
SELECT load.take('all', 20);
EOQ
	rq_check($node, "round $round");
	is( $node->safe_psql('postgres', <<'EOQ'), '0', "round $round: offsets are dense");
SELECT sum(q.max_offset - q.min_offset) - (SELECT count(*) FROM load.messages('load.topic'))
FROM rocketq.queues q WHERE topic = 'load.topic'
EOQ
}
is( $node->safe_psql('postgres',
		'SELECT count(DISTINCT relfilenode) FROM rocketq.get_queues()'),
	'1',
	'the lost topic leaves nothing behind');
rq_extents_gone($node, 'extents of the lost topic to be free',
	sub { $_[0]{key} ne rq_topic_key($node, 'load.topic') });

#
# The state file must not contain what WAL does not.  The keeper writes it for
# a checkpoint that never completes, after commits that were never flushed.
#
SKIP:
{
	skip('no fault points', 4)
	  if !rq_has_faults($node);
	my $session = $node->background_psql('postgres');
	my $synced = "SELECT synced_redo_lsn FROM rocketq.workers WHERE worker = 'keeper'";
	my $synced_before = $session->query_safe($synced);

	$session->query_safe('SET synchronous_commit = off');
	my ($checkpoint, $keeper) = rq_checkpoint_held($node);
	rq_pause($node, $_)
	  foreach ('walwriter', 'checkpointer', 'background writer');
	my $flushed = $session->query_safe('SELECT pg_current_wal_flush_lsn()');
	$session->query_safe('SELECT load.make_for(k % 40, 1 + k % 4) FROM generate_series(1, 200) k');
	$session->query_safe("SELECT load.take('all', 500)");
	is($session->query_safe('SELECT pg_current_wal_flush_lsn()'),
		$flushed, 'commits that are not flushed');
	kill('CONT', $keeper);
	rq_poll('the keeper to write the state',
		sub { return $session->query_safe($synced) ne $synced_before; });
	rq_kill9($node, all => 1);
	eval { $session->quit; };
	eval { $checkpoint->{run}->finish; };
	rq_disarm($node);
	rq_start($node);
	rq_check($node, 'state written and no checkpoint');
	$node->safe_psql('postgres', 'SELECT load.make_for(k % 40, 2) FROM generate_series(1, 200) k');
	rq_check($node, 'after new work');
}

rq_drain($node);
rq_check($node, 'all consumed');

#
# What is removed by trim and drop is kept until the WAL record of that is
# flushed.
#
my $used = $node->background_psql('postgres');
$used->query_safe('SET synchronous_commit = off');
$used->query_safe("SELECT rocketq.create_topic('load.other', 2)");
$used->query_safe("SELECT count(rocketq.produce('load.other', repeat('x', 1000))) FROM generate_series(1, 3000)");
$node->safe_psql('postgres', 'CHECKPOINT');

# Retention keeps what the keeper has not logged as resolved, which it does
# once a second, that is in some 20 ticks.
rq_wait_ticks($node, 'keeper', 25);
rq_pause($node, $_)
  foreach ('walwriter', 'checkpointer', 'background writer', 'rocketq keeper');
my $start = $used->query_safe('SELECT min(start_position) FROM rocketq.segments');
$used->query_safe('DROP TABLE load.other');
rq_poll(
	'the topic to go',
	sub {
		return $used->query_safe('SELECT count(DISTINCT relfilenode) FROM rocketq.get_queues()') == 1;
	});
append_to_file($node->data_dir . '/postgresql.conf', "rocketq.retention_time = 0\n");
rq_reload($node);
rq_poll(
	'trim',
	sub { return $used->query_safe('SELECT min(start_position) FROM rocketq.segments') > $start; });
rq_kill9($node, all => 1);
eval { $used->quit; };
rq_start($node);
cmp_ok($node->safe_psql('postgres', 'SELECT min(start_position) FROM rocketq.segments'),
	'>', $start, 'the trim was not forgotten');
is($node->safe_psql('postgres', "SELECT to_regclass('load.other') IS NULL"),
	't', 'the drop was not forgotten');
rq_verify($node, 'after trim and drop');
$node->stop;
rq_start($node);
rq_verify($node, 'after a clean restart');
$node->stop;

done_testing();

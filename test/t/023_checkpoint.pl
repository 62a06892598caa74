# 023_checkpoint.pl -- no checkpoint completes before everything below its redo
# pointer is on disk in the store, however slow the keeper is, and none waits
# forever.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;
use Time::HiRes qw(time usleep);

rq_seed();
my $node = rq_node('main', conf => <<'EOC');
checkpoint_timeout = 1h
rocketq.keeper_interval = 10ms
rocketq.flush_delay = -1
max_wal_size = 1GB
wal_keep_size = 4GB
EOC
rq_require_faults($node);
rq_create_load($node);
$node->safe_psql('postgres', 'CREATE EXTENSION pg_walinspect');

my $is_synced = <<'EOQ';
SELECT (SELECT redo_lsn FROM pg_control_checkpoint()) <=
	(SELECT synced_redo_lsn FROM rocketq.workers WHERE worker = 'keeper')
EOQ

# Checkpoints in one session, under load; returns how many completed although
# their redo pointer was not synced, and the longest.  The load may stall on a
# busy machine, so the session itself changes something before each checkpoint:
# each needs a sync and has its SYNC record.
sub checkpoints
{
	my ($count) = @_;
	my $session = $node->background_psql('postgres');
	my $bad = 0;
	my $longest = 0;

	foreach my $i (1 .. $count)
	{
		$session->query_safe('SELECT load.make_for(41, 1)');
		# Not in step with the keeper.
		usleep(rq_random(0, 30_000));
		my $start = time();
		$session->query_safe('CHECKPOINT');
		my $took = time() - $start;
		$longest = $took if $took > $longest;
		$bad++ if $session->query_safe($is_synced) ne 't';
	}
	$session->quit;
	return ($bad, $longest);
}

#
# Unmodified; with a longer window in which a wrong release could occur; and
# with a slow sync.  A checkpoint that waits forever ends the test.
#
my $load = rq_start_load($node, produce => 1, consume => 1, filter => 0);
rq_wait_progress($node, 100);
my $from = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
my $scale = rq_rounds(10) / 10;
my $made = 0;
foreach my $case (
	[ '', 120 ],
	[ 'keeper-rotate=sleep:20', 60 ],
	[ 'keeper-sync=sleep:30', 20 ],
	[ 'keeper-sync=sleep:40,keeper-rotate=sleep:20', 20 ],
	[ 'keeper-sync=sleep:1500', 1 ])
{
	my ($fault, $count) = @$case;
	$count = int($count * $scale) || 1;
	rq_arm($node, $fault);
	my ($bad, $longest) = checkpoints($count);
	$fault = 'no fault' if $fault eq '';
	is($bad, 0, "$fault: $count checkpoints were synced before they completed");
	note(sprintf('%s: the longest took %.2f s', $fault, $longest));
	$made += $count;
}
rq_arm($node, '');

# According to WAL: whatever the store logged below the redo pointer of a
# checkpoint lies below the redo pointer of a SYNC record before the checkpoint
# record.
my ($count, $synced, $unsynced) = split /\|/, $node->safe_psql('postgres', <<"EOQ");
WITH r AS MATERIALIZED (
	SELECT start_lsn,
		CASE record_type WHEN 'EXT' THEN substring(description FROM '^[A-Z_]+')
			ELSE record_type END AS type,
		substring(description FROM 'redo ([0-9A-F]+/[0-9A-F]+)')::pg_lsn AS redo
	FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
	WHERE resource_manager = 'rocketq' OR record_type = 'CHECKPOINT_ONLINE'
), c AS (
	SELECT *, max(redo) FILTER (WHERE type = 'SYNC') OVER (ORDER BY start_lsn) AS synced
	FROM r
)
SELECT count(*), count(synced), count(*) FILTER (WHERE EXISTS (
	SELECT FROM r WHERE r.redo IS NULL AND
		r.start_lsn >= c.synced AND r.start_lsn < c.redo))
FROM c WHERE type = 'CHECKPOINT_ONLINE'
EOQ
cmp_ok($count, '>=', $made, 'there were checkpoints');
cmp_ok($synced, '>=', $made, 'there were SYNC records');
is($unsynced, '0', 'SYNC records precede the records of them all');
rq_stop_load($load);
rq_check($node, 'after the checkpoints');

# A stopped keeper delays a checkpoint, and resuming it lets the checkpoint
# complete.  The checkpointer waits in short sleeps; if it does not wait, the
# checkpoint completes.
my $redo_lsn = 'SELECT redo_lsn FROM pg_control_checkpoint()';
my $control = $node->safe_psql('postgres', $redo_lsn);
my ($checkpoint, $keeper) = rq_checkpoint_held($node);
my ($checkpointer) = $node->safe_psql('postgres',
	"SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
my $naps = naps($checkpointer);
$node->safe_psql('postgres', 'SELECT load.make_for(1, 1)');
rq_poll(
	'the checkpointer to wait',
	sub {
		return naps($checkpointer) > $naps + 50
		  || $node->safe_psql('postgres', $redo_lsn) ne $control;
	});
is($node->safe_psql('postgres', $redo_lsn),
	$control, 'no checkpoint completes without the keeper');
rq_arm($node, '');
kill('CONT', $keeper);
$checkpoint->{run}->finish;
isnt($node->safe_psql('postgres', $redo_lsn), $control, 'the checkpoint completes with the keeper');
is($node->safe_psql('postgres', $is_synced), 't', 'the checkpoint is synced');

# The number of voluntary context switches of a process.
sub naps
{
	my ($pid) = @_;
	my ($count) =
	  slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
	return $count;
}

#
# Is it on disk?  The kernel reports which pages of a mapping are dirty.
#
SKIP:
{
	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my %dirty;

	# Whether the kernel has already written them on its own is a matter of
	# chance.
	foreach my $try (1 .. 5)
	{
		$session->query_safe('SELECT load.make_for(k, 20) FROM generate_series(0, 39) k');
		%dirty = map { $_ => rq_shm_dirty_kb($pid, $_) // 0 } ('log', 'queue');
		last if $dirty{log} && $dirty{queue};
	}
	skip('the kernel does not tell which pages are dirty', 4)
	  if !$dirty{log} || !$dirty{queue};
	$node->safe_psql('postgres', 'CHECKPOINT');
	is(rq_shm_dirty_kb($pid, 'log'), 0, 'a checkpoint flushes the log');
	is(rq_shm_dirty_kb($pid, 'queue'), 0, 'a checkpoint flushes the queues');

	# Frames are stored before they are logged.  So a session caught in between
	# by a checkpoint has nothing left to store after it.
	$session->query_safe("SET rocketq.fault = 'append-store=stop'");
	$session->query_until(qr/begun/, "\\echo begun\nSELECT load.make_for(1, 1);\n");
	rq_poll_stopped($pid);
	$node->safe_psql('postgres', 'CHECKPOINT');
	is(rq_shm_dirty_kb($pid, 'log'), 0, 'a frame is on disk before it is logged');
	kill('CONT', $pid);
	$session->query_safe('RESET rocketq.fault');
	is(rq_shm_dirty_kb($pid, 'log'), 0, 'a frame is not changed when it is logged');
	$session->quit;
}

#
# Idle: neither SYNC records nor checkpoints.
#
my $session = $node->background_psql('postgres');

sub syncs_after_checkpoint
{
	$session->query_safe('CHECKPOINT');
	return $session->query_safe(
		"SELECT syncs FROM rocketq.workers WHERE worker = 'keeper'");
}

# Earlier changes may still have to be settled or cleaned up, which workers do in
# their rounds.
rq_poll(
	'the store to be at rest',
	sub {
		my $before = syncs_after_checkpoint();
		rq_wait_ticks($node, $_, 2) foreach qw(janitor allocator keeper);
		return syncs_after_checkpoint() == $before;
	});
my $syncs = syncs_after_checkpoint();
syncs_after_checkpoint();
is(syncs_after_checkpoint(), $syncs, 'nothing is synced when nothing has changed');
$session->quit;

#
# A state file that is newer than the redo pointer: everything in between is
# replayed onto it.  There are so few slots that objects created and dropped in
# between do not fit beside those that exist now.
#
my $full = rq_node('full', conf => <<'EOC');
rocketq.max_topics = 16
rocketq.max_queues = 24
rocketq.max_consumer_slots = 80
rocketq.janitor_interval = '20ms'
checkpoint_timeout = 1h
EOC
$full->safe_psql('postgres', "SELECT rocketq.create_topic('a', 12)");
$full->safe_psql('postgres', "SELECT rocketq.create_group('a', 'g' || i) FROM generate_series(1, 5) i");
$full->safe_psql('postgres',
	"SELECT rocketq.produce('a', 'a' || i, queue_id => i % 12) FROM generate_series(1, 1200) i");
my $redo = $full->safe_psql('postgres', $redo_lsn);
($checkpoint, $keeper) = rq_checkpoint_held($full);
foreach my $name ('b', 'c', 'd')
{
	$full->safe_psql('postgres', <<"EOQ");
SELECT rocketq.drop_group('a', 'g' || i) FROM generate_series(1, 5) i;
EOQ
	rq_poll_query($full, 'the groups to go',
		'SELECT count(*) = 0 FROM rocketq.get_groups()');
	$full->safe_psql('postgres', <<"EOQ");
SELECT rocketq.create_topic('$name', 8);
SELECT rocketq.produce('$name', '$name' || i, queue_id => i % 8) FROM generate_series(1, 800) i;
SELECT rocketq.produce('a', '$name' || i, queue_id => i % 12) FROM generate_series(1, 1200) i;
SELECT rocketq.create_group('$name', 'g' || i) FROM generate_series(1, 8) i;
EOQ
	$full->safe_psql('postgres',
		"SELECT count(*) FROM rocketq.consume('$name', 'g1', 500, auto_commit => true)");
	last if $name eq 'd';
	$full->safe_psql('postgres', "DROP TABLE $name");
	rq_poll_query($full, 'the topic to go',
		'SELECT count(*) = 12 FROM rocketq.get_queues()');
	$full->safe_psql('postgres',
		"SELECT rocketq.create_group('a', 'g' || i) FROM generate_series(1, 5) i");
}
my $all = <<'EOQ';
SELECT q.topic, q.queue_id, q.min_offset, q.max_offset,
	(SELECT string_agg(rocketq.text(p.body), ',' ORDER BY p.queue_offset)
	 FROM rocketq.pull(q.topic, q.queue_id, 0, 10000) p),
	(SELECT string_agg(consumer_group || committed_offset, ',' ORDER BY consumer_group)
	 FROM rocketq.groups g WHERE g.topic = q.topic AND g.queue_id = q.queue_id)
FROM rocketq.queues q ORDER BY q.topic, q.queue_id
EOQ
my $contents = $full->safe_psql('postgres', $all);
is($full->safe_psql('postgres', $redo_lsn),
	$redo, 'all that was done while the keeper slept');
is( $full->safe_psql('postgres',
		"SELECT synced_redo_lsn = '$redo' FROM rocketq.workers WHERE worker = 'keeper'"),
	't', 'and before it writes its state');
kill('CONT', $keeper);
rq_poll_query($full, 'the state to be written',
	"SELECT synced_redo_lsn > '$redo' FROM rocketq.workers WHERE worker = 'keeper'");
is($full->safe_psql('postgres', $redo_lsn),
	$redo, 'now the state file is newer than the checkpoint');
rq_kill9($full, all => 1);
eval { $checkpoint->{run}->finish; };
rq_disarm($full);
rq_start($full);
is($full->safe_psql('postgres', $all), $contents, 'replay onto a newer state');
rq_verify($full, 'replay onto a newer state');
$full->stop;

rq_check($node, 'at the end');
$node->stop;

done_testing();

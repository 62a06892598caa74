# 012_views.pl -- the views agree with a known load and with the files, also
# after a crash, on a standby and after messages have been trimmed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node(
	'main',
	allows_streaming => 1,
	conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.janitor_interval = 50ms
rocketq.retention_time = -1
EOC
rq_require_faults($node);

# What a topic keeps according to its entries: queue, first and next offset,
# bytes.
sub scanned
{
	my ($on, $topic) = @_;
	my ($key, @bounds) = split /\n/, $on->safe_psql('postgres', <<"EOQ");
SELECT d.oid || '_' || c.relfilenode FROM pg_database d, pg_class c
WHERE datname = current_database() AND c.oid = '$topic'::regclass;
SELECT queue_id, min_offset, end_offset FROM rocketq.queues
WHERE topic = '$topic' ORDER BY queue_id;
EOQ
	my @lines;

	foreach (@bounds)
	{
		my ($queue, $min, $end) = split /\|/;
		my $bytes = 0;

		$bytes += 8 * (0xFFFFFF & unpack('V', substr($_, 28, 4)))
		  foreach rq_entries($on, $key, $queue, $min, $end);
		push @lines, "$queue|$min|$end|$bytes";
	}
	return join("\n", @lines);
}

# Both views report the bytes of the entries.
sub check_bytes
{
	my ($on, $label, $topic) = @_;
	my $queues = $on->safe_psql('postgres', <<"EOQ");
SELECT queue_id, min_offset, end_offset, bytes FROM rocketq.queues
WHERE topic = '$topic' ORDER BY queue_id
EOQ

	is($queues, scanned($on, $topic), "$label: the bytes of each queue are those of its entries");
	return is(
		$on->safe_psql('postgres', <<"EOQ"), 't', "$label: the bytes of the topic are the sum of its queues");
SELECT t.bytes = sum(q.bytes) AND t.bytes > 0 FROM rocketq.topics t JOIN rocketq.queues q USING (topic)
WHERE topic = '$topic' GROUP BY t.bytes
EOQ
}

# A row of a view, as a query gives it.
sub row_is
{
	my ($on, $label, $expected, $query) = @_;
	return is($on->safe_psql('postgres', $query), $expected, $label);
}

# A session that stops in the middle of something.
sub stop_session
{
	my ($point, $sql) = @_;
	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_safe("SET rocketq.fault = '$point=stop'");
	$session->query_until(qr/begun/, "\\echo begun\n$sql\n");
	rq_poll_stopped($pid);
	return ($session, $pid);
}

#
# Rates, for which there is a topic of its own.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('rated', 2);
SELECT rocketq.create_group('rated', 'g');
EOQ
rq_poll_query($node, 'a first rate',
	"SELECT count(consumed_per_second) = 2 FROM rocketq.groups WHERE topic = 'rated'");
row_is($node, 'nothing is produced and consumed', '0|0|0', <<'EOQ');
SELECT produced_per_second, produced_bytes_per_second,
	(SELECT sum(consumed_per_second) FROM rocketq.groups g WHERE g.topic = t.topic)
FROM rocketq.topics t WHERE topic = 'rated'
EOQ
$node->safe_psql('postgres', <<'EOQ');
SELECT count(rocketq.produce('rated', 'x', queue_id => i % 2)) FROM generate_series(1, 1000) i;
SELECT count(*) FROM rocketq.consume('rated', 'g', 400, auto_commit => true);
EOQ

# The clock is read before and after the view reads it.
row_is($node, 'rates are counts by the time since then', 't|t|t|t', <<'EOQ');
CREATE TEMP TABLE before AS SELECT clock_timestamp() AS at;
CREATE TEMP TABLE seen AS SELECT * FROM rocketq.queues WHERE topic = 'rated' AND queue_id = 0;
CREATE TEMP TABLE seen_groups AS
SELECT sum(consumed_per_second) AS rate, min(created_at) AS since FROM rocketq.groups WHERE topic = 'rated';
CREATE TEMP TABLE seen_totals AS SELECT consumed_per_second AS rate FROM rocketq.group_totals WHERE topic = 'rated';
SELECT 500 BETWEEN produced_per_second * extract(epoch FROM b.at - rates_since) * 0.9999
		AND produced_per_second * extract(epoch FROM clock_timestamp() - rates_since) * 1.0001,
	bytes BETWEEN produced_bytes_per_second * extract(epoch FROM b.at - rates_since) * 0.9999
		AND produced_bytes_per_second * extract(epoch FROM clock_timestamp() - rates_since) * 1.0001,
	g.rate BETWEEN 400 / extract(epoch FROM clock_timestamp() - g.since) * 0.9999 AND 400,
	t.rate BETWEEN 400 / extract(epoch FROM clock_timestamp() - g.since) * 0.9999 AND g.rate
FROM before b, seen s, seen_groups g, seen_totals t
EOQ
my $rated = $node->safe_psql('postgres', 'SELECT clock_timestamp()');

#
# A load with every possible outcome of a message: committed, rolled back,
# rolled back to a savepoint, non-transactional, and failed in its commit.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('t', 3);
SELECT count(rocketq.produce('t', repeat('x', i % 700), queue_id => i % 2)) FROM generate_series(1, 6000) i;
BEGIN;
SELECT count(rocketq.produce('t', 'rolled back', queue_id => 0)) FROM generate_series(1, 10) i;
ROLLBACK;
BEGIN;
SELECT rocketq.produce('t', 'kept', queue_id => 0);
SAVEPOINT s;
SELECT rocketq.produce('t', 'rolled back', queue_id => 0);
ROLLBACK TO s;
COMMIT;
BEGIN;
SELECT rocketq.produce('t', 'kept', queue_id => 1, transactional => false);
ROLLBACK;
SELECT rocketq.create_group('t', 'g');
EOQ
my ($rc, $out, $err) = $node->psql('postgres', <<'EOQ', on_error_stop => 1);
SET rocketq.fault = 'precommit-done=error';
SELECT count(rocketq.produce('t', repeat('lost', 100), queue_id => 2)) FROM generate_series(1, 3) i;
EOQ
isnt($rc, 0, 'a commit fails');
rq_poll_query($node, 'the failed commit to be settled',
	"SELECT unresolved = 0 FROM rocketq.topics WHERE topic = 't'");
check_bytes($node, 'a load', 't');
row_is($node, 'messages of a topic', '3|6005|0|1|6005', <<'EOQ');
SELECT queues, messages, unresolved, groups, max_lag FROM rocketq.topics WHERE topic = 't'
EOQ
row_is($node, 'times of a topic', 't|t', <<'EOQ');
SELECT oldest_at = (SELECT min(stored_at) FROM t), newest_at = (SELECT max(stored_at) FROM t)
FROM rocketq.topics WHERE topic = 't'
EOQ
row_is($node, 'queue 2 holds lost messages only', '3|t||0|f', <<'EOQ');
SELECT messages, bytes > 1200, oldest_at, lag_seconds, oldest_unconsumed_at IS NOT NULL
FROM rocketq.queues JOIN rocketq.groups USING (topic, queue_id) WHERE topic = 't' AND queue_id = 2
EOQ

#
# The process that the first unresolved message waits for.
#
my $unresolved = <<'EOQ';
SELECT queue_id, end_offset - max_offset, unresolved, unresolved_pid, unresolved_since BETWEEN newest_at AND clock_timestamp()
FROM rocketq.queues WHERE topic = 't' AND queue_id < 2 ORDER BY 1
EOQ
row_is($node, 'nothing is unresolved', "0|0|0||\n1|0|0||", $unresolved);
my ($open, $open_pid) = stop_session('precommit-done',
	"BEGIN; SELECT rocketq.produce('t', 'open', queue_id => 0) FROM generate_series(1, 3); COMMIT;");
$node->safe_psql('postgres', "SELECT rocketq.produce('t', 'behind it', queue_id => 0)");
my ($direct, $direct_pid) = stop_session('direct-enqueued',
	"SELECT rocketq.produce('t', 'held', queue_id => 1, transactional => false);");
row_is($node, 'an open transaction and one that flushes hold queues up',
	"0|4|4|$open_pid|t\n1|1|1|$direct_pid|t", $unresolved);
row_is($node, 'the topic has both', '6005|5|6005', <<'EOQ');
SELECT messages, unresolved, max_lag FROM rocketq.topics WHERE topic = 't'
EOQ
check_bytes($node, 'with unresolved messages', 't');
kill('CONT', $open_pid, $direct_pid);
foreach my $session ($open, $direct)
{
	$session->query_safe('RESET rocketq.fault');
	$session->quit;
}
row_is($node, 'they go on, and nothing is unresolved', "0|0|0||\n1|0|0||", $unresolved);

#
# Groups: lag in messages and seconds, and the owner.
#
my $group = <<'EOQ';
SELECT queue_id, committed_offset, lag, max_offset - committed_offset FROM rocketq.groups
WHERE topic = 't' AND consumer_group = 'g' AND queue_id = 0
EOQ
$node->safe_psql('postgres', "SELECT rocketq.commit_offset('t', 'g', 0, 1000)");
row_is($node, 'lag of a group', '0|1000|2005|2005', $group);
row_is($node, 'its oldest message', 't|t', <<'EOQ');
SELECT oldest_unconsumed_at = (SELECT stored_at FROM rocketq.pull('t', 0, 1000, 1)),
	lag_seconds BETWEEN extract(epoch FROM now() - oldest_unconsumed_at)
		AND extract(epoch FROM clock_timestamp() - oldest_unconsumed_at)
FROM rocketq.groups WHERE topic = 't' AND queue_id = 0
EOQ
my $session = $node->background_psql('postgres');
my $pid = $session->query_safe('SELECT pg_backend_pid()');
my $owner = <<'EOQ';
SELECT DISTINCT owner_pid FROM rocketq.groups WHERE topic = 't' AND owner_pid IS NOT NULL
EOQ
$session->query_safe('BEGIN');
$session->query_safe("SELECT count(*) FROM rocketq.consume('t', 'g', 10)");
row_is($node, 'the owner of queues', $pid, $owner);
row_is($node, 'since when', 't', <<"EOQ");
SELECT DISTINCT owner_since BETWEEN xact_start AND clock_timestamp()
FROM rocketq.groups JOIN pg_stat_activity ON pid = owner_pid WHERE topic = 't'
EOQ
$session->query_safe('ROLLBACK');
row_is($node, 'no owner after a rollback', '', $owner);
$session->quit;

#
# Only the view of segments reads messages; the others read no more of a queue
# than its ends and the entries at which its groups are.
#
my $views = <<'EOQ';
SELECT count(*) FROM rocketq.topics;
SELECT count(*) FROM rocketq.queues;
SELECT count(*) FROM rocketq.groups;
SELECT count(*) FROM rocketq.workers;
SELECT count(*) FROM rocketq.stats;
EOQ
$node->safe_psql('postgres', <<'EOQ');
SELECT count(rocketq.produce('t', 'x', queue_id => i % 2)) FROM generate_series(1, 12000) i;
SELECT rocketq.commit_offset('t', 'g', q, 7000) FROM generate_series(0, 1) q;
CHECKPOINT;
EOQ
my @unread = map { $node->data_dir . "/pg_rocketq/log/$_" } rq_store_files($node, 'log');
cmp_ok(scalar(@unread), '>', 4, 'there are files that no view needs to read');
chmod(0, @unread);
($rc, $out, $err) = $node->psql('postgres', $views);
is("$err$out", "2\n5\n5\n3\n1", 'the views do not read them');
($rc, $out, $err) = $node->psql('postgres', 'SELECT count(body) FROM t');
like($err, qr/could not open file/, 'a scan reads them');
chmod(0600, @unread);

#
# Workers: what the keeper has synced, and errors.
#
my $keeper = <<'EOQ';
SELECT syncs, last_sync_bytes FROM rocketq.workers WHERE worker = 'keeper'
EOQ
my ($syncs) = split /\|/, $node->safe_psql('postgres', $keeper);
$node->safe_psql('postgres', <<'EOQ');
SELECT count(rocketq.produce('t', repeat('y', 1000), queue_id => 0)) FROM generate_series(1, 1000) i;
CHECKPOINT;
EOQ
my ($syncs_now, $synced) = split /\|/, $node->safe_psql('postgres', $keeper);
cmp_ok($syncs_now, '>', $syncs, 'a checkpoint is a sync');
cmp_ok($synced, '>', 1_000_000, 'the sync flushes what was produced before it');
cmp_ok($synced, '<', 3_000_000, 'the sync flushes little else');

my $janitor = "SELECT state, errors > 0, last_error FROM rocketq.workers WHERE worker = 'janitor'";
row_is($node, 'no errors', '0|0|0', <<'EOQ');
SELECT sum(errors), count(last_error), count(last_error_at) FROM rocketq.workers
EOQ
rq_arm($node, 'janitor-settle=error');
rq_poll_query($node, 'the janitor to fail',
	"SELECT state = 'failing' AND last_error_at < clock_timestamp() FROM rocketq.workers WHERE worker = 'janitor'");
like($node->safe_psql('postgres', $janitor), qr/^failing\|t\|.*fault/, 'the view shows the error of the janitor');
rq_arm($node, '');
rq_poll_query($node, 'the janitor to recover',
	"SELECT state IN ('idle', 'working') FROM rocketq.workers WHERE worker = 'janitor'");
like($node->safe_psql('postgres', $janitor), qr/\|t\|.*fault/, 'errors of the janitor remain visible');

#
# A standby.
#
my $standby = rq_standby($node);
$node->safe_psql('postgres', <<'EOQ');
SELECT count(rocketq.produce('t', repeat('z', i), queue_id => i % 3)) FROM generate_series(1, 300) i;
SELECT rocketq.commit_offset('t', 'g', 1, 7001);
EOQ
rq_catch_up($node, $standby);
check_bytes($standby, 'standby', 't');
my $everywhere = <<'EOQ';
SELECT queue_id, q.min_offset, q.max_offset, q.bytes, q.unresolved, q.oldest_at, q.newest_at, q.unresolved_pid,
	g.committed_offset, g.lag, g.oldest_unconsumed_at, t.messages, t.bytes, t.groups, t.max_lag
FROM rocketq.topics t JOIN rocketq.queues q USING (topic) JOIN rocketq.groups g USING (topic, queue_id)
WHERE topic = 't' ORDER BY queue_id
EOQ
rq_poll(
	'the standby to have all resolved',
	sub {
		return $node->safe_psql('postgres', $everywhere) eq
		  $standby->safe_psql('postgres', $everywhere);
	});
row_is($standby, 'no rates on a standby', '0|0|0|0|0', <<'EOQ');
SELECT count(rates_since), count(produced_per_second), count(produced_bytes_per_second),
	(SELECT count(consumed_per_second) FROM rocketq.groups),
	(SELECT count(consumed_per_second) FROM rocketq.group_totals) FROM rocketq.topics
EOQ
row_is($standby, 'no workers, either', "in recovery|\nin recovery|\nin recovery|",
	'SELECT state, pid FROM rocketq.workers');
$standby->stop;

#
# Half a minute later the period of the rates has moved on, and this topic's
# rate is zero.
#
rq_poll_query($node, 'the next samples',
	"SELECT rates_since > '$rated' AND (SELECT sum(consumed_per_second) = 0 FROM rocketq.groups WHERE topic = 'rated')"
	  . " FROM rocketq.topics WHERE topic = 'rated'");
row_is($node, 'rates of a topic at rest', '0|0|0', <<'EOQ');
SELECT produced_per_second, produced_bytes_per_second,
	(SELECT sum(consumed_per_second) FROM rocketq.groups g WHERE g.topic = t.topic)
FROM rocketq.topics t WHERE topic = 'rated'
EOQ

#
# Bytes after a crash: of messages in the state file, in the WAL after it, and
# in both, because they arrived between the redo pointer and the copy of the
# state.
#
my $some = "SELECT count(rocketq.produce('t', repeat('c', i), queue_id => i % 3)) FROM generate_series(1, 500) i";
$node->safe_psql('postgres', "$some; CHECKPOINT; $some");
my $before = scanned($node, 't');
rq_kill9($node, all => 1);
rq_start($node);
check_bytes($node, 'after a crash', 't');
is(scanned($node, 't'), $before, 'after a crash: all messages are there');

my ($checkpoint, $keeper_pid) = rq_checkpoint_held($node);
$node->safe_psql('postgres', $some);
kill('CONT', $keeper_pid);
rq_poll('the state to be written',
	sub { return $node->safe_psql('postgres', $keeper) =~ /^[1-9]/; });
rq_poll_stopped($keeper_pid);
$before = scanned($node, 't');
rq_disarm($node);
rq_kill9($node, all => 1);
eval { $checkpoint->{run}->finish; };
rq_start($node);
check_bytes($node, 'after a crash in a checkpoint', 't');
is(scanned($node, 't'), $before, 'after a crash in a checkpoint: all messages are there');

#
# Bytes after the log has been trimmed, and after a crash.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.reset_offset(topic, 'g', 'last') FROM rocketq.topics;
ALTER SYSTEM SET rocketq.retention_time = '1ms';
EOQ
rq_reload($node);
rq_poll_query($node, 'the queues to be trimmed',
	"SELECT min(min_offset) > 0 FROM rocketq.queues WHERE topic = 't' AND queue_id < 2");
$node->safe_psql('postgres', 'ALTER SYSTEM SET rocketq.retention_time = -1');
rq_reload($node);
rq_wait_ticks($node, 'janitor', 2);
check_bytes($node, 'trimmed', 't');
$before = scanned($node, 't');
rq_kill9($node, all => 1);
rq_start($node);
check_bytes($node, 'trimmed, after a crash', 't');
is(scanned($node, 't'), $before, 'trimmed, after a crash: all messages are there');
$node->restart;
check_bytes($node, 'trimmed, after a restart', 't');

# A truncated topic inherits nothing.
$node->safe_psql('postgres', "TRUNCATE t; SELECT rocketq.produce('t', 'x', queue_id => 2)");
is(scanned($node, 't'), $node->safe_psql('postgres', <<'EOQ'), 'bytes after TRUNCATE');
SELECT queue_id, 0, queue_id / 2, queue_id / 2 * 72 FROM rocketq.queues WHERE topic = 't' ORDER BY 1
EOQ
check_bytes($node, 'after TRUNCATE', 't');
rq_verify($node, 'at the end');
$node->stop;

done_testing();

# 008_gather.pl -- messages that one statement produces share WAL records,
# without any visible effect: neither to concurrent sessions, nor after errors,
# rollbacks and crashes in the middle.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.retention_time = -1
rocketq.flush_delay = 50ms
log_checkpoints = on
EOC

sub sql { return $node->safe_psql('postgres', $_[0]); }

# The number of records that the SQL writes.
sub records_of
{
	my ($sql) = @_;
	my $before = sql('SELECT wal_records FROM rocketq.stats');

	sql($sql);
	return sql('SELECT wal_records FROM rocketq.stats') - $before;
}

# Messages of topic t that differ from what was produced, in queue order.
my $wrong = <<'EOQ';
SELECT count(*) FROM (
	SELECT row_number() OVER w AS n, rocketq.text(body) AS body, message_id - lag(message_id) OVER w AS step
	FROM rocketq.pull('t', 0, 0, 1000000) WINDOW w AS (ORDER BY queue_offset)) m
WHERE body <> 'message ' || n OR step <= 0
EOQ
my $count = "SELECT count(*) FROM rocketq.pull('t', 0, 0, 1000000)";
my $produce = "rocketq.produce('t', 'message ' || i, queue_id => 0)";

#
# What is gathered.
#
sql("SELECT rocketq.create_topic('t', 2), rocketq.create_topic('ballast', 1), rocketq.create_topic('far', 1)");
cmp_ok(records_of("SELECT count($produce) FROM generate_series(1, 10000) i"),
	'<', 300, 'a statement writes one record for many messages');
is(sql($count), '10000', 'all gathered messages are there');
is(sql($wrong), '0', 'they are in order, as they were produced');
cmp_ok(records_of("INSERT INTO t (body, queue_id) SELECT convert_to('message ' || i, 'UTF8'), 0 FROM generate_series(10001, 20000) i"),
	'<', 300, 'so does INSERT ... SELECT');
sql(<<'EOQ');
CREATE TABLE orders (i int);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rocketq.produce('t', 'message ' || NEW.i, queue_id => 0);
	RETURN NULL;
END $$;
CREATE TRIGGER tell AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tell();
EOQ
cmp_ok(records_of('INSERT INTO orders SELECT generate_series(20001, 30000)'),
	'<', 300, 'gathered messages of a trigger');
cmp_ok(records_of("SELECT $produce FROM generate_series(30001, 30003) i"),
	'>=', 4, 'a few messages are written one by one');
is(sql($wrong), '0', 'all of them are as they were produced');
rq_verify($node, 'gathered messages');

# Little space of chunks is wasted, however many of them end early.
sub bytes_of
{
	my ($sql) = @_;
	my $before = sql("SELECT rocketq.produce('ballast', 'x')");

	sql($sql);
	return sql("SELECT rocketq.produce('ballast', 'x')") - $before;
}

cmp_ok(bytes_of("SELECT count(rocketq.produce('ballast', 'x')) FROM generate_series(1, 10000)"),
	'<', 1.2 * 10000 * 72, 'fillers are small compared with messages');
cmp_ok(bytes_of(<<'EOQ'), '<', 1.4 * 2000 * 72, 'fillers are small when the last messages come slowly');
SELECT rocketq.produce('ballast', 'x'), pg_sleep(CASE WHEN i > 1990 THEN 0.11 END)
FROM generate_series(1, 2000) i
EOQ
cmp_ok(bytes_of(<<'EOQ'), '<', 1.4 * 4000 * 72, 'fillers are small when every other message is non-transactional');
SELECT count(rocketq.produce('ballast', 'x', transactional => i < 2000 OR i % 2 = 0))
FROM generate_series(1, 4000) i
EOQ
sql(<<'EOQ');
CREATE FUNCTION fail() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rocketq.produce('ballast', 'x') FROM generate_series(1, 2000);
	FOR i IN 1 .. 1000 LOOP
		PERFORM rocketq.produce('ballast', 'x');
		BEGIN
			PERFORM 1 / (i - i);
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP;
END $$;
EOQ
cmp_ok(bytes_of('SELECT fail()'), '<', 1.4 * 3000 * 72, 'fillers are small when each message is followed by an error');

# A session that writes at the end of a segment needs the next one as well, at
# a time when it has mapped as many as it keeps.
foreach my $n (60 .. 64)
{
	sql("SELECT count(rocketq.produce('far', repeat('x', 900000))) FROM generate_series(1, 70)")
	  if $n == 60;
	sql(<<"EOQ");
SELECT rocketq.produce('far', 'x');
SELECT sum(length(body)) FROM rocketq.pull('far', 0, 0, $n);
SELECT rocketq.produce('far', repeat('x', 900000));
EOQ
}
is(sql('SELECT count(*) FROM far'), 70 + 2 * 5, 'segments in use stay mapped');

# Each statement of a session separately, with a savepoint in the middle.
sql(<<"EOQ");
BEGIN;
SELECT count($produce) FROM generate_series(30004, 31000) i;
SAVEPOINT s;
SELECT count($produce) FROM generate_series(1, 1000) i;
ROLLBACK TO s;
DO \$\$
BEGIN
	PERFORM $produce FROM generate_series(31001, 32000) i;
	BEGIN
		PERFORM $produce, 1 / (900 - i) FROM generate_series(1, 1000) i;
	EXCEPTION WHEN division_by_zero THEN
		PERFORM $produce FROM generate_series(32001, 33000) i;
	END;
END \$\$;
COMMIT;
EOQ
is(sql($count), '33000', 'messages rolled back to a savepoint are not there');
is(sql($wrong), '0', 'messages outside of the savepoint are there');

# A chunk is not lost while its statement maps more of the log than one process
# keeps.
sql("SELECT count(rocketq.produce('ballast', repeat('x', 900000))) FROM generate_series(1, 160)");
sql(<<"EOQ");
SET max_parallel_workers_per_gather = 0;
SELECT count(rocketq.produce('t', 'message ' || (33000 + i) || CASE WHEN i = 1500
	THEN (SELECT left(max(rocketq.text(body)), 0) FROM ballast) ELSE '' END, queue_id => 0))
FROM generate_series(1, 2000) i
EOQ
is(sql($count), '35000', 'a statement that reads a lot produces all');
is(sql($wrong), '0', 'a statement that reads a lot produces the right messages');

#
# In the middle of a statement: it waits for a lock with an unfinished chunk,
# right after large messages and a non-transactional one.
#
my $lock = $node->background_psql('postgres');
$lock->query_safe('SELECT pg_advisory_lock(1)');
my $statement = <<'EOQ';
SELECT count(rocketq.produce('t', CASE WHEN i IN (900, 1490) THEN repeat('x', 100000) ELSE 'x' END ||
	CASE WHEN i = 1500 THEN pg_advisory_lock(1)::text ELSE '' END,
	queue_id => 1, transactional => i <> 1480)) FROM generate_series(1, 1600) i
EOQ

my $in_the_middle = $statement;

sub wait_in_the_middle
{
	my ($before) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query($before) if $before;
	$session->query_until(qr/begun/, "\\echo begun\n$in_the_middle;\n");
	rq_poll_query($node, 'the statement to be in the middle',
		"SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid");
	return ($session, $pid);
}

# Is everything that is in the log by now known to be complete?  Then full
# segments are flushed early, and the checkpoint has only one left.
sub is_whole
{
	my ($label) = @_;

	sql('CHECKPOINT');
	sql("SELECT count(rocketq.produce('ballast', repeat('x', 100000))) FROM generate_series(1, 60)");
	rq_wait_ticks($node, 'keeper', 10);
	return is(rq_checkpoint_segments($node), 1, "$label: nothing of the log is held back");
}

my ($session, $pid) = wait_in_the_middle();
rq_verify($node, 'in the middle of a statement');
is(sql("SELECT count(*) FROM rocketq.pull('t', 1, 0, 10000)"), '1',
	'a non-transactional message is there before the statement ends');
sql('CHECKPOINT');
sql("SELECT pg_terminate_backend($pid)");
eval { $session->quit; };
rq_poll_query($node, 'the session to end',
	"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
is_whole('terminated in the middle');

($session, $pid) = wait_in_the_middle();
sql("SELECT pg_cancel_backend($pid)");
rq_poll_query($node, 'the statement to end',
	"SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
is_whole('cancelled in the middle');
eval { $session->quit; };

($session, $pid) = wait_in_the_middle('BEGIN; SAVEPOINT s;');
sql("SELECT pg_cancel_backend($pid)");
rq_poll_query($node, 'the statement to end',
	"SELECT state = 'idle in transaction (aborted)' FROM pg_stat_activity WHERE pid = $pid");
is_whole('cancelled in a subtransaction');
# Its answer to the cancel request has not been read yet.
$session->query('ROLLBACK TO s');
$session->{stderr} = '';
$session->query_safe("SELECT count(rocketq.produce('t', 'x', queue_id => 1)) FROM generate_series(1, 1000) i");
is_whole('a transaction sits idle behind a statement');
$session->query_safe('COMMIT');
$session->quit;
is(sql("SELECT count(*) FROM rocketq.pull('t', 1, 0, 10000)"), '1003',
	'the cancelled session commits what it should');

# A function runs for a long time after it has produced.
sql(<<'EOQ');
CREATE FUNCTION long() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rocketq.produce('t', 'x', queue_id => 1) FROM generate_series(1, 1000);
	PERFORM pg_sleep(0.2);
	PERFORM pg_advisory_lock(1);
END $$;
EOQ
$in_the_middle = 'SELECT long()';
($session, $pid) = wait_in_the_middle();
is_whole('a function goes on');
sql("SELECT pg_terminate_backend($pid)");
eval { $session->quit; };

# The server crashes; more than once, with a checkpoint in between or without.
$in_the_middle = $statement;
foreach my $checkpoint (0, 1)
{
	($session, $pid) = wait_in_the_middle();
	sql("SELECT count(rocketq.produce('ballast', 'behind it')) FROM generate_series(1, 100)");
	sql('CHECKPOINT') if $checkpoint;
	rq_kill9($node, all => 1);
	eval { $session->quit; };
	eval { $lock->quit; };
	rq_start($node);
	rq_verify($node, "crashed in the middle, $checkpoint");
	is(sql("SELECT count(*) FROM rocketq.pull('t', 1, 0, 10000)"), 1004 + $checkpoint,
		'of the statement, only the non-transactional message is there');
	is(sql("SELECT count(*) FROM ballast WHERE rocketq.text(body) = 'behind it'"),
		100 + 100 * $checkpoint, 'what others committed after it is there');
	is_whole('after the crash');
	$lock = $node->background_psql('postgres');
	$lock->query_safe('SELECT pg_advisory_lock(1)');
}
$lock->quit;
is(sql($wrong), '0', 'everything else is unchanged');

#
# Is it on disk?  A chunk is in flight across checkpoints and restarts of the
# keeper.
#
sql('ALTER SYSTEM SET rocketq.flush_delay = -1');
rq_reload($node);

# A session waits with a chunk while the log grows past it, and even past its
# segment.
sub wait_with_chunk
{
	my $segment = sql("SELECT replace(file, 'pg_rocketq/', '') FROM rocketq.segments WHERE state = 'writing'");

	$lock = $node->background_psql('postgres');
	$lock->query_safe('SELECT pg_advisory_lock(1)');
	$in_the_middle = <<'EOQ';
SELECT count(rocketq.produce('t', 'x' || CASE WHEN i = 38 THEN pg_advisory_lock(1)::text ELSE '' END))
FROM generate_series(1, 39) i
EOQ
	my @session = wait_in_the_middle(@_);
	sql("SELECT count(rocketq.produce('ballast', repeat('x', 100000))) FROM generate_series(1, 30)");
	sql('CHECKPOINT') foreach (1 .. 3);
	return (@session, $segment);
}

SKIP:
{
	my $segment;

	($session, $pid, $segment) = wait_with_chunk();
	skip('the kernel does not tell which pages are dirty', 3)
	  if !defined rq_shm_dirty_kb($pid, $segment);
	my $keeper = rq_worker_pid($node, 'keeper');
	sql("SELECT pg_terminate_backend($keeper)");
	rq_poll_query($node, 'the keeper to go',
		"SELECT pid IS DISTINCT FROM $keeper FROM rocketq.workers WHERE worker = 'keeper'");
	$lock->quit;
	rq_poll_query($node, 'the statement to end',
		"SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
	is(rq_shm_dirty_kb($pid, $segment), 0, 'a chunk written between two runs of the keeper is on disk when it is committed');
	$session->quit;

	skip('no fault points', 2) if !rq_has_faults($node);
	($session, $pid, $segment) = wait_with_chunk("SET rocketq.fault = 'gather-write=stop'");
	$lock->quit;
	rq_poll_stopped($pid);
	cmp_ok(rq_shm_dirty_kb($pid, $segment), '>', 0, 'frames of a chunk are stored');
	sql('CHECKPOINT');
	is(rq_shm_dirty_kb($pid, $segment), 0, 'frames of the chunk are on disk although nothing else has changed');
	kill('CONT', $pid);
	$session->quit;
}
rq_verify($node, 'at the end');
$node->stop;

done_testing();

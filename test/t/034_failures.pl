# 034_failures.pl -- commits that fail after everything has been enqueued,
# sessions that time out, and memory or temporary space that runs out: a clear
# error, nothing left behind, and a session that still works.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main', conf => "rocketq.segment_size = '1MB'");
rq_require_faults($node);
rq_create_load($node);
$node->safe_psql('postgres', <<'EOQ');
SELECT load.make_for(k, 5) FROM generate_series(0, 39) k;
CREATE TABLE load.parent (id int PRIMARY KEY);
CREATE TABLE load.child (id int REFERENCES load.parent DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE load.skew (id int PRIMARY KEY, n int);
INSERT INTO load.skew VALUES (1, 0), (2, 0);
CREATE FUNCTION load.late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM load.make_for(39, 2), load.take('all', 3);
	RETURN NULL;
END $$;
CREATE TABLE load.deferred (id int);
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON load.deferred
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION load.late();
EOQ

my $works = <<'EOQ';
SELECT load.make_for(k, 2) FROM generate_series(0, 39, 13) k;
SELECT load.take('all', 10);
EOQ
my $sent = 'SELECT count(*) FROM load.sent';

# Run a script that fails with this error, then continue in the same session:
# only what it does then takes effect.
sub fails
{
	my ($label, $error, $script) = @_;
	my $before = $node->safe_psql('postgres', $sent);
	my ($rc, $out, $err) = $node->psql('postgres', <<"EOQ", on_error_stop => 0);
\\o /dev/null
$script
ROLLBACK;
RESET ALL;
SELECT load.make_for(40, 1), load.take('all', 2);
EOQ

	like($err, $error, "$label: the error");
	is($node->safe_psql('postgres', $sent), $before + 1,
		"$label: it is rolled back, and the session still works");
	is($node->safe_psql('postgres', 'SELECT sum(unresolved) FROM rocketq.queues'),
		'0', "$label: everything is resolved");
	rq_check($node, $label);
	return;
}

#
# Errors at the end of a transaction, before and after rocketq's part of it.
#
fails('a deferred constraint', qr/violates foreign key constraint/,
	"BEGIN; INSERT INTO load.child VALUES (1); $works COMMIT;");
fails('a deferred constraint behind a trigger that produces', qr/violates foreign key constraint/,
	"BEGIN; INSERT INTO load.deferred VALUES (1); INSERT INTO load.child VALUES (1); $works COMMIT;");
fails('a cursor that fails at the end', qr/division by zero/,
	"BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1 / (id - 1) FROM load.skew; $works COMMIT;");
fails('somebody else in pre-commit', qr/fault point "precommit-done"/,
	"SET rocketq.fault = 'precommit-done=error'; BEGIN; $works COMMIT;");
fails('between two queues', qr/fault point "enqueue-done"/,
	"SET rocketq.fault = 'enqueue-done=error'; BEGIN; $works COMMIT;");
fails('behind an offset', qr/fault point "offset-wal"/,
	"SET rocketq.fault = 'offset-wal=error'; BEGIN; $works COMMIT;");

# Deferred triggers that produce are part of the transaction.
$node->safe_psql('postgres', "BEGIN; INSERT INTO load.deferred VALUES (1); $works COMMIT;");
rq_check($node, 'a deferred trigger that produces');
$node->safe_psql('postgres',
	"BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT load.make_for(k, 1) FROM generate_series(0, 9) k; COMMIT; CLOSE c");
rq_check($node, 'a cursor that produces at the end');

# A serialization failure is found after pre-commit.
{
	my $before = $node->safe_psql('postgres', $sent);
	my $one = $node->background_psql('postgres', on_error_stop => 0);
	my $two = $node->background_psql('postgres', on_error_stop => 0);

	$_->query_safe('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(n) FROM load.skew') foreach ($one, $two);
	$one->query_safe('UPDATE load.skew SET n = n + 1 WHERE id = 1; SELECT load.make_for(1, 2)');
	$two->query_safe("UPDATE load.skew SET n = n + 1 WHERE id = 2; SELECT load.make_for(2, 3); SELECT load.take('all', 5)");
	$one->query_safe('COMMIT');
	$two->query('COMMIT');
	like($two->{stderr}, qr/could not serialize access/, 'a serialization failure');
	$two->{stderr} = '';
	is($node->safe_psql('postgres', $sent), $before + 2, 'one of the two has produced');
	$two->query_safe("SELECT load.make_for(2, 1), load.take('all', 5)");
	$_->quit foreach ($one, $two);
	rq_check($node, 'a serialization failure');
}

#
# Timeouts of sessions that wait, and of idle ones.
#
{
	my $holder = $node->background_psql('postgres');
	my $next = "SELECT rocketq.reset_offset('load.topic', 'all', q, 0) FROM generate_series(0, 3) q;";

	$holder->query_safe("BEGIN; SELECT rocketq.create_group('load.topic', 'new'); $next");
	fails('lock_timeout at a queue', qr/canceling statement due to lock timeout/,
		"SET lock_timeout = 100; BEGIN; $works $next COMMIT;");
	fails('lock_timeout at a group', qr/canceling statement due to lock timeout/,
		"SET lock_timeout = 100; BEGIN; $works SELECT rocketq.drop_group('load.topic', 'new'); COMMIT;");
	$holder->query_safe('ROLLBACK');
	$holder->quit;
	rq_check($node, 'after waiting');
}
{
	my $before = $node->safe_psql('postgres', $sent);
	my $idle = $node->background_psql('postgres');

	$idle->query_safe("SET idle_in_transaction_session_timeout = 100; BEGIN; $works");
	rq_poll_query($node, 'the idle session to go', <<'EOQ');
SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'client backend'
EOQ
	eval { $idle->quit; };
	is($node->safe_psql('postgres', $sent), $before, 'idle in a transaction: it is rolled back');
	$node->safe_psql('postgres', "SELECT load.take('all', 20)");
	rq_check($node, 'idle in a transaction');
}

#
# Out of memory, at the steps that need some.
#
fails("no memory at $_", qr/fault point "$_"/,
	"SET work_mem = 64; SET rocketq.fault = '$_=error'; BEGIN; $works SELECT load.make_for(39, 4000); COMMIT;")
  foreach ('pending-add', 'pending-spill', 'precommit-sort', 'consume-read');

# A group that could not be noted must not outlive its savepoint.
$node->psql('postgres', <<'EOQ', on_error_stop => 0);
BEGIN;
SELECT load.make_for(1, 1);
SAVEPOINT a;
SET rocketq.fault = 'action-room=error';
SELECT rocketq.create_group('load.topic', 'never');
ROLLBACK TO a;
COMMIT;
EOQ
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM rocketq.groups WHERE consumer_group = 'never'"),
	'0', 'no memory to note a group: it is not there');

# Really none: the kernel refuses memory to this process, from its first
# allocation up to more than it needs.
foreach my $kb (1, 200, 1500, 3000, 6000, 12000)
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my ($has) = slurp_file("/proc/$pid/status") =~ /^VmSize:\s+(\d+) kB/m;
	my $before = $node->safe_psql('postgres', $sent);

	SKIP:
	{
		skip('no prlimit', 2)
		  if system('prlimit', "--pid=$pid", '--as=' . 1024 * ($has + $kb) . ':unlimited') != 0;
		$session->query(
			"BEGIN; SELECT count(load.make_for(k, 2)) FROM generate_series(0, 39) k; SELECT load.take('all', 10); COMMIT");
		is(system('prlimit', "--pid=$pid", '--as=unlimited'), 0, "$kb kB of memory: the session survives");
		$session->query('ROLLBACK');
		note("$kb kB: " . ($session->{stderr} =~ /(ERROR:.*)/ ? $1 : 'enough'));
		$session->{stderr} = '';
		ok($session->query_safe('SELECT load.make_for(40, 1)') ne '', 'the session still works');
	}
	$session->quit;
	rq_check($node, "$kb kB of memory");
}

#
# No space for the list of messages.
#
my $many = <<'EOQ';
SELECT count(rocketq.produce('load.topic', 'never', queue_id => 0))
	FROM (SELECT generate_series(1, 20000)) x;
EOQ
fails('temp_file_limit', qr/temporary file size exceeds "?temp_file_limit/,
	"SET work_mem = 64; SET temp_file_limit = 256; BEGIN; $works $many COMMIT;");

# What preceded a savepoint is unchanged, in memory or in the file.
foreach my $before (2, 4000)
{
	my $count = $node->safe_psql('postgres', $sent);

	my ($rc, $out, $err) = $node->psql('postgres', <<"EOQ", on_error_stop => 0);
\\o /dev/null
SET work_mem = 64;
SET temp_file_limit = 320;
BEGIN;
SELECT load.make_for(3, $before);
SAVEPOINT a;
$many
ROLLBACK TO a;
SELECT load.make_for(4, 4000);
COMMIT;
EOQ
	like($err, qr/temp_file_limit/, "temp_file_limit behind $before messages: the error");
	is($node->safe_psql('postgres', $sent), $count + $before + 4000,
		"temp_file_limit behind $before messages: the rest is committed");
	rq_check($node, "temp_file_limit behind $before messages");
}

# A partial write.
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	SKIP:
	{
		skip('no prlimit', 2)
		  if system('prlimit', "--pid=$pid", '--fsize=' . (16 * 1024 * 1024 + 5000) . ':unlimited') != 0;
		my $count = $node->safe_psql('postgres', $sent);

		$session->query_safe('SET work_mem = 64; BEGIN; SELECT load.make_for(5, 4000); SAVEPOINT a');
		$session->query(<<'EOQ');
SELECT count(*) FROM generate_series(1, 45) i, LATERAL
	rocketq.produce_batch('load.topic', array_fill('never'::text, ARRAY[20000]), queue_id => i % 4)
EOQ
		like($session->{stderr}, qr/could not write the temporary file of produced messages: /,
			'a file that cannot grow: the error');
		$session->{stderr} = '';
		$session->query_safe('ROLLBACK TO a');
		$session->query_safe('SELECT load.make_for(6, 4000); COMMIT');
		is($node->safe_psql('postgres', $sent), $count + 8000, 'the rest is committed');
	}
	$session->quit;
	rq_check($node, 'a file that cannot grow');
}

rq_drain($node);
rq_check($node, 'all consumed');
rq_applied_all($node, 'at the end');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_ls_tmpdir()"), '0',
	'no temporary file is left');

#
# An fsync that fails when the server starts, before the log is written on.  The
# kernel may have dropped what could not be written, and would not say so again; so
# the server must not go on.
#
my $log_from = rq_log_from($node);
rq_arm($node, 'zero-fsync=fail');
my $idle = $node->background_psql('postgres');
kill('KILL', $idle->query_safe('SELECT pg_backend_pid()'));
$node->wait_for_log(qr,PANIC:  could not fsync file "pg_rocketq/log/[0-9a-f]+": Input/output error,, $log_from);
pass('an fsync that fails ends the server');
eval { $idle->quit; };
rq_disarm_and_recover($node, $log_from);
rq_check($node, 'after an fsync that failed');

# The same in an area file, while room is made for entries of queues: it has
# entries of others, too.
$log_from = rq_log_from($node);
rq_arm($node, 'area-fsync=fail');
$node->psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('load.wants_room', 1);
SELECT count(rocketq.produce('load.wants_room', 'x')) FROM generate_series(1, 300000);
EOQ
$node->wait_for_log(qr,PANIC:  could not fsync file "pg_rocketq/queue/[0-9a-f]+": Input/output error,, $log_from);
pass('an fsync of an area file that fails ends the server');
rq_disarm_and_recover($node, $log_from);
rq_check($node, 'after an fsync of an area file that failed');
$node->safe_psql('postgres', "DROP TABLE IF EXISTS load.wants_room");

# Unless it is set that the kernel does say so again.
$node->append_conf('postgresql.conf', 'data_sync_retry = on');
rq_arm($node, 'zero-fsync=fail');
$log_from = rq_log_from($node);
$node->restart;
$node->wait_for_log(qr,LOG:  could not fsync file "pg_rocketq/log/,, $log_from);
my ($rc, $out, $err) = $node->psql('postgres', 'SELECT load.make_for(1, 1)');
like($err, qr/could not allocate segment of the rocketq commit log: Input\/output error/,
	'with data_sync_retry producers are refused');
rq_arm($node, '');
rq_poll_query($node, 'it to succeed', 'SELECT load.make_for(1, 1) IS NOT NULL');
rq_check($node, 'after one that succeeded');
unlike(slurp_file($node->logfile, $log_from), qr/PANIC/, 'and the server goes on');
$node->stop;

done_testing();

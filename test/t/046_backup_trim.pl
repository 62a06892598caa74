# 046_backup_trim.pl -- backups while segments are created and trimmed; and a
# recovery that has removed files does not end before the records of that.

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
	has_archiving    => 1,
	conf             => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.retention_time = 0
rocketq.janitor_interval = '20ms'
max_wal_size = 1GB
checkpoint_timeout = 1h
bgwriter_lru_maxpages = 0
shared_buffers = 64MB
EOC

# Each transaction puts a number into a table and into a queue, and consumes
# what is there.  So the queue contains the last of the numbers, without a gap.
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('flow', 2);
CREATE TABLE sent (queue_id int, n bigint, PRIMARY KEY (queue_id, n));
CREATE TABLE last (queue_id int PRIMARY KEY, n bigint);
INSERT INTO last VALUES (0, 0), (1, 0);
CREATE FUNCTION flow(q int, count int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	s bigint;
BEGIN
	UPDATE last SET n = n + count WHERE queue_id = q RETURNING n INTO s;
	INSERT INTO sent SELECT q, g FROM generate_series(s - count + 1, s) g;
	PERFORM rocketq.produce('flow', rpad(g::text, 3000), queue_id => q)
		FROM generate_series(s - count + 1, s) g;
	RETURN s;
END $$;
EOQ

my @jobs;

sub start_flow
{
	foreach my $queue (0, 1)
	{
		my $file = $node->basedir . "/flow$queue.pgbench";
		append_to_file($file, <<"EOS");
SELECT flow($queue, 3);
SELECT count(*) FROM rocketq.consume('flow', 'g', 1000, auto_commit => true);
EOS
		push @jobs,
		  rq_background($node, 'pgbench', '-n', '-T', '3600', '-f', $file, '-h',
			$node->host, '-p', $node->port, 'postgres');
	}
	return;
}

my $log_start = 'SELECT min(start_position) FROM rocketq.segments';

# Wait until a few more segments have been removed.
sub wait_for_trim
{
	my $segments = 3 << 20;
	my $now = $node->safe_psql('postgres', $log_start);
	return rq_poll_query($node, 'segments to be trimmed',
		"SELECT ($log_start) >= $now + $segments");
}

sub check_flow
{
	my ($copy, $label) = @_;
	my ($rc, $out, $err) = $copy->psql('postgres', <<'EOQ');
WITH m AS MATERIALIZED (
	SELECT queue_id, rocketq.text(body)::bigint AS n,
		row_number() OVER (PARTITION BY queue_id ORDER BY queue_offset) AS place
	FROM flow
), q AS (
	SELECT queue_id, min(n) AS first, max(n) AS last, count(*) AS count,
		bool_and(n = (SELECT min(n) FROM m x WHERE x.queue_id = m.queue_id) + place - 1) AS dense
	FROM m GROUP BY queue_id
)
SELECT format('queue %s: %s messages from %s to %s, the last should be %s',
	queue_id, q.count, q.first, q.last, l.n)
FROM q JOIN last l USING (queue_id) WHERE NOT dense OR q.last <> l.n
UNION ALL
SELECT format('queue %s: the table has %s rows up to %s', queue_id, count(*), l.n)
FROM sent JOIN last l USING (queue_id) GROUP BY queue_id, l.n HAVING count(*) <> l.n
EOQ
	is("$out$err", '', "$label: topic and tables agree");
	return rq_verify($copy, $label);
}

sub restore
{
	my ($name, $backup, $conf) = @_;
	return rq_restored($node, $name, $backup, conf => "rocketq.retention_time = -1\n" . ($conf // ''));
}

#
# A backup whose parts are copied with much trimming before, between and after.
#
start_flow();
wait_for_trim();
my $session = $node->background_psql('postgres');
my ($from, $to) = ($node->data_dir, $node->backup_dir . '/by_hand');
$session->query_safe('SET client_min_messages = warning');
$session->query_safe("SELECT pg_backup_start('by hand', true)");
mkdir $_ foreach ($node->backup_dir, $to, "$to/pg_rocketq", "$to/pg_wal");
foreach my $part ('queue', 'state', 'log')
{
	# A file may have been removed before it is copied.
	system("cp -a $from/pg_rocketq/$part $to/pg_rocketq/ 2>/dev/null");
	wait_for_trim();
	$node->safe_psql('postgres', 'CHECKPOINT');
}
system("cd $from && cp -a \$(ls | grep -v -e postmaster -e pg_wal -e pg_rocketq) $to/ 2>/dev/null");
append_to_file("$to/backup_label",
	$session->query_safe('SELECT labelfile FROM pg_backup_stop()') . "\n");
$session->quit;

# pg_basebackup, slow enough for segments to be removed while it copies.
my $start = $node->safe_psql('postgres', $log_start);
my $backup = rq_background($node, 'pg_basebackup', '-D', $node->backup_dir . '/slow',
	'-h', $node->host, '-p', $node->port, '-c', 'fast', '-X', 'stream', '-r', '4M');
rq_poll_query($node, 'the backup to copy',
	"SELECT count(*) = 1 FROM pg_stat_progress_basebackup WHERE phase = 'streaming database files'");
wait_for_trim();
my $running = $node->safe_psql('postgres', 'SELECT count(*) FROM pg_stat_progress_basebackup');
$backup->{run}->finish;
is($running, '1', 'segments were trimmed while the backup ran');
command_ok([ 'pg_verifybackup', $node->backup_dir . '/slow' ], 'pg_verifybackup');
$_->{run}->signal('TERM') foreach @jobs;
eval { $_->{run}->finish } foreach @jobs;

# Reading a topic may fail because a message was removed concurrently.
$node->safe_psql('postgres', "ALTER SYSTEM SET rocketq.retention_time = '-1'");
rq_reload($node);
rq_wait_ticks($node, 'janitor', 2);
check_flow($node, 'the original');

#
# Points before and after files are removed.  Nothing may be trimmed or dropped
# by chance in between, and nothing else must move the minimum recovery point.
#
sub point { return $node->safe_psql('postgres', "SELECT pg_create_restore_point('$_[0]')"); }

$node->safe_psql('postgres', 'SELECT flow(0, 1000)');
$node->safe_psql('postgres', <<'EOQ');
SELECT count(*) FROM rocketq.consume('flow', 'g', 100000, auto_commit => true);
SELECT count(*) FROM rocketq.consume('flow', 'g', 100000, auto_commit => true);
EOQ
point('before_trim');
$start = $node->safe_psql('postgres', $log_start);
$node->safe_psql('postgres', 'ALTER SYSTEM RESET rocketq.retention_time');
rq_reload($node);
rq_poll_query($node, 'segments to be trimmed', "SELECT ($log_start) > $start");
point('after_trim');

my $doomed = $node->safe_psql('postgres',
	"SELECT rocketq.create_topic('doomed', 1); SELECT rocketq.produce('doomed', 'x') \\g /dev/null");
my $janitor = rq_pause($node, 'rocketq janitor');
$node->safe_psql('postgres', 'DROP TABLE doomed');
point('before_drop');
kill('CONT', $janitor);
rq_poll_query($node, 'the topic to go',
	'SELECT count(DISTINCT relfilenode) = 1 FROM rocketq.get_queues()');
point('after_drop');
rq_archive($node);

foreach my $name ('by_hand', 'slow')
{
	my $copy = restore("all_$name", $name);

	rq_start($copy);
	rq_poll_query($copy, 'the end of recovery', 'SELECT NOT pg_is_in_recovery()');
	check_flow($copy, $name);
	rq_kill9($copy, all => 1);
	rq_start($copy);
	check_flow($copy, "$name, after a crash");
	$copy->stop;
}

# Recover to the later point, crash, and ask for the earlier one: segments of the
# log that are needed there have been removed.  A drop removes none.
foreach my $what ('trim')
{
	my $copy = restore("to_$what", 'slow', <<"EOC");
recovery_target_name = 'after_$what'
recovery_target_action = 'pause'
EOC

	rq_start($copy);
	rq_poll_query($copy, 'recovery to pause',
		"SELECT pg_get_wal_replay_pause_state() = 'paused'");
	rq_verify($copy, "$what, paused");
	rq_kill9($copy, all => 1);
	$copy->append_conf('postgresql.conf', "recovery_target_name = 'before_$what'");
	my $log_from = rq_log_from($copy);
	my $came_up = $copy->start(fail_ok => 1);
	ok(!$came_up, "$what: recovery does not end before it");
	like(slurp_file($copy->logfile, $log_from),
		qr/requested recovery stop point is before consistent recovery point/,
		"$what: and says so");
	$copy->stop('immediate') if $came_up;
}
$node->stop;

done_testing();

# 051_backup_garbage.pl -- a base backup can contain files that became garbage
# before it copied the state file: of dropped topics, removed queues and
# trimmed segments.  A standby has removed them once it has begun to replay,
# and so has a recovery that pauses.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', allows_streaming => 1, conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
rocketq.retention_time = -1
rocketq.janitor_interval = '20ms'
max_wal_size = 1GB
checkpoint_timeout = 1h
EOC
my $from = $node->data_dir;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub directory_of
{
	return sql("SELECT oid || '_' || pg_relation_filenode('$_[0]') FROM pg_database WHERE datname = 'postgres'");
}

# What was there, and must not be mistaken for garbage.
sql(<<'EOQ');
SELECT rocketq.create_topic('kept', 2), rocketq.create_topic('dropped', 1), rocketq.create_topic('narrow', 4),
	rocketq.create_topic('late_drop', 1), rocketq.create_topic('late_narrow', 4);
SELECT rocketq.produce(t, 'x', queue_id => q)
	FROM unnest(ARRAY['narrow', 'late_narrow']) t, generate_series(0, 3) q;
SELECT rocketq.produce('dropped', 'x'), rocketq.produce('late_drop', 'x');
SELECT count(rocketq.produce('kept', repeat('x', 5000), queue_id => i % 2)) FROM generate_series(1, 5000) i;
SELECT rocketq.create_group(t, 'g') FROM unnest(ARRAY['narrow', 'late_narrow']) t;
EOQ
foreach my $topic ('narrow', 'late_narrow')
{
	rq_poll("all of $topic to be consumed", sub {
			return sql("SELECT count(*) FROM rocketq.consume('$topic', 'g', 100, auto_commit => true)") eq '0'
			  && sql("SELECT sum(lag) FROM rocketq.groups WHERE topic = '$topic'") eq '0';
		});
}
my %directory = map { $_ => directory_of($_) } ('kept', 'dropped', 'narrow', 'late_drop', 'late_narrow');

#
# A backup that copies log and queues, and the state only after they have
# changed.
#
my $to = $node->backup_dir . '/by_hand';
my $session = $node->background_psql('postgres');
$session->query_safe('SET client_min_messages = warning');
$session->query_safe("SELECT pg_backup_start('by hand', true)");
mkdir $_ foreach ($node->backup_dir, $to, "$to/pg_rocketq", "$to/pg_wal");
system_or_bail('cp', '-a', "$from/pg_rocketq/log", "$from/pg_rocketq/queue", "$to/pg_rocketq/");

sub drop_and_shrink
{
	my ($drop, $narrow) = @_;

	sql("DROP TABLE $drop");
	sql("SELECT rocketq.alter_topic('$narrow', queues => 2)");
	rq_wait_ticks($node, 'janitor', 2);
	rq_extents_gone($node, "$drop and queues of $narrow to go", sub {
			return $_[0]{key} eq $directory{$drop}
			  || $_[0]{key} eq $directory{$narrow} && $_[0]{queue} >= 2;
		});
	return;
}

my $start = sql('SELECT min(start_position) FROM rocketq.segments');
drop_and_shrink('dropped', 'narrow');
sql("ALTER SYSTEM SET rocketq.retention_time = 0");
rq_reload($node);
rq_poll_query($node, 'the log to be trimmed', "SELECT min(start_position) > $start FROM rocketq.segments");
sql("ALTER SYSTEM SET rocketq.retention_time = -1");
rq_reload($node);
rq_wait_ticks($node, 'janitor', 2);
sql('CHECKPOINT');
system_or_bail('cp', '-a', "$from/pg_rocketq/state", "$to/pg_rocketq/");

# Redo removes what was removed after the state was written.
drop_and_shrink('late_drop', 'late_narrow');
sql("SELECT rocketq.produce('kept', 'last')");
system("cd $from && cp -a \$(ls | grep -v -x -e 'postmaster.*' -e pg_wal -e pg_rocketq) $to/ 2>/dev/null");
append_to_file("$to/backup_label",
	$session->query_safe('SELECT labelfile FROM pg_backup_stop()') . "\n");
$session->quit;
ok(-e "$to/pg_rocketq/log/0000000000000000", 'the backup contains removed files');
ok(index(slurp_file("$to/pg_rocketq/queue/00000000"), pack('L<2', split /_/, $directory{dropped})) > 0,
	'and extents of queues that were removed');

my $standby = rq_standby($node, backup => 'by_hand');
rq_catch_up($node, $standby);

# On a standby, the view shows no segments that are ready: they are the
# primary's.
sub no_trimmed
{
	my ($label) = @_;
	my $first = $standby->safe_psql('postgres', "SELECT replace(min(file), 'pg_rocketq/log/', '') FROM rocketq.segments");

	is(join(' ', grep { $_ lt $first } rq_store_files($standby, 'log')), '', "$label: no segment that was trimmed");
	is($standby->safe_psql('postgres', 'SELECT count(*), md5(string_agg(k::text, $$,$$)) FROM kept k'),
		sql('SELECT count(*), md5(string_agg(k::text, $$,$$)) FROM kept k'), "$label: the messages that there are");
	return;
}

my $topics = 'SELECT relfilenode, queue_id, min_offset, end_offset FROM rocketq.get_queues() ORDER BY 1, 2';
foreach my $label ('standby', 'standby, started again')
{
	rq_verify($standby, $label);
	is($standby->safe_psql('postgres', $topics), sql($topics), "$label: the topics that there are");
	no_trimmed($label);
	$standby->restart if $label eq 'standby';
}

#
# A backup that lacks a file which nothing recreates is detected when replay
# reaches consistency.
#
my ($first) = $standby->safe_psql('postgres', "SELECT replace(min(file), 'pg_rocketq/', '') FROM rocketq.segments");
system_or_bail('cp', '-a', $to, $node->backup_dir . '/holes');
unlink($node->backup_dir . "/holes/pg_rocketq/$first") or die "no such file: $!";
my $holes = rq_standby($node, name => 'holes', backup => 'holes', start => 0);
$holes->start(fail_ok => 1);
rq_poll('a standby with holes to end', sub { return !rq_processes($holes); });
rq_stopped($holes);
like(slurp_file($holes->logfile), qr/FATAL:  rocketq file "pg_rocketq\/$first" is missing or incomplete/,
	'a backup with holes: the standby does not stay up, and says why');

$standby->promote;
rq_poll_query($standby, 'the workers', 'SELECT count(pid) = 3 FROM rocketq.workers');
rq_verify($standby, 'promoted');
is($standby->safe_psql('postgres', $topics), sql($topics), 'promoted: the topics that there are');
rq_extents_gone($standby, 'extents of others to be free',
	sub { !grep { $_[0]{key} eq $_ } @directory{ 'kept', 'narrow', 'late_narrow' } });
$standby->stop;
$node->stop;

done_testing();

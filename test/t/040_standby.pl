# 040_standby.pl -- a streaming standby keeps up under load, can be read,
# refuses what it must, and after promotion has everything that was
# acknowledged.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $primary = rq_node(
	'primary',
	allows_streaming => 1,
	conf => "rocketq.segment_size = '1MB'\nmax_wal_size = 1GB");
rq_create_load($primary);
$primary->safe_psql('postgres', 'SELECT load.make_for(k, 10) FROM generate_series(0, 39) k');
my $standby = rq_standby($primary);
$primary->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
rq_reload($primary);

# Wait until it has everything, and compare.
sub compare
{
	my ($label) = @_;
	my $contents = <<'EOQ';
SELECT (SELECT md5(string_agg(m::text, '' ORDER BY message_id)) FROM load.messages('load.topic') m),
	(SELECT string_agg(concat_ws(' ', queue_id, min_offset, max_offset), ',' ORDER BY queue_id)
	 FROM rocketq.queues),
	(SELECT string_agg(concat_ws(' ', consumer_group, queue_id, committed_offset), ','
		ORDER BY consumer_group, queue_id)
	 FROM rocketq.groups)
EOQ
	rq_check($primary, "$label, primary");
	rq_catch_up($primary, $standby);
	rq_check($standby, "$label, standby");
	# How far entries are resolved is logged a little later.
	my ($here, $there);
	rq_poll(
		"$label: both to have the same",
		sub {
			$there = $primary->safe_psql('postgres', $contents);
			$here = $standby->safe_psql('postgres', $contents);
			return $here eq $there;
		});
	return is($here, $there, "$label: both have the same");
}

# Follow the primary, with concurrent readers.
my $load = rq_start_load($primary);
rq_wait_progress($primary, 500);
foreach my $i (1 .. 5)
{
	my ($rc, $out, $err) = $standby->psql('postgres', <<'EOQ');
SELECT count(*) FROM load.messages('load.topic') WHERE body <> load.body(key, seq) OR seq IS NULL;
EOQ
	is("$out$err", '0', "check $i of the standby: everything visible is consistent");
	rq_verify($standby, "check $i of the standby");
}
rq_wait_progress($primary, 500);
rq_stop_load($load);
compare('after load');

# What works on a standby and what is refused.
is( $standby->safe_psql('postgres',
		"SELECT queues, messages = (SELECT sum(messages) FROM rocketq.queues), groups FROM rocketq.topics"
	),
	'4|t|2',
	'views work');
is( $standby->safe_psql('postgres',
		"SELECT count(*) = (SELECT count(*) FROM load.sent) FROM load.topic"),
	't',
	'a scan works');
is( $standby->safe_psql('postgres', 'SELECT count(pid) FROM rocketq.workers'),
	'0', 'no worker runs');
cmp_ok($standby->safe_psql('postgres', 'SELECT count(*) FROM rocketq.segments'),
	'>', 0, 'segments are shown');
foreach my $call (
	"produce('load.topic', 'x')",
	"produce('load.topic', 'x', transactional => false)",
	"produce_batch('load.topic', array['x', 'y'])",
	"consume('load.topic', 'all')",
	"consume('load.topic', 'another')",
	"commit_offset('load.topic', 'all')",
	"commit_offset('load.topic', 'all', 0, 1)",
	"reset_offset('load.topic', 'all', 'first')",
	"create_group('load.topic', 'another')",
	"drop_group('load.topic', 'all')",
	"create_topic('another')",
	"drop_topic('load.topic')")
{
	my ($rc, $out, $err) =
	  $standby->psql('postgres', "\\set VERBOSITY verbose\nSELECT rocketq.$call");
	like($err, qr/ERROR:\s+25006: cannot .*(read-only|recovery)/,
		"read-only: $call");
}
my ($rc, $out, $err) = $standby->psql('postgres',
	"\\set VERBOSITY verbose\nINSERT INTO load.topic (body) VALUES ('x')");
like($err, qr/ERROR:\s+25006: cannot .*(read-only|recovery)/, 'read-only: INSERT');

#
# Restartpoint, and restarts from it: in order, at once, and killed.
#
foreach my $how ('fast', 'immediate', 'kill9')
{
	$load = rq_start_load($primary);
	rq_wait_progress($primary, 300);
	$primary->safe_psql('postgres', 'CHECKPOINT');
	rq_wait_progress($primary, 100);
	$primary->wait_for_catchup($standby, 'replay');
	my $redo = $standby->safe_psql('postgres', 'SELECT redo_lsn FROM pg_control_checkpoint()');
	$standby->safe_psql('postgres', 'CHECKPOINT');
	isnt( $standby->safe_psql('postgres', 'SELECT redo_lsn FROM pg_control_checkpoint()'),
		$redo, "$how: a restartpoint was made");
	if ($how eq 'kill9') { rq_kill9($standby, all => 1); }
	else { $standby->stop($how); }
	rq_start($standby);
	rq_stop_load($load);
	compare("restarted after $how");
}

# What a restartpoint covers is on disk, although the startup process has it
# mapped.
SKIP:
{
	my $pid = $standby->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'");
	my %dirty;
	foreach my $try (1 .. 5)
	{
		$primary->safe_psql('postgres',
			'SELECT load.make_for(k, 20) FROM generate_series(0, 39) k');
		$primary->wait_for_catchup($standby, 'replay');
		%dirty = map { $_ => rq_shm_dirty_kb($pid, $_) // 0 } ('log', 'queue');
		last if $dirty{log} && $dirty{queue};
	}
	skip('the kernel does not tell which pages are dirty', 2)
	  if !$dirty{log} || !$dirty{queue};
	$primary->safe_psql('postgres', 'CHECKPOINT');
	$primary->wait_for_catchup($standby, 'replay');
	is(rq_shm_dirty_kb($pid, 'log'), 0,
		'what lies before a checkpoint record is on disk: the log');
	is(rq_shm_dirty_kb($pid, 'queue'), 0, 'and the queues');
}

#
# The primary crashes: no SYNC record precedes its end-of-recovery checkpoint.
#
$load = rq_start_load($primary);
rq_wait_progress($primary, 300);
rq_kill9($primary, all => 1);
rq_stop_load($load);
rq_start($primary);
compare('after a crash of the primary');
$standby->safe_psql('postgres', 'CHECKPOINT');
rq_kill9($standby, all => 1);
rq_start($standby);
compare('a restartpoint from its recovery');

# A producer dies on the primary between storing and logging, while others
# continue: a range of the log whose bytes were never logged; redo detects
# that, or the state file lists it.
SKIP:
foreach my $case ([ 'append-store', 0 ], [ 'append-store', 1 ], [ 'gather-take', 0 ])
{
	my ($point, $checkpoint) = @$case;
	skip('no fault points', 1)
	  if !rq_has_faults($primary);
	my $session = $primary->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_safe("SET rocketq.fault = '$point=stop'");
	$session->query_until(qr/begun/,
		"\\echo begun\nSELECT load.make_for(7, 50);\n");
	rq_poll_stopped($pid);
	$primary->safe_psql('postgres',
		'SELECT load.make_for(k, 3) FROM generate_series(10, 30) k');
	$primary->safe_psql('postgres', 'CHECKPOINT') if $checkpoint;
	rq_kill9($primary, all => 1);
	eval { $session->quit; };
	rq_start($primary);
	compare("a place without WAL, $point, $checkpoint");
	rq_kill9($standby, all => 1);
	rq_start($standby);
	compare("a place without WAL, $point, $checkpoint, after a restart");
}

#
# Trims and drops are replayed.
#
$primary->safe_psql('postgres',
	"SELECT rocketq.create_topic('short', 2); SELECT rocketq.produce('short', repeat('x', 1000)) FROM generate_series(1, 5000)");
$primary->wait_for_catchup($standby, 'replay');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM short'),
	'5000', 'another topic');
$primary->safe_psql('postgres', 'DROP TABLE short');
rq_poll_query($standby, 'the topic to go on the standby',
	'SELECT count(DISTINCT relfilenode) = 1 FROM rocketq.get_queues()');
compare('after DROP TABLE');

#
# Promotion at a random moment after the primary has failed.
#
$load = rq_start_load($primary);
my $acker = rq_start_acker($primary, 2000);
rq_wait_progress($primary, rq_random(500, 1500));
rq_kill9($primary, all => rq_random(0, 1));
rq_stop_load($load);
my $acked = rq_acked($acker);
$standby->promote;
rq_poll_query($standby, 'the workers',
	'SELECT count(pid) = 3 FROM rocketq.workers');
rq_check($standby, 'after promotion');
cmp_ok(
	$standby->safe_psql('postgres', 'SELECT seq FROM load.keys WHERE key = 2000'),
	'>=', $acked, "all $acked acknowledged messages are there");
my $consumed = $standby->safe_psql('postgres',
	"SELECT count(*) FROM load.applied WHERE grp = 'all'");
cmp_ok($consumed, '>', 0, 'the groups have consumed');

$load = rq_start_load($standby);
rq_wait_progress($standby, 500);
$standby->safe_psql('postgres', 'CHECKPOINT');
rq_wait_progress($standby, 300);
rq_stop_load($load);
rq_check($standby, 'producing works after promotion');
rq_drain($standby);
rq_check($standby, 'all consumed');
rq_applied_all($standby, 'at the end');
rq_kill9($standby);
rq_start($standby);
rq_check($standby, 'and after a crash');

# The old primary on its own.
$primary->append_conf('postgresql.conf', "synchronous_standby_names = ''");
rq_start($primary);
rq_check($primary, 'the old primary');
$primary->stop;
$standby->stop;

done_testing();

# 044_replication.pl -- a standby and a cascaded one have the same bytes as the
# primary; a snapshot there agrees with the tables during replay; and whatever
# synchronous_commit promises is there after a crash of the primary or a
# failover, also when the old primary returns.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Digest::MD5 'md5_hex';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $primary = rq_node(
	'primary',
	allows_streaming => 1,
	conf             => <<'EOC');
rocketq.segment_size = '1MB'
max_wal_size = 1GB
wal_keep_size = 1GB
wal_receiver_status_interval = 1
EOC
rq_create_load($primary);
$primary->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('load.ticks', 1);
SELECT load.make_for(k, 10) FROM generate_series(0, 39) k
EOQ

sub make_standby
{
	my ($name, $from) = @_;
	return rq_standby($from, name => $name);
}

# Wait until a node has replayed what another has.
sub catch_up
{
	my ($node, $upto) = @_;

	rq_poll_query($node, $node->name . ' to catch up',
		"SELECT pg_last_wal_replay_lsn() >= '$upto'");
	return;
}

#
# The bytes.  Frames are compared one by one, because what follows a filler's
# header is not logged; entries from the start of a queue to its end.
#
sub frames
{
	my ($node) = @_;
	my @frames;

	foreach my $segment (split /\n/, $node->safe_psql('postgres', <<'EOQ'))
SELECT file, start_position, used_bytes FROM rocketq.segments WHERE state <> 'ready'
ORDER BY start_position
EOQ
	{
		my ($file, $start, $used) = split /\|/, $segment;
		my $bytes = slurp_file($node->data_dir . "/pg_rocketq/log/" . ($file =~ s,.*/,,r));
		my $at = 64;

		push @frames, unpack('H*', substr($bytes, 0, $at));
		while ($at + 64 <= $used)
		{
			my ($magic, $crc, $pos, $len, $version, $kind) =
			  unpack('L L Q L C C', substr($bytes, $at, 22));
			die sprintf('no frame at %d of %s of %s', $at, $file, $node->name)
			  if $magic != 0x52514652 || $pos != $start + $at;
			push @frames, "$pos $len $kind "
			  . md5_hex(substr($bytes, $at, $kind == 2 ? 64 : $len));
			$at += $len;
		}
	}
	return @frames;
}

sub entries
{
	my ($node) = @_;
	my @entries;

	foreach my $queue (split /\n/, $node->safe_psql('postgres', <<'EOQ'))
SELECT database, relfilenode, queue_id, min_offset, end_offset
FROM rocketq.get_queues() ORDER BY 1, 2, 3
EOQ
	{
		my ($db, $rel, $id, $min, $end) = split /\|/, $queue;

		push @entries, $queue;
		push @entries, map { unpack('H*', $_) } rq_entries($node, "${db}_$rel", $id, $min, $end);
	}
	return @entries;
}

# The first difference of two lists, empty if there is none.
sub difference
{
	my ($one, $other) = @_;
	my $last = $#$one > $#$other ? $#$one : $#$other;

	foreach my $i (0 .. $last)
	{
		my ($left, $right) = ($one->[$i] // 'nothing', $other->[$i] // 'nothing');
		return "item $i: $left, $right" if $left ne $right;
	}
	return '';
}

# A checkpoint logs which entries are aborted.
sub compare_bytes
{
	my ($label, $from, @others) = @_;
	my $offsets = <<'EOQ';
SELECT string_agg(concat_ws(' ', group_id, consumer_group, queue_id, committed_offset),
	',' ORDER BY group_id, queue_id) FROM rocketq.get_groups()
EOQ
	rq_check($from, "$label, " . $from->name);
	$from->safe_psql('postgres', 'CHECKPOINT');
	my $upto = rq_flush($from);
	my @frames = frames($from);
	my @entries = entries($from);
	note(@frames . ' frames, ' . @entries . ' entries');
	foreach my $node (@others)
	{
		catch_up($node, $upto);
		my $name = $node->name;
		rq_verify($node, "$label, $name");
		is(difference(\@frames, [ frames($node) ]), '', "$label, $name: the same log");
		is(difference(\@entries, [ entries($node) ]), '', "$label, $name: the same queues");
		is( $node->safe_psql('postgres', $offsets),
			$from->safe_psql('postgres', $offsets),
			"$label, $name: the same offsets");
	}
	return;
}

#
# Two standbys follow, one cascaded from the other.
#
my $standby = make_standby('standby', $primary);
my $cascade = make_standby('cascade', $standby);

my $load = rq_start_load($primary);
rq_wait_progress($primary, 300);
foreach my $round (1 .. 4)
{
	rq_check_snapshot($_, "look $round at " . $_->name)
	  foreach ($standby, $cascade);
	rq_wait_progress($primary, 100);
}
rq_stop_load($load);
compare_bytes('after load', $primary, $standby, $cascade);

# In WAL written at the end of the primary's own recovery, no sync of its
# keeper precedes the checkpoint record.  What precedes it is on disk all the
# same.
$load = rq_start_load($primary);
rq_wait_progress($primary, 200);
rq_kill9($primary, all => 1);
rq_stop_load($load);
rq_start($primary);
compare_bytes('after a crash of the primary', $primary, $standby, $cascade);
SKIP:
foreach my $node ($standby, $cascade)
{
	my $name = $node->name;
	my $pid = $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'");

	$primary->safe_psql('postgres', 'SELECT load.make_for(k, 20) FROM generate_series(0, 39) k');
	catch_up($node, $primary->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()'));
	skip('the kernel does not tell which pages are dirty', 3)
	  if !rq_shm_dirty_kb($pid, 'log') || !rq_shm_dirty_kb($pid, 'queue');
	rq_kill9($primary, all => 1);
	rq_start($primary);
	my ($redo, $behind) = split /\|/, $primary->safe_psql('postgres',
		'SELECT redo_lsn, checkpoint_lsn + 1 FROM pg_control_checkpoint()');
	catch_up($node, $behind);
	$node->safe_psql('postgres', 'CHECKPOINT');
	is( $node->safe_psql('postgres',
			"SELECT redo_lsn >= '$redo' FROM pg_control_checkpoint()"),
		't',
		"$name: a restartpoint from the primary's recovery");
	is(rq_shm_dirty_kb($pid, $_), 0, "$name: what it covers is on disk: $_")
	  foreach ('log', 'queue');
}
$cascade->stop;

#
# synchronous_commit.  Clients record what was acknowledged; then the primary
# dies.  The test checks each promise where it was made.
#

# Messages outside of transactions, one after the other.
sub start_ticker
{
	my ($node) = @_;
	my $script = $node->basedir . '/ticker.sql';
	my $result = $node->basedir . '/ticked';

	unlink($result);
	if (!-e $script)
	{
		my $from = $node->safe_psql('postgres',
			"SELECT coalesce(max(rocketq.text(body)::int), 0) FROM load.ticks");
		append_to_file($script, join('', map { <<"EOS" } ($from + 1 .. $from + 20_000)));
SELECT $_ FROM rocketq.produce('load.ticks', '$_', transactional => false);
EOS
	}
	my $job = rq_background($node, 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1',
		'-f', $script, '-o', $result, '-d', $node->connstr('postgres'));
	$job->{result} = $result;
	$job->{script} = $script;
	return $job;
}

sub check_acked
{
	my ($node, $label, $key, $acked, $ticked) = @_;

	cmp_ok($acked, '>', 0, "$label: transactions were acknowledged");
	cmp_ok(
		$node->safe_psql('postgres',
			"SELECT coalesce(max(seq), 0) FROM load.keys WHERE key = $key"),
		'>=', $acked, "$label: all $acked are there");
	cmp_ok($ticked, '>', 0, "$label: so were messages outside of transactions");
	my ($count, $max, $bad) = split /\|/, $node->safe_psql('postgres', <<"EOQ");
SELECT count(*), coalesce(max(n), 0), count(*) FILTER (WHERE n <= before)
FROM (SELECT n, lag(n) OVER (ORDER BY queue_offset) AS before
	FROM (SELECT queue_offset, rocketq.text(body)::int AS n FROM load.ticks) t) t
EOQ
	cmp_ok($max, '>=', $ticked, "$label: all up to $ticked are there");
	is("$count $bad", "$max 0", "$label: each once, in order");
	return;
}

# The load and the two clients under one setting, until the primary dies.
sub run_until_crash
{
	my ($setting, $key) = @_;

	$primary->append_conf('postgresql.conf', "synchronous_commit = $setting");
	$primary->append_conf('postgresql.conf', "synchronous_standby_names = '*'");
	rq_reload($primary);
	$load = rq_start_load($primary, produce => 2, consume => 1);
	my $acker = rq_start_acker($primary, $key);
	my $ticker = start_ticker($primary);
	rq_wait_progress($primary, rq_random(300, 900));
	rq_poll('both to be acknowledged',
		sub { return -s $acker->{result} && -s $ticker->{result}; });
	rq_kill9($primary, all => rq_random(0, 1));
	rq_stop_load($load);
	my @acked = (rq_acked($acker), rq_acked($ticker));
	# Where it continues depends on what was there when it ended.
	unlink($ticker->{script});
	return @acked;
}

# The primary restarts on its own; off promises only consistency.
my $key = 3000;
foreach my $setting ('off', 'local')
{
	my ($acked, $ticked) = run_until_crash($setting, ++$key);
	$primary->append_conf('postgresql.conf', "synchronous_standby_names = ''");
	rq_start($primary);
	rq_check($primary, "$setting, after a crash");
	check_acked($primary, $setting, $key, $acked, $ticked)
	  if $setting eq 'local';
	compare_bytes($setting, $primary, $standby);
}

# The standby takes over, and the old primary follows it.
foreach my $setting ('remote_write', 'on', 'remote_apply')
{
	my ($acked, $ticked) = run_until_crash($setting, ++$key);

	# What was promised to be applied is visible.
	check_acked($standby, "$setting, standby", $key, $acked, $ticked)
	  if $setting eq 'remote_apply';
	$standby->append_conf('postgresql.conf', "synchronous_standby_names = ''");
	$standby->promote;
	rq_poll_query($standby, 'the workers', 'SELECT count(pid) = 3 FROM rocketq.workers');
	rq_check($standby, "$setting, promoted");
	check_acked($standby, $setting, $key, $acked, $ticked);
	$load = rq_start_load($standby);
	rq_wait_progress($standby, 200);
	rq_stop_load($load);
	$standby->safe_psql('postgres', 'CHECKPOINT');

	# It was not shut down cleanly, so pg_rewind first starts it in single-user
	# mode.
	my $conf = slurp_file($primary->data_dir . '/postgresql.conf');
	command_ok(
		[
			'pg_rewind', '--target-pgdata', $primary->data_dir,
			'--source-server', $standby->connstr('postgres')
		],
		"$setting: pg_rewind of the crashed primary");
	unlink($primary->data_dir . '/postgresql.conf');
	append_to_file($primary->data_dir . '/postgresql.conf', $conf);
	$primary->append_conf('postgresql.conf', "synchronous_standby_names = ''");
	$primary->enable_streaming($standby);
	$primary->set_standby_mode();
	rq_start($primary);
	compare_bytes("$setting, rewound", $standby, $primary);
	($primary, $standby) = ($standby, $primary);
}

rq_drain($primary);
rq_check($primary, 'all consumed');
rq_applied_all($primary, 'at the end');
$standby->stop;
$primary->stop;

done_testing();

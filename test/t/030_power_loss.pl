# 030_power_loss.pl -- the power is cut under load, at random moments and when
# operations are half done, on ext4 and on XFS.  Whatever was not fsynced is
# lost, and nothing that was acknowledged is.  The same for a standby.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqLedger;
use RocketqPower;
use RocketqTest;
use Test::More;
use Time::HiRes qw(usleep);

rq_power_require();
rq_seed();

my ($node, $ledger);
my $others = 0;
my $producers = 2;

# ---- moments ----

# A client that is expected to fail.
sub client
{
	my (@sql) = @_;
	return rq_background($node, 'psql', '-XAtq', '-d', $node->connstr('postgres'),
		map { ('-c', $_) } @sql);
}

# More than a segment of messages that only fill space.
my $ballast = "SELECT count(rocketq.produce('ledger.ballast', repeat('x', 100000)))
	FROM generate_series(1, 12)";

# Messages that are gathered.
my $many = "SELECT count(rocketq.produce('ledger.ballast', 'x')) FROM generate_series(1, 1000)";

sub stop_at
{
	my ($point, @sql) = @_;
	# An image is written only when the state file has become long.
	rq_arm($node, ($point =~ /^state-(rename|image)/ ? 'state-long=fail,' : '') . "$point=stop");
	my @client = @sql ? client(@sql) : ();
	rq_power_stopped($node, $point);
	return @client;
}

sub stop_at_trim
{
	my (@arguments) = @_;
	$node->safe_psql('postgres', 'ALTER SYSTEM SET rocketq.retention_time = 0');
	return stop_at(@arguments);
}

# Extents are given back, and a sync makes them free; meanwhile others are taken.
sub freed_and_checkpoint
{
	my $name = other_topic();

	$node->safe_psql('postgres', "DROP TABLE $name");
	rq_wait_ticks($node, 'janitor', 2);
	return ('CHECKPOINT', ($many) x 20, 'CHECKPOINT');
}

# So much changes that a sync has more than one batch.
sub many_queues_and_checkpoint
{
	return (
		"SELECT rocketq.create_topic('wide_' || i, 1000) FROM generate_series(1, 4) i WHERE to_regclass('wide_' || i) IS NULL",
		("SELECT count(rocketq.produce(('wide_' || i)::regclass, 'x', queue_id => q)) FROM generate_series(1, 4) i, generate_series(0, 999) q",
			'CHECKPOINT') x 10);
}

# Another topic, with messages in it.
sub other_topic
{
	my $name = 'other_' . ++$others;
	$node->safe_psql('postgres', <<"EOQ");
SELECT rocketq.create_topic('$name', 6);
SELECT rocketq.create_group('$name', 'g');
SELECT count(rocketq.produce('$name', 'other', queue_id => i % 6)) FROM generate_series(1, 300) i;
SELECT rocketq.commit_offset('$name', 'g', q, 50) FROM generate_series(0, 5) q;
EOQ
	return $name;
}

# From here on nobody else flushes WAL.
sub pause_flushing
{
	rq_ledger_stop($ledger);
	rq_pause($node, $_) foreach ('walwriter', 'background writer');
	return;
}

# Another one after each sync.
sub state_file
{
	return join(':', (stat($node->data_dir . '/pg_rocketq/state'))[1, 7]);
}

# The state is written, but its checkpoint does not complete.  Concurrent
# commits are not flushed.
sub state_written
{
	my ($checkpoint, $keeper) = rq_checkpoint_held($node);
	my $before = state_file();

	pause_flushing();
	rq_pause($node, 'checkpointer');
	rq_ledger_start($ledger, async => 10);
	usleep(rq_random(100_000, 300_000));
	rq_ledger_stop($ledger);
	kill('CONT', $keeper);
	rq_poll('the state to be written', sub { return state_file() ne $before; });
	rq_poll_stopped($keeper);
	return $checkpoint;
}

# Everything that can be trimmed is consumed, and trimmed while its WAL is not
# flushed.
sub trim_removed
{
	$node->safe_psql('postgres', "SET synchronous_commit = off; $ballast; $ballast");
	rq_ledger_stop($ledger);
	rq_ledger_start($ledger, produce => 0, async => 0);
	# A group need not move past the last aborted messages.
	rq_poll_query($node, 'all to be consumed', <<'EOQ');
SELECT NOT EXISTS (SELECT FROM rocketq.groups g,
	LATERAL rocketq.pull(g.topic, g.queue_id, g.committed_offset, 1)
WHERE g.topic = 'ledger.topic')
EOQ
	# Recovery must not recreate the files.
	$node->safe_psql('postgres', 'CHECKPOINT');
	pause_flushing();
	return stop_at_trim('trim-removed');
}

# In the middle of recovery, after an earlier loss of power.
sub recovery
{
	my ($point) = @_;

	rq_power_cut($node, 'nothing');
	rq_ledger_stop($ledger);
	rq_power_start($node, "$point=stop");
	rq_power_stopped($node, "$point in recovery");
	return;
}

# Recovery and its checkpoint are complete, and nothing else has happened.
sub recovered
{
	rq_power_cut($node, 'nothing');
	rq_ledger_stop($ledger);
	rq_power_start($node);
	return ();
}

# Frames are stored after a sync although the log had moved on to other
# segments before it.  Their transactions are acknowledged, and synced again.
sub stored_late
{
	my @pids;

	rq_arm($node, 'append-reserve=stop');
	@pids = rq_power_stopped($node, 'append-reserve', $producers);
	rq_arm($node, '');
	$node->safe_psql('postgres', "$ballast; $ballast");
	$node->safe_psql('postgres', 'CHECKPOINT');
	# They reach the point again until they have noticed that it is disarmed.
	my $sent = $node->safe_psql('postgres', 'SELECT count(*) FROM ledger.sent');
	rq_poll(
		'the producers to go on',
		sub {
			kill('CONT', @pids);
			return $node->safe_psql('postgres', "SELECT count(*) > $sent + 20 FROM ledger.sent") eq 't';
		});
	$node->safe_psql('postgres', 'CHECKPOINT');
	return ();
}

sub in_a_checkpoint
{
	my $client = client('CHECKPOINT');
	usleep(rq_random(0, 100_000));
	return $client;
}

# Everything lies below the redo pointer, including a topic whose files are
# new.
sub after_a_checkpoint
{
	other_topic();
	$node->safe_psql('postgres', 'CHECKPOINT');
	return ();
}

# The keeper does not get to sync anything, so no checkpoint may complete.
sub checkpoint_held
{
	my ($checkpoint) = rq_checkpoint_held($node);

	rq_ledger_progress($ledger, 200);
	return $checkpoint;
}

# Entries are flagged as aborted after a sync although the queue had moved on
# to other segments before it, and everything is synced again.  After the last
# checkpoint, there is no record of the flags left to replay.
sub aborted_late
{
	my @pids;

	rq_ledger_stop($ledger);
	rq_arm($node, 'precommit-done=stop,precommit-done=error');
	my $client = client("SELECT count(rocketq.produce('ledger.late', 'late')) FROM generate_series(1, 10)");
	@pids = rq_power_stopped($node, 'precommit-done');
	rq_arm($node, '');
	$node->safe_psql('postgres',
		"SELECT count(rocketq.produce('ledger.late', 'good')) FROM generate_series(1, 5000)");
	$node->safe_psql('postgres', 'CHECKPOINT');
	kill('CONT', @pids);
	$client->{run}->finish;
	rq_poll_query($node, 'the entries to be resolved', <<'EOQ');
SELECT rocketq.max_offset(topic, 0) = max_offset
FROM rocketq.queues WHERE topic = 'ledger.late'
EOQ
	$node->safe_psql('postgres', 'CHECKPOINT') foreach (1 .. 2);
	return ();
}

# Stop points, and the SQL that makes a process reach them, if the load does
# not.
sub points
{
	my ($sql, @points) = @_;
	return map {
		my $point = $_;
		$point => sub { return stop_at($point, $sql->()); };
	} @points;
}

# What is done until the power is cut; returns the clients that lose their
# server.
my %moment = (
	points(
		sub { return (); },
		'append-reserve', 'append-store', 'append-wal', 'enqueue-store',
		'enqueue-wal', 'precommit-done', 'commit-callback'),
	points(sub { return ($many) x 100; }, 'gather-take', 'gather-write'),
	points(sub { return ('CHECKPOINT') x 1000; }, 'keeper-sync', 'keeper-fsynced', 'state-batch',
		'state-image-slice', 'state-rename', 'state-image-renamed'),
	points(sub { return ($ballast) x 100; }, 'segment-zero', 'segment-named'),
	points(sub { return "SELECT rocketq.create_topic('never', 3)"; }, 'topic-wal'),
	points(sub { return "SELECT rocketq.create_group('ledger.topic', 'never')"; }, 'group-wal'),
	points(sub { return 'DROP TABLE ' . other_topic(); }, 'drop-wal', 'extents-freed'),
	points(
		sub { return "SELECT rocketq.alter_topic('" . other_topic() . "', 2)"; },
		'alter-wal', 'alter-settled'),
	'trim-wal'                 => sub { return stop_at_trim('trim-wal', ($ballast) x 100); },
	'trim-removed'             => \&trim_removed,
	'extents-freed'            => sub { return stop_at_trim('extents-freed', ($ballast) x 100); },
	points(sub { return many_queues_and_checkpoint(); }, 'state-appended'),
	points(sub { return freed_and_checkpoint(); },
		'extents-waiting', 'area-fsynced', 'state-batch', 'extents-released', 'extent-zeroing'),
	points(
		sub {
			my $name = 'first_' . ++$others;
			return ("SELECT rocketq.create_topic('$name', 3)", "SELECT rocketq.produce('$name', 'x')");
		},
		'extent-taken', 'extent-linked'),
	'state written'            => \&state_written,
	'checkpoint held'          => \&checkpoint_held,
	'aborted late'             => \&aborted_late,
	'stored late'              => \&stored_late,
	'recovered'                => \&recovered,
	'recovery, state-rename'   => sub { return recovery('state-rename'); },
	'recovery, keeper-fsynced' => sub { return recovery('keeper-fsynced'); },
	'any'                      => sub { usleep(rq_random(0, 300_000)); return (); },
	'in a checkpoint'          => \&in_a_checkpoint,
	'after a checkpoint'       => \&after_a_checkpoint);

# These test a rule only if nothing is flushed except by the test.
my %cut_as = (
	'after a checkpoint' => 'nothing',
	'checkpoint held'    => 'nothing',
	'aborted late'       => 'nothing',
	'recovered'          => 'nothing',
	'stored late'        => 'nothing',
	'state written'      => 'nothing',
	'trim-removed'       => 'names',
	'segment-named'      => 'names');

# ---- rounds ----

# Log segments are complete from the moment they have their name.
sub check_segments
{
	my ($label) = @_;
	my @bad;

	foreach my $path (glob($node->data_dir . '/pg_rocketq/log/*'))
	{
		next if $path !~ m,/[0-9A-Fa-f]{16}$,;
		my $size = -s $path;
		open(my $file, '<', $path) or die "could not open \"$path\": $!";
		read($file, my $head, 8);
		push @bad, "$path has $size bytes" if $size != 1024 * 1024;
		push @bad, "$path has no head" if $head =~ /^\0*$/;
	}
	return is("@bad", '', "$label: log segments are complete");
}

sub come_back
{
	my ($label) = @_;

	rq_power_start($node);
	# Nothing may be trimmed while the test checks.
	if ($node->safe_psql('postgres', 'SHOW rocketq.retention_time') eq '0')
	{
		$node->safe_psql('postgres', 'ALTER SYSTEM RESET rocketq.retention_time');
		rq_reload($node);
		rq_wait_ticks($node, 'janitor', 2);
	}
	is($node->safe_psql('postgres', "SELECT count(*) FROM ledger.late WHERE rocketq.text(body) = 'late'"),
		'0', "$label: what was aborted late is not there");
	rq_ledger_check($ledger, $label);
	return;
}

sub play
{
	my ($moment, $label) = @_;
	my $modes = [ rq_power_modes() ];
	my $mode = $cut_as{$moment} // $modes->[ rq_random(0, $#$modes) ];
	my $in_recovery = $moment =~ /^recover/;
	my @clients;

	$label .= ", $moment, $mode reaches the disk";
	rq_ledger_start($ledger, produce => $producers);
	rq_ledger_progress($ledger, rq_random(20, 100));
	$node->safe_psql('postgres', 'CHECKPOINT') if rq_random(0, 1);
	@clients = $moment{$moment}->();
	rq_power_cut($node, $mode);
	rq_ledger_stop($ledger);
	eval { $_->{run}->finish; } foreach @clients;
	check_segments($label) if !$in_recovery;
	come_back($label);
	if (!rq_random(0, 7))
	{
		rq_power_cut($node, 'nothing');
		come_back("$label, and again at once");
	}
	return;
}

my @moments = shuffle(sort keys %moment);
my @file_systems = ('ext4', 'xfs');
@moments = grep { defined $moment{$_} } split /;/, $ENV{RQ_MOMENTS} if $ENV{RQ_MOMENTS};
my $rounds = rq_rounds(1);

# On one of the file systems, the log is also flushed between checkpoints.
my $early = rq_random(0, $#file_systems);

foreach my $fs (0 .. $#file_systems)
{
	my $flush_delay = $fs == $early ? '10ms' : -1;

	$node = rq_power_node($file_systems[$fs], conf => <<EOC);
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
rocketq.flush_delay = $flush_delay
wal_writer_delay = 10s
wal_writer_flush_after = 0
checkpoint_timeout = 1h
EOC
	rq_require_faults($node);
	$ledger = rq_ledger_create($node);
	$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic(name, 1)
FROM unnest('{ledger.ballast,ledger.late}'::text[]) name
EOQ

	# In one round, each moment is tested on one of the file systems.
	foreach my $round (1 .. $rounds)
	{
		foreach my $i (0 .. $#moments)
		{
			next if ($i + $fs + $round) % 2 && !$ENV{RQ_MOMENTS};
			play($moments[$i], "$file_systems[$fs], round $round");
		}
	}
	$node->stop;
	rq_start($node);
	rq_ledger_check($ledger, "$file_systems[$fs], after a clean restart");
	$node->stop;
	rq_power_remove($node);
}

#
# A standby loses its power after a restartpoint, after which it does not need
# earlier WAL: also after one at the end of the primary's recovery, which no
# sync of the primary precedes.
#
my $primary = rq_node('primary', allows_streaming => 1, conf => <<'EOC');
rocketq.segment_size = '1MB'
checkpoint_timeout = 1h
wal_keep_size = 1GB
EOC
rq_create_load($primary);
$node = rq_standby($primary, start => 0);
rq_power_move($node, $file_systems[ rq_random(0, 1) ]);
$node->start;

sub restartpoint
{
	$primary->wait_for_catchup($node, 'replay', $primary->lsn('flush'));
	$node->safe_psql('postgres', 'CHECKPOINT');
	return;
}

my @modes = ('nothing', 'nothing', rq_power_modes());
foreach my $i (0 .. $#modes)
{
	my $mode = $modes[$i];
	my $load = rq_start_load($primary);

	rq_wait_progress($primary, 100);
	if ($i % 2)
	{
		$primary->safe_psql('postgres', 'CHECKPOINT');
		restartpoint();
		rq_wait_progress($primary, rq_random(1, 100));
	}
	else
	{
		rq_kill9($primary);
		rq_stop_load($load);
		rq_start($primary);
		restartpoint();
	}
	rq_power_cut($node, $mode);
	rq_power_start($node);
	rq_stop_load($load);
	rq_catch_up($primary, $node);
	rq_check($node, "a standby, $mode reaches the disk");
}
$node->stop;
rq_power_remove($node);
$primary->stop;

done_testing();

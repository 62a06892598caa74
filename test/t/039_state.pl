# 039_state.pl -- what the state file relies on: it records the LSN up to which
# it has all topics and groups, so that redo does not recreate, in full tables,
# what was replaced while the state was copied; files that a crash leaves
# beyond the ends are removed; a sync costs what has changed, not what there is;
# and a tail that is torn is told from damage and from one that is lost.

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
rocketq.preallocate_segments = 1
rocketq.max_topics = 16
rocketq.max_groups = 16
rocketq.janitor_interval = '20ms'
checkpoint_timeout = 1h
EOC
rq_require_faults($node);
my $data = $node->data_dir;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Create numbered objects until the table is full; return their number.
sub fill
{
	my ($name, $create) = @_;
	my $n = 0;

	while (1)
	{
		my ($rc, $out, $err) = $node->psql('postgres', $create =~ s/NAME/$name$n/gr);
		last if $rc != 0 && $err =~ /too many/;
		die "could not create $name$n: $err" if $rc != 0;
		$n++;
	}
	return $n;
}

#
# Topics and groups that fill their tables are replaced by the same number of
# others between the redo pointer and the copy of the state.
#
sql("SELECT rocketq.create_topic('base', 1)");
my ($checkpoint, $keeper) = rq_checkpoint_held($node);
rq_arm($node, 'keeper-settled=stop');
kill('CONT', $keeper);
rq_poll_stopped($keeper);

my %create = (
	group => "SELECT rocketq.create_group('base', 'NAME')",
	topic => "SELECT rocketq.create_topic('NAME', 1)");
my %drop = (
	group => "SELECT rocketq.drop_group('base', 'NAME')",
	topic => 'DROP TABLE NAME');
my %left = (
	group => 'SELECT count(*) FROM rocketq.groups',
	topic => "SELECT count(*) FROM rocketq.get_topics()");
my %full;
foreach my $kind ('group', 'topic')
{
	$full{$kind} = fill("old_$kind", $create{$kind});
	cmp_ok($full{$kind}, '>', 10, "the table of ${kind}s is full");
	sql($drop{$kind} =~ s/NAME/old_$kind$_/gr) foreach 0 .. $full{$kind} - 1;

	# The janitor frees the slots.
	rq_poll("slots of ${kind}s to be free", sub {
			my ($rc) = $node->psql('postgres', $create{$kind} =~ s/NAME/new_${kind}0/gr);
			return $rc == 0;
		});
	foreach my $n (1 .. $full{$kind} - 1)
	{
		rq_poll("a slot for new_$kind$n", sub {
				my ($rc) = $node->psql('postgres', $create{$kind} =~ s/NAME/new_$kind$n/gr);
				return $rc == 0;
			});
	}
	isnt(($node->psql('postgres', $create{$kind} =~ s/NAME/one_more/gr))[0], 0,
		"the table is full again, of other ${kind}s");
}
rq_disarm($node);
rq_reload($node);
kill('CONT', $keeper);
$checkpoint->{run}->finish;
rq_kill9($node, all => 1);
rq_start($node);
is( sql("SELECT count(*), bool_and(consumer_group LIKE 'new_%') FROM rocketq.groups"),
	"$full{group}|t", 'after a crash the groups are the same');
is(sql($left{topic}), $full{topic} + 1, 'after a crash the topics are the same');
rq_verify($node, 'full tables, after a crash');
sql($drop{topic} =~ s/NAME/new_topic$_/gr) foreach 0 .. $full{topic} - 1;
rq_poll_query($node, 'the topics to go', "SELECT count(*) = 1 FROM rocketq.get_topics()");

#
# Beyond the ends: a segment of the log of a lost timeline.
#
sql("SELECT rocketq.create_topic('q', 2)");
sql("SELECT rocketq.produce('q', i::text, queue_id => i % 2) FROM generate_series(1, 100) i");

sub put
{
	my ($file, $bytes) = @_;
	open my $fh, '>:raw', $file or die "could not create \"$file\": $!";
	print $fh $bytes;
	close $fh;
	return;
}

rq_stop_hard();
put("$data/pg_rocketq/log/00000000000000FF", 'x' x (1024 * 1024));
mkdir "$data/pg_rocketq/queue/lost+found" or die "could not create a directory: $!";
rq_start($node);
is(sql("SELECT rocketq.produce('q', 'after', queue_id => 0) > 0"), 't', 'the store is open');
ok(!-e "$data/pg_rocketq/log/00000000000000FF", 'a segment of the log beyond the end is removed');
ok(-d "$data/pg_rocketq/queue/lost+found", 'files of others are kept');
rmdir "$data/pg_rocketq/queue/lost+found" or die "could not remove a directory: $!";
is(sql("SELECT count(rocketq.produce('q', i::text, queue_id => i % 2)) FROM generate_series(1, 6000) i"),
	'6000', 'the log grows over the place of this file');
is(sql('SELECT count(*) FROM q'), '6101', 'all is there');
rq_verify($node, 'beyond the ends');
$node->stop;

# Without a checkpoint, so that WAL has to be replayed.
sub rq_stop_hard
{
	$node->stop('immediate');
	return;
}

#
# A state that is larger than the buffer used to write it.
#
my $large = rq_node('large', conf => <<'EOC');
rocketq.max_queues = 200000
rocketq.max_queues_per_topic = 65535
checkpoint_timeout = 1h
EOC
my $state = $large->data_dir . '/pg_rocketq/state';

sub lsql { return $large->safe_psql('postgres', $_[0]); }

# Private memory of a process, in kB.
sub own_memory
{
	my ($pid) = @_;
	return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 : die 'no RssAnon';
}

lsql(<<'EOQ');
SELECT rocketq.create_topic('a', 1), rocketq.create_topic('b', 65535), rocketq.create_topic('c', 65535),
	rocketq.create_topic('d', 65535), rocketq.create_topic('z', 1);
SELECT rocketq.produce('a', 'a0'), rocketq.produce('z', 'z0'), rocketq.produce('c', 'c0', queue_id => 65534);
CHECKPOINT;
EOQ
my $size = -s $state;
cmp_ok($size, '>', 12 * 1024 * 1024, 'a state of many megabytes');

# An RqStateBatch without records.
my $batch = 104;
my $sums = 'SELECT topic, count(*), sum(max_offset) FROM rocketq.queues GROUP BY topic ORDER BY topic::text';

# The image is written only once; then what changes is appended.  So changes at
# its beginning, in the middle and at its end cost little, and no change only
# the note that there was none.
foreach my $change ('a', 'c', 'z', '')
{
	my ($inode, $before) = (stat($state))[1, 7];
	my $label = $change ? "a change of topic $change" : 'no change';
	my $expected;

	lsql("SELECT rocketq.produce('$change', 'x')") if $change;
	lsql('CREATE TABLE IF NOT EXISTS other (i int); INSERT INTO other VALUES (1); CHECKPOINT');
	is((stat($state))[1], $inode, "$label: the state file is not replaced");
	my $grown = (-s $state) - $before;
	cmp_ok($grown, '>', $batch, "$label: it has grown") if $change;
	is($grown, $batch, "$label: it has grown by a note") if !$change;
	cmp_ok($grown, '<', 1024, "$label: by a little");
	ok(!-e "$state.tmp", "$label: no temporary file is left");
	$expected = lsql($sums);
	rq_kill9($large, all => 1);
	rq_start($large);
	is(lsql($sums), $expected, "$label: after a crash all is there");
	# The end of recovery has written the state, and the keeper is a new one.
	lsql('CHECKPOINT');
}

# While the state is copied the keeper needs a buffer of its own, and no more.
$keeper = rq_worker_pid($large, 'keeper');
my $before = own_memory($keeper);
lsql("SELECT rocketq.produce('z', 'x')");
rq_arm($large, 'keeper-copied=stop');
rq_wait_ticks($large, 'keeper', 2);
my $job = rq_background($large, 'psql', '-XAtq', '-c', 'CHECKPOINT', '-d', $large->connstr('postgres'));
rq_poll_stopped($keeper);
cmp_ok(own_memory($keeper) - $before, '<', $size / 1024 / 2,
	'memory does not grow with the state');
rq_disarm($large);
rq_reload($large);
kill('CONT', $keeper);
$job->{run}->finish;
my $expected = lsql($sums);
$large->stop;
rq_start($large);
is(lsql($sums), $expected, 'after a restart all is there');
is($large->safe_psql('postgres', "SELECT count(*) FROM rocketq.verify()"), '0', 'verify() finds nothing');

# When the changes are longer than the image, a new image is written, in slices;
# the first checkpoint when it is complete puts it in the file's place.  So does
# the first one after a start.
lsql("SELECT rocketq.produce('a', 'y'); CHECKPOINT");
my $inode = (stat($state))[1];
foreach my $round (1 .. 2)
{
	lsql(<<'EOQ');
SELECT count(rocketq.produce(t, 'y', queue_id => i)) FROM unnest(ARRAY['b', 'c', 'd']) t, generate_series(0, 3000) i;
CHECKPOINT;
EOQ
}
is((stat($state))[1], $inode, 'changes that are shorter than the image are appended');
lsql('CREATE TABLE IF NOT EXISTS other (i int)');
rq_arm($large, 'state-long=fail');
my $checkpoints = 0;
rq_poll('an image to replace the file', sub {
		# What the image has already, and what it has yet to get.
		lsql("SELECT rocketq.produce(t, 'z') FROM unnest(ARRAY['a', 'c', 'z']) t; INSERT INTO other VALUES (1); CHECKPOINT");
		$checkpoints++;
		return (stat($state))[1] != $inode;
	});
cmp_ok($checkpoints, '>', 1, 'no checkpoint waits for the image');
rq_disarm($large);
rq_reload($large);
$expected = lsql($sums);
rq_kill9($large, all => 1);
rq_start($large);
is(lsql($sums), $expected, 'an image: after a crash all is there');
$large->stop;

#
# Tails.  The server is killed with the batches of two checkpoints in the file,
# and a third sync whose checkpoint has not completed.
#
my $tail = rq_node('tail', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
checkpoint_timeout = 1h
EOC
my $tdata = $tail->data_dir;
my $tstate = "$tdata/pg_rocketq/state";

sub tsql { return $tail->safe_psql('postgres', $_[0]); }

tsql("SELECT rocketq.create_topic('q', 3)");
tsql("SELECT rocketq.create_group('q', 'g')");
tsql('CHECKPOINT');
my @ends = (-s $tstate);
foreach my $n (1 .. 2)
{
	tsql("SELECT rocketq.produce('q', 'x', queue_id => i % 3) FROM generate_series(1, 10) i");
	tsql("SELECT count(*) FROM rocketq.consume('q', 'g', 5, auto_commit => true)");
	tsql('CHECKPOINT');
	push(@ends, -s $tstate);
	cmp_ok($ends[-1], '>', $ends[-2] + $batch, "checkpoint $n is appended");
}
($checkpoint, $keeper) = rq_checkpoint_held($tail);
tsql("SELECT rocketq.create_topic('late', 2), rocketq.produce('q', 'y')");
kill('CONT', $keeper);
rq_poll('the state to be written', sub { return -s $tstate > $ends[-1]; });
rq_poll_stopped($keeper);
push(@ends, -s $tstate);
my $looks = 'SELECT topic, queue_id, min_offset, max_offset FROM rocketq.queues ORDER BY 1, 2';
my $contents = tsql($looks);
rq_disarm($tail);
rq_kill9($tail, all => 1);
eval { $checkpoint->{run}->finish; };
my $whole = slurp_file($tstate);
my $saved = $tail->backup_dir . '/crashed';
mkdir $tail->backup_dir;
system_or_bail('cp', '-a', $tdata, $saved);

# Start from what the crash left, with another state file.
sub start_with
{
	my ($bytes) = @_;

	system_or_bail('rm', '-rf', $tdata);
	system_or_bail('cp', '-a', $saved, $tdata);
	put($tstate, $bytes);
	return $tail->start(fail_ok => 1);
}

sub starts
{
	my ($label, $bytes) = @_;

	if (!ok(start_with($bytes), "$label: the server starts"))
	{
		return;
	}
	is(tsql($looks), $contents, "$label: all is there");
	rq_verify($tail, $label);
	rq_kill9($tail, all => 1);
	return;
}

sub refuses
{
	my ($label, $bytes, $why) = @_;
	my $log_from = rq_log_from($tail);

	if (!ok(!start_with($bytes), "$label: the server does not start"))
	{
		$tail->stop;
		return;
	}
	like(slurp_file($tail->logfile, $log_from), $why, "$label: it says why");
	return;
}

sub flipped
{
	my ($at) = @_;
	my $bytes = $whole;

	substr($bytes, $at, 1) ^= "\x10";
	return $bytes;
}

starts('whole', $whole);
starts("torn tail of $_ bytes", substr($whole, 0, $ends[2] + $_)) foreach (0, 1, 8, $batch, $ends[3] - $ends[2] - 1);
starts('torn tail, its end', flipped($ends[3] - 1));
starts('torn tail, garbage', substr($whole, 0, $ends[2]) . 'x' x 5000);
starts('torn tail, zeros', substr($whole, 0, $ends[2]) . "\0" x 5000);
my $damaged = qr/FATAL:  file "pg_rocketq\/state" is damaged/;
my $no_end = qr/rocketq file "pg_rocketq\/state" and WAL do not fit together/;
refuses('damaged in the middle', flipped($ends[1] + 100), qr/$damaged.*later changes follow/s);
refuses('a header damaged in the middle', flipped($ends[1] + 20), qr/$damaged.*later changes follow/s);
refuses('damaged image', flipped(200), qr/$damaged.*no whole image/s);
refuses('lost tail', substr($whole, 0, $ends[1]), qr/FATAL:  $no_end/);
refuses('lost tail, damaged', substr(flipped($ends[1] + 100), 0, $ends[2]), qr/FATAL:  $no_end/);
refuses('cut header', substr($whole, 0, 20), qr/$damaged.*too short/s);

# WAL that begins too late cannot be replayed.  Without WAL one can go on.
append_to_file("$saved/postgresql.conf", "rocketq.ignore_missing_files = on\n");
refuses('lost tail, ignored', substr($whole, 0, $ends[1]), qr/FATAL:  $no_end/);
append_to_file("$saved/postgresql.conf", "rocketq.ignore_missing_files = off\n");
start_with($whole);
tsql("SELECT rocketq.produce('q', 'z') > 0; CHECKPOINT");
$contents = tsql($looks);
$tail->stop('immediate');
command_ok([ 'pg_resetwal', '-f', '-D', $tdata ], 'WAL is reset');
my $log_from = rq_log_from($tail);
ok(!$tail->start(fail_ok => 1), 'WAL reset: the server does not start');
like(slurp_file($tail->logfile, $log_from), qr/FATAL:  $no_end/, 'WAL reset: it says why');
$tail->append_conf('postgresql.conf', 'rocketq.ignore_missing_files = on');
ok($tail->start(fail_ok => 1), 'WAL reset, ignored: the server starts');
like(slurp_file($tail->logfile, $log_from), qr/WARNING:  $no_end/, 'WAL reset, ignored: the server log says it');
is(tsql($looks), $contents, 'WAL reset, ignored: what was synced is there');
rq_verify($tail, 'WAL reset, ignored');
$tail->stop('immediate');

# The server is killed again and again, when there is nothing to replay.
start_with($whole);
$contents = tsql($looks);
$log_from = rq_log_from($tail);
foreach my $n (1 .. 3)
{
	tsql('CHECKPOINT');
	rq_kill9($tail, all => 1);
	rq_start($tail);
	rq_kill9($tail, all => 1);
	rq_start($tail);
	is(tsql($looks), $contents, "nothing to replay, $n: all is there");
}
like(slurp_file($tail->logfile, $log_from), qr/redo is not required/, 'nothing to replay: that is so');
$tail->stop('immediate');

#
# Whatever happens to the keeper while it writes: after an error the next sync
# does it again, after a crash all is there.
#
start_with($whole);

# A file that somebody has removed or truncated is written again.
foreach my $length (undef, 0, 100)
{
	my $label = defined $length ? "truncated to $length bytes" : 'removed';

	tsql("SELECT rocketq.produce('q', 'before') > 0; CHECKPOINT");
	defined $length ? truncate($tstate, $length) : unlink($tstate) or die "could not change \"$tstate\": $!";
	tsql("SELECT rocketq.produce('q', 'after') > 0; CHECKPOINT");
	$contents = tsql($looks);
	rq_kill9($tail, all => 1);
	rq_start($tail);
	is(tsql($looks), $contents, "$label: after a crash all is there");
	rq_verify($tail, $label);
}

# Number and attempt of the sync whose first batch is here.
sub sync_at
{
	my ($at) = @_;
	return unpack('x32 Q x56 L', substr(slurp_file($tstate), $at, $batch) . "\0" x $batch);
}

foreach my $point ('keeper-copying', 'state-appended', 'state-batch', 'state-image-slice', 'state-rename', 'state-image-renamed')
{
	my $long = $point =~ /rename|image/ ? 'state-long=fail,' : '';

	foreach my $action ('error', 'kill')
	{
		my $log_from;
		my $at;
		my $job;

		# A slice is written at once.
		my $at_once = $point eq 'state-image-slice';

		# After a recovery the file is replaced; what is about to fail is added to it.
		tsql('CHECKPOINT');
		$log_from = rq_log_from($tail);
		$at = -s $tstate;
		rq_arm($tail, "$long$point=$action") if !$at_once;
		rq_wait_ticks($tail, 'keeper', 2);
		# So many that the sync has more than one batch.
		tsql("SELECT rocketq.create_topic('wide_${action}_' || i, 1000) FROM generate_series(1, 4) i")
		  if $point eq 'state-appended';
		tsql("SELECT rocketq.produce('q', '$point', queue_id => i % 3) FROM generate_series(1, 10) i");
		$contents = tsql($looks);
		rq_arm($tail, "$long$point=$action") if $at_once;
		$job = rq_background($tail, 'psql', '-XAtq', '-c', 'CHECKPOINT', '-d', $tail->connstr('postgres'));
		$tail->wait_for_log($action eq 'error' ? qr/ERROR:  fault point "$point"/ : qr/was terminated by signal 9/, $log_from);
		if ($action eq 'error' && $point =~ /^state-(appended|batch)$/)
		{
			my %attempts;

			rq_poll('another attempt at the same sync', sub {
					my ($seq, $attempt) = sync_at($at);
					$attempts{$seq}{$attempt} = 1 if $seq > 0;
					return grep { keys %$_ > 1 } values %attempts;
				});
		}
		rq_disarm_and_recover($tail, $log_from) if $action eq 'kill';
		if ($action eq 'error')
		{
			rq_disarm($tail);
			rq_reload($tail);
			$job->{run}->finish;
			rq_kill9($tail, all => 1);
			rq_start($tail);
		}
		eval { $job->{run}->finish; };
		is(tsql($looks), $contents, "$point=$action: all is there");
		rq_verify($tail, "$point=$action");
	}
}
$tail->stop;

done_testing();

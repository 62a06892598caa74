# 073_state_backup.pl -- a base backup copies the state file while batches are
# added to it, while a sync is tried again, and while images are written and put
# in its place.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', has_archiving => 1, allows_streaming => 1, conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
rocketq.max_queues_per_topic = 4000
rocketq.janitor_interval = '20ms'
checkpoint_timeout = 1h
EOC
rq_require_faults($node);
my $from = $node->data_dir;
my $state = "$from/pg_rocketq/state";
my $keeper = rq_worker_pid($node, 'keeper');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# What there is, of any node.
sub contents
{
	my ($of) = @_;
	return $of->safe_psql('postgres', <<'EOQ');
SELECT topic, count(*), sum(min_offset), sum(max_offset) FROM rocketq.queues GROUP BY topic ORDER BY topic::text;
SELECT topic, consumer_group, sum(committed_offset) FROM rocketq.groups GROUP BY 1, 2 ORDER BY 1, 2;
EOQ
}

my $names = 0;

# Change queues, offsets, topics and groups.
sub change
{
	my $n = ++$names;

	sql(<<"EOQ");
SELECT count(rocketq.produce('q', 'x', queue_id => i % 3)) FROM generate_series(1, 10) i;
SELECT count(*) FROM rocketq.consume('q', 'g', 5, auto_commit => true);
SELECT rocketq.create_topic('t$n', 2);
SELECT rocketq.create_group('t$n', 'g'), rocketq.produce('t$n', 'x');
EOQ
	sql('DROP TABLE t' . ($n - 2)) if $n > 2;
	return;
}

# Have the keeper stop at a point: with "sync" when it syncs the store.
sub stop_keeper
{
	my ($faults, $sync) = @_;
	my $job;

	rq_arm($node, $faults);
	$job = rq_background($node, 'psql', '-XAtq', (map { ('-c', 'CHECKPOINT') } 1 .. 1000),
		'-d', $node->connstr('postgres')) if $sync;
	rq_poll_stopped($keeper);
	return $job;
}

sub resume_keeper
{
	my ($job) = @_;

	rq_arm($node, '');
	kill('CONT', $keeper);
	if ($job)
	{
		sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'CHECKPOINT'");
		eval { $job->{run}->finish; };
	}
	return;
}

sub copy_file
{
	my ($source, $to) = @_;
	system_or_bail('cp', '-a', $source, $to) if -e $source;
	return;
}

# Copy the state file as a backup does that reads "first" bytes, or half of it,
# before "between", and the rest after it.
sub copy_state
{
	my ($to, $first, $between) = @_;
	my $bytes = '';

	open my $in, '<:raw', $state or die "could not open \"$state\": $!";
	$first //= int((-s $in) / 2);
	sysread($in, $bytes, $first) == $first or die "could not read \"$state\"";
	$between->() if $between;
	while (sysread($in, $bytes, 65536, length($bytes))) { }
	close $in;
	open my $out, '>:raw', "$to/pg_rocketq/state" or die "could not create a file: $!";
	print $out $bytes;
	close $out;
	return;
}

# Take a base backup, of which "copy" copies the state file into a directory;
# restore it, and recover all that was there when it ended.
sub backup_with
{
	my ($name, $copy) = @_;
	my $to = $node->backup_dir . "/$name";
	my $session = $node->background_psql('postgres');
	my ($expected, $restored);

	mkdir $_ foreach ($node->backup_dir, $to, "$to/pg_rocketq", "$to/pg_wal");
	$session->query_safe('SET client_min_messages = warning');
	$session->query_safe("SELECT pg_backup_start('$name', true)");
	change();
	$copy->($to);
	change();
	system_or_bail('cp', '-a', "$from/pg_rocketq/log", "$from/pg_rocketq/queue", "$to/pg_rocketq/");
	system("cd $from && cp -a \$(ls | grep -v -x -e 'postmaster.*' -e pg_wal -e pg_rocketq) $to/ 2>/dev/null");
	append_to_file("$to/backup_label", $session->query_safe('SELECT labelfile FROM pg_backup_stop(false)') . "\n");
	$session->quit;
	$expected = contents($node);
	rq_archive($node);

	$restored = rq_restored($node, $name =~ tr/ /_/r, $name);
	$restored->start;
	rq_poll_query($restored, 'the end of recovery', 'SELECT NOT pg_is_in_recovery()');
	is(contents($restored), $expected, "$name: all is there");
	rq_verify($restored, $name);
	rq_kill9($restored, all => 1);
	rq_start($restored);
	is(contents($restored), $expected, "$name: all is there after a crash");
	rq_verify($restored, "$name, after a crash");
	$restored->stop;
	return;
}

sub checkpoint_and_change
{
	foreach (1 .. 3)
	{
		change();
		sql('CHECKPOINT');
	}
	return;
}

sub replace_file
{
	my $inode = (stat($state))[1];

	rq_arm($node, 'state-long=fail');
	rq_poll('an image to replace the file', sub {
			sql("SELECT rocketq.produce('q', 'x'); CHECKPOINT");
			return (stat($state))[1] != $inode;
		});
	rq_arm($node, '');
	return;
}

sql("SELECT rocketq.create_topic('q', 3)");
sql("SELECT rocketq.create_group('q', 'g')");
checkpoint_and_change();

backup_with('appended', sub { copy_state($_[0], undef, \&checkpoint_and_change); });
backup_with('replaced', sub { copy_state($_[0], undef, sub { replace_file(); checkpoint_and_change(); }); });
backup_with('batch', sub {
		my $job = stop_keeper('state-batch=stop', 1);
		change();
		copy_state($_[0]);
		resume_keeper($job);
	});
backup_with('slice', sub {
		stop_keeper('state-long=fail,state-image-slice=stop');
		change();
		copy_state($_[0]);
		copy_file("$state.tmp", "$_[0]/pg_rocketq/");
		ok(-e "$_[0]/pg_rocketq/state.tmp", 'the backup has a part of an image');
		resume_keeper();
	});
backup_with('renamed', sub {
		my $job = stop_keeper('state-long=fail,state-image-renamed=stop', 1);
		change();
		copy_state($_[0]);
		resume_keeper($job);
	});

#
# A sync that is tried again writes to the same place.  What a backup has copied
# of the first attempt must not be taken for the beginning of the second, which
# knows that a topic has been replaced by another in the same slots.
#
sub batch_bytes
{
	my ($at) = @_;
	return unpack('x40 Q', substr(slurp_file($state), $at, 88));
}

backup_with('attempts', sub {
		my ($to) = @_;
		my ($at, $bytes, $job);

		sql('CHECKPOINT');
		$at = -s $state;
		sql("SELECT rocketq.create_topic('old', 1), rocketq.create_topic('wide', 4000)");
		$job = stop_keeper('state-batch=stop,state-batch=error', 1);
		$bytes = batch_bytes($at);
		cmp_ok(-s $state, '>', $at + $bytes, 'the sync has more than one batch');
		copy_state($to, $at + $bytes, sub {
				my $log_from = rq_log_from($node);

				sql('DROP TABLE old');
				$node->wait_for_log(qr/rocketq removed the storage of dropped topic/, $log_from);
				sql("SELECT rocketq.create_topic('new', 1)");
				sql("SELECT rocketq.produce('new', 'x')");
				kill('CONT', $keeper);
				$node->wait_for_log(qr/ERROR:  fault point "state-batch"/, $log_from);
				rq_poll_stopped($keeper);
				is(batch_bytes($at), $bytes, 'the second attempt has the same length');
			});
		resume_keeper($job);
	});
$node->stop;

done_testing();

# RocketqFull.pm -- what must hold when the disk of the store is full, whichever
# file system that is.
#
# A test makes a node with rq_full_node(), gives it a file system for its store
# (see RocketqDisk.pm), and starts it with rq_full_start(), whose result the
# other functions take.  Each of those fills the disk, checks that whatever
# needs space fails or waits as it should, frees space, and checks that
# everything works again.
package RocketqFull;

use strict;
use warnings;

use Exporter 'import';
use File::Path;
use IO::Handle;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

our @EXPORT = qw(
  rq_fill_up rq_make_room
  rq_full_node rq_full_start rq_full_goes_on
  rq_full_log rq_full_queue rq_full_state rq_full_crash
);

# ---- the disk ----

# Create a file of this many bytes and flush it; return whether there is space
# for it.
sub take_room
{
	my ($file, $bytes) = @_;
	my $done;

	open(my $fh, '>', $file) or return 0;
	$done = (syswrite($fh, "\0" x $bytes) // 0) == $bytes && $fh->sync;
	return close($fh) && $done;
}

# The same, without writing, which is fast.
sub reserve_room
{
	my ($file, $bytes) = @_;
	return system("fallocate -l $bytes '$file' 2>/dev/null") == 0;
}

# Use all the space there is, except for this many kilobytes.
#
# No file system reports exactly how much that is: some of it is needed for
# metadata, some becomes available only later, and the rest may be fragmented.
# So create files that take all that there seems to be, or half of that, and so
# on; and at the end write small ones, until there is no space for a kilobyte,
# even after the file system has finished its work.  A file that did not get
# everything keeps what it got.
sub rq_fill_up
{
	my ($disk, $left) = @_;
	my $filler = "$disk/filler";
	my ($unit, $available) = split ' ', `stat -f -c '%S %a' $disk`;
	my $bytes = $unit * $available;
	my $count = 0;
	my $refused = 0;

	mkdir($filler) or die "could not create \"$filler\": $!";
	die 'there is not as much room as is to be left'
	  if $left && !reserve_room("$filler/left", $left * 1024);
	while ($bytes >= 16384)
	{
		$bytes /= 2 if !reserve_room("$filler/" . $count++, int($bytes));
	}
	rq_poll(
		'the disk to be full',
		sub {
			foreach my $size (4096, 1024)
			{
				while (take_room("$filler/" . $count++, $size)) { $refused = 0; }
			}
			system_or_bail('sync', '-f', $disk);
			return ++$refused > 3;
		});
	return if !$left;

	unlink("$filler/left") or die "could not remove \"$filler/left\": $!";
	system_or_bail('sync', '-f', $disk);
	rq_poll(
		'what is left to be free',
		sub {
			my $is_free = take_room("$filler/left", $left * 512);
			unlink("$filler/left");
			return $is_free;
		});
	system_or_bail('sync', '-f', $disk);
	return;
}

# Give all of it back.
sub rq_make_room
{
	my ($disk) = @_;
	my $trial = "$disk/trial";

	rmtree("$disk/filler");
	system_or_bail('sync', '-f', $disk);
	rq_poll(
		'what was freed to be free',
		sub {
			my $is_free = reserve_room($trial, 1024 * 1024);
			unlink($trial);
			return $is_free;
		});
	return;
}

# ---- the server ----

sub query { return $_[0]->{node}->safe_psql('postgres', $_[1]); }

# A stopped node with the load and some messages.
sub rq_full_node
{
	my ($name, %param) = @_;
	my $node = rq_node(
		$name, %param,
		conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
checkpoint_timeout = 1h
rocketq.disk_warn_percent = 0
rocketq.disk_trim_percent = 0
rocketq.disk_refuse_percent = 0
EOC

	rq_create_load($node, queues => 2);
	$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('plain', 1);
SELECT load.make_for(k, 5) FROM generate_series(0, 39) k;
EOQ
	$node->stop;
	return $node;
}

sub started_at { return $_[0]->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'); }

# Start it.  The file system of its store is the one of the directory "disk".
sub rq_full_start
{
	my ($node, $disk, $label) = @_;

	rq_start($node);
	return { node => $node, disk => $disk, label => $label, started => started_at($node) };
}

# The number of calls that were refused because the disk was full.
my $counted = 'SELECT refused_disk_full FROM rocketq.stats';

# The error of a call, or nothing.
sub refusal
{
	my ($full, $call) = @_;
	my ($rc, $out, $err) =
	  $full->{node}->psql('postgres', "\\set VERBOSITY verbose\n$call");
	return $err;
}

# Produce, one call after the other, until it is refused, with the right error.
sub refused_for_space
{
	my ($full, $what, $call) = @_;
	my $before = query($full, $counted);
	my $err = '';

	foreach my $i (1 .. 1000)
	{
		$err = refusal($full, $call);
		last if $err ne '';
	}
	like($err,
		qr/ERROR:\s+53100: could not allocate (segment of the rocketq commit log|space for queues in directory "pg_rocketq\/queue"): No space left on device\nHINT:\s+Free some space in "pg_rocketq\/(log|queue)"/,
		"$full->{label}: $what: a clear error");
	is(query($full, $counted) - $before, '1', "$full->{label}: $what: the refusal is counted");
	return;
}

# With space, everything works, and nothing was lost.
sub rq_full_goes_on
{
	my ($full, $what) = @_;
	my $node = $full->{node};
	my $label = "$full->{label}: $what";

	rq_poll(
		"$label: producing goes on by itself",
		sub {
			return 0 == $node->psql('postgres', 'SELECT load.make_for(1, 200)');
		});
	is(started_at($node), $full->{started}, "$label: the server stayed up");
	rq_check($node, $label);
	return;
}

# Let the server finish its work in advance, and then use up the space.
sub fill_up
{
	my ($full, $left) = @_;

	rq_wait_ticks($full->{node}, 'allocator', 2);
	rq_fill_up($full->{disk}, $left);
	return;
}

# ---- what needs room ----

# Preallocating and producing, in transactions and without.  Queues have space,
# but the log has none for another segment.
sub rq_full_log
{
	my ($full) = @_;
	my ($node, $label) = ($full->{node}, $full->{label});
	my $news = qr/LOG:\s+could not allocate segment of the rocketq commit log: No space left on device\n.*Producers are refused until there is more/;
	my $count = "SELECT coalesce(sum(messages), 0) FROM rocketq.topics WHERE topic = 'plain'";
	my ($log_from, $there);

	fill_up($full, 512);
	$log_from = rq_log_from($node);
	refused_for_space($full, 'producing',
		"SELECT load.make_for(1, 1), rocketq.produce('plain', repeat('x', 5000)) FROM generate_series(1, 20)");
	$node->wait_for_log($news, $log_from);
	rq_check($node, "$label: a client that produces while the disk is full");
	refused_for_space($full, 'producing without a transaction',
		"SELECT rocketq.produce('plain', repeat('x', 5000), transactional => false)");
	rq_wait_ticks($node, 'allocator', 3);
	is(scalar(() = slurp_file($node->logfile, $log_from) =~ /$news/g),
		1, "$label: it is logged once");
	$there = query($full, $count);
	rq_make_room($full->{disk});
	rq_full_goes_on($full, 'producing');

	# Several runs of messages.  There would be space for the first.
	fill_up($full, 512);
	refused_for_space($full, 'a batch without a transaction',
		"SELECT count(*) FROM rocketq.produce_batch('plain', array_fill(repeat('y', 5000), ARRAY[500]), transactional => false)");
	is( query($full, "SELECT count(*) % 500 FROM plain WHERE rocketq.text(body) LIKE 'y%'"),
		'0', "$label: no part of the batch is there");
	rq_make_room($full->{disk});
	rq_full_goes_on($full, 'a batch without a transaction');
	cmp_ok(query($full, $count), '>=', $there, "$label: what was there before still is");
	is( query($full, "SELECT count(*) FROM plain WHERE rocketq.text(body) NOT IN (repeat('x', 5000), repeat('y', 5000))"),
		'0', "$label: existing messages are complete");
	return;
}

# Room for entries of queues, when the transaction commits.  The log has space, and
# so have small extents; large ones have not been needed yet.
sub rq_full_queue
{
	my ($full) = @_;
	my $label = $full->{label};
	my $there = 'SELECT (SELECT count(*) FROM late) + (SELECT count(*) FROM begun) + (SELECT count(*) FROM late_rows)';
	my $many = "FROM generate_series(1, 3000)";
	my $refusals;

	query($full, <<'EOQ');
SELECT rocketq.create_topic(t, 3) FROM unnest('{late,begun,direct}'::text[]) t;
SELECT rocketq.produce('begun', 'x', queue_id => 0);
CREATE TABLE late_rows (n int);
EOQ
	fill_up($full);
	$refusals = query($full, $counted);
	my ($refused, $expected) = (0, 1);
	foreach my $to ('late', 'begun', 'direct')
	{
		my $direct = $to eq 'direct' ? ', transactional => false' : '';
		my $row = $direct ? '' : 'INSERT INTO late_rows VALUES (1);';
		my $error = refusal($full,
			"BEGIN; $row SELECT count(rocketq.produce('$to', 'x', queue_id => 1$direct)) $many; COMMIT;");

		# Others may have needed large ones before, and left some.
		if ($error eq '')
		{
			$expected += $direct ? 0 : 3001;
			next;
		}
		$refused++;
		like($error,
			qr/ERROR:\s+53100: could not allocate space for queues in directory "pg_rocketq\/queue": No space left on device\nHINT:\s+Free some space in "pg_rocketq\/queue"/,
			"$label: no space for entries of a queue: a clear error");
	}
	is(query($full, $counted) - $refusals, $refused, "$label: all that are refused are counted");
	is(query($full, $there), $expected, "$label: neither messages nor rows of those are there");
	query($full, "INSERT INTO late_rows VALUES (1); SELECT rocketq.produce('late', 'x', queue_id => 1)");
	is(query($full, $there), $expected + 2, "$label: who needs little has room");
	rq_make_room($full->{disk});
	query($full, "SELECT count(rocketq.produce('$_', 'x', queue_id => 1)) $many")
	  foreach ('late', 'begun');
	is(query($full, $there), $expected + 6002, "$label: with space, everything is stored");
	rq_full_goes_on($full, 'entries of a queue');
	return;
}

# The state file: the checkpoint waits, and so does not lose anything.
sub rq_full_state
{
	my ($full) = @_;
	my ($node, $label) = ($full->{node}, $full->{label});
	my $redo_lsn = 'SELECT redo_lsn FROM pg_control_checkpoint()';
	my ($log_from, $redo, $checkpoint);

	# More than fits into what file systems have allocated ahead for the file.
	query($full, "SELECT rocketq.create_topic('wide' || i, 1000) FROM generate_series(1, 4) i");
	fill_up($full);
	$log_from = rq_log_from($node);
	$redo = query($full, $redo_lsn);
	$checkpoint = rq_background($node, 'psql', '-XAtq', '-c', 'CHECKPOINT', '-d',
		$node->connstr('postgres'));
	$node->wait_for_log(
		qr/could not (write|create) file "pg_rocketq\/state(\.tmp)?": No space left on device/,
		$log_from);
	is(query($full, $redo_lsn), $redo, "$label: no space for the state file: the checkpoint waits");
	is(query($full, 'SELECT load.make_for(2, 1) > 0'), 't', "$label: producing works during that");
	rq_make_room($full->{disk});
	$checkpoint->{run}->finish;
	isnt(query($full, $redo_lsn), $redo, "$label: with space the checkpoint completes");
	rq_full_goes_on($full, 'the state file');
	return;
}

# A crash while it is full: recovery needs no more space.
sub rq_full_crash
{
	my ($full) = @_;
	my $node = $full->{node};

	fill_up($full);
	query($full, 'SELECT load.make_for(k, 1) FROM generate_series(0, 9) k');
	rq_kill9($node, all => 1);
	rq_make_room($full->{disk});
	rq_start($node);
	$full->{started} = started_at($node);
	rq_full_goes_on($full, 'a crash');
	return;
}

1;

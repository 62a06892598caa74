# 036_power_watermarks.pl -- the thresholds of a disk that fills up, on small
# ext4 and XFS images: file systems that keep blocks for root and need some for
# themselves, with the server's tables and WAL on them, too.  When producers are
# refused, the power is cut.  What else follows from a full disk is in
# 015_watermarks and 047_disk_full.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqPower;
use RocketqTest;
use Test::More;

rq_power_require();
rq_seed();

# XFS does not allow less.
my %megabytes = (ext4 => 256, xfs => 320);
my ($node, $label, $disk);

# All messages go through one queue, and they are processed in the transaction
# that consumes them.  Each has 10,000 bytes.
my $schema = <<'EOS';
CREATE TABLE plain (n int);
CREATE TABLE applied (pos bigserial, seq int NOT NULL, queue_offset bigint NOT NULL);
SELECT rocketq.create_topic('t', 1);
SELECT rocketq.create_group('t', 'g');

CREATE FUNCTION send(first int, last int) RETURNS void LANGUAGE sql AS $$
	SELECT rocketq.produce('t', rpad(seq || ':', 10000, 'x')) FROM generate_series(first, last) seq
$$;

CREATE FUNCTION take(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO applied (seq, queue_offset)
		SELECT split_part(rocketq.text(body), ':', 1)::int, queue_offset
		FROM rocketq.consume('t', 'g', n);
	PERFORM rocketq.commit_offset('t', 'g');
	RETURN (SELECT max(seq) FROM applied);
END $$;
EOS

# ---- how full it is ----

# Size and used space of the file system in bytes, computed as in
# src/log/rq_disk.c.
sub look
{
	my ($unit, $blocks, $free, $available) = split ' ', `stat -f -c '%S %b %f %a' $disk`;
	my $used = ($blocks - $free) * $unit;
	return ($used + $available * $unit, $used);
}

# Fill the file system to this percentage, give or take one, with a file that
# is not the server's.  Space that is freed or used concurrently is compensated
# for, and so is what the file system itself uses when it writes.
sub fill_to
{
	my ($percent) = @_;
	my $filler = "$disk/filler";

	rq_poll(
		"the disk to be $percent % full",
		sub {
			system_or_bail('sync', '-f', $disk);
			my ($size, $used) = look();
			my $more = int($size * $percent / 100 - $used);
			my $had = -s $filler // 0;

			return 1 if abs($more) < $size / 100;
			die 'there is more than that' if $had + $more < 0;
			# XFS needs space for the whole range, even for what is already
			# allocated; and not every file system makes freed space available
			# at once.
			system_log('fallocate', '-o', $had, '-l', $more, $filler) if $more > 0;
			truncate($filler, $had + $more) if $more < 0;
			return 0;
		});
	return;
}

# ---- what the server does ----

sub query { return $node->safe_psql('postgres', $_[0]); }

# The error, or nothing.
sub produce
{
	my ($first, $last) = @_;
	my ($rc, $out, $err) =
	  $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT send($first, $last)");
	return $err;
}

# At 95 percent; the server must agree with the test, whatever the file system
# reserves for root.
sub is_refused
{
	my ($what) = @_;

	rq_wait_ticks($node, 'janitor', 2);
	return like(produce(0, 99),
		qr/ERROR:  53100: cannot store message because the file system of the rocketq store is too full\nDETAIL:  It is 9[3-6]\.\d% full, and rocketq.disk_refuse_percent is 90\.\nHINT:  Free some space, drop consumer groups /,
		"$label: $what");
}

# What was consumed is what was produced, in order, up to the group's offset.
sub check_applied
{
	my ($what) = @_;
	return is(query(<<'EOQ'), 't|t|t', "$label, $what: offset and work agree, nothing is lost");
SELECT array_agg(seq ORDER BY pos) = array_agg(n::int ORDER BY n),
	array_agg(queue_offset ORDER BY pos) = array_agg(queue_offset ORDER BY queue_offset),
	max(queue_offset) + 1 = rocketq.committed_offset('t', 'g', 0)
FROM (SELECT *, row_number() OVER (ORDER BY pos) AS n FROM applied) a
EOQ
}

# The messages that the group has not consumed: how many are there, and do they
# continue what it has?
my $rest = <<'EOQ';
SELECT count(*), min(seq) - 1 = (SELECT max(seq) FROM applied)
FROM (SELECT split_part(rocketq.text(body), ':', 1)::int AS seq FROM t) m
WHERE seq > (SELECT max(seq) FROM applied)
EOQ

# A consumer is at work when the power is cut.  It records outside the cluster
# what it knows to be committed.
sub cut_power
{
	my ($mode) = @_;
	my $script = $node->basedir . '/consumer.sql';
	my $result = $node->basedir . "/consumed.$mode";
	my $before = query('SELECT max(seq) FROM applied');
	my ($consumer, $log_from, @acked);

	append_to_file($script, "SELECT take(1);\n" x 100) if !-e $script;
	$consumer = rq_background($node, 'psql', '-XAtq', '-f', $script, '-o', $result,
		'-d', $node->connstr('postgres'));
	rq_poll_query($node, 'the consumer to be at work',
		"SELECT max(seq) > $before + 10 FROM applied");
	$log_from = rq_log_from($node);
	rq_power_cut($node, $mode);
	eval { $consumer->{run}->finish; };
	rq_power_start($node);

	$node->wait_for_log(qr/WARNING:  rocketq no longer accepts messages/, $log_from);
	is_refused("after a loss of power, $mode reaches the disk, producers are refused");
	@acked = slurp_file($result) =~ /^(\d+)$/mg;
	cmp_ok(query('SELECT max(seq) FROM applied'), '>=', $acked[-1] // 0,
		"$label: what was acknowledged is there");
	check_applied("after a loss of power, $mode reaches the disk");
	rq_verify($node, "$label, $mode reaches the disk");
	return;
}

# ---- the thresholds ----

foreach my $type ('ext4', 'xfs')
{
	my $warning = qr/file system of the rocketq store is \d+\.\d% full\n/;
	my $log_start = 'SELECT min(start_position) FROM rocketq.segments';
	my ($log_from, $first_log, $start);

	# WAL segments are small, and their number stays the same.
	$node = rq_power_node(
		$type,
		megabytes => $megabytes{$type},
		initdb    => [ '--wal-segsize', 1 ],
		conf      => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
rocketq.janitor_interval = '20ms'
rocketq.disk_warn_percent = 60
rocketq.disk_trim_percent = 75
rocketq.disk_refuse_percent = 90
min_wal_size = '16MB'
max_wal_size = '16MB'
EOC
	$label = $type;
	$disk = rq_power_directory($node);
	$first_log = $log_from = rq_log_from($node);
	query($schema);
	is(produce(1, 1600), '', "$label: there is space");
	query('SELECT take(100)') foreach (1 .. 8);
	$start = query($log_start);

	#
	# The warning.
	#
	fill_to(55);
	rq_wait_ticks($node, 'janitor', 10);
	unlike(slurp_file($node->logfile, $log_from), $warning, "$label: nothing is logged below the threshold");
	fill_to(65);
	$node->wait_for_log(qr/WARNING:  $warning/, $log_from);
	rq_wait_ticks($node, 'janitor', 10);
	is(scalar(() = slurp_file($node->logfile, $log_from) =~ /$warning/g), 1, "$label: one warning");
	is(query($log_start), $start, "$label: nothing has been removed");

	#
	# What is not needed is removed, and what a group holds is kept.
	#
	$log_from = rq_log_from($node);
	fill_to(82);
	$node->wait_for_log(qr/Segments removed: \d+, because the file system is fuller than rocketq.disk_trim_percent/, $log_from);
	$node->wait_for_log(qr/LOG:  file system of the rocketq store is fuller than rocketq.disk_trim_percent, but nothing can be trimmed\n.*DETAIL:  The oldest segment is kept by: group g of \d+\/\d+\./, $log_from);
	cmp_ok(query($log_start), '>', $start, "$label: what is not needed is removed");
	is(query($rest), '800|t', "$label: what the group has not consumed is kept");

	#
	# Refusing, and a loss of power.
	#
	$log_from = rq_log_from($node);
	fill_to(95);
	$node->wait_for_log(qr/WARNING:  rocketq no longer accepts messages because the file system of its store is \d+\.\d% full/, $log_from);
	is_refused('producers are refused');
	is(query($rest), '800|t', "$label: no message is there in part");
	is(query('SELECT take(10)'), 810, "$label: consuming and committing offsets still work");
	is(query('INSERT INTO plain VALUES (1) RETURNING n'), 1, "$label: writing tables still works");
	query('CHECKPOINT');
	query('INSERT INTO plain VALUES (2)');
	is(scalar(() = slurp_file($node->logfile, $first_log) =~ /$warning/g), 1, "$label: still one warning");
	foreach my $mode (rq_power_modes())
	{
		fill_to(95);
		cut_power($mode);
	}
	is(query('SELECT count(*), sum(n) FROM plain'), '2|3', "$label: rows are there");
	query('CHECKPOINT');

	#
	# Work resumes.
	#
	$log_from = rq_log_from($node);
	fill_to(45);
	rq_poll('producers to go on', sub { return produce(1601, 1700) eq ''; });
	$node->wait_for_log(qr/LOG:  rocketq accepts messages again/, $log_from);
	rq_poll_query($node, 'all to be consumed', 'SELECT take(1000) = 1700');
	is(query('SELECT count(*) FROM applied'), 1700, "$label: everything was consumed once");
	check_applied('at the end');
	rq_verify($node, "$label, at the end");
	$node->stop;
	rq_power_remove($node);
}

done_testing();

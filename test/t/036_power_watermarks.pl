# 036_power_watermarks.pl -- the thresholds of a disk that fills up, on the loop
# images of test/power_switch: file systems that keep blocks for root and need
# some for themselves, with the server's tables and WAL on them, too.  The rest
# of what follows from a full disk is in 015_watermarks and 047_disk_full.

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

# Let the file system be so full, in per cent of what users may have.
sub fill_to
{
	my ($folder, $percent) = @_;
	my $file = "$folder/filler";
	my $had = -s $file // 0;
	my ($used, $free) = `df -B1 --output=used,avail $folder` =~ /(\d+)\s+(\d+)\s*$/;
	my $size = int($had + ($used + $free) * $percent / 100 - $used);

	die "there is more than that" if $size < 0;
	system_or_bail('truncate', '-s', $size, $file) if $size < $had;
	system_or_bail('fallocate', '-l', $size, $file) if $size > $had;
	return;
}

foreach my $fs ('ext4', 'xfs')
{
	my $node = rq_power_node($fs, conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
rocketq.janitor_interval = '20ms'
rocketq.disk_warn_percent = 60
rocketq.disk_trim_percent = 75
rocketq.disk_refuse_percent = 90
max_wal_size = '64MB'
EOC
	my $folder = "$ENV{RQ_POWER_SWITCH}/$fs";
	my $query = sub { return $node->safe_psql('postgres', $_[0]); };
	my $produce = sub {
		my ($rc, $out, $err) = $node->psql('postgres',
			"\\set VERBOSITY verbose\nSELECT count(rocketq.produce('t', repeat('x', 10000))) FROM generate_series(1, 300)");
		return $err;
	};
	my $log_from = rq_log_from($node);
	my $log_start = 'SELECT min(start_position) FROM rocketq.segments';

	$query->("CREATE TABLE plain (n int); SELECT rocketq.create_topic('t', 1); SELECT rocketq.create_group('t', 'g')");
	is($produce->(), '', "$fs: there is room");
	fill_to($folder, 65);
	$node->wait_for_log(qr/WARNING:  the disk of the rocketq store is 6\d\.\d% full/, $log_from);

	# What the group holds stays, what it has consumed goes before its time.
	fill_to($folder, 80);
	$node->wait_for_log(qr/but nothing can be trimmed\n.*The oldest segment is kept by: group g of/, $log_from);
	is($query->($log_start), '0', "$fs: what a group has not consumed stays");
	$query->("SELECT count(*) FROM rocketq.consume('t', 'g', 200, auto_commit => true)");
	rq_poll_query($node, 'the log to be trimmed', "SELECT ($log_start) > 0");
	pass("$fs: what it has consumed goes");

	fill_to($folder, 93);
	$node->wait_for_log(qr/WARNING:  rocketq refuses messages, the disk of its store is 9\d\.\d% full/, $log_from);
	like($produce->(), qr/ERROR:  53100: the rocketq store takes no messages, its disk is too full\nDETAIL:  It is 9\d\.\d% full/,
		"$fs: producers are refused");
	is($query->("SELECT count(*) FROM rocketq.consume('t', 'g', 10, auto_commit => true)"),
		'10', "$fs: consuming goes on");
	is($query->('INSERT INTO plain VALUES (1) RETURNING n'), '1', "$fs: and so do tables");
	$query->('CHECKPOINT');

	fill_to($folder, 50);
	rq_poll('producers to go on', sub { return $produce->() eq ''; });
	$node->wait_for_log(qr/LOG:  rocketq takes messages again/, $log_from);
	is($query->("SELECT count(*) FROM rocketq.consume('t', 'g', 1000)"), '390', "$fs: nothing is lost");
	rq_verify($node, $fs);
	$node->stop;
	unlink("$folder/filler");
}

done_testing();

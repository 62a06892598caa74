# 015_watermarks.pl -- a disk that fills up: first a warning, then messages
# that are not needed are removed early, then producers are refused while
# everything else works.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use RocketqDisk;    # before the modules that change where output goes
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
rocketq.janitor_interval = '20ms'
rocketq.disk_warn_percent = 50
rocketq.disk_trim_percent = 70
rocketq.disk_refuse_percent = 90
EOC

sub query { return $node->safe_psql('postgres', $_[0]); }

query("SELECT rocketq.create_topic('t', 1); CREATE TABLE plain (n int)");
$node->stop;
my $disk = mount_small($node, 80);
rq_start($node);

# Produce this many megabytes of messages; return the error, if any.
sub produce
{
	my ($megabytes) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n" .
		"SELECT count(*) FROM (SELECT rocketq.produce('t', repeat('x', 10000)) FROM generate_series(1, $megabytes * 104)) p");
	return $err;
}

# Fill the file system to this percentage, with a file that is not the
# server's.
sub fill_to
{
	my ($percent) = @_;
	my $file = "$disk/filler";
	my $had = -s $file // 0;
	my ($used) = `df -B1 --output=used $disk` =~ /(\d+)\s*$/;
	my $size = $had + 80 * 1024 * 1024 * $percent / 100 - $used;

	die "there is more than that" if $size < 0;
	system_or_bail('truncate', '-s', int($size), $file) if $size < $had;
	system_or_bail('fallocate', '-l', int($size), $file) if $size > $had;
	return;
}

my $log_from = rq_log_from($node);
my $log_start = 'SELECT min(start_position) FROM rocketq.segments';
my $full = "SELECT count(*) FROM rocketq.segments WHERE state = 'full'";

#
# The warning: once for each crossing.
#
is(produce(10), '', 'there is space');
my $segments = query($full);
fill_to(60);
$node->wait_for_log(qr/WARNING:  file system of the rocketq store is \d+\.\d% full\n.*DETAIL:  rocketq.disk_trim_percent is 70, and rocketq.disk_refuse_percent is 90\./, $log_from);
rq_wait_ticks($node, 'janitor', 10);
is(scalar(() = slurp_file($node->logfile, $log_from) =~ /WARNING:  file system of the rocketq store/g),
	1, 'one warning');
fill_to(49.5);
rq_wait_ticks($node, 'janitor', 5);
fill_to(51);
rq_wait_ticks($node, 'janitor', 5);
is(scalar(() = slurp_file($node->logfile, $log_from) =~ /file system of the rocketq store/g),
	1, 'small changes around the threshold are not logged');
fill_to(40);
$node->wait_for_log(qr/LOG:  file system of the rocketq store is \d+\.\d% full, below rocketq.disk_warn_percent again/, $log_from);
is(query($full), $segments, 'nothing has been removed');

#
# Trimming early, but only as much as needed, and not what a group holds.
#
$log_from = rq_log_from($node);
fill_to(75);
rq_poll_query($node, 'some segments to go', "SELECT ($full) < $segments");
$node->wait_for_log(qr/Segments removed: \d+, because the file system is fuller than rocketq.disk_trim_percent/, $log_from);
rq_wait_ticks($node, 'janitor', 5);
cmp_ok(query($full), '>=', $segments - 6, 'no more is removed than needed');
cmp_ok(query($full), '>', 0, 'some messages are left');
query("SELECT rocketq.create_group('t', 'slow')");
my $start = query($log_start);
fill_to(85);
$node->wait_for_log(qr/LOG:  file system of the rocketq store is fuller than rocketq.disk_trim_percent, but nothing can be trimmed\n.*DETAIL:  The oldest segment is kept by: group slow of \d+\/\d+\./, $log_from);
is(query($log_start), $start, 'what a group has not consumed is kept');

#
# Refusing.
#
$log_from = rq_log_from($node);
fill_to(95);
$node->wait_for_log(qr/WARNING:  rocketq no longer accepts messages because the file system of its store is \d+\.\d% full/, $log_from);
like(produce(1),
	qr/ERROR:  53100: cannot store message because the file system of the rocketq store is too full\nDETAIL:  It is \d+\.\d% full, and rocketq.disk_refuse_percent is 90\.\nHINT:  Free some space, drop consumer groups .*producers resume automatically/,
	'producers are refused');
cmp_ok(query('SELECT refused_disk_full FROM rocketq.stats'), '>=', 1, 'the refusal is counted');
is(query("SELECT count(*) FROM rocketq.consume('t', 'slow', 10, auto_commit => true)"), 10, 'consuming still works');
is(query("SELECT count(*) > 100 FROM t"), 't', 'reading still works');
is(query("SELECT rocketq.commit_offset('t', 'slow', 0, rocketq.committed_offset('t', 'slow', 0) + 1); INSERT INTO plain VALUES (1) RETURNING n"),
	"\n1", 'committing an offset and writing tables still work');
query("SELECT rocketq.drop_group('t', 'slow')");
rq_poll_query($node, 'the log to be trimmed', "SELECT ($log_start) > $start");
pass('and trimming');
fill_to(60);
rq_poll('producers to go on', sub { return produce(1) eq ''; });
$node->wait_for_log(qr/LOG:  rocketq accepts messages again/, $log_from);
is(query('DROP TABLE t'), '', 'a topic can be dropped');

#
# Off.
#
query("CREATE TABLE t (LIKE rocketq.message) USING rocketq");
query("ALTER SYSTEM SET rocketq.disk_$_ = 0") foreach ('warn_percent', 'trim_percent', 'refuse_percent');
$log_from = rq_log_from($node);
rq_reload($node);
fill_to(92);
rq_wait_ticks($node, 'janitor', 5);
is(produce(0.1), '', 'without thresholds nobody is refused');
unlike(slurp_file($node->logfile, $log_from), qr/file system of (the rocketq|its) store/, 'nothing is logged without thresholds');

$node->stop;
unmount($node);
done_testing();

# 120_store_version.pl -- stores and WAL of other versions of rocketq: newer ones
# are refused, older ones are upgraded, or refused if that is impossible, and
# every refusal says what to do and changes nothing.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

use constant {
	HEADER_SIZE => 64,    # of the state file and of a segment
	VERSION     => 8,     # where their version is
	WAL_VERSION => 12,
	WRITER      => 16
};

my @crc_table = map {
	my $crc = $_;
	$crc = $crc >> 1 ^ ($crc & 1 ? 0x82F63B78 : 0) foreach 1 .. 8;
	$crc;
} 0 .. 255;

sub crc32c
{
	my $crc = 0xFFFFFFFF;

	$crc = $crc >> 8 ^ $crc_table[ ($crc ^ $_) & 0xFF ] foreach unpack('C*', $_[0]);
	return $crc ^ 0xFFFFFFFF;
}

# Replace bytes of a header, each a place and what is to be there, and its
# checksum, which covers all that comes after it.
sub change_header
{
	my ($path, %change) = @_;
	open my $fh, '+<:raw', $path or die "could not open \"$path\": $!";
	my $header;

	sysread($fh, $header, HEADER_SIZE) == HEADER_SIZE or die "could not read \"$path\": $!";
	die "the checksum of \"$path\" is another one\n"
	  if unpack('x4 L', $header) != crc32c(substr($header, 8));
	substr($header, $_, length($change{$_})) = $change{$_} foreach keys %change;
	substr($header, 4, 4) = pack('L', crc32c(substr($header, 8)));
	sysseek($fh, 0, 0);
	syswrite($fh, $header) == HEADER_SIZE or die "could not write \"$path\": $!";
	close $fh;
	return;
}

my $node = rq_node('node', conf => "rocketq.segment_size = '1MB'");
rq_require_faults($node);
my $store = $node->data_dir . '/pg_rocketq';

sub segments
{
	return map { "$store/log/$_" } rq_store_files($node, 'log');
}

sub set_version
{
	my ($version, %other) = @_;

	change_header("$store/state", VERSION, pack('L', $version), %other);
	return;
}

# What a store of version 0 differs in, for the tests.
sub make_version_0
{
	change_header($_, VERSION, pack('L', 0)) foreach segments();
	set_version(0);
	return;
}

sub state_version
{
	return unpack('x8 L', slurp_file("$store/state"));
}

sub contents
{
	return $node->safe_psql('postgres',
		'SELECT count(*), md5(string_agg(m::text, chr(10) ORDER BY queue_id, queue_offset)) FROM t m');
}

sub does_not_start
{
	my ($server, $label, $why) = @_;
	my $from = rq_log_from($server);

	ok(!$server->start(fail_ok => 1), "$label: the server does not start");
	like(slurp_file($server->logfile, $from), $why, "$label: and says why");
	return;
}

# Before anything is changed.
sub refuses
{
	my ($label, $why) = @_;
	my $before = slurp_file("$store/state");

	does_not_start($node, $label, $why);
	is(slurp_file("$store/state"), $before, "$label: the state file has not changed");
	return;
}

$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('t', 3);
SELECT count(rocketq.produce('t', repeat('x', 1000) || i)) FROM generate_series(1, 3000) i;
SELECT rocketq.create_group('t', 'g');
EOQ
my $contents = contents();
like($contents, qr/^3000\|/, 'there are messages');
$node->stop;
cmp_ok(scalar(segments()), '>=', 3, 'in several segments');

# ---- the store ----

set_version(2, WRITER, "9.8\nx");
refuses('a newer store',
	qr/FATAL:  the rocketq store was written by a newer version of rocketq.*DETAIL:  It has version 2, written by rocketq 9\.8\.  This is rocketq 1\.0, which knows stores up to version 1\..*HINT:  Install rocketq 9\.8/s
);

make_version_0();
$node->append_conf('postgresql.conf', "rocketq.fault = 'upgrade-step=fail'");
refuses('a store that is too old',
	qr/FATAL:  the rocketq store was written by a version of rocketq that is too old.*DETAIL:  It has version 0,.*cannot upgrade it to version 1.*HINT:  Start and stop the server with a version of rocketq in between/s
);

# Each step can be interrupted.
foreach my $point ('upgrade-file', 'upgrade-files')
{
	$node->append_conf('postgresql.conf', "rocketq.fault = '$point=kill'");
	ok(!$node->start(fail_ok => 1), "killed at $point");
	rq_stopped($node);
	is(state_version(), 0, "$point: the store has the old version");
}
is(scalar(grep { unpack('x8 L', slurp_file($_)) == 0 } segments()), 0, 'all segments are upgraded');
change_header((segments())[-1], VERSION, pack('L', 0));

$node->append_conf('postgresql.conf', "rocketq.fault = ''");
my $from = rq_log_from($node);
$node->start;
like(slurp_file($node->logfile, $from), qr/upgrading the rocketq store from version 0 to 1/, 'upgraded');
is(contents(), $contents, 'all messages are there');
rq_verify($node, 'after an upgrade');
is(state_version(), 1, 'the store has the new version');

# With WAL to be replayed.
$node->safe_psql('postgres', 'CHECKPOINT');
$node->safe_psql('postgres', <<'EOQ');
SELECT count(rocketq.produce('t', 'y' || i)) FROM generate_series(1, 1000) i;
EOQ
$contents = contents();
rq_kill9($node);
make_version_0();
rq_start($node);
is(contents(), $contents, 'all messages are there after an upgrade with recovery');
rq_verify($node, 'after an upgrade with recovery');
is(state_version(), 1, 'the store has the new version after recovery');

# ---- WAL that is to be replayed ----

my $wal = qr/FATAL:  WAL of another version of rocketq is to be replayed.*DETAIL:  Its records have version/s;
rq_kill9($node);
foreach my $version (0, 2)
{
	change_header("$store/state", WAL_VERSION, pack('S', $version));
	refuses("WAL of version $version", qr/$wal $version, .*HINT:  Start the server with rocketq 1\.0, stop it/s);
}

# An older store can be upgraded only if its WAL can be replayed.
make_version_0();
change_header("$store/state", WAL_VERSION, pack('S', 0));
refuses('an older store with older WAL', $wal);
change_header("$store/state", VERSION, pack('L', 1), WAL_VERSION, pack('S', 1));
change_header($_, VERSION, pack('L', 1)) foreach segments();
rq_start($node);
is(contents(), $contents, 'all messages are there after refusals');

# Without any it does not matter.
$node->stop;
change_header("$store/state", WAL_VERSION, pack('S', 2));
$from = rq_log_from($node);
$node->start;
like(slurp_file($node->logfile, $from),
	qr/rocketq's WAL records have version 1 from now on, before 2/, 'another version of WAL is logged');
is(contents(), $contents, 'all messages are there with WAL of no meaning');
is(unpack('x12 S', slurp_file("$store/state")), 1, 'WAL has our version from now on');

# ---- records ----

rq_arm($node, 'wal-older=fail');
$node->safe_psql('postgres', "SELECT rocketq.produce('t', 'old')");
rq_kill9($node);
does_not_start($node, 'older records',
	qr/FATAL:  rocketq's WAL record at [0-9A-F]+\/[0-9A-F]+ was written by an older version of rocketq.*DETAIL:  It has version 0\..*HINT:  Restore a base backup/s
);

my $primary = rq_node('primary', allows_streaming => 1);
$primary->safe_psql('postgres', <<'EOQ');
CREATE EXTENSION pg_walinspect;
SELECT rocketq.create_topic('t', 1);
SELECT rocketq.produce('t', 'known');
EOQ
my $standby = rq_standby($primary);
rq_catch_up($primary, $standby);
is($standby->safe_psql('postgres', 'SELECT rocketq.text(body) FROM t'), 'known', 'a standby replays');

my $start = $primary->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
$from = rq_log_from($standby);
rq_arm($primary, 'wal-newer=fail');
$primary->safe_psql('postgres', "SELECT rocketq.produce('t', 'unknown')");
my $newer =
  qr/FATAL:  rocketq's WAL record at [0-9A-F]+\/[0-9A-F]+ was written by a newer version of rocketq.*DETAIL:  It has version 2\.  This is rocketq 1\.0, which knows versions 1 to 1\..*HINT:  Install the version of rocketq that has written it/s;
$standby->wait_for_log($newer, $from);
rq_stopped($standby);
pass('a standby refuses newer records');
is( $primary->safe_psql('postgres', <<EOQ), 'version 2', 'pg_walinspect does not interpret them');
SELECT DISTINCT description
FROM pg_get_wal_records_info('$start', pg_current_wal_flush_lsn()) WHERE resource_manager = 'rocketq'
EOQ
rq_kill9($primary);
does_not_start($primary, 'newer records', $newer);

done_testing();

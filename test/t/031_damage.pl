# 031_damage.pl -- files that are missing, short, unreadable or have flipped
# bits: verify() and readers report what is wrong, with a suitable SQLSTATE;
# nothing crashes, other topics and producers are not affected, and once the
# file is restored, the store is sound again.
#
# The damage is done while the server runs: a damaged copy replaces the file,
# or bits are flipped in it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

if ($> == 0)
{
	plan(skip_all => 'root may read and write everything');
}

my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.retention_time = -1
EOC
my $store = $node->data_dir . '/pg_rocketq';
my $header = 64;      # bytes of the state file's header
my $log_from = rq_log_from($node);

# ---- helpers ----

# The error of a statement as "SQLSTATE: message, detail, hint", or its result.
sub outcome
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	return $out if $rc == 0;
	$err =~ s/^LOCATION:.*\n?//mg;
	$err =~ s/^psql:[^ ]* //mg;
	return $err;
}

sub fails
{
	my ($what, $sql, $expected) = @_;
	return like(outcome($sql), $expected, $what);
}

sub verify_says
{
	my ($what, $expected) = @_;
	return like(
		outcome("SELECT what || ': ' || problem FROM rocketq.verify()"),
		$expected, "$what: verify() reports it");
}

sub bytes_of
{
	my ($file) = @_;
	open my $fh, '<:raw', $file or die "could not open \"$file\": $!";
	local $/ = undef;
	my $bytes = <$fh>;
	close $fh;
	return $bytes;
}

# Replace the file by a copy with these bytes; return a function that undoes
# it.
sub replace_file
{
	my ($file, $bytes) = @_;
	my $saved = $node->basedir . '/saved';
	rename($file, $saved) or die "could not rename \"$file\": $!";
	if (defined $bytes)
	{
		open my $fh, '>:raw', $file or die "could not create \"$file\": $!";
		print $fh $bytes;
		close $fh;
	}
	return sub { rename($saved, $file) or die "could not rename \"$saved\": $!"; };
}

# Change one byte in place; return a function that undoes it.
sub flip
{
	my ($file, $at, $bit) = @_;
	my $change = sub {
		my $byte;
		open my $fh, '+<:raw', $file or die "could not open \"$file\": $!";
		sysseek($fh, $at, 0);
		sysread($fh, $byte, 1);
		sysseek($fh, $at, 0);
		syswrite($fh, chr(ord($byte) ^ $bit));
		close $fh;
	};
	$change->();
	return $change;
}

sub set_mode
{
	my ($file, $mode) = @_;
	my $before = (stat($file))[2] & 07777;
	chmod($mode, $file) or die "could not chmod \"$file\": $!";
	return sub { chmod($before, $file); };
}

# What does not touch the damaged file works.
sub others_go_on
{
	my ($what) = @_;

	is( outcome(<<'EOQ'), '200|200|1', "$what: another topic is not affected");
SELECT rocketq.produce('good', 'more', queue_id => 1) \g /dev/null
SELECT (SELECT count(body) FROM good WHERE queue_id = 0),
	(SELECT count(*) FROM rocketq.pull('good', 0, 0, 1000)),
	(SELECT count(*) FROM rocketq.consume('good', 'g', 1000, auto_commit => true));
EOQ
	return;
}

sub mended
{
	my ($what) = @_;

	rq_verify($node, "$what, repaired");
	is(outcome('SELECT count(body) FROM bad'),
		outcome('SELECT count(*) FROM bad'), "$what, repaired: everything can be read");
	return;
}

# ---- the store ----

$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('bad', 1);
SELECT rocketq.create_topic('good', 2);
SELECT rocketq.produce('bad', i || repeat('x', 500), 'tag', keys => ARRAY['k' || i])
	FROM generate_series(1, 5000) i;
SELECT rocketq.produce('good', i::text, queue_id => 0) FROM generate_series(1, 200) i;
SELECT count(*) FROM rocketq.consume('good', 'g', 1000, auto_commit => true);
SELECT rocketq.create_group('bad', 'g');
CHECKPOINT;
EOQ
my $key = $node->safe_psql('postgres',
	"SELECT oid || '_' || pg_relation_filenode('bad') FROM pg_database WHERE datname = 'postgres'");
my $log_file = "$store/log/0000000000000000";
my $area = "$store/queue/00000000";
my @extents = rq_extents_of($node, $key, 0);
ok(-s $log_file == 1024 * 1024 && -e $area && @extents > 2,
	'the files are where they are looked for');

my $select = 'SELECT sum(length(body)) FROM bad';
my $pull = "SELECT count(*) FROM rocketq.pull('bad', 0, 0, 1000)";
my $consume = <<'EOQ';
SELECT count(*) FROM rocketq.consume('bad', 'g', 1000, auto_commit => true)
EOQ
my $produce = "SELECT rocketq.produce('bad', 'one more') > 0";

sub readers_fail
{
	my ($what, $expected) = @_;

	fails("$what: SELECT", $select, $expected);
	fails("$what: pull()", $pull, $expected);
	fails("$what: consume()", $consume, $expected);
	return;
}

# ---- segments of the log ----

my %log_damage = (
	'missing log segment' => sub { return replace_file($log_file, undef); },
	'log segment of no bytes' => sub { return replace_file($log_file, ''); },
	'log segment cut short' =>
	  sub { return replace_file($log_file, substr(bytes_of($log_file), 0, 12345)); },
	'unreadable log segment' => sub { return set_mode($log_file, 0); });
my %log_errors = (
	'missing log segment' => qr/ERROR:  XX001: message 64 is damaged\nDETAIL:  A check found that file "pg_rocketq\/log\/0{16}" is missing/,
	'log segment of no bytes' =>
	  qr/XX001: file "pg_rocketq\/log\/0{16}" is damaged\nDETAIL:  A check found that it has 0 bytes instead of 1048576/,
	'log segment cut short' => qr/XX001: file ".*" is damaged\nDETAIL:  A check found that it has 12345 bytes instead of 1048576/,
	'unreadable log segment' => qr/42501: could not open file "pg_rocketq\/log\/0{16}": Permission denied/);

foreach my $what (sort keys %log_damage)
{
	my $undo = $log_damage{$what}->();

	readers_fail($what, $log_errors{$what});
	verify_says($what,
		qr/^file "pg_rocketq\/log\/0{16}": the file .*^entry 0 of queue 0 of topic .*: the segment's file is missing, too short or cannot be read/ms);
	is(outcome($produce), 't', "$what: producers still work");
	others_go_on($what);
	$undo->();
	mended($what);
}

# The one being written: it must not be recreated without its frames.
sub last_log_file
{
	return sprintf('%s/log/%016X', $store, $node->safe_psql('postgres',
		'SELECT greatest((SELECT max(message_id) FROM bad), (SELECT max(message_id) FROM good)) / (1024 * 1024)'));
}
{
	my $undo = replace_file(last_log_file(), undef);
	fails('the last log segment is missing: produce()', $produce,
		qr/XX001: commit log is damaged\nDETAIL:  A check found that file "pg_rocketq\/log\/[0-9A-F]{16}" is missing/);
	$undo->();
	is(outcome($produce), 't', 'the last log segment is there again: producers work');
	mended('the last log segment');
}

# Truncated while a session has it mapped; restoring the bytes also restores
# its length.
foreach my $file ($log_file)
{
	my $name = $file =~ s/.*(pg_rocketq)/$1/r;
	my $bytes = bytes_of($file);
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query('SELECT pg_backend_pid()');

	like($session->query($select), qr/^\d+$/, "$name is mapped");
	truncate($file, 0) or die "could not truncate \"$file\": $!";
	$session->query($select);
	like(
		$session->{stderr},
		qr/ERROR:  file "$name" is damaged.*DETAIL:  A check found that it was cut short while it was mapped/s,
		"$name truncated during a read: an error");
	$session->{stderr} = '';
	is($session->query('SELECT pg_backend_pid()'), $pid, "$name truncated during a read: the session survives");
	others_go_on("$name cut under a reader");
	open my $fh, '+<:raw', $file or die "could not open \"$file\": $!";
	syswrite($fh, $bytes);
	close $fh;
	like($session->query($select), qr/^\d+$/, "$name is there again");
	$session->quit;
	mended("$name cut under a reader");
}

# Bits of the header, and of every part of the first frame and its padding.
my $frame_len = unpack('L', substr(bytes_of($log_file), 64 + 16, 4));
foreach my $at (0, 4, 8, 12, 16, 63)
{
	my $undo = flip($log_file, $at, 1);
	verify_says("flipped bit in byte $at of a log segment",
		qr/^file "pg_rocketq\/log\/0{16}": the segment header/m);
	$undo->();
}
foreach my $at (0, 4, 8, 15, 16, 19, 20, 21, 22, 23, 24, 28, 32, 48, 51, 52, 56,
	58, 60, 64, 70, 80, 200, $frame_len - 1)
{
	my $undo = flip($log_file, 64 + $at, 1 << ($at % 8));
	fails("flipped bit in byte $at of a frame: pull()",
		$pull, qr/ERROR:  XX001: message 64 is damaged\nDETAIL:  A check found that the frame/);
	verify_says(
		"flipped bit in byte $at of a frame",
		qr/^commit log position 64: the frame.*^entry 0 of queue 0 of topic \S+: the frame/ms);
	$undo->();
}
others_go_on('after flips in frames');
mended('frames');

# The filler at the end of a segment.
my ($filler) = $node->safe_psql('postgres', <<'EOQ');
SELECT max(message_id) FROM bad WHERE message_id < 1024 * 1024
EOQ
$filler += unpack('L', substr(bytes_of($log_file), $filler + 16, 4));
SKIP:
{
	skip 'the segment ends with a message', 4 if $filler > 1024 * 1024 - 64;
	foreach my $at (0, 4, 16, 21)
	{
		my $undo = flip($log_file, $filler + $at, 1);
		verify_says("flipped bit in byte $at of a filler",
			qr/^commit log position $filler: /m);
		$undo->();
	}
}
mended('filler');

# ---- extents of a queue ----

# One in the middle has lost its header.
{
	my $undo = rq_overwrite($area, $extents[1]{header}, "\0" x 64);

	readers_fail('no extent header',
		qr/XX001: queue 0 of topic \S+ is damaged\nDETAIL:  A check found that entry \d+ is missing/);
	verify_says('no extent header', qr/queue 0 of topic \S+/m);
	is(outcome($produce), 't', "no extent header: producers still work in the queue's last extent");
	others_go_on('no extent header');
	$undo->();
	mended('no extent header');
}

# Position, time, tag hash and length of the second entry.
foreach my $at (0, 1, 3, 7, 22, 23, 24, 27, 28, 29)
{
	my $undo = flip($area, $extents[0]{at} + 32 + $at, $at == 23 ? 0x80 : 1);
	verify_says("flipped bit in byte $at of an entry",
		qr/^entry 1 of queue 0 of topic \S+: the (entry|position|frame|segment)/m);
	fails("flipped bit in byte $at of an entry: pull()",
		$pull, qr/ERROR:  XX001: message \d+ is damaged/)
	  if $at < 8 || $at >= 28;
	$undo->();
}
mended('entries');

# ---- directories and files that must not be written ----

# A producer writes to what it has mapped, and the keeper flushes that.
my $producer = $node->background_psql('postgres');
$producer->query_safe($produce);
my @undo = map { set_mode($_, 0444) } (last_log_file(), $area);
is($producer->query_safe($produce), 't', 'read-only segments that are mapped: produce()');
$node->safe_psql('postgres', 'CHECKPOINT');
is(outcome($select) > 0, 1, 'read-only segments: SELECT');
$_->() foreach @undo;
$producer->quit;

my $undo = set_mode($area, 0444);
fails('read-only area file: produce()', $produce,
	qr/42501: could not open file "pg_rocketq\/queue\/\S+": Permission denied/);
is(outcome($select) > 0, 1, 'read-only area file: SELECT');
$node->safe_psql('postgres', 'CHECKPOINT');
$undo->();
is(outcome($produce), 't', 'an area file no longer read-only: producers go on');
mended('read-only segments');

# No segment can be added to the log; what has been allocated is still used.
$undo = set_mode("$store/log", 0555);
my $fill = "SELECT count(rocketq.produce('good', repeat('x', 1000), queue_id => 1)) FROM generate_series(1, 5000)";
fails('read-only log directory: produce()', $fill,
	qr/42501: could not allocate segment of the rocketq commit log: Permission denied\nHINT:  Fix the problem with "pg_rocketq\/log"/);
is(outcome($select) > 0, 1, 'read-only log directory: SELECT');
$undo->();
rq_poll('producers to go on', sub { return outcome($fill) eq '5000'; });
$node->safe_psql('postgres',
	"SELECT count(*) FROM rocketq.consume('good', 'g', 10000, auto_commit => true)");

mended('read-only directories');

# ---- the state file ----

my $state = "$store/state";
foreach my $what ('missing', 'empty', 'cut', 'flipped', 'unreadable')
{
	my $bytes = bytes_of($state);
	my $undo =
	    $what eq 'missing'    ? replace_file($state, undef)
	  : $what eq 'empty'      ? replace_file($state, '')
	  : $what eq 'cut'        ? replace_file($state, substr($bytes, 0, 30))
	  : $what eq 'flipped'    ? flip($state, $header + 104 + 2, 4)
	  :                         set_mode($state, 0);
	verify_says("$what state file", qr/^file "pg_rocketq\/state": the state file/m);
	$undo->();
}
mended('state file');

unlike(slurp_file($node->logfile, $log_from),
	qr/PANIC|TRAP|terminated by signal|server process .* exited/,
	'nothing has crashed');

# CRC-32C, as the state file has it; see src/format/rq_statefmt.h.
sub crc32c
{
	my $crc = 0xFFFFFFFF;

	foreach my $byte (unpack('C*', shift))
	{
		$crc ^= $byte;
		$crc = $crc & 1 ? ($crc >> 1) ^ 0x82F63B78 : $crc >> 1 foreach 1 .. 8;
	}
	return $crc ^ 0xFFFFFFFF;
}

# The state file with other bytes, and the checksums of its header and its first
# batch put right.
sub sealed_state
{
	my ($all, $at, $other) = @_;

	substr($all, $at, length($other)) = $other;
	my $bytes = unpack('Q<', substr($all, $header + 40, 8));
	substr($all, $header + 8, 4) = pack('L<', crc32c(substr($all, $header + 104, $bytes - 104)));
	substr($all, $header + 4, 4) = pack('L<', crc32c(substr($all, $header + 8, 104 - 8)));
	substr($all, 4, 4) = pack('L<', crc32c(substr($all, 8, $header - 8)));
	return $all;
}

$node->stop;
my $bytes = bytes_of($state);
ok(sealed_state($bytes, 0, substr($bytes, 0, 4)) eq $bytes, 'the checksums of the state file');
my @states = (
	[ 'empty state file', sub { return replace_file($state, ''); }, qr/the state file is too short/ ],
	[ 'state file cut short', sub { return replace_file($state, substr($bytes, 0, 30)); },
		qr/the state file is too short/ ],
	[ 'flipped bit in the header of the state file', sub { return flip($state, 13, 16); },
		qr/the checksum of the state file's header does not match/ ],
	[ 'flipped bit in the state file', sub { return flip($state, $header + 104 + 2, 16); },
		qr/the state file has no whole image/ ],
	[   'record of a kind to come',
		sub { return replace_file($state, sealed_state($bytes, $header + 104, pack('S<', 4711))); },
		qr/the state file's contents do not fit together/ ]);
foreach my $case (@states)
{
	my ($what, $damage, $expected) = @$case;
	my $from = rq_log_from($node);
	my $undo = $damage->();

	ok(!$node->start(fail_ok => 1), "$what: the server does not start");
	like( slurp_file($node->logfile, $from),
		qr/FATAL:  file "pg_rocketq\/state" is damaged.*DETAIL:  A check found that $expected.*HINT:  If another version of rocketq wrote the file, install that version; otherwise restore the data directory from a backup/s,
		"$what: it says why");
	$undo->();
}

# A missing segment keeps the server from starting, unless it is told to ignore
# that.
$undo = replace_file($log_file, undef);
my $from = rq_log_from($node);
ok(!$node->start(fail_ok => 1), 'missing log segment: the server does not start');
like(slurp_file($node->logfile, $from),
	qr/FATAL:  rocketq file "pg_rocketq\/log\/0{16}" is missing or incomplete/,
	'missing log segment: it says why');
$node->append_conf('postgresql.conf', 'rocketq.ignore_missing_files = on');
rq_start($node);
others_go_on('started without a log segment');
verify_says('started without a log segment',
	qr/^file "pg_rocketq\/log\/0{16}": the file cannot be read/m);
$undo->();
mended('started without a log segment');
$node->stop;

done_testing();

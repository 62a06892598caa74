# 068_leftovers.pl -- files that should have been removed but cannot be: as
# long as there are any, the store is not marked as closed, but the server
# starts all the same; afterwards it is, however many segments have been
# created in advance, and no removed file can come back.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

if ($> == 0)
{
	plan(skip_all => 'root may remove everything');
}

# Directories from which nothing can be removed, in case the test ends early.
my %read_only;
END { chmod(0755, keys %read_only); }

my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.retention_time = -1
rocketq.preallocate_segments = 1
checkpoint_timeout = 1h
EOC
my $store = $node->data_dir . '/pg_rocketq';
my $closed = "$store/closed";

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Nothing can be removed from the directory, nor written to the files in it.
sub set_writable
{
	my ($directory, $writable) = @_;
	my @files = glob "$directory/*";

	$read_only{$directory} = 1;
	chmod($writable ? 0755 : 0555, $directory) or die "could not chmod \"$directory\": $!";
	is(chmod($writable ? 0644 : 0444, @files), scalar(@files), 'modes are changed');
	return;
}

sql("SELECT rocketq.create_topic('other', 1); SELECT rocketq.produce('other', 'x')");
my $from;

# ---- a segment of the log ----

# As a crash can leave it behind when its WAL did not reach the disk.
$node->stop('immediate');
system_or_bail('cp', "$store/log/0000000000000000", "$store/log/00000000000000F0");
set_writable("$store/log", 0);
chmod(0644, grep { !/F0$/ } glob "$store/log/*");
foreach my $start ('a start', 'another start')
{
	$from = rq_log_from($node);
	rq_start($node);
	is(sql("SELECT rocketq.produce('other', 'more') > 0"), 't', "$start: producers work");
	like(slurp_file($node->logfile, $from), qr/could not remove file "pg_rocketq\/log\/0{14}F0"/, "$start: the log says what it cannot remove");
	$node->stop('fast');
	ok(!-e $closed, "$start: the store is not marked as closed");
}
set_writable("$store/log", 1);
rq_start($node);
is(sql("SELECT rocketq.produce('other', 'more') > 0"), 't', 'producers work');
ok(!-e "$store/log/00000000000000F0", 'the file has been removed');
$node->stop('fast');
ok(-e $closed, 'the store is marked as closed');
rq_start($node);

# ---- what is noted as gone ----

#
# The directory that has lost files is synced before the note is made.  File
# systems differ in what else they write along with the note, so check which
# files are opened.
#
my %calls = (x86_64 => [ 294, 254 ], aarch64 => [ 26, 27 ]);
my ($init, $add) = @{ $calls{ (POSIX::uname())[4] } // [] };
SKIP:
{
	skip 'no inotify on this machine', 1 if !$init;
	my ($is_open, $is_moved_to) = (0x20, 0x80);

	sql('CHECKPOINT');
	my $fd = syscall($init, 0);
	my %watch = map { (syscall($add, $fd, "$_->[0]\0", $_->[1]) => $_->[2]) }
	  ([ "$store/log", $is_open, 'log' ], [ $store, $is_moved_to, 'store' ]);
	open(my $events, '<&=', $fd) or die "could not look at events: $!";
	$node->stop('fast');
	sysread($events, my $bytes, 65536);
	my @seen;
	while (length $bytes)
	{
		my ($wd, $mask, $cookie, $len) = unpack('iIII', $bytes);
		my $name = unpack('Z*', substr($bytes, 16, $len));

		push @seen, $watch{$wd} if $mask & $is_open && $name eq '';
		push @seen, $name if $mask & $is_moved_to && $name eq 'closed';
		$bytes = substr($bytes, 16 + $len);
	}
	my $seen = join(' ', @seen);
	like($seen, qr/\b$_\b.* closed$/, "$_: synced before the store is marked as closed")
	  foreach ('log');
	rq_start($node);
}

# ---- what was trimmed ----

# The removal is retried, but the file does no harm.
sub oldest { return (sort glob "$store/log/0*")[0]; }

sub keep
{
	my ($time) = @_;
	sql("ALTER SYSTEM SET rocketq.retention_time = '$time'");
	rq_reload($node);
	return;
}

foreach my $ending ('a stop', 'waiting')
{
	keep('-1');
	sql("SELECT count(rocketq.produce('other', repeat('x', 100000))) FROM generate_series(1, 30)");
	my $oldest = oldest();
	$from = rq_log_from($node);
	$read_only{"$store/log"} = 1;
	chmod(0555, "$store/log") or die "could not chmod: $!";
	keep('1s');
	$node->wait_for_log(qr/could not remove file "pg_rocketq\/log\/0/, $from);
	is(oldest(), $oldest, "$ending: a segment that was trimmed is left");
	$node->stop('fast') if $ending eq 'a stop';
	ok(-e $closed, "$ending: the store is marked as closed") if $ending eq 'a stop';
	chmod(0755, "$store/log");
	rq_start($node) if $ending eq 'a stop';
	rq_poll('the segment to be removed', sub { return !-e $oldest; });
}

# ---- directories that cannot be read to their end ----

SKIP:
{
	skip('no fault points', 4) if !rq_has_faults($node);

	# Nobody knows then what is left, so it counts as something.
	rq_arm($node, 'dir-read=fail');
	rq_kill9($node, all => 1);
	rq_start($node);
	$node->stop('fast');
	ok(!-e $closed, 'not marked as closed after a directory could not be read');
	rq_disarm($node);
	rq_start($node);
	$node->stop('fast');
	ok(-e $closed, 'marked as closed when it could');

	# After a clean shutdown all names are checked, or the server does not start.
	$node->append_conf('postgresql.auto.conf', "rocketq.fault = 'dir-read=fail'");
	$from = rq_log_from($node);
	ok(!$node->start(fail_ok => 1), 'no start unless all names are checked');
	like(slurp_file($node->logfile, $from), qr/could not read directory "pg_rocketq.*could not check the files in/s,
		'which says why');
	rq_disarm($node);
	rq_start($node);
}
rq_verify($node, 'at the end');
$node->stop;

done_testing();

# RocketqPower.pm -- a server that loses its power.
#
# Its data is on a file system of its own that test/power_switch creates for
# it. Cutting the power shuts that down, so that nothing more reaches its disk,
# kills the server, and mounts the file system again: what was not fsynced is
# lost.
package RocketqPower;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use IO::Socket::UNIX;
use POSIX ();
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

our @EXPORT = qw(
  rq_power_require rq_power_node rq_power_move rq_power_disk rq_power_cut
  rq_power_stopped rq_power_modes rq_power_start rq_power_directory rq_power_remove
);

# How much still reaches the disk at the last moment: everything, only file
# names and lengths in the file system's own journal, or nothing.
my %mode = (all => 0, names => 1, nothing => 2);

sub rq_power_modes
{
	return sort keys %mode;
}

# Skip the test unless there is a power switch.
sub rq_power_require
{
	plan(skip_all => 'no power can be cut here: '
		  . ($ENV{RQ_POWER_PROBLEM} // 'test/check sets this up, as root or with sudo'))
	  if !$ENV{RQ_POWER_SWITCH};
	return;
}

sub request
{
	my ($what) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => "$ENV{RQ_POWER_SWITCH}/switch")
	  or die "could not reach the power switch: $!";
	my $answer;

	print $socket "$what\n";
	$socket->flush;
	$answer = <$socket> // "nothing\n";
	chomp($answer);
	die "the power switch said \"$answer\" to \"$what\"\n" if $answer ne 'ok';
	return;
}

# Create a file system, "ext4" or "xfs", for a node; no other test uses it.
# Returns the empty directory for its data.
sub make_file_system
{
	my ($node_name, $type, $megabytes) = @_;
	my $fs = basename($0, '.pl') . "_$node_name";

	request("make $fs $type " . ($megabytes // 512));
	return ($fs, "$ENV{RQ_POWER_SWITCH}/$fs/data");
}

# A node with its data on a file system, named by the type of that.
sub rq_power_node
{
	my ($type, %param) = @_;
	my ($fs, $data) = make_file_system($type, $type, $param{megabytes});
	my $node;

	# initdb does not flush what it writes; unmounting does.
	$node = rq_node($type,
		%param,
		data         => $data,
		before_start => sub { request("restore $fs"); });
	$node->{rq_power} = $fs;
	return $node;
}

# Move a stopped node to a file system.
sub rq_power_move
{
	my ($node, $type) = @_;
	my $from = $node->data_dir;
	my ($fs, $to) = make_file_system($node->name, $type);

	system_or_bail('cp', '-a', "$from/.", $to);
	system_or_bail('rm', '-r', $from);
	symlink($to, $from) or die "could not make a link: $!";
	request("restore $fs");
	$node->{rq_power} = $fs;
	return;
}

# A file system for a part of a node's data.  Returns an empty directory on it,
# owned by the user who runs the test.
sub rq_power_disk
{
	my ($node, $type, $megabytes) = @_;
	my ($fs, $directory) = make_file_system($node->name, $type, $megabytes);

	$node->{rq_power} = $fs;
	return $directory;
}

# Where the node's file system is mounted.
sub rq_power_directory
{
	my ($node) = @_;
	return "$ENV{RQ_POWER_SWITCH}/$node->{rq_power}";
}

# A stopped node and its file system are no longer needed.  What a failed test
# leaves behind is removed by the switch.
sub rq_power_remove
{
	my ($node) = @_;

	request("remove $node->{rq_power}");
	return;
}

# Children of the postmaster, which must not start more.
sub children
{
	my ($postmaster) = @_;
	my @pids;

	foreach my $file (glob '/proc/[0-9]*/stat')
	{
		my $stat = eval { slurp_file($file) } // '';
		push @pids, $1 if $stat =~ /^(\d+) \(.*\) \S $postmaster /s;
	}
	return @pids;
}

# Wait until this many processes of the server have stopped at a fault point,
# by default one; return them.
sub rq_power_stopped
{
	my ($node, $what, $count) = @_;
	my @pids;

	rq_poll(
		"a process to stop at $what",
		sub {
			@pids = grep { (eval { slurp_file("/proc/$_/stat") } // '') =~ /\) T / }
			  children($node->{_pid});
			return @pids >= ($count // 1);
		});
	return @pids;
}

# sync_file_range() of Linux.
my %call = (x86_64 => 277, aarch64 => 84);

# Write back some pages of a file, but nothing that belongs to them, such as its
# length.
sub write_back_pages
{
	my ($file) = @_;
	my $call = $call{ (POSIX::uname())[4] };

	return $file->sync if !defined($call);
	for (my $at = 0; $at < -s $file; $at += 16384)
	{
		# Wait before, write, wait after.
		syscall($call, fileno($file), $at, 16384, 7) if rq_random(0, 1);
	}
	return;
}

# Flush some of the store's files, and some pages of area files, as the kernel
# does at times of its own choosing.
sub write_back_some
{
	my ($node) = @_;
	my $store = $node->data_dir . '/pg_rocketq';

	foreach my $path (glob("$store/log/* $store/queue/*"))
	{
		next if !open(my $file, '+<', $path);
		if ($path =~ m,/queue/,) { write_back_pages($file) }
		elsif (rq_random(0, 1))  { $file->sync }
		close($file);
	}
	return;
}

# Cut the power, and mount the file system again.  The server is not running
# afterwards.
sub rq_power_cut
{
	my ($node, $mode) = @_;
	my $fs = $node->{rq_power};
	my $postmaster = $node->{_pid};
	my @pids;

	write_back_some($node) if $mode ne 'nothing';
	kill('STOP', $postmaster);
	@pids = children($postmaster);
	request("cut $fs $mode{$mode}");
	kill('KILL', $postmaster, @pids);
	# This waits until all of them have ended.
	request("restore $fs");
	rq_gone($node);
	return;
}

# Start the server again, with fault points armed, if any are given; then do
# not wait until it is up.
sub rq_power_start
{
	my ($node, $faults) = @_;
	my $pid_file = $node->data_dir . '/postmaster.pid';

	rq_disarm($node);
	return rq_start($node) if !$faults;
	system_or_bail($node->installed_command('pg_ctl'), '-W', '-s', '-D', $node->data_dir,
		'-l', $node->logfile, '-o', "-c rocketq.fault='$faults'", 'start');
	rq_poll(
		'the postmaster to say who it is',
		sub {
			return (eval { slurp_file($pid_file) } // '') =~ /^(\d+)\n/ && ($node->{_pid} = $1);
		});
	return;
}

1;

# RocketqPower.pm -- a server that loses its power.
#
# Its data lies on a file system that test/power_switch has mounted.  Cutting
# the power shuts that down, so that nothing reaches its disk any more, kills
# the server, and mounts the file system again: what was not fsynced is gone.
package RocketqPower;

use strict;
use warnings;

use Exporter 'import';
use Fcntl ':flock';
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

our @EXPORT = qw(
  rq_power_require rq_power_node rq_power_move rq_power_cut rq_power_stopped
  rq_power_modes rq_power_start
);

# How much reaches the disk at the last moment: all, file names and lengths
# that the file system still has in its own log, or nothing.
my %mode = (all => 0, names => 1, nothing => 2);

sub rq_power_modes
{
	return sort keys %mode;
}

# Leave unless there is a power switch.  Its file systems are this test's alone
# until it ends, and empty.
my $turn;

sub rq_power_require
{
	plan(skip_all => 'no power can be cut here: '
		  . ($ENV{RQ_POWER_PROBLEM} // 'test/check sets this up, as root or with sudo'))
	  if !$ENV{RQ_POWER_SWITCH};
	open($turn, '<', $ENV{RQ_POWER_SWITCH}) or die "could not open the switch's folder: $!";
	flock($turn, LOCK_EX) or die "could not wait for other tests: $!";
	system_or_bail('find', (map { "$ENV{RQ_POWER_SWITCH}/$_/data" } 'ext4', 'xfs'),
		'-mindepth', '1', '-delete');
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

# A node with its data on a file system, "ext4" or "xfs".
sub rq_power_node
{
	my ($fs, %param) = @_;
	my $node;

	# initdb does not bring to disk what it writes; unmounting does.
	$node = rq_node($fs,
		%param,
		data         => "$ENV{RQ_POWER_SWITCH}/$fs/data",
		before_start => sub { request("restore $fs"); });
	$node->{rq_power} = $fs;
	return $node;
}

# Move a node that does not run to a file system, in the place of what is there.
sub rq_power_move
{
	my ($node, $fs) = @_;
	my $from = $node->data_dir;
	my $to = "$ENV{RQ_POWER_SWITCH}/$fs/data";

	system_or_bail('find', "$to/", '-mindepth', '1', '-delete');
	system_or_bail('cp', '-a', "$from/.", $to);
	system_or_bail('rm', '-r', $from);
	symlink($to, $from) or die "could not make a link: $!";
	request("restore $fs");
	$node->{rq_power} = $fs;
	return;
}

# Children of the postmaster; it must not make more.
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

# Wait until as many processes of the server have stopped at a fault point, or
# one; which?
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

# Some of the store's files reach the disk by themselves, as the kernel does it
# at moments of its own choice.
sub write_back_some
{
	my ($node) = @_;
	my $store = $node->data_dir . '/pg_rocketq';

	foreach my $path (glob("$store/log/* $store/queue/*/*"))
	{
		next if rq_random(0, 1) || !open(my $file, '+<', $path);
		$file->sync;
		close($file);
	}
	return;
}

# Cut the power, and let the file system be there again.  The server does not
# run afterwards.
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
	# This waits until all of them have gone.
	request("restore $fs");
	rq_gone($node);
	return;
}

# Start again, with fault points armed, if any are given; then only begin to.
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

# RocketqDisk.pm -- servers whose store is on a file system of its own.
#
# A user may mount one where the kernel allows user namespaces, so a test that
# uses this module moves itself into one, or is skipped where that is
# impossible. Its mounts are slaves of those outside, so that it does not keep
# a file system busy that another test unmounts.
package RocketqDisk;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(mount_small mount_store unmount);

my @own_mounts = (
	'unshare', '--user', '--map-current-user', '--mount', '--keep-caps',
	'--propagation', 'slave');

if (!$ENV{RQ_OWN_MOUNTS})
{
	plan(skip_all => 'this user may not mount a file system in a user namespace')
	  if system("@own_mounts mount -t tmpfs none /mnt >/dev/null 2>&1") != 0;
	$ENV{RQ_OWN_MOUNTS} = 1;
	exec(@own_mounts, $^X, (map { "-I$_" } @INC), $0)
	  or die "could not run $0: $!";
}

sub run
{
	my (@command) = @_;
	system(@command) == 0 or die "failed: @command\n";
	return;
}

# Make a directory below "disk", on whichever file system that is, the store of
# a node that is not running.  The server would not accept a link.
sub mount_store
{
	my ($node, $disk) = @_;
	my $store = $node->data_dir . '/pg_rocketq';

	mkdir("$disk/store", 0700) or die "could not create \"$disk/store\": $!";
	run('cp', '-a', "$store/.", "$disk/store/");
	run('mount', '--bind', "$disk/store", $store);
	push @{ $node->{rq_mounts} }, $store;
	return;
}

# Create a file system in memory with this many megabytes, and make a directory
# of it a node's store.
sub mount_small
{
	my ($node, $megabytes) = @_;
	my $disk = $node->basedir . '/disk';

	mkdir $disk or die "could not create \"$disk\": $!";
	run('mount', '-t', 'tmpfs', '-o', "size=${megabytes}m,mode=700", 'none', $disk);
	push @{ $node->{rq_mounts} }, $disk;
	mount_store($node, $disk);
	return $disk;
}

# Unmount what the two functions above have mounted.
sub unmount
{
	my ($node) = @_;
	run('umount', reverse @{ delete $node->{rq_mounts} });
	return;
}

1;

# RocketqDisk.pm -- servers whose store is on a small file system of its own.
#
# A user may mount one where the kernel allows user namespaces, so a test that
# uses this module moves itself into one, or is skipped where that cannot be.
# Its mounts are slaves of those outside, so that it does not hold on to a file
# system that another test unmounts.
package RocketqDisk;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(mount_small unmount fill_up make_room);

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

# A file system with so many megabytes, of which a node's store is a folder.
sub mount_small
{
	my ($node, $megabytes) = @_;
	my $disk = $node->basedir . '/disk';
	my $store = $node->data_dir . '/pg_rocketq';

	mkdir $disk or die "could not create \"$disk\": $!";
	run('mount', '-t', 'tmpfs', '-o', "size=${megabytes}m,mode=700", 'none', $disk);
	mkdir "$disk/store" or die "could not create \"$disk/store\": $!";
	run('cp', '-a', "$store/.", "$disk/store/");
	run('mount', '--bind', "$disk/store", $store);
	return $disk;
}

sub unmount
{
	my ($node) = @_;
	run('umount', $node->data_dir . '/pg_rocketq', $node->basedir . '/disk');
	return;
}

# Take all the room there is, but for so many kilobytes, and give it back.
sub fill_up
{
	my ($disk, $left) = @_;
	open my $fh, '>>', "$disk/filler" or die "could not open filler: $!";

	foreach my $piece (1 << 20, 1 << 12)
	{
		while (syswrite($fh, "\0" x $piece) // 0) { }
	}
	truncate($fh, (-s $fh) - 1024 * ($left // 0)) or die "could not truncate filler: $!";
	close $fh;
	return;
}

sub make_room
{
	my ($disk) = @_;
	unlink("$disk/filler") or die "could not remove filler: $!";
	return;
}

1;

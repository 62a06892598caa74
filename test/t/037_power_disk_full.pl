# 037_power_disk_full.pl -- the disk of the store fills up, on small ext4 and
# XFS images: file systems that keep blocks for themselves, need some for
# metadata, and make freed blocks available late.  What a producer, a commit, a
# checkpoint and a crash meet then is the same as in 047_disk_full.
#
# Only the store is on it.  A server without space for WAL stops.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use RocketqDisk;    # before the modules that change where output goes
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqFull;
use RocketqPower;
use RocketqTest;
use Test::More;

rq_power_require();
rq_seed();

# XFS does not allow less.
my %megabytes = (ext4 => 64, xfs => 320);

foreach my $type ('ext4', 'xfs')
{
	my $node = rq_full_node($type);
	my $disk = rq_power_disk($node, $type, $megabytes{$type});
	my $full;

	mount_store($node, $disk);
	$full = rq_full_start($node, $disk, $type);
	rq_full_log($full);
	rq_full_queue($full);
	rq_full_state($full);
	rq_full_crash($full);
	rq_drain($node);
	rq_check($node, "$type, all consumed");
	rq_applied_all($node, "$type, at the end");
	$node->stop;
	unmount($node);
	rq_power_remove($node);
}

done_testing();

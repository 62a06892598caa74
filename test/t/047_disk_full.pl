# 047_disk_full.pl -- the disk of the store fills up at each moment that needs
# space: there is a clear error or a wait, the server stays up, work resumes
# once there is space, and nothing is lost or half done.
#
# Here it is a file system in memory, full to the last byte; what a producer, a
# commit, a checkpoint and a crash meet is tested by 037_power_disk_full on
# ext4 and XFS, too.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use RocketqDisk;    # before the modules that change where output goes
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqFull;
use RocketqTest;
use Test::More;

sub number { return $_[0]->safe_psql('postgres', $_[1]); }

rq_seed();
my $node = rq_full_node('main', allows_streaming => 1);
my $disk = mount_small($node, 48);
my $full = rq_full_start($node, $disk, 'in memory');

rq_full_log($full);
rq_full_queue($full);
rq_full_state($full);
rq_full_crash($full);

#
# A list of messages that does not fit in memory.
#
mkdir "$disk/ts" or die "could not create \"$disk/ts\": $!";
$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$disk/ts'");
rq_wait_ticks($node, 'allocator', 2);
rq_fill_up($disk);
my $rows = number($node, 'SELECT count(*) FROM load.sent');
my ($rc, $out, $err) = $node->psql('postgres', <<'EOQ');
\set VERBOSITY verbose
SET temp_tablespaces = small;
SET work_mem = '64kB';
SELECT load.make_for(3, 1), rocketq.produce_batch('plain', array_fill(''::text, ARRAY[8000]));
EOQ
like($err, qr/ERROR:\s+53100: could not write the temporary file of produced messages: No space left on device/,
	'no space for a list of messages: a clear error');
is(number($node, 'SELECT count(*) FROM load.sent'), $rows, 'nothing was stored');
rq_make_room($disk);
$node->safe_psql('postgres', <<'EOQ');
SET temp_tablespaces = small;
SET work_mem = '64kB';
SELECT load.make_for(3, 1), rocketq.produce_batch('plain', array_fill(''::text, ARRAY[8000]));
EOQ
is(number($node, "SELECT count(*) FROM plain WHERE body = ''"), '8000', 'with space, everything is stored');
rq_full_goes_on($full, 'a list of messages');
$node->safe_psql('postgres', 'DROP TABLESPACE small');

#
# A standby with less space than its primary: recovery ends with a clear error,
# and continues from there when the standby is started with enough space.
#
my $standby = rq_standby($node, start => 0);
my $standby_disk = mount_small($standby, 44);
rq_start($standby);
rq_poll_query($standby, 'the standby to stream',
	'SELECT count(*) = 1 FROM pg_stat_wal_receiver');
rq_fill_up($standby_disk);
$node->safe_psql('postgres', 'SELECT load.make_for(k, 400) FROM generate_series(0, 39) k');
rq_stopped($standby);
like( slurp_file($standby->logfile),
	qr/FATAL:\s+could not (allocate segment of the rocketq commit log|create file "pg_rocketq.*"): No space left on device.*HINT:\s+Free some space in "pg_rocketq/s,
	'a standby without space: a clear error');
rq_make_room($standby_disk);
rq_start($standby);
rq_catch_up($node, $standby);
rq_check($standby, 'the standby, with space');

rq_drain($node);
rq_check($node, 'all consumed');
rq_applied_all($node, 'at the end');
$standby->stop;
$node->stop;
unmount($_) foreach ($standby, $node);

done_testing();

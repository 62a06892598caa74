# 020_kill9.pl -- the server is killed at random moments under load, and each
# time the topic must agree with plain tables, and everything acknowledged to
# clients must be there.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;
use Time::HiRes qw(usleep);

rq_seed();
my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
checkpoint_timeout = 30s
max_wal_size = 32MB
min_wal_size = 32MB
EOC
rq_create_load($node);

my $rounds = rq_rounds(7);
foreach my $round (1 .. $rounds)
{
	my $load = rq_start_load($node);
	my $acker = rq_start_acker($node, 1000 + $round);
	my $all = $round % 2;

	rq_wait_progress($node, rq_random(500, 4000));

	# Some rounds kill it in the middle of a checkpoint, or soon after one.
	my $checkpoint;
	$checkpoint = rq_background($node, 'psql', '-XAtq', '-c', 'CHECKPOINT',
		'-d', $node->connstr('postgres'))
	  if $round % 3 != 0;
	usleep(rq_random(0, 400_000));

	rq_kill9($node, all => $all);
	rq_stop_load($load);
	my $acked = rq_acked($acker);
	rq_start($node);
	if ($round % 2)
	{
		# Once more, before anything else happens.
		rq_kill9($node, all => 1);
		rq_start($node);
	}
	rq_check($node, "round $round");
	cmp_ok(
		$node->safe_psql('postgres',
			"SELECT coalesce(max(seq), 0) FROM load.keys WHERE key = 1000 + $round"),
		'>=', $acked, "round $round: all $acked acknowledged messages are there");
}

rq_drain($node);
rq_check($node, 'all consumed');
rq_applied_all($node, 'at the end');
$node->stop;
rq_start($node);
rq_check($node, 'after a clean restart');
$node->stop;

done_testing();

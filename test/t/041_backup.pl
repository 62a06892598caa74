# 041_backup.pl -- base backups taken under load, and recovery to a point in
# time: topic and plain tables agree in the result.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node(
	'main',
	allows_streaming => 1,
	has_archiving    => 1,
	conf             => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.retention_time = 0
max_wal_size = 1GB
EOC
rq_create_load($node);
# Messages of another topic are produced and removed, so segments are created
# and trimmed while backups run; but the messages of the load are needed until
# the end.
$node->safe_psql('postgres', "SELECT rocketq.create_group('load.topic', 'keep')");

my $load = rq_start_load($node);
rq_wait_progress($node, 500);

# A copy made during all this, started on its own.
my $rounds = rq_rounds(2);
foreach my $round (1 .. $rounds)
{
	my $before = $node->safe_psql('postgres', 'SELECT sum(seq) FROM load.keys');
	$node->backup("backup$round", backup_options => [ '-X', 'stream' ]);
	ok(-d $node->backup_dir . "/backup$round/pg_rocketq/log",
		"backup $round holds the store");
	rq_wait_progress($node, 100);

	my $copy = PostgreSQL::Test::Cluster->new("copy$round");
	$copy->init_from_backup($node, "backup$round");
	$copy->append_conf('postgresql.conf', 'archive_mode = off');
	$copy->start;
	rq_check($copy, "backup $round");
	cmp_ok($copy->safe_psql('postgres', 'SELECT sum(seq) FROM load.keys'),
		'>=', $before, "backup $round: what was committed before is there");
	$copy->safe_psql('postgres', 'SELECT load.make_for(k, 3) FROM generate_series(0, 39) k');
	rq_drain($copy);
	rq_check($copy, "backup $round, all consumed");
	rq_applied_all($copy, "backup $round");
	$copy->stop('immediate');
	rq_start($copy);
	rq_check($copy, "backup $round, after a crash");
	$copy->stop;
}

#
# Recovery to named points in the middle, with crashes of the server on the
# way.
#
my @points;
foreach my $point ('one', 'two', 'three')
{
	rq_wait_progress($node, rq_random(200, 800));
	my $sum = $node->safe_psql('postgres', 'SELECT sum(seq) FROM load.keys');
	$node->safe_psql('postgres', "SELECT pg_create_restore_point('$point')");
	push @points, [ $point, $sum ];
	rq_wait_progress($node, rq_random(100, 300));
	if ($point eq 'one')
	{
		rq_kill9($node, all => 1);
		rq_stop_load($load);
		rq_start($node);
		rq_check($node, 'the crash on the way');
		$load = rq_start_load($node);
	}
	$node->safe_psql('postgres', 'CHECKPOINT') if $point eq 'two';
}
rq_stop_load($load);
rq_check($node, 'after the load');
rq_archive($node);

foreach my $entry (@points)
{
	my ($point, $sum) = @$entry;
	my $now = $node->safe_psql('postgres', 'SELECT sum(seq) FROM load.keys');

	my $copy = rq_restored($node, "to_$point", 'backup1', conf => <<"EOC");
recovery_target_name = '$point'
recovery_target_action = 'promote'
EOC
	$copy->start;
	rq_poll_query($copy, 'the end of recovery', 'SELECT NOT pg_is_in_recovery()');
	rq_check($copy, "point $point");
	my $there = $copy->safe_psql('postgres', 'SELECT sum(seq) FROM load.keys');
	cmp_ok($there, '>=', $sum, "point $point: what was there is there");
	cmp_ok($there, '<', $now, "point $point: what came later is not");
	$copy->safe_psql('postgres', 'SELECT load.make_for(k, 3) FROM generate_series(0, 39) k');
	rq_drain($copy);
	rq_check($copy, "point $point, going on");
	rq_applied_all($copy, "point $point");
	$copy->stop;
}
$node->stop;

done_testing();

# 042_rewind.pl -- pg_rewind makes an old primary a standby of the new one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $old = rq_node(
	'old',
	allows_streaming => 1,
	conf             => <<'EOC');
rocketq.segment_size = '1MB'
max_wal_size = 1GB
wal_keep_size = 1GB
EOC
rq_create_load($old);
my $new = rq_standby($old, name => 'new');

my $load = rq_start_load($old);
rq_wait_progress($old, 500);
rq_stop_load($load);
$old->safe_psql('postgres', 'CHECKPOINT');
rq_catch_up($old, $new);

# Both continue independently, with different messages at the same positions.
$new->promote;
rq_poll_query($new, 'the workers', 'SELECT count(pid) = 3 FROM rocketq.workers');
$new->safe_psql('postgres', 'CHECKPOINT');
foreach my $node ($old, $new)
{
	$load = rq_start_load($node);
	rq_wait_progress($node, rq_random(300, 1000));
	$node->safe_psql('postgres', 'CHECKPOINT');
	rq_wait_progress($node, 100);
	rq_stop_load($load);
	rq_check($node, $node->name . ' by itself');
}
$old->safe_psql('postgres', "SELECT rocketq.create_topic('only_here', 3); SELECT rocketq.produce('only_here', 'x')");
$old->stop;

my $conf = slurp_file($old->data_dir . '/postgresql.conf');
command_ok(
	[
		'pg_rewind', '--target-pgdata', $old->data_dir,
		'--source-server', $new->connstr('postgres'), '--no-sync'
	],
	'pg_rewind');
unlink($old->data_dir . '/postgresql.conf');
append_to_file($old->data_dir . '/postgresql.conf', $conf);
$old->enable_streaming($new);
$old->set_standby_mode();
rq_start($old);

$load = rq_start_load($new);
rq_wait_progress($new, 300);
rq_stop_load($load);
rq_catch_up($new, $old);
rq_check($old, 'rewound');
rq_check($new, 'the new primary');
my $contents = "SELECT md5(string_agg(m::text, '' ORDER BY message_id)) FROM load.messages('load.topic') m";
is($old->safe_psql('postgres', $contents),
	$new->safe_psql('postgres', $contents), 'both have the same');


# And back.
$new->stop;
$old->promote;
rq_poll_query($old, 'the workers', 'SELECT count(pid) = 3 FROM rocketq.workers');
$load = rq_start_load($old);
rq_wait_progress($old, 300);
rq_stop_load($load);
rq_drain($old);
rq_check($old, 'the old one as primary again');
rq_applied_all($old, 'the old one');
$old->stop;

done_testing();

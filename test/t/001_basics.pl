# 001_basics.pl -- what a server needs to run rocketq, the errors when
# something is missing, messages and offsets after a restart, and descriptions
# of WAL records.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

#
# Without preloading, an error says what to do.
#
my $node = rq_node('main', no_extension => 1, conf => <<'EOC');
shared_preload_libraries = ''
rocketq.max_topics = 16
rocketq.max_queues = 128
rocketq.max_consumer_slots = 128
EOC

my ($rc, $out, $err) = $node->psql('postgres', 'CREATE EXTENSION rocketq');
isnt($rc, 0, 'CREATE EXTENSION fails without preloading');
like($err, qr/ERROR:\s+rocketq is not in shared_preload_libraries/,
	'the error says why');
like($err, qr/HINT:.*shared_preload_libraries.*restart/, 'the hint says what to do');

#
# Preloaded.
#
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'rocketq'");
$node->restart;
$node->safe_psql('postgres', 'CREATE EXTENSION rocketq CASCADE');
rq_poll_query($node, 'the workers',
	'SELECT count(pid) = 3 FROM rocketq.workers');
is( $node->safe_psql('postgres',
		"SELECT string_agg(backend_type, ',' ORDER BY backend_type) FROM pg_stat_activity WHERE backend_type LIKE 'rocketq%'"
	),
	'rocketq allocator,rocketq janitor,rocketq keeper',
	'pg_stat_activity shows the workers');

my $from = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('orders', 4);
SELECT rocketq.produce('orders', 'message ' || i, 'tag' || i % 2,
	sharding_key => 'k' || i % 10) FROM generate_series(1, 200) i;
SELECT rocketq.create_group('orders', 'named');
SELECT rocketq.create_group('orders', 'gone');
SELECT rocketq.drop_group('orders', 'gone');
EOQ
$node->safe_psql('postgres', <<'EOQ');
BEGIN;
SELECT rocketq.produce('orders', 'rolled back', queue_id => 0);
SELECT rocketq.consume('orders', 'shop', 30);
ROLLBACK;
BEGIN;
SELECT count(*) FROM rocketq.consume('orders', 'shop', 50);
SELECT rocketq.commit_offset('orders', 'shop');
COMMIT;
EOQ

my $contents = <<'EOQ';
SELECT q.queue_id, q.min_offset, q.max_offset, p.queue_offset, p.message_id, p.tag,
	p.sharding_key, p.born_at, p.stored_at, rocketq.text(p.body)
FROM rocketq.queues q,
	LATERAL rocketq.pull('orders', q.queue_id, q.min_offset, 1000) p
ORDER BY p.message_id
EOQ
my $groups = <<'EOQ';
SELECT consumer_group, queue_id, committed_offset, max_offset, lag FROM rocketq.groups
ORDER BY 1, 2
EOQ
my $messages_before = $node->safe_psql('postgres', $contents);
my $groups_before = $node->safe_psql('postgres', $groups);
is(scalar(split(/\n/, $messages_before)), 200, 'all messages are there');
is( $node->safe_psql('postgres',
		"SELECT sum(committed_offset) FROM rocketq.groups WHERE consumer_group = 'shop'"
	),
	'50',
	'the group has moved');

#
# WAL.  The keeper writes RESOLVE and SETTLE, a checkpoint SYNC.
#
$node->safe_psql('postgres', 'CHECKPOINT');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_walinspect');
rq_poll('RESOLVE', sub { rq_flush($node); return $node->safe_psql('postgres', <<"EOQ") > 0; });
SELECT count(*) FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type = 'RESOLVE'
EOQ
is( $node->safe_psql('postgres',
		"SELECT rm_name FROM pg_get_wal_resource_managers() WHERE rm_id >= 128"),
	'rocketq',
	'the resource manager has a name') if $node->pg_version >= 16;

my %described = (
	TOPIC => qr/^topic \d+\/\d+ xid [1-9]\d* settings queues=4$/m,
	APPEND => qr/^pos \d+ end \d+ frames 1$/m,
	ENQUEUE => qr/^topic \d+\/\d+ queue [0-3] offset \d+ count \d+ xid [1-9]\d*$/m,
	RESOLVE => qr/^topic \d+\/\d+ queue [0-3] from \d+ to \d+ aborted ranges \d+$/m,
	GROUP => qr/^topic \d+\/\d+ group \d+ queues 4 xid \d+ name named$/m,
	OFFSET => qr/^topic \d+\/\d+ group \d+ xid [1-9]\d*( queue [0-3] base 0 next \d+)+$/m,
	SETTLE => qr/^topic \d+\/\d+ group \d+( queue [0-3] committed \d+)+$/m,
	'EXT GROUP_DROP' => qr/^GROUP_DROP topic \d+\/\d+ group \d+ xid [1-9]\d*$/m,
	'EXT SYNC' => qr/^SYNC redo [0-9A-F]+\/[0-9A-F]+ log start 0 end \d+$/m);
foreach my $name (sort keys %described)
{
	my $type = $name =~ s/ .*//r;

	like( $node->safe_psql('postgres', <<EOQ), $described{$name}, "pg_walinspect describes WAL records $name");
SELECT description FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type = '$type'
EOQ
}
is( $node->safe_psql('postgres', <<EOQ), '0', 'each WAL record has a type and a description');
SELECT count(*) FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND
	(record_type !~ '^[A-Z_]+\$' OR coalesce(description, '') = '')
EOQ
$node->safe_psql('postgres', 'DROP EXTENSION pg_walinspect');

#
# Restarts.
#
foreach my $mode ('fast', 'smart', 'immediate')
{
	$node->stop($mode);
	$node->start;
	is($node->safe_psql('postgres', $contents),
		$messages_before, "messages after stop $mode");
	is($node->safe_psql('postgres', $groups),
		$groups_before, "groups after stop $mode");
}
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.produce('orders', 'one more', queue_id => 2);
EOQ
is( $node->safe_psql('postgres', <<'EOQ'), 't', 'offsets continue where they were');
SELECT count(*) = 201 AND count(DISTINCT (p.queue_id, p.queue_offset)) = 201
FROM rocketq.queues q,
	LATERAL rocketq.pull('orders', q.queue_id, q.min_offset, 1000) p
EOQ

#
# When a table is full, the error names the setting to raise, and the refused
# call leaves nothing behind.
#
($rc, $out, $err) = $node->psql('postgres',
	"SELECT rocketq.create_topic('wide', 121)");
like($err, qr/too many queues.*rocketq\.max_queues/s, 'too many queues');
($rc, $out, $err) = $node->psql('postgres',
	"SELECT rocketq.create_topic('t' || i, 1) FROM generate_series(1, 16) i");
like($err, qr/too many topics.*rocketq\.max_topics/s, 'too many topics');
rq_poll_query($node, 'the topics to go again',
	'SELECT count(DISTINCT relfilenode) = 1 FROM rocketq.get_queues()');
$node->safe_psql('postgres',
	"SELECT rocketq.create_topic('t' || i, 2) FROM generate_series(1, 15) i");
($rc, $out, $err) = $node->psql('postgres',
	"SELECT rocketq.create_group('orders', 'g' || i) FROM generate_series(1, 15) i");
like($err, qr/too many consumer slots.*rocketq\.max_consumer_slots/s,
	'too many groups');
rq_poll(
	'the slots of rolled back groups to be free',
	sub {
		return 0 == $node->psql('postgres',
			"SELECT rocketq.create_group('orders', 'g' || i) FROM generate_series(1, 14) i"
		);
	});
rq_verify($node, 'with full tables');

# A server whose tables are too small for its store says so and does not start.
$node->append_conf('postgresql.conf', 'rocketq.max_queues = 16');
$node->stop;
my $log_from = rq_log_from($node);
is($node->start(fail_ok => 1), 0, 'no start with too small a table');
like(slurp_file($node->logfile, $log_from),
	qr/too many queues.*rocketq\.max_queues/s, 'the log names the setting');
unlike(slurp_file($node->logfile), qr/rocketq\.segment_size/, 'nothing is logged if the segment size is that of the store');
$node->append_conf('postgresql.conf', "rocketq.max_queues = 128\nrocketq.segment_size = '2MB'");
$log_from = rq_log_from($node);
$node->start;
like(slurp_file($node->logfile, $log_from),
	qr/LOG:\s+rocketq\.segment_size = 2MB is ignored: the store has segments of \d+ MB/,
	'the log says that the store has another segment size');
is($node->safe_psql('postgres', 'SELECT count(*) FROM rocketq.queues'),
	'34', 'nothing is lost when another segment size is ignored');

#
# WAL of the store, without a library to replay it.
#
$node->safe_psql('postgres',
	"SELECT rocketq.produce('orders', 'not to be lost', queue_id => 1)");
$node->stop('immediate');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
is($node->start(fail_ok => 1), 0, 'no recovery without the library');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'rocketq'");
$node->start;
is( $node->safe_psql('postgres',
		"SELECT count(*) FROM rocketq.pull('orders', 1, 0, 1000) WHERE rocketq.text(body) = 'not to be lost'"
	),
	'1',
	'recovery with the library');

#
# Base backups would omit a symbolic link.
#
$node->stop;
my $store = $node->data_dir . '/pg_rocketq';
my $elsewhere = $node->basedir . '/elsewhere';
foreach my $below ('', '/log', '/queue')
{
	rename($store . $below, $elsewhere) or die "could not rename: $!";
	symlink($elsewhere, $store . $below) or die "could not link: $!";
	$log_from = rq_log_from($node);
	is($node->start(fail_ok => 1), 0, "no start with a link pg_rocketq$below");
	like(
		slurp_file($node->logfile, $log_from),
		qr/FATAL:\s+"pg_rocketq$below" is not a directory.*pg_basebackup.*mount/s,
		'the log says that a link is refused');
	unlink($store . $below);
	rename($elsewhere, $store . $below) or die "could not rename: $!";
}
$node->start;
rq_verify($node, 'at the end');
$node->stop;

done_testing();

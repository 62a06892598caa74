# 074_resolve_log.pl -- RESOLVE records name all aborted entries, and the search
# for them ends when they are logged.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $primary = rq_node('primary', allows_streaming => 1, conf => <<'EOC');
rocketq.retention_time = -1
checkpoint_timeout = 1h
max_wal_size = 4GB
wal_keep_size = 4GB
EOC
rq_require_faults($primary);
$primary->safe_psql('postgres', "CREATE EXTENSION pg_walinspect; SELECT rocketq.create_topic('t', 1)");
my $standby = rq_standby($primary);

sub produce
{
	my ($node, $count) = @_;
	return $node->safe_psql('postgres', "INSERT INTO t (body) SELECT 'c' FROM generate_series(1, $count)");
}

# Entries of a transaction that fails when they are in the queue.
sub abort
{
	my ($node, $count, $more_faults) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', <<"EOQ");
SET rocketq.fault = 'precommit-done=error$more_faults';
INSERT INTO t (body) SELECT 'a' FROM generate_series(1, $count);
EOQ
	like($err, qr/precommit-done/, "$count entries of a transaction that fails");
	return;
}

# Wait until records that begin at "from" have the queue resolved up to "end".
sub logged
{
	my ($node, $from, $end) = @_;

	return rq_poll_query($node, 'all to be logged', <<"EOQ");
SELECT coalesce(bool_or(description ~ ' to $end '), false)
FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type = 'RESOLVE'
EOQ
}

# A record RESOLVE covers any number of entries if none of them is aborted.
sub is_one_record
{
	my ($node, $label) = @_;
	my $keeper = rq_pause($node, 'rocketq keeper');
	my $from = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');

	produce($node, 10000);
	my $end = $node->safe_psql('postgres', "SELECT rocketq.max_offset('t', 0)");
	kill('CONT', $keeper);
	logged($node, $from, $end);
	is( $node->safe_psql('postgres', <<"EOQ"), 1, "$label: nothing is searched for aborted entries");
SELECT count(*) FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type = 'RESOLVE'
EOQ
	return;
}

#
# An error after entries were found aborted has them counted once more.
#
my $log_from = rq_log_from($primary);
abort($primary, 700, ',resolve-flags=error');
$primary->wait_for_log(qr/left the entries of a transaction to the keeper/, $log_from);
produce($primary, 1);
$primary->safe_psql('postgres', 'CHECKPOINT');
is_one_record($primary, 'after an error');

#
# Readers of a standby find entries aborted before the record comes that says so.
#
my $keeper = rq_pause($primary, 'rocketq keeper');
abort($primary, 700, '');
produce($primary, 1);
rq_catch_up($primary, $standby);
is($standby->safe_psql('postgres', 'SELECT (SELECT count(*) FROM t), (SELECT sum(unresolved) FROM rocketq.queues)'),
	'10002|0', 'a reader of the standby is ahead');
kill('CONT', $keeper);
$primary->safe_psql('postgres', 'CHECKPOINT');
rq_catch_up($primary, $standby);
$primary->stop;
$standby->promote;
is_one_record($standby, 'after a promotion');

#
# A record that does not reach the end of what is resolved leaves aborted entries
# for the next one.  After a crash entries are replayed without their flags, and
# only these records make the aborted ones be passed over.
#
$keeper = rq_pause($standby, 'rocketq keeper');
abort($standby, 100, '');
produce($standby, 5000);
abort($standby, 100, '');
produce($standby, 1);
my $end = $standby->safe_psql('postgres', "SELECT rocketq.max_offset('t', 0)");
my $from = $standby->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
kill('CONT', $keeper);
logged($standby, $from, $end);
cmp_ok($standby->safe_psql('postgres', <<"EOQ"), '>', 1, 'all are logged, not in one record');
SELECT count(*) FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type = 'RESOLVE'
EOQ
rq_flush($standby);
rq_kill9($standby, all => 1);
rq_start($standby);
is($standby->safe_psql('postgres', 'SELECT body, count(*) FROM (SELECT rocketq.text(body) AS body FROM t) t GROUP BY 1'),
	'c|25003', 'after a crash no aborted entry can be read');
rq_verify($standby, 'at the end');
$standby->stop;

done_testing();

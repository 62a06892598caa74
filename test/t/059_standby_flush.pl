# 059_standby_flush.pl -- before a standby removes files during replay, it
# records that recovery must not end before that WAL record: if promoted or
# restarted with less WAL, it would lack them.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', allows_streaming => 1, conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.retention_time = '-1'
rocketq.janitor_interval = '20ms'
checkpoint_timeout = 1h
bgwriter_lru_maxpages = 0
EOC

sub query { return $node->safe_psql('postgres', $_[0]); }

query(<<'EOQ');
CREATE EXTENSION pg_walinspect;
SELECT rocketq.create_topic(t, 2) FROM unnest('{trimmed,resized,dropped}'::text[]) t;
SELECT count(rocketq.produce('trimmed', repeat('x', 10000))) FROM generate_series(1, 300);
SELECT rocketq.produce('dropped', 'x');
CHECKPOINT;
EOQ
my $standby = rq_standby($node);
rq_catch_up($node, $standby);

# Do it, wait for its record, for which "is" is the condition, and let the
# standby replay it. The standby's control file has the minimum recovery point,
# and nothing else raises it here.
sub noted
{
	my ($what, $type, $is, $do) = @_;
	my $from = rq_flush($node);
	my $record = <<"EOQ";
FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type = '$type' AND description ~ '$is'
EOQ
	my $end;

	$do->();
	rq_poll(
		"the record of what is $what",
		sub {
			rq_flush($node);
			return ($end = query("SELECT max(end_lsn) $record")) ne '';
		});
	rq_catch_up($node, $standby);
	is($standby->safe_psql('postgres', "SELECT min_recovery_end_lsn >= '$end' FROM pg_control_recovery()"),
		't', "$what: recovery can't end before that");
	return;
}

my $files = scalar(rq_store_files($standby, 'log'));
noted('trimmed', 'TRIM', 'log start [1-9]',
	sub {
		append_to_file($node->data_dir . '/postgresql.conf', "rocketq.retention_time = 0\n");
		rq_reload($node);
	});
cmp_ok(scalar(rq_store_files($standby, 'log')), '<', $files, 'files of the log have been removed');

rq_verify($standby, 'standby');
$standby->stop;
$node->stop;
done_testing();

# 077_in_doubt.pl -- what depends on a transaction is settled by a record, and that
# takes nothing back that depends on another one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', conf => "rocketq.janitor_interval = '20ms'\ncheckpoint_timeout = 1h");
rq_require_faults($node);

sub query { return $node->safe_psql('postgres', $_[0]); }

query(<<'EOQ');
CREATE EXTENSION pg_walinspect;
SELECT rocketq.create_topic('t', 1);
SELECT rocketq.create_group('t', 'g');
SELECT count(rocketq.produce('t', 'm' || i)) FROM generate_series(1, 3) i;
SELECT count(*) FROM rocketq.consume('t', 'g', 1, auto_commit => true);
EOQ

#
# A move that was rolled back.  The offset is what it was, but WAL has a record that
# says it may have been moved; so there must be another one, or a standby would go
# on asking what became of the transaction.
#
my $settled = "record_type = 'SETTLE' AND description ~ ' committed 1\$'";
query('CHECKPOINT');
my $from = query('SELECT pg_current_wal_insert_lsn()');
query('CHECKPOINT');
is(query("SELECT count(*) FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn()) WHERE $settled"),
	0, 'an offset that is settled is not logged again');
my ($rc, $out, $err) = $node->psql('postgres',
	"SET rocketq.fault = 'precommit-done=error'; SELECT count(*) FROM rocketq.consume('t', 'g', 1, auto_commit => true)");
like($err, qr/precommit-done/, 'a move is rolled back when it has been logged');
rq_poll(
	'it to be settled by a record',
	sub {
		# What can be read of WAL is what has been flushed.
		rq_flush($node);
		return query("SELECT count(*) FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn()) WHERE $settled") == 1;
	});

#
# A topic whose creator has ended, which is not settled yet, is dropped, and the
# redo pointer moves past the commit of that; then the creation is settled.  After
# a crash only drop_xid in that record tells of the drop: the relation's file is
# still there, and nobody else removes it.
#
my $janitor = rq_pause($node, 'rocketq janitor');
query("SELECT rocketq.create_topic('dropped', 1); SELECT rocketq.create_group('dropped', 'g')");
my ($session, $pid) = rq_stopped_session($node, 'commit-callback', 'SELECT 1', 'DROP TABLE dropped;');
query('CHECKPOINT');
$from = query('SELECT pg_current_wal_insert_lsn()');
rq_arm($node, 'janitor-drop=stop');
kill('CONT', $janitor);
rq_poll_stopped($janitor);
rq_flush($node);
is(query(<<"EOQ"), 'TOPIC', 'the creation is settled, the topic is still there');
SELECT string_agg(record_type, ' ') FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type LIKE 'TOPIC%'
EOQ
rq_disarm($node);
rq_kill9($node, all => 1);
eval { $session->quit; };
rq_start($node);
rq_poll_query($node, 'the dropped topic to go', "SELECT count(*) = 1 FROM rocketq.get_queues()");
is(query('SELECT count(*) FROM rocketq.get_groups()'), 1, 'so does its group');
rq_verify($node, 'at the end');
$node->stop;

done_testing();

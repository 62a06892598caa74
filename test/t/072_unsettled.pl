# 072_unsettled.pl -- the keeper looks only at queues and offsets about which
# something is to be logged; a sync logs only which entries are aborted, and
# writes only what has changed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $queues = 20000;
my $node = rq_node('main', conf => <<"EOC");
rocketq.max_queues = 25000
rocketq.max_queues_per_topic = $queues
rocketq.max_consumer_slots = 25000
rocketq.max_consumer_slots_per_topic = 25000
checkpoint_timeout = 1h
EOC
rq_require_faults($node);
my $state = $node->data_dir . '/pg_rocketq/state';

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub errors { return sql("SELECT errors FROM rocketq.workers WHERE worker = 'keeper'"); }

# Rounds of the keeper in which it has logged at least twice.
sub wait_rounds { return rq_wait_ticks($node, 'keeper', 60); }

sql(<<"EOQ");
CREATE EXTENSION pg_walinspect;
SELECT rocketq.create_topic('rest', $queues), rocketq.create_topic('few', 100);
SELECT rocketq.create_group('rest', 'g');
SELECT count(rocketq.produce('rest', 'x', queue_id => i)) FROM generate_series(0, 99) i;
SELECT count(*) FROM rocketq.consume('rest', 'g', 50, auto_commit => true);
CHECKPOINT;
EOQ

#
# At rest, none is looked at.
#
wait_rounds();
my $before = errors();
rq_arm($node, 'keeper-look=error,offset-settle=error');
wait_rounds();
is(errors(), $before, 'the keeper looks at no queue and no offset');
sql("SELECT rocketq.produce('rest', 'x', queue_id => 7)");
rq_poll('the keeper to look at a queue', sub { return errors() > $before; });
rq_arm($node, 'offset-settle=error');
wait_rounds();
$before = errors();
sql("SELECT count(*) FROM rocketq.consume('rest', 'g', 1, auto_commit => true)");
rq_poll('the keeper to look at an offset', sub { return errors() > $before; });
rq_disarm($node);
rq_reload($node);
wait_rounds();
$before = errors();
rq_arm($node, 'keeper-look=error,offset-settle=error');
wait_rounds();
is(errors(), $before, 'what is settled is not looked at again');
rq_disarm($node);
rq_reload($node);

# After a start nobody knows what is settled, until it has been found.
$node->restart;
wait_rounds();
$before = errors();
rq_arm($node, 'keeper-look=error,offset-settle=error');
wait_rounds();
is(errors(), $before, 'nor after a restart');
rq_disarm($node);
rq_reload($node);

#
# A sync.  Each queue gets two messages, and some have an aborted entry between
# them.
#
my $kept = 0;

sub produce_some
{
	my ($rc, $out, $err);

	sql("SELECT count(rocketq.produce('few', 'kept', queue_id => i)) FROM generate_series(0, 99) i");
	($rc, $out, $err) = $node->psql('postgres', <<'EOQ');
SET rocketq.fault = 'precommit-done=error';
SELECT count(rocketq.produce('few', 'aborted', queue_id => i)) FROM generate_series(10, 12) i;
EOQ
	like($err, qr/precommit-done/, 'a transaction fails when its entries are in the queues');
	sql("SELECT count(rocketq.produce('few', 'kept', queue_id => i)) FROM generate_series(0, 99) i");
	$kept += 200;
	is(sql("SELECT sum(unresolved) FROM rocketq.queues WHERE topic = 'few'"), '0', 'all is resolved');
	return;
}

# With these faults, which it keeps after the sync, until the checkpoint is done.
sub sync_with
{
	my ($faults) = @_;
	my ($job, $keeper) = rq_checkpoint_held($node);
	my $size = -s $state;
	my $from = rq_flush($node);
	my $logged;

	produce_some();
	rq_arm($node, "${faults}keeper-rotate=stop");
	kill('CONT', $keeper);
	rq_poll('the state to be written', sub { return -s $state != $size; });
	rq_poll_stopped($keeper);
	rq_flush($node);
	$logged = sql(<<"EOQ");
SELECT count(*) FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type = 'RESOLVE'
EOQ
	rq_arm($node, 'keeper-look=error');
	kill('CONT', $keeper);
	$job->{run}->finish;
	return $logged;
}

sub crash
{
	my ($label) = @_;

	rq_disarm($node);
	rq_kill9($node, all => 1);
	rq_start($node);
	is( sql("SELECT count(*), count(*) FILTER (WHERE rocketq.text(body) = 'kept') FROM few"),
		"$kept|$kept", "$label: after a crash the aborted messages cannot be read");
	rq_verify($node, $label);
	return;
}

sql('CHECKPOINT');
is(sync_with(''), 3, 'a sync logs only queues with aborted entries');
crash('logged');

# What is not logged about aborted entries is not in the state.
sql('CHECKPOINT');
is(sync_with('keeper-look=error,'), 0, 'a sync that cannot log');
crash('not logged');

#
# The size of a sync.
#
sql("SELECT count(rocketq.produce('rest', 'x', queue_id => i)) FROM generate_series(0, 19999, 100) i; CHECKPOINT");
wait_rounds();
sql('CREATE TABLE other (i int); CHECKPOINT');
my $size = -s $state;
sql("SELECT count(rocketq.produce('rest', 'x', queue_id => i * 1900)) FROM generate_series(0, 9) i; CHECKPOINT");
my $bytes = sql("SELECT last_sync_bytes FROM rocketq.workers WHERE worker = 'keeper'");
note("the state has grown by ", -s $state, " - $size bytes, and the sync was of $bytes");
cmp_ok(-s $state, '>', $size, 'changes are appended');
cmp_ok((-s $state) - $size, '<', 4096, "10 of $queues queues have changed: the state grows by a little");
cmp_ok($bytes, '<', 16384, "10 of $queues queues have changed: a small sync");
rq_verify($node, 'at the end');
$node->stop;

done_testing();

# 029_rounds.pl -- what takes more than one round, or splits in two: more
# aborted entries than fit in one record, and appends in flight on both sides
# of a complete one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main', allows_streaming => 1, conf => <<'EOC');
checkpoint_timeout = 1h
rocketq.retention_time = '-1'
EOC
rq_require_faults($node);
$node->safe_psql('postgres', 'CREATE EXTENSION pg_walinspect');

sub query { return $node->safe_psql('postgres', $_[0]); }

# The keeper fills gaps before it allows anyone to produce.
sub crash
{
	rq_kill9($node, all => 1);
	rq_start($node);
	query("SELECT rocketq.produce('gate', 'open')");
	return;
}

# Descriptions of WAL records of that type from that LSN on.
sub records
{
	my ($type, $from) = @_;
	rq_flush($node);
	return split /\n/, query(<<"EOQ");
SELECT description FROM pg_get_wal_records_info_till_end_of_wal('$from')
WHERE resource_manager = 'rocketq' AND record_type = '$type' ORDER BY start_lsn
EOQ
}

#
# A RESOLVE record has up to 512 ranges of aborted entries.  The rest is left
# to the next records, even when nothing has been aborted since.  Replay first
# clears the flags of all entries, and then relies on the records.
#
{
	my $file = $node->basedir . '/ranges.sql';
	my $rounds = 1100;
	my $kept = 0;
	my $from = rq_flush($node);
	my $keeper;

	query("SELECT rocketq.create_topic('ranges', 1), rocketq.create_topic('gate', 1); CHECKPOINT");
	$keeper = rq_pause($node, 'rocketq keeper');
	append_to_file($file, "SET log_min_messages = fatal; SET client_min_messages = fatal;\n");
	foreach my $i (1 .. $rounds)
	{
		my ($some, $none) = (rq_random(1, 3), rq_random(1, 3));

		append_to_file($file, <<"EOQ");
SELECT count(rocketq.produce('ranges', 'kept')) FROM generate_series(1, $some);
BEGIN;
SET LOCAL rocketq.fault = 'precommit-done=error';
SELECT count(rocketq.produce('ranges', 'aborted')) FROM generate_series(1, $none);
COMMIT;
EOQ
		$kept += $some;
	}
	query('SELECT 1');
	$node->command_ok([ 'psql', '-XAtq', '-o', '/dev/null', '-f', $file,
			'-d', $node->connstr('postgres') ], 'transactions that take turns in failing');
	is(scalar(records('RESOLVE', $from)), 0, 'no record has the aborted entries yet');
	my $end = query("SELECT rocketq.max_offset('ranges', 0)");
	kill('CONT', $keeper);
	rq_poll('the keeper to tell of all of them',
		sub { return grep { /\b$end\b/ } records('RESOLVE', $from) });
	cmp_ok(scalar(records('RESOLVE', $from)), '>=', 3, 'they need more than two records');

	my $contents = "SELECT count(*), count(*) FILTER (WHERE rocketq.text(body) = 'kept') FROM ranges";
	is(query($contents), "$kept|$kept", 'aborted messages are not visible');
	crash();
	is(query($contents), "$kept|$kept", 'aborted messages are not visible after a crash');
	rq_verify($node, 'ranges');
	query('CHECKPOINT');
	crash();
	is(query($contents), "$kept|$kept", 'aborted messages are not visible after a checkpoint and another crash');
}

#
# A gap that splits.  Five sessions have reserved a range of the log each, and
# the first has also stored its messages.  The last one commits, then the one
# in the middle does, which leaves a gap on both sides of it.
#
{
	my %at = (first => 'append-store', second => 'append-reserve',
		middle => 'append-reserve', fourth => 'append-reserve');
	my %session;
	my %pid;

	query("SELECT rocketq.create_topic('gaps', 1); CHECKPOINT");
	my $standby = rq_standby($node);
	foreach my $name (qw(first second middle fourth))
	{
		($session{$name}, $pid{$name}) = rq_stopped_session($node, $at{$name}, 'BEGIN',
			"SELECT rocketq.produce_batch('gaps', '{$name-one,$name-two}'::text[]);");
	}
	query("SELECT rocketq.produce_batch('gaps', '{last-one,last-two}'::text[])");
	rq_flush($node);
	rq_resume_session($node, $session{middle}, $pid{middle});
	$session{middle}->query_safe('COMMIT');
	rq_catch_up($node, $standby);
	crash();
	eval { $_->quit } foreach values %session;

	my $contents =
	  "SELECT string_agg(rocketq.text(body), ' ' ORDER BY queue_offset) FROM rocketq.pull('gaps', 0, 0, 100)";
	is(query($contents), 'last-one last-two middle-one middle-two', 'gaps: what was committed is there');
	rq_verify($node, 'gaps');
	# Messages of an aborted transaction, but complete ones: the standby gets
	# them.
	is(rq_in_store($node, 'log', 'first-two'), 1, 'gaps: complete frames stay');
	rq_catch_up($node, $standby);
	is(rq_in_store($standby, 'log', 'first-two'), 1, 'gaps: complete frames are on the standby');
	is($standby->safe_psql('postgres', $contents),
		'last-one last-two middle-one middle-two', 'gaps: what was committed is on the standby');
	rq_verify($standby, 'gaps, standby');
	$standby->promote;
	rq_poll_query($standby, 'promotion', 'SELECT NOT pg_is_in_recovery()');
	$standby->safe_psql('postgres', "SELECT rocketq.produce('gaps', 'more')");
	rq_verify($standby, 'gaps, promoted');
	$standby->stop;
	crash();
	rq_verify($node, 'gaps, after another crash');
}

#
# A message whose record lies below the redo pointer, but whose reservation is
# still in flight when the state is copied: a gap in the state that has been
# filled.
#
{
	my ($session, $pid) = rq_stopped_session($node, 'append-wal', 'BEGIN',
		"SELECT rocketq.produce_batch('gaps', '{in,flight}'::text[]);");

	query('CHECKPOINT');
	rq_resume_session($node, $session, $pid);
	$session->query_safe('COMMIT');
	crash();
	eval { $session->quit };
	is(query("SELECT string_agg(rocketq.text(body), ' ') FROM gaps WHERE rocketq.text(body) IN ('in', 'flight')"),
		'in flight', 'a message in flight over a checkpoint');
	rq_verify($node, 'in flight');
}

$node->stop;
done_testing();

# 029_rounds.pl -- what takes more than one round, or splits in two: more
# aborted entries than fit in one record; appends in flight on both sides of a
# complete one; more groups in doubt than the janitor settles in one go.

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
rocketq.max_groups_per_topic = 1000
rocketq.max_consumer_slots_per_topic = 8000
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
SELECT description FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
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

#
# However many groups are in doubt, or were rolled back, each round of the janitor
# writes records of only so many.
#
{
	my $all = 600;
	my $most = 256;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $janitor;

	# How many records of that type, told by a pattern, each round writes.
	my $rounds = sub {
		my ($from, $type, $pattern) = @_;
		my @rounds;
		my $written = 0;

		rq_arm($node, 'janitor-settle=stop');
		while ($written < $all && @rounds < 10)
		{
			kill('CONT', $janitor);
			rq_poll_stopped($janitor);
			push @rounds, grep({ /$pattern/ } records($type, $from)) - $written;
			$written += $rounds[-1];
		}
		is($written, $all, "$type: a record for each of them");
		cmp_ok((sort { $b <=> $a } @rounds)[0], '<=', $most, "$type: in rounds of @rounds");
		rq_arm($node, '');
		return;
	};

	query("SELECT rocketq.create_topic('doubt', 1)");
	$janitor = rq_pause($node, 'rocketq janitor');
	query("SELECT count(rocketq.create_group('doubt', 'c' || i)) FROM generate_series(1, $all) i");
	$rounds->(rq_flush($node), 'GROUP', '');

	$session->query_safe('BEGIN; SAVEPOINT s');
	$session->query_safe("SELECT count(rocketq.create_group('doubt', 'r' || i)) FROM generate_series(1, 300) i; ROLLBACK TO s") foreach 1 .. 2;
	$rounds->(rq_flush($node), 'EXT', '^GROUP_DROP');
	kill('CONT', $janitor);
	$session->query_safe('COMMIT');
	$session->quit;
	is(query("SELECT count(*) FROM rocketq.groups WHERE topic = 'doubt'"), $all, 'which are those of the first kind');
}

#
# Those whose transaction goes on do not keep the others waiting for a later round.
#
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my ($janitor, $from);

	query("ALTER SYSTEM SET rocketq.janitor_interval = '1h'");
	rq_reload($node);
	query("SELECT rocketq.create_topic('long', 1)");
	$janitor = rq_pause($node, 'rocketq janitor');
	$session->query_safe('BEGIN');
	$session->query_safe("SELECT count(rocketq.create_group('long', 'c' || i)) FROM generate_series(1, 600) i");
	$from = rq_flush($node);
	query("SELECT rocketq.create_group('long', 'ended')");
	kill('CONT', $janitor);
	rq_reload($node);
	rq_poll('what has ended to be settled', sub { return grep({ 1 } records('GROUP', $from)) == 2; });
	pass('one that has ended is settled beside 600 that have not');
	$session->query_safe('ROLLBACK');
	$session->quit;
	query('ALTER SYSTEM RESET rocketq.janitor_interval');
	rq_reload($node);
}

#
# A dropped topic whose storage cannot be removed yet is not settled again and
# again.
#
{
	my $settled = qr/fault point "topic-settle"/;
	my $kept = qr/fault point "janitor-drop"/;
	my $from;

	query("SELECT rocketq.create_topic('dropped', 1), rocketq.create_topic('altered', 1)");
	rq_poll_query($node, 'the janitor to have settled them',
		"SELECT bool_and(last_error IS NULL) FROM rocketq.workers");
	rq_wait_ticks($node, 'janitor', 2);
	rq_arm($node, 'janitor-drop=error,topic-settle=error');
	$from = rq_log_from($node);
	query("SELECT rocketq.drop_topic('dropped')");
	foreach my $round (1 .. 3)
	{
		$node->wait_for_log($kept, $from);
		$from = rq_log_from($node) if $round < 3;
	}
	rq_wait_ticks($node, 'janitor', 2);
	is(grep({ $_ =~ $settled } slurp_file($node->logfile, $from)), 0, 'a doomed topic is not settled');
	query("SELECT rocketq.alter_topic('altered', 2)");
	$node->wait_for_log($settled, $from);
	pass('another one would be');
	rq_arm($node, '');
	$node->wait_for_log(qr/removed the storage of dropped topic/, $from);
}

$node->stop;
done_testing();

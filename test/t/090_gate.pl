# 090_gate.pl -- after a crash or a promotion, producers and consumers do not wait
# for anything that grows with the number of queues and groups: nothing has to be
# logged or synced before the store opens.  And if the state file loses its end
# later, that is noticed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', allows_streaming => 1, conf => "checkpoint_timeout = 1h\n");
rq_require_faults($node);

sub sql
{
	my ($server, $sql) = @_;
	return $server->safe_psql('postgres', $sql);
}

# What is left unsettled when the server is killed: all offsets, some of which
# transactions have moved, and queues with entries that were rolled back.
sub leave_unsettled
{
	my ($server) = @_;
	sql($server, <<'EOQ');
SELECT count(rocketq.produce('t', 'm' || q, queue_id => q)) FROM generate_series(0, 63) q;
BEGIN;
SELECT count(rocketq.produce('t', 'gone', queue_id => q)) FROM generate_series(0, 63) q;
ROLLBACK;
SELECT count(*) FROM rocketq.consume('t', 'g', 10, auto_commit => true);
SELECT pg_switch_wal() > '0/0';
EOQ
	return;
}

my $contents = <<'EOQ';
SELECT (SELECT count(*) FROM t), (SELECT sum(lag) FROM rocketq.groups), (SELECT sum(max_offset) FROM rocketq.queues)
EOQ

# The keeper stops when it looks at the first queue, and when it begins to sync.
my $stops = 'keeper-look=stop,keeper-sync=stop';

# The keeper of a server that has just been opened stands still; all the same
# one can produce and consume.
sub is_open
{
	my ($server, $label) = @_;
	my $keeper = rq_worker_pid($server, 'keeper');
	my $expected = sql($server, $contents);

	rq_poll_stopped($keeper);
	is(sql($server, "SELECT rocketq.produce('t', 'x', queue_id => 1) > 0"), 't', "$label: one can produce");
	is(sql($server, "SELECT count(*) FROM rocketq.consume('t', 'g', 1, auto_commit => true)"), '1', "$label: and consume");
	rq_disarm($server);
	$server->append_conf('postgresql.conf', "rocketq.fault = ''\n");
	rq_reload($server);
	rq_poll('the keeper to go on', sub {
			kill('CONT', $keeper);
			return sql($server, "SELECT ticks > 2 FROM rocketq.workers WHERE worker = 'keeper'") eq 't';
		});
	isnt(sql($server, $contents), $expected, "$label: both are seen");
	rq_verify($server, $label);
	return;
}

sub crash
{
	my ($server) = @_;

	rq_kill9($server, all => 1);
	$server->append_conf('postgresql.conf', "rocketq.fault = '$stops'\n");
	rq_start($server);
	return;
}

sql($node, "SELECT rocketq.create_topic('t', 64)");
sql($node, "SELECT rocketq.create_group('t', 'g')");
my $standby = rq_standby($node);
leave_unsettled($node);
my $expected = sql($node, $contents);
crash($node);
is(sql($node, $contents), $expected, 'all is there after a crash');
is_open($node, 'crash');

leave_unsettled($node);
rq_catch_up($node, $standby);
$standby->append_conf('postgresql.conf', "rocketq.fault = '$stops'\n");
rq_reload($standby);
$standby->promote;
is_open($standby, 'promotion');
$standby->stop;

#
# A final sync is the last one of its file, whoever comes after it.
#
my $state = $node->data_dir . '/pg_rocketq/state';

# Of each sync in the file: where it ends, and whether it is a final one.
sub syncs
{
	my $bytes = slurp_file($state);
	my @syncs;

	for (my $at = 64; $at < length($bytes);)
	{
		my ($flags, $length) = unpack('x12 L x24 Q', substr($bytes, $at, 104));

		$at += $length;
		push(@syncs, [ $at, $flags & 2 ]) if $flags & 1;
	}
	return @syncs;
}

sub checkpoint
{
	sql($node, "SELECT rocketq.produce('t', 'y') > 0");
	sql($node, 'CHECKPOINT');
	return;
}

# The server dies after some checkpoints, and the file loses what they have added.
sub loses_its_end
{
	my ($label) = @_;
	my $saved = $node->backup_dir . '/killed';
	my @syncs;
	my $log_from;

	checkpoint() foreach 1 .. 3;
	rq_kill9($node, all => 1);
	@syncs = syncs();
	cmp_ok(scalar @syncs, '>=', 3, "$label: some syncs");
	is(scalar(grep { $_->[1] } @syncs), 0, "$label: none of them is final");
	system_or_bail('rm', '-rf', $saved);
	system_or_bail('cp', '-a', $node->data_dir, $saved);
	foreach my $sync (@syncs[ 0 .. $#syncs - 1 ])
	{
		$log_from = rq_log_from($node);
		truncate($state, $sync->[0]) or die "could not truncate \"$state\": $!";
		ok(!$node->start(fail_ok => 1), "$label: without its end, at $sync->[0], the server does not start");
		like(slurp_file($node->logfile, $log_from), qr/FATAL:  rocketq file "pg_rocketq\/state" and WAL do not fit together/,
			"$label: it says why");
		system_or_bail('rm', '-rf', $node->data_dir);
		system_or_bail('cp', '-a', $saved, $node->data_dir);
	}
	rq_start($node);
	rq_verify($node, $label);
	return;
}

checkpoint();
loses_its_end('after a start');
loses_its_end('after a crash');

my $keeper = rq_worker_pid($node, 'keeper');
checkpoint();
sql($node, "SELECT pg_terminate_backend($keeper)");
rq_poll('another keeper', sub {
		my $pid = rq_worker_pid($node, 'keeper');
		return $pid && $pid != $keeper;
	});
sql($node, "SELECT rocketq.produce('t', 'z') > 0");
is(scalar(grep { $_->[1] } syncs()), 1, 'one that closes the store is final');
loses_its_end('after another keeper');
$node->stop;
done_testing();

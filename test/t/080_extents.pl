# 080_extents.pl -- extents of queues: what a queue has given back stays as it is
# until a sync no longer names it, whatever ends the server; a crash at each point
# of that; and offsets beyond 2^32.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqPower;
use RocketqTest;
use Test::More;

rq_seed();

my $conf = <<'EOC';
rocketq.segment_size = '1MB'
rocketq.retention_time = -1
rocketq.janitor_interval = '20ms'
checkpoint_timeout = 1h
autovacuum = off
# Else what others log would have WAL written that nobody has flushed.
wal_buffers = 16MB
EOC
my $has_power = $ENV{RQ_POWER_SWITCH} ? 1 : 0;
my $node = $has_power ? rq_power_node('ext4', conf => $conf) : rq_node('main', conf => $conf);
rq_require_faults($node);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# What can be trimmed is what WAL says to be resolved: wait until the keeper has
# logged that, up to this offset.
sub wait_until_logged
{
	my ($from, $end) = @_;

	my $logged = <<"EOQ";
SELECT EXISTS (SELECT FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
	WHERE resource_manager = 'rocketq' AND record_type = 'RESOLVE' AND description ~ ' to $end ')
EOQ

	return rq_poll("RESOLVE up to $end", sub { rq_flush($node); return sql($logged) eq 't'; });
}

# End the server at once, and start it again with these fault points.
sub crash
{
	my ($how, $faults) = @_;

	$faults eq '' ? rq_disarm($node) : rq_arm($node, $faults);
	if ($how eq 'kill')
	{
		rq_kill9($node, all => 1);
		rq_start($node);
	}
	else
	{
		rq_power_cut($node, $how);
		# With the fault points that are in its configuration.
		rq_start($node);
	}
	return;
}

sql('CREATE EXTENSION pg_walinspect');
my @how = ('kill', $has_power ? rq_power_modes() : ());
my $bodies = "SELECT count(*), md5(string_agg(rocketq.text(body), ',' ORDER BY queue_id, queue_offset))";
my $taken = 0;

# Others need extents, of all sizes.
sub take_others
{
	my $name = 'taker' . ++$taken;

	return sql(<<"EOQ");
SET synchronous_commit = off;
SELECT rocketq.create_topic('$name', 50);
SELECT count(rocketq.produce('$name', 'taken', queue_id => i % 50)) FROM generate_series(1, 100) i;
SELECT count(rocketq.produce('$name', 'taken', queue_id => 0)) FROM generate_series(1, 500) i;
EOQ
}

#
# A trim whose record is lost, before a sync and while one is completed that has
# copied the queue before: the queue gets back what it had given up.
#
foreach my $synced (0, 1)
{
	foreach my $how (@how)
	{
		my $label = ($synced ? 'given back while a sync is made' : 'given back') . ", $how";
		my $janitor = rq_worker_pid($node, 'janitor');
		my ($checkpoint, $keeper);

		my $from = rq_flush($node);

		sql("SELECT rocketq.create_topic('lost', 1)");
		sql("SELECT count(rocketq.produce('lost', 'message ' || i)) FROM generate_series(1, 400) i");
		wait_until_logged($from, 400);
		sql('CHECKPOINT');
		my $before = sql("$bodies FROM lost");
		if ($synced)
		{
			# WAL is flushed, the state is not written.
			$keeper = rq_worker_pid($node, 'keeper');
			sql("SELECT count(rocketq.produce('lost', 'message ' || i)) FROM generate_series(401, 410) i");
			$before = sql("$bodies FROM lost");
			rq_arm($node, 'keeper-fsynced=stop,trim-cut=stop');
			$checkpoint = rq_background($node, 'psql', '-XAtq', '-c', 'CHECKPOINT', '-d',
				$node->connstr('postgres'));
			rq_poll_stopped($keeper);
		}
		else { rq_arm($node, 'trim-cut=stop'); }
		# From here on nobody flushes WAL who is not told to.
		rq_pause($node, $_)
		  foreach ('walwriter', 'background writer', 'checkpointer', $synced ? () : 'rocketq keeper');
		sql("SELECT rocketq.alter_topic('lost', retention_time => '0')");
		rq_poll_stopped($janitor);
		cmp_ok(sql("SELECT rocketq.min_offset('lost', 0)"), '>', 0, "$label: it is trimmed");
		if ($synced)
		{
			# The state gets durable, but the checkpoint does not complete.
			my $syncs = "SELECT ticks FROM rocketq.workers WHERE worker = 'keeper'";
			my $ticks = sql($syncs);

			kill('CONT', $keeper);
			rq_poll_query($node, 'the sync to be done', "SELECT ($syncs) > $ticks + 1");
		}
		take_others();
		rq_wait_ticks($node, 'allocator', 2);

		# The janitor is not to trim it again.
		crash($how, 'trim-decided=stop');
		eval { $checkpoint->{run}->finish; } if $checkpoint;
		is(sql("$bodies FROM lost"), $before, "$label: it has all that it had");
		rq_verify($node, $label);
		rq_poll_stopped($janitor = rq_worker_pid($node, 'janitor'));
		rq_arm($node, '');
		kill('CONT', $janitor);
		sql('DROP TABLE lost');
		rq_poll_query($node, 'the topic to go',
			"SELECT count(*) = 0 FROM rocketq.topics WHERE topic::text = 'lost'");
	}
}

#
# A crash at each point, while others take extents.
#
sql("SELECT rocketq.create_topic('kept', 20)");
sql("SELECT count(rocketq.produce('kept', 'k' || i, queue_id => i % 20)) FROM generate_series(1, 5000) i");
foreach my $point (
	'extents-freed', 'extents-waiting', 'area-fsynced', 'state-batch',
	'extents-released', 'extent-zeroing')
{
	foreach my $how ('kill', $has_power ? $how[ rq_random(1, $#how) ] : ())
	{
		my $label = "$point, $how";
		my %worker = map { $_ => rq_worker_pid($node, $_) } ('keeper', 'allocator', 'janitor');
		my $who = $point eq 'extents-freed' ? 'janitor' : $point eq 'extent-zeroing' ? 'allocator' : 'keeper';

		sql("SELECT rocketq.create_topic('dropped', 6)");
		sql("SELECT count(rocketq.produce('dropped', 'd' || i, queue_id => i % 6)) FROM generate_series(1, 1000) i");
		sql('CHECKPOINT');
		rq_arm($node, "$point=stop");
		sql('DROP TABLE dropped');
		rq_wait_ticks($node, 'janitor', 2) if $who ne 'janitor';
		my $checkpoint = $who eq 'janitor' ? undef
		  : rq_background($node, 'psql', '-XAtq', '-c',
			"SELECT rocketq.produce('kept', 'stored', queue_id => 0)", '-c', 'CHECKPOINT',
			'-d', $node->connstr('postgres'));
		rq_poll_stopped($worker{$who});
		take_others();
		sql("SELECT count(rocketq.produce('kept', '$label' || i, queue_id => i % 20)) FROM generate_series(1, 1000) i");
		my $kept = sql("$bodies FROM kept");
		crash($how, '');
		eval { $checkpoint->{run}->finish; } if $checkpoint;
		is(sql("$bodies FROM kept"), $kept, "$label: what is kept");
		rq_poll_query($node, 'the topic to go',
			"SELECT count(*) = 0 FROM rocketq.get_queues() q
			WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.relfilenode = q.relfilenode)");
		rq_verify($node, $label);
	}
}

# In the end all of them are free.
sql("DROP TABLE taker$_") foreach grep { sql("SELECT to_regclass('taker$_') IS NOT NULL") eq 't' } 1 .. $taken;
my $kept = rq_topic_key($node, 'kept');
rq_extents_gone($node, 'all others to be free', sub { $_[0]{key} ne $kept });
rq_verify($node, 'all free');

#
# Offsets beyond 2^32: of the first entry of its last extent a queue has only the
# lower half at hand.
#
rq_arm($node, 'queue-first=fail');
sql("SELECT rocketq.create_topic('far', 1)");
sql("SELECT count(rocketq.produce('far', i::text)) FROM generate_series(1, 50) i");
my $far = "SELECT count(*), min(queue_offset), max(queue_offset), count(*) FILTER (WHERE rocketq.text(body)::bigint <> queue_offset - 4294967195) FROM far";
is(sql($far), '50|4294967196|4294967245|0', 'below 2^32');
crash('kill', 'queue-first=fail');
is(sql($far), '50|4294967196|4294967245|0', 'below 2^32, after a crash');
foreach my $i (51 .. 130) { sql("SELECT rocketq.produce('far', '$i')"); }
is(sql($far), '130|4294967196|4294967325|0', 'across 2^32, one by one');
sql("SELECT count(rocketq.produce('far', i::text)) FROM generate_series(131, 20000) i");
is(sql($far), '20000|4294967196|4294987195|0', 'across 2^32');
crash('kill', 'queue-first=fail');
is(sql($far), '20000|4294967196|4294987195|0', 'across 2^32, after a crash');
is(sql("SELECT count(*), max(queue_offset) FROM rocketq.consume('far', 'g', 100000, auto_commit => true)"),
	'20000|4294987195', 'it can be consumed');
$node->stop;
rq_start($node);
is(sql($far), '20000|4294967196|4294987195|0', 'across 2^32, after a restart');
sql("SELECT rocketq.alter_topic('far', retention_time => '0')");
rq_poll_query($node, 'all to be trimmed', "SELECT rocketq.min_offset('far', 0) = 4294987196");
sql("SELECT rocketq.produce('far', 'last')");
is(sql("SELECT queue_offset FROM rocketq.pull('far', 0, 4294987196, 10)"), '4294987196', 'it goes on');
rq_verify($node, 'at the end');
$node->stop;

done_testing();

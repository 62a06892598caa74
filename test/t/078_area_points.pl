# 078_area_points.pl -- an area file cannot be mapped, or the server ends when it
# is about to be, or when a chunk of it is filled or has been given back: nothing
# is lost, left behind or given twice.

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

use constant {
	PLACES => 7280,    # for small extents, in a chunk
	WIDE   => 24_000
};

my $conf = <<'EOC';
rocketq.segment_size = '1MB'
rocketq.retention_time = -1
rocketq.janitor_interval = '20ms'
rocketq.max_queues = 262144
rocketq.max_queues_per_topic = 65535
checkpoint_timeout = 1h
EOC
my $has_power = $ENV{RQ_POWER_SWITCH} ? 1 : 0;
my $node = $has_power ? rq_power_node('ext4', conf => $conf, allows_streaming => 1)
  : rq_node('main', conf => $conf, allows_streaming => 1);
rq_require_faults($node);

# Ways to end the server, other than the end of one process.
sub ends
{
	my @modes = $has_power ? rq_power_modes() : ();
	return ('kill', @modes ? $modes[ rq_random(0, $#modes) ] : ());
}

sub sql { return $node->safe_psql('postgres', $_[0]); }

# ---- what there is ----

# A line for each topic: where its queues begin and end, and its messages.
sub contents
{
	my ($of) = @_;
	my @topics = split /\n/, ($of // $node)->safe_psql('postgres',
		'SELECT topic FROM rocketq.queues GROUP BY topic ORDER BY topic COLLATE "C"');

	return ($of // $node)->safe_psql('postgres', join(";\n", map { <<"EOQ" } @topics));
SELECT '$_', (SELECT md5(string_agg(concat_ws(' ', queue_id, min_offset, end_offset), ',' ORDER BY queue_id))
	FROM rocketq.queues WHERE topic = '$_'),
	count(*), md5(string_agg(concat_ws(' ', queue_id, queue_offset, rocketq.text(body)), ','
		ORDER BY queue_id, queue_offset)) FROM $_
EOQ
}

# Everything that a statement could leave behind.
sub traces
{
	return join("\n",
		contents(),
		sql('SELECT topic, consumer_group, queue_id, committed_offset, owner_pid FROM rocketq.groups ORDER BY 1, 2, 3'),
		sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
		map { "$_->{header} $_->{seq}" } rq_extents($node));
}

# The same but for a topic of which nothing was committed: it has no messages.
sub contents_without
{
	my ($topic) = @_;
	my @lines = split /\n/, contents();
	my ($line) = grep { /^$topic\|/ } @lines;

	is($line =~ s/.*?\|.*?\|//r, '0|', "$topic has no messages") if $line;
	return join("\n", grep { !/^$topic\|/ } @lines);
}

sub small_chunks
{
	return scalar(grep { ($_->{class} // -1) == 0 } rq_chunks($node));
}

# Wait until there are no more chunks of small extents than the allocator keeps.
sub wait_for_few_chunks
{
	sql('CHECKPOINT');
	return rq_poll('chunks to be given back', sub { return small_chunks() <= 3; });
}

# When all topics are gone, all of every chunk is free.
sub all_is_free
{
	my ($label) = @_;
	my $chunks = 0;

	sql("DROP TABLE $_") foreach split /\n/, sql('SELECT DISTINCT topic FROM rocketq.topics');
	rq_extents_gone($node, 'all extents to be free', sub { 1 });
	# Also what a start has found.
	wait_for_few_chunks();
	rq_poll("$label: all of every chunk to be free", sub {
			$chunks = 0;
			$chunks += $_->{bytes} foreach rq_chunks($node);
			return sql('SELECT used_bytes, waiting_bytes, free_bytes FROM rocketq.queue_space') eq "0|0|$chunks";
		});
	cmp_ok($chunks, '>', 0, "$label: there are chunks");
	return rq_verify($node, "$label, all free");
}

# End the server at once, and start it again, with nothing armed.
sub crash
{
	my ($how) = @_;

	rq_disarm($node);
	$how eq 'kill' ? rq_kill9($node, all => 1) : rq_power_cut($node, $how);
	rq_start($node);
	return;
}

my $others = 0;

# Another topic with so many queues; returns what gives each of them a message.
sub other
{
	my ($queues) = @_;
	my $name = 'other' . ++$others;

	sql("SELECT rocketq.create_topic('$name', $queues)");
	return "SELECT count(rocketq.produce('$name', '$name ' || q, queue_id => q)) FROM generate_series(0, $queues - 1) q";
}

sub client
{
	return rq_background($node, 'psql', '-XAtq', (map { ('-c', $_) } @_), '-d', $node->connstr('postgres'));
}

sub setup
{
	return sql(<<'EOQ');
SELECT rocketq.create_topic('t', 4), rocketq.create_topic('fresh', 4), rocketq.create_topic('short', 4);
SELECT count(rocketq.produce('t', 't ' || i, queue_id => i % 2)) FROM generate_series(1, 3000) i;
SELECT rocketq.create_group('t', 'g');
SELECT count(*) FROM rocketq.consume('t', 'g', 100, auto_commit => true);
EOQ
}

#
# A session that cannot map an area file: the statement fails, nothing is left of
# it, and it can be done again in the same session.
#
setup();
rq_wait_ticks($node, 'keeper', 2);
foreach my $case (
	[ 'a commit', "SELECT rocketq.produce('t', 'x', queue_id => 0)" ],
	[ 'a commit with many queues', "SELECT count(rocketq.produce('t', 'y', queue_id => i % 4)) FROM generate_series(1, 5000) i" ],
	[ 'the first message of a queue', "SELECT rocketq.produce('fresh', 'x', queue_id => 0)" ],
	[ 'a message without a transaction', "SELECT rocketq.produce('fresh', 'x', queue_id => 1, transactional => false)" ],
	[ 'a commit with messages and offsets', "BEGIN; SELECT rocketq.produce('t', 'x', queue_id => 1); SELECT count(*) FROM rocketq.consume('t', 'g', 10, auto_commit => true); COMMIT" ],
	[ 'reading a topic', 'SELECT count(*) FROM t' ],
	[ 'consuming', "SELECT count(*) FROM rocketq.consume('t', 'g', 10, auto_commit => true)" ],
	[ 'pulling', "SELECT count(*) FROM rocketq.pull('t', 0, 100)" ],
	[ 'a group from a time on', "SELECT rocketq.create_group('t', 'late', clock_timestamp())" ],
	[ 'moving a group', "SELECT rocketq.reset_offset('t', 'g', clock_timestamp())" ],
	[ 'an offset by time', "SELECT rocketq.offset_at('t', 0, clock_timestamp())" ])
{
	my ($label, $statement) = @$case;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $before = traces();

	# Who probes first is not to map it for who does not.
	$session->query("SET rocketq.fault = 'extent-map=fail,extent-map=error'");
	$session->query("$statement;");
	like($session->{stderr}, qr/fault point "extent-map"/, "$label: it fails") or diag($session->{stderr});
	$session->{stderr} = '';
	$session->query('ROLLBACK;') if $statement =~ /^BEGIN/;
	$session->{stderr} = '';
	is(traces(), $before, "$label: nothing is left behind");
	$session->query("SET rocketq.fault = ''");
	$session->query("$statement;");
	is($session->{stderr}, '', "$label: it can be done again");
	$session->quit;
}
rq_verify($node, 'errors in sessions');

#
# A process that ends there, or stops and ends with all others.
#
foreach my $queue ('t', 'fresh')
{
	my $log_from = rq_log_from($node);
	my $before = contents();
	my ($rc) = $node->psql('postgres',
		"SET rocketq.fault = 'extent-map=kill'; SELECT rocketq.produce('$queue', 'never', queue_id => 3)");

	isnt($rc, 0, "a producer to $queue is killed");
	rq_restart_after($node, $log_from);
	is(contents(), $before, "a producer to $queue is killed: all is there");
	rq_verify($node, "a producer to $queue is killed");
	foreach my $how (ends())
	{
		my ($session) = rq_stopped_session($node, 'extent-map', 'SELECT 1',
			"SELECT rocketq.produce('$queue', 'never', queue_id => 3);");
		my $label = "a producer to $queue has stopped, $how";

		sql("SELECT count(rocketq.produce('$queue', 'more ' || i, queue_id => 2)) FROM generate_series(1, 100) i");
		$before = contents();
		crash($how);
		eval { $session->quit; };
		is(contents(), $before, "$label: all is there");
		rq_verify($node, $label);
	}
}

#
# Redo cannot map an area file, or ends there: the next start does it again.
#
foreach my $action ('error', 'kill')
{
	sql('CHECKPOINT');
	sql("SELECT count(rocketq.produce('t', 'redone ' || i, queue_id => i % 4)) FROM generate_series(1, 3000) i");
	my $before = contents();

	rq_kill9($node, all => 1);
	$node->append_conf('postgresql.conf', "rocketq.fault = 'extent-map=$action'");
	my $log_from = rq_log_from($node);
	ok(!$node->start(fail_ok => 1), "redo, extent-map=$action: the server does not start");
	like(slurp_file($node->logfile, $log_from),
		$action eq 'error' ? qr/FATAL:  fault point "extent-map"/ : qr/startup process .* was terminated by signal 9/,
		"redo, extent-map=$action: and says why");
	rq_stopped($node);
	$node->append_conf('postgresql.conf', "rocketq.fault = ''");
	rq_start($node);
	is(contents(), $before, "redo, extent-map=$action: all is there");
	rq_verify($node, "redo, extent-map=$action");
}

#
# Workers cannot map any area file for a while.  Queues are given back when they
# can.
#
foreach my $action ('error', 'fail')
{
	my $label = "workers, extent-map=$action";

	sql("SELECT rocketq.create_topic('gone', 100)");
	sql("SELECT count(rocketq.produce('gone', i::text, queue_id => i % 100)) FROM generate_series(1, 5000) i");
	sql("SELECT count(rocketq.produce('short', i::text, queue_id => i % 4)) FROM generate_series(1, 5000) i");
	sql("SELECT rocketq.alter_topic('short', retention_time => '0')");
	rq_poll_query($node, 'short to be trimmed', "SELECT sum(end_offset - min_offset) = 0 FROM rocketq.queues WHERE topic = 'short'");
	sql("SELECT rocketq.alter_topic('short', retention_time => '-1')");
	$node->append_conf('postgresql.conf', "rocketq.fault = 'extent-map=$action'");
	$node->restart;
	# Sessions can, and leave aborted entries to the keeper.
	$node->psql('postgres', <<'EOQ');
SET rocketq.fault = 'precommit-done=error';
SELECT count(rocketq.produce('t', 'aborted', queue_id => i % 4)) FROM generate_series(1, 100) i;
EOQ
	sql(<<'EOQ');
SET rocketq.fault = '';
SELECT count(rocketq.produce('t', 'meanwhile ' || i, queue_id => i % 4)) FROM generate_series(1, 3000) i;
DROP TABLE gone;
EOQ
	my $checkpoint = client('CHECKPOINT');
	rq_wait_ticks($node, $_, 3) foreach ('allocator', 'janitor', 'keeper');
	$node->append_conf('postgresql.conf', "rocketq.fault = ''");
	rq_reload($node);
	ok($checkpoint->{run}->finish, "$label: the checkpoint is done in the end");
	my $before = contents();
	rq_verify($node, $label) if $action eq 'error';
	crash('kill');
	is(contents(), $before, "$label: all is there after a crash");
	rq_verify($node, "$label, after a crash");
	rq_extents_gone($node, 'what was dropped to be free',
		sub { !grep { rq_topic_key($node, $_) eq $_[0]{key} } ('t', 'fresh', 'short') });
}
all_is_free('extent-map');

#
# A chunk has been filled and has no header: one after all others, or in place of
# one that was given back.
#
setup();
foreach my $how ('crash', ends())
{
	my $label = "chunk-filled, $how";
	my $allocator = rq_worker_pid($node, 'allocator');
	my $taken = grep { $_->{class} == 0 } rq_extents($node);
	# More than can be free.
	my $produce = other(PLACES * small_chunks() - $taken + 1000);
	my $log_from = rq_log_from($node);

	sql("SELECT count(rocketq.produce('t', '$label ' || i, queue_id => i % 4)) FROM generate_series(1, 100) i");
	my $before = contents_without("other$others");
	my $chunks = grep { defined($_->{class}) } rq_chunks($node);

	rq_arm($node, 'chunk-filled=' . ($how eq 'crash' ? 'kill' : 'stop'));
	my $client = client($produce);

	if ($how eq 'crash')
	{
		$node->wait_for_log(qr/rocketq allocator.* was terminated by signal 9/, $log_from);
		rq_disarm_and_recover($node, $log_from);
	}
	else
	{
		rq_poll_stopped($allocator);
		is(scalar(grep { defined($_->{class}) } rq_chunks($node)), $chunks, "$label: it is no chunk yet");
		crash($how);
	}
	eval { $client->{run}->finish; };
	is(contents_without("other$others"), $before, "$label: all is there");
	rq_verify($node, $label);
	sql($produce);
	cmp_ok(scalar(grep { defined($_->{class}) } rq_chunks($node)), '>', $chunks, "$label: it has become a chunk");
	$before = contents();
	rq_verify($node, "$label, done again");
	crash('kill');
	is(contents(), $before, "$label: nothing is given twice");
	rq_verify($node, "$label, after another crash");
	# The next one comes in place of one that was given back.
	sql("DROP TABLE other$others");
	wait_for_few_chunks();
}
all_is_free('chunk-filled');

#
# The space of a chunk has been given back.
#
setup();
foreach my $how ('crash', ends())
{
	my $label = "chunk-punched, $how";
	my $allocator = rq_worker_pid($node, 'allocator');

	sql(other(WIDE));
	sql("SELECT count(rocketq.produce('t', '$label ' || i, queue_id => i % 4)) FROM generate_series(1, 100) i");
	sql('CHECKPOINT');
	sql("DROP TABLE other$others");
	my $before = contents();
	my $chunks = grep { defined($_->{class}) } rq_chunks($node);
	my $log_from = rq_log_from($node);

	rq_wait_ticks($node, 'janitor', 2);
	rq_arm($node, 'chunk-punched=' . ($how eq 'crash' ? 'kill' : 'stop'));
	my $client = client('CHECKPOINT');
	if ($how eq 'crash')
	{
		$node->wait_for_log(qr/rocketq allocator.* was terminated by signal 9/, $log_from);
		rq_disarm_and_recover($node, $log_from);
	}
	else
	{
		rq_poll_stopped($allocator);
		cmp_ok(scalar(grep { defined($_->{class}) } rq_chunks($node)), '<', $chunks, "$label: it is no chunk any more");
		crash($how);
	}
	eval { $client->{run}->finish; };
	is(contents(), $before, "$label: all is there");
	rq_verify($node, $label);
	sql(other(WIDE));
	$before = contents();
	rq_verify($node, "$label, taken again");
	crash('kill');
	is(contents(), $before, "$label: nothing is given twice");
	rq_verify($node, "$label, after another crash");
	sql("DROP TABLE other$others");
}
all_is_free('chunk-punched');

#
# On a standby the startup process fills chunks when it needs more than can be free
# there.
#
setup();
my $many = PLACES * small_chunks() + WIDE;
my $standby = rq_standby($node);
$standby->append_conf('postgresql.conf', "rocketq.fault = 'chunk-filled=stop'");
rq_reload($standby);
sql(other($many));
rq_poll_stopped($standby->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"));
$standby->append_conf('postgresql.conf', "rocketq.fault = ''");
rq_kill9($standby, all => 1);
rq_start($standby);
rq_catch_up($node, $standby);
is(contents($standby), contents(), 'a standby, chunk-filled: it has the same after a crash');
rq_verify($standby, 'a standby, chunk-filled');
$standby->promote;
rq_poll_query($standby, 'the workers', 'SELECT count(pid) = 3 FROM rocketq.workers');
$standby->safe_psql('postgres', "SELECT count(rocketq.produce('t', 'promoted ' || i, queue_id => i % 4)) FROM generate_series(1, 3000) i");
rq_verify($standby, 'promoted');
$standby->stop;
$node->stop;

done_testing();

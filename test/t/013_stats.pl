# 013_stats.pl -- counters and latency, compared with known loads.
#
# A fault point that sleeps makes a sample last.  The machine may be slow, so a
# sample must not count as shorter than that; one that took much longer than
# its sleep is repeated.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $conf = <<'EOC';
rocketq.max_topics = 16
rocketq.max_queues = 128
rocketq.max_consumer_slots = 128
rocketq.preallocate_segments = 1
checkpoint_timeout = 1h
EOC
my $node = rq_node('main', allows_streaming => 1, conf => $conf);
rq_require_faults($node);

my @refusals = qw(too_large disk_full file_error no_room closed);
my @buckets = (
	[ '[<=0ms]',     0 ],
	[ '[0~10ms]',    1 ],
	[ '[10~50ms]',   10 ],
	[ '[50~100ms]',  50 ],
	[ '[100~200ms]', 100 ],
	[ '[200~500ms]', 200 ],
	[ '[500ms~1s]',  500 ],
	[ '[1~2s]',      1000 ],
	[ '[2~3s]',      2000 ],
	[ '[3~4s]',      3000 ],
	[ '[4~5s]',      4000 ],
	[ '[5~10s]',     5000 ],
	[ '[10s~]',      10000 ]);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Counters by name.
sub stats
{
	my ($of) = @_;
	return map { split /=/ } split /\n/, ($of // $node)->safe_psql('postgres', <<'EOQ');
SELECT key || '=' || value FROM rocketq.stats s, jsonb_each_text(to_jsonb(s)) WHERE key <> 'stats_reset'
EOQ
}

# By how much these counters must have grown during the call.
sub counts
{
	my ($label, $code, %expected) = @_;
	my %before = stats();

	$code->();
	my %after = stats();
	is_deeply({ map { $_ => $after{$_} - $before{$_} } keys %expected },
		\%expected, $label);
	return;
}

# The number of samples by phase and bucket.
sub samples
{
	return map { split / / } split /\n/, sql(<<'EOQ');
SELECT phase || bucket || ' ' || count FROM rocketq.produce_latency
EOQ
}

#
# From the start of the server on.
#
my $created = 'SELECT segments_created - segments_trimmed FROM rocketq.stats';
my $files = "SELECT count(*) FROM pg_ls_dir('pg_rocketq/log') f WHERE f !~ '^\\.'";
is( sql(<<'EOQ'),
SELECT stats_reset BETWEEN pg_postmaster_start_time() - '10 s'::interval AND now() FROM rocketq.stats
EOQ
	't', 'counting begins at server start');
is(sql("SELECT sum(count) FROM rocketq.produce_latency"), '0', 'no samples yet');
is(sql("SELECT count(*) FROM rocketq.produce_latency_fine"), '0', 'no fine samples yet');
is( sql('SELECT phase, count, p50_ms, max_ms, within_10ms_percent FROM rocketq.produce_latency_summary'),
	"produce|0|||\nvisible|0|||",
	'no summary yet');
is( sql("SELECT string_agg(bucket, ' ') FROM rocketq.produce_latency WHERE phase = 'produce'"),
	join(' ', map { $_->[0] } @buckets),
	'the buckets are those of RocketMQ, in their order');

sql("SELECT rocketq.create_topic('t', 4)");
sql("SELECT rocketq.create_topic('single', 1)");
sql('CREATE EXTENSION pg_walinspect');

#
# Producing, by several backends that are gone when the counters are read.
#
my $used = 'SELECT sum(used_bytes) FROM rocketq.segments';

# Four clients at once, each of which does the same this many times.
sub clients
{
	my ($times, $script) = @_;
	my $file = $node->basedir . '/script.sql';

	unlink($file);
	append_to_file($file, "$script\n");
	return $node->command_ok(
		[
			'pgbench', '-n', '-c', '4', '-j', '2', '-t', $times, '-f', $file, '-h',
			$node->host, '-p', $node->port, 'postgres'
		],
		'several clients at once');
}

sub produce_known
{
	sql("SELECT rocketq.produce('t', 'one');" x 300);
	sql("SELECT rocketq.produce_batch('t', array_fill('b'::text, ARRAY[200]))");
	sql("INSERT INTO t (body) SELECT 'row' FROM generate_series(1, 50)");
	sql("COPY t (body) FROM stdin;\n" . "copied\n" x 60 . "\\.\n");
	sql("SELECT rocketq.produce_batch('t', array_fill('d'::text, ARRAY[40]), transactional => false)");
	sql(<<'EOQ');
BEGIN;
SELECT rocketq.produce_batch('t', array_fill('r'::text, ARRAY[30]));
ROLLBACK;
BEGIN;
SELECT rocketq.produce('t', 'kept');
SAVEPOINT s;
SELECT rocketq.produce('t', 'not kept');
ROLLBACK TO s;
COMMIT;
SELECT rocketq.produce_batch('t', '{}'::text[]);
EOQ
	clients(100, "SELECT rocketq.produce('t', 'bench');");
	my ($rc, $out, $err) = $node->psql('postgres', <<'EOQ');
SET rocketq.fault = 'precommit-done=error';
SELECT rocketq.produce_batch('t', array_fill('a'::text, ARRAY[7]));
EOQ
	like($err, qr/fault point "precommit-done"/, 'a commit fails at its end');
	return;
}

sql("SELECT rocketq.produce('t', 'the first')");
my $used_before = sql($used);
my %stats_before = stats();
counts(
	'messages produced, by what became of them', \&produce_known,
	produced => 300 + 200 + 50 + 60 + 40 + 30 + 2 + 400 + 7,
	enqueued => 300 + 200 + 50 + 60 + 40 + 1 + 400 + 7,
	aborted  => 7,
	map { ("refused_$_" => 0) } @refusals);
my %stats_after = stats();
is($stats_after{produced_bytes} - $stats_before{produced_bytes},
	sql($used) - $used_before, 'produced bytes are those added to the log');
is($stats_after{enqueued}, sql('SELECT sum(messages) FROM rocketq.queues'),
	'what was enqueued is in the queues');
is( sql("SELECT sum(count) FROM rocketq.produce_latency WHERE phase = 'produce'"),
	1 + 300 + 1 + 50 + 1 + 1 + 1 + 2 + 400 + 1,
	'a sample for each call that produced');
is( sql("SELECT sum(count) FROM rocketq.produce_latency WHERE phase = 'visible'"),
	1 + 300 + 1 + 1 + 1 + 1 + 1 + 400,
	'a sample for each transaction whose messages can be seen');

sql(<<'EOQ');
SET rocketq.track_latency = off;
SELECT rocketq.produce('t', 'not timed');
SELECT rocketq.produce('t', 'not timed', transactional => false);
EOQ
is(sql('SELECT sum(count) FROM rocketq.produce_latency'),
	758 + 706, 'no samples without rocketq.track_latency');

counts(
	'nothing is lost when backends count at the same time',
	sub { clients(5, "SELECT count(rocketq.produce('t', 'x')) FROM generate_series(1, 5000);") },
	produced => 100_000,
	enqueued => 100_000);
counts(
	'messages that wait behind those of another transaction',
	sub {
		my $first = rq_background(
			$node, 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
			"SET rocketq.fault = 'precommit-done=stop'", '-c', 'BEGIN', '-c',
			'SELECT pg_backend_pid()', '-c',
			"SELECT rocketq.produce('single', 'first') > 0", '-c', 'COMMIT');
		rq_poll_query($node, 'it to be in front',
			"SELECT unresolved = 1 FROM rocketq.queues WHERE topic = 'single'");
		sql("SELECT rocketq.produce('single', 'second')");
		sql("SELECT rocketq.produce('single', 'third', transactional => false)");
		is(sql("SELECT count(*) FROM rocketq.pull('single', 0, 0)"), '0', 'nothing is visible yet');
		$first->{run}->pump until $first->{out} =~ /^(\d+)\n/;
		rq_poll_stopped($1);
		kill('CONT', $1);
		$first->{run}->finish;
		is(sql("SELECT count(*) FROM rocketq.pull('single', 0, 0)"), '3', 'then all messages are visible');
	},
	visible_late => 2,
	enqueued     => 3);

#
# Consuming.
#
counts(
	'messages consumed and pulled',
	sub {
		sql(<<'EOQ');
SELECT rocketq.produce_batch('single', array_fill('x'::text, ARRAY[100]));
SELECT count(*) FROM rocketq.consume('single', 'g', 60, auto_commit => true);
BEGIN;
SELECT count(*) FROM rocketq.consume('single', 'g', 30, auto_commit => true);
ROLLBACK;
SELECT count(*) FROM rocketq.consume('single', 'h', 10);
SELECT count(*) FROM rocketq.pull('single', 0, 0, 25);
SELECT rocketq.reset_offset('single', 'g', 'first');
SELECT count(*) FROM single;
EOQ
	},
	consumed          => 60 + 30 + 10,
	pulled            => 25,
	offsets_committed => 2,
	waits             => 0,
	wakeups           => 0);

# One consumer waits in vain, another one until there is a message.
sql("SELECT rocketq.create_topic('awaited', 1)");
counts(
	'waiting in vain',
	sub { sql("SELECT * FROM rocketq.consume('awaited', 'g', wait => '50 ms')") },
	waits    => 1,
	wakeups  => 0,
	consumed => 0);
counts(
	'waiting until there is a message',
	sub {
		my $waiting = rq_background($node, 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
			"SELECT rocketq.text(body) FROM rocketq.consume('awaited', 'g', wait => '1 hour')");
		rq_poll_query($node, 'the consumer to wait', <<'EOQ');
SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '1 hour' AND wait_event IN ('RocketqMessages', 'Extension') AND pid <> pg_backend_pid()
EOQ
		sql("SELECT rocketq.produce('awaited', 'at last')");
		$waiting->{run}->finish;
		is($waiting->{out}, "at last\n", 'a consumer is woken');
	},
	waits    => 1,
	wakeups  => 1,
	consumed => 1);
sql("SELECT rocketq.drop_topic('awaited')");

#
# WAL, with the workers paused, since they write WAL of their own.
#
my @paused = map { rq_pause($node, "rocketq $_") } qw(keeper janitor);
my $wal_from = sql('SELECT pg_current_wal_insert_lsn()');
my %before = stats();
sql("SELECT rocketq.produce('t', repeat('w', 100 * i)) FROM generate_series(1, 50) i");
sql("SELECT count(*) FROM rocketq.consume('t', 'w', 20, auto_commit => true)");
my %after = stats();
my $wal_to = sql('SELECT pg_current_wal_insert_lsn()');
is( sql(<<"EOQ"),
SELECT count(*), sum(record_length) FROM pg_get_wal_records_info('$wal_from', '$wal_to')
WHERE resource_manager = 'rocketq'
EOQ
	join('|', map { $after{$_} - $before{$_} } qw(wal_records wal_bytes)),
	'WAL records and bytes are those in the WAL');
kill('CONT', @paused);

#
# Segments and syncs.
#
rq_poll_query($node, 'the segments to be counted', "SELECT ($created) = ($files)");
counts(
	'a sync is counted once',
	sub {
		my $syncs = sql("SELECT syncs FROM rocketq.workers WHERE worker = 'keeper'");
		sql('CHECKPOINT');
		rq_poll_query($node, 'the sync',
			"SELECT syncs = $syncs + 1 FROM rocketq.workers WHERE worker = 'keeper'");
	},
	syncs => 1);
is(sql('SELECT queues_asked FROM rocketq.stats'), '0', 'nothing was old enough to ask for');
sql("ALTER SYSTEM SET rocketq.retention_time = 0");
rq_reload($node);
sql("SELECT rocketq.produce('t', repeat('s', 1000000)) FROM generate_series(1, 10)");
sql("SELECT rocketq.drop_group('t', 'w'), rocketq.drop_group('single', 'g'), rocketq.drop_group('single', 'h')");
rq_poll_query($node, 'segments to go', 'SELECT segments_trimmed >= 2 FROM rocketq.stats');
cmp_ok(sql('SELECT queues_asked FROM rocketq.stats'), '>=', 5, 'all queues were asked');
rq_poll_query($node, 'the rest to agree', "SELECT ($created) = ($files)");
sql("ALTER SYSTEM RESET rocketq.retention_time");
rq_reload($node);
rq_wait_ticks($node, 'janitor', 2);

#
# Refusals, by cause.  One whose error is caught counts, too.
#
sub refused
{
	my ($cause, $state, @calls) = @_;

	counts(
		"refused: $cause",
		sub {
			foreach my $call (@calls)
			{
				my ($rc, $out, $err) = $node->psql('postgres',
					"\\set VERBOSITY sqlstate\n$call");
				is($err, "psql:<stdin>:2: ERROR:  $state", "refused: $call");
			}
		},
		map { ("refused_$_" => $_ eq $cause ? scalar(@calls) : 0) } @refusals);
	return;
}

refused(
	'too_large', '54000',
	"SELECT rocketq.produce('t', repeat('x', 5000000))",
	"SELECT rocketq.produce('t', 'x', tag => repeat('x', 128))",
	"SELECT rocketq.produce('t', 'x', sharding_key => repeat('x', 1025))",
	"SELECT rocketq.produce('t', 'x', keys => array_fill('k'::text, ARRAY[1025]))",
	"SET rocketq.max_message_size = '8MB'; SELECT rocketq.produce('t', repeat('x', 5000000))",
	"INSERT INTO t (body) VALUES (repeat('x', 5000000)::bytea)");
counts(
	'a refusal that is caught',
	sub {
		sql(<<'EOQ');
DO $$
BEGIN
	FOR i IN 1 .. 3 LOOP
		BEGIN
			PERFORM rocketq.produce('t', repeat('x', 5000000));
		EXCEPTION WHEN program_limit_exceeded THEN NULL;
		END;
	END LOOP;
END
$$
EOQ
	},
	refused_too_large => 3,
	produced          => 0);
sql("SELECT rocketq.create_topic('more' || i, 1) FROM generate_series(1, 14) i");
refused(
	'no_room', '53400',
	"SELECT rocketq.create_topic('too_many', 1)",
	"SELECT rocketq.alter_topic('more1', 100)",
	"SELECT rocketq.create_group('t', 'g' || i) FROM generate_series(1, 17) i");
is( sql("SELECT slots, used, size FROM rocketq.slots WHERE slots IN ('topics', 'queues')"),
	"topics|16|16\nqueues|128|128", 'there is no room');
counts(
	'calls that are merely wrong are not counted',
	sub {
		foreach my $call ("'t', NULL::text", "'t', 'x', queue_id => 9", "'t', 'x', tag => ''")
		{
			isnt($node->psql('postgres', "SELECT rocketq.produce($call)"), 0, "wrong: $call");
		}
	},
	map { ("refused_$_" => 0) } @refusals);

# No more files can be created in the directory of the log.
my $log = $node->data_dir . '/pg_rocketq/log';
chmod(0500, $log) or die "could not chmod \"$log\": $!";
sql("DO \$\$ BEGIN LOOP PERFORM rocketq.produce('t', repeat('f', 1000000)); END LOOP;"
	  . " EXCEPTION WHEN insufficient_privilege THEN NULL; END \$\$");
refused('file_error', '42501', "SELECT rocketq.produce('t', repeat('f', 3000000))");
chmod(0700, $log) or die "could not chmod \"$log\": $!";
rq_poll('producing to go on',
	sub { return 0 == $node->psql('postgres', "SELECT rocketq.produce('t', 'on')") });

# The allocator's attempts count, too; let it succeed.
rq_wait_ticks($node, 'allocator', 2);

#
# Reset.
#
sql('SELECT rocketq.stats_reset()');
is( sql(<<'EOQ'),
SELECT produced, enqueued, consumed, refused_too_large, refused_no_room, refused_file_error,
	segments_created, now() - stats_reset < '1 min' FROM rocketq.stats
EOQ
	'0|0|0|0|0|0|0|t', 'counters begin at zero after a reset');
is( sql('SELECT sum(count) FROM rocketq.produce_latency') . ' '
	  . sql('SELECT count(*) FROM rocketq.produce_latency_fine'),
	'0 0', 'samples begin at zero after a reset');
is( sql(<<'EOQ'),
SELECT bool_and(l.stats_reset = s.stats_reset) FROM rocketq.produce_latency_summary l, rocketq.stats s
EOQ
	't', 'counters and samples were reset at the same time');
counts('counting goes on', sub { sql("SELECT rocketq.produce('t', 'x')") }, produced => 1);

#
# Latency: a sample in each bucket, of both phases.
#
my %point = (produce => 'append-store', visible => 'commit-callback');

sub sleepers
{
	my (@ms) = @_;
	my @jobs;

	foreach my $phase (keys %point)
	{
		push @jobs, map {
			rq_background(
				$node, 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c',
				"SET rocketq.fault = '$point{$phase}=sleep:$_'",
				# Hardly ever as short as can be while the machine is busy.
				$_ == 0 ? ('-c', 'SET synchronous_commit = off') : (),
				('-c', "SELECT rocketq.produce('t', 'slept $_')") x ($_ == 0 ? 50 : 1))
		} @ms;
	}

	$_->{run}->finish or die "client failed: $_->{err}" foreach @jobs;
	return;
}

sub at_least
{
	my ($phase, $from, %samples) = @_;
	my $count = 0;

	$count += $samples{ $phase . $buckets[$_][0] } foreach ($from .. $#buckets);
	return $count;
}

sql('SELECT rocketq.stats_reset()');
my @missing = (0 .. $#buckets);
my @slept;
foreach my $round (1 .. 50)
{
	last if !@missing;
	my @ms = map { $_ == 0 ? 0 : int($buckets[$_][1] * 1.03) + 1 } @missing;
	sleepers(@ms);
	push @slept, @ms;

	my %samples = samples();
	foreach my $phase (keys %point)
	{
		my @wrong = grep {
			my $from = $buckets[$_][1];
			at_least($phase, $_, %samples) < grep { $_ >= $from } @slept
		} (0 .. $#buckets);
		is("@wrong", '', "round $round, $phase: no sample counts as shorter than it was");
	}
	@missing = grep {
		$samples{"produce$buckets[$_][0]"} == 0 || $samples{"visible$buckets[$_][0]"} == 0
	} (0 .. $#buckets);
}
is("@missing", '', 'each bucket has a sample in both phases');

# The views agree with each other.
sql(<<'EOQ');
CREATE FUNCTION fine_at(p text, share float8) RETURNS float8 LANGUAGE sql AS $$
	SELECT least(f.to_ms, s.max_ms)
	FROM (SELECT from_ms, to_ms, sum(count) OVER (ORDER BY from_ms) AS upto, sum(count) OVER () AS total
		  FROM rocketq.produce_latency_fine WHERE phase = p) f,
		 rocketq.produce_latency_summary s
	WHERE s.phase = p AND f.upto >= ceil(share * f.total) ORDER BY f.from_ms LIMIT 1
$$;
EOQ

sub views_agree
{
	my ($label) = @_;

	is( sql(<<'EOQ'), "produce|t|t|t\nvisible|t|t|t", "$label: the summary is that of the buckets");
SELECT phase, sum(b.count) = s.count, abs(sum(b.percent) - 100) < 0.01,
	s.within_10ms_percent = floor(1e6 * (sum(b.count) FILTER (WHERE bucket IN ('[<=0ms]', '[0~10ms]')))::float8
		/ s.count::float8) / 1e4
FROM rocketq.produce_latency b JOIN rocketq.produce_latency_summary s USING (phase)
GROUP BY phase, s.count, s.within_10ms_percent ORDER BY phase
EOQ
	is( sql(<<'EOQ'), "produce|t|t|t|t\nvisible|t|t|t|t", "$label: the histogram is that of the buckets");
SELECT h.phase, h.count = (SELECT sum(count) FROM rocketq.produce_latency b WHERE b.phase = h.phase),
	ARRAY(SELECT (sum(count) OVER (ORDER BY i))::bigint FROM rocketq.get_latency() WITH ORDINALITY b(phase, bucket, count, percent, i)
		  WHERE b.phase = h.phase ORDER BY i LIMIT 12) =
	ARRAY(SELECT count FROM unnest(upper_bounds, counts) u(le, count)
		  WHERE le = ANY ('{0.001,0.01,0.05,0.1,0.2,0.5,1,2,3,4,5,10}') ORDER BY le),
	(SELECT bool_and(count >= before AND le > smaller)
	 FROM (SELECT le, count, lag(le, 1, 0) OVER (ORDER BY i) AS smaller, lag(count, 1, 0) OVER (ORDER BY i) AS before
		   FROM unnest(upper_bounds, counts) WITH ORDINALITY u(le, count, i)) x),
	abs(sum_seconds / h.count - mean_ms / 1000) < 0.000002
FROM rocketq.produce_latency_histogram h JOIN rocketq.produce_latency_summary s USING (phase) ORDER BY 1
EOQ
	is( sql(<<'EOQ'), "produce|t|t|t|t|t|t\nvisible|t|t|t|t|t|t", "$label: percentiles are those of the fine ones");
SELECT phase, p50_ms = fine_at(phase, 0.5), p90_ms = fine_at(phase, 0.9), p99_ms = fine_at(phase, 0.99),
	p99_9_ms = fine_at(phase, 0.999), p99_99_ms = fine_at(phase, 0.9999),
	p99_999_ms = fine_at(phase, 0.99999)
FROM rocketq.produce_latency_summary ORDER BY phase
EOQ
	is( sql(<<'EOQ'), "produce|t|t|t\nvisible|t|t|t", "$label: fine buckets are narrow and complete");
SELECT f.phase, sum(f.count) = s.count, max((to_ms - from_ms) / from_ms) FILTER (WHERE from_ms >= 0.032) < 0.0313,
	s.max_ms BETWEEN max(from_ms) - 0.001 AND max(to_ms)
FROM rocketq.produce_latency_fine f JOIN rocketq.produce_latency_summary s USING (phase)
GROUP BY f.phase, s.count, s.max_ms ORDER BY phase
EOQ
	return;
}

views_agree('all buckets');

sub produce_slept
{
	my ($count, $ms) = @_;
	sql("SET rocketq.fault = '$point{produce}=sleep:$ms,$point{visible}=sleep:$ms';"
		  . "SELECT rocketq.produce('t', 'slept');" x $count);
	return;
}

# Between two of RocketMQ's limits: half of 5 to 7.5 ms, and 7.5 to 10 ms.
my $steps = <<'EOQ';
SELECT string_agg(counts[k] || '', ' ' ORDER BY phase, k) FROM rocketq.produce_latency_histogram,
	generate_series(10, 12) k
EOQ
rq_poll(
	'samples of known length',
	sub {
		sql('SELECT rocketq.stats_reset()');
		produce_slept(3, 6);
		produce_slept(2, 8);
		return sql($steps) eq '0 3 5 0 3 5';
	});
is(sql('SELECT count(DISTINCT upper_bounds) FROM rocketq.produce_latency_histogram'), '1', 'the limits are the same');
is(sql('SELECT upper_bounds[10:12] FROM rocketq.produce_latency_histogram LIMIT 1'), '{0.005,0.0075,0.01}', 'and round');

#
# The summary and percentiles: a known share of the samples is slow.
#
my $share = <<'EOQ';
SELECT DISTINCT within_10ms_percent FROM rocketq.produce_latency_summary
EOQ
sql('SELECT rocketq.stats_reset()');
produce_slept(18, 25);
produce_slept(2, 60);
is(sql($share), '0', 'none of the slow writes is within 10 ms');
is( sql(<<'EOQ'),
SELECT phase, count, mean_ms >= 28.5, p50_ms >= 25, p90_ms >= 25, p99_ms >= 60, p99_999_ms = max_ms, max_ms >= 60
FROM rocketq.produce_latency_summary ORDER BY phase
EOQ
	"produce|20|t|t|t|t|t|t\nvisible|20|t|t|t|t|t|t",
	'percentiles are not below the known times');
views_agree('slow writes');

# On a slow machine some of the fast ones may be slow as well.
rq_poll(
	'as many fast writes',
	sub {
		sql('SELECT rocketq.stats_reset()');
		produce_slept(20, 15);
		sql("SELECT rocketq.produce('t', 'fast');" x 20);
		return sql($share) eq '50';
	});
is( sql('SELECT phase, count, within_10ms_percent FROM rocketq.produce_latency_summary ORDER BY phase'),
	"produce|40|50\nvisible|40|50",
	'the summary: half of the writes within 10 ms');
views_agree('half of them slow');

# Without a transaction, flushing is part of becoming visible.
sql('SELECT rocketq.stats_reset()');
sql(<<'EOQ');
SET rocketq.fault = 'direct-flushed=sleep:30';
SELECT rocketq.produce('t', 'direct', transactional => false);
EOQ
is( sql('SELECT phase, count, p50_ms >= 30 FROM rocketq.produce_latency_summary ORDER BY phase'),
	"produce|1|t\nvisible|1|t",
	'a write without a transaction');

#
# Who may read the counters, and who may reset them.
#
my @views = map { "produce_latency$_" } '', '_histogram', '_fine', '_summary';
unshift @views, 'stats';
my @functions = qw(get_stats get_latency get_latency_histogram get_latency_fine get_latency_summary);
sql(<<'EOQ');
CREATE ROLE nobody_special LOGIN;
CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
EOQ

sub as_user
{
	my ($user, $query) = @_;
	my ($rc, $out, $err) = $node->psql(
		'postgres',
		"\\set VERBOSITY sqlstate\n$query",
		extra_params => [ '-U', $user ]);
	return $rc == 0 && $err eq '' ? 'allowed' : $err;
}

my $denied = 'psql:<stdin>:2: ERROR:  42501';
foreach my $what (@views, map { "$_()" } @functions)
{
	is(as_user('nobody_special', "SELECT * FROM rocketq.$what"), $denied, "$what: not for everybody");
	is(as_user('watcher', "SELECT * FROM rocketq.$what"), 'allowed', "$what: for pg_monitor");
}
is(as_user($_, 'SELECT rocketq.stats_reset()'), $denied, "reset: not for $_")
  foreach ('nobody_special', 'watcher');
sql('GRANT EXECUTE ON FUNCTION rocketq.stats_reset() TO watcher');
is(as_user('watcher', 'SELECT rocketq.stats_reset()'), 'allowed', 'reset: granted');
is(as_user('nobody_special', 'SET rocketq.track_latency = off'), $denied,
	'track_latency is for superusers');

is( sql(<<'EOQ'),
SELECT count(*) FROM pg_attribute WHERE attnum > 0 AND attrelid = 'rocketq.stats'::regclass
	AND col_description(attrelid, attnum) IS NULL
EOQ
	'0', 'each counter has a comment');

#
# A standby counts for itself.
#
my $standby = rq_standby($node);
sql("SELECT rocketq.produce('t', repeat('s', 1000000)) FROM generate_series(1, 9) i");
sql('CHECKPOINT');
$node->wait_for_catchup($standby, 'replay', $node->safe_psql('postgres', 'SELECT pg_current_wal_flush_lsn()'));
my %primary_before = stats();
my $pulled = $standby->safe_psql('postgres',
	"SELECT count(*) FROM rocketq.queues q, rocketq.pull(q.topic, q.queue_id, q.min_offset, 1000000)");
my %of_standby = stats($standby);
cmp_ok($pulled, '>', 0, 'messages are pulled on the standby');
is( join(' ', map { "$_=$of_standby{$_}" } qw(produced enqueued pulled wal_records)),
	"produced=0 enqueued=0 pulled=$pulled wal_records=0",
	'a standby counts what is done on it');
cmp_ok($of_standby{segments_created}, '>=', 2, 'segments that replay creates are counted');
cmp_ok($of_standby{syncs}, '>=', 1, 'syncs of replay are counted');
is_deeply([ @{ { stats() } }{qw(pulled produced)} ],
	[ @primary_before{qw(pulled produced)} ], 'the primary does not count them');
$standby->safe_psql('postgres', 'SELECT rocketq.stats_reset()');
is($standby->safe_psql('postgres', 'SELECT pulled FROM rocketq.stats'), '0', 'a standby resets for itself');
$standby->stop;

#
# A restart resets them.  Without its workers the store stays closed.
#
rq_verify($node, 'at the end');
$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
is( sql(<<'EOQ'),
SELECT produced, stats_reset >= pg_postmaster_start_time() - '10 s'::interval FROM rocketq.stats
EOQ
	'0|t', 'counting begins again at server start');
refused('closed', '57P03', "SELECT rocketq.produce('t', 'x')");
$node->stop;

done_testing();

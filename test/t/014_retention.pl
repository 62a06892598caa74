# 014_retention.pl -- what retention removes, what it keeps, and what is
# reported.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
rocketq.janitor_interval = '20ms'
rocketq.retention_time = '-1'
EOC

my $log_from = 0;
my $log_start = 'SELECT min(start_position) FROM rocketq.segments';

sub query { return $node->safe_psql('postgres', $_[0]); }

# Change settings; those not named are reset to the defaults of this test.
sub settings
{
	my (%value) = @_;
	my %all = (
		retention_time     => "'-1'",
		retention_size     => "'-1'",
		max_kept_size      => "'-1'",
		keep_unconsumed    => 'on',
		group_idle_timeout => "'-1'",
		janitor_interval   => "'20ms'",
		%value);

	$log_from = rq_log_from($node);
	query(join("\n", map { "ALTER SYSTEM SET rocketq.$_ = $all{$_};" } sort keys %all));
	rq_reload($node);
	return;
}

# Create a topic of one queue with this many megabytes, or add them to it.
sub create
{
	my ($topic, @groups) = @_;
	query("SELECT rocketq.create_topic('$topic', 1)");
	query("SELECT rocketq.create_group('$topic', '$_')") foreach @groups;
	return;
}

sub produce
{
	my ($topic, $megabytes) = @_;
	query("SELECT count(*) FROM (SELECT rocketq.produce('$topic', repeat('x', 10000)) FROM generate_series(1, $megabytes * 104)) p");
	return;
}

sub consume
{
	my ($topic, $group, $count) = @_;
	return query("SELECT count(*) FROM rocketq.consume('$topic', '$group', $count, auto_commit => true)");
}

sub id_of { return query("SELECT '$_[0]'::regclass::oid"); }

# The size of the log in megabytes, without segments that are ready.
sub megabytes
{
	return query("SELECT count(*) FROM rocketq.segments WHERE state <> 'ready'");
}

# The oldest segment is kept, for this reason.
sub stays
{
	my ($reason, $label) = @_;
	my $before;

	rq_poll_query($node, "$label: the reason to be shown",
		"SELECT kept_by LIKE '$reason' FROM rocketq.segments ORDER BY start_position LIMIT 1");
	$before = query($log_start);
	rq_wait_ticks($node, 'janitor', 5);
	is(query("$log_start WHERE (SELECT kept_by LIKE '$reason' FROM rocketq.segments ORDER BY start_position LIMIT 1)"),
		$before, "$label: it is kept, and the view says why");
	return;
}

# All full segments are removed.
sub all_goes
{
	my ($label) = @_;
	rq_poll_query($node, "$label: the log to be trimmed",
		"SELECT count(*) = 0 FROM rocketq.segments WHERE state = 'full'");
	pass("$label: it goes");
	return;
}

sub logged
{
	my ($pattern, $label) = @_;
	$node->wait_for_log($pattern, $log_from);
	pass("$label: the server log says so");
	return;
}

#
# Time.
#
create('plain');
produce('plain', 3);
settings(retention_time => "'1h'");
stays('retention_time', 'younger than the time');
settings(retention_time => "'1s'");
all_goes('older than the time');
logged(qr/rocketq trimmed the commit log to position \d+\n.*DETAIL:  Segments removed: \d+, because they are no longer needed/, 'time');

#
# Size: the oldest messages are removed early, but not what a group holds.
#
settings(retention_size => "'3MB'");
produce('plain', 6);
rq_poll_query($node, 'the log to be smaller',
	"SELECT count(*) <= 4 FROM rocketq.segments WHERE state <> 'ready'");
is(megabytes(), 4, 'size: as much is kept as was set');
logged(qr/Segments removed: \d+, because the log is larger than rocketq.retention_size/, 'size');
create('sized', 'slow');
produce('sized', 6);
my $slow = 'group slow of %';
stays($slow, 'size');
is(query("SELECT rocketq.min_offset('sized', 0)"), 0, 'size: everything is there for the group');
my $group_state = "SELECT string_agg(holding || ' ' || lost_messages, ',') FROM rocketq.groups";
is(query($group_state), 'true 0', 'size: the view shows that the group holds messages');

#
# More than max_kept_size: the group loses what is further behind.
#
my $last = query("SELECT rocketq.max_offset('sized', 0)");
settings(retention_size => "'3MB'", max_kept_size => "'4MB'");
rq_poll_query($node, 'the group to be moved', "SELECT rocketq.min_offset('sized', 0) > 0");
rq_wait_ticks($node, 'janitor', 3);
my $first = query("SELECT rocketq.min_offset('sized', 0)");
is(megabytes(), 5, 'max_kept_size: as much is kept as was set');
logged(qr/consumer group "slow" of rocketq topic \d+\/\d+ lost $first messages of queue 0 to retention\n.*DETAIL:  It had consumed up to offset 0; the queue begins at $first\./, 'max_kept_size');
logged(qr/Segments removed: \d+, because consumer groups or readers held more than rocketq.max_kept_size/, 'max_kept_size');
is(query($group_state), "true $first", 'max_kept_size: the view shows what it has lost');
is(query('SELECT groups_moved > 0, messages_lost FROM rocketq.stats'), "t|$first", 'max_kept_size: the statistics show it, too');
is(consume('sized', 'slow', 1000), $last - $first, 'the group continues at the new start');
is(query($group_state), "false $first", 'the group holds nothing then');

#
# keep_unconsumed = off: time and size alone count.
#
settings(retention_time => 0);
all_goes('all consumed');
produce('sized', 3);
stays($slow, 'keep_unconsumed on');
settings(retention_time => 0, keep_unconsumed => 'off');
all_goes('keep_unconsumed off');
query("SELECT rocketq.drop_group('sized', 'slow')");

#
# An unused group stops holding messages until it is used again.
#
create('idle', 'idler');
settings(retention_time => 0, group_idle_timeout => "'1h'");
produce('idle', 3);
stays('group idler of %', 'an idle group, before the timeout');
settings(retention_time => 0, group_idle_timeout => "'1s'");
logged(qr/consumer group "idler" of rocketq topic \d+\/\d+ no longer holds messages\n.*DETAIL:  It has not been used since /, 'idle');
all_goes('an idle group');
like(query($group_state), qr/^false [1-9]\d*$/, 'an idle group: the view shows that it holds nothing');
settings(retention_time => 0, group_idle_timeout => "'1h'");
consume('idle', 'idler', 1);
logged(qr/consumer group "idler" of rocketq topic \d+\/\d+ holds messages again/, 'used again');
produce('idle', 2);
stays('group idler of %', 'a group that is used again');

# Waiting for messages counts as use of the group.
create('waits', 'waiter', 'other');
my $waiter = $node->background_psql('postgres', on_error_stop => 0);
my $waiter_pid = $waiter->query_safe('SELECT pg_backend_pid()');
$waiter->query_until(qr/waiting/, "\\echo waiting\nSELECT FROM rocketq.consume('waits', 'waiter', wait => '1h');\n");
rq_poll_query($node, 'somebody to wait', "SELECT wait_event IN ('RocketqMessages', 'Extension') FROM pg_stat_activity WHERE pid = $waiter_pid");
settings(group_idle_timeout => "'1s'");
logged(qr/consumer group "other" of rocketq topic \d+\/\d+ no longer holds messages/, 'nobody waits');
rq_wait_ticks($node, 'janitor', 5);
unlike(slurp_file($node->logfile, $log_from), qr/consumer group "waiter"/, 'a group with a waiter is not idle');
query("SELECT pg_cancel_backend($waiter_pid)");
logged(qr/consumer group "waiter" of rocketq topic \d+\/\d+ no longer holds messages/, 'nobody waits any more');
$waiter->quit;

# So does a transaction that has read and not committed yet: a rollback gives its
# messages back.
settings(retention_time => 0, group_idle_timeout => "'1h'");
create('owned', 'owner');
produce('owned', 2);
my $owner = $node->background_psql('postgres');
is($owner->query_safe("BEGIN; SELECT count(*) FROM rocketq.consume('owned', 'owner', 1000)"), 208, 'one reads');
query("SELECT rocketq.create_group('owned', 'nobody')");
settings(retention_time => 0, group_idle_timeout => "'1s'");
logged(qr/consumer group "nobody" of rocketq topic \d+\/\d+ no longer holds messages/, 'nobody reads');
rq_wait_ticks($node, 'janitor', 5);
unlike(slurp_file($node->logfile, $log_from), qr/consumer group "owner"/, 'a group with an open reader is not idle');
settings(retention_time => 0, group_idle_timeout => "'1h'");
rq_wait_ticks($node, 'janitor', 2);
$owner->query_safe('ROLLBACK');
$owner->quit;
is(consume('owned', 'owner', 1000), 208, 'messages of a rolled back consumer are still there');
query("SELECT rocketq.drop_group('owned', g) FROM unnest('{owner,nobody}'::text[]) g");
settings(retention_time => 0, group_idle_timeout => "'-1'");

# Dropping a group releases what it held at once.
rq_wait_ticks($node, 'keeper', 25);
settings(retention_time => 0, janitor_interval => "'1h'");
query("SELECT rocketq.drop_group('idle', 'idler')");
rq_poll_query($node, 'a dropped group to release what it held',
	"SELECT count(*) = 0 FROM rocketq.segments WHERE state = 'full'");
settings(retention_time => 0);

#
# A transaction that has produced.  Its frames are older than the rest when it
# commits, and a group gets its message.
#
create('late', 'g');
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_safe("BEGIN");
$session->query_safe("SELECT rocketq.produce('late', 'early')");
produce('plain', 3);
stays("transaction of process $pid", 'an open transaction');
produce('late', 1);
is(consume('late', 'g', 104), 104, 'the group consumes what others have produced');
$session->query_safe('COMMIT');
stays('group g of %', 'the message of the open transaction, enqueued late');
is(query("SELECT rocketq.text(body) FROM rocketq.consume('late', 'g', 10, auto_commit => true)"),
	'early', 'the late message is consumed');
all_goes('a message enqueued late');

# The same for entries that no record has reported as resolved yet.
my $keeper = rq_pause($node, 'rocketq keeper');
produce('late', 2);
is(consume('late', 'g', 1000), 208, 'unresolved entries are consumed');
stays('unresolved entries of %', 'entries not logged as resolved');
kill('CONT', $keeper);
all_goes('entries logged as resolved');

#
# A topic's own retention time: its messages leave it, though their segment
# stays. The setting follows the transaction, TRUNCATE and a crash.
#
settings(retention_time => "'1h'");
create('brief');
create('lasting');
my $own = "SELECT coalesce(retention_time::text, 'forever') FROM rocketq.topics WHERE topic = 'brief'";
my $label = "SELECT label FROM pg_seclabels WHERE objoid = 'brief'::regclass";
is(query($own), '01:00:00', 'the retention time of a topic without one of its own');
$session->query_safe('BEGIN');
$session->query_safe("SELECT rocketq.alter_topic('brief', retention_time => '2 hours')");
$session->query_safe('SAVEPOINT s');
$session->query_safe("SELECT rocketq.alter_topic('brief', retention_time => '-1')");
$session->query_safe('ROLLBACK TO s');
$session->query_safe('COMMIT');
is(query($own), '02:00:00', 'the shorter of two times applies');
is(query($label), 'queues=1, retention_time=7200s', 'the label has the time');
$session->query_safe('BEGIN');
$session->query_safe("SELECT rocketq.alter_topic('brief', retention_time => 'default')");
$session->query_safe('ROLLBACK');
rq_wait_ticks($node, 'janitor', 3);
is(query($own), '02:00:00', 'a time that was rolled back');
query('TRUNCATE brief');
is(query($own), '02:00:00', 'kept over TRUNCATE');
query('ALTER TABLE brief RENAME TO brieff; ALTER TABLE brieff RENAME TO brief');
query("SELECT rocketq.alter_topic('brief', 2)");
rq_poll_query($node, 'two queues', "SELECT queues = 2 FROM rocketq.topics WHERE topic = 'brief'");
is(query($own), '02:00:00', 'kept over another number of queues');
$session->quit;
rq_kill9($node);
rq_start($node);
is(query($own), '02:00:00', 'kept over a crash');
query('CHECKPOINT');
$node->restart;
is(query($own), '02:00:00', 'kept over a restart');
# Also before the janitor has settled it, and after a crash in between.
kill('STOP', query("SELECT pid FROM rocketq.workers WHERE worker = 'janitor'"));
query("SELECT rocketq.alter_topic('brief', retention_time => '-1')");
is(query($own), 'forever', 'forever');
is(query($label), 'queues=2, retention_time=-1', 'forever');
settings(retention_time => "'1h'", janitor_interval => "'1h'");
rq_kill9($node, all => 1);
rq_start($node);
is(query($own), 'forever', 'forever, after an immediate crash');
settings(retention_time => "'1h'");
query("SELECT rocketq.alter_topic('brief', retention_time => 'default')");
is(query($own), '01:00:00', 'the default');
is(query($label), 'queues=2', 'the default');
foreach my $wrong ('x', '-2', '-1 hour', '100 years')
{
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT rocketq.alter_topic('brief', retention_time => '$wrong')");
	like($err, qr/ERROR:  invalid (retention time|input syntax)/, "not a time: $wrong");
}

query("SELECT rocketq.produce(t, 'x', queue_id => 0) FROM unnest('{brief,lasting}'::regclass[]) t");
query("SELECT rocketq.create_group('brief', 'g')");
$first = query($log_start);
query("SELECT rocketq.alter_topic('brief', retention_time => '1s')");
rq_poll_query($node, 'the time of a topic to be over',
	"SELECT min(oldest_at) < now() - interval '4s' FROM rocketq.queues WHERE topic = 'brief'");
rq_wait_ticks($node, 'janitor', 3);
is(query("SELECT count(*) FROM brief"), 1, 'a group holds what has expired');
query("SELECT rocketq.drop_group('brief', 'g')");
rq_poll_query($node, 'a message to leave its queue', "SELECT count(*) = 0 FROM brief");
is(query("SELECT count(*) FROM lasting"), 1, 'others are kept');
is(query($log_start), $first, 'the log is kept');
rq_kill9($node);
rq_start($node);
is(query("SELECT count(*) FROM brief"), 0, 'still removed after a crash');
query("SELECT rocketq.alter_topic('lasting', retention_time => '-1')");
settings(retention_time => 0);
produce('plain', 3);
stays('retention_time of topic %', 'a topic that keeps its messages forever');
query('DROP TABLE lasting');
all_goes('dropped');
$session = $node->background_psql('postgres', on_error_stop => 0);
$pid = $session->query_safe('SELECT pg_backend_pid()');

#
# Readers: an open cursor, until it is closed, the subtransaction it was opened
# in is rolled back, or its transaction ends.
#
settings(retention_time => 0, retention_size => "'-1'");
foreach my $end ('CLOSE c', 'ROLLBACK TO s', 'COMMIT', 'ROLLBACK', 'SELECT 1/0')
{
	$session->query_safe('BEGIN');
	$session->query_safe('SAVEPOINT s');
	$session->query_safe('DECLARE c CURSOR FOR SELECT queue_offset, length(body) FROM plain');
	$session->query_safe('FETCH 1 FROM c');
	produce('plain', 2);
	stays("reader process $pid", "until $end");
	$session->query($end);
	$session->{stderr} = '';
	all_goes("after $end");
	$session->query('ROLLBACK') if $end !~ /^(COMMIT|ROLLBACK)$/;
}
# A reader that begins after a trim has been decided is still noticed.  One
# that begins while the trim is under way waits for it, and begins after what
# was removed.
SKIP:
{
	skip('built without fault points', 4) if !rq_has_faults($node);
	my $janitor = rq_worker_pid($node, 'janitor');

	settings();
	produce('plain', 2);
	$first = query("SELECT rocketq.min_offset('plain', 0)");
	settings(retention_time => 0, fault => "'trim-decided=stop'");
	rq_poll_stopped($janitor);
	query('ALTER SYSTEM RESET rocketq.fault');
	rq_reload($node);
	$session->query_safe('BEGIN');
	$session->query_safe('DECLARE c CURSOR FOR SELECT queue_offset, length(body) FROM plain');
	is($session->query_safe('FETCH 1 FROM c'), "$first|10000", 'a reader begins');
	kill('CONT', $janitor);
	stays("reader process $pid", 'a reader that came when a trim was decided');
	$session->query_safe('COMMIT');
	all_goes('when it is gone');

	settings();
	produce('plain', 2);
	$session->query_safe("SELECT count(*) FROM rocketq.pull('plain', 0, rocketq.min_offset('plain', 0), 1)");
	settings(retention_time => 0, fault => "'trim-begun=stop'");
	rq_poll_stopped($janitor);
	query('ALTER SYSTEM RESET rocketq.fault');
	$session->query_until(qr/reading/, "\\echo reading\nSELECT min(queue_offset) = (SELECT min_offset FROM rocketq.queues WHERE topic = 'plain') FROM plain;\n");
	rq_poll_query($node, 'the reader to wait',
		"SELECT wait_event_type = 'LWLock' FROM pg_stat_activity WHERE pid = $pid");
	rq_reload($node);
	kill('CONT', $janitor);
	like($session->query('SELECT 1'), qr/^t\n1$/, 'a reader waits for a trim that is on its way');
}
settings(retention_time => 0);

# pull() at an offset that was removed reports what is left.
$first = query("SELECT rocketq.min_offset('plain', 0)");
cmp_ok($first, '>', 1, 'messages have been removed');
foreach my $from (0, $first - 1)
{
	my ($rc, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT * FROM rocketq.pull('plain', 0, $from, wait => '1 s')");
	like($err, qr/2201X: queue 0 begins after offset $from\nDETAIL:  The offsets of the queue range from $first to \d+/,
		"pull from $from");
}

# A reader that is too slow loses its hold, and gets an error or the next
# message.
$session->query_safe('BEGIN');
$session->query_safe('DECLARE c CURSOR FOR SELECT queue_offset, length(body) FROM plain');
$session->query_safe('FETCH 1 FROM c');
produce('plain', 6);
settings(retention_time => 0, max_kept_size => "'2MB'");
rq_poll_query($node, 'a slow reader to lose its hold',
	"SELECT count(*) <= 3 FROM rocketq.segments WHERE state <> 'ready'");
$session->query_safe('MOVE ALL FROM c');
$session->query_safe('COMMIT');
$session->quit;
rq_verify($node, 'at the end');

#
# A group that has consumed everything except aborted messages is not behind.
#
SKIP:
{
	skip('rocketq was built without RQ_TESTING', 2) if !rq_has_faults($node);
	settings();
	create('aborted', 'g');
	produce('aborted', 1);
	query("SELECT count(*) FROM rocketq.consume('aborted', 'g', 1000, auto_commit => true)");
	$node->psql('postgres', "SET rocketq.fault = 'precommit-done=error';\n" .
		"SELECT count(rocketq.produce('aborted', repeat('x', 10000))) FROM generate_series(1, 200)");
	my $behind = "FROM rocketq.groups WHERE topic = 'aborted'";
	rq_poll_query($node, 'the entries to be resolved', "SELECT max_offset = 304 $behind");

	# A trim leaves the queue's start without logging it; a checkpoint logs it.
	query('CHECKPOINT');
	settings(retention_time => 0);
	# Up to 104 of the 200 are in the last segment, which stays.
	rq_poll_query($node, 'them to go', "SELECT rocketq.min_offset('aborted', 0) >= 200");
	is(query("SELECT committed_offset = rocketq.min_offset('aborted', 0) $behind"), 't', 'a group continues from the first offset that is kept');
	is(query("SELECT committed_offset = rocketq.committed_offset('aborted', 'g', 0) $behind"), 't', 'both functions agree');
	query('DROP TABLE aborted');
}

#
# What the server log reports about files and syncs.
#
settings(log_store => 'on');
produce('plain', 3);
logged(qr/LOG:  rocketq extended the commit log \(segments created: \d+\), which has room up to position \d+/, 'new segments');
query('ALTER SYSTEM SET log_checkpoints = on');
rq_reload($node);
query("SELECT rocketq.produce('plain', 'x'); CHECKPOINT");
logged(qr/LOG:  rocketq sync complete: [1-9]\d* log segments, 1 queue files, state of \d+ bytes; WAL=\d+\.\d+ s, files=\d+\.\d+ s, state=\d+\.\d+ s, total=\d+\.\d+ s; sync files=\d+, longest=\d+\.\d+ s; redo lsn=/, 'a sync');
settings(log_slow_sync => 0);
query("SELECT rocketq.produce('plain', 'x'); CHECKPOINT");
logged(qr/LOG:  rocketq sync was slow: /, 'a slow sync');
query("ALTER SYSTEM SET log_checkpoints = off");
settings(log_slow_sync => "'-1'", log_store => 'off', retention_time => 0);
produce('plain', 3);
query('CHECKPOINT');
all_goes('without log lines');
rq_wait_ticks($node, 'janitor', 3);
unlike(slurp_file($node->logfile, $log_from), qr/rocketq (sync|extended|trimmed)/, 'nothing is logged if logging is off');

$node->stop;
done_testing();

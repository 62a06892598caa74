# 064_late.pl -- events that come late or in between while the log is trimmed:
# a transaction commits old messages, another ends while retention determines
# what is needed, the log or a queue has moved on to other segments when a
# producer comes to it, and a reader is overtaken.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $keep = <<'EOC';
rocketq.retention_time = '-1'
rocketq.retention_size = '-1'
rocketq.max_kept_size = '-1'
rocketq.fault = ''
EOC
my $node = rq_node('main', conf => <<"EOC");
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
rocketq.janitor_interval = '20ms'
checkpoint_timeout = 1h
$keep
EOC
rq_require_faults($node);

sub query { return $node->safe_psql('postgres', $_[0]); }

# Change settings.
sub settings
{
	append_to_file($node->data_dir . '/postgresql.conf', "$_[0]\n");
	rq_reload($node);
	return;
}

# Fill this many segments of the log with messages that are not needed.
sub fill
{
	my ($n) = @_;
	query("SELECT count(rocketq.produce('filler', repeat('x', 10000))) FROM generate_series(1, $n * 104)");
	return;
}

sub crash
{
	my ($label) = @_;
	rq_kill9($node, all => 1);
	rq_start($node);
	query("SELECT rocketq.produce('filler', 'open')");
	rq_verify($node, $label);
	return;
}

query("SELECT rocketq.create_topic('filler', 1)");

#
# A message that is old when its transaction commits.  In its queue it follows
# a newer one, which is kept when the segment of the old one is removed: the
# queue has a hole, which all readers skip, and for the group that had not
# consumed it the message is lost, and counted as lost.
#
query("SELECT rocketq.create_topic('late', 1)");
query("SELECT rocketq.create_group('late', 'slow'), rocketq.create_group('late', 'quick')");
my $session = $node->background_psql('postgres');
my $old = $session->query_safe("BEGIN; SELECT rocketq.produce('late', 'old')");
fill(4);
my $young = query("SELECT rocketq.produce('late', 'young')");
$session->query_safe('COMMIT');
cmp_ok($old, '<', $young - 3 * 1024 * 1024, 'one message is much older than the other');
is(query("SELECT string_agg(rocketq.text(body), ' ' ORDER BY queue_offset) FROM rocketq.pull('late', 0, 0, 10)"),
	'young old', 'the old message comes after the newer one');
query("SELECT rocketq.commit_offset('late', 'quick', 0, 2)");
my $lost = "SELECT string_agg(consumer_group || ' ' || lost_messages, ', ' ORDER BY consumer_group) FROM rocketq.groups WHERE topic = 'late'";
is(query($lost), 'quick 0, slow 0', 'nothing is lost yet');

# The segment of the old message is removed, and that of the newer one is kept.
settings("rocketq.retention_size = '1MB'\nrocketq.max_kept_size = '1MB'");
rq_poll_query($node, 'the old message to go',
	"SELECT min(start_position) > $old FROM rocketq.segments");
rq_wait_ticks($node, 'janitor', 3);
settings($keep);
sub passes
{
	my ($when) = @_;
	is(query('SELECT count(*), min(queue_offset), max(rocketq.text(body)) FROM late'),
		'1|0|young', "$when: SELECT passes over the hole");
	is(query("SELECT count(*) FROM late WHERE queue_id = 0 AND queue_offset >= 1"), '0', "$when: a range of the hole alone is skipped");
	is(query("SELECT string_agg(rocketq.text(body), ' ') FROM rocketq.pull('late', 0, 0, 10)"),
		'young', "$when: pull skips the hole");
	is(query("SELECT min_offset || ' ' || max_offset FROM rocketq.queues WHERE topic = 'late'"),
		'0 2', "$when: the queue has both");
	return;
}
passes('trimmed');
is(query($lost), 'quick 0, slow 1', 'it is lost for the group that had not consumed it');
$node->wait_for_log(qr/consumer group "slow" of rocketq topic \d+\/\d+ lost 1 messages of queue 0 to retention/);
is(query("SELECT string_agg(rocketq.text(body), ' ') FROM rocketq.consume('late', 'slow', 10, auto_commit => true)"),
	'young', 'the group consumes the rest');
crash('late');
passes('after a crash');
$session->quit;

#
# Retention checks transactions before queues: one that ends in between has its
# messages in the queues by then.  Here a group holds such a message.
#
query("SELECT rocketq.create_topic('between', 1)");
query("SELECT rocketq.create_group('between', 'g')");
$session = $node->background_psql('postgres');
$session->query_safe("BEGIN; SELECT rocketq.produce('between', 'held')");
fill(3);
# Only the transaction keeps the segment: everything else is known to be
# resolved.
query('CHECKPOINT');
settings("rocketq.retention_time = 0\nrocketq.fault = 'retain-asked=stop'");
my $janitor = rq_worker_pid($node, 'janitor');
rq_poll_stopped($janitor);
$session->query_safe('COMMIT');
settings("rocketq.fault = ''");
kill('CONT', $janitor);
rq_wait_ticks($node, 'janitor', 3);
is(query("SELECT rocketq.text(body) FROM rocketq.consume('between', 'g', 10, auto_commit => true)"),
	'held', 'a transaction that ended while retention asked');
rq_poll_query($node, 'it to go when it is consumed', "SELECT count(*) = 0 FROM rocketq.segments WHERE state = 'full'");
settings($keep);
$session->quit;

#
# A transaction is about to enqueue.  Before it does, messages that were produced
# earlier go to several extents, and those are trimmed and made free.
#
query("SELECT rocketq.create_topic('stalled', 1); SELECT rocketq.produce('stalled', 'first')");
$session = $node->background_psql('postgres');
$session->query_safe("BEGIN; SELECT count(rocketq.produce('stalled', 'x' || i)) FROM generate_series(1, 3000) i");
fill(1);
my ($stalled, $stalled_pid) = rq_stopped_session($node, 'enqueue-open', 'SELECT 1',
	"SELECT rocketq.produce('stalled', 'last');");
$session->query_safe('COMMIT');
$session->quit;
is(query("SELECT rocketq.max_offset('stalled', 0)"), '3001', 'the others have enqueued');
my $key = rq_topic_key($node, 'stalled');
ok((grep { $_->{first} == 0 } rq_extents_of($node, $key)), 'and the first extent is there');
query('CHECKPOINT');
settings('rocketq.retention_time = 0');
rq_extents_gone($node, 'the first extent to be free',
	sub { $_[0]{key} eq $key && $_[0]{first} == 0 });
settings($keep);
$stalled->{stderr} = '';
rq_resume_session($node, $stalled, $stalled_pid);
$stalled->query('SELECT 1');
is($stalled->{stderr}, '', 'who has stalled gets no error');
$stalled->quit;
is(query("SELECT rocketq.text(body), queue_offset FROM rocketq.pull('stalled', 0, 3001, 10)"),
	'last|3001', 'its message comes last');
rq_verify($node, 'stalled');

#
# The same in the log: a producer has seen where it ends, and the segment is
# filled and trimmed before it is opened.
#
my $first = query("SELECT rocketq.produce('stalled', 'x')");
($stalled, $stalled_pid) = rq_stopped_session($node, 'append-place', 'SELECT 1',
	"SELECT rocketq.produce('stalled', 'very last');");
fill(3);
settings('rocketq.retention_time = 0');
rq_poll_query($node, 'the segment to go', "SELECT min(start_position) > $first FROM rocketq.segments");
settings($keep);
$stalled->{stderr} = '';
rq_resume_session($node, $stalled, $stalled_pid);
$stalled->query('SELECT 1');
is($stalled->{stderr}, '', 'who has stalled with the log gets no error');
$stalled->quit;
is(query("SELECT rocketq.text(body) FROM rocketq.pull('stalled', 0, 3003, 10)"),
	'very last', 'its message is there');

#
# Frames that fitted into the rest of a segment when they were added up, and do
# not when their turn comes: 120 kB in 150 kB, of which others have taken 80.
#
query(<<'EOQ');
DO $$ DECLARE at bigint; BEGIN
	LOOP
		at := rocketq.produce('filler', repeat('x', 10000)) % 1048576;
		EXIT WHEN at BETWEEN 880000 AND 895000;
	END LOOP;
END $$;
EOQ
($stalled, $stalled_pid) = rq_stopped_session($node, 'append-place', 'SELECT 1',
	"SELECT count(*) FROM rocketq.produce_batch('stalled', ARRAY(SELECT repeat(chr(64 + i), 10000) FROM generate_series(1, 12) i));");
query("SELECT count(rocketq.produce('filler', repeat('x', 10000))) FROM generate_series(1, 8)");
rq_resume_session($node, $stalled, $stalled_pid);
$stalled->quit;
is(query(<<'EOQ'), 'ABCDEFGHIJKL|2', 'a batch goes to two segments then');
SELECT string_agg(substr(rocketq.text(body), 10000), '' ORDER BY queue_offset),
	count(DISTINCT message_id / 1048576)
FROM rocketq.pull('stalled', 0, 3004, 100)
EOQ
rq_verify($node, 'a batch in two segments');

#
# A reader that holds more than max_kept_size is overtaken.  What it was
# reading and had not copied yet is removed: it gets an error, not the remains
# of the message.
#
foreach my $how ('pull', 'consume', 'select')
{
	my $topic = "slow_$how";
	my $read = {
		pull    => "SELECT length(rocketq.text(body)) FROM rocketq.pull('$topic', 0, 0, 10)",
		consume => "SELECT length(rocketq.text(body)) FROM rocketq.consume('$topic', 'g', 10)",
		select  => "SELECT length(rocketq.text(body)) FROM $topic" }->{$how};

	query("SELECT rocketq.create_topic('$topic', 1)");
	query("SELECT rocketq.create_group('$topic', 'g')");
	my $id = query("SELECT rocketq.produce('$topic', repeat('y', 1000))");
	my ($reader, $pid) = rq_stopped_session($node, 'message-found', 'SELECT 1', "$read;");
	fill(4);
	settings("rocketq.retention_time = 0\nrocketq.max_kept_size = '1MB'");
	rq_poll_query($node, 'the reader to be overtaken', "SELECT rocketq.min_offset('$topic', 0) = 1");
	rq_poll_query($node, 'the file to go', "SELECT min(start_position) > $id FROM rocketq.segments");
	rq_wait_ticks($node, 'janitor', 2);
	$reader->{stderr} = '';
	rq_resume_session($node, $reader, $pid);
	my $got = $reader->query('SELECT 1');
	like($reader->{stderr}, qr/ERROR:  message \d+ was removed by retention while it was being read/,
		"$how: a reader that was overtaken gets an error");
	is($got, '1', "$how: an overtaken reader gets nothing else");
	$reader->quit;
	settings($keep);
}
rq_verify($node, 'at the end');
$node->stop;

done_testing();

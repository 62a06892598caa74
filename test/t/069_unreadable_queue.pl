# 069_unreadable_queue.pl -- a damaged extent of a queue, or a missing file of the
# log, does not stop retention: the server keeps what that queue may need and
# removes the rest, and a server told to ignore what is missing gets the space
# back.

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
rocketq.retention_time = -1
rocketq.keep_unconsumed = off
rocketq.janitor_interval = '50ms'
EOC
sub sql { return $node->safe_psql('postgres', $_[0]); }

sub set_retention
{
	my ($time) = @_;
	sql("ALTER SYSTEM SET rocketq.retention_time = '$time'");
	rq_reload($node);
	rq_wait_ticks($node, 'janitor', 2);
	return;
}

# More than two extents of each queue, and many segments of the log.
sub fill
{
	sql(<<'EOQ');
SELECT count(rocketq.produce(t, repeat('x', 500))) FROM generate_series(1, 6500) i, unnest(ARRAY['bad', 'good']) t;
CHECKPOINT;
EOQ
	return;
}

sql(<<'EOQ');
SELECT rocketq.create_topic('bad', 1), rocketq.create_topic('good', 1), rocketq.create_topic('brief', 1);
SELECT rocketq.create_group('bad', 'g');
EOQ

# Damage the header of an extent in the middle of a topic's first queue; returns a
# function that undoes it.
sub damage
{
	my ($key) = @_;
	my @extents = rq_extents_of($node, $key, 0);

	cmp_ok(scalar(@extents), '>', 2, 'the queue has more than two extents');
	return rq_overwrite($extents[1]->{path}, $extents[1]->{header}, "\xFF" x 64);
}

fill();

#
# An extent of a queue is damaged while the server runs.
#
my $bad = rq_topic_key($node, 'bad');
my $undo = damage($bad);
my $first = sql('SELECT min(start_position) FROM rocketq.segments');
set_retention(0);
rq_poll_query($node, 'the janitor to say what it cannot read',
	q{SELECT kept_by ~ '^unreadable queue 0 of \d+/\d+$' FROM rocketq.segments ORDER BY start_position LIMIT 1});
sql(<<'EOQ');
SELECT count(rocketq.produce('brief', 'x')) FROM generate_series(1, 3000);
SELECT rocketq.alter_topic('brief', retention_time => '0');
EOQ
rq_poll_query($node, 'messages of a topic with a time of its own to go',
	"SELECT rocketq.min_offset('brief', 0) >= 2048");
is(sql('SELECT min(start_position) FROM rocketq.segments'), $first, 'the log is kept');
is(sql("SELECT rocketq.min_offset('bad', 0)"), '0', 'the queue is kept as it is');
is(sql("SELECT last_error ~ 'queue 0 of topic .* is damaged' FROM rocketq.workers WHERE worker = 'janitor'"),
	't', 'the view of workers shows the error');
$undo->();
rq_poll_query($node, 'the log to be trimmed', "SELECT min(start_position) > $first FROM rocketq.segments");
rq_verify($node, 'the extent is as it was');
set_retention(-1);

#
# An extent in the middle is damaged before anybody has read it, and the group is
# after it: what the group would lose can be counted, but nothing of the queue
# goes.
#
my $janitor = rq_pause($node, 'rocketq janitor');
sql(<<'EOQ');
SELECT rocketq.create_topic('half', 2);
SELECT rocketq.create_group('half', 'g');
SELECT count(rocketq.produce('half', 'x', queue_id => 0)) FROM generate_series(1, 9000);
SELECT count(rocketq.produce('half', 'x', queue_id => 1)) FROM generate_series(1, 3000);
SELECT rocketq.commit_offset('half', 'g', 0, 4096);
SELECT rocketq.alter_topic('half', retention_time => '0');
CHECKPOINT;
EOQ
$undo = damage(rq_topic_key($node, 'half'));
my $lost = "SELECT string_agg(queue_id || ':' || lost_messages, ' ' ORDER BY queue_id) FROM rocketq.groups WHERE topic = 'half'";
kill('CONT', $janitor);
rq_poll_query($node, 'the other queue to be trimmed', "SELECT rocketq.min_offset('half', 1) = 3000");
is(sql($lost), '0:0 1:3000', 'what the group has not lost is not counted');
$undo->();
rq_poll_query($node, 'the queue to be trimmed', "SELECT rocketq.min_offset('half', 0) = 9000");
is(sql($lost), '0:4904 1:3000', 'and counted when it goes');
sql("SELECT rocketq.drop_topic('half')");

#
# An extent of a queue and a file of the log are lost, and the server continues
# without them.
#
fill();
my ($start, $end) = split /\|/, sql("SELECT rocketq.min_offset('bad', 0), rocketq.max_offset('bad', 0)");
my @segments = map { $node->data_dir . "/$_" } split /\n/, sql(q{SELECT file FROM rocketq.segments ORDER BY start_position LIMIT 2});
$node->stop;
damage($bad);
unlink($segments[1]) or die "could not remove \"$segments[1]\": $!";
$node->append_conf('postgresql.conf', 'rocketq.ignore_missing_files = on');
rq_start($node);
is(sql("SELECT rocketq.min_offset('bad', 0)"), $start, 'nothing is removed yet');
set_retention(0);
rq_poll_query($node, 'the log to be trimmed to its end',
	q{SELECT bool_and(state = 'writing') FROM rocketq.segments WHERE state <> 'ready'});
cmp_ok(sql("SELECT rocketq.min_offset('bad', 0)"), '>', $end - 3000, 'the queue is trimmed');
is(sql("SELECT sum(lost_messages) > 0 FROM rocketq.groups WHERE topic = 'bad'::regclass::text"), 't', 'what its group has lost is counted');
is(sql("SELECT rocketq.produce('bad', 'more') > 0"), 't', 'producers work');
$node->stop;

done_testing();

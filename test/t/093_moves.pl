# 093_moves.pl -- what is remembered of groups that move has places for some of
# them only.  When an old snapshot keeps all places in use, a dump as of that
# snapshot skips nothing, and rates are right or not known.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

# There are 4096 places.
my $queues = 6000;
my $node = rq_node('main', conf => <<'EOC');
rocketq.max_queues = 12000
rocketq.max_queues_per_topic = 6000
rocketq.max_consumer_slots = 20000
rocketq.max_consumer_slots_per_topic = 20000
EOC

# A session with a snapshot that sees what there is now, and no more.
sub pin
{
	my $session = $node->background_psql('postgres');
	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$session->query_safe('SELECT pg_current_xact_id_if_assigned()');
	return $session;
}

sub unpin
{
	my ($session) = @_;
	$session->query_safe('COMMIT');
	$session->quit;
	return;
}

# How many messages a dump says the group of a topic has still to consume.
sub remaining
{
	my ($session, $topic) = @_;
	my $sql = "SELECT remaining FROM rocketq.dump_groups() WHERE topic = 'public.$topic'";
	return $session ? $session->query_safe($sql) : $node->safe_psql('postgres', $sql);
}

sub consume
{
	my ($topic, $count) = @_;
	is($node->safe_psql('postgres',
			"SELECT count(*) FROM rocketq.consume('$topic', 'g', $count, auto_commit => true)"),
		$count, "$count messages of $topic are consumed");
	return;
}

sub rate
{
	my ($topic) = @_;
	return $node->safe_psql('postgres', <<"EOQ");
SELECT CASE WHEN consumed_per_second IS NULL THEN 'unknown' WHEN consumed_per_second = 0 THEN 'none' ELSE 'some' END
FROM rocketq.groups WHERE topic = '$topic'
EOQ
}

# Move the group in each queue, for which no messages are needed.
sub move_all
{
	return $node->safe_psql('postgres', "SELECT rocketq.reset_offset('wide', 'g', 'last')");
}

$node->safe_psql('postgres', <<"EOQ");
SELECT rocketq.create_topic('wide', $queues);
SELECT rocketq.create_group('wide', 'g');
SELECT rocketq.create_topic(t, 1), rocketq.create_group(t, 'g') FROM unnest('{early,late,rest}'::text[]) t;
SELECT count(rocketq.produce(t, 'm')) FROM unnest('{early,late,rest}'::text[]) t, generate_series(1, 10);
EOQ
consume('early', 4);
consume('late', 4);
my $created = $node->safe_psql('postgres', "SELECT extract(epoch FROM min(created_at)) FROM rocketq.groups WHERE topic = 'early'");

#
# An old snapshot, after which one group moves before all places are taken, another
# one afterwards.
#
my $old = pin();
consume('early', 3);
# The first time takes what is free, the others what the snapshot does not need.
move_all() for 1 .. 20;
consume('late', 3);
is(remaining($old, 'early'), '{6}', 'a move that has a place: a dump is exact');
is(remaining($old, 'late'), '{10}', 'a move that has none: a dump begins before it, and skips nothing');
is(remaining(undef, 'early'), '{3}', 'a new snapshot sees the moves');
is(remaining(undef, 'late'), '{3}', 'and those that are forgotten');

# Another move of it that has not ended.
my $mover = $node->background_psql('postgres');
$mover->query_safe('BEGIN');
$mover->query_safe("SELECT count(*) FROM rocketq.consume('late', 'g', 1, auto_commit => true)");
my $between = pin();
$mover->query_safe('COMMIT');
is(remaining($old, 'late'), '{10}', 'also after another one');
is(remaining($between, 'late'), '{10}', 'for a snapshot that sees some of them');
is(remaining(undef, 'late'), '{2}', 'a new one sees both');
unpin($between);

#
# Rates.
#
rq_poll('the rate of a group that moves', sub { return rate('early') eq 'some'; });
is($node->safe_psql('postgres', <<"EOQ"), 't', 'is what it has consumed by the time since then');
SELECT consumed_per_second BETWEEN 3 / extract(epoch FROM clock_timestamp() - to_timestamp($created)) AND 7
FROM rocketq.groups WHERE topic = 'early'
EOQ
is(rate('late'), 'unknown', 'that of one without a place is not known');
is(rate('rest'), 'none', 'one that has not moved needs no place');

#
# When the old snapshot is gone places are free for others.
#
unpin($old);
my $next = pin();
$mover->query_safe("SELECT count(*) FROM rocketq.consume('late', 'g', 1, auto_commit => true)");
is(remaining($next, 'late'), '{2}', 'then a dump is exact again');
rq_poll('its rate', sub { return rate('late') eq 'some'; });
unpin($next);

# So are those of a group that is dropped.
$next = pin();
move_all();
$node->safe_psql('postgres', "SELECT rocketq.drop_group('wide', 'g')");
rq_poll_query($node, 'the group to be gone', "SELECT count(*) = 0 FROM rocketq.groups WHERE topic = 'wide'");
rq_poll('a place of it', sub {
	$mover->query_safe("SELECT rocketq.reset_offset('rest', 'g', 0, 5)");
	return remaining($next, 'rest') eq '{10}'; });
$mover->query_safe("SELECT rocketq.reset_offset('rest', 'g', 0, 7)");
is(remaining($next, 'rest'), '{10}', 'a group that moves has a place of a dropped one');
unpin($next);
$mover->quit;

#
# The places are used by many at once, some of which are dropped.
#
$node->safe_psql('postgres', "SELECT rocketq.create_group('wide', 'g'), rocketq.create_group('wide', 'other')");
$old = pin();
my @sessions = map { $node->background_psql('postgres') } 1 .. 3;
foreach my $round (1 .. 5)
{
	$sessions[0]->query_until(qr/begun/, "\\echo begun\nSELECT rocketq.reset_offset('wide', 'g', 'last');\n");
	$sessions[1]->query_until(qr/begun/, "\\echo begun\nSELECT rocketq.reset_offset('wide', 'other', 'first');\n");
	$sessions[2]->query_until(qr/begun/, "\\echo begun\nSELECT rocketq.create_group('early', 'g$round'), rocketq.reset_offset('early', 'g$round', 'last'), rocketq.drop_group('early', 'g$round');\n");
	if ($round == 3)
	{
		unpin($old);
		$old = undef;
	}
	$_->query_safe('SELECT 1') foreach @sessions;
}
$_->quit foreach @sessions;
consume('early', 1);
is(remaining(undef, 'early'), '{2}', 'all is as it should be');
rq_verify($node, 'at the end');
$node->stop;
done_testing();

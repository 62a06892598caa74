# 070_churn.pl -- topics, queues and groups are created and dropped at random,
# with tables that are nearly full, crashes and restarts in between, and a
# standby.
#
# RQ_SECONDS is the duration; RQ_SEED repeats the choices.  What exists follows
# from the calls that succeeded, and so does what must fit: a call is refused
# because a table is full if and only if it is.  Each topic has a message for
# each of its queues that was ever given one, so that a queue that took
# another's place, or lost its own, is noticed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;
use Time::HiRes qw(time);

my $max_topics = 20;
my $max_queues = 150;
my $max_groups = 24;
my $max_slots = 200;

rq_seed();
my $node = rq_node('main', allows_streaming => 1, conf => <<"EOC");
rocketq.max_topics = $max_topics
rocketq.max_queues = $max_queues
rocketq.max_groups = $max_groups
rocketq.max_consumer_slots = $max_slots
rocketq.max_queues_per_topic = $max_queues
rocketq.max_groups_per_topic = $max_groups
rocketq.janitor_interval = '50ms'
wal_keep_size = '1GB'
checkpoint_timeout = 1h
EOC
my $standby = rq_standby($node);

# The contents: for each topic its queues, its groups, and the last queue that
# has a message.
my %topics;
my $number = 0;

# Slots are given out in whole blocks, and so are the settings.
sub blocks
{
	my ($slots) = @_;
	return 8 * int(($slots + 7) / 8);
}
$_ = blocks($_) foreach $max_queues, $max_slots;

sub used
{
	my $queues = 0;
	my $slots = 0;
	my $groups = 0;

	foreach my $t (values %topics)
	{
		$queues += blocks($t->{queues});
		$groups += keys %{ $t->{groups} };
		$slots += blocks($t->{queues}) * keys %{ $t->{groups} };
	}
	return ($queues, $slots, $groups);
}

sub some_topic
{
	my @names = sort keys %topics;
	return @names ? $names[ rq_random(0, $#names) ] : undef;
}

# What has been dropped still occupies its slots until the janitor has run.
sub settled
{
	rq_wait_ticks($node, 'janitor', 2);
	return;
}

# Do it, and return whether it fit; anything else is a failure.
sub has_room
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);

	return 1 if $rc == 0;
	die "$sql: $err" if $err !~ /ERROR:  too many (topics|queues|consumer groups|consumer slots)\n/;
	return 0;
}

sub expect
{
	my ($sql, $fits) = @_;
	my $had = has_room($sql);

	return $had if $had == !!$fits;
	my ($queues, $slots, $groups) = used();
	fail(($had ? 'taken' : 'refused') . ": $sql, with " . keys(%topics)
		  . " topics, $queues queues, $groups groups, $slots slots");
	die "the tables do not hold what they should\n";
}

sub create_topic
{
	my $name = 't' . ++$number;
	my $want = rq_random(1, rq_random(0, 3) == 0 ? $max_queues : 12);
	my ($queues) = used();

	settled();
	expect("SELECT rocketq.create_topic('$name', $want)",
		keys %topics < $max_topics && $queues + blocks($want) <= $max_queues)
	  and $topics{$name} = { queues => $want, groups => {}, sent => {} };
	return;
}

sub drop_topic
{
	my $name = some_topic() // return;

	$node->safe_psql('postgres', "SELECT rocketq.drop_topic('$name')");
	delete $topics{$name};
	return;
}

sub resize
{
	my $name = some_topic() // return;
	my $t = $topics{$name};
	my $want = $t->{queues} + (rq_random(0, 1) ? 1 : rq_random(-4, 20));
	my ($queues, $slots) = used();
	my $groups = keys %{ $t->{groups} };
	my $more;

	# A queue to be removed must be empty.
	$want-- if $want == $t->{queues};
	return if $want < 1 || grep { $_ >= $want } keys %{ $t->{sent} };
	$more = blocks($want) - blocks($t->{queues});
	settled();
	expect("SELECT rocketq.alter_topic('$name', queues => $want)",
		$queues + $more <= $max_queues && $slots + $groups * $more <= $max_slots
		  || $want < $t->{queues})
	  and $t->{queues} = $want;
	return;
}

sub create_group
{
	my $name = some_topic() // return;
	my $t = $topics{$name};
	my $group = 'g' . ++$number;
	my ($queues, $slots, $groups) = used();

	settled();
	expect("SELECT rocketq.create_group('$name', '$group')",
		$groups < $max_groups && $slots + blocks($t->{queues}) <= $max_slots)
	  and $t->{groups}{$group} = 1;
	return;
}

sub drop_group
{
	my $name = some_topic() // return;
	my ($group) = sort keys %{ $topics{$name}{groups} };

	return if !defined $group;
	$node->safe_psql('postgres', "SELECT rocketq.drop_group('$name', '$group')");
	delete $topics{$name}{groups}{$group};
	return;
}

sub send_message
{
	my $name = some_topic() // return;
	my $queue = rq_random(0, $topics{$name}{queues} - 1);

	return if $topics{$name}{sent}{$queue}++;
	$node->safe_psql('postgres',
		"SELECT rocketq.produce('$name', '$name in $queue', queue_id => $queue)");
	return;
}

sub truncate_topic
{
	my $name = some_topic() // return;
	my $t = $topics{$name};
	my ($queues, $slots, $groups) = used();
	my $copies = keys %{ $t->{groups} };

	settled();
	expect("TRUNCATE $name",
		keys %topics < $max_topics && $queues + blocks($t->{queues}) <= $max_queues
		  && ($copies == 0 || $groups + $copies <= $max_groups
			&& $slots + $copies * blocks($t->{queues}) <= $max_slots))
	  and $t->{sent} = {};
	return;
}

# A transaction that rolls back, and what it leaves behind for the janitor,
# changes nothing.
sub roll_back
{
	my $name = some_topic() // return;
	my @deeds = ("SELECT rocketq.create_topic('never', 3)",
		"SELECT rocketq.create_group('$name', 'never')",
		"SELECT rocketq.alter_topic('$name', queues => $topics{$name}{queues} + 2)",
		"TRUNCATE $name", "SELECT rocketq.drop_topic('$name')");
	my $deed = $deeds[ rq_random(0, $#deeds) ];

	has_room(rq_random(0, 1) ? "BEGIN; $deed; ROLLBACK"
		: "BEGIN; SAVEPOINT s; $deed; ROLLBACK TO s; COMMIT");
	return;
}

my $contents = <<'EOQ';
SELECT string_agg(t.line, E'\n' ORDER BY t.line)
FROM (SELECT concat_ws(' ', t.topic::text, t.queues,
		(SELECT count(DISTINCT g.consumer_group) || '/' || count(*)
			FROM rocketq.groups g WHERE g.topic::text = t.topic::text),
		(SELECT sum(q.max_offset) FROM rocketq.queues q WHERE q.topic::text = t.topic::text)) AS line
	FROM rocketq.topics t) t
EOQ

sub expected
{
	return join("\n", sort map {
		my $t = $topics{$_};
		my $groups = keys %{ $t->{groups} };
		"$_ $t->{queues} $groups/" . $groups * $t->{queues} . ' ' . keys %{ $t->{sent} };
	} keys %topics);
}

sub compare
{
	my ($what) = @_;

	rq_poll("$what: what is in doubt to be settled",
		sub { return $node->safe_psql('postgres', $contents) eq expected(); });
	foreach my $name (sort keys %topics)
	{
		my $bodies = $node->safe_psql('postgres',
			"SELECT string_agg(rocketq.text(body), ',' ORDER BY queue_id) FROM $name");
		my $right = join(',', map { "$name in $_" } sort { $a <=> $b } keys %{ $topics{$name}{sent} });
		next if $bodies eq $right;
		is($bodies, $right, "$what: messages of $name");
		die "messages differ\n";
	}
	rq_catch_up($node, $standby);
	rq_poll("$what: the standby to have the same",
		sub { return $standby->safe_psql('postgres', $contents) eq expected(); });
	return;
}

sub crash
{
	if (rq_random(0, 1)) { rq_kill9($node, all => 1); rq_start($node); }
	else { $node->stop('immediate'); rq_start($node); }
	return;
}

my @steps = (
	[ 20, \&create_topic ], [ 14, \&drop_topic ],   [ 24, \&resize ],
	[ 16, \&create_group ], [ 8,  \&drop_group ],   [ 20, \&send_message ],
	[ 6,  \&truncate_topic ], [ 10, \&roll_back ],
	[ 3, sub { $node->safe_psql('postgres', 'CHECKPOINT'); } ],
	[ 2, sub { crash(); compare('after a crash'); } ],
	[ 1, sub { $node->restart; compare('after a restart'); } ],
	[ 1, sub { $standby->restart; } ]);
my @wheel = map { ($_->[1]) x $_->[0] } @steps;

my $until = time() + ($ENV{RQ_SECONDS} // 20);
my $steps = 0;
while (time() < $until)
{
	$wheel[ rq_random(0, $#wheel) ]->();
	$steps++;
}
crash();
compare('at the end');
pass("$steps steps");
note("$steps steps");
rq_verify($node, 'at the end');
rq_verify($standby, 'at the end, standby');
$standby->stop;
done_testing();

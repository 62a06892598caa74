# 063_meta_lock.pl -- reading very many queues does not block changes of topics
# and groups.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;

my $queues = 300;
my $node = rq_node('main', conf => '');
rq_require_faults($node);
$node->safe_psql('postgres', "SELECT rocketq.create_topic('other', 1)");
my $server = $node;

# Create and drop a group of another topic.  No timeout ends a wait for the lock.
sub change
{
	my ($how) = @_;
	my ($session) = rq_sessions($server, 1);

	$session->ask(
		"SELECT rocketq.create_group('other', 'new'); SELECT rocketq.drop_group('other', 'new')");
	is(rq_answer($session), ' ', $how);
	return;
}

# How often a session or worker stops before it has finished.
sub stops
{
	my ($pid, $done) = @_;
	my $stops = 0;

	rq_poll(
		"process $pid to be done",
		sub {
			return 1 if $done->();
			return 0 if slurp_file("/proc/$pid/stat") !~ /\) T /;
			change('one stands still between two parts') if $stops++ == 0;
			kill('CONT', $pid);
			return 0;
		});
	return $stops;
}

sub stops_of
{
	my ($session, $point, $sql) = @_;

	$session->query("SET rocketq.fault = '$point=stop'");
	$session->ask($sql);
	my $stops = stops($session->{pid}, sub { return $session->is_answered(0); });
	is(rq_answer($session) =~ /^\w+ .*fault|error/, '', "$point: it succeeds");
	return $stops;
}

#
# However much there is to resolve in a queue, it is resolved in parts: 20000
# entries in nine parts and a rest, by the first session that reads the queue.
#
my ($one) = rq_sessions($node, 1);
my $keeper = rq_hold_keeper($node);
my $janitor = rq_pause($node, 'rocketq janitor');
$node->safe_psql('postgres', "SELECT rocketq.create_topic('long', 1); SELECT rocketq.create_group('long', 'g')");

sub leave_unsettled
{
	$node->safe_psql('postgres', <<'EOQ');
SET rocketq.fault = 'resolve-flags=error';
INSERT INTO long (body, tag) SELECT '', 'a' FROM generate_series(1, 20000);
EOQ
	return;
}
foreach my $view ('queues', 'groups', 'topics')
{
	leave_unsettled();
	cmp_ok(stops_of($one, 'view-looked', "SELECT count(*) FROM rocketq.$view"), '>=', 10, "$view: in parts");
}
leave_unsettled();
stops_of($one, 'idle-looked', "CALL rocketq.wait_for_messages('long', 'g', '1 ms', 'b')");
cmp_ok(stops_of($one, 'view-looked', 'SELECT count(*) FROM rocketq.queues'), '>=', 10, 'waiters: the first part');
$node->safe_psql('postgres', "SELECT rocketq.drop_topic('long')");

#
# A dump that looks for the place of a restored group holds no lock meanwhile.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('source', 1), rocketq.create_topic('copies', 1);
INSERT INTO source (body) SELECT '' FROM generate_series(1, 5000);
INSERT INTO copies SELECT * FROM source;
INSERT INTO rocketq.saved_groups VALUES ('public.copies', 'g', ARRAY[5000], ARRAY[1]);
EOQ
cmp_ok(stops_of($one, 'saved-search', "SELECT rocketq.committed_offset('copies', 'g', 0)"), '>=', 4, 'a place is searched for in steps');
is(rq_value($node, "SELECT rocketq.committed_offset('copies', 'g', 0)"), '4999', 'and found');

#
# Groups whose creation was rolled back are also removed one by one.
#
$one->query('BEGIN');
$one->query('SAVEPOINT s');
$one->query("SELECT rocketq.create_group('other', 'g' || i) FROM generate_series(1, 5) i");
$one->query('ROLLBACK TO s');
rq_arm($node, 'group-abandoned=stop');
kill('CONT', $janitor);
foreach my $i (1 .. 5)
{
	rq_poll_stopped($janitor);
	change("group $i of those that go is gone");
	kill('CONT', $janitor);
}
$one->query('COMMIT');
rq_arm($node, '');

#
# A queue that is to go is looked at without the lock, however much was rolled
# back at its end.
#
$node->safe_psql('postgres', "SELECT rocketq.create_topic('ending', 2); SELECT rocketq.create_group('ending', 'g')");
$one->query("SET rocketq.fault = 'precommit-done=error'");
$one->query("SELECT count(rocketq.produce('ending', 'x', queue_id => 1)) FROM generate_series(1, 5)");
cmp_ok(stops_of($one, 'consumed-look', "SELECT rocketq.alter_topic('ending', 1)"), '>=', 5, 'all of its entries are looked at');
is(rq_value($node, "SELECT queues FROM rocketq.topics WHERE topic = 'ending'"), '1', 'and it is gone');

#
# Offering messages again is done in parts.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('offered', 80);
SELECT rocketq.create_group('offered', 'g' || i) FROM generate_series(1, 4) i;
DO $$ BEGIN PERFORM rocketq.produce('offered', 'm', tag => 'a', queue_id => q)
	FROM generate_series(0, 79) q, generate_series(1, 100); END $$;
EOQ
my @waiters = rq_sessions($node, 4);
rq_ask_and_sleep("CALL rocketq.wait_for_messages('offered', 'g$_', '600 s', 'b')", $waiters[ $_ - 1 ])
  foreach 1 .. 4;
rq_arm($node, 'offer-looked=stop');
kill('CONT', $keeper);
rq_poll_stopped($keeper);
my $tick = "SELECT ticks FROM rocketq.workers WHERE worker = 'keeper'";
my $begun = rq_value($node, $tick);
kill('CONT', $keeper);
cmp_ok(stops($keeper, sub { return rq_value($node, $tick) != $begun; }), '>=', 6, 'four groups in eighty queues take some parts');
rq_arm($node, '');
kill('CONT', $keeper);
$node->safe_psql('postgres', "SELECT rocketq.produce('offered', 'm', tag => 'b', queue_id => 3)");
is(rq_answer($_), 't', 'a waiter is still woken') foreach @waiters;
$node->safe_psql('postgres', "SELECT rocketq.drop_topic('offered')");

$node->safe_psql('postgres', <<"EOQ");
SELECT rocketq.create_topic('wide', $queues);
SELECT rocketq.create_group('wide', 'g' || i) FROM generate_series(1, 10) i;
DO \$\$ BEGIN PERFORM rocketq.produce('wide', 'm', tag => 'a', queue_id => q)
	FROM generate_series(0, @{[ $queues - 1 ]}) q, generate_series(1, 100); END \$\$;
EOQ

#
# Between two queues the lock is free, and the query can be cancelled.
#
my ($waiter) = rq_sessions($node, 1);
$waiter->query("SET rocketq.fault = 'idle-looked=stop'");
$waiter->ask("CALL rocketq.wait_for_messages('wide', 'g1', '600 s', 'b')");
rq_poll_stopped($waiter->{pid});
change('one stands still in the middle of its look');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($waiter->{pid})");
kill('CONT', $waiter->{pid});
like(rq_answer($waiter), qr/canceling statement due to user request/, 'the query can be cancelled between the parts');

#
# Many sessions that do nothing else do not block changes either.
#
my %loop = (
	wait => "CALL rocketq.wait_for_messages('wide', 'g1', '1 ms', 'b');",
	topics => 'SELECT count(*) FROM rocketq.topics;',
	groups => 'SELECT count(*) FROM rocketq.groups;');

foreach my $name (sort keys %loop)
{
	my $file = $node->basedir . "/$name.sql";

	append_to_file($file, "$loop{$name}\n");
	my $job = rq_background($node, 'pgbench', '-n', '-c', '6', '-T', '600', '-f', $file,
		$node->connstr('postgres') . ' application_name=pgbench');
	rq_poll('all to be there', sub { return rq_value($node, <<'EOQ') == 6; });
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'
EOQ
	change("beside six that loop over $name") foreach 1 .. 5;
	is(rq_value($node, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'"),
		'6', 'the readers continue');
	$job->{run}->signal('TERM');
	$job->{run}->finish;
	rq_poll('them to end', sub { return rq_value($node, <<'EOQ') == 0; });
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'
EOQ
}

rq_verify($node, 'at the end');
$node->stop;

#
# The state is copied in parts, and before each of them those who wait for the
# lock go first.  So there are as few as their length allows: of 20000 queues,
# a thousand in each, and the rest of other tables; those that have changed, and
# all of them for an image.
#
my $large = rq_node('large', conf => <<'EOC');
rocketq.max_queues = 20480
rocketq.max_queues_per_topic = 65535
checkpoint_timeout = 1h
EOC
$server = $large;
$large->safe_psql('postgres', "SELECT rocketq.create_topic('other', 1), rocketq.create_topic('large', 20000)");

# How often the keeper stops while it writes the state for a checkpoint.
sub parts
{
	my ($image) = @_;
	my $keeper = rq_worker_pid($large, 'keeper');
	my ($session) = rq_sessions($large, 1);

	$large->safe_psql('postgres', 'CHECKPOINT');
	$large->safe_psql('postgres',
		"SELECT count(rocketq.produce('large', 'x', queue_id => q)) FROM generate_series(0, 19999) q");
	rq_arm($large, $image . 'state-copy-hold=stop');
	$session->ask('CHECKPOINT');
	my $parts = stops($keeper, sub { return $session->is_answered(0); });
	rq_disarm($large);
	rq_reload($large);

	# It may stop in the next image, too, before it reads the setting.
	my $begun = rq_value($large, $tick);
	rq_poll('the keeper to go on', sub {
			kill('CONT', $keeper);
			return rq_value($large, $tick) >= $begun + 2;
		});
	return $parts;
}
my $parts = parts('');
cmp_ok($parts, '>=', 20, 'changed slots are copied in parts');
cmp_ok($parts, '<=', 40, "which are long enough ($parts)");
unlink($large->data_dir . '/pg_rocketq/state') or die "could not remove the state: $!";
$parts = parts('state-long=fail,');
cmp_ok($parts, '>=', 20, 'an image is copied in parts');
cmp_ok($parts, '<=', 80, "which are long enough ($parts)");

# The first checkpoint after a start waits for an image, but the keeper goes on
# with its other work between slices of that.
$large->stop;
$large->append_conf('postgresql.auto.conf', "rocketq.fault = 'state-image-slice=stop'");
rq_start($large);
my $writer = rq_worker_pid($large, 'keeper');
rq_poll_stopped($writer);
my $from = rq_log_from($large);
my ($client) = rq_sessions($large, 1);
$client->ask('CHECKPOINT');
$large->wait_for_log(qr/checkpoint starting: immediate force wait/, $from);
my @ticks;
foreach (1 .. 4)
{
	kill('CONT', $writer);
	rq_poll_stopped($writer);
	push @ticks, $large->safe_psql('postgres', $tick);
}
ok(!$client->is_answered(0), 'the checkpoint waits');
is(scalar(grep { $ticks[$_] > $ticks[ $_ - 1 ] } 1 .. 3), 3, "there are ticks between slices (@ticks)");
rq_disarm($large);
rq_reload($large);
rq_poll('the checkpoint to complete', sub { kill('CONT', $writer); return $client->is_answered(0); });
rq_verify($large, 'many queues');
$large->stop;
done_testing();

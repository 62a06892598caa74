# 108_wait_events.pl -- what pg_stat_activity says that a process waits for: from
# version 17 on a name of its own for each kind of wait, which are those that the
# documentation lists.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqDocs;
use RocketqTest;
use Test::More;

my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.retention_time = -1
EOC
my $has_names = $node->pg_version >= 17;
my @events = rq_doc_table('sql/doc/monitoring.md', 'Waits');
my %before_17 = map { $_->[0] => $_->[1] } @events;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# What is shown on this version for an event.
sub shown
{
	my ($event) = @_;
	return $has_names ? $event : $before_17{$event};
}

# Wait until the processes of which this holds in pg_stat_activity wait for an
# event.
sub waits_for
{
	my ($event, $which, $who) = @_;
	my $shown = shown($event);

	rq_poll_query($node, "$who to wait for $shown",
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE $which AND (wait_event_type, wait_event) = ('Extension', '$shown')");
	pass("$who waits for $shown");
	return;
}

# A session in the middle of a statement, and its process.
sub session
{
	my ($statement) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_until(qr/begun/, "\\echo begun\n$statement;\n");
	return ($session, $pid);
}

# All names are there, whether anybody has waited or not.
sub names_and_workers
{
	my ($when) = @_;

	is_deeply(
		[ split /\n/, sql("SELECT name FROM pg_wait_events WHERE type = 'Extension' AND name LIKE 'Rocketq%' ORDER BY 1") ],
		[ sort map { $_->[0] } @events ],
		"$when: the documentation lists the events") if $has_names;
	waits_for('Rocketq' . ucfirst($_) . 'Main', "backend_type = 'rocketq $_'", "$when: the $_")
	  foreach qw(keeper allocator janitor);
	return;
}

names_and_workers('at the start');

# Consumers.
sql("SELECT rocketq.create_topic('t', 1); SELECT rocketq.create_group('t', 'g')");
my @consumers = map { [ session($_) ] } (
	"SELECT FROM rocketq.consume('t', 'g', wait => '1 h')",
	"SELECT FROM rocketq.pull('t', 0, 0, wait => '1 h')",
	"CALL rocketq.wait_for_messages('t', 'g', '1 h')");
waits_for('RocketqMessages', "pid = $_->[1]", 'a consumer') foreach @consumers;
sql("SELECT rocketq.produce('t', 'm')");
$_->[0]->quit foreach @consumers;

# A producer, while the allocator makes no room.
my $allocator = rq_pause($node, 'rocketq allocator');
my ($producer, $pid) =
  session("SELECT count(rocketq.produce('t', repeat('x', 10000))) FROM generate_series(1, 1000)");
waits_for('RocketqSpace', "pid = $pid", 'a producer');
kill('CONT', $allocator);
$producer->quit;
is(sql("SELECT count(*) FROM t"), '1001', 'it goes on when there is room');

# Events are in shared memory, which is new after a crash.
my $log_from = rq_log_from($node);
kill('KILL', rq_worker_pid($node, 'janitor'));
rq_restart_after($node, $log_from);
names_and_workers('after a crash');

$node->stop;
done_testing();

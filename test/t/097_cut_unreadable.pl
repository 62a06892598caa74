# 097_cut_unreadable.pl -- headers of extents that cannot be read when they are to
# be given back, by a trim or a drop, or are to become free: all else of it is done.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', allows_streaming => 1, conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.retention_time = -1
rocketq.keep_unconsumed = off
rocketq.janitor_interval = '50ms'
checkpoint_timeout = 1h
autovacuum = off
EOC
rq_require_faults($node);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub set_retention
{
	sql("ALTER SYSTEM SET rocketq.retention_time = '$_[0]'");
	rq_reload($node);
	return;
}

# Cut the file, as it is mapped, where this chunk begins: then touching it is an
# error.  Returns a function that undoes it.
sub cut_off
{
	my ($path, $at) = @_;
	my $bytes = substr(slurp_file($path), $at);

	truncate($path, $at) or die "could not truncate \"$path\": $!";
	return sub {
		open my $fh, '+<:raw', $path or die "could not open \"$path\": $!";
		sysseek($fh, $at, 0);
		syswrite($fh, $bytes) == length($bytes) or die "could not write: $!";
		close $fh;
	};
}

sub chunk_at { return $_[0]->{header} - $_[0]->{header} % (4 << 20); }

# Of queues that were created in this order, "bad" comes first in a record.
sql(<<'EOQ');
SELECT rocketq.create_topic('bad', 2), rocketq.create_topic('good', 1), rocketq.create_topic('last', 1);
SELECT count(rocketq.produce('good', i::text)) FROM generate_series(1, 100) i;
SELECT count(rocketq.produce('bad', 'small', queue_id => 1)) FROM generate_series(1, 2) i;
SELECT count(rocketq.produce('bad', repeat('x', 500), queue_id => 0)) FROM generate_series(1, 6500) i;
SELECT count(rocketq.produce('bad', 'small', queue_id => 1)) FROM generate_series(1, 2) i;
CHECKPOINT;
EOQ
my ($bad, $good) = map { rq_topic_key($node, $_) } ('bad', 'good');
my @bads = rq_extents_of($node, $bad, 0);
my ($path, $from_bad) = ($bads[0]->{path}, (sort { $a <=> $b } map { chunk_at($_) } @bads)[0]);
ok(!(grep { chunk_at($_) >= $from_bad } rq_extents_of($node, $good), rq_extents_of($node, $bad, 1)),
	'extents of other queues are in chunks before');

#
# A trim.
#
my $janitor = rq_worker_pid($node, 'janitor');
rq_arm($node, 'trim-decided=stop');
set_retention(0);
rq_poll_stopped($janitor);
my $start = sql('SELECT min(start_position) FROM rocketq.segments');
my $from = rq_log_from($node);
my $undo = cut_off($path, $from_bad);
rq_arm($node, '');
set_retention(-1);
kill('CONT', $janitor);
rq_poll_query($node, 'the log to be trimmed', "SELECT min(start_position) > $start FROM rocketq.segments");
my $first = sql('SELECT min(start_position) FROM rocketq.segments');
rq_poll('segments to be removed', sub { return !grep { hex($_) * (1 << 20) < $first } rq_store_files($node, 'log'); });
pass('segments of the log are removed');
rq_poll_query($node, 'extents to be given back', 'SELECT waiting_bytes >= 100 * 32 FROM rocketq.queue_space');
pass('extents of another queue are given back');
$node->wait_for_log(qr/LOG:  rocketq left space of queues for later: file "pg_rocketq\/queue\/00000000" is damaged/, $from);
$undo->();
rq_verify($node, 'the file is as it was');
is((rq_extents_of($node, $bad, 0))[0]->{first}, 0, 'the queue has kept what it had');

# The next trim gives back all that the queue does not need.
set_retention(0);
sql("SELECT count(rocketq.produce('last', repeat('x', 500))) FROM generate_series(1, 6500) i");
rq_extents_gone($node, 'the extents to be free', sub { $_[0]->{key} eq $bad && $_[0]->{queue} == 0 });
set_retention(-1);
rq_verify($node, 'the next trim');

#
# A drop.
#
sql("SELECT count(rocketq.produce('bad', 'x', queue_id => 0)) FROM generate_series(1, 6500) i");
sql("SELECT count(rocketq.produce('bad', 'x', queue_id => 1)) FROM generate_series(1, 2) i");
sql('CHECKPOINT');
rq_poll_query($node, 'no extent to wait', 'SELECT waiting_bytes = 0 FROM rocketq.queue_space');
@bads = rq_extents_of($node, $bad, 0);
$from_bad = (sort { $a <=> $b } map { chunk_at($_) } @bads)[0];
ok(!(grep { chunk_at($_) >= $from_bad } rq_extents_of($node, $bad, 1)), 'extents of the other queue are in chunks before');
rq_arm($node, 'janitor-drop=stop');
sql('DROP TABLE bad');
rq_poll_stopped($janitor);
$from = rq_log_from($node);
$undo = cut_off($path, $from_bad);
rq_arm($node, '');
kill('CONT', $janitor);
$node->wait_for_log(qr/LOG:  rocketq could not give back the space of 1 queues/, $from);
rq_poll_query($node, 'extents to be given back', 'SELECT waiting_bytes > 0 FROM rocketq.queue_space');
$undo->();
like(sql("SELECT string_agg(DISTINCT problem, ', ') FROM rocketq.verify()"), qr/^it is neither free nor a queue's$/,
	'verify() knows of extents that nobody has');
$node->restart;
rq_verify($node, 'a restart makes them free');
is(scalar(rq_extents_of($node, $bad)), 0, 'a restart makes them free');
#
# Extents that are to become free: the allocator has come to the first of them.
#
my $last = rq_topic_key($node, 'last');
sql('DROP TABLE last');
rq_extents_gone($node, 'the extents to be free', sub { $_[0]->{key} eq $last });
sql("SELECT rocketq.create_topic('bad', 1); SELECT count(rocketq.produce('bad', 'x')) FROM generate_series(1, 130000) i");
$bad = rq_topic_key($node, 'bad');
@bads = rq_extents_of($node, $bad);
$from_bad = (sort { $a <=> $b } map { chunk_at($_) } grep { $_->{class} == 3 } @bads)[0];
ok(!(grep { chunk_at($_) >= $from_bad && $_->{key} ne $bad } rq_extents($node)), 'extents of other queues are in chunks before');
my $allocator = rq_worker_pid($node, 'allocator');
rq_arm($node, 'extent-zeroing=stop');
sql('DROP TABLE bad');
rq_poll_query($node, 'extents to be given back', 'SELECT waiting_bytes >= 130000 * 32 FROM rocketq.queue_space');
sql('CHECKPOINT');
rq_poll_stopped($allocator);
$from = rq_log_from($node);
$undo = cut_off($path, $from_bad);
rq_arm($node, '');
# It stops again at each extent, until it looks for a new setting.
rq_poll('the allocator to meet one that it cannot read', sub {
		kill('CONT', $allocator);
		return slurp_file($node->logfile, $from) =~ /LOG:  a list of unused extents of queues is damaged/;
	});
rq_wait_ticks($node, 'allocator', 2);
sql("SELECT rocketq.create_topic('more', 100); SELECT count(rocketq.produce('more', 'x', queue_id => i % 100)) FROM generate_series(1, 1000) i");
is(sql("SELECT last_error IS NULL FROM rocketq.workers WHERE worker = 'allocator'"), 't', 'the allocator goes on');
unlike(slurp_file($node->logfile, $from), qr/ERROR/, 'nothing fails');
$undo->();
$node->restart;
rq_verify($node, 'a restart makes free what could not be read');

#
# A standby has nobody else who makes them free, but the process that replays.
#
sql(<<'EOQ');
SELECT rocketq.create_topic('gone' || t, 1000) FROM generate_series(1, 3) t;
SELECT count(rocketq.produce('gone' || t, 'x', queue_id => q)) FROM generate_series(1, 3) t, generate_series(0, 999) q;
EOQ
my $standby = rq_standby($node);
sql("DROP TABLE gone$_") foreach 1 .. 3;
rq_poll_query($node, 'topics to go', "SELECT count(*) = 2 FROM rocketq.topics");
sql('CHECKPOINT');
rq_catch_up($node, $standby);
rq_arm($standby, 'extent-zeroing=error');
$from = rq_log_from($standby);
sql("SELECT rocketq.create_topic('next' || t, 1000) FROM generate_series(1, 8) t");
sql("SELECT count(rocketq.produce('next$_', 'x', queue_id => q)) FROM generate_series(0, 999) q") foreach 1 .. 8;
rq_catch_up($node, $standby);
like(slurp_file($standby->logfile, $from), qr/LOG:  rocketq left space of queues for later: fault point/, 'a standby goes on without them');
is($standby->safe_psql('postgres', join(' UNION ALL ', map { "SELECT count(*) FROM next$_" } 1 .. 8)),
	join("\n", (1000) x 8), 'and has all that it replays');
rq_arm($standby, '');
$standby->restart;
rq_verify($standby, 'a restart makes them free on the standby');
$standby->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing has crashed');
$node->stop;

done_testing();

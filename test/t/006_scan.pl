# 006_scan.pl -- topics as tables: what a scan sees while producers commit and
# roll back, which parts of the store it reads, how retention and damage affect
# it, and scans on a standby.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node(
	'main',
	allows_streaming => 1,
	conf => "rocketq.segment_size = '1MB'\nrocketq.janitor_interval = '20ms'\nrocketq.retention_time = -1");

# Parallel plans wherever possible.
my $parallel = <<'EOS';
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET max_parallel_workers_per_gather = 3;
EOS

sub is_parallel
{
	my ($where, $query) = @_;
	return like($where->safe_psql('postgres', "$parallel EXPLAIN $query"),
		qr/Parallel Seq Scan on/, "in parallel: $query");
}

#
# In one snapshot, a message is visible if and only if the row written in the
# same transaction is: in parallel and not, and for each kind of scan.
#
rq_create_load($node, queues => 3);
$node->safe_psql('postgres', 'SELECT load.make_for(k, 200) FROM generate_series(0, 39) k');

my $looks = <<'EOS';
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) AS sent FROM load.sent \gset
SELECT count(*) AS n, count(DISTINCT message_id) AS ids, count(DISTINCT ctid) AS ctids FROM load.topic \gset
SELECT 'parallel', :n - :sent, :ids - :sent, :ctids - :sent;
SELECT 'parallel, by message', count(*) FROM
	(SELECT rocketq.text(body) AS b FROM load.topic) t FULL JOIN
	(SELECT load.body(key, seq) AS b FROM load.sent) s USING (b) WHERE t.b IS NULL OR s.b IS NULL;
SET max_parallel_workers_per_gather = 0;
SELECT 'alone', count(*) - :sent, count(DISTINCT message_id) - :sent FROM load.topic;
SELECT 'by range', count(*) - :sent FROM load.topic WHERE ctid >= '(0,0)';
SELECT 'by sample', count(*) - :sent FROM load.topic TABLESAMPLE system (100);
COMMIT;
EOS
my $no_difference = <<'EOS';
parallel|0|0|0
parallel, by message|0
alone|0|0
by range|0
by sample|0
EOS
is_parallel($node, $_)
  foreach ('SELECT count(*), count(DISTINCT ctid) FROM load.topic', 'SELECT body FROM load.topic');

my $load = rq_start_load($node);
foreach my $i (1 .. 15)
{
	rq_wait_progress($node, 30);
	is($node->safe_psql('postgres', "$parallel $looks") . "\n",
		$no_difference, "check $i: a scan agrees with its snapshot");
}
rq_stop_load($load);
is($node->safe_psql('postgres', "$parallel $looks") . "\n",
	$no_difference, 'a scan agrees with its snapshot after the load');
rq_check($node, 'after the load');

#
# The same on a standby that follows.
#
my $standby = rq_standby($node);
$load = rq_start_load($node);
foreach my $i (1 .. 5)
{
	rq_wait_progress($node, 30);
	is($standby->safe_psql('postgres', "$parallel $looks") . "\n",
		$no_difference, "standby, check $i: a scan agrees with its snapshot");
}
rq_stop_load($load);
is_parallel($standby, 'SELECT count(*) FROM load.topic');
$standby->stop;

#
# Retention continues during a scan, which skips what was removed, in both
# directions.
#
$node->safe_psql('postgres', <<'EOS');
SELECT rocketq.create_topic('short', 2);
INSERT INTO short (queue_id, body)
	SELECT i % 2, convert_to(repeat('x', 1000), 'UTF8') FROM generate_series(1, 20000) i;
EOS
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN');
$session->query_safe('DECLARE c SCROLL CURSOR FOR SELECT queue_id, queue_offset FROM short');
is($session->query_safe('FETCH 3 FROM c'), "0|0\n0|1\n0|2", 'a cursor begins');
$session->query_safe("DECLARE r SCROLL CURSOR FOR SELECT queue_id, queue_offset FROM short WHERE ctid < '(9000,0)'");
is($session->query_safe('FETCH 1 FROM r'), '0|0', 'a cursor for a range begins');
my $start = $node->safe_psql('postgres', "SELECT count(*) FROM short");
is($start, 20000, 'all messages are there');
$node->safe_psql('postgres', <<'EOS');
SELECT rocketq.drop_group('load.topic', g) FROM unnest('{all,filtered}'::text[]) g;
SELECT rocketq.create_group('short', 'holds');
SELECT rocketq.reset_offset('short', 'holds', q, 7000) FROM generate_series(0, 1) q;
ALTER SYSTEM SET rocketq.retention_time = 0;
EOS
rq_reload($node);

# A cursor holds messages, too, up to a limit.
rq_wait_ticks($node, 'janitor', 10);
is($node->safe_psql('postgres', "SELECT rocketq.min_offset('short', 0)"),
	'0', 'nothing is removed that a cursor can still read');
$node->safe_psql('postgres', "ALTER SYSTEM SET rocketq.max_kept_size = '8MB'");
rq_reload($node);
rq_poll_query($node, 'messages to go',
	"SELECT rocketq.min_offset('short', 0) > 5000 AND rocketq.min_offset('short', 1) > 5000");
$session->query_safe('MOVE FORWARD ALL FROM c');
my $back = $session->query_safe('FETCH BACKWARD 1 FROM c');
is($back, '1|9999', 'the cursor reaches the end');
like($session->query_safe('MOVE BACKWARD ALL FROM c'), qr/^$/, 'the cursor reads backwards');
my ($next) = $session->query_safe('FETCH NEXT FROM c') =~ /^0\|(\d+)$/;
cmp_ok($next, '>', 5000, 'backwards, it ends at the first message that was kept');
cmp_ok($next, '<=', 7000, 'backwards, it ends at no later message');
$session->query_safe('MOVE FORWARD ALL FROM r');
is($session->query_safe('FETCH BACKWARD 1 FROM r'), '1|8999', 'the same for a range');
$session->query_safe('MOVE BACKWARD ALL FROM r');
like($session->query_safe('FETCH NEXT FROM r'), qr/^0\|[567]\d\d\d$/, 'the range cursor finds its first message');
$session->query_safe('COMMIT');
$session->quit;

# What only the cursors held is removed now.
rq_wait_ticks($node, 'janitor', 10);
is( $node->safe_psql('postgres', <<'EOS'), "t|t|t", 'what is left is scanned, sampled and analyzed');
ANALYZE short;
SELECT count(*) = (SELECT sum(max_offset - min_offset) FROM rocketq.queues WHERE topic = 'short'),
	count(*) = (SELECT count(*) FROM short TABLESAMPLE bernoulli (100)),
	count(*) = (SELECT reltuples FROM pg_class WHERE relname = 'short')
FROM short;
EOS

#
# Damage.  Queries that do not read what is damaged are not affected.
#
$node->safe_psql('postgres', <<'EOS');
SELECT rocketq.create_topic('damaged', 1);
ALTER SYSTEM RESET rocketq.retention_time;
ALTER SYSTEM RESET rocketq.max_kept_size;
EOS
rq_reload($node);
$node->safe_psql('postgres', <<'EOS');
INSERT INTO damaged (tag, body) SELECT 'whole', 'body' FROM generate_series(1, 5000);
INSERT INTO damaged (tag, body) VALUES ('broken', 'the body that gets broken');
EOS
my ($dir) = split /\n/, $node->safe_psql('postgres',
	"SELECT (SELECT oid FROM pg_database WHERE datname = 'postgres') || '_' || relfilenode FROM pg_class WHERE relname = 'damaged'");
$node->stop;

# Overwrite bytes of the log while the server is down; return how often they
# occurred.
sub overwrite
{
	my ($old, $new) = @_;
	my $found = 0;

	foreach my $name (rq_store_files($node, 'log'))
	{
		my $path = $node->data_dir . "/pg_rocketq/log/$name";
		my $at = index(slurp_file($path), $old);
		next if $at < 0;
		open my $fh, '+<', $path or die "$path: $!";
		binmode $fh;
		seek($fh, $at, 0);
		print $fh $new;
		close $fh;
		$found++;
	}
	return $found;
}

is(overwrite('the body that gets broken', 'THE'), 1, 'a body is damaged');
$node->start;

sub sees
{
	my ($query, $expected, $label) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$query");
	return is($out . $err =~ s/^psql:<stdin>:\d+: //r, $expected, $label);
}

sees('SELECT count(*) FROM damaged', '5001', 'count(*) does not read messages');
sees("$parallel SELECT count(*) FROM damaged", '5001', 'a parallel count(*) does not read messages');
sees('SELECT max(queue_id), max(queue_offset), count(message_id), count(DISTINCT ctid) FROM damaged',
	'0|5000|5001|5001', 'the first columns do not read messages');
sees("SELECT count(*) FROM damaged WHERE ctid >= '(10,0)'", '4991', 'ranges of ctids do not read messages');
sees('SELECT count(*) FROM damaged TABLESAMPLE system (100)', '5001', 'samples do not read messages');
sees("SELECT count(tag) FROM damaged WHERE ctid < '(5000,0)'", '5000', 'a range that ends before the damage');
sees('SELECT damage_met FROM rocketq.stats', '0', 'none of them has met the damage');
sees('SELECT count(tag) FROM damaged', 'ERROR:  XX001', 'reading the damaged message is an error');
sees("SELECT tag FROM damaged WHERE ctid = '(5000,1)'", 'ERROR:  XX001', 'reading it by ctid is an error');
sees('SELECT damage_met FROM rocketq.stats', '2', 'each error is counted');

# An extent in the middle of a queue has lost its header; a server would not start
# like this.
my ($away) = grep { $_->{first} > 0 && $_->{first} < 2000 } rq_extents_of($node, $dir);
my $undo = rq_overwrite($away->{path}, $away->{header}, "\0" x 64);
my ($last) = (rq_extents_of($node, $dir))[-1];
my $after = $away->{first} + $away->{count};
sees("SELECT count(*) FROM damaged WHERE ctid >= '($after,0)'", 5001 - $after,
	'a range needs only its own extents');
like($node->safe_psql('postgres', 'EXPLAIN SELECT * FROM damaged'),
	qr/rows=5001 /, 'planning needs no missing extent');
sees('SELECT count(*) FROM damaged', 'ERROR:  XX001', 'a scan needs the missing one');
sees('SELECT damage_met FROM rocketq.stats', '3', 'what is missing is counted, too');
$undo->();
$node->stop;
overwrite('THE body that gets broken', 'the');
$node->start;
sees('SELECT count(*), count(tag) FROM damaged', '5001|5001', 'everything is there again');
rq_verify($node, 'at the end');
$node->stop;

done_testing();

# 096_unreadable.pl -- a disk that cannot read parts of an area file when the
# server starts: it does not start, or, told to ignore what is missing, goes on
# without what was in them; and nothing of what it has made up for comes back when
# they can be read again.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', conf => <<'EOC');
rocketq.retention_time = -1
checkpoint_timeout = 1h
EOC
rq_require_faults($node);

# ---- helpers ----

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $contents = "SELECT string_agg(queue_id || ':' || queue_offset || ':' || rocketq.text(body), ',' ORDER BY queue_id, queue_offset)";

# As the setting for the fault point counts pages; all chunks are in the first file.
sub page_of { return int($_[0]->{header} / 4096); }

sub chunk_of { return int($_[0]->{header} / (4 << 20)); }

# End the server, and have it unable to read these pages, if any, when it starts.
sub stop_with
{
	my ($how, @pages) = @_;

	rq_arm($node, join(',', map { "area-read=fail\@$_" } @pages)) if @pages;
	$how eq 'kill' ? rq_kill9($node, all => 1) : $node->stop($how);
	return;
}

# It must not start, and not change anything.
sub refused
{
	my ($what, $at) = @_;
	my $from = rq_log_from($node);
	my %before = map { $_ => slurp_file($_) } rq_area_files($node);
	my $started = $node->start(fail_ok => 1);

	rq_poll("the server not to be up ($what)", sub { return !rq_processes($node); });
	rq_stopped($node);
	like(slurp_file($node->logfile, $from),
		qr/FATAL:  could not read rocketq file "pg_rocketq\/queue\/00000000" at offset $at: Input.*HINT:  .*With rocketq.ignore_missing_files = on, the server starts/s,
		"$what: the server does not start, and says why");
	my %after = map { $_ => slurp_file($_) } rq_area_files($node);
	ok(join(',', %after{ sort keys %after }) eq join(',', %before{ sort keys %before }),
		"$what: area files are as they were");
	return;
}

sub ignore_missing_files
{
	$node->append_conf('postgresql.conf', "rocketq.ignore_missing_files = $_[0]");
	return;
}

# Queues whose extents are in this page or chunk.
sub queues_in
{
	my ($key, $where, $number) = @_;

	return map { $_->{queue} } grep { $where->($_) == $number } rq_extents_of($node, $key);
}

sub without
{
	my ($topic, @queues) = @_;

	return "$contents FROM $topic WHERE queue_id <> ALL ('{" . join(',', @queues) . "}')";
}

# ---- a page of headers ----

sql(<<'EOQ');
SELECT rocketq.create_topic('small', 300), rocketq.create_topic('large', 1);
SELECT count(rocketq.produce('small', q::text, queue_id => q)) FROM generate_series(0, 299) q;
SELECT count(rocketq.produce('large', i::text)) FROM generate_series(1, 5000) i;
CHECKPOINT;
EOQ
my $small = rq_topic_key($node, 'small');
my ($some) = rq_extents_of($node, $small, 150);
my $page = page_of($some);
my @lost = queues_in($small, \&page_of, $page);
cmp_ok(scalar(@lost), '==', 64, 'a page has the headers of many queues');
cmp_ok($page % 1024, '>', 0, 'it is not the first of its chunk');
my $all = sql("$contents FROM small");
my $kept = sql(without('small', @lost));

foreach my $how ('fast', 'kill')
{
	stop_with($how, $page);
	refused("a page of headers, $how", $page * 4096);
	rq_disarm($node);
	rq_start($node);
	is(sql("$contents FROM small"), $all, "a page of headers, $how: it can be read again, and nothing is lost");
	rq_verify($node, "a page of headers, $how");
}

# What has been taken since the last checkpoint is in WAL: the first extent for
# nobody, the others with numbers that are not replayed.
sql(<<'EOQ');
SELECT rocketq.create_topic('late', 400);
CHECKPOINT;
EOQ
foreach my $q (0 .. 1)
{
	my ($rc, $out, $err) = $node->psql('postgres',
		"SET rocketq.fault = 'extent-linked=error'; SELECT rocketq.produce('late', 'none', queue_id => $q)");
	like($err, qr/fault point "extent-linked"/, 'a queue has an extent that nothing says to be its');
}
sql("SELECT rocketq.produce('late', 'first', queue_id => 2)");
my $late = rq_topic_key($node, 'late');
my ($late_page, @others) = map { page_of($_) } rq_extents_of($node, $late);
is(join(' ', @others), "$late_page $late_page", 'they are in one page');
isnt($late_page, $page, 'and not in that of others');
ignore_missing_files('on');
stop_with('kill', $late_page);
rq_start($node);
is(sql("$contents FROM late"), '2:0:first', 'what WAL has is there');
is(sql("$contents FROM small"), $all, 'and so is what was in other pages');
sql("SELECT count(rocketq.produce('late', 'more', queue_id => q)) FROM generate_series(0, 399) q, generate_series(1, 5)");
sql('CHECKPOINT');
my $late_has = sql("$contents FROM late");
rq_disarm($node);
foreach my $how ('kill', 'fast')
{
	stop_with($how);
	rq_start($node);
	is(sql("$contents FROM late"), $late_has, "the page can be read again, $how: what was produced meanwhile is there");
	rq_verify($node, "the page can be read again, $how");
}

# What was in the other page is lost.
my $from = rq_log_from($node);
stop_with('kill', $page);
rq_start($node);
rq_poll_query($node, 'the keeper to be ready', "SELECT rocketq.produce('large', '5001') > 0");
my $at = $page * 4096;
like(slurp_file($node->logfile, $from), qr/LOG:  could not read rocketq file "pg_rocketq\/queue\/00000000" at offset $at: /,
	'told to ignore it, the server starts, and says what it cannot read');
is(sql("$contents FROM small"), $kept, 'what is in other pages is there, and what was in that one is lost');
is(sql('SELECT count(*) FROM large') . sql("$contents FROM late"), "5001$late_has", 'other queues have all they had');
sql("SELECT count(rocketq.produce('small', 'new', queue_id => q)) FROM generate_series(0, 299) q");
my $small_has = sql("$contents FROM small");
my $reported = "SELECT string_agg(DISTINCT problem, ', ') FROM rocketq.verify()";
my $is_lost = 'it was missing when the server started, and is lost';
is(sql($reported), "it is neither free nor a queue's, $is_lost",
	'verify() reports what is lost, and extents that nobody can use');
sql('CHECKPOINT');
ignore_missing_files('off');
rq_disarm($node);
foreach my $how ('kill', 'fast')
{
	stop_with($how);
	rq_start($node);
	is(sql("$contents FROM small"), $small_has, "the page can be read again, $how: what was lost is not back");
	is(sql($reported), $is_lost, "the page can be read again, $how: verify()");
}

# ---- the header of a chunk ----

my ($of_large) = rq_extents_of($node, rq_topic_key($node, 'large'), 0);
my $chunk = chunk_of((rq_extents_of($node, rq_topic_key($node, 'large'), 0))[-1]);
isnt($chunk, chunk_of($some), 'chunks of large and of small extents');
$page = $chunk * 1024;
foreach my $how ('fast', 'kill')
{
	stop_with($how, $page);
	refused("a chunk's header, $how", $page * 4096);
	rq_disarm($node);
	rq_start($node);
	is(sql('SELECT count(*) FROM large'), '5001', "a chunk's header, $how: it can be read again, and nothing is lost");
}
ignore_missing_files('on');
$from = rq_log_from($node);
stop_with('fast', $page);
rq_start($node);
rq_poll_query($node, 'the keeper to be ready', "SELECT rocketq.produce('large', 'new') > 0");
like(slurp_file($node->logfile, $from), qr/LOG:  rocketq lost \d+ messages of queue 0 of topic /, "a chunk's header: it says what is lost");
cmp_ok(sql('SELECT count(*) FROM large'), '<', 5000, "a chunk's header: what was in it is lost");
is(sql("$contents FROM small"), $small_has, "a chunk's header: other chunks are as they were");
my $large_has = sql("$contents FROM large");
ignore_missing_files('off');
rq_disarm($node);
$node->restart;
is(sql("$contents FROM large"), $large_has, 'the chunk can be read again: queues have what they had without it');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing has crashed');
$node->stop;

done_testing();

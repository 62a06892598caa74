# 098_extent_space.pl -- the space of extents that nobody has any more, after a
# restart: it goes back to the file system, whole chunks at once, and others when
# all of them is given back.

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
rocketq.keep_unconsumed = off
rocketq.janitor_interval = '50ms'
checkpoint_timeout = 1h
autovacuum = off
EOC
rq_require_faults($node);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# What area files take on disk, in MB.
sub disk_mb
{
	my $blocks = 0;

	$blocks += (stat($_))[12] // 0 foreach rq_area_files($node);
	return $blocks / 2048;
}

# So many chunks of each size may stay, and those of 16 entries have some queues.
use constant KEPT_MB => 4 * 4 * 2 + 8;

sub comes_down
{
	my ($what) = @_;

	rq_poll("$what: disk usage to come down", sub { return disk_mb() <= KEPT_MB; });
	pass("$what: disk usage has come down");
	rq_verify($node, $what);
	return;
}

sub drop
{
	my ($topic) = @_;
	my $topics = sql('SELECT count(*) FROM rocketq.topics');

	sql("DROP TABLE $topic");
	rq_poll_query($node, 'the topic to go', "SELECT count(*) < $topics FROM rocketq.topics");
	return;
}

# End the server when extents are free in principle, but none is made so.
sub kill_with_released
{
	my ($topic) = @_;
	my $allocator = rq_worker_pid($node, 'allocator');

	rq_arm($node, 'extent-zeroing=stop');
	drop($topic);
	sql('CHECKPOINT');
	rq_poll_stopped($allocator);
	rq_disarm($node);
	rq_kill9($node, all => 1);
	rq_start($node);
	return;
}

# ---- chunks of nobody's ----

sql(<<'EOQ');
SELECT rocketq.create_topic('kept', 100), rocketq.create_topic('big', 1);
SELECT count(rocketq.produce('kept', i::text, queue_id => i % 100)) FROM generate_series(1, 1000) i;
SELECT count(rocketq.produce('big', '')) FROM generate_series(1, 2500000) i;
CHECKPOINT;
EOQ
my $kept = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY queue_id, queue_offset)) FROM kept t";
my $before = sql($kept);
cmp_ok(disk_mb(), '>', KEPT_MB + 20, 'a topic has many extents');
kill_with_released('big');
comes_down('a topic was dropped before a crash');
is(sql($kept), $before, 'other topics have what they had');

# ---- chunks of which something is owned at the start ----

# Extents of both are in turns in chunks.
sql("SELECT rocketq.create_topic('one', 1), rocketq.create_topic('other', 1)");
sql(join(';', ("SELECT count(rocketq.produce(t, '')) FROM generate_series(1, 20000) i, unnest(ARRAY['one', 'other']) t") x 40));
sql('CHECKPOINT');
my $other = rq_topic_key($node, 'other');
my %chunks = map { int($_->{header} / (4 << 20)) => 1 } rq_extents_of($node, rq_topic_key($node, 'one'));
my $shared = grep { $chunks{ int($_->{header} / (4 << 20)) } } rq_extents_of($node, $other);
cmp_ok($shared, '>', 80, 'topics have extents in the same chunks');
my $size = disk_mb();
cmp_ok($size, '>', KEPT_MB + 20, 'there are many chunks');
kill_with_released('one');
my $others = sql("SELECT count(*) FROM other");
drop('other');
rq_extents_gone($node, 'all extents to be free', sub { $_[0]->{key} eq $other });
comes_down('the rest was dropped after a crash');
is($others, 800_000, 'the other topic had all it had');
is(sql($kept), $before, 'other topics have what they had');

# What is raw can be extents of any size.
sql(<<'EOQ');
SELECT rocketq.create_topic('small', 1000);
SELECT count(rocketq.produce('small', '', queue_id => i % 1000)) FROM generate_series(1, 100000) i;
EOQ
cmp_ok(disk_mb(), '<', $size, 'others use the space');

# ---- a power failure while a chunk is given back ----

# The page with its header reaches the disk in part: the first sector of it is
# zeros, others have headers of extents that nobody has any more.
use constant CHUNK => 4 << 20;

sql("SELECT rocketq.create_topic('torn', 1); SELECT count(rocketq.produce('torn', '')) FROM generate_series(1, 50000)");
sql('CHECKPOINT');
my $torn = rq_topic_key($node, 'torn');
my ($extent) = grep { $_->{class} == 3 } rq_extents_of($node, $torn);
my $begins = $extent->{header} - $extent->{header} % CHUNK;
my $page;
open my $fh, '<:raw', $extent->{path} or die "could not open \"$extent->{path}\": $!";
sysseek($fh, $begins, 0);
sysread($fh, $page, 4096) == 4096 or die "could not read \"$extent->{path}\": $!";
close $fh;
drop('torn');
rq_extents_gone($node, 'all extents to be free', sub { $_[0]->{key} eq $torn });
$node->stop;
rq_overwrite($extent->{path}, $begins, "\0" x 512 . substr($page, 512));
my $from = rq_log_from($node);
rq_start($node);
like(slurp_file($node->logfile, $from), qr/cannot be used: the chunk header has a wrong magic number/, 'a torn page is noticed');
rq_verify($node, 'a chunk is given back in part');
is(sql($kept), $before, 'other topics have what they had');

rq_verify($node, 'at the end');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing has crashed');
$node->stop;

done_testing();

# 095_redo_room.pl -- replay has no more room for entries of queues than the
# server had that wrote the WAL: it uses again what queues have given back, and
# chunks whose extents have the wrong size, as that server did; and what that one
# did in spite of a full disk, replay does, too.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use RocketqDisk;    # before the modules that change where output goes
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqFull;
use RocketqTest;
use Test::More;

use constant MB => 1024 * 1024;

my $contents = "SELECT count(*), md5(string_agg(queue_id || ',' || queue_offset || rocketq.text(body), ' ' ORDER BY queue_id, queue_offset))";
my $conf = <<'EOC';
rocketq.segment_size = '1MB'
rocketq.preallocate_segments = 1
# The log goes with the topics, whose messages stay.
rocketq.retention_time = 0
rocketq.janitor_interval = '20ms'
rocketq.disk_warn_percent = 0
rocketq.disk_trim_percent = 0
rocketq.disk_refuse_percent = 0
checkpoint_timeout = 1h
max_wal_size = 4GB
rocketq.max_queues_per_topic = 8192
EOC

sub sql { return $_[0]->safe_psql('postgres', $_[1]); }

# How large the area files are, in megabytes, as far as they have blocks.
sub area_size
{
	my ($node) = @_;
	my $bytes = 0;

	$bytes += (stat($_))[12] * 512 foreach rq_area_files($node);
	return $bytes / MB;
}

# A topic with so many queues, and so many messages in each.  If the disk is full
# that is tried again, until what was given back is free.
sub make_topic
{
	my ($node, $topic, $queues, $messages) = @_;
	my $n;

	sql($node, "SELECT rocketq.create_topic('$topic', $queues); SELECT rocketq.alter_topic('$topic', retention_time => '1 day')");
	rq_poll(
		"room for $topic",
		sub {
			(my $rc, $n) = $node->psql('postgres', <<"EOQ");
SELECT sum(n) FROM (SELECT count(rocketq.produce('$topic', '', queue_id => q)) n
	FROM generate_series(0, $queues - 1) q, generate_series(1, $messages) i GROUP BY q) s;
EOQ
			return $rc == 0;
		});
	return is($n, $queues * $messages, "$topic: $queues queues of $messages");
}

# The topic goes, and with it the part of the log that it has.
sub drop_topic
{
	my ($node, $topic) = @_;

	sql($node, "DROP TABLE $topic");
	rq_poll("$topic and its messages to go", sub { return rq_store_files($node, 'log') <= 3; });
	return;
}

rq_seed();

#
# A standby whose disk has room for what there is at any time, but not for
# extents of all sizes that there ever were; and it syncs only when it must.
#
my $node = rq_node('main', allows_streaming => 1, conf => $conf);
my $standby = rq_standby($node, start => 0);
my $disk = mount_small($standby, 44);

rq_start($standby);
rq_catch_up($node, $standby);
my $started = sql($standby, 'SELECT pg_postmaster_start_time()');
my $from = rq_log_from($standby);

# About 20 MB each.
foreach my $shape ([ 5000, 17 ], [ 600, 129 ], [ 40, 2100 ], [ 600, 129 ], [ 5000, 17 ])
{
	my ($queues, $messages) = @$shape;
	my $label = "standby, $queues queues of $messages";

	make_topic($node, 'many', $queues, $messages);
	rq_catch_up($node, $standby);
	cmp_ok(area_size($standby), '>=', 15, "$label: it takes much of the disk");
	is(sql($standby, "$contents FROM many"), sql($node, "$contents FROM many"), "$label: all is there");
	rq_verify($standby, $label);
	drop_topic($node, 'many');
}
is(sql($standby, 'SELECT pg_postmaster_start_time()'), $started, 'standby: it has not been restarted');
unlike(slurp_file($standby->logfile, $from), qr/restartpoint complete/, 'standby: there was no restartpoint');
$standby->stop;
unmount($standby);
$node->stop;

#
# A crash on a full disk: what queues gave back was used again, more than there is
# room for, all of it since one checkpoint; and large extents were lacking, so
# that others took their place.
#
$node = rq_node('full', conf => $conf);
$node->stop;
$disk = mount_small($node, 76);
rq_start($node);
sql($node, 'CHECKPOINT');
my $redo = 'SELECT redo_lsn FROM pg_control_checkpoint()';
my $redo_lsn = sql($node, $redo);

foreach my $round (1 .. 6)
{
	make_topic($node, "round$round", 3000, 17);
	drop_topic($node, "round$round") if $round < 6;
}

# Make each queue of the topic so long, by some messages at a time.
sub lengthen
{
	my ($length, $step) = @_;

	return rq_poll(
		"room for queues of $length",
		sub {
			my ($rc) = $node->psql('postgres', <<"EOQ");
DO \$\$
BEGIN
	FOR q IN 0 .. 69 LOOP
		WHILE rocketq.max_offset('deep', q) < $length LOOP
			PERFORM count(rocketq.produce('deep', 'd', queue_id => q)) FROM generate_series(1, $step);
			COMMIT;
		END LOOP;
	END LOOP;
END \$\$
EOQ
			return $rc == 0;
		});
}

# Each queue wants a large extent next, of which a chunk has 15.  The first ones who
# lack one are refused; then smaller ones are taken.
make_topic($node, 'deep', 70, 1);
lengthen(1000, 250);
rq_wait_ticks($node, 'allocator', 2);
# A start writes a whole state, for which this leaves room in the end.
append_to_file("$disk/ballast", "\0" x MB);
rq_fill_up($disk, 1024);
lengthen(1080, 1);
cmp_ok(scalar(grep { $_->{first} > 1000 && $_->{class} < 3 } rq_extents_of($node, rq_topic_key($node, 'deep'))),
	'>', 0, 'full: some queues had to take small extents');
my %before = map { $_ => sql($node, "$contents FROM $_") } ('deep', 'round6');
is(sql($node, $redo), $redo_lsn, 'full: there was no checkpoint');
rq_kill9($node, all => 1);
unlink("$disk/ballast") or die "could not remove the ballast: $!";
rq_start($node);
is(sql($node, "$contents FROM $_"), $before{$_}, "full: $_ after a crash") foreach sort keys %before;
rq_verify($node, 'full, after a crash');
rq_make_room($disk);
make_topic($node, 'later', 100, 17);
rq_verify($node, 'full, with room again');
$node->stop;
unmount($node);

done_testing();

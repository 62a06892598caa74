# 081_backup_reuse.pl -- extents that are given back, made free and taken again
# while a base backup copies them: whatever mixture of times its files are, what
# is restored has every message that it must have, at the end and at points in
# between, and nothing of anybody else's.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use File::Path qw(rmtree);
use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();

use constant {
	PAGE       => 4096,
	CHUNK_SIZE => 4 * 1024 * 1024,
	WIDE       => 24_000
};

my $conf = <<'EOC';
rocketq.segment_size = '1MB'
rocketq.retention_time = -1
rocketq.janitor_interval = '20ms'
rocketq.max_queues = 131072
rocketq.max_queues_per_topic = 32768
rocketq.max_consumer_slots_per_topic = 32768
rocketq.max_consumer_slots = 131072
max_wal_size = 4GB
checkpoint_timeout = 1h
EOC
my $node = rq_node('main', allows_streaming => 1, has_archiving => 1, conf => $conf);
my $standby = rq_standby($node);
rq_require_faults($node);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# ---- what there must be ----

# Of each topic, of each queue: its first offset, and the bodies from there on;
# undef is an entry of a transaction that has failed.
my %made;
my $serial = 0;

sub create
{
	my ($topic, $queues) = @_;

	sql("SELECT rocketq.create_topic('$topic', $queues)");
	$made{$topic} = [ map { { first => 0, bodies => [] } } 1 .. $queues ];
	return;
}

# Produce "count" messages for each of the queues from "low" to "high".
sub make
{
	my ($topic, $low, $high, $count, %param) = @_;
	my $from = $serial + 1;
	my $pad = $param{pad} // 0;

	$serial += $count;
	my ($rc, $out, $err) = $node->psql('postgres', <<"EOQ");
SET rocketq.fault = '@{[ $param{fails} ? 'precommit-done=error' : '' ]}';
SELECT count(rocketq.produce('$topic', format('%s %s %s%s', '$topic', q, i, repeat('.', $pad)), queue_id => q))
	FROM generate_series($low, $high) q, generate_series($from, $serial) i;
EOQ
	is($rc, $param{fails} ? 3 : 0, "messages for $topic") || diag($err) if $rc != ($param{fails} ? 3 : 0);
	foreach my $q ($low .. $high)
	{
		push @{ $made{$topic}[$q]{bodies} },
		  map { $param{fails} ? undef : "$topic $q $_" . '.' x $pad } $from .. $serial;
	}
	return;
}

# What has been trimmed from a queue: its first message is this one now.
sub forget_below
{
	my ($topic, $q, $first) = @_;
	my $queue = $made{$topic}[$q];

	splice(@{ $queue->{bodies} }, 0, $first - $queue->{first});
	$queue->{first} = $first;
	return;
}

# A line for each topic: checksums of where its queues begin and end, and of all
# messages.
sub expected
{
	my @lines;

	foreach my $topic (sort keys %made)
	{
		my (@bounds, @messages);

		foreach my $q (0 .. $#{ $made{$topic} })
		{
			my ($first, $bodies) = @{ $made{$topic}[$q] }{qw(first bodies)};

			push @bounds, join(' ', $q, $first, $first + @$bodies);
			push @messages, map { join(' ', $q, $first + $_, $bodies->[$_]) }
			  grep { defined($bodies->[$_]) } 0 .. $#$bodies;
		}
		push @lines, join('|', $topic, md5_hex(join(',', @bounds)), scalar(@messages),
			md5_hex(join(',', @messages)));
	}
	return join("\n", @lines);
}

sub topics_of
{
	my ($of) = @_;
	return split /\n/, $of->safe_psql('postgres',
		'SELECT topic FROM rocketq.queues GROUP BY topic ORDER BY topic COLLATE "C"');
}

sub contents
{
	my ($of) = @_;

	return $of->safe_psql('postgres', join(";\n", map { <<"EOQ" } topics_of($of)));
SELECT '$_', (SELECT md5(string_agg(concat_ws(' ', queue_id, min_offset, end_offset), ',' ORDER BY queue_id))
	FROM rocketq.queues WHERE topic = '$_'),
	count(*), md5(coalesce(string_agg(concat_ws(' ', queue_id, queue_offset, rocketq.text(body)), ','
		ORDER BY queue_id, queue_offset), '')) FROM $_
EOQ
}

sub check
{
	my ($of, $label, $expected) = @_;

	is(contents($of), $expected, "$label: every message that must be there, and no other");
	return rq_verify($of, $label);
}

# All that a new group gets must be all there is.
sub consume_all
{
	my ($of, $label, $expected) = @_;
	my %messages = map { /^(\w+)\|\w*\|(.*)/ } split /\n/, $expected;
	my @topics = topics_of($of);

	$of->safe_psql('postgres', <<'EOQ');
CREATE TABLE got (topic text, queue_id int, queue_offset bigint, body text);
CREATE PROCEDURE consume_all(t text) LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		INSERT INTO got SELECT t, m.queue_id, m.queue_offset, rocketq.text(m.body)
			FROM rocketq.consume(t, 'all', 100000, auto_commit => true) m;
		EXIT WHEN NOT FOUND;
		COMMIT;
	END LOOP;
END $$;
EOQ
	$of->safe_psql('postgres', "CALL consume_all('$_')") foreach @topics;
	my $got = join("\n", map { $of->safe_psql('postgres', <<"EOQ") } @topics);
SELECT '$_', count(*), md5(coalesce(string_agg(concat_ws(' ', queue_id, queue_offset, body), ','
	ORDER BY queue_id, queue_offset), '')) FROM got WHERE topic = '$_'
EOQ
	return is($got, join("\n", map { "$_|$messages{$_}" } @topics), "$label: all of it can be consumed");
}

# ---- extents that are given back, and taken again ----

# What there is of extents, by where they are.
sub by_place
{
	return map { join(' ', $_->{path} =~ m,([^/]+)$,, $_->{header}) => $_ } @_;
}

# Those of "before" whose place is another extent's afterwards.
sub taken_again
{
	my ($before, $after) = @_;
	my %before = by_place(@$before);
	my %after = by_place(@$after);

	return map { [ $before{$_}, $after{$_} ] }
	  grep { $after{$_} && $after{$_}{seq} != $before{$_}{seq} } sort keys %before;
}

# Wait until the queues have given them back and they are free.
sub wait_until_free
{
	my ($what, @extents) = @_;
	my %seq = map { $_->{seq} => 1 } @extents;

	return rq_extents_gone($node, $what, sub { $seq{ $_[0]{seq} } });
}

sub set_retention
{
	my ($time) = @_;

	sql("ALTER SYSTEM SET rocketq.retention_time = '$time'");
	rq_reload($node);
	rq_wait_ticks($node, 'janitor', 2) if $time < 0;
	return;
}

# Have all messages of a topic trimmed.
sub empty_topic
{
	my ($topic) = @_;

	sql("SELECT rocketq.alter_topic('$topic', retention_time => '0')");
	rq_poll_query($node, "$topic to be empty",
		"SELECT sum(end_offset - min_offset) = 0 FROM rocketq.queues WHERE topic = '$topic'");
	sql("SELECT rocketq.alter_topic('$topic', retention_time => '-1')");
	forget_below($topic, $_, $made{$topic}[$_]{first} + @{ $made{$topic}[$_]{bodies} })
	  foreach 0 .. $#{ $made{$topic} };
	return;
}

sub drop
{
	my ($topic) = @_;

	sql("DROP TABLE $topic");
	delete $made{$topic};
	return;
}

# Both have a state that knows all that was done.
sub sync_both
{
	sql('CHECKPOINT');
	rq_catch_up($node, $standby);
	$standby->safe_psql('postgres', 'CHECKPOINT');
	return;
}

# ---- copies ----

# The store as it is at a time, of both servers; and backups in the making.
my %source = (primary => { node => $node }, standby => { node => $standby });

sub copy_store
{
	my ($time) = @_;

	foreach my $s (values %source)
	{
		my $to = $s->{node}->backup_dir . "/$time";

		mkdir $_ foreach ($s->{node}->backup_dir, $to, "$to/pg_rocketq");
		system_or_bail('cp', '-a', (map { $s->{node}->data_dir . "/pg_rocketq/$_" } qw(state queue log)),
			"$to/pg_rocketq/");
		$s->{$time} = $to;
	}
	return;
}

sub start_backups
{
	foreach my $s (values %source)
	{
		$s->{session} = $s->{node}->background_psql('postgres');
		$s->{session}->query_safe('SET client_min_messages = warning');
		$s->{session}->query_safe("SELECT pg_backup_start('reuse', true)");
	}
	return;
}

# All but the store, and the control file at the very end.
sub stop_backups
{
	foreach my $s (values %source)
	{
		my $from = $s->{node}->data_dir;

		$s->{rest} = $s->{node}->backup_dir . '/rest';
		mkdir $_ foreach ($s->{rest}, "$s->{rest}/pg_rocketq", "$s->{rest}/pg_wal");
		system("cd $from && cp -a \$(ls | grep -v -x -e 'postmaster.*' -e '.*\\.signal' -e pg_wal -e pg_rocketq) $s->{rest}/ 2>/dev/null");
		system_or_bail('cp', '-a', "$from/global/pg_control", "$s->{rest}/global/");
		append_to_file("$s->{rest}/backup_label",
			$s->{session}->query_safe('SELECT labelfile FROM pg_backup_stop(false)') . "\n");
		$s->{session}->quit;
	}
	return;
}

# A backup that pg_basebackup makes; it has come to the middle of the area file.
sub hold_basebackup
{
	my $to = $node->backup_dir . '/basebackup';
	my $area = "$to/pg_rocketq/queue/00000000";
	my $whole = -s $node->data_dir . '/pg_rocketq/queue/00000000';
	my $job = rq_background($node, 'pg_basebackup', '-D', $to, '-h', $node->host, '-p', $node->port,
		'-c', 'fast', '-X', 'none', '-r', '10M');
	my $pid;

	rq_poll('pg_basebackup to copy the area file', sub { return (-s $area // 0) > $whole / 3; });
	$pid = sql("SELECT pid FROM pg_stat_progress_basebackup");
	kill('STOP', $pid);
	rq_poll_stopped($pid);
	cmp_ok(-s $area, '<', $whole, 'pg_basebackup is in the middle of the area file');
	return { job => $job, pid => $pid };
}

sub finish_basebackup
{
	my ($held) = @_;

	kill('CONT', $held->{pid});
	ok($held->{job}{run}->finish, 'pg_basebackup is done') || diag($held->{job}{err});
	return;
}

sub open_or_none
{
	my ($path) = @_;

	open(my $fh, '<:raw', $path) or return undef;
	return $fh;
}

sub read_page
{
	my ($fh, $at) = @_;
	my $page = '';

	if ($fh)
	{
		sysseek($fh, $at, 0);
		sysread($fh, $page, PAGE);
	}
	return $page . "\0" x (PAGE - length($page));
}

# Area files of which each unit of bytes is that of one of the times; "choose"
# says of which, given where it lies.
sub mix_areas
{
	my ($to, $times, $unit, $choose) = @_;
	my %names = map { $_ => 1 } map { rq_store_files($_, 'queue') } @$times;

	mkdir "$to/pg_rocketq/queue" or die "could not make a directory: $!";
	foreach my $name (sort keys %names)
	{
		my @paths = map { "$_/pg_rocketq/queue/$name" } @$times;
		my ($size) = sort { $b <=> $a } map { -s $_ // 0 } @paths;
		my @in = map { open_or_none($_) } @paths;

		open my $out, '>:raw', "$to/pg_rocketq/queue/$name" or die "could not create a file: $!";
		for (my $at = 0; $at < $size; $at += PAGE)
		{
			my @pages = map { read_page($_, $at) } @in;
			my $page = $pages[0];

			if (grep { $_ ne $page } @pages)
			{
				$page = join('', map { substr($pages[ $choose->($at + $_) ], $_, $unit) }
					  map { $_ * $unit } 0 .. PAGE / $unit - 1);
			}
			print $out $page;
		}
		close $out;
	}
	return;
}

# A backup of which state and log are of one time each, and "areas" makes area
# files.
sub assemble
{
	my ($name, $source, $state, $log, $areas) = @_;
	my $s = $source{$source};
	my $to = $node->backup_dir . "/$name";

	system_or_bail('cp', '-a', $s->{rest}, $to);
	system_or_bail('cp', '-a', "$s->{$state}/pg_rocketq/state", "$s->{$log}/pg_rocketq/log", "$to/pg_rocketq/");
	$areas->($to, $s);
	return $name;
}

sub areas_of
{
	my ($time) = @_;
	return sub { system_or_bail('cp', '-a', "$_[1]{$time}/pg_rocketq/queue", "$_[0]/pg_rocketq/"); };
}

# Each chunk up to so many bytes as it was at one time, the rest at another; and
# pages, or smaller units, of any time.
sub areas_cut
{
	my ($cut, $first, $rest) = @_;
	return sub {
		mix_areas($_[0], [ @{ $_[1] }{ $first, $rest } ], PAGE, sub { $_[0] % CHUNK_SIZE < $cut ? 0 : 1; });
	};
}

# But for the first page of a chunk, which has its header: that it is raw is said by
# all of the page, and between that and its first extent there are fsyncs.
sub areas_random
{
	my ($unit) = @_;
	my $time;

	return sub {
		mix_areas(
			$_[0],
			[ @{ $_[1] }{qw(early freed taken)} ],
			$unit,
			sub {
				my $in_chunk = $_[0] % CHUNK_SIZE;

				$time = rq_random(0, 2) if $in_chunk == 0 || $in_chunk >= PAGE;
				return $time;
			});
	};
}

# ---- points to recover to ----

my %points;

# What there is when nothing is under way.
sub note_point
{
	my ($name) = @_;

	check($node, "original, $name", expected());
	$points{$name} = {
		expected => expected(),
		conf     => {
			name => sql("SELECT pg_create_restore_point('$name')") ? $name : '',
			lsn  => sql('SELECT pg_current_wal_insert_lsn()'),
			time => sql('SELECT clock_timestamp()')
		}
	};
	# There is a commit after that time.
	rq_flush($node);
	return;
}

sub paused
{
	my ($copy) = @_;
	return rq_poll_query($copy, 'recovery to pause', "SELECT pg_get_wal_replay_pause_state() = 'paused'");
}

# Go on to another point from one where recovery pauses, by way of a crash.  With
# a checkpoint first, what was given back by then becomes free.
sub go_on_to
{
	my ($copy, $name) = @_;

	$copy->safe_psql('postgres', 'CHECKPOINT');
	rq_kill9($copy, all => 1);
	$copy->append_conf('postgresql.conf', "recovery_target_name = '$name'");
	rq_start($copy);
	paused($copy);
	return;
}

# Restore a backup, recover to points, one after the other, or to the end of WAL,
# and go on from there.
sub restore
{
	my ($backup, $kind, @names) = @_;
	my $label = join(' ', $backup, 'to', @names ? ($kind, join(', ', @names)) : 'the end');
	my $end = $points{ $names[-1] // 'end' }{expected};
	my $copy = rq_restored($node, $label =~ s/\W/_/gr, $backup,
		conf => @names ? <<"EOC" : '');
recovery_target_$kind = '$points{ $names[0] }{conf}{$kind}'
recovery_target_action = 'pause'
EOC

	rq_start($copy);
	foreach my $i (0 .. $#names)
	{
		my $there = "$label, paused at $names[$i]";

		$i > 0 ? go_on_to($copy, $names[$i]) : paused($copy);
		check($copy, $there, $points{ $names[$i] }{expected});
		next if $i < $#names;
		rq_kill9($copy, all => 1);
		rq_start($copy);
		paused($copy);
		check($copy, "$there again", $points{ $names[$i] }{expected});
	}
	$copy->safe_psql('postgres', 'SELECT pg_wal_replay_resume()') if @names;
	rq_poll_query($copy, 'the end of recovery', 'SELECT NOT pg_is_in_recovery()');
	check($copy, $label, $end);
	consume_all($copy, $label, $end);

	# Whatever the files had, it is not in the way of new messages.
	$copy->safe_psql('postgres', <<"EOQ") foreach topics_of($copy);
SELECT count(rocketq.produce('$_', 'new ' || i || ' ' || queue_id, queue_id => queue_id))
	FROM (SELECT queue_id FROM rocketq.queues WHERE topic = '$_' LIMIT 500) q, generate_series(1, 20) i
EOQ
	my $now = contents($copy);
	rq_kill9($copy, all => 1);
	rq_start($copy);
	check($copy, "$label, going on, after a crash", $now);
	unlike(slurp_file($copy->logfile), qr/PANIC|TRAP|terminated by signal|rocketq lost/, "$label: nothing has crashed");
	$copy->stop;
	rmtree([ $copy->data_dir, $node->backup_dir . "/$backup" ]);
	return;
}

#
# Queues with extents of all sizes; those of "part" begin where the log does.
#
create('part', 3);
make('part', 0, 2, $_, pad => 1000) foreach 10, 100, 300, 700;
create(@$_) foreach [ 'keep', 6 ], [ 'gone', 8 ], [ 'same', 3 ], [ 'narrow', 4 ], [ 'cut', 3 ], [ 'wide', WIDE ];
make('keep', 0, 5, 30);
sql("SELECT rocketq.create_group('keep', 'hold', 'first')");
make('part', 0, 2, 200);
make('gone', @$_) foreach [ 0, 0, 10 ], [ 1, 1, 100 ], [ 2, 2, 1000 ], [ 3, 3, 3000 ], [ 4, 7, 5 ];
make('same', @$_) foreach [ 0, 0, 100 ], [ 1, 1, 700 ], [ 2, 2, 5 ];
make('narrow', 0, 3, 40);
make('cut', 0, 2, 200);
make('wide', 0, WIDE - 1, 1);
my %key = map { $_ => rq_topic_key($node, $_) } keys %made;
sync_both();

#
# The backup begins.  What is in the files now is copied, becomes free, is copied
# again, is taken by others, and is copied once more.
#
start_backups();
my $held = hold_basebackup();
copy_store('early');

# Redo has to add to queues that the early state knows.
foreach my $topic ('gone', 'same', 'narrow', 'cut', 'part', 'keep')
{
	make($topic, 1, 2, 10);
	make($topic, 1, 2, 30, fails => 1);
	make($topic, 1, 2, 200);
}
my @all = rq_extents($node);
my $start = sql("SELECT min(min_offset) FROM rocketq.queues WHERE topic = 'part'");
set_retention(0);
rq_poll_query($node, 'a part to be trimmed',
	"SELECT min(min_offset) > $start FROM rocketq.queues WHERE topic = 'part'");
set_retention(-1);
foreach my $q (0 .. 2)
{
	my $first = sql("SELECT min_offset FROM rocketq.queues WHERE topic = 'part' AND queue_id = $q");

	cmp_ok($first, '<', scalar(@{ $made{part}[$q]{bodies} }), "queue $q of part keeps some");
	forget_below('part', $q, $first);
}
sql("SELECT rocketq.create_group('narrow', 'g', 'first')");
rq_poll('all of narrow to be consumed', sub {
		sql("SELECT count(*) FROM rocketq.consume('narrow', 'g', 10000, auto_commit => true)");
		return sql("SELECT sum(lag) FROM rocketq.groups WHERE topic = 'narrow'") eq '0';
	});
sql("SELECT rocketq.alter_topic('narrow', queues => 2)");
$#{ $made{narrow} } = 1;
sql('TRUNCATE cut');
$made{cut} = [ map { { first => 0, bodies => [] } } 1 .. 3 ];
drop('gone');
drop('wide');
my @going = grep {
	my $e = $_;
	(grep { $e->{key} eq $key{$_} } qw(gone wide cut)) || ($e->{key} eq $key{narrow} && $e->{queue} >= 2)
	  || ($e->{key} eq $key{part} && $e->{first} + $e->{count} <= $made{part}[ $e->{queue} ]{first})
} @all;
cmp_ok(scalar(grep { $_->{key} eq $key{part} } @going), '>', 0, 'part gives back some of its extents');
wait_until_free('what was dropped and trimmed to be free', @going);

# Given back last, it is taken first.
empty_topic('same');
my @same = grep { $_->{key} eq $key{same} && $_->{class} > 0 } @all;
wait_until_free('what same has given back to be free', @same);
push @going, @same;

# Of chunks in which nothing is left, those that are too many lose their class.
rq_poll_query($node, 'a chunk to be raw', 'SELECT raw_bytes > 0 FROM rocketq.queue_space');
sync_both();
copy_store('freed');

make('same', @$_) foreach [ 1, 1, 700 ], [ 0, 0, 100 ], [ 2, 2, 5 ];
# More than one chunk has room for.
create('refill', 1200);
make('refill', 0, 1199, 20);
sql("SELECT rocketq.alter_topic('narrow', queues => 4)");
push @{ $made{narrow} }, map { { first => 0, bodies => [] } } 1 .. 2;
make('narrow', 0, 3, 40);
create('taker', 20_000);
make('taker', 0, 19_999, 1);
make('taker', 0, 19, $_) foreach 5, 100;
make('taker', 1, 5, 1000);
make('taker', 2, 3, 3000);
make('keep', 4, 5, 3000);
make('keep', 2, 3, 30, fails => 1);
make('cut', 0, 2, 50);
make('part', 0, 2, 300);
sync_both();
copy_store('taken');

my @again = taken_again(\@going, [ rq_extents($node) ]);
foreach my $class (0 .. 3)
{
	cmp_ok(scalar(grep { $_->[0]{class} == $class && $_->[1]{class} == $class
			  && $_->[0]{key} ne $_->[1]{key} } @again), '>', 0,
		"extents of class $class were taken again by other topics");
}
cmp_ok(scalar(grep { $_->[0]{key} eq $_->[1]{key} && $_->[0]{queue} == $_->[1]{queue} } @again), '>', 0,
	'some by the queue that had given them back');
cmp_ok(scalar(grep { $_->[0]{class} != $_->[1]{class} } @again), '>', 0, 'some as part of one of another class');
my ($redone) = map { scalar(taken_again(@$_)) }
  [ [ grep { $_->{key} eq $key{wide} } rq_extents($source{standby}{early}) ], [ rq_extents($standby) ] ];
cmp_ok($redone, '>', 0, 'the standby has taken some again, too');

stop_backups();
finish_basebackup($held);
make('keep', 0, 5, 5);
rq_wait_ticks($node, 'keeper', 2);
note_point('ended');

#
# The same once more, when the backups have ended.
#
make('taker', 0, 19, 10);
my @taken = rq_extents_of($node, rq_topic_key($node, 'taker'));
drop('taker');
empty_topic('same');
wait_until_free('what taker had to be free', @taken);
rq_wait_ticks($node, 'janitor', 2);
note_point('freed');
create('second', 20_000);
make('second', 0, 19_999, 1);
make('second', 0, 19, $_) foreach 5, 100;
make('second', 1, 5, 1000);
make('same', 0, 2, 300);
my @second = taken_again(\@taken, [ rq_extents($node) ]);
cmp_ok(scalar(@second), '>', 0, 'extents were taken again after the backup');
sql('CHECKPOINT');
note_point('taken');
make('keep', 0, 5, 100);
rq_wait_ticks($node, 'keeper', 2);
note_point('end');
rq_archive($node);
$standby->stop;
$node->stop;

#
# Mixtures.
#
restore(assemble('state_first', 'primary', 'early', 'taken', areas_of('taken')));
restore(assemble('state_last', 'primary', 'taken', 'early', areas_of('early')), 'name', 'ended', 'freed', 'taken');
# Headers of extents come first in a chunk.
restore(assemble('headers_early', 'primary', 'taken', 'taken', areas_cut(64 * 1024, 'early', 'taken')), 'lsn', 'freed');
restore(assemble('headers_late', 'primary', 'early', 'early', areas_cut(64 * 1024, 'taken', 'early')), 'time', 'taken');
restore(assemble('zeros_late', 'primary', 'freed', 'early', areas_cut(512 * 1024, 'early', 'freed')), 'name', 'ended');
restore(assemble('standby_state_first', 'standby', 'early', 'taken', areas_of('taken')), 'name', 'ended', 'taken');
restore(assemble('standby_state_last', 'standby', 'taken', 'early', areas_random(PAGE)));
restore('basebackup');
foreach my $round (1 .. rq_rounds(1))
{
	my ($state, $log) = map { (qw(early freed taken))[ rq_random(0, 2) ] } 1 .. 2;
	my ($kind) = (qw(name lsn time))[ rq_random(0, 2) ];
	my ($point) = (qw(ended freed taken))[ rq_random(0, 2) ];

	diag("round $round: state $state, log $log, to $kind $point");
	restore(assemble("random_$round", 'primary', $state, $log, areas_random(8)), $kind, $point);
}

done_testing();

# 038_missing.pl -- a part of the store is missing, or is older or newer than
# the rest, when the server starts: the server does not start, reports what is
# missing and what to do, and changes nothing, so that it starts as before once
# the part is back.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Find;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', allows_streaming => 1, conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.retention_time = -1
rocketq.preallocate_segments = 1
EOC
my $data = $node->data_dir;
my $store = "$data/pg_rocketq";
my $made = "$store.made";

# ---- helpers ----

# Names and lengths of all files of the store.
sub files_of
{
	my ($dir) = @_;
	my @files;

	find({ no_chdir => 1, wanted => sub { push @files, substr($_, length $dir) . ' ' . (-d $_ ? '' : -s $_) } }, $dir)
	  if -d $dir;
	return join("\n", sort @files);
}

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub contents
{
	return sql(<<'EOQ');
SELECT md5(string_agg(t::text, '' ORDER BY message_id)), count(*) FROM t;
SELECT string_agg(concat_ws(' ', consumer_group, queue_id, committed_offset), ',' ORDER BY queue_id) FROM rocketq.groups;
EOQ
}

sub move
{
	rename($_[0], $_[1]) or die "could not rename \"$_[0]\": $!";
	return;
}

# Start must fail with this, and change nothing.
sub refused
{
	my ($what, $expected) = @_;
	my $from = rq_log_from($node);
	my $before = files_of($store);
	my $started = $node->start(fail_ok => 1);

	ok(!$started, "$what: the server does not start");
	like(slurp_file($node->logfile, $from), $expected, "$what: it says what, why, and what to do");
	is(files_of($store), $before, "$what: it changes nothing");
	$node->stop('immediate') if $started;
	rq_stopped($node);
	return;
}

# ---- a store ----

my $empty = files_of($store);
like($empty, qr/^\/state /m, 'a state file is there from the beginning');
ok(-s $made, 'there is a note that there is a store');
$node->stop;
move("$store/state", "$data/away");
refused('a store that holds nothing, without its state file',
	qr/FATAL:  rocketq state file "pg_rocketq\/state" is missing.*DETAIL:  The existence of "pg_rocketq.made" shows that the store has been used.*HINT:  Put it back .*restore .* backup.*remove "pg_rocketq" and "pg_rocketq.made"/s);
move("$data/away", "$store/state");
system_or_bail('rm', '-r', "$store/log", "$store/queue");
rq_start($node);
ok(-d "$store/log" && -d "$store/queue", "a store that holds nothing is made complete without its directories");

sql(<<'EOQ');
SELECT rocketq.create_topic('t', 2), rocketq.create_topic('other', 1);
SELECT rocketq.produce('t', i || repeat('x', 500), queue_id => i % 2) FROM generate_series(1, 12000) i;
SELECT rocketq.produce('other', 'x');
SELECT count(*) FROM rocketq.consume('t', 'g', 3000, auto_commit => true);
EOQ
my $contents = contents();
my $middle_of_log = "$store/log/0000000000000002";
ok(-e $middle_of_log && -e "$store/log/0000000000000003", 'there are segments around that in the middle');

#
# After a clean shutdown, every file that the state describes must be there.
#
$node->stop('fast');
my $gone = qr/Put it back as it was when the server stopped, mount its file system, or restore the data directory from a backup/;
my %part = (
	"$store/state" => qr/FATAL:  rocketq state file "pg_rocketq\/state" is missing.*existence of "pg_rocketq.made".*$gone/s,
	"$store/log" => qr/FATAL:  rocketq directory "pg_rocketq\/log" is missing.*existence of "pg_rocketq\/state".*$gone/s,
	"$store/queue" => qr/FATAL:  rocketq directory "pg_rocketq\/queue" is missing.*existence of "pg_rocketq\/state".*$gone/s,
	$store => qr/FATAL:  rocketq directory "pg_rocketq" is missing.*existence of "pg_rocketq.made".*$gone/s,
	"$store/queue/00000000" =>
	  qr/FATAL:  rocketq messages \d+ to \d+ of queue \d+ of topic \S+ are missing.*DETAIL:  File "pg_rocketq\/queue\/00000000" is missing.*HINT:  Put back .* backup.  With rocketq.ignore_missing_files = on, /s,
	$middle_of_log =>
	  qr/FATAL:  rocketq file "pg_rocketq\/log\/0{15}2" is missing or incomplete\n.*DETAIL:  It contains messages\.\n.*HINT:  Put back/s);
foreach my $path (sort keys %part)
{
	my $name = $path =~ s/.*(pg_rocketq)/$1/r;

	move($path, "$data/away");
	refused("without $name", $part{$path});
	# As if its file system were not mounted.
	if (-d "$data/away" && $path eq $store)
	{
		mkdir $store or die "could not create \"$store\": $!";
		refused("with an empty $name", qr/FATAL:  rocketq state file "pg_rocketq\/state" is missing.*existence of "pg_rocketq.made"/s);
		rmdir $store or die "could not remove \"$store\": $!";
	}
	move("$data/away", $path);
	rq_start($node);
	is(contents(), $contents, "$name is back: nothing is lost");
	$node->stop('fast');
}

# Without the note, the files themselves show that there was a store.
move($made, "$data/away.made");
move("$store/state", "$data/away");
refused('without the state file and the note',
	qr/FATAL:  rocketq state file .* is missing.*existence of "pg_rocketq\/log\/\w+"/s);
move("$store/log", "$data/away.log");
refused('without the state file, the log and the note',
	qr/FATAL:  rocketq state file .* is missing.*existence of "pg_rocketq\/queue\/\w+"/s);
move("$data/away.log", "$store/log");
move("$data/away", "$store/state");
rq_start($node);
ok(-s $made, 'a start with a state file creates the note');

# Too short, which only recovery could repair.
$node->stop('fast');
move($middle_of_log, "$data/away");
append_to_file($middle_of_log, 'x' x 1000);
refused('a segment too short', qr/FATAL:  rocketq file "pg_rocketq\/log\/0{15}2" is missing or incomplete/);
move("$data/away", $middle_of_log);

#
# A state file that is older than the other files.
#
system_or_bail('cp', '-p', "$store/state", "$data/old_state");
rq_start($node);
sql(<<'EOQ');
SELECT count(rocketq.produce('t', repeat('y', 2000))) FROM generate_series(1, 3000);
CHECKPOINT;
EOQ
$contents = contents();
$node->stop('fast');
move("$store/state", "$data/away");
system_or_bail('cp', '-p', "$data/old_state", "$store/state");
refused('an old state file: the log', qr/FATAL:  rocketq file "pg_rocketq\/log\/\w+" contains messages that are not recorded in the state file.*shut down cleanly.*HINT:  Put back the state file/s);
move("$data/away", "$store/state");
rq_start($node);
is(contents(), $contents, 'the right one is back: nothing is lost');
system_or_bail('cp', '-p', "$store/state", "$data/old_state");
sql("SELECT rocketq.create_topic('late', 1)");
sql("SELECT rocketq.produce('late', 'x')");
$node->stop('fast');
move("$store/state", "$data/away");
system_or_bail('cp', '-p', "$data/old_state", "$store/state");
refused('an old state file: a topic', qr/FATAL:  rocketq files in directory "pg_rocketq\/queue" contain messages that are not recorded in the state file/);
move("$data/away", "$store/state");
rq_start($node);
is(sql('SELECT count(*) FROM late'), '1', 'the topic is there');

#
# What a crash has left behind is not taken for messages by a later start, even
# after a clean shutdown without a keeper in between.
#
sub ctl
{
	my (@args) = @_;
	local %ENV = $node->_get_env();
	system_or_bail($node->installed_command('pg_ctl'), '-D', $data, '-l', $node->logfile, '-s', @args);
	return;
}

# Crash with an entry in an extent whose WAL was never written.
sub lose_message
{
	my ($topic) = @_;
	sql("SELECT rocketq.create_topic('$topic', 1)");
	my $key = rq_topic_key($node, $topic);
	rq_signal($node, 'STOP', 'walwriter');
	sql("SET synchronous_commit = off; SELECT rocketq.produce('$topic', 'x')");
	is(scalar(rq_extents_of($node, $key)), 1, "$topic: the entry has an extent");
	rq_kill9($node, all => 1);
	return $key;
}

my %between = (
	single => sub {
		local %ENV = $node->_get_env();
		ok(IPC::Run::run([ $node->installed_command('postgres'), '--single', '-D', $data, 'postgres' ],
				'<', \'', '>', \my $out, '2>', \my $err), 'a single-user server recovers');
	},
	no_worker => sub {
		ctl('-w', '-o', '-c max_worker_processes=0', 'start');
		ctl('-m', 'fast', 'stop');
	});
foreach my $how (sort keys %between)
{
	my $key = lose_message("lost_$how");
	$between{$how}->();
	rq_start($node);
	is(scalar(rq_extents_of($node, $key)), 0, "$how: its extent is free");
	is(sql("SELECT count(*) FROM lost_$how"), '0', "$how: what was never acknowledged is lost");
	is(contents(), $contents, "$how: the others are there");
	rq_verify($node, $how);
}

# Shut down while recovery is ending.
SKIP:
{
	skip 'built without RQ_TESTING', 1 if !rq_has_faults($node);
	sql("ALTER SYSTEM SET rocketq.fault = 'keeper-fsynced=stop'");
	my $key = lose_message('lost_ending');
	my $startup;

	ctl('-W', 'start');
	rq_poll('recovery to come to its end',
		sub {
			($startup) = grep { (eval { slurp_file("/proc/$_/stat") } // '') =~ /\) T / } rq_processes($node);
			return defined $startup;
		});
	rq_disarm($node);
	my $from = rq_log_from($node);
	ctl('-W', '-m', 'fast', 'stop');
	$node->wait_for_log(qr/received fast shutdown request/, $from);
	kill('CONT', $startup);
	rq_stopped($node);
	rq_start($node);
	is(scalar(rq_extents_of($node, $key)), 0, 'shut down at the end of recovery: the extent is free');
	is(contents(), $contents, 'shut down at the end of recovery: the others are there');
	rq_verify($node, 'shut down at the end of recovery');
}

#
# After a crash: files that WAL recreates or has removed are not reported as
# missing, but all others are, and again at the next start, even though redo
# has run.
#
sql('CHECKPOINT');
my $writing = $data . '/' . sql("SELECT file FROM rocketq.segments WHERE state = 'writing'");

# Without WAL to replay, the server may be up for a moment.
sub comes_to_nothing
{
	my ($name, $label, $level) = @_;
	my $from = rq_log_from($node);

	$node->start(fail_ok => 1);
	rq_poll("the server not to be up ($label)", sub { return !rq_processes($node); });
	rq_stopped($node);
	like(slurp_file($node->logfile, $from),
		qr/$level:  rocketq file "\Q$name\E" is missing or incomplete.*HINT:  Put back/s,
		"$label: it does not stay up, and says why");
	return;
}

foreach my $redo (1, 0)
{
	foreach my $path ($middle_of_log, $writing)
	{
		my $name = $path =~ s/.*(pg_rocketq)/$1/r;
		my $label = ($redo ? 'crashed' : 'crashed without WAL') . ", without $name";

		sql("SELECT count(rocketq.produce('t', repeat('z', 100), queue_id => 0)) FROM generate_series(1, 10)")
		  if $redo;
		$contents = contents();
		$node->stop('immediate');
		if (!$redo)
		{
			# Recover, and crash again before anything has happened.
			rq_start($node);
			$node->stop('immediate');
		}
		move($path, "$data/away");
		comes_to_nothing($name, "$label, $_", $redo ? 'FATAL' : '(FATAL|LOG)') foreach ('start', 'another start');
		ok(!-e $path, "$label: it is not recreated");
		move("$data/away", $path);
		rq_start($node);
		is(contents(), $contents, "$label, and back: nothing is lost");
		rq_verify($node, "$label, and back");
	}
}

# Redo recreates what was created and filled after the checkpoint.
sql('CHECKPOINT');
sql("SELECT count(rocketq.produce('t', repeat('z', 1000), queue_id => 0)) FROM generate_series(1, 5000)");
$contents = contents();
my @later = grep { $_ gt $writing } glob "$store/log/*";
cmp_ok(scalar(@later), '>', 2, 'segments after the checkpoint');
$node->stop('immediate');
unlink(@later);
rq_start($node);
is(contents(), $contents, 'redo recreates segments that WAL has completely');
rq_verify($node, 'recreated');

#
# Continue without what is missing.
#
$node->stop('fast');
unlink($middle_of_log);
refused('a file gone for good', qr/FATAL:  rocketq file .* is missing/);
$node->append_conf('postgresql.conf', 'rocketq.ignore_missing_files = on');
my $from = rq_log_from($node);
rq_start($node);
like(slurp_file($node->logfile, $from), qr/WARNING:  rocketq file "pg_rocketq\/log\/0{15}2" is missing/s,
	'ignore_missing_files: the server log reports it');
like(sql('SELECT string_agg(what, $$,$$) FROM rocketq.verify()'), qr/log\/0{15}2/, 'ignore_missing_files: verify() reports it');
is(sql("SELECT rocketq.produce('other', 'y') > 0"), 't', 'other topics are not affected');
is(sql('SELECT count(*) FROM other'), '2', 'messages of other topics are all there');

# The segment being written is recreated.
sql(<<'EOQ');
SELECT rocketq.create_topic('ends', 1), rocketq.create_topic('tail', 1);
SELECT rocketq.create_group('ends', 'g'), rocketq.create_group('tail', 'g');
SELECT count(rocketq.produce('ends', i::text)) FROM generate_series(1, 5000) i;
SELECT count(rocketq.produce('tail', repeat('x', 2000))) FROM generate_series(1, 1200);
EOQ
foreach my $crashed (0, 1)
{
	my $label = $crashed ? 'after a crash' : 'after a shutdown';
	my $end_of_log = $data . '/' . sql("SELECT file FROM rocketq.segments WHERE state = 'writing'");

	# Nothing in WAL recreates it.
	sql('CHECKPOINT');
	$node->stop($crashed ? 'immediate' : 'fast');
	unlink($end_of_log) or die "could not remove the last segment: $!";
	$from = rq_log_from($node);
	rq_start($node);
	rq_poll_query($node, 'the keeper to be ready', 'SELECT rocketq.produce(\'ends\', \'new\') > 0');
	my $log = slurp_file($node->logfile, $from);
	like($log, qr/recreated missing file "\Q$_\E"/, "$label: $_ is recreated")
	  foreach map { s,.*(pg_rocketq/),$1,r } $end_of_log;
	is(sql("SELECT rocketq.produce('tail', 'after') > 0"), 't', "$label: the log accepts messages");
	is( sql("SELECT count(*), max(rocketq.text(body)::int) FILTER (WHERE rocketq.text(body) <> 'new'), count(*) FILTER (WHERE rocketq.text(body) = 'new') FROM rocketq.consume('ends', 'g', 10000, auto_commit => true)"),
		$crashed ? '1||1' : '5001|5000|1', "$label: consumers get what is there, and what is new");
	my $end = sql(q{SELECT max_offset FROM rocketq.queues WHERE topic::text = 'tail'});
	sql("SELECT rocketq.commit_offset('tail', 'g', 0, $end - 1)");
	is(sql("SELECT rocketq.text(body) FROM rocketq.consume('tail', 'g')"), 'after', "$label: verify() reports the log");
	my $found = sql('SELECT string_agg(DISTINCT problem, $$,$$) FROM rocketq.verify()');
	like($found, qr/the frame is filler, not a message/, "$label: verify() tells of the messages");
}
is(sql("SELECT count(*) FROM ends"), '5002', 'entries are all there');

# If there is no space for one of them, nobody can produce until there is.
SKIP:
{
	skip 'built without RQ_TESTING', 1 if !rq_has_faults($node);
	my $end_of_log = $data . '/' . sql("SELECT file FROM rocketq.segments WHERE state = 'writing'");

	sql('CHECKPOINT');
	$node->stop('fast');
	unlink($end_of_log) or die "could not remove \"$end_of_log\": $!";
	$node->append_conf('postgresql.auto.conf', "rocketq.fault = 'segment-zero=error'");
	rq_start($node);
	rq_poll_query($node, 'the keeper to fail',
		"SELECT last_error ~ 'segment-zero' FROM rocketq.workers WHERE worker = 'keeper'");
	rq_disarm($node);
	rq_reload($node);
	is(sql("SELECT rocketq.produce('ends', 'again') > 0"), 't', 'a file that could not be created at first is created later');
}

#
# An empty store is created on request.
#
$node->stop('fast');
system_or_bail('rm', '-r', $store, $made);
rq_start($node);
is(sql('SELECT count(*) FROM t'), '0', 'an empty store');
sql("SELECT rocketq.produce('t', 'new')");
rq_verify($node, 'an empty store');
$node->stop;

done_testing();

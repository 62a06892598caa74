# 082_extent_damage.pl -- headers of extents and chunks that are damaged or
# doubled, area files that are missing, cut, under another name or of another
# store: verify() reports it, a start refuses it or goes on as it is told, and
# once the file is as it was, nothing is lost.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.retention_time = -1
checkpoint_timeout = 1h
EOC
my $data = $node->data_dir;
my $store = "$data/pg_rocketq";
my $area = "$store/queue/00000000";
my $away = $node->basedir . '/away';

# ---- helpers ----

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub contents
{
	return sql('SELECT md5(string_agg(t::text, $$$$ ORDER BY queue_id, queue_offset)), count(*) FROM t');
}

sub problems
{
	return sql("SELECT what || ': ' || problem FROM rocketq.verify() ORDER BY 1");
}

sub reports
{
	my ($what, $expected) = @_;

	like(problems(), $expected, "$what: verify() reports it");
	return;
}

sub sound
{
	my ($what, $contents) = @_;

	is(problems(), '', "$what: verify() finds nothing");
	is(contents(), $contents, "$what: nothing is lost");
	return;
}

sub bytes_at
{
	my ($path, $at, $length) = @_;
	my $bytes;

	open my $fh, '<:raw', $path or die "could not open \"$path\": $!";
	sysseek($fh, $at, 0);
	sysread($fh, $bytes, $length) == $length or die "could not read \"$path\": $!";
	close $fh;
	return $bytes;
}

# Change one bit; returns a function that undoes it.
sub flip
{
	my ($path, $at, $bit) = @_;

	return rq_overwrite($path, $at, chr(ord(bytes_at($path, $at, 1)) ^ 1 << $bit));
}

# The start must fail with this.
sub refused
{
	my ($what, $expected) = @_;
	my $from = rq_log_from($node);
	my $started = $node->start(fail_ok => 1);

	# Without WAL to be replayed it can be up for a moment.
	rq_poll("the server not to be up ($what)", sub { return !rq_processes($node); });
	rq_stopped($node);
	like(slurp_file($node->logfile, $from), $expected, "$what: the server does not start, and says why");
	return;
}

sub names_and_lengths
{
	return join(' ', map { "$_=" . -s $_ } sort glob "$store/*/* $store/*");
}

# ---- a store: extents of all sizes, and queues with several ----

sql(<<'EOQ');
SELECT rocketq.create_topic('t', 3), rocketq.create_topic('small', 100);
SELECT count(rocketq.produce('small', q::text, queue_id => q)) FROM generate_series(0, 99) q;
SELECT count(rocketq.produce('t', i::text, queue_id => 1)) FROM generate_series(1, 100) i;
EOQ
sql("SELECT count(rocketq.produce('t', i::text, queue_id => 0)) FROM generate_series(1, $_) i")
  foreach 10, 100, 300, 700, 700, 700, 700;
sql('CHECKPOINT');
my $key = rq_topic_key($node, 't');
my @chain = rq_extents_of($node, $key, 0);
my %classes = map { $_->{class} => 1 } rq_extents($node);
cmp_ok(scalar(@chain), '>=', 4, 'a queue has several extents');
is(join(' ', sort keys %classes), '0 1 2 3', 'there are extents of all sizes');
my $contents = contents();
sound('at first', $contents);

# ---- while the server runs ----

my ($first, $second, $third) = @chain;
my $last = $chain[-1];

foreach my $at (0, 4, 8, 12, 16, 20, 24, 32, 40, 48, 52, 56)
{
	my $undo = flip($area, $second->{header} + $at, $at % 8);
	reports("a flipped bit in byte $at of a header",
		qr/^extent \d+ of chunk \d+ of file "pg_rocketq\/queue\/00000000": the extent header/m);
	reports("a flipped bit in byte $at of a header", qr/^queue 0 of topic \S+: the extent header/m);
	$undo->();
}
is(problems(), '', 'headers are as they were');

#
# Whatever bit of a header is wrong, a reader gets the right entries or an error,
# and comes to an end.
#
sql(<<'EOQ');
CREATE TABLE expected AS SELECT queue_offset, body FROM t WHERE queue_id = 0;
CREATE FUNCTION read_all() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	failed int := 0;
BEGIN
	FOR o IN 0 .. 3150 BY 45 LOOP
		BEGIN
			IF (SELECT count(*) FROM rocketq.pull('t', 0, o, 60) p
				JOIN expected e USING (queue_offset) WHERE e.body = p.body) <> 60 THEN
				RETURN 'wrong messages at ' || o;
			END IF;
		EXCEPTION WHEN data_corrupted THEN
			failed := failed + 1;
		END;
	END LOOP;
	RETURN failed;
END $$;
EOQ
is(sql('SELECT read_all()'), '0', 'all can be read');
my (@wrong, $failed);
foreach my $extent ($first, $second, $third, $last)
{
	foreach my $at (0 .. 59)
	{
		my $bit = ($at * 5 + $extent->{first}) % 8;
		my $undo = flip($area, $extent->{header} + $at, $bit);
		my $read = sql("SET statement_timeout = '60s'; SELECT read_all()");

		push @wrong, "bit $bit of byte $at of the extent at $extent->{first}: $read" if $read =~ /wrong/;
		$failed++ if $read ne '0';
		$undo->();
	}
}
is(join("\n", @wrong), '', 'no flipped bit of a header makes a wrong message');
cmp_ok($failed, '>', 20, 'but many an error');
sound('headers are as they were', $contents);

# Links are in no checksum.
my $undo = rq_overwrite($area, $second->{header} + 60, bytes_at($area, $third->{header} + 48, 4));
reports('a link to another extent', qr/^queue 0 of topic \S+: (an extent does not name|there is a gap)/m);
is(sql("SELECT count(*) FROM rocketq.pull('t', 0, 0, 10000)"), '3210', 'a link to another extent: readers find their way');
$undo->();
sound('the link is as it was', $contents);

# A copy of a header in the place of another extent is no header.
$undo = rq_overwrite($area, $third->{header}, bytes_at($area, $second->{header}, 64));
reports('a doubled header', qr/^extent \d+ of chunk \d+ of .*: the extent header's checksum does not match/m);
$undo->();

# Free extents are zeros, header and entries.  The one with the last place of its
# chunk was never used.
my ($some) = grep { $_->{class} == 0 } rq_extents($node);
my $chunk_at = int($some->{header} / (4 << 20)) * (4 << 20);
my $free = $chunk_at + (4 << 20) - 512;
$undo = rq_overwrite($area, $free + 100, 'x');
reports('a free extent that is not zeros', qr/^extent 7280 of chunk \d+ of .*: it is free, but not zeros/m);
$undo->();
my $free_header = $chunk_at + 64 * 7280;
$undo = rq_overwrite($area, $free_header, bytes_at($area, $some->{header}, 64));
reports('a free extent with the header of another', qr/^extent 7280 of chunk \d+ of .*: the extent header's checksum/m);
$undo->();

# The header of a chunk.
$undo = flip($area, $chunk_at + 8, 2);
reports('a damaged chunk', qr/^chunk \d+ of file "pg_rocketq\/queue\/00000000": the chunk header's checksum does not match/m);
$undo->();
append_to_file("$store/queue/00000000.old", 'x');
mkdir "$store/queue/5_16384" or die "could not make a directory: $!";
reports('files that are not ours', qr/^file "pg_rocketq\/queue\/00000000.old": it does not belong to rocketq.*^file "pg_rocketq\/queue\/5_16384": it does not belong/ms);
unlink("$store/queue/00000000.old");
rmdir "$store/queue/5_16384";
sound('all is as it was', $contents);

# ---- damaged lists ----

# Extents that were given back and wait for a sync: one of them leads to one that
# a queue has.  It is not zeroed.
sql(<<'EOQ');
SELECT rocketq.create_topic('gone', 4);
SELECT count(rocketq.produce('gone', i::text, queue_id => i % 4)) FROM generate_series(1, 4000) i;
EOQ
my $gone = rq_topic_key($node, 'gone');
my @given_back = rq_extents_of($node, $gone);
sql('DROP TABLE gone');
rq_poll_query($node, 'them to be given back', 'SELECT waiting_bytes >= 4000 * 32 FROM rocketq.queue_space');
# What leads to the queue's second extent is the "prev" of its third.
my $to_second = bytes_at($area, $third->{header} + 48, 4);
rq_overwrite($area, $_->{header} + 60, $to_second) foreach @given_back;
my $from = rq_log_from($node);
sql('CHECKPOINT');
$node->wait_for_log(qr/LOG:  a list of unused extents of queues is damaged/, $from);
is(contents(), $contents, 'a damaged list of extents that were given back: others are not touched');
unlike(problems(), qr/^(queue|entry|commit)/m, 'a damaged list of extents that were given back: queues are sound');
reports('a damaged list of extents that were given back', qr/^extent \d+ of chunk \d+ .*: it is neither free nor a queue's/m);
$node->restart;
sound('a start makes them free', $contents);

# Extents that are free: one of them leads to one that a queue has.
sql(<<'EOQ');
SELECT rocketq.create_topic('gone', 50);
SELECT count(rocketq.produce('gone', i::text, queue_id => i % 50)) FROM generate_series(1, 50) i;
EOQ
$gone = rq_topic_key($node, 'gone');
@given_back = rq_extents_of($node, $gone);
sql('DROP TABLE gone');
rq_extents_gone($node, 'the extents to be free', sub { $_[0]->{key} eq $gone });
my ($of_small) = rq_extents_of($node, rq_topic_key($node, 'small'), 0);
my $place = $of_small->{header} % (4 << 20) / 64;
rq_overwrite($area, $_->{header} + 60, pack('L<', int($of_small->{header} / (4 << 20)) << 13 | $place))
  foreach @given_back;
reports('a damaged list of free extents', qr/^chunk \d+ of .*: its list of free extents is damaged/m);
sql(<<'EOQ');
SELECT rocketq.create_topic('taker', 300);
SELECT count(rocketq.produce('taker', i::text, queue_id => i % 300)) FROM generate_series(1, 300) i;
EOQ
is(sql('SELECT count(DISTINCT body) FROM taker'), '300', 'a damaged list of free extents: producers go on');
is(sql('SELECT count(DISTINCT body) FROM small'), '100', 'a damaged list of free extents: what queues have is not taken');
$node->restart;
sound('a start makes free lists', $contents);
sql('DROP TABLE taker');

# ---- starts after a clean shutdown ----

my $missing = qr/rocketq messages \d+ to \d+ of queue \d+ of topic \d+\/\d+ are missing/;
my $hint = qr/HINT:  Put back what is missing, .*With rocketq.ignore_missing_files = on/;

sub clean_start
{
	my ($what, $damage, $repair, $expected) = @_;

	$node->stop('fast') if $node->{_pid};
	$damage->();
	my $before = names_and_lengths();
	refused($what, $expected);
	is(names_and_lengths(), $before, "$what: it changes nothing");
	$repair->();
	rq_start($node);
	sound("$what, repaired", $contents);
	return;
}

sub move
{
	rename($_[0], $_[1]) or die "could not rename \"$_[0]\": $!";
	return;
}

clean_start('without the area file',
	sub { move($area, $away); }, sub { move($away, $area); },
	qr/FATAL:  $missing.*DETAIL:  File "pg_rocketq\/queue\/00000000" is missing\.  \d+ more ranges of messages are missing.*$hint/s);
clean_start('the area file is cut',
	sub { system_or_bail('cp', '-p', $area, $away); truncate($area, (4 << 20) + 4096) or die "could not truncate: $!"; },
	sub { move($away, $area); },
	qr/FATAL:  $missing.*DETAIL:  A file in directory "pg_rocketq\/queue" is incomplete or damaged.*$hint/s);
clean_start('an area file under another name',
	sub { move($area, "$store/queue/00000001"); }, sub { move("$store/queue/00000001", $area); },
	qr/LOG:  chunk 0 of rocketq file "pg_rocketq\/queue\/00000001" cannot be used: the chunk header belongs to another chunk.*FATAL:  rocketq directory "pg_rocketq\/queue" contains files of another store, or under another name/s);

my $other = rq_node('other');
$other->safe_psql('postgres', "SELECT rocketq.create_topic('t', 3); SELECT rocketq.produce('t', 'x')");
$other->stop;
my $others = $other->data_dir . '/pg_rocketq/queue/00000000';
clean_start('the area file of another store',
	sub { move($area, $away); system_or_bail('cp', '-p', $others, $area); },
	sub { unlink($area); move($away, $area); },
	qr/cannot be used: the chunk header belongs to another store.*FATAL:  rocketq directory "pg_rocketq\/queue" contains files of another store/s);
clean_start('another store\'s area file besides',
	sub { system_or_bail('cp', '-p', $others, "$store/queue/00000003"); },
	sub { unlink("$store/queue/00000003"); },
	qr/FATAL:  rocketq directory "pg_rocketq\/queue" contains files of another store/);

foreach my $at ($chunk_at + 8, $second->{header} + 24, $last->{header} + 16)
{
	my $repair;

	clean_start("a flipped bit at $at",
		sub { $repair = flip($area, $at, 3); }, sub { $repair->(); },
		qr/FATAL:  $missing.*$hint/s);
}

# An older state: extents have been taken since.
$node->stop('fast');
system_or_bail('cp', '-p', "$store/state", "$away.state");
rq_start($node);
sql("SELECT rocketq.create_topic('late', 1); SELECT rocketq.produce('late', 'x')");
$node->stop('fast');
clean_start('an old state file',
	sub { move("$store/state", "$away.right"); system_or_bail('cp', '-p', "$away.state", "$store/state"); },
	sub { move("$away.right", "$store/state"); },
	qr/FATAL:  rocketq (files in directory "pg_rocketq\/queue" contain|file "pg_rocketq\/log\/\w+" contains) messages that are not recorded in the state file/);
is(sql('SELECT count(*) FROM late'), '1', 'what the old state does not know is there');

# ---- after a crash ----

# What WAL has, "more" among it, is replayed, and does not make up for what it has
# not.
sub crash_start
{
	my ($what, $damage, $repair, $more) = @_;

	sql('CHECKPOINT');
	sql("SELECT count(rocketq.produce('t', 'more', queue_id => q)) FROM generate_series(1, 20) i, generate_series(0, 2) q");
	sql($more) if defined $more;
	$contents = contents();
	$node->stop('immediate');
	$damage->();
	refused("$what, $_", qr/FATAL:  $missing.*$hint/s) foreach 'a start', 'another one';
	$repair->();
	rq_start($node);
	sound("$what, repaired", $contents);
	return;
}

crash_start('crashed, without the area file',
	sub { move($area, $away); },
	sub { ok(!-e $area, 'it has not been made again'); move($away, $area); });
# The chunk in which the queue begins now: the file that was put back was copied.
my ($begins) = rq_extents_of($node, $key, 0);
my $cut_at = $begins->{header} - $begins->{header} % (4 << 20) + 4096;
crash_start('crashed, the area file is cut',
	sub { system_or_bail('cp', '-p', $begins->{path}, $away); truncate($begins->{path}, $cut_at) or die "could not truncate: $!"; },
	sub { is(-s $begins->{path}, $cut_at, 'it is as it was'); move($away, $begins->{path}); });
($begins) = rq_extents_of($node, $key, 0);
my $repair;
crash_start('crashed, with a flipped bit in a chunk header',
	sub { $repair = flip($begins->{path}, $begins->{header} - $begins->{header} % (4 << 20) + 8, 3); },
	sub { $repair->(); });

# The disk has lost the beginning of a chunk, in which other headers are as they
# were, or seem never to have been.  It is neither cut off nor filled by others.
foreach my $length (512, 4096)
{
	my %which = (
		'small extents' => sub { return (rq_extents_of($node, rq_topic_key($node, 'small')))[0]; },
		'the last one' => sub { return (sort { $a->{header} <=> $b->{header} } rq_extents($node))[-1]; });

	foreach my $which (sort keys %which)
	{
		# Others than before: what was lost in a start has been copied.
		my $e = $which{$which}->();
		my $size;

		$from = rq_log_from($node);
		crash_start("crashed, $length bytes lost of a chunk, $which",
			sub {
				$repair = rq_overwrite($e->{path}, $e->{header} - $e->{header} % (4 << 20), "\0" x $length);
				$size = -s $e->{path};
			},
			sub { cmp_ok(-s $e->{path}, '>=', $size, 'it is not cut off'); $repair->(); });
		like(slurp_file($node->logfile, $from),
			qr/cannot be used: the chunk header has a wrong magic number/, 'it is not taken for one that is unused')
		  if $length < 4096;
	}
}

# The disk has lost a header, whose extent seems to be nobody's then.  Others need
# more extents of its size than are free otherwise.
sql("SELECT rocketq.create_topic('middle', 1); SELECT count(rocketq.produce('middle', i::text)) FROM generate_series(1, 200) i");
my ($e) = rq_extents_of($node, rq_topic_key($node, 'middle'));
is($e->{class}, 2, 'an extent of 1024 entries');
crash_start('crashed, a header lost',
	sub { $repair = rq_overwrite($e->{path}, $e->{header}, "\0" x 64); },
	sub { $repair->(); }, <<'EOQ');
SELECT rocketq.create_topic('taker', 400);
SELECT count(rocketq.produce('taker', 'x', queue_id => q)) FROM generate_series(0, 399) q, generate_series(1, 150);
EOQ
is(sql('SELECT count(DISTINCT body) FROM middle'), '200', 'a header lost, repaired: its entries are as they were');
sql('DROP TABLE taker');

# ---- lost ----

sql("SELECT count(rocketq.produce('t', i::text, queue_id => 2)) FROM generate_series(1, $_) i")
  foreach 10, 100, 300, 700, 700;
foreach my $crashed (0, 1)
{
	my $what = $crashed ? 'lost in a crash' : 'lost while the server was down';
	my @before = rq_extents_of($node, $key, 2);
	my $kept = sql("SELECT count(*) FROM t WHERE queue_id = 2" . join('',
		map { " AND queue_offset NOT BETWEEN $_->{first} AND $_->{first} + $_->{count} - 1" } @before[1, -1]));

	sql('CHECKPOINT');
	$node->stop($crashed ? 'immediate' : 'fast');
	# The second extent, and the one that the queue ends in.
	rq_overwrite($_->{path}, $_->{header}, "\0" x 64) foreach @before[1, -1];
	$node->append_conf('postgresql.conf', 'rocketq.ignore_missing_files = on');
	$from = rq_log_from($node);
	rq_start($node);
	rq_poll_query($node, 'the keeper to be ready', "SELECT rocketq.produce('t', 'new $crashed', queue_id => 2) > 0");
	my $log = slurp_file($node->logfile, $from);
	like($log, qr/WARNING:  $missing/, "$what: the server log reports it");
	my $lost = () = $log =~ /LOG:  rocketq lost \d+ messages of queue 2 of topic/g;
	my $there = sql("SELECT count(*) FROM t WHERE queue_id = 2");
	is($lost, 2, "$what: it says what is lost");
	is($there, $kept + 1, "$what: all other messages are there, and a new one");
	like(sql("SELECT string_agg(DISTINCT problem, ', ') FROM rocketq.verify()"),
		qr/^it was missing when the server started, and is lost$/, "$what: verify() reports nothing else");
	$node->append_conf('postgresql.conf', 'rocketq.ignore_missing_files = off');
	$node->restart;
	is(sql("SELECT count(*) FROM t WHERE queue_id = 2"), $there, "$what: the next start needs no setting");
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing has crashed');
$node->stop;

done_testing();

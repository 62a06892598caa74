# 066_missing_again.pl -- a recovery finds files missing, and is interrupted:
# the next one does not mistake the files that it recreated for complete ones.

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
rocketq.preallocate_segments = 1
checkpoint_timeout = 1h
EOC
rq_require_faults($node);
my $data = $node->data_dir;
my $store = "$data/pg_rocketq";
my $note = "$store.missing";
my $area = 'pg_rocketq/queue/00000000';
my $log = 'pg_rocketq/log/0000000000000000';
my $away = $node->basedir . '/away';

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub contents
{
	return sql('SELECT md5(string_agg(m::text, $$$$ ORDER BY message_id)), count(*) FROM m');
}

sub move
{
	rename($_[0], $_[1]) or die "could not rename \"$_[0]\": $!";
	return;
}

# Crash with messages after the last checkpoint; the next start will stop at this
# point.
sub crash
{
	my ($point) = @_;

	sql('CHECKPOINT');
	sql("SELECT count(rocketq.produce('m', 'more')) FROM generate_series(1, 10)");
	sql("ALTER SYSTEM SET rocketq.fault = '$point=stop'");
	my $contents = contents();
	$node->stop('immediate');
	return $contents;
}

sub begin_recovery
{
	my $startup;

	system_or_bail('pg_ctl', '-W', '-s', '-D', $data, '-l', $node->logfile, 'start');
	rq_poll('the startup process to stop',
		sub {
			($startup) = grep { (eval { slurp_file("/proc/$_/stat") } // '') =~ /\) T / } rq_processes($node);
			return defined $startup;
		});
	$node->_update_pid(1);
	rq_kill9($node, all => 1);
	rq_disarm($node);
	return;
}

sub refused
{
	my ($label, $name) = @_;
	my $from = rq_log_from($node);

	if ($node->start(fail_ok => 1))
	{
		fail("$label: the server does not start");
		die "the server has started\n";
	}
	rq_stopped($node);
	like(slurp_file($node->logfile, $from),
		$name eq $log ? qr/FATAL:  rocketq file "\Q$name\E" is missing or incomplete.*HINT:  Put back/s :
		  qr/FATAL:  rocketq messages \d+ to \d+ of queue 0 of topic \S+ are missing.*HINT:  Put back/s,
		"$label: the server does not start, and says why");
	return;
}

sub goes_on
{
	my ($label, $contents) = @_;

	rq_start($node);
	is(contents(), $contents, "$label: nothing is lost");
	rq_verify($node, $label);
	rq_poll("the note to go ($label)", sub { return !-e $note; });
	return;
}

sql(<<'EOQ');
SELECT rocketq.create_topic('m', 1);
SELECT count(rocketq.produce('m', i || repeat('x', 100))) FROM generate_series(1, 100) i;
EOQ
ok(-e "$data/$area" && -e "$data/$log", 'the files are where they are looked for');

#
# The file is missing, redo has made what it needs with only the last messages,
# and is interrupted.
#
foreach my $name ($area, $log)
{
	my $contents = crash($name eq $log ? 'segment-named' : 'keeper-fsynced');

	move("$data/$name", $away);
	begin_recovery();
	is(-e "$data/$name" ? 1 : 0, $name eq $log ? 1 : 0, "$name: redo has recreated only segments of the log");
	refused("without $name, $_", $name) foreach ('recovery is begun again', 'recreated by redo once more');
	move($away, "$data/$name");
	goes_on("$name is back", $contents);
}

# Redo would give it its full length.  What was put back has been copied, so the
# messages may be in another area file by now.
my $key = rq_topic_key($node, 'm');
foreach my $name ($area, $log)
{
	my $contents = crash('segment-named');
	my ($extent) = rq_extents_of($node, $key);
	my $path = $name eq $area ? $extent->{path} : "$data/$name";

	rq_disarm($node);
	system_or_bail('cp', '-p', $path, $away);
	truncate($path, 128) or die "could not truncate \"$path\": $!";
	refused("$name is too short, $_", $name) foreach ('once', 'recreated by redo a third time');
	is(-s $path, $name eq $log ? 1 << 20 : 128, "$name: its remaining contents are kept");
	move($away, $path);
	goes_on("$name is of its length again", $contents);
}

# WAL has the complete contents of a queue that was created after the checkpoint.
{
	sql('CHECKPOINT');
	sql("SELECT rocketq.create_topic('later', 1)");
	sql("SELECT count(rocketq.produce('later', 'x')) FROM generate_series(1, 10)");
	my $contents = contents();
	my @extents = rq_extents_of($node, rq_topic_key($node, 'later'));
	sql("ALTER SYSTEM SET rocketq.fault = 'keeper-fsynced=stop'");
	$node->stop('immediate');
	rq_overwrite($_->{path}, $_->{header}, "\0" x 64) foreach @extents;
	begin_recovery();
	goes_on('a queue that WAL tells all of', $contents);
	is(sql('SELECT count(*) FROM later'), '10', 'which is there');
}

# A server told to ignore missing files does so once and for all.
crash('keeper-fsynced');
unlink(rq_area_files($node)) or die "could not remove the files: $!";
begin_recovery();
$node->append_conf('postgresql.conf', 'rocketq.ignore_missing_files = on');
my $from = rq_log_from($node);
rq_start($node);
like(slurp_file($node->logfile, $from), qr/WARNING:  rocketq messages \d+ to \d+ of queue 0 of topic \S+ are missing/,
	'ignore_missing_files: the server log reports it');
is(sql("SELECT rocketq.produce('m', 'after') > 0"), 't', 'ignore_missing_files: producers work');
ok(!-e $note, 'ignore_missing_files: the note is removed');
$node->append_conf('postgresql.conf', 'rocketq.ignore_missing_files = off');
$node->stop('immediate');
rq_start($node);
is(sql("SELECT count(*) FROM rocketq.verify() WHERE problem !~ 'it was missing when the server started, and is lost'"), '0', 'a start without missing files succeeds');
$node->stop;

done_testing();

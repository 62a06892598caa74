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

# Crash with messages after the last checkpoint; the next start will stop where
# redo has created a file.
sub crash
{
	sql('CHECKPOINT');
	sql("SELECT count(rocketq.produce('m', 'more')) FROM generate_series(1, 10)");
	sql("ALTER SYSTEM SET rocketq.fault = 'segment-named=stop'");
	my $contents = contents();
	$node->stop('immediate');
	return $contents;
}

sub begin_recovery
{
	my $startup;

	system_or_bail('pg_ctl', '-W', '-s', '-D', $data, '-l', $node->logfile, 'start');
	rq_poll('redo to make a file',
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
		qr/FATAL:  rocketq file "\Q$name\E" is missing or incomplete.*HINT:  Put back/s,
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
my $queue_of_m = sql("SELECT 'pg_rocketq/queue/' || oid || '_' || pg_relation_filenode('m') || '/0.00000000' FROM pg_database WHERE datname = 'postgres'");
my $log = 'pg_rocketq/log/0000000000000000';
my $away = $node->basedir . '/away';
ok(-e "$data/$queue_of_m" && -e "$data/$log", 'the files are where they are looked for');

#
# The file is missing, redo has recreated it with only the last messages, and
# is interrupted.
#
foreach my $name ($queue_of_m, $log)
{
	my $contents = crash();

	move("$data/$name", $away);
	begin_recovery();
	ok(-e "$data/$name", "$name: redo has recreated it");
	refused("without $name, $_", $name) foreach ('recovery is begun again', 'recreated by redo once more');
	move($away, "$data/$name");
	goes_on("$name is back", $contents);
}

# Redo would give it its full length.
foreach my $name ($queue_of_m, $log)
{
	my $contents = crash();

	rq_disarm($node);
	system_or_bail('cp', '-p', "$data/$name", $away);
	truncate("$data/$name", 128) or die "could not truncate \"$name\": $!";
	refused("$name is too short, $_", $name) foreach ('once', 'recreated by redo a third time');
	ok(-e "$data/$name", "$name: its remaining contents are kept");
	move($away, "$data/$name");
	goes_on("$name is of its length again", $contents);
}

# WAL has the complete contents of a file that was created after the
# checkpoint.
{
	sql('CHECKPOINT');
	sql("SELECT rocketq.create_topic('later', 1)");
	sql("SELECT count(rocketq.produce('later', 'x')) FROM generate_series(1, 10)");
	my $queue = sql("SELECT oid || '_' || pg_relation_filenode('later') FROM pg_database WHERE datname = 'postgres'");
	my $contents = contents();
	sql("ALTER SYSTEM SET rocketq.fault = 'segment-named=stop'");
	$node->stop('immediate');
	unlink("$store/queue/$queue/0.00000000") or die "could not remove the file: $!";
	begin_recovery();
	goes_on('a file that WAL tells all of', $contents);
	is(sql('SELECT count(*) FROM later'), '10', 'which is there');
}

# A server told to ignore missing files does so once and for all.
crash();
unlink("$data/$queue_of_m") or die "could not remove the file: $!";
begin_recovery();
$node->append_conf('postgresql.conf', 'rocketq.ignore_missing_files = on');
my $from = rq_log_from($node);
rq_start($node);
like(slurp_file($node->logfile, $from), qr/WARNING:  rocketq file "\Q$queue_of_m\E" is missing or incomplete/,
	'ignore_missing_files: the server log reports it');
is(sql("SELECT rocketq.produce('m', 'after') > 0"), 't', 'ignore_missing_files: producers work');
ok(!-e $note, 'ignore_missing_files: the note is removed');
$node->append_conf('postgresql.conf', 'rocketq.ignore_missing_files = off');
$node->stop('immediate');
rq_start($node);
is(sql("SELECT count(*) FROM rocketq.verify() WHERE problem !~ 'its file was missing'"), '0', 'a start without missing files succeeds');
$node->stop;

done_testing();

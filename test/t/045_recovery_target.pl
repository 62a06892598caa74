# 045_recovery_target.pl -- each way to take a backup under load, and recovery
# from it to a name, an LSN, a transaction and a time: messages, offsets and
# tables are of the same moment, also while recovery pauses there.

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
	has_archiving    => 1,
	conf             => <<'EOC');
rocketq.segment_size = '1MB'
max_wal_size = 1GB
checkpoint_timeout = 1h
EOC
rq_create_load($node);
$node->safe_psql('postgres', 'CREATE TABLE load.marks (mark text)');

sub mark
{
	my ($mark) = @_;
	return $node->safe_psql('postgres',
		"INSERT INTO load.marks VALUES ('$mark') RETURNING pg_current_xact_id()");
}

#
# Backups.
#
my @clients = (produce => 1, consume => 1);
my $load = rq_start_load($node, @clients);
foreach my $method ('none', 'fetch', 'stream')
{
	rq_wait_progress($node, 200);
	mark("before $method");
	$node->backup($method,
		backup_options => [ '-X', $method, '--checkpoint', 'fast' ]);
	command_ok(
		[
			'pg_verifybackup', ($method eq 'none' ? '-n' : ()),
			$node->backup_dir . "/$method"
		],
		"$method: pg_verifybackup");
}

# By hand, where the order of copying can be chosen: what is copied first is
# older than the rest by a lot of work and a checkpoint.
sub copy_by_hand
{
	my ($name, @store) = @_;
	my $to = $node->backup_dir . "/$name";
	my $from = $node->data_dir;
	my $session = $node->background_psql('postgres');

	rq_wait_progress($node, 200);
	mark("before $name");
	$session->query_safe('SET client_min_messages = warning');
	$session->query_safe("SELECT pg_backup_start('$name', true)");
	mkdir $_ foreach ($to, "$to/pg_rocketq", "$to/pg_wal");
	foreach my $part (@store)
	{
		# A file may have been removed before it is copied.
		system("cp -a $from/pg_rocketq/$part $to/pg_rocketq/ 2>/dev/null");
		rq_wait_progress($node, 300);
		$node->safe_psql('postgres', 'CHECKPOINT');
	}
	system("cd $from && cp -a \$(ls | grep -v -e postmaster -e pg_wal -e pg_rocketq) $to/ 2>/dev/null");
	append_to_file("$to/backup_label",
		$session->query_safe('SELECT labelfile FROM pg_backup_stop()') . "\n");
	$session->quit;
	return;
}

copy_by_hand('state_last', 'queue', 'log', 'state');
copy_by_hand('state_first', 'state', 'log', 'queue');

#
# Targets, with a crash on the way.
#
my @targets;

sub add_target
{
	my ($backup, $kind, $value) = @_;
	push @targets, { backup => $backup, kind => $kind, value => $value };
	return;
}

rq_wait_progress($node, rq_random(200, 500));
add_target('none', 'xid', mark('before xid'));
mark('after xid');
rq_wait_progress($node, rq_random(100, 300));
mark('before time');
add_target('fetch', 'time', $node->safe_psql('postgres', 'SELECT clock_timestamp()'));
mark('after time');
rq_kill9($node, all => 1);
rq_stop_load($load);
rq_start($node);
$load = rq_start_load($node, @clients);
foreach my $backup ('stream', 'state_last', 'state_first')
{
	rq_wait_progress($node, rq_random(100, 400));
	mark("before lsn");
	add_target($backup, 'lsn',
		$node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()'));
	mark("after lsn");
}

# One session stops between storing and logging, while others continue: up to
# this point, WAL has nothing about a range in the middle of the log.
if (rq_has_faults($node))
{
	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_safe("SET rocketq.fault = 'append-store=stop'");
	$session->query_until(qr/begun/, "\\echo begun\nSELECT load.make_for(50, 5);\n");
	rq_poll_stopped($pid);
	rq_wait_progress($node, 100);
	mark('before name');
	$node->safe_psql('postgres', "SELECT pg_create_restore_point('hole')");
	add_target('none', 'name', 'hole');
	kill('CONT', $pid);
	# Each of the five reaches the point.
	rq_poll_stopped($pid) and kill('CONT', $pid) foreach (1 .. 4);
	mark('after name');
	$session->quit;
}
rq_wait_progress($node, 100);
rq_stop_load($load);
rq_check($node, 'after the load');
rq_archive($node);

#
# To the end of WAL, and to the targets.
#
sub restore
{
	my ($name, $backup, $conf) = @_;
	my $copy = rq_restored($node, $name, $backup, conf => $conf);

	rq_start($copy);
	return $copy;
}

sub go_on
{
	my ($copy, $label) = @_;

	rq_poll_query($copy, 'the end of recovery', 'SELECT NOT pg_is_in_recovery()');
	rq_check($copy, $label);
	$copy->safe_psql('postgres', 'SELECT load.make_for(k, 3) FROM generate_series(0, 39) k');
	rq_drain($copy);
	rq_applied_all($copy, $label);
	rq_kill9($copy, all => 1);
	rq_start($copy);
	rq_check($copy, "$label, after going on and a crash");
	$copy->stop;
	return;
}

my $all = 'SELECT sum(seq), (SELECT count(*) FROM load.applied) FROM load.keys';
my $whole = restore('whole', 'stream', '');
rq_poll_query($whole, 'the end of recovery', 'SELECT NOT pg_is_in_recovery()');
is($whole->safe_psql('postgres', $all), $node->safe_psql('postgres', $all),
	'without a target: all is there');
go_on($whole, 'without a target');

foreach my $target (@targets)
{
	my ($backup, $kind, $value) = @$target{qw(backup kind value)};
	my $label = "$backup to $kind $value";
	my $copy = restore("to_${kind}_$backup", $backup, <<"EOC");
recovery_target_$kind = '$value'
recovery_target_action = 'pause'
EOC

	rq_poll_query($copy, 'recovery to pause', "SELECT pg_get_wal_replay_pause_state() = 'paused'");
	rq_check_snapshot($copy, "$label, paused");
	rq_verify($copy, "$label, paused");
	is( $copy->safe_psql('postgres',
			"SELECT string_agg(mark, ',') FROM load.marks WHERE mark LIKE '% $kind'"
		),
		$kind eq 'lsn' ? marks_of_lsn($target) : "before $kind",
		"$label: it is that moment");
	$copy->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	go_on($copy, $label);
}
$node->stop;

# The marks up to one of several targets of a kind.
sub marks_of_lsn
{
	my ($target) = @_;
	my @marks;

	foreach my $other (grep { $_->{kind} eq 'lsn' } @targets)
	{
		push @marks, 'before lsn';
		last if $other == $target;
		push @marks, 'after lsn';
	}
	return join(',', @marks);
}

done_testing();

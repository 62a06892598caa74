# 121_rmgr_id.pl -- a library that was built with another resource manager id: it
# works with a store after a clean shutdown, and refuses WAL that has the other
# id before it replays anything.

use strict;
use warnings;

use File::Basename;
use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqInstall;
use RocketqTest;
use Test::More;

# ---- how the id is chosen ----

# Each call of make tells which it would build with.
sub made_id
{
	my ($dir, @variables) = @_;

	system_or_bail('make', '-s', '-C', $dir, @variables, '.build_rmgr_id');
	chomp(my $id = slurp_file("$dir/.build_rmgr_id"));
	return $id;
}

# Also used below: the second call is what "make install" does first.
my $library = rq_build('RMGR_ID=200');
my $tree = dirname($library);
system_or_bail('make', '-s', '-C', $tree, 'rocketq.so');
my $other = rq_install_beside($library);
is(made_id($tree), '200', 'make keeps the id of the last build');
is(made_id($tree, 'RMGR_ID=255'), '255', 'unless it is given another one');
foreach my $id ('0200', '127', '256', '', '2x')
{
	my ($stdout, $stderr) = run_command([ 'make', '-s', '-C', $tree, "RMGR_ID=$id", '.build_rmgr_id' ]);
	like($stderr, qr/RMGR_ID=$id is not a number from 128 to 255/, "RMGR_ID=$id is refused");
}
is(made_id($tree), '255', 'a refused id is not kept');
system_or_bail('make', '-s', '-C', $tree, 'clean');
is(made_id($tree), '128', 'make clean forgets it');

# ---- servers ----

my $node = rq_node('node', allows_streaming => 1);

sub contents
{
	return $node->safe_psql('postgres', <<'EOQ');
SELECT string_agg(rocketq.text(body), ' ' ORDER BY queue_offset) FROM rocketq.pull('t', 0, 0)
EOQ
}

sub ids_of_rocketq
{
	return $node->safe_psql('postgres',
		"SELECT rm_id FROM pg_get_wal_resource_managers() WHERE rm_name = 'rocketq'");
}

sub refuses
{
	my ($server, $label, $replayed, $built) = @_;
	my $from = rq_log_from($server);

	ok(!$server->start(fail_ok => 1), "$label: the server does not start");
	my $log = slurp_file($server->logfile, $from);
	like($log,
		qr/FATAL:  rocketq's WAL to be replayed has resource manager id $replayed, and the library was built with $built.*HINT:  Start the server with a library that was built with RMGR_ID=$replayed, stop it/s,
		"$label: and says why");
	unlike($log, qr/redo starts/, "$label: nothing is replayed");
	return;
}

is(ids_of_rocketq(), '128', 'the usual id');
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('t', 1);
SELECT rocketq.produce('t', 'a');
EOQ
rq_kill9($node);
rq_use_install($node, $other);
refuses($node, 'after a crash', 128, 200);

# In order.
rq_use_install($node, undef);
rq_start($node);
$node->safe_psql('postgres', "SELECT rocketq.produce('t', 'b')");
$node->stop;
rq_use_install($node, $other);

# Not if others' WAL may follow: PostgreSQL begins to replay it from here.
my $state = $node->data_dir . '/pg_rocketq/state';
my $before = slurp_file($state);
foreach my $signal ('standby.signal', 'recovery.signal')
{
	$node->append_conf($signal, '');
	refuses($node, $signal, 128, 200);
	is(slurp_file($state), $before, "$signal: the state file has not changed");
	unlink($node->data_dir . "/$signal") or die "could not remove \"$signal\": $!";
}
my $from = rq_log_from($node);
$node->start;
like(slurp_file($node->logfile, $from),
	qr/rocketq's WAL records have resource manager id 200 from now on, before 128/, 'the change is logged');
is(ids_of_rocketq(), '200', 'another id');
is(contents(), 'a b', 'all messages are there');
$node->safe_psql('postgres', "SELECT rocketq.produce('t', 'c')");
rq_kill9($node);

# Back again: no sooner than what has the other id is replayed.
rq_use_install($node, undef);
refuses($node, 'back after a crash', 200, 128);
rq_use_install($node, $other);
$from = rq_log_from($node);
rq_start($node);
unlike(slurp_file($node->logfile, $from), qr/from now on/, 'there is no change');
is(contents(), 'a b c', 'the other library replays its records');

# A standby of it has to have the same id.
my $standby = rq_standby($node, start => 0);
refuses($standby, 'a standby', 200, 128);
rq_use_install($standby, $other);
$standby->start;
rq_catch_up($node, $standby);
is($standby->safe_psql('postgres', 'SELECT count(*) FROM t'), '3', 'a standby with the same id');
$standby->stop;

$node->stop;
rq_use_install($node, undef);
$node->start;
is(contents(), 'a b c', 'back in order');
rq_verify($node, 'in the end');
$node->stop;

done_testing();

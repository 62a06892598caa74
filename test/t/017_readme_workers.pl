# 017_readme_workers.pl -- the loops of the README's "Consumers that wait" run, as
# they stand there, one of the second kind also behind pgbouncer in transaction
# mode.  What the machine lacks is left out, and that is said.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $readme = slurp_file("$FindBin::RealBin/../../README.md");
my ($chapter) = $readme =~ /^## Consumers that wait\n(.*?)(?=^## )/ms
  or die "no chapter on waiting in README.md\n";
my %block;
while ($chapter =~ /^```(\w+)\n(.*?)^```/msg)
{
	push @{ $block{$1} }, $2;
}

my $user = getpwuid($<);
my $node = rq_node('main');
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('orders', 4);
CREATE TABLE invoice (purchase_id bigint, amount numeric);
EOQ

sub runs
{
	my (@command) = @_;
	return system("@command >/dev/null 2>&1") == 0;
}

# Debian's python3-psycopg is for Debian's python3, which may not be the first.
my ($python) = grep { runs($_, "-c 'import psycopg'") } 'python3', '/usr/bin/python3';
my %interpreter = (
	psql => [ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f' ],
	sh => ['sh'],
	python => [$python],
	js => ['node']);
my %lacks = (
	python => $python ? '' : 'no psycopg 3',
	js => runs(q{node -e "require('pg')"}) ? '' : 'no Node with pg',
	pgbouncer => (grep { -x } '/usr/sbin/pgbouncer', '/usr/bin/pgbouncer')
	? ''
	: 'no pgbouncer');

my $waiting = q{FROM pg_stat_activity WHERE query ~ '30 s' AND pid <> pg_backend_pid()};
my $id = 0;

# Start a worker and give it messages, each when it waits.
sub try_worker
{
	my ($label, $language, $code, %env) = @_;
	my $file = $node->basedir . "/worker.$language";
	my $from = $id;
	my ($in, $out) = ('', '');

	unlink($file);
	append_to_file($file, $code);
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port,
		PGDATABASE => 'postgres', PGUSER => $user, %env);
	my $worker = IPC::Run::start([ @{ $interpreter{$language} }, $file ],
		'<', \$in, '>', \$out, '2>&1');
	foreach my $round (1 .. 3)
	{
		rq_poll(
			"$label to wait",
			sub {
				die "$label: the worker has ended: $out\n" if !$worker->pumpable;
				return $node->safe_psql('postgres',
					"SELECT count(*) $waiting AND state = 'active' AND wait_event_type = 'Extension'"
				) eq '1';
			});
		$id++;
		$node->safe_psql('postgres',
			qq(SELECT rocketq.produce('orders', '{"id": $id, "amount": 1.5}'::jsonb)));
		rq_poll_query($node, "$label to do its work",
			"SELECT count(*) = 1 FROM invoice WHERE purchase_id = $id");
	}
	is( $node->safe_psql('postgres',
			"SELECT count(*), sum(amount) FROM invoice WHERE purchase_id > $from"),
		'3|4.5',
		"$label: each message once");
	is( $node->safe_psql('postgres',
			"SELECT sum(lag) FROM rocketq.groups WHERE consumer_group = 'invoicing'"),
		'0',
		"$label: all is committed");

	# Of a shell, its psql ends by that.
	$worker->kill_kill;
	rq_poll(
		"$label to leave",
		sub {
			return $node->safe_psql('postgres',
				"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) $waiting") eq '0';
		});
	return;
}

sub try
{
	my ($label, $language, $i, %env) = @_;

  SKIP:
	{
		skip("$label: $lacks{$language}", 2) if $lacks{$language};
		try_worker($label, $language, $block{$language}[$i], %env);
	}
	return;
}

try('(a) psql', 'psql', 0);
try('(a) Python', 'python', 0);
try('(a) Node', 'js', 0);
try('(b) psql', 'sh', 0);
try('(b) Python', 'python', 1);
try('(b) Node', 'js', 1);

SKIP:
{
	skip("(b) behind pgbouncer: $lacks{pgbouncer}", 4) if $lacks{pgbouncer};

	my $dir = $node->basedir;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my ($host, $server) = ($node->host, $node->port);
	append_to_file("$dir/pgbouncer.ini", <<"EOC");
[databases]
postgres = host=$host port=$server user=$user
[pgbouncer]
listen_port = $port
unix_socket_dir = $host
auth_type = any
pool_mode = transaction
default_pool_size = 3
EOC
	local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
	my ($in, $out) = ('', '');
	my $bouncer = IPC::Run::start([ 'pgbouncer', "$dir/pgbouncer.ini" ],
		'<', \$in, '>', \$out, '2>&1');
	rq_poll('pgbouncer',
		sub { die "pgbouncer: $out\n" if !$bouncer->pumpable; return -e "$host/.s.PGSQL.$port" });
	try('(b) psql behind pgbouncer', 'sh', 0, PGPORT => $port);
	try('(b) Python behind pgbouncer', 'python', 1, PGPORT => $port);
	$bouncer->kill_kill;
}

rq_verify($node, 'after all');
$node->stop;
done_testing();

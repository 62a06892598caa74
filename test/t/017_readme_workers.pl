# 017_readme_workers.pl -- the loops of sql/doc/consumers.md run exactly as
# shown; the programs also in three copies behind pgbouncer in transaction
# mode.  What the machine lacks is skipped, and the test says so.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqDocs;
use RocketqTest;
use Test::More;

my %block;
push @{ $block{ $_->{language} } }, $_->{code} foreach rq_doc_blocks('sql/doc/consumers.md');

my $user = getpwuid($<);
my $node = rq_node('main');
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('orders', 4);
CREATE TABLE invoice (purchase_id bigint, amount numeric,
	worker text DEFAULT current_setting('application_name'), xid xid8 DEFAULT pg_current_xact_id());
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

# Processes must not stay behind when the test ends early.
my @started;

sub start
{
	my $run = IPC::Run::start(@_);
	push @started, $run;
	return $run;
}

END
{
	my $status = $?;
	eval { $_->kill_kill } foreach @started;
	$? = $status;
}

my $waiting = q{FROM pg_stat_activity WHERE query ~ '30 s' AND pid <> pg_backend_pid()};
my $id = 0;

# Start copies of a worker; each is identified by its session's application
# name.
sub start_workers
{
	my ($copies, $language, $code, %env) = @_;
	my $file = $node->basedir . "/worker.$language";
	my @workers;

	unlink($file);
	append_to_file($file, $code);
	foreach my $copy (1 .. $copies)
	{
		my %worker = (in => '', out => '');
		local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port,
			PGDATABASE => 'postgres', PGUSER => $user, PGAPPNAME => "worker $copy", %env);

		$worker{run} = start([ @{ $interpreter{$language} }, $file ],
			'<', \$worker{in}, '>', \$worker{out}, '2>&1');
		push @workers, \%worker;
	}
	return @workers;
}

# Wait until a query returns true; fail if a worker ends.
sub poll_workers
{
	my ($workers, $what, $query) = @_;

	return rq_poll(
		$what,
		sub {
			foreach (@$workers)
			{
				die "$what: a worker has ended: $_->{out}\n"
				  if !$_->{run}->pumpable || !eval { $_->{run}->pump_nb; 1 };
			}
			return $node->safe_psql('postgres', $query) eq 't';
		});
}

# In a shell loop, psql ends when its session is terminated.
sub end_workers
{
	my ($workers, $label) = @_;

	$_->{run}->kill_kill foreach @$workers;
	rq_poll(
		"$label to leave",
		sub {
			return $node->safe_psql('postgres',
				"SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) $waiting") eq '0';
		});
	return;
}

# Give messages to the workers, each time when they wait, until each of them
# has done its work this many times: drivers prepare a statement that they have
# sent several times.
sub try_workers
{
	my ($copies, $times, $label, $language, $code, %env) = @_;
	my $from = $id;
	my @workers = start_workers($copies, $language, $code, %env);
	my $enough = "FROM (SELECT worker FROM invoice WHERE purchase_id > $from"
	  . " GROUP BY 1 HAVING count(DISTINCT xid) >= $times) w";

	do
	{
		poll_workers(\@workers, "$label to wait",
			"SELECT count(*) = $copies $waiting AND state = 'active' AND wait_event IN ('RocketqMessages', 'Extension')");
		foreach my $message (1 .. $copies)
		{
			$id++;
			$node->safe_psql('postgres',
				qq(SELECT rocketq.produce('orders', '{"id": $id, "amount": 1.5}'::jsonb)));
		}
		poll_workers(\@workers, "$label to do its work",
			"SELECT count(*) = $id - $from FROM invoice WHERE purchase_id > $from");
	} until ($node->safe_psql('postgres', "SELECT count(*) $enough") == $copies);
	my $sent = $id - $from;
	is( $node->safe_psql('postgres',
			"SELECT count(DISTINCT purchase_id), count(*), sum(amount) / 1.5 = count(*)"
			  . " FROM invoice WHERE purchase_id > $from"),
		"$sent|$sent|t",
		"$label: each message once");
	is( $node->safe_psql('postgres',
			"SELECT sum(lag) FROM rocketq.groups WHERE consumer_group = 'invoicing'"),
		'0',
		"$label: everything is committed");
	end_workers(\@workers, $label);
	return;
}

sub try
{
	my ($copies, $times, $label, $language, $i, %env) = @_;

  SKIP:
	{
		skip("$label: $lacks{$language}", 2) if $lacks{$language};
		try_workers($copies, $times, $label, $language, $block{$language}[$i], %env);
	}
	return;
}

try(1, 3, '(a) psql', 'psql', 0);
try(1, 3, '(a) Python', 'python', 0);
try(1, 3, '(a) Node', 'js', 0);
try(1, 3, '(b) psql', 'sh', 0);
try(1, 3, '(b) Python', 'python', 1);
try(1, 3, '(b) Node', 'js', 1);

SKIP:
{
	skip("behind pgbouncer: $lacks{pgbouncer}", 10) if $lacks{pgbouncer};

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
default_pool_size = 6
min_pool_size = 6
server_round_robin = 1
EOC
	local $ENV{PATH} = "$ENV{PATH}:/usr/sbin";
	my ($in, $out) = ('', '');
	my $bouncer = start([ 'pgbouncer', "$dir/pgbouncer.ini" ],
		'<', \$in, '>', \$out, '2>&1');
	rq_poll('pgbouncer',
		sub { die "pgbouncer: $out\n" if !$bouncer->pumpable; return -e "$host/.s.PGSQL.$port" });
	# psycopg prepares what it has sent five times, while each transaction goes
	# to another session.
	try(3, 8, '(a) Python behind pgbouncer', 'python', 0, PGPORT => $port);
	try(3, 8, '(a) Node behind pgbouncer', 'js', 0, PGPORT => $port);
	try(3, 3, '(b) psql behind pgbouncer', 'sh', 0, PGPORT => $port);
	try(3, 8, '(b) Python behind pgbouncer', 'python', 1, PGPORT => $port);
	try(3, 8, '(b) Node behind pgbouncer', 'js', 1, PGPORT => $port);
	$bouncer->kill_kill;
}

is(join(' ', map { "$_ " . @{ $block{$_} } } qw(js psql python sh)),
	'js 2 psql 1 python 2 sh 1', 'the page has exactly these loops');

rq_verify($node, 'after all');
$node->stop;
done_testing();

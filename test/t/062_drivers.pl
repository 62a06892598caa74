# 062_drivers.pl -- the calls that programs need first work with each driver:
# the programs in test/drivers make the same calls and leave the same messages.
# Drivers that the machine lacks are skipped, and the test says so.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $drivers = "$FindBin::RealBin/../drivers";

sub runs
{
	my (@command) = @_;
	return system("@command >/dev/null 2>&1") == 0;
}

# Debian's Python modules are for Debian's python3, which may not be the first.
sub python
{
	my ($module) = @_;
	my ($python) = grep { runs($_, "-c 'import $module'") } 'python3', '/usr/bin/python3';
	return $python ? [$python] : undef;
}

my ($jar) = grep { -r } '/usr/share/java/postgresql.jar';
my $node_pg = runs(q{node -e "require('pg')"}) ? ['node'] : undef;
my $java = $jar && runs('javac -version') ? [ 'java', '-Xshare:auto', '-cp', $jar ] : undef;
my $go = -d '/usr/share/gocode/src/github.com/lib/pq' && runs('go version') ? [ 'go', 'run' ] : undef;

# Name, how to run it (nothing if it is not installed), and the result for
# bytes without a type.
my @tries = (
	[ 'psycopg3.py', python('psycopg'), 'taken' ],
	[ 'psycopg2.py', python('psycopg2'), 'taken' ],
	[ 'asyncpg.py', python('asyncpg'), 'refused' ],
	[ 'node.js', $node_pg, 'refused' ],
	[ 'jdbc.java', $java, 'taken' ],
	[ 'pq.go', $go, 'refused' ]);

# JDBC has no Unix sockets.
my $node = rq_node('main', conf => $java ? "listen_addresses = '127.0.0.1'" : '');
my $user = getpwuid($<);

my $all = join('', map { sprintf('%02x', $_) } 0 .. 255);
my $expected = <<"EOE";
0|text \xc3\xa9 \\x41||||
1|{"a": 1}||||
2|{"b": 1}||||
3|$all||||
4|one||||
5|two, "quoted"||||
6|\\x33||||
7|00ff||||
8|01fe||||
9|full|created|{k1,"k 2"}|{"p": 1}|s
EOE

sub try_driver
{
	my ($name, $command, $bytes) = @_;
	my ($topic) = $name =~ /^(\w+)/;
	my ($out, $err);

	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres',
		PGUSER => $user, HOME => $node->basedir, GO111MODULE => 'off', GOPATH => '/usr/share/gocode',
		GOCACHE => $node->basedir . '/go');
	$node->safe_psql('postgres', "SELECT rocketq.create_topic('$topic', 1), rocketq.create_topic('${topic}_bytes', 1)");
	IPC::Run::run([ @$command, "$drivers/via_$name", $topic, "${topic}_bytes" ], '>', \$out, '2>', \$err);
	is($out, "10 10 0\n$bytes\n", "$name: lag, messages consumed, lag; and bytes without a type are $bytes") or diag($err);
	is($node->safe_psql('postgres', <<"EOQ") . "\n", $expected, "$name: the messages");
SELECT queue_offset, CASE WHEN queue_offset IN (3, 7, 8) THEN encode(body, 'hex')
		WHEN queue_offset = 2 THEN rocketq.json(body)::text ELSE rocketq.text(body) END,
	tag, keys, properties, sharding_key
FROM $topic ORDER BY 1
EOQ
	is($node->safe_psql('postgres', <<"EOQ"), "72:00:00\n02:00:00", "$name: how long these are kept");
SELECT retention_time FROM rocketq.topics WHERE topic IN ('$topic', '${topic}_bytes') ORDER BY topic
EOQ
	return is($node->safe_psql('postgres', "SELECT encode(body, 'hex') FROM ${topic}_bytes"),
		$bytes eq 'taken' ? $all : '', "$name: bytes are unchanged");
}

foreach my $try (@tries)
{
  SKIP:
	{
		skip("no $try->[0]", 4) if !$try->[1];
		try_driver(@$try);
	}
}
rq_verify($node, 'after all');
$node->stop;
done_testing();

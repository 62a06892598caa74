# RocketqMetrics.pm -- the real exporter, and a real Prometheus that scrapes it.
package RocketqMetrics;

use strict;
use warnings;

use Exporter 'import';
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqNode;

our @EXPORT = qw(rq_program rq_exporter rq_scrape rq_prometheus rq_prometheus_get rq_service_end);

# Programs that run, which must not outlive the test.
my @running;

my $http = HTTP::Tiny->new(http_proxy => undef, timeout => 60);

# The path of the first of these programs that is installed.
sub rq_program
{
	my @names = @_;
	my ($path) = grep { -x } map { my $name = $_; map { "$_/$name" } split /:/, $ENV{PATH} } @names;
	return $path;
}

# Start a program that answers HTTP, and wait until it does.
sub start_service
{
	my ($name, $path, @command) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $log = "$PostgreSQL::Test::Utils::log_path/$name.log";
	my %service = (name => $name, log => $log, url => "http://127.0.0.1:$port");

	$service{run} = IPC::Run::start([ @command, "--web.listen-address=127.0.0.1:$port" ],
		'<', '/dev/null', '>', $log, '2>&1');
	push @running, \%service;
	rq_poll(
		"$name to answer",
		sub {
			die "$name has ended:\n" . slurp_file($log) if !$service{run}->pumpable;
			return $http->get("$service{url}$path")->{status} == 200;
		});
	return \%service;
}

sub rq_service_end
{
	my ($service) = @_;
	$service->{run}->kill_kill if $service->{run};
	delete $service->{run};
	return;
}

END
{
	local $?;
	rq_service_end($_) foreach @running;
}

# postgres_exporter with the installed queries, as the role "exporter".
sub rq_exporter
{
	my ($node, @options) = @_;
	my ($share) = run_command([ 'pg_config', '--sharedir' ]);

	local $ENV{DATA_SOURCE_NAME} =
	  'user=exporter dbname=postgres sslmode=disable host=' . $node->host . ' port=' . $node->port;
	return start_service('exporter_' . $node->name, '/metrics',
		rq_program('prometheus-postgres-exporter', 'postgres_exporter'),
		"--extend.query-path=$share/extension/rocketq_exporter.yml", @options);
}

# What an exporter shows.
sub rq_scrape
{
	my ($exporter) = @_;
	return $http->get("$exporter->{url}/metrics")->{content};
}

# Prometheus, with these files of rules, which scrapes exporters by name.
sub rq_prometheus
{
	my ($rules, %exporters) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my %config = (
		global => { scrape_interval => '3s', scrape_timeout => '3s', evaluation_interval => '1s' },
		rule_files => $rules,
		scrape_configs => [
			{
				job_name => 'rocketq',
				static_configs => [
					map { { targets => [ $exporters{$_}{url} =~ s,^http://,,r ], labels => { instance => $_ } } }
					  sort keys %exporters
				]
			}
		]);

	# YAML that happens to be JSON.
	append_to_file("$dir/prometheus.yml", encode_json(\%config));
	return start_service('prometheus', '/-/ready', rq_program('prometheus'),
		"--config.file=$dir/prometheus.yml", "--storage.tsdb.path=$dir/data");
}

# The "data" of an answer of its API; dies with the error if there is one.
sub rq_prometheus_get
{
	my ($prometheus, $path, %parameters) = @_;
	my $query = $http->www_form_urlencode(\%parameters);
	my $answer = $http->get("$prometheus->{url}/api/v1/$path?$query");
	my $data = eval { decode_json($answer->{content}) } // { error => $answer->{content} };

	die "$path: $data->{error}\n" if ($data->{status} // '') ne 'success';
	return $data->{data};
}

1;

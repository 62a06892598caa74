# 111_dashboard.pl -- the dashboard and the alerts agree with what the real exporter
# shows, and a real Prometheus has an answer for each panel.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Basename;
use File::Copy;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqDocs;
use RocketqMetrics;
use RocketqTest;
use Test::More;

my $top = dirname(__FILE__) . '/../..';
my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my $alerts_file = "$share/extension/rocketq_alerts.yml";

# Metrics that neither the dashboard nor an alert needs, and why.
my %left_out = (
	rocketq_log_segments => 'the size of the log says more',
	rocketq_topic_groups => 'for tables that people make themselves',
	rocketq_topic_queues => 'the same',
	rocketq_topic_oldest_seconds => 'the same',
	rocketq_topic_unresolved_messages => 'how long readers wait says more',
	rocketq_database_unresolved_messages => 'the same',
	rocketq_database_unresolved_seconds => 'the topics that wait longest have series of their own',
	rocketq_database_bytes => 'what the log takes is in its files');

# Panels that rightly show nothing while all is well.
my %may_be_empty = ('Full in' => 'the disk need not fill up');

#
# The dashboard by itself.
#
my $dashboard = decode_json(slurp_file("$share/extension/rocketq_dashboard.json"));
my @panels = @{ $dashboard->{panels} };
my @charts = grep { $_->{type} ne 'row' } @panels;
my %variables = map { $_->{name} => $_ } @{ $dashboard->{templating}{list} };
my %built_in = map { $_ => 1 } qw(__rate_interval __range);

cmp_ok(scalar(@charts), '>=', 30, 'there are panels');
is_deeply([ sort keys %variables ], [qw(database datasource group instance topic)], 'variables');

# Values that occur more than once, as a string.
sub repeated
{
	my %count;
	$count{$_}++ foreach @_;
	return join(', ', grep { $count{$_} > 1 } sort keys %count);
}

is(repeated(map { $_->{id} } @panels), '', 'ids of panels are unique');
is(repeated(map { $_->{title} } @panels), '', 'and so are their titles');
is(repeated(map { my $g = $_->{gridPos}; map { my $y = $_; map { "$_,$y" } $g->{x} .. $g->{x} + $g->{w} - 1 } $g->{y} .. $g->{y} + $g->{h} - 1 } @panels),
	'', 'no two panels lie at the same place');
is(join(', ', map { $_->{title} } grep { $_->{gridPos}{x} + $_->{gridPos}{w} > 24 } @panels), '', 'none is too wide');
is(join(', ', map { $_->{title} } grep { length($_->{description} // '') < 20 } @charts), '', 'all say what to do');

# Data sources are chosen on the page.
sub data_sources
{
	my ($at) = @_;
	return map { data_sources($_) } @$at if ref($at) eq 'ARRAY';
	return () if ref($at) ne 'HASH';
	return map { $_ eq 'datasource' && ref($at->{$_}) ? $at->{$_}{uid} : data_sources($at->{$_}) } keys %$at;
}
my %sources = map { $_ => 1 } data_sources($dashboard);
is_deeply([ sort keys %sources ], [ '${datasource}', '-- Grafana --' ], 'no data source is fixed');
is(repeated(map { my $p = $_; map { "$p->{title} $_->{refId}" } @{ $p->{targets} } } @charts), '', 'targets of a panel have names of their own');

# All expressions, with their variables as they are when everything is chosen.
my @targets;
foreach my $panel (@charts)
{
	is(join(' ', grep { !$variables{$_} && !$built_in{$_} } map { $_->{expr} =~ /\$\{?(\w+)/g } @{ $panel->{targets} }),
		'', "$panel->{title}: variables exist");
	foreach my $target (@{ $panel->{targets} })
	{
		my $expr = $target->{expr} =~ s/\$__rate_interval/1m/gr =~ s/\$__range/1m/gr =~ s/\$\w+/.*/gr;
		push @targets, { panel => $panel->{title}, expr => $expr, legend => $target->{legendFormat} };
	}
}
my @queries = map { $_->{query}{query} } grep { ref($_->{query}) } values %variables;

# The names of metrics in a text, without what a histogram adds to them.
sub metrics_in
{
	my ($text) = @_;
	my %names = map { s/^(rocketq_produce_latency_seconds)_(bucket|sum|count)$/$1/r => 1 } $text =~ /\b(rocketq(?:_[a-z]+)+)\b/g;
	return keys %names;
}

#
# The rules by themselves.
#
my $alerts = slurp_file($alerts_file);
my @alerts = $alerts =~ /^      - alert: (\w+)$/mg;
my @expressions = map { s/\s+/ /gr } $alerts =~ /^        expr: (?:>-)?(.*?)^        for:/msg;
is(scalar(@expressions), scalar(@alerts), 'each alert says how long');
is(repeated(@alerts), '', 'names of alerts are unique');
foreach my $field (qw(severity summary description doc))
{
	is(scalar(() = $alerts =~ /^          $field: /mg), scalar(@alerts), "each alert has a $field");
}
my %severity = map { $_ => 1 } $alerts =~ /^          severity: (\w+)$/mg;
is_deeply([ sort keys %severity ], [qw(critical warning)], 'severities');
is_deeply([ map { $_->[0] } rq_doc_table('sql/doc/monitoring.md', 'Alerts') ], \@alerts, 'the documentation has all of them');
foreach my $doc ($alerts =~ /^          doc: "(\S+)"$/mg)
{
	my ($page, $anchor) = split /#/, $doc;
	my @headings = map { lc(s/[^\w -]//gr) =~ tr/ /-/r } rq_doc_page("sql/doc/$page") =~ /^#+ (.*)$/mg;
	ok((grep { $_ eq $anchor } @headings), "there is a section $doc");
}

SKIP:
{
	skip('there is no promtool', 4) if !rq_program('promtool');
	my $dir = PostgreSQL::Test::Utils::tempdir();
	command_ok([ 'promtool', 'check', 'rules', $alerts_file ], 'promtool accepts the alerts');

	my @rules = map { { record => "panel:$_", expr => $targets[$_]{expr} } } 0 .. $#targets;
	append_to_file("$dir/panels.yml", encode_json({ groups => [ { name => 'panels', rules => \@rules } ] }));
	command_ok([ 'promtool', 'check', 'rules', "$dir/panels.yml" ], 'and the expressions of panels');

	# Each alert fires when it should, and only then.
	copy($alerts_file, "$dir/rocketq_alerts.yml");
	copy("$top/test/prometheus/alerts_test.yml", $dir);
	command_ok([ 'promtool', 'test', 'rules', "$dir/alerts_test.yml" ], 'each alert fires when it should');
	my %tested = map { $_ => 1 } slurp_file("$dir/alerts_test.yml") =~ /alertname="(\w+)"/g;
	is(join(' ', grep { !$tested{$_} } @alerts), '', 'each alert is tested');
}

# What Prometheus answers to an expression.
my $prometheus;

sub answer
{
	my ($expr) = @_;
	return @{ rq_prometheus_get($prometheus, 'query', query => $expr)->{result} };
}

SKIP:
{
	skip('there is no postgres_exporter, or no Prometheus', 1)
	  if !rq_program('prometheus-postgres-exporter', 'postgres_exporter') || !rq_program('prometheus');

	#
	# A busy server and its standby, an exporter for each of them, and Prometheus.
	#
	my $node = rq_node('main', allows_streaming => 1, conf => "rocketq.retention_time = 0\n");
	$node->safe_psql('postgres', <<'EOQ');
	CREATE ROLE exporter LOGIN IN ROLE pg_monitor;
	SELECT rocketq.create_topic('orders', 4);
	SELECT rocketq.create_group('orders', 'behind'), rocketq.create_group('orders', 'sales');
EOQ
	my $standby = rq_standby($node);
	rq_catch_up($node, $standby);
	my $script = $node->basedir . '/load.sql';
	append_to_file($script, <<'EOQ');
	SELECT rocketq.produce('orders', repeat('x', 100));
	SELECT count(*) FROM rocketq.consume('orders', 'sales', 1, auto_commit => true);
	SELECT pg_sleep(0.01);
EOQ
	my $load = rq_background($node, 'pgbench', '-n', '-c', '2', '-T', '3600', '-f', $script, 'postgres');

	my %exporter = map { $_->name => rq_exporter($_, '--auto-discover-databases') } $node, $standby;
	my $shown = rq_scrape($exporter{ $node->name });
	my %type = $shown =~ /^# TYPE (rocketq\S*) (\S+)$/mg;

	#
	# Names: those that are used exist, and those that exist are used.
	#
	my %used = map { $_ => 1 } map { metrics_in($_) } (map { $_->{expr} } @targets), @queries, @expressions;
	is(join(' ', grep { !$type{$_} } sort keys %used), '', 'the exporter has all metrics that are used');
	is(join(' ', grep { !$used{$_} && !$left_out{$_} } sort keys %type), '', 'all that it has are used, or left out on purpose');
	is(join(' ', grep { $used{$_} || !$type{$_} } sort keys %left_out), '', 'what is said to be left out exists, and is');
	is($type{rocketq_produce_latency_seconds}, 'histogram', 'latency is a histogram');
	is(join(' ', grep { ($type{$_} eq 'counter') != /_total$/ } keys %type), '', 'names of counters, and of no others, end in "_total"');
	foreach my $text ((map { $_->{expr} } @targets), @expressions)
	{
		my @wrong = grep { $type{$_} && $type{$_} ne 'counter' } $text =~ /(?:rate|increase)\((rocketq_[a-z_]+)\b/g;
		is("@wrong", '', "only counters have rates: $text") if @wrong;
	}

	#
	# Answers.
	#
	$prometheus = rq_prometheus([$alerts_file], %exporter);

	rq_poll(
		'some scrapes of both servers',
		sub {
			my @counts = answer('count_over_time(rocketq_in_recovery[1m]) >= 4');
			return @counts == 2;
		});
	foreach my $target (@targets)
	{
		my ($panel, $expr) = @$target{qw(panel expr)};
		my @answer;
		my $has = eval {
			if ($may_be_empty{$panel}) { @answer = answer($expr); }
			else { rq_poll("data of $panel", sub { @answer = answer($expr); return @answer > 0; }); }
			1;
		};
		ok($has, "$panel: $expr") or diag($@);

		# Names of series tell them apart.
		my @labels = $target->{legend} =~ /\{\{(\w+)\}\}/g;
		my %missing = map { my $a = $_; map { $_ => 1 } grep { !exists $a->{metric}{$_} } @labels } @answer;
		is(join(' ', sort keys %missing), '', "$panel: labels of \"$target->{legend}\"") if @labels;
		is(repeated(map { my $a = $_; join(' ', map { $a->{metric}{$_} // '' } @labels) } @answer), '', "$panel: its names are unique") if @labels;
	}

	# Choices of the variables.
	foreach my $query (@queries)
	{
		my ($match, $label) = $query =~ /^label_values\((.*), (\w+)\)$/;
		my $values = rq_prometheus_get($prometheus, "label/$label/values", 'match[]' => $match =~ s/\$\w+/.*/gr);
		cmp_ok(scalar(@$values), '>', 0, "there is something to choose: $query");
	}

	# The numbers are those of the server.
	rq_poll(
		'Prometheus to know the messages',
		sub {
			my ($produced) = answer('rocketq_produced_messages_total{instance="main"}');
			my $now = $node->safe_psql('postgres', 'SELECT produced FROM rocketq.stats');
			return $produced->{value}[1] > 0 && $produced->{value}[1] <= $now;
		});
	my ($share_10ms) = answer('sum(rocketq_produce_latency_seconds_bucket{le="0.01",instance="main"}) / sum(rocketq_produce_latency_seconds_count{instance="main"})');
	cmp_ok($share_10ms->{value}[1], '<=', 1, 'a share is one');

	# Prometheus evaluates the alerts.
	my @rules;
	rq_poll(
		'the alerts to be evaluated',
		sub {
			@rules = @{ rq_prometheus_get($prometheus, 'rules')->{groups}[0]{rules} };
			return !grep { $_->{health} eq 'unknown' } @rules;
		});
	is(join(' ', map { "$_->{name} $_->{lastError}" } grep { $_->{health} ne 'ok' } @rules), '', 'without errors');
	is(join(' ', map { $_->{name} } grep { $_->{state} eq 'firing' } @rules), '', 'and none fires');

	# A worker that gets no round done.
	my @stopped = rq_pause($node, 'rocketq janitor');
	rq_poll(
		'rounds to fail to come',
		sub { return answer('rocketq_worker_last_round_age_seconds{instance="main",worker="janitor"} > 6') > 0 });
	kill('CONT', @stopped);
	rq_poll('the exporter to see the next round',
		sub { return answer('rocketq_worker_last_round_age_seconds{instance="main",worker="janitor"} < 6') > 0 });

	rq_service_end($prometheus);
	rq_service_end($_) foreach values %exporter;
	$load->{run}->kill_kill;
	$standby->stop;
	rq_verify($node, 'at the end');
	$node->stop;
}

done_testing();

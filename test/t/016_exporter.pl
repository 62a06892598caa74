# 016_exporter.pl -- the queries for Prometheus run and return what the file
# declares; an exporter, if installed, runs them in several databases.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqMetrics;
use RocketqTest;
use Test::More;

my $node = rq_node('main', allows_streaming => 1);

# The installed file.  It uses a small subset of YAML, and may contain nothing
# else.
my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my $file = slurp_file("$share/extension/rocketq_exporter.yml");
my @entries;
foreach my $line (split /\n/, $file)
{
	if ($line =~ /^(#.*)?$/) { }
	elsif ($line =~ /^(\w+):$/) { push @entries, { name => $1, query => '', metrics => [] }; }
	elsif ($line =~ /^  master: true$/) { }
	elsif ($line =~ /^  query: \|$/) { }
	elsif ($line =~ /^  metrics:$/) { }
	elsif ($line =~ /^    - (\w+):$/) { push @{ $entries[-1]{metrics} }, { name => $1 }; }
	elsif ($line =~ /^        (usage|description): "([^"\\]+)"$/)
	{
		$entries[-1]{metrics}[-1]{$1} = $2;
	}
	elsif ($line =~ /^    (.+)$/ && !@{ $entries[-1]{metrics} })
	{
		$entries[-1]{query} .= "$1\n";
	}
	else { fail("a line that is understood: $line"); }
}
cmp_ok(scalar(@entries), '>=', 7, 'there are queries');

# A histogram takes three more columns.
foreach my $metric (map { @{ $_->{metrics} } } @entries)
{
	my $name = $metric->{name};
	$metric->{columns} = [ $name, $metric->{usage} eq 'HISTOGRAM' ? map { $name . $_ } qw(_bucket _sum _count) : () ];
}

# Without a standby there is none.
my %may_be_empty = (rocketq_standby => 1);

$node->safe_psql('postgres', <<'EOQ');
CREATE ROLE exporter LOGIN IN ROLE pg_monitor;
SELECT rocketq.create_topic('orders');
SELECT count(rocketq.produce('orders', 'x')) FROM generate_series(1, 100) i;
SELECT count(*) FROM rocketq.consume('orders', 'g', 10, auto_commit => true);
CHECKPOINT;
EOQ

my %type = (
	LABEL => qr/^(text|name)$/,
	GAUGE => qr/^(integer|bigint|double precision)$/,
	HISTOGRAM => qr/^double precision\[\]$/);
$type{COUNTER} = $type{GAUGE};

# The rows of a query, as hashes.
sub rows
{
	my ($on, $entry) = @_;
	my ($rc, $out, $err) = $on->psql('postgres', "SET ROLE exporter;\n$entry->{query}",
		extra_params => [ '-F', "\t" ]);

	is("$err", '', "$entry->{name} on " . $on->name . ' runs');
	my @names = map { @{ $_->{columns} } } @{ $entry->{metrics} };
	return map { my %row; @row{@names} = split /\t/, $_, -1; \%row } split /\n/, $out;
}

sub check_entry
{
	my ($entry) = @_;
	my $name = $entry->{name};
	my $columns = $node->safe_psql('postgres', "CREATE TEMP VIEW v AS\n$entry->{query};" . <<'EOQ');
SELECT string_agg(attname || ' ' || format_type(atttypid, NULL), ',' ORDER BY attnum)
FROM pg_attribute WHERE attrelid = 'v'::regclass
EOQ
	my @columns = split /,/, $columns;
	my @metrics = @{ $entry->{metrics} };

	like($name, qr/^rocketq(_[a-z_]+)?$/, "$name: a name for Prometheus");
	is( join(' ', map { /^(\w+) / } @columns),
		join(' ', map { @{ $_->{columns} } } @metrics),
		"$name: the columns are the metrics");
	my %sql_type = map { /^(\w+) (.*)/ } @columns;
	foreach my $metric (@metrics)
	{
		my $sql_type = $sql_type{ $metric->{name} };
		my $usage = $metric->{usage} // '';

		ok( exists $type{$usage} && $sql_type =~ $type{$usage} && $metric->{description},
			"$name: $metric->{name} is a $usage of type $sql_type");
		is( $metric->{name} =~ /(^|_)total$/ ? 1 : 0,
			$usage eq 'COUNTER' ? 1 : 0,
			"$name: $metric->{name} has the name of a $usage");
		unlike($metric->{name}, qr/_(ms|us|kb|mb|percent)$|milli/, "$name: $metric->{name} is in base units");
	}
	return;
}

my %seen;
foreach my $entry (@entries)
{
	check_entry($entry);
	my @rows = rows($node, $entry);
	cmp_ok(scalar(@rows), '>', 0, "$entry->{name}: there is something") if !$may_be_empty{ $entry->{name} };
	is(scalar(grep { grep { $_ eq '' } values %$_ } @rows), 0, "$entry->{name}: and no null");
	$seen{ $entry->{name} } = \@rows;
}
is("@{$seen{rocketq_topic}[0]}{qw(topic messages enqueued_messages_total groups)}", 'orders 100 100 1', 'numbers of the topic');
is("@{$seen{rocketq_group}[0]}{qw(consumer_group lag_messages owned_queues committed_offset)}",
	'g 90 0 10', 'numbers of the group');
is("@{$seen{rocketq_database}[0]}{qw(datname topics messages groups lag_messages)}",
	'postgres 1 100 1 90', 'numbers of the database');
is(join(' ', sort map { "$_->{worker}=$_->{up}" } @{ $seen{rocketq_worker} }),
	'allocator=1 janitor=1 keeper=1', 'the workers are up');
is("@{$seen{rocketq}[0]}{qw(in_recovery produced_messages_total consumed_messages_total)}",
	'0 100 10', 'counters of the server');
cmp_ok($seen{rocketq_keeper}[0]{syncs_total}, '>', 0, 'syncs');
is("@{$seen{rocketq_slots}[0]}{qw(slots used size)}", 'topics 1 1024', 'room for topics');
my @visible = grep { $_->{phase} eq 'visible' } @{ $seen{rocketq_produce_latency} };
is($visible[0]{seconds_count}, '1', 'one transaction has a latency');
is(join(' ', grep { $_->{by} } @{ $seen{rocketq_log_kept} }) ne '', 1, 'something keeps the log');

# A counter never falls.
$node->safe_psql('postgres', "SELECT count(rocketq.produce('orders', 'x')) FROM generate_series(1, 10) i; CHECKPOINT");
my %fallen;
foreach my $entry (@entries)
{
	my ($again) = rows($node, $entry);
	my ($first) = @{ $seen{ $entry->{name} } };
	foreach (grep { defined $first && $_->{usage} eq 'COUNTER' } @{ $entry->{metrics} })
	{
		$fallen{"$entry->{name}.$_->{name}"} = 1 if $again->{ $_->{name} } < $first->{ $_->{name} };
	}
}
is(join(' ', sort keys %fallen), '', 'no counter has fallen');

# Queries that are not "master" run in each database, and the exporter combines
# the results: nothing may occur twice.
$node->safe_psql('postgres', 'CREATE DATABASE shop');
$node->safe_psql('shop', <<'EOQ');
CREATE EXTENSION rocketq;
SELECT rocketq.create_topic('orders');
SELECT rocketq.produce('orders', 'x') FROM generate_series(1, 3);
SELECT count(*) FROM rocketq.consume('orders', 'g', 1, auto_commit => true);
CREATE SCHEMA a;
CREATE SCHEMA b;
SELECT rocketq.create_topic('a.orders'), rocketq.create_topic('b.orders');
SELECT rocketq.create_group('b.orders', 'g');
EOQ

# A role without SELECT sees nothing, and only a monitor sees other databases.
is( $node->safe_psql('shop', <<'EOQ'), "0|0|0\n1|8|8\nt|t|t", 'rows of other databases are for pg_monitor');
CREATE ROLE nobody;
SET ROLE nobody;
SELECT (SELECT count(*) FROM rocketq.get_topics()), (SELECT count(*) FROM rocketq.get_queues()),
	(SELECT count(*) FROM rocketq.get_groups());
RESET ROLE;
GRANT SELECT ON orders TO nobody;
SET ROLE nobody;
SELECT (SELECT count(*) FROM rocketq.get_topics()), (SELECT count(*) FROM rocketq.get_queues()),
	(SELECT count(*) FROM rocketq.get_groups());
SET ROLE exporter;
SELECT (SELECT count(DISTINCT database) = 2 FROM rocketq.get_topics()), (SELECT count(DISTINCT database) = 2 FROM rocketq.get_queues()),
	(SELECT count(DISTINCT database) = 2 FROM rocketq.get_groups());
EOQ

SKIP:
{
	skip('there is no postgres_exporter', 6)
	  if !rq_program('prometheus-postgres-exporter', 'postgres_exporter');

	my $exporter = rq_exporter($node, '--auto-discover-databases');
	my $metrics = rq_scrape($exporter);
	rq_service_end($exporter);
	my ($failed) = $metrics =~ /^pg_exporter_last_scrape_error (\S+)$/m;
	is($failed, 0, 'no query fails');
	my @missing;
	foreach my $entry (@entries)
	{
		push @missing, map { "$entry->{name}_$_->{name}" }
		  grep { $_->{usage} ne 'LABEL' && !$may_be_empty{ $entry->{name} } && $metrics !~ /^\Q$entry->{name}_$_->{name}\E(_bucket)?[{ ]/m } @{ $entry->{metrics} };
	}
	is("@missing", '', 'all metrics are there');
	my %type = $metrics =~ /^# TYPE (rocketq_\S+) (\S+)$/mg;
	is($type{rocketq_produce_latency_seconds}, 'histogram', 'the histogram is one');
	like($metrics, qr/^rocketq_produce_latency_seconds_bucket\{phase="produce",server="[^"]*",le="0.01"\} \d+$/m,
		'with a limit of 10 ms');
	my %messages = $metrics =~ /^rocketq_topic_messages\{datname="(\w+)",server="[^"]*",topic="orders"\} (\d+)$/mg;
	is_deeply(\%messages, { postgres => 110, shop => 3 }, 'topics of one name in two databases');
	my %lag = map { /datname="(\w+)".*topic="(\S+)"\} (\d+)$/ ? ("$1 $2" => $3) : () } $metrics =~ /^(rocketq_group_lag_messages\{.*)$/mg;
	is_deeply(\%lag, { 'postgres orders' => 100, 'shop orders' => 2, 'shop b.orders' => 0 }, 'and groups');
}

# The number of series is bounded: of topics and groups there are 1000 at most, and
# those in trouble are among them.
$node->safe_psql('postgres', <<'EOQ');
CREATE DATABASE large;
\c large
CREATE EXTENSION rocketq;
DO $$ BEGIN FOR k IN 1 .. 1010 LOOP
	PERFORM rocketq.create_topic('t' || k, 1);
	PERFORM rocketq.create_group('t' || k, 'g');
	IF k % 100 = 0 THEN COMMIT; END IF;
END LOOP; END $$;
SELECT rocketq.produce('t1009', repeat('x', 1000));
EOQ
my %query = map { $_->{name} => $_->{query} } @entries;
my $of_large = <<"EOQ";
SET ROLE exporter;
SELECT (SELECT count(*) FROM ($query{rocketq_topic}) t), (SELECT count(*) FROM ($query{rocketq_topic}) t WHERE topic = 't1009'),
	(SELECT count(*) FROM ($query{rocketq_group}) g),
	(SELECT topics || ' ' || groups || ' ' || messages FROM ($query{rocketq_database}) d)
EOQ
is($node->safe_psql('large', $of_large), '1000|1|1000|1010 1010 1', 'series of many topics');

# All of them work on a standby.
my $standby = rq_standby($node);
rq_catch_up($node, $standby);
my ($standby_entry) = grep { $_->{name} eq 'rocketq_standby' } @entries;
is_deeply([ map { $_->{standby} } rows($node, $standby_entry) ], [ $standby->name ], 'the primary knows its standby');
foreach my $entry (@entries)
{
	my @rows = rows($standby, $entry);
	cmp_ok(scalar(@rows), '>', 0, "$entry->{name} on a standby") if !$may_be_empty{ $entry->{name} };
	is($rows[0]{in_recovery}, 1, 'it says what it is') if $entry->{name} eq 'rocketq';
}
$standby->stop;
$node->stop;

done_testing();

# 010_readme.pl -- README.md and sql/doc are true: each block of SQL on a page
# runs and prints what the page shows, whether that page is read alone or all
# pages in order; and the settings, functions, views, columns and types that
# they list are exactly those that exist.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqDocs;
use Test::More;

my @pages = rq_doc_pages();
my %blocks = map { $_ => [ rq_doc_blocks($_) ] } @pages;

# Where the other languages are run: here (conf), and in 017_readme_workers.pl.
my %runs_elsewhere = map { $_ => 'sql/doc/consumers.md' } qw(psql sh python js);

my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init;
foreach my $block (map { grep { $_->{language} eq 'conf' } @$_ } values %blocks)
{
	$node->append_conf('postgresql.conf', $block->{code});
}
$node->start;

#
# The blocks.
#

# Run statements as in an interactive session; return what they print, without
# trailing blanks, which text files do not keep.
sub shown
{
	my ($db, $code) = @_;
	my ($in, $out, $err) = ($code, '', '');
	my $ok = IPC::Run::run(
		[ 'psql', '-XqP', 'pager=off', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', '-' ],
		'<', \$in, '>', \$out, '2>', \$err);

	return ($ok, $out =~ s/ +$//mgr, $err);
}

# The blocks of a page in a database, one after the other.
sub run_page
{
	my ($page, $db) = @_;
	my $last = '';

	foreach my $block (@{ $blocks{$page} })
	{
		my ($language, $code) = @$block{ 'language', 'code' };
		my $where = "$page, line $block->{line}";

		if ($language eq 'sql')
		{
			(my $ok, $last, my $err) = shown($db, $code);
			ok($ok, "$where: runs") or diag($err);
		}
		elsif ($language eq 'text')
		{
			is($last, "$code\n", "$where: the page shows what psql prints");
		}
		elsif ($language ne 'conf')
		{
			is($page, $runs_elsewhere{$language} // 'nowhere', "$where: $language is run");
		}
		if ($language eq 'psql')
		{
			my ($ok, undef, $err) = shown($db, $code =~ s/ \\watch .*/;/r);
			ok($ok, "$where: its statement runs here, too") or diag($err);
		}
	}
	return;
}

# Each page continues where the README's tour ends, or where the index begins:
# its block creates what the others need.
my $index = 'sql/doc/index.md';
foreach my $page (@pages)
{
	my $db = lc($page =~ s/\W/_/gr);

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	if ($page ne 'README.md' && $page ne $index)
	{
		my ($ok, $out, $err) = shown($db, join('', map { $_->{code} } @{ $blocks{$index} }));
		die "the index does not run: $err" if !$ok;
	}
	run_page($page, $db);
}

# All pages in order in one database; then the extension is removed as the page
# on operations says.
my @way = rq_doc_way();
is_deeply([ sort @way, $index ], [ sort @pages ], 'the links lead to every page');
$node->safe_psql('postgres', 'CREATE DATABASE reader');
run_page($_, 'reader') foreach @way;
is($node->safe_psql('reader', "SELECT count(*) FROM orders WHERE NOT rocketq.json(body) ? 'id'"),
	'0', 'the topic of the pages contains only orders');
my @removal = rq_doc_page('sql/doc/operations.md') =~ /`(DROP (?:EXTENSION|SCHEMA) rocketq[^`]*)`/g;
is(@removal, 2, 'the page on operations says how to remove the extension');
$node->safe_psql('reader', "$_;") foreach @removal;
is($node->safe_psql('reader', "SELECT count(*) FROM pg_class WHERE relname = 'orders'"), '0', 'no topic is left');

# The result of the README's tour, however it is worded.
my $tour = 'readme_md';
is($node->safe_psql($tour, 'SELECT * FROM invoice'), '1|12.50', 'the order was invoiced once');
is($node->safe_psql($tour, q{SELECT rocketq.json(body)->>'id' FROM orders}), '1', 'the rolled back order has no message');

#
# The warning about commit_offset() is true, and the alternatives on the page
# about consumers are not affected by it.
#
my @ways = (
	"SELECT FROM rocketq.consume('orders', 'g') LIMIT 2",
	"DECLARE c CURSOR FOR SELECT FROM rocketq.consume('orders', 'g'); FETCH 2 FROM c; CLOSE c",
	"DO \$\$ DECLARE m record; BEGIN FOR m IN SELECT FROM rocketq.consume('orders', 'g') LOOP EXIT; END LOOP; END \$\$",
	"DO \$\$ DECLARE m record; BEGIN FOR m IN SELECT FROM rocketq.consume('orders', 'g', auto_commit => true) LOOP COMMIT; EXIT; END LOOP; END \$\$");
my ($part, $each, $aside) =
  map { $_->{code} } grep { $_->{language} eq 'sql' && $_->{code} =~ /invoice/ } @{ $blocks{'sql/doc/consumers.md'} };
$node->safe_psql($tour, <<'EOQ');
TRUNCATE invoice;
SELECT rocketq.drop_topic('orders');
SELECT rocketq.create_topic('orders', 2);
SELECT rocketq.produce('orders', jsonb_build_object('id', i), queue_id => i % 2) FROM generate_series(1, 7) i;
EOQ
my $lag = "SELECT sum(lag) FROM rocketq.groups WHERE topic = 'orders' AND consumer_group";
foreach my $way (@ways)
{
	my $commit = $way =~ /auto_commit/ ? '' : "SELECT rocketq.commit_offset('orders', 'g')";

	$node->safe_psql($tour, $commit ? "BEGIN; $way; $commit; COMMIT" : $way);
	is($node->safe_psql($tour, "$lag = 'g'"), '0', "a part is fetched, all is committed: $way");
	$node->safe_psql($tour, "SELECT rocketq.reset_offset('orders', 'g', 'first')");
}
$node->safe_psql($tour, $part);
$node->safe_psql($tour, $each);
is($node->safe_psql($tour, 'SELECT amount, count(*), count(DISTINCT purchase_id) FROM invoice GROUP BY 1 ORDER BY 1'),
	"1|2|2\n2|5|5", 'a part of a batch, then each message by itself');
is($node->safe_psql($tour, 'SELECT count(DISTINCT purchase_id) FROM invoice'), '7', 'each message is delivered once');
is($node->safe_psql($tour, "$lag = 'invoicing'"), '0', 'everything is consumed');

$node->safe_psql($tour, <<'EOQ');
SELECT rocketq.produce('orders', body, 'created', properties => '{"v": 1}', sharding_key => 'ann', queue_id => 0)
FROM unnest(ARRAY['{"id": 8}', 'broken', '{"id": 9}']) body;
EOQ
$node->safe_psql($tour, $aside);
is($node->safe_psql($tour, 'SELECT purchase_id FROM invoice WHERE amount = 3 ORDER BY 1'),
	"8\n9", 'a message that fails does not stop the others');
is($node->safe_psql($tour, <<'EOQ'), 'broken|created|ann|22P02|1', 'the failed message is put aside with all its parts');
SELECT rocketq.text(body), tag, sharding_key, properties->>'state', properties->>'v' FROM orders_failed
EOQ
is($node->safe_psql($tour, "$lag = 'invoicing'"), '0', 'the failed message is not delivered again');

#
# Facts that the pages state without showing them.
#
$node->safe_psql($tour, "BEGIN; SELECT FROM rocketq.consume('orders', 'mistyped'); ROLLBACK");
$node->safe_psql($tour, "BEGIN; SELECT rocketq.create_group('orders', 'undone'); ROLLBACK");
is($node->safe_psql($tour, "SELECT DISTINCT consumer_group FROM rocketq.groups WHERE consumer_group IN ('mistyped', 'undone')"),
	'mistyped', 'a group that consume has created survives a rollback');
is($node->safe_psql($tour, "SELECT pg_filenode_relation(0, pg_relation_filenode('orders'))"),
	'orders', 'kept_by leads to the name of the topic');

# Arguments of the wrong type, and the errors for them.
my %wrong = (
	"produce('orders', 'x', keys => '1')" => 'malformed array literal',
	"produce('orders', 'x', keys => 1)" => 'does not exist',
	"produce('orders', 'x', sharding_key => 42)" => 'does not exist',
	"produce('orders', 'x', tags => 'a')" => 'does not exist',
	"consume('orders', 'g', tag => 'a')" => 'does not exist',
	"consume('orders', 'g', wait => 30)" => 'does not exist');
foreach my $call (sort keys %wrong)
{
	my ($ok, $out, $err) = shown($tour, "SELECT rocketq.$call;");
	like($err, qr/$wrong{$call}/, "refused: $call");
}

#
# The lists.
#

# Compare what a page lists with what a query gives, as sorted lines.
sub same
{
	my ($what, $query, @listed) = @_;
	my @there = split /\n/, $node->safe_psql($tour, $query);

	return is_deeply([ sort @listed ], [ sort @there ], $what)
	  || diag("not listed: @{[missing(\@there, \@listed)]}; not there: @{[missing(\@listed, \@there)]}");
}

# Members of the first list that are not in the second.
sub missing
{
	my ($some, $others) = @_;
	my %other = map { $_ => 1 } @$others;

	return join(', ', grep { !$other{$_} } @$some);
}

my $reference = 'sql/doc/sql.md';
my %unit = (B => 1, kB => 1024, MB => 1024**2, GB => 1024**3,
	ms => 1, s => 1000, min => 60_000, h => 3_600_000, d => 86_400_000);

# Convert a number with a unit to bytes or milliseconds; without a unit it is
# unchanged.
sub in_base_units
{
	my ($value, $default_unit) = @_;
	my ($number, $unit) = $value =~ /^(\d+)([a-zA-Z]*)$/ or return $value;

	$unit ||= $default_unit;
	return $unit ? $number * $unit{$unit} : $number;
}

my %when = (postmaster => 'restart', sighup => 'reload', superuser => 'superuser', user => 'user');
my @settings;
foreach (split /\n/, $node->safe_psql($tour, <<'EOQ'))
SELECT name, boot_val, unit, context FROM pg_settings
WHERE name LIKE 'rocketq.%' AND name NOT IN ('rocketq.fault', 'rocketq.test_extra')
EOQ
{
	my ($name, $default, $unit, $context) = split /\|/;
	push @settings, join(' ', $name, in_base_units($default, $unit), $when{$context});
}
is_deeply(
	[ sort map { join(' ', $_->[0], in_base_units($_->[1]), $_->[2]) } rq_doc_table($reference, 'Settings') ],
	[ sort @settings ],
	'settings, with their defaults and contexts');

# Functions are listed with their whole signature, in indented blocks.
my $text = rq_doc_page($reference);
my @functions = map { s/\s+/ /gr =~ s/timestamptz/timestamp with time zone/gr }
  $text =~ /^ {4}(?:procedure )?(\w+\([^)]*\)(?: → .*)?)$/mg;
push @functions, map { split /`, `/ } map { $_->[0] } rq_doc_table($reference, 'Support functions');
same('functions, with their arguments and results', <<'EOQ', @functions);
SELECT CASE WHEN p.proname ~ '^(get_|dump_|restore_|tableam_)' THEN p.proname
	ELSE p.proname || '(' || regexp_replace(regexp_replace(replace(pg_get_function_arguments(p.oid), '00:00:00', '0'),
		'::[a-z]+(\[\])?', '', 'g'), '\mIN ', '', 'g') || ')' ||
		coalesce(' → ' || pg_get_function_result(p.oid), '') END
FROM pg_proc p WHERE p.pronamespace = 'rocketq'::regnamespace
EOQ

# Views and the type of messages, with their columns.
my $columns = <<'EOQ';
SELECT c.relname || '.' || a.attname || ' ' ||
	replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'rocketq'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
EOQ
my ($views) = rq_doc_page('sql/doc/monitoring.md') =~ /^## Views\n(.*?)^## /ms;
my @listed;
foreach my $view ($views =~ /^### (\w+)$/mg)
{
	push @listed, map { "$view.$_->[0] $_->[1]" } rq_doc_table('sql/doc/monitoring.md', $view);
}
same('views and their columns', "$columns AND c.relkind = 'v'", @listed);
same('the columns of a message', "$columns AND c.relkind = 'c' AND c.relname = 'message'",
	map { "message.$_->[0] $_->[1]" } rq_doc_table($reference, 'Messages'));

# The version is the installed one, and the pages are installed.
my $version = $node->safe_psql($tour, "SELECT extversion FROM pg_extension WHERE extname = 'rocketq'");
like(rq_doc_page($_), qr/^rocketq \Q$version\E |^# rocketq \Q$version\E$/m, "$_ names version $version")
  foreach 'README.md', 'sql/doc/index.md';
my ($installed) = run_command([ 'pg_config', '--docdir' ]);
foreach my $page (grep { m,^sql/doc/, } @pages)
{
	my ($name) = $page =~ m,([^/]+)$,;
	ok(-e "$installed/rocketq/$name", "$page is installed");
}

is($node->safe_psql($tour, 'SELECT * FROM rocketq.verify()'), '', 'the store is sound');
$node->stop;
done_testing();

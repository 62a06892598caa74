# 065_routed.pl -- tables whose rows an extension redirects: the functions do
# not store messages where nobody reads them.

use strict;
use warnings;

use File::Copy;
use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;

rq_seed();
my $node = rq_node('main');
my $dir = PostgreSQL::Test::Utils::tempdir();

copy("$FindBin::RealBin/../router/$_", "$dir/$_") or die "could not copy $_: $!"
  foreach 'router.c', 'Makefile';
{
	local %ENV = %ENV;
	delete @ENV{ grep { /^(MAKE|MFLAGS)/ } keys %ENV };
	my ($out, $err) = run_command([ 'make', '-C', $dir, 'PG_CONFIG=' . ($ENV{PG_CONFIG} // 'pg_config') ]);
	ok(-f "$dir/router.so", 'the extension is built') or BAIL_OUT("$out\n$err");
}

$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('orders', 2), rocketq.create_topic('shell_orders', 2), rocketq.create_topic('shell_alone', 1);
SELECT rocketq.produce('shell_orders', 'before it was one', queue_id => 1);
SELECT rocketq.create_group('shell_orders', 'old');
EOQ
is($node->safe_psql('postgres', "SELECT count(*) FROM rocketq.consume('shell_orders', 'old')"),
	'1', 'without the extension it is a topic like others');

$node->append_conf('postgresql.conf', "session_preload_libraries = '$dir/router'");
rq_reload($node);
rq_poll_query($node, 'the extension', "SELECT current_setting('session_preload_libraries') <> ''");

$node->safe_psql('postgres', "INSERT INTO shell_orders (body) VALUES ('routed')");
is($node->safe_psql('postgres', "SELECT string_agg(rocketq.text(body), ' ') FROM rocketq.consume('orders', 'g')"),
	'routed', 'inserted rows are redirected');

# Each function that reads or stores messages there.
foreach my $call (
	"SELECT rocketq.produce('%s', 'x')",
	"SELECT rocketq.produce('%s', 'x', transactional => false)",
	"SELECT rocketq.produce('%s', '{}'::jsonb)",
	"SELECT * FROM rocketq.produce_batch('%s', ARRAY['x'])",
	"SELECT * FROM rocketq.consume('%s', 'g')",
	"SELECT * FROM rocketq.pull('%s', 0, 0)",
	"SELECT rocketq.commit_offset('%s', 'g')",
	"SELECT rocketq.commit_offset('%s', 'g', 0, 0)",
	"SELECT rocketq.reset_offset('%s', 'g', 'first')",
	"SELECT rocketq.max_offset('%s', 0)",
	"CALL rocketq.wait_for_messages('%s', 'g', '0')",
	"SELECT rocketq.create_group('%s', 'another')")
{
	foreach my $isolation ('read committed', 'serializable')
	{
		my ($rc, $out, $err) = $node->psql('postgres',
			"\\set VERBOSITY verbose\nSET default_transaction_isolation = '$isolation';\n"
			  . sprintf($call, 'shell_orders'));
		like($err, qr/0A000: cannot use rocketq functions on topic "shell_orders".*An extension redirects/s,
			"$isolation: " . sprintf($call, 'shell_orders'));
	}
	is($node->psql('postgres', sprintf($call, $_)), 0, sprintf($call, $_)) foreach 'orders', 'shell_alone';
}
is($node->safe_psql('postgres', "SELECT string_agg(topic::text || ' ' || messages, ', ' ORDER BY topic::text) FROM rocketq.topics"),
	'orders 5, shell_alone 4, shell_orders 1', 'all messages are where they belong');

# A waiter checks again when a topic is truncated, without a snapshot.
my $one = rq_session($node);
$node->safe_psql('postgres', 'TRUNCATE orders');
rq_ask_and_sleep("CALL rocketq.wait_for_messages('orders', 'g', '60 s')", $one);
$node->safe_psql('postgres', 'TRUNCATE orders');
is(rq_asleep($one), 1, 'a waiter keeps waiting after a TRUNCATE');
$node->safe_psql('postgres', "SELECT rocketq.produce('orders', 'new')");
is(rq_answer($one), 't', 'it waits until there is a message');

# A session that has used the topic notices when the table becomes a shell.
is($node->safe_psql('postgres', <<'EOQ'), "1\n1", 'a session that has used the topic');
SELECT count(rocketq.produce('shell_alone', 'x'));
SELECT count(rocketq.produce('shell_alone', 'x'));
EOQ
my ($rc, $out, $err) = $node->psql('postgres', <<'EOQ');
SELECT count(rocketq.produce('shell_alone', 'x'));
ALTER TABLE shell_alone RENAME TO shell_orders_too;
CREATE TABLE orders_too (LIKE rocketq.message) USING rocketq;
SELECT count(rocketq.produce('shell_orders_too', 'x'));
EOQ
like($err, qr/cannot use rocketq functions on topic "shell_orders_too"/, 'a session notices when the topic becomes a shell');

# It can be dumped and dropped.
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', "$dir/dump" ], 'pg_dump');
is($node->psql('postgres', "SELECT rocketq.alter_topic('shell_orders', 3), rocketq.drop_topic('shell_orders')"),
	0, 'alter_topic and drop_topic');

rq_verify($node, 'at the end');
$node->stop;
done_testing();

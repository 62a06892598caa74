# The README's five-minute tour runs, and its monitoring queries do.

use strict;
use warnings FATAL => 'all';

use File::Basename;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The SQL blocks below a heading of the README.
sub sql_below
{
	my ($heading) = @_;
	my $readme = slurp_file(dirname(__FILE__) . '/../../README.md');
	my ($section) = $readme =~ /^## \Q$heading\E\n(.*?)(?=^## )/ms
	  or die "no section \"$heading\" in README.md";

	return join("\n", $section =~ /^```sql\n(.*?)^```/msg);
}

my $node = PostgreSQL::Test::Cluster->new('readme');
$node->init;
$node->start;

my $tour = $node->safe_psql('postgres', sql_below('Five minutes'));
like($tour, qr/^1\|12\.50$/m, 'the order was invoiced once');
like($tour, qr/^orders\|invoicing\|0$/m, 'nothing is left to consume');
like($tour, qr/^\d\|0\|created\|\{"id": 1, "amount": 12\.50\}$/m,
	'another group reads the same message');
unlike($tour, qr/"id": 2/, 'the rolled back order has no message');

# What the box at consume warns of is so, and what it offers is no part of it.
my @ways = (
	"SELECT FROM rocketq.consume('orders', 'g') LIMIT 2",
	"DECLARE c CURSOR FOR SELECT FROM rocketq.consume('orders', 'g'); FETCH 2 FROM c; CLOSE c",
	"DO \$\$ DECLARE m record; BEGIN FOR m IN SELECT FROM rocketq.consume('orders', 'g') LOOP EXIT; END LOOP; END \$\$",
	"DO \$\$ DECLARE m record; BEGIN FOR m IN SELECT FROM rocketq.consume('orders', 'g', auto_commit => true) LOOP COMMIT; EXIT; END LOOP; END \$\$");
$node->safe_psql('postgres', <<'EOQ');
TRUNCATE invoice;
SELECT rocketq.drop_topic('orders');
SELECT rocketq.create_topic('orders', 2);
SELECT rocketq.produce('orders', jsonb_build_object('id', i), queue_id => i % 2) FROM generate_series(1, 7) i;
EOQ
my $lag = "SELECT sum(lag) FROM rocketq.groups WHERE topic = 'orders' AND consumer_group";
foreach my $way (@ways)
{
	my $commit = $way =~ /auto_commit/ ? '' : "SELECT rocketq.commit_offset('orders', 'g')";

	$node->safe_psql('postgres', $commit ? "BEGIN; $way; $commit; COMMIT" : $way);
	is($node->safe_psql('postgres', "$lag = 'g'"), '0', "a part is fetched, all is committed: $way");
	$node->safe_psql('postgres', "SELECT rocketq.reset_offset('orders', 'g', 'first')");
}
$node->safe_psql('postgres', sql_below('SQL reference'));
is($node->safe_psql('postgres', 'SELECT amount, count(*), count(DISTINCT purchase_id) FROM invoice GROUP BY 1 ORDER BY 1'),
	"1|2|2\n2|5|5", 'a part of a batch, then each message by itself');
is($node->safe_psql('postgres', "SELECT count(DISTINCT purchase_id) FROM invoice"), '7', 'each message once');
is($node->safe_psql('postgres', "$lag = 'invoicing'"), '1', 'and all is consumed but what was inserted after');
is($node->safe_psql('postgres', q{SELECT rocketq.json(body)->>'path' FROM orders WHERE rocketq.json(body)->>'id' = '8'}),
	'C:\\dir', 'which has the backslashes that it was written with');

$node->safe_psql('postgres', "SELECT rocketq.create_topic('t')");
$node->safe_psql('postgres', "SELECT rocketq.produce('t', 'x')");
$node->safe_psql('postgres', "SELECT * FROM rocketq.consume('t', 'g')");
$node->safe_psql('postgres', sql_below('Watching'));
$node->safe_psql('postgres', sql_below('Retention'));
pass('the monitoring queries run');

is($node->safe_psql('postgres', 'SELECT * FROM rocketq.verify()'),
	'', 'the store is sound');
$node->stop;
done_testing();

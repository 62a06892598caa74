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

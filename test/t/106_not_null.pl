# 106_not_null.pl -- from 18 on NOT NULL is a constraint that has several ways to
# come to a table: columns that rocketq sets can have it in none of them, and no
# message is produced past one that is allowed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main');

plan skip_all => 'before 18 NOT NULL is not a constraint' if $node->pg_version < 18;

$node->safe_psql('postgres', <<'EOQ');
CREATE TABLE topic (LIKE rocketq.message) USING rocketq;
CREATE TABLE parent (LIKE rocketq.message) PARTITION BY LIST (tag);
CREATE TABLE part PARTITION OF parent FOR VALUES IN ('x') USING rocketq;
CREATE TABLE base (LIKE rocketq.message);
CREATE TABLE child (LIKE rocketq.message) USING rocketq;
ALTER TABLE child INHERIT base;
EOQ

sub refused
{
	my ($statement, $expected) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement;");

	return like($err, $expected, $statement);
}

foreach my $column ('queue_offset', 'message_id', 'born_at', 'stored_at', 'delivery_attempt')
{
	my $error = qr/ERROR:  0A000: column "$column" of a topic cannot be declared NOT NULL/;

	foreach my $table ('topic', 'part', 'parent', 'child', 'base')
	{
		refused("ALTER TABLE $table $_", $error) foreach "ALTER $column SET NOT NULL",
		  "ADD CONSTRAINT n NOT NULL $column",
		  "ADD NOT NULL $column NOT VALID",
		  "ADD CONSTRAINT n CHECK (tag <> ''), ADD NOT NULL $column";
	}
	refused("ALTER TABLE $_ ADD PRIMARY KEY (tag, $column)", qr/ERROR:  0A000: /) foreach 'topic', 'parent';
	refused("ALTER TABLE base ADD CONSTRAINT n NOT NULL $column NO INHERIT; ALTER TABLE base ALTER CONSTRAINT n INHERIT",
		$error);
	$node->safe_psql('postgres', 'ALTER TABLE base DROP CONSTRAINT n');
	refused("CREATE TABLE other (LIKE rocketq.message, NOT NULL $column) USING rocketq", $error);
	$node->safe_psql('postgres', <<"EOQ");
CREATE TABLE strict (LIKE rocketq.message, NOT NULL $column) PARTITION BY LIST (tag);
CREATE TABLE free (LIKE rocketq.message) USING rocketq;
EOQ
	refused("CREATE TABLE other (LIKE strict) USING rocketq", $error);
	refused("CREATE TABLE other PARTITION OF strict DEFAULT USING rocketq", $error);
	refused("ALTER TABLE strict ATTACH PARTITION free DEFAULT", qr/ERROR:  42804: .* must be marked NOT NULL/);
	$node->safe_psql('postgres', 'DROP TABLE strict, free');
}
is( $node->safe_psql('postgres', <<'EOQ'), '0', 'no constraint is left behind');
SELECT count(*) FROM pg_constraint WHERE conrelid IN (SELECT topic_oid FROM rocketq.topics)
EOQ
$node->safe_psql('postgres', "INSERT INTO $_ (tag, body) VALUES ('x', '')") foreach 'topic', 'parent', 'child';

# A producer has found that there is none; then there is.
my %add = (
	'ADD CONSTRAINT tagged NOT NULL tag' => 'tagged',
	'ALTER tag SET NOT NULL' => 'topic_tag_not_null',
	'ADD CONSTRAINT later NOT NULL tag NOT VALID' => 'later');
foreach my $add (sort keys %add)
{
	my $producer = $node->background_psql('postgres', on_error_stop => 0);
	$producer->query_safe("SELECT rocketq.produce('topic', 'b', tag => 'x')") foreach 1 .. 2;
	$node->safe_psql('postgres', "ALTER TABLE topic $add");
	$producer->{stderr} = '';
	$producer->query("SELECT rocketq.produce('topic', 'b')");
	like($producer->{stderr}, qr/ERROR:  cannot produce into topic "topic" with rocketq functions/, "$add: not with produce()");
	refused("INSERT INTO topic (body) VALUES ('')", qr/ERROR:  23502: null value in column "tag"/);
	$node->safe_psql('postgres', "ALTER TABLE topic VALIDATE CONSTRAINT $add{$add}; ALTER TABLE topic DROP CONSTRAINT $add{$add}");
	$producer->quit;
}
is($node->safe_psql('postgres', "SELECT count(*) FROM topic WHERE tag IS NULL"), '0', 'every message has a tag');
rq_verify($node, 'at the end');

done_testing();

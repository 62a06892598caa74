# 086_portals.pl -- a cursor that was opened before a savepoint fails after it:
# PostgreSQL then releases what locks it had, also those it took before the
# savepoint.  What produced through it is still to be committed, so the topic
# must stay locked.  And constraints, which nobody could check for messages that
# are yet to be committed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use RocketqTest;
use RocketqWait;
use Test::More;

my $node = rq_node('main');
my ($one, $two) = rq_sessions($node, 2);
my $topics = 0;

rq_done($two, "SET lock_timeout = '60s'");

# The first row of the query does something, the second one fails.
sub fail_behind_a_savepoint
{
	my ($sql) = @_;

	rq_done($one, 'BEGIN');
	rq_done($one, "DECLARE c CURSOR FOR SELECT $sql, 1 / (2 - i) FROM generate_series(1, 2) i");
	$one->query('FETCH 1 FROM c');
	rq_done($one, 'SAVEPOINT s');
	$one->query('FETCH 1 FROM c');
	like($one->{error}, qr/^(22012|42P01)/, "$sql: the cursor fails");
	rq_done($one, 'ROLLBACK TO s');
	return;
}

sub waits
{
	my ($session) = @_;
	return rq_value($node,
		"SELECT count(*) FROM pg_locks WHERE pid = $session->{pid} AND NOT granted");
}

# An INSERT that a function does.
rq_done($one, <<'EOQ');
CREATE FUNCTION put(topic text, body text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %I (body) VALUES (convert_to($1, ''UTF8''))', topic) USING body;
	RETURN 1;
END
$$
EOQ

foreach my $produce ("rocketq.produce('%s', 'x' || i)", "put('%s', 'x' || i)")
{
	foreach my $ddl ('DROP TABLE %s', 'TRUNCATE %s', "SELECT rocketq.alter_topic('%s', 1)")
	{
		my $topic = 'topic' . ++$topics;

		rq_done($two, "SELECT rocketq.create_topic('$topic', 2)");
		fail_behind_a_savepoint(sprintf($produce, $topic));
		$two->ask(sprintf($ddl, $topic));
		rq_poll('the other one to wait', sub { return waits($two); });
		rq_done($one, 'COMMIT');
		isnt(rq_answer($two), 'no answer', sprintf($ddl, $topic) . ' goes on after the commit');
		is($two->{error}, '', 'and succeeds') if $ddl !~ /alter/;
		next if $ddl !~ /alter/;
		is(rq_value($node, "SELECT rocketq.text(body) FROM $topic"), 'x1', 'the message is there');
	}
}

# A change of the topic itself.
foreach my $ddl ("rocketq.alter_topic('%s', 5)", "rocketq.drop_topic('%s')")
{
	my $topic = 'topic' . ++$topics;

	rq_done($two, "SELECT rocketq.create_topic('$topic', 2)");
	fail_behind_a_savepoint(sprintf($ddl, $topic) . ' IS NULL');
	$two->ask("SELECT rocketq.produce('$topic', 'y', queue_id => 1) > 0");
	rq_poll('a producer to wait', sub { return waits($two); });
	rq_done($one, 'ROLLBACK');
	is(rq_answer($two), 't', sprintf($ddl, $topic) . ': a producer waits for it');
	is(rq_value($node, "SELECT queues || ' ' || messages FROM rocketq.topics WHERE topic = '$topic'"),
		'2 1', 'and finds the topic as it was');
}

# Constraints.
rq_done($one, "SELECT rocketq.create_topic('checked', 1)");
rq_done($one, 'CREATE TABLE parent (LIKE rocketq.message) PARTITION BY LIST (tag)');
foreach my $ddl ("ALTER TABLE checked ADD CHECK (tag <> 'bad')",
	'ALTER TABLE checked ALTER COLUMN tag SET NOT NULL',
	"ALTER TABLE parent ATTACH PARTITION checked FOR VALUES IN ('good')")
{
	rq_done($one, 'BEGIN');
	rq_done($one, "SELECT rocketq.produce('checked', 'x', tag => 'bad') > 0");
	$one->query($ddl);
	like($one->{error}, qr/^55006.*into which this transaction has produced/s, $ddl);
	rq_done($one, 'ROLLBACK');
	rq_done($one, 'BEGIN');
	rq_done($one, 'SAVEPOINT a');
	rq_done($one, "SELECT rocketq.produce('checked', 'x', tag => 'bad') > 0");
	rq_done($one, 'ROLLBACK TO a');
	rq_done($one, $ddl);
	pass("$ddl, after what was produced has been rolled back");
	rq_done($one, 'ROLLBACK');
}
rq_done($one, "ALTER TABLE parent ATTACH PARTITION checked DEFAULT");
rq_done($one, 'BEGIN');
rq_done($one, "INSERT INTO parent (tag, body) VALUES ('bad', '')");
$one->query("CREATE TABLE heap PARTITION OF parent FOR VALUES IN ('bad')");
like($one->{error}, qr/^55006/, 'a new partition takes rows from the default one');
rq_done($one, 'ROLLBACK');

is($node->safe_psql('postgres', 'SELECT * FROM rocketq.verify()'), '', 'the store is sound');

done_testing();

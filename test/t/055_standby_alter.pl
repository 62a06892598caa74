# 055_standby_alter.pl -- a standby has the queues of an altered topic as soon
# as the commit is replayed, not only when the primary's janitor settles it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $primary = rq_node('primary', allows_streaming => 1);
$primary->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('grown', 1);
SELECT rocketq.create_topic('kept', 3);
SELECT rocketq.create_topic('cut', 3);
SELECT rocketq.create_group('grown', 'g');
SELECT rocketq.produce('kept', 'three', queue_id => 2);
EOQ
rq_wait_ticks($primary, 'janitor', 2);
my $standby = rq_standby($primary);

# Nobody settles anything from now on.
my $janitor = rq_worker_pid($primary, 'janitor');
kill('STOP', $janitor) or die "could not stop the janitor: $!";

$primary->safe_psql('postgres', <<'EOQ');
SELECT rocketq.alter_topic('grown', 3);
SELECT rocketq.produce('grown', 'two', queue_id => 1);
BEGIN;
SELECT rocketq.create_group('kept', 'all', 'last');
SELECT rocketq.reset_offset('kept', 'all', 'last');
COMMIT;
BEGIN;
SELECT rocketq.alter_topic('kept', 1);
ROLLBACK;
SELECT rocketq.alter_topic('cut', 1);
EOQ
rq_catch_up($primary, $standby);

sub shown
{
	my ($topic) = @_;
	return $standby->safe_psql('postgres',
		"SELECT string_agg(queue_id || ':' || messages, ' ' ORDER BY queue_id) FROM rocketq.queues WHERE topic = '$topic'");
}

is(shown('grown'), '0:0 1:1 2:0', 'added queues');
is($standby->safe_psql('postgres', "SELECT rocketq.text(body) FROM rocketq.pull('grown', 1, 0)"), 'two', 'the messages of an added queue');
is($standby->safe_psql('postgres', "SELECT count(*) FROM rocketq.groups WHERE topic = 'grown'"), '3', 'the group has the added queues');
is(shown('kept'), '0:0 1:0 2:1', 'queues whose removal was rolled back');
is($standby->safe_psql('postgres', 'SELECT rocketq.text(body) FROM kept'), 'three', 'with their messages');
is(shown('cut'), '0:0', 'removed queues');

kill('CONT', $janitor);
rq_wait_ticks($primary, 'janitor', 2);
rq_catch_up($primary, $standby);
is(shown('grown'), '0:0 1:1 2:0', 'more queues, settled');
is(shown('kept'), '0:0 1:0 2:1', 'as many, settled');
is(shown('cut'), '0:0', 'fewer, settled');

# What a session of the standby has seen of a topic's columns does not hold after
# the primary has changed them.
$primary->safe_psql('postgres', 'ALTER TABLE grown ALTER tag SET DEFAULT \'d\'');
rq_catch_up($primary, $standby);
rq_verify($_) foreach ($primary, $standby);
$primary->stop;
$standby->promote;
my ($rc, $out, $err) = $standby->psql('postgres', "SELECT rocketq.produce('grown', 'no tag')");
like($err, qr/cannot produce into topic "grown" with rocketq functions/, 'columns that the primary has changed');
$standby->stop;
done_testing();

# 087_power_gap.pl -- the power is cut after two checkpoints: one while the log
# has a stretch that a statement is still gathering messages for, and one after
# that has been stored and logged, with nothing else changed.  The second one
# begins after the stretch's record, so it must have brought the stretch to disk.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use RocketqPower;
use RocketqTest;
use RocketqWait;
use Test::More;

rq_power_require();
rq_seed();

my $node = rq_power_node('ext4', conf => "checkpoint_timeout = '1h'\n");

$node->safe_psql('postgres', "SELECT rocketq.create_topic('t', 1)");

my ($one, $two) = rq_sessions($node, 2);

# The statement stops when it has gathered messages, until the lock is free.
rq_done($two, 'SELECT pg_advisory_lock(1)');
rq_done($one, 'BEGIN');
$one->ask(<<'EOQ');
SELECT count(rocketq.produce('t', 'm' || i)), count(CASE WHEN i = 1000 THEN pg_advisory_lock(1)::text END)
FROM generate_series(1, 1000) i
EOQ
rq_poll_query($node, 'the statement to wait',
	"SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $one->{pid} AND locktype = 'advisory' AND NOT granted)");

$node->safe_psql('postgres', 'CHECKPOINT');
rq_done($two, 'SELECT pg_advisory_unlock(1)');
is(rq_answer($one), '1000', 'the statement ends');
$node->safe_psql('postgres', 'CHECKPOINT');
rq_done($one, 'COMMIT');
rq_power_cut($node, 'nothing');
rq_power_start($node);
is($node->safe_psql('postgres', 'SELECT count(rocketq.text(body)) FROM t'), '1000', 'all messages are there');
is($node->safe_psql('postgres', 'SELECT * FROM rocketq.verify()'), '', 'the store is sound');

done_testing();

# 054_janitor_rounds.pl -- whatever users can make arbitrarily large does not
# hold up the workers' rounds.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $copies = 500_000;
my $groups = 2000;
my $node = rq_node('main', conf => <<"EOC");
rocketq.janitor_interval = '10ms'
rocketq.max_groups_per_topic = 10000
rocketq.max_consumer_slots_per_topic = 100000
rocketq.log_store = off
EOC

rq_require_faults($node);

# Copies of messages in one queue, and before every tenth of them some that
# failed after they had been enqueued.
$node->safe_psql('postgres', <<"EOQ");
SELECT rocketq.create_topic('source', 1), rocketq.create_topic('big', 1);
INSERT INTO source (body) SELECT '' FROM generate_series(1, $copies / 10);
EOQ
foreach my $i (1 .. 10)
{
	my ($rc, $out, $err) = $node->psql('postgres', <<"EOQ");
SET rocketq.fault = 'precommit-done=error';
INSERT INTO big SELECT * FROM source LIMIT 1000 * $i;
EOQ
	like($err, qr/precommit-done/, 'a transaction fails behind its entries');
	$node->safe_psql('postgres', 'INSERT INTO big SELECT * FROM source');
}

# Groups as they are in a dump.
sub restore_groups
{
	my ($prefix, $total, $left) = @_;
	$node->safe_psql('postgres', <<"EOQ");
INSERT INTO rocketq.saved_groups
SELECT 'public.big', '$prefix' || i, ARRAY[$total], ARRAY[$left] FROM generate_series(1, $groups) i
EOQ
	return;
}

#
# Groups that wait for messages that never come.  Checking all copies for each
# of them would make a round take many seconds, and many rounds longer than the
# test waits.
#
restore_groups('wait', '9223372036854775807', 0);
rq_wait_ticks($node, 'janitor', 100);
pass('rounds go on beside groups that wait');
is($node->safe_psql('postgres', "SELECT rocketq.committed_offset('big', 'wait1', 0)"),
	'0', 'groups without offsets yet');
$node->safe_psql('postgres', <<'EOQ');
DO $$ BEGIN PERFORM rocketq.drop_group('big', 'wait' || i) FROM generate_series(1, 2000) i; END $$
EOQ
rq_poll_query($node, 'their slots to be free', 'SELECT count(*) = 0 FROM rocketq.get_groups()');

#
# Groups that have an offset, each a different one: rounds continue while these
# are found, and they are correct.
#
restore_groups('place', $copies, "($copies::bigint - 1) / $groups * i + i % 2");
rq_wait_ticks($node, 'janitor', 20);
pass('rounds go on while places are found');

# The view itself does not search that far.
rq_poll_query($node, 'the places to be found',
	'SELECT bool_and(committed_offset > 0) FROM rocketq.get_groups()');
is($node->safe_psql('postgres', <<"EOQ"), "$groups|$groups", 'each group is behind what it had consumed');
WITH m AS (SELECT queue_offset, row_number() OVER (ORDER BY queue_offset) AS n FROM big),
	g AS (SELECT committed_offset, substr(consumer_group, 6)::bigint AS i FROM rocketq.get_groups())
SELECT count(*), count(*) FILTER (WHERE committed_offset = queue_offset + 1)
FROM g JOIN m ON m.n = $copies - (($copies::bigint - 1) / $groups * i + i % 2)
EOQ

#
# What retention takes from groups at many offsets is counted in one pass, and
# correctly for each of them: messages from its offset to the queue's new
# start.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.drop_topic('big'), rocketq.drop_topic('source'), rocketq.create_topic('loss', 1);
SELECT count(rocketq.produce('loss', repeat('x', 400))) FROM generate_series(1, 20000) i;
EOQ
$node->psql('postgres', <<'EOQ');
SET rocketq.fault = 'precommit-done=error';
SELECT count(rocketq.produce('loss', 'never')) FROM generate_series(1, 777) i;
EOQ
$node->safe_psql('postgres', <<'EOQ');
SELECT count(rocketq.produce('loss', repeat('x', 400))) FROM generate_series(1, 20000) i;
CREATE TABLE was AS SELECT queue_offset FROM loss;
SELECT rocketq.create_group('loss', 'g' || i) FROM generate_series(0, 99) i;
SELECT rocketq.reset_offset('loss', 'g' || i, 0, i * 400) FROM generate_series(0, 99) i;
CREATE TABLE place AS SELECT consumer_group, committed_offset FROM rocketq.groups;
EOQ
is($node->safe_psql('postgres', 'SELECT max(queue_offset) FROM was'), '40776', 'some were rolled back');
$node->append_conf('postgresql.conf', <<'EOC');
rocketq.keep_unconsumed = off
rocketq.retention_size = '2MB'
EOC
rq_reload($node);
rq_poll_query($node, 'most of the messages to go',
	"SELECT rocketq.min_offset('loss', 0) > 25000");
rq_wait_ticks($node, 'janitor', 2);
is($node->safe_psql('postgres', <<'EOQ'), '100|100', 'each group has lost what lay between');
SELECT count(*), count(*) FILTER (WHERE lost_messages = (SELECT count(*) FROM was
	WHERE queue_offset >= p.committed_offset AND queue_offset < rocketq.min_offset('loss', 0)))
FROM rocketq.groups JOIN place p USING (consumer_group)
EOQ

#
# Giving back what was trimmed releases the meta lock after each queue.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('files', 1);
SELECT count(rocketq.produce('files', repeat('x', 400))) FROM generate_series(1, 8000) i;
EOQ
my $janitor = rq_worker_pid($node, 'janitor');
rq_arm($node, 'trim-cut=stop');
$node->safe_psql('postgres', "SELECT rocketq.alter_topic('files', retention_time => '0')");
rq_poll_stopped($janitor);
my ($rc, $out, $err) = $node->psql('postgres', "SELECT rocketq.create_topic('between', 1)",
	timeout => $PostgreSQL::Test::Utils::timeout_default);
is("$rc $err", '0 ', 'a topic is created while queues are cut');
rq_arm($node, '');
my $ticks = $node->safe_psql('postgres', "SELECT ticks FROM rocketq.workers WHERE worker = 'janitor'");
rq_poll('the janitor to end its round', sub {
		kill('CONT', $janitor);
		return $node->safe_psql('postgres', "SELECT ticks > $ticks FROM rocketq.workers WHERE worker = 'janitor'") eq 't';
	});

#
# One that cannot be settled does not hold up those after it: a group whose
# creation is to be settled, an offset, and a restored group.
#
$node->safe_psql('postgres', <<'EOQ');
CREATE EXTENSION pg_walinspect;
SELECT rocketq.create_topic('few', 1), rocketq.create_topic('copies', 1);
SELECT count(rocketq.produce('few', 'm')) FROM generate_series(1, 5);
EOQ
my $from = rq_flush($node);
$janitor = rq_pause($node, 'rocketq janitor');
$node->safe_psql('postgres', <<'EOQ');
INSERT INTO copies SELECT * FROM few;
SELECT rocketq.create_group('few', 'f' || i) FROM generate_series(1, 6) i;
INSERT INTO rocketq.saved_groups SELECT 'public.copies', 's' || i, '{5}', '{2}' FROM generate_series(1, 3) i;
EOQ
my %id = split /[|\n]/, $node->safe_psql('postgres', 'SELECT consumer_group, group_id FROM rocketq.get_groups()');
rq_arm($node, "group-settle=error\@$id{f3},offset-settle=error\@$id{f4},saved-look=error\@$id{s2}");
kill('CONT', $janitor);
rq_wait_ticks($node, 'keeper', 2);
$node->safe_psql('postgres', "SELECT (SELECT count(*) FROM rocketq.consume('few', 'f' || i, auto_commit => true)) FROM generate_series(1, 6) i");

# There is a record of that for each of these groups.
sub settled
{
	my ($type, $what, @groups) = @_;
	foreach my $group (@groups)
	{
		rq_poll("$type of group $group", sub {
			rq_flush($node);
			return $node->safe_psql('postgres', <<"EOQ") > 0;
SELECT count(*) FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn())
WHERE resource_manager = 'rocketq' AND record_type = '$type' AND description ~ 'group $id{$group} $what'
EOQ
		});
	}
	return pass("$type @groups");
}

settled('GROUP', 'queues 0', qw(f1 f2 f4 f5 f6));
settled('SETTLE', 'queue 0 committed 5', qw(f1 f2 f3 f5 f6));
settled('SETTLE', 'queue 0 committed 3', qw(s1 s3));
rq_arm($node, '');
settled('GROUP', 'queues 0', 'f3');
settled('SETTLE', 'queue 0 committed 5', 'f4');
settled('SETTLE', 'queue 0 committed 3', 's2');

rq_verify($node, 'at the end');
$node->stop;
done_testing();

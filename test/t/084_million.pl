# 084_million.pl -- many queues, each with a message and a group: made,
# checkpointed, lost in a crash, recovered, consumed and dropped.  RQ_QUEUES and
# RQ_TOPICS say how many.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $topics = $ENV{RQ_TOPICS} // 1_000;
my $queues = $ENV{RQ_QUEUES} // 1_000_000;
my $each = int($queues / $topics);
$queues = $topics * $each;

# A recovery of that many may take longer than others.
local $ENV{PGCTLTIMEOUT} = 900;

# Just as many as are needed, so that what a drop leaves would be missing.
# Slots are given out in blocks, and not more than 65,535 queues to a topic.
my $slots = $topics * (int(($each + 7) / 8) * 8);
my $node = rq_node('main', conf => <<"EOC");
rocketq.max_topics = @{[ $topics < 16 ? 16 : $topics ]}
rocketq.max_groups = @{[ $topics < 16 ? 16 : $topics ]}
rocketq.max_queues = $slots
rocketq.max_queues_per_topic = 65535
rocketq.max_consumer_slots = $slots
rocketq.max_consumer_slots_per_topic = 65535
max_wal_size = '4GB'
EOC

sub value
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# Do something for topics, each in a transaction of its own; %s is the topic.
sub each_topic
{
	my ($first, $last, $sql) = @_;
	return value(<<"EOQ");
DO \$do\$ BEGIN FOR k IN $first .. $last LOOP
	EXECUTE replace(\$sql\$ $sql \$sql\$, '%s', 't' || k);
	COMMIT;
END LOOP; END \$do\$
EOQ
}

sub create
{
	each_topic(1, $topics, "SELECT rocketq.create_topic('%s', $each)");
	return each_topic(1, $topics, "SELECT rocketq.create_group('%s', 'g')");
}

# A message to each of some queues of all topics.
sub produce
{
	my ($condition) = @_;
	return each_topic(1, $topics, <<"EOQ");
SELECT count(rocketq.produce('%s', '%s.' || q, queue_id => q))
FROM generate_series(0, $each - 1) q WHERE $condition
EOQ
}

sub consume
{
	my ($first, $last) = @_;
	return each_topic($first, $last, <<'EOQ');
INSERT INTO got SELECT '%s.' || queue_id, convert_from(body, 'UTF8')
FROM rocketq.consume('%s', 'g', 100000, auto_commit => true)
EOQ
}

# Queues, messages and what is left to consume.
sub counts
{
	return value(<<'EOQ');
SELECT (SELECT count(*) FROM rocketq.queues), (SELECT sum(messages) FROM rocketq.topics),
	(SELECT count(*) FROM rocketq.groups), (SELECT sum(lag) FROM rocketq.groups)
EOQ
}

#
# Made, and half of them checkpointed.
#
value('CREATE TABLE got (queue text, body text)');
create();
is(counts(), "$queues|0|$queues|0", "$queues queues in $topics topics");
produce('q % 2 = 0');
value('CHECKPOINT');
produce('q % 2 = 1');
is(counts(), "$queues|$queues|$queues|$queues", 'each has a message');

my $tenth = int(($topics + 9) / 10);
consume(1, $tenth);
my $left = $queues - $tenth * $each;
is(counts(), "$queues|$queues|$queues|$left", 'some are consumed');

#
# A crash.
#
rq_kill9($node, all => 1);
rq_start($node);
is(counts(), "$queues|$queues|$queues|$left", 'all is there after a crash');
rq_verify($node, 'after a crash');

# Twice, of which the first time finds all that is left.
consume($tenth + 1, $topics);
is(value('SELECT count(*) FROM got'), $queues, 'every message is consumed');
consume(1, $topics);
is(value('SELECT count(*), count(DISTINCT queue), count(*) FILTER (WHERE body <> queue) FROM got'),
	"$queues|$queues|0", 'once, and from its queue');
is(counts(), "$queues|$queues|$queues|0", 'nothing is left to consume');

# Without a crash.
$node->restart;
is(counts(), "$queues|$queues|$queues|0", 'a restart changes nothing');

#
# Dropped.
#
sub left
{
	return value(<<'EOQ');
SELECT (SELECT count(*) FROM rocketq.get_topics()), (SELECT count(*) FROM rocketq.get_queues()),
	(SELECT count(*) FROM rocketq.get_groups())
EOQ
}

each_topic(1, $topics, 'DROP TABLE %s');
rq_poll('the janitor to drop them', sub { return left() eq '0|0|0'; });
rq_verify($node, 'after the drop');
rq_kill9($node, all => 1);
rq_start($node);
is(left(), '0|0|0', 'nothing comes back with a crash');

# All slots are free again.
create();
is(counts(), "$queues|0|$queues|0", 'as many can be made again');
rq_verify($node, 'at the end');
$node->stop;
done_testing();

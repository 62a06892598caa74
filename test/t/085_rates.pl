# 085_rates.pl -- of many queues those that grow have a rate, up to a number; the
# places in which their samples are kept are used again.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

# There are 4096 places, of which a topic can have half.
my $share = 2048;
my $node = rq_node('main', conf => <<'EOC');
rocketq.max_queues = 16384
rocketq.max_queues_per_topic = 16384
rocketq.janitor_interval = 50ms
EOC

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# A message for each of these queues of a topic.
sub produce
{
	my ($topic, $from, $to) = @_;
	sql("SELECT count(rocketq.produce('$topic', 'x', queue_id => i)) FROM generate_series($from, $to - 1) i");
	return;
}

# Queues with a rate above zero, those with a rate of zero, those without.
sub rates
{
	my ($topic) = @_;
	return sql(<<"EOQ");
SELECT count(*) FILTER (WHERE produced_per_second > 0) || ' ' ||
	count(*) FILTER (WHERE produced_per_second = 0) || ' ' ||
	count(*) FILTER (WHERE produced_per_second IS NULL)
FROM rocketq.queues WHERE topic = '$topic'
EOQ
}

sub topic_rate
{
	my ($topic) = @_;
	return sql("SELECT coalesce(round(produced_per_second::numeric * 30, 1)::text, 'unknown') FROM rocketq.topics WHERE topic = '$topic'");
}

sql(q{SELECT rocketq.create_topic('wide', 3000); SELECT rocketq.create_topic('other', 2)});
is(rates('wide'), '0 3000 0', 'queues that never had a message have a rate');
is(topic_rate('wide'), '0.0', 'and so has their topic');

# Each had its last message at an unknown time more than half a minute ago.
produce('wide', 0, 3000);
produce('other', 0, 1);
is(rates('wide'), "$share 0 " . (3000 - $share), 'only so many queues of a topic have places');
is(topic_rate('wide'), 'unknown', 'its rate is not known, rather than too low');
is(rates('other'), '1 1 0', 'another topic has places');
is(sql(<<'EOQ'), 't|t', 'the rate is the number of messages by the time');
SELECT produced_per_second * extract(epoch FROM clock_timestamp() - rates_since) BETWEEN 1 AND 1.5,
	rates_since BETWEEN clock_timestamp() - interval '40 s' AND clock_timestamp() - interval '30 s'
FROM rocketq.queues WHERE topic = 'other' AND queue_id = 0
EOQ

# After an interval, all of these are at rest, and others get the places.
rq_poll_query($node, 'the queues to be at rest',
	q{SELECT produced_per_second = 0 FROM rocketq.topics WHERE topic = 'wide'});
is(rates('wide'), '0 3000 0', 'queues at rest');
produce('wide', 3000 - $share, 3000);
is(rates('wide'), $share . ' ' . (3000 - $share) . ' 0', 'others have got their places');

# Dropped queues give their places back at once: both topics together have as many
# as there are.
sql(q{SELECT rocketq.drop_topic('wide')});
sql(q{SELECT rocketq.create_topic(t, 2100) FROM unnest('{a,b}'::text[]) t});
rq_poll_query($node, 'the topic to go', 'SELECT count(*) = 3 FROM rocketq.topics');
produce($_, 0, $share - 1) foreach 'a', 'b';
is(rates($_), ($share - 1) . ' ' . (2100 - $share + 1) . ' 0', "places of dropped queues, topic $_")
  foreach 'a', 'b';

# After a crash, a queue goes on from its last message.
produce('other', 0, 2);
$node->stop('immediate');
$node->start;
produce('other', 0, 1);
rq_poll_query($node, 'rates after a crash',
	q{SELECT count(rates_since) = 2 FROM rocketq.queues WHERE topic = 'other'});
is(sql(<<'EOQ'), '1|f', 'messages from before the crash do not count');
SELECT round((produced_per_second * extract(epoch FROM clock_timestamp() - rates_since))::numeric, 0),
	produced_per_second = 0
FROM rocketq.queues WHERE topic = 'other' AND queue_id = 0
EOQ

rq_verify($node, 'at the end');
$node->stop;
done_testing();

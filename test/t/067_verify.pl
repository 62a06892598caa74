# 067_verify.pl -- verify() holds no lock while it reads: topics and queues
# dropped concurrently are not reported as problems, and hide no problems of
# others.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', conf => <<'EOC');
rocketq.janitor_interval = '50ms'
EOC
rq_require_faults($node);
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic(t, 4) FROM unnest('{smaller,dropped,other}'::text[]) t;
SELECT rocketq.produce(t, 'm', queue_id => q)
	FROM unnest('{smaller,dropped,other}'::regclass[]) t, generate_series(0, 3) q;
SELECT count(*) FROM rocketq.consume('smaller', 'g', auto_commit => true);
EOQ

# The first entry of the first queue points elsewhere.
my $key = rq_topic_key($node, 'smaller');
my ($entry) = rq_entries($node, $key, 0, 0, 1);
my ($extent) = rq_extents_of($node, $key, 0);
rq_overwrite($extent->{path}, $extent->{at}, chr(ord($entry) ^ 1));
my $count = 'SELECT count(*), min(what) LIKE \'%queue 0 of topic%\' FROM ';
is($node->safe_psql('postgres', "$count rocketq.verify()"), '1|t', 'there is a problem');

# It stops while it checks a queue, which is then removed; so its slot is free,
# or belongs to another queue.
foreach my $case (
	[ 'smaller', "SELECT rocketq.alter_topic('smaller', 2)", '' ],
	[ 'dropped', 'DROP TABLE dropped', '' ],
	[ 'other', 'DROP TABLE other', "SELECT rocketq.create_topic('taker', 4)" ])
{
	my ($topic, $change, $after) = @$case;
	my $queue = $node->safe_psql('postgres', "SELECT pg_relation_filenode('$topic')::bigint << 32 | 3");
	my ($session, $pid) = rq_stopped_session($node, "verify-queue\@$queue", 'SELECT 1',
		'CREATE TABLE found AS SELECT * FROM rocketq.verify();');

	$node->safe_psql('postgres', $change);
	rq_wait_ticks($node, 'janitor', 3);
	$node->safe_psql('postgres', $after);
	rq_resume_session($node, $session, $pid);
	$session->quit;
	is($node->safe_psql('postgres', "$count found; DROP TABLE found"), '1|t',
		"it is the only problem after $change");
}

done_testing();

# 043_subscription.pl -- a topic as the target of logical replication: rows that
# are inserted into a table elsewhere become messages here.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

# One server, two databases; the slot is created by hand, because CREATE
# SUBSCRIPTION would wait for its own transaction.
my $node = rq_node('main', conf => <<'EOC');
wal_level = logical
max_wal_senders = 8
max_replication_slots = 8
max_worker_processes = 16
EOC

sub caught_up
{
	my $lsn = $node->safe_psql('postgres', 'SELECT pg_current_wal_lsn()');
	return rq_poll_query($node, 'the subscription to catch up',
		"SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = 'orders'"
	);
}

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', <<'EOQ');
CREATE EXTENSION rocketq;
SELECT rocketq.create_topic('orders', 1);
EOQ
$node->safe_psql('postgres', <<'EOQ');
CREATE TABLE orders (body bytea, tag text, properties jsonb);
INSERT INTO orders SELECT convert_to('early ' || i, 'UTF8'), 'early', '{}' FROM generate_series(1, 1000) i;
CREATE PUBLICATION orders FOR TABLE orders;
SELECT pg_create_logical_replication_slot('orders', 'pgoutput');
EOQ
my $connection = $node->connstr('postgres') =~ s/'/''/gr;
$node->safe_psql('other',
	"CREATE SUBSCRIPTION orders CONNECTION '$connection' PUBLICATION orders WITH (create_slot = false)"
);
rq_poll('the first copy', sub {
	return $node->safe_psql('other',
		"SELECT count(*) FROM pg_subscription_rel WHERE srsubstate = 'r'") eq '1';
});
is($node->safe_psql('other', 'SELECT count(*), min(tag) FROM orders'),
	'1000|early', 'what was there is copied');

$node->safe_psql('postgres', <<'EOQ');
INSERT INTO orders VALUES ('one', 'late', '{"n": 1}');
BEGIN;
INSERT INTO orders VALUES ('two', 'late', NULL);
SAVEPOINT s;
INSERT INTO orders VALUES ('undone', 'late', NULL);
ROLLBACK TO s;
INSERT INTO orders SELECT convert_to(repeat(i::text, 3000), 'UTF8'), 'large' FROM generate_series(1, 10) i;
COMMIT;
EOQ
caught_up();
is( $node->safe_psql('other',
		"SELECT string_agg(rocketq.text(body) || coalesce(properties::text, ''), ' ' ORDER BY queue_offset) FROM orders WHERE tag = 'late'"
	),
	'one{"n": 1} two',
	'what is inserted comes as messages, in order');
is( $node->safe_psql('other',
		"SELECT sum(length(body)) FROM rocketq.consume('orders', 'g', 10000, tags => 'large')"
	),
	'33000',
	'and is consumed');

$node->safe_psql('postgres', 'TRUNCATE orders');
$node->safe_psql('postgres', "INSERT INTO orders VALUES ('three')");
caught_up();
is($node->safe_psql('other', 'SELECT rocketq.text(body) FROM orders'),
	'three', 'TRUNCATE is followed');

$node->safe_psql('other', 'DROP SUBSCRIPTION orders');
rq_verify($node, 'at the end');
$node->stop;

done_testing();

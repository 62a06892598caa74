# 026_ddl.pl -- topics and groups are created and dropped in transactions, with
# crashes in between: the store contains what the catalog does, and nothing
# else.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;
use Time::HiRes qw(usleep);

rq_seed();
my $node = rq_node('main', conf => <<'EOC');
rocketq.segment_size = '1MB'
rocketq.janitor_interval = '20ms'
rocketq.max_topics = 64
rocketq.max_queues = 640
rocketq.max_consumer_slots = 960
max_locks_per_transaction = 256
EOC

# Each client has topics of its own, so that none waits long for another. It
# records whatever it does in the same transaction.
$node->safe_psql('postgres', <<'EOQ');
CREATE SCHEMA ddl;
CREATE TABLE ddl.topics (name text PRIMARY KEY, messages int NOT NULL);
CREATE TABLE ddl.groups (name text, grp text, consumed int NOT NULL, PRIMARY KEY (name, grp));
CREATE TABLE ddl.at_once (id bigserial);
SELECT rocketq.create_topic('ddl.at_once_topic', 2);

CREATE FUNCTION ddl.make(t text, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rocketq.produce(('ddl.' || t)::regclass, t || repeat('.', 50))
		FROM generate_series(1, n);
	UPDATE ddl.topics SET messages = messages + n WHERE name = t;
END $$;

CREATE FUNCTION ddl.undo(t text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rocketq.create_topic('ddl.gone' || t, 2);
	PERFORM rocketq.produce(('ddl.gone' || t)::regclass, 'x');
	PERFORM rocketq.create_group(('ddl.' || t)::regclass, 'gone');
	RAISE 'undo';
EXCEPTION WHEN raise_exception THEN
	NULL;
END $$;

CREATE FUNCTION ddl.step(t text, kind int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	topic regclass := to_regclass('ddl.' || t);
	g text := 'g' || kind % 3;
	got int;
BEGIN
	IF topic IS NULL THEN
		PERFORM rocketq.create_topic('ddl.' || t, 1 + kind % 4);
		INSERT INTO ddl.topics VALUES (t, 0);
		PERFORM ddl.make(t, kind % 50);
	ELSIF kind < 15 THEN
		DELETE FROM ddl.groups WHERE name = t;
		DELETE FROM ddl.topics WHERE name = t;
		EXECUTE format('DROP TABLE %s', topic);
		IF kind < 5 THEN
			PERFORM rocketq.create_topic('ddl.' || t, 1 + kind % 4);
			INSERT INTO ddl.topics VALUES (t, 0);
			PERFORM ddl.make(t, 5);
		END IF;
	ELSIF kind < 25 THEN
		EXECUTE format('TRUNCATE %s', topic);
		UPDATE ddl.groups SET consumed = 0 WHERE name = t;
		UPDATE ddl.topics SET messages = 0 WHERE name = t;
		PERFORM ddl.make(t, kind % 10);
	ELSIF kind < 50 THEN
		IF EXISTS (SELECT FROM ddl.groups WHERE name = t AND grp = g) THEN
			PERFORM rocketq.drop_group(topic, g);
			DELETE FROM ddl.groups WHERE name = t AND grp = g;
		END IF;
		IF kind < 40 THEN
			PERFORM rocketq.create_group(topic, g);
			INSERT INTO ddl.groups VALUES (t, g, 0);
		END IF;
	ELSIF kind < 70 THEN
		IF EXISTS (SELECT FROM ddl.groups WHERE name = t AND grp = g) THEN
			SELECT count(*) INTO got FROM rocketq.consume(topic, g, 20, auto_commit => true);
			UPDATE ddl.groups SET consumed = consumed + got WHERE name = t AND grp = g;
		END IF;
	ELSE
		PERFORM ddl.make(t, kind % 20);
	END IF;
	IF kind % 7 = 0 AND to_regclass('ddl.' || t) IS NOT NULL THEN
		PERFORM ddl.undo(t);
	END IF;
END $$;

-- What a topic shows: its messages and those that a group has consumed.
CREATE FUNCTION ddl.problems() RETURNS SETOF text LANGUAGE sql AS $$
WITH t AS (
	SELECT t.name, t.messages, to_regclass('ddl.' || t.name)::text AS topic FROM ddl.topics t
), m AS MATERIALIZED (
	SELECT q.topic, q.queue_id, p.queue_offset, rocketq.text(p.body) AS body
	FROM rocketq.queues q, LATERAL rocketq.pull(q.topic, q.queue_id, q.min_offset, 100000) p
)
SELECT format('topic %s should have %s messages, not %s', t.name, t.messages, count(m.topic))
FROM t LEFT JOIN m USING (topic) GROUP BY t.name, t.messages, t.topic
HAVING t.topic IS NULL OR count(m.topic) <> t.messages
UNION ALL
SELECT format('topic %s has a message %s', t.name, m.body)
FROM t JOIN m USING (topic) WHERE m.body <> t.name || repeat('.', 50)
UNION ALL
SELECT format('there should be no topic %s', c.relname)
FROM pg_class c JOIN pg_am a ON a.oid = c.relam
WHERE a.amname = 'rocketq' AND c.relname NOT IN (SELECT name FROM ddl.topics) AND
	c.relname <> 'at_once_topic'
UNION ALL
SELECT format('topic %s: group %s is there %s times', coalesce(g.name, x.name),
	coalesce(g.grp, x.grp), coalesce(x.n, 0))
FROM ddl.groups g FULL JOIN (
	SELECT t.name, v.consumer_group AS grp, count(*) FILTER (WHERE queue_id = 0) AS n
	FROM rocketq.groups v JOIN t USING (topic) GROUP BY 1, 2) x USING (name, grp)
WHERE g.grp IS NULL OR x.n IS DISTINCT FROM 1
UNION ALL
SELECT format('topic %s: group %s should have consumed %s, not %s', g.name, g.grp, g.consumed, x.n)
FROM ddl.groups g JOIN (
	SELECT t.name, v.consumer_group AS grp,
		count(m.topic) FILTER (WHERE m.queue_offset < v.committed_offset) AS n
	FROM rocketq.groups v JOIN t USING (topic) LEFT JOIN m USING (topic, queue_id)
	GROUP BY 1, 2) x USING (name, grp)
WHERE g.consumed <> x.n
UNION ALL
SELECT 'message without transaction is lost: ' || count(*)
FROM ddl.at_once a WHERE NOT EXISTS (
	SELECT FROM m WHERE m.topic = 'ddl.at_once_topic' AND m.body = 'n' || a.id)
HAVING count(*) > 0
$$;
EOQ

my $script = $node->basedir . '/ddl.pgbench';
append_to_file($script, <<'EOS');
\set i random(1, 4)
\set kind random(0, 99)
\set end random(1, 5)
BEGIN;
SELECT ddl.step('c' || :client_id || '_' || :i, :kind);
\if :end = 1
ROLLBACK;
\else
COMMIT;
\endif
EOS
my $at_once = $node->basedir . '/at_once.pgbench';
append_to_file($at_once, <<'EOS');
\set end random(1, 3)
BEGIN;
INSERT INTO ddl.at_once DEFAULT VALUES;
SELECT rocketq.produce('ddl.at_once_topic', 'n' || currval('ddl.at_once_id_seq'), transactional => false);
\if :end = 1
ROLLBACK;
\else
COMMIT;
\endif
\sleep 1 ms
EOS

my $rounds = rq_rounds(6);
foreach my $round (1 .. $rounds)
{
	my @jobs = map {
		rq_background(
			$node, 'pgbench', '-n', '-T', '3600', '-c', $_->[1],
			'--random-seed', rq_random(1, 1_000_000), '-f', $_->[0],
			'-h', $node->host, '-p', $node->port, 'postgres');
	} ([ $script, 4 ], [ $at_once, 1 ]);
	my $count = rq_random(100, 1000);
	my $xid = $node->safe_psql('postgres', 'SELECT pg_current_xact_id()');

	rq_poll_query($node, 'transactions',
		"SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint > $xid + $count");
	my $checkpoint;
	$checkpoint = rq_background($node, 'psql', '-XAtq', '-c', 'CHECKPOINT',
		'-d', $node->connstr('postgres'))
	  if $round % 3 != 0;
	usleep(rq_random(0, 300_000));
	rq_kill9($node, all => $round % 2);
	$_->{run}->finish foreach @jobs;
	rq_start($node);

	# The janitor cleans up after processes that were killed.
	rq_poll_query($node, 'slots that belong to nothing to go', <<'EOQ');
SELECT NOT EXISTS (SELECT FROM rocketq.get_queues() q
	WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.relfilenode = q.relfilenode))
EOQ
	is($node->safe_psql('postgres', 'SELECT * FROM ddl.problems()'),
		'', "round $round: catalog, tables and store agree");
	rq_verify($node, "round $round");
	note("round $round: " . $node->safe_psql('postgres', <<'EOQ'));
SELECT (SELECT count(*) || ' topics, ' || sum(messages) || ' messages, ' FROM ddl.topics)
	|| (SELECT count(*) || ' groups consumed ' || sum(consumed) FROM ddl.groups)
EOQ
}

# All slots are free again.
$node->safe_psql('postgres', 'DROP SCHEMA ddl CASCADE');
rq_poll_query($node, 'all slots to be free',
	'SELECT count(*) = 0 FROM rocketq.get_queues()');
rq_extents_gone($node, 'all extents to be free', sub { 1 });
$node->safe_psql('postgres',
	"SELECT rocketq.create_topic('full', 200); SELECT rocketq.create_group('full', 'g')");
rq_verify($node, 'at the end');
$node->stop;

done_testing();

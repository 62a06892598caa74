# RocketqLoad.pm -- a load that keeps plain tables and a topic consistent, and
# a check that they are.
#
# A row of load.keys is locked, its number raised, and a message
# with key and number is produced, and the same goes into the plain table
# load.sent, all in one transaction.  So whatever was committed, and nothing
# else, must be in the topic, once, and each key's numbers in order.  Consumers
# write what they get into load.applied and commit their offset in the same
# transaction: so what was applied is what lies below the committed offsets,
# once, and in order.  load.problems() says where this does not hold; it has
# to be called when nobody produces or consumes.
package RocketqLoad;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqFaults;
use RocketqNode;
use Test::More;

our @EXPORT = qw(
  rq_create_load rq_start_load rq_stop_load rq_wait_progress rq_start_acker
  rq_acked rq_drain rq_applied_all rq_check_snapshot rq_check
);

# ---- load ----

my $load_sql = <<'EOS';
CREATE SCHEMA load;
CREATE TABLE load.keys (key int PRIMARY KEY, seq bigint NOT NULL);
CREATE TABLE load.sent (key int NOT NULL, seq bigint NOT NULL);
CREATE TABLE load.applied (pos bigserial, grp text, queue_id int,
	queue_offset bigint, message_id bigint, body text);
INSERT INTO load.keys SELECT key, 0 FROM generate_series(0, 40) key;
SELECT rocketq.create_topic('load.topic', :queues);

-- Zero to several thousand bytes after the part that identifies the message.
CREATE FUNCTION load.body(key int, seq bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT key || ':' || seq || ':' || repeat(md5(key || '/' || seq),
		CASE WHEN (key + seq) % 50 = 0 THEN 150 ELSE (key + seq)::int % 7 END)
$$;

CREATE FUNCTION load.tag(key int, seq bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT 't' || (key + seq) % 3 $$;

-- Messages with the next numbers of a key.
CREATE FUNCTION load.make_for(k int, n int) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	s bigint;
BEGIN
	INSERT INTO load.keys AS l VALUES (k, n)
		ON CONFLICT (key) DO UPDATE SET seq = l.seq + n RETURNING seq INTO s;
	INSERT INTO load.sent SELECT k, g FROM generate_series(s - n + 1, s) g;
	PERFORM rocketq.produce('load.topic', load.body(k, g), load.tag(k, g),
			sharding_key => 'k' || k)
		FROM generate_series(s - n + 1, s) g;
	RETURN s;
END $$;

-- Messages that are rolled back to a savepoint, of the highest key.
CREATE FUNCTION load.make_and_undo() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rocketq.produce_batch('load.topic', array_fill('never'::text, ARRAY[20]));
	PERFORM load.make_for(40, 2);
	RAISE 'undo';
EXCEPTION WHEN raise_exception THEN
	NULL;
END $$;

-- One transaction's messages; keys in ascending order, to avoid deadlocks.
CREATE FUNCTION load.make(kind int) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	k int;
BEGIN
	FOR k IN SELECT DISTINCT floor(random() * 40)::int AS key
		FROM generate_series(0, kind % 3) ORDER BY key
	LOOP
		PERFORM load.make_for(k, CASE WHEN kind % 25 = 1 THEN 30 ELSE 1 END);
	END LOOP;
	IF kind % 10 = 3 THEN
		PERFORM load.make_and_undo();
	END IF;
END $$;

-- Consume and apply in one transaction.
CREATE FUNCTION load.take(g text, n int, filter text DEFAULT '*') RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	taken bigint;
BEGIN
	INSERT INTO load.applied (grp, queue_id, queue_offset, message_id, body)
		SELECT g, m.queue_id, m.queue_offset, m.message_id, rocketq.text(m.body)
		FROM rocketq.consume('load.topic', g, n, filter) m;
	GET DIAGNOSTICS taken = ROW_COUNT;
	PERFORM rocketq.commit_offset('load.topic', g);
	RETURN taken;
END $$;

CREATE FUNCTION load.messages(topic regclass, OUT queue_id int,
	OUT queue_offset bigint, OUT message_id bigint, OUT tag text,
	OUT sharding_key text, OUT body text, OUT key int, OUT seq bigint)
	RETURNS SETOF record
LANGUAGE sql AS $$
	SELECT q.queue_id, p.queue_offset, p.message_id, p.tag, p.sharding_key,
		b.body, substring(b.body FROM '^(\d+):')::int,
		substring(b.body FROM '^\d+:(\d+):')::bigint
	FROM rocketq.queues q,
		LATERAL rocketq.pull(topic, q.queue_id, q.min_offset, 1000000) p,
		LATERAL (SELECT rocketq.text(p.body) AS body OFFSET 0) b
	WHERE q.topic_oid = $1
$$;

CREATE FUNCTION load.problems() RETURNS SETOF text
LANGUAGE sql AS $$
WITH m AS MATERIALIZED (
	SELECT * FROM load.messages('load.topic')
), in_order AS (
	SELECT *, lag(seq) OVER w AS seq_before, lag(queue_offset) OVER w AS offset_before,
		lag(queue_id) OVER w AS queue_before
	FROM m WINDOW w AS (PARTITION BY key ORDER BY seq, queue_offset)
), below AS (
	SELECT g.consumer_group AS grp, m.*
	FROM rocketq.groups g JOIN m
		ON m.queue_id = g.queue_id AND m.queue_offset < g.committed_offset
	WHERE g.topic = 'load.topic' AND
		(g.consumer_group <> 'filtered' OR m.tag = 't1')
), found AS (
	SELECT 'alien message: ' || left(body, 40) AS problem FROM m WHERE seq IS NULL
	UNION ALL
	SELECT format('message %s:%s is not what was sent', key, seq) FROM m
		WHERE body IS DISTINCT FROM load.body(key, seq) OR
			tag IS DISTINCT FROM load.tag(key, seq) OR
			sharding_key IS DISTINCT FROM 'k' || key
	UNION ALL
	(SELECT format('row %s:%s has no message', key, seq)
		FROM (SELECT key, seq FROM load.sent EXCEPT SELECT key, seq FROM m) x)
	UNION ALL
	(SELECT format('message %s:%s has no row', key, seq)
		FROM (SELECT key, seq FROM m EXCEPT SELECT key, seq FROM load.sent) x)
	UNION ALL
	SELECT format('message %s:%s is there %s times', key, seq, count(*))
		FROM m GROUP BY key, seq HAVING count(*) > 1
	UNION ALL
	SELECT format('message %s:%s is out of order', key, seq) FROM in_order
		WHERE queue_before <> queue_id OR offset_before >= queue_offset
	UNION ALL
	SELECT format('key %s should have %s messages, not %s', k.key, k.seq, count(m.seq))
		FROM load.keys k LEFT JOIN m USING (key)
		GROUP BY k.key, k.seq HAVING count(m.seq) <> k.seq
	UNION ALL
	SELECT format('message id %s is there %s times', message_id, count(*))
		FROM m GROUP BY message_id HAVING count(*) > 1
	UNION ALL
	SELECT format('queue %s has %s unresolved entries', queue_id, unresolved)
		FROM rocketq.queues WHERE topic = 'load.topic' AND unresolved <> 0
	UNION ALL
	SELECT format('a scan gives %s messages, pull %s', s.n, p.n)
		FROM (SELECT count(*) AS n FROM load.topic) s, (SELECT count(*) AS n FROM m) p
		WHERE s.n <> p.n
	UNION ALL
	(SELECT format('%s: message %s:%s is below the offset but not applied', grp, queue_id, queue_offset)
		FROM (SELECT grp, queue_id, queue_offset, message_id, body FROM below
			EXCEPT SELECT grp, queue_id, queue_offset, message_id, body FROM load.applied) x)
	UNION ALL
	(SELECT format('%s: message %s:%s is applied but not below the offset', grp, queue_id, queue_offset)
		FROM (SELECT grp, queue_id, queue_offset, message_id, body FROM load.applied
			EXCEPT SELECT grp, queue_id, queue_offset, message_id, body FROM below) x)
	UNION ALL
	SELECT format('%s: message %s:%s was applied %s times', grp, queue_id, queue_offset, count(*))
		FROM load.applied GROUP BY grp, queue_id, queue_offset HAVING count(*) > 1
	UNION ALL
	SELECT format('%s: message %s:%s was applied out of order', grp, queue_id, queue_offset)
		FROM (SELECT *, lag(queue_offset) OVER (PARTITION BY grp, queue_id ORDER BY pos) AS before
			FROM load.applied) x WHERE before >= queue_offset
)
SELECT problem FROM found LIMIT 20
$$;
EOS

my %script = (
	produce => <<'EOS',
\set kind random(1, 1000)
\set end random(1, 20)
BEGIN;
SELECT load.make(:kind);
\if :end = 1
ROLLBACK;
\else
COMMIT;
\endif
EOS
	consume => <<'EOS',
\set n random(1, 60)
\set end random(1, 15)
BEGIN;
SELECT load.take('all', :n) AS taken \gset
\if :end = 1
ROLLBACK;
\else
COMMIT;
\endif
\if :taken = 0
\sleep 10 ms
\endif
EOS
	filter => <<'EOS',
\set n random(1, 200)
SELECT load.take('filtered', :n, 't1') AS taken \gset
\if :taken = 0
\sleep 10 ms
\endif
EOS
);

# The tables, functions and topic of the load.
sub rq_create_load
{
	my ($node, %param) = @_;
	my $queues = $param{queues} // 4;

	$node->safe_psql('postgres', "\\set queues $queues\n$load_sql");
	return;
}

sub end_job
{
	my ($job, $signal) = @_;

	$job->{run}->signal($signal) if $signal && $job->{run}->pumpable;
	eval { $job->{run}->finish; };
	return;
}

# Start clients; they end when their connections do.
sub rq_start_load
{
	my ($node, %param) = @_;
	my %clients = (produce => 3, consume => 2, filter => 1, %param);
	my @jobs;

	foreach my $name (sort keys %clients)
	{
		my $file = $node->basedir . "/$name.pgbench";
		next if !defined $script{$name} || !$clients{$name};
		append_to_file($file, $script{$name}) if !-e $file;
		push @jobs,
		  rq_background(
			$node, 'pgbench', '-n', '-T', '3600', '-M', 'prepared',
			'-c', $clients{$name}, '--random-seed', rq_random(1, 1_000_000),
			'-f', $file, '-h', $node->host, '-p', $node->port, 'postgres');
	}
	push @jobs, start_aborter($node) if rq_has_faults($node);
	return { node => $node, jobs => \@jobs };
}

# A client whose transactions fail when entries are written and offsets staged.
sub start_aborter
{
	my ($node) = @_;
	my $script = $node->basedir . '/aborter.sql';

	if (!-e $script)
	{
		append_to_file($script, <<'EOS');
SET client_min_messages = fatal;
SET log_min_messages = fatal;
SET rocketq.fault = 'precommit-done=error';
EOS
		append_to_file($script, <<'EOS' x 20_000);
SELECT load.make_for(40, 3), load.take('all', 20), load.take('filtered', 20, 't1');
SELECT pg_sleep(0.01);
EOS
	}
	return rq_background($node, 'psql', '-XAtq', '-f', $script, '-o', '/dev/null',
		'-d', $node->connstr('postgres') . ' application_name=pgbench');
}

# Stop the clients, and wait until the server has noticed, if it is up.
sub rq_stop_load
{
	my ($load) = @_;
	my $node = $load->{node};

	end_job($_, 'TERM') foreach @{ $load->{jobs} };
	$load->{jobs} = [];
	if ($node->{_pid} && rq_server_is_up($node))
	{
		rq_poll_query($node, 'the clients to leave', <<'EOQ');
SELECT count(*) = 0 FROM pg_stat_activity
WHERE backend_type = 'client backend' AND application_name = 'pgbench'
EOQ
	}
	return;
}

# Wait until this many more transactions have produced, and one has consumed.
sub rq_wait_progress
{
	my ($node, $count) = @_;
	my $now = 'coalesce((SELECT sum(seq) FROM load.keys), 0)';
	my ($sent, $applied) = split /\|/, $node->safe_psql('postgres',
		"SELECT $now, coalesce(max(pos), 0) FROM load.applied");

	rq_poll_query($node, 'progress of the load', <<EOQ);
SELECT $now >= $sent + $count AND EXISTS (SELECT FROM load.applied WHERE pos > $applied)
EOQ
	return;
}

# A client that records each commit that was acknowledged.
sub rq_start_acker
{
	my ($node, $key) = @_;
	my $script = $node->basedir . '/acker.sql';
	my $result = $node->basedir . "/acked.$key";

	# psql prints a row once the commit of its transaction has been
	# acknowledged.
	append_to_file($script, "SELECT load.make_for(:key, 1);\n" x 100_000)
	  if !-e $script;
	my $job = rq_background($node, 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1',
		'-v', "key=$key", '-f', $script, '-o', $result,
		'-d', $node->connstr('postgres'));
	$job->{result} = $result;
	return $job;
}

# Stop it; return the last number of its key that it knows to be committed.
sub rq_acked
{
	my ($job) = @_;
	end_job($job, 'TERM');
	my @acked = slurp_file($job->{result}) =~ /^(\d+)$/mg;
	return $acked[-1] // 0;
}

# ---- checks ----

# Let the groups consume everything.
sub rq_drain
{
	my ($node) = @_;

	$node->safe_psql('postgres', <<'EOQ');
DO $$
DECLARE
	idle int := 0;
BEGIN
	WHILE idle < 2 LOOP
		IF load.take('all', 5000) + load.take('filtered', 5000, 't1') = 0 THEN
			idle := idle + 1;
		ELSE
			idle := 0;
		END IF;
		COMMIT;
	END LOOP;
END $$;
EOQ
	return;
}

# After rq_drain(): has each group consumed everything?
sub rq_applied_all
{
	my ($node, $label) = @_;

	return is( $node->safe_psql('postgres', <<'EOQ'), 't|t', "$label: all was consumed");
SELECT (SELECT count(*) FROM load.sent) = count(*) FILTER (WHERE grp = 'all'),
	(SELECT count(*) FROM load.sent WHERE load.tag(key, seq) = 't1') =
		count(*) FILTER (WHERE grp = 'filtered')
FROM load.applied
EOQ
}

# What holds under concurrent load, and during replay or while it is paused:
# one snapshot shows a message for each row, and below the resolved end of a
# queue nothing is missing.
sub rq_check_snapshot
{
	my ($node, $label) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', <<'EOQ');
SELECT (SELECT count(*) FROM load.topic) - (SELECT count(*) FROM load.sent);
SELECT format('%s:%s comes behind %s', key, seq, before) FROM (
	SELECT key, seq, lag(seq) OVER (PARTITION BY key ORDER BY queue_offset) AS before
	FROM load.messages('load.topic')) m
WHERE key IS NULL OR seq <> coalesce(before, 0) + 1
EOQ

	return is("$out$err", '0', "$label: topic and tables agree");
}

# The invariant.  Nobody may produce or consume at this time, but entries that
# a killed backend left may still have to be resolved: asking for the end does
# that.
sub rq_check
{
	my ($node, $label) = @_;
	my ($rc, $out, $err);

	rq_poll_query($node, 'all entries to be resolved', <<'EOQ');
SELECT coalesce(bool_and(rocketq.max_offset(topic, queue_id) = max_offset + unresolved), true)
FROM rocketq.queues
EOQ
	($rc, $out, $err) =
	  $node->psql('postgres', 'SELECT * FROM load.problems()');
	is("$out$err", '', "$label: topic and tables agree");
	note("$label: " . $node->safe_psql('postgres', <<'EOQ'));
SELECT (SELECT count(*) FROM load.sent) || ' messages, ' ||
	(SELECT sum(messages) FROM rocketq.topics WHERE topic = 'load.topic')
		- (SELECT count(*) FROM load.sent) || ' aborted, ' ||
	(SELECT count(*) FROM load.applied) || ' applied'
EOQ
	return rq_verify($node, $label);
}

1;

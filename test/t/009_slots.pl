# 009_slots.pl -- whether topics, queues and groups fit depends only on how
# many exist, not on what existed before: in a running server, after a crash,
# and on a standby.  Queues are given out in blocks of 8, and so are the offsets of
# a group.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

# Exactly what the tests below need: 80 blocks for queues, and 28 for offsets.
# Settings are rounded up to whole blocks.
my $node = rq_node('main', allows_streaming => 1, conf => <<'EOC');
rocketq.max_topics = 60
rocketq.max_queues = 633
rocketq.max_consumer_slots = 217
rocketq.max_groups = 20
checkpoint_timeout = 1h
EOC
my $standby = rq_standby($node);

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub refused
{
	my ($sql, $pattern, $what) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql);
	return like($err, $pattern, $what);
}

# The number of queues in the store, including those being removed.
sub queues
{
	return sql('SELECT coalesce(sum(queues), 0) FROM rocketq.topics');
}

sub wait_for_queues
{
	my ($count) = @_;
	rq_wait_ticks($node, 'janitor', 2);
	return is(queues(), $count, "$count queues are left");
}

# How many slots are left for queues, as an error says.
sub left
{
	my ($server) = @_;
	my ($rc, $out, $err) = $server->psql('postgres',
		q{SET rocketq.max_queues_per_topic = 65535; SELECT rocketq.create_topic('too_wide', 700)});
	return $err =~ /704 more are needed, in blocks of 8, but (\d+) of the 640 allowed by rocketq\.max_queues are left\./
	  ? $1 : $err;
}

# Kill it, and let it recover.
sub crash
{
	my ($what) = @_;
	my $before = sql('SELECT string_agg(t::text, E\'\n\' ORDER BY t.topic::text) FROM (SELECT topic, queues FROM rocketq.topics) t');
	my $left_before = left($node);
	$node->stop('immediate');
	$node->start;
	is(left($node), $left_before, "$what: as many slots are left as before");
	is( sql('SELECT string_agg(t::text, E\'\n\' ORDER BY t.topic::text) FROM (SELECT topic, queues FROM rocketq.topics) t'),
		$before, "$what: recovered");
	rq_catch_up($node, $standby);
	is( $standby->safe_psql('postgres', 'SELECT sum(queues) FROM rocketq.topics'),
		queues(), "$what: the standby has as many queues");
	return;
}

# Drop all topics.
sub clear
{
	sql(q{SELECT count(rocketq.drop_topic(oid::regclass)) FROM pg_class
		WHERE relam = (SELECT oid FROM pg_am WHERE amname = 'rocketq')});
	return wait_for_queues(0);
}

#
# Grow and shrink by one, past the end of a block, so that every second block is
# in use; then one topic gets all the others, down to the last one.
#
is(sql("SELECT string_agg(current_setting('rocketq.' || s), ' ') FROM unnest('{max_queues,max_consumer_slots}'::text[]) s"),
	'640 224', 'settings are rounded up to whole blocks');
sql(q{SELECT rocketq.create_topic('t' || i, 7) FROM generate_series(1, 40) i});
is(left($node), '320', 'a topic takes a whole block');
sql("SELECT rocketq.alter_topic('t$_', queues => 8)") foreach 1 .. 40;
is(left($node), '320', 'which it uses up before it takes another');
sql("SELECT rocketq.alter_topic('t$_', queues => 9)") foreach 1 .. 40;
is(left($node), '0', 'all slots are in use');
refused("SELECT rocketq.create_topic('more', 1)",
	qr/too many queues\nDETAIL:  8 more are needed, in blocks of 8, but 0 of the 640 /,
	'no block is left');
rq_wait_ticks($node, 'janitor', 2);
sql('CHECKPOINT');
sql("SELECT rocketq.alter_topic('t$_', queues => 1)") foreach 1 .. 40;
wait_for_queues(40);
refused("SELECT rocketq.create_topic('big', 321)",
	qr/too many queues\nDETAIL:  328 more are needed, in blocks of 8, but 320 of the 640 allowed by rocketq\.max_queues are left\./,
	'one queue too many is refused');
sql(q{SELECT rocketq.create_topic('big', 320)});
is(left($node), '0', 'all slots are in use');
crash('grown and shrunk');
refused("SELECT rocketq.alter_topic('big', 321)",
	qr/too many queues\nDETAIL:  8 more are needed, in blocks of 8, but 0 of the 640 allowed by rocketq\.max_queues are left\./,
	'all slots are still in use');

# The same with a checkpoint after it, and with topics dropped in between.
sql(q{SELECT rocketq.drop_topic('t' || 2 * i) FROM generate_series(1, 20) i});
wait_for_queues(340);
sql(q{SELECT rocketq.create_topic('d', 160)});
sql('CHECKPOINT');
crash('dropped in between');

# A topic that is far beyond the blocks in its map gives some back, and gets others.
sql("SELECT rocketq.alter_topic('big', $_)") foreach 200, 150;
wait_for_queues(330);
sql(q{SELECT rocketq.create_topic('in_between', 100)});
sql("SELECT rocketq.alter_topic('big', $_)") foreach 151 .. 165, 216;
is(left($node), '0', 'all slots are in use again');
crash('shrunk in the middle');
clear();

#
# Groups: as many as the setting allows, with offsets in every slot.
#
sql(<<'EOQ');
SELECT rocketq.create_topic('a', 9);
SELECT rocketq.create_topic('b', 5);
SELECT rocketq.create_group('a', 'g' || i) FROM generate_series(1, 8) i;
SELECT rocketq.create_group('b', 'g' || i) FROM generate_series(1, 12) i;
EOQ
refused("SELECT rocketq.create_group('b', 'more')",
	qr/too many consumer groups\nDETAIL:  1 more are needed, but 0 of the 20 allowed by rocketq\.max_groups are left\.\nHINT:  .*drop_group/,
	'groups have a setting of their own');
sql(q{SELECT rocketq.drop_group('a', 'g' || 2 * i) FROM generate_series(1, 4) i});
rq_wait_ticks($node, 'janitor', 2);
sql(q{SELECT rocketq.create_topic('c', 58)});
sql(q{SELECT rocketq.create_group('c', 'all')});
refused("SELECT rocketq.create_group('b', 'more')",
	qr/too many consumer slots\nDETAIL:  8 more are needed, in blocks of 8, but 0 of the 224 allowed by rocketq\.max_consumer_slots are left/,
	'offsets have a setting of their own');
sql("SELECT rocketq.alter_topic('a', 16)");
refused("SELECT rocketq.alter_topic('a', 17)",
	qr/too many consumer slots\nDETAIL:  32 more are needed/,
	'a queue beyond the block needs another block of each group');
crash('groups came and went');
is(sql('SELECT count(*) FROM rocketq.groups'), '182', 'all offsets are there');
clear();

#
# What is rolled back or dropped again frees its slots before the transaction
# ends.
#
sql(q{SELECT rocketq.create_topic('a', 40)});
sql(q{SELECT rocketq.produce('a', 'old')});
sql(<<'EOQ');
BEGIN;
DO $$ BEGIN
	FOR i IN 1 .. 20 LOOP
		BEGIN
			PERFORM rocketq.create_group('a', 'again');
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END $$;
SELECT rocketq.create_group('a', 'kept');
COMMIT;
EOQ
is(sql(q{SELECT string_agg(DISTINCT consumer_group, ',') FROM rocketq.groups}), 'kept',
	'groups in rolled back savepoints hold no slots');
sql(<<'EOQ');
BEGIN;
DO $$ BEGIN
	FOR i IN 1 .. 20 LOOP
		BEGIN
			PERFORM rocketq.produce('a', 'gone ' || i);
			TRUNCATE a;
			PERFORM rocketq.produce('a', 'last ' || i);
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END $$;
COMMIT;
EOQ
is(sql(q{SELECT string_agg(rocketq.text(body), ',') FROM a}), 'last 20',
	'a loop of TRUNCATEs holds on to the first and the last storage only');
wait_for_queues(40);
sql(<<'EOQ');
BEGIN;
SELECT rocketq.create_topic('loop', 40);
DROP TABLE loop;
SELECT rocketq.create_topic('loop', 40);
SAVEPOINT s;
TRUNCATE a;
ROLLBACK TO s;
DROP TABLE loop;
SELECT rocketq.create_topic('loop', 40);
COMMIT;
EOQ
is(sql(q{SELECT string_agg(rocketq.text(body), ',') FROM a}), 'last 20',
	'a TRUNCATE that was rolled back to a savepoint');
wait_for_queues(80);
crash('garbage of transactions');
clear();

#
# TRUNCATE takes an offset of each group for each queue again.  These run out while
# there are topics, queues and groups left; then what the TRUNCATEs before have
# left behind goes, though the janitor does nothing.
#
my $janitor = rq_pause($node, 'rocketq janitor');
sql(q{SELECT rocketq.create_topic('many', 8)});
sql(q{SELECT rocketq.create_group('many', 'g' || i) FROM generate_series(1, 4) i});
sql('TRUNCATE many') foreach 1 .. 12;
sql(q{DO $$ BEGIN FOR i IN 1 .. 12 LOOP TRUNCATE many; END LOOP; END $$});
is(sql('SELECT count(*) FROM rocketq.groups'), '32', 'a loop of TRUNCATEs keeps all groups');
kill('CONT', $janitor);
wait_for_queues(8);
crash('TRUNCATE with groups');
clear();

#
# One more queue each time.  Only the primary is restarted, so that its slots
# differ from the standby's.
#
sql(q{SELECT rocketq.create_topic('grows', 1); SELECT rocketq.create_group('grows', 'g')});
foreach my $queues (2 .. 16)
{
	sql("SELECT rocketq.alter_topic('grows', $queues)");
	sql("SELECT rocketq.create_topic('between$queues', 1)");
}
$node->restart;
sql("SELECT rocketq.alter_topic('grows', $_)") foreach 17 .. 100;
sql(q{SELECT rocketq.produce('grows', 'm', queue_id => 99)});
rq_catch_up($node, $standby);
is( $standby->safe_psql('postgres',
		q{SELECT queues FROM rocketq.topics WHERE topic::text = 'grows'}),
	'100', 'the standby has followed');
crash('grown by one');
is(sql(q{SELECT rocketq.text(body) FROM grows}), 'm', 'the standby has the message');

rq_verify($node, 'at the end');
rq_verify($standby, 'at the end, standby');
my $left = left($node);
$node->stop('immediate');
$standby->promote;
is(left($standby), $left, 'the standby has as many slots left as the primary had');
$standby->stop;
done_testing();

# 091_room.pl -- whether something fits into full tables depends on what exists, and
# not on whether the janitor has removed what no longer does.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

# Everything is in blocks of 8: queues and the offsets of a group.
my $node = rq_node('main', conf => <<'EOC');
rocketq.max_topics = 16
rocketq.max_queues = 128
rocketq.max_groups = 16
rocketq.max_consumer_slots = 128
max_prepared_transactions = 2
EOC
my $faults = rq_has_faults($node);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub fits
{
	my ($sql, $what) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 1);

	return is($err, '', $what);
}

sub refused
{
	my ($sql, $pattern, $what) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	return like($err, $pattern, $what);
}

# Who else has what, so that 2 topics with 8 queues and 4 groups fit.
sql(q{SELECT rocketq.create_topic('other' || i, 8) FROM generate_series(1, 12) i});
sql(q{SELECT rocketq.create_group('other1', 'o' || i) FROM generate_series(1, 12) i});
sql(q{SELECT rocketq.create_topic('t' || i, 8) FROM generate_series(1, 2) i});
my $janitor = rq_pause($node, 'rocketq janitor');

#
# Groups, each of which takes a slot and a block of offsets.
#
my $create = q{SELECT rocketq.create_group('t1', '%s');};
sql(q{SELECT rocketq.create_group('t1', 'g' || i) FROM generate_series(1, 4) i});
refused(sprintf($create, 'more'), qr/ERROR:  53400: too many consumer groups/, 'groups are full');
sql("SELECT rocketq.drop_group('t1', 'g4')");
fits(sprintf($create, 'g5'), 'in place of a dropped group');
sql("SELECT rocketq.drop_group('t1', 'g5')");
fits("SELECT * FROM rocketq.consume('t1', 'g6', 1)", 'the same for consume()');
sql("SELECT rocketq.drop_group('t1', 'g6')");
sql('BEGIN; ' . sprintf($create, 'g7') . ' ROLLBACK');
fits(sprintf($create, 'g8'), 'in place of a group whose creation was rolled back');
sql("SELECT rocketq.drop_group('t1', 'g8')");
sql('BEGIN; SAVEPOINT s; ' . sprintf($create, 'g9') . ' ROLLBACK TO s; COMMIT');
fits(sprintf($create, 'g10'), 'or was rolled back to a savepoint');

# What a running transaction has done counts, until it has ended.
{
	my $other = $node->background_psql('postgres');

	$other->query_safe("BEGIN; SELECT rocketq.drop_group('t1', 'g10')");
	refused(sprintf($create, 'g11'), qr/ERROR:  53400: too many consumer groups/, 'not in place of a group that is being dropped');
	$other->query_safe('COMMIT');
	fits(sprintf($create, 'g11'), 'in place of it when that is committed');
	$other->quit;
}

# For what a running transaction has created, no lock is taken.
sql("SELECT rocketq.drop_group('t1', 'g11')");
if ($faults)
{
	my $other = $node->background_psql('postgres');

	$other->query_safe('BEGIN; ' . sprintf($create, 'running'));
	refused(sprintf($create, 'g12'), qr/ERROR:  53400: too many consumer groups/, 'nor of one that is being created');
	rq_arm($node, 'settle-turn=error');
	refused(sprintf($create, 'g12'), qr/ERROR:  53400: too many consumer groups/, 'and no lock is taken for it');
	rq_arm($node, '');
	$other->query_safe('ROLLBACK');
	$other->quit;
}

# A transaction id that is damaged is no reason to refuse what has room, at another topic.
if ($faults)
{
	fits(sprintf($create, 'g13'), 'the last group that fits');
	my $xid = sql("BEGIN; SELECT rocketq.drop_group('t1', 'g2'); SELECT pg_current_xact_id(); COMMIT");
	$xid =~ s/.*\n//s;
	rq_arm($node, "xid-possible=fail\@$xid");
	refused("SELECT rocketq.create_group('t2', 'g14')", qr/ERROR:  53400: too many consumer groups/, 'not in place of a group whose dropper is unknown');
	sql("SELECT rocketq.drop_group('t1', 'g13')");
	fits("SELECT rocketq.create_group('t2', 'g14')", 'in place of one that comes after it');
	rq_arm($node, '');
	fits(sprintf($create, 'g2'), 'and of that one when its dropper is known');
	sql("SELECT rocketq.drop_group('t2', 'g14')");
}

sql("SELECT rocketq.drop_group('t1', 'g3')");

# Offsets, of which a group takes more if there are more queues.
sql("SELECT rocketq.alter_topic('t1', queues => 16)");
refused(sprintf($create, 'more'), qr/ERROR:  53400: too many consumer slots/, 'consumer slots are full');
sql("SELECT rocketq.alter_topic('t1', queues => 8)");
fits(sprintf($create, 'g12'), 'in place of offsets of queues that are no more');
sql("SELECT rocketq.drop_group('t1', 'g12')");
fits("SELECT rocketq.alter_topic('t1', queues => 16)", 'for more queues, in place of a dropped group');
sql("SELECT rocketq.alter_topic('t1', queues => 8)");

#
# Topics and queues: two topics and 16 queues are left.
#
fits("SELECT rocketq.create_topic('t3', 16)", 'a topic in place of queues that are no more');
refused("SELECT rocketq.create_topic('more', 1)", qr/ERROR:  53400: too many queues/, 'queues are full');
sql("BEGIN; DROP TABLE t3; PREPARE TRANSACTION 'drop'");
refused("SELECT rocketq.create_topic('more', 1)", qr/ERROR:  53400: too many queues/, 'not in place of a topic whose drop is prepared');
sql("ROLLBACK PREPARED 'drop'");
refused("SELECT rocketq.create_topic('more', 1)", qr/ERROR:  53400: too many queues/, 'nor when that is rolled back');
sql("BEGIN; DROP TABLE t3; PREPARE TRANSACTION 'drop'");
sql("COMMIT PREPARED 'drop'");
fits("SELECT rocketq.create_topic('t4', 16)", 'in place of it when it is committed');
sql('DROP TABLE t4');
sql(q{BEGIN; SELECT rocketq.create_topic('t5', 16); PREPARE TRANSACTION 'create'});
sql("ROLLBACK PREPARED 'create'");
fits("SELECT rocketq.create_topic('t6', 16)", 'or of one whose creation was prepared and rolled back');
sql('DROP TABLE t6');
sql(q{SELECT rocketq.create_topic('t' || i, 8) FROM generate_series(7, 8) i});
refused("SELECT rocketq.create_topic('more', 1)", qr/ERROR:  53400: too many topics/, 'topics are full');
sql('DROP TABLE t8');

#
# TRUNCATE makes a topic and its groups a second time.
#
fits('TRUNCATE t1', 'in place of a dropped topic');
fits('TRUNCATE t1', 'in place of what was truncated');
sql(q{SELECT rocketq.create_group('t7', 'h' || i) FROM generate_series(1, 2) i});
sql("SELECT rocketq.drop_group('t7', 'h1'), rocketq.drop_group('t7', 'h2')");
fits('TRUNCATE t1', 'in place of dropped groups');
is( sql("SELECT string_agg(DISTINCT consumer_group, ' ' ORDER BY consumer_group) FROM rocketq.groups WHERE topic = 't1'"),
	'g1 g2', 'groups have come along');
sql("SELECT rocketq.create_group('t7', 'h')");
my $state = <<'EOQ';
SELECT topic, queues FROM rocketq.topics ORDER BY topic;
SELECT topic, consumer_group, queue_id, created_at FROM rocketq.groups ORDER BY topic, consumer_group, queue_id;
EOQ
my $before = sql($state);
refused('TRUNCATE t1', qr/ERROR:  53400: too many consumer groups\n.*HINT:  Until it commits, TRUNCATE needs /s, 'there must be room for both');
sql("SELECT rocketq.create_topic('t9', 8)");
refused('TRUNCATE t1', qr/ERROR:  53400: too many topics\n.*HINT:  Until it commits, TRUNCATE needs /s, 'also for the topic');
sql('DROP TABLE t9');
is(sql($state), $before, 'nothing is left of what was refused');
kill('CONT', $janitor);
rq_verify($node, 'at the end');

done_testing();

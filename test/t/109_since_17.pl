# 109_since_17.pl -- what servers since 17 can do more, with topics: it works, or
# is refused with a reason.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', allows_streaming => 'logical', conf => "max_worker_processes = 16\n");
plan(skip_all => 'the server has nothing of this') if $node->pg_version < 17;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub fails
{
	my ($statement, $error) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement;");

	return like($err, $error, $statement =~ s/\s+/ /gr);
}

my $contents = 'SELECT count(*), count(DISTINCT message_id), sum(length(body)) FROM topic';
sql(<<'EOQ');
CREATE TABLE topic (LIKE rocketq.message) USING rocketq;
INSERT INTO topic (tag, body) SELECT 't' || i % 3, convert_to(repeat('x', i), 'UTF8') FROM generate_series(1, 1000) i;
EOQ

#
# statements.
#
is(sql(<<'EOQ'), 'INSERT|t|m', 'MERGE returns what it has inserted');
MERGE INTO topic USING (VALUES ('m')) v (tag) ON false
WHEN NOT MATCHED THEN INSERT (tag, body) VALUES (v.tag, '') RETURNING merge_action(), message_id IS NOT NULL, topic.tag;
EOQ
sql("COPY topic (queue_id, tag, body) FROM STDIN WITH (ON_ERROR ignore);\n0\tc\tx\nnone\tc\tx\n1\tc\tx\n\\.\n");
is(sql("SELECT count(*) FROM topic WHERE tag = 'c'"), '2', 'COPY skips rows that it cannot read');
sql('CREATE ROLE keeper; GRANT MAINTAIN ON topic TO keeper; SET ROLE keeper; VACUUM ANALYZE topic;');
fails('SET ROLE keeper; SELECT count(*) FROM topic', qr/ERROR:  42501: permission denied/);
fails("SET transaction_timeout = '1s'; SELECT FROM rocketq.consume('topic', 'timed', wait => '1 h', tags => 'none')",
	qr/FATAL:  25P04: terminating connection due to transaction timeout/);
fails('ALTER TABLE topic ALTER tag SET EXPRESSION AS (sharding_key)', qr/ERROR:  55000: .*is not a generated column/);
fails('ALTER TABLE topic SET ACCESS METHOD DEFAULT', qr/ERROR:  0A000: /);

#
# an incremental backup has the whole store, as it is not made of relations.
#
$node->append_conf('postgresql.conf', "summarize_wal = on\n");
rq_reload($node);
$node->backup('full');
sql("INSERT INTO topic (tag, body) SELECT 'later', 'y' FROM generate_series(1, 100); SELECT rocketq.create_group('topic', 'later')");
my $backups = $node->backup_dir;
command_ok(
	[ 'pg_basebackup', '-D', "$backups/more", '-i', "$backups/full/backup_manifest", '-c', 'fast', '--no-sync',
		'-d', $node->connstr('postgres') ],
	'an incremental backup is made');
command_ok([ 'pg_combinebackup', '-o', "$backups/both", "$backups/full", "$backups/more" ],
	'it is combined with the one before');
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'both');
$restored->start;
is($restored->safe_psql('postgres', $contents), sql($contents), 'the combination has all messages');
is($restored->safe_psql('postgres', "SELECT count(*) FROM rocketq.groups WHERE consumer_group = 'later'"), '8',
	'and groups');
rq_verify($restored, 'a combination of backups');
$restored->stop;

#
# pg_createsubscriber makes a standby a server of its own, and resets its WAL.
#
my $standby = rq_standby($node);
$node->wait_for_catchup($standby);
my $expected = sql($contents);
$standby->stop;
command_ok(
	[ 'pg_createsubscriber', '-D', $standby->data_dir, '-P', $node->connstr('postgres'), '-s', $standby->host,
		'-p', $standby->port, '-d', 'postgres' ],
	'pg_createsubscriber');
$standby->start;
is($standby->safe_psql('postgres', $contents), $expected, 'the subscriber has all messages');
$standby->safe_psql('postgres', "SELECT rocketq.produce('topic', 'own')");
is($standby->safe_psql('postgres', "SELECT count(*) > 0 FROM rocketq.consume('topic', 'g', 10)"), 't',
	'and is a server of its own');
rq_verify($standby, 'a subscriber');
$standby->stop;

rq_verify($node, 'at the end');
$node->stop;
done_testing();

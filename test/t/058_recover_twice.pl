# 058_recover_twice.pl -- recovery begins with a state file that is newer than
# its starting point: one that the startup process wrote during an earlier
# attempt, or at a later point.  Nothing in it is mistaken for older than it
# is.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main', allows_streaming => 1, conf => <<'EOC');
rocketq.max_queues = 16
checkpoint_timeout = 1h
wal_keep_size = 1GB
EOC
rq_require_faults($node);
$node->safe_psql('postgres', q{SELECT rocketq.create_topic('a', 8)});
my $standby = rq_standby($node, conf => 'checkpoint_timeout = 1h');

my $topics = q{SELECT string_agg(topic || ' ' || queues, ', ' ORDER BY topic) FROM rocketq.topics};

#
# A standby writes its state when it replays a checkpoint, while a topic is
# being altered, and starts again from an earlier point.
#
$node->safe_psql('postgres', "SELECT pg_current_xact_id()") foreach 1 .. 5;
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN');
$session->query_safe(q{SELECT rocketq.alter_topic('a', queues => 12)});
$node->safe_psql('postgres', 'CHECKPOINT');
rq_catch_up($node, $standby);
$standby->stop('immediate');
rq_start($standby);
rq_catch_up($node, $standby);
is($standby->safe_psql('postgres', $topics), 'a 8', 'a standby starts while a topic is altered');
$session->query_safe('ROLLBACK');
$session->quit;
rq_catch_up($node, $standby);
is($standby->safe_psql('postgres', $topics), 'a 8', 'the standby continues');
$standby->stop;

#
# A state that is newer than the checkpoint and no longer has a topic that WAL
# creates again; it fits only if redo knows that the topic was dropped.
#
sub start_and_stop_at_sync
{
	my ($count) = @_;
	my $log = -s $node->logfile;

	$node->append_conf('postgresql.conf', "rocketq.fault = 'keeper-fsynced=stop'");
	system_or_bail('pg_ctl', '-W', '-D', $node->data_dir, '-l', $node->logfile, 'start');
	foreach my $sync (1 .. $count)
	{
		my ($pid) = ();
		rq_poll(
			"the startup process to come to sync $sync",
			sub {
				foreach my $candidate (rq_processes($node))
				{
					my $title = eval { slurp_file("/proc/$candidate/cmdline") } // '';
					my $stat = eval { slurp_file("/proc/$candidate/stat") } // '';
					$pid = $candidate if $title =~ /startup/ && $stat =~ /\) T /;
				}
				my $done = () = slurp_file($node->logfile, $log) =~ /rocketq sync complete/g;
				return defined $pid && $done == $sync - 1;
			});
		kill('CONT', $pid) if $sync < $count;
	}
	$node->_update_pid(1);
	rq_kill9($node, all => 1);
	$node->append_conf('postgresql.conf', "rocketq.fault = ''");
	return;
}

$node->safe_psql('postgres', 'CHECKPOINT');
$node->safe_psql('postgres', q{SELECT rocketq.create_topic('c', 8); DROP TABLE c});
rq_wait_ticks($node, 'janitor', 2);
$node->safe_psql('postgres', q{SELECT rocketq.create_topic('d', 8); SELECT rocketq.produce('d', 'm')});
my $redo = $node->safe_psql('postgres', 'SELECT redo_lsn FROM pg_control_checkpoint()');
rq_arm($node, 'keeper-sync=sleep:3000');
my $checkpoint = rq_background($node, 'psql', '-XAtq', '-c', 'CHECKPOINT', '-d', $node->connstr('postgres'));
rq_poll_query($node, 'the checkpoint to begin',
	"SELECT count(*) = 1 FROM pg_stat_activity WHERE query = 'CHECKPOINT' AND wait_event = 'CheckpointDone'");
rq_signal($node, 'STOP', 'checkpointer');
rq_poll_query($node, 'the state to be written',
	"SELECT synced_redo_lsn > '$redo' FROM rocketq.workers WHERE worker = 'keeper'");
rq_kill9($node, all => 1);
rq_disarm($node);
eval { $checkpoint->{run}->finish; };
start_and_stop_at_sync(2);
rq_start($node);
is($node->safe_psql('postgres', $topics), 'a 8, d 8', 'a dropped topic does not return');
is($node->safe_psql('postgres', 'SELECT rocketq.text(body) FROM d'), 'm', 'the message is there');
rq_verify($node, 'recovered twice');
$node->stop;
done_testing();

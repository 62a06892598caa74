# 021_stop.pl -- immediate, fast and smart stops under load: topic and plain
# tables agree afterwards.

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
my $node = rq_node('main', conf => "rocketq.segment_size = '1MB'");
rq_create_load($node);

my $rounds = rq_rounds(2);
foreach my $round (1 .. $rounds)
{
	foreach my $mode ('immediate', 'fast', 'smart')
	{
		my $load = rq_start_load($node);
		my $acker = rq_start_acker($node, 1000 + $round);
		my $label = "round $round, $mode";

		rq_wait_progress($node, rq_random(500, 2000));
		usleep(rq_random(0, 200_000));

		# A smart stop waits for the clients, so they have to disconnect first.
		if ($mode eq 'smart')
		{
			my $log_from = rq_log_from($node);
			my $stop = rq_background($node, 'pg_ctl', '-D', $node->data_dir,
				'-m', 'smart', '-w', 'stop');
			$node->wait_for_log(qr/received smart shutdown request/, $log_from);
			rq_acked($acker);
			rq_stop_load($load);
			$stop->{run}->finish;
			rq_stopped($node);
		}
		else
		{
			my $log_from = rq_log_from($node);
			$node->stop($mode);
			rq_stop_load($load);
			rq_acked($acker);
			like(slurp_file($node->logfile, $log_from),
				qr/rocketq store closed.*database system is shut down/s,
				"$label: the store is closed cleanly")
			  if $mode eq 'fast';
		}
		rq_start($node);
		unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/,
			"$label: no crash in the log");
		rq_check($node, $label);
	}
}

# The state at the stop is on disk: a clean start has nothing to replay.
$node->stop('fast');
my $log_from = rq_log_from($node);
rq_start($node);
unlike(slurp_file($node->logfile, $log_from), qr/redo starts at/,
	'no replay after a clean stop');
rq_drain($node);
rq_check($node, 'all consumed');
rq_applied_all($node, 'at the end');
$node->stop;

done_testing();

# 075_standby_gaps.pl -- a standby knows up to where the log is complete while
# records of the stretches before its end are yet to come.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $primary = rq_node('primary', allows_streaming => 1, conf => "rocketq.segment_size = '1MB'");
rq_require_faults($primary);
$primary->safe_psql('postgres', "SELECT rocketq.create_topic('t', 1)");
my $standby = rq_standby($primary);

# A session that has reserved a place in the log, and logs it when it goes on.
sub reserve
{
	my ($session, $pid) = rq_stopped_session($primary, 'append-store', 'SELECT 1',
		"SELECT rocketq.produce('t', 'stalled');");
	return [ $session, $pid ];
}

# Let it go on, and wait until the standby knows.
sub finish
{
	my ($session, $pid) = @{ $_[0] };
	rq_resume_session($primary, $session, $pid);
	$session->quit;
	rq_catch_up($primary, $standby);
	return;
}

sub produce { return $primary->safe_psql('postgres', "SELECT rocketq.produce('t', repeat('x', 100))"); }

# What the standby finds wrong in the log itself.
sub problems
{
	return $standby->safe_psql('postgres',
		"SELECT count(*) FROM rocketq.verify() v WHERE v::text LIKE '%commit log position%'");
}

# Change a byte of a message in the standby's file, or change it back.
sub damage
{
	my ($position) = @_;
	my $file = sprintf('%s/pg_rocketq/log/%016x', $standby->data_dir, $position >> 20);
	my $byte;

	open my $fh, '+<:raw', $file or die "could not open \"$file\": $!";
	sysseek($fh, ($position & 0xfffff) + 100, 0);
	sysread($fh, $byte, 1);
	sysseek($fh, ($position & 0xfffff) + 100, 0);
	syswrite($fh, chr(ord($byte) ^ 1));
	close $fh;
	return;
}

# Three holes, each with a message after it.
my @stalled = (reserve());
my @messages = (produce());
push @stalled,  reserve();
push @messages, produce();
push @stalled,  reserve();
push @messages, produce();
rq_catch_up($primary, $standby);
is(problems(), 0, 'holes are no damage');

# What is past the first hole is not looked at, as it may be incomplete.
damage($messages[0]);
is(problems(), 0, 'past the first hole nothing is missed yet');
finish($stalled[0]);
is(problems(), 1, 'when it is closed, all up to the second one is looked at');
damage($messages[0]);
is(problems(), 0, 'which is still a hole');
damage($messages[2]);
finish($stalled[2]);
is(problems(), 0, 'so it is when the last one is closed first');
damage($messages[2]);
finish($stalled[1]);
rq_verify($standby, 'when all are closed');
damage($messages[2]);
is(problems(), 1, 'and then all is looked at');
damage($messages[2]);
rq_verify($primary, 'on the primary');
$standby->stop;
$primary->stop;

done_testing();

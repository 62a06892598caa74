# 083_memory.pl -- what the limits cost: shared memory that is set aside, and that
# nobody touches until it is used.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main');

# Megabytes that are set aside for all tables.
sub set_aside
{
	return $node->safe_psql('postgres',
		q{SELECT round(sum(allocated_size) / 1048576.0) FROM pg_shmem_allocations WHERE name ~ '^rocketq '});
}

sub restart_with
{
	my ($conf) = @_;
	$node->append_conf('postgresql.conf', "$conf\n");
	$node->restart;
	return;
}

# Megabytes of shared memory that a process has touched.
sub touched
{
	my ($pid) = @_;
	return slurp_file("/proc/$pid/status") =~ /^RssShmem:\s+(\d+) kB/m ? $1 / 1024 : undef;
}

#
# The default limits, as the documentation says.  The tests' servers have others.
#
restart_with($node->safe_psql('postgres', <<'EOQ'));
SELECT string_agg(name || ' = ' || boot_val, E'\n') FROM pg_settings WHERE name ~ '^rocketq\.max_'
EOQ
cmp_ok(set_aside(), '<=', 80, 'a server with default settings');
note(set_aside() . ' MB by default');
is( $node->safe_psql('postgres', <<'EOQ'), '16384 262144 16384 262144', 'the default limits');
SELECT concat_ws(' ', current_setting('rocketq.max_topics'), current_setting('rocketq.max_queues'),
	current_setting('rocketq.max_groups'), current_setting('rocketq.max_consumer_slots'))
EOQ

#
# A million queues, each with a group.
#
restart_with(<<'EOC');
rocketq.max_queues = 1000000
rocketq.max_consumer_slots = 1000000
EOC
note(set_aside() . ' MB for a million queues');
cmp_ok(set_aside(), '<=', 256, 'a million queues, each with a group');

#
# All tables for a million, of which next to nothing is used.
#
restart_with(<<'EOC');
rocketq.max_topics = 1000000
rocketq.max_groups = 1000000
rocketq.janitor_interval = 50ms
rocketq.group_expire_time = 1d
shared_buffers = 16MB
EOC
my $all = set_aside();
cmp_ok($all, '>', 500, "$all MB are set aside");
SKIP:
{
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];
	my $session;
	my %touched;

	skip 'this system does not say what a process has touched', 1
	  if !-r "/proc/$postmaster/status" || !defined touched($postmaster);
	$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('t' || i, 9) FROM generate_series(1, 20) i;
SELECT rocketq.alter_topic('t' || i, retention_time => '1 day') FROM generate_series(1, 20) i;
SELECT rocketq.create_group('t' || i, 'g' || g) FROM generate_series(1, 20) i, generate_series(1, 3) g;
SELECT count(rocketq.produce('t' || i % 20 + 1, 'x')) FROM generate_series(1, 1000) i;
SELECT count(*) FROM generate_series(1, 20) i, rocketq.consume('t' || i, 'g1', 10, auto_commit => true);
SELECT rocketq.drop_topic('t20');
CHECKPOINT;
EOQ
	# Each worker has done all that it does from time to time, views walk over
	# all there is, and so does verify().
	rq_wait_ticks($node, 'janitor', 5);
	rq_wait_ticks($node, 'keeper', 50);
	$session = $node->background_psql('postgres', on_error_stop => 1);
	$session->query_safe("SELECT count(*) FROM rocketq.$_") foreach qw(topics queues groups workers segments verify());
	%touched = map { my ($pid, $name) = split /\|/; ($name => touched($pid)) } split /\n/,
	  $node->safe_psql('postgres', "SELECT pid, backend_type FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
	$touched{postmaster} = touched($postmaster);
	note(sprintf('%s has touched %.1f MB', $_, $touched{$_})) foreach sort keys %touched;
	is_deeply([ grep { $touched{$_} > 16 } sort keys %touched ], [], 'nobody touches what is not used');
	$session->quit;
}

rq_verify($node, 'at the end');
$node->stop;
done_testing();

# 088_clock.pl -- the clock of the server is set back, or that of a standby is
# behind.  Messages without a transaction then come from the future, and those
# who keep a snapshot see them all the same, pg_dump among them.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;

my $node = rq_node('main');
my ($keeps, $other) = rq_sessions($node, 2);

rq_done($other, "SELECT rocketq.create_topic('t', 1)");
rq_done($other, "SELECT rocketq.create_group('t', 'g')");

sub produce
{
	my ($body) = @_;
	return rq_done($other, "SELECT rocketq.produce('t', '$body', transactional => false) > 0");
}

my $bodies = "SELECT rocketq.text(body) FROM t ORDER BY queue_offset";

produce('before');
rq_done($other, "SET rocketq.fault = 'enqueue-clock=fail'");
produce('ahead');
rq_done($other, "RESET rocketq.fault");
produce('set back');
is(rq_done($other, 'SELECT count(*) FROM t WHERE stored_at > clock_timestamp()'), '2',
	'messages come from the future');

rq_done($keeps, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
is(rq_done($keeps, $bodies), 'before ahead set back', 'a transaction sees what was there');
produce('later');
is(rq_done($keeps, $bodies), 'before ahead set back', 'and no more than that');
is(rq_done($other, $bodies), 'before ahead set back later', 'others see more');
rq_done($keeps, 'COMMIT');
is(rq_done($keeps, "BEGIN ISOLATION LEVEL REPEATABLE READ; $bodies"),
	'before ahead set back later', 'so does the next transaction');
rq_done($keeps, 'COMMIT');

my ($dump) = run_command([ 'pg_dump', '--data-only', '-d', $node->connstr('postgres') ]);
is(scalar(() = $dump =~ /\\\\x/g), 4, 'pg_dump has all messages');

# What comes between BEGIN and the first look is not seen as long as the clock
# is right.
rq_done($other, "SELECT rocketq.create_topic('right', 1)");
rq_done($keeps, 'BEGIN ISOLATION LEVEL REPEATABLE READ');
rq_done($other, "SELECT rocketq.produce('right', 'new', transactional => false) > 0");
is(rq_done($keeps, 'SELECT count(*) FROM "right"'), '0', 'not what came after BEGIN');
rq_done($keeps, 'COMMIT');

is($node->safe_psql('postgres', 'SELECT * FROM rocketq.verify()'), '', 'the store is sound');

done_testing();

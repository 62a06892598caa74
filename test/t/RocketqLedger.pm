# RocketqLedger.pm -- is everything that was acknowledged there, and nothing
# else?
#
# The ledger is a directory outside the cluster.  Each client has a file there,
# in which it records what it does, line by line, each on disk before the
# client continues:
#
#   try TXN SYNC NOTE...   what this transaction is about, before COMMIT
#   no TXN                 it is about to be rolled back, or has failed
#   ok TXN                 the server has acknowledged its commit
#
# SYNC is the transaction's synchronous_commit, or "now" for a message that
# does not wait for a transaction.  The outcome of one with neither "ok" nor
# "no" is unknown.  A producer's notes are KEY:SEQ for a message, and !KEY:SEQ
# for one that was rolled back to a savepoint; each producer has keys and
# numbers of its own.  A consumer's notes are QUEUE:NEXT, how far the
# transaction moves the group.
#
# rq_ledger_check() compares this with the server after a disaster:
#
#   - what was acknowledged is there, once; what was rolled back is not; what is
#     unknown is there wholly or not at all
#   - an acknowledged commit with synchronous_commit off may be lost, but not
#     when a later one of the same client is there or was acknowledged with on
#   - what has once been found there or lost stays so
#   - each message is what was sent, has its row in ledger.sent, which the same
#     transaction wrote, and each key's messages are in order, in one queue
#   - each group's offset is where its committed transactions moved it, or where
#     its queue begins after what was aborted there has been trimmed away, not
#     below what was acknowledged, and ledger.applied holds exactly the
#     messages below it, each once and in order
#   - a message that has been trimmed away was applied by every group
#   - rocketq.verify() finds nothing
package RocketqLedger;

use strict;
use warnings;

use Exporter 'import';
use IO::Handle;
use POSIX ();
use PostgreSQL::Test::Utils;
use RocketqClient;
use RocketqTest;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  rq_ledger_create rq_ledger_start rq_ledger_stop rq_ledger_progress
  rq_ledger_problems rq_ledger_check
);

# Two groups: one commits explicit offsets, the other everything that it has
# read.
my @groups = ('exact', 'auto');

my $ledger_sql = <<'EOS';
CREATE SCHEMA ledger;
CREATE TABLE ledger.sent (key int NOT NULL, seq bigint NOT NULL);
CREATE TABLE ledger.applied (pos bigserial, txn text NOT NULL, grp text NOT NULL,
	queue_id int NOT NULL, queue_offset bigint NOT NULL, message_id bigint NOT NULL,
	key int NOT NULL, seq bigint NOT NULL);
CREATE TABLE ledger.moved (grp text, queue_id int, next bigint NOT NULL,
	PRIMARY KEY (grp, queue_id));
SELECT rocketq.create_topic('ledger.topic', 4);
SELECT rocketq.create_group('ledger.topic', grp) FROM unnest('{exact,auto}'::text[]) grp;

CREATE FUNCTION ledger.body(key int, seq bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT key || ':' || seq || ':' || repeat(md5(key || '/' || seq), (key + seq)::int % 20)
$$;

CREATE FUNCTION ledger.put(key int, first bigint, last bigint, transactional bool DEFAULT true)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM rocketq.produce('ledger.topic', ledger.body(key, s), sharding_key => 'k' || key,
		transactional => put.transactional) FROM generate_series(first, last) s;
	IF transactional THEN
		INSERT INTO ledger.sent SELECT key, s FROM generate_series(first, last) s;
	END IF;
END $$;

-- Consume and apply; return how far that moves the group in each queue.
CREATE FUNCTION ledger.take(txn text, grp text, n int) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	q record;
BEGIN
	FOR q IN
		WITH taken AS (
			INSERT INTO ledger.applied (txn, grp, queue_id, queue_offset, message_id, key, seq)
			SELECT take.txn, take.grp, m.queue_id, m.queue_offset, m.message_id,
				split_part(rocketq.text(m.body), ':', 1)::int,
				split_part(rocketq.text(m.body), ':', 2)::bigint
			FROM rocketq.consume('ledger.topic', take.grp, n) m
			RETURNING applied.queue_id, applied.queue_offset)
		SELECT queue_id, max(queue_offset) + 1 AS next FROM taken GROUP BY queue_id
	LOOP
		IF grp = 'exact' THEN
			PERFORM rocketq.commit_offset('ledger.topic', grp, q.queue_id, q.next);
		END IF;
		INSERT INTO ledger.moved VALUES (grp, q.queue_id, q.next)
			ON CONFLICT ON CONSTRAINT moved_pkey DO UPDATE SET next = EXCLUDED.next;
		RETURN NEXT q.queue_id || ':' || q.next;
	END LOOP;
	IF grp = 'auto' THEN
		PERFORM rocketq.commit_offset('ledger.topic', grp);
	END IF;
END $$;
EOS

sub rq_ledger_create
{
	my ($node) = @_;
	my $directory = $node->basedir . '/ledger';

	mkdir($directory) or die "could not make \"$directory\": $!";
	$node->safe_psql('postgres', $ledger_sql);
	return { node => $node, directory => $directory, clients => 0, outcome => {} };
}

# ---- clients ----

# Write a client's note; it is on disk when this returns.
sub note_down
{
	my ($file, @words) = @_;

	print $file join(' ', @words) . "\n";
	$file->sync or die "could not write to the ledger: $!";
	return;
}

# One transaction of a client: "begin" does its work and returns its notes.
# False when the connection is lost.
sub transact
{
	my ($client, $file, $txn, $sync, $undo, $begin) = @_;
	my $notes;

	$client->query("BEGIN; SET LOCAL synchronous_commit = $sync") // return 0;
	$notes = $begin->() // return 0;
	note_down($file, 'try', $txn, $sync, @$notes);
	if ($undo || $client->{error})
	{
		note_down($file, 'no', $txn);
		return defined $client->query('ROLLBACK');
	}
	$client->query('COMMIT') // return 0;
	note_down($file, $client->{done} eq 'COMMIT' ? 'ok' : 'no', $txn);
	return 1;
}

# Messages with the next numbers of a key, and the notes about them.
sub next_messages
{
	my ($next, $key, $count, $mark) = @_;
	my $first = $next->{$key};

	$next->{$key} += $count;
	return ("ledger.put($key, $first, " . ($first + $count - 1) . ')',
		map { "$mark$key:$_" } $first .. $first + $count - 1);
}

sub produce_some
{
	my ($client, $next) = @_;
	my @keys = sort { $a <=> $b } keys %$next;
	my ($sql, @notes) = ('');

	foreach my $key (@keys[ 0 .. rq_random(0, $#keys) ])
	{
		my ($call, @more) = next_messages($next, $key, rq_random(0, 19) ? rq_random(1, 4) : rq_random(20, 120), '');
		$sql .= "SELECT $call;";
		push @notes, @more;
	}
	if (!rq_random(0, 4))
	{
		my ($call, @more) = next_messages($next, $keys[0], 3, '!');
		$sql .= "SAVEPOINT s; SELECT $call; ROLLBACK TO s;";
		push @notes, @more;
	}
	$client->query($sql) // return undef;
	return \@notes;
}

# Messages that are visible at once, independent of a transaction.
sub produce_at_once
{
	my ($client, $file, $txn, $next) = @_;
	my ($key) = keys %$next;
	my ($call, @notes) = next_messages($next, $key, 1, '');

	$call =~ s/\)$/, false)/;
	note_down($file, 'try', $txn, 'now', @notes);
	$client->query("SELECT $call") // return 0;
	note_down($file, 'ok', $txn) if !$client->{error};
	return 1;
}

sub produce_forever
{
	my ($client, $file, $number, $sync, $stop) = @_;
	my %next = map { $_ => 1 } (10 * $number .. 10 * $number + 3);

	for (my $txn = 1; !$$stop; $txn++)
	{
		my $alive =
		  rq_random(0, 9)
		  ? transact($client, $file, $txn, $sync->(), !rq_random(0, 9),
			sub { return produce_some($client, \%next); })
		  : produce_at_once($client, $file, $txn, \%next);
		return if !$alive;
	}
	return;
}

sub consume_forever
{
	my ($client, $file, $number, $sync, $stop) = @_;

	for (my $txn = 1; !$$stop; $txn++)
	{
		my $group = $groups[ rq_random(0, $#groups) ];
		my $count = rq_random(1, 200);

		transact(
			$client, $file, $txn,
			$sync->(), !rq_random(0, 9),
			sub {
				my $moves = $client->query("SELECT ledger.take('$number/$txn', '$group', $count)");
				usleep(5_000) if defined $moves && !@$moves;
				return $moves;
			}) or return;
	}
	return;
}

sub start_client
{
	my ($ledger, $kind, $run, $sync) = @_;
	my $number = ++$ledger->{clients};
	my $file_name = sprintf('%s/%s.%04d', $ledger->{directory}, $kind, $number);
	my $seed = rq_random(1, 1_000_000);
	my $pid = fork() // die "could not fork: $!";
	my $stop = 0;

	return $pid if $pid;

	# No code of the test itself may run in this process, not even at exit.
	srand($seed);
	$SIG{TERM} = sub { $stop = 1; };
	eval {
		my $client = RocketqClient->new($ledger->{node}, 'ledger');
		open(my $file, '>>', $file_name) or die "could not open \"$file_name\": $!";
		$file->autoflush;
		$run->($client, $file, $number, $sync, \$stop) if $client;
	};
	print STDERR $@ if $@;
	POSIX::_exit($@ ? 1 : 0);
}

# Start clients.  "async" is the number of transactions out of ten that commit
# with synchronous_commit off.
sub rq_ledger_start
{
	my ($ledger, %param) = @_;
	my %count = (produce => 2, consume => 2, async => 3, %param);
	my $sync = sub { return rq_random(1, 10) <= $count{async} ? 'off' : 'on'; };

	$ledger->{pids} = [
		(map { start_client($ledger, 'produce', \&produce_forever, $sync) } 1 .. $count{produce}),
		(map { start_client($ledger, 'consume', \&consume_forever, $sync) } 1 .. $count{consume})
	];
	return;
}

# Wait for the clients, which end when their connections do, or because they
# are asked to.
sub rq_ledger_stop
{
	my ($ledger) = @_;

	kill('TERM', @{ $ledger->{pids} });
	foreach my $pid (@{ $ledger->{pids} })
	{
		waitpid($pid, 0);
		is($?, 0, 'a client of the ledger did its work') if $?;
	}
	$ledger->{pids} = [];
	return;
}

# Wait until this many more messages have been produced, and some consumed.
sub rq_ledger_progress
{
	my ($ledger, $count) = @_;
	my $node = $ledger->{node};
	my ($sent, $applied) = split /\|/, $node->safe_psql('postgres',
		'SELECT (SELECT count(*) FROM ledger.sent), (SELECT count(*) FROM ledger.applied)');

	rq_poll_query($node, 'progress of the ledger', <<"EOQ");
SELECT (SELECT count(*) FROM ledger.sent) >= $sent + $count AND
	(SELECT count(*) FROM ledger.applied) > $applied
EOQ
	return;
}

# ---- what the clients say ----

# The transactions of one file, in order.
sub read_file
{
	my ($path) = @_;
	my ($client) = $path =~ /\.0*(\d+)$/;
	my (@txns, %by_number);

	foreach my $line (split /\n/, slurp_file($path))
	{
		my ($word, $number, $sync, @notes) = split / /, $line;
		if ($word eq 'try')
		{
			my %txn = (
				name    => "$client/$number",
				what    => "transaction $client/$number with synchronous_commit $sync",
				sync    => $sync,
				outcome => 'unknown',
				notes   => [ grep { !/^!/ } @notes ],
				undone  => [ map { /^!(.*)/ } @notes ]);
			push @txns, \%txn;
			$by_number{$number} = \%txn;
		}
		else
		{
			$by_number{$number}{outcome} = $word;
		}
	}
	return @txns;
}

sub read_files
{
	my ($ledger, $kind) = @_;
	return map { [ read_file($_) ] } sort glob("$ledger->{directory}/$kind.*");
}

# ---- what the server says ----

sub rows_of
{
	my ($node, $sql) = @_;
	return map { [ split /\|/ ] } split /\n/, $node->safe_psql('postgres', $sql);
}

sub look
{
	my ($node) = @_;
	my %seen = (there => {}, problems => []);

	foreach my $row (rows_of($node, <<'EOQ'))
SELECT q.queue_id, p.queue_offset, k.key || ':' || k.seq,
	ledger.body(k.key, k.seq) = b.body AND p.sharding_key = 'k' || k.key
FROM rocketq.queues q,
	LATERAL rocketq.pull(q.topic, q.queue_id, q.min_offset, 1000000) p,
	LATERAL (SELECT rocketq.text(p.body) AS body OFFSET 0) b,
	LATERAL (SELECT split_part(b.body, ':', 1)::int AS key,
		split_part(b.body, ':', 2)::bigint AS seq OFFSET 0) k
WHERE q.topic = 'ledger.topic' ORDER BY 1, 2
EOQ
	{
		my ($queue, $offset, $message, $same) = @$row;
		push @{ $seen{problems} }, "message $message is not what was sent" if $same ne 't';
		push @{ $seen{problems} }, "message $message is there twice" if $seen{there}{$message};
		$seen{there}{$message} = [ $queue, $offset ];
		$seen{at}{"$queue:$offset"} = $message;
	}
	$seen{sent}{"$_->[0]:$_->[1]"}++
	  foreach rows_of($node, 'SELECT key, seq FROM ledger.sent');
	$seen{applied} = [ rows_of($node, <<'EOQ') ];
SELECT grp, queue_id, queue_offset, key || ':' || seq, txn,
	queue_offset < rocketq.min_offset('ledger.topic', queue_id) OR
		message_id < (SELECT min(start_position) FROM rocketq.segments)
FROM ledger.applied ORDER BY pos
EOQ
	foreach my $row (rows_of($node, <<'EOQ'))
SELECT consumer_group, queue_id, committed_offset,
	coalesce((SELECT next FROM ledger.moved m
		WHERE m.grp = consumer_group AND m.queue_id = g.queue_id), 0),
	committed_offset = rocketq.min_offset(topic, queue_id)
FROM rocketq.groups g WHERE topic = 'ledger.topic'
EOQ
	{
		my ($group, $queue, $committed, $moved, $at_start) = @$row;
		$seen{committed}{$group}{$queue} = $committed;
		push @{ $seen{problems} }, "group $group is at $queue:$committed, not $queue:$moved"
		  if $committed < $moved || ($group eq 'exact' && $committed > $moved && $at_start ne 't');
	}
	return \%seen;
}

# A message that has been trimmed counts as present: every group has consumed
# it.
sub add_trimmed
{
	my ($seen) = @_;
	my (%groups_of, %place);

	foreach my $row (@{ $seen->{applied} })
	{
		my ($group, $queue, $offset, $message, $txn, $trimmed) = @$row;
		next if $trimmed ne 't';
		$groups_of{$message}{$group} = 1;
		$place{$message} = [ $queue, $offset ];
	}
	foreach my $message (keys %groups_of)
	{
		push @{ $seen->{problems} }, "message $message is trimmed and there"
		  if $seen->{there}{$message};
		push @{ $seen->{problems} }, "message $message was trimmed too early"
		  if keys %{ $groups_of{$message} } != @groups;
		$seen->{there}{$message} = $place{$message};
	}
	return;
}

# ---- do both fit? ----

# Is it consistent with what is known of a transaction that its effects are
# there, or are not? To be called for a client's transactions from the last to
# the first; "later" says whether a later one has survived, or must have.
sub judge
{
	my ($ledger, $txn, $lasted, $later) = @_;
	my $known = $ledger->{outcome}{ $txn->{name} };
	my $outcome = $txn->{outcome};
	my $problem = '';

	if ($lasted)
	{
		$problem = 'was rolled back and has lasted' if $outcome eq 'no';
		$problem = 'was lost and is there again' if $known && $known eq 'lost';
	}
	else
	{
		$problem = 'is lost'
		  if $outcome eq 'ok' && !$known && ($txn->{sync} ne 'off' || $$later);
		$problem = 'has lasted and is gone' if $known && $known eq 'lasted';
	}
	$$later = 1 if $lasted || ($outcome eq 'ok' && $txn->{sync} ne 'off');
	$ledger->{outcome}{ $txn->{name} } = $lasted ? 'lasted' : 'lost';
	return $problem eq '' ? () : "$txn->{what} $problem";
}

sub problems_of_messages
{
	my ($ledger, $seen, $txn, $later) = @_;
	my @messages = @{ $txn->{notes} };
	my $there = grep { $seen->{there}{$_} } @messages;
	my @problems = map { "message $_ was rolled back to a savepoint and is there" }
	  grep { $seen->{there}{$_} || $seen->{sent}{$_} } @{ $txn->{undone} };

	return @problems if !@messages;
	push @problems, "$txn->{what} has $there of " . scalar(@messages) . ' messages'
	  if $there > 0 && $there < @messages;
	push @problems, grep { $_ ne '' } map { row_problem($seen, $txn, $_) } @messages;
	return (@problems, judge($ledger, $txn, $there > 0, $later));
}

# Message and row are of one transaction; what was sent at once has no row.
sub row_problem
{
	my ($seen, $txn, $message) = @_;
	my $there = defined $seen->{there}{$message};
	my $row = defined $seen->{sent}{$message};

	return '' if $there == $row || $txn->{sync} eq 'now';
	return $there ? "message $message has no row" : "row $message has no message";
}

sub problems_of_producers
{
	my ($ledger, $seen) = @_;
	my (@problems, %known);

	foreach my $txns (read_files($ledger, 'produce'))
	{
		my $later = 0;
		foreach my $txn (reverse @$txns)
		{
			$known{$_} = 1 foreach @{ $txn->{notes} }, @{ $txn->{undone} };
			push @problems, problems_of_messages($ledger, $seen, $txn, \$later);
		}
	}
	push @problems, map { "nobody sent message $_" }
	  grep { !$known{$_} } keys %{ $seen->{there} }, keys %{ $seen->{sent} };
	return @problems;
}

sub problems_of_order
{
	my ($seen) = @_;
	my (@problems, %last);

	foreach my $message (sort { ($a =~ /(\d+)$/)[0] <=> ($b =~ /(\d+)$/)[0] }
		keys %{ $seen->{there} })
	{
		my ($key) = $message =~ /^(\d+)/;
		my ($queue, $offset) = @{ $seen->{there}{$message} };
		my $last = $last{$key};

		push @problems, "message $message is out of order"
		  if $last && ($last->[0] != $queue || $last->[1] >= $offset);
		$last{$key} = [ $queue, $offset ];
	}
	return @problems;
}

# Compare what was applied with the offsets.
sub problems_of_work
{
	my ($seen) = @_;
	my (@problems, %applied, %last);

	foreach my $row (@{ $seen->{applied} })
	{
		my ($group, $queue, $offset, $message, $txn, $trimmed) = @$row;
		my $what = "$group: message $message at $queue:$offset";

		push @problems, "$what was applied twice" if $applied{$group}{"$queue:$offset"};
		push @problems, "$what was applied out of order"
		  if ($last{$group}{$queue} // -1) >= $offset;
		push @problems, "$what was applied but is not below the offset"
		  if $offset >= $seen->{committed}{$group}{$queue};
		push @problems, "$what was applied and is not there"
		  if $trimmed ne 't' && ($seen->{at}{"$queue:$offset"} // '') ne $message;
		$applied{$group}{"$queue:$offset"} = 1;
		$last{$group}{$queue} = $offset;
	}
	foreach my $group (@groups)
	{
		push @problems, map { "$group: message $seen->{at}{$_} at $_ was not applied" }
		  grep { !$applied{$group}{$_} && is_below($seen->{committed}{$group}, $_) }
		  keys %{ $seen->{at} };
	}
	return @problems;
}

sub is_below
{
	my ($committed, $place) = @_;
	my ($queue, $offset) = split /:/, $place;
	return $offset < $committed->{$queue};
}

# How far each surviving transaction moved its group, according to its notes.
sub moves
{
	my ($seen) = @_;
	my (%next, %moves);

	foreach my $row (@{ $seen->{applied} })
	{
		my ($group, $queue, $offset, $message, $txn) = @$row;
		$next{$txn}{$queue} = $offset + 1 if ($next{$txn}{$queue} // 0) <= $offset;
	}
	foreach my $txn (keys %next)
	{
		$moves{$txn} = join(' ', sort map { "$_:$next{$txn}{$_}" } keys %{ $next{$txn} });
	}
	return \%moves;
}

# Compare what was acknowledged to consumers with what they have done.
sub problems_of_consumers
{
	my ($ledger, $seen) = @_;
	my $moves = moves($seen);
	my @problems;

	foreach my $txns (read_files($ledger, 'consume'))
	{
		my $later = 0;
		foreach my $txn (reverse @$txns)
		{
			my $noted = join(' ', sort @{ $txn->{notes} });
			my $moved = $moves->{ $txn->{name} } // '';

			next if $noted eq '';
			push @problems, "$txn->{what} moved to \"$moved\", not \"$noted\""
			  if $moved ne '' && $moved ne $noted;
			push @problems, judge($ledger, $txn, $moved ne '', \$later);
		}
	}
	return @problems;
}

# All inconsistencies.  Nobody may produce or consume at this time.
sub rq_ledger_problems
{
	my ($ledger) = @_;
	my $node = $ledger->{node};
	my $seen;

	rq_poll_query($node, 'all entries to be resolved', <<'EOQ');
SELECT coalesce(bool_and(rocketq.max_offset(topic, queue_id) = max_offset + unresolved), true)
FROM rocketq.queues
EOQ
	$seen = look($node);
	add_trimmed($seen);
	note(sprintf('%d messages there, %d rows, %d applied',
			scalar(keys %{ $seen->{there} }),
			scalar(keys %{ $seen->{sent} }),
			scalar(@{ $seen->{applied} })));
	return (
		@{ $seen->{problems} },
		problems_of_producers($ledger, $seen),
		problems_of_order($seen),
		problems_of_work($seen),
		problems_of_consumers($ledger, $seen));
}

sub rq_ledger_check
{
	my ($ledger, $label) = @_;
	my @problems = eval { rq_ledger_problems($ledger) };

	push @problems, $@ if $@;
	splice(@problems, 20);
	is(join("\n", @problems), '', "$label: the ledger and the server agree");
	return rq_verify($ledger->{node}, $label);
}

1;

# RocketqExtents.pm -- where entries of queues lie, read from area files; see
# src/format/rq_extfmt.h.
package RocketqExtents;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use RocketqNode;
use Test::More;

our @EXPORT = qw(
  rq_extents rq_extents_of rq_extent_topics rq_topic_key rq_extents_gone
  rq_entries rq_entries_with rq_area_files rq_chunks rq_overwrite
);

use constant {
	CHUNK_SIZE   => 4 * 1024 * 1024,
	CHUNK_MAGIC  => 0x48435152,
	EXTENT_MAGIC => 0x58455152,
	ENTRY_SIZE   => 32,
	HEADER_SIZE  => 64
};

my @entries = (16, 128, 1024, 8192);
my @places = (7280, 1008, 127, 15);

# Of a node, or in a copy of its data.
sub rq_area_files
{
	my ($node) = @_;
	my $data = ref($node) ? $node->data_dir : $node;

	return map { "$data/pg_rocketq/queue/$_" }
	  grep { /^[0-9A-F]{8}$/ } rq_store_files($node, 'queue');
}

sub read_at
{
	my ($fh, $at, $length) = @_;
	my $bytes = '';

	sysseek($fh, $at, 0) or die "could not seek: $!";
	defined(sysread($fh, $bytes, $length)) or die "could not read: $!";
	return $bytes;
}

# All extents of a chunk whose headers are not zeros.
sub extents_in
{
	my ($path, $fh, $at) = @_;
	my ($magic, undef, undef, undef, $class) = unpack('L<5', read_at($fh, $at, 20));
	my @found;

	return () if !defined($class) || $magic != CHUNK_MAGIC;
	my $table = HEADER_SIZE * ($places[$class] + 1);
	$table += -$table % 4096;
	my $headers = read_at($fh, $at + HEADER_SIZE, HEADER_SIZE * $places[$class]);
	for my $i (0 .. $places[$class] - 1)
	{
		my $header = substr($headers, HEADER_SIZE * $i, HEADER_SIZE);
		my ($is, undef, $db, $rel, $queue, undef, undef, $first, $seq, undef, undef, $hole) =
		  unpack('L<6 Q<3 L<3', $header);

		next if $is != EXTENT_MAGIC;
		push @found,
		  {
			path   => $path,
			class  => $class,
			key    => "${db}_$rel",
			queue  => $queue,
			first  => $first,
			count  => $entries[$class],
			seq    => $seq,
			hole   => $hole,
			header => $at + HEADER_SIZE * ($i + 1),
			at     => $at + $table + $i * $entries[$class] * ENTRY_SIZE
		  };
	}
	return @found;
}

# What "code" returns for each chunk, given its area file, that opened, and where
# the chunk begins in it.
sub of_chunks
{
	my ($node, $code) = @_;
	my @found;

	foreach my $path (rq_area_files($node))
	{
		open my $fh, '<:raw', $path or die "could not open \"$path\": $!";
		for (my $at = 0; $at + CHUNK_SIZE <= -s $fh; $at += CHUNK_SIZE)
		{
			push @found, $code->($path, $fh, $at);
		}
		close $fh;
	}
	return @found;
}

# All chunks: which class of extents each of them has, undef if it is raw, and how
# many bytes of entries it has room for.
sub rq_chunks
{
	my ($node) = @_;

	return of_chunks(
		$node,
		sub {
			my ($path, $fh, $at) = @_;
			my ($magic, undef, undef, undef, $class) = unpack('L<5', read_at($fh, $at, 20));

			$class = undef if $magic != CHUNK_MAGIC;
			return {
				path  => $path,
				at    => $at,
				class => $class,
				bytes => defined($class) ? $places[$class] * $entries[$class] * ENTRY_SIZE : 0
			};
		});
}

# All extents that somebody has, or had and which have not been made free yet, in
# the order of topics, queues and offsets.
sub rq_extents
{
	my ($node) = @_;
	my @found = sort {
		$a->{key} cmp $b->{key} || $a->{queue} <=> $b->{queue}
		  || $a->{first} <=> $b->{first} || $a->{seq} <=> $b->{seq}
	} of_chunks($node, \&extents_in);

	return @found;
}

# Those of a topic, or of one of its queues.
sub rq_extents_of
{
	my ($node, $key, $queue) = @_;

	return grep { $_->{key} eq $key && (!defined($queue) || $_->{queue} == $queue) }
	  rq_extents($node);
}

# The topics that have extents.
sub rq_extent_topics
{
	my ($node) = @_;
	my %key = map { $_->{key} => 1 } rq_extents($node);

	my @keys = sort keys %key;

	return @keys;
}

# How extents name a topic.
sub rq_topic_key
{
	my ($node, $topic, $database) = @_;

	return $node->safe_psql($database // 'postgres',
		"SELECT oid || '_' || pg_relation_filenode('$topic') FROM pg_database WHERE datname = current_database()"
	);
}

# Wait until those that match are free: after a sync that no longer names them.
# Of a standby, make a checkpoint on its primary instead.
sub rq_extents_gone
{
	my ($node, $what, $matches) = @_;

	$node->safe_psql('postgres', 'CHECKPOINT');
	return rq_poll(
		$what,
		sub {
			return 1 if !grep { $matches->($_) } rq_extents($node);
			# The janitor may have come after the checkpoint.
			$node->safe_psql('postgres', 'CHECKPOINT');
			return 0;
		});
}

# The entries [from, to) of a queue, each of them its bytes: of two extents that
# have the same one, of that which was taken later.
sub rq_entries
{
	my ($node, $key, $queue, $from, $to) = @_;
	my @entry;

	foreach my $e (sort { $a->{seq} <=> $b->{seq} } rq_extents_of($node, $key, $queue))
	{
		my $first = $e->{first} > $from ? $e->{first} : $from;
		my $end = $e->{first} + $e->{count} < $to ? $e->{first} + $e->{count} : $to;

		next if $first >= $end;
		open my $fh, '<:raw', $e->{path} or die "could not open \"$e->{path}\": $!";
		my $bytes = read_at($fh, $e->{at} + ($first - $e->{first}) * ENTRY_SIZE,
			($end - $first) * ENTRY_SIZE);
		close $fh;
		$entry[ $_ - $from ] = substr($bytes, ($_ - $first) * ENTRY_SIZE, ENTRY_SIZE)
		  foreach $first .. $end - 1;
	}
	die "an entry of queue $queue of $key is in no extent\n"
	  if @entry != $to - $from || grep { !defined } @entry;
	return @entry;
}

# The number of entries of a topic that point to this position.
sub rq_entries_with
{
	my ($node, $key, $position) = @_;
	my $found = 0;

	foreach my $e (rq_extents_of($node, $key))
	{
		open my $fh, '<:raw', $e->{path} or die "could not open \"$e->{path}\": $!";
		my $bytes = read_at($fh, $e->{at}, $e->{count} * ENTRY_SIZE);
		close $fh;
		for (my $at = 0; $at < length($bytes); $at += ENTRY_SIZE)
		{
			$found++ if unpack('Q<', substr($bytes, $at, 8)) == $position;
		}
	}
	return $found;
}

# Write bytes to a file, which stays the same for who has it mapped.  Returns a
# function that undoes it.
sub rq_overwrite
{
	my ($path, $at, $bytes) = @_;
	open my $fh, '+<:raw', $path or die "could not open \"$path\": $!";
	my $before = read_at($fh, $at, length($bytes));

	sysseek($fh, $at, 0) or die "could not seek: $!";
	syswrite($fh, $bytes) == length($bytes) or die "could not write: $!";
	close $fh;
	return sub { rq_overwrite($path, $at, $before); };
}

1;

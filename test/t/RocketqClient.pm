# RocketqClient.pm -- a small client that speaks the server's protocol itself.
#
# It knows exactly what the server has answered and when: a query either has
# its answer, or the connection is lost and nothing is known.  It is also fast,
# and can be used in a forked process.
package RocketqClient;

use strict;
use warnings;

use IO::Select;
use IO::Socket::UNIX;

# The connection to a node's database, or undef.  "name" becomes the session's
# application_name, so that it can be found in pg_stat_activity.
sub new
{
	my ($class, $node, $name) = @_;
	my $socket = IO::Socket::UNIX->new(
		Peer => $node->host . '/.s.PGSQL.' . $node->port) or return undef;
	my $self = bless({ socket => $socket }, $class);
	my $startup = join("\0", 'user', scalar(getpwuid($<)), 'database', 'postgres',
		'application_name', $name, '', '');

	local $SIG{PIPE} = 'IGNORE';
	print $socket pack('N N', length($startup) + 8, 196608) . $startup;
	$socket->flush;
	return $self->answer() ? $self : undef;
}

sub take
{
	my ($self, $length) = @_;
	my $bytes = '';

	while (length($bytes) < $length)
	{
		my $got = sysread($self->{socket}, $bytes, $length - length($bytes), length($bytes));
		next if !defined $got && $!{EINTR};
		return undef if !$got;
	}
	return $bytes;
}

# Read up to the next "ready for query".  Returns the first column of all rows
# that came, or undef when the connection is lost; $self->{error} is the
# message of an error, $self->{done} the last command that was completed.
sub answer
{
	my ($self) = @_;
	my @rows;

	$self->{error} = '';
	$self->{done} = '';
	for (;;)
	{
		my ($type, $length) = unpack('a N', $self->take(5) // return undef);
		my $body = $length > 4 ? $self->take($length - 4) // return undef : '';

		return \@rows if $type eq 'Z';
		$self->{done} = unpack('Z*', $body) if $type eq 'C';
		$self->{error} = join(' ', $body =~ /(?:^|\0)[CM]([^\0]*)/g) if $type eq 'E';
		push @rows, unpack('x2 N/a', $body) if $type eq 'D';
	}
}

# Send a query, of one statement or more.
sub ask
{
	my ($self, $sql) = @_;
	my $socket = $self->{socket};

	local $SIG{PIPE} = 'IGNORE';
	print $socket pack('a N Z*', 'Q', length($sql) + 5, $sql);
	$socket->flush;
	return;
}

# Does the answer begin to arrive within this many seconds?
sub is_answered
{
	my ($self, $seconds) = @_;
	return scalar(IO::Select->new($self->{socket})->can_read($seconds));
}

# Send a query and get its answer.
sub query
{
	my ($self, $sql) = @_;
	$self->ask($sql);
	return $self->answer();
}

1;

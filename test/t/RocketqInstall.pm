# RocketqInstall.pm -- other installations of PostgreSQL, with another build of the
# library, made of links to the one that is installed.
package RocketqInstall;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use File::Copy ();
use File::Path qw(make_path);
use FindBin;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(rq_build rq_install_beside rq_use_install);

# The directory below which everything is installed, as for the install_path of a
# node.
sub pg_config
{
	my ($what) = @_;
	my $value = `pg_config --$what`;

	die "pg_config --$what failed" if $? != 0;
	chomp $value;
	return $value;
}

# Build the library in a copy of this tree, with these variables of make besides
# those that this test was called with.  Returns its path.
sub rq_build
{
	my (@variables) = @_;
	my $tree = "$FindBin::RealBin/../..";
	my $copy = PostgreSQL::Test::Utils::tempdir() . '/tree';

	make_path($copy);
	system_or_bail('sh', '-c',
		'tar -C "$0" -cf - --exclude="./tmp_check*" --exclude=./.git --exclude=./output_iso . | tar -C "$1" -xf -',
		$tree, $copy);
	system_or_bail('make', '-s', '-C', $copy, @variables, 'rocketq.so');
	return "$copy/rocketq.so";
}

# An installation that has this library, and shares all other files.  A server
# finds them by where it lies itself, so programs are copied.
sub rq_install_beside
{
	my ($library) = @_;
	my $root = PostgreSQL::Test::Utils::tempdir() . '/root';
	my ($bin, $lib, $share) = map { pg_config($_) } qw(bindir pkglibdir sharedir);

	make_path("$root$bin", "$root$lib", dirname("$root$share"));
	system_or_bail('cp', '-L', glob("$bin/*"), "$root$bin");
	symlink($share, "$root$share") or die "could not make a link: $!";
	foreach my $file (glob "$lib/*")
	{
		next if basename($file) eq 'rocketq.so';
		symlink($file, "$root$lib/" . basename($file)) or die "could not make a link: $!";
	}
	File::Copy::copy($library, "$root$lib/rocketq.so") or die "could not copy \"$library\": $!";
	return dirname("$root$bin");
}

# Start the node with that installation from now on, or with the usual one.
sub rq_use_install
{
	my ($node, $install) = @_;

	$node->{_install_path} = $install;
	return;
}

1;

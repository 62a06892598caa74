# 122_sample.pl -- stores that were written when this test was made, by this version
# of rocketq and earlier ones, are still read: every message, offset and setting.
# Whoever changes a format without a new version of the store sees this fail; see
# "Versions" in src/README, and sample/make.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Path qw(rmtree);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $samples = "$FindBin::RealBin/../sample";

sub contents
{
	my ($node) = @_;

	return $node->safe_psql('sample', slurp_file("$samples/contents.sql"));
}

# The topics that the store knows, as pg_upgrade would bring them: with the OIDs
# that are their names there.
sub create_topics
{
	my ($node, $sample) = @_;
	my ($control) = slurp_file("$sample/control");

	$node->safe_psql('postgres', 'CREATE DATABASE sample OID = 90000');
	$node->safe_psql('sample', 'CREATE EXTENSION rocketq');
	$node->stop;
	system_or_bail('pg_resetwal', split(' ', $control), $node->data_dir);
	$node->start;
	$node->safe_psql('sample', <<'EOQ' . slurp_file("$sample/catalog.sql"));
CREATE FUNCTION next_oid(wanted oid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	used oid;
BEGIN
	LOOP
		used := lo_create(0);
		EXIT WHEN used::bigint = wanted::bigint - 1;
		IF used >= wanted THEN
			RAISE 'OID % is in use already', wanted;
		END IF;
	END LOOP;
END $$;
EOQ
	$node->stop;
	return;
}

my @stores = glob("$samples/store-*.tar.gz");
isnt(scalar(@stores), 0, 'there is a sample');

foreach my $store (@stores)
{
	my ($version) = $store =~ /store-(\d+)\.tar\.gz$/;
	my $sample = PostgreSQL::Test::Utils::tempdir();
	# Samples become older every day.
	my $node = rq_node("node$version",
		no_extension => 1,
		conf         => 'rocketq.retention_time = -1');

	system_or_bail('tar', '-xzf', $store, '-C', $sample);
	create_topics($node, $sample);
	rmtree($node->data_dir . '/pg_rocketq');
	system_or_bail('cp', '-R', "$sample/pg_rocketq", $node->data_dir);
	rq_start($node);

	my $contents = slurp_file("$sample/contents");
	chomp $contents;
	like($contents, qr/^sizes\|3\|1029\|/m, "version $version: the sample has contents");
	is(contents($node), $contents, "version $version: all is there");
	is($node->safe_psql('sample', 'SELECT * FROM rocketq.verify()'),
		'', "version $version: verify() finds nothing");
	is($node->safe_psql('sample', "SELECT count(*) FROM pg_class WHERE relam = (SELECT oid FROM pg_am WHERE amname = 'rocketq')"),
		'6', "version $version: all topics are there");

	# It is a store like any other.
	is($node->safe_psql('sample', <<'EOQ'), '1030|0', "version $version: consumers go on");
SELECT rocketq.produce('sizes', 'new ' || i, queue_id => i % 4) FROM generate_series(1, 2000) i \g /dev/null
SELECT (SELECT count(*) FROM rocketq.consume('sizes', 'half', 100000, auto_commit => true) WHERE queue_id = 3 AND queue_offset < 1030),
	(SELECT count(*) FROM rocketq.consume('old', 'behind', 100, auto_commit => true))
EOQ
	my $later = contents($node);
	rq_kill9($node);
	rq_start($node);
	is(contents($node), $later, "version $version: all is there after a crash");
	is($node->safe_psql('sample', 'SELECT * FROM rocketq.verify()'),
		'', "version $version: verify() finds nothing after a crash");
	$node->stop;
}

done_testing();

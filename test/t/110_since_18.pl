# 110_since_18.pl -- what servers since 18 can do more, with topics: it works, or
# is refused with a reason.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

my $node = rq_node('main');
plan(skip_all => 'the server has nothing of this') if $node->pg_version < 18;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub fails
{
	my ($statement, $error) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement;");

	return like($err, $error, $statement =~ s/\s+/ /gr);
}

# The columns of a message, with another definition of one of them.
sub columns
{
	my ($name, $definition) = @_;
	my @columns = split /\n/, sql(<<'EOQ');
SELECT attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'rocketq.message'::regclass AND attnum > 0 ORDER BY attnum
EOQ
	return join(', ', map { /^\Q$name\E / ? "$_ $definition" : $_ } @columns);
}

sql(<<'EOQ');
CREATE TABLE topic (LIKE rocketq.message) USING rocketq;
INSERT INTO topic (tag, body) SELECT 't' || i % 3, convert_to(repeat('x', i), 'UTF8') FROM generate_series(1, 1000) i;
EOQ

#
# columns and constraints.
#
my $virtual = qr/ERROR:  0A000: column "tag" of a topic cannot be a virtual generated column\nDETAIL:  .*\nHINT:  /;
my $computed = columns('tag', "GENERATED ALWAYS AS ('t' || queue_id)");
fails("CREATE TABLE v ($computed) USING rocketq", $virtual);
sql("CREATE TABLE v ($computed); CREATE TABLE parent ($computed) PARTITION BY LIST (queue_id)");
fails('CREATE TABLE w (LIKE v INCLUDING GENERATED) USING rocketq', $virtual);
fails('CREATE TABLE w () INHERITS (v) USING rocketq', $virtual);
fails('CREATE TABLE w PARTITION OF parent DEFAULT USING rocketq', $virtual);
fails('ALTER TABLE parent ATTACH PARTITION topic DEFAULT', qr/ERROR:  42804: .*generated column/);
fails('ALTER TABLE topic ADD COLUMN v int GENERATED ALWAYS AS (length(body))', qr/ERROR:  0A000: /);
fails('ALTER TABLE v SET ACCESS METHOD rocketq', qr/ERROR:  0A000: /);
fails("ALTER TABLE topic ADD UNIQUE (queue_id, born_at WITHOUT OVERLAPS)", qr/ERROR:  (0A000|42804): /);
fails('ALTER TABLE topic ADD FOREIGN KEY (tag) REFERENCES topic NOT ENFORCED', qr/ERROR:  0A000|42704|42830/);
sql("CREATE TABLE checked (LIKE rocketq.message, CHECK (tag <> 't') NOT ENFORCED) USING rocketq; INSERT INTO checked (tag, body) VALUES ('t', '')");
is(sql('SELECT count(*) FROM checked'), '1', 'a constraint that is not enforced keeps nothing out');
is(sql("INSERT INTO topic (tag, body) VALUES ('r', '') RETURNING old IS NULL, new.tag, new.message_id IS NOT NULL, new.queue_offset IS NOT NULL"),
	sql("INSERT INTO topic (tag, body) VALUES ('r', '') RETURNING true, tag, message_id IS NOT NULL, queue_offset IS NOT NULL"),
	'RETURNING with OLD and NEW');

#
# statistics from elsewhere, as pg_upgrade brings them.
#
my $estimate = q{SELECT (regexp_match(x, 'rows=(\d+)'))[1]::bigint BETWEEN 500 AND 3000 FROM explained('SELECT * FROM topic') x};
sql(<<'EOQ');
CREATE FUNCTION explained(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	EXECUTE 'EXPLAIN ' || query INTO line;
	RETURN line;
END $$;
SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', 'topic', 'relpages', 1000000, 'reltuples', 1e9::real);
SELECT pg_restore_attribute_stats('schemaname', 'public', 'relname', 'topic', 'attname', 'tag', 'inherited', false,
	'null_frac', 0.5::real, 'n_distinct', 7::real);
EOQ
is(sql($estimate), 't', 'how many messages there are is known without statistics');
sql("SELECT pg_clear_relation_stats('public', 'topic'); ANALYZE ONLY topic; VACUUM (ANALYZE) ONLY topic");
is(sql($estimate), 't', 'nor is it forgotten');

#
# page checksums are on, and reading has several ways.
#
is(sql('SHOW data_checksums'), 'on', 'pages have checksums');
foreach my $method (split /\n/, sql("SELECT unnest(enumvals) FROM pg_settings WHERE name = 'io_method'"))
{
	$node->append_conf('postgresql.conf', "io_method = $method");
	SKIP:
	{
		if (!$node->restart(fail_ok => 1))
		{
			$node->append_conf('postgresql.conf', 'io_method = sync');
			$node->start;
			skip("the kernel does not allow io_method $method", 2);
		}
		sql("INSERT INTO topic (body) SELECT '' FROM generate_series(1, 100); CHECKPOINT; ANALYZE topic");
		is(sql('SELECT count(*) FROM topic'), sql("SELECT sum(max_offset - min_offset) FROM rocketq.queues WHERE topic = 'topic'"),
			"all messages are read with io_method $method");
		rq_verify($node, "io_method $method");
	}
}
$node->stop;
done_testing();

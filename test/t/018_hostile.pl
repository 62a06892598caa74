# 018_hostile.pl -- every function of the extension is called by an attacker:
# with a schema that existed before, a search_path of his own, extreme values
# of every argument type, as roles without privileges, and as the trigger of
# other tables.  The server survives, none of the attacker's functions is run,
# and no internal error is reported.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use RocketqTest;
use RocketqWait;
use Test::More;

rq_seed();
my $node = rq_node('main', initdb => [ '--encoding', 'UTF8', '--locale', 'C' ]);

# Run statements as a user, each by itself; return what psql prints.
sub run_as
{
	my ($user, $db, $sql) = @_;
	my ($out, $err);

	$node->psql($db, $sql, stdout => \$out, stderr => \$err, on_error_stop => 0,
		extra_params => [ '-U', $user ]);
	return $out . $err;
}

$node->safe_psql('postgres', <<'EOQ');
CREATE ROLE mallory LOGIN;
CREATE ROLE alice LOGIN;
CREATE ROLE victim LOGIN;
EOQ
$node->append_conf('pg_hba.conf', 'local all all trust');
rq_reload($node);

#
# CREATE EXTENSION when its schema already exists.
#
sub install
{
	my ($sql) = @_;
	my ($out, $err);
	my $rc = $node->psql('planted', 'CREATE EXTENSION rocketq', stdout => \$out, stderr => \$err);
	return $rc == 0 ? 'installed' : $err;
}

$node->safe_psql('postgres', 'CREATE DATABASE planted OWNER mallory');
run_as('mallory', 'planted', <<'EOQ');
CREATE SCHEMA rocketq;
CREATE FUNCTION rocketq.grab(oid[], oid[]) RETURNS oid[] LANGUAGE plpgsql AS
	$$BEGIN ALTER ROLE mallory SUPERUSER; RETURN $1; END$$;
CREATE OPERATOR rocketq.|| (LEFTARG = oid[], RIGHTARG = oid[], FUNCTION = rocketq.grab);
CREATE FUNCTION rocketq.grab(oid, oid) RETURNS bool LANGUAGE plpgsql AS
	$$BEGIN ALTER ROLE mallory SUPERUSER; RETURN true; END$$;
CREATE OPERATOR rocketq.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = rocketq.grab);
EOQ
like(install(), qr/cannot install extension "rocketq" into schema "rocketq"\nDETAIL:  The schema is owned by role "mallory".*\nHINT: /,
	'a schema of somebody else is refused');
is($node->safe_psql('planted', "SELECT rolsuper, (SELECT count(*) FROM pg_extension WHERE extname = 'rocketq') FROM pg_roles WHERE rolname = 'mallory'"),
	'f|0', 'the refused CREATE EXTENSION leaves nothing behind');
$node->safe_psql('planted', 'ALTER SCHEMA rocketq OWNER TO CURRENT_USER');
like(install(), qr/DETAIL:  The schema is not empty: it contains (operator|function) .*\nHINT: /, 'objects in the schema are refused');
$node->safe_psql('planted', 'DROP SCHEMA rocketq CASCADE; CREATE SCHEMA rocketq; GRANT CREATE ON SCHEMA rocketq TO mallory');
like(install(), qr/DETAIL:  Role "mallory" can create objects in the schema .*\nHINT:  Revoke CREATE/, 'a schema in which he can create objects is refused');
$node->safe_psql('planted', 'REVOKE CREATE ON SCHEMA rocketq FROM mallory; GRANT CREATE ON SCHEMA rocketq TO PUBLIC');
like(install(), qr/DETAIL:  PUBLIC can create objects in the schema/, 'a schema in which everybody can create objects is refused');
$node->safe_psql('planted', 'REVOKE CREATE ON SCHEMA rocketq FROM PUBLIC');
is(install(), 'installed', 'an empty schema of a superuser is accepted');
$node->safe_psql('planted', 'DROP EXTENSION rocketq');
is(install(), 'installed', 'and what DROP EXTENSION has left');
like(run_as('mallory', 'planted', 'CREATE FUNCTION rocketq.consume(text, text) RETURNS int LANGUAGE sql RETURN 1'),
	qr/permission denied for schema rocketq/, 'nobody else can add functions');
like(run_as('mallory', 'planted', 'ALTER SCHEMA rocketq RENAME TO r; DROP SCHEMA rocketq CASCADE'),
	qr/must be owner of schema rocketq.*must be owner of schema rocketq/s, 'nobody else can drop the schema');

#
# A search_path on which everything belongs to the attacker: each operator,
# function and type of pg_catalog has a twin that comes first.
#
$node->safe_psql('postgres', <<'EOQ');
SELECT rocketq.create_topic('orders', 2);
SELECT rocketq.produce('orders', 'm' || i, queue_id => 1) FROM generate_series(1, 5) i;
SELECT count(*) FROM rocketq.consume('orders', 'g', 2, auto_commit => true);
CREATE SCHEMA evil;
CREATE FUNCTION pg_temp.twins() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	p record;
	made int := 0;
BEGIN
	SET LOCAL check_function_bodies = off;
	FOR p IN
		SELECT format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', proname,
			array_to_string(ARRAY(SELECT format_type(a, NULL) FROM unnest(proargtypes) a), ', '),
			format_type(prorettype, NULL),
			'BEGIN RAISE EXCEPTION ' || quote_literal('hijacked: ' || proname) || '; END') AS sql
		FROM pg_proc
		WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind IN ('f', 'a') AND NOT proretset
			AND provariadic = 0
		UNION ALL
		SELECT format('CREATE FUNCTION evil.%s(%s) RETURNS bigint LANGUAGE plpgsql AS %L', f, a,
			'BEGIN RAISE EXCEPTION ' || quote_literal('hijacked: ' || f) || '; END')
		FROM (VALUES ('count', 'int'), ('count', 'bigint'), ('array_agg', 'bigint'), ('array_agg', 'numeric'),
			('format', 'text, text, text'), ('format', 'text, name, name'), ('concat', 'text, text')) v(f, a)
		UNION ALL
		SELECT format('CREATE OPERATOR evil.%s (%s RIGHTARG = %s, FUNCTION = evil.%I)', oprname,
			CASE WHEN oprleft <> 0 THEN format('LEFTARG = %s,', format_type(oprleft, NULL)) ELSE '' END,
			format_type(oprright, NULL), proname)
		FROM pg_operator JOIN pg_proc q ON q.oid = oprcode
	LOOP
		BEGIN
			EXECUTE p.sql;
			made := made + 1;
		EXCEPTION WHEN OTHERS THEN  -- types that no such function may have
		END;
	END LOOP;
	RETURN made;
END $$;
SELECT pg_temp.twins();
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
CREATE DOMAIN evil.regclass AS pg_catalog.regclass CHECK (false);
CREATE VIEW evil.pg_class AS SELECT 1 AS hijacked;
CREATE VIEW evil.pg_am AS SELECT 1 AS hijacked;
EOQ
my $evil = 'SET search_path = evil, pg_catalog;';
foreach my $trap ('SELECT 1 = 1', "SELECT 'a' || 'b'", 'SELECT count(1)', 'SELECT array_agg(1::bigint)',
	"SELECT quote_ident('a')", "SELECT format('%I', 'a'::name, 'b'::name)")
{
	$node->psql('postgres', "$evil $trap", stderr => \my $error);
	like($error, qr/hijacked: /, "the trap works: $trap");
}
$node->psql('postgres', $evil . <<'EOQ', stderr => \my $error);
SELECT * FROM rocketq.dump_groups();
SELECT * FROM rocketq.topics;
SELECT * FROM rocketq.queues;
SELECT * FROM rocketq.groups;
SELECT * FROM rocketq.segments;
SELECT * FROM rocketq.workers;
SELECT * FROM rocketq.stats;
SELECT * FROM rocketq.settings;
SELECT * FROM rocketq.produce_latency;
SELECT * FROM rocketq.produce_latency_fine;
SELECT * FROM rocketq.produce_latency_summary;
SELECT * FROM rocketq.verify();
SELECT rocketq.create_topic('public.made', 2);
SELECT rocketq.alter_topic('public.made', 3);
SELECT rocketq.produce('public.made', 'x'::pg_catalog.text);
SELECT * FROM rocketq.consume('public.made', 'g', auto_commit => true);
INSERT INTO rocketq.saved_groups VALUES ('public.made', 'h', '{1,0,0}', '{1,0,0}');
SELECT rocketq.drop_topic('public.made');
EOQ
is($error, '', 'the trap catches nothing of the extension');
my @queries = slurp_file("$FindBin::RealBin/../../sql/rocketq_exporter.yml") =~ /^  query: \|\n((?: {4}.*\n)+)/mg;
cmp_ok(scalar(@queries), '>', 5, 'there are queries of a monitoring role');
$node->psql('postgres', $evil . join(';', @queries), stderr => \$error);
is($error, '', 'the trap does not catch monitoring queries');
$node->safe_psql('postgres', 'DROP SCHEMA evil CASCADE');

#
# Every function, with all kinds of values of its argument types.
#
$node->safe_psql('postgres', <<'EOQ');
CREATE SCHEMA zoo AUTHORIZATION alice;
CREATE SCHEMA vault AUTHORIZATION victim;
GRANT USAGE ON SCHEMA zoo, vault TO PUBLIC;
CREATE FOREIGN DATA WRAPPER wrapper;
CREATE SERVER server FOREIGN DATA WRAPPER wrapper;
GRANT USAGE ON FOREIGN SERVER server TO alice;
SET SESSION AUTHORIZATION victim;
SELECT rocketq.create_topic('vault.topic', 2);
SELECT rocketq.produce('vault.topic', 'secret', queue_id => 0);
SELECT rocketq.create_group('vault.topic', 'g');
SET SESSION AUTHORIZATION alice;
SELECT rocketq.create_topic('zoo.topic', 2);
SELECT rocketq.produce('zoo.topic', 'm' || i, 'tag', queue_id => i % 2) FROM generate_series(1, 10) i;
SELECT rocketq.produce('zoo.topic', '\xff00ff'::bytea);
SELECT rocketq.create_group('zoo.topic', 'g');
CREATE TABLE zoo.heap (LIKE rocketq.message);
CREATE INDEX ON zoo.heap (tag);
CREATE SEQUENCE zoo.sequence;
CREATE VIEW zoo.view AS SELECT * FROM zoo.topic;
CREATE MATERIALIZED VIEW zoo.matview AS SELECT * FROM zoo.topic;
CREATE TYPE zoo.composite AS (a int);
CREATE FOREIGN TABLE zoo.foreign_table (a int) SERVER server;
CREATE TABLE zoo.parent (LIKE rocketq.message) PARTITION BY LIST (queue_id);
CREATE INDEX ON zoo.parent (tag);
CREATE TABLE zoo.leaf PARTITION OF zoo.parent FOR VALUES IN (1);
CREATE UNLOGGED TABLE zoo.unlogged (LIKE rocketq.message);
CREATE TABLE zoo.secured (LIKE rocketq.message) USING rocketq;
ALTER TABLE zoo.secured ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE TABLE zoo.checked (LIKE rocketq.message, CHECK (tag <> 'no')) USING rocketq;
CREATE TABLE zoo.empty ();
RESET SESSION AUTHORIZATION;

-- The outcome of a statement that is rolled back.
CREATE FUNCTION outcome(sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE sql;
	RAISE EXCEPTION 'done' USING ERRCODE = 'RQ000';
EXCEPTION
	WHEN query_canceled OR others THEN
		RETURN SQLSTATE || ' ' || translate(left(SQLERRM, 200), E'\n', ' ');
END $$;
EOQ

# The outcome of each statement, run as a user.  A timeout can occur outside
# the statement, while its outcome is being returned.
sub outcomes
{
	my ($user, $settings, @statements) = @_;
	my $out;

	$node->psql('postgres', "SET client_min_messages = error; $settings\n" . join("\n", map {
			"\\set outcome '57014 outside'\nSELECT outcome(\$sql\$$_\$sql\$) \\gset\n\\echo :'outcome'"
		} @statements), stdout => \$out, stderr => \my $err, on_error_stop => 0, extra_params => [ '-U', $user ]);
	return map { s/^ ?E?'//r } split /\n/, $out;
}

# Values of a type, as SQL; the first one is a sane one.
my %wild = (
	'text' => [
		"'g'", "''", "' '", "'a||b'", "'||'", "'*'", "'last'", "'infinity'", "'-infinity'", "'default'",
		"'-1'", "'-1 day'", "'178000000 years'", "'\"'", "'a.b.c.d'", "'zoo.made'", "'pg_catalog.pg_class'",
		"'%s%n'", "E'\\x01\\n'", "U&'\\00fc\\+01f600'", "repeat('x', 63)", "repeat('x', 64)",
		"repeat('x', 255)", "repeat('x', 100000)", "repeat(U&'\\00fc', 128)", "'g'::name" ],
	'integer' => [ 1, 0, -1, 2, 65535, 65536, 2147483647, '(-2147483648)' ],
	'bigint' => [ 0, 1, -1, 2, 11, '4294967296', '9223372036854775807', '(-9223372036854775808)' ],
	'boolean' => [ 'true', 'false' ],
	'double precision' => [ 0, "'NaN'", "'Infinity'", -1 ],
	'interval' => [
		"'0'", "'1 us'", "'-1 us'", "'178000000 years'", "'-178000000 years'", "'1 month -30 days'",
		"'2147483647 days 2147483647 hours'" ],
	'timestamp with time zone' =>
	  [ 'now()', "'infinity'", "'-infinity'", "'294276-12-31'", "'4713-01-01 BC'", "'1970-01-01'" ],
	'jsonb' => [
		"'{}'", "'[]'", "'1'", "'null'", "'{\"a\": {\"b\": [1, null]}}'", "'{\"\": \"\\u00fc\"}'",
		"to_jsonb(repeat('x', 100000))", "jsonb_build_object('a', repeat('x', 100000))" ],
	'bytea' => [ "'b'", "''", "'\\x00'", "'\\xff'", "'{'", "'{\"a\": \"\\\\u0000\"}'", "decode(repeat('00', 100000), 'hex')" ],
	'text[]' => [
		"'{a}'", "'{}'", "'{NULL}'", "'{\"\"}'", "'{{a,b},{c,d}}'", "'[5:6]={a,b}'", "'{a,a}'", "'{\"a b\"}'",
		"array_fill('k'::text, ARRAY[70000])", "ARRAY[repeat('x', 70000)]" ],
	'internal' => []);
$wild{json} = $wild{jsonb};
foreach my $element ('bytea', 'jsonb', 'json')
{
	$wild{"${element}[]"} = [ "'{}'", "'{NULL}'",
		map { ("ARRAY[$_\::$element]", "array_fill($_\::$element, ARRAY[2, 2])") } @{ $wild{$element} } ];
}
$wild{$_} = $wild{text} foreach ('name', 'character varying');
$wild{regclass} = [
	map { "'$_'::regclass" } split /\n/,
	$node->safe_psql('postgres', <<'EOQ') ];
SELECT 'zoo.topic'::regclass::oid
UNION ALL SELECT unnest(ARRAY[0, 1, 4294967295, 'vault.topic'::regclass, 'rocketq.saved_groups'::regclass, 'rocketq.topics'::regclass,
	'pg_class'::regclass, 'pg_class_oid_index'::regclass, 'pg_authid'::regclass]::oid[])
UNION ALL (SELECT oid FROM pg_class WHERE relnamespace = 'zoo'::regnamespace AND relname <> 'topic' ORDER BY oid)
UNION ALL SELECT reltoastrelid FROM pg_class WHERE oid = 'zoo.heap'::regclass
EOQ
$wild{oid} = $wild{regclass};

# For a polymorphic type, values of all types that it can stand for.
my @scalars = ('text', 'bytea', 'json', 'jsonb', 'name', 'integer', 'interval', 'boolean', 'text[]', 'regclass');
my @arrays = ('text[]', 'bytea[]', 'jsonb[]', 'json[]');
$wild{anycompatible} = [
	(map { my $type = $_; map { "$_\::$type" } @{ $wild{$type} } } @scalars),
	"'g'::char(5)", "'g'::\"char\"", "B'1'", 'ROW (1, 2)', 'NULL::int', "'(1,2)'::point", "'{1,2}'::int4multirange" ];
$wild{anycompatiblearray} = [
	(map { my $type = $_; map { "$_\::$type" } @{ $wild{$type} } } @arrays),
	'ARRAY[1]', 'ARRAY[ROW (1, 2)]', 'ARRAY[now()]', "ARRAY['g'::char(5)]", "ARRAY['g'::name]", "ARRAY[B'1']",
	"'1 2'::int2vector", "'1 2'::oidvector", 'NULL::int[]', "'{}'::int[]" ];

# Cast a value to a type, unless it has one.
sub as_type
{
	my ($value, $type) = @_;

	return 'NULL' if $type eq 'internal';
	return $type =~ /^any/ ? $value : "$value\::$type";
}

# Calls of a function with these types: each argument in turn takes all values,
# then all arguments take random ones.
sub calls
{
	my ($name, @types) = @_;
	my @sane = map { $wild{$_}[0] // 'NULL' } @types;
	my @calls = ([ map { 'NULL' } @types ], \@sane);

	foreach my $i (0 .. $#types)
	{
		foreach my $value ('NULL', @{ $wild{ $types[$i] } })
		{
			my @values = @sane;
			$values[$i] = $value;
			push @calls, \@values;
		}
	}
	foreach (1 .. @types > 1 ? 40 : 0)
	{
		push @calls, [ map { my $all = $wild{$_}; $all->[ rq_random(0, $#$all) ] // 'NULL' } @types ];
	}
	return map { my $values = $_; "$name(" . join(', ', map { as_type($values->[$_], $types[$_]) } 0 .. $#types) . ')' } @calls;
}

my (@functions, @procedures, @sane);
foreach my $line (split /\n/, $node->safe_psql('postgres', <<'EOQ'))
SELECT p.prokind, p.oid::regproc, p.prorettype = 'trigger'::regtype,
	(SELECT string_agg(format_type(t, NULL), '|' ORDER BY i)
	 FROM unnest(CASE p.prokind WHEN 'p' THEN coalesce(proallargtypes, proargtypes) ELSE proargtypes END) WITH ORDINALITY a(t, i))
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'rocketq'
ORDER BY p.oid::regprocedure::text
EOQ
{
	my ($kind, $name, $is_trigger, @types) = split /\|/, $line;

	die "018_hostile.pl has no values of type $_: give it some\n" foreach grep { !$wild{$_} } @types;
	if ($kind eq 'p')
	{
		push @procedures, map { "CALL $_" } calls($name, @types);
	}
	else
	{
		my @calls = calls($name, @types);
		push @sane, $calls[1];
		push @functions, map { "SELECT string_agg(x::text, ',') FROM $_ x" } @calls;
	}
}
cmp_ok(scalar(@functions), '>', 1000, 'there are functions to call');
cmp_ok(scalar(@procedures), '>', 20, 'there are procedures to call');

my $alive = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');

# Make all the calls; return the number of outcomes by SQLSTATE.
sub call_all
{
	my ($user, $setting) = @_;
	my %outcomes;
	my @lines = outcomes($user, "SET statement_timeout = '100ms'; $setting", @functions);
	my $called = run_as($user, 'postgres',
		"SET statement_timeout = '100ms'; SET client_min_messages = error; $setting\n\\set VERBOSITY sqlstate\n"
		  . join("\n", map { "$_;" } @procedures));

	is(scalar(@lines), scalar(@functions), "$user $setting: each call of a function has come back")
	  or diag($lines[-1]);
	for my $i (0 .. $#lines)
	{
		my ($state) = $lines[$i] =~ /^(\w{5}) /;
		$outcomes{ $state // 'none' }++;
		diag("$functions[$i]: $lines[$i]") if !defined $state || $state =~ /^XX|^P0004/;
	}
	$outcomes{$_}++ foreach $called =~ /ERROR:  (\w{5})/g;
	is_deeply([ grep { /^XX|none/ } keys %outcomes ], [], "$user $setting: no internal error");
	unlike($called, qr/server closed|connection/, "$user $setting: procedures have come back");
	return \%outcomes;
}

my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $nobodys = call_all('mallory', '');
cmp_ok($nobodys->{42501}, '>', @functions / 3, 'a role without rights is refused');
my $owners = call_all('alice', '');
cmp_ok($owners->{RQ000}, '>', @functions / 4, 'calls of the owner succeed');
call_all('alice', 'SET default_transaction_read_only = on;');
my $parallel = $node->pg_version >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
call_all('alice', "SET $parallel = on; SET default_transaction_isolation = serializable;");
call_all($superuser, '');

#
# Trigger functions, for other tables and other events.
#
my @columns = (
	'text, text, bigint, bigint',
	'text, text, bigint[], bigint[]',
	'int, int, int, int',
	'bigint[], bigint[], text, text',
	'text, text, text[], text[]',
	'text', '', 'text, text, bigint[], bigint[], int');
my %values = ('text' => "'zoo.topic'", 'bigint' => '0', 'int' => '1', 'bigint[]' => "'{1,1}'", 'text[]' => "'{a,b}'");
my @attempts;

foreach my $types (@columns)
{
	my @types = split /, /, $types;
	my $n = 0;
	my $table = 'CREATE TABLE zoo.t (' . join(', ', map { 'c' . $n++ . " $_" } @types) . ')';
	my $row = @types ? 'VALUES (' . join(', ', map { $values{$_} } @types) . ')' : 'DEFAULT VALUES';

	push @attempts, [ $table, 'BEFORE INSERT ON zoo.t FOR EACH ROW', "INSERT INTO zoo.t $row" ];
}
my $same = 'CREATE TABLE zoo.t (topic text, consumer_group text, total bigint[], remaining bigint[])';
my $insert = "INSERT INTO zoo.t VALUES ('zoo.topic', 'new', '{1,1}', '{1,1}')";
push @attempts,
  [ $same, 'AFTER INSERT ON zoo.t FOR EACH ROW', $insert ],
  [ $same, 'BEFORE INSERT ON zoo.t FOR EACH STATEMENT', $insert ],
  [ $same, 'AFTER INSERT ON zoo.t REFERENCING NEW TABLE AS news FOR EACH STATEMENT', $insert ],
  [ "$same; $insert", 'BEFORE UPDATE ON zoo.t FOR EACH ROW', "UPDATE zoo.t SET topic = 'x'" ],
  [ "$same; $insert", 'BEFORE DELETE ON zoo.t FOR EACH ROW', 'DELETE FROM zoo.t' ],
  [ "$same; $insert", 'BEFORE TRUNCATE ON zoo.t FOR EACH STATEMENT', 'TRUNCATE zoo.t' ],
  [ "$same PARTITION BY LIST (topic); CREATE TABLE zoo.u PARTITION OF zoo.t DEFAULT", 'BEFORE INSERT ON zoo.t FOR EACH ROW', $insert ],
  [ 'CREATE VIEW zoo.t AS SELECT * FROM rocketq.saved_groups', 'INSTEAD OF INSERT ON zoo.t FOR EACH ROW', $insert ],
  [ "$same; ALTER TABLE zoo.t DROP consumer_group, ADD x int", 'BEFORE INSERT ON zoo.t FOR EACH ROW', 'INSERT INTO zoo.t DEFAULT VALUES' ],
  [ 'CREATE TABLE zoo.t (LIKE rocketq.message) USING rocketq', 'BEFORE INSERT ON zoo.t FOR EACH ROW', 'INSERT INTO zoo.t DEFAULT VALUES' ],
  [ 'CREATE TABLE zoo.t () INHERITS (rocketq.saved_groups)', 'BEFORE INSERT ON zoo.t FOR EACH ROW', $insert ],
  [ "CREATE SCHEMA zoo_saved; CREATE TABLE zoo_saved.saved_groups (LIKE rocketq.saved_groups); CREATE VIEW zoo.t AS SELECT * FROM zoo_saved.saved_groups",
	'BEFORE INSERT ON zoo_saved.saved_groups FOR EACH ROW', $insert ];

my @triggers = split /\n/, $node->safe_psql('postgres', <<'EOQ');
SELECT p.oid::regproc FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'rocketq'
WHERE p.prorettype = 'trigger'::regtype
EOQ
ok(scalar(@triggers), 'there are trigger functions');
is($node->safe_psql('postgres', <<'EOQ'), '', 'functions called only by the server are not granted to PUBLIC');
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'rocketq'
WHERE (p.prorettype IN (SELECT oid FROM pg_type WHERE typtype = 'p' AND typname NOT IN ('void', 'record') AND typname NOT LIKE 'any%')
	OR 'internal'::regtype = ANY (p.proargtypes)) AND has_function_privilege('mallory', p.oid, 'EXECUTE')
EOQ
foreach my $function (@triggers)
{
	like(run_as('alice', 'postgres', "CREATE TRIGGER t BEFORE INSERT ON zoo.heap FOR EACH ROW EXECUTE FUNCTION $function()"),
		qr/permission denied for function/, "$function is not for everybody");
	$node->safe_psql('postgres', "GRANT EXECUTE ON FUNCTION $function() TO alice; GRANT CREATE ON DATABASE postgres TO alice");
	foreach my $attempt (@attempts)
	{
		my ($table, $event, $fire) = @$attempt;

		like(run_as('alice', 'postgres', "SELECT outcome(\$\$$table; CREATE TRIGGER t $event EXECUTE FUNCTION $function(); $fire\$\$)"),
			qr/^(39P01 .* can only be called as the trigger of|42501 must be owner of table|42501 permission denied for table saved_groups)/, "$table; $event");
	}
	like(run_as('alice', 'postgres', "SELECT outcome('SELECT $function()')"), qr/^39P01 /, 'called as a function');
	like(run_as($superuser, 'postgres', "CREATE EVENT TRIGGER t ON ddl_command_end EXECUTE FUNCTION $function()"),
		qr/must return type event_trigger/, 'for an event trigger');
	$node->safe_psql('postgres', "REVOKE EXECUTE ON FUNCTION $function() FROM alice");
}

# The table with the extension's own trigger: the values of a row, who may
# insert it, and what the owner can do to the table.
my @rows = map { [ "'zoo.topic'", "'new'", $_, $_ ] } (
	'NULL', "'{}'", "'{NULL,NULL}'", "'{-1,-1}'", "'{1}'", "'{1,2,3}'", "'{{1,2}}'", "'{{1},{2}}'", "'[3:4]={1,2}'",
	"'{9223372036854775807,9223372036854775807}'", 'array_fill(1::bigint, ARRAY[100000])');
push @rows, map { [ $_, "'new'", "'{1,1}'", "'{1,1}'" ] } ('NULL', "''", "'.'", "'a.b.c.d'", "'other.zoo.topic'", "'zoo.heap'",
	"'zoo.view'", "'zoo.missing'", "'\"'", "'pg_class'", "'zoo.secured'");
push @rows, map { [ "'zoo.topic'", $_, "'{1,1}'", "'{1,1}'" ] } ('NULL', @{ $wild{text} });
my @inserts = map { 'INSERT INTO rocketq.saved_groups VALUES (' . join(', ', @$_) . ')' } @rows;
foreach my $user ('alice', $superuser)
{
	$node->safe_psql('postgres', 'GRANT INSERT ON rocketq.saved_groups TO alice');
	my @lines = outcomes($user, '', @inserts);

	is(scalar(@lines), scalar(@rows), "$user: all rows for saved_groups have come back");
	is(scalar(grep { /^XX/ || !/^\w{5} / } @lines), 0, "$user: without internal error") or diag(join("\n", @lines));
	cmp_ok(scalar(grep { /^RQ000/ } @lines), '>', 10, "$user: some rows are accepted");
}
is(run_as('alice', 'postgres', "SELECT outcome(\$\$INSERT INTO rocketq.saved_groups VALUES ('vault.topic', 'mine', '{1,0}', '{1,0}')\$\$)"),
	'42501 must be owner of table topic', 'groups of a topic are restored by its owner only');
$node->safe_psql('postgres', 'GRANT SELECT, INSERT, TRUNCATE ON vault.topic TO alice');
is(run_as('alice', 'postgres', "SELECT outcome(\$\$INSERT INTO rocketq.saved_groups VALUES ('vault.topic', 'mine', '{1,0}', '{1,0}')\$\$)"),
	'42501 must be owner of table topic', 'other privileges on the topic do not suffice');
is($node->safe_psql('postgres', "SELECT count(*) FROM rocketq.get_groups() WHERE consumer_group = 'mine'"), 0, 'the topic has no groups');
foreach my $meddle ('ALTER COLUMN total TYPE text', 'ALTER COLUMN total TYPE int[]', 'DROP COLUMN total, ADD COLUMN total bigint[]',
	'DROP COLUMN remaining', 'ADD COLUMN more int', 'ALTER COLUMN topic TYPE name')
{
	like($node->safe_psql('postgres', "SELECT outcome(\$\$ALTER TABLE rocketq.saved_groups $meddle; INSERT INTO rocketq.saved_groups (topic) VALUES ('zoo.topic')\$\$)"),
		qr/^39P01 /, $meddle);
}

#
# Places where functions can be stored to be called later: they are called
# there like any other function, or refused.
#
my @contexts = (
	[ 'CREATE TABLE zoo.t (a bigint DEFAULT %s)', 'INSERT INTO zoo.t DEFAULT VALUES' ],
	[ 'CREATE TABLE zoo.t (a bigint CHECK (%s > 0))', 'INSERT INTO zoo.t VALUES (1)' ],
	[ 'CREATE TABLE zoo.t (a bigint GENERATED ALWAYS AS (%s) STORED)', 'INSERT INTO zoo.t DEFAULT VALUES' ],
	[ 'CREATE TABLE zoo.t (a bigint); CREATE INDEX ON zoo.t ((%s))', 'INSERT INTO zoo.t VALUES (1)' ],
	[ 'CREATE DOMAIN zoo.d AS int CHECK (%s > 0)', 'SELECT 1::zoo.d' ],
	[ 'CREATE VIEW zoo.v AS SELECT %s AS a', 'SELECT * FROM zoo.v' ],
	[ 'CREATE MATERIALIZED VIEW zoo.v AS SELECT %s AS a', 'REFRESH MATERIALIZED VIEW zoo.v' ],
	[ 'CREATE TABLE zoo.t (a bigint); CREATE RULE r AS ON INSERT TO zoo.t DO ALSO SELECT %s', 'INSERT INTO zoo.t VALUES (1)' ],
	[ 'CREATE FUNCTION zoo.f() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN PERFORM %s; RETURN NEW; END$f$; CREATE TRIGGER t BEFORE INSERT ON zoo.topic FOR EACH ROW EXECUTE FUNCTION zoo.f()',
		"INSERT INTO zoo.topic (body) VALUES ('a')" ],
	[ 'CREATE FUNCTION zoo.f() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN PERFORM %s; RETURN NULL; END$f$; CREATE TRIGGER t AFTER TRUNCATE ON zoo.topic EXECUTE FUNCTION zoo.f()',
		'TRUNCATE zoo.topic' ],
	[ 'CREATE POLICY p ON zoo.secured USING (%s > 0)', 'SELECT * FROM zoo.secured' ],
	[ 'DECLARE c CURSOR FOR SELECT %s', 'FETCH ALL FROM c' ],
	[ 'SELECT 1', 'EXPLAIN ANALYZE SELECT %s FROM zoo.topic ORDER BY %s LIMIT 1' ],
	[ 'CREATE TABLE zoo.t (a bigint)', 'MERGE INTO zoo.t USING zoo.topic s ON false WHEN NOT MATCHED THEN INSERT VALUES (%s)' ]);
cmp_ok(scalar(@sane), '>', 10, 'there are functions to put there');
my @later;
foreach my $context (@contexts)
{
	foreach my $call (@sane)
	{
		my ($make, $use) = map { s/%s/(SELECT count(*) FROM (SELECT $call) c)/gr } @$context;
		($make, $use) = map { s/%s/length(($call)::text)/gr } @$context
		  if $context->[0] =~ /CHECK|GENERATED|INDEX|DEFAULT/;
		push @later, "$make; $use";
	}
}
my @lines = outcomes('alice', "SET statement_timeout = '1s';", @later);
is(scalar(@lines), scalar(@later), 'all statements have come back');
my @internal = grep { $lines[$_] !~ /^(?!XX)\w{5} / } 0 .. $#lines;
is(scalar(@internal), 0, 'without internal error') or diag(map { "$later[$_]: $lines[$_]\n" } @internal);
cmp_ok(scalar(grep { /^RQ000/ } @lines), '>', @lines / 4, 'many of the statements work');
is($node->safe_psql('postgres', "SELECT count(*) FROM vault.topic"), 1, 'objects of others are unchanged');

#
# A name that comes to mean another relation while a function waits.  The
# original relation is found by its OID, or the call fails without effect.
#
my ($attacker, $caller) = rq_sessions($node, 2);

sub run_in
{
	my ($session, $sql) = @_;
	my $rows = $session->query($sql);

	die "$session->{error} in: $sql\n" if $session->{error} ne '';
	return join(' ', @$rows);
}

# Make the caller wait for a lock of the attacker, who then does something and
# releases it.  Return the caller's result, or the error.
sub swap_meanwhile
{
	my ($lock, $call, $swap) = @_;

	run_in($attacker, "BEGIN; $lock");
	$caller->ask($call);
	rq_poll("\"$call\" to stand at a lock", sub {
		return rq_value($node,
			"SELECT count(*) FROM pg_stat_activity WHERE pid = $caller->{pid} AND wait_event_type = 'Lock'");
	});
	run_in($attacker, "$swap; COMMIT");
	my $rows = $caller->answer;
	return $caller->{error} || join(' ', @$rows);
}

run_in($attacker, "GRANT CREATE ON DATABASE postgres TO mallory; SET SESSION AUTHORIZATION mallory");
run_in($attacker, <<'EOQ');
CREATE SCHEMA att;
GRANT USAGE ON SCHEMA att TO victim;
CREATE SEQUENCE att.ran;
CREATE FUNCTION att.run() RETURNS int LANGUAGE plpgsql VOLATILE AS $$BEGIN RETURN nextval('att.ran'); END$$;
CREATE FUNCTION att.evil() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN att.run(); END$$;
CREATE VIEW att.trap AS SELECT att.evil() AS queue_id, 1::bigint AS queue_offset;
EOQ
my $has_run = 'SELECT is_called FROM att.ran';
run_in($caller, 'EXPLAIN SELECT * FROM att.trap');
is(rq_value($node, $has_run), 't', 'a view that is planned runs a function');
my $view = 'CREATE VIEW att.z9 AS SELECT * FROM att.trap';
foreach my $case (
	[ 'a1', "DROP TABLE att.z9; $view", 'att.a1' ],
	[ 'z9', "DROP TABLE att.z9; $view", 'att.a1' ],
	[ 'a1', "ALTER TABLE att.z9 RENAME TO y; $view", 'att.a1 att.z9' ],
	[ 'a1', 'DROP TABLE att.z9', 'att.a1' ],
	[ 'a1', 'TRUNCATE att.z9', 'att.a1 att.z9' ],
	[ 'a1', 'REVOKE SELECT ON att.z9 FROM victim', 'att.a1', 'victim' ],
	[ 'z9', 'REVOKE SELECT ON att.z9 FROM victim', 'att.a1', 'victim' ],
	[ 'a1', 'REVOKE USAGE ON SCHEMA att FROM victim', '', 'victim' ],
	[ 'z9', 'ALTER TABLE att.z9 ENABLE ROW LEVEL SECURITY', 'att.a1', 'victim' ])
{
	my ($locked, $swap, $expected, $user) = @$case;

	run_in($attacker, <<'EOQ');
SELECT rocketq.create_topic('att.a1', 1), rocketq.create_topic('att.z9', 1);
SELECT rocketq.create_group('att.a1', 'g'), rocketq.create_group('att.z9', 'g');
GRANT SELECT ON ALL TABLES IN SCHEMA att TO victim;
GRANT USAGE ON SCHEMA att TO victim;
EOQ
	run_in($caller, 'SELECT setval(\'att.ran\', 1, false)');
	run_in($caller, 'SET SESSION AUTHORIZATION ' . ($user // $superuser));
	is(swap_meanwhile("LOCK TABLE att.$locked", "SELECT topic FROM rocketq.dump_groups() WHERE topic ~ '^att'", $swap),
		$expected, "dump_groups() at a lock of $locked; $swap");
	run_in($caller, 'RESET SESSION AUTHORIZATION');
	is(rq_value($node, $has_run), 'f', 'none of the attacker\'s functions has run');
	run_in($attacker, rq_value($node, <<'EOQ'));
SELECT coalesce(string_agg(format('DROP %s att.%I', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname), ';'), 'SELECT 1')
FROM pg_class WHERE relnamespace = 'att'::regnamespace AND relname IN ('a1', 'y', 'z9')
EOQ
}

# While create_topic() or drop_topic() waits, another schema comes first in the
# search path, or the schema is replaced.
run_in($caller, <<'EOQ');
CREATE FUNCTION stand() RETURNS event_trigger LANGUAGE plpgsql AS $$
	BEGIN PERFORM pg_advisory_xact_lock(1); PERFORM FROM pg_language; END $$; -- whose lock lets in the news
CREATE EVENT TRIGGER made ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION stand();
CREATE EVENT TRIGGER dropped ON ddl_command_start WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION stand();
SET search_path = first, public;
EOQ
my $lock = 'SELECT pg_advisory_xact_lock(1)';
my $created = swap_meanwhile($lock, "SELECT rocketq.create_topic('t', 1)::oid", 'CREATE SCHEMA first; CREATE TABLE first.t (a int)');
is($created, rq_value($node, "SELECT 'public.t'::regclass::oid"), 'create_topic() returns its own topic');
run_in($attacker, "DROP SCHEMA first CASCADE; SELECT rocketq.create_topic('att.t', 1)");
is(swap_meanwhile($lock, "SELECT rocketq.drop_topic('att.t')",
		'ALTER SCHEMA att RENAME TO moved; CREATE SCHEMA att; CREATE TABLE att.t (a int)'),
	'55006 att.t no longer refers to the topic', 'drop_topic() drops the topic it was given');
is(rq_value($node, "SELECT to_regclass('att.t') IS NOT NULL AND to_regclass('moved.t') IS NOT NULL"), 't', 'drop_topic() drops no other table');
run_in($caller, 'DROP EVENT TRIGGER made; DROP EVENT TRIGGER dropped; DROP FUNCTION stand(); DROP SCHEMA att, moved CASCADE; DROP TABLE public.t');

#
# Names that are valid text only in the encoding of another database.
#
my %groups = (
	latin => "'auftr' || chr(228) || 'ge'",
	ascii => q{convert_from('\x41fffe80415c', 'SQL_ASCII')},
	utf8 => q{U&'gr\00f6\00dfe \+01f600'},
	postgres => q{U&'unsere Gr\00f6\00dfe'});
$node->safe_psql('postgres', <<'EOQ');
CREATE DATABASE latin ENCODING LATIN1 TEMPLATE template0;
CREATE DATABASE ascii ENCODING SQL_ASCII TEMPLATE template0;
CREATE DATABASE utf8;
CREATE EXTENSION pg_walinspect;
DROP EXTENSION rocketq CASCADE;
ALTER SYSTEM SET rocketq.retention_time = 0;
EOQ
rq_reload($node);
my $from = $node->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
foreach my $db ('latin', 'ascii', 'utf8', 'postgres')
{
	$node->safe_psql($db, "CREATE EXTENSION IF NOT EXISTS rocketq; SELECT rocketq.create_topic('named', 1); SELECT rocketq.create_group('named', $groups{$db})");
}
$node->safe_psql('postgres', 'CHECKPOINT');
append_to_file($node->data_dir . "/pg_rocketq/log/\xc4rger\x80", 'x');
END { unlink($node->data_dir . "/pg_rocketq/log/\xc4rger\x80") if $node; }

# All texts shown to users of a database, checked in its encoding.
sub shown
{
	my ($db, $query) = @_;
	return $node->safe_psql($db, <<"EOQ");
SET client_encoding = 'SQL_ASCII';
CREATE TEMP TABLE shown AS
$query;
SELECT count(convert_from(textsend(t), getdatabaseencoding())) > 0 FROM shown;
SELECT textsend(t) FROM shown ORDER BY 1;
EOQ
}

sub bytes
{
	return join("\n", 't', sort map { '\x' . unpack('H*', $_) } @_);
}
my $group_names = <<'EOQ';
SELECT consumer_group AS t FROM rocketq.get_groups() g JOIN pg_database d ON d.oid = g.database
WHERE datname IN ('latin', 'ascii', 'utf8', 'postgres') AND consumer_group ~ '^(auftr|A|gr|unsere)'
EOQ
my ($latin, $ascii) = ('auftr\xe4ge', 'A\xff\xfe\x80A\x5c');
my ($utf8, $own) = ("gr\xc3\xb6\xc3\x9fe \xf0\x9f\x98\x80", "unsere Gr\xc3\xb6\xc3\x9fe");
my $ascii_utf8 = 'gr\xc3\xb6\xc3\x9fe \xf0\x9f\x98\x80';
my $ascii_own = 'unsere Gr\xc3\xb6\xc3\x9fe';
is(shown('postgres', $group_names), bytes($latin, $ascii, $utf8, $own), 'names of groups in a UTF8 database');
is(shown('latin', $group_names), bytes("auftr\xe4ge", $ascii, $ascii_utf8, $ascii_own), 'names of groups in a LATIN1 database');
is(shown('ascii', $group_names), bytes($latin, "A\xff\xfe\x80A\\", $ascii_utf8, $ascii_own), 'names of groups in a SQL_ASCII database');
foreach my $db ('postgres', 'latin', 'ascii')
{
	like(shown($db, "SELECT what AS t FROM rocketq.verify() WHERE what ~ 'rger'"), qr/^t\n\\x[0-9a-f]+$/, "$db: a file's name");
}
unlink($node->data_dir . "/pg_rocketq/log/\xc4rger\x80");
like(shown('postgres', "SELECT description AS t FROM pg_get_wal_records_info('$from', pg_current_wal_flush_lsn()) WHERE resource_manager = 'rocketq' AND description ~ 'name'"),
	qr/^t\n/, 'WAL records');

# The log is kept by a group of the database with encoding SQL_ASCII.
$node->safe_psql('ascii', "SELECT rocketq.produce('named', repeat('x', 1000000)) FROM generate_series(1, 12)");
rq_poll_query($node, 'the group to keep the log', "SELECT kept_by LIKE 'group %' FROM rocketq.segments ORDER BY start_position LIMIT 1");
foreach my $db ('postgres', 'latin', 'ascii')
{
	like(shown($db, "SELECT kept_by AS t FROM rocketq.segments"), qr/^t\n(.*\n)*\\x67726f757020/, "$db: what keeps a segment");
}

is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $alive, 'the server has not been restarted');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'and no process has died');
rq_verify($node, 'at the end');

done_testing();

# 018_hostile.pl -- every function of the extension is called by an enemy: from a
# schema that was there before, on a search_path of his, with all arguments that
# a type has, as roles without rights, as the trigger of other tables.  The
# server survives, nothing of his is run, and what is said is no internal error.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use RocketqTest;
use Test::More;

rq_seed();
my $node = rq_node('main', initdb => [ '--encoding', 'UTF8', '--locale', 'C' ]);
my $log_start = 0;

# Run statements as a user, each by itself; what psql says.
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
$node->reload;

#
# CREATE EXTENSION into a schema that is already there.
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
like(install(), qr/cannot install rocketq into the schema "rocketq"\nDETAIL:  It is owned by role "mallory".*\nHINT: /,
	'a schema of somebody else is refused');
is($node->safe_psql('planted', "SELECT rolsuper, (SELECT count(*) FROM pg_extension WHERE extname = 'rocketq') FROM pg_roles WHERE rolname = 'mallory'"),
	'f|0', 'with nothing done');
$node->safe_psql('planted', 'ALTER SCHEMA rocketq OWNER TO CURRENT_USER');
like(install(), qr/DETAIL:  It is not empty: there is (operator|function) .*\nHINT: /, 'so is what he has put there');
$node->safe_psql('planted', 'DROP SCHEMA rocketq CASCADE; CREATE SCHEMA rocketq; GRANT CREATE ON SCHEMA rocketq TO mallory');
like(install(), qr/DETAIL:  Role "mallory" may create objects in it .*\nHINT:  REVOKE CREATE/, 'a schema where he can put something');
$node->safe_psql('planted', 'REVOKE CREATE ON SCHEMA rocketq FROM mallory; GRANT CREATE ON SCHEMA rocketq TO PUBLIC');
like(install(), qr/DETAIL:  Everybody may create objects in it/, 'or everybody');
$node->safe_psql('planted', 'REVOKE CREATE ON SCHEMA rocketq FROM PUBLIC');
is(install(), 'installed', 'a superuser\'s empty schema will do');
$node->safe_psql('planted', 'DROP EXTENSION rocketq');
is(install(), 'installed', 'and what DROP EXTENSION has left');
like(run_as('mallory', 'planted', 'CREATE FUNCTION rocketq.consume(text, text) RETURNS int LANGUAGE sql RETURN 1'),
	qr/permission denied for schema rocketq/, 'nobody else can add functions');
like(run_as('mallory', 'planted', 'ALTER SCHEMA rocketq RENAME TO r; DROP SCHEMA rocketq CASCADE'),
	qr/must be owner of schema rocketq.*must be owner of schema rocketq/s, 'or take the schema away');

#
# A search_path on which everything is somebody else's: each operator and each
# function of pg_catalog has a twin that comes first, and the types as well.
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
is($error, '', 'and catches nothing of ours');
$node->safe_psql('postgres', 'DROP SCHEMA evil CASCADE');

done_testing();

"""What the application's role may do in the database: read and write rows, and neither change nor empty a table.

Given anew after every migration, for all tables that there are: a migration need not think of it. What is append-only
is told by its trigger, what belongs to months by `core_monthly_table`. Triggers and proofs are hardened with it, since
they guard against that very role.
"""

from typing import Final

from django.db import connection, transaction
from psycopg import sql

# Written only by migrations, and by functions that run as the owner.
READ_ONLY: Final = ("core_period", "core_monthly_table", "django_migrations")
READ, ADD, REPLACE, ALL = "SELECT", "SELECT, INSERT", "SELECT, INSERT, DELETE", "SELECT, INSERT, UPDATE, DELETE"

_TABLES: Final = """
SELECT c.relname, CASE
    WHEN c.relname = ANY(%s) THEN %s
    WHEN EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname LIKE 'pgtrigger_append_only%%') THEN %s
    WHEN EXISTS (SELECT FROM core_monthly_table m WHERE m.name = c.relname) THEN %s ELSE %s END
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
ORDER BY c.relname
"""
_FUNCTIONS: Final = (
    "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
)
# Ours, which look at tables by name: a temporary table of the same name must not be found first.
_DECEIVABLE: Final = """
SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_class c ON c.oid = to_regclass('public.core_period')
WHERE p.pronamespace = c.relnamespace AND p.proowner = c.relowner AND p.prokind = 'f'
    AND p.proname <> '_pgtrigger_should_ignore'
    AND NOT EXISTS (SELECT FROM unnest(p.proconfig) s WHERE s ~ '^search_path=.*pg_temp$')
ORDER BY 1
"""
# django-pgtrigger asks this function in each trigger whether a setting, which anybody may set, switches it off. It
# makes it anew whenever it makes a trigger.
_CAN_BE_SWITCHED_OFF: Final = """
SELECT EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname = '_pgtrigger_should_ignore'
    AND prosrc <> 'SELECT false')
"""
_NEVER_SWITCHED_OFF: Final = """
CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean
LANGUAGE sql IMMUTABLE AS 'SELECT false'
"""
_OWNED: Final = """
SELECT count(*) FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND pg_has_role(%s, c.relowner, 'MEMBER')
"""


@transaction.atomic
def grant(role: str) -> None:
    """Give the role what the application needs in this database, and take from it whatever else it had there."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLES, [list(READ_ONLY), READ, ADD, REPLACE, ALL])
        tables = cursor.fetchall()
        cursor.execute(_FUNCTIONS)
        functions = [name for (name,) in cursor.fetchall()]
        who, database = sql.Identifier(role), sql.Identifier(str(connection.settings_dict["NAME"]))
        run = cursor.execute
        run(sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM {}").format(who))
        run(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(database, who))
        run(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(who))
        run(sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(who))
        run(sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(who))
        for table, rights in tables:
            run(sql.SQL(f"GRANT {rights} ON {{}} TO {{}}").format(sql.Identifier(table), who))
        for name in functions:
            run(
                sql.SQL(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC; GRANT EXECUTE ON FUNCTION {name} TO {{}}").format(
                    who
                )
            )


@transaction.atomic
def harden() -> None:
    """No setting switches a trigger off, and no temporary table deceives one. As the owner, after every migration."""
    with connection.cursor() as cursor:
        cursor.execute(_CAN_BE_SWITCHED_OFF)
        if cursor.fetchone()[0]:
            cursor.execute(_NEVER_SWITCHED_OFF)
        cursor.execute(_DECEIVABLE)
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER FUNCTION {name} SET search_path = public, pg_temp")


def open_guards() -> list[str]:
    """What can be got past by a setting or a temporary table, in words; nothing where every guard holds."""
    with connection.cursor() as cursor:
        cursor.execute(_CAN_BE_SWITCHED_OFF)
        switched = ["a setting switches its triggers off"] * bool(cursor.fetchone()[0])
        cursor.execute(_DECEIVABLE)
        return switched + [f"a temporary table deceives {name}" for (name,) in cursor.fetchall()]


def is_known(role: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", [role])
        return bool(cursor.fetchone()[0])


def faults() -> list[str]:
    """What the role of this connection may and should not, in words; nothing where it is only the application's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, current_user FROM pg_roles WHERE rolname = current_user")
        is_superuser, role = cursor.fetchone()
        if is_superuser:
            return [f"the role {role} is a superuser"]
        cursor.execute(_OWNED, [role])
        owned = cursor.fetchone()[0]
        cursor.execute("SELECT has_schema_privilege(current_user, 'public', 'CREATE')")
        creates = cursor.fetchone()[0]
    owns = [f"the role {role} owns {owned} tables"] * bool(owned)
    return owns + [f"the role {role} may make tables"] * bool(creates) + open_guards()

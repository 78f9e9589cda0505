"""The chosen database: is it there, are its tables up to date, and as whom are we in it.

Web server, worker and commands are the application, whose role can change no table. What makes tables (migrations,
backups and what replaces a database as a whole) goes through `as_owner`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu import Connection
from kombu.exceptions import KombuError

from apps.config import embedded, roles
from apps.config.embedded import database_is_embedded, last_words
from apps.config.environment import SetupError

LEAST_VERSION = 150_000
# Any fixed number: whoever migrates holds this advisory lock.
MIGRATING = 7_014_000_001


# What makes the owner's connection another one than the application's; the name of the database stays.
_WHO = ("USER", "PASSWORD", "HOST", "PORT", "OPTIONS")


def app_role() -> str:
    return str(embedded.database_settings(settings.TOLLGATE_DATABASE)["USER"])


def owner_role() -> str:
    return str(embedded.owner_settings(settings.TOLLGATE_DATABASE)["USER"])


@contextmanager
def as_owner() -> Iterator[None]:
    """Inside this block the connection is the owner's; a transaction cannot be open around it."""
    kept, owner = connection.settings_dict, embedded.owner_settings(settings.TOLLGATE_DATABASE)
    if kept["USER"] == owner["USER"]:
        yield
        return
    connection.close()
    connection.settings_dict = {**kept, **{name: owner.get(name, "") for name in _WHO}}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = kept


def check_connection() -> None:
    """Connects, and says which database cannot be reached and why; never its password."""
    try:
        connection.ensure_connection()
    except OperationalError as error:
        if settings.TOLLGATE_DATABASE == "demo" and database_is_embedded() and "does not exist" in str(error):
            raise SetupError("The demo company is not made yet.", hint="Run `make up` or `make demo-reset`.") from None
        raise SetupError(f"{where()} cannot be reached: {reason(error)}") from None
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int")
        (version,) = cursor.fetchone()
    if version < LEAST_VERSION:
        raise SetupError(f"{where()} is PostgreSQL {version // 10_000}; Tollgate needs 15 or newer.")


def where() -> str:
    chosen = connection.settings_dict
    if database_is_embedded():
        return f"The embedded database {chosen['NAME']}"
    server = f"{chosen['HOST'] or 'localhost'}:{chosen['PORT'] or 5432}"
    variable = "DATABASE_URL" if chosen["USER"] == app_role() else "DATABASE_OWNER_URL"
    return f"{variable} (database {chosen['NAME']} on {server} as {chosen['USER'] or 'nobody'})"


def reason(error: Exception) -> str:
    """What the server or the network said, on one line, and without the password should it be echoed."""
    lines = [
        line.split("failed: ")[-1].removeprefix("FATAL:  ") for line in str(error).splitlines() if "failed: " in line
    ]
    said = lines[0] if lines else last_words(str(error))
    password = connection.settings_dict.get("PASSWORD")
    return said.replace(password, "***") if password else said


def waiting_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def prepare() -> None:
    """Migrates and gives the application's role its rights, as the owner. Two at once take turns."""
    with as_owner():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATING])
        try:
            if waiting_migrations():
                call_command("migrate", verbosity=0, interactive=False)
            roles.harden()
            grant_rights()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATING])


def grant_rights() -> None:
    """What the application's role may do. Nothing to give where it is the owner itself."""
    if app_role() == owner_role():
        return
    if not roles.is_known(app_role()):
        raise SetupError(f"{where()} knows no role {app_role()}.", hint="Make it; docs/configuration.md says how.")
    roles.grant(app_role())


def prepare_if_ours() -> None:
    """Before a command: brings the embedded database, or one that is still empty, up to date.

    Somebody else's database with tables in it is migrated only when they say so: an older version may be serving it.
    """
    waiting = _waiting_as_app()
    if not waiting:
        return
    if not database_is_embedded() and connection.introspection.table_names():
        raise SetupError(f"{where()} lacks {waiting} migrations.", hint="Run `manage.py migrate`.")
    print(f"Preparing the database {connection.settings_dict['NAME']} ...", file=sys.stderr, flush=True)  # noqa: T201
    prepare()


def _waiting_as_app() -> int:
    """The tables of an earlier version may not be read by the application's role yet; then the owner counts."""
    try:
        return waiting_migrations()
    except ProgrammingError:
        with as_owner():
            return max(waiting_migrations(), 1)


def check_broker() -> None:
    """Connects to the broker, and says which cannot be reached and why; never its password."""
    address = settings.CELERY_BROKER_URL
    try:
        with Connection(address, connect_timeout=5) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=5)
    except (KombuError, OSError, ValueError, KeyError, ImportError) as error:
        said = str(error).replace(urlsplit(address).password or "\0", "***")
        raise SetupError(f"CELERY_BROKER_URL ({without_password(address)}) cannot be reached: {said}") from None


def without_password(address: str) -> str:
    """scheme://user@host:port/path"""
    parts = urlsplit(address)
    user = f"{parts.username}@" if parts.username else ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{user}{parts.hostname or ''}{port}{parts.path}"

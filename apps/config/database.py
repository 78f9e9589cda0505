"""The chosen database: is it there, are its tables up to date."""

import sys
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu import Connection
from kombu.exceptions import KombuError

from apps.config.embedded import database_is_embedded, last_words
from apps.config.environment import SetupError

LEAST_VERSION = 150_000
# Any fixed number: whoever migrates holds this advisory lock.
MIGRATING = 7_014_000_001


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
    chosen = settings.DATABASES["default"]
    if database_is_embedded():
        return f"The embedded database {chosen['NAME']}"
    server = f"{chosen['HOST'] or 'localhost'}:{chosen['PORT'] or 5432}"
    return f"DATABASE_URL (database {chosen['NAME']} on {server} as {chosen['USER'] or 'nobody'})"


def reason(error: Exception) -> str:
    """What the server or the network said, on one line, and without the password should it be echoed."""
    lines = [
        line.split("failed: ")[-1].removeprefix("FATAL:  ") for line in str(error).splitlines() if "failed: " in line
    ]
    said = lines[0] if lines else last_words(str(error))
    password = settings.DATABASES["default"].get("PASSWORD")
    return said.replace(password, "***") if password else said


def waiting_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def prepare() -> None:
    """Migrates. Two at once take turns."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATING])
    try:
        if waiting_migrations():
            call_command("migrate", verbosity=0, interactive=False)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATING])


def prepare_if_ours() -> None:
    """Before a command: brings the embedded database, or one that is still empty, up to date.

    Somebody else's database with tables in it is migrated only when they say so: an older version may be serving it.
    """
    waiting = waiting_migrations()
    if not waiting:
        return
    if not database_is_embedded() and connection.introspection.table_names():
        raise SetupError(f"{where()} lacks {waiting} migrations.", hint="Run `manage.py migrate`.")
    print(f"Preparing the database {connection.settings_dict['NAME']} ...", file=sys.stderr, flush=True)  # noqa: T201
    prepare()


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

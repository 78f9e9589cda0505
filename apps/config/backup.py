"""Backups of the chosen database: PostgreSQL's own custom format, written and read by the programs of the wheel.

As the owner, whoever calls. Rights are not part of them: a restored database gets them from the version that reads it.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader

from apps.config import databases, embedded
from apps.config.database import where
from apps.config.environment import SetupError

# A restored installation should not bring back who was logged in, or had forgotten a password, at the time.
LEFT_OUT = ("django_session", "config_cache", "accounts_reset_request")


def write(file: Path) -> int:
    """Writes a consistent snapshot; an older file of that name is replaced only by a whole one. Returns its bytes."""
    unfinished = file.with_name(f"{file.name}.part")
    try:
        unfinished.touch(mode=0o600)
    except OSError as error:
        raise SetupError(f"{file} cannot be written: {error.strerror}.") from None
    try:
        without = [f"--exclude-table-data={table}" for table in LEFT_OUT]
        said = run(
            "pg_dump",
            "--format=custom",
            "--no-owner",
            "--no-privileges",
            f"--file={unfinished}",
            *without,
            database=current(),
        )
        if said:
            raise SetupError(f"{where()} was not written to {file}: {said}")
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    return file.stat().st_size


def check(file: Path) -> None:
    if not file.is_file():
        raise SetupError(f"There is no file {file}.")
    said = run("pg_restore", "--list", str(file))
    if "unsupported version" in said:
        raise SetupError(
            f"{file} was written by a newer PostgreSQL than the one here.", hint="Restore it with that one."
        )
    if said:
        raise SetupError(f"{file} is no backup, or not a whole one.", hint="`manage.py backup FILE` makes one.")


def is_empty() -> bool:
    """Nothing was put in yet: no tables, or no organisation in them."""
    tables = connection.introspection.table_names()
    if "core_organisation" not in tables:
        return not tables
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM core_organisation) OR EXISTS (SELECT FROM core_audit_event)")
        return not cursor.fetchone()[0]


def restore(file: Path, prove: Callable[[], None]) -> None:
    """Reads the file into a new database and puts that in the place of the old one.

    `prove` is called while the new one is the chosen one and may raise. A failure of anything changes nothing.
    """
    name = current()
    fresh = f"{name}_restoring"
    connections.close_all()
    with databases.maintenance() as server:
        databases.drop(server, fresh)
        databases.create(server, fresh)
        said = run(
            "pg_restore",
            "--no-owner",
            "--no-privileges",
            "--exit-on-error",
            f"--dbname={fresh}",
            str(file),
            database=fresh,
        )
        if said:
            databases.drop(server, fresh)
            raise SetupError(f"{file} could not be restored, nothing was changed: {said}")
        try:
            with _instead(fresh):
                prove()
        except BaseException:
            databases.drop(server, fresh)
            raise
        databases.replace(server, name, fresh)


@contextmanager
def _instead(name: str) -> Iterator[None]:
    """Inside this block another database is the chosen one."""
    kept = connection.settings_dict["NAME"]
    connections.close_all()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connections.close_all()
        connection.settings_dict["NAME"] = kept


def unknown_migrations() -> list[str]:
    """Migrations that the chosen database has and this version does not: a newer version wrote it."""
    loader = MigrationLoader(connection)
    ours = {app for app, _ in loader.disk_migrations}
    there = [key for key in loader.applied_migrations if key[0] in ours and key not in loader.disk_migrations]
    replaced = {key for migration in loader.disk_migrations.values() for key in migration.replaces}
    return sorted(f"{app}.{name}" for app, name in set(there) - replaced)


def current() -> str:
    return str(connection.settings_dict["NAME"])


def run(program: str, *arguments: str, database: str = "") -> str:
    """Runs a program of PostgreSQL on a database; '' or its last words. The password travels in its environment."""
    chosen = embedded.owner_settings(settings.TOLLGATE_DATABASE)
    address = {
        "PGHOST": chosen.get("HOST"),
        "PGPORT": chosen.get("PORT"),
        "PGUSER": chosen.get("USER"),
        "PGPASSWORD": chosen.get("PASSWORD"),
    }
    environment = {
        **os.environ,
        **{name: str(value) for name, value in address.items() if value},
        "PGDATABASE": database,
    }
    command = [str(embedded.client_program(program)), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else embedded.last_words(done.stderr)

"""Backups of the chosen database: PostgreSQL's own custom format, written and read by the programs of the wheel.

As the owner, whoever calls. Rights are not part of them: a restored database gets them from the version that reads it.
"""

import os
import subprocess
from pathlib import Path

from django.conf import settings
from django.db import connection, connections

from apps.config import databases, embedded
from apps.config.database import where
from apps.config.environment import SetupError

# A restored installation should not bring back who was logged in at the time.
LEFT_OUT = ("django_session", "config_cache")


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
    if run("pg_restore", "--list", str(file)):
        raise SetupError(f"{file} is no backup, or not a whole one.", hint="`manage.py backup FILE` makes one.")


def is_empty() -> bool:
    """Nothing was put in yet: no tables, or no organisation in them."""
    tables = connection.introspection.table_names()
    if "core_organisation" not in tables:
        return not tables
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM core_organisation) OR EXISTS (SELECT FROM core_audit_event)")
        return not cursor.fetchone()[0]


def restore(file: Path) -> None:
    """Reads the file into a new database and puts that in the place of the old one: a failure changes nothing."""
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
        databases.replace(server, name, fresh)


def current() -> str:
    return str(connection.settings_dict["NAME"])


def run(program: str, *arguments: str, database: str = "") -> str:
    """Runs a program of PostgreSQL on a database; '' or its last words. The password travels in its environment."""
    chosen = embedded.owner_settings(settings.TOLLGATE_DATABASE)
    address = {
        "PGHOST": chosen["HOST"],
        "PGPORT": chosen["PORT"],
        "PGUSER": chosen["USER"],
        "PGPASSWORD": chosen["PASSWORD"],
    }
    environment = {
        **os.environ,
        **{name: str(value) for name, value in address.items() if value},
        "PGDATABASE": database,
    }
    command = [str(embedded.client_program(program)), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else embedded.last_words(done.stderr)

"""Databases as a whole: made, dropped, and put in the place of another when finished: nobody ever meets half of one."""

import os
import subprocess
import sys
from typing import Any

import psycopg
from django.core.management import get_commands
from psycopg import sql

from apps.config import embedded
from apps.config.environment import PROJECT, SetupError


def demo_exists() -> bool:
    with maintenance() as connection:
        return name_of("demo") in names(connection)


def make_demo() -> None:
    """Makes the demo company anew, then puts it in the place of an old one. The organisation's own is not touched."""
    with maintenance() as connection:
        drop(connection, name_of("demo_new"))
        create(connection, name_of("demo_new"))
    run_manage("prepare", database="demo_new")
    if "demo" in get_commands():
        run_manage("demo", database="demo_new")
    with maintenance() as connection:
        replace(connection, name_of("demo"), name_of("demo_new"))


def run_manage(*command: str, database: str) -> None:
    """Runs a command on another database, in a process of its own; what it prints is shown."""
    environment = {**os.environ, "TOLLGATE_DATABASE": database}
    done = subprocess.run([sys.executable, str(PROJECT / "manage.py"), *command], env=environment, check=False)
    if done.returncode != 0:
        raise SetupError(f"`manage.py {' '.join(command)}` failed on the {database.replace('_new', '')} database.")


def maintenance() -> "psycopg.Connection[Any]":
    """The owner's connection to the server, in none of the databases to be made or dropped."""
    chosen = embedded.owner_settings("own")
    given = {key.lower(): chosen[key] for key in ("HOST", "PORT", "USER", "PASSWORD") if chosen.get(key)}
    try:
        return psycopg.connect(dbname="postgres", autocommit=True, **given)
    except psycopg.OperationalError as error:
        said = embedded.last_words(str(error))
        raise SetupError(f"The owner's server cannot be reached at its database postgres: {said}") from None


def name_of(chosen: str) -> str:
    return str(embedded.database_settings(chosen)["NAME"])


def names(connection: "psycopg.Connection[Any]") -> set[str]:
    return {row[0] for row in connection.execute("SELECT datname FROM pg_database")}


def drop(connection: "psycopg.Connection[Any]", name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def create(connection: "psycopg.Connection[Any]", name: str) -> None:
    try:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege:
        message = f"The owner's role may not make the database {name}."
        raise SetupError(
            message, hint="Allow it (CREATEDB), or start without the demo company: make up EMPTY=1."
        ) from None


def replace(connection: "psycopg.Connection[Any]", name: str, fresh: str) -> None:
    """Puts a finished database in the place of another; whoever is connected there is cut off and connects again."""
    drop(connection, name)
    renamed = sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(fresh), sql.Identifier(name))
    cut_off = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    connection.execute(cut_off, [fresh])
    connection.execute(renamed)

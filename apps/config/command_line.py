"""What surrounds every command: the servers run, the database is migrated, and an error is a sentence."""

import os
import sys

import django
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from apps.config import database, embedded
from apps.config.environment import flag
from apps.core.errors import TollgateError

# These need no database, or look after it themselves.
WITHOUT_SERVERS = frozenset(
    (
        *("", "help", "version", "check", "collectstatic", "compilemessages", "diffsettings", "findstatic"),
        *("makemessages", "makemigrations", "spectacular", "startapp", "up"),
    )
)
# These change the database's shape, or replace it, themselves; all but the shell do so as its owner.
WITHOUT_TABLES = frozenset(
    (
        "migrate",
        "showmigrations",
        "sqlmigrate",
        "squashmigrations",
        "prepare",
        "demo_reset",
        "restore",
        "backup",
        "dbshell",
    )
)


def main(arguments: list[str]) -> int:
    """Runs one command; returns the exit status: 1 with one sentence for whatever a person can put right."""
    name = next((word for word in arguments[1:] if not word.startswith("-")), "")
    try:
        run(name, arguments)
    except (TollgateError, ImproperlyConfigured) as error:
        print(f"{error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(name: str, arguments: list[str]) -> None:
    if name == "up":
        # Before settings are read: what is opened is chosen by EMPTY alone, for the worker and the web server too.
        os.environ["TOLLGATE_DATABASE"] = "own" if flag("EMPTY") else "demo"
    if name == "demo_logins":
        os.environ["TOLLGATE_DATABASE"] = "demo"
    wants_help = any(word in ("-h", "--help") for word in arguments)
    if name in WITHOUT_SERVERS or wants_help:
        execute_from_command_line(arguments)
        return
    with embedded.attached():
        django.setup()
        if name in WITHOUT_TABLES - {"dbshell"}:
            with database.as_owner():
                database.check_connection()
                execute_from_command_line(arguments)
            return
        database.check_connection()
        if name != "dbshell":
            database.prepare_if_ours()
        execute_from_command_line(arguments)

"""manage.py migrate: Django's own, as the owner of the tables; then the application's role gets its rights on them.

Whoever waits for a lock on a table keeps everybody waiting who comes later, so a migration waits for a short time only.
Each is a transaction: what is done stays done, and the next run goes on from there.
"""

from typing import Any

from django.core.management.commands import migrate
from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable

from apps.config import database, roles
from apps.config.environment import SetupError

LONGEST_WAIT = "10s"


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with database.as_owner(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [LONGEST_WAIT])
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
                said = f"{database.where()} was not migrated to the end: a table was in use for {LONGEST_WAIT}."
                raise SetupError(said, hint="Wait for what works on it, or end it; then migrate again.") from error
            cursor.execute("RESET lock_timeout")
            if options["plan"] or options["check_unapplied"]:
                return
            roles.harden()
            if not options["app_label"]:
                database.grant_rights()

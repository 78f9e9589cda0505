"""manage.py restore FILE"""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand

from apps.config import backup, database
from apps.config.environment import SetupError


class Command(BaseCommand):
    help = "Puts a backup in the place of the chosen database (TOLLGATE_DATABASE=own|demo)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--yes", action="store_true", help="replace a database that is not empty")

    def handle(self, *, file: Path, yes: bool, **_: object) -> None:
        file = file.absolute()
        backup.check(file)
        if not yes and not backup.is_empty():
            message = f"The database {backup.current()} is not empty, and all that is in it would be replaced."
            raise SetupError(message, hint="Back it up first; then say so with --yes.")
        backup.restore(file)
        database.prepare()
        self.stdout.write(f"Restored {file}.")

"""manage.py backup FILE"""

from argparse import ArgumentParser
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.config import backup


class Command(BaseCommand):
    help = "Writes the chosen database (TOLLGATE_DATABASE=own|demo) to a file, while everything goes on working."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *, file: Path, **_: object) -> None:
        size = backup.write(file.absolute())
        self.stdout.write(f"Wrote {file} ({size:,} bytes).")
        if not settings.FIELD_KEYS_GIVEN:
            keys = Path(settings.TOLLGATE_HOME) / "field-keys"
            self.stdout.write(
                f"Keep {keys} as well, in another place: secrets of sources in the backup open only with it."
            )

"""manage.py demo: make the demo company in the chosen database, unless somebody lives there already."""

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.config.demo.build import build


class Command(BaseCommand):
    help = "Makes the demo company, Larkfield Group, in the chosen database (TOLLGATE_DATABASE). Under a minute."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as-of", default="", metavar="ISO", help="the day that stands for today")

    def handle(self, **options: Any) -> None:
        build(self.stdout.write, as_of=_instant(options["as_of"]))


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise CommandError(f"'{text}' is no day; write it like 2026-11-12.") from None

"""manage.py demo_reset: the demo company as it was on the first day."""

from django.core.management.base import BaseCommand

from apps.config import databases


class Command(BaseCommand):
    help = "Makes the demo company anew. The organisation's own database is not touched."

    def handle(self, **_: object) -> None:
        self.stdout.write("Making the demo company anew ...")
        databases.make_demo()
        self.stdout.write("The demo company is as it was on the first day.")

"""manage.py prepare: brings the chosen database up to date."""

from django.core.management.base import BaseCommand

from apps.config import database


class Command(BaseCommand):
    help = "Creates or migrates the tables of the chosen database (TOLLGATE_DATABASE=own|demo)."

    def handle(self, **_: object) -> None:
        database.prepare()

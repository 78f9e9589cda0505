"""manage.py migrate: Django's own, as the owner of the tables; then the application's role gets its rights on them."""

from typing import Any

from django.core.management.commands import migrate

from apps.config import database, roles


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with database.as_owner():
            super().handle(*args, **options)
            if options["plan"] or options["check_unapplied"]:
                return
            roles.harden()
            if not options["app_label"]:
                database.grant_rights()

"""manage.py demo_logins: who can log in to the demo company."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.accounts.models import Account
from apps.config.demo.build import logins


class Command(BaseCommand):
    help = "Prints the demo company's log-ins, one a role."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, **options: Any) -> None:
        found = logins()
        if not Account.objects.filter(email=found[0]["email"]).exists():
            raise CommandError("This database holds no demo company; `make demo-reset` makes it.")
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
            return
        for login in found:
            self.stdout.write(f"{login['role']:<18}{login['email']:<36}{login['password']}")

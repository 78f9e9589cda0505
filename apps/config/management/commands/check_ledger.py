"""Prove that the ledger holds together; the same proof runs every night."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.reviews import proof


class Command(BaseCommand):
    help = "Prove that references exist, roll-ups are sums of their lines, and decisions and packs as they were made."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        broken = proof.prove()
        for fault in broken:
            self.stdout.write(str(fault))
        if broken:
            raise CommandError(f"The ledger does not hold: {len(broken)} promises are broken.")
        self.stdout.write(f"The ledger holds: {proof.PROMISES} promises were proved.")

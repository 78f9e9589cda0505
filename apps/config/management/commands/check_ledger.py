"""Prove that the ledger holds together; the same proof runs every night."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.costs import proof


class Command(BaseCommand):
    help = "Prove that every reference of the ledger exists and every roll-up is the sum of its lines."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        broken = proof.prove()
        for fault in broken:
            self.stdout.write(str(fault))
        if broken:
            raise CommandError(f"The ledger does not hold: {len(broken)} promises are broken.")
        self.stdout.write(f"The ledger holds: {len(proof.REFERENCES) + len(proof.ROLL_UPS)} promises were proved.")

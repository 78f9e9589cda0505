"""`manage.py audit verify|seal|head`: prove the audit trail, chain what waits, keep the head outside."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.core import audit, heads


class Command(BaseCommand):
    help = "Prove that the audit trail is complete and unchanged, or seal what waits."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        verify = actions.add_parser("verify", help="Recompute the chain from its first event.")
        verify.add_argument("--head", type=Path, help="A kept head, which must occur in the chain.")
        verify.add_argument(
            "--export", type=Path, help="An audit CSV, whose download must stand in the chain unchanged."
        )
        actions.add_parser("seal", help="Chain the events that wait.")
        actions.add_parser("head", help="Keep the signed head of today under TOLLGATE_HOME/audit.")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        if options["action"] == "verify":
            self.verify(options["head"], options["export"])
        elif options["action"] == "seal":
            self.stdout.write(f"Sealed {audit.seal()} events.")
        else:
            self.stdout.write(f"Kept {heads.keep(folder=settings.TOLLGATE_HOME / 'audit', now=timezone.now())}.")

    def verify(self, head: Path | None, export: Path | None) -> None:
        status = audit.verify(expected_head=heads.read(head).sha256 if head else "")
        if not status.holds:
            where = f" at event {status.broken_at}" if status.broken_at else ""
            raise CommandError(f"The chain does not hold{where}: {status.reason}")
        if export and not audit.knows_export(export.read_bytes()):
            raise CommandError(f"{export} is not as it was downloaded: no sealed event knows its SHA-256.")
        self.stdout.write(
            f"The chain holds: {status.sealed} events sealed, {status.waiting} waiting, head {status.head}."
        )

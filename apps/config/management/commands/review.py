"""`manage.py review open|close YYYY-MM`: open a month's review, or say what stands in the way of signing it.

A command decides nothing: a month is signed by a person at its page, which is why `close` only prepares.
"""

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apps.core.actor import Actor
from apps.reviews import access, services
from apps.reviews.blockers import LABELS, blockers_of, not_waived
from apps.reviews.models import Cycle


def month(text: str) -> date:
    if not re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", text):
        raise ArgumentTypeError(f"'{text}' is not a month; write it like 2026-10")
    return date(int(text[:4]), int(text[5:]), 1)


class Command(BaseCommand):
    help = "Open the review of a month, or say what stands in the way of signing it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        for name, text in (
            ("open", "Open the review of a month that is over, or take newer figures into it."),
            ("close", "Take newer figures and list what blocks the signature, which a person gives at the page."),
        ):
            actions.add_parser(name, help=text).add_argument("month", type=month, metavar="YYYY-MM")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        actor, wanted = Actor.command("review"), options["month"]
        if options["action"] == "open":
            self.say(services.open_cycle(actor=actor, month=wanted, now=timezone.now()))
        else:
            self.close(actor, wanted)

    def say(self, cycle: Cycle) -> None:
        items = cycle.items.exclude(state="cleared").count()
        self.stdout.write(f"The review of {cycle} is {cycle.get_state_display()}: {items} items. {self.address(cycle)}")

    def close(self, actor: Actor, wanted: date) -> None:
        cycle = access.get_cycle_for(actor=actor, month=wanted)
        if not cycle.is_open:
            self.say(cycle)
            return
        cycle = services.open_cycle(actor=actor, month=wanted, now=timezone.now())
        standing = not_waived(cycle, blockers_of(cycle, now=timezone.now()))
        for blocker in standing:
            self.stdout.write(f"blocks: {LABELS[blocker.key]} ({blocker.count})")
        if standing:
            raise CommandError(f"{cycle} cannot be signed off yet. {self.address(cycle)}")
        self.stdout.write(f"Nothing blocks {cycle}. A reviewer signs it, at {self.address(cycle)}")

    def address(self, cycle: Cycle) -> str:
        return f"{settings.TOLLGATE_PUBLIC_URL}/reviews/{cycle.month:%Y-%m}/"

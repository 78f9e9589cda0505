"""What each use of AI is worth in a month, and the verdict; works out what waits before it answers."""

import json
import re
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput, TollgateError
from apps.costs import services as costs
from apps.economics import selectors, told
from apps.economics import services as economics
from apps.economics.selectors import MonthOfWorkload
from apps.workloads.selectors import get_workload_for

ACTOR = Actor.command("manage.py economics")


class Command(BaseCommand):
    help = "Unit economics and verdict of every workload in a month, or of one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--month", required=True, metavar="YYYY-MM")
        parser.add_argument("--workload", default="", metavar="SLUG", help="only this one")
        parser.add_argument("--json", action="store_true", help="print JSON and nothing else; money as text")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        try:
            month = _month(options["month"])
            named = options["workload"]
            workload = get_workload_for(actor=ACTOR, ref=named) if named else None
            costs.sweep_rate_changes()
            costs.rate_dirty()
            economics.recompute_dirty()
        except TollgateError as error:
            raise CommandError(str(error)) from None
        count, rows = selectors.page_of_month(actor=ACTOR, month=month, workload=workload)
        company = organisation.get()
        if options["json"]:
            found = told.month_as_json(
                month=month, currency=company.currency, zone=company.zone, count=count, rows=rows
            )
            self.stdout.write(json.dumps(found, indent=2))
        else:
            self.stdout.write("\n".join(map(_in_words, rows)) or "There is no workload yet.")


def _month(text: str) -> date:
    if not re.fullmatch(r"20[1-9][0-9]-(0[1-9]|1[0-2])", text, re.ASCII):
        raise BadInput(f"“{text}” is no month.", hint="A month reads like 2026-10.")
    return date.fromisoformat(f"{text}-01")


def _in_words(one: MonthOfWorkload) -> str:
    signed = "" if one.signed is None else f" (signed as {one.signed.verdict.word.value})"
    return f"{one.workload.slug}: {one.now.verdict.word.value}{signed}. {one.now.verdict.sentence}"

"""What stands in the way of signing a month, each with what a person can do about it, or two people can waive."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from django.db import connection

from apps.core import organisation, periods
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.costs.selectors import CostScope, billed_months, figure_state
from apps.reviews.models import Cycle, Item
from apps.sources.models import Pull

CLOCK: Final = Actor.system("review")
BILL_TOLERANCE: Final = Decimal("0.02")


class Key(StrEnum):
    """In the order in which they are best put right."""

    PULLS = "pulls"
    RATING = "rating"
    SOURCES = "sources"
    UNPRICED = "unpriced"
    UNCONVERTED = "unconverted"
    BILL = "bill"
    ITEMS = "items"


LABELS: Final = {
    Key.PULLS: "Imports still running",
    Key.RATING: "Days still being priced",
    Key.SOURCES: "Sources that have not delivered",
    Key.UNPRICED: "Models without a price",
    Key.UNCONVERTED: "Amounts without an exchange rate",
    Key.BILL: "A bill that differs from what was computed",
    Key.ITEMS: "Undecided items",
}


@dataclass(frozen=True, slots=True)
class Blocker:
    """`count` things; `facts` name them. What a waiver covers is exactly what it was asked for, told by `digest`."""

    key: Key
    count: int
    facts: dict[str, Any]

    @property
    def digest(self) -> str:
        text = json.dumps([self.key.value, self.facts], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def blockers_of(cycle: Cycle, *, now: datetime) -> list[Blocker]:
    """Everything that blocks now, waived or not."""
    return [*_of_sources(now), *_of_books(cycle), *_of_bills(cycle), *_of_items(cycle)]


def not_waived(cycle: Cycle, found: Sequence[Blocker]) -> list[Blocker]:
    """Those that two people have not let pass as they are now."""
    waived = set(cycle.waivers.filter(revision=cycle.revision).values_list("blocker", "digest"))
    return [blocker for blocker in found if (blocker.key.value, blocker.digest) not in waived]


def tolerance() -> Decimal:
    """The share of a bill by which it may differ from what was computed."""
    return Decimal(str(organisation.get().settings.get("bill_tolerance", BILL_TOLERANCE)))


def get_blocker(cycle: Cycle, key: str, *, now: datetime) -> Blocker:
    """One of those that block now, by its key."""
    found = next((each for each in blockers_of(cycle, now=now) if each.key == key), None)
    if found is None:
        raise BadInput("This does not block the sign-off (any more).", hint="Look at the review again.")
    return found


def _of_sources(now: datetime) -> Iterator[Blocker]:
    running = list(Pull.objects.unfinished().order_by("pk").values_list("pk", "part__name"))
    if running:
        facts = {"pulls": [pk for pk, _ in running], "names": [name for _, name in running]}
        yield Blocker(Key.PULLS, len(running), facts)
    state = figure_state(now=now)
    silent = sorted({*state.stale, *state.broken})
    if silent:
        yield Blocker(Key.SOURCES, len(silent), {"names": silent})


def _of_books(cycle: Cycle) -> Iterator[Blocker]:
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [cycle.month, periods.next_month(cycle.month)])
        waiting = cursor.fetchone()[0]
        cursor.execute(_UNPRICED, [cycle.month])
        unpriced = cursor.fetchall()
        cursor.execute(_UNCONVERTED, [cycle.month])
        unconverted = cursor.fetchall()
    if waiting:
        yield Blocker(Key.RATING, waiting, {"days": waiting})
    if unpriced:
        facts = {"models": [name for _, name, _ in unpriced], "tokens": [int(tokens) for _, _, tokens in unpriced]}
        yield Blocker(Key.UNPRICED, len(unpriced), facts)
    if unconverted:
        yield Blocker(Key.UNCONVERTED, len(unconverted), {"currencies": [row[0] for row in unconverted]})


def _of_bills(cycle: Cycle) -> Iterator[Blocker]:
    scope = CostScope(cycle.month, periods.next_month(cycle.month))
    allowed = tolerance()
    wrong = [
        bill
        for bill in billed_months(actor=CLOCK, scope=scope)
        if abs(bill.residual) > allowed * abs(bill.effective or bill.computed)
    ]
    if wrong:
        facts = {"providers": [bill.provider for bill in wrong], "residuals": [str(bill.residual) for bill in wrong]}
        yield Blocker(Key.BILL, len(wrong), facts)


def _of_items(cycle: Cycle) -> Iterator[Blocker]:
    still_open = list(cycle.items.filter(state=Item.State.OPEN).order_by("pk").values_list("pk", flat=True))
    if still_open:
        yield Blocker(Key.ITEMS, len(still_open), {"items": still_open})


_WAITING = "SELECT count(DISTINCT day) FROM costs_dirty_day WHERE day >= %s AND day < %s"
_UNPRICED = """
SELECT m.offering_id, coalesce(nullif(o.name, ''), 'model not reported'), sum(m.unpriced_tokens)
FROM costs_month m LEFT JOIN catalog_offering o ON o.id = m.offering_id
WHERE m.charge_month = %s AND m.role = 'counts' AND m.basis <> 'billed' AND m.unpriced_lines > 0
GROUP BY m.offering_id, o.name ORDER BY 3 DESC, 1
"""
_UNCONVERTED = """
SELECT currency, sum(unconverted_lines) FROM costs_month
WHERE charge_month = %s AND role = 'counts' AND basis <> 'billed' AND unconverted_lines > 0 GROUP BY 1 ORDER BY 1
"""

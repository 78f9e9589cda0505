"""What stands in the way of signing a month, each with what a person can do about it, or two people can waive."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from django.db import connection

from apps.core import periods
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.core.money import plain
from apps.costs.selectors import bills_booked, figure_state, silent_sources
from apps.reviews.agenda import UNCONVERTED, UNPRICED
from apps.reviews.models import Cycle, Item
from apps.sources.models import Pull, Source

CLOCK: Final = Actor.system("review")


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


# The books refuse to lock a month whose days wait to be priced, whoever lets it pass.
NEVER_WAIVED: Final = (Key.RATING,)


@dataclass(frozen=True, slots=True)
class Blocker:
    """`count` things; `facts` name them, with all that a waiver covers: `digest` is of them, so that more blocks again.

    Facts are lists of text and whole numbers, side by side, as a person who is to let them pass reads them.
    """

    key: Key
    count: int
    facts: dict[str, Any]

    @property
    def is_waivable(self) -> bool:
        return self.key not in NEVER_WAIVED

    @property
    def digest(self) -> str:
        text = json.dumps([self.key.value, self.facts], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def blockers_of(cycle: Cycle, *, now: datetime) -> list[Blocker]:
    """Everything that blocks now, waived or not."""
    return [*_of_sources(cycle, now), *_of_books(cycle), *_of_bills(cycle), *_of_items(cycle)]


def not_waived(cycle: Cycle, found: Sequence[Blocker]) -> list[Blocker]:
    """Those that two people have not let pass as they are now."""
    waived = set(cycle.waivers.filter(revision=cycle.revision).values_list("blocker", "digest"))
    return [blocker for blocker in found if (blocker.key.value, blocker.digest) not in waived]


def get_blocker(cycle: Cycle, key: str, *, now: datetime) -> Blocker:
    """One of those that block now and can be waived, by its key."""
    found = next((each for each in blockers_of(cycle, now=now) if each.key == key), None)
    if found is None:
        raise BadInput("This does not block the sign-off (any more).", hint="Look at the review again.")
    if not found.is_waivable:
        raise BadInput("This cannot be waived.", hint="It ends by itself within minutes.")
    return found


def _of_sources(cycle: Cycle, now: datetime) -> Iterator[Blocker]:
    running = list(Pull.objects.unfinished().order_by("pk").values_list("pk", "part__name"))
    if running:
        facts = {"imports": [pk for pk, _ in running], "names": [name for _, name in running]}
        yield Blocker(Key.PULLS, len(running), facts)
    lacking = sorted([*_not_asked(now), *_silent(cycle)])
    if lacking:
        facts = {"sources": [f"{name}: {why}" for name, why in lacking]}
        yield Blocker(Key.SOURCES, len({name for name, _ in lacking}), facts)


def _not_asked(now: datetime) -> Iterator[tuple[str, str]]:
    """Live sources that nobody has asked in time, or that refuse, with why."""
    state = figure_state(now=now)
    reasons = dict(Source.objects.filter(name__in=state.broken).values_list("name", "state_reason"))
    yield from ((name, "not asked in time") for name in state.stale)
    yield from ((name, reasons.get(name) or "needs attention") for name in state.broken)


def _silent(cycle: Cycle) -> Iterator[tuple[str, str]]:
    """Sources of any kind that fell silent before the month's end, with their last day."""
    for source in silent_sources(until=periods.next_month(cycle.month)):
        yield source.name, f"nothing after {source.last_day}"


def _of_books(cycle: Cycle) -> Iterator[Blocker]:
    values = {"month": cycle.month, "end": periods.next_month(cycle.month)}
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, values)
        waiting = [str(day) for (day,) in cursor.fetchall()]
        cursor.execute(f"{UNPRICED} ORDER BY 1 DESC, 4 DESC, 2", values)
        unpriced = cursor.fetchall()
        cursor.execute(f"{UNCONVERTED} ORDER BY 1 DESC, 2", values)
        unconverted = cursor.fetchall()
    if waiting:
        yield Blocker(Key.RATING, len(waiting), {"days": waiting})
    if unpriced:
        facts = {
            "models": [_of_month(row[2], row[0], cycle) for row in unpriced],
            "tokens": [int(row[3]) for row in unpriced],
            "lines": [int(row[4]) for row in unpriced],
        }
        yield Blocker(Key.UNPRICED, len({row[1] for row in unpriced}), facts)
    if unconverted:
        facts = {
            "currencies": [_of_month(row[1], row[0], cycle) for row in unconverted],
            "amounts": [plain(row[2]) for row in unconverted],
            "lines": [int(row[3]) for row in unconverted],
        }
        yield Blocker(Key.UNCONVERTED, len({row[1] for row in unconverted}), facts)


def _of_month(name: str, charged: date, cycle: Cycle) -> str:
    """What became known late says of which month it is."""
    return name if charged == cycle.month else f"{name} of {charged:%B %Y}"


def _of_bills(cycle: Cycle) -> Iterator[Blocker]:
    wrong = [bill for bill in bills_booked(actor=CLOCK, month=cycle.month) if bill.is_over_tolerance]
    if wrong:
        facts = {"providers": [bill.provider for bill in wrong], "residuals": [plain(bill.residual) for bill in wrong]}
        yield Blocker(Key.BILL, len(wrong), facts)


def _of_items(cycle: Cycle) -> Iterator[Blocker]:
    """An item whose figures move gets another version: what was let pass undecided was looked at as it was."""
    still_open = list(cycle.items.filter(state=Item.State.OPEN).order_by("pk").values_list("pk", "version"))
    if still_open:
        facts = {"items": [pk for pk, _ in still_open], "versions": [version for _, version in still_open]}
        yield Blocker(Key.ITEMS, len(still_open), facts)


_WAITING: Final = "SELECT DISTINCT day FROM costs_dirty_day WHERE day >= %(month)s AND day < %(end)s ORDER BY 1"

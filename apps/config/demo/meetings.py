"""The reviews that Larkfield held: what was decided, promised and signed, and what became known only after that.

Everything goes through the services that the pages call, as the people who would sit there.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from django.utils import timezone

from apps.accounts.models import Person
from apps.approvals import services as approvals
from apps.config.demo.company import USES
from apps.core import periods
from apps.core.actor import Actor
from apps.economics import services as economics
from apps.reviews import services as reviews
from apps.reviews.blockers import Key, blockers_of
from apps.reviews.models import Action, Cycle, Figure, Item, ItemKind
from apps.reviews.services import Told
from apps.workloads.models import Workload

REVIEWER, ANALYST = "Jonas Weber", "Felix Adeyemi"
HERE: Final = (REVIEWER, ANALYST, "Marta Oyelaran", "Lena Fischer", "Tom Becker", "Priya Raman")
MEETS_ON: Final = 8  # day of the month after
SILENT: Final = ("Noor Haddad",)  # who attests nothing in time


@dataclass(frozen=True, slots=True)
class Said:
    """What was decided about a use; a saving is promised by its owner, in USD a month, for `days` after the meeting."""

    what: str
    reason: str
    saving: int = 0
    cap: int = 0
    days: int = 21


# By how many months before the last complete one, and by use.
DECIDED: Final[Mapping[int, Mapping[str, Said]]] = {
    2: {
        "Sales copilot": Said("optimise", "Keep only the last five turns in the prompt", 3_000, days=40),
        "Enquiry classification": Said("optimise", "Try a model that is good enough for labels", 9_000, days=60),
        "Meeting notes": Said("continue", "The time study is repeated in October."),
        "Access request notes": Said("continue", "Too small for a meeting; its owner looks at it."),
        "Claims triage": Said("continue", "The second product began in summer; watched for a month."),
    },
    1: {
        "Claims triage": Said("optimise", "Claims triage, cache", 1_800),
        "Product descriptions": Said("optimise", "Product copy, batch", 900),
        "Shop search": Said("optimise", "Shop search, trim", 4_100),
        "Enquiry classification": Said("cap", "No more labels until one of them pays", cap=18_000),
        "Sales copilot": Said("continue", "What was promised in the last review stands."),
    },
    0: {
        "Enquiry classification": Said("downgrade", "Economy model or none at all", 15_000, days=30),
        "Sales copilot": Said("optimise", "Seven thousand tokens a question, no more", 8_000, days=30),
        "Order status bot": Said("optimise", "Stop repeating what timed out", 3_500),
        "Meeting notes": Said("cap", "Costs more than it is worth; no growth until it pays", cap=8_900),
        "Shop search": Said("continue", "Shoppers searched more; measured once more."),
    },
}
USUAL: Final[Mapping[str, str]] = {
    ItemKind.UNALLOCATED: "Team leads name the owners of their keys.",
    ItemKind.UNPRICED: "The vendor's price list is asked for.",
    ItemKind.OVER_BUDGET: "Known; it is spoken about with the use itself.",
    ItemKind.PROMISE: "Measured once more in the next review.",
    ItemKind.EXPIRING: "A new time study is under way.",
    ItemKind.FIX: "Its owner knows; nothing new since the last review.",
    ItemKind.STOP: "Its owner proposes a way out by the next review.",
}
# What owners said of their promises before the last review.
DONE: Final[Mapping[str, str]] = {
    "Claims triage, cache": "Every claim begins with the same pages; they are cached since the first of the month.",
    "Product copy, batch": "The house style goes along once for all four languages.",
    "Shop search, trim": "The trim is live; searches grew at the same time.",
}
WAIVED: Final[Mapping[str, str]] = {
    Key.UNPRICED: "Two models on trial, a few dollars by the vendor's word; priced as soon as the list comes.",
}
LATE_USE, LATE_KEY = "Support ticket summaries", "support-ticket-summaries-prod"
LATE_HOURS: Final = 72  # of 1,000 calls each, 1.95 USD an hour
LATE_USEFUL, LATE_PRODUCED = 1_900, 2_020


@dataclass(frozen=True, slots=True)
class Room:
    """Who meets about which month, and when."""

    people: Mapping[str, Person]
    month: date
    ago: int
    now: datetime

    def actor(self, name: str) -> Actor:
        person = self.people[name]
        return Actor(person_id=person.pk, label=person.name, channel="web")


def hold(*, people: Mapping[str, Person], last_month: date, now: datetime, count: int) -> None:
    """The reviews of the last `count` complete months, in their order, each up to its signature."""
    for ago in range(count - 1, -1, -1):
        month = periods.shifted(last_month, -ago)
        hold_one(Room(people, month, ago, min(_meeting_of(month), now)))


def hold_one(room: Room) -> None:
    if room.ago == 0:
        say_done(room)
    cycle = reviews.open_cycle(actor=room.actor(ANALYST), month=room.month, now=room.now)
    attest(room, cycle)
    reviews.take_facilitation(actor=room.actor(REVIEWER), cycle=cycle, version=cycle.version)
    for name in HERE:
        reviews.attend(actor=room.actor(name), cycle=cycle)
    decide(room, cycle)
    waive(room, cycle)
    sign(room, cycle)


def say_done(room: Room) -> None:
    """Whoever promised says what came of it, before anybody measures it."""
    for action in Action.objects.unfinished().filter(title__in=DONE).select_related("owner").order_by("pk"):
        owner = room.actor(action.owner.name)
        reviews.close_action(actor=owner, action=action, is_done=True, note=DONE[action.title])


def attest(room: Room, cycle: Cycle) -> None:
    """Owners say that their figures are right; who left says nothing, and one forgets it."""
    rows = Figure.objects.filter(cycle=cycle, workload__business_owner__active=True)
    for figure in rows.select_related("workload__business_owner").order_by("workload_id"):
        owner = figure.workload.business_owner
        if owner is not None and owner.name not in SILENT:
            reviews.attest_figures(
                actor=room.actor(owner.name), cycle=cycle, workload=figure.workload, digest=figure.digest
            )


def decide(room: Room, cycle: Cycle) -> None:
    """The agenda from the top; what stands there twice for one use is decided the first time."""
    spoken: set[str] = set()
    items = Item.objects.filter(cycle=cycle, state=Item.State.OPEN).select_related("workload__business_owner")
    for item in items.order_by("position", "pk"):
        name = item.workload.name if item.workload else ""
        said = _said(room, item, is_first=name not in spoken)
        spoken.add(name)
        reviews.record_disposition(
            actor=room.actor(REVIEWER),
            item=item,
            version=item.version,
            told=_told(room, item, said),
            key=f"demo-item-{item.pk}",
            now=room.now,
        )


def _said(room: Room, item: Item, *, is_first: bool) -> Said:
    decided = DECIDED[room.ago].get(item.workload.name) if item.workload and is_first else None
    return decided or Said("continue", USUAL.get(item.kind, "Spoken about."))


def _told(room: Room, item: Item, said: Said) -> Told:
    owner = item.workload.business_owner if item.workload and said.saving else None
    return Told(
        what=said.what,
        reason=said.reason,
        amount=Decimal(said.cap) if said.cap else None,
        owner=owner,
        due=room.now.date() + timedelta(days=said.days) if owner else None,
        promised_saving=Decimal(said.saving) if owner else None,
    )


def waive(room: Room, cycle: Cycle) -> None:
    """What still blocks is let pass by two people."""
    for blocker in blockers_of(cycle, now=timezone.now()):
        if blocker.key in WAIVED:
            asked = approvals.ask(
                actor=room.actor(ANALYST),
                kind="waiver",
                subject=cycle,
                proposed={"blocker": blocker.key},
                reason=WAIVED[blocker.key],
            )
            approvals.confirm(
                actor=room.actor(REVIEWER), confirmation=asked, digest=asked.digest, session_fresh_at=timezone.now()
            )


def sign(room: Room, cycle: Cycle) -> None:
    cycle.refresh_from_db()
    moment = max(room.now, timezone.now())
    reviews.sign(actor=room.actor(REVIEWER), cycle=cycle, version=cycle.version, now=moment, session_fresh_at=moment)


# --- What comes late --------------------------------------------------------------------------------------------------


def write_late_hours(target: Path, month: date) -> Path:
    """Three days of calls that a node of the gateway had kept to itself, as its people export them."""
    first = datetime.combine(month, time(), UTC) + timedelta(days=20)
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["period_start", "usage_key", "provider", "model", "requests", "input_tokens", "output_tokens"])
        for number in range(LATE_HOURS):
            hour = first + timedelta(hours=number)
            writer.writerow([hour.isoformat(), LATE_KEY, "openai", "gpt-4o-mini", 1_000, 11_800_000, 300_000])
    return target


def count_late_outcomes(*, people: Mapping[str, Person], workload: Workload, month: date, today: date) -> None:
    """The summaries of those calls: the owner corrects the month's count."""
    owner = people[next(use.owner for use in USES if use.name == LATE_USE)]
    before = workload.outcomes.filter(period_start=month).latest("revision")
    economics.record_outcomes(
        actor=Actor(person_id=owner.pk, label=owner.name, channel="web"),
        entries=[
            economics.OutcomeEntry(
                workload=workload,
                period_start=month,
                period_end=periods.next_month(month),
                produced=(before.produced or 0) + LATE_PRODUCED,
                accepted=(before.accepted or 0) + LATE_USEFUL,
                reviewed=before.reviewed,
            )
        ],
        today=today,
    )
    economics.recompute_dirty(today=today)


def _meeting_of(month: date) -> datetime:
    return datetime.combine(periods.next_month(month).replace(day=MEETS_ON), time(10), UTC)

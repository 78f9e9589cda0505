"""A month to review: a label that loses money, a summary that pays, a key that is nobody's, and those who decide.

October 2026: Labels (Care, Ben's) cost 800 and are worth 500; Summaries (Care, Ben's) cost 2,400 and are worth 5,520
less 575 of reviews; 200 belong to nobody. Nora reviews the whole organisation, and so does Olaf.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from apps.accounts.models import Person, Role
from apps.approvals import services as approvals
from apps.approvals.models import Confirmation
from apps.core import organisation
from apps.reviews import services as reviews
from apps.reviews.models import Cycle, Disposition, Item, Waiver
from apps.reviews.services import Told
from tests.books import add_hour, at, make_identity, make_series
from tests.economics.ledger import Ledger, attested, came_out, make_ledger, settle, spend
from tests.world import World, actor, give, make_member

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
NOW = datetime(2026, 11, 12, 10, tzinfo=UTC)
LAST_OF_NOVEMBER = date(2026, 11, 30)
LOSING = {
    "minutes_saved": {"low": "1", "base": "1", "high": "1"},
    "realisation": {"low": "1", "base": "1", "high": "1"},
    "review_minutes": {"low": "0", "base": "0", "high": "0"},
}


@dataclass(frozen=True)
class Meeting:
    world: World
    labels: Ledger
    summaries: Ledger
    nora: Person
    olaf: Person

    def open(self, *, month: date = OCTOBER, now: datetime = NOW) -> Cycle:
        return reviews.open_cycle(actor=actor(self.nora), month=month, now=now)

    def item(self, cycle: Cycle, kind: str, ledger: Ledger | None = None) -> Item:
        found = Item.objects.filter(cycle=cycle, kind=kind)
        return found.get(workload=ledger.workload) if ledger else found.get()

    def decide(self, item: Item, what: str, *, by: Person | None = None, **told: Any) -> Disposition:
        """As somebody at a page, of the item as it stands; `version` and `key` may be those of another page."""
        version, key = told.pop("version", item.version), told.pop("key", secrets.token_hex(12))
        reason = told.pop("reason", "It was spoken about.")
        return reviews.record_disposition(
            actor=actor(by or self.nora), item=item, version=version, told=Told(what, reason, **told), key=key, now=NOW
        )

    def decide_all(self, cycle: Cycle) -> None:
        for item in Item.objects.filter(cycle=cycle, state=Item.State.OPEN):
            self.decide(item, "continue")

    def waive(self, cycle: Cycle, blocker: str, *, by: Person | None = None) -> Waiver:
        """Nora asks to let it pass, Olaf confirms, or who acts for him."""
        asked = approvals.ask(
            actor=actor(self.nora), kind="waiver", subject=cycle, proposed={"blocker": blocker}, reason="It is agreed."
        )
        self.confirm(asked, by=by)
        return Waiver.objects.latest("pk")

    def reopen(self, cycle: Cycle) -> None:
        cycle.refresh_from_db()
        self.confirm(
            approvals.ask(actor=actor(self.nora), kind="reopen", subject=cycle, proposed={}, reason="A late bill.")
        )

    def confirm(self, asked: Confirmation, *, by: Person | None = None) -> None:
        approvals.confirm(
            actor=actor(by or self.olaf), confirmation=asked, digest=asked.digest, session_fresh_at=asked.asked_at
        )

    def sign(self, cycle: Cycle, *, by: Person | None = None, now: datetime = NOW) -> Any:
        cycle.refresh_from_db()
        return reviews.sign(
            actor=actor(by or self.nora), cycle=cycle, version=cycle.version, now=now, session_fresh_at=now
        )


def make_meeting(world: World) -> Meeting:
    organisation.get()
    nora, olaf = make_member("Nora Quist"), make_member("Olaf Rank")
    for person in (nora, olaf):
        give(person, Role.REVIEWER, by=world.ada)
    labels, summaries = make_ledger(world, "Labels"), make_ledger(world, "Summaries")
    spend(labels, 800)
    spend(summaries, 2400)
    attested(labels, assumptions=LOSING)
    attested(summaries)
    came_out(labels, 1000, 1000, 0)
    came_out(summaries, 10_000, 9200, 1150)
    spend_nobodys(summaries, 200)
    settle()
    return Meeting(world, labels, summaries, nora, olaf)


def spend_nobodys(beside: Ledger, dollars: int, when: datetime | None = None) -> None:
    pull = beside.series.part.pulls.earliest("pk")
    identity = make_identity(pull.part.source, "nobodys")
    series = make_series(pull, identity, beside.series.offering)
    add_hour(pull, series, when or at(7), requests=10, input=dollars * 1_000_000, cached=0, output=0)


def money(value: str) -> Decimal:
    return Decimal(value)

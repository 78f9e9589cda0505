"""Helpers for tests of worth: a workload that costs, a grade, a case, and somebody who attests it."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from apps.accounts.models import Person, Role
from apps.core import periods
from apps.economics import services as economics
from apps.economics.models import EconomicsMonth, Grade, ValueCase
from apps.economics.services import OutcomeEntry
from apps.usage.models import Identity, Series
from apps.workloads.models import BEGINNING, END, Workload
from tests.approvals.deciding import ask, confirm
from tests.books import (
    add_hour,
    at,
    make_identity,
    make_offering,
    make_pull,
    make_series,
    make_source,
    make_workload,
    rate_all,
)
from tests.books import prices as set_prices
from tests.world import MACHINE, World, actor, give, make_member

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
TODAY = date(2026, 11, 24)
ASSUMPTIONS = {
    "minutes_saved": {"low": "1.5", "base": "2", "high": "2.5"},
    "realisation": {"low": "0.5", "base": "0.6", "high": "0.7"},
    "review_minutes": {"low": "0.5", "base": "1", "high": "2"},
}


@dataclass(frozen=True)
class Ledger:
    """A workload of Ben's whose tokens cost a dollar each million, and the grade of those whose time it saves."""

    world: World
    workload: Workload
    series: Series
    identity: Identity
    grade: Grade


def make_ledger(world: World, name: str = "Ticket summaries", **values: Any) -> Ledger:
    workload = make_workload(name, world, **values)
    source = make_source(f"Gateway of {name}")
    identity = make_identity(source, workload.slug, (BEGINNING, END, workload))
    offering = make_offering("own", "dollar")
    set_prices(offering, input="1.00", output="1.00")
    series = make_series(make_pull(source), identity, offering)
    grade = Grade.objects.filter(name="Agent").first() or economics.add_grade(actor=MACHINE, name="Agent")
    if not grade.rates.exists():
        economics.set_grade_rate(actor=MACHINE, grade=grade, hourly=Decimal(30), valid_from=date(2020, 1, 1))
    return Ledger(world, workload, series, identity, grade)


def spend(ledger: Ledger, dollars: int, when: datetime | None = None, **values: Any) -> None:
    """So much cost in one hour, of ten calls."""
    pull = make_pull(ledger.series.part.source)
    told = {"requests": 10, "input": dollars * 1_000_000, "cached": 0, "output": 0}
    add_hour(pull, ledger.series, when or at(5), **{**told, **values})


def write_case(ledger: Ledger, **values: Any) -> ValueCase:
    """Ben writes why it is worth it."""
    told = {
        "assumptions": ASSUMPTIONS,
        "grade": ledger.grade,
        "review_grade": ledger.grade,
        "owner": ledger.world.ben,
        "valid_from": date(2026, 1, 1),
        "expires": date(2027, 1, 1),
        "evidence_link": "https://example.com/time-study",
    }
    return economics.write_case(actor=actor(ledger.world.ben), workload=ledger.workload, **{**told, **values})


def attest(ledger: Ledger, case: ValueCase) -> ValueCase:
    """Another approver each time: whoever attested the use case lately does not do so again."""
    approver = make_member("Approver", f"approver-{Person.objects.count()}@example.com")
    give(approver, Role.APPROVER, by=ledger.world.ada)
    confirm(ask(case, case.workload.business_owner or ledger.world.ben, "attestation", {}), approver)
    return ValueCase.objects.get(pk=case.pk)


def attested(ledger: Ledger, **values: Any) -> ValueCase:
    return attest(ledger, write_case(ledger, **values))


def came_out(
    ledger: Ledger, produced: int, accepted: int, reviewed: int | None = 0, *, month: date = OCTOBER, day: int = 0
) -> None:
    """Ben says what came out of the month, or of one day of it."""
    start = month.replace(day=day) if day else month
    end = date.fromordinal(start.toordinal() + 1) if day else periods.next_month(month)
    entry = OutcomeEntry(ledger.workload, start, end, produced, accepted, reviewed)
    economics.record_outcomes(actor=actor(ledger.world.ben), entries=[entry], today=TODAY)


def example_c(world: World) -> Ledger:
    """9,200 accepted, 1,150 reviewed, 30 an hour, 2,400 of cost."""
    ledger = make_ledger(world)
    spend(ledger, 2400)
    attested(ledger)
    came_out(ledger, 10_000, 9200, 1150)
    settle()
    return ledger


def settle(today: date = TODAY) -> int:
    """What the workers do in the end."""
    rate_all()
    return economics.recompute_dirty(today=today)


def month_of(ledger: Ledger, month: date = OCTOBER) -> EconomicsMonth:
    return EconomicsMonth.objects.current().get(workload=ledger.workload, month=month)

"""Example E by the review: October signed, late rows in November, November's agenda and statement say so apart."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from apps.accounts.models import Person, Role
from apps.core import organisation
from apps.core.errors import NotFound
from apps.costs import attribution
from apps.costs import services as costs
from apps.economics import services as economics
from apps.reviews import selectors
from apps.reviews import services as reviews
from apps.reviews.models import Cycle, Figure, Item
from apps.sources.models import Source
from apps.workloads.models import Workload
from tests.books import at, make_offering, make_pull, make_source, make_workload, prices
from tests.faults.loads import Key, Used, publish_hours
from tests.reviews.meeting import NOVEMBER, OCTOBER
from tests.world import MACHINE, World, actor, give, make_member

IN_NOVEMBER = datetime(2026, 11, 10, 9, tzinfo=UTC)
IN_DECEMBER = datetime(2026, 12, 3, 9, tzinfo=UTC)


@pytest.fixture
def reviewer(world: World) -> Person:
    organisation.get()
    nora = make_member("Nora Quist")
    give(nora, Role.REVIEWER, by=world.ada)
    return nora


@pytest.fixture
def copilot(world: World) -> Workload:
    workload = make_workload("Copilot", world)
    prices(make_offering("openai", "own-model"), input="1.00", output="1.00")
    attribution.bind(actor=MACHINE, workload=workload, pairs=[["key", "A"]])
    return workload


def load(source: Source, millions: int, when: datetime, folder: Path, part: str) -> None:
    rows = {Key("A", "own-model", when): Used(requests=millions, input=millions * 1_000_000, output=0)}
    publish_hours(make_pull(source, part), rows, folder)


def settle(today: date) -> None:
    costs.sweep_rate_changes()
    costs.rate_dirty(today)
    economics.recompute_dirty(today=today)


def review(reviewer: Person, month: date, now: datetime) -> Cycle:
    return reviews.open_cycle(actor=actor(reviewer), month=month, now=now)


def sign(reviewer: Person, cycle: Cycle, now: datetime) -> None:
    for item in cycle.items.filter(state=Item.State.OPEN):
        reviews.record_disposition(
            actor=actor(reviewer),
            item=item,
            version=item.version,
            told=reviews.Told("continue", "It is known."),
            key=f"key-of-item-{item.pk}",
            now=now,
        )
    cycle.refresh_from_db()
    reviews.sign(actor=actor(reviewer), cycle=cycle, version=cycle.version, now=now, session_fresh_at=now)


@pytest.fixture
def late(copilot: Workload, reviewer: Person, tmp_path: Path) -> Workload:
    """October with 1,000, signed on 10 November; then 120 of October and November's own 900."""
    source = make_source("Gateway")
    load(source, 1000, at(5), tmp_path, "october")
    settle(IN_NOVEMBER.date())
    sign(reviewer, review(reviewer, OCTOBER, IN_NOVEMBER), IN_NOVEMBER)
    load(source, 120, at(20), tmp_path, "late")
    load(source, 900, at(3, month=11), tmp_path, "november")
    settle(date(2026, 11, 20))
    return copilot


def test_novembers_statement_shows_its_own_900_and_120_restated_from_october(late: Workload, world: World) -> None:
    found = selectors.statement(actor=actor(world.ada), cost_centre=world.operations, month=NOVEMBER)

    assert [(line.name, line.charge_month, line.amount) for line in found.own] == [("Copilot", NOVEMBER, 900)]
    assert [(line.name, line.charge_month, line.amount) for line in found.restated] == [("Copilot", OCTOBER, 120)]
    assert (found.own_total, found.restated_total, found.total) == (900, 120, 1020)
    october = selectors.statement(actor=actor(world.ada), cost_centre=world.care, month=OCTOBER)
    assert (october.total, october.restated) == (1000, [])


def test_the_next_agenda_begins_with_the_restatement(late: Workload, reviewer: Person) -> None:
    settle(IN_DECEMBER.date())

    cycle = review(reviewer, NOVEMBER, IN_DECEMBER)

    first = cycle.items.order_by("position").first()
    assert first is not None
    assert (first.kind, first.subject, first.money_at_stake) == ("restatement", "2026-10", Decimal(120))
    assert Figure.objects.get(cycle=cycle).cost == 900


def test_the_signed_pack_stays_what_it_was(late: Workload) -> None:
    pack = Cycle.objects.get(month=OCTOBER).packs.get()

    contents = json.loads(pack.body)
    assert contents["totals"]["cost"] == "1000"
    assert [row["cost"] for row in contents["workloads"]] == ["1000"]


def test_a_signed_month_keeps_the_cost_centre_that_bore_it(late: Workload, world: World) -> None:
    Workload.objects.filter(pk=late.pk).update(cost_centre=world.legal)

    october = selectors.statement(actor=actor(world.ada), cost_centre=world.care, month=OCTOBER)
    november = selectors.statement(actor=actor(world.ada), cost_centre=world.care, month=NOVEMBER)

    assert (october.total, november.total) == (1000, 0)


@pytest.mark.parametrize(("who", "sees"), [("cleo", True), ("finn", True), ("gus", False), ("eve", False)])
def test_a_statement_is_for_those_who_see_its_money(late: Workload, world: World, who: str, sees: bool) -> None:
    asker = actor(world.people[who])
    if sees:
        assert selectors.statement(actor=asker, cost_centre=world.care, month=OCTOBER).total == 1000
    else:
        with pytest.raises(NotFound):
            selectors.statement(actor=asker, cost_centre=world.care, month=OCTOBER)

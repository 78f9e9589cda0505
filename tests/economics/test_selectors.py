"""What pages, programs and packs read: one shape, the same figures, nothing for those who may not see the money."""

import json
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.catalog.models import LatencyBand
from apps.core.errors import NotFound
from apps.economics import selectors
from apps.economics import services as economics
from apps.economics.arithmetic import Input, Three
from apps.economics.cases import read_assumptions
from apps.economics.models import ValueCase
from apps.economics.verdict import Rule, Word
from apps.workloads.models import WorkloadRevision
from tests.books import at
from tests.economics.ledger import (
    ASSUMPTIONS,
    NOVEMBER,
    OCTOBER,
    TODAY,
    Ledger,
    attested,
    came_out,
    example_c,
    make_ledger,
    settle,
    spend,
    write_case,
)
from tests.rights.cast import make_token
from tests.world import MACHINE, World, actor


@pytest.fixture
def ledger(world: World) -> Ledger:
    return example_c(world)


def read(world: World, who: str = "ben", query: str = "month=2026-10") -> Any:
    headers = {"Authorization": f"Bearer {make_token(world.people[who])}"}
    return Client().get(f"/api/v1/economics/?{query}", headers=headers)


def command(*arguments: str) -> Any:
    told = StringIO()
    call_command("economics", *arguments, "--json", stdout=told)
    return json.loads(told.getvalue())


def test_example_c_is_the_same_in_command_and_api(ledger: Ledger) -> None:
    by_api, by_command = read(ledger.world).json(), command("--month", "2026-10")
    row = by_api["rows"][0]

    assert by_api == by_command
    assert by_api["currency"] == "USD"
    assert row["cost"] == "2400"
    assert row["value"] == {"low": "3450", "base": "5520", "high": "8050"}
    assert row["net"] == {"low": "-100", "base": "2545", "high": "5362.5"}
    assert row["break_even_cost_per_output"] == "0.5375"
    assert row["cost_per_useful_output"] == "0.260869565217391304"
    assert row["roi"] == "1.060416666666666667"
    assert row["verdict"]["word"] == "keep"
    assert row["signed"] is None


def test_signed_and_restated_stand_side_by_side(world: World) -> None:
    """Example E."""
    ledger = make_ledger(world)
    spend(ledger, 1000)
    came_out(ledger, 5000, 5000, 0)
    settle()
    economics.freeze(month=OCTOBER, today=TODAY)
    spend(ledger, 120, at(30))
    came_out(ledger, 5300, 5300, 0)
    settle()
    row = read(world).json()["rows"][0]

    assert (row["state"], row["cost_per_useful_output"]) == ("restated", "0.211320754716981132")
    assert (row["signed"]["state"], row["signed"]["cost_per_useful_output"]) == ("signed", "0.2")


def test_a_workload_without_anything_is_unproven_and_not_left_out(world: World) -> None:
    ledger = make_ledger(world)
    write_case(ledger)
    row = read(world).json()["rows"][0]

    assert (row["cost"], row["useful"], row["verdict"]["word"]) == (None, None, "unproven")
    assert [gap["gap"] for gap in row["verdict"]["missing"]] == ["usage", "case", "outcomes"]


@pytest.mark.parametrize(
    "query", ["", "month=2026-13", "month=2026", "month=2026-10-01", "month=x2026-10", "month=%00"]
)
def test_a_month_that_is_none_is_a_400(ledger: Ledger, query: str) -> None:
    assert read(ledger.world, query=query).status_code == 400


def test_who_may_not_see_the_money_reads_nothing(ledger: Ledger) -> None:
    world = ledger.world

    assert read(world, "eve").status_code == 403
    assert read(world, "gus").json()["count"] == 0
    assert read(world, "gus", "month=2026-10&workload=ticket-summaries").status_code == 404
    for read_it in (
        lambda who: selectors.month_for(actor=who, workload=ledger.workload, month=OCTOBER),
        lambda who: selectors.case_history(actor=who, workload=ledger.workload),
        lambda who: selectors.why_for(actor=who, workload=ledger.workload, month=OCTOBER, figure="value"),
    ):
        with pytest.raises(NotFound):
            read_it(actor(world.gus))
        read_it(actor(world.ben))


def test_the_command_refuses_a_month_that_is_none(ledger: Ledger) -> None:
    with pytest.raises(CommandError, match="no month"):
        call_command("economics", "--month", "October")
    with pytest.raises(CommandError, match="does not exist"):
        call_command("economics", "--month", "2026-10", "--workload", "nothing")


def test_a_month_with_what_led_to_it(ledger: Ledger) -> None:
    spend(ledger, 900, at(3, month=11))
    came_out(ledger, 5000, 4500, 0, month=NOVEMBER)
    settle(date(2026, 12, 2))
    found = selectors.month_for(
        actor=actor(ledger.world.ben), workload=ledger.workload, month=NOVEMBER, today=date(2026, 12, 2)
    )

    assert found.before is not None
    assert found.before.cost == 2400
    assert (found.last_3.known, found.last_3.counted) == (2, 2)
    assert found.last_3.sums.cost == 3300
    assert found.last_3.sums.useful == 13_700
    assert found.case is not None
    assert found.now.breaks[0].input in (Input.MINUTES_SAVED, Input.REALISATION, Input.HOURLY_RATE, Input.USEFUL)
    changed = selectors.what_changed(found.now, found.before)
    told = {one.label: (one.before, one.after) for one in changed}
    assert told["Full cost"] == (Decimal(2400), Decimal(900))


def test_the_proof_of_a_value_shows_no_rate_but_to_those_who_may_see_it(ledger: Ledger) -> None:
    def terms(who: str) -> dict[str, Any]:
        person = actor(ledger.world.people[who])
        why = selectors.why_for(actor=person, workload=ledger.workload, month=OCTOBER, figure="value")
        assert why.result == Three(Decimal(3450), Decimal(5520), Decimal(8050))
        return {term.name: term for term in why.parts[0].terms}

    assert terms("cleo")["hourly rate"].value == 30
    hidden = terms("ben")["hourly rate"]
    assert (hidden.value, hidden.is_hidden) == (None, True)
    assert terms("ben")["useful outputs"].value == 9200
    for figure in ("cost", "review", "net", "margin", "roi", "pays_back", "break_even", "cost_per_useful"):
        selectors.why_for(actor=actor(ledger.world.ben), workload=ledger.workload, month=OCTOBER, figure=figure)
    with pytest.raises(NotFound):
        selectors.why_for(actor=MACHINE, workload=ledger.workload, month=OCTOBER, figure="nonsense")


def test_rates_are_seen_by_analysts_and_administrators_only(ledger: Ledger) -> None:
    sees = [who for who in ledger.world.people if selectors.grade_rates_for(actor(ledger.world.people[who])).exists()]

    assert sees == ["ada", "cleo"]


def test_a_preview_says_what_the_verdict_would_be(ledger: Ledger) -> None:
    better = {**ASSUMPTIONS, "minutes_saved": {"low": "3", "base": "4", "high": "5"}}
    found = selectors.preview_case(
        actor=actor(ledger.world.ben),
        workload=ledger.workload,
        labour=read_assumptions(better),
        grade=ledger.grade,
        review_grade=ledger.grade,
        month=OCTOBER,
        today=TODAY,
    )

    assert found.appraisal.value == Three(Decimal(6900), Decimal(11040), Decimal(16100))
    assert found.verdict.word is Word.SCALE
    assert found.breaks


def preview(ledger: Ledger, **values: Any) -> Any:
    """What Ben's form would show of October: two minutes, 0.6 of them used, nobody reviews, thirty an hour."""
    told = {"minutes_saved": "2", "realisation": "0.6", "review_minutes": "0"}
    assumed = {name: dict.fromkeys(("low", "base", "high"), value) for name, value in told.items()}
    return selectors.preview_case(
        actor=actor(ledger.world.ben),
        workload=ledger.workload,
        labour=read_assumptions(assumed),
        grade=ledger.grade,
        **{"month": OCTOBER, "today": TODAY, **values},
    )


def test_a_preview_sees_a_broken_band_as_the_real_verdict_does(world: World) -> None:
    ledger = make_ledger(world)
    band = LatencyBand.objects.get(limit_ms=2000)
    WorkloadRevision.objects.create(workload=ledger.workload, version=1, latency_band=band)
    counts = [0] * 26
    counts[4], counts[12] = 94, 6  # 300 to 500 ms, and 10 to 15 s
    spend(ledger, 1, latency_counts=counts, requests=100)
    came_out(ledger, 1000, 1000, 0)
    settle()

    assert preview(ledger).verdict.rule is Rule.BAND_BROKEN


def test_a_preview_sees_what_grows_louder(world: World) -> None:
    ledger = make_ledger(world)
    attested(ledger)
    for month, dollars in ((7, 100), (8, 110), (9, 120), (10, 130)):
        spend(ledger, dollars, at(3, month=month))
        came_out(ledger, 1000, 1000, 0, month=date(2026, month, 1))
    settle()

    assert preview(ledger).verdict.rule is Rule.LOUDER


def test_a_preview_counts_the_days_on_which_the_case_will_count(world: World) -> None:
    """From the 16th on, 16 of 31 days; the version that counts until then goes on doing so."""
    ledger = make_ledger(world)
    spend(ledger, 100)
    came_out(ledger, 3100, 3100, 0)
    settle()
    alone = preview(ledger, valid_from=date(2026, 10, 16))

    assert alone.appraisal.value.base == 1600 * 2 * 30 * Decimal("0.6") / 60
    assert not alone.is_as_if
    attested(ledger)
    settle()
    assert preview(ledger, valid_from=date(2026, 10, 16)).appraisal.value.base == 1860
    expiring = preview(ledger, valid_from=date(2026, 10, 1), expires=date(2026, 10, 16))
    assert expiring.verdict.missing[0].what == "its value case has expired"
    later = preview(ledger, valid_from=NOVEMBER)
    assert (later.is_as_if, later.appraisal.value.base) == (True, 1860)
    assert ValueCase.objects.count() == 1


def test_months_together_say_how_many_of_them_are_known(world: World) -> None:
    """August has no case that counts, and so costs an output; in July nobody counted."""
    ledger = make_ledger(world)
    attested(ledger, valid_from=date(2026, 9, 1))
    for month in (7, 8, 9, 10):
        spend(ledger, 100, at(3, month=month))
        if month > 7:
            came_out(ledger, 1000, 1000, 0, month=date(2026, month, 1))
    settle()
    found = selectors.month_for(actor=actor(world.ben), workload=ledger.workload, month=OCTOBER, today=TODAY)

    assert (found.last_12.number, found.last_12.known, found.last_12.counted) == (12, 2, 3)
    assert found.last_12.sums.cost == 200
    assert found.last_12.cost_per_useful == Decimal("0.1")
    assert found.last_3.cost_per_useful == Decimal("0.1")


def test_the_history_of_a_case_says_what_changed_and_who_attested(ledger: Ledger) -> None:
    write_case(
        ledger, assumptions={**ASSUMPTIONS, "minutes_saved": {"low": "2", "base": "3", "high": "4"}}, reason="New"
    )
    versions = selectors.case_history(actor=actor(ledger.world.ben), workload=ledger.workload)

    assert [one.case.version for one in versions] == [2, 1]
    assert [(one.label, one.before, one.after) for one in versions[0].changes] == [
        ("Minutes saved", "1.5 / 2 / 2.5", "2 / 3 / 4")
    ]
    assert versions[1].case.attested_by is not None
    assert versions[1].case.attested_by not in (ledger.world.ben, versions[1].case.owner)


def test_a_portfolio_adds_up_in_a_constant_number_of_statements(ledger: Ledger) -> None:
    def ask() -> tuple[Any, int]:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = selectors.portfolio(actor=MACHINE, month=OCTOBER)
        return found, len(queries)

    few, before = ask()
    for number in range(3):
        other = make_ledger(ledger.world, f"Labels {number}")
        spend(other, 100 + number)
        if number:
            attested(other)
            came_out(other, 50, 40, 0)
    settle()
    many, after = ask()

    assert before == after
    assert few.cost == 2400
    assert many.count == 4
    assert many.cost == 2703
    assert {word: (one.count, one.cost) for word, one in many.by_verdict.items()} == {
        Word.KEEP: (1, 2400),
        Word.STOP: (2, 203),
        Word.UNPROVEN: (1, 100),
    }
    assert [row.cost for row in many.rows] == [2400, 102, 101, 100]
    assert many.rows[0].months[-1].cost == 2400
    assert [row.slug for row in selectors.portfolio(actor=MACHINE, month=OCTOBER, verdict="stop", limit=1).rows] == [
        "labels-2"
    ]
    assert {point.slug for point in selectors.points(actor=MACHINE, month=OCTOBER, most=9)} == {
        *("ticket-summaries", "labels-1", "labels-2")
    }

"""A month worked out from usage, outcomes and a case; signed; and what comes after."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, InternalError, transaction
from django.db.utils import ProgrammingError

from apps.catalog.models import LatencyBand
from apps.economics import services as economics
from apps.economics.models import Dirty, EconomicsMonth
from apps.workloads.models import WorkloadRevision
from tests.books import at, make_offering, make_pull, make_series
from tests.economics.ledger import (
    NOVEMBER,
    OCTOBER,
    TODAY,
    attested,
    came_out,
    example_c,
    make_ledger,
    month_of,
    settle,
    spend,
    write_case,
)
from tests.world import World, actor


def test_example_c_and_d(world: World) -> None:
    october = month_of(example_c(world))

    assert october.cost == 2400
    assert (october.value_low, october.value_base, october.value_high) == (3450, 5520, 8050)
    assert (october.net_low, october.net_base, october.net_high) == (-100, 2545, Decimal("5362.5"))
    assert (october.produced, october.useful, october.reviewed) == (10_000, 9200, 1150)
    assert october.verdict == "keep"
    assert october.components == {"token": "2400"}
    assert october.state == EconomicsMonth.State.PROVISIONAL
    assert october.is_complete


def test_only_what_changed_is_worked_out_again(world: World) -> None:
    ledger = example_c(world)
    other = make_ledger(world, "Labels")
    spend(other, 10)
    settle()
    worked_out = month_of(ledger).computed_at

    assert settle() == 0
    spend(other, 11, at(6))
    assert settle() == 1
    assert month_of(other).cost == 21
    assert month_of(ledger).computed_at == worked_out


def test_a_change_that_commits_later_is_not_lost(world: World) -> None:
    """Marks are rows of their own: taking some away leaves what came meanwhile."""
    ledger = example_c(world)
    came_out(ledger, 10_000, 100, 0)

    assert Dirty.objects.count() == 1
    settle()
    assert not Dirty.objects.exists()
    assert month_of(ledger).useful == 100


def test_without_outcomes_it_is_unproven_and_not_zero(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 2400)
    attested(ledger)
    settle()
    october = month_of(ledger)

    assert october.verdict == "unproven"
    assert (october.useful, october.value_base, october.net_base) == (None, None, None)
    assert [gap["gap"] for gap in october.reasons["missing"]] == ["outcomes"]


def test_the_open_month_reads_so_far_and_its_end_is_noticed(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 100, at(2, month=11))
    attested(ledger)
    came_out(ledger, 1000, 900, 0, month=NOVEMBER)
    settle()

    assert month_of(ledger, NOVEMBER).reasons["sentence"].startswith("So far: ")
    settle(date(2026, 12, 1))
    assert month_of(ledger, NOVEMBER).is_complete
    assert not month_of(ledger, NOVEMBER).reasons["is_so_far"]


def test_days_without_outcomes_are_counted_over_days_with_usage(world: World) -> None:
    ledger = make_ledger(world)
    attested(ledger)
    for day in range(1, 11):
        spend(ledger, 10, at(day))
        if day > 2:
            came_out(ledger, 100, 90, 0, day=day)
    settle()
    october = month_of(ledger)

    assert (october.coverage["usage_days"], october.coverage["missing_days"]) == (10, 2)
    assert october.verdict == "unproven"
    came_out(ledger, 100, 90, 0, day=2)
    settle()
    assert month_of(ledger).verdict == "scale"


def test_values_use_the_outcomes_of_the_days_on_which_the_case_counted(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 10)
    attested(ledger, valid_from=date(2026, 10, 16))
    for day in (10, 15, 16, 20):
        came_out(ledger, 60, 60, 0, day=day)
    settle()
    october = month_of(ledger)

    assert october.useful == 240
    assert october.value_base == 120 * 2 * 30 * Decimal("0.6") / 60
    assert [(span["first"], span["useful"]) for span in october.spans] == [("2026-10-16", "120")]


def test_a_month_as_a_whole_is_cut_by_days(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 10)
    attested(ledger, valid_from=date(2026, 10, 17))
    came_out(ledger, 3100, 3100, 0)
    settle()

    assert month_of(ledger).value_base == 1500 * 2 * 30 * Decimal("0.6") / 60


def test_a_declared_share_is_of_delivered_calls_and_at_most_keep(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 1, requests=1000)
    attested(ledger)
    economics.declare_outcomes(
        actor=actor(world.ben), workload=ledger.workload, month=OCTOBER, share=Decimal("0.8"), today=TODAY
    )
    settle()
    october = month_of(ledger)

    assert (october.produced, october.useful, october.is_declared) == (1000, 800, True)
    assert (october.verdict, october.reasons["is_capped"]) == ("keep", True)
    came_out(ledger, 500, 400, 0)
    settle()
    assert (month_of(ledger).useful, month_of(ledger).verdict) == (400, "scale")


def test_cost_without_a_price_is_unknown_and_says_so(world: World) -> None:
    ledger = make_ledger(world)
    unpriced = make_series(make_pull(ledger.series.part.source), ledger.identity, make_offering("own", "nobody-knows"))
    spend(replace(ledger, series=unpriced), 1)
    attested(ledger)
    came_out(ledger, 1000, 900, 0)
    settle()
    october = month_of(ledger)

    assert (october.cost, october.net_base, october.verdict) == (None, None, "unproven")
    assert [gap["gap"] for gap in october.reasons["missing"]] == ["cost"]
    spend(ledger, 99, at(6))
    settle()
    assert month_of(ledger).cost == 99
    assert month_of(ledger).coverage["unknown_cost_share"] == "0.01"
    assert month_of(ledger).verdict == "scale"


def test_a_broken_band_is_to_fix(world: World) -> None:
    ledger = make_ledger(world)
    band = LatencyBand.objects.get(limit_ms=2000)
    WorkloadRevision.objects.create(workload=ledger.workload, version=1, latency_band=band)
    counts = [0] * 26
    counts[4], counts[12] = 94, 6  # 300 to 500 ms, and 10 to 15 s
    spend(ledger, 1, latency_counts=counts, requests=100)
    attested(ledger)
    came_out(ledger, 1000, 1000, 0)
    settle()
    october = month_of(ledger)

    assert october.verdict == "fix"
    assert (october.coverage["calls_within_band"], october.coverage["calls_measured"]) == (94, 100)


def test_what_grows_louder_over_four_months_is_to_fix(world: World) -> None:
    ledger = make_ledger(world)
    attested(ledger)
    for month, dollars in ((7, 100), (8, 110), (9, 120), (10, 130)):
        spend(ledger, dollars, at(3, month=month))
        came_out(ledger, 1000, 1000, 0, month=date(2026, month, 1))
    settle()

    assert month_of(ledger).reasons["rule"] == "cost rises faster than value"
    assert month_of(ledger, date(2026, 9, 1)).verdict == "scale"
    # A month that is corrected turns those after it.
    spend(ledger, 5, at(4, month=8))
    spend(ledger, 30, at(4, month=7))
    settle()
    assert month_of(ledger).verdict == "scale"


def test_a_mandated_one_shows_no_stop(world: World) -> None:
    ledger = make_ledger(world)
    WorkloadRevision.objects.create(
        workload=ledger.workload, version=1, mandated_reason="A law", mandated_by=world.ben,
        mandated_until=date(2026, 12, 31),
    )  # fmt: skip
    spend(ledger, 5530)
    attested(ledger, assumptions=_exactly_base())
    came_out(ledger, 10_000, 9200, 0)
    settle()

    assert month_of(ledger).net_base == -10
    assert month_of(ledger).verdict == "keep"


def _exactly_base() -> dict[str, dict[str, str]]:
    values = {"minutes_saved": "2", "realisation": "0.6", "review_minutes": "0"}
    return {name: dict.fromkeys(("low", "base", "high"), value) for name, value in values.items()}


def test_example_e_on_the_restated_side(world: World) -> None:
    """October signed with 1,000 of cost and 5,000 useful; then 120 of cost and 300 outcomes arrive."""
    ledger = make_ledger(world)
    spend(ledger, 1000)
    came_out(ledger, 5000, 5000, 0)
    spend(ledger, 900, at(3, month=11))
    came_out(ledger, 4500, 4500, 0, month=NOVEMBER)
    settle()
    assert economics.freeze(month=OCTOBER, today=TODAY) == 1

    spend(ledger, 120, at(30))
    came_out(ledger, 5300, 5300, 0)
    settle()
    signed = EconomicsMonth.objects.signed().get(workload=ledger.workload)
    restated = month_of(ledger)
    november = month_of(ledger, NOVEMBER)

    assert (signed.cost, signed.useful, signed.state, signed.revision) == (1000, 5000, "signed", 0)
    assert (restated.cost, restated.useful, restated.state, restated.revision) == (1120, 5300, "restated", 1)
    assert (november.cost, november.useful) == (900, 4500)


def test_a_signed_row_never_changes(world: World) -> None:
    ledger = example_c(world)
    economics.freeze(month=OCTOBER, today=TODAY)
    signed = EconomicsMonth.objects.signed().filter(workload=ledger.workload)

    for change in ({"cost": 1}, {"verdict": "scale"}, {"state": "provisional", "is_signed_now": False}):
        with pytest.raises((InternalError, ProgrammingError, IntegrityError)), transaction.atomic():
            signed.update(**change)
    with pytest.raises((InternalError, ProgrammingError, IntegrityError)), transaction.atomic():
        signed.delete()


def test_signing_again_takes_over_what_was_restated(world: World) -> None:
    ledger = example_c(world)
    economics.freeze(month=OCTOBER, today=TODAY)
    came_out(ledger, 10_000, 9300, 1150)
    settle()
    assert economics.freeze(month=OCTOBER, today=TODAY) == 1
    rows = EconomicsMonth.objects.filter(workload=ledger.workload).order_by("revision")

    assert [(row.revision, row.state, row.is_signed_now) for row in rows] == [(0, "signed", False), (1, "signed", True)]


def test_a_case_written_after_the_signature_leaves_the_month_alone(world: World) -> None:
    """R09: a new version; the month keeps the old one."""
    ledger = example_c(world)
    economics.freeze(month=OCTOBER, today=TODAY)
    write_case(ledger, reason="It saves more than we thought")
    settle()

    assert month_of(ledger).state == EconomicsMonth.State.SIGNED
    assert month_of(ledger).spans[0]["version"] == 1


def test_a_new_mandate_is_noticed_once(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 5530)
    attested(ledger, assumptions=_exactly_base())
    came_out(ledger, 10_000, 9200, 0)
    settle()
    assert month_of(ledger).verdict == "stop"
    WorkloadRevision.objects.create(
        workload=ledger.workload, version=1, mandated_reason="A law", mandated_by=world.ben,
        mandated_until=date(2026, 12, 31), recorded_at=at(1),
    )  # fmt: skip
    WorkloadRevision.objects.filter(workload=ledger.workload).update(recorded_at=at(1))
    EconomicsMonth.objects.update(computed_at=at(1) - (at(2) - at(1)))

    assert settle() == 1
    assert month_of(ledger).verdict == "keep"
    assert settle() == 0

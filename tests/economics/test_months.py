"""A month worked out from usage, outcomes and a case; signed; and what comes after."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import IntegrityError, InternalError, connection, transaction
from django.db.utils import ProgrammingError

from apps.catalog import services as catalog
from apps.catalog.models import LatencyBand
from apps.core import periods
from apps.costs import attribution
from apps.costs import services as costs
from apps.economics import services as economics
from apps.economics.arithmetic import Input
from apps.economics.figures import figures_of
from apps.economics.models import Dirty, EconomicsMonth, SilentSource
from apps.economics.scenarios import Kind
from apps.economics.ways import ways_for
from apps.sources.models import Pull, Source
from apps.workloads.models import BEGINNING, END, WorkloadRevision
from tests.books import add_hour, at, make_identity, make_offering, make_pull, make_series, make_source, unproved
from tests.costs.test_signed import bill, charge
from tests.economics.ledger import (
    NOVEMBER,
    OCTOBER,
    TODAY,
    Ledger,
    attested,
    came_out,
    example_c,
    make_ledger,
    month_of,
    settle,
    spend,
    write_case,
)
from tests.world import MACHINE, World, actor


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
    assert month_of(ledger).reasons["missing"][0]["gap"] == "reviews"  # nobody said how many a person checks
    economics.declare_outcomes(
        actor=actor(world.ben), workload=ledger.workload, month=OCTOBER, share=Decimal("0.8"),
        reviewed_share=Decimal(0), today=TODAY,
    )  # fmt: skip
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


def saved_by_batch(ledger: Ledger) -> tuple[list[Decimal], bool]:
    """What moving October to batch saves, as it was signed, and whether that is told as of now instead."""
    known = ways_for(actor=MACHINE, workload=ledger.workload, month=OCTOBER, is_signed=True)
    assert known is not None
    return [way.saves for way in known.found.ways if way.kind is Kind.BATCH], known.is_as_of_now


def test_ways_of_a_month_that_is_signed_again_are_about_all_of_its_usage(world: World) -> None:
    """1,000 as signed first, 1,120 as signed again, at half the price by batch; then 30 more become known."""
    ledger = make_ledger(world)
    catalog.add_contract_rate(
        actor=MACHINE,
        offering=ledger.series.offering,
        prices=catalog.Prices(input=Decimal("0.50"), output=Decimal("0.50")),
        currency="USD",
        valid_from=BEGINNING,
        service_tier="batch",
        confirmed=True,
    )
    spend(ledger, 1000)
    settle()
    with unproved():
        costs.sign_month(month=OCTOBER, pack_sha256="ab" * 32)
        economics.freeze(month=OCTOBER, today=TODAY)
    spend(ledger, 120, at(30), revision=1)
    settle()
    assert saved_by_batch(ledger) == ([500], False)

    with unproved():
        periods.reopen(OCTOBER)
        costs.sign_month(month=OCTOBER, pack_sha256="cd" * 32)
        economics.freeze(month=OCTOBER, today=TODAY)
    assert saved_by_batch(ledger) == ([560], False)

    spend(ledger, 30, at(31), revision=1)
    settle()
    assert saved_by_batch(ledger) == ([575], True)


def test_a_case_written_after_the_signature_leaves_the_month_alone(world: World) -> None:
    """R09: a new version; the month keeps the old one."""
    ledger = example_c(world)
    economics.freeze(month=OCTOBER, today=TODAY)
    write_case(ledger, reason="It saves more than we thought")
    settle()

    assert month_of(ledger).state == EconomicsMonth.State.SIGNED
    assert month_of(ledger).spans[0]["version"] == 1


def test_a_new_mandate_is_noticed_once(world: World) -> None:
    """Its time is that of the transaction's start: a month worked out since then must follow all the same."""
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

    assert settle() == 1
    assert month_of(ledger).verdict == "keep"
    assert settle() == 0


def test_another_limit_of_a_band_moves_open_months_and_no_signed_one(world: World) -> None:
    ledger = make_ledger(world)
    band = LatencyBand.objects.get(limit_ms=2000)
    WorkloadRevision.objects.create(workload=ledger.workload, version=1, latency_band=band)
    counts = [0] * 26
    counts[4], counts[12] = 94, 6  # 300 to 500 ms, and 10 to 15 s
    attested(ledger)
    for month in (9, 10):
        spend(ledger, 1, at(5, month=month), latency_counts=counts, requests=100)
        came_out(ledger, 1000, 1000, 0, month=date(2026, month, 1))
    settle()
    economics.freeze(month=date(2026, 9, 1), today=TODAY)
    catalog.set_latency_band(actor=actor(world.ada), band=band, limit_ms=15_000, name=band.name, sentence="Slow")

    assert settle() == 1
    assert month_of(ledger).verdict == "scale"
    came_out(ledger, 1001, 1001, 0, month=date(2026, 9, 1))
    settle()
    restated = month_of(ledger, date(2026, 9, 1))
    assert (restated.state, restated.verdict, restated.coverage["band_limit_ms"]) == ("restated", "fix", 2000)


def test_gpu_time_without_a_price_leaves_the_month_unproven_beside_ever_so_many_tokens(world: World) -> None:
    """600 lines of tokens, and five of a GPU that nobody has priced: how much of the cost that is, nobody knows."""
    ledger = make_ledger(world)
    gpu = make_series(make_pull(ledger.series.part.source), ledger.identity, make_offering("own", "nobody-prices-it"))
    attested(ledger)
    came_out(ledger, 10_000, 9200, 0)
    spend(ledger, 5)
    settle()
    assert month_of(ledger).verdict == "scale"
    add_hour(make_pull(ledger.series.part.source), gpu, at(6), gpu_seconds=3600)
    unpriced = replace(ledger, series=make_series(
        make_pull(ledger.series.part.source), ledger.identity, make_offering("own", "nobody-knows"))
    )  # fmt: skip
    add_hour(make_pull(ledger.series.part.source), unpriced.series, at(6), requests=1, input=100, cached=0, output=0)
    settle()
    october = month_of(ledger)

    assert (october.verdict, october.coverage["unknown_cost_share"]) == ("unproven", None)
    assert "nobody can say how large it is" in october.reasons["sentence"]


def _live(ledger: Ledger, *, last: date, first: int = 1) -> None:
    """The ledger's source as one that is asked every hour, with a dollar on each day up to the last one."""
    source = ledger.series.part.source
    Source.objects.filter(pk=source.pk).update(
        kind="folder", pull_every_minutes=60, last_looked_at=at(24, month=11), created_at=at(1, month=9)
    )
    for day in range(first, last.day + 1):
        spend(ledger, 1, at(day, month=last.month))
    settle()
    Pull.objects.filter(part__source=source).update(finished_at=datetime.combine(last, time(23), tzinfo=UTC))


def test_a_source_that_broke_in_november_has_delivered_october(world: World) -> None:
    ledger = make_ledger(world)
    attested(ledger)
    came_out(ledger, 10_000, 9200, 0)
    spend(ledger, 30, at(31))
    _live(ledger, last=date(2026, 11, 5))
    came_out(ledger, 10_000, 9200, 0, month=NOVEMBER)
    settle()
    Source.objects.filter(kind="folder").update(state=Source.State.NEEDS_ATTENTION)

    assert economics.notice_sources(today=TODAY) == 1
    settle()
    assert month_of(ledger).verdict == "scale"
    november = month_of(ledger, NOVEMBER)
    # 18 of the 23 days up to the 24th.
    assert (november.verdict, november.coverage["missing_share"]) == ("unproven", "0.782608695652173913")
    assert economics.notice_sources(today=TODAY) == 0
    _live(ledger, last=date(2026, 11, 23), first=6)
    Source.objects.filter(kind="folder").update(state=Source.State.ACTIVE)
    assert economics.notice_sources(today=TODAY) == 1
    settle()
    assert month_of(ledger, NOVEMBER).coverage["missing_share"] == "0"


def test_a_source_that_falls_silent_in_a_month_leaves_it_unproven(world: World) -> None:
    """It is asked and answers; it has only stopped to have anything to say on the 20th."""
    ledger = make_ledger(world)
    attested(ledger)
    came_out(ledger, 10_000, 9200, 0)
    _live(ledger, last=date(2026, 10, 20))
    assert month_of(ledger).verdict == "scale"

    economics.notice_sources(today=TODAY)
    settle()
    october = month_of(ledger)
    assert (october.verdict, october.coverage["unknown_cost_share"]) == ("unproven", "0.354838709677419355")


def test_a_monthly_bill_is_wanted_when_its_month_is_over_and_not_before(world: World, tmp_path: Path) -> None:
    """October's bill came on the 3rd of November, with a dollar on each of 30 days; November's has not come."""
    attribution.bind(actor=MACHINE, workload=make_ledger(world).workload, pairs=[["key", "A"]])
    bill([charge(day, "1", f"day {day}") for day in range(1, 31)], tmp_path)
    source = Source.objects.filter(slug="bill")
    source.update(kind="folder", pull_every_minutes=60, last_looked_at=at(24, month=11), created_at=at(1, month=9))
    Pull.objects.filter(part__source__in=source).update(finished_at=at(3, month=11))
    settle()

    economics.notice_sources(today=TODAY)
    assert not SilentSource.objects.exists()
    source.update(state=Source.State.NEEDS_ATTENTION)
    economics.notice_sources(today=TODAY)
    assert not SilentSource.objects.exists()

    december = date(2026, 12, 1)
    economics.notice_sources(today=december)
    assert silences() == [(NOVEMBER, date(2026, 11, 3), december)]
    source.update(state=Source.State.ACTIVE, last_looked_at=at(1, month=12))
    economics.notice_sources(today=december)
    assert silences() == [(NOVEMBER, NOVEMBER, december)]


def silences() -> list[tuple[date, date, date]]:
    return list(SilentSource.objects.order_by("month").values_list("month", "covered_to", "seen_to"))


def test_what_costs_little_is_little_of_what_is_missing(world: World) -> None:
    """The silent source had one of four hundred dollars: a third of its month is less than a hundredth of the cost."""
    ledger = make_ledger(world)
    attested(ledger)
    came_out(ledger, 100_000, 92_000, 0)
    _live(ledger, last=date(2026, 10, 20))
    other = make_series(
        make_pull(make_source("Other")), make_identity(make_source("Third"), "x", (BEGINNING, END, ledger.workload)),
        make_offering("own", "dollar"),
    )  # fmt: skip
    spend(replace(ledger, series=other), 4000)
    settle()
    economics.notice_sources(today=TODAY)
    settle()

    assert month_of(ledger).verdict == "scale"
    assert Decimal("0.001") < Decimal(month_of(ledger).coverage["unknown_cost_share"]) < Decimal("0.002")


def test_a_rate_that_changes_in_the_month_counts_from_its_day(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 10)
    attested(ledger, assumptions=_exactly_base())
    came_out(ledger, 3100, 3100, 0)
    economics.set_grade_rate(actor=MACHINE, grade=ledger.grade, hourly=Decimal(60), valid_from=date(2026, 10, 11))
    settle()
    october = month_of(ledger)

    # 1,000 outputs at 30 and 2,100 at 60, two minutes each, 0.6 of them used.
    assert october.value_base == 600 + 2520
    assert [(one["first"], one["useful"]) for one in october.spans] == [("2026-10-01", "1000"), ("2026-10-11", "2100")]
    breaks = {point.input: point.base for point in figures_of(october).breaks}
    assert breaks[Input.USEFUL] == 3100
    assert breaks[Input.MINUTES_SAVED] == 2


@pytest.mark.parametrize(("first", "verdict"), [(date(2026, 10, 2), "scale"), (date(2026, 10, 5), "unproven")])
def test_days_before_the_first_rate_claim_nothing_and_must_be_few(world: World, first: date, verdict: str) -> None:
    ledger = make_ledger(world)
    late = economics.add_grade_with_rate(actor=MACHINE, name="Late", hourly=Decimal(30), valid_from=first)
    spend(ledger, 10)
    attested(ledger, grade=late, review_grade=late, assumptions=_exactly_base())
    came_out(ledger, 3100, 3100, 0)
    settle()

    assert month_of(ledger).verdict == verdict
    assert month_of(ledger).value_base == (1800 if verdict == "scale" else None)


def test_no_trend_rests_on_a_month_that_is_unproven(world: World) -> None:
    ledger = make_ledger(world)
    attested(ledger)
    unpriced = make_series(make_pull(ledger.series.part.source), ledger.identity, make_offering("own", "nobody-knows"))
    for month, dollars in ((7, 100), (8, 110), (9, 120), (10, 130)):
        spend(ledger, dollars, at(3, month=month))
        came_out(ledger, 1000, 1000, 0, month=date(2026, month, 1))
    spend(replace(ledger, series=unpriced), 50, at(4, month=7))  # a third of July has no price
    settle()

    assert month_of(ledger, date(2026, 7, 1)).verdict == "unproven"
    assert month_of(ledger).verdict == "scale"


def test_a_subscription_is_no_usage_on_the_days_on_which_nobody_used_it(world: World) -> None:
    ledger = make_ledger(world)
    attested(ledger)
    for day in range(1, 11):
        spend(ledger, 10, at(day))
        came_out(ledger, 100, 90, 0, day=day)
    settle()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO costs_line (day, charge_month, booked_month, workload_id, source_id, component, basis, role, "
            "quantity, amount, currency, amount_org) "
            "SELECT day, '2026-10-01', '2026-10-01', %s, %s, 'other_shared', 'effective', 'counts', "
            "CASE WHEN day = '2026-10-01' THEN 1 END, 1, 'USD', 1 "
            "FROM generate_series(date '2026-10-01', '2026-10-31', interval '1 day') day",
            [ledger.workload.pk, ledger.series.part.source_id],
        )
    came_out(ledger, 100, 91, 0, day=10)
    settle()

    assert (month_of(ledger).coverage["usage_days"], month_of(ledger).verdict) == (10, "scale")

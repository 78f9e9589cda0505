"""A bill beside what was computed: what of it counts, what only checks, and how far apart the two are."""

from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.core import organisation
from apps.costs import attribution, roles, why
from apps.costs.models import DirtyDay, Line
from apps.costs.selectors import (
    CostScope,
    Figures,
    Grouping,
    apart,
    billed_months,
    bills_booked,
    cost_table,
    cost_totals,
)
from apps.sources.models import Measure, Pull, Source, SourceRole
from apps.sources.selectors import source_rows
from apps.usage.selectors import usage_by_month
from apps.workloads.models import Workload
from tests.books import at, make_offering, make_pull, make_source, prices, rate_all
from tests.costs.test_signed import MODEL, NOVEMBER, OCTOBER, bill, charge, copilot, gateway, load, rate, sign, tokens
from tests.faults.loads import Key, Used, publish_charges, publish_hours, undo
from tests.world import MACHINE

__all__ = ("copilot", "gateway")
pytestmark = pytest.mark.django_db
MONTH = CostScope(OCTOBER, NOVEMBER)
SIGNED = CostScope(OCTOBER, NOVEMBER, figures=Figures.SIGNED)
# One provider's month: tokens that a log may know, and much that none does. 11 + 40 + 3 + 2 + 5 - 6 = 55.
BILL = [
    charge(5, "11", "tokens"),
    charge(5, "40", "gpu", meter="p5 instance", unit="GPU Hours"),
    charge(5, "3", "transfer", meter="Data transfer out", unit="GB"),
    charge(5, "2", "storage", meter="Vector store", unit="GB"),
    charge(5, "5", "tax", category="Tax"),
    charge(5, "-6", "credit", category="Credit"),
]


def full_cost() -> Decimal | None:
    return cost_totals(actor=MACHINE, scope=MONTH).now.cost


def by_component() -> dict[str, Decimal | None]:
    table = cost_table(actor=MACHINE, scope=MONTH, grouping=Grouping.COMPONENT)
    return {row.key: row.now.cost for row in table.rows}


def checking() -> Decimal:
    found = Line.objects.filter(role=SourceRole.Role.CHECKS, basis="effective")
    return sum((line.amount or Decimal(0) for line in found), Decimal(0))


def set_role(slug: str, role: SourceRole.Role, since: datetime, measure: Measure = Measure.TOKEN_COST) -> None:
    source = Source.objects.get(slug=slug)
    roles.set_role(actor=MACHINE, source=source, measure=measure, role=role, valid_from=since)
    rate_all()


def test_a_log_of_calls_leaves_the_rest_of_the_provider_s_bill_counting(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    bill(BILL, tmp_path)
    rate_all()
    assert (full_cost(), checking()) == (55, 0)
    pull, _ = load(gateway, tokens(10, at(5)), tmp_path)
    rate_all()
    assert by_component() == {"token": 10, "gpu_used": 40, "data_transfer": 3, "other_shared": 1}
    assert (full_cost(), checking()) == (54, 11)
    undo(pull)
    rate_all()
    assert (full_cost(), checking()) == (55, 0)


def test_hours_of_accelerators_cover_the_bill_s_gpu_time_and_not_its_tokens(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    prices(make_offering("openai", "h100"), gpu_hour="2.50")
    bill(BILL, tmp_path)
    held = {Key("A", "h100", at(5)): Used(requests=None, gpu_seconds=4 * 3600, gpu_busy_seconds=4 * 3600)}
    publish_hours(make_pull(gateway, "gpu"), held, tmp_path)
    rate_all()
    assert by_component() == {"token": 11, "gpu_used": 10, "data_transfer": 3, "other_shared": 1}
    assert (full_cost(), checking()) == (25, 40)


def test_a_long_charge_checks_from_the_day_on_which_its_bill_was_said_to(copilot: Workload, tmp_path: Path) -> None:
    bill([charge(1, "61", "year", charge_end=at(1, month=12))], tmp_path)  # 61 days, 1.00 each
    rate_all()
    assert full_cost() == 31
    set_role("bill", SourceRole.Role.CHECKS, at(21))
    assert (full_cost(), checking()) == (20, 41)


def test_what_is_said_of_a_bill_s_tokens_takes_neither_its_storage_nor_its_tax_along_until_its_gpu_time_checks_too(
    copilot: Workload, tmp_path: Path
) -> None:
    bill(BILL, tmp_path)
    rate_all()
    set_role("bill", SourceRole.Role.CHECKS, at(1))
    assert by_component() == {"gpu_used": 40, "data_transfer": 3, "other_shared": 1}
    assert (full_cost(), checking()) == (44, 11)
    set_role("bill", SourceRole.Role.CHECKS, at(1), Measure.GPU)
    assert (by_component(), checking()) == ({}, 55)


def test_the_same_invoice_in_another_file_counts_once_when_all_of_it_is_said_to_check(
    copilot: Workload, tmp_path: Path
) -> None:
    bill(BILL, tmp_path)
    again = make_pull(make_source("Invoice"), "invoice", format=Pull.Format.FOCUS)
    publish_charges(again, BILL, tmp_path, usable=True)
    rate_all()
    assert (full_cost(), checking()) == (110, 0)
    set_role("invoice", SourceRole.Role.CHECKS, at(1))
    set_role("invoice", SourceRole.Role.CHECKS, at(1), Measure.GPU)
    assert by_component() == {"token": 11, "gpu_used": 40, "data_transfer": 3, "other_shared": 1}
    assert (full_cost(), checking()) == (55, 55)
    set_role("invoice", SourceRole.Role.COUNTS, at(4))
    assert (full_cost(), checking()) == (70, 40)  # its tokens count again, and with them all but its GPU time


def test_the_rest_of_a_bill_checks_while_both_its_tokens_and_its_gpu_time_do(copilot: Workload, tmp_path: Path) -> None:
    bill([charge(1, "61", "seats", meter="Seats", unit="Seats", charge_end=at(1, month=12))], tmp_path)  # 1.00 a day
    rate_all()
    assert full_cost() == 31
    set_role("bill", SourceRole.Role.CHECKS, at(11))
    assert full_cost() == 31
    set_role("bill", SourceRole.Role.CHECKS, at(21), Measure.GPU)
    assert (full_cost(), checking()) == (20, 41)


def test_the_rest_of_a_bill_that_only_checks_is_compared_with_the_calls(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    """Nothing that left the full cost is lost from sight: 11 of tokens, 3 + 2 + 5 - 6 of the rest, beside 10."""
    load(gateway, tokens(10, at(5)), tmp_path)
    bill(BILL, tmp_path)
    rate_all()
    assert compared() == {"openai": (11, 11, 10)}
    set_role("bill", SourceRole.Role.CHECKS, at(1))
    set_role("bill", SourceRole.Role.CHECKS, at(1), Measure.GPU)
    assert full_cost() == 10
    assert compared() == {"openai": (15, 15, 10)}


def test_what_is_said_of_a_bill_s_gpu_time_leaves_its_tokens(copilot: Workload, tmp_path: Path) -> None:
    bill(BILL, tmp_path)
    set_role("bill", SourceRole.Role.CHECKS, at(1), Measure.GPU)
    assert by_component() == {"token": 11, "data_transfer": 3, "other_shared": 1}
    assert (full_cost(), checking()) == (15, 40)


def test_days_of_bills_with_a_role_and_of_no_others_are_worked_out_again_when_its_reach_changes(
    copilot: Workload, tmp_path: Path
) -> None:
    long = charge(30, "3", "storage", meter="Vector store", unit="GB") | {"charge_end": at(2, month=11)}
    bill([charge(5, "11", "tokens"), long], tmp_path)
    rate_all()
    migration = import_module("apps.costs.migrations.0008_role_of_charges")
    with connection.cursor() as cursor:
        cursor.execute(migration.QUEUE)
        assert DirtyDay.objects.count() == 0
        set_role("bill", SourceRole.Role.CHECKS, at(1))
        cursor.execute(migration.QUEUE)
    found = DirtyDay.objects.order_by("day").values_list("day", "reason")
    assert list(found) == [(date(2026, 10, 5), "bill role"), (date(2026, 10, 30), "bill role")]
    rate_all()


def test_calls_are_counted_up_to_the_hour_from_which_their_source_only_checks(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(10, at(5)) | tokens(20, at(6, 11)) | tokens(30, at(6, 12)), tmp_path)
    rate_all()
    set_role("gateway", SourceRole.Role.CHECKS, at(6, 12))
    (month,) = usage_by_month(workload_id=copilot.pk, first=at(1), end=at(1, month=11), zone="UTC").values()
    totals = cost_totals(actor=MACHINE, scope=MONTH).now
    assert (month.requests, month.input_tokens) == (30, 30_000_000) == (totals.requests, totals.tokens)
    set_role("gateway", SourceRole.Role.COUNTS, at(1), Measure.TOKENS)
    (month,) = usage_by_month(workload_id=copilot.pk, first=at(1), end=at(1, month=11), zone="UTC").values()
    assert month.requests == 60


def test_a_role_that_begins_later_is_not_told_as_the_one_that_holds(copilot: Workload, gateway: Source) -> None:
    set_role("gateway", SourceRole.Role.CHECKS, at(1).replace(year=2999))
    assert [(row.role, row.role_is_set) for row in source_rows(actor=MACHINE)] == [("counts", False)]
    set_role("gateway", SourceRole.Role.CHECKS, at(1).replace(year=2020))
    assert [(row.role, row.role_is_set) for row in source_rows(actor=MACHINE)] == [("checks", True)]


# --- How far apart they are -------------------------------------------------------------------------------------------


def test_each_provider_of_one_bill_is_compared_with_its_own_calls(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    prices(make_offering("anthropic", "own-claude"), input="1.00", output="1.00")
    other = {Key("A", "own-claude", at(5), provider="anthropic"): Used(requests=1, input=45_000_000, output=0)}
    load(gateway, tokens(110, at(5)) | other, tmp_path)
    out_of_scope = {"service_category": "Storage", "provider": "AWS", "identity": '[["key","shop"]]'}
    rows = [charge(1, "7", "shop", **out_of_scope), charge(5, "100", "a"), charge(5, "50", "b", provider="Anthropic")]
    bill(rows, tmp_path)
    rate_all()
    found = billed_months(actor=MACHINE, scope=MONTH)
    assert [(each.provider, each.effective, each.computed, each.residual) for each in found] == [
        ("anthropic", 50, 45, 5), ("openai", 100, 110, -10),
    ]  # fmt: skip
    assert apart(found) == 15
    assert [each.is_over_tolerance for each in found] == [True, True]


def compared() -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    found = billed_months(actor=MACHINE, scope=MONTH)
    return {each.provider: (each.billed, each.effective, each.computed) for each in found}


def claude(millions: int) -> Any:
    """Calls of a second provider, by the key that has all of the bill."""
    prices(make_offering("anthropic", "own-claude"), input="1.00", output="1.00")
    key = Key("A", "own-claude", at(5), provider="anthropic")
    return {key: Used(requests=1, input=millions * 1_000_000, output=0)}


def test_rows_that_are_no_ai_take_no_part_of_a_line_unless_somebody_claims_them(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(100, at(5)) | claude(45), tmp_path)
    of_shop: dict[str, Any] = {"identity": '[["key","shop"]]'}
    no_ai = charge(5, "300", "b", provider="Anthropic", service_category="Storage", **of_shop)
    bill([charge(5, "100", "a", **of_shop), no_ai], tmp_path)
    rate_all()
    assert compared() == {"openai": (100, 100, 100)}
    attribution.bind(actor=MACHINE, workload=copilot, pairs=[["key", "shop"]])
    rate_all()
    assert compared() == {"openai": (100, 100, 100), "anthropic": (300, 300, 45)}


def test_a_purchase_takes_its_part_of_what_was_billed_and_none_of_the_effective_cost(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(100, at(5)) | claude(45), tmp_path)
    bought = charge(5, "300", "b", provider="Anthropic", category="Purchase", effective=Decimal(0))
    bill([charge(5, "100", "a"), charge(5, "60", "c", provider="Anthropic"), bought], tmp_path, usable=False)
    rate_all()
    assert compared() == {"openai": (100, 100, 100), "anthropic": (360, 60, 45)}


def test_a_provider_that_no_log_covers_takes_no_part_of_what_only_checks(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(100, at(5)), tmp_path)
    bill([charge(5, "100", "a"), charge(5, "50", "b", provider="Anthropic")], tmp_path)
    rate_all()
    assert compared() == {"openai": (100, 100, 100)}


def test_a_charge_of_two_months_takes_the_part_of_the_month_s_days(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(31, at(5)) | claude(45), tmp_path)
    long = charge(1, "61", "long", provider="Anthropic", charge_end=at(1, month=12))
    bill([charge(5, "31", "a"), long], tmp_path)
    rate_all()
    assert compared() == {"openai": (31, 31, 31), "anthropic": (61, 31, 45)}


@pytest.mark.parametrize(("billed", "is_over"), [("102.04", False), ("102.05", True), ("98.03", True)])
def test_a_bill_may_differ_by_two_hundredths_of_itself(
    copilot: Workload, gateway: Source, tmp_path: Path, billed: str, is_over: bool
) -> None:
    load(gateway, tokens(100, at(5)), tmp_path)
    bill([charge(5, billed, "a")], tmp_path)
    rate_all()
    (found,) = billed_months(actor=MACHINE, scope=MONTH)
    assert found.is_over_tolerance is is_over
    organisation.set_setting(actor=MACHINE, name="bill_tolerance", value="0.5")
    assert not billed_months(actor=MACHINE, scope=MONTH)[0].is_over_tolerance


def test_gpu_time_that_no_bill_names_is_no_part_of_the_residual(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    prices(make_offering("openai", "h100"), gpu_hour="2.50")
    held: dict[Key, Any] = {Key("A", "h100", at(5)): Used(requests=None, gpu_seconds=3600, gpu_busy_seconds=3600)}
    load(gateway, tokens(10, at(5)) | held, tmp_path)
    bill([charge(5, "11", "a")], tmp_path)
    rate_all()
    (found,) = billed_months(actor=MACHINE, scope=MONTH)
    assert (found.effective, found.computed, found.residual) == (11, 10, 1)


def test_a_month_is_signed_on_what_is_booked_in_it(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    """November: 60 of its own, and 4 of October's bill that came after October was signed."""
    load(gateway, tokens(10, at(5)), tmp_path)
    october = charge(5, "10", "a")
    bill([october], tmp_path)
    sign()
    load(gateway, tokens(10, at(5)) | tokens(60, at(3, month=11)), tmp_path)
    november = charge(3, "60", "c") | {"charge_start": at(3, month=11), "charge_end": at(4, month=11)}
    bill([october, charge(6, "4", "b"), november], tmp_path)
    rate()

    def said(found: Any) -> list[tuple[date, Decimal, Decimal]]:
        return [(each.month, each.effective, each.computed) for each in found]

    assert said(bills_booked(actor=MACHINE, month=OCTOBER)) == [(OCTOBER, 10, 10)]
    assert said(bills_booked(actor=MACHINE, month=NOVEMBER)) == [(NOVEMBER, 64, 60)]
    assert said(billed_months(actor=MACHINE, scope=MONTH)) == [(OCTOBER, 14, 10)]


def test_a_bill_that_checked_when_its_month_was_signed_is_taken_back_with_the_calls(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    """Both go in November, which so has no residual of October's; October itself has nothing left that checks."""
    log, _ = load(gateway, tokens(100, at(5)), tmp_path)
    bill([charge(5, "100", "a")], tmp_path)
    sign()
    undo(log)
    rate()
    assert [each.residual for each in bills_booked(actor=MACHINE, month=NOVEMBER)] == [0]
    assert billed_months(actor=MACHINE, scope=MONTH) == []
    assert [each.residual for each in billed_months(actor=MACHINE, scope=SIGNED)] == [0]


def test_a_signed_month_keeps_its_bill_when_the_bill_is_said_to_count(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(100, at(5)) | claude(45), tmp_path)
    bill([charge(5, "110", "a"), charge(5, "45", "b", provider="Anthropic")], tmp_path)
    sign()
    set_role("bill", SourceRole.Role.COUNTS, at(1))
    rate()
    found = billed_months(actor=MACHINE, scope=SIGNED)
    assert [(each.provider, each.effective, each.computed) for each in found] == [
        ("anthropic", 45, 45), ("openai", 110, 100),
    ]  # fmt: skip
    assert billed_months(actor=MACHINE, scope=MONTH) == []


def test_a_month_has_no_bill_of_nothing_when_the_bill_of_a_named_model_came_to_count(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(100, at(5)), tmp_path)
    bill([charge(5, "110", "a", model=MODEL)], tmp_path)
    sign()
    set_role("bill", SourceRole.Role.COUNTS, at(1))
    rate()
    assert [each.residual for each in billed_months(actor=MACHINE, scope=SIGNED)] == [10]
    assert billed_months(actor=MACHINE, scope=MONTH) == []


# --- Why --------------------------------------------------------------------------------------------------------------


def test_rows_of_the_bill_add_up_to_the_figure_and_each_is_named(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    """The bill's tokens only check, a row of another key is somebody else's, and a year's charge gives its days."""
    load(gateway, tokens(10, at(5)), tmp_path)
    yearly = charge(1, "365", "year", meter="Seats", unit="Seats") | {"charge_end": at(1).replace(year=2027)}
    other = charge(5, "9", "other", meter="Vector store", unit="GB", identity='[["key","B"]]')
    bill([*BILL, yearly, other], tmp_path)
    rate_all()
    scope = CostScope(OCTOBER, NOVEMBER, workload_id=copilot.pk)
    found = why.why_cost(actor=MACHINE, scope=scope)
    assert (found.amount, found.is_exact) == (85, True)  # 10 of tokens, 44 of the bill's other rows, 31 days of 1.00
    assert {(part.meter, part.category): (part.rows, part.amount_org) for part in found.charges} == {
        ("p5 instance", "Usage"): (1, 40), ("Seats", "Usage"): (1, 31), ("Tokens", "Tax"): (1, 5),
        ("Data transfer out", "Usage"): (1, 3), ("Vector store", "Usage"): (1, 2), ("Tokens", "Credit"): (1, -6),
    }  # fmt: skip
    assert (found.charge_rows, found.hours) == (6, 1)
    rows = [dict(zip(why.EXPORT_COLUMNS, row, strict=True)) for row in why.proof_rows(actor=MACHINE, scope=scope)]
    assert sum(row["Amount in the organisation's currency"] for row in rows) == 85
    of_bill = {(row["File or part"], row["Row of the bill (SHA-256)"]) for row in rows if row["What"] != "input"}
    assert of_bill == {("bill", digest) for digest in ("gpu", "transfer", "storage", "tax", "credit", "year")}
    credit = CostScope(OCTOBER, NOVEMBER, workload_id=copilot.pk, component="data_transfer")
    assert [part.amount_org for part in why.why_cost(actor=MACHINE, scope=credit).charges] == [3]


def test_a_line_that_nothing_proves_is_said_to_differ(copilot: Workload, gateway: Source, tmp_path: Path) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    bill([charge(5, "5", "tax", category="Tax")], tmp_path)
    rate_all()
    assert why.why_cost(actor=MACHINE, scope=MONTH).is_exact
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM usage_hour")
    assert not why.why_cost(actor=MACHINE, scope=MONTH).is_exact


def test_what_was_signed_is_proven_by_the_hours_that_were_there(
    copilot: Workload, gateway: Source, tmp_path: Path
) -> None:
    load(gateway, tokens(10, at(5)), tmp_path)
    tax = charge(5, "5", "tax", category="Tax")
    bill([tax], tmp_path)
    sign()
    load(gateway, tokens(13, at(5)), tmp_path)
    bill([tax, charge(6, "2", "more", category="Tax")], tmp_path)
    rate()
    for figures, amount in ((Figures.SIGNED, 15), (Figures.RESTATED, 20)):
        found = why.why_cost(actor=MACHINE, scope=CostScope(OCTOBER, NOVEMBER, figures=figures))
        assert (found.amount, found.is_exact) == (amount, True)

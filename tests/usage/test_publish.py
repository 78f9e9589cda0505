"""What a pull read replaces its part whole, adds up with other parts, and can be undone."""

import csv
import hashlib
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from apps.core.errors import BadInput
from apps.costs import services as costs
from apps.costs.models import Basis, Line
from apps.sources.models import Pull, Source
from apps.usage import services as usage
from apps.usage.job import Job
from apps.usage.models import Charge, Hour, Identity
from apps.usage.overlaps import overlaps_of
from apps.usage.reduce import reduce_files
from apps.usage.staging import Published
from tests.books import at, cost, make_pull, make_source, rate_all

pytestmark = pytest.mark.django_db
HEADER = [
    "time",
    "usage_key",
    "provider",
    "model",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "latency_ms",
]
Call = tuple[datetime, str, int]  # time, usage key, input tokens


def write_log(path: Path, calls: list[Call], model: str = "gpt-4o-2024-08-06") -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows([at_.isoformat(), key, "openai", model, tokens, 0, 0, 640] for at_, key, tokens in calls)
    return path


def load(
    source: Source, path: Path, tmp_path: Path, *, kind: str = "requests", **options: Any
) -> tuple[Pull, Published]:
    """Read a file and publish it as its own part, as the worker does."""
    work_dir = tmp_path / hashlib.sha256(f"{path}{path.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    result = reduce_files(Job(paths=[str(path)], format=kind, work_dir=str(work_dir), **options))
    pull = make_pull(source, path.name, format=kind)
    first, last = datetime.fromisoformat(result.first_hour or ""), datetime.fromisoformat(result.last_hour or "")
    usage.make_room(first=first, last=last)
    with transaction.atomic():
        published = usage.publish(pull=pull, work_dir=work_dir)
        costs.mark_dirty_touched("import")
        empty_touched()
    return pull, published


def empty_touched() -> None:
    """Tests run inside one transaction, whose end would have dropped the table."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE usage_touched")


def tokens_by_key() -> dict[str, int]:
    totals: dict[str, int] = {}
    for identity in Identity.objects.all():
        hours = Hour.objects.filter(series_id__in=identity.series.values("pk"))
        totals[identity.label] = sum(hour.input or 0 for hour in hours)
    return totals


def test_two_files_of_one_source_stay_whole_and_the_second_again_changes_only_its_own_rows(tmp_path: Path) -> None:
    # The ledger's example F: file 1 = 1-15 November, key A; file 2 = 10-30 November, key B.
    source = make_source()
    one = write_log(tmp_path / "one.csv", [(at(day, 9, month=11), "A", 100) for day in range(1, 16)])
    two = write_log(tmp_path / "two.csv", [(at(day, 9, month=11), "B", 10) for day in range(10, 24)])
    load(source, one, tmp_path)
    load(source, two, tmp_path)
    assert tokens_by_key() == {"A": 1500, "B": 140}
    write_log(two, [(at(10, 9, month=11), "B", 10)])
    load(source, two, tmp_path)
    assert tokens_by_key() == {"A": 1500, "B": 10}


def test_two_files_that_meet_at_half_past_add_up_in_their_hour(tmp_path: Path) -> None:
    source = make_source()
    load(source, write_log(tmp_path / "before.csv", [(at(5, 14).replace(minute=29), "A", 7)]), tmp_path)
    load(source, write_log(tmp_path / "after.csv", [(at(5, 14).replace(minute=30), "A", 5)]), tmp_path)
    assert tokens_by_key() == {"A": 12}
    assert {hour.hour for hour in Hour.objects.all()} == {at(5, 14)}
    rate_all()
    assert Line.objects.get().quantity == 12


def test_the_same_file_twice_writes_nothing_and_moves_no_line(tmp_path: Path) -> None:
    source = make_source()
    log = write_log(tmp_path / "log.csv", [(at(5, hour), "A", 100) for hour in range(10)])
    _, first = load(source, log, tmp_path)
    rate_all()
    lines = list(Line.objects.values_list("pk", flat=True))
    _, second = load(source, log, tmp_path)
    rate_all()
    assert (first.written, first.unchanged) == (10, 0)
    assert (second.written, second.unchanged, second.removed) == (0, 10, 0)
    assert list(Line.objects.values_list("pk", flat=True)) == lines


def test_only_changed_hours_are_written_again(tmp_path: Path) -> None:
    source = make_source()
    log = write_log(tmp_path / "log.csv", [(at(5, hour), "A", 100) for hour in range(10)])
    load(source, log, tmp_path)
    write_log(log, [(at(5, hour), "A", 100 + (hour == 3)) for hour in range(9)])
    _, published = load(source, log, tmp_path)
    assert (published.written, published.unchanged, published.removed) == (1, 8, 2)
    assert tokens_by_key() == {"A": 901}


def test_undo_puts_back_what_a_pull_replaced(tmp_path: Path) -> None:
    source = make_source()
    log = write_log(tmp_path / "log.csv", [(at(5, hour), "A", 100) for hour in range(10)])
    load(source, log, tmp_path)
    before = list(Hour.objects.order_by("hour").values_list("hour", "input", "pull_id"))
    write_log(log, [(at(6, 1), "B", 1), (at(5, 1), "A", 100), (at(5, 2), "A", 3)])
    pull, _ = load(source, log, tmp_path)
    usage.undo(pull=pull)
    costs.mark_dirty_touched("undo")
    assert list(Hour.objects.order_by("hour").values_list("hour", "input", "pull_id")) == before
    rate_all()
    assert cost() == Decimal("0.0025")  # 10 x 100 tokens at 2.50 a million


def test_two_names_of_one_model_are_one_series(tmp_path: Path) -> None:
    source = make_source()
    log = tmp_path / "log.csv"
    write_log(log, [(at(5), "A", 10)], model="gpt-4o-2024-08-06")
    rows = write_log(tmp_path / "other.csv", [(at(5), "A", 5)], model="GPT-4o-2024-08-06").read_text().splitlines()[1:]
    log.write_text(log.read_text() + "\n".join(rows) + "\n")
    load(source, log, tmp_path)
    hour = Hour.objects.get()
    assert (hour.input, hour.requests, sum(hour.latency_counts or [])) == (15, 2, 2)


BILL = (
    "BilledCost,EffectiveCost,ListCost,ContractedCost,BillingCurrency,BillingPeriodStart,BillingPeriodEnd,"
    "ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ChargeClass,ChargeDescription,ServiceCategory,ServiceName,"
    "ProviderName,PublisherName,InvoiceIssuerName,BillingAccountId,SubAccountId,PricingQuantity,PricingUnit,SkuMeter"
)


def bill_row(billed: str, effective: str, *, start: str, end: str, **values: str) -> str:
    row = {
        "BilledCost": billed, "EffectiveCost": effective, "ListCost": billed, "ContractedCost": billed,
        "BillingCurrency": "USD", "BillingPeriodStart": "2026-10-01T00:00:00Z",
        "BillingPeriodEnd": "2026-11-01T00:00:00Z",
        "ChargePeriodStart": start, "ChargePeriodEnd": end, "ChargeCategory": "Usage", "ChargeClass": "",
        "ChargeDescription": "tokens", "ServiceCategory": "AI and Machine Learning", "ServiceName": "Models",
        "ProviderName": "Openai", "PublisherName": "Openai", "InvoiceIssuerName": "Openai", "BillingAccountId": "acc",
        "SubAccountId": "team-a", "PricingQuantity": "1", "PricingUnit": "Tokens", "SkuMeter": "Input Tokens", **values,
    }  # fmt: skip
    return ",".join(row[column] for column in BILL.split(","))


def write_bill(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([BILL, *rows]) + "\n")
    return path


DAY = {"start": "2026-10-05T00:00:00Z", "end": "2026-10-06T00:00:00Z"}


def test_a_bill_counts_where_nothing_else_does_and_only_checks_once_a_log_covers_its_provider(tmp_path: Path) -> None:
    bill = write_bill(tmp_path / "bill.csv", bill_row("12.50", "12.50", **DAY))
    load(make_source("Bill"), bill, tmp_path, kind="focus")
    rate_all()
    assert cost() == Decimal("12.50")
    log = write_log(tmp_path / "log.csv", [(at(5, 9), "A", 4_000_000)])
    pull, _ = load(make_source("Gateway"), log, tmp_path)
    rate_all()
    assert cost() == Decimal("10.00")  # 4 million tokens at 2.50; the bill is kept beside
    assert set(Line.objects.filter(source__name="Bill").values_list("role", flat=True)) == {"checks"}
    usage.undo(pull=pull)
    costs.mark_dirty_touched("undo")
    rate_all()
    assert cost() == Decimal("12.50")


def test_billed_and_effective_stand_beside_each_other_and_rows_that_are_no_ai_leave_no_line(tmp_path: Path) -> None:
    bill = write_bill(
        tmp_path / "bill.csv",
        bill_row("10.00", "7.5000000000000001", **DAY),
        bill_row("99.00", "99.00", **DAY, ServiceCategory="Storage"),
        bill_row("500.00", "0", **DAY, ChargeCategory="Purchase"),
    )
    load(make_source("Bill"), bill, tmp_path, kind="focus")
    rate_all()
    by_basis = {basis: sum(line.amount or 0 for line in Line.objects.filter(basis=basis)) for basis in Basis.values}
    assert by_basis["billed"] == Decimal("510.00")
    assert by_basis["effective"] == Decimal("7.5000000000000001")
    assert cost() == Decimal("7.5000000000000001")
    assert sum(charge.billed for charge in Charge.objects.all()) == Decimal("609.00")


def test_a_charge_longer_than_a_month_is_accrued_by_day_to_the_last_digit(tmp_path: Path) -> None:
    year = {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"}
    bill = write_bill(tmp_path / "bill.csv", bill_row("100", "100", **year))
    load(make_source("Bill"), bill, tmp_path, kind="focus")
    rate_all()
    lines = Line.objects.filter(basis="effective")
    assert lines.count() == 365
    assert sum(line.amount or 0 for line in lines) == Decimal(100)
    # 100 / 365 = 0.273972602739726027 and 145 units of the last digit, which the first days take.
    assert lines.get(day="2026-01-01").amount == Decimal("0.273972602739726028")
    assert lines.get(day="2026-12-31").amount == Decimal("0.273972602739726027")
    assert Line.objects.get(basis="billed").amount == Decimal(100)


def test_the_totals_of_an_import_are_those_of_its_own_part(tmp_path: Path) -> None:
    source = make_source()
    load(source, write_log(tmp_path / "one.csv", [(at(5), "A", 1_000_000)]), tmp_path)
    pull, _ = load(source, write_log(tmp_path / "two.csv", [(at(5), "A", 3_000_000)]), tmp_path)
    totals = costs.totals_of_pull(pull)
    assert (totals["in_scope_cost"], totals["computed_cost"]) == ("7.5", "7.5")
    assert (totals["unallocated_share"], totals["unpriced_models"]) == (1.0, [])
    bill = write_bill(
        tmp_path / "bill.csv", bill_row("9", "5", **DAY), bill_row("1", "1", **DAY, ServiceCategory="Other")
    )
    pull, _ = load(make_source("Bill"), bill, tmp_path, kind="focus")
    totals = costs.totals_of_pull(pull)
    assert (totals["in_scope_cost"], totals["computed_cost"], totals["unallocated_share"]) == ("5", None, 1.0)


def test_the_totals_of_an_import_whose_model_is_unknown_say_so(tmp_path: Path) -> None:
    log = write_log(tmp_path / "one.csv", [(at(5), "A", 1_000_000)], model="never-heard-of")
    pull, _ = load(make_source(), log, tmp_path)
    totals = costs.totals_of_pull(pull)
    assert totals["in_scope_cost"] is None
    assert totals["unallocated_share"] is None
    assert totals["unpriced_models"] == ["never-heard-of"]


USAGE = "period_start,usage_key,provider,model,requests,gpu_seconds,gpu_busy_seconds,cost,currency\n"


def write_usage(path: Path, *rows: str) -> Path:
    path.write_text(USAGE + "".join(f"2026-10-05T00:00:00Z,A,openai,{row}\n" for row in rows))
    return path


def test_two_names_of_one_model_that_report_two_currencies_are_not_added(tmp_path: Path) -> None:
    path = write_usage(tmp_path / "usage.csv", "gpt-4o,1,,,1,USD", "GPT-4o,1,,,2,EUR")
    with pytest.raises(BadInput, match="A has costs in EUR and USD in one hour for GPT-4o and gpt-4o"):
        load(make_source(), path, tmp_path, kind="usage")
    assert Hour.objects.count() == 0


def test_two_names_of_one_model_add_up_and_an_unknown_busy_share_counts_as_used(tmp_path: Path) -> None:
    path = write_usage(tmp_path / "usage.csv", "gpt-4o,1,3600,1800,1,USD", "GPT-4o,1,3600,,2,USD")
    load(make_source(), path, tmp_path, kind="usage")
    hour = Hour.objects.get()
    assert (hour.gpu_seconds, hour.gpu_busy_seconds, hour.reported_cost, hour.currency) == (7200, 5400, 3, "USD")


def test_a_corrected_bill_under_another_name_is_said_to_add_up(tmp_path: Path) -> None:
    source = make_source("Bill")
    first = write_bill(tmp_path / "oct.csv", bill_row("9", "5", **DAY))
    load(source, first, tmp_path, kind="focus")
    second, _ = load(source, write_bill(tmp_path / "oct-v2.csv", bill_row("8", "5", **DAY)), tmp_path, kind="focus")
    [said] = [str(overlap) for overlap in overlaps_of(second.part)]
    assert said.startswith("Part 'oct.csv' has charges of 1 spender too, from ")
    assert overlaps_of(load(make_source("Other"), first, tmp_path, kind="focus")[0].part) == []

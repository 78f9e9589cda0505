"""The files of the demo, written as other systems write theirs and then imported like anybody's."""

import csv
import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from django.db import connection

from apps.core import periods

GPU_PROVIDER = "larkfield"
GPU_RATES = {"NVIDIA H100": "4.11", "NVIDIA L40S": "1.95"}
# Key at the cluster -> workload; None belongs to nobody.
GPU_KEYS: dict[str, str | None] = {"image-studio": "Image studio", "sales-copilot": "Sales copilot", "ml-sandbox": None}
OTHER_KEYS = {
    "studio-batch": "Image studio",
    "contract-review-eu": "Contract risk review",
    "clause-library-search-eu": "Clause library search",
}
LOG_COLUMNS = {
    "time": "ts", "usage_key": "api_key_alias", "provider": "vendor", "model": "model_id", "input_tokens": "prompt_tok",
    "cached_input_tokens": "cache_tok", "output_tokens": "compl_tok", "latency_ms": "dur_ms", "status": "http",
}  # fmt: skip
LOG_ROWS = 24_000
RESIDUAL = Decimal("212.00")
UNTAGGED = Decimal("3884.15")
AI = "AI and Machine Learning"
Span = Callable[[date], tuple[datetime, datetime]]


def sums_of(hours: Path) -> dict[str, Any]:
    """What an import of these hours tells about itself."""
    with duckdb.connect() as db:
        row = db.execute(
            "SELECT sum(requests), sum(input + cached), sum(cached), sum(output), min(hour), max(hour) "
            "FROM read_parquet(?)",
            [str(hours)],
        ).fetchone()
    if row is None:
        raise RuntimeError(f"{hours} cannot be read")
    names = ("requests", "input_tokens", "cached_input_tokens", "output_tokens")
    sums = {name: int(value) for name, value in zip(names, row[:4], strict=True)}
    first, last = row[4].replace(tzinfo=UTC).isoformat(), row[5].replace(tzinfo=UTC).isoformat()
    return {**sums, "rows_read": sums["requests"], "first_hour": first, "last_hour": last}


def write_gpu_hours(target: Path, months: list[date], span: Span) -> Path:
    """Allocated and busy GPU-seconds of each hour: two accelerators of Image studio are busy 39 % of their time."""
    with target.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["period_start", "usage_key", "provider", "model", "gpu_seconds", "gpu_busy_seconds"])
        for month in months:
            starts_at, ends_at = span(month)
            for number in range(int((ends_at - starts_at) / timedelta(hours=1))):
                hour = starts_at + timedelta(hours=number)
                writer.writerows([hour.isoformat(), *row] for row in _gpu_rows(hour))
    return target


def _gpu_rows(hour: datetime) -> Iterator[tuple[str, str, str, int | str, int]]:
    number = int(hour.timestamp()) // 3600
    daytime = 7 <= hour.hour < 19
    busy = 7_200 * (62 if daytime else 16) // 100 + number * 37 % 61 - 30
    yield "image-studio", GPU_PROVIDER, "NVIDIA H100", 7_200, busy
    yield "sales-copilot", GPU_PROVIDER, "NVIDIA L40S", 3_600, 2_700 + number * 53 % 401
    if hour.hour in (9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19):  # somebody's experiments, about 340 hours a month
        yield "ml-sandbox", GPU_PROVIDER, "NVIDIA H100", 3_590, 2_900


def write_request_log(target: Path, today: datetime) -> Path:
    """Calls of the last three days as a gateway logs them, some lines broken in the usual ways."""
    with gzip.open(target, "wt", newline="", compresslevel=6) as file:
        writer = csv.writer(file)
        writer.writerow([*LOG_COLUMNS.values(), "trace"])
        writer.writerows(_log_row(number, today) for number in range(LOG_ROWS))
    return target


def _log_row(number: int, today: datetime) -> list[str]:
    at = today - timedelta(days=3) + timedelta(seconds=number * 3 * 86_400 / LOG_ROWS)
    key = "contract-review-eu" if number % 3 else "clause-library-search-eu"
    prompt, cached = 900 + number * 613 % 5_200, number * 71 % 800
    row = [at.strftime("%Y-%m-%dT%H:%M:%SZ"), key, "anthropic", "claude-haiku-4-5", str(prompt), str(cached)]
    row += [str(40 + number * 31 % 380), str(420 + number * 97 % 3_100), "504" if number % 97 == 0 else "200"]
    if number % 370 == 11:
        row[0] = at.strftime("%Y-31-%d %H:%M")
    if number % 960 == 17:
        row[5] = str(prompt + 4_096)
    if number % 3_400 == 29:
        row[1] = ""
    return [*row, f"{number * 2_654_435_761 % 2**32:08x}"]


BILL_COLUMNS = (
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "BillingCurrency", "BillingPeriodStart",
    "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory", "ChargeClass", "ChargeDescription",
    "ServiceCategory", "ServiceName", "ProviderName", "PublisherName", "InvoiceIssuerName", "BillingAccountId",
    "SubAccountId", "ResourceId", "ConsumedQuantity", "ConsumedUnit", "PricingQuantity", "PricingUnit", "SkuMeter",
)  # fmt: skip


def write_bill(target: Path, month: date, *, last: bool) -> None:
    """A month of the cloud bill: the calls to OpenAI day by day, machines nobody tagged, and what is no AI."""
    computed = _computed_by_day(month, provider="openai")
    days = len(computed) or 1
    residual = RESIDUAL if last else RESIDUAL / 4
    with target.open("w", newline="") as file:
        writer = csv.DictWriter(file, BILL_COLUMNS, restval="")
        writer.writeheader()
        for day, amount in computed:
            share = (residual / days).quantize(Decimal("0.0000000001"))
            writer.writerow(_bill_row(day, amount + share, "OpenAI", AI, "Model calls", "tokens"))
        writer.writerows(_other_rows(month, last=last))


def _other_rows(month: date, *, last: bool) -> Iterator[dict[str, str]]:
    if last:
        yield from _untagged_rows(month)
    yield _bill_row(month, Decimal("2210.40"), "AWS", "Storage", "Object storage", "GB-Months", "larkfield-shop")
    yield _bill_row(month, Decimal("8730.12"), "AWS", "Compute", "Virtual machines", "Hours", "larkfield-shop")


def _untagged_rows(month: date) -> Iterator[dict[str, str]]:
    """A machine nobody tagged, the same amount each day and the cents that remain on the last."""
    days = (periods.next_month(month) - month).days
    daily = (UNTAGGED / days).quantize(Decimal("0.01"))
    for number in range(days):
        amount = daily if number < days - 1 else UNTAGGED - daily * (days - 1)
        day = month + timedelta(days=number)
        yield _bill_row(day, amount, "AWS", AI, "p4d instance hours", "GPU Hours", "us-east-1 / p4d / no tag")


def _bill_row(
    day: date, amount: Decimal, provider: str, category: str, meter: str, unit: str, resource: str = ""
) -> dict[str, str]:
    starts_at = datetime.combine(day, time(), UTC)
    month = day.replace(day=1)
    issuer = "AWS Marketplace" if provider == "OpenAI" else provider
    return {
        **dict.fromkeys(("BilledCost", "EffectiveCost", "ListCost", "ContractedCost"), format(amount, "f")),
        "BillingCurrency": "USD",
        "BillingPeriodStart": f"{month.isoformat()}T00:00:00Z",
        "BillingPeriodEnd": f"{periods.next_month(month).isoformat()}T00:00:00Z",
        "ChargePeriodStart": starts_at.isoformat(),
        "ChargePeriodEnd": (starts_at + timedelta(days=1)).isoformat(),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{meter} of {day.isoformat()}",
        "ServiceCategory": category,
        "ServiceName": meter,
        "ProviderName": provider,
        "PublisherName": provider,
        "InvoiceIssuerName": issuer,
        "BillingAccountId": "larkfield-group",
        "SubAccountId": "ai-platform" if category == AI and not resource else "",
        "ResourceId": resource,
        "PricingQuantity": "1",
        "PricingUnit": unit,
        "SkuMeter": meter,
    }


def _computed_by_day(month: date, *, provider: str) -> list[tuple[date, Decimal]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.day, sum(d.amount_org) FROM costs_day d JOIN catalog_offering o ON o.id = d.offering_id "
            "WHERE o.provider = %s AND d.basis = 'computed' AND d.day >= %s AND d.day < %s "
            "GROUP BY d.day ORDER BY d.day",
            [provider, month, periods.next_month(month)],
        )
        return list(cursor.fetchall())

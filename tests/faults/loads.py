"""Loads as the reading process leaves them, made directly: for tests that need hundreds of them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from django.db import connection, transaction

from apps.costs import services as costs
from apps.sources.models import Pull
from apps.usage import services as usage
from apps.usage.staging import Published

_COUNT, _MONEY = pa.decimal128(38, 0), pa.decimal128(38, 18)
_HOURS = pa.schema([
    ("usage_key", pa.string()), ("provider", pa.string()), ("model", pa.string()), ("call_kind", pa.string()),
    ("service_tier", pa.string()), ("prompt_band", pa.int16()), ("hour", pa.timestamp("us")), ("requests", pa.int64()),
    *((name, _COUNT) for name in ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning")),
    *((name, _MONEY) for name in ("gpu_seconds", "gpu_busy_seconds", "reported_cost")), ("currency", pa.string()),
    ("latency_counts", pa.list_(pa.int64())), ("latency_sum_ms", _MONEY), ("ttft_counts", pa.list_(pa.int64())),
    ("flags", pa.int32()),
])  # fmt: skip
_CHARGES = pa.schema([
    ("charge_start", pa.timestamp("us")), ("charge_end", pa.timestamp("us")), ("billing_month", pa.date32()),
    ("category", pa.string()), ("class", pa.string()), ("identity", pa.string()), ("provider", pa.string()),
    ("model", pa.string()), ("service_category", pa.string()), ("service_subcategory", pa.string()),
    ("meter", pa.string()), ("quantity", _MONEY), ("unit", pa.string()),
    *((name, _MONEY) for name in ("billed", "effective", "list", "contracted")), ("currency", pa.string()),
    ("row_digest", pa.string()), ("occurrence", pa.int32()), ("extra", pa.string()),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """What tells two hours of one part apart."""

    usage_key: str
    model: str
    hour: datetime
    call_kind: str = "token"
    provider: str = "openai"
    service_tier: str = "standard"
    prompt_band: int = 0


@dataclass(frozen=True, slots=True)
class Used:
    """Disjoint tokens of an hour, and what it cost by the source's own word."""

    requests: int | None
    input: int | None = None
    cached: int | None = None
    output: int | None = None
    gpu_seconds: int | None = None
    gpu_busy_seconds: int | None = None
    reported_cost: Decimal | None = None
    currency: str | None = None


def write_hours(rows: Mapping[Key, Used], work_dir: Path) -> None:
    table = [{**asdict(key), **asdict(used), "hour": _naive(key.hour), "flags": 0} for key, used in rows.items()]
    pq.write_table(pa.Table.from_pylist(table, _HOURS), work_dir / "hours.parquet")


def publish_hours(pull: Pull, rows: Mapping[Key, Used], work_dir: Path) -> Published:
    write_hours(rows, work_dir)
    return _publish(pull, [key.hour for key in rows], work_dir)


def publish_charges(pull: Pull, rows: Iterable[Mapping[str, object]], work_dir: Path, *, usable: bool) -> Published:
    table = [dict(row) for row in rows]
    times = [row["charge_start"] for row in table]
    for row in table:
        row |= {name: _naive(row[name]) for name in ("charge_start", "charge_end")}
    pq.write_table(pa.Table.from_pylist(table, _CHARGES), work_dir / "charges.parquet")
    (work_dir / "result.json").write_text(json.dumps({"effective_cost_usable": usable}))
    return _publish(pull, times, work_dir)


def _publish(pull: Pull, times: list[datetime], work_dir: Path) -> Published:
    if times:
        usage.make_room(first=min(times), last=max(times))
    with transaction.atomic():
        published = usage.publish(pull=pull, work_dir=work_dir)
        mark_touched()
    return published


def undo(pull: Pull) -> None:
    with transaction.atomic():
        usage.undo(pull=pull)
        mark_touched()
        Pull.objects.filter(pk=pull.pk).update(state=Pull.State.UNDONE)


def mark_touched() -> None:
    """Queue what was touched. Inside one long transaction the table outlives its use and is emptied by hand."""
    costs.mark_dirty_touched("test")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE usage_touched")


def _naive(moment: object) -> datetime:
    assert isinstance(moment, datetime)
    return moment.astimezone(UTC).replace(tzinfo=None)

"""What an import would do, before anybody asks for it: the preview of its file, joined with what the ledger knows."""

import hashlib
import json
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from apps.catalog import services as catalog
from apps.catalog.bands import prompt_band, service_tier
from apps.catalog.models import Offering
from apps.core import organisation
from apps.sources import files
from apps.sources.models import Part, Pull
from apps.usage.corrections import STANDING_CHARGE
from apps.usage.fields import TOKEN_FIELDS
from apps.usage.identities import canonical_pairs, digest_of, pairs_of_key, record_identities
from apps.usage.job import Job
from apps.usage.models import Identity
from apps.usage.overlaps import Overlap, Spender, overlaps_ahead

MOST_SECONDS = 60
SAMPLE_ROWS = 10_000
MILLION = Decimal(1_000_000)
AMOUNTS = {*TOKEN_FIELDS, "latency_ms", "requests", "gpu_seconds", "cost", "billed"}


@dataclass(frozen=True, slots=True)
class ColumnSeen:
    """A column of the file and what it is taken for."""

    name: str
    first: str
    field: str
    confidence: float
    check: str


@dataclass(frozen=True, slots=True)
class RowSeen:
    """A row as it will be read. `workload` '' is unallocated; `cost` None with `is_priced` is unknown usage."""

    values: Mapping[str, Any]
    workload: str = ""
    is_priced: bool = True
    cost: Decimal | None = None
    currency: str = ""

    @property
    def spender(self) -> str:
        """Of a row of a bill: the values by which it names who spent."""
        pairs = json.loads(self.values.get("identity") or "[]")
        return " / ".join(str(value) for _, value in pairs)


@dataclass(frozen=True, slots=True)
class Trial:
    """The preview and what reading would change. `error` is a sentence about what is in the way.

    `compared_all`: overlaps and keys are those of the whole file, and not only of its first rows.
    """

    format: str = ""
    rows_total: int = 0
    columns: list[ColumnSeen] = field(default_factory=list)
    asks_zone: bool = False
    asks_unit: bool = False
    asks_origin: bool = False
    unit_guess: str = "iso"
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    hint: str = ""
    sample_rows: int = 0
    sample_rejected: int = 0
    hours: int = 0
    first_hour: datetime | None = None
    last_hour: datetime | None = None
    hours_there: int = 0
    keys_known: int = 0
    keys_new: int = 0
    priced: list[str] = field(default_factory=list)
    unpriced: list[str] = field(default_factory=list)
    overlaps: list[Overlap] = field(default_factory=list)
    compared_all: bool = False
    rows: list[RowSeen] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    billed_cost: str | None = None

    @property
    def is_whole(self) -> bool:
        """The sample is the file: figures are exact and not about right."""
        return 0 < self.sample_rows < SAMPLE_ROWS

    @property
    def to_check(self) -> int:
        return sum(bool(column.check) for column in self.columns)

    @property
    def guessed(self) -> int:
        return sum(bool(column.field) and not column.check for column in self.columns)


def trial_of(*, pull: Pull, options: Mapping[str, Any], format: str = "") -> Trial:  # noqa: A002
    """Preview the file of a draft with these options; the same question twice reads the file once."""
    seen = _preview(pull, options, format)
    trial = Trial(
        format=seen.get("format", format),
        rows_total=seen.get("rows_total", 0),
        columns=[ColumnSeen(**column) for column in seen["columns"]],
        missing=seen.get("missing", []),
        error=seen["error"],
        # Hints name options of the command line; the page has fields for them.
        hint="" if "--" in seen["hint"] else seen["hint"],
        rejects=seen.get("rejects", []),
        sample_rows=seen.get("sample_rows", 0),
        sample_rejected=seen.get("sample_rejected", 0),
        hours=seen.get("hours", 0),
        billed_cost=seen.get("billed_cost"),
        rows=[RowSeen(_with_numbers(row)) for row in seen.get("rows", [])],
        asks_zone=seen.get("asks_zone", False),
        asks_unit=seen.get("asks_unit", False),
        asks_origin=seen.get("asks_origin", False) or "--time-origin" in seen["hint"],
        unit_guess=seen.get("unit_guess", "iso"),
        notes=seen.get("notes", []),
        compared_all=seen.get("compared_all", False),
    )
    return _joined(trial, seen, pull.part) if seen.get("first_hour") else trial


def _with_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Amounts travel as text, so that none is rounded on the way."""
    return {name: Decimal(value) if name in AMOUNTS and value else value for name, value in row.items()}


# --- The process ------------------------------------------------------------------------------------------------------


def _preview(pull: Pull, options: Mapping[str, Any], format_: str) -> dict[str, Any]:
    """Starting the process takes seconds, so what it said to the same question is kept beside the file.

    Two that ask at once each have a folder of their own, and the answer appears whole or not at all.
    """
    asked = json.dumps([pull.digest, format_, dict(options), pull.part.source.zone], sort_keys=True)
    kept = files.upload_folder(pull.pk) / "previews" / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
    if not kept.exists():
        work = files.fresh_folder(kept.with_name(uuid.uuid4().hex))
        try:
            whole = work / "preview.json"
            whole.write_text(json.dumps(_run(_job(pull, options, format_, work), work)))
            whole.replace(kept)
        finally:
            files.remove(work)
    seen: dict[str, Any] = json.loads(kept.read_text())
    return seen


def _job(pull: Pull, options: Mapping[str, Any], format_: str, work: Path) -> Job:
    return Job(
        paths=[str(path) for path in files.expand(pull.file_path)[:1]],
        format=format_,
        work_dir=str(work),
        columns=options.get("columns", {}),
        constants=options.get("constants", {}),
        zone=options.get("zone") or pull.part.source.zone,
        time_unit=options.get("time_unit") or "iso",
        time_origin=options.get("time_origin"),
        currency=organisation.get().currency,
    )


def _run(job: Job, work: Path) -> dict[str, Any]:
    asked = work / "job.json"
    asked.write_text(job.to_json())
    command = [sys.executable, "-m", "apps.usage.sample", str(asked)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=MOST_SECONDS, cwd=settings.PROJECT, check=False
        )
        seen: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return {"columns": [], "error": "The file cannot be looked into.", "hint": "Is it damaged? Export it again."}
    return seen


# --- What the ledger knows --------------------------------------------------------------------------------------------


def _joined(trial: Trial, seen: Mapping[str, Any], part: Part) -> Trial:
    """Ask as if the names of the file were known already, and leave nothing of it behind."""
    first, last = _instant(seen["first_hour"]), _instant(seen["last_hour"])
    is_bill = trial.format == Pull.Format.FOCUS
    canonical = canonical_pairs if is_bill else pairs_of_key
    spenders = [Spender(canonical(who), _instant(start), _instant(end)) for who, start, end in seen["spenders"]]
    digests = [digest_of(spender.pairs) for spender in spenders]
    known = Identity.objects.filter(source_id=part.source_id, digest__in=digests).count()
    shown = [] if is_bill else [row.values["usage_key"] for row in trial.rows]
    with transaction.atomic():
        offerings = catalog.resolve_many({(provider, model) for provider, model in seen["models"]})
        identities = record_identities(part.source_id, {pairs_of_key(key): first for key in shown})
        rates = _rates([offering.pk for offering in offerings.values()])
        rows = trial.rows if is_bill else [_row(row.values, offerings, identities, rates) for row in trial.rows]
        transaction.set_rollback(True)
    priced = {pair: offering.pk in rates for pair, offering in offerings.items()}
    return replace(
        trial,
        first_hour=first,
        last_hour=last,
        hours_there=_rows_there(part, is_bill=is_bill),
        keys_known=known,
        keys_new=len(spenders) - known,
        priced=sorted({str(offerings[pair]) for pair, has_price in priced.items() if has_price}),
        unpriced=sorted({pair[1] or "model not reported" for pair, has_price in priced.items() if not has_price}),
        overlaps=overlaps_ahead(part=part, spenders=spenders),
        rows=rows,
    )


Rates = dict[int, list[tuple[Any, ...]]]


def _rates(offering_ids: list[int]) -> Rates:
    found: Rates = {}
    with connection.cursor() as cursor:
        cursor.execute(_RATES, [offering_ids])
        for offering_id, *rate in cursor.fetchall():
            found.setdefault(offering_id, []).append(tuple(rate))
    return found


def _row(
    values: Mapping[str, Any],
    offerings: Mapping[tuple[str | None, str | None], Offering],
    identities: Mapping[str, int],
    rates: Rates,
) -> RowSeen:
    offering = offerings.get((values["provider"], values["model"]))
    if values["problem"] or offering is None or not values["at"]:
        return RowSeen(values)
    at = _instant(values["at"])
    cost, currency = _cost(values, rates.get(offering.pk, []), at)
    workload = _workload(identities.get(pairs_of_key(values["usage_key"])), at)
    return RowSeen(values, workload, offering.pk in rates, cost, currency)


def _cost(values: Mapping[str, Any], rates: list[tuple[Any, ...]], at: datetime) -> tuple[Decimal | None, str]:
    """What one row comes to at the rates that hold then. Boundary figures: the cache is part of the input."""
    tokens = values.get("input_tokens")
    tier = service_tier(values.get("service_tier"))
    band = prompt_band(int(tokens)) if tokens is not None and "requests" not in values else -1
    for rate_tier, rate_band, start, end, currency, *prices in rates:
        if (rate_tier, rate_band) == (tier.value, band) and start <= at < end and tokens is not None:
            paid = sum(count * (price or 0) for count, price in zip(_disjoint(values), prices, strict=True))
            return Decimal(paid) / MILLION, currency
    return None, ""


def _disjoint(values: Mapping[str, Any]) -> list[Decimal]:
    """Input, cached, cache write, cache write of an hour, output, reasoning: none of them inside another."""
    given = {name: Decimal(values.get(name) or 0) for name in TOKEN_FIELDS}
    cached, written, for_an_hour = (
        given[name] for name in ("cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    )
    reasoning = given["reasoning_tokens"]
    return [
        given["input_tokens"] - cached - written,
        cached,
        written - for_an_hour,
        for_an_hour,
        given["output_tokens"] - reasoning,
        reasoning,
    ]


def _workload(identity_id: int | None, at: datetime) -> str:
    with connection.cursor() as cursor:
        cursor.execute(_WORKLOAD, [identity_id, at, at])
        found = cursor.fetchone()
    return found[0] if found else ""


def _rows_there(part: Part, *, is_bill: bool) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_CHARGES_THERE if is_bill else _HOURS_THERE, [part.pk])
        return int(cursor.fetchone()[0])


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


_RATES = """
SELECT offering_id, service_tier, prompt_band, valid_from, valid_to, currency,
    input, cached, cache_write, cache_write_1h, output, reasoning
FROM catalog_effective_rate WHERE offering_id = ANY(%s)
"""
_WORKLOAD = """
SELECT w.name FROM workloads_attribution a JOIN workloads_workload w ON w.id = a.workload_id
WHERE a.identity_id = %s AND a.valid_from <= %s AND a.valid_to > %s
"""
_HOURS_THERE = """
SELECT count(DISTINCT h.hour) FROM usage_series s JOIN usage_hour h ON h.series_id = s.id WHERE s.part_id = %s
"""
_CHARGES_THERE = f"SELECT count(*) FROM usage_charge c WHERE c.part_id = %s AND {STANDING_CHARGE}"

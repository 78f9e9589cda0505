"""A month of many workloads at once: the facts by one statement, the verdict for each in Python, all written together.

What is to be worked out stands in queues that are filled by whatever changes the facts, in the same transaction. The
months are taken from the oldest on, since whether cost rises faster than value looks back on three of them.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from apps.catalog.edges import LATENCY_EDGES_MS
from apps.core import organisation, periods
from apps.core.models import Period
from apps.core.money import plain
from apps.economics import months_sql
from apps.economics.arithmetic import EXACT, Appraisal, Labour, Span, Three, appraise, rounded
from apps.economics.models import EconomicsMonth
from apps.economics.verdict import (
    DEFAULTS,
    Band,
    CaseState,
    Facts,
    MonthRatios,
    Settings,
    Verdict,
    band_of,
    verdict,
)

ECONOMICS_LOCK: Final = 7_307
CASES: Final = ("low", "base", "high")
RECENT: Final = timedelta(days=62)  # a late source is only felt in months whose data may still come


@dataclass(frozen=True, slots=True)
class _Month:
    """What is the same for every workload of a month."""

    month: date
    end: date
    is_open: bool
    is_signed: bool
    currency: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Row:
    """One workload's facts as `months_sql.FACTS` gives them, in its order."""

    workload_id: int
    cost: Decimal | None
    components: str
    requests: int
    delivered: int
    tokens: Decimal
    unpriced_tokens: Decimal
    unpriced_lines: int
    unconverted_lines: int
    late_lines: int
    lines: int
    produced: Decimal | None
    useful: Decimal | None
    reviewed: Decimal | None
    is_declared: bool
    usage_days: int
    uncounted_days: int
    spans: str
    is_attested: bool
    is_waiting: bool
    is_expired: bool
    latency_counts: list[int] | None
    band_limit_ms: int | None
    is_mandated: bool
    past: str
    row_id: int | None
    row_revision: int | None
    row_state: str | None
    row_digest: str | None


def recompute_dirty(*, today: date | None = None) -> int:
    """Work out every queued month; returns how many of them were, counting a workload's month as one."""
    today = today or _today()
    _take_changes(today)
    total = 0
    while (month := _oldest_dirty()) is not None:
        total += _recompute_month(month, today)
    return total


@transaction.atomic
def freeze(*, month: date, today: date | None = None) -> int:
    """Sign what stands: each workload's newest row of the month, worked out anew before. Returns how many rows.

    Called inside the transaction that signs the month; from its commit on, later facts stand beside it as restated.
    """
    recompute_dirty(today=today)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ECONOMICS_LOCK])
        cursor.execute(months_sql.UNSIGN_OLD, {"month": month})
        cursor.execute(months_sql.SIGN, {"month": month})
        return int(cursor.rowcount)


def mark_month(*, month: date, reason: str) -> int:
    """Queue a whole month of everybody; for changes that reach all of them. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK_MONTH, {"month": month, "reason": reason})
        return int(cursor.rowcount)


def settings_of_organisation() -> Settings:
    """The thresholds: those of the ledger's page, unless the organisation says otherwise under "verdict"."""
    said = organisation.get().settings.get("verdict", {})
    known = asdict(DEFAULTS)
    return Settings(**{name: type(known[name])(value) for name, value in said.items() if name in known})


# --- Steps ------------------------------------------------------------------------------------------------------------


@transaction.atomic
def _take_changes(today: date) -> None:
    """From days of cost that changed to months to be worked out, with how fast those days were."""
    values: dict[str, Any] = {"zone": organisation.get().zone, "today": today}
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ECONOMICS_LOCK])
        # Most often nothing has changed, and a table made for nothing every ten seconds wears the catalogue out.
        cursor.execute("SELECT EXISTS (SELECT FROM costs_changed_day)")
        if cursor.fetchone()[0]:
            _take_days(cursor, values)
        cursor.execute(months_sql.MARK_OVER, values)
        cursor.execute(months_sql.MARK_PROMISES, values)


def _take_days(cursor: CursorWrapper, values: dict[str, Any]) -> None:
    for statement in (months_sql.TAKE_DAYS, "ANALYZE economics_day", months_sql.SERVICE_DAYS, months_sql.MARK_DAYS):
        cursor.execute(statement, values)
    cursor.execute("DROP TABLE economics_day")


def _oldest_dirty() -> date | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(month) FROM economics_dirty")
        found: date | None = cursor.fetchone()[0]
    return found


@transaction.atomic
def _recompute_month(month: date, today: date) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ECONOMICS_LOCK])
        cursor.execute(months_sql.TAKE_MONTH, {"month": month})
        taken = int(cursor.rowcount)
        cursor.execute("ANALYZE economics_todo")
        about, settings = _about(month, today), settings_of_organisation()
        cursor.execute(months_sql.FACTS, about.values)
        with localcontext(EXACT):
            rows = [_worked_out(about, settings, _Row(*row)) for row in cursor.fetchall()]
        changed = [row for row in rows if row is not None]
        _write(cursor, changed)
        cursor.execute(months_sql.LOOKED_AT, {"month": month})
        moved = [row["workload_id"] for row in changed]
        cursor.execute(months_sql.MARK_FOLLOWING, {"moved": moved, "month": month})
        cursor.execute("DROP TABLE economics_todo")
    return taken


def _about(month: date, today: date) -> _Month:
    company = organisation.get()
    end = periods.next_month(month)
    values = {
        "month": month,
        "end": end,
        "last": end - timedelta(days=1),
        "ends_at": datetime.combine(end, time(), tzinfo=ZoneInfo(company.zone)).astimezone(UTC),
        "is_recent": end + RECENT > today,
    }
    is_signed = Period.objects.filter(month=month, state=Period.State.SIGNED).exists()
    return _Month(month, end, end > today, is_signed, company.currency, values)


def _worked_out(about: _Month, settings: Settings, row: _Row) -> dict[str, Any] | None:
    """The row to be written; None where nothing of it has changed."""
    facts = facts_of(about.is_open, about.currency, settings, about.month, row)
    found = verdict(facts, settings)
    values = {
        "workload_id": row.workload_id,
        "month": about.month,
        "is_complete": not about.is_open,
        "cost": facts.appraisal.cost,
        "components": row.components,
        "requests": row.requests,
        "delivered": row.delivered,
        "produced": _stored(row.produced),
        "useful": _stored(row.useful),
        "reviewed": _stored(row.reviewed),
        "is_declared": row.is_declared,
        **_cases("value", facts.appraisal.value),
        **_cases("review", facts.appraisal.review),
        **_cases("net", facts.appraisal.net),
        "verdict": found.word.value,
        "reasons": json.dumps(verdict_as_json(found)),
        "coverage": json.dumps(_coverage(facts, row)),
        "spans": row.spans,
    }
    digest = hashlib.sha256(repr(values).encode()).hexdigest()
    if digest == row.row_digest:
        return None
    return {**values, "inputs_digest": digest, **_place(about, row)}


def _place(about: _Month, row: _Row) -> dict[str, Any]:
    """Which row it becomes: what somebody signed stays as it is, and a new one stands beside it."""
    if row.row_id is None:
        return {"revision": int(about.is_signed), "state": _state(is_beside=about.is_signed)}
    if row.row_state == EconomicsMonth.State.SIGNED:
        return {"revision": (row.row_revision or 0) + 1, "state": _state(is_beside=True)}
    return {"revision": row.row_revision, "state": row.row_state}


def _state(*, is_beside: bool) -> str:
    return (EconomicsMonth.State.RESTATED if is_beside else EconomicsMonth.State.PROVISIONAL).value


def _write(cursor: CursorWrapper, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    cursor.execute(months_sql.NEW)
    with cursor.cursor.copy(months_sql.COPY) as copy:
        for row in rows:
            copy.write_row([row[name] for name in months_sql.COLUMNS])
    for statement in (months_sql.STEP_BACK, months_sql.WRITE_OVER, months_sql.WRITE_NEW):
        cursor.execute(statement)
    cursor.execute("DROP TABLE economics_new")


# --- From a row to facts ----------------------------------------------------------------------------------------------


def facts_of(is_open: bool, currency: str, settings: Settings, month: date, row: _Row) -> Facts:
    """Everything that the verdict rests on."""
    cost = _cost(row)
    spans = spans_of(json.loads(row.spans))
    appraisal = appraise(spans or [], cost=cost, useful=row.useful) if spans is not None else _worthless(row, cost)
    produced = row.produced
    return Facts(
        appraisal=appraisal,
        is_open=is_open,
        case=_case(row),
        usage_days=row.usage_days,
        missing_days=row.usage_days if produced is None else row.uncounted_days,
        unknown_cost_share=_unknown_share(row),
        produced=produced,
        reviewed_known=row.reviewed is not None,
        is_rate_known=spans is not None,
        is_declared=row.is_declared,
        band=_band(row, settings),
        months=() if is_open else _months(month, row, appraisal),
        is_mandated=row.is_mandated,
        currency=currency,
    )


def spans_of(found: Iterable[dict[str, Any]]) -> list[Span] | None:
    """The stored days on which a case counted; None where the rate of one of them is unknown."""
    spans = []
    for one in found:
        if one["hourly_rate"] is None:
            return None
        assumed = {name: Three(*(Decimal(said[case]) for case in CASES)) for name, said in one["assumptions"].items()}
        spans.append(
            Span(
                case=Labour(**assumed),
                hourly_rate=Decimal(one["hourly_rate"]),
                review_rate=_decimal(one["review_rate"]),
                useful=Decimal(one["useful"]),
                reviewed=_decimal(one["reviewed"]),
            )
        )
    return spans


def _worthless(row: _Row, cost: Decimal | None) -> Appraisal:
    return Appraisal(row.useful, cost, None, None, None)


def _cost(row: _Row) -> Decimal | None:
    """A sum of lines that all lack a price or an exchange rate is not zero; it is unknown."""
    if row.cost is None or (row.cost == 0 and 0 < row.lines <= row.unpriced_lines + row.unconverted_lines):
        return None
    return row.cost


def _unknown_share(row: _Row) -> Decimal:
    if not row.lines:
        return Decimal(0)
    of_tokens = row.unpriced_tokens / row.tokens if row.tokens and row.unpriced_tokens else Decimal(0)
    unpriced = of_tokens or Decimal(row.unpriced_lines) / row.lines
    return max(unpriced, Decimal(row.unconverted_lines) / row.lines, Decimal(row.late_lines) / row.lines)


def _case(row: _Row) -> CaseState:
    if row.is_attested:
        return CaseState.ATTESTED
    if row.is_waiting:
        return CaseState.WAITING
    return CaseState.EXPIRED if row.is_expired else CaseState.NONE


def _band(row: _Row, settings: Settings) -> Band:
    if row.band_limit_ms is None or not row.latency_counts:
        return Band.UNKNOWN
    within, delivered = _within(row)
    return band_of(delivered=delivered, within=within, settings=settings)


def _within(row: _Row) -> tuple[int, int]:
    counts = row.latency_counts or []
    edges = sum(edge <= (row.band_limit_ms or 0) for edge in LATENCY_EDGES_MS)
    return sum(counts[:edges]), sum(counts)


def _months(month: date, row: _Row, now: Appraisal) -> list[MonthRatios]:
    past = [
        MonthRatios(
            date.fromisoformat(one["month"]),
            _per(_decimal(one["cost"]), _decimal(one["useful"])),
            _per(_decimal(one["value"]), _decimal(one["useful"])),
        )
        for one in json.loads(row.past)
    ]
    value = now.value.base if now.value else None
    return [*past, MonthRatios(month, _per(now.cost, now.useful), _per(value, now.useful))]


def _per(amount: Decimal | None, number: Decimal | None) -> Decimal | None:
    return amount / number if amount is not None and number else None


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


# --- As it is stored --------------------------------------------------------------------------------------------------


def verdict_as_json(found: Verdict) -> dict[str, Any]:
    """The verdict in full; figures as text."""
    return {
        "word": found.word.value,
        "rule": found.rule.value,
        "sentence": found.sentence,
        "numbers": [{"name": n.name, "value": _text(n.value), "limit": _text(n.limit)} for n in found.numbers],
        "would_change": list(found.would_change),
        "missing": [{"gap": gap.gap.value, "what": gap.what, "who": gap.who.value} for gap in found.missing],
        "is_so_far": found.is_so_far,
        "is_capped": found.is_capped,
    }


def _coverage(facts: Facts, row: _Row) -> dict[str, Any]:
    within, delivered = _within(row)
    return {
        "usage_days": facts.usage_days,
        "missing_days": facts.missing_days,
        "unknown_cost_share": _text(facts.unknown_cost_share),
        "unpriced_tokens": plain(row.unpriced_tokens),
        "unconverted_lines": row.unconverted_lines,
        "late_lines": row.late_lines,
        "lines": row.lines,
        "case": facts.case.value,
        "band": facts.band.value,
        "band_limit_ms": row.band_limit_ms,
        "calls_within_band": within if row.band_limit_ms else None,
        "calls_measured": delivered or None,
        "is_mandated": facts.is_mandated,
    }


def _cases(name: str, figure: Three | None) -> dict[str, Decimal | None]:
    return {f"{name}_{case}": _stored(getattr(figure, case)) if figure else None for case in CASES}


def _stored(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else rounded(amount)


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(rounded(amount))


def _today() -> date:
    return timezone.now().astimezone(organisation.zone()).date()


_MARK_MONTH = """
INSERT INTO economics_dirty (workload_id, month, reason, recorded_at)
SELECT DISTINCT workload_id, %(month)s::date, %(reason)s, now() FROM (
    SELECT workload_id FROM economics_month WHERE month = %(month)s
    UNION SELECT workload_id FROM costs_owner_month WHERE charge_month = %(month)s AND workload_id IS NOT NULL
    UNION SELECT workload_id FROM economics_outcome
        WHERE period_start >= %(month)s AND period_start < %(month)s::date + interval '1 month'
) known
"""

"""A month of many workloads at once: the facts by one statement, the verdict for each in Python, all written together.

What is to be worked out stands in queues that are filled by whatever changes the facts, in the same transaction. The
months are taken from the oldest on, since whether cost rises faster than value looks back on three of them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Any, Final

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from apps.core import organisation
from apps.core.models import Period
from apps.core.money import plain
from apps.economics import deliveries, months_sql
from apps.economics.arithmetic import EXACT, Three, rounded
from apps.economics.facts import CASES, About, Row, about, facts_of, rows_of, within_band
from apps.economics.models import EconomicsMonth
from apps.economics.verdict import Facts, Verdict, verdict

ECONOMICS_LOCK: Final = 7_307


@dataclass(frozen=True, slots=True)
class _Month:
    """What is the same for every workload of a month."""

    about: About
    is_signed: bool

    @property
    def month(self) -> date:
        return self.about.month


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
    notice_sources(today=today)
    recompute_dirty(today=today)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ECONOMICS_LOCK])
        cursor.execute(months_sql.UNSIGN_OLD, {"month": month})
        cursor.execute(months_sql.SIGN, {"month": month})
        return int(cursor.rowcount)


@transaction.atomic
def notice_sources(*, today: date | None = None) -> int:
    """Queue the months of whatever rests on a source that has fallen silent, or speaks again; how many they are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ECONOMICS_LOCK])
    return deliveries.notice(today=today or _today())


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
        cursor.execute(months_sql.TAKE_PROMISES)


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
        working = _about(month, today)
        with localcontext(EXACT):
            rows = [_worked_out(working, row) for row in rows_of(cursor, working.about)]
        changed = [row for row in rows if row is not None]
        _write(cursor, changed)
        moved = [row["workload_id"] for row in changed]
        cursor.execute(months_sql.MARK_FOLLOWING, {"moved": moved, "month": month})
        cursor.execute("DROP TABLE economics_todo")
    return taken


def _about(month: date, today: date) -> _Month:
    is_signed = Period.objects.filter(month=month, state=Period.State.SIGNED).exists()
    return _Month(about(month, today), is_signed)


def _worked_out(working: _Month, row: Row) -> dict[str, Any] | None:
    """The row to be written; None where nothing of it has changed."""
    facts = facts_of(working.about, row)
    found = verdict(facts, working.about.settings)
    values = {
        "workload_id": row.workload_id,
        "month": working.month,
        "is_complete": not working.about.is_open,
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
    return {**values, "inputs_digest": digest, **_place(working, row)}


def _place(working: _Month, row: Row) -> dict[str, Any]:
    """Which row it becomes: what somebody signed stays as it is, and a new one stands beside it."""
    if row.row_id is None:
        return {"revision": int(working.is_signed), "state": _state(is_beside=working.is_signed)}
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


def _coverage(facts: Facts, row: Row) -> dict[str, Any]:
    within, delivered = within_band(row)
    return {
        "usage_days": facts.usage_days,
        "missing_days": facts.missing_days,
        "unknown_cost_share": _text(facts.unknown_cost_share),
        "unpriced_tokens": plain(row.unpriced_tokens),
        "unpriced_lines": row.unpriced_lines,
        "unconverted_lines": row.unconverted_lines,
        "missing_share": _text(row.missing_share),
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

"""From the database to the facts of a verdict: one way for the months that are kept and for the preview of a form."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.backends.utils import CursorWrapper

from apps.catalog.edges import LATENCY_EDGES_MS
from apps.core import organisation, periods
from apps.costs.sums import known_sum
from apps.economics import months_sql
from apps.economics.arithmetic import EXACT, Appraisal, Labour, Span, Three, appraise
from apps.economics.thresholds import thresholds
from apps.economics.verdict import Band, CaseState, Facts, MonthRatios, Settings, band_of

CASES: Final = ("low", "base", "high")
ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class About:
    """What is the same for every workload of a month; `values` are the parameters of its statement."""

    month: date
    is_open: bool
    currency: str
    settings: Settings
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One workload's facts as `months_sql.FACTS` gives them, in its order.

    `missing_share` is the part of the cost that sources have not delivered; `blind_lines` have neither a price nor
    tokens by which to measure them.
    """

    workload_id: int
    cost: Decimal | None
    components: str
    requests: int
    delivered: int
    tokens: Decimal
    unpriced_tokens: Decimal
    unpriced_lines: int
    blind_lines: int
    unconverted_lines: int
    missing_share: Decimal
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


@dataclass(frozen=True, slots=True)
class AssumedCase:
    """A value case that nobody has attested yet, as if it counted from `starts` to `ends` (exclusive)."""

    labour: Labour
    grade_id: int
    review_grade_id: int | None
    starts: date
    ends: date


def about(month: date, today: date) -> About:
    company, end = organisation.get(), periods.next_month(month)
    values = {
        "month": month,
        "end": end,
        "last": end - timedelta(days=1),
        "before": periods.previous_month(month),
        "ends_at": datetime.combine(end, time(), tzinfo=ZoneInfo(company.zone)).astimezone(UTC),
    }
    return About(month, end > today, company.currency, thresholds(company), values)


def rows_of(cursor: CursorWrapper, month: About) -> list[Row]:
    """The facts of every workload in `economics_todo`."""
    cursor.execute(_statement(months_sql.TODO), month.values)
    return [Row(*row) for row in cursor.fetchall()]


def row_of(month: About, *, workload_id: int) -> Row:
    """The facts of one workload as the books have them now."""
    return _row(_statement(months_sql.ONE), {**month.values, "workload": workload_id})


def row_with(month: About, *, workload_id: int, delivered: int, enters: bool) -> Row:
    """The same, with what was declared of the calls counted on so many delivered ones more; `enters` says whether
    there is any usage with them."""
    values = {**month.values, "workload": workload_id, "entering": delivered, "enters": enters}
    return _row(_statement(months_sql.ONE, calls=months_sql.CALLS_WITH_ENTERING), values)


def facts_if(month: About, *, workload_id: int, case: AssumedCase) -> tuple[Facts, list[Span]]:
    """What the month would rest on if the case were attested, and the spans on which cases would count then."""
    values = {
        **month.values,
        "workload": workload_id,
        "assumptions": json.dumps(labour_as_json(case.labour)),
        "grade": case.grade_id,
        "review_grade": case.review_grade_id,
        "starts": case.starts,
        "ends": case.ends,
    }
    with localcontext(EXACT):
        row = _row(_statement(months_sql.ONE, cases=months_sql.ASSUMED_CASE), values)
        return facts_of(month, row), [span for span in map(span_of, json.loads(row.spans)) if span]


def facts_of(month: About, row: Row) -> Facts:
    """Everything that the verdict rests on."""
    cost, told = _cost(row), json.loads(row.spans)
    spans = [span_of(one) for one in told]
    is_rate_known = _is_rate_known(told, spans, month.settings)
    known = [span for span in spans if span is not None] if is_rate_known else []
    appraisal = appraise(known, cost=cost, useful=row.useful)
    produced = row.produced
    return Facts(
        appraisal=appraisal,
        is_open=month.is_open,
        case=_case(row),
        usage_days=row.usage_days,
        missing_days=row.usage_days if produced is None else row.uncounted_days,
        unknown_cost_share=_unknown_share(row),
        produced=produced,
        reviewed_known=row.reviewed is not None,
        is_rate_known=is_rate_known,
        is_declared=row.is_declared,
        band=_band(row, month.settings),
        band_share=_band_share(row),
        months=() if month.is_open else _months(month.month, row, appraisal),
        is_mandated=row.is_mandated,
        currency=month.currency,
    )


def span_of(one: Mapping[str, Any]) -> Span | None:
    """Stored days on which a case counted; None where their hourly rate is unknown."""
    if one["hourly_rate"] is None:
        return None
    assumed = {name: Three(*(Decimal(said[case]) for case in CASES)) for name, said in one["assumptions"].items()}
    return Span(
        case=Labour(**assumed),
        hourly_rate=Decimal(one["hourly_rate"]),
        review_rate=_decimal(one["review_rate"]),
        useful=Decimal(one["useful"]),
        reviewed=_decimal(one["reviewed"]),
    )


def labour_as_json(labour: Labour) -> dict[str, dict[str, str]]:
    names = ("minutes_saved", "realisation", "review_minutes")
    return {name: {case: str(getattr(getattr(labour, name), case)) for case in CASES} for name in names}


def within_band(row: Row) -> tuple[int, int]:
    """How many of the measured calls stayed within the limit, and how many were measured."""
    counts = row.latency_counts or []
    edges = sum(edge <= (row.band_limit_ms or 0) for edge in LATENCY_EDGES_MS)
    return sum(counts[:edges]), sum(counts)


# --- Below ------------------------------------------------------------------------------------------------------------


def _statement(todo: str, *, cases: str = months_sql.CASES, calls: str = months_sql.CALLS) -> str:
    return months_sql.FACTS.replace("{todo}", todo).replace("{cases}", cases).replace("{calls}", calls)


def _row(statement: str, values: Mapping[str, Any]) -> Row:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return Row(*cursor.fetchone())


def _is_rate_known(told: Iterable[Mapping[str, Any]], spans: list[Span | None], settings: Settings) -> bool:
    """Days before the first rate of a grade claim nothing, as days without a case do; most of them must have one."""
    if not spans or None not in spans:
        return True
    useful = [Decimal(one["useful"]) for one in told]
    unknown = sum((many for many, span in zip(useful, spans, strict=True) if span is None), ZERO)
    return any(spans) and unknown <= settings.missing_days_share * sum(useful, ZERO)


def _cost(row: Row) -> Decimal | None:
    return known_sum(row.cost, lines=row.lines, unknown=row.unpriced_lines + row.unconverted_lines)


def _unknown_share(row: Row) -> Decimal | None:
    """The part of the cost that nobody knows; None where it cannot be told how large that part is."""
    if row.blind_lines or row.unconverted_lines:
        return None
    unpriced = row.unpriced_tokens / row.tokens if row.tokens and row.unpriced_tokens else ZERO
    return min(unpriced + row.missing_share, Decimal(1))


def _case(row: Row) -> CaseState:
    if row.is_attested:
        return CaseState.ATTESTED
    if row.is_waiting:
        return CaseState.WAITING
    return CaseState.EXPIRED if row.is_expired else CaseState.NONE


def _band(row: Row, settings: Settings) -> Band:
    if row.band_limit_ms is None or not row.latency_counts:
        return Band.UNKNOWN
    within, delivered = within_band(row)
    return band_of(delivered=delivered, within=within, settings=settings)


def _band_share(row: Row) -> Decimal | None:
    within, delivered = within_band(row)
    return Decimal(within) / delivered if row.band_limit_ms is not None and delivered else None


def _months(month: date, row: Row, now: Appraisal) -> list[MonthRatios]:
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

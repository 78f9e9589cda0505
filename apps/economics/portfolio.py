"""All workloads of a month at once: sums by verdict, one page of rows, points for the chart; all of it summed in SQL.

A workload of which nothing is known in the month is there too, as unproven: it is counted, and never put at zero.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from apps.accounts import rights
from apps.core import periods
from apps.core.actor import Actor
from apps.economics.models import EconomicsMonth
from apps.economics.verdict import Band, Word
from apps.workloads.models import Workload

SORTS: Final = {
    "name": "lower(w.name)",
    "cost": "e.cost",
    "value": "e.value_base",
    "net": "e.net_base",
    "useful": "e.useful",
    "verdict": "array_position('{stop,fix,unproven,keep,scale}'::text[], coalesce(e.verdict, 'unproven')::text)",
    "stake": "greatest(abs(coalesce(e.net_base, 0)), coalesce(e.cost, 0))",
}
RANKS: Final = {
    "verdict": "array_position('{stop,fix,unproven,keep,scale}'::text[], e.verdict::text)",
    "value": "CASE WHEN e.verdict <> 'unproven' THEN e.value_base END",
    "net": "CASE WHEN e.verdict <> 'unproven' THEN e.net_base END",
    "cost_useful": "e.cost / nullif(e.useful, 0)",
    "value_useful": "CASE WHEN e.verdict <> 'unproven' THEN e.value_base / nullif(e.useful, 0) END",
}


@dataclass(frozen=True, slots=True)
class SparkPoint:
    """A month of a sparkline; None is unknown."""

    month: date
    cost: Decimal | None
    value: Decimal | None
    useful: Decimal | None = None

    @property
    def cost_per_useful(self) -> Decimal | None:
        return self.cost / self.useful if self.cost is not None and self.useful else None

    @property
    def value_per_useful(self) -> Decimal | None:
        return self.value / self.useful if self.value is not None and self.useful else None


@dataclass(frozen=True, slots=True)
class PortfolioRow:
    """One workload in a month, as it is known now; `signed_net` and `signed_cost` where somebody signed it."""

    workload_id: int
    slug: str
    name: str
    output_unit: str
    cost_centre: str
    verdict: Word
    sentence: str
    cost: Decimal | None
    useful: Decimal | None
    value: Decimal | None
    net_low: Decimal | None
    net: Decimal | None
    net_high: Decimal | None
    state: str
    is_declared: bool
    signed_cost: Decimal | None
    signed_net: Decimal | None
    months: tuple[SparkPoint, ...] = ()

    @property
    def cost_per_useful(self) -> Decimal | None:
        return self.cost / self.useful if self.cost is not None and self.useful else None

    @property
    def value_per_useful(self) -> Decimal | None:
        return self.value / self.useful if self.value is not None and self.useful else None

    @property
    def roi(self) -> Decimal | None:
        return self.net / self.cost if self.net is not None and self.cost else None

    @property
    def is_restated(self) -> bool:
        return self.state == "restated"


@dataclass(frozen=True, slots=True)
class VerdictSum:
    """What all workloads with one word come to. `value` and `net` are of those of which they are known.

    `without_cost`, `without_output` and `without_value` count those that no chart with logarithms can show, each once.
    """

    count: int = 0
    cost: Decimal = Decimal(0)
    value: Decimal = Decimal(0)
    net: Decimal = Decimal(0)
    value_low: Decimal = Decimal(0)
    value_high: Decimal = Decimal(0)
    without_cost: int = 0
    without_output: int = 0
    without_value: int = 0


@dataclass(frozen=True, slots=True)
class Portfolio:
    """A page of rows, and the sums of all. `cost` plus what is unallocated is what the cost pages show."""

    rows: tuple[PortfolioRow, ...]
    count: int
    by_verdict: Mapping[Word, VerdictSum]

    @property
    def cost(self) -> Decimal:
        return sum((one.cost for one in self.by_verdict.values()), Decimal(0))

    @property
    def value(self) -> Decimal:
        return sum((one.value for one in self.by_verdict.values()), Decimal(0))

    @property
    def net(self) -> Decimal:
        return sum((one.net for one in self.by_verdict.values()), Decimal(0))


@dataclass(frozen=True, slots=True)
class Point:
    """A workload in the chart: cost and value of a useful output, area by full cost."""

    workload_id: int
    slug: str
    name: str
    verdict: Word
    cost: Decimal
    useful: Decimal
    value: Decimal


def portfolio(
    *,
    actor: Actor,
    month: date,
    workloads: QuerySet[Workload] | None = None,
    verdict: str = "",
    sort: str = "-cost",
    limit: int | None = None,
    offset: int = 0,
    with_months: bool = True,
) -> Portfolio:
    """The workloads that the actor may see the money of; three statements, whatever their number.

    `workloads` narrows them first; `verdict` narrows the rows and leaves the sums by verdict whole. A `limit` of 0
    asks for the sums alone.
    """
    listed, values = _listed(actor, workloads)
    sums = {
        Word(word): VerdictSum(*figures)
        for word, *figures in _fetch(_SUMS.replace("{listed}", listed), [*values, month])
    }
    count = sums.get(Word(verdict), VerdictSum()).count if verdict else sum(one.count for one in sums.values())
    if limit == 0:
        return Portfolio((), count, sums)
    rows = _fetch(
        _ROWS.replace("{listed}", listed).replace("{order}", _order(sort)),
        [*values, month, month, verdict, verdict, limit, offset],
    )
    months = _sparklines([row[0] for row in rows], month) if with_months and rows else {}
    return Portfolio(tuple(_row(row, months) for row in rows), count, sums)


def rows_of(*, month: date, workload_ids: Collection[int]) -> dict[int, PortfolioRow]:
    """Rows with their twelve months, of workloads that somebody has chosen among those whose money the actor sees."""
    ids = list(workload_ids)
    statement = _ROWS.replace("{listed}", "SELECT unnest(%s::bigint[])").replace("{order}", "w.id")
    rows = _fetch(statement, [ids, month, month, "", "", None, 0])
    months = _sparklines(ids, month) if rows else {}
    return {row[0]: _row(row, months) for row in rows}


def points(*, actor: Actor, month: date, most: int) -> list[Point]:
    """The proven workloads whose cost and value of a useful output are known and not zero, the largest costs first."""
    listed, values = _listed(actor, None)
    found = _fetch(_POINTS.replace("{listed}", listed), [month, *values, most])
    return [Point(pk, slug, name, Word(word), *figures) for pk, slug, name, word, *figures in found]


def with_verdict(*, actor: Actor, month: date, word: str) -> QuerySet[Workload]:
    """The workloads with one word among those that the actor sees the money of; nothing known is unproven."""
    seen = Workload.objects.money_visible_to(actor)
    judged = EconomicsMonth.objects.current().filter(month=month)
    if word == Word.UNPROVEN:
        return seen.exclude(pk__in=judged.exclude(verdict=word).values("workload_id"))
    return seen.filter(pk__in=judged.filter(verdict=word).values("workload_id"))


def with_band_broken(*, actor: Actor, month: date) -> QuerySet[Workload]:
    """The workloads that answered too slowly in the month, among those that the actor sees the money of."""
    judged = EconomicsMonth.objects.current().filter(month=month, coverage__band=Band.BROKEN.value)
    return Workload.objects.money_visible_to(actor).filter(pk__in=judged.values("workload_id"))


def ranking(*, actor: Actor, month: date, by: str) -> tuple[str, list[Any]]:
    """SQL of (workload_id, rank) by a figure of `RANKS`, for a list that is sorted elsewhere; only of what is seen."""
    seen, values = Workload.objects.money_visible_to(actor).order_by().values("pk").query.sql_with_params()
    text = f"SELECT e.workload_id, {RANKS[by]} AS rank FROM economics_month e "
    return text + f"WHERE e.month = %s AND e.is_current AND e.workload_id IN ({seen})", [month, *values]


def _listed(actor: Actor, workloads: QuerySet[Workload] | None) -> tuple[str, list[Any]]:
    """The ids as a subquery. Rights are asked for in SQL, of those who do not have all."""
    sees_all = actor.is_machine or rights.rights_of(actor).sees_all_money
    found = (Workload.objects.all() if sees_all else Workload.objects.money_visible_to(actor)).active()
    if workloads is not None:
        found = found.filter(pk__in=workloads.order_by().values("pk"))
    try:
        text, values = found.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:  # Django has no SQL for a filter that it knows to choose nothing
        return "SELECT 0 AS id WHERE false", []
    return str(text), list(values)


def _sparklines(ids: Sequence[int], month: date) -> dict[int, tuple[SparkPoint, ...]]:
    months = [month]
    while len(months) < 12:
        months.append(periods.previous_month(months[-1]))
    found: dict[int, dict[date, SparkPoint]] = {}
    for workload, when, *known in _fetch(_MONTHS, [list(ids), months]):
        found.setdefault(workload, {})[when] = SparkPoint(when, *known)
    return {
        pk: tuple(found.get(pk, {}).get(when) or SparkPoint(when, None, None) for when in reversed(months))
        for pk in ids
    }


def _row(row: Sequence[Any], months: Mapping[int, tuple[SparkPoint, ...]]) -> PortfolioRow:
    pk, slug, name, unit, centre, word, sentence, *figures = row
    text = sentence or "Whether this pays is unproven: no usage of it is known in this month."
    values = (pk, slug, name, unit, centre, Word(word), text, *figures, months.get(pk, ()))
    return PortfolioRow(*values)


def _order(sort: str) -> str:
    """What is unknown comes last in either direction."""
    return f"{SORTS[sort.lstrip('-')]} {'DESC' if sort.startswith('-') else 'ASC'} NULLS LAST, lower(w.name), w.id"


def _fetch(statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


_SUMS = """
SELECT coalesce(e.verdict, 'unproven'), count(*), coalesce(sum(e.cost), 0), coalesce(sum(e.value_base), 0),
    coalesce(sum(e.net_base), 0), coalesce(sum(e.value_low), 0), coalesce(sum(e.value_high), 0),
    count(*) FILTER (WHERE coalesce(e.cost, 0) <= 0), count(*) FILTER (WHERE e.cost > 0 AND coalesce(e.useful, 0) <= 0),
    count(*) FILTER (WHERE e.cost > 0 AND e.useful > 0 AND coalesce(e.value_base, 0) <= 0)
FROM ({listed}) l (id) LEFT JOIN economics_month e ON e.workload_id = l.id AND e.month = %s AND e.is_current
GROUP BY 1
"""
_ROWS = """
SELECT w.id, w.slug, w.name, w.output_unit, coalesce(c.name, ''), coalesce(e.verdict, 'unproven'),
    e.reasons ->> 'sentence', e.cost, e.useful, e.value_base, e.net_low, e.net_base, e.net_high, coalesce(e.state, ''),
    coalesce(e.is_declared, false), g.cost, g.net_base
FROM ({listed}) l (id) JOIN workloads_workload w ON w.id = l.id
LEFT JOIN accounts_cost_centre c ON c.id = w.cost_centre_id
LEFT JOIN economics_month e ON e.workload_id = w.id AND e.month = %s AND e.is_current
LEFT JOIN economics_month g ON g.workload_id = w.id AND g.month = %s AND g.is_signed_now
WHERE %s = '' OR coalesce(e.verdict, 'unproven') = %s
ORDER BY {order} LIMIT %s OFFSET %s
"""
_MONTHS = """
SELECT workload_id, month, cost, value_base, useful FROM economics_month
WHERE is_current AND workload_id = ANY(%s) AND month = ANY(%s)
"""
_POINTS = """
SELECT w.id, w.slug, w.name, e.verdict, e.cost, e.useful, e.value_base
FROM economics_month e JOIN workloads_workload w ON w.id = e.workload_id
WHERE e.month = %s AND e.is_current AND e.verdict <> 'unproven' AND e.cost > 0 AND e.useful > 0 AND e.value_base > 0
    AND w.id IN ({listed})
ORDER BY e.cost DESC, e.workload_id LIMIT %s
"""

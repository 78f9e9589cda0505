"""The list of workloads with what each costs: filtered, sorted and paged in SQL, whatever the number of workloads."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from apps.accounts import rights
from apps.accounts.models import CostCentre, Person
from apps.core import periods
from apps.core.actor import Actor
from apps.costs.selectors.scope import (
    MEASURES,
    CostScope,
    Measures,
    Sql,
    change_of,
    lacks,
    measures_of,
    ranking_rows_of,
    rows_of,
)
from apps.costs.selectors.tables import CostTotals, month_costs
from apps.workloads.models import Workload

SORTS: Final = {
    "name": "lower(w.name)",
    "cost": "m.cost",
    # As `change_of` has it, so that a row without a change does not lead the list.
    "change": "CASE WHEN m.lines > 0 AND m.cost_before > 0 "
    "AND m.lacks_before + m.unpriced_lines + m.unconverted_lines = 0 THEN m.cost / m.cost_before END",
    "requests": "nullif(m.requests, 0) - m.failed",
    "per_call": "m.cost / nullif(m.requests - m.failed, 0)",
    "tier": "r.value_tier_id",
    "stage": "array_position(ARRAY['concept', 'pilot', 'production', 'sunset'], w.stage::text)",
    "cost_centre": "lower(c.name)",
    "since": "w.activated_at",
}
NOTHING: Final = Measures()
# What a row of the list says; the other measures are left unread, since thousands of workloads are summed for a page.
_SAID: Final = ("cost", "requests", "failed", "unpriced_lines", "unconverted_lines", "lines")


@dataclass(frozen=True, slots=True)
class PortfolioRow:
    """One workload. `money` is None where the actor may not see it; then nothing is said about its cost."""

    workload: Workload
    tier: str
    band: str
    money: Measures | None
    before: Decimal | None
    months: Sequence[Decimal | None] = ()
    before_lacks: int = 0  # lines in it without a price or without an exchange rate

    @property
    def cost(self) -> Decimal | None:
        """None is unknown: no usage, no price, or no right to see it."""
        return self.money.cost if self.money and self.money.lines else None

    @property
    def calls(self) -> int | None:
        """Delivered calls; None where there was no usage, or none that tells calls."""
        return self.money.calls if self.money else None

    @property
    def per_call(self) -> Decimal | None:
        return self.cost / self.calls if self.cost is not None and self.calls else None

    @property
    def change(self) -> Decimal | None:
        return change_of(self.cost, self.before, lacks=self.before_lacks + (self.money.lacks if self.money else 0))


@dataclass(frozen=True, slots=True)
class Portfolio:
    """A page of rows and the totals of all. `unseen`: workloads whose money the actor may not see."""

    rows: list[PortfolioRow]
    count: int
    totals: Measures
    before: Decimal | None
    unseen: int
    largest: Decimal | None = field(default=None)
    before_lacks: int = 0

    @property
    def calls(self) -> int | None:
        return self.totals.calls

    @property
    def per_call(self) -> Decimal | None:
        return self.totals.cost / self.calls if self.totals.cost is not None and self.calls else None

    @property
    def change(self) -> Decimal | None:
        return change_of(self.totals.cost, self.before, lacks=self.totals.lacks + self.before_lacks)

    @property
    def known_change(self) -> Decimal | None:
        """Of what is known of both, whatever they lack: never shown without these words where `change` is None."""
        return change_of(self.totals.cost, self.before, lacks=0)


def portfolio(
    *,
    actor: Actor,
    workloads: QuerySet[Workload],
    scope: CostScope,
    before: tuple[date, date],
    sort: str = "-cost",
    limit: int | None = None,
    offset: int = 0,
    with_months: bool = True,
    with_people: bool = True,
    rank: Sql | None = None,
    whole: CostTotals | None = None,
) -> Portfolio:
    """Workloads of the filter with the cost of `scope` and of the days `before`; `limit` None gives all rows.

    `rank` gives (workload_id, rank) of a figure that is worked out elsewhere; `sort` then says only the direction.
    `whole` are the totals of the scope, for a filter that leaves no workload out: they are not summed again.
    """
    ids, summary = _page(actor, workloads, scope, before, sort, limit, offset, rank, whole)
    seen = _seen(actor, ids)
    money = _money(actor, scope, before, ids) if seen else {}
    months = months_before(scope.end) if with_months else []
    history = _history(actor, months, ids) if seen and months else {}
    cards = _cards(ids, with_people=with_people)
    rows = [_row(cards[pk], money.get(pk), pk in seen, history.get(pk), months) for pk in ids]
    return Portfolio(rows=rows, **summary)


def months_before(end: date, number: int = 12) -> list[date]:
    """The last months up to the one in which the day before `end` lies, oldest first."""
    month = (
        periods.previous_month(periods.next_month(end.replace(day=1))) if end.day > 1 else periods.previous_month(end)
    )
    found = [month]
    while len(found) < number:
        found.append(periods.previous_month(found[-1]))
    return found[::-1]


def _page(
    actor: Actor, workloads: QuerySet[Workload], scope: CostScope, before: tuple[date, date], sort: str,
    limit: int | None, offset: int, rank: Sql | None, whole: CostTotals | None,
) -> tuple[list[int], dict[str, Any]]:  # fmt: skip
    """The ids of the page in their order, and what all rows together come to: one statement."""
    by = sort.lstrip("-")
    known = None if by in _BY_MORE_THAN_COST else whole
    register, values = _listed(workloads)
    rows = _ranks(actor, scope) if known else _both(actor, scope, before)
    seen = Sql("true") if _sees_all(actor) else Sql(*_money_visible(actor))
    statement = f"""
        WITH listed AS {"NOT MATERIALIZED" if known else ""} ({register}),
        money AS (
            SELECT x.workload_id, {_COST_NOW if known else f"{_BEFORE}, {_sums('NOT x.is_before')}"}
            FROM ({rows.text}) x
            WHERE {"x.workload_id IS NOT NULL" if known else "x.workload_id IN (SELECT id FROM listed)"} GROUP BY 1
        )
        SELECT ARRAY(
                SELECT w.id FROM listed w LEFT JOIN money m ON m.workload_id = w.id
                {f"LEFT JOIN ({rank.text}) k ON k.workload_id = w.id" if rank else ""}
                LEFT JOIN accounts_cost_centre c ON c.id = w.cost_centre_id
                {_TIER if by == "tier" else ""}
                ORDER BY {_order(sort, ranked=rank)}, w.name, w.id LIMIT %s OFFSET %s
            ),
            (SELECT count(*) FROM listed), (SELECT count(*) FROM listed w WHERE NOT ({seen.text})),
            max(x.cost){"" if known else f", sum(x.cost_before), coalesce(sum(x.lacks_before), 0), {_sums()}"}
        FROM money x
    """
    with connection.cursor() as cursor:
        ranked = rank.values if rank else ()
        cursor.execute(statement, [*values, *rows.values, *ranked, limit, offset, *seen.values])
        ids, count, unseen, largest, *totals = cursor.fetchone()
    summary = {
        "count": count,
        "unseen": unseen,
        "largest": largest,
        "before": known.workloads_before if known else totals[0],
        "before_lacks": known.workloads_then.lacks if known else int(totals[1]),
        "totals": known.workloads if known else measures_of(totals[2:]),
    }
    return list(ids), summary


def _ranks(actor: Actor, scope: CostScope) -> Sql:
    """Cost alone, from a row a workload and month: all that most orders of the list need."""
    now = ranking_rows_of(actor, scope)
    return Sql(f"SELECT *, false AS is_before FROM ({now.text}) r", now.values)


def _listed(workloads: QuerySet[Workload]) -> tuple[str, tuple[Any, ...]]:
    """The filter as a subquery of what the list is ordered by; Django has no SQL for one that chooses nothing."""
    try:
        text, values = workloads.order_by().values(*_ORDERED_BY).query.sql_with_params()
    except EmptyResultSet:
        return f"SELECT {', '.join(_ORDERED_BY)} FROM workloads_workload WHERE false", ()
    return str(text), tuple(values)


def _sums(condition: str = "") -> str:
    """Like `sums`, with nothing where the list says nothing."""
    only = f" FILTER (WHERE {condition})" if condition else ""
    said = {name: f"coalesce(sum(x.{name}){only}, 0)" for name in _SAID}
    return ", ".join(f"{said.get(name, '0')} AS {name}" for name in ("cost", *MEASURES))


def _both(actor: Actor, scope: CostScope, before: tuple[date, date], only: Sql | None = None) -> Sql:
    now, then = (rows_of(actor, each, by_owner=True, only=only) for each in (scope, scope.over(*before)))
    text = f"SELECT *, false AS is_before FROM ({now.text}) r UNION ALL SELECT *, true FROM ({then.text}) r"
    return Sql(text, (*now.values, *then.values))


def _money(
    actor: Actor, scope: CostScope, before: tuple[date, date], ids: Sequence[int]
) -> dict[int, tuple[Measures, Decimal | None, int]]:
    rows = _both(actor, scope, before, Sql("t.workload_id = ANY(%s)", (list(ids),)))
    statement = f"""
        SELECT x.workload_id, sum(x.cost) FILTER (WHERE x.is_before), {lacks("x.is_before")}, {_sums("NOT x.is_before")}
        FROM ({rows.text}) x GROUP BY 1
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, rows.values)
        return {
            workload: (measures_of(values), cost_before, int(lacking))
            for workload, cost_before, lacking, *values in cursor.fetchall()
        }


def _history(actor: Actor, months: Sequence[date], ids: Sequence[int]) -> dict[int, dict[date, Decimal | None]]:
    scope = CostScope(months[0], periods.next_month(months[-1]))
    found: dict[int, dict[date, Decimal | None]] = {}
    for workload, month, cost in month_costs(actor=actor, scope=scope, workload_ids=ids):
        found.setdefault(workload, {})[month] = cost
    return found


def _cards(ids: Sequence[int], *, with_people: bool) -> dict[int, tuple[Workload, str, str]]:
    """The register's words of these workloads, with tier and band as they are now."""
    cards = Workload.objects.in_bulk(ids)
    _name_centres(cards.values())
    if with_people:
        _name_people(cards.values())
    with connection.cursor() as cursor:
        cursor.execute(_PROMISES, [list(ids)])
        promises = {row[0]: (row[1] or "", row[2] or "") for row in cursor.fetchall()}
    return {pk: (workload, *promises.get(pk, ("", ""))) for pk, workload in cards.items()}


def _name_centres(workloads: Collection[Workload]) -> None:
    """Thousands of workloads have few cost centres: each is read and made once, not once a row."""
    centres = CostCentre.objects.in_bulk({each.cost_centre_id for each in workloads} - {None})
    for workload in workloads:
        workload.cost_centre = centres.get(workload.cost_centre_id or 0)


def _name_people(workloads: Collection[Workload]) -> None:
    """The same for their owners."""
    people = Person.objects.in_bulk({getattr(each, f"{name}_id") for each in workloads for name in _OWNERS} - {None})
    for workload in workloads:
        for name in _OWNERS:
            setattr(workload, name, people.get(getattr(workload, f"{name}_id")))


def _row(
    card: tuple[Workload, str, str],
    money: tuple[Measures, Decimal | None, int] | None,
    is_seen: bool,
    history: dict[date, Decimal | None] | None,
    months: Sequence[date],
) -> PortfolioRow:
    workload, tier, band = card
    now, before, lacking = money or (NOTHING, None, 0)
    points = [(history or {}).get(month) for month in months] if is_seen else []
    if not is_seen:
        return PortfolioRow(workload, tier, band, None, None, points)
    return PortfolioRow(workload, tier, band, now, before, points, lacking)


def _seen(actor: Actor, ids: Collection[int]) -> set[int]:
    if _sees_all(actor):
        return set(ids)
    return set(Workload.objects.money_visible_to(actor).filter(pk__in=ids).values_list("pk", flat=True))


def _sees_all(actor: Actor) -> bool:
    return rights.rights_of(actor).sees_all_money


def _money_visible(actor: Actor) -> tuple[str, tuple[Any, ...]]:
    text, values = Workload.objects.money_visible_to(actor).order_by().values("pk").query.sql_with_params()
    return f"w.id IN ({text})", tuple(values)


def _order(sort: str, *, ranked: Sql | None) -> str:
    """What is unknown comes last in either direction."""
    figure = "k.rank" if ranked else SORTS[sort.lstrip("-")]
    return f"{figure} {'DESC' if sort.startswith('-') else 'ASC'} NULLS LAST"


_BY_MORE_THAN_COST: Final = ("requests", "per_call", "change")
_BEFORE: Final = f"sum(x.cost) FILTER (WHERE x.is_before) AS cost_before, {lacks('x.is_before')} AS lacks_before"
_COST_NOW: Final = "coalesce(sum(x.cost) FILTER (WHERE NOT x.is_before), 0) AS cost"
_ORDERED_BY: Final = ("id", "name", "stage", "activated_at", "cost_centre_id")
_OWNERS: Final = ("business_owner", "technical_owner", "budget_owner")
_TIER = """
LEFT JOIN LATERAL (
    SELECT value_tier_id FROM workloads_revision WHERE workload_id = w.id ORDER BY version DESC LIMIT 1
) r ON true
"""
_PROMISES = """
SELECT DISTINCT ON (r.workload_id) r.workload_id, r.value_tier_id, b.name
FROM workloads_revision r LEFT JOIN catalog_latency_band b ON b.code = r.latency_band_id
WHERE r.workload_id = ANY(%s) ORDER BY r.workload_id, r.version DESC
"""

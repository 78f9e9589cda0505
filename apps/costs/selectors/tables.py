"""The figures of the cost pages: totals, a table grouped one way, the same money over time.

Each is one statement, or two, whatever the number of workloads: groups are summed, sorted and paged in SQL.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from django.db import connection

from apps.core.actor import Actor
from apps.costs.selectors.scope import (
    LONGEST_BY_DAY,
    MEASURES,
    CostScope,
    Measures,
    Sql,
    change_of,
    lacks,
    measures_of,
    ranking_rows_of,
    rows_of,
    sums,
)
from apps.costs.sums import known_sum

NOBODY: Final = "0"
NO_COST_CENTRE: Final = "-1"


class Grouping(StrEnum):
    WORKLOAD = "workload"
    MODEL = "model"
    PROVIDER = "provider"
    COMPONENT = "component"
    COST_CENTRE = "cost_centre"
    SOURCE = "source"
    DAY = "day"
    MONTH = "month"


class Order(StrEnum):
    """What a table is sorted by; a leading minus turns it round."""

    COST = "cost"
    CHANGE = "change"
    REQUESTS = "requests"
    TOKENS = "tokens"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class _Group:
    """How rows `x` fall into groups, and where a group's name, second line and slug come from (`n`, joined to `g`)."""

    key: str
    by_owner: bool = False
    by_day: bool = False
    join: str = ""
    names: str = ""
    name: str = "g.key::text"
    meta: str = "''"
    ref: str = "g.key::text"


_GROUPS: Final[dict[Grouping, _Group]] = {
    Grouping.WORKLOAD: _Group(
        "coalesce(x.workload_id, 0)",
        by_owner=True,
        names="LEFT JOIN workloads_workload n ON n.id = g.key"
        " LEFT JOIN accounts_cost_centre c ON c.id = n.cost_centre_id",
        name="coalesce(n.name, 'Unallocated')",
        meta="concat_ws(' · ', c.name, nullif(n.output_unit, ''))",
        ref="coalesce(n.slug, '')",
    ),
    Grouping.MODEL: _Group(
        "coalesce(x.offering_id, 0)",
        names="LEFT JOIN catalog_offering n ON n.id = g.key",
        name="CASE WHEN n.id IS NULL THEN 'No model told' ELSE coalesce(nullif(n.name, ''), 'Model not reported') END",
        meta="coalesce(n.provider, '')",
    ),
    Grouping.PROVIDER: _Group(
        "coalesce(o.provider, '')",
        join="LEFT JOIN catalog_offering o ON o.id = x.offering_id",
        name="coalesce(nullif(g.key, ''), 'No provider told')",
    ),
    Grouping.COMPONENT: _Group("x.component"),
    Grouping.COST_CENTRE: _Group(
        "CASE WHEN x.workload_id IS NULL THEN 0 ELSE coalesce(w.cost_centre_id, -1) END",
        by_owner=True,
        join="LEFT JOIN workloads_workload w ON w.id = x.workload_id",
        names="LEFT JOIN accounts_cost_centre n ON n.id = g.key",
        name="CASE g.key WHEN 0 THEN 'Unallocated' WHEN -1 THEN 'No cost centre' ELSE n.name END",
        meta="coalesce(n.code, '')",
        ref="coalesce(n.code, '')",
    ),
    Grouping.SOURCE: _Group(
        "x.source_id",
        names="LEFT JOIN sources_source n ON n.id = g.key",
        name="n.name",
        ref="n.slug",
    ),
    Grouping.DAY: _Group("x.day", by_day=True),
    Grouping.MONTH: _Group("date_trunc('month', x.day)::date"),
}
_IN_TIME: Final = (Grouping.DAY, Grouping.MONTH)
_OF_OWNERS: Final = (Grouping.WORKLOAD, Grouping.COST_CENTRE)
_SORTS: Final = {
    Order.COST: "g.cost",
    Order.REQUESTS: "g.requests",
    Order.TOKENS: "g.tokens",
    Order.CHANGE: "g.cost - coalesce(g.cost_before, 0)",
}


@dataclass(frozen=True, slots=True)
class CostRow:
    """One group. `before` is its cost in the period compared with, None where there was nothing; `before_lacks` counts
    the lines in it that have no price or no exchange rate."""

    key: str
    ref: str
    name: str
    meta: str
    now: Measures
    before: Decimal | None
    before_lacks: int = 0

    @property
    def change(self) -> Decimal | None:
        return change_of(self.now.cost, self.before, lacks=self.now.lacks + self.before_lacks)


@dataclass(frozen=True, slots=True)
class CostTable:
    """A page of groups; `count` is the number of all groups."""

    rows: list[CostRow]
    count: int


@dataclass(frozen=True, slots=True)
class CostTotals:
    """What all rows together come to, split by whether somebody claims it: workloads + unallocated = total.

    `then` are the days compared with, of which only the cost and what has none are summed.
    """

    now: Measures
    workloads: Measures
    unallocated: Measures
    before: Decimal | None
    unallocated_before: Decimal | None
    workloads_before: Decimal | None = None
    then: Measures = field(default_factory=Measures)
    workloads_then: Measures = field(default_factory=Measures)

    @property
    def change(self) -> Decimal | None:
        """From the days before; None where there is nothing to compare, or where either lacks a price or a rate."""
        return change_of(self.now.cost, self.before, lacks=self.now.lacks + self.then.lacks)

    @property
    def known_change(self) -> Decimal | None:
        """Of what is known of both, whatever they lack: never shown without these words where `change` is None."""
        return change_of(self.now.cost, self.before, lacks=0)


@dataclass(frozen=True, slots=True)
class CostOverTime:
    """Cost of each component in each day, or month where `by_month`; a bucket without lines is missing."""

    by_month: bool
    amounts: dict[tuple[date, str], Decimal] = field(default_factory=dict)

    @property
    def components(self) -> set[str]:
        return {component for _, component in self.amounts}


def cost_totals(*, actor: Actor, scope: CostScope, before: tuple[date, date] | None = None) -> CostTotals:
    """Totals of the scope, and of the same filters over the days `before`."""
    found = {True: measures_of(_NOTHING), False: measures_of(_NOTHING)}
    earlier: dict[bool, Decimal | None] = {True: None, False: None}
    then = dict(found)
    statement = _totals_of(actor, scope, before)
    for is_before, allocated, *values in _fetch(statement.text, statement.values):
        if is_before:
            earlier[allocated], then[allocated] = values[0], measures_of(values)
        else:
            found[allocated] = measures_of(values)
    return CostTotals(
        now=_added(found[True], found[False]),
        workloads=found[True],
        unallocated=found[False],
        before=_plus(earlier[True], earlier[False]),
        unallocated_before=earlier[False],
        workloads_before=earlier[True],
        then=_added(then[True], then[False]),
        workloads_then=then[True],
    )


def cost_table(
    *,
    actor: Actor,
    scope: CostScope,
    grouping: Grouping,
    before: tuple[date, date] | None = None,
    sort: str = "-cost",
    limit: int | None = None,
    offset: int = 0,
) -> CostTable:
    """Groups of the scope, sorted and paged. What only cost something in the days `before` has no row."""
    group = _GROUPS[grouping]
    if limit is None:
        return _filled(actor, scope, grouping, before, _order(grouping, sort), None)
    keys, count = _page_of_keys(actor, scope, grouping, before, sort, limit, offset)
    if not keys:
        return CostTable([], count)
    only = _only_workloads(keys) if group.by_owner and grouping is Grouping.WORKLOAD else None
    filled = _filled(actor, scope, grouping, before, "array_position(%s, g.key::text)", keys, only)
    return CostTable(filled.rows, count)


def cost_over_time(*, actor: Actor, scope: CostScope, by_month: bool | None = None) -> CostOverTime:
    """The scope's cost by component and day, by month for more than 92 days."""
    by_month = scope.days > LONGEST_BY_DAY if by_month is None else by_month
    rows = rows_of(actor, scope, by_day=not by_month)
    bucket = "date_trunc('month', x.day)::date" if by_month else "x.day"
    statement = f"SELECT {bucket}, x.component, sum(x.cost) FROM ({rows.text}) x GROUP BY 1, 2"
    found = _fetch(statement, rows.values)
    return CostOverTime(by_month, {(day, component): cost for day, component, cost in found})


def month_costs(
    *, actor: Actor, scope: CostScope, workload_ids: Sequence[int]
) -> list[tuple[int, date, Decimal | None]]:
    """Cost of whole months of some workloads, None where nothing of it is known: one statement for all of them."""
    rows = rows_of(actor, scope, by_owner=True, only=Sql("t.workload_id = ANY(%s)", (list(workload_ids),)))
    statement = f"""
        SELECT x.workload_id, x.day, sum(x.cost), sum(x.lines), sum(x.unpriced_lines + x.unconverted_lines)
        FROM ({rows.text}) x GROUP BY 1, 2
    """
    return [
        (workload, day, known_sum(cost, lines=lines, unknown=unknown) if lines or cost else None)
        for workload, day, cost, lines, unknown in _fetch(statement, rows.values)
    ]


# --- Below ------------------------------------------------------------------------------------------------------------

_TOLD_BEFORE: Final = ("unpriced_lines", "unpriced_tokens", "unconverted_lines", "lines")
_NOTHING: Final = (Decimal(0), *(0 for _ in MEASURES))


def _totals_of(actor: Actor, scope: CostScope, before: tuple[date, date] | None) -> Sql:
    """Sums told apart by whether somebody claims them; of the days before only the cost and what has none."""
    now = rows_of(actor, scope)
    text, values = f"SELECT false, x.allocated, {sums()} FROM ({now.text}) x GROUP BY 2", now.values
    if before:
        then = rows_of(actor, scope.over(*before))
        told = ", ".join(f"coalesce(sum(x.{name}), 0)" if name in _TOLD_BEFORE else "0" for name in MEASURES)
        text += f" UNION ALL SELECT true, x.allocated, sum(x.cost), {told} FROM ({then.text}) x GROUP BY 2"
        values += then.values
    return Sql(text, values)


def _page_of_keys(
    actor: Actor,
    scope: CostScope,
    grouping: Grouping,
    before: tuple[date, date] | None,
    sort: str,
    limit: int,
    offset: int,
) -> tuple[list[str], int]:
    """The keys of one page: only what the order needs is summed over all groups."""
    group = _GROUPS[grouping]
    needs_before = sort.lstrip("-") == Order.CHANGE
    rows = _ranked(actor, scope, before if needs_before else None, grouping, sort)
    statement = f"""
        SELECT g.key::text, count(*) OVER () FROM (
            SELECT {group.key} AS key, sum(x.cost) FILTER (WHERE NOT x.is_before) AS cost,
                sum(x.cost) FILTER (WHERE x.is_before) AS cost_before,
                {_needed("requests", sort)} AS requests, {_needed("tokens", sort)} AS tokens
            FROM ({rows.text}) x {group.join} GROUP BY 1 HAVING bool_or(NOT x.is_before)
        ) g {group.names} ORDER BY {_order(grouping, sort)}, g.key LIMIT %s OFFSET %s
    """
    found = _fetch(statement, (*rows.values, limit, offset))
    return [row[0] for row in found], found[0][1] if found else 0


def _ranked(actor: Actor, scope: CostScope, before: tuple[date, date] | None, grouping: Grouping, sort: str) -> Sql:
    """Rows to rank groups by: from the narrow table of owners where it can tell."""
    if grouping not in _OF_OWNERS or scope.is_about_items or sort.lstrip("-") == Order.TOKENS:
        return _both(actor, scope, before, grouping)
    return told_apart(lambda each: ranking_rows_of(actor, each), scope, before)


def _needed(measure: str, sort: str) -> str:
    return f"sum(x.{measure}) FILTER (WHERE NOT x.is_before)" if sort.lstrip("-") == measure else "0"


def _filled(
    actor: Actor,
    scope: CostScope,
    grouping: Grouping,
    before: tuple[date, date] | None,
    order: str,
    keys: list[str] | None,
    only: Sql | None = None,
) -> CostTable:
    """Rows with all their measures: those of `keys` in that order, or all."""
    group = _GROUPS[grouping]
    rows = _both(actor, scope, before, grouping, only)
    wanted = "" if keys is None else f"WHERE ({group.key})::text = ANY(%s)"
    statement = f"""
        SELECT g.*, {group.ref}, {group.name}, {group.meta} FROM (
            SELECT {group.key} AS key, sum(x.cost) FILTER (WHERE x.is_before) AS cost_before,
                {lacks("x.is_before")} AS lacks_before, {sums("NOT x.is_before")}
            FROM ({rows.text}) x {group.join} {wanted} GROUP BY 1 HAVING bool_or(NOT x.is_before)
        ) g {group.names} ORDER BY {order}, g.key
    """
    found = _fetch(statement, (*rows.values, *([] if keys is None else [keys, keys])))
    return CostTable([_row(row) for row in found], len(found))


def _row(row: Sequence[Any]) -> CostRow:
    key, before, lacking, *values, ref, name, meta = row
    return CostRow(str(key), ref, name, meta, measures_of(values), before, int(lacking))


def _both(
    actor: Actor,
    scope: CostScope,
    before: tuple[date, date] | None,
    grouping: Grouping | None = None,
    only: Sql | None = None,
) -> Sql:
    """Rows of the scope and of the days before, told apart by `is_before`."""
    group = _GROUPS[grouping] if grouping else _Group("")
    return told_apart(
        lambda each: rows_of(actor, each, by_owner=group.by_owner, by_day=group.by_day, only=only), scope, before
    )


def told_apart(rows_of_one: Callable[[CostScope], Sql], scope: CostScope, before: tuple[date, date] | None) -> Sql:
    """Rows of the scope and of the days before, told apart by `is_before`."""
    scopes = [(scope, False)] + ([(scope.over(*before), True)] if before else [])
    parts = []
    for each, is_before in scopes:
        rows = rows_of_one(each)
        parts.append(Sql(f"SELECT *, {is_before} AS is_before FROM ({rows.text}) r", rows.values))
    return Sql(" UNION ALL ".join(part.text for part in parts), tuple(v for part in parts for v in part.values))


def _only_workloads(keys: list[str]) -> Sql:
    """Lets an index find the shown workloads' rows."""
    named = "t.workload_id = ANY(%s)"
    text = f"{named} OR t.workload_id IS NULL" if NOBODY in keys else named
    return Sql(text, ([int(key) for key in keys],))


def _order(grouping: Grouping, sort: str) -> str:
    by = sort.lstrip("-")
    if by == Order.NAME:
        return f"{'g.key' if grouping in _IN_TIME else f'lower({_GROUPS[grouping].name})'} {_direction(sort)}"
    return f"{_SORTS[Order(by)]} {_direction(sort)}"


def _direction(sort: str) -> str:
    return "DESC NULLS LAST" if sort.startswith("-") else "ASC NULLS FIRST"


def _added(first: Measures, second: Measures) -> Measures:
    if not first.lines or not second.lines:
        return first if first.lines else second
    counts = ((getattr(first, name) or 0) + (getattr(second, name) or 0) for name in MEASURES)
    return measures_of((_plus(first.cost, second.cost), *counts))


def _plus(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    """A sum in which one side may be unknown; unknown only if both are."""
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _fetch(statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())

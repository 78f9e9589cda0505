"""Which money a figure is about, and the smallest table that can answer for it.

What is nobody's in particular is summed from `costs_day`, whole months of owners from `costs_month`; day lines
themselves are only read for the edges of a period, or for single days of owners. Conditions are parameters throughout.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

from apps.accounts import rights
from apps.core import periods
from apps.core.actor import Actor
from apps.costs import flags
from apps.costs.models import DIRECT, components_of
from apps.costs.sums import known_sum, left_out
from apps.usage.fields import Flag
from apps.workloads.models import Workload

LONGEST_BY_DAY: Final = 92
ALL_DIRECT: Final = "direct"  # the direct components together, where a filter names one component


class BasisChoice(StrEnum):
    """Which lines are summed. Bases are never added to each other, except those that make the full cost."""

    FULL = "full"  # counting lines, whatever they rest on; billed amounts are left out, effective ones stand for them
    COMPUTED = "computed"
    EFFECTIVE = "effective"
    BILLED = "billed"
    ANY = "any"  # every line, for those who tell them apart; never summed as a whole


class Figures(StrEnum):
    """Of which state of a signed month: as it was signed, or with all that became known of it since."""

    RESTATED = "restated"
    SIGNED = "signed"


class Sql(NamedTuple):
    """A piece of a statement with the values of its %s marks."""

    text: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class CostScope:
    """Days `first` to `end`, half-open, and what is left of them after the filters; None filters nothing, as an empty
    component or path does.

    `offering_id` 0 is what names no model, `provider` "" what names no provider. A cost centre reaches all below it,
    unless `only_cost_centre`.
    """

    first: date
    end: date
    basis: BasisChoice = BasisChoice.FULL
    workload_id: int | None = None
    offering_id: int | None = None
    provider: str | None = None
    component: str = ""
    cost_centre_path: str = ""
    only_cost_centre: bool = False
    source_id: int | None = None
    allocated: bool | None = None
    figures: Figures = Figures.RESTATED

    def over(self, first: date, end: date) -> "CostScope":
        """The same filters over other days."""
        return replace(self, first=first, end=end)

    @property
    def days(self) -> int:
        return (self.end - self.first).days

    @property
    def is_about_items(self) -> bool:
        """Whether a filter asks what was used or through which source."""
        named = (self.offering_id, self.provider, self.source_id)
        return any(each is not None for each in named) or bool(self.component)

    @property
    def is_about_owners(self) -> bool:
        """Whether only lines that name their workload can answer."""
        return self.workload_id is not None or bool(self.cost_centre_path)


@dataclass(frozen=True, slots=True)
class Measures:
    """Sums of day lines. `cost` is in the organisation's currency; None where nothing of it is known.

    `requests` are attempts, failed ones included. They and `tokens` are None where no line tells any, as those of bills
    do not.
    """

    cost: Decimal | None = None
    requests: int | None = None
    failed: int = 0
    tokens: int | None = None
    unpriced_tokens: int = 0
    unpriced_lines: int = 0
    unconverted_lines: int = 0
    assumed_lines: int = 0
    upper_bound_lines: int = 0
    tier_assumed_lines: int = 0
    carried_lines: int = 0
    lines: int = 0

    @property
    def lacks(self) -> int:
        """Lines without a price or without an exchange rate: with any, the cost is more than is known of it."""
        return self.unpriced_lines + self.unconverted_lines

    @property
    def left_out(self) -> str:
        """The same in words; empty where all of the cost is known."""
        return left_out(unpriced=self.unpriced_lines, unconverted=self.unconverted_lines)

    @property
    def calls(self) -> int | None:
        """Delivered calls."""
        return None if self.requests is None else self.requests - self.failed


MEASURES: Final = tuple(name for name in Measures.__slots__ if name != "cost")


def sums(condition: str = "") -> str:
    """The measures of rows `x` as aggregates, in the order in which `measures_of` reads them."""
    only = f" FILTER (WHERE {condition})" if condition else ""
    return ", ".join(f"coalesce(sum(x.{name}){only}, 0) AS {name}" for name in ("cost", *MEASURES))


def lacks(condition: str) -> str:
    """Of rows `x`, as an aggregate: the lines without a price or without an exchange rate."""
    return f"coalesce(sum(x.unpriced_lines + x.unconverted_lines) FILTER (WHERE {condition}), 0)"


def change_of(now: Decimal | None, before: Decimal | None, *, lacks: int) -> Decimal | None:
    """As a ratio; None where there is nothing to compare, and where either `lacks` a price or an exchange rate."""
    return now / before - 1 if now is not None and before and before > 0 and not lacks else None


def measures_of(row: Iterable[Any]) -> Measures:
    cost, *others = row
    found = Measures(None, *(int(other) for other in others))
    known = known_sum(cost, lines=found.lines, unknown=found.lacks)
    return replace(found, cost=known, requests=found.requests or None, tokens=found.tokens or None)


def split(first: date, end: date) -> tuple[list[date], list[tuple[date, date]]]:
    """A period as whole accounting months and the days before and after them, half-open."""
    last = end - timedelta(days=1)
    months = [m for m in periods.months_between(first, last) if m >= first and periods.next_month(m) <= end]
    if not months:
        return [], [(first, end)]
    edges = ((first, months[0]), (periods.next_month(months[-1]), end))
    return months, [(start, stop) for start, stop in edges if start < stop]


def whole_months(first: date, end: date) -> list[date]:
    """The accounting months that lie in a period whole."""
    return split(first, end)[0]


def rows_of(
    actor: Actor, scope: CostScope, *, by_owner: bool = False, by_day: bool = False, only: Sql | None = None
) -> Sql:
    """A relation of partial sums: day (a month's first day for a whole month of an owner), keys, and the measures.

    `by_owner` keeps workloads apart, `by_day` keeps days apart. Without owners the days answer, whose number does not
    grow with the workloads. `only` narrows further, on the columns of the relation's tables.
    """
    if not (by_owner or scope.is_about_owners or not _sees_everybody(actor)):
        return _day_rows(actor, scope, scope.first, scope.end, only)
    months, edges = ([], [(scope.first, scope.end)]) if by_day else split(scope.first, scope.end)
    parts = [_month_rows(actor, scope, months, only)] if months else []
    parts += [_line_rows(actor, scope, *edge, only) for edge in edges]
    return Sql(" UNION ALL ".join(part.text for part in parts), tuple(v for part in parts for v in part.values))


def line_conditions(actor: Actor, scope: CostScope) -> Sql:
    """WHERE for `costs_line t`: the lines behind a figure, as far as the actor may see them."""
    days, signed = Sql("t.day >= %s AND t.day < %s", (scope.first, scope.end)), _signed(scope, "t.revision = 0")
    return _where(days, signed, _filters(scope), _owner_filters(actor, scope))


def owner_conditions(actor: Actor, scope: CostScope) -> Sql:
    """WHERE for any table `t` with a workload_id: what the actor may see of the scope's owners."""
    return _owner_filters(actor, scope)


# --- Tables -----------------------------------------------------------------------------------------------------------

_ROLLED = (
    "t.unpriced_tokens, t.unpriced_lines, t.unconverted_lines, t.assumed_lines, t.upper_bound_lines, "
    "t.tier_assumed_lines, t.carried_lines, t.lines"
)
_TOKENS = "CASE WHEN t.basis = 'computed' AND t.component IN ('token', 'retry_failed', 'fallback') THEN {} ELSE 0 END"
_FAILED = "CASE WHEN t.component = 'retry_failed' THEN {} ELSE 0 END"
_KEYS = "t.offering_id, t.source_id, t.component, t.basis, t.role, t.currency"
_OF_ROLLUP = (
    f"{_KEYS}, t.amount_org AS cost, t.requests, {_FAILED.format('t.requests')} AS failed, "
    f"{_TOKENS.format('t.quantity')} AS tokens, {_ROLLED}"
)


def _flagged(flag: int) -> str:
    """1 where the mark comes with the line, -1 where a correction takes it away."""
    return f"(t.flags & {int(flag)} <> 0)::int - (t.cleared & {int(flag)} <> 0)::int"


def _of_tokens(flag: int) -> str:
    """What is said of an hour's tokens says nothing of its GPU time."""
    return f"CASE WHEN left(t.component, 3) <> 'gpu' THEN {_flagged(flag)} ELSE 0 END"


_OF_LINE = (
    f"{_KEYS}, coalesce(t.amount_org, 0) AS cost, coalesce(t.requests, 0) AS requests, "
    f"{_FAILED.format('coalesce(t.requests, 0)')} AS failed, {_TOKENS.format('coalesce(t.quantity, 0)')} AS tokens, "
    f"t.unpriced_tokens, {_flagged(flags.UNPRICED)} AS unpriced_lines, "
    f"{_flagged(flags.UNCONVERTED)} AS unconverted_lines, "
    f"{_flagged(flags.RATE_ASSUMED)} AS assumed_lines, {_of_tokens(Flag.UPPER_BOUND)} AS upper_bound_lines, "
    f"{_of_tokens(Flag.TIER_ASSUMED | Flag.BAND_UNKNOWN)} AS tier_assumed_lines, "
    f"{_flagged(flags.RATE_CARRIED)} AS carried_lines, t.lines"
)
LINE_MEASURES: Final = _OF_LINE  # for other reads of `costs_line t` that sum the same measures


def _month_rows(actor: Actor, scope: CostScope, months: list[date], only: Sql | None) -> Sql:
    month = Sql("t.charge_month = ANY(%s)", (months,))
    signed = _signed(scope, "t.booked_month = t.charge_month")
    where = _where(month, signed, _filters(scope), _owner_filters(actor, scope), only)
    keys = "t.charge_month AS day, t.workload_id, t.workload_id IS NOT NULL AS allocated"
    return Sql(f"SELECT {keys}, {_OF_ROLLUP} FROM costs_month t WHERE {where.text}", where.values)


def ranking_rows_of(actor: Actor, scope: CostScope) -> Sql:
    """Like `rows_of` by owner, with cost and requests alone, from far fewer rows; not for scopes about items."""
    months, edges = split(scope.first, scope.end)
    month = Sql("t.charge_month = ANY(%s)", (months,))
    signed = _signed(scope, "t.booked_month = t.charge_month")
    where = _where(month, signed, _basis(scope.basis), _owner_filters(actor, scope))
    columns = "SELECT t.workload_id, t.amount_org AS cost, t.requests FROM costs_owner_month t"
    parts = [Sql(f"{columns} WHERE {where.text}", where.values)] if months else []
    for first, end in edges:
        lines = _line_rows(actor, scope, first, end, None)
        parts.append(Sql(f"SELECT workload_id, cost, requests FROM ({lines.text}) l", lines.values))
    return Sql(" UNION ALL ".join(part.text for part in parts), tuple(v for part in parts for v in part.values))


def _day_rows(actor: Actor, scope: CostScope, first: date, end: date, only: Sql | None) -> Sql:
    days = Sql("t.day >= %s AND t.day < %s", (first, end))
    signed = _signed(scope, "t.booked_month = date_trunc('month', t.day)")
    where = _where(days, signed, _filters(scope), _placed(actor, scope, "t.allocated"), only)
    keys = "t.day, NULL::bigint AS workload_id, t.allocated"
    return Sql(f"SELECT {keys}, {_OF_ROLLUP} FROM costs_day t WHERE {where.text}", where.values)


def _line_rows(actor: Actor, scope: CostScope, first: date, end: date, only: Sql | None) -> Sql:
    days, signed = Sql("t.day >= %s AND t.day < %s", (first, end)), _signed(scope, "t.revision = 0")
    where = _where(days, signed, _filters(scope), _owner_filters(actor, scope), only)
    keys = "t.day, t.workload_id, t.workload_id IS NOT NULL AS allocated"
    return Sql(f"SELECT {keys}, {_OF_LINE} FROM costs_line t WHERE {where.text}", where.values)


# --- Conditions on `t` ------------------------------------------------------------------------------------------------


def _where(*parts: Sql | None) -> Sql:
    given = [part for part in parts if part is not None and part.text]
    return Sql(" AND ".join(f"({part.text})" for part in given), tuple(v for part in given for v in part.values))


def _signed(scope: CostScope, condition: str) -> Sql | None:
    return Sql(condition) if scope.figures is Figures.SIGNED else None


def _filters(scope: CostScope) -> Sql:
    parts = [_basis(scope.basis)]
    if scope.offering_id is not None:
        parts.append(Sql("coalesce(t.offering_id, 0) = %s", (scope.offering_id,)))
    if scope.provider is not None:
        parts.append(_of_provider(scope.provider))
    if scope.component:
        parts.append(Sql("t.component = ANY(%s)", (_components(scope.component),)))
    if scope.source_id is not None:
        parts.append(Sql("t.source_id = %s", (scope.source_id,)))
    return _where(*parts)


def _of_provider(name: str) -> Sql:
    """What names no model names no provider either."""
    named = Sql("t.offering_id IN (SELECT id FROM catalog_offering WHERE provider = %s)", (name,))
    return named if name else Sql(f"t.offering_id IS NULL OR {named.text}", named.values)


def _components(name: str) -> list[str]:
    return components_of(DIRECT) if name == ALL_DIRECT else [name]


def _basis(basis: BasisChoice) -> Sql:
    if basis is BasisChoice.FULL:
        return Sql("t.role = 'counts' AND t.basis <> 'billed'")
    return Sql("") if basis is BasisChoice.ANY else Sql("t.basis = %s", (basis.value,))


def _owner_filters(actor: Actor, scope: CostScope) -> Sql:
    parts = [_placed(actor, scope, "t.workload_id IS NOT NULL"), _visible(actor)]
    if scope.workload_id is not None:
        parts.append(Sql("t.workload_id = %s", (scope.workload_id,)))
    if scope.cost_centre_path:
        there = "c.path = %s" if scope.only_cost_centre else "starts_with(c.path, %s)"
        inside = "SELECT w.id FROM workloads_workload w JOIN accounts_cost_centre c ON c.id = w.cost_centre_id"
        parts.append(Sql(f"t.workload_id IN ({inside} WHERE {there})", (scope.cost_centre_path,)))
    return _where(*parts)


def _placed(actor: Actor, scope: CostScope, is_allocated: str) -> Sql | None:
    """Whether somebody claims the line; what nobody claims is for those who may place it."""
    may = may_see_unallocated(actor)
    if scope.allocated is False:
        return Sql(f"NOT ({is_allocated})") if may else Sql("false")
    return None if may and scope.allocated is None else Sql(is_allocated)


def _visible(actor: Actor) -> Sql | None:
    if _sees_everybody(actor):
        return None
    text, values = Workload.objects.money_visible_to(actor).order_by().values("pk").query.sql_with_params()
    # Unallocated lines passed `_placed` already, which asks for the right.
    return Sql(f"t.workload_id IS NULL OR t.workload_id IN ({text})", tuple(values))


def _sees_everybody(actor: Actor) -> bool:
    return rights.rights_of(actor).sees_all_money


def may_see_unallocated(actor: Actor) -> bool:
    return rights.rights_of(actor).may(rights.Right.SEE_UNALLOCATED)

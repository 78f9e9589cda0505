"""The list of budgets: every workload whose money the actor sees, with its burn, narrowed and ordered."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from apps.budgets.selectors import Burn, Standing, burns, forecasted
from apps.core.actor import Actor
from apps.workloads.models import Workload

ZERO: Final = Decimal(0)
# What a filter of states takes in; "warned" is everything that somebody was told of. A suspended budget is over as soon
# as anything is spent.
STATES: Final[dict[str, Callable[[Burn], bool]]] = {
    "warned": lambda burn: burn.is_warned,
    "over": lambda burn: burn.is_over,
    "within": lambda burn: burn.standing is Standing.WITHIN,
    "unknown": lambda burn: burn.standing is Standing.UNKNOWN,
    "suspended": lambda burn: burn.standing is Standing.SUSPENDED,
    "none": lambda burn: burn.standing is Standing.NONE,
}


@dataclass(frozen=True, slots=True)
class Filters:
    """Empty filters nothing. `centre_path` takes in everything below; `owner` is a person who answers for it."""

    words: str = ""
    state: str = ""
    centre_path: str = ""
    owner: int | None = None

    @property
    def is_filtering(self) -> bool:
        return self != Filters()


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """A workload as the list shows it, without reading the rest of it."""

    pk: int
    slug: str
    name: str
    centre: str
    centre_path: str
    owner_ids: frozenset[int]
    owner: str
    burn: Burn

    @property
    def ref(self) -> str:
        return f"WL-{self.pk:03d}"


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over rows. `granted` are budgets that hold; `ungoverned` is spent without one.

    None is unknown: nothing of what was used is known as money. `incomplete` workloads have cost that is known in part,
    or not at all: what is spent is more than the sums say; `incomplete_of_granted` are those of them with a budget.
    """

    workloads: int
    with_budget: int
    granted: Decimal
    spent: Decimal | None
    spent_of_granted: Decimal | None
    ungoverned: Decimal | None
    over: int
    warned: int
    incomplete: int
    incomplete_of_granted: int

    @property
    def ratio(self) -> Decimal | None:
        return self.spent_of_granted / self.granted if self.granted and self.spent_of_granted is not None else None

    @property
    def incomplete_without(self) -> int:
        """Those of `incomplete` without a budget."""
        return self.incomplete - self.incomplete_of_granted


def budget_rows(*, actor: Actor, month: date, filters: Filters, sort: str = "-used") -> list[BudgetRow]:
    """All rows of the filter in their order; what is unknown comes last. Without forecasts, see `with_forecasts`."""
    found = burns(month=month)
    rows = [row for row in _workloads(actor, found, month) if _fits(row, filters)]
    value = SORTS[sort.lstrip("-")]
    known = [row for row in rows if value(row) is not None]
    unknown = [row for row in rows if value(row) is None]
    by_name = sorted(known, key=_name)
    return sorted(by_name, key=value, reverse=sort.startswith("-")) + sorted(unknown, key=_name)


def with_forecasts(rows: Sequence[BudgetRow], *, month: date, today: date | None = None) -> list[BudgetRow]:
    filled = forecasted({row.pk: row.burn for row in rows}, month=month, today=today)
    return [replace(row, burn=filled[row.pk]) for row in rows]


def totals_of(rows: Sequence[BudgetRow]) -> Totals:
    governed = [row.burn for row in rows if row.burn.budget is not None]
    return Totals(
        workloads=len(rows),
        with_budget=len(governed),
        granted=sum((burn.amount or ZERO for burn in governed), ZERO),
        spent=_spent(row.burn for row in rows),
        spent_of_granted=_spent(governed),
        ungoverned=_spent(row.burn for row in rows if row.burn.budget is None),
        over=sum(row.burn.is_over for row in rows),
        warned=sum(row.burn.is_warned for row in rows),
        incomplete=sum(bool(row.burn.mark) for row in rows),
        incomplete_of_granted=sum(bool(burn.mark) for burn in governed),
    )


def _spent(burns_of: Iterable[Burn]) -> Decimal | None:
    """What is known of it; zero where nothing was used, and unknown where nothing of what was used has a price."""
    found = list(burns_of)
    known = [burn.direct for burn in found if burn.direct is not None]
    return sum(known, ZERO) if known or not any(burn.mark for burn in found) else None


def _workloads(actor: Actor, found: dict[int, Burn], month: date) -> list[BudgetRow]:
    visible = Workload.objects.money_visible_to(actor).active().order_by()
    return [_row(values, found.get(values[0]) or Burn(month)) for values in visible.values_list(*_READ)]


_READ: Final = (
    *("pk", "slug", "name", "cost_centre__name", "cost_centre__path", "budget_owner__name"),
    *("budget_owner_id", "business_owner_id", "technical_owner_id"),
)


def _row(values: Sequence[Any], burn: Burn) -> BudgetRow:
    pk, slug, name, centre, path, owner, *owner_ids = values
    return BudgetRow(pk, slug, name, centre or "", path or "", frozenset(owner_ids) - {None}, owner or "", burn)


def _fits(row: BudgetRow, filters: Filters) -> bool:
    if filters.state and not STATES[filters.state](row.burn):
        return False
    if filters.centre_path and not row.centre_path.startswith(filters.centre_path):
        return False
    if filters.owner is not None and filters.owner not in row.owner_ids:
        return False
    told = f"{row.name} {row.slug} {row.ref} {row.centre} {row.owner}".casefold()
    return all(word in told for word in filters.words.casefold().split())


def _name(row: BudgetRow) -> str:
    return row.name.casefold()


def _used(row: BudgetRow) -> Decimal | None:
    """Over a budget of 0 everything is beyond measure, and comes first."""
    if row.burn.budget is not None and row.burn.amount == 0 and row.burn.direct:
        return Decimal("Infinity")
    return row.burn.ratio


SORTS: Final[dict[str, Callable[[BudgetRow], Any]]] = {
    "name": _name,
    "budget": lambda row: row.burn.amount,
    "spent": lambda row: row.burn.direct,
    "used": _used,
    "left": lambda row: row.burn.left,
}

"""Why a cost is not what it was before: its change, split into parts that add up to it to the last digit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import Final, NamedTuple

from django.db import connection

from apps.core.actor import Actor
from apps.core.money import MAX_DIGITS, UNIT
from apps.costs.models import Component
from apps.costs.selectors.scope import CostScope, rows_of
from apps.costs.selectors.tables import told_apart

WASTE: Final = (Component.RETRY_FAILED, Component.FALLBACK, Component.GPU_IDLE)


class Part(StrEnum):
    """In the order in which they are taken apart; each holds what came before it at its new value."""

    VOLUME = "volume"  # more or fewer calls, as dear as before
    MIX = "mix"  # calls that went to other models
    INTENSITY = "intensity"  # more or fewer tokens in a call of the same model
    PRICE = "price"  # what a token of the same model cost: list price, service tier, share of cached and output tokens
    UNTOLD = "untold"  # token cost of models of which calls, tokens or a part of the cost are not told
    WASTE = "waste"  # retries and failed calls, fallbacks, GPUs held idle
    GPU = "gpu"
    SHARED = "shared"


class Lack(StrEnum):
    """Why nobody knows what some usage cost."""

    PRICE = "price"
    RATE = "exchange rate"


class Unknown(NamedTuple):
    """What some lines of a period stand for that lack one; `model` is empty where none is named."""

    lack: Lack
    component: str
    model: str


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Delivered plain calls of one model in a period, their tokens of all types and what is known of their cost."""

    cost: Decimal
    calls: int
    tokens: int
    is_priced: bool = True

    @property
    def is_told(self) -> bool:
        return self.calls > 0 and self.tokens > 0 and self.is_priced

    @property
    def intensity(self) -> Decimal:
        """Tokens a call."""
        return Decimal(self.tokens) / self.calls

    @property
    def price(self) -> Decimal:
        """Money a token."""
        return self.cost / self.tokens


@dataclass(frozen=True, slots=True)
class Spending:
    """The cost of a period: of plain calls by model, of everything else by component; and what of it is not known."""

    models: Mapping[int, ModelUse] = field(default_factory=dict)
    others: Mapping[str, Decimal] = field(default_factory=dict)
    unknown: frozenset[Unknown] = frozenset()

    @property
    def total(self) -> Decimal:
        return _sum(use.cost for use in self.models.values()) + _sum(self.others.values())

    def tokens_a_call(self) -> Decimal | None:
        """Over all models of which calls and tokens are told; None where none is."""
        told = [use for use in self.models.values() if use.is_told]
        calls = sum(use.calls for use in told)
        return Decimal(sum(use.tokens for use in told)) / calls if calls else None


@dataclass(frozen=True, slots=True)
class CostChange:
    """`parts` add up to `amount`, what the period cost more than the one before, exactly; one that stayed is zero.

    Unless `is_known` these are about what has a price alone: no change of the cost.
    """

    before: Spending
    now: Spending
    amount: Decimal
    parts: Mapping[Part, Decimal]

    @property
    def is_known(self) -> bool:
        return not (self.before.unknown or self.now.unknown)


def cost_change(*, actor: Actor, scope: CostScope, before: tuple[date, date]) -> CostChange:
    """The scope's cost against the same filters over the days `before`; not known where something has no price."""
    rows = told_apart(lambda each: rows_of(actor, each, by_owner=True), scope, before)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT x.is_before, x.component, coalesce(x.offering_id, 0), coalesce(min(o.name), ''), "
            "coalesce(sum(x.cost), 0), coalesce(sum(x.requests), 0), coalesce(sum(x.tokens), 0), "
            "coalesce(sum(x.unpriced_lines), 0) > 0, coalesce(sum(x.unconverted_lines), 0) > 0 "
            f"FROM ({rows.text}) x LEFT JOIN catalog_offering o ON o.id = x.offering_id GROUP BY 1, 2, 3",
            rows.values,
        )
        found = [_Row(*row) for row in cursor.fetchall()]
    then, now = (_spending(row for row in found if row.is_before is is_before) for is_before in (True, False))
    return split(then, now)


def split(before: Spending, now: Spending) -> CostChange:
    """Take the change apart: one factor after the other, each at the new value of those before it.

    Token cost of a model = all calls x its share of them x tokens a call x money a token. The last factor takes what is
    left, so nothing is lost by rounding. A model that is new or gone has no tokens a call to compare: it is all mix.
    """
    told = sorted(
        model
        for model in before.models.keys() | now.models.keys()
        if all(use.is_told for use in (before.models.get(model), now.models.get(model)) if use)
    )
    with localcontext(prec=2 * MAX_DIGITS):
        parts = dict.fromkeys(Part, Decimal(0)) | _token_parts(
            {model: before.models[model] for model in told if model in before.models},
            {model: now.models[model] for model in told if model in now.models},
        )
        untold = (before.models.keys() | now.models.keys()) - set(told)
        parts[Part.UNTOLD] = _cost_of(now, untold) - _cost_of(before, untold)
        for component in before.others.keys() | now.others.keys():
            moved = now.others.get(component, Decimal(0)) - before.others.get(component, Decimal(0))
            parts[_part_of(component)] += moved
        return CostChange(before, now, now.total - before.total, parts)


def _token_parts(before: Mapping[int, ModelUse], now: Mapping[int, ModelUse]) -> dict[Part, Decimal]:
    calls_before, calls = sum(use.calls for use in before.values()), sum(use.calls for use in now.values())
    cost_before, cost = _sum(use.cost for use in before.values()), _sum(use.cost for use in now.values())
    if not calls_before:
        return {Part.VOLUME: cost - cost_before}
    both = before.keys() & now.keys()
    grown = cost_before * calls / calls_before
    # What the new calls of each model would have cost with the old tokens a call at the old money a token.
    mixed = _sum(now[m].calls * before[m].intensity * before[m].price if m in both else now[m].cost for m in now)
    longer = _sum(now[m].tokens * before[m].price if m in both else now[m].cost for m in now)
    volume, mix, intensity = _rounded(grown - cost_before), _rounded(mixed - grown), _rounded(longer - mixed)
    price = cost - cost_before - volume - mix - intensity
    return {Part.VOLUME: volume, Part.MIX: mix, Part.INTENSITY: intensity, Part.PRICE: price}


class _Row(NamedTuple):
    is_before: bool
    component: str
    offering_id: int
    model: str
    cost: Decimal
    requests: int
    tokens: int
    lacks_price: bool
    lacks_rate: bool


def _spending(rows: Iterable[_Row]) -> Spending:
    models: dict[int, ModelUse] = {}
    others: dict[str, Decimal] = {}
    unknown: set[Unknown] = set()
    for row in rows:
        lacks = [lack for lack, is_so in ((Lack.PRICE, row.lacks_price), (Lack.RATE, row.lacks_rate)) if is_so]
        unknown |= {Unknown(lack, row.component, row.model) for lack in lacks}
        if row.component == Component.TOKEN:
            models[row.offering_id] = ModelUse(row.cost, int(row.requests), int(row.tokens), not lacks)
        else:
            others[row.component] = others.get(row.component, Decimal(0)) + row.cost
    return Spending(models, others, frozenset(unknown))


def _part_of(component: str) -> Part:
    if component in WASTE:
        return Part.WASTE
    return Part.GPU if component == Component.GPU_USED else Part.SHARED


def _cost_of(spending: Spending, models: Iterable[int]) -> Decimal:
    return _sum(use.cost for model in models if (use := spending.models.get(model)))


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(UNIT)


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))

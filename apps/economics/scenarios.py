"""Ways out of a month that does not pay, each worked out on the month's own usage: plain data, nothing of Django.

A way is a what-if, no forecast: the same calls with the same outcomes, only cheaper, unless it says otherwise. What
cannot be priced is said and never put at zero.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import Final

from apps.costs.repricing import BATCH, Lot, Rates, Tokens, cost_at
from apps.economics.arithmetic import exactly

ZERO: Final = Decimal(0)
MOST: Final = 4
LEAST_SAVING: Final = Decimal("0.01")
RETRY_FAILED, GPU_IDLE = "retry_failed", "gpu_idle"


class Kind(StrEnum):
    BATCH = "batch"
    DOWNGRADE = "downgrade"
    RETRIES = "retries"
    IDLE = "idle"
    CAP = "cap"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Facts:
    """A workload's month. `worth` is its value less reviews in the base case, None where nobody knows it.

    `direct` of the `cost` grows with the calls, and is what a budget limits. `lots` are the tokens that can be priced
    anew; of the models in `apart` nobody can say what they would cost elsewhere. Limits None: no limit, or no band.
    """

    cost: Decimal
    direct: Decimal
    worth: Decimal | None
    components: Mapping[str, Decimal] = field(default_factory=dict)
    lots: Sequence[Lot] = ()
    apart: Sequence[str] = ()
    band_limit_ms: int | None = None
    batch_limit_ms: int | None = None
    is_mandated: bool = False

    @property
    def net(self) -> Decimal | None:
        return None if self.worth is None else self.worth - self.cost


@dataclass(frozen=True, slots=True)
class Move:
    """Tokens of one lot at other rates: those of model `to` where it is named, else those of batch."""

    model: str
    to: str
    tier: str
    prompt_band: int
    tokens: Tokens
    now: Rates
    then: Rates
    cost_now: Decimal
    cost_then: Decimal


@dataclass(frozen=True, slots=True)
class Way:
    """What the month would have come to. `saves` is of the cost; `loses` of the worth, None where that is unknown.

    `net` None: nobody knows what the workload is worth. `cap` is of the cost that a budget limits.
    """

    kind: Kind
    saves: Decimal
    net: Decimal | None
    moves: tuple[Move, ...] = ()
    loses: Decimal | None = ZERO
    cap: Decimal | None = None
    breaks_band: bool = False


@dataclass(frozen=True, slots=True)
class WaysOut:
    """The ways that save, best first. `no_batch`, `no_lower`: models of which that way is unknown or does not exist."""

    ways: tuple[Way, ...]
    no_batch: tuple[str, ...] = ()
    no_lower: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


@exactly
def ways_out(facts: Facts) -> WaysOut:
    """The best four; of these, ways that keep the latency band come before those that break it."""
    batch, no_batch = _moved([lot for lot in facts.lots if lot.tier != BATCH], _to_batch)
    lower, no_lower = _moved([lot for lot in facts.lots if cost_at(lot.tokens, lot.now)], _to_lower)
    found = [
        _by_moves(facts, Kind.BATCH, batch, breaks_band=_breaks_band(facts)),
        _by_moves(facts, Kind.DOWNGRADE, lower),
        _without(facts, Kind.RETRIES, RETRY_FAILED),
        _without(facts, Kind.IDLE, GPU_IDLE),
        _capped(facts),
        _stopped(facts),
    ]
    ways = [way for way in found if way is not None and way.saves >= LEAST_SAVING and _gains(facts, way)]
    best = sorted(ways, key=lambda way: _rank(facts, way))[:MOST]
    return WaysOut(tuple(sorted(best, key=lambda way: way.breaks_band)), no_batch, no_lower, tuple(facts.apart))


def _gains(facts: Facts, way: Way) -> bool:
    return way.net is None or facts.net is None or way.net > facts.net


def _rank(facts: Facts, way: Way) -> tuple[bool, Decimal]:
    """By what the month nets then; where nobody knows its worth, by what is saved, and what would end it comes last."""
    gain = way.saves if way.net is None or facts.net is None else way.net - facts.net
    return way.loses is None, -gain


# --- The same calls at other rates ------------------------------------------------------------------------------------


def _moved(lots: Sequence[Lot], to: Callable[[Sequence[Lot]], list[Move]]) -> tuple[tuple[Move, ...], tuple[str, ...]]:
    """What each model's lots would move to, and the models of which none can."""
    by_model: dict[str, list[Lot]] = defaultdict(list)
    for lot in lots:
        by_model[lot.model].append(lot)
    moves = {model: to(of_model) for model, of_model in by_model.items()}
    can = tuple(move for of_model in moves.values() for move in of_model)
    return tuple(sorted(can, key=lambda move: move.cost_then - move.cost_now)), tuple(
        sorted(model for model in moves if not moves[model])
    )


def _to_batch(lots: Sequence[Lot]) -> list[Move]:
    """Lot by lot: a model may have batch rates for some prompts only."""
    return [move for lot in lots if (move := _move(lot, "", lot.batch)) is not None]


def _to_lower(lots: Sequence[Lot]) -> list[Move]:
    """All lots to the one cheapest model that has a price for each of them."""
    names = set[str].intersection(*(set(lot.lower) for lot in lots))
    priced = ([_move(lot, name, lot.lower[name]) for lot in lots] for name in sorted(names))
    whole = [[move for move in moves if move] for moves in priced if None not in moves]
    return min(whole, key=_cost_then, default=[])


def _cost_then(moves: Iterable[Move]) -> Decimal:
    return sum((move.cost_then for move in moves), ZERO)


def _move(lot: Lot, to: str, then: Rates | None) -> Move | None:
    now, after = cost_at(lot.tokens, lot.now), cost_at(lot.tokens, then)
    if now is None or after is None or then is None:
        return None
    return Move(lot.model, to, lot.tier, lot.prompt_band, lot.tokens, lot.now, then, now, after)


def _by_moves(facts: Facts, kind: Kind, moves: Sequence[Move], *, breaks_band: bool = False) -> Way:
    """Only models that become cheaper move: what would cost more stays where it is."""
    savings: dict[str, Decimal] = defaultdict(Decimal)
    for move in moves:
        savings[move.model] += move.cost_now - move.cost_then
    kept = _joined(move for move in moves if savings[move.model] > 0)
    saves = sum((move.cost_now - move.cost_then for move in kept), ZERO)
    return Way(kind, saves, _plus(facts.net, saves), kept, breaks_band=breaks_band)


def _joined(moves: Iterable[Move]) -> tuple[Move, ...]:
    """Lots that differ in nothing but what else they could have moved to become one."""
    found: dict[Move, Move] = {}
    for move in moves:
        alike = replace(move, tokens=Tokens(), cost_now=ZERO, cost_then=ZERO)
        sums = found.get(alike, alike)
        found[alike] = replace(
            move,
            tokens=sums.tokens + move.tokens,
            cost_now=sums.cost_now + move.cost_now,
            cost_then=sums.cost_then + move.cost_then,
        )
    return tuple(found.values())


def _breaks_band(facts: Facts) -> bool:
    """Answers of batch come within minutes or hours; who was promised them sooner does not get them in time."""
    if facts.band_limit_ms is None:
        return False
    return facts.batch_limit_ms is None or facts.band_limit_ms < facts.batch_limit_ms


# --- Less of it -------------------------------------------------------------------------------------------------------


def _without(facts: Facts, kind: Kind, component: str) -> Way:
    saves = facts.components.get(component, ZERO)
    return Way(kind, saves, _plus(facts.net, saves))


def _capped(facts: Facts) -> Way | None:
    """At what it is worth. The money pays for fewer calls then, so that its worth falls with them."""
    if facts.worth is None or facts.is_mandated:
        return None
    indirect = facts.cost - facts.direct
    cap = facts.worth - indirect
    if not 0 < cap < facts.direct:
        return None
    left = facts.worth * cap / facts.direct
    return Way(Kind.CAP, facts.direct - cap, left - indirect - cap, loses=facts.worth - left, cap=cap)


def _stopped(facts: Facts) -> Way | None:
    """Neither cost nor worth. What must run whatever it is worth has no such way."""
    return None if facts.is_mandated else Way(Kind.STOP, facts.cost, ZERO, loses=facts.worth)


def _plus(amount: Decimal | None, more: Decimal) -> Decimal | None:
    return None if amount is None else amount + more

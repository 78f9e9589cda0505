"""Ways out of a month at the item that is spoken about: in words, with their rates, and what choosing one fills in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from django.utils import timezone

from apps.catalog.bands import band_label
from apps.core.actor import Actor
from apps.costs.repricing import KINDS
from apps.economics.scenarios import Facts, Kind, Move, Way
from apps.economics.ways import ways_for
from apps.reviews.models import Item, ItemKind, What
from apps.web import figures
from apps.workloads.models import Workload

ACTS_WITHIN: Final = timedelta(days=30)
CENT: Final = Decimal("0.01")
DISPOSITION: Final = {
    Kind.BATCH: What.MOVE_TO_BATCH,
    Kind.DOWNGRADE: What.DOWNGRADE,
    Kind.RETRIES: What.OPTIMISE,
    Kind.IDLE: What.OPTIMISE,
    Kind.CAP: What.CAP,
    Kind.STOP: What.SUNSET,
}
KIND_NAMES: Final = {
    "input": "input",
    "cached": "cached input",
    "cache_write": "cache writes",
    "cache_write_1h": "cache writes for an hour",
    "output": "output",
    "reasoning": "reasoning",
}
# A case that ends or a month that was restated is no matter of what its calls cost.
NOT_ABOUT_COST: Final = (ItemKind.EXPIRING, ItemKind.RESTATEMENT)


@dataclass(frozen=True, slots=True)
class WayRow:
    """One way as the card lists it; `fills` is what the form gets, `why` how its figures come about."""

    key: str
    name: str
    net: str
    saves: str
    assumes: str
    breaks_band: str
    href: str
    why: tuple[str, ...]
    fills: dict[str, Any]


@dataclass(frozen=True, slots=True)
class WaysCard:
    """`lacks` says what could not be priced."""

    rows: tuple[WayRow, ...]
    lacks: tuple[str, ...]
    is_as_of_now: bool

    def row(self, key: str) -> WayRow | None:
        return next((row for row in self.rows if row.key == key), None)


def ways_card(*, actor: Actor, item: Item, month: date, is_signed: bool, currency: str, href: str) -> WaysCard | None:
    """None where the item is about no single workload, or nobody knows what that cost. `href` leads to the item."""
    if item.workload is None or item.kind in NOT_ABOUT_COST:
        return None
    known = ways_for(actor=actor, workload=item.workload, month=month, is_signed=is_signed)
    if known is None:
        return None
    rows = tuple(_row(way, known.facts, item.workload, currency, href) for way in known.found.ways)
    lacks = (
        *_lack(known.found.no_batch, "has no batch rates", "have no batch rates"),
        *_lack(known.found.no_lower, "has no cheaper class with known rates", "have no cheaper class with known rates"),
        *_lack(
            known.found.apart,
            "cannot be priced anew: its cost is unknown, or does not come of tokens and rates",
            "cannot be priced anew: their cost is unknown, or does not come of tokens and rates",
        ),
    )
    return WaysCard(rows, lacks, known.is_as_of_now)


def _row(way: Way, facts: Facts, workload: Workload, currency: str, href: str) -> WayRow:
    name = _name(way, currency)
    limit = figures.latency(facts.band_limit_ms)
    return WayRow(
        key=way.kind.value,
        name=name,
        net=figures.money(way.net, currency),
        saves=figures.money(way.saves, currency),
        assumes=_assumes(way, facts, currency),
        breaks_band=f"breaks the band of {limit}" if way.breaks_band else "",
        href=f"{href}{'&' if '?' in href else '?'}way={way.kind.value}#decide",
        why=tuple(_why(way, facts, currency)),
        fills=_fills(way, name, workload),
    )


def _name(way: Way, currency: str) -> str:
    if way.kind == Kind.DOWNGRADE:
        return f"Move to {_and(sorted({_short(move.to) for move in way.moves}))}"
    return {
        Kind.BATCH: "Move to batch",
        Kind.RETRIES: "Trim failed attempts",
        Kind.IDLE: "Keep no GPU idle",
        Kind.CAP: f"Cap at {figures.money(way.cap, currency)}",
        Kind.STOP: "Stop",
    }[way.kind]


def _assumes(way: Way, facts: Facts, currency: str) -> str:
    """What would have to be so, in one line."""
    worth = figures.money(way.loses, currency)
    if way.kind == Kind.BATCH:
        limit = f" within {figures.latency(facts.batch_limit_ms)}" if facts.batch_limit_ms else ", later"
        return f"same outcomes; answers{limit}"
    if way.kind == Kind.CAP:
        return f"what it is worth; fewer answers, and {worth} of their worth goes too"
    if way.kind == Kind.STOP:
        return "nobody knows what it is worth; that goes too" if way.loses is None else f"its worth of {worth} goes too"
    return {
        Kind.DOWNGRADE: "same outcomes; no effect on quality assumed",
        Kind.RETRIES: "every call succeeds at the first attempt",
        Kind.IDLE: "same outcomes; capacity follows the load",
    }[way.kind]


def _why(way: Way, facts: Facts, currency: str) -> Iterable[str]:
    """From the rates to the saving, and from it to the net value; each a line."""
    for move in way.moves:
        yield from _rates(move, currency)
    exact, net = figures.money_exact, _exact_or_unknown(facts.net, currency)
    if way.kind == Kind.CAP:
        yield f"{exact(way.cap, currency)} is its value less reviews and less what calls do not cause."
    if way.kind in (Kind.CAP, Kind.STOP):
        yield f"Of {exact(facts.cost, currency)} it saves {exact(way.saves, currency)}; today it nets {net}."
    else:
        yield f"Net {net} today, and {exact(way.saves, currency)} less cost."


def _exact_or_unknown(amount: Decimal | None, currency: str) -> str:
    return "an unknown amount" if amount is None else figures.money_exact(amount, currency)


def _rates(move: Move, currency: str) -> Iterable[str]:
    """gpt-4o to gpt-4o-mini, standard, up to 128,000 input tokens; 41.2M input at $2.50, then $0.150; the sums."""
    to = _short(move.to) if move.to else "batch"
    yield f"{_short(move.model)} to {to}, {move.tier}, {band_label(move.prompt_band)}, per 1M tokens:"
    for kind in KINDS:
        count = getattr(move.tokens, kind)
        if count:
            now, then = (figures.unit_price(getattr(rates, kind), currency) for rates in (move.now, move.then))
            yield f"{figures.tokens(Decimal(count))} {KIND_NAMES[kind]} at {now}, then {then}"
    exact = figures.money_exact
    yield f"{exact(move.cost_now, currency)} becomes {exact(move.cost_then, currency)}"


def _fills(way: Way, name: str, workload: Workload) -> dict[str, Any]:
    """A saving is promised by somebody, who has a month; cut to cents, so that it is never more than the cost."""
    owner = workload.business_owner
    return {
        "what": DISPOSITION[way.kind].value,
        "reason": name,
        "owner": owner.pk if owner and owner.active else "",
        "due": timezone.localdate() + ACTS_WITHIN,
        "promised_saving": way.saves.quantize(CENT, ROUND_DOWN),
        "amount": "" if way.cap is None else way.cap.quantize(CENT, ROUND_DOWN),
    }


def _lack(models: Sequence[str], one: str, many: str) -> tuple[str, ...]:
    return (f"{_and([_short(model) for model in models])} {one if len(models) == 1 else many}.",) if models else ()


def _short(model: str) -> str:
    """The model without its provider."""
    return model.partition("/")[2] or model or "a model that was not reported"


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

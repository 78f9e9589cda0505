"""What the same tokens cost at other unit prices: exact decimals on plain data, nothing of Django.

A sum of calls has no price: list prices have cliffs per call. Tokens therefore come in *lots* of one model, service
tier, prompt band and price period, and a lot has one unit price for each kind of token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Final

PER_TOKEN: Final = Decimal("0.000001")  # prices are per 1,000,000 tokens; multiplying is exact where dividing is not
BATCH: Final = "batch"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Disjoint, as they are stored: input without cached and cache writes, output without reasoning."""

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(*(getattr(self, kind) + getattr(other, kind) for kind in KINDS))

    @property
    def total(self) -> int:
        return sum(getattr(self, kind) for kind in KINDS)


KINDS: Final = tuple(each.name for each in fields(Tokens))


@dataclass(frozen=True, slots=True)
class Rates:
    """Unit prices per 1,000,000 tokens in the organisation's currency; None is not stated, never free."""

    input: Decimal | None = None
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Lot:
    """Tokens of one model, tier, prompt band and price period, with the rates at which they could be had.

    A model is written provider/name. `batch` None: it has no batch rates of its own, or the tokens are batch already.
    `lower`: by name, the models of a lower class, of the same provider or our own.
    """

    model: str
    tier: str
    prompt_band: int
    tokens: Tokens
    now: Rates
    batch: Rates | None = None
    lower: Mapping[str, Rates] = field(default_factory=dict)


def cost_at(tokens: Tokens, rates: Rates | None) -> Decimal | None:
    """None as soon as a kind of token that was used has no price."""
    total = Decimal(0)
    for kind in KINDS:
        count, price = getattr(tokens, kind), getattr(rates, kind) if rates else None
        if count and price is None:
            return None
        if count:
            total += count * price * PER_TOKEN
    return total

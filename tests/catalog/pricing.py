"""How a test multiplies: stored (disjoint) token counts times the effective rate of their key and hour."""

from datetime import datetime
from decimal import Decimal

from apps.catalog.models import EffectiveRate, Offering

KINDS = ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning")


def rate_of(offering: Offering, at: datetime, tier: str = "standard", band: int = 0) -> EffectiveRate:
    return EffectiveRate.objects.get(
        offering=offering, service_tier=tier, prompt_band=band, valid_from__lte=at, valid_to__gt=at
    )


def cost(rate: EffectiveRate, **tokens: int) -> Decimal:
    return sum((getattr(rate, kind) * count for kind, count in tokens.items()), Decimal(0)) / 1_000_000

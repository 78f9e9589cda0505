"""The words of a call that decide its price and its latency: service tier, prompt band, latency edges.

Everything that counts or prices calls takes these from here, since a list price changes at exactly these edges.
"""

from bisect import bisect_left
from typing import Final

from django.db import models

from apps.catalog.edges import LATENCY_EDGES_MS, PROMPT_BAND_EDGES, UNKNOWN_BAND

__all__ = (
    "ALL_PROMPT_BANDS",
    "LATENCY_EDGES_MS",
    "PROMPT_BANDS",
    "PROMPT_BAND_EDGES",
    "UNKNOWN_BAND",
    "ServiceTier",
    "band_label",
    "prompt_band",
    "service_tier",
)


class ServiceTier(models.TextChoices):
    """How the provider was asked to serve a call; `unknown` is priced at the standard rate and marked."""

    STANDARD = "standard", "standard"
    BATCH = "batch", "batch"
    FLEX = "flex", "flex"
    PRIORITY = "priority", "priority"
    UNKNOWN = "unknown", "unknown"


PROMPT_BANDS: Final = tuple(range(len(PROMPT_BAND_EDGES) + 1))
ALL_PROMPT_BANDS: Final = (UNKNOWN_BAND, *PROMPT_BANDS)

_REPORTED_TIERS: Final = {
    "default": ServiceTier.STANDARD,
    "standard": ServiceTier.STANDARD,
    "on_demand": ServiceTier.STANDARD,
    "standard_only": ServiceTier.STANDARD,
    "batch": ServiceTier.BATCH,
    "flex": ServiceTier.FLEX,
    "priority": ServiceTier.PRIORITY,
}


def prompt_band(input_tokens: int | None) -> int:
    """The band of one call's input tokens, cached ones included; `UNKNOWN_BAND` where only sums are known."""
    if input_tokens is None:
        return UNKNOWN_BAND
    return bisect_left(PROMPT_BAND_EDGES, input_tokens)


def band_label(band: int) -> str:
    """The band in words, for people: 'over 200,000 to 272,000 input tokens'."""
    return bands_label(band, band)


def bands_label(first: int, last: int) -> str:
    """A run of bands in words, from the lower edge of the first to the upper edge of the last."""
    if first == UNKNOWN_BAND:
        return "prompt size unknown"
    over = f"over {PROMPT_BAND_EDGES[first - 1]:,}" if first else ""
    up_to = f"to {PROMPT_BAND_EDGES[last]:,}" if last < len(PROMPT_BAND_EDGES) else ""
    if over and up_to:
        return f"{over} {up_to} input tokens"
    return f"{over or f'up {up_to}'} input tokens" if over or up_to else "any prompt"


def service_tier(reported: str | None) -> ServiceTier:
    """The tier behind a provider's word. 'auto' names a wish and not what was served, so it stays unknown."""
    return _REPORTED_TIERS.get((reported or "").strip().lower(), ServiceTier.UNKNOWN)

"""Proof that the rates which rating joins are those that the stated rates come to."""

from collections import Counter
from collections.abc import Collection
from typing import Final

from django.db import transaction

from apps.catalog.effective import effective_rates
from apps.catalog.models import PRICE_FIELDS, EffectiveRate, Offering, Rate

PROMISE: Final = "catalog_effective_rate is what catalog_rate comes to"
_COMPARED: Final = (
    *("offering_id", "service_tier", "prompt_band", "valid_from", "valid_to", *PRICE_FIELDS, "currency", "rate_id"),
    *("scope", "list_version", "cached_assumed", "cache_write_assumed", "cache_write_1h_assumed", "reasoning_assumed"),
    *("tier_assumed", "band_assumed", "doubts"),
)
_AT_ONCE: Final = 200  # offerings whose rows are in memory together


def wrong_offerings() -> list[int]:
    """Offerings whose effective rates differ from what their stated ones come to, in either direction."""
    ids = list(Offering.objects.order_by("pk").values_list("pk", flat=True))
    suspects = [found for at in range(0, len(ids), _AT_ONCE) for found in _different(ids[at : at + _AT_ONCE])]
    return _still_different(suspects) if suspects else []


def _different(ids: Collection[int]) -> list[int]:
    kept = Counter(EffectiveRate.objects.filter(offering_id__in=ids).values_list(*_COMPARED))
    stated = Rate.objects.filter(offering_id__in=ids, superseded_by__isnull=True)
    due = Counter(tuple(getattr(row, name) for name in _COMPARED) for row in effective_rates(stated))
    at = _COMPARED.index("offering_id")
    return sorted({row[at] for row in (kept - due) | (due - kept)})


@transaction.atomic
def _still_different(ids: Collection[int]) -> list[int]:
    """Held still: a price that came between reading the two tables is no fault."""
    held = Offering.objects.select_for_update().filter(pk__in=ids).order_by("pk")
    return _different([offering.pk for offering in held])

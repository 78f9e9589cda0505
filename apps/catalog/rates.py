"""Laying rates: new rows over old ones without changing any, and the effective rates that follow.

Only services call this, inside their transaction and with the offerings locked.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from django.db import transaction

from apps.catalog.bands import ServiceTier
from apps.catalog.effective import effective_rates
from apps.catalog.models import PRICE_FIELDS, EffectiveRate, Offering, OfferingClass, Rate, RateChange
from apps.catalog.names import Match
from apps.catalog.prices import BEGINNING, LIST_CURRENCY, TOKEN_FIELDS, ListedPrice, list_version, listed_prices
from apps.catalog.worth import class_by_price, mean_price

_COPIED: Final = (
    "scope", "offering_id", "service_tier", "prompt_band", *PRICE_FIELDS, "currency", "list_version", "doubts",
    "recorded_by",
)  # fmt: skip


def public_rate(offering_id: int, listed: ListedPrice) -> Rate:
    """A row of the public list as a rate that is not stored yet."""
    return Rate(
        scope=Rate.Scope.PUBLIC,
        offering_id=offering_id,
        service_tier=listed.service_tier,
        prompt_band=listed.prompt_band,
        valid_from=listed.valid_from,
        valid_to=listed.valid_to,
        **{name: getattr(listed.tokens, name) for name in TOKEN_FIELDS},
        currency=LIST_CURRENCY,
        list_version=list_version(),
        doubts=" ".join(listed.doubts),
    )


def lay(rate: Rate) -> Rate:
    """Store a rate over whatever stands for its key in its period; what sticks out of it goes on as a copy."""
    covered = list(_standing_in(rate))
    rate.save(force_insert=True)
    supersede(covered, by=rate, from_=rate.valid_from, until=rate.valid_to)
    return rate


def supersede(covered: Sequence[Rate], *, by: Rate, from_: datetime, until: datetime | None) -> None:
    """Put `by` in the place of rates between two instants; the parts outside stay in force as copies."""
    Rate.objects.filter(pk__in=[rate.pk for rate in covered]).update(superseded_by=by)
    remainders = [piece for rate in covered for piece in _outside(rate, from_, until)]
    Rate.objects.bulk_create(remainders)


def rebuild_effective(offering_ids: Iterable[int]) -> None:
    """Work out the effective rates of some offerings anew; safe to call at any time."""
    ids = list(offering_ids)
    EffectiveRate.objects.filter(offering_id__in=ids).delete()
    standing = Rate.objects.filter(offering_id__in=ids, superseded_by__isnull=True)
    EffectiveRate.objects.bulk_create(effective_rates(standing), batch_size=2000)
    priced = Rate.objects.filter(offering_id__in=ids).values("offering_id")
    Offering.objects.filter(pk__in=priced, state=Offering.State.SEEN).update(state=Offering.State.KNOWN)


def note_change(offering: Offering, valid_from: datetime, valid_to: datetime | None = None) -> RateChange:
    """Leave word for whoever rates usage that figures of an offering changed in a period."""
    return RateChange.objects.create(offering=offering, valid_from=valid_from, valid_to=valid_to)


@transaction.atomic
def store_first_prices(priced: Mapping[Offering, Sequence[ListedPrice]], *, now: datetime) -> None:
    """Prices and class of offerings that have none yet, in a fixed number of queries."""
    Rate.objects.bulk_create([public_rate(offering.pk, row) for offering, rows in priced.items() for row in rows])
    rebuild_effective([offering.pk for offering in priced])
    first = [_first_class(offering, rows, now) for offering, rows in priced.items()]
    OfferingClass.objects.bulk_create([row for row in first if row], ignore_conflicts=True)


def price_as_listed(offering: Offering, match: Match, *, now: datetime) -> bool:
    """Give an offering without a list price the one of a match; False where the list has no token price either."""
    rows = listed_prices(match.listed, with_variants=match.is_own_list) if match.listed else []
    if match.listed is None or not rows:
        return False
    offering.listed_by, offering.listed_name = match.listed_by, match.listed.id
    offering.save(update_fields=("listed_by", "listed_name"))
    store_first_prices({offering: rows}, now=now)
    return True


def lock(offering: Offering) -> Offering:
    """The offering as it is now, held until the transaction ends: two changes of its prices come one by one."""
    return Offering.objects.select_for_update().get(pk=offering.pk)


def _standing_in(rate: Rate) -> Iterable[Rate]:
    found = Rate.objects.filter(
        scope=rate.scope,
        offering_id=rate.offering_id,
        service_tier=rate.service_tier,
        prompt_band=rate.prompt_band,
        superseded_by__isnull=True,
    ).exclude(valid_to__lte=rate.valid_from)
    return found.filter(valid_from__lt=rate.valid_to) if rate.valid_to else found


def _outside(rate: Rate, from_: datetime, until: datetime | None) -> Iterable[Rate]:
    if rate.valid_from < from_:
        yield copy(rate, rate.valid_from, from_)
    if until is not None and (rate.valid_to is None or until < rate.valid_to):
        yield copy(rate, until, rate.valid_to)


def copy(rate: Rate, valid_from: datetime, valid_to: datetime | None) -> Rate:
    """The same price for another period, not stored yet."""
    return Rate(**{name: getattr(rate, name) for name in _COPIED}, valid_from=valid_from, valid_to=valid_to)


def _first_class(offering: Offering, rows: Sequence[ListedPrice], now: datetime) -> OfferingClass | None:
    """The class by the price of the day on which the offering is first seen; later prices only propose."""
    for row in rows:
        is_base = row.service_tier == ServiceTier.STANDARD and row.prompt_band == 0
        if is_base and row.valid_from <= now and (row.valid_to is None or now < row.valid_to):
            price = mean_price(row.tokens.input, row.tokens.output)
            reason = f"{price.normalize():f} USD per 1M tokens, {list_version()}"
            return OfferingClass(
                offering=offering, model_class=class_by_price(price), valid_from=BEGINNING, reason=reason
            )
    return None

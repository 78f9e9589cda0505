"""Reads of the price list: what holds now, how it came to that, and what has no price."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, F, FilteredRelation, OuterRef, Q, QuerySet, Subquery

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.catalog.bands import ServiceTier, bands_label
from apps.catalog.models import EffectiveRate, Offering, OfferingAlias, OfferingClass, Rate
from apps.catalog.prices import LIST_CURRENCY
from apps.catalog.worth import CLASS_OF_UNKNOWN, class_by_price, mean_price
from apps.core.actor import Actor
from apps.core.errors import NotFound


@dataclass(frozen=True, slots=True)
class PriceLine:
    """An offering with its price for an ordinary call now: standard tier, short prompt, per 1,000,000 tokens."""

    id: int
    provider: str
    name: str
    hosted: str
    accelerator: str
    model_class: str
    input: Decimal | None
    cached: Decimal | None
    output: Decimal | None
    gpu_hour: Decimal | None
    currency: str
    scope: str
    list_version: str
    valid_from: datetime | None
    spellings: int
    is_assumed: bool
    proposed_class: str = ""

    @property
    def label(self) -> str:
        return f"{self.provider}/{self.name}".strip("/") or "model not reported"

    @property
    def is_priced(self) -> bool:
        return bool(self.scope)


@dataclass(frozen=True, slots=True)
class Unpriced:
    """An offering that is used and has no price, with the names under which it was reported."""

    offering: Offering
    aliases: Sequence[OfferingAlias]

    @property
    def candidates(self) -> list[str]:
        return sorted({name for alias in self.aliases for name in alias.candidates})


@dataclass(frozen=True, slots=True)
class History:
    """All that was ever stated about one offering: standing rates first, then what they replaced."""

    offering: Offering
    standing: Sequence[Rate]
    replaced: Sequence[Rate]
    classes: Sequence[OfferingClass]
    aliases: Sequence[OfferingAlias]
    now: PriceLine


ORDER_OF_TIERS = [tier.value for tier in ServiceTier]
SORTS = {
    "name": ("provider", "name"),
    "class": ("class_now", "provider", "name"),
    "input": ("input_now", "provider", "name"),
    "output": ("output_now", "provider", "name"),
    "gpu": ("gpu_now", "provider", "name"),
}


def offerings_now(at: datetime) -> QuerySet[Offering]:
    """Offerings with their ordinary price and class at an instant as `..._now` columns; NULL without a price."""
    ordinary = Q(
        effective_rates__service_tier=ServiceTier.STANDARD,
        effective_rates__prompt_band=0,
        effective_rates__valid_from__lte=at,
        effective_rates__valid_to__gt=at,
    )
    newest = OfferingClass.objects.filter(offering=OuterRef("pk"), valid_from__lte=at).order_by("-valid_from")
    return Offering.objects.annotate(
        held=FilteredRelation("effective_rates", condition=ordinary),
        input_now=F("held__input"),
        cached_now=F("held__cached"),
        output_now=F("held__output"),
        gpu_now=F("held__gpu_hour"),
        currency_now=F("held__currency"),
        scope_now=F("held__scope"),
        list_now=F("held__list_version"),
        since_now=F("held__valid_from"),
        cached_assumed_now=F("held__cached_assumed"),
        class_now=Subquery(newest.values("model_class")[:1]),
        spellings=Count("aliases", distinct=True),
    )


def price_lines(offerings: Iterable[Offering]) -> list[PriceLine]:
    """Rows for a page out of `offerings_now(...)`, filtered, sorted and cut as the page likes."""
    return [_line(offering) for offering in offerings]


def unpriced(at: datetime) -> list[Unpriced]:
    """Used without a price, in the order in which they were first seen."""
    found = offerings_now(at).filter(Q(scope_now__isnull=True)).order_by("first_seen", "id").prefetch_related("aliases")
    return [Unpriced(offering, list(offering.aliases.all())) for offering in found]


def count_unpriced(at: datetime) -> int:
    return offerings_now(at).filter(Q(scope_now__isnull=True)).count()


def get_offering_for(*, actor: Actor, pk: int) -> Offering:
    """An offering for somebody who may see prices; for everybody else there is none."""
    if rights.rights_of(actor).may(Right.SEE_RATES) and (found := Offering.objects.filter(pk=pk).first()):
        return found
    raise NotFound("There is no such model in the price list.")


def get_contract_rate_for(*, actor: Actor, pk: int) -> Rate:
    """A contract rate that still stands, for somebody who may see prices."""
    standing = Rate.objects.filter(scope=Rate.Scope.CONTRACT, superseded_by__isnull=True).select_related("offering")
    if rights.rights_of(actor).may(Right.SEE_RATES) and (found := standing.filter(pk=pk).first()):
        return found
    raise NotFound("There is no such contract rate, or another one took its place.")


def history(offering: Offering, *, at: datetime) -> History:
    """Everything about one offering in five queries."""
    rates = list(offering.rates.order_by("scope", "service_tier", "prompt_band", "-valid_from", "-id"))
    return History(
        offering=offering,
        standing=[rate for rate in rates if rate.superseded_by_id is None],
        replaced=[rate for rate in rates if rate.superseded_by_id is not None],
        classes=list(offering.classes.order_by("-valid_from")),
        aliases=list(offering.aliases.order_by("provider", "model")),
        now=price_lines(offerings_now(at).filter(pk=offering.pk))[0],
    )


def classes_at(offering_ids: Iterable[int], at: datetime) -> dict[int, str]:
    """The class of each offering at an instant; one that nobody has classed counts as premium."""
    rows = OfferingClass.objects.filter(offering_id__in=list(offering_ids), valid_from__lte=at).order_by("valid_from")
    found = {row.offering_id: row.model_class for row in rows}
    return {pk: found.get(pk, CLASS_OF_UNKNOWN) for pk in offering_ids}


def _line(offering: Offering) -> PriceLine:
    row = vars(offering)  # the annotated columns, which the model's type does not know
    model_class = row["class_now"] or (CLASS_OF_UNKNOWN.value if row["scope_now"] is None else "")
    return PriceLine(
        id=offering.pk,
        provider=offering.provider,
        name=offering.name,
        hosted=offering.hosted,
        accelerator=offering.accelerator,
        model_class=model_class,
        input=row["input_now"],
        cached=row["cached_now"],
        output=row["output_now"],
        gpu_hour=row["gpu_now"],
        currency=row["currency_now"] or "",
        scope=row["scope_now"] or "",
        list_version=row["list_now"] or "",
        valid_from=row["since_now"],
        spellings=row["spellings"],
        is_assumed=bool(row["cached_assumed_now"]),
        proposed_class=_proposed(row, model_class),
    )


def _proposed(row: dict[str, object], model_class: str) -> str:
    """The class that today's price would give, where it is another one; a person decides."""
    price_in, price_out = row["input_now"], row["output_now"]
    if row["currency_now"] != LIST_CURRENCY or not isinstance(price_in, Decimal) or not isinstance(price_out, Decimal):
        return ""
    by_price = class_by_price(mean_price(price_in, price_out)).value
    return "" if by_price == model_class else by_price


@dataclass(frozen=True, slots=True)
class Holding:
    """A price that holds now for a tier and a run of prompt bands, `first_band` to `last_band`."""

    rate: EffectiveRate
    first_band: int
    last_band: int

    @property
    def bands(self) -> str:
        return bands_label(self.first_band, self.last_band)


def holding_now(offering: Offering, *, at: datetime) -> list[Holding]:
    """What calls of each tier and size cost now; tiers that only repeat the standard prices are left out."""
    rows = offering.effective_rates.filter(
        prompt_band__gte=0, valid_from__lte=at, valid_to__gt=at, tier_assumed=False
    ).order_by("service_tier", "prompt_band")
    runs: list[Holding] = []
    for row in rows:
        last = runs[-1] if runs else None
        if last and (last.rate.rate_id, last.rate.service_tier) == (row.rate_id, row.service_tier):
            runs[-1] = Holding(last.rate, last.first_band, row.prompt_band)
        else:
            runs.append(Holding(row, row.prompt_band, row.prompt_band))
    return sorted(runs, key=lambda run: (ORDER_OF_TIERS.index(run.rate.service_tier), run.first_band))

"""Every change of prices, classes, bands and names that a person or the clock can cause.

A change of a price leaves a row in `catalog_rate_change` in its transaction: which offering, from when. Whoever
rates usage sweeps those rows, so that open months follow and signed ones get a revision.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.utils import timezone

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.accounts.services import is_founding
from apps.catalog import fx, names, rates
from apps.catalog.bands import LATENCY_EDGES_MS, PROMPT_BANDS, ServiceTier
from apps.catalog.effective import effective_rates
from apps.catalog.models import (
    PRICE_FIELDS,
    EffectiveRate,
    Fx,
    LatencyBand,
    ModelClass,
    Offering,
    OfferingAlias,
    OfferingClass,
    Rate,
    RateChange,
)
from apps.catalog.offerings import resolve, resolve_many
from apps.catalog.prices import BEGINNING, list_version
from apps.catalog.refresh import Plan, plan_refresh
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.money import DECIMAL_PLACES, plain

__all__ = (
    "Prices",
    "add_contract_rate",
    "correct_rate",
    "end_contract_rate",
    "refresh_public_prices",
    "resolve",
    "resolve_many",
    "set_exchange_rate",
    "set_hosting",
    "set_latency_band",
    "set_offering_class",
    "take_list_price",
)

FAR: Final = 10  # times the list price, either way
DEAREST: Final = Decimal(1_000_000_000)


class LooksLikeAnotherUnit(BadInput):
    """A contract price is so far from the list price that it may be meant per token; asked, not refused for good."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a contract per 1,000,000 tokens of each kind, or per GPU and hour; None is not stated."""

    input: Decimal | None = None
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    gpu_hour: Decimal | None = None

    def stated(self) -> dict[str, Decimal]:
        prices = {name: getattr(self, name) for name in PRICE_FIELDS}
        return {name: price for name, price in prices.items() if price is not None}


@transaction.atomic
def add_contract_rate(
    *,
    actor: Actor,
    offering: Offering,
    prices: Prices,
    currency: str,
    valid_from: datetime,
    valid_to: datetime | None = None,
    service_tier: str = ServiceTier.STANDARD,
    prompt_band: int = 0,
    contract: str = "",
    confirmed: bool = False,
    decision_id: int | None = None,
) -> Rate:
    """State what a contract charges from a full hour on; it comes before the list price while it holds.

    Takes the place of earlier contract rates of the same tier and band in its period. A price more than ten times
    above or below the list price raises `LooksLikeAnotherUnit` unless `confirmed`. A person needs the decision of
    somebody else.
    """
    rights.require(actor, Right.EDIT_RATES)
    _require_decision(actor, decision_id)
    _check_period(valid_from, valid_to)
    _check_key(service_tier, prompt_band)
    _check_prices(prices, currency)
    offering = rates.lock(offering)
    rate = Rate(
        scope=Rate.Scope.CONTRACT,
        offering=offering,
        service_tier=service_tier,
        prompt_band=prompt_band,
        valid_from=valid_from,
        valid_to=valid_to,
        **prices.stated(),
        currency=currency,
        list_version=contract.strip()[:60],
        recorded_by=actor.person_id,
    )
    if not confirmed:
        _check_unit(rate)
    rates.lay(rate)
    _follow(actor, "added contract rate", rate, decision=decision_id)
    return rate


@transaction.atomic
def correct_rate(
    *,
    actor: Actor,
    rate: Rate,
    prices: Prices,
    reason: str,
    confirmed: bool = False,
    decision_id: int | None = None,
) -> Rate:
    """Say that a contract rate was recorded wrongly: the same key and period with other prices, in a new row."""
    rights.require(actor, Right.EDIT_RATES)
    _require_decision(actor, decision_id)
    _check_prices(prices, rate.currency)
    _check_reason(reason)
    wrong = _still_standing(rate)
    right = Rate(
        scope=wrong.scope,
        offering_id=wrong.offering_id,
        service_tier=wrong.service_tier,
        prompt_band=wrong.prompt_band,
        valid_from=wrong.valid_from,
        valid_to=wrong.valid_to,
        **prices.stated(),
        currency=wrong.currency,
        list_version=wrong.list_version,
        recorded_by=actor.person_id,
    )
    if not confirmed:
        _check_unit(right)
    rates.lay(right)
    _follow(actor, "corrected contract rate", right, reason=reason, corrects=wrong.pk, decision=decision_id)
    return right


@transaction.atomic
def end_contract_rate(
    *, actor: Actor, rate: Rate, valid_to: datetime, reason: str, decision_id: int | None = None
) -> Rate:
    """Let a contract rate end at a full hour; from then on the list price holds again."""
    rights.require(actor, Right.EDIT_RATES)
    _require_decision(actor, decision_id)
    _check_reason(reason)
    standing = _still_standing(rate)
    _check_period(standing.valid_from, valid_to)
    if standing.valid_to is not None and valid_to >= standing.valid_to:
        raise BadInput(f"This rate already ends on {standing.valid_to:%d %B %Y}.")
    shorter = rates.copy(standing, standing.valid_from, valid_to)
    shorter.recorded_by = actor.person_id
    shorter.save(force_insert=True)
    Rate.objects.filter(pk=standing.pk).update(superseded_by=shorter)
    rates.rebuild_effective([standing.offering_id])
    rates.note_change(standing.offering, valid_to, standing.valid_to)
    data = {"valid_to": valid_to, "reason": reason, "decision": decision_id}
    audit.record(actor=actor, verb="ended contract rate", subject=standing, data=data)
    return shorter


@transaction.atomic
def refresh_public_prices(*, actor: Actor, now: datetime | None = None) -> list[RateChange]:
    """Take over the price list that is installed now: new rows where it differs, no change of any old one.

    Returns what must be rated again. A dated price holds from its date; an undated difference from the next full
    hour on, since nobody says since when. Models seen without a price are looked up again and priced since ever.
    """
    rights.require(actor, Right.EDIT_RATES)
    now = now or timezone.now()
    changes = [_carry_out(plan) for plan in plan_refresh(now)]
    changes += [change for offering in _unpriced() if (change := _price_now(offering, now))]
    if changes:
        changed = [{"offering": str(change.offering), "from": change.valid_from} for change in changes]
        audit.record(actor=actor, verb="refreshed public prices", data={"list": list_version(), "changed": changed})
    return changes


@transaction.atomic
def take_list_price(*, actor: Actor, offering: Offering, provider: str, model: str, reason: str) -> Offering:
    """Say which model of the public list an unknown name is: its prices hold for the offering since ever."""
    rights.require(actor, Right.EDIT_RATES)
    _check_reason(reason)
    offering = rates.lock(offering)
    if offering.listed_by:
        raise Conflict(f"{offering} already takes the price of {offering.listed_by}/{offering.listed_name}.")
    match = names.match(provider, model)
    if match.listed is None or not rates.price_as_listed(offering, match, now=timezone.now()):
        raise BadInput(f"The price list has no price for {provider}/{model}.", hint="Take a name from the list.")
    OfferingAlias.objects.filter(offering=offering).update(rule=names.Rule.PERSON)
    rates.note_change(offering, BEGINNING)
    data = {"listed": f"{match.listed_by}/{match.listed.id}", "reason": reason}
    audit.record(actor=actor, verb="took list price", subject=offering, data=data)
    return offering


@transaction.atomic
def set_offering_class(
    *, actor: Actor, offering: Offering, model_class: str, valid_from: datetime, reason: str
) -> OfferingClass:
    """Put an offering into a class from a full hour on; rules and reports follow from there."""
    rights.require(actor, Right.EDIT_RATES)
    _check_reason(reason)
    _check_period(valid_from, None)
    if model_class not in ModelClass.values:
        raise BadInput(f"'{model_class}' is no model class.", hint=f"Use one of: {', '.join(ModelClass.values)}.")
    if OfferingClass.objects.filter(offering=offering, valid_from=valid_from).exists():
        raise Conflict(f"{offering} already has a class from {valid_from:%d %B %Y %H:%M} on.")
    row = OfferingClass.objects.create(
        offering=offering, model_class=model_class, valid_from=valid_from, reason=reason.strip()[:300]
    )
    data = {"class": model_class, "valid_from": valid_from, "reason": reason}
    audit.record(actor=actor, verb="set model class", subject=offering, data=data)
    return row


@transaction.atomic
def set_hosting(*, actor: Actor, offering: Offering, hosted: str, accelerator: str = "") -> Offering:
    """Say whether an offering is bought by API or run by ourselves, and on which accelerator."""
    rights.require(actor, Right.EDIT_RATES)
    if hosted not in Offering.Hosted.values:
        raise BadInput(f"'{hosted}' is no way of hosting.", hint=f"Use one of: {', '.join(Offering.Hosted.values)}.")
    offering = rates.lock(offering)
    before = {"hosted": offering.hosted, "accelerator": offering.accelerator}
    offering.hosted, offering.accelerator = hosted, names.clean(accelerator)[:60]
    offering.save(update_fields=("hosted", "accelerator"))
    after = {"hosted": offering.hosted, "accelerator": offering.accelerator}
    audit.record(actor=actor, verb="set hosting", subject=offering, data={"before": before, "after": after})
    return offering


@transaction.atomic
def set_latency_band(*, actor: Actor, band: LatencyBand, limit_ms: int | None, name: str, sentence: str) -> LatencyBand:
    """Change a latency band's limit (one of the edges, in ms; None is no limit) and its words."""
    rights.require(actor, Right.MANAGE_SETTINGS)
    if limit_ms is not None and limit_ms not in LATENCY_EDGES_MS:
        edges = ", ".join(f"{edge:,}" for edge in LATENCY_EDGES_MS)
        raise BadInput(f"{limit_ms:,} ms is between two edges, so nobody could say whether it was kept.", hint=edges)
    if LatencyBand.objects.exclude(pk=band.pk).filter(limit_ms=limit_ms).exists():
        raise Conflict("Another band has this limit.")
    band = LatencyBand.objects.select_for_update().get(pk=band.pk)
    before = {"limit_ms": band.limit_ms, "name": band.name, "sentence": band.sentence}
    band.limit_ms, band.name, band.sentence = limit_ms, name.strip(), sentence.strip()
    band.save(update_fields=("limit_ms", "name", "sentence"))
    after = {"limit_ms": band.limit_ms, "name": band.name, "sentence": band.sentence}
    audit.record(actor=actor, verb="changed latency band", subject=band, data={"before": before, "after": after})
    return band


@transaction.atomic
def set_exchange_rate(*, actor: Actor, day: date, currency: str, quote: str, rate: Decimal, reason: str) -> Fx:
    """State or restate the rate of a day: one unit of `currency` in units of `quote`. Open months follow."""
    rights.require(actor, Right.EDIT_RATES)
    _check_reason(reason)
    if not rate.is_finite() or not 0 < rate < DEAREST:
        raise BadInput(f"{rate} is no exchange rate.", hint="Use a positive number.")
    fx.ensure(currency, quote)
    before = Fx.objects.select_for_update().filter(day=day, currency=currency, quote=quote).first()
    row, _ = Fx.objects.update_or_create(
        day=day, currency=currency, quote=quote, defaults={"rate": rate, "as_of": day, "source": "by hand"}
    )
    fx.note_change(currency, day, day)
    data = {"day": day, "before": plain(before.rate) if before else None, "after": plain(rate), "reason": reason}
    audit.record(actor=actor, verb="set exchange rate", subject=row, data=data)
    return row


def _follow(actor: Actor, verb: str, rate: Rate, **more: object) -> None:
    """What every new rate brings with it: effective rates, the word to whoever rates usage, the event."""
    rates.rebuild_effective([rate.offering_id])
    rates.note_change(rate.offering, rate.valid_from, rate.valid_to)
    prices = {name: plain(getattr(rate, name)) for name in PRICE_FIELDS if getattr(rate, name) is not None}
    period = {"valid_from": rate.valid_from, "valid_to": rate.valid_to}
    key = {"offering": str(rate.offering), "service_tier": rate.service_tier, "prompt_band": rate.prompt_band}
    audit.record(
        actor=actor, verb=verb, subject=rate, data={**key, **period, **prices, "currency": rate.currency, **more}
    )


def _carry_out(plan: Plan) -> RateChange:
    rates.lock(plan.offering)
    Rate.objects.bulk_create(plan.new)
    for rate in plan.covered:
        heir = next((new for new in plan.new if _key(new) == _key(rate)), plan.new[0])
        rates.supersede([rate], by=heir, from_=plan.change_at, until=None)
    rates.rebuild_effective([plan.offering.pk])
    return rates.note_change(plan.offering, plan.change_at)


def _key(rate: Rate) -> tuple[str, int]:
    return rate.service_tier, rate.prompt_band


def _unpriced() -> list[Offering]:
    return list(Offering.objects.filter(state=Offering.State.SEEN, listed_by="").exclude(name=""))


def _price_now(offering: Offering, now: datetime) -> RateChange | None:
    match = names.match(offering.provider, offering.name)
    if match.listed is None or not rates.price_as_listed(rates.lock(offering), match, now=now):
        return None
    return rates.note_change(offering, BEGINNING)


def _require_decision(actor: Actor, decision_id: int | None) -> None:
    """What a contract charges is money of every workload: nobody states it alone, once somebody could confirm it.

    A command may while an organisation is set up, as the database proves (approvals migration 0006).
    """
    if decision_id is None and not (actor.is_machine and is_founding()):
        raise NotAllowed(
            "A contract price is confirmed by somebody else.", hint="Propose it; it waits in the inbox of an analyst."
        )


def _still_standing(rate: Rate) -> Rate:
    rates.lock(rate.offering)
    standing = Rate.objects.select_for_update().get(pk=rate.pk)
    if standing.superseded_by_id is not None:
        raise Conflict("This rate was replaced in the meantime.", hint="Look at the history, then change what stands.")
    if standing.scope != Rate.Scope.CONTRACT:
        raise BadInput("The public list is not edited.", hint="Add a contract rate: it comes before the list price.")
    return standing


def _check_period(valid_from: datetime, valid_to: datetime | None) -> None:
    for instant in (valid_from, valid_to):
        if instant is not None and (instant.tzinfo is None or instant.timestamp() % 3600):
            raise BadInput("Prices change at full hours.", hint="Give the date, or the date and a full hour, in UTC.")
    if valid_to is not None and valid_to <= valid_from:
        raise BadInput("The period ends before it begins.")


def _check_key(service_tier: str, prompt_band: int) -> None:
    if service_tier not in ServiceTier.values or service_tier == ServiceTier.UNKNOWN:
        raise BadInput(f"'{service_tier}' is no service tier that has a price.")
    if prompt_band not in PROMPT_BANDS:
        raise BadInput(f"{prompt_band} is no prompt band.")


def _check_prices(prices: Prices, currency: str) -> None:
    stated = prices.stated()
    if not {"input", "output", "gpu_hour"} & stated.keys():
        raise BadInput("No price is stated.", hint="State at least input, output or GPU hour.")
    for name, price in stated.items():
        if not price.is_finite() or not 0 <= price < DEAREST:
            raise BadInput(f"{price} is no price for {name}.", hint="Use a number from 0 up.")
        exponent = price.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > DECIMAL_PLACES:
            raise BadInput(f"{price} for {name} has more than {DECIMAL_PLACES} decimal places.")
    if len(currency) != 3 or not currency.isascii() or not currency.isalpha() or not currency.isupper():
        raise BadInput(f"'{currency}' is no currency code.", hint="Use three capital letters of ISO 4217, such as USD.")


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise BadInput("Say why.", hint="One sentence that a colleague understands a year from now.")


def _check_unit(rate: Rate) -> None:
    """List prices are per 1,000,000 tokens; a contract typed in per token or per 1,000 is far away from them."""
    listed = _list_price(rate)
    if listed is None:
        return
    factor = fx.rate_on(rate.currency, listed.currency, rate.valid_from.date())
    for name in PRICE_FIELDS:
        price, usual = getattr(rate, name), getattr(listed, name)
        if price is None or not usual or factor is None:
            continue
        if not usual <= price * factor * FAR <= usual * FAR * FAR:
            raise LooksLikeAnotherUnit(
                f"{name.replace('_', ' ')} {plain(price)} {rate.currency} is more than {FAR} times away from the list "
                f"price of {plain(usual)} {listed.currency}. Per 1M tokens?",
                hint="Check the unit; confirm if the price is right.",
            )


def _list_price(rate: Rate) -> EffectiveRate | None:
    public = Rate.objects.filter(offering_id=rate.offering_id, scope=Rate.Scope.PUBLIC, superseded_by__isnull=True)
    for row in effective_rates(public):
        in_time = row.valid_from <= rate.valid_from < row.valid_to
        if in_time and (row.service_tier, row.prompt_band) == (rate.service_tier, rate.prompt_band):
            return row
    return None

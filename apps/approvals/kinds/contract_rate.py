"""A contract price: stated, corrected or ended by one who keeps prices, confirmed by another."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import transaction

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.approvals.kind import Applying, Kind, Row
from apps.approvals.statement import Values
from apps.catalog import services
from apps.catalog.models import PRICE_FIELDS, Offering, Rate
from apps.catalog.services import Prices
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict
from apps.core.money import plain

LABELS: Final = {
    "input": "Input per 1M tokens",
    "cached": "Cached input per 1M tokens",
    "cache_write": "Cache write per 1M tokens",
    "cache_write_1h": "Cache write, 1 hour, per 1M tokens",
    "output": "Output per 1M tokens",
    "reasoning": "Reasoning per 1M tokens",
    "gpu_hour": "GPU hour",
}
DEEDS: Final = {"add": "New contract price", "correct": "Corrected contract price", "end": "End of a contract price"}


class ContractRate(Kind):
    """Proposed: `deed` (add, correct, end), `rate` (to correct or end) and the arguments of the catalogue's service."""

    name = "contract_rate"
    label = "Contract price"
    icon = "tags"
    model = Offering
    deciders = (Right.EDIT_RATES,)
    seen_with = Right.SEE_RATES

    def key_of(self, subject: Offering, proposed: Values) -> str:  # noqa: ARG002
        if proposed["rate"]:
            return f"rate {proposed['rate']}"
        return f"{proposed['service_tier']}/{proposed['prompt_band']}"

    def may_ask(self, actor: Actor, subject: Offering) -> bool:  # noqa: ARG002
        return actor.person_id is not None and rights.rights_of(actor).may(Right.EDIT_RATES)

    def clean(self, actor: Actor, subject: Offering, proposed: Mapping[str, Any]) -> Values:
        """Tried and taken back, so that a price that cannot be laid, or looks like another unit, is told at once."""
        deed, rate = proposed.get("deed"), proposed.get("rate")
        if deed not in DEEDS:
            raise BadInput(f"“{deed}” cannot be done to a contract price.")
        prices: Prices = proposed.get("prices") or Prices()
        based_on: Any = rate or proposed
        told = based_on if isinstance(based_on, Mapping) else vars(based_on)
        values: Values = {
            "deed": deed,
            "rate": rate.pk if rate else None,
            "prices": {name: plain(price) for name, price in prices.stated().items()},
            "currency": told.get("currency", ""),
            "service_tier": str(told.get("service_tier", "standard")),
            "prompt_band": told.get("prompt_band", 0),
            "contract": str(told.get("contract", told.get("list_version", ""))),
            "valid_from": _instant(told.get("valid_from")),
            "valid_to": _instant(proposed.get("valid_to", told.get("valid_to"))),
        }
        with transaction.atomic():
            trial = Applying(actor, actor, subject, values, proposed.get("reason") or "trial", decision_id=0)
            self._carry_out(trial, confirmed=bool(proposed.get("confirmed")))
            transaction.set_rollback(True)
        return values

    def standing(self, subject: Offering, proposed: Values) -> Values:
        """The rates that this one would take the place of, by their numbers: a rate never changes."""
        found = Rate.objects.filter(
            offering=subject,
            scope=Rate.Scope.CONTRACT,
            superseded_by__isnull=True,
            service_tier=proposed["service_tier"],
            prompt_band=proposed["prompt_band"],
        )
        return {"rates": sorted(found.values_list("pk", flat=True))}

    def title(self, subject: Offering, proposed: Values) -> str:
        return f"{DEEDS[proposed['deed']]} for {subject}"

    def rows(self, subject: Offering, standing: Values, proposed: Values) -> list[Row]:  # noqa: ARG002
        start = datetime.fromisoformat(proposed["valid_from"])
        before = _rate_at(standing["rates"], start)
        rows = [
            Row("Contract", before.list_version if before else "", proposed["contract"]),
            Row("From", _day(before.valid_from) if before else "", _day(start)),
            Row("Until", _end(before.valid_to) if before else "", _until(proposed["valid_to"])),
        ]
        if proposed["deed"] == "end":
            return rows
        amounts = [
            (name, getattr(before, name) if before else None, proposed["prices"].get(name)) for name in PRICE_FIELDS
        ]
        rows += [
            Row(LABELS[name], _amount(was, before.currency if before else ""), _amount(to, proposed["currency"]))
            for name, was, to in amounts
            if was is not None or to is not None
        ]
        return rows

    def apply(self, change: Applying) -> None:
        self._carry_out(change, confirmed=True)

    def _carry_out(self, change: Applying, *, confirmed: bool) -> None:
        told = change.proposed
        prices = Prices(**{name: Decimal(price) for name, price in told["prices"].items()})
        valid_to = told["valid_to"] and datetime.fromisoformat(told["valid_to"])
        who: Any = {"actor": change.asker, "decision_id": change.decision_id}
        if told["deed"] == "add":
            valid_from = datetime.fromisoformat(told["valid_from"])
            more = {name: told[name] for name in ("currency", "service_tier", "prompt_band", "contract")}
            services.add_contract_rate(
                **who, offering=change.subject, prices=prices, valid_from=valid_from, valid_to=valid_to,
                confirmed=confirmed, **more,
            )  # fmt: skip
            return
        rate = Rate.objects.select_related("offering").filter(pk=told["rate"], offering=change.subject).first()
        if rate is None:
            raise Conflict("The contract price is no longer there.")
        if told["deed"] == "correct":
            services.correct_rate(**who, rate=rate, prices=prices, reason=change.reason, confirmed=confirmed)
        else:
            services.end_contract_rate(**who, rate=rate, valid_to=valid_to, reason=change.reason)


def _rate_at(ids: list[int], instant: datetime) -> Rate | None:
    found = Rate.objects.filter(pk__in=ids, valid_from__lte=instant).order_by("-valid_from")
    return next((rate for rate in found if rate.valid_to is None or instant < rate.valid_to), None)


def _instant(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _day(value: datetime) -> str:
    return f"{value:%-d %b %Y}"


def _end(value: datetime | None) -> str:
    return _day(value) if value else "another takes its place"


def _until(text: str | None) -> str:
    return _end(datetime.fromisoformat(text) if text else None)


def _amount(value: Decimal | str | None, currency: str) -> str:
    if value is None:
        return ""
    return f"{plain(value) if isinstance(value, Decimal) else value} {currency}".strip()

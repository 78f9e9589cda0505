"""What may be said about a workload, and how it must read. Nothing else can be set through a service.

The *card* is what the register shows to everybody; the *promise* (tier, latency band, failure cost) and the *mandate*
are kept as revisions, since a change of them changes what is allowed.
"""

import json
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypedDict

from django.db import models

from apps.accounts.models import CostCentre, Person
from apps.catalog.models import LatencyBand, ValueTier
from apps.core.errors import BadInput
from apps.core.money import TOO_LARGE, plain
from apps.workloads.models import Workload, WorkloadRevision

LONGEST_PURPOSE = 2000
# Characters that make a text read in another order than it is stored.
TURNS_TEXT = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


class Promise(TypedDict, total=False):
    """What the work is worth, how fast it must be, what a wrong answer costs."""

    value_tier: ValueTier | None
    latency_band: LatencyBand | None
    failure_severity: str
    failure_cost: Decimal | None


class Mandate(TypedDict, total=False):
    """Why it must run whatever it is worth, who answers for that, and the last day of it; all three or none."""

    mandated_reason: str
    mandated_by: Person | None
    mandated_until: date | None


class Revised(Promise, Mandate, total=False):
    """Everything that is kept as revisions."""


class Card(TypedDict, total=False):
    """What the register says to everybody. Money is in the organisation's currency, a month."""

    name: str
    purpose: str
    output_unit: str
    audience: str
    benefit: str
    stage: str
    cost_centre: CostCentre | None
    business_owner: Person | None
    technical_owner: Person | None
    budget_owner: Person | None
    monthly_spend_expected: Decimal | None


class FirstEstimate(TypedDict, total=False):
    """A first guess at the time it saves, for the value case to begin with. Any of it may lack; `grade` is a key."""

    minutes_low: Decimal
    minutes_base: Decimal
    minutes_high: Decimal
    grade: int
    useful_a_month: Decimal


class Values(Card, Promise, total=False):
    """Everything that a registration may say."""

    first_estimate: FirstEstimate | None


CARD: Final = frozenset(Card.__annotations__)
PROMISE: Final = frozenset(Promise.__annotations__)
NOTED: Final = CARD | {"first_estimate"}  # all that a draft keeps beside its promise
DRAFTED: Final = NOTED | PROMISE
MANDATE: Final = frozenset(Mandate.__annotations__)
REVISED: Final = PROMISE | MANDATE
# Of a registered use case these change once somebody else has confirmed them: what it may use, who decides about it,
# and what is counted.
CONFIRMED: Final = REVISED | {"cost_centre", "output_unit"}
# In the order in which the register asks; an active workload lacks none of them. A failure cost may stay unknown.
REQUIRED: Final = {
    "name": "a name",
    "purpose": "what it is for",
    "output_unit": "what one useful answer is",
    "audience": "for whom it is",
    "benefit": "what a useful answer does",
    "value_tier": "how much it is worth",
    "latency_band": "how fast it must be",
    "failure_severity": "what a wrong answer costs",
    "cost_centre": "a cost centre",
    "business_owner": "a business owner",
    "technical_owner": "a technical owner",
    "budget_owner": "a budget owner",
    "monthly_spend_expected": "what it may spend a month",
}
LABELS: Final = {
    "name": "Name",
    "purpose": "Purpose",
    "output_unit": "Useful answer",
    "audience": "Audience",
    "benefit": "Benefit",
    "stage": "Stage",
    "cost_centre": "Cost centre",
    "business_owner": "Business owner",
    "technical_owner": "Technical owner",
    "budget_owner": "Budget owner",
    "monthly_spend_expected": "Spend a month",
    "value_tier": "Value tier",
    "latency_band": "Latency band",
    "failure_severity": "Severity of a wrong answer",
    "failure_cost": "Cost of a wrong answer",
    "first_estimate": "First estimate",
    "mandated_reason": "Why it must run",
    "mandated_by": "Answers for the mandate",
    "mandated_until": "Mandated until",
}


def clean(values: Mapping[str, Any], allowed: frozenset[str]) -> dict[str, Any]:
    """The values, checked and trimmed. Raises BadInput for a field that cannot be set here or a value that is none."""
    strangers = sorted(set(values) - allowed)
    if strangers:
        raise BadInput(f"{', '.join(strangers)} cannot be set here.", hint="Nothing was changed.")
    return {name: _CLEANERS[name](name, value) for name, value in values.items()}


def as_text(value: object) -> str | None:
    """A value as the audit trail keeps it: ids instead of names, full digits, None for unknown."""
    if value is None:
        return None
    if isinstance(value, models.Model):
        return str(value.pk)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return plain(value) if isinstance(value, Decimal) else str(value)


def in_words(name: str, value: object) -> str:
    """A value as a person reads it; empty for unknown."""
    choices = {"audience": Workload.Audience, "benefit": Workload.Benefit, "stage": Workload.Stage}
    if name in choices and value:
        return str(choices[name](value).label)
    if name == "failure_severity" and value:
        return str(WorkloadRevision.Severity(str(value)).label)
    if isinstance(value, Decimal):
        return plain(value) or ""
    if isinstance(value, dict):
        return _estimated(value)
    return "" if value is None else str(value)


def _line(longest: int) -> Callable[[str, Any], str]:
    def cleaned(name: str, value: Any) -> str:
        text = " ".join(_readable(value).split())
        return _no_longer_than(longest, name, text)

    return cleaned


def _prose(name: str, value: Any) -> str:
    return _no_longer_than(LONGEST_PURPOSE, name, _readable(value).strip())


def _readable(value: Any) -> str:
    """Without control characters and without those that turn the direction of what follows."""
    text = unicodedata.normalize("NFC", str(value or "")).replace("\r\n", "\n")
    kept = (char for char in text if char not in TURNS_TEXT)
    return "".join(" " if unicodedata.category(char) in ("Cc", "Cs") and char != "\n" else char for char in kept)


def _no_longer_than(longest: int, name: str, text: str) -> str:
    if len(text) > longest:
        raise BadInput(f"{LABELS[name]} is longer than {longest} characters.", hint=f"It has {len(text)}.")
    return text


def _choice(choices: type[models.TextChoices], *, may_be_blank: bool = True) -> Callable[[str, Any], str]:
    def cleaned(name: str, value: Any) -> str:
        text = str(value or "")
        if text in choices.values or (may_be_blank and not text):
            return text
        raise BadInput(f"{LABELS[name]} cannot be “{text[:40]}”.", hint=f"Choose one of {', '.join(choices.values)}.")

    return cleaned


def _amount(name: str, value: Any) -> Decimal | None:
    if value is None:
        return None
    amount = value if isinstance(value, Decimal) else Decimal(str(value))
    if not amount.is_finite() or not 0 <= amount < TOO_LARGE:
        raise BadInput(f"{LABELS[name]} must be an amount of 0 or more.")
    return amount


def _estimate(name: str, value: Any) -> dict[str, Any] | None:
    """As it is kept: numbers as text, nothing that was not said."""
    if not isinstance(value, Mapping | None):
        raise BadInput(f"{LABELS[name]} is no set of named figures.")
    said = {key: number for key, number in (value or {}).items() if number is not None}
    strangers = sorted(said.keys() - FirstEstimate.__annotations__.keys())
    if strangers:
        raise BadInput(f"A first estimate says nothing of {', '.join(strangers)}.")
    return {key: said[key] if key == "grade" else plain(_amount(name, said[key])) for key in sorted(said)} or None


def _estimated(said: Mapping[str, Any]) -> str:
    """0.5 / 1 / ? min, 18000 a month."""
    minutes = " / ".join(said.get(f"minutes_{case}") or "?" for case in ("low", "base", "high"))
    return f"{minutes} min, {said.get('useful_a_month') or '?'} a month"


def _day(name: str, value: Any) -> date | None:
    if value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
        raise BadInput(f"{LABELS[name]} is no date.", hint="Write it like 2026-12-31.")
    return value


def _person(name: str, value: Any) -> Person | None:
    if value is not None and not _is_of(Person, value).active:
        raise BadInput(f"{value} is no longer active.", hint=f"Choose another {LABELS[name].lower()}.")
    return value  # type: ignore[no-any-return]


def _cost_centre(_name: str, value: Any) -> CostCentre | None:
    if value is not None and not _is_of(CostCentre, value).active:
        raise BadInput(f"The cost centre {value} is closed.", hint="Choose another one.")
    return value  # type: ignore[no-any-return]


def _reference(kind: type[models.Model]) -> Callable[[str, Any], Any]:
    return lambda _name, value: value if value is None else _is_of(kind, value)


def _is_of(kind: type[models.Model], value: Any) -> Any:
    """A programming mistake, not a person's: services take objects that a selector has given."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}.")
    return value


_CLEANERS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "name": _line(120),
    "purpose": _prose,
    "output_unit": _line(60),
    "audience": _choice(Workload.Audience),
    "benefit": _choice(Workload.Benefit),
    "stage": _choice(Workload.Stage, may_be_blank=False),
    "cost_centre": _cost_centre,
    "business_owner": _person,
    "technical_owner": _person,
    "budget_owner": _person,
    "monthly_spend_expected": _amount,
    "value_tier": _reference(ValueTier),
    "latency_band": _reference(LatencyBand),
    "failure_severity": _choice(WorkloadRevision.Severity),
    "failure_cost": _amount,
    "first_estimate": _estimate,
    "mandated_reason": _line(300),
    "mandated_by": _person,
    "mandated_until": _day,
}

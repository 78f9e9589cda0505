"""The forms of the price pages: what a person types, read into what the services take."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone

from apps.catalog.bands import PROMPT_BAND_EDGES, ServiceTier
from apps.catalog.models import PRICE_FIELDS, ModelClass, Offering, Rate
from apps.catalog.services import Prices
from apps.web.forms import DayField

LABELS = {
    "input": "Input",
    "cached": "Cached input",
    "cache_write": "Cache write",
    "cache_write_1h": "Cache write, 1 hour",
    "output": "Output",
    "reasoning": "Reasoning",
    "gpu_hour": "GPU",
}
TIERS = [(tier.value, tier.label) for tier in ServiceTier if tier != ServiceTier.UNKNOWN]
BANDS = [(0, "any prompt size")] + [
    (at + 1, f"only over {edge:,} input tokens") for at, edge in enumerate(PROMPT_BAND_EDGES)
]


def start_of_day(day: date) -> datetime:
    """Midnight in the organisation's zone, at the next full UTC hour: prices change at full hours."""
    midnight = datetime.combine(day, time(), tzinfo=timezone.get_current_timezone()).astimezone(UTC)
    hour = midnight.replace(minute=0)
    return hour if hour == midnight else hour + timedelta(hours=1)


def price_field(name: str) -> forms.DecimalField:
    return forms.DecimalField(
        label=LABELS[name],
        required=False,
        min_value=Decimal(0),
        max_digits=38,
        decimal_places=18,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )


class PricesForm(forms.Form):
    """Prices per 1,000,000 tokens, or per GPU and hour."""

    input = price_field("input")
    cached = price_field("cached")
    cache_write = price_field("cache_write")
    cache_write_1h = price_field("cache_write_1h")
    output = price_field("output")
    reasoning = price_field("reasoning")
    gpu_hour = price_field("gpu_hour")
    confirmed = forms.BooleanField(label="Yes, this is the price per 1M tokens", required=False)

    def prices(self) -> Prices:
        return Prices(**{name: self.cleaned_data[name] for name in PRICE_FIELDS})


class ContractForm(PricesForm):
    """A new contract rate."""

    currency = forms.CharField(label="Currency", min_length=3, max_length=3)
    valid_from = DayField(label="First day")
    last_day = DayField(label="Last day", required=False, help_text="Empty: until another rate takes its place.")
    service_tier = forms.ChoiceField(label="Service tier", choices=TIERS)
    prompt_band = forms.TypedChoiceField(label="Prompt size", choices=BANDS, coerce=int)
    contract = forms.CharField(label="Contract", max_length=60, required=False)
    reason = forms.CharField(label="Why?", max_length=300, required=False, help_text="For whoever confirms the price.")

    def clean_currency(self) -> str:
        return str(self.cleaned_data["currency"]).upper()

    def values(self) -> dict[str, Any]:
        """What is proposed: the arguments of the catalogue's `add_contract_rate` beside actor and offering."""
        data, last_day = self.cleaned_data, self.cleaned_data["last_day"]
        return {
            "prices": self.prices(),
            "currency": data["currency"],
            "valid_from": start_of_day(data["valid_from"]),
            "valid_to": start_of_day(last_day + timedelta(days=1)) if last_day else None,
            "service_tier": data["service_tier"],
            "prompt_band": data["prompt_band"],
            "contract": data["contract"],
            "confirmed": data["confirmed"],
        }


class CorrectionForm(PricesForm):
    """Other prices for a contract rate that was recorded wrongly."""

    reason = forms.CharField(label="What was wrong?", max_length=300)

    @classmethod
    def of(cls, rate: Rate) -> "CorrectionForm":
        stated = {name: getattr(rate, name) for name in PRICE_FIELDS}
        return cls(initial={name: f"{price.normalize():f}" for name, price in stated.items() if price is not None})


class EndForm(forms.Form):
    last_day = DayField(label="Last day", help_text="From the day after, the list price holds again.")
    reason = forms.CharField(label="Why?", max_length=300)


class ListedForm(forms.Form):
    """Which model of the public list an unknown name is."""

    provider = forms.CharField(label="Provider", max_length=200)
    model = forms.CharField(label="Model", max_length=200)
    reason = forms.CharField(label="How do you know?", max_length=300)


class ClassForm(forms.Form):
    model_class = forms.ChoiceField(label="Class", choices=ModelClass.choices)
    valid_from = DayField(label="First day")
    reason = forms.CharField(label="Why?", max_length=300)


class HostingForm(forms.Form):
    hosted = forms.ChoiceField(label="Hosted", choices=Offering.Hosted.choices)
    accelerator = forms.CharField(label="Accelerator", max_length=60, required=False)

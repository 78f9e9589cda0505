"""The three short steps of a registration, in plain words, and the forms that change a registered use case."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any, ClassVar, Final

from django import forms

from apps.accounts.models import CostCentre, Person
from apps.accounts.selectors import cost_centre_tree
from apps.catalog.models import LatencyBand, ValueTier
from apps.economics.cases import LIMITS
from apps.economics.models import Grade
from apps.economics.selectors import grades
from apps.web import figures
from apps.web.forms import DayField
from apps.workloads.models import Workload, WorkloadRevision

AMOUNT: Final = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?|[0-9]+(\.[0-9]+)?")
PICK: Final = "Pick one"
BAND_WORDS: Final = {
    "interactive": "While typing",
    "conversational": "In a talk",
    "near-line": "Short wait",
    "batch": "Later",
    "scheduled": "Overnight",
}
BENEFIT_TEXTS: Final = {
    "labour": "minutes of work nobody does by hand",
    "revenue": "orders that would not have come",
    "margin": "fewer returns, less waste",
    "risk": "fraud, fines, damage",
}
SEVERITY_WORDS: Final = {
    "little": ("Little", "somebody redoes it"),
    "cost": ("A cost", "a refund, a wrong order"),
    "serious": ("Serious", "customer, law, safety"),
}
AUDIENCE_TEXTS: Final = {
    "customer": "people outside the company read or hear it",
    "employee": "colleagues work with it",
    "automation": "a program takes the answer and goes on",
}
STAGE_TEXTS: Final = {
    "concept": "nothing runs yet",
    "pilot": "a few try it",
    "production": "people rely on it",
    "sunset": "it is being switched off",
}


class AmountField(forms.DecimalField):
    """An amount of 0 or more as people type it: 4000, 4,000 or 4000.50; nothing that could mean two things."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    like: ClassVar[str] = "an amount like 4000 or 4000.50"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": Decimal(0), "max_digits": 38, "decimal_places": 18, **kwargs})

    def to_python(self, value: Any) -> Any:
        text = str(value or "").strip().lstrip("$€£").replace("\u00a0", "").replace(" ", "")
        if text and not AMOUNT.fullmatch(text):
            raise forms.ValidationError(f"Write {self.like}.")
        return super().to_python(text.replace(",", ""))


class NumberField(AmountField):
    """A number in the same way."""

    like = "a number like 18000 or 1.5"


class StepForm(forms.Form):
    """One step. What is valid of it can be saved at any time; all of it must be to go on."""

    answers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})

    def values(self) -> dict[str, Any]:
        """The valid answers as the services take them. An empty field of a draft is an answer too: it is cleared."""
        self.is_valid()
        return {name: self.taken(name, value) for name, value in self.cleaned_data.items() if name in self.answers}

    def taken(self, _name: str, value: Any) -> Any:
        return value


class PurposeForm(StepForm):
    answers: ClassVar[tuple[str, ...]] = ("name", "purpose", "output_unit", "audience", "stage")

    name = forms.CharField(
        label="What do you call it?", max_length=120, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    purpose = forms.CharField(label="What is it for?", max_length=2000, widget=forms.Textarea(attrs={"rows": 3}))
    output_unit = forms.CharField(
        label="What is one useful answer?", max_length=60, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    audience = forms.ChoiceField(
        label="Who gets the answers?", choices=Workload.Audience.choices, widget=forms.RadioSelect
    )
    stage = forms.ChoiceField(
        label="How far is it?", choices=Workload.Stage.choices, widget=forms.RadioSelect, initial=Workload.Stage.PILOT
    )


class PromiseFields(StepForm):
    """Worth, speed and what a mistake costs; shared by the registration and by later changes."""

    promises: ClassVar[tuple[str, ...]] = ("value_tier", "latency_band", "failure_severity", "failure_cost")

    value_tier = forms.ChoiceField(label="How much is it worth to the company?", widget=forms.RadioSelect)
    latency_band = forms.ChoiceField(label="How long can people wait for an answer?", widget=forms.RadioSelect)
    failure_severity = forms.ChoiceField(
        label="What happens when an answer is wrong or missing?",
        choices=[(value, words[0]) for value, words in SEVERITY_WORDS.items()],
        widget=forms.RadioSelect,
    )
    failure_cost = AmountField(label="Money lost for each one", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tiers = {tier.code: tier for tier in ValueTier.objects.all()}
        self.bands = {band.code: band for band in LatencyBand.objects.all()}
        tier_field, band_field = self.fields["value_tier"], self.fields["latency_band"]
        tier_field.choices = [(code, f"{tier.name.capitalize()}") for code, tier in self.tiers.items()]  # type: ignore[attr-defined]
        tier_field.descriptions = {code: tier.sentence for code, tier in self.tiers.items()}  # type: ignore[attr-defined]
        band_field.choices = [(code, band_words(band)) for code, band in self.bands.items()]  # type: ignore[attr-defined]
        band_field.descriptions = {code: band_limit(band) for code, band in self.bands.items()}  # type: ignore[attr-defined]
        self.fields["failure_severity"].descriptions = {key: words[1] for key, words in SEVERITY_WORDS.items()}  # type: ignore[attr-defined]

    def taken(self, name: str, value: Any) -> Any:
        if name == "value_tier":
            return self.tiers.get(value)
        return self.bands.get(value) if name == "latency_band" else value


def _minutes(label: str) -> NumberField:
    return NumberField(label=label, required=False, max_value=LIMITS["minutes_saved"][2], decimal_places=6)


class WorthForm(PromiseFields):
    """Worth, speed, mistakes. What it saves may stay empty; what is said of it begins the value case."""

    answers: ClassVar[tuple[str, ...]] = ("benefit", *PromiseFields.promises)
    minutes: ClassVar[tuple[str, ...]] = ("minutes_low", "minutes_base", "minutes_high")
    estimated: ClassVar[tuple[str, ...]] = (*minutes, "grade", "useful_a_month")

    benefit = forms.ChoiceField(
        label="What does a useful answer do for the company?",
        choices=Workload.Benefit.choices,
        widget=forms.RadioSelect,
    )
    minutes_low = _minutes("At least")
    minutes_base = _minutes("Most likely")
    minutes_high = _minutes("At best")
    grade = forms.ModelChoiceField(
        Grade.objects.none(), label="Whose minutes?", required=False, empty_label="Not said yet"
    )
    useful_a_month = NumberField(
        label="How many will people use?", required=False, min_value=1, max_value=Decimal(10**12), decimal_places=0
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["grade"].queryset = grades()  # type: ignore[attr-defined]
        self.estimate: dict[str, Any] = {}

    def clean(self) -> None:
        given = self.cleaned_data
        grade = given.get("grade")
        said = {name: given.get(name) for name in (*self.minutes, "useful_a_month")}
        # Kept before the order is looked at: a draft keeps also what is not in order yet.
        self.estimate = {name: value for name, value in said.items() if value is not None}
        self.estimate |= {"grade": grade.pk} if grade else {}
        if given.get("benefit") not in (None, Workload.Benefit.LABOUR):
            # They stand aside on the page: nobody could mend what is wrong of them.
            for name in self.estimated:
                self.errors.pop(name, None)
            return
        for smaller, larger in pairwise(name for name in self.minutes if name in self.estimate):
            if self.estimate[smaller] > self.estimate[larger]:
                words = (
                    f"“{self.fields[larger].label}” cannot be less than “{str(self.fields[smaller].label).lower()}”."
                )
                self.add_error(larger, words)

    def values(self) -> dict[str, Any]:
        return super().values() | {"first_estimate": self.estimate or None}


class OwnersForm(StepForm):
    answers: ClassVar[tuple[str, ...]] = (
        "business_owner",
        "technical_owner",
        "budget_owner",
        "cost_centre",
        "monthly_spend_expected",
    )

    business_owner = forms.ModelChoiceField(Person.objects.none(), label="Who answers for it?", empty_label=PICK)
    technical_owner = forms.ModelChoiceField(Person.objects.none(), label="Who runs it?", empty_label=PICK)
    budget_owner = forms.ModelChoiceField(Person.objects.none(), label="Who pays for it?", empty_label=PICK)
    cost_centre = forms.ModelChoiceField(CostCentre.objects.none(), label="Which cost centre?", empty_label=PICK)
    monthly_spend_expected = AmountField(label="What may it spend a month?")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = Person.objects.filter(active=True)
        # One query for the three lists; the choices of a list are drawn from it by hand.
        names = [("", PICK), *((person.pk, person.name) for person in people)]
        for owner in ("business_owner", "technical_owner", "budget_owner"):
            self.fields[owner].queryset = people  # type: ignore[attr-defined]
            self.fields[owner].choices = names  # type: ignore[attr-defined]
        centre = self.fields["cost_centre"]
        centre.queryset = CostCentre.objects.filter(active=True)  # type: ignore[attr-defined]
        centre.choices = [("", PICK), *_centre_choices(cost_centre_tree())]  # type: ignore[attr-defined]


class CardForm(PurposeForm, OwnersForm):
    """The card of a registered use case, all on one page."""

    answers: ClassVar[tuple[str, ...]] = (
        *PurposeForm.answers,
        "benefit",
        *(name for name in OwnersForm.answers if name != "monthly_spend_expected"),
    )

    reason = forms.CharField(
        label="Why does it change?",
        max_length=300,
        required=False,
        help_text="Asked where the cost centre or the useful answer changes: somebody else confirms that.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    # What it may spend is asked once; from then on it is a budget, which has a page and versions of its own.
    monthly_spend_expected = None  # type: ignore[assignment]
    benefit = WorthForm.base_fields["benefit"]


class PromiseForm(PromiseFields):
    """A later change of tier, band or failure cost; its reason is kept with it."""

    answers: ClassVar[tuple[str, ...]] = PromiseFields.promises

    reason = forms.CharField(label="Why does this change?", max_length=300)


class TakeUpForm(forms.Form):
    """Take up again what was suspended, or is being switched off."""

    stage = forms.ChoiceField(
        label="At which stage?",
        choices=[choice for choice in Workload.Stage.choices if choice[0] != Workload.Stage.SUNSET],
        initial=Workload.Stage.PRODUCTION,
    )
    reason = forms.CharField(label="Why does it go on?", max_length=300)

    def __init__(self, data: Mapping[str, Any] | None = None, **more: Any) -> None:
        super().__init__(data, auto_id="take_up_%s", **more)


class MandateForm(forms.Form):
    """It must run whatever it is worth; all three emptied end the mandate."""

    answers: ClassVar[tuple[str, ...]] = ("mandated_reason", "mandated_by", "mandated_until")

    mandated_reason = forms.CharField(
        label="Why must it run whatever it is worth?",
        max_length=300,
        required=False,
        help_text="A law, a contract, a duty. While it lasts the verdict is never “stop”.",
    )
    mandated_by = forms.ModelChoiceField(
        Person.objects.filter(active=True), label="Who answers for that?", required=False, empty_label="Nobody"
    )
    mandated_until = DayField(label="Last day", required=False)
    reason = forms.CharField(label="Why does this change?", max_length=300)

    def __init__(self, data: Mapping[str, Any] | None = None, **more: Any) -> None:
        # It stands beside another form that asks for a reason.
        super().__init__(data, auto_id="mandate_%s", **more)

    def values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.answers}


def initial_of(workload: Workload, promise: WorkloadRevision, answers: Iterable[str]) -> dict[str, Any]:
    """The answers as they stand, for a form that is opened again."""
    return {name: _shown(workload if hasattr(workload, name) else promise, name) for name in answers}


def estimate_shown(said: Mapping[str, Any] | None) -> dict[str, Any]:
    """The answers of a first estimate for their fields: 18000 reads 18,000."""
    return {name: value if name == "grade" else f"{Decimal(value):,f}" for name, value in (said or {}).items()}


def band_words(band: LatencyBand) -> str:
    return BAND_WORDS.get(band.code, band.name.capitalize())


def band_limit(band: LatencyBand) -> str:
    """under 0.8 s, 2 s, 10 min, or hours where nobody waits."""
    if band.limit_ms is None:
        return "hours"
    if band.limit_ms < 1000:
        return f"under {band.limit_ms / 1000:g} s"
    return figures.latency(band.limit_ms)


def fits(band: LatencyBand | None) -> str:
    """How the work can be served at this speed: what the band suggests."""
    if band is None:
        return ""
    words: Mapping[str, str] = {"batch": "batch, about half the price", "scheduled": "scheduled, overnight prices"}
    return words.get(band.code, "real-time")


def _shown(row: Workload | WorkloadRevision, name: str) -> Any:
    value = getattr(row, name)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value.pk if hasattr(value, "pk") else value


def _centre_choices(centres: Iterable[CostCentre]) -> list[tuple[int, str]]:
    """The tree by indentation; a closed place is left out."""
    return [(centre.pk, "\u2003" * centre.depth + centre.name) for centre in centres if centre.active]

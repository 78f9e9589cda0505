"""Forms of the review: what is decided about an item, and the small ones beside it."""

import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms

from apps.accounts.models import Person
from apps.core.money import DECIMAL_PLACES, MAX_DIGITS
from apps.reviews.effects import LONGEST_REASON, NEED_AN_ACTION
from apps.reviews.models import What
from apps.reviews.services import Told
from apps.web.forms import DayField
from apps.web.reviews_words import WHAT_MEANS


def _money(label: str) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, required=False, min_value=Decimal(0), max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES
    )


class DispositionForm(forms.Form):
    """Which fields a decision needs is told by the service; `key` makes a form that is sent twice count once."""

    what = forms.ChoiceField(label="What do we do?", widget=forms.RadioSelect)
    reason = forms.CharField(label="Reason", max_length=LONGEST_REASON)
    owner = forms.ModelChoiceField(label="Owner", queryset=Person.objects.none(), required=False, empty_label="nobody")
    due = DayField(label="By", required=False)
    promised_saving = _money("Promised saving")
    amount = _money("Cap")
    key = forms.CharField(widget=forms.HiddenInput, min_length=8, max_length=32)
    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    def __init__(self, *args: Any, offered: Sequence[str], version: int, **kwargs: Any) -> None:
        kwargs["initial"] = {"key": secrets.token_hex(12), "version": version, **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)
        what, owner = self.fields["what"], self.fields["owner"]
        if isinstance(what, forms.ChoiceField):
            what.choices = [(value, What(value).label) for value in offered]
        if isinstance(owner, forms.ModelChoiceField):
            owner.queryset = Person.objects.filter(active=True)
        self.descriptions = {str(key): text for key, text in WHAT_MEANS.items()}

    def lacks(self) -> str:
        """What is missing or wrong, in a sentence; first of all what is to be done."""
        if "what" in self.errors:
            return "Choose what is to be done."
        said = ((self.fields[name].label, error) for name, errors in self.errors.items() for error in errors)
        return " ".join(f"{label}: {error}" for label, error in said)

    def told(self) -> Told:
        """The suggested owner alone promises nothing: without a date or a saving there is no action to take."""
        given = self.cleaned_data
        acts = given["what"] in NEED_AN_ACTION or given["due"] or given["promised_saving"] is not None
        return Told(
            what=given["what"],
            reason=given["reason"],
            amount=given["amount"] if given["what"] == What.CAP else None,
            owner=given["owner"] if acts else None,
            due=given["due"],
            promised_saving=given["promised_saving"],
        )


class ReasonForm(forms.Form):
    reason = forms.CharField(label="Reason", max_length=300)


class CloseActionForm(forms.Form):
    """An action is done, or given up; how or why is said."""

    note = forms.CharField(label="What came of it", max_length=LONGEST_REASON)
    end = forms.ChoiceField(label="It is", choices=[("done", "done"), ("given_up", "given up")])


class HandOverForm(forms.Form):
    """Somebody else does it, or by another day."""

    owner = forms.ModelChoiceField(label="Owner", queryset=Person.objects.none())
    due = DayField(label="By")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owner = self.fields["owner"]
        if isinstance(owner, forms.ModelChoiceField):
            owner.queryset = Person.objects.filter(active=True)


class NoteForm(forms.Form):
    digest = forms.CharField(max_length=64)
    note = forms.CharField(max_length=LONGEST_REASON, required=False)

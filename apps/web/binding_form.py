"""Binding a key in two sights: first what moves, then one click. Shared by the workbench and a workload's own page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.core.actor import Actor
from apps.core.errors import TollgateError
from apps.costs.attribution import BindPreview, MonthMove, preview_bind
from apps.sources.models import Source
from apps.web.forms import DayInput
from apps.workloads.models import BEGINNING, END, Workload


class LongSelect(forms.Select):
    """A list of thousands, drawn at once: Django draws each option by a template of its own."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        del renderer
        chosen = str(value or "")
        options = format_html_join(
            "\n",
            '<option value="{}"{}>{}</option>',
            ((key, SafeString(" selected") if str(key) == chosen else "", label) for key, label in self.choices),
        )
        own = self.build_attrs(self.attrs, {**(attrs or {}), "name": name})
        return format_html("<select{}>{}</select>", flatatt(own), options)


class BindForm(forms.Form):
    """To which workload, from which day, until which (that day included); an empty day leaves the end open."""

    workload = forms.ModelChoiceField(
        Workload.objects.none(),
        label="To workload",
        to_field_name="slug",
        empty_label="Pick a workload",
        widget=LongSelect,
    )
    first_day = forms.DateField(label="From", required=False, widget=DayInput())
    last_day = forms.DateField(label="Until", required=False, widget=DayInput())

    def __init__(self, *args: Any, workloads: Sequence["Bindable"], **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        field: Any = self.fields["workload"]
        field.queryset = Workload.objects.active()
        field.choices = [("", "Pick a workload"), *((each.slug, each.label) for each in workloads)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        first, last = cleaned.get("first_day"), cleaned.get("last_day")
        if first and last and last < first:
            self.add_error("last_day", "The last day lies before the first.")
        return cleaned

    @property
    def valid_from(self) -> datetime:
        return first_hour_of(self.cleaned_data.get("first_day")) or BEGINNING

    @property
    def valid_to(self) -> datetime:
        last = self.cleaned_data.get("last_day")
        return first_hour_of(last + timedelta(days=1) if last else None) or END


@dataclass(frozen=True, slots=True)
class Bindable:
    """A workload as the list of choices needs it."""

    slug: str
    name: str
    pk: int

    @property
    def label(self) -> str:
        return f"{self.name} · WL-{self.pk:03d}"


def bindable(actor: Actor) -> list[Bindable]:
    """Workloads to which usage can be bound, by name."""
    found = Workload.objects.visible_to(actor).active().exclude(state=Workload.State.CLOSED)
    return [Bindable(*words) for words in found.order_by("name").values_list("slug", "name", "pk")]


def first_hour_of(day: date | None) -> datetime | None:
    """The first full UTC hour that starts on that day in the organisation's zone; bindings run by full hours."""
    if day is None:
        return None
    midnight = datetime.combine(day, time(), tzinfo=timezone.get_current_timezone()).astimezone(UTC)
    hour = midnight.replace(minute=0)
    return hour if hour == midnight else hour + timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Moving:
    """A preview as the page draws it: the chosen month in full, the others in a line each.

    Who binds for the whole organisation need not see the workload's own cost: `sees_cost` says whether they do.
    """

    preview: BindPreview
    shown: MonthMove | None
    others: tuple[MonthMove, ...]
    sees_cost: bool

    @property
    def moved(self) -> Decimal:
        return self.preview.moved

    @property
    def closed(self) -> Decimal:
        """What would be restated in months that are signed off or being so."""
        return sum((month.moved for month in self.preview.closed_months), Decimal(0))


def look_ahead(
    actor: Actor, form: BindForm, pairs: list[list[str]], source: Source | None, month: date
) -> Moving | None:
    """What the form would move; a refusal goes into the form. None while the form is not complete."""
    if not form.is_valid():
        return None
    try:
        preview = preview_bind(
            actor=actor, workload=form.cleaned_data["workload"], pairs=pairs, source=source,
            valid_from=form.valid_from, valid_to=form.valid_to,
        )  # fmt: skip
    except TollgateError as error:
        form.add_error(None, str(error))
        return None
    shown = next((each for each in preview.months if each.month == month), None)
    shown = shown or (preview.months[-1] if preview.months else None)
    others = tuple(each for each in preview.months if each is not shown)
    sees_cost = Workload.objects.money_visible_to(actor).filter(pk=preview.workload.pk).exists()
    return Moving(preview, shown, others, sees_cost)

"""Binding a key in two sights: first what moves, then one click. Shared by the workbench and a workload's own page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone

from apps.core.actor import Actor
from apps.core.errors import TollgateError
from apps.costs.attribution import BindPreview, MonthMove, preview_bind
from apps.sources.models import Source
from apps.web.forms import DayInput
from apps.workloads.models import BEGINNING, END, Workload


class BindForm(forms.Form):
    """To which workload, from which day, until which (that day included); an empty day leaves the end open."""

    workload = forms.ModelChoiceField(
        Workload.objects.none(), label="To workload", to_field_name="slug", empty_label="Pick a workload"
    )
    first_day = forms.DateField(label="From", required=False, widget=DayInput())
    last_day = forms.DateField(label="Until", required=False, widget=DayInput())

    def __init__(self, *args: Any, workloads: Sequence[Workload], **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        field: Any = self.fields["workload"]
        field.queryset = Workload.objects.active()
        field.choices = [("", "Pick a workload"), *((w.slug, f"{w.name} · {w.ref}") for w in workloads)]

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


def bindable(actor: Actor) -> list[Workload]:
    """Workloads to which usage can be bound, by name."""
    found = Workload.objects.visible_to(actor).active().exclude(state=Workload.State.CLOSED)
    return list(found.only("pk", "slug", "name").order_by("name"))


def first_hour_of(day: date | None) -> datetime | None:
    """The first full UTC hour that starts on that day in the organisation's zone; bindings run by full hours."""
    if day is None:
        return None
    midnight = datetime.combine(day, time(), tzinfo=timezone.get_current_timezone()).astimezone(UTC)
    hour = midnight.replace(minute=0)
    return hour if hour == midnight else hour + timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Moving:
    """A preview as the page draws it: the chosen month in full, the others in a line each."""

    preview: BindPreview
    shown: MonthMove | None
    others: tuple[MonthMove, ...]

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
    return Moving(preview, shown, tuple(each for each in preview.months if each is not shown))

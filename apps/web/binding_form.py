"""Binding a key in two sights: first what moves, then one click. Shared by the workbench and a workload's own page."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

from django import forms
from django.db.models import Case, Q, QuerySet, When
from django.urls import reverse_lazy
from django.utils import timezone

from apps.core.actor import Actor
from apps.core.errors import TollgateError
from apps.costs.attribution import BindPreview, MonthMove, preview_bind
from apps.sources.models import Source
from apps.web.forms import DayField
from apps.workloads.models import BEGINNING, END, Workload
from apps.workloads.selectors import REFERENCE

MOST_CANDIDATES: Final = 12
# The browser completes from a list that the server narrows while one types; without scripts the form asks back.
PICKER: Final = {
    "autocomplete": "off",
    "spellcheck": "false",
    "placeholder": "Name or WL-007",
    "list": "workload-options",
    "hx-get": reverse_lazy("unallocated:workloads"),
    "hx-trigger": "input changed delay:150ms",
    "hx-target": "#workload-options",
    "hx-swap": "innerHTML",
    "hx-params": "workload",
}


@dataclass(frozen=True, slots=True)
class Bindable:
    """A workload as the list of choices needs it."""

    slug: str
    name: str
    pk: int

    @property
    def label(self) -> str:
        return f"{self.name} · WL-{self.pk:03d}"


class WorkloadField(forms.CharField):
    """A workload by its name, its reference or its slug: thousands do not fit into a list of choices.

    What fits several is asked back with `candidates`, the closest first; the page offers them to click.
    """

    default_error_messages: ClassVar[dict[str, Any]] = {
        "nothing": "No workload has such a name.",
        "several": "Several workloads fit. Pick one of them, or write more of the name.",
    }

    def __init__(self, *, actor: Actor, **kwargs: Any) -> None:
        super().__init__(**{"label": "To workload", "max_length": 200, **kwargs})
        self.actor = actor
        self.candidates: list[Bindable] = []

    def clean(self, value: Any) -> Workload:
        text = " ".join(str(super().clean(value)).split())
        found = exactly(self.actor, text)
        if found is not None:
            return found
        self.candidates = candidates(self.actor, text)
        if len(self.candidates) == 1:
            return bindable(self.actor).get(pk=self.candidates[0].pk)
        code = "several" if self.candidates else "nothing"
        raise forms.ValidationError(self.error_messages[code], code=code)

    def prepare_value(self, value: Any) -> str:
        """A slug in the address is shown as its name."""
        text = str(value or "")
        found = exactly(self.actor, text) if text else None
        return Bindable(found.slug, found.name, found.pk).label if found else text


class BindForm(forms.Form):
    """To which workload, from which day, until which (that day included); an empty day leaves the end open."""

    first_day = DayField(label="From", required=False)
    last_day = DayField(label="Until", required=False)

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.fields["workload"] = WorkloadField(actor=actor, widget=forms.TextInput(attrs=PICKER))
        self.order_fields(["workload"])

    @property
    def candidates(self) -> list["Bindable"]:
        """What the written words may have meant, when they fit no one workload."""
        field = self.fields["workload"]
        return field.candidates if isinstance(field, WorkloadField) else []

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


def bindable(actor: Actor) -> QuerySet[Workload]:
    """Workloads to which usage can be bound."""
    return Workload.objects.visible_to(actor).active().exclude(state=Workload.State.CLOSED)


def exactly(actor: Actor, text: str) -> Workload | None:
    """The one workload that a slug, a reference (WL-007) or a whole label names."""
    cited = REFERENCE.fullmatch(text.rpartition(" · ")[2])
    wanted = Q(pk=int(cited[1])) if cited else Q(slug=text)
    return bindable(actor).filter(wanted).first()


def candidates(actor: Actor, text: str) -> list[Bindable]:
    """The closest of those that have every word; names that begin with them first."""
    words = text.split()[:8]
    found = bindable(actor)
    for word in words:
        found = found.filter(Q(name__icontains=word) | Q(slug__icontains=word))
    place = Case(When(name__iexact=text, then=0), When(name__istartswith=text, then=1), default=2)
    rows = found.order_by(place, "name", "pk").values_list("slug", "name", "pk")[:MOST_CANDIDATES]
    return [Bindable(*row) for row in rows]


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

"""Binding a key in two sights: first what moves, then one click. Shared by the workbench and a workload's own page."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

from django import forms
from django.db.models import Case, Q, QuerySet, When
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.html import format_html
from django.utils.text import get_text_list

from apps.budgets.selectors import Burn, burns
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import TollgateError
from apps.costs.attribution import BindPreview, Entering, MonthMove, preview_bind, would_restate
from apps.costs.limits import unallocated_limit
from apps.costs.sums import known_sum
from apps.economics.binding import BindingWorth, Judged, preview_binding
from apps.economics.verdict import Word
from apps.reviews.models import Cycle
from apps.sources.models import Source
from apps.web import figures
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


# Verdicts that a review speaks about.
_SPOKEN_OF: Final = (Word.STOP, Word.FIX)
_UNKNOWN: Final = (
    '<span class="tg-unknown" title="{}"><span aria-hidden="true">{}</span>'
    '<span class="tg-hidden">not known: {}</span></span>'
)
_NO_COST: Final = "No cost of it is known in this month."


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
class Step:
    """A figure before and after, ready to be shown; `tone` only where it is certain whether that is good or bad."""

    label: str
    before: str
    after: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What moves in a month that is not the one shown."""

    month: date
    state: str
    moved: Decimal


@dataclass(frozen=True, slots=True)
class Earlier:
    """Signed months that binding from an earlier day would restate; no amount where this reader may not see it."""

    first_day: date
    months: str
    is_one: bool
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class Moving:
    """A preview as the page draws it: the chosen month in full, the others in a line each.

    Who binds for the whole organisation need not see the workload's own money: then `worth` is None. Where a part of it
    is taken from a workload whose money they may not see, only what was nobody's is told as an amount, and no `worth`,
    whose figures would hold that part.
    """

    preview: BindPreview
    shown: MonthMove | None
    steps: tuple[Step, ...]
    others: tuple[Elsewhere, ...]
    taken_from: tuple[tuple[str, Decimal | None], ...]
    moved: Decimal
    closed: Decimal
    sees_cost: bool
    worth: BindingWorth | None
    agenda: str


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
    return _moving(actor, preview, month)


def look_back(
    actor: Actor, form: BindForm, pairs: list[list[str]], source: Source, first_seen: datetime
) -> Earlier | None:
    """What binding from the key's first day on would restate beyond what the form asks for; None where nothing."""
    first_day = timezone.localtime(first_seen).date()
    starts = first_hour_of(first_day)
    if starts is None or starts >= form.valid_from:
        return None
    workload = form.cleaned_data["workload"]
    try:
        found = would_restate(
            actor=actor, workload=workload, pairs=pairs, source=source, valid_from=starts, valid_to=form.valid_from
        )
    except TollgateError:
        return None
    if not found.months:
        return None
    names = [f"{month:%B}" if month.year == form.valid_from.year else f"{month:%B %Y}" for month in found.months]
    sees_all = found.losers <= _seen(actor, found.losers)
    return Earlier(first_day, get_text_list(names, "and"), len(names) == 1, found.amount if sees_all else None)


# --- Below ------------------------------------------------------------------------------------------------------------


def _moving(actor: Actor, preview: BindPreview, month: date) -> Moving:
    shown = next((each for each in preview.months if each.month == month), None)
    shown = shown or (preview.months[-1] if preview.months else None)
    losers = {loser.pk for loser, _ in preview.taken_from}
    seen = _seen(actor, {preview.workload.pk, *losers})
    sees_cost, sees_losses = preview.workload.pk in seen, losers <= seen

    def amount(move: MonthMove) -> Decimal:
        return move.moved if sees_losses else move.from_nobody

    sees_worth = shown is not None and sees_cost and sees_losses
    worth = preview_binding(actor=actor, preview=preview, month=shown) if shown and sees_worth else None
    return Moving(
        preview=preview,
        shown=shown,
        steps=tuple(_steps(preview.workload, shown, worth)) if shown else (),
        others=tuple(Elsewhere(move.month, move.state, amount(move)) for move in preview.months if move is not shown),
        taken_from=tuple((loser.name, lost if loser.pk in seen else None) for loser, lost in preview.taken_from),
        moved=sum((amount(move) for move in preview.months), Decimal(0)),
        closed=sum((amount(move) for move in preview.closed_months), Decimal(0)),
        sees_cost=sees_cost,
        worth=worth,
        agenda=_agenda(shown, worth) if shown and worth and worth.changes_verdict else "",
    )


def _seen(actor: Actor, workloads: Collection[int]) -> frozenset[int]:
    """Those of them whose money the actor may see."""
    if not workloads:
        return frozenset()
    found = Workload.objects.money_visible_to(actor).filter(pk__in=workloads)
    return frozenset(found.values_list("pk", flat=True))


def _steps(workload: Workload, month: MonthMove, worth: BindingWorth | None) -> Iterator[Step]:
    currency = organisation.get().currency
    unallocated = [figures.money(sum_, currency) for sum_ in (month.unallocated_before, month.unallocated_after)]
    yield Step("Unallocated", unallocated[0], unallocated[1])
    before, after = month.share_before, month.share_after
    is_good = before is not None and after is not None and after < before and after <= unallocated_limit()
    yield Step("Share of the full cost", _percent(before), _percent(after), "good" if is_good else "")
    if worth is None:
        return
    was, becomes = worth.before, worth.after
    tone = "bad" if becomes.net is not None and becomes.net < 0 else ""
    yield Step(f"Cost of {workload.name}", _money(was, was.appraisal.cost), _money(becomes, becomes.appraisal.cost))
    yield Step(f"Cost per {workload.output_unit or 'useful output'}", _each(was), _each(becomes), tone)
    yield Step("Net value", _money(was, was.net), _money(becomes, becomes.net), tone)
    if not month.is_closed:
        yield _budget(workload, month, currency)


def _money(judged: Judged, amount: Decimal | None) -> str:
    """What is unknown of a month is what its verdict says is missing."""
    return _shown(figures.money(amount, organisation.get().currency), judged.verdict.sentence)


def _each(judged: Judged) -> str:
    each = judged.appraisal.cost_per_useful
    if isinstance(each, Decimal):
        return figures.unit_price(each, organisation.get().currency)
    return _shown(figures.UNKNOWN, f"{each.capitalize()}." if each else judged.verdict.sentence)


def _budget(workload: Workload, month: MonthMove, currency: str) -> Step:
    """Direct cost against the month's budget. Of a budget of nothing there is no per cent: then the money is shown."""
    before = burns(month=month.month, workload_ids=[workload.pk]).get(workload.pk) or Burn(month.month)
    if before.budget is None:
        return Step("Budget", "none", "none")
    after = replace(before, direct=_direct_with(before.direct, month.entering))
    tone = "bad" if after.is_over else ""
    if before.budget.is_suspended or not before.amount:
        words = "suspended" if before.budget.is_suspended else figures.money(before.amount, currency)
        return Step(f"Spent, budget {words}", _spent(before, currency), _spent(after, currency), tone)
    return Step(f"Budget {figures.money(before.amount, currency)}", _used(before), _used(after), tone)


def _direct_with(direct: Decimal | None, entering: Entering) -> Decimal | None:
    if not entering.direct_lines:
        return direct
    more = known_sum(entering.direct, lines=entering.direct_lines, unknown=entering.direct_unknown)
    return direct if more is None else (direct or Decimal(0)) + more


def _spent(burn: Burn, currency: str) -> str:
    return _shown(figures.money(burn.direct, currency), _NO_COST)


def _used(burn: Burn) -> str:
    return _shown(figures.percent(burn.ratio, digits=0), _NO_COST)


def _agenda(month: MonthMove, worth: BindingWorth) -> str:
    """What becomes of the new verdict: on the agenda of the month's review, or beside what was signed."""
    if month.is_closed:
        return "What was signed stays; the new verdict stands beside it as restated."
    was, becomes = worth.before.verdict.word in _SPOKEN_OF, worth.after.verdict.word in _SPOKEN_OF
    if not (was or becomes):
        return ""
    cycle = Cycle.objects.filter(month=month.month).first()
    if cycle is not None and not cycle.is_open:
        return ""
    review = f"the {month.month:%B} review"
    if cycle is None:
        return f"It will stand on the agenda of {review}." if becomes else ""
    if was and becomes:
        return f"It stays on the agenda of {review}, as {worth.after.verdict.word}."
    return f"It joins the agenda of {review}." if becomes else f"It leaves the agenda of {review}."


def _percent(share: Decimal | None) -> str:
    return _shown(figures.percent(share), "The month has no cost.")


def _shown(text: str, why: str) -> str:
    """An unknown figure is a dash that says why."""
    return format_html(_UNKNOWN, why, text, why) if text == figures.UNKNOWN else text

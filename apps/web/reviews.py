"""The monthly review: one screen an item, by money at stake, until the month is signed off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts import rights
from apps.accounts.models import Person
from apps.accounts.rights import Right
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotFound, TollgateError
from apps.reviews import access, effects, selectors
from apps.reviews import services as reviews
from apps.reviews.models import Cycle, Disposition, Item, What
from apps.reviews.selectors import Promise
from apps.web import figures, hooks, reviews_item, reviews_ways, reviews_words
from apps.web.pages import PageRequest, page_or_part, wants_part
from apps.web.reviews_addresses import cycle_of, month_text, number_of, read_month
from apps.web.reviews_forms import DispositionForm
from apps.web.reviews_list import months_of, not_opened
from apps.web.reviews_signing import foot
from apps.web.reviews_ways import WaysCard


@dataclass(frozen=True, slots=True)
class AgendaRow:
    """An item as the agenda lists it."""

    item: Item
    number: int
    title: str
    meta: str
    icon: str
    verdict: str
    money: str
    href: str
    is_current: bool
    decided: Disposition | None


@dataclass(frozen=True, slots=True)
class MergeView:
    """Why nothing was recorded, what stands, and what was about to be recorded, side by side."""

    said: str
    standing: Disposition | None
    effects: Sequence[str]
    mine: str
    reason: str


@hooks.counts("reviews")
def waiting(actor: Actor) -> int:
    """Undecided items of the open reviews, as far as a reviewer sees them."""
    if not rights.rights_of(actor).may(Right.REVIEW):
        return 0
    items = Item.objects.visible_to(actor).filter(state=Item.State.OPEN, cycle__state=Cycle.State.OPEN)
    return items.count()


# --- The meeting ------------------------------------------------------------------------------------------------------


@login_required
@require_GET
def show(request: PageRequest, month: str) -> HttpResponse:
    try:
        cycle = cycle_of(request, month)
    except NotFound:
        if not rights.rights_of(request.actor).may(Right.SEE_REVIEWS):
            raise
        return not_opened(request, read_month(month))
    items = selectors.agenda_for(actor=request.actor, cycle=cycle)
    first = next((item for item in items if item.state == Item.State.OPEN), items[0] if items else None)
    return _meeting(request, cycle, items, first)


@login_required
@require_http_methods(["GET", "POST"])
def item(request: PageRequest, month: str, pk: int) -> HttpResponse:
    cycle = cycle_of(request, month)
    chosen = access.get_item_for(actor=request.actor, cycle=cycle, pk=pk)
    if request.method == "POST":
        access.require_decides(request.actor, chosen)
        return _decide(request, cycle, chosen)
    return _meeting(request, cycle, selectors.agenda_for(actor=request.actor, cycle=cycle), chosen)


@login_required
@require_GET
def news(request: PageRequest, month: str) -> HttpResponse:
    """What others decided since the page was read; it asks for it while it is open, and keeps its form."""
    cycle = cycle_of(request, month)
    since, seen = (number_of(request.GET.get(name, "")) for name in ("since", "seen"))
    found = selectors.decided_since(actor=request.actor, cycle=cycle, after=since)
    newest = found[-1].pk if found else since
    context = {
        "month": month,
        "news": [(each, reviews_words.title(each.item), _href(cycle, each.item_id)) for each in found],
        "since": since,
        "seen": newest,
    }
    response = render(request, "reviews/meeting.html#news", context)
    if newest <= seen:
        # What was told already stays where it is: it is read aloud once.
        response.headers["HX-Reswap"] = "none"
    return response


def _decide(request: PageRequest, cycle: Cycle, chosen: Item) -> HttpResponse:
    form = _form(chosen, request)
    if "preview" in request.POST or request.GET.get("preview"):
        return _previewed(request, cycle, chosen, form)
    if form.is_valid():
        try:
            reviews.record_disposition(
                actor=request.actor,
                item=chosen,
                version=form.cleaned_data["version"],
                told=form.told(),
                key=form.cleaned_data["key"],
                now=timezone.now(),
            )
            messages.success(request, f"Recorded: {reviews_words.title(chosen)}.")
            return redirect(_next(request, cycle, chosen))
        except reviews.StaleItem as stale:
            return _stale(request, cycle, stale, form)
        except Conflict as conflict:
            return _not_recorded(request, cycle, chosen, form, str(conflict))
        except BadInput as error:
            form.add_error(None, str(error))
    return _meeting(request, cycle, selectors.agenda_for(actor=request.actor, cycle=cycle), chosen, form, status=422)


def _previewed(request: PageRequest, cycle: Cycle, chosen: Item, form: DispositionForm) -> HttpResponse:
    """What recording it would do, in words; a form that is not complete yet says what is missing."""
    said = _preview(request, chosen, form)
    if wants_part(request):
        return page_or_part(request, "reviews/meeting.html", "preview", said)
    items = selectors.agenda_for(actor=request.actor, cycle=cycle)
    return _meeting(request, cycle, items, chosen, form, more=said)


def _preview(request: PageRequest, chosen: Item, form: DispositionForm) -> dict[str, Any]:
    form.fields["reason"].required = False
    if not form.is_valid():
        return {"preview": [], "preview_lacks": form.lacks()}
    try:
        planned = reviews.preview(actor=request.actor, item=chosen, told=form.told(), now=timezone.now())
    except TollgateError as error:
        return {"preview": [], "preview_lacks": str(error)}
    words = _in_words([effect.as_json() for effect in planned])
    way_back = reviews_words.WAYS_BACK.get(What(form.cleaned_data["what"]), "") if words else ""
    return {"preview": words or ["nothing changes"], "preview_lacks": "", "way_back": way_back}


def _stale(request: PageRequest, cycle: Cycle, stale: reviews.StaleItem, form: DispositionForm) -> HttpResponse:
    """409: both versions side by side; sending again records against what was now seen."""
    data = request.POST.copy()
    data["version"] = str(stale.item.version)
    again = DispositionForm(data, offered=_offered(stale.item), version=stale.item.version)
    return _not_recorded(request, cycle, stale.item, form, str(stale), standing=stale.standing, again=again)


def _not_recorded(
    request: PageRequest,
    cycle: Cycle,
    chosen: Item,
    form: DispositionForm,
    said: str,
    *,
    standing: Disposition | None = None,
    again: DispositionForm | None = None,
) -> HttpResponse:
    """Why, and what somebody had typed: also where there is no form any more to hold it."""
    told = form.told()
    merge = MergeView(
        said=said,
        standing=standing,
        effects=_in_words(standing.effect if standing else []),
        mine=What(told.what).label,
        reason=told.reason,
    )
    cycle.refresh_from_db()
    items = selectors.agenda_for(actor=request.actor, cycle=cycle)
    return _meeting(request, cycle, items, chosen, again or form, status=409, more={"merge": merge})


def _next(request: PageRequest, cycle: Cycle, chosen: Item) -> str:
    """The next undecided item after this one; the one just decided when none is left."""
    items = selectors.agenda_for(actor=request.actor, cycle=cycle)
    after = [each for each in items if each.position > chosen.position] + items
    found = next((each for each in after if each.state == Item.State.OPEN), chosen)
    return _href(cycle, found.pk, is_presented="present" in request.GET)


def _meeting(
    request: PageRequest,
    cycle: Cycle,
    items: Sequence[Item],
    chosen: Item | None,
    form: DispositionForm | None = None,
    *,
    status: int = 200,
    more: dict[str, Any] | None = None,
) -> HttpResponse:
    """The page about one item: as the agenda lists it, with what was decided, or as it left the agenda."""
    currency, is_presented = organisation.get().currency, "present" in request.GET
    chosen = next((each for each in items if chosen and each.pk == chosen.pk), chosen)
    rows = [_row(cycle, each, number, chosen, currency, is_presented) for number, each in enumerate(items, 1)]
    at = next((number for number, row in enumerate(rows) if row.is_current), None)
    after = 0 if at is None else at + 1
    context = {
        "cycle": cycle,
        "month": month_text(cycle),
        "rows": rows,
        "row": _row(cycle, chosen, after, chosen, currency, is_presented) if chosen else None,
        "previous": rows[at - 1] if at else None,
        "following": rows[after] if after < len(rows) else None,
        "decided_count": sum(each.state == Item.State.DECIDED for each in items),
        "is_presented": is_presented,
        "month_walk": months_of(request.actor, cycle.month),
        "since": max((each.pk for one in items for each in _decided(one)), default=0),
        **_people(request, cycle),
        **_about(cycle, chosen, currency),
        **_deciding(request, cycle, chosen, form),
    }
    if chosen is not None:
        href = _href(cycle, chosen.pk, is_presented=is_presented)
        ways = reviews_ways.ways_card(
            actor=request.actor,
            item=chosen,
            month=cycle.month,
            is_signed=not cycle.is_open,
            currency=currency,
            href=href,
        )
        context |= {"ways": ways, **_way_taken(request, chosen, ways, context.get("form") if form is None else None)}
    if not wants_part(request):
        context |= {**foot(request, cycle), **({} if is_presented else _promised(request, cycle, currency))}
    return page_or_part(request, "reviews/meeting.html", "item", {**context, **(more or {})}, status=status)


def _row(cycle: Cycle, each: Item, number: int, chosen: Item | None, currency: str, is_presented: bool) -> AgendaRow:
    decided = _decided(each)
    return AgendaRow(
        item=each,
        number=number,
        title=reviews_words.title(each),
        meta=reviews_words.meta(each, currency),
        icon=reviews_words.icon_of(each),
        verdict=reviews_words.verdict_of(each),
        money=figures.money(each.money_at_stake, currency),
        href=_href(cycle, each.pk, is_presented=is_presented),
        is_current=chosen is not None and each.pk == chosen.pk,
        decided=decided[-1] if decided else None,
    )


def _decided(each: Item) -> list[Disposition]:
    """What was decided about an item of the agenda, in its order; nothing of one that left it."""
    found: list[Disposition] = getattr(each, "decided", [])
    return found


def _people(request: PageRequest, cycle: Cycle) -> dict[str, Any]:
    present = [attendance.person for attendance in cycle.attendances.select_related("person")]
    may_review = rights.rights_of(request.actor).may(Right.REVIEW)
    return {
        "present": present,
        "is_here": any(person.pk == request.actor.person_id for person in present),
        "may_decide": may_review and cycle.is_open,
        "may_lead": may_review and cycle.is_open and cycle.facilitator_id != request.actor.person_id,
        "may_prepare": access.may_prepare(request.actor) and cycle.is_open,
    }


def _about(cycle: Cycle, chosen: Item | None, currency: str) -> dict[str, Any]:
    """Sentence, figures and chart of the item that is spoken about, and what was decided about it."""
    if chosen is None:
        return {}
    decided = _decided(chosen)
    return {
        **reviews_item.about(cycle, chosen, currency),
        "decided": [(each, _in_words(each.effect)) for each in decided],
        "actions": list(chosen.actions.select_related("owner").order_by("pk")) if decided else [],
    }


def _deciding(
    request: PageRequest, cycle: Cycle, chosen: Item | None, form: DispositionForm | None
) -> dict[str, DispositionForm | str]:
    """The form of an item, or why this person has none."""
    if chosen is None or not cycle.is_open or chosen.state == Item.State.CLEARED:
        return {}
    if not rights.rights_of(request.actor).may(Right.REVIEW):
        return {}
    refusal = access.why_not_decide(request.actor, chosen)
    return {"refusal": refusal} if refusal else {"form": form or _form(chosen, None)}


def _way_taken(
    request: PageRequest, chosen: Item, ways: WaysCard | None, empty: DispositionForm | None
) -> dict[str, Any]:
    """The form as the way that was clicked fills it, with what that would do; somebody still has to record it."""
    way = ways.row(request.GET.get("way", "")) if ways else None
    if way is None or empty is None:
        return {}
    form = DispositionForm({**empty.initial, **way.fills}, offered=_offered(chosen), version=chosen.version)
    return {"form": form, "chosen_way": way.key, **_preview(request, chosen, form)}


def _in_words(effect: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a decision changes. It holds keys of persons; their names stand where they can be erased."""
    who = reviews_words.who_acts(effect)
    names = dict(Person.objects.filter(pk__in=who).values_list("pk", "name")) if who else {}
    currency = organisation.get().currency
    return [reviews_words.effect_words(each, currency, names) for each in effect]


def _promised(request: PageRequest, cycle: Cycle, currency: str) -> dict[str, Any]:
    """Promised against arrived, as bars; what could not be measured says why, and is in neither sum."""
    promises = selectors.promises_for(actor=request.actor, cycle=cycle)
    counted = [each for each in promises if each.action.promised_saving is not None]
    measured = [each for each in counted if each.saved is not None]
    saved = sum((each.saved or Decimal(0) for each in measured), Decimal(0))
    promised = sum((each.action.promised_saving or Decimal(0) for each in measured), Decimal(0))
    return {
        "promises": [(each, _ratio(each)) for each in promises],
        "saved_total": figures.money(saved, currency),
        "promised_total": figures.money(promised, currency),
        "measured_count": len(measured),
        "unmeasured_count": len(counted) - len(measured),
    }


def _ratio(promise: Promise) -> Decimal | None:
    if promise.saved is None or not promise.action.promised_saving:
        return None
    ratio: Decimal = promise.saved / promise.action.promised_saving
    return max(Decimal(0), min(Decimal(1), Decimal(ratio)))


def _form(chosen: Item, request: PageRequest | None) -> DispositionForm:
    data = request.POST if request else None
    owner = chosen.workload.business_owner if chosen.workload else None
    initial = {"owner": owner if owner and owner.active else None}
    return DispositionForm(data, offered=_offered(chosen), version=chosen.version, initial=initial)


def _offered(chosen: Item) -> tuple[effects.Kind, ...]:
    return effects.allowed(is_about_one=chosen.workload_id is not None)


def _href(cycle: Cycle, pk: int, *, is_presented: bool = False) -> str:
    address = reverse("reviews:item", args=[month_text(cycle), pk])
    return f"{address}?present=1" if is_presented else address

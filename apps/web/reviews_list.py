"""All reviews, the months of them in the top bar, and what a month without a review says of itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import periods
from apps.core.actor import Actor
from apps.core.errors import NotAllowed
from apps.reviews import access, selectors
from apps.reviews import services as reviews
from apps.reviews.models import Cycle, Item
from apps.web.exports import table_response
from apps.web.forms import errors_said
from apps.web.pages import PageRequest
from apps.web.parts import Crumb
from apps.web.period import PeriodChoice, parse
from apps.web.reviews_addresses import month_text, read_month

COLUMNS: Final = ("Month", "State", "Revision", "Items", "Decided", "Led by", "Opened")


@dataclass(frozen=True, slots=True)
class MonthStep:
    """A review in the menu of the top bar."""

    label: str
    href: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Months:
    """The month of a page, and the reviews before and after it; an empty address leads nowhere."""

    period: PeriodChoice
    previous: str
    following: str
    steps: Sequence[MonthStep]


def months_of(actor: Actor, month: date) -> Months:
    """Whoever reads reviews walks from month to month; who has a part in some of them walks among these."""
    period = parse({"month": f"{month:%Y-%m}"}, today=timezone.localdate(), default=lambda: month)
    held = list(Cycle.objects.visible_to(actor).order_by("-month").values_list("month", flat=True))
    reads_all = rights.rights_of(actor).may(Right.SEE_REVIEWS)

    def leads_to(neighbour: date, query: str) -> str:
        return address_of(neighbour) if query and (reads_all or neighbour in held) else ""

    return Months(
        period,
        previous=leads_to(period.before.start, period.previous_query),
        following=leads_to(period.after.start, period.next_query),
        steps=[MonthStep(f"{each:%B %Y}", address_of(each), each == month) for each in held],
    )


def address_of(month: date) -> str:
    return reverse("reviews:show", args=[f"{month:%Y-%m}"])


@login_required
@require_GET
def cycle_list(request: PageRequest) -> HttpResponseBase:
    cycles = list(Cycle.objects.visible_to(request.actor).select_related("facilitator"))
    if not cycles and not rights.rights_of(request.actor).may(Right.SEE_REVIEWS):
        raise NotAllowed("You take part in no review.", hint=rights.who_can_give(Right.SEE_REVIEWS))
    tallies = _tallies(request.actor)
    if (kind := request.GET.get("format")) in ("csv", "xlsx"):
        return table_response(COLUMNS, (_file_row(cycle, tallies) for cycle in cycles), name="reviews", kind=str(kind))
    last = periods.previous_month(timezone.localdate().replace(day=1))
    may_prepare = access.may_prepare(request.actor)
    context = {
        "rows": [(cycle, _tally_text(*tallies.get(cycle.pk, (0, 0))), month_text(cycle)) for cycle in cycles],
        "may_prepare": may_prepare,
        "to_open": reviews.months_to_open(now=timezone.now())[::-1] if may_prepare else [],
        "centres": list(rights.cost_centres_visible(request.actor).order_by("path")),
        "last": last,
        "sees_whole": selectors.sees_whole(request.actor),
    }
    return render(request, "reviews/list.html", context)


def not_opened(request: PageRequest, month: date) -> HttpResponse:
    """A month that has no review, for those who read reviews: why there is none, and whoever may opens it."""
    may_open = access.may_prepare(request.actor) and month in reviews.months_to_open(now=timezone.now())
    context = {
        "month_walk": months_of(request.actor, month),
        "month": f"{month:%Y-%m}",
        "of_month": month,
        "is_over": periods.next_month(month) <= timezone.localdate(),
        "may_open": may_open,
        "crumbs": [Crumb("Monthly review", reverse("reviews:list")), Crumb(f"{month:%B %Y}")],
    }
    return render(request, "reviews/not_opened.html", context, status=404)


@login_required
@require_POST
def open_review(request: PageRequest) -> HttpResponse:
    month = read_month(request.POST.get("month", ""))
    with errors_said(request, f"The review of {month:%B %Y} is up to date."):
        reviews.open_cycle(actor=request.actor, month=month, now=timezone.now())
    if not Cycle.objects.filter(month=month).exists():
        return redirect("reviews:list")
    return redirect("reviews:show", month=f"{month:%Y-%m}")


def _tallies(actor: Actor) -> dict[int, tuple[int, int]]:
    """By review, of what the actor may see: how many items, and how many of them are decided."""
    decided = Count("pk", filter=Q(state=Item.State.DECIDED))
    items = Item.objects.visible_to(actor).on_agenda().order_by()
    rows = items.values_list("cycle").annotate(every=Count("pk"), done=decided)
    return {cycle: (every, done) for cycle, every, done in rows}


def _tally_text(every: int, done: int) -> str:
    return f"{every} item{'' if every == 1 else 's'}, {done} decided" if every else "nothing on it"


def _file_row(cycle: Cycle, tallies: dict[int, tuple[int, int]]) -> tuple[str | int | date, ...]:
    leads = cycle.facilitator.name if cycle.facilitator else ""
    items, decided = tallies.get(cycle.pk, (0, 0))
    opened = timezone.localtime(cycle.opened_at).date()
    return cycle.month, cycle.get_state_display(), cycle.revision, items, decided, leads, opened

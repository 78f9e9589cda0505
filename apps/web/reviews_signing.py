"""The foot of a meeting and its buttons: who is here, what blocks, waiving, signing, and figures that owners attest."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import rights
from apps.accounts.freshness import SessionTooOld
from apps.accounts.rights import Right
from apps.approvals import services as approvals
from apps.core.errors import BadInput, NotAllowed
from apps.reviews import access, selectors
from apps.reviews import services as reviews
from apps.reviews.blockers import Blocker, blockers_of, not_waived
from apps.reviews.models import Cycle
from apps.web import reviews_words
from apps.web.forms import errors_said
from apps.web.pages import PageRequest
from apps.web.reviews_addresses import crumbs_of, cycle_of, number_of
from apps.web.reviews_forms import NoteForm, ReasonForm
from apps.web.reviews_list import months_of
from apps.web.sessions import proved_at
from apps.workloads import selectors as workloads
from apps.workloads.models import Workload


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A blocker in words, with where it can be put right; `is_waived` when two people let it pass."""

    blocker: Blocker
    words: str
    remedy: str
    href: str
    is_waived: bool


def foot(request: PageRequest, cycle: Cycle) -> dict[str, Any]:
    """What blocks, what was signed, and whether this person may sign; for those who read reviews."""
    if not rights.rights_of(request.actor).may(Right.SEE_REVIEWS):
        return {"obstacles": [], "pack": None}
    pack = cycle.packs.order_by("-revision").first()
    sees_whole = selectors.sees_whole(request.actor)
    if not cycle.is_open:
        may_reopen = access.may_prepare(request.actor)
        return {"obstacles": [], "pack": pack, "sees_whole": sees_whole, "may_reopen": may_reopen}
    found = blockers_of(cycle, now=timezone.now())
    standing = {blocker.key for blocker in not_waived(cycle, found)}
    obstacles = [_obstacle(blocker, cycle, is_waived=blocker.key not in standing) for blocker in found]
    return {
        "obstacles": obstacles,
        "blocking": [each for each in obstacles if not each.is_waived],
        "pack": pack,
        "sees_whole": sees_whole,
        "sign_refusal": reviews.why_not_sign(request.actor, cycle),
    }


def _obstacle(blocker: Blocker, cycle: Cycle, *, is_waived: bool) -> Obstacle:
    remedy, href = reviews_words.remedy(blocker, cycle.month)
    return Obstacle(blocker, reviews_words.blocker_words(blocker), remedy, href, is_waived)


# --- Buttons ----------------------------------------------------------------------------------------------------------


@login_required
@require_POST
def attend(request: PageRequest, month: str) -> HttpResponse:
    cycle = cycle_of(request, month)
    with errors_said(request, "You stand in the minutes."):
        reviews.attend(actor=request.actor, cycle=cycle)
    return redirect("reviews:show", month=month)


@login_required
@require_POST
def lead(request: PageRequest, month: str) -> HttpResponse:
    cycle = cycle_of(request, month)
    with errors_said(request, "You lead the review now."):
        reviews.take_facilitation(actor=request.actor, cycle=cycle, version=_version(request))
    return redirect("reviews:show", month=month)


@login_required
@require_POST
def waive(request: PageRequest, month: str) -> HttpResponse:
    """Ask a second person to let a blocker pass."""
    return _ask(request, month, "waiver", {"blocker": request.POST.get("blocker", "")})


@login_required
@require_POST
def reopen(request: PageRequest, month: str) -> HttpResponse:
    """Ask a second person to open a signed month again."""
    return _ask(request, month, "reopen", {})


def _ask(request: PageRequest, month: str, kind: str, proposed: dict[str, Any]) -> HttpResponse:
    cycle = cycle_of(request, month)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say in 1 to 300 characters why.")
        return redirect("reviews:show", month=month)
    with errors_said(request, "Asked for. It takes effect when a second person confirms it."):
        approvals.ask(
            actor=request.actor, kind=kind, subject=cycle, proposed=proposed, reason=form.cleaned_data["reason"]
        )
    return redirect("reviews:show", month=month)


@login_required
@require_POST
def sign(request: PageRequest, month: str) -> HttpResponse:
    cycle = cycle_of(request, month)
    refusal = reviews.why_not_sign(request.actor, cycle)
    if refusal:
        raise NotAllowed(refusal)
    leads_to = redirect("reviews:show", month=month)
    try:
        with errors_said(request, f"{cycle} is signed off."):
            reviews.sign(
                actor=request.actor,
                cycle=cycle,
                version=_version(request),
                now=timezone.now(),
                session_fresh_at=proved_at(request),
            )
            leads_to = redirect("reviews:minutes", month=month)
    except SessionTooOld:
        return redirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': leads_to.url})}")
    return leads_to


# --- Figures that owners attest ---------------------------------------------------------------------------------------


@login_required
@require_GET
def own_figures(request: PageRequest, month: str) -> HttpResponse:
    cycle = cycle_of(request, month)
    only_own = not rights.rights_of(request.actor).may(Right.SEE_REVIEWS)
    context = {
        "cycle": cycle,
        "month": month,
        "rows": selectors.figures_for(actor=request.actor, cycle=cycle, only_own=only_own),
        "person_id": request.actor.person_id,
        "month_walk": months_of(request.actor, cycle.month),
        "crumbs": crumbs_of(cycle, "Figures"),
    }
    return render(request, "reviews/figures.html", context)


@login_required
@require_POST
def attest(request: PageRequest, month: str, slug: str) -> HttpResponse:
    cycle = cycle_of(request, month)
    workload = workloads.get_workload_for(actor=request.actor, ref=slug)
    if not Workload.objects.owned_by(request.actor).filter(pk=workload.pk).exists():
        raise NotAllowed(f"Only the owners of {workload.name} attest its figures.")
    form = NoteForm(request.POST)
    with errors_said(request, f"You attested the figures of {workload.name}."):
        if not form.is_valid():
            raise BadInput("This form is not complete.", hint="Load the page again.")
        given = form.cleaned_data
        reviews.attest_figures(
            actor=request.actor, cycle=cycle, workload=workload, digest=given["digest"], note=given["note"]
        )
    return redirect("reviews:figures", month=month)


def _version(request: PageRequest) -> int:
    return number_of(request.POST.get("version", ""))

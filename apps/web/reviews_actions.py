"""What somebody promised in a review, on a page of its own: its owner needs to see nothing else of the review."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.core.errors import NotAllowed, NotFound
from apps.reviews import access
from apps.reviews import services as reviews
from apps.reviews.models import Action, Cycle
from apps.web.forms import errors_into
from apps.web.pages import PageRequest
from apps.web.parts import Crumb
from apps.web.reviews_addresses import month_text, read_month
from apps.web.reviews_forms import CloseActionForm, HandOverForm
from apps.workloads.models import Workload


@login_required
@require_GET
def show(request: PageRequest, pk: int) -> HttpResponse:
    return _page(request, access.get_action_for(actor=request.actor, pk=pk))


@login_required
@require_POST
def close(request: PageRequest, pk: int) -> HttpResponse:
    """Say that it is done, or give it up; from its page, or from the meeting that asked."""
    action = access.get_action_for(actor=request.actor, pk=pk)
    refusal = access.why_not_decide(request.actor, action.item)
    if refusal and action.owner_id != request.actor.person_id:
        raise NotAllowed(refusal)
    form = CloseActionForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        with errors_into(form):
            reviews.close_action(actor=request.actor, action=action, is_done=given["end"] == "done", note=given["note"])
    if form.errors:
        return _page(request, action, closing=form)
    messages.success(request, "Noted.")
    return _back(request, action)


@login_required
@require_POST
def hand_over(request: PageRequest, pk: int) -> HttpResponse:
    action = access.get_action_for(actor=request.actor, pk=pk)
    access.require_decides(request.actor, action.item)
    form = HandOverForm(request.POST)
    if form.is_valid():
        given, today = form.cleaned_data, timezone.localdate()
        with errors_into(form):
            reviews.hand_over_action(
                actor=request.actor, action=action, owner=given["owner"], due=given["due"], today=today
            )
    if form.errors:
        return _page(request, action, handing=form)
    messages.success(request, f"{form.cleaned_data['owner'].name} has it now.")
    return _back(request, action)


def _page(
    request: PageRequest, action: Action, *, closing: CloseActionForm | None = None, handing: HandOverForm | None = None
) -> HttpResponse:
    """What was typed stays in the form that was refused."""
    may_decide = not access.why_not_decide(request.actor, action.item)
    is_mine = action.owner_id == request.actor.person_id
    is_open = action.state == Action.State.OPEN
    context: dict[str, Any] = {
        "action": action,
        "workload": action.item.workload,
        "month": month_text(action.item.cycle),
        "sees_review": Cycle.objects.visible_to(request.actor).filter(pk=action.item.cycle_id).exists(),
        "sees_workload": Workload.objects.visible_to(request.actor).filter(pk=action.item.workload_id or 0).exists(),
        "may_give_up": may_decide,
        "closing": (closing or CloseActionForm()) if is_open and (is_mine or may_decide) else None,
        "handing": (handing or _hand_over_form(action)) if is_open and may_decide else None,
        "refused": closing or handing,
        "is_of_one_month": True,
        "crumbs": [Crumb("Home", reverse("home")), Crumb("Action")],
    }
    return render(request, "reviews/action.html", context, status=422 if closing or handing else 200)


def _hand_over_form(action: Action) -> HandOverForm:
    return HandOverForm(initial={"owner": action.owner_id, "due": action.due})


def _back(request: PageRequest, action: Action) -> HttpResponse:
    """To the meeting where it was said, else to the action."""
    try:
        month = read_month(request.POST.get("month", ""))
    except NotFound:
        return redirect("reviews:action", pk=action.pk)
    return redirect("reviews:show", month=f"{month:%Y-%m}")

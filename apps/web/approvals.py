"""The inbox: what waits for my decision, what waits for somebody else's, and what was decided."""

from collections.abc import Iterable
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.freshness import SessionTooOld
from apps.approvals import selectors, services
from apps.approvals.models import Confirmation, Decision
from apps.approvals.selectors import Proposal
from apps.core.actor import Actor
from apps.core.errors import Conflict, NotAllowed, TollgateError
from apps.web import hooks
from apps.web.exports import Cell, table_response
from apps.web.pages import PageRequest
from apps.web.parts import Crumb
from apps.web.sessions import proved_at

TABS: Final = {"decide": "To decide", "waiting": "Waiting", "done": "Done"}
PAGE: Final = 50
MOST_BARRED: Final = 8
COLUMNS: Final = (
    "Reference", "What", "About", "Proposed", "Asked by", "Asked at", "Why", "State", "Settled at", "Decided by",
    "Decider's reason", "Digest",
)  # fmt: skip


@login_required
@require_GET
def inbox(request: PageRequest) -> HttpResponseBase:
    """The list, and beside it the first thing to decide."""
    tab = _tab(request)
    if request.GET.get("format") in ("csv", "xlsx"):
        return _file(request, tab)
    listed = _listed(request, tab)
    chosen = listed["listed"][0][0].confirmation if tab == "decide" and listed["listed"] else None
    context = {**listed, **_about(request, chosen), "is_list": True}
    return render(request, "approvals/inbox.html", context)


@login_required
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    chosen = selectors.get_confirmation_for(actor=request.actor, pk=pk)
    return _page(request, chosen)


@login_required
@require_POST
def confirm(request: PageRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, is_confirmed=True)


@login_required
@require_POST
def refuse(request: PageRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, is_confirmed=False)


@login_required
@require_POST
def withdraw(request: PageRequest, pk: int) -> HttpResponse:
    chosen = selectors.get_confirmation_for(actor=request.actor, pk=pk)
    try:
        services.withdraw(actor=request.actor, confirmation=chosen, reason=request.POST.get("reason", ""))
    except Conflict as error:
        return _page(request, chosen, error=error)
    messages.success(request, "Taken back. What stood before goes on.")
    return HttpResponseRedirect(reverse("inbox:detail", args=[pk]))


def _decide(request: PageRequest, pk: int, *, is_confirmed: bool) -> HttpResponse:
    chosen = selectors.get_confirmation_for(actor=request.actor, pk=pk)
    told: dict[str, Any] = {
        "actor": request.actor,
        "confirmation": chosen,
        "digest": request.POST.get("digest", ""),
        "session_fresh_at": proved_at(request),
    }
    try:
        if is_confirmed:
            services.confirm(**told)
        else:
            services.refuse(**told, reason=request.POST.get("reason", ""))
    except SessionTooOld:
        return _prove_who_you_are(request, chosen)
    except NotAllowed:
        raise
    except TollgateError as error:
        return _page(request, chosen, error=error)
    messages.success(
        request, "Confirmed; it counts from now on." if is_confirmed else "Refused; whoever asked reads why."
    )
    return HttpResponseRedirect(reverse("inbox:detail", args=[pk]))


def _prove_who_you_are(request: PageRequest, chosen: Confirmation) -> HttpResponse:
    """Back to the page after the password: what was pressed is pressed again, by somebody who is surely here."""
    if obstacle := selectors.why_not(request.actor, chosen):
        raise NotAllowed(obstacle)
    address = reverse("inbox:detail", args=[chosen.pk])
    return HttpResponseRedirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': address})}")


def say_asked(request: HttpRequest, asked: Iterable[Confirmation]) -> None:
    """That something waits; and where nobody can decide it, so that nobody waits in vain."""
    for confirmation in asked:
        messages.success(
            request,
            f"Proposed as {confirmation.ref}. It counts once somebody else has confirmed it; until then nothing "
            "changes.",
        )
        table = selectors.table_of(confirmation)
        if not table.may:
            messages.warning(
                request,
                f"Nobody can confirm {confirmation.ref} now: it takes the role {table.roles}, held by somebody who had "
                "no hand in it. The administrators are told.",
            )


# --- The page ---------------------------------------------------------------------------------------------------------


def _page(request: PageRequest, chosen: Confirmation, *, error: TollgateError | None = None) -> HttpResponse:
    chosen = selectors.get_confirmation_for(actor=request.actor, pk=chosen.pk)
    tab = "decide" if chosen.is_waiting else "done"
    about = _about(request, chosen)
    if chosen.is_waiting and not about["may_decide"]:
        tab = "waiting"
    context = {**_listed(request, tab), **about, "error": error, "is_list": False}
    return render(request, "approvals/inbox.html", context, status=error.status if error else 200)


def _tab(request: PageRequest) -> str:
    return request.GET.get("tab", "") if request.GET.get("tab") in TABS else "decide"


def _rows(actor: Actor, tab: str) -> Any:
    if tab == "decide":
        return selectors.to_decide(actor)
    return selectors.waiting_elsewhere(actor) if tab == "waiting" else selectors.settled(actor)


def _listed(request: PageRequest, tab: str) -> dict[str, Any]:
    page = Paginator(_rows(request.actor, tab), PAGE).get_page(request.GET.get("page"))
    tabs = [(key, label, f"{reverse('inbox:list')}?tab={key}", key == tab) for key, label in TABS.items()]
    csv = f"{reverse('inbox:list')}?{urlencode({'tab': tab, 'format': 'csv'})}"
    acts_for = selectors.act_for(request.actor, page.object_list) if tab == "decide" else {}
    listed = [(item, acts_for.get(item.confirmation.pk, "")) for item in selectors.proposals(page.object_list)]
    return {"tab": tab, "tabs": tabs, "page": page, "listed": listed, "csv": csv}


def _about(request: PageRequest, chosen: Confirmation | None) -> dict[str, Any]:
    if chosen is None:
        return {"chosen": None}
    (proposal,) = selectors.proposals([chosen])
    is_open = chosen.is_waiting and not selectors.is_expired(chosen)
    obstacle = selectors.why_not(request.actor, chosen) if is_open else ""
    table = selectors.table_of(chosen)
    return {
        "chosen": chosen,
        "proposal": proposal,
        "rows": selectors.rows_of(proposal),
        "decision": selectors.decision_of(chosen),
        "replaced_by": getattr(chosen, "replaced_by", None),
        "is_open": is_open,
        "is_expired": selectors.is_expired(chosen),
        "has_moved": is_open and selectors.has_moved(proposal),
        "obstacle": obstacle,
        "may_decide": is_open and not obstacle,
        "acts_for": selectors.act_for(request.actor, [chosen]).get(chosen.pk, "") if is_open and not obstacle else "",
        "may_withdraw": chosen.is_waiting and selectors.may_withdraw(request.actor, chosen),
        "deciders": table,
        "barred": table.barred[:MOST_BARRED],
        "more_barred": len(table.barred) - MOST_BARRED,
        "givers": selectors.administrators() if is_open and not table.may else [],
        "subject_href": subject_address(proposal),
        "crumbs": [Crumb("Inbox", reverse("inbox:list")), Crumb(chosen.ref)],
    }


def subject_address(proposal: Proposal) -> str:
    """The page of what it is about; empty where it has none."""
    row = proposal.confirmation
    if row.workload:
        return reverse("workloads:detail", args=[row.workload.slug])
    pages = {
        "accounts.person": "people:detail",
        "accounts.costcentre": "cost_centres:detail",
        "catalog.offering": "rates:offering",
    }
    if row.subject_kind == "reviews.cycle" and proposal.subject is not None:
        return reverse("reviews:show", args=[f"{proposal.subject.month:%Y-%m}"])
    return reverse(pages[row.subject_kind], args=[row.subject_id]) if row.subject_kind in pages else ""


def _file(request: PageRequest, tab: str) -> HttpResponseBase:
    kind = "xlsx" if request.GET["format"] == "xlsx" else "csv"
    rows = _cells(selectors.proposals(_rows(request.actor, tab)))
    return table_response(COLUMNS, rows, name=f"inbox-{tab}", kind=kind)


def _cells(proposals: Iterable[Proposal]) -> Iterable[list[Cell]]:
    for proposal in proposals:
        row, decision = proposal.confirmation, selectors.decision_of(proposal.confirmation)
        state = "expired" if selectors.is_expired(row) else row.get_state_display()
        yield [
            row.ref, proposal.label, proposal.name, proposal.title, row.asked_by.name, row.asked_at, row.reason, state,
            row.settled_at, _decided_by(decision), decision.reason if decision else None, row.digest,
        ]  # fmt: skip


def _decided_by(decision: Decision | None) -> str | None:
    if decision is None:
        return None
    return f"{decision.person.name} for {decision.acted_for.name}" if decision.acted_for else decision.person.name


# --- Sockets of the frame ---------------------------------------------------------------------------------------------


@hooks.counts("inbox")
def waiting(actor: Actor) -> int:
    return selectors.count_to_decide(actor)


app_name = "inbox"
urlpatterns = [
    path("", inbox, name="list"),
    path("<int:pk>/", detail, name="detail"),
    path("<int:pk>/confirm/", confirm, name="confirm"),
    path("<int:pk>/refuse/", refuse, name="refuse"),
    path("<int:pk>/withdraw/", withdraw, name="withdraw"),
]

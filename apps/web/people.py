"""People: who is here, what they may do and since when; and the tree of cost centres in which they may."""

from datetime import datetime
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import mails, rights
from apps.accounts import services as accounts
from apps.accounts.freshness import SessionTooOld
from apps.accounts.models import Account, CostCentre, Invitation, Person, Role, RoleGrant
from apps.accounts.rights import Right, rights_of
from apps.accounts.selectors import (
    PersonRow,
    cost_centre_tree,
    get_cost_centre_for,
    get_grant_for,
    get_person_for,
    passed_on_by,
    people_for,
    person_row,
    stand_ins_for,
    to_pass_on,
)
from apps.accounts.services.invitations import SentInvitation
from apps.approvals import services as approvals
from apps.approvals.models import Confirmation
from apps.approvals.selectors import waiting_about
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import NotAllowed, NotFound
from apps.web import hooks
from apps.web.accounts import address_of_invitation
from apps.web.approvals import say_asked
from apps.web.exports import table_response
from apps.web.forms import DayField, end_of, errors_into, errors_said, midnight, posted
from apps.web.pages import PageRequest, page_or_part
from apps.web.parts import Chip, Choice
from apps.web.queries import query_with
from apps.web.sessions import proved_at
from apps.web.settings import settings_tabs

PAGE_SIZE = 50
KEPT_AWAY = "away"  # what was typed, while the password is given
STATES = {"active": "Active", "invited": "Invited", "named": "Without account", "former": "Former"}
COLUMNS = ("Name", "E-mail", "State", "Roles", "Last log-in")


class InviteForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120)
    email = forms.EmailField(
        label="E-mail", help_text="A link to set a password goes there. It works once, for seven days."
    )
    role = forms.ChoiceField(label="Role", required=False, choices=[("", "Member: reads the register"), *Role.choices])
    cost_centre = forms.ModelChoiceField(
        CostCentre.objects.filter(active=True),
        label="Cost centre",
        required=False,
        empty_label="The whole organisation",
    )


class GrantForm(forms.Form):
    role = forms.ChoiceField(label="Role", choices=Role.choices)
    cost_centre = forms.ModelChoiceField(
        CostCentre.objects.filter(active=True),
        label="In",
        required=False,
        empty_label="The whole organisation",
        help_text="Counts there and in everything below.",
    )
    first_day = DayField(label="From", required=False, help_text="Empty: from now on.")
    last_day = DayField(label="To", required=False, help_text="That day included.")
    reason = forms.CharField(
        label="Why?", max_length=300, required=False, help_text="For the administrator who confirms it."
    )


class RenameForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"}))


class GrantChoice(forms.ModelChoiceField[RoleGrant]):
    def label_from_instance(self, grant: RoleGrant) -> str:
        return _role_and_place(grant)


class AwayForm(forms.Form):
    """Which of one's own roles, to whom and for which days."""

    grant = GrantChoice(RoleGrant.objects.none(), label="Role", empty_label=None)
    to = forms.ModelChoiceField(Person.objects.none(), label="To", empty_label="Choose a person")
    first_day = DayField(label="From", required=False, help_text="Empty: from now on.")
    last_day = DayField(label="To the end of", help_text="At most 45 days within any 90.")
    reason = forms.CharField(
        label="Why?", max_length=300, required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, person: Person, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._choose("grant", to_pass_on(person))
        self._choose("to", stand_ins_for(person))

    def _choose(self, name: str, among: QuerySet[Any]) -> None:
        cast(forms.ModelChoiceField[Any], self.fields[name]).queryset = among


def _role_and_place(grant: RoleGrant) -> str:
    return f"{grant.get_role_display()}, {grant.cost_centre or 'the whole organisation'}"


# --- The list ---------------------------------------------------------------------------------------------------------


@login_required
@require_GET
def list_people(request: PageRequest) -> HttpResponseBase:
    rights.require(request.actor, Right.SEE_PEOPLE)
    people = _filtered(request, people_for(request.actor))
    if request.GET.get("format") in ("csv", "xlsx"):
        kind = "xlsx" if request.GET["format"] == "xlsx" else "csv"
        return table_response(COLUMNS, (_cells(person_row(p)) for p in people), name="people", kind=kind)
    page = Paginator(people, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "rows": [person_row(person) for person in page.object_list],
        "page": page,
        "chips": _chips(request),
        "words": request.GET.get("q", "")[:100],
        "is_filtered": any(request.GET.get(name) for name in ("q", "state", "role")),
        "may_manage": rights_of(request.actor).may(Right.MANAGE_PEOPLE),
        "tabs": settings_tabs(request.actor, "people:list"),
        "csv": query_with(request, format="csv", page=None),
    }
    return page_or_part(request, "people/list.html", "rows", context)


def _filtered(request: HttpRequest, people: QuerySet[Person]) -> QuerySet[Person]:
    if words := request.GET.get("q", "").strip()[:100]:
        people = people.filter(
            Q(name__icontains=words) | Q(accounts__email__icontains=words) | Q(email__icontains=words)
        )
    if (role := request.GET.get("role", "")) in Role.values:
        people = people.filter(Exists(RoleGrant.objects.in_force().filter(role=role, person=OuterRef("pk"))))
    return _in_state(people, request.GET.get("state", "")).distinct()


def _in_state(people: QuerySet[Person], state: str) -> QuerySet[Person]:
    has_account = Exists(Account.objects.filter(person=OuterRef("pk"), is_active=True))
    is_invited = Exists(
        Invitation.objects.filter(person=OuterRef("pk"), accepted_at__isnull=True, withdrawn_at__isnull=True)
    )
    conditions = {
        "active": Q(has_account, active=True),
        "invited": Q(is_invited, active=True),
        "named": Q(~has_account, ~is_invited, active=True),
        "former": Q(active=False),
    }
    return people.filter(conditions[state]) if state in conditions else people


def _chips(request: HttpRequest) -> list[Chip]:
    state, role = request.GET.get("state", ""), request.GET.get("role", "")
    chips = [
        Chip(label, query_with(request, state=None if state == key else key, page=None), is_on=state == key)
        for key, label in STATES.items()
    ]
    if role in Role.values:
        return [*chips, Chip(Role(role).label, query_with(request, role=None, page=None), is_on=True)]
    choices = [Choice(label, query_with(request, role=value, page=None)) for value, label in Role.choices]
    return [*chips, Chip("Role", is_add=True, choices=choices)]


def _cells(row: PersonRow) -> list[Any]:
    roles = "; ".join(_in_a_cell(grant) for grant in row.grants)
    return [row.person.name, ", ".join(row.emails) or row.person.email, row.state, roles, row.last_login]


def _in_a_cell(grant: RoleGrant) -> str:
    words = f"{grant.get_role_display()} ({grant.cost_centre or 'whole organisation'})"
    if grant.passed_on_from is None or grant.valid_to is None:
        return words
    days = f"{timezone.localtime(grant.valid_from):%Y-%m-%d} to {timezone.localtime(grant.valid_to):%Y-%m-%d %H:%M}"
    return f"{words} for {grant.passed_on_from.person.name}, {days}"


# --- Inviting ---------------------------------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "POST"])
def invite(request: PageRequest) -> HttpResponse:
    rights.require(request.actor, Right.MANAGE_PEOPLE)
    form = InviteForm(posted(request))
    if request.method == "POST" and form.is_valid():
        with errors_into(form):
            sent = invite_by(form, request.actor)
            deliver(request, sent)
            return redirect("people:detail", pk=sent.invitation.person_id)
    return render(request, "people/invite.html", {"form": form}, status=400 if form.errors else 200)


@transaction.atomic
def invite_by(form: forms.Form, actor: Actor) -> SentInvitation:
    """A role that comes along waits for another administrator, once there has ever been one."""
    wanted = form.cleaned_data
    alone = accounts.is_founding()
    role, centre = wanted["role"], wanted.get("cost_centre")
    sent = accounts.invite(
        actor=actor,
        name=wanted["name"],
        email=wanted["email"],
        role=Role(role) if role and alone else None,
        cost_centre=centre if alone else None,
    )
    if role and not alone:
        _propose_role(actor, sent.invitation.person, "Invited for it", role=role, cost_centre=centre)
    return sent


def _propose_role(actor: Actor, person: Person, reason: str, **proposed: Any) -> Confirmation:
    return approvals.ask(actor=actor, kind="role", subject=person, proposed=proposed, reason=reason)


def deliver(request: HttpRequest, sent: SentInvitation) -> None:
    """Send the link. A mail server that is away costs the mail, not the invitation."""
    invitation = sent.invitation
    try:
        mails.send_invitation(
            invitation=invitation, link=address_of_invitation(sent.secret), organisation=organisation.get().name
        )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        messages.warning(
            request, f"The invitation stands, but the mail did not go out ({reason}). Send it again later."
        )
    else:
        messages.success(request, f"The invitation is on its way to {invitation.email}.")


@login_required
@require_POST
def resend(request: PageRequest, pk: int) -> HttpResponse:
    person = get_person_for(actor=request.actor, pk=pk)
    with errors_said(request):
        deliver(request, accounts.resend(actor=request.actor, person=person))
    return redirect("people:detail", pk=pk)


@login_required
@require_POST
def withdraw(request: PageRequest, pk: int) -> HttpResponse:
    person = get_person_for(actor=request.actor, pk=pk)
    with errors_said(request, "The invitation is withdrawn; its link opens nothing any more."):
        accounts.withdraw_invitation(actor=request.actor, person=person)
    return redirect("people:detail", pk=pk)


# --- One person -------------------------------------------------------------------------------------------------------


@login_required
@require_GET
def detail(request: PageRequest, pk: int) -> HttpResponse:
    person = get_person_for(actor=request.actor, pk=pk)
    kept = request.session.pop(KEPT_AWAY, None) if person.pk == request.actor.person_id else None
    if kept is None:
        return _detail(request, person, GrantForm())
    messages.warning(request, "Nothing was passed on yet: look at it and send it once more.")
    return _detail(request, person, GrantForm(), away=AwayForm(initial=kept, person=person))


@login_required
@require_POST
def grant(request: PageRequest, pk: int) -> HttpResponse:
    person = get_person_for(actor=request.actor, pk=pk)
    rights.require(request.actor, Right.MANAGE_PEOPLE)
    form = GrantForm(request.POST)
    if form.is_valid():
        with errors_into(form):
            _grant_by(form, request, person)
            return redirect("people:detail", pk=pk)
    return _detail(request, person, form, status=400)


def _grant_by(form: GrantForm, request: PageRequest, person: Person) -> None:
    """Give the role, or propose it where somebody else can confirm; says which."""
    role, first_day = Role(form.cleaned_data["role"]), form.cleaned_data["first_day"]
    wanted: dict[str, Any] = {
        "role": role,
        "cost_centre": form.cleaned_data["cost_centre"],
        "valid_from": midnight(first_day),
        "valid_to": end_of(form.cleaned_data["last_day"]),
    }
    if accounts.is_founding():
        accounts.grant_role(actor=request.actor, person=person, **wanted)
        messages.success(request, f"{person.name} is {role.label} now.")
        return
    reason = form.cleaned_data["reason"] or "No reason given"
    say_asked(request, [_propose_role(request.actor, person, reason, **wanted)])


@login_required
@require_POST
def end_grant(request: PageRequest, pk: int, grant_pk: int) -> HttpResponse:
    held = get_grant_for(actor=request.actor, pk=grant_pk)
    if held.person_id != pk:
        raise NotFound("This role does not exist.")
    with errors_said(request, f"{held.person.name} is no longer {_role_and_place(held)}."):
        accounts.end_role(actor=request.actor, grant=held)
    is_seen = people_for(request.actor).filter(pk=pk).exists()
    return redirect("people:detail", pk=pk if is_seen else request.actor.person_id)


@login_required
@require_POST
def pass_on(request: PageRequest, pk: int) -> HttpResponse:
    """While I am away: only one's own role, in a session that gave the password lately."""
    person = get_person_for(actor=request.actor, pk=pk)
    if person.pk != request.actor.person_id:
        raise NotAllowed("Whoever holds a role passes it on; nobody does it for them.")
    form = AwayForm(request.POST, person=person)
    if form.is_valid():
        with errors_into(form):
            try:
                _pass_on_by(form, request, person)
            except SessionTooOld:
                request.session[KEPT_AWAY] = {name: request.POST.get(name, "") for name in form.fields}
                back = urlencode({"next": reverse("people:detail", args=[pk])})
                return redirect(f"{reverse('account_reauthenticate')}?{back}")
            request.session.pop(KEPT_AWAY, None)
            return redirect("people:detail", pk=pk)
    return _detail(request, person, GrantForm(), status=400, away=form)


def _pass_on_by(form: AwayForm, request: PageRequest, holder: Person) -> None:
    wanted = form.cleaned_data
    given = accounts.pass_on(
        actor=request.actor,
        grant=wanted["grant"],
        to=wanted["to"],
        valid_from=midnight(wanted["first_day"]),
        valid_to=cast(datetime, end_of(wanted["last_day"])),
        reason=wanted["reason"],
        session_fresh_at=proved_at(request),
    )
    role = _role_and_place(given)
    messages.success(
        request, f"{given.person.name} acts for you as {role}, until the end of {wanted['last_day']:%-d %b %Y}."
    )
    try:
        mails.send_passed_on(grant=given, holder=holder, link=settings.TOLLGATE_PUBLIC_URL + reverse("inbox:list"))
    except OSError:
        messages.warning(request, f"The mail to {given.person.name} did not go out; tell them yourself.")


@login_required
@require_POST
def deactivate(request: PageRequest, pk: int) -> HttpResponse:
    person = get_person_for(actor=request.actor, pk=pk)
    with errors_said(request, f"{person.name} is deactivated: sessions, tokens and roles have ended."):
        accounts.deactivate_person(actor=request.actor, person=person)
    return redirect("people:detail", pk=pk)


@login_required
@require_POST
def erase(request: PageRequest, pk: int) -> HttpResponse:
    person = get_person_for(actor=request.actor, pk=pk)
    with errors_said(request, "Name and addresses are erased; what the person did stays under a number."):
        accounts.erase_person(actor=request.actor, person=person)
    return redirect("people:detail", pk=pk)


@login_required
@require_POST
def rename(request: PageRequest, pk: int) -> HttpResponse:
    person = get_person_for(actor=request.actor, pk=pk)
    if person.pk != request.actor.person_id:
        rights.require(request.actor, Right.MANAGE_PEOPLE)
    form = RenameForm(request.POST)
    if form.is_valid():
        with errors_into(form):
            accounts.rename_person(actor=request.actor, person=person, name=form.cleaned_data["name"])
            messages.success(request, "Renamed.")
            return redirect("people:detail", pk=pk)
    return _detail(request, person, GrantForm(), status=400, rename=form)


def _detail(
    request: PageRequest,
    person: Person,
    form: GrantForm,
    *,
    status: int = 200,
    rename: RenameForm | None = None,
    away: AwayForm | None = None,
) -> HttpResponse:
    may, is_me = rights_of(request.actor).may, person.pk == request.actor.person_id
    context = {
        "away": away or (AwayForm(person=person) if is_me and to_pass_on(person).exists() else None),
        "passed_on": passed_on_by(person),
        "row": person_row(person),
        "subject": person,
        "form": form,
        "rename": rename or RenameForm(initial={"name": person.name}),
        "may_manage": may(Right.MANAGE_PEOPLE) and person.active,
        "may_erase": may(Right.MANAGE_PEOPLE) and not person.active and not person.erased_at,
        "may_rename": person.active and (may(Right.MANAGE_PEOPLE) or is_me),
        "may_see_people": may(Right.SEE_PEOPLE),
        "is_me": is_me,
        "is_founding": may(Right.MANAGE_PEOPLE) and accounts.is_founding(),
        "waiting": waiting_about(person),
        "audit_href": f"{reverse('audit:list')}?person={person.pk}",
    }
    return render(request, "people/detail.html", context, status=status)


# --- Cost centres -----------------------------------------------------------------------------------------------------


class CostCentreForm(forms.Form):
    code = forms.CharField(label="Code", max_length=40, help_text="As it stands in your books.")
    name = forms.CharField(label="Name", max_length=120)
    parent = forms.ModelChoiceField(
        CostCentre.objects.filter(active=True), label="Below", required=False, empty_label="Nothing: a top cost centre"
    )


class ChangeCentreForm(CostCentreForm):
    reason = forms.CharField(
        label="Why does it move?",
        max_length=300,
        required=False,
        help_text="For the administrator who confirms a move.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


@login_required
@require_http_methods(["GET", "POST"])
def cost_centres(request: PageRequest) -> HttpResponse:
    rights.require(request.actor, Right.SEE_PEOPLE)
    form = CostCentreForm(posted(request))
    if request.method == "POST":
        rights.require(request.actor, Right.MANAGE_PEOPLE)
        if form.is_valid():
            with errors_into(form):
                made = accounts.make_cost_centre(actor=request.actor, **form.cleaned_data)
                messages.success(request, f"{made.name} is added.")
                return redirect("cost_centres:list")
    context = {
        "centres": _with_counts(cost_centre_tree()),
        "form": form,
        "may_manage": rights_of(request.actor).may(Right.MANAGE_PEOPLE),
        "tabs": settings_tabs(request.actor, "cost_centres:list"),
    }
    return render(request, "people/cost_centres.html", context, status=400 if form.errors else 200)


def _with_counts(centres: list[CostCentre]) -> list[dict[str, Any]]:
    """Each cost centre with its indent in pixels, its workloads and the roles given right there."""
    counts = dict(CostCentre.objects.annotate(n=Count("workloads")).values_list("pk", "n"))
    in_force = RoleGrant.objects.in_force().filter(cost_centre__isnull=False).order_by()
    roles = dict(in_force.values_list("cost_centre").annotate(n=Count("pk")))
    return [
        {"centre": c, "indent": 20 * c.depth, "workloads": counts.get(c.pk, 0), "roles": roles.get(c.pk, 0)}
        for c in centres
    ]


@login_required
@require_http_methods(["GET", "POST"])
def cost_centre(request: PageRequest, pk: int) -> HttpResponse:
    rights.require(request.actor, Right.SEE_PEOPLE)
    centre = get_cost_centre_for(actor=request.actor, pk=pk)
    initial = {"code": centre.code, "name": centre.name, "parent": centre.parent_id}
    form = ChangeCentreForm(posted(request), initial=initial)
    if request.method == "POST":
        rights.require(request.actor, Right.MANAGE_PEOPLE)
        if form.is_valid():
            with errors_into(form):
                asked = _change_centre(form, request.actor, centre)
                if not asked or {"code", "name"} & set(form.changed_data):
                    messages.success(request, "Saved.")
                say_asked(request, asked)
                return redirect("cost_centres:list")
    context = {
        "form": form,
        "centre": centre,
        "waiting": waiting_about(centre),
        "may_manage": rights_of(request.actor).may(Right.MANAGE_PEOPLE),
    }
    return render(request, "people/cost_centre.html", context, status=400 if form.errors else 200)


@transaction.atomic
def _change_centre(form: ChangeCentreForm, actor: Actor, centre: CostCentre) -> list[Confirmation]:
    """Rename it at once; move it, or propose the move where somebody else can confirm it."""
    wanted, asked = form.cleaned_data, []
    if wanted["parent"] != centre.parent and accounts.is_founding():
        accounts.move_cost_centre(actor=actor, centre=centre, parent=wanted["parent"])
    elif wanted["parent"] != centre.parent:
        move = {"parent": wanted["parent"]}
        asked = [approvals.ask(actor=actor, kind="centre_move", subject=centre, proposed=move, reason=wanted["reason"])]
    if (wanted["code"], wanted["name"]) != (centre.code, centre.name):
        accounts.rename_cost_centre(actor=actor, centre=centre, code=wanted["code"], name=wanted["name"])
    return asked


@login_required
@require_POST
def cost_centre_activity(request: PageRequest, pk: int) -> HttpResponse:
    centre = get_cost_centre_for(actor=request.actor, pk=pk)
    active = request.POST.get("active") == "1"
    with errors_said(request, f"{centre.name} is {'open' if active else 'closed'} now."):
        accounts.change_cost_centre_activity(actor=request.actor, centre=centre, active=active)
    return redirect("cost_centres:list")


@hooks.finds("People")
def find_people(actor: Actor, words: str) -> list[hooks.Found]:
    if not rights_of(actor).may(Right.SEE_PEOPLE):
        return []
    found = Person.objects.filter(name__icontains=words, active=True)[:8]
    return [hooks.Found(p.name, reverse("people:detail", args=[p.pk]), icon="user", meta=p.email) for p in found]


app_name = "people"
urlpatterns = [
    path("", list_people, name="list"),
    path("invite/", invite, name="invite"),
    path("<int:pk>/", detail, name="detail"),
    path("<int:pk>/rename/", rename, name="rename"),
    path("<int:pk>/resend/", resend, name="resend"),
    path("<int:pk>/withdraw/", withdraw, name="withdraw"),
    path("<int:pk>/roles/", grant, name="grant"),
    path("<int:pk>/roles/<int:grant_pk>/end/", end_grant, name="end-grant"),
    path("<int:pk>/away/", pass_on, name="pass-on"),
    path("<int:pk>/deactivate/", deactivate, name="deactivate"),
    path("<int:pk>/erase/", erase, name="erase"),
]
cost_centre_urlpatterns = [
    path("", cost_centres, name="list"),
    path("<int:pk>/", cost_centre, name="detail"),
    path("<int:pk>/activity/", cost_centre_activity, name="activity"),
]

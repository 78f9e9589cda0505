"""The first visit: from an empty database to somebody's own first figure, in four short steps."""

import ipaddress
from collections.abc import Callable
from typing import cast

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, path, reverse
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts import rights, setup
from apps.accounts import services as accounts
from apps.accounts.models import Role
from apps.accounts.rights import Right
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import Conflict
from apps.web.accounts import NewPasswordForm, enter
from apps.web.forms import errors_into, posted
from apps.web.pages import PageRequest
from apps.web.parts import Step
from apps.web.people import deliver, invite_by
from apps.web.settings import OrganisationForm, usage_is_loaded

STEPS = ("Organisation", "You", "Second person", "First file")
# Reached while nobody is here: the wizard itself, the theme, and what answers for itself.
OPEN_PATHS = ("/setup/", "/theme/", "/static/", "/api/", "/livez", "/readyz")
SET_UP = Actor.system("set-up")


class SetupFirst:
    """Leads everybody to the wizard while no account exists. Costs one query, and only those who are not logged in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(OPEN_PATHS) or request.user.is_authenticated or not setup.is_needed():
            return self.get_response(request)
        return redirect("setup:organisation")


class CodeForm(forms.Form):
    code = forms.CharField(label="Set-up code", max_length=40, widget=forms.TextInput(attrs={"autocomplete": "off"}))


class FirstAdministratorForm(NewPasswordForm):
    name = forms.CharField(label="Your name", max_length=120)
    email = forms.EmailField(label="Your e-mail", help_text="You log in with it.")
    field_order = ("name", "email", "password1", "password2")


class SecondPersonForm(forms.Form):
    name = forms.CharField(label="Name", max_length=120)
    email = forms.EmailField(label="E-mail")
    role = forms.ChoiceField(label="Role", choices=Role.choices, initial=Role.ADMINISTRATOR)


class SkipForm(forms.Form):
    reason = forms.CharField(label="Why not now?", max_length=300)


@require_http_methods(["GET", "POST"])
def first_organisation(request: HttpRequest) -> HttpResponse:
    _refuse_when_done()
    if not _is_owner(request):
        return _ask_for_code(request)
    form = OrganisationForm(posted(request), current=organisation.find(), is_fixed=usage_is_loaded())
    if request.method == "POST" and form.is_valid():
        with errors_into(form):
            _keep_organisation(form)
            return redirect("setup:administrator")
    return _step(request, "setup/organisation.html", 0, form)


def _keep_organisation(form: OrganisationForm) -> None:
    """Make it; or, where a command has made one with defaults before, give it the chosen values."""
    if organisation.find() is None:
        organisation.make(actor=SET_UP, **form.cleaned_data)
    else:
        organisation.change(actor=SET_UP, usage_is_loaded=usage_is_loaded(), **form.cleaned_data)


@require_http_methods(["GET", "POST"])
def first_administrator(request: HttpRequest) -> HttpResponse:
    _refuse_when_done()
    if not _is_owner(request) or organisation.find() is None:
        return redirect("setup:organisation")
    form = FirstAdministratorForm(posted(request))
    if request.method == "POST" and form.is_valid():
        with errors_into(form):
            wanted = form.cleaned_data
            account = accounts.first_administrator(
                name=wanted["name"], email=wanted["email"], password=wanted["password1"]
            )
            setup.spend_setup_code()
            enter(request, account)
            return redirect("setup:second-person")
    return _step(request, "setup/administrator.html", 1, form)


@login_required
@require_http_methods(["GET", "POST"])
def second_person(request: PageRequest) -> HttpResponse:
    rights.require(request.actor, Right.MANAGE_PEOPLE)
    form = SecondPersonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        with errors_into(form):
            deliver(request, invite_by(form, request.actor))
            return redirect("setup:first-file")
    return _step(request, "setup/second_person.html", 2, form, skip=SkipForm())


@login_required
@require_http_methods(["POST"])
def skip_second_person(request: PageRequest) -> HttpResponse:
    """Allowed, with a reason on record: until a second person is here, nobody looks over the first one's shoulder."""
    rights.require(request.actor, Right.MANAGE_PEOPLE)
    form = SkipForm(request.POST)
    if not form.is_valid():
        return _step(request, "setup/second_person.html", 2, SecondPersonForm(), skip=form)
    accounts.skip_second_person(actor=request.actor, reason=form.cleaned_data["reason"])
    return redirect("setup:first-file")


@login_required
@require_GET
def first_file(request: PageRequest) -> HttpResponse:
    rights.require(request.actor, Right.MANAGE_SOURCES)
    return _step(request, "setup/first_file.html", 3, None, import_href=_import_address())


def _import_address() -> str:
    for name in ("imports:new", "imports:list"):
        try:
            return reverse(name)
        except NoReverseMatch:
            continue
    return reverse("home")


def _refuse_when_done() -> None:
    if not setup.is_needed():
        raise Conflict("Tollgate is set up already.", hint="Log in, or ask an administrator for an invitation.")


def _is_owner(request: HttpRequest) -> bool:
    return _is_local(request) or bool(request.session.get("may_set_up"))


def _is_local(request: HttpRequest) -> bool:
    """At the machine itself: we listen on loopback only, and no proxy on it has passed a stranger on."""
    passed_on = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"))
    return _is_loopback(settings.TOLLGATE_BIND) and _is_loopback(request.META.get("REMOTE_ADDR", "")) and not passed_on


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _ask_for_code(request: HttpRequest) -> HttpResponse:
    # The page says where the code stands, so it has to stand there.
    setup.setup_code()
    form = CodeForm(posted(request))
    if request.method == "POST" and form.is_valid():
        if setup.is_setup_code(form.cleaned_data["code"]):
            request.session.cycle_key()
            request.session["may_set_up"] = True
            return redirect("setup:organisation")
        form.add_error("code", "This is not the code.")
    return render(request, "setup/code.html", {"form": form}, status=400 if form.errors else 200)


def _step(request: HttpRequest, template: str, at: int, form: forms.Form | None, **more: object) -> HttpResponse:
    context = {"form": form, "steps": _steps(at), **more}
    wrong = any(cast(forms.Form, candidate).errors for candidate in (form, more.get("skip")) if candidate is not None)
    return render(request, template, context, status=400 if wrong else 200)


def _steps(at: int) -> list[Step]:
    return [
        Step(label, "done" if number < at else "current" if number == at else "ahead")
        for number, label in enumerate(STEPS)
    ]


app_name = "setup"
urlpatterns = [
    path("", first_organisation, name="organisation"),
    path("you/", first_administrator, name="administrator"),
    path("second-person/", second_person, name="second-person"),
    path("second-person/skip/", skip_second_person, name="skip"),
    path("first-file/", first_file, name="first-file"),
]

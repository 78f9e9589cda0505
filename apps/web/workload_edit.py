"""Changing a registered use case: its card, its promise, and the bindings that say which usage is its own."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.approvals import services as approvals
from apps.approvals.proposing import edit_card, propose
from apps.approvals.selectors import waiting_about
from apps.core.errors import NotAllowed
from apps.costs.attribution import bind, unbind
from apps.sources.models import Source
from apps.web.approvals import say_asked
from apps.web.binding_form import BindForm, Moving, first_hour_of, look_ahead
from apps.web.forms import DayField, errors_into
from apps.web.pages import PageRequest
from apps.web.parts import Crumb
from apps.web.period import period_of
from apps.web.register_forms import (
    AUDIENCE_TEXTS,
    BENEFIT_TEXTS,
    STAGE_TEXTS,
    CardForm,
    MandateForm,
    PromiseForm,
    TakeUpForm,
    initial_of,
)
from apps.workloads import selectors, services
from apps.workloads.models import Binding, Workload
from apps.workloads.services import StaleEdit
from workers import imports as worker
from workers.app import ring


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest, slug: str) -> HttpResponse:
    """The card on one page. Two people who change the same answer are told both."""
    workload = _editable(request, slug)
    promise = selectors.promise_of(workload)
    context: dict[str, Any] = {"version": workload.version}
    if request.method == "POST":
        form = CardForm(request.POST)
        if form.is_valid() and _edited(request, workload, form, context):
            return HttpResponseRedirect(reverse("workloads:detail", args=[workload.slug]))
    else:
        form = CardForm(initial=initial_of(workload, promise, CardForm.answers))
    texts = {"audiences": AUDIENCE_TEXTS, "benefits": BENEFIT_TEXTS, "stages": STAGE_TEXTS}
    return _page(request, "workloads/edit.html", workload, form, "Change the card", **texts, **context)


def _edited(request: PageRequest, workload: Workload, form: CardForm, context: dict[str, Any]) -> bool:
    version = request.POST.get("version", "")
    known = int(version) if version.isascii() and version.isdigit() and len(version) < 9 else None
    try:
        with errors_into(form):
            asked = edit_card(
                actor=request.actor,
                workload=workload,
                version=known,
                reason=form.cleaned_data["reason"],
                values=form.values(),
            )
            saved = f"What needs nobody else is saved for {workload.name}." if asked else f"{workload.name} is saved."
            messages.success(request, saved)
            say_asked(request, asked)
    except StaleEdit as error:
        context |= {"clashes": error.clashes, "version": error.version}
        return False
    return not form.errors


@login_required
@require_http_methods(["GET", "POST"])
def promise(request: PageRequest, slug: str) -> HttpResponse:
    """Propose a new tier, speed or failure cost; what stands until somebody else confirms is listed below."""
    workload = _editable(request, slug)
    if request.method == "POST":
        form = PromiseForm(request.POST)
        if form.is_valid() and _proposed(request, workload, form, form.values()):
            return HttpResponseRedirect(reverse("workloads:promise", args=[workload.slug]))
    else:
        form = PromiseForm(initial=initial_of(workload, selectors.promise_of(workload), PromiseForm.answers))
    return _promise_page(request, workload, form)


@login_required
@require_POST
def mandate(request: PageRequest, slug: str) -> HttpResponse:
    """Propose that it must run whatever it is worth, or that this ends."""
    workload = _editable(request, slug)
    form = MandateForm(request.POST)
    if form.is_valid() and _proposed(request, workload, form, form.values()):
        return HttpResponseRedirect(reverse("workloads:promise", args=[workload.slug]))
    initial = initial_of(workload, selectors.promise_of(workload), PromiseForm.answers)
    return _promise_page(request, workload, PromiseForm(initial=initial), form)


def _proposed(request: PageRequest, workload: Workload, form: forms.Form, values: Mapping[str, Any]) -> bool:
    with errors_into(form):
        reason = form.cleaned_data["reason"]
        asked = propose(actor=request.actor, workload=workload, reason=reason, values=values)
        say_asked(request, asked)
        if not asked:
            messages.info(request, "Nothing would change.")
    return not form.errors


@login_required
@require_POST
def take_up(request: PageRequest, slug: str) -> HttpResponse:
    """Propose that what was suspended, or is being switched off, goes on."""
    workload = _editable(request, slug)
    form = TakeUpForm(request.POST)
    if form.is_valid():
        with errors_into(form):
            reason, stage = form.cleaned_data["reason"], form.cleaned_data["stage"]
            asked = approvals.ask(
                actor=request.actor, kind="resume", subject=workload, proposed={"stage": stage}, reason=reason
            )
            say_asked(request, [asked])
        if not form.errors:
            return HttpResponseRedirect(reverse("workloads:promise", args=[workload.slug]))
    initial = initial_of(workload, selectors.promise_of(workload), PromiseForm.answers)
    return _promise_page(request, workload, PromiseForm(initial=initial), take_up_form=form)


def _promise_page(
    request: PageRequest,
    workload: Workload,
    form: forms.Form,
    mandate_form: forms.Form | None = None,
    take_up_form: forms.Form | None = None,
) -> HttpResponse:
    stands = selectors.promise_of(workload)
    people = ("value_tier", "latency_band", "recorded_by", "mandated_by")
    context: dict[str, Any] = {
        "history": workload.revisions.select_related(*people).order_by("-version"),
        "stands": stands,
        "waiting": waiting_about(workload),
        "mandate_form": mandate_form or MandateForm(initial=initial_of(workload, stands, MandateForm.answers)),
    }
    stopped = workload.state == Workload.State.SUSPENDED or workload.stage == Workload.Stage.SUNSET
    context |= {"take_up_form": take_up_form or TakeUpForm(), "is_stopped": stopped}
    refused = any(each and each.errors for each in (mandate_form, take_up_form))
    title = "Change what it promises"
    return _page(request, "workloads/promise.html", workload, form, title, is_refused=refused, **context)


# --- Bindings ---------------------------------------------------------------------------------------------------------


class PairsForm(BindForm):
    """Usage by its keys: `kind=value` a line, all of which must match; a bare word is a plain usage key."""

    keys = forms.CharField(
        label="Usage with these keys",
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text="One a line, such as <code>team=growth</code>; usage must have all. A bare word is a usage key.",
    )
    source = forms.ModelChoiceField(
        Source.objects.none(), label="From source", to_field_name="slug", required=False, empty_label="Any source"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].queryset = Source.objects.order_by("name")  # type: ignore[attr-defined]

    @property
    def pairs(self) -> list[list[str]]:
        lines = [line.strip() for line in self.cleaned_data["keys"].splitlines() if line.strip()]
        return [list(pair_of(line)) for line in lines]


class LastDayForm(forms.Form):
    last_day = DayField(label="Last day", required=False)


def pair_of(text: str) -> tuple[str, str]:
    """team=growth -> ('team', 'growth'); a bare word is a plain usage key."""
    kind, sign, value = text.partition("=")
    return (kind.strip(), value.strip()) if sign and kind.strip() else ("key", text.strip())


@login_required
@require_GET
def bindings(request: PageRequest, slug: str) -> HttpResponse:
    """Which usage is the workload's, since when, by whom; and a form that shows first what one more would move."""
    workload = selectors.get_workload_for(actor=request.actor, ref=slug)
    _seen(request, workload)
    form, moving = _pairs_form(request, workload)
    return _bindings_page(request, workload, form, moving)


@login_required
@require_POST
def add_binding(request: PageRequest, slug: str) -> HttpResponse:
    workload = selectors.get_workload_for(actor=request.actor, ref=slug)
    rights.require(request.actor, Right.ALLOCATE)
    form = PairsForm({**request.POST.dict(), "workload": workload.slug}, actor=request.actor)
    if form.is_valid():
        with errors_into(form):
            binding = bind(
                actor=request.actor, workload=workload, pairs=form.pairs, source=form.cleaned_data["source"],
                valid_from=form.valid_from, valid_to=form.valid_to,
            )  # fmt: skip
        if not form.errors:
            ring(worker.rate)
            messages.success(request, f"{binding.label} is bound to {workload.name}. The figures follow in seconds.")
            return HttpResponseRedirect(reverse("workloads:bindings", args=[workload.slug]))
    return _bindings_page(request, workload, form, None)


@login_required
@require_POST
def end_binding(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """End it with a last day, or take it back whole when none is given."""
    workload = selectors.get_workload_for(actor=request.actor, ref=slug)
    binding = selectors.get_binding_for(actor=request.actor, workload=workload, pk=pk)
    rights.require(request.actor, Right.ALLOCATE)
    form = LastDayForm(request.POST)
    if form.is_valid() and _ended(request, binding, form):
        return HttpResponseRedirect(reverse("workloads:bindings", args=[workload.slug]))
    ending = {"end_form": form, "ending": binding.pk, "is_refused": True}
    return _bindings_page(request, workload, PairsForm(actor=request.actor), None, **ending)


def _ended(request: PageRequest, binding: Binding, form: LastDayForm) -> bool:
    last = form.cleaned_data["last_day"]
    with errors_into(form):
        until = first_hour_of(last + timedelta(days=1)) if last else None
        unbind(actor=request.actor, binding=binding, valid_to=until)
        ring(worker.rate)
        done = f"{binding.label} ends with {last:%-d %b %Y}." if last else f"{binding.label} is taken back."
        messages.success(request, done)
    return not form.errors


def _pairs_form(request: PageRequest, workload: Workload) -> tuple[PairsForm, Moving | None]:
    asked = {name: request.GET[name] for name in ("keys", "source", "first_day", "last_day") if name in request.GET}
    if not asked.get("keys") or not rights.rights_of(request.actor).may(Right.ALLOCATE):
        return PairsForm(initial=asked, actor=request.actor), None
    form = PairsForm({**asked, "workload": workload.slug}, actor=request.actor)
    if not form.is_valid():
        return form, None
    period = period_of(request)
    return form, look_ahead(request.actor, form, form.pairs, form.cleaned_data["source"], period.start)


def _bindings_page(
    request: PageRequest, workload: Workload, form: PairsForm, moving: Moving | None, **more: Any
) -> HttpResponse:
    found = selectors.bindings_of(request.actor, workload)
    names = dict(Source.objects.filter(pk__in={b.source_id for b in found if b.source_id}).values_list("pk", "name"))
    rows = [(binding, names.get(binding.source_id or 0, "any source")) for binding in found]
    may_bind = rights.rights_of(request.actor).may(Right.ALLOCATE)
    context = {"rows": rows, "moving": moving, "may_bind": may_bind, **more}
    return _page(request, "workloads/bindings.html", workload, form, "Bindings", **context)


# --- Below ------------------------------------------------------------------------------------------------------------


def _editable(request: PageRequest, slug: str) -> Workload:
    workload = selectors.get_workload_for(actor=request.actor, ref=slug)
    if not services.may_edit(request.actor, workload):
        raise NotAllowed(f"You may not change {workload.name}.", hint="Its owners may.")
    return workload


def _seen(request: PageRequest, workload: Workload) -> None:
    """Keys are usage: they are for those who see the workload's usage or place what is unallocated."""
    if rights.rights_of(request.actor).may(Right.SEE_UNALLOCATED):
        return
    if not Workload.objects.money_visible_to(request.actor).filter(pk=workload.pk).exists():
        raise NotAllowed(f"You may not see the usage of {workload.name}.", hint="Its owners can show it to you.")


def _page(
    request: PageRequest, template: str, workload: Workload, form: forms.Form, title: str, **more: Any
) -> HttpResponse:
    crumbs = [
        Crumb("Portfolio", reverse("workloads:list")),
        Crumb(workload.name, reverse("workloads:detail", args=[workload.slug])),
        Crumb(title),
    ]
    is_refused = request.method == "POST" and bool(form.errors or more.get("clashes") or more.get("is_refused"))
    context = {"workload": workload, "form": form, "title": title, "crumbs": crumbs, **more}
    return render(request, template, context, status=422 if is_refused else 200)

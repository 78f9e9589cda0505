"""Registering a use case: three short steps that save themselves, and a last page that says what happens next."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.budgets.services import adopt_registered
from apps.core import organisation, periods
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed, NotFound
from apps.core.money import plain
from apps.economics.estimates import Estimate, Worth, estimate, lacking
from apps.economics.models import EconomicsMonth, ValueCase
from apps.usage.models import Identity
from apps.web import figures
from apps.web.pages import PageRequest
from apps.web.parts import Crumb, Step
from apps.web.register_forms import (
    AUDIENCE_TEXTS,
    BENEFIT_TEXTS,
    STAGE_TEXTS,
    OwnersForm,
    PurposeForm,
    StepForm,
    WorthForm,
    band_limit,
    band_words,
    estimate_shown,
    fits,
    initial_of,
)
from apps.web.value_cards import ratio_text, times
from apps.workloads import selectors, services
from apps.workloads.duplicates import Description, Likeness, likely_duplicates
from apps.workloads.models import Workload, WorkloadRevision
from apps.workloads.services import StaleEdit

FORMS: Final[Mapping[int, type[StepForm]]] = {1: PurposeForm, 2: WorthForm, 3: OwnersForm}
TITLES: Final = {1: "What it is for", 2: "Worth, speed, mistakes", 3: "Owners and money"}
LAST: Final = max(FORMS)
TEN: Final = 10
REGISTERED: Final = "registered"  # in the session: which form became which workload


@dataclass(frozen=True, slots=True)
class Said:
    """One line of “What you told us so far”."""

    label: str
    words: str


@dataclass(frozen=True, slots=True)
class Amounts:
    """What the answers amount to in a month: money, or hours for whoever may not see what an hour costs.

    Low to high on a bar that ends at twice the likely figure or beyond; `start`, `width`, `likely` are per cent of it.
    `verdict` is the one that a month would get, with its sentence; both empty where it cannot be told: see `proviso`.
    """

    figure: str
    what: str
    low: str
    high: str
    nothing: str
    end: str
    start: float
    width: float
    likely: float
    lines: Sequence[Said]
    note: str
    verdict: str
    sentence: str
    proviso: str


@dataclass(frozen=True, slots=True)
class Alike:
    """A use case that may be the same: whose it is and why it looks so, and its verdict where one may know it."""

    workload: Workload
    words: str
    verdict: str


# --- Steps ------------------------------------------------------------------------------------------------------------


@login_required
@require_GET
def begin(request: PageRequest) -> HttpResponse:
    """A new form with an address of its own; nothing is stored before it has a name."""
    rights.require(request.actor, Right.REGISTER)
    kept = {key: request.GET[key] for key in ("identity", "name") if request.GET.get(key)}
    address = reverse("workloads:register", args=[services.new_token(), 1])
    return HttpResponseRedirect(f"{address}?{urlencode(kept)}" if kept else address)


@login_required
@require_http_methods(["GET", "POST"])
def step(request: PageRequest, token: str, number: int) -> HttpResponse:
    rights.require(request.actor, Right.REGISTER)
    done = _registered(request, token)
    if done:
        return HttpResponseRedirect(reverse("workloads:registered", args=[done]))
    draft = _draft(request.actor, token)
    if number not in FORMS or (draft is None and number != 1):
        return HttpResponseRedirect(reverse("workloads:register", args=[token, 1]))
    if request.method == "GET":
        return _page(request, token, number, draft, FORMS[number](initial=_initial(request, draft, number)))
    return _taken(request, token, number, draft)


@login_required
@require_POST
def autosave(request: PageRequest, token: str, number: int) -> HttpResponse:
    """What is valid of a step, saved as it is typed; answers with the state of the draft and the column beside it."""
    rights.require(request.actor, Right.REGISTER)
    if number not in FORMS:
        raise NotFound("This step does not exist.")
    draft = _draft(request.actor, token)
    if draft is None and (number > 1 or _registered(request, token)):
        # What was typed last arrives after the form was sent and registered; it begins no draft anew.
        return HttpResponse(status=204)
    form = FORMS[number](request.POST)
    context: dict[str, Any] = {}
    try:
        draft = _save(request, token, draft, form)
        wrong = [str(form[name].label) for name in form.errors if form.data.get(name)]
        context["left_out"] = ", ".join(wrong)
    except StaleEdit as error:
        context["clashes"] = error.clashes
    except (BadInput, Conflict, NotAllowed) as error:
        if draft is not None and _draft(request.actor, token) is None:
            return HttpResponse(status=204)  # registered while this waited for it
        context["refused"] = error.message if draft or form.data.get("name") else ""
    context |= _aside(request, token, draft, form)
    context |= {"number": number, "draft": draft, "saved_at": timezone.now() if draft else None}
    return render(request, "workloads/register.html#saved", context)


def _taken(request: PageRequest, token: str, number: int, draft: Workload | None) -> HttpResponse:
    """The plain way: save the step, then go where the button says."""
    form = FORMS[number](request.POST)
    target = request.POST.get("go", "on")
    try:
        draft = _save(request, token, draft, form)
    except StaleEdit as error:
        return _page(request, token, number, draft, form, clashes=error.clashes, version=error.version)
    except BadInput as error:
        form.add_error(None, str(error))
    if target == "back" and draft and number > 1:
        return HttpResponseRedirect(reverse("workloads:register", args=[token, number - 1]))
    if target == "later" and draft:
        messages.success(request, f"The draft “{draft.name}” is kept. You find it under Portfolio, Drafts.")
        return HttpResponseRedirect(f"{reverse('workloads:list')}?drafts=1")
    if target == "here" and draft and not any(name == NON_FIELD_ERRORS or form.data.get(name) for name in form.errors):
        # Questions may still be open; an answer that cannot be read is shown again with what is wrong.
        return HttpResponseRedirect(reverse("workloads:register", args=[token, number]))
    if draft is None or form.errors:
        return _page(request, token, number, draft, form)
    if number < LAST:
        return HttpResponseRedirect(reverse("workloads:register", args=[token, number + 1]))
    return _register(request, token, number, draft, form)


def _register(request: PageRequest, token: str, number: int, draft: Workload, form: StepForm) -> HttpResponse:
    try:
        workload = services.activate(actor=request.actor, workload=draft)
    except BadInput:
        # What is missing stands in another step; the page lists it with links.
        return _page(request, token, number, draft, form, missing=_missing(draft, token))
    adopt_registered(actor=request.actor)
    request.session[REGISTERED] = {**request.session.get(REGISTERED, {}), token: workload.slug}
    return HttpResponseRedirect(reverse("workloads:registered", args=[workload.slug]))


def _save(request: PageRequest, token: str, draft: Workload | None, form: StepForm) -> Workload:
    values = form.values()
    if draft is not None:
        version = request.POST.get("version", "")
        known = int(version) if version.isascii() and version.isdigit() and len(version) < 9 else None
        values = {name: value for name, value in values.items() if name != "name" or value}
        return services.save_draft(actor=request.actor, workload=draft, version=known, **values)
    claim = _usage_of(request.actor, request.POST.get("identity", ""))
    return services.start_draft(actor=request.actor, token=token, registered_for=claim, **values)


def _page(
    request: PageRequest, token: str, number: int, draft: Workload | None, form: StepForm, **more: Any
) -> HttpResponse:
    context = {
        "form": form,
        "token": token,
        "number": number,
        "last": LAST,
        "steps": _steps(token, number, draft),
        "next_title": TITLES.get(number + 1, ""),
        "crumbs": [Crumb("Portfolio", reverse("workloads:list")), Crumb("Register a use case")],
        "draft": draft,
        "version": more.pop("version", draft.version if draft else ""),
        "saved_at": draft.updated_at if draft else None,
        "identity": _identity_for(request.actor, request.GET.get("identity") or request.POST.get("identity", "")),
        "benefits": BENEFIT_TEXTS,
        "audiences": AUDIENCE_TEXTS,
        "stages": STAGE_TEXTS,
        **_aside(request, token, draft, form),
        **more,
    }
    is_refused = bool(form.errors or more) and request.method == "POST"
    return render(request, "workloads/register.html", context, status=422 if is_refused else 200)


def _registered(request: PageRequest, token: str) -> str | None:
    """The address of the use case that the form became in this session."""
    found: str | None = request.session.get(REGISTERED, {}).get(token)
    return found


def _draft(actor: Actor, token: str) -> Workload | None:
    """The form's draft; None before it has one. Somebody else's does not exist for this actor."""
    found = Workload.objects.filter(slug=services.draft_slug(token)).first()
    if found is None:
        return None
    if not services.may_edit(actor, found):
        raise NotFound("This draft does not exist.")
    return found


def _initial(request: HttpRequest, draft: Workload | None, number: int) -> dict[str, Any]:
    if draft is not None:
        said = initial_of(draft, selectors.promise_of(draft), FORMS[number].answers)
        return said | (estimate_shown(draft.first_estimate) if FORMS[number] is WorthForm else {})
    name = request.GET.get("name", "")[:120]
    identity = _identity_for(request.actor, request.GET.get("identity", ""))  # type: ignore[attr-defined]
    return {"name": name or (_name_from(identity) if identity else ""), "stage": Workload.Stage.PILOT}


def _steps(token: str, number: int, draft: Workload | None) -> list[Step]:
    """Steps before are done, those after can be opened once there is a draft."""
    return [
        Step(
            title,
            "done" if at < number else "current" if at == number else "ahead",
            reverse("workloads:register", args=[token, at]) if draft and at != number else "",
        )
        for at, title in TITLES.items()
    ]


def _missing(draft: Workload, token: str) -> list[tuple[str, str]]:
    """What is missing in words, each with the address of its step."""
    of_field = {name: at for at, form in FORMS.items() for name in form.answers}
    return [
        (words, f"{reverse('workloads:register', args=[token, of_field[name]])}#id_{name}")
        for name, words in services.missing_of(draft).items()
    ]


# --- The usage it is registered for -----------------------------------------------------------------------------------


def _identity_for(actor: Actor, text: str) -> Identity | None:
    """A usage key that nobody claims, for those who may see such keys."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        return None
    if not rights.rights_of(actor).may(Right.SEE_UNALLOCATED):
        return None
    return Identity.objects.select_related("source").filter(pk=int(text)).first()


def _usage_of(actor: Actor, text: str) -> dict[str, Any] | None:
    identity = _identity_for(actor, text)
    return {"source_id": identity.source_id, "pairs": identity.pairs} if identity else None


def _name_from(identity: Identity) -> str:
    """team-growth-exp reads as a name: Team growth exp."""
    words = identity.label.replace("-", " ").replace("_", " ").split()
    return " ".join(words).capitalize()[:120]


# --- The column beside ------------------------------------------------------------------------------------------------


def _aside(request: PageRequest, token: str, draft: Workload | None, form: StepForm) -> dict[str, Any]:
    about = _described(draft, form)
    besides = [*([draft.pk] if draft else []), *(draft.differs_from if draft else [])]
    found = likely_duplicates(actor=request.actor, about=about, besides=besides)
    return {
        "token": token,
        "duplicates": _alike(request.actor, found),
        "said": _said(draft) if draft else [],
        **_amounting(request.actor, draft, form),
    }


def _amounting(actor: Actor, draft: Workload | None, form: StepForm) -> dict[str, Any]:
    """What the answers on saved time amount to as they stand in the form, or what is still missing of them."""
    typed = form.estimate if isinstance(form, WorthForm) and form.is_bound else None
    said = typed if typed is not None else (draft.first_estimate if draft else None)
    benefit = draft.benefit if draft else ""
    if draft is None or not said or benefit not in ("", Workload.Benefit.LABOUR):
        return {"amounts": None, "amounts_lack": ""}
    if missing := lacking(said):
        return {"amounts": None, "amounts_lack": f"Say also {_listed(missing)}, and what that is worth stands here."}
    try:
        found = estimate(actor=actor, said=said, spend=draft.monthly_spend_expected, today=timezone.localdate())
    except BadInput:
        words = "The three figures go from small to large: at least, most likely, at best."
        return {"amounts": None, "amounts_lack": words}
    return {"amounts": _amounts(found, draft), "amounts_lack": ""}


def _amounts(found: Estimate, draft: Workload) -> Amounts:
    unit, worth = draft.output_unit or "useful answer", found.worth
    three, judged = (worth.value, worth.verdict) if worth else (found.hours, None)
    end = max(three.high, 2 * three.base) or Decimal(1)

    def shown(number: Decimal) -> str:
        return figures.money(number, organisation.get().currency) if worth else _hours(number)

    def share(number: Decimal) -> float:
        return round(float(number / end) * 100, 2)

    return Amounts(
        figure=shown(three.base),
        what="value a month, most likely" if worth else "of work saved a month, most likely",
        low=shown(three.low),
        high=shown(three.high),
        nothing=shown(Decimal(0)),
        end=shown(end),
        start=share(three.low),
        width=share(three.high - three.low),
        likely=share(three.base),
        lines=_worth_lines(worth, unit, draft.monthly_spend_expected) if worth else (),
        note=_worth_note(found, unit),
        verdict=judged.word.value if judged else "",
        sentence=judged.sentence if judged else "",
        proviso=_proviso(found),
    )


def _hours(number: Decimal) -> str:
    """Whole ones from ten on; a small beginning in minutes, so that it does not read as none."""
    if 0 < number < 1:
        return f"{figures.count(math.ceil(number * 60))} min"
    tenths = plain(number.quantize(Decimal("0.1"), ROUND_HALF_UP))
    return f"{figures.count(number) if number >= TEN else tenths} h"


def _worth_lines(worth: Worth, unit: str, spend: Decimal | None) -> list[Said]:
    currency = organisation.get().currency
    return [
        Said(f"Worth of one {unit}", ratio_text(worth.each, lambda each: figures.unit_price(each, currency))),
        Said("It may cost at most", f"{figures.unit_price(worth.at_most, currency)} each"),
        Said(f"An hour of {worth.grade}", figures.money_exact(worth.hourly, currency)),
        Said("Its cost a month", f"{figures.money(spend, currency)} at most" if spend is not None else "not said yet"),
    ]


def _worth_note(found: Estimate, unit: str) -> str:
    """What “at most” means; or why there is no money."""
    if found.worth:
        return (
            f"Up to that cost its return is {times(found.worth.hurdle)} or more, the hurdle of “scale”, which wants "
            f"a gain also in the low case. Up to the worth of one {unit} it still pays, most likely."
        )
    if found.sees_rates:
        return "What an hour costs is not in the grade table yet, so this is no money so far."
    return "What an hour costs is seen by analysts and administrators only. In money it is worked out once it is used."


def _proviso(found: Estimate) -> str:
    """What a verdict would need beyond the answers; or on what the one shown rests."""
    if found.worth is None:
        return "What verdict it would get cannot be told without that."
    if found.worth.verdict is None:
        return "What verdict it would get shows as soon as step 3 says what it may spend."
    return "If it spends all it may, this comes true, outcomes are counted and somebody else attests its value case."


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[:-1] else words)


def _alike(actor: Actor, found: Sequence[Likeness]) -> list[Alike]:
    """With the verdict of the last complete month, for whoever sees the other's money."""
    month = periods.previous_month(timezone.localdate().replace(day=1))
    judged = EconomicsMonth.objects.visible_to(actor).current().filter(month=month)
    verdicts = dict(judged.filter(workload__in=[item.workload for item in found]).values_list("workload_id", "verdict"))
    return [Alike(item.workload, _seen(item), verdicts.get(item.workload.pk, "")) for item in found]


def _described(draft: Workload | None, form: StepForm) -> Description:
    """The words typed last, else those of the draft."""
    typed = form.data if form.is_bound else form.initial
    name, purpose, unit = (
        str(typed.get(field) or (getattr(draft, field) if draft else ""))[:2000]
        for field in ("name", "purpose", "output_unit")
    )
    return Description(name, purpose, unit)


def _seen(item: Likeness) -> str:
    owner, centre = item.workload.business_owner, item.workload.cost_centre
    whose = ", ".join(str(part) for part in (owner, centre) if part)
    return f"{whose}. {item.grounds.capitalize()}." if whose else f"{item.grounds.capitalize()}."


def _said(draft: Workload) -> list[Said]:
    promise = selectors.promise_of(draft)
    lines = [
        Said("For", draft.get_audience_display() if draft.audience else ""),
        Said("One useful answer", draft.output_unit),
        Said("It helps", draft.get_benefit_display() if draft.benefit else ""),
        *_promised(promise),
        Said("Answers for it", str(draft.business_owner or "")),
        Said("Pays for it", str(draft.cost_centre or "")),
    ]
    return [line for line in lines if line.words]


def _promised(promise: WorkloadRevision) -> list[Said]:
    band, severity = promise.latency_band, promise.failure_severity
    return [
        Said("Value tier", str(promise.value_tier or "")),
        Said("Speed", _speed(promise)),
        Said("Fits", fits(band)),
        Said("A wrong answer", WorkloadRevision.Severity(severity).label if severity else ""),
    ]


def _speed(promise: WorkloadRevision) -> str:
    band = promise.latency_band
    return f"{band_words(band)}, {band_limit(band)}" if band else ""


@login_required
@require_POST
def answer_duplicate(request: PageRequest, token: str) -> HttpResponse:
    """“It is the same” throws the draft away and shows the other; “Ours differs” is remembered and not asked again."""
    draft = _draft(request.actor, token)
    other = selectors.get_workload_for(actor=request.actor, ref=request.POST.get("other", ""))
    if draft is None:
        raise NotFound("This draft does not exist.")
    if request.POST.get("answer") == "same":
        services.discard_draft(actor=request.actor, workload=draft)
        messages.success(request, f"The draft is discarded: {other.name} is in the register already.")
        return HttpResponseRedirect(reverse("workloads:detail", args=[other.slug]))
    services.save_draft(actor=request.actor, workload=draft, differs_from=[other.pk])
    number = request.POST.get("number", "")
    return HttpResponseRedirect(reverse("workloads:register", args=[token, int(number) if number in ("2", "3") else 1]))


@login_required
@require_POST
def discard(request: PageRequest, token: str) -> HttpResponse:
    draft = _draft(request.actor, token)
    if draft is not None:
        services.discard_draft(actor=request.actor, workload=draft)
        messages.success(request, f"The draft “{draft.name}” is discarded.")
    return HttpResponseRedirect(reverse("workloads:list"))


@login_required
@require_GET
def resume(request: PageRequest, slug: str) -> HttpResponse:
    """A draft is gone on with at the first step that lacks an answer."""
    draft = selectors.get_workload_for(actor=request.actor, ref=slug)
    if draft.state != Workload.State.DRAFT:
        return HttpResponseRedirect(reverse("workloads:detail", args=[draft.slug]))
    missing = services.missing_of(draft)
    first = next((at for at, form in FORMS.items() if missing.keys() & set(form.answers)), LAST)
    return HttpResponseRedirect(reverse("workloads:register", args=[draft.slug.removeprefix("draft-"), first]))


# --- What happens next ------------------------------------------------------------------------------------------------


@login_required
@require_GET
def registered(request: PageRequest, slug: str) -> HttpResponse:
    workload = selectors.get_workload_for(actor=request.actor, ref=slug)
    may_edit = services.may_edit(request.actor, workload)
    is_theirs = may_edit or workload.created_by_id == request.actor.person_id
    if not is_theirs and not Workload.objects.money_visible_to(request.actor).filter(pk=workload.pk).exists():
        # Expected spend and promise are no part of the card that everybody reads.
        return HttpResponseRedirect(reverse("workloads:detail", args=[workload.slug]))
    promise = selectors.promise_of(workload)
    identity = _waiting_usage(request.actor, workload)
    context = {
        "workload": workload,
        "promise": promise,
        "band": f"{band_words(promise.latency_band)}, {band_limit(promise.latency_band)}"
        if promise.latency_band
        else "",
        "spend": figures.money(workload.monthly_spend_expected, organisation.get().currency),
        "identity": identity,
        "may_bind": rights.rights_of(request.actor).may(Right.ALLOCATE),
        "may_edit": may_edit,
        "has_case": ValueCase.objects.filter(workload=workload).exists(),
        "crumbs": [Crumb("Portfolio", reverse("workloads:list")), Crumb(workload.ref)],
    }
    return render(request, "workloads/registered.html", context)


def _waiting_usage(actor: Actor, workload: Workload) -> Identity | None:
    """The usage for which it was registered, while nothing is bound to it."""
    claim = workload.registered_for
    if not claim or workload.bindings.in_force().exists() or not rights.rights_of(actor).may(Right.SEE_UNALLOCATED):
        return None
    found = Identity.objects.select_related("source").filter(source_id=claim["source_id"], pairs=claim["pairs"])
    return found.first()

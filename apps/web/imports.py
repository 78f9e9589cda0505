"""Imports: bring in a file in four steps (file, columns, reading, result), and see what became of earlier ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.rights import Right, require, rights_of
from apps.core.actor import Actor
from apps.core.errors import BadInput, NotFound, TollgateError
from apps.costs import imports
from apps.costs.selectors.of_import import loose_keys, loose_models
from apps.sources import selectors
from apps.sources import services as sources
from apps.sources.files import Stored
from apps.sources.models import Pull, Source
from apps.usage.trial import Trial, trial_of
from apps.web import figures, hooks, imports_why
from apps.web.exports import Cell, table_response
from apps.web.forms import errors_into, errors_said, posted
from apps.web.imports_forms import (
    CONSTANTS,
    NEW,
    UNIT_CHOICES,
    FileForm,
    constants_for,
    field_choices,
    options_of,
    twice,
    words_of,
    zones,
)
from apps.web.imports_result import facts_of, kpis_of, lead_of, reject_in_words, title_of
from apps.web.pages import PageRequest, page_or_part
from apps.web.parts import Chip, Column, Crumb, Step
from apps.web.uploads import KeepingHandler, too_large
from workers import imports as worker
from workers.app import ring

PAGE = 50
STEPS = ("File", "Columns", "Reading", "Result")
HEADROOM = 64 * 1024  # what a form weighs beside its file
COLUMNS = (
    Column("File"),
    Column("Source"),
    Column("State"),
    Column("Rows", is_number=True),
    Column("Rejected", is_number=True),
    Column("Asked for", is_number=True),
)
FILE_COLUMNS = (
    "File", "Source", "Read as", "State", "What went wrong", "Rows", "Rejected", "Asked for by", "Asked for", "Ended",
    "SHA-256",
)  # fmt: skip
STATES = {
    "waiting": ("to do", (Pull.State.DRAFT,)),
    "running": ("running", (Pull.State.QUEUED, Pull.State.RUNNING)),
    "done": ("done", (Pull.State.DONE,)),
    "failed": ("failed", (Pull.State.FAILED,)),
    "ended": ("cancelled or undone", (Pull.State.CANCELLED, Pull.State.UNDONE)),
}
WARN_AT = 0.01


@hooks.counts("imports")
def waiting(actor: Actor) -> int:
    return selectors.number_waiting(actor=actor)


# --- The list ---------------------------------------------------------------------------------------------------------


@login_required
@require_GET
def import_list(request: PageRequest) -> HttpResponseBase:
    require(request.actor, Right.SEE_SOURCES)
    chosen = request.GET.get("state", "")
    states = STATES.get(chosen, ("", ()))[1]
    slug = request.GET.get("source", "")
    source = Source.objects.visible_to(request.actor).filter(slug=slug).first() if slug else None
    found = selectors.pulls_of(actor=request.actor, source=source, states=states)
    kind = request.GET.get("format", "")
    if kind:
        name = f"imports-{timezone.localdate()}"
        return table_response(FILE_COLUMNS, map(_file_row, found), name=name, kind="xlsx" if kind == "xlsx" else "csv")
    context = {
        "file_query": f"?{urlencode({name: request.GET.get(name, '') for name in ('state', 'source')})}",
        "page": Paginator(found, PAGE).get_page(request.GET.get("page")),
        "columns": COLUMNS,
        "chips": _chips(chosen, source),
        "is_filtered": bool(states or source),
        "may_manage": _may_manage(request.actor),
    }
    return page_or_part(request, "imports/list.html", "rows", context)


def _file_row(pull: Pull) -> tuple[Cell, ...]:
    source = pull.part.source
    asked_by = pull.requested_by.name if pull.requested_by else "by itself"
    rejected = pull.totals.get("rows_rejected")
    times = (pull.requested_at, pull.finished_at)
    told = (pull.get_format_display(), pull.get_state_display(), pull.error, pull.rows, rejected)
    return (pull.part.name, source.name, *told, asked_by, *times, pull.digest)


def _chips(chosen: str, source: Source | None) -> list[Chip]:
    kept = {"source": source.slug} if source else {}
    chips = [
        Chip(
            label.capitalize(), f"?{urlencode(kept if key == chosen else {**kept, 'state': key})}", is_on=key == chosen
        )
        for key, (label, _) in STATES.items()
    ]
    if source:
        chips.insert(
            0, Chip(f"Source is {source.name}", f"?{urlencode({'state': chosen} if chosen else {})}", is_on=True)
        )
    return chips


# --- Step 1: the file -------------------------------------------------------------------------------------------------


@login_required
@csrf_exempt
def new(request: PageRequest) -> HttpResponse:
    """Decide where the bytes go before anything reads the body; the token is checked by `_new` all the same."""
    require(request.actor, Right.MANAGE_SOURCES)
    if request.method == "POST":
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length > settings.UPLOAD_MAX_BYTES + HEADROOM:
            return _file_page(request, FileForm(actor=request.actor), too_large(), status=413)
        handler = KeepingHandler(request)
        request.upload_handlers = [handler]
        try:
            return _new(request, handler)
        finally:
            handler.discard()
    return _new(request, None)


@csrf_protect
@require_http_methods(["GET", "POST"])
def _new(request: PageRequest, handler: KeepingHandler | None) -> HttpResponse:
    initial = {"source": request.GET.get("source", "") or None}
    form = FileForm(posted(request), request.FILES or None, actor=request.actor, initial=initial)
    if handler is None:
        return _file_page(request, form, "")
    if handler.problem:
        return _file_page(request, form, handler.problem, status=413)
    if form.is_valid():
        with errors_into(form):
            pull = _begin(request.actor, form.cleaned_data)
            return redirect("imports:show", pull.pk)
    return _file_page(request, form, "", status=422)


def _file_page(request: PageRequest, form: FileForm, problem: str, *, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "problem": problem,
        "steps": _steps("File"),
        "limit_mb": settings.UPLOAD_MAX_BYTES // 1024**2,
        "crumbs": [Crumb("Imports", reverse("imports:list")), Crumb("New import")],
        "NEW": NEW,
    }
    return render(request, "imports/new.html", context, status=status)


def _begin(actor: Actor, given: Mapping[str, Any]) -> Pull:
    """The draft of an import; its source is made here if it is new."""
    stored: Stored = given["file"].stored
    if given["source"] == NEW:
        source = sources.create_source(actor=actor, name=given["new_source"])
    else:
        source = selectors.get_source_for(actor=actor, slug=given["source"])
    part = sources.ensure_part(actor=actor, source=source, name=given["part"].strip() or stored.path.name)
    pull = sources.request_pull(
        actor=actor, part=part, format=given["format"] or Pull.Format.REQUESTS, draft=True,
        options={} if given["format"] else {"guess_format": True},
    )  # fmt: skip
    sources.store_upload(actor=actor, pull=pull, stored=stored)
    return pull


# --- Steps 2 to 4 share an address: the state of the import decides ---------------------------------------------------


@login_required
@require_GET
def show(request: PageRequest, pk: int) -> HttpResponseBase:
    pull = _pull(request, pk)
    if pull.state == Pull.State.DRAFT:
        return _columns_page(request, pull, *_asked(pull))
    if pull.state in (Pull.State.QUEUED, Pull.State.RUNNING):
        return _reading_page(request, pull)
    return _result_page(request, pull)


def _asked(pull: Pull) -> tuple[dict[str, Any], str]:
    """The options and format as they were left; an empty format is guessed."""
    options = dict(pull.options)
    return options, "" if options.pop("guess_format", False) else pull.format


# --- Step 2: columns --------------------------------------------------------------------------------------------------


@login_required
@require_POST
def columns(request: PageRequest, pk: int) -> HttpResponseBase:
    """Try the columns as they are chosen now, or read the whole file with them."""
    pull = _pull(request, pk)
    require(request.actor, Right.MANAGE_SOURCES)
    if pull.state != Pull.State.DRAFT:
        return redirect("imports:show", pull.pk)
    asked, format_ = _asked(pull)
    chosen = request.POST.get("format", "")
    if chosen and chosen not in Pull.Format.values:
        problem = f"There is no kind of file called {chosen[:40]}; choose one of the list."
        return _columns_page(request, pull, asked, format_, problem=problem, status=422)
    before = trial_of(pull=pull, options=asked, format=request.POST.get("format", format_))
    try:
        options, format_ = options_of(request.POST, before)
        problem = twice(request.POST, before)
    except TollgateError as error:
        return _columns_page(request, pull, asked, format_, problem=str(error), status=422)
    if request.POST.get("format", before.format) != request.POST.get("format_before", before.format):
        options = {}  # another kind of file: what was said of its columns means nothing any more
    sources.save_draft(actor=request.actor, pull=pull, options=options, format=format_)
    if problem or "read" not in request.POST:
        return _columns_page(request, pull, options, format_, problem=problem, status=422 if problem else 200)
    return _read_all(request, pull, options, format_)


def _read_all(request: PageRequest, pull: Pull, options: dict[str, Any], format_: str) -> HttpResponse:
    trial = trial_of(pull=pull, options=options, format=format_)
    if trial.error:
        return _columns_page(request, pull, options, format_, status=422)
    try:
        sources.start_draft(actor=request.actor, pull=pull, options=options, format=format_)
    except TollgateError as error:
        return _columns_page(request, pull, options, format_, problem=str(error), status=error.status)
    ring(worker.read, pull.pk)
    return redirect("imports:show", pull.pk)


def _columns_page(
    request: PageRequest, pull: Pull, options: dict[str, Any], format_: str, *, problem: str = "", status: int = 200
) -> HttpResponse:
    trial = trial_of(pull=pull, options=options, format=format_)
    is_calls = trial.format != Pull.Format.FOCUS
    context = {
        "pull": pull,
        "trial": trial,
        "problem": problem,
        "is_calls": is_calls,
        "rejects": [reject_in_words(reject) for reject in trial.rejects[:3]],
        "is_usage": trial.format == Pull.Format.USAGE,
        "options": options,
        "steps": _steps("Columns"),
        "crumbs": _crumbs(pull),
        "fields": field_choices(trial.format),
        "formats": Pull.Format.choices,
        "constants": _constants(trial, options),
        "also_missing": [words_of(name) for name in trial.missing if name not in CONSTANTS],
        "zones": zones() if trial.asks_zone else [],
        "zone": options.get("zone") or pull.part.source.zone,
        "units": UNIT_CHOICES,
        "unit": options.get("time_unit") or trial.unit_guess,
        "may_manage": _may_manage(request.actor),
        "is_twice": "already loaded" in problem,
    }
    return page_or_part(request, "imports/columns.html", "body", context, status=status)


def _constants(trial: Trial, options: Mapping[str, Any]) -> list[tuple[str, str, str, str, bool]]:
    """Fields that the file lacks and a person can give: name, words, help, value, whether nothing works without."""
    given = options.get("constants", {})
    mandatory = {"usage_key", "model"}
    return [
        (name, words_of(name), CONSTANTS[name], given.get(name, ""), name in mandatory)
        for name in constants_for(trial.format)
        if name in trial.missing or name in given
    ]


# --- Step 3: reading --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Running:
    """A pull that is being read, in words."""

    pull: Pull
    ratio: float
    step: str
    left: str


@login_required
@require_GET
def progress(request: PageRequest, pk: int) -> HttpResponseBase:
    """The part that asks again by itself; when the import has ended it makes the browser show how."""
    pull = _pull(request, pk)
    if pull.state not in (Pull.State.QUEUED, Pull.State.RUNNING):
        return HttpResponse(status=204, headers={"HX-Redirect": reverse("imports:show", args=[pull.pk])})
    return _reading_page(request, pull)


def _reading_page(request: PageRequest, pull: Pull) -> HttpResponse:
    context = {
        "pull": pull,
        "running": _running(pull),
        "steps": _steps("Reading"),
        "crumbs": _crumbs(pull),
        "may_manage": _may_manage(request.actor),
    }
    return page_or_part(request, "imports/reading.html", "progress", context)


def _running(pull: Pull) -> Running:
    told = pull.progress
    done, total = told.get("rows_done") or 0, told.get("rows_total") or 0
    if pull.state == Pull.State.QUEUED:
        step = "Waiting for its turn" if not pull.error else f"Waiting to try again: {pull.error}"
        return Running(pull, 0.0, step, "")
    if told.get("stage") == "writing":
        return Running(pull, 0.95, f"Step 3 of 3, writing to the ledger. {figures.count(total)} rows.", "")
    ratio = min(done / total, 0.9) if total else 0.0
    rows = f" {figures.count(done)} of about {figures.count(total)} rows." if total else ""
    label = told.get("label", "starting")
    return Running(
        pull,
        ratio,
        f"Step {told.get('step', 1)} of {told.get('steps', 3)}, {label}.{rows}",
        _left(pull.started_at, ratio),
    )


def _left(started_at: datetime | None, ratio: float) -> str:
    if started_at is None or ratio < 0.05:
        return ""
    seconds = (timezone.now() - started_at).total_seconds() * (1 - ratio) / ratio
    return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {max(seconds, 1):.0f} s left"


# --- Step 4: the result -----------------------------------------------------------------------------------------------


def _result_page(request: PageRequest, pull: Pull) -> HttpResponse:
    sees_money = rights_of(request.actor).may(Right.SEE_UNALLOCATED)
    others = selectors.pulls_of(actor=request.actor, states=["queued", "running"]).exclude(pk=pull.pk)[:3]
    is_done = pull.state == Pull.State.DONE
    totals = pull.totals
    context = {
        "pull": pull,
        "title": title_of(pull),
        "lead": lead_of(pull),
        "steps": _steps("Result"),
        "crumbs": _crumbs(pull),
        "kpis": kpis_of(pull, sees_money=sees_money) if totals else [],
        "rejects": [reject_in_words(reject) for reject in totals.get("rejects") or []],
        "rejected_share": _share(totals.get("rows_rejected"), totals.get("rows_read")),
        "warn_at": WARN_AT,
        "keys": loose_keys(pull)[:3] if is_done and sees_money else [],
        "models": loose_models(pull)[:3] if is_done else [],
        "others": [_running(other) for other in others],
        "may_manage": _may_manage(request.actor),
        "may_undo": is_done and _may_manage(request.actor),
        "sees_money": sees_money,
        "facts": facts_of(pull),
        "is_pricing": pull.progress.get("stage") == "pricing",
        "has_rejected_file": bool(pull.rejected_path) and Path(pull.rejected_path).exists(),
    }
    return page_or_part(request, "imports/result.html", "figures", context)


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


# --- Doing ------------------------------------------------------------------------------------------------------------


@login_required
@require_POST
def cancel(request: PageRequest, pk: int) -> HttpResponse:
    pull = _pull(request, pk)
    with errors_said(
        request, "The import was cancelled." if pull.state == Pull.State.DRAFT else "The import is being stopped."
    ):
        sources.request_cancel(actor=request.actor, pull=pull)
    return redirect("imports:list" if pull.state == Pull.State.DRAFT else reverse("imports:show", args=[pull.pk]))


@login_required
@require_POST
def retry(request: PageRequest, pk: int) -> HttpResponse:
    pull = _pull(request, pk)
    with errors_said(request):
        sources.retry(actor=request.actor, pull=pull)
        ring(worker.read, pull.pk)
    return redirect("imports:show", pull.pk)


@login_required
@require_http_methods(["GET", "POST"])
def undo(request: PageRequest, pk: int) -> HttpResponse:
    """Ask once, saying what goes and what comes back; then do it."""
    pull = _pull(request, pk)
    require(request.actor, Right.MANAGE_SOURCES)
    if pull.state != Pull.State.DONE:
        raise BadInput(f"This import is {pull.get_state_display()}; there is nothing to undo.")
    if request.method == "POST":
        with errors_said(request, f"{pull.part.name} was undone; costs are worked out again."):
            imports.undo(actor=request.actor, pull=pull)
        return redirect("imports:show", pull.pk)
    before = selectors.pull_before(pull)
    context = {"pull": pull, "before": before, "crumbs": _crumbs(pull, "Undo")}
    return render(request, "imports/undo.html", context)


@login_required
@require_GET
def rejected(request: PageRequest, pk: int) -> FileResponse:
    """The rejected rows with line and reason, as the reading left them: packed, and safe for a spreadsheet."""
    pull = _pull(request, pk)
    found = Path(pull.rejected_path) if pull.rejected_path else None
    if found is None or not found.exists():
        raise NotFound("The rejected rows of this import are not kept any more.")
    name = f"rejected-{pull.pk}.csv.gz"
    return FileResponse(found.open("rb"), as_attachment=True, filename=name, content_type="application/gzip")


def _pull(request: PageRequest, pk: int) -> Pull:
    return selectors.get_pull_for(actor=request.actor, pull_id=pk)


def _may_manage(actor: Actor) -> bool:
    return rights_of(actor).may(Right.MANAGE_SOURCES)


def _crumbs(pull: Pull, last: str = "") -> list[Crumb]:
    own = Crumb(pull.part.name, reverse("imports:show", args=[pull.pk]) if last else "")
    return [Crumb("Imports", reverse("imports:list")), own, *([Crumb(last)] if last else [])]


def _steps(current: str) -> list[Step]:
    at = STEPS.index(current)
    return [
        Step(label, "done" if place < at else "current" if place == at else "ahead")
        for place, label in enumerate(STEPS)
    ]


app_name = "imports"
urlpatterns = [
    path("", import_list, name="list"),
    path("new/", new, name="new"),
    path("<int:pk>/", show, name="show"),
    path("<int:pk>/columns/", columns, name="columns"),
    path("<int:pk>/progress/", progress, name="progress"),
    path("<int:pk>/cancel/", cancel, name="cancel"),
    path("<int:pk>/retry/", retry, name="retry"),
    path("<int:pk>/undo/", undo, name="undo"),
    path("<int:pk>/rejected/", rejected, name="rejected"),
    path("<int:pk>/why/<slug:name>/", imports_why.figure, name="why"),
]

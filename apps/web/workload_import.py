"""Workloads and bindings from a table: a dry run that shows every difference, then one click that does exactly that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.approvals.proposing import propose
from apps.budgets import csv_import as budgets_csv
from apps.budgets.services import adopt_registered
from apps.core.actor import Actor
from apps.core.errors import BadInput, NotFound, TollgateError
from apps.costs import bindings_csv
from apps.economics import outcomes_csv
from apps.web.exports import table_response
from apps.web.pages import PageRequest
from apps.web.parts import Crumb, Tab
from apps.workloads import csv_import
from apps.workloads.csv_table import MOST_BYTES, Kind, Line, Result, read_table
from workers import imports as worker
from workers.app import ring


@dataclass(frozen=True, slots=True)
class _Table:
    """One kind of table: its columns with what they mean, an example row, and who takes it in."""

    title: str
    columns: Mapping[str, str]
    required: tuple[str, ...]
    example: tuple[str, ...]
    run: Callable[..., Result]
    right: Right


TABLES: Final = {
    "workloads": _Table(
        "Workloads", csv_import.COLUMNS, csv_import.REQUIRED,
        ("", "Support ticket summaries", "Agents read three lines instead of a thread", "ticket summary", "employee",
         "labour", "production", "T2", "near-line", "little", "2.00", "CARE", "lena@example.com", "omar@example.com",
         "lena@example.com", "6000"),
        partial(csv_import.import_workloads, propose=propose), Right.REGISTER,
    ),
    "bindings": _Table(
        "Bindings", bindings_csv.COLUMNS, bindings_csv.REQUIRED,
        ("WL-001", "litellm", "team=care; env=prod", "2026-10-01", ""), bindings_csv.import_bindings, Right.ALLOCATE,
    ),
    "budgets": _Table(
        "Budgets", budgets_csv.COLUMNS, budgets_csv.REQUIRED,
        ("WL-001", "", "2026-11", "4000", "80", "100", "tell", "Two teams more"),
        budgets_csv.import_budgets, Right.REGISTER,
    ),
    "outcomes": _Table(
        "Outcomes", outcomes_csv.COLUMNS, outcomes_csv.REQUIRED,
        ("support-ticket-summaries", "2026-10", "10000", "9200", "1150"),
        lambda **given: outcomes_csv.import_outcomes(today=timezone.localdate(), **given), Right.SEE_REGISTER,
    ),
}  # fmt: skip


class UploadForm(forms.Form):
    """A file, or the same text that was shown in the dry run."""

    file = forms.FileField(
        label="A CSV file", max_length=255, widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"})
    )

    def clean_file(self) -> bytes:
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(f"The file is larger than {MOST_BYTES // 1_000_000} MB. Split it.")
        content: bytes = file.read()
        return content


@login_required
@require_http_methods(["GET", "POST"])
def start(request: PageRequest) -> HttpResponse:
    """Choose a file; sending it shows what it would do and does nothing."""
    kind, table = _table(request.actor, request.GET.get("kind", "workloads"))
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "GET" or not form.is_valid():
        return _page(request, kind, table, form=form, status=422 if request.method == "POST" else 200)
    content = form.cleaned_data["file"]
    try:
        result = _run(request.actor, table, content, dry_run=True)
    except TollgateError as error:
        form.add_error("file", str(error))
        return _page(request, kind, table, form=form, status=422)
    return _page(request, kind, table, form=UploadForm(), result=result, text=_text(content))


@login_required
@require_POST
def apply(request: PageRequest) -> HttpResponse:
    """Do what the dry run showed; when the register has changed since, the new differences are shown instead."""
    kind, table = _table(request.actor, request.GET.get("kind", "workloads"))
    content = request.POST.get("text", "").encode()
    preview = _run(request.actor, table, content, dry_run=True)
    if preview.digest != request.POST.get("digest"):
        messages.warning(request, "Something has changed since the dry run. Look at the differences once more.")
        return _page(request, kind, table, form=UploadForm(), result=preview, text=_text(content), status=409)
    done = _run(request.actor, table, content, dry_run=False)
    adopt_registered(actor=request.actor)
    ring(worker.rate)
    left_out = f", {done.count(Kind.ERROR)} left out" if done.count(Kind.ERROR) else ""
    messages.success(request, f"{done.count(Kind.NEW)} new, {done.count(Kind.CHANGED)} changed{left_out}.")
    return HttpResponseRedirect(reverse("workloads:list"))


@login_required
@require_GET
def template(request: PageRequest, kind: str) -> HttpResponseBase:
    """A table with the right header and one example row."""
    _, table = _table(request.actor, kind)
    return table_response(list(table.columns), [table.example], name=f"tollgate-{kind}")


def _table(actor: Actor, kind: str) -> tuple[str, _Table]:
    if kind not in TABLES:
        raise NotFound("There is no such table to import.")
    rights.require(actor, TABLES[kind].right)
    return kind, TABLES[kind]


def _run(actor: Actor, table: _Table, content: bytes, *, dry_run: bool) -> Result:
    lines: list[Line] = read_table(content, columns=table.columns.keys(), required=table.required)
    return table.run(actor=actor, lines=lines, dry_run=dry_run)


def _text(content: bytes) -> str:
    """What the confirming form carries; it was read before, so it can be decoded."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadInput("The file is not UTF-8.", hint="Save it as “CSV UTF-8” and try again.") from error


def _page(request: PageRequest, kind: str, table: _Table, *, status: int = 200, **more: Any) -> HttpResponse:
    result: Result | None = more.get("result")
    may = rights.rights_of(request.actor).may
    tabs = [Tab(each.title, f"?kind={key}", is_current=key == kind) for key, each in TABLES.items() if may(each.right)]
    context = {
        "kind": kind,
        "table": table,
        "columns": [(name, words, name in table.required) for name, words in table.columns.items()],
        "tabs": tabs,
        "crumbs": [Crumb("Portfolio", reverse("workloads:list")), Crumb("Import")],
        "counts": [(each.value, result.count(each)) for each in Kind] if result else [],
        **more,
    }
    return render(request, "workloads/import.html", context, status=status)

"""The audit trail: who did what and when, the state of its chain, and a file that proves itself."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import path
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import rights
from apps.accounts.models import CostCentre, Person
from apps.accounts.rights import Right, rights_of
from apps.accounts.selectors import audit_events_for, names_of
from apps.core import audit
from apps.core.actor import Actor
from apps.core.models import AuditEvent
from apps.sources.models import Source
from apps.web.exports import Cell, table_response
from apps.web.figures import count
from apps.web.forms import DayField, end_of, midnight
from apps.web.pages import PageRequest, page_or_part
from apps.web.parts import Kpi
from apps.web.queries import query_with
from apps.workloads.models import Workload

PAGE_SIZE = 50
MOST_EXPORTED = 50_000
NAMED: dict[str, Any] = {
    "accounts.person": Person,
    "accounts.costcentre": CostCentre,
    "workloads.workload": Workload,
    "sources.source": Source,
}
# Proving reads every event; beyond this it takes longer than a page may.
MOST_PROVED_BY_A_PAGE = 200_000
COLUMNS = (
    "Event",
    "Time (UTC)",
    "Person",
    "Name",
    "Door",
    "Deed",
    "Subject",
    "Subject id",
    "Data",
    "Position",
    "SHA-256",
)


class AuditFilter(forms.Form):
    """Every filter stands in the URL. A value that is none filters nothing and is said."""

    person = forms.ModelChoiceField(Person.objects.all(), label="Person", required=False, empty_label="Everybody")
    verb = forms.ChoiceField(label="Deed", required=False)
    subject = forms.ChoiceField(label="Subject", required=False)
    subject_id = forms.CharField(label="Its number", required=False, max_length=60)
    since = DayField(label="From", required=False)
    until = DayField(label="To", required=False)

    def offer(self, events: QuerySet[AuditEvent], *, everybody: bool) -> "AuditFilter":
        verbs = events.order_by("verb").values_list("verb", flat=True).distinct()
        kinds = (
            events.exclude(subject_kind="").order_by("subject_kind").values_list("subject_kind", flat=True).distinct()
        )
        self.fields["verb"].choices = [("", "Any deed"), *((v, v) for v in verbs)]  # type: ignore[attr-defined]
        self.fields["subject"].choices = [("", "Anything"), *((k, _words(k)) for k in kinds)]  # type: ignore[attr-defined]
        if not everybody:
            del self.fields["person"]
        return self

    def chosen(self) -> list[str]:
        """The filters that are on, in words."""
        if not self.is_bound or not self.is_valid():
            return ["filters that cannot be read"]
        words = {"subject": _words, "since": "from {:%Y-%m-%d}".format, "until": "to {:%Y-%m-%d}".format}
        values = {name: value for name, value in self.cleaned_data.items() if value}
        return [words.get(name, str)(value) for name, value in values.items()]

    def apply(self, events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        wanted = {
            "person_id": getattr(self.cleaned_data.get("person"), "pk", None),
            "verb": self.cleaned_data.get("verb"),
            "subject_kind": self.cleaned_data.get("subject"),
            "subject_id": self.cleaned_data.get("subject_id"),
            "at__gte": midnight(self.cleaned_data.get("since")),
            "at__lt": end_of(self.cleaned_data.get("until")),
        }
        return events.filter(**{lookup: value for lookup, value in wanted.items() if value})


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is read: `who` is a name or the machine that acted, `facts` what stands in its data."""

    event: AuditEvent
    who: str
    subject: str
    subject_name: str
    facts: list[tuple[str, str]]
    position: int | None
    sha256: str


@login_required
@require_GET
def list_events(request: PageRequest) -> HttpResponseBase:
    everybody = rights_of(request.actor).may(Right.READ_AUDIT)
    visible = audit_events_for(request.actor)
    form = AuditFilter(request.GET or None).offer(visible, everybody=everybody)
    events = (form.apply(visible) if form.is_bound and form.is_valid() else visible).order_by("-id")
    if request.GET.get("format") == "csv":
        return _export(request.actor, events)
    page = Paginator(events, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "rows": _rows(page),
        "page": page,
        "form": form,
        "everybody": everybody,
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "chosen": form.chosen(),
        **(_chain() if everybody else {}),
        "csv": query_with(request, page=None, format="csv"),
        "most": MOST_EXPORTED,
    }
    return page_or_part(request, "audit/list.html", "rows", context)


def _chain() -> dict[str, Any]:
    """How far the chain reaches, without proving it."""
    chain = audit.status()
    kpis = [
        Kpi("Sealed events", count(chain.sealed), context="each holds the SHA-256 of all before it"),
        Kpi("Waiting", count(chain.waiting), context="sealed every 5 seconds"),
        Kpi(
            "Head of the chain",
            chain.head[:12],
            context="kept outside the database once a day, signed",
            help=chain.head,
        ),
    ]
    return {"chain": chain, "kpis": kpis}


@login_required
@require_POST
def prove(request: PageRequest) -> HttpResponse:
    """Recompute the whole chain now and say what came out."""
    rights.require(request.actor, Right.READ_AUDIT)
    if audit.status().sealed > MOST_PROVED_BY_A_PAGE:
        messages.warning(request, "The chain is too long for a page; run: manage.py audit verify.")
        return redirect("audit:list")
    audit.seal()
    proved = audit.verify()
    if proved.holds:
        messages.success(request, f"The chain holds: all {proved.sealed:,} sealed events are as they were written.")
    else:
        messages.error(request, f"The chain does not hold at event {proved.broken_at}: {proved.reason}")
    return redirect("audit:list")


def _export(actor: Actor, events: QuerySet[AuditEvent]) -> HttpResponse:
    """The filtered events as CSV. Its SHA-256 becomes an event itself: the chain vouches for the file."""
    now = timezone.now()
    written = table_response(COLUMNS, _cells(events[:MOST_EXPORTED]), name=f"audit-{now:%Y-%m-%d}", kind="csv")
    content = b"".join(written.streaming_content)  # type: ignore[attr-defined]
    facts = {"sha256": hashlib.sha256(content).hexdigest(), "rows": min(events.count(), MOST_EXPORTED)}
    with transaction.atomic():
        audit.record(actor=actor, verb=audit.EXPORTED, data=facts)
    response = HttpResponse(content, content_type=written["Content-Type"])
    for name in ("Content-Disposition", "X-Content-Type-Options"):
        response[name] = written[name]
    return response


def _cells(events: QuerySet[AuditEvent]) -> Iterator[list[Cell]]:
    names = names_of({event.person_id for event in events if event.person_id})
    for event in events:
        at = event.at.isoformat(timespec="microseconds")
        who = names.get(event.person_id, "") if event.person_id else event.actor
        facts = "; ".join(f"{name}={value}" for name, value in _facts(event.data))
        seal = getattr(event, "seal", None)
        chained: list[Cell] = [seal.position, seal.sha256] if seal else [None, ""]
        subject: list[Cell] = [event.subject_kind, event.subject_id]
        yield [event.pk, at, event.person_id, who, event.channel, event.verb, *subject, facts, *chained]


def _rows(events: Iterable[AuditEvent]) -> list[EventRow]:
    found = list(events)
    names = names_of({event.person_id for event in found if event.person_id})
    subjects = _names_of_subjects(found)
    return [_row(event, names, subjects.get((event.subject_kind, event.subject_id), "")) for event in found]


def _names_of_subjects(events: list[AuditEvent]) -> dict[tuple[str, str], str]:
    """What the subjects are called today; one query a kind, whatever the number of events."""
    names: dict[tuple[str, str], str] = {}
    for kind, model in NAMED.items():
        ids = {event.subject_id for event in events if event.subject_kind == kind and event.subject_id.isdecimal()}
        rows = model.objects.filter(pk__in=ids).values_list("pk", "name") if ids else ()
        names.update({(kind, str(pk)): name for pk, name in rows})
    return names


def _row(event: AuditEvent, names: dict[int, str], subject_name: str) -> EventRow:
    who = names.get(event.person_id, f"Person {event.person_id}") if event.person_id else event.actor
    seal = getattr(event, "seal", None)
    return EventRow(
        event=event,
        who=who,
        subject=f"{_words(event.subject_kind)} {event.subject_id}".strip(),
        subject_name=subject_name,
        facts=_facts(event.data),
        position=seal.position if seal else None,
        sha256=seal.sha256 if seal else "",
    )


def _facts(data: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested data as flat lines: before.name = Care."""
    facts: list[tuple[str, str]] = []
    for name, value in data.items():
        if isinstance(value, dict):
            facts += _facts(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            facts.append((f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return facts


def _words(kind: str) -> str:
    """accounts.rolegrant -> role grant"""
    names = {"rolegrant": "role", "costcentre": "cost centre", "apitoken": "API token", "savedview": "saved view"}
    model = kind.partition(".")[2]
    return names.get(model, model)


app_name = "audit"
urlpatterns = [path("", list_events, name="list"), path("prove/", prove, name="prove")]

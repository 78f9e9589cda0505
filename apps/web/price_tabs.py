"""The tabs over everything that turns usage into money: models, currencies, latency bands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.urls import reverse

from apps.accounts.models import Person
from apps.core.models import AuditEvent
from apps.web.parts import Tab

PAGES: Final = (("rates:list", "Models"), ("rates:fx", "Exchange rates"), ("rates:bands", "Latency bands"))
CHANGES_SHOWN: Final = 20


def price_tabs(current: str) -> list[Tab]:
    return [Tab(label, reverse(name), is_current=name == current) for name, label in PAGES]


@dataclass(frozen=True, slots=True)
class PastChange:
    """A change as the trail keeps it: nothing of it is ever taken out."""

    at: datetime
    who: str
    subject_id: str
    data: dict[str, Any]


def past_changes(verb: str, subject_ids: Iterable[object] | None = None) -> Sequence[PastChange]:
    """The newest changes of one kind, of some subjects only where they are named."""
    events = AuditEvent.objects.filter(verb=verb).order_by("-pk")
    if subject_ids is not None:
        events = events.filter(subject_id__in=[str(each) for each in subject_ids])
    found = list(events[:CHANGES_SHOWN])
    names = Person.objects.in_bulk({event.person_id for event in found if event.person_id})
    return [
        PastChange(event.at, _who(event, names.get(event.person_id or 0)), event.subject_id, event.data)
        for event in found
    ]


def _who(event: AuditEvent, person: Person | None) -> str:
    return person.name if person else event.actor or "somebody"

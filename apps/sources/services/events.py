"""Pushed usage events: stored once by (source, id), folded into hours by the worker."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db import connection, transaction

from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.sources.models import Event, Source

Outcome = Literal["new", "same", "other"]
_INSERT = """
INSERT INTO sources_event (source_id, event_id, digest, hour, data)
SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::jsonb[])
ON CONFLICT (source_id, event_id) DO NOTHING RETURNING event_id
"""


@dataclass(frozen=True, slots=True)
class Received:
    """What became of one event: new, known with the same content, or known with another content (refused)."""

    event_id: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """An event that passed the checks of the API; `data` are fields of the `usage` format."""

    event_id: str
    hour: datetime
    data: Mapping[str, Any]

    @property
    def digest(self) -> str:
        text = json.dumps(self.data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


class _OtherContent(Exception):
    def __init__(self, received: list[Received]) -> None:
        self.received = received


def record_events(*, actor: Actor, source: Source, events: Sequence[UsageEvent]) -> list[Received]:
    """Store a batch whole or not at all: if one id comes with other content than before, nothing of it is stored."""
    if source.kind != "push":
        raise BadInput(f"Source {source.slug} takes no events.", hint="Make a source of the kind 'Usage API' for them.")
    _refuse_twins(events)
    try:
        with transaction.atomic():
            return _store(actor, source, events)
    except _OtherContent as refused:
        return refused.received


def _store(actor: Actor, source: Source, events: Sequence[UsageEvent]) -> list[Received]:
    fresh = _insert(source, events)
    stored = dict(
        Event.objects.filter(source=source, event_id__in=[e.event_id for e in events]).values_list("event_id", "digest")
    )
    received = [Received(event.event_id, _outcome(event, stored, fresh)) for event in events]
    if any(one.outcome == "other" for one in received):
        raise _OtherContent([one for one in received if one.outcome == "other"])
    if fresh:
        audit.record(actor=actor, verb="received usage events", subject=source, data={"events": len(fresh)})
    return received


def _refuse_twins(events: Sequence[UsageEvent]) -> None:
    digests: dict[str, str] = {}
    for event in events:
        if digests.setdefault(event.event_id, event.digest) != event.digest:
            raise BadInput(f"The batch holds two events with the id '{event.event_id}' and other content.")


def _outcome(event: UsageEvent, stored: Mapping[str, str], fresh: set[str]) -> Outcome:
    if stored.get(event.event_id, event.digest) != event.digest:
        return "other"
    return "new" if event.event_id in fresh else "same"


def _insert(source: Source, events: Sequence[UsageEvent]) -> set[str]:
    ids = [event.event_id for event in events]
    digests = [event.digest for event in events]
    hours = [event.hour for event in events]
    data = [json.dumps(event.data, default=str) for event in events]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [source.pk, ids, digests, hours, data])
        return {row[0] for row in cursor.fetchall()}

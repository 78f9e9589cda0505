"""The audit trail: written with the deed, chained by hash behind it, and provable.

Every event carries, by a column default, the id of its transaction. The sealer chains only events of transactions
older than every transaction still running, so an event that commits late can never slip in behind a sealed one.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, models, transaction

from apps.core.actor import Actor
from apps.core.models import AuditEvent, AuditSeal

GENESIS = "0" * 64
EXPORTED = "exported audit"
SEAL_LOCK = 7_301_001  # an advisory lock of ours: two sealers would fork the chain
_UNSEALED = """
SELECT e.id FROM core_audit_event e LEFT JOIN core_audit_seal s ON s.event_id = e.id
WHERE s.event_id IS NULL AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xid, e.id LIMIT %s
"""


def record(*, actor: Actor, verb: str, subject: models.Model | None = None, data: dict[str, Any] | None = None) -> None:
    """Write the event of a deed inside the caller's transaction; the two stand or fall together."""
    if not connection.in_atomic_block:
        raise RuntimeError("An audit event belongs into the transaction of its deed.")
    AuditEvent.objects.create(
        person_id=actor.person_id,
        actor="" if actor.person_id else actor.label,
        channel=actor.channel,
        verb=verb,
        subject_kind=subject._meta.label_lower if subject else "",  # noqa: SLF001
        subject_id=str(subject.pk) if subject else "",
        data=json.loads(json.dumps(data or {}, default=str)),
    )


def seal(*, limit: int = 5000) -> int:
    """Chain the events that can no longer be overtaken; returns how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEAL_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(_UNSEALED, [limit])
        ids = [row[0] for row in cursor.fetchall()]
        events = AuditEvent.objects.in_bulk(ids)
        last = AuditSeal.objects.order_by("-position").first()
        position, head = (last.position, last.sha256) if last else (0, GENESIS)
        seals = []
        for event_id in ids:
            position, head = position + 1, _link(head, events[event_id])
            seals.append(AuditSeal(position=position, event_id=event_id, sha256=head))
        AuditSeal.objects.bulk_create(seals)
    return len(ids)


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """What the chain proves now: `broken_at` is the first event that does not fit, None when all do."""

    sealed: int
    waiting: int
    head: str
    broken_at: int | None = None
    reason: str = ""

    @property
    def holds(self) -> bool:
        return self.broken_at is None and not self.reason


def status() -> ChainStatus:
    """Length and head of the chain, without proving it; cheap enough for a page."""
    last = AuditSeal.objects.order_by("-position").first()
    sealed = last.position if last else 0
    return ChainStatus(
        sealed=sealed, waiting=AuditEvent.objects.count() - sealed, head=last.sha256 if last else GENESIS
    )


def verify(*, expected_head: str = "") -> ChainStatus:
    """Recompute the chain from its first event; `expected_head` must occur in it (a head kept outside)."""
    head, position, seen = GENESIS, 0, expected_head in ("", GENESIS)
    for link in AuditSeal.objects.select_related("event").order_by("position").iterator(chunk_size=2000):
        position += 1
        head = _link(head, link.event)
        if link.position != position or link.sha256 != head:
            return ChainStatus(
                position, 0, head, broken_at=link.event_id, reason="An event or a seal was changed or taken out."
            )
        seen = seen or head == expected_head
    waiting = AuditEvent.objects.count() - position
    if not seen:
        return ChainStatus(position, waiting, head, reason="The given head is not part of this chain.")
    return ChainStatus(position, waiting, head)


def knows_export(content: bytes) -> bool:
    """Whether a downloaded file is, byte for byte, one whose SHA-256 stands in the sealed chain."""
    digest = hashlib.sha256(content).hexdigest()
    return AuditEvent.objects.filter(verb=EXPORTED, data__sha256=digest, seal__isnull=False).exists()


def _link(previous: str, event: AuditEvent) -> str:
    """SHA-256 over the previous link and the event in one canonical text."""
    fields = [event.pk, _instant(event.at), event.person_id, event.actor, event.channel, event.verb]
    body = [*fields, event.subject_kind, event.subject_id, event.data]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")

"""The life of a pull: asked for, taken by one worker, published or given up, and perhaps undone.

A pull is taken with a lease. Whoever holds it renews it while it reads and locks the row while it publishes; a worker
that dies lets the lease run out, and another takes the pull again from its start. `attempt` tells the two apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.rights import Right, require
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, TollgateError
from apps.sources import files
from apps.sources.files import Stored
from apps.sources.models import Part, Pull

LEASE = timedelta(seconds=settings.IMPORT_LEASE_SECONDS)
MOST_ATTEMPTS = 3
PAUSE_AFTER_FAILURE = timedelta(seconds=5)
BYTES_LOCK = 7_303  # first key of a two-part advisory lock; the second comes from the digest
TAKING_LOCK = 7_305  # first key of a two-part advisory lock; the second is the part


class LeaseLost(TollgateError):
    """Somebody else has the pull, or it was ended: whoever held it must stop without writing."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run one attempt of a pull."""

    pull_id: int
    attempt: int


@transaction.atomic
def request_pull(
    *,
    actor: Actor,
    part: Part,
    format: str,  # noqa: A002 - the word of the command line and the table
    options: Mapping[str, Any] | None = None,
    file_path: str = "",
    file_size: int | None = None,
    digest: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    draft: bool = False,
) -> Pull:
    """Write the row of a pull; a bell may be rung after the commit, and the sweep finds it anyway.

    Raises `Conflict` naming the part that holds the same bytes already, unless `options["again"]` is set.
    """
    _require_manage(actor)
    _check_format(format)
    options = dict(options or {})
    if digest and not options.get("again") and not draft:
        refuse_same_bytes(part=part, digest=digest)
    pull = Pull.objects.create(
        part=part,
        format=format,
        options=options,
        file_path=file_path,
        file_size=file_size,
        digest=digest,
        since=since,
        until=until,
        state=Pull.State.DRAFT if draft else Pull.State.QUEUED,
        requested_by_id=actor.person_id,
    )
    data = {"part": part.name, "source": part.source.slug, "format": format, "digest": digest}
    audit.record(actor=actor, verb="began import" if draft else "asked for import", subject=pull, data=data)
    return pull


@transaction.atomic
def start_draft(*, actor: Actor, pull: Pull, options: Mapping[str, Any], format: str) -> Pull:  # noqa: A002
    """The columns are checked: the draft waits to be read."""
    _require_manage(actor)
    _check_format(format)
    pull = Pull.objects.select_for_update().get(pk=pull.pk)
    if pull.state != Pull.State.DRAFT:
        raise Conflict(f"This import is {pull.get_state_display()}; its columns stay as they are.")
    if pull.digest and not options.get("again"):
        refuse_same_bytes(part=pull.part, digest=pull.digest)
    pull.options, pull.format, pull.state = dict(options), format, Pull.State.QUEUED
    pull.requested_at = timezone.now()
    pull.save(update_fields=("options", "format", "state", "requested_at"))
    audit.record(actor=actor, verb="asked for import", subject=pull, data={"options": pull.options, "format": format})
    return pull


@transaction.atomic
def save_draft(*, actor: Actor, pull: Pull, options: Mapping[str, Any], format: str) -> None:  # noqa: A002
    """Keep what a person has said about the columns so far; whoever comes back finds it."""
    _require_manage(actor)
    _check_format(format)
    pull = Pull.objects.select_for_update().get(pk=pull.pk)
    if pull.state != Pull.State.DRAFT:
        raise Conflict("This import has begun; its columns stay as they are.")
    if (pull.options, pull.format) == (dict(options), format):
        return
    pull.options, pull.format = dict(options), format
    pull.save(update_fields=("options", "format"))
    audit.record(actor=actor, verb="described import", subject=pull, data={"options": pull.options, "format": format})


@transaction.atomic
def store_upload(*, actor: Actor, pull: Pull, stored: Stored) -> None:
    """Put uploaded bytes where the draft's number leads to, and note them on it."""
    folder = files.upload_folder(pull.pk)
    files.remove(folder)
    stored.path.parent.rename(folder)
    pull.file_path = str(folder / stored.path.name)
    pull.file_size, pull.digest = stored.size, stored.sha256
    pull.save(update_fields=("file_path", "file_size", "digest"))
    audit.record(actor=actor, verb="uploaded file", subject=pull, data={"size": stored.size, "sha256": stored.sha256})


def refuse_same_bytes(*, part: Part, digest: str) -> None:
    """Raise `Conflict` when another part holds these bytes, or is about to."""
    loaded = Part.objects.filter(sha256=digest).exclude(pk=part.pk).select_related("source").first()
    waiting = Pull.objects.unfinished().filter(digest=digest).exclude(part=part).select_related("part__source").first()
    other = loaded or (waiting.part if waiting else None)
    if other is not None:
        raise Conflict(
            f"The same bytes are already loaded as part '{other.name}' of source {other.source.slug}.",
            hint="Nothing was changed. To count them twice on purpose, import again with --again.",
        )


@transaction.atomic
def take(pull_id: int, *, now: datetime | None = None) -> Lease | None:
    """Take a pull that waits or whose worker died; None when somebody else has it or nothing is to do.

    A pull that stopped three times in the middle is given up here, with the reason it stopped last.
    """
    now = now or timezone.now()
    pull = Pull.objects.select_for_update(skip_locked=True, of=("self",)).filter(due(now), pk=pull_id).first()
    if pull is None or _must_wait(pull):
        return None
    if pull.attempt >= MOST_ATTEMPTS:
        _give_up(pull)
        return None
    pull.state, pull.attempt, pull.lease_until = Pull.State.RUNNING, pull.attempt + 1, now + LEASE
    pull.started_at, pull.finished_at, pull.progress = now, None, {"stage": "starting"}
    pull.save(update_fields=("state", "attempt", "lease_until", "started_at", "finished_at", "progress"))
    return Lease(pull.pk, pull.attempt)


def ahead_of(pull: Pull) -> QuerySet[Pull]:
    """Pulls of the same hours of the part that were asked for earlier and go first, lest the older content win."""
    unfinished = (Pull.State.QUEUED, Pull.State.RUNNING)
    return _same_hours(pull).filter(state__in=unfinished, pk__lt=pull.pk).order_by("pk")


def due(now: datetime) -> Q:
    """Pulls that a worker may take: waiting ones, and running ones whose lease ran out."""
    waiting = Q(state=Pull.State.QUEUED) & (Q(lease_until__isnull=True) | Q(lease_until__lte=now))
    return waiting | Q(state=Pull.State.RUNNING, lease_until__lte=now)


def beat(lease: Lease, progress: Mapping[str, Any]) -> bool:
    """Renew the lease and show how far it is; returns whether somebody asked to cancel."""
    rows = _held(lease).update(lease_until=timezone.now() + LEASE, progress=dict(progress))
    if not rows:
        raise LeaseLost("Another worker has taken this import.")
    return Pull.objects.filter(pk=lease.pull_id, cancel_requested=True).exists()


def hold(lease: Lease) -> Pull:
    """Lock the pull until the caller's transaction ends, so that nobody else takes or cancels it meanwhile.

    Whoever publishes looks at its `cancel_requested` first: a cancel that was accepted before this counts.
    """
    pull = Pull.objects.select_for_update(of=("self",)).select_related("part__source").filter(pk=lease.pull_id).first()
    if pull is None or pull.state != Pull.State.RUNNING or pull.attempt != lease.attempt:
        raise LeaseLost("Another worker has taken this import.")
    return pull


def finish(*, actor: Actor, pull: Pull, totals: Mapping[str, Any], rejected_path: str) -> None:
    """Last step of the publishing transaction: the part holds these bytes now. `hold` was called before.

    The costs are still to be worked out; `settle` adds them.
    """
    if pull.digest:
        with connection.cursor() as cursor:
            # Two parts with the same bytes may reach this point at once: one waits and is then refused.
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [BYTES_LOCK, pull.digest])
        if not pull.options.get("again"):
            _refuse_loaded(pull)
    Part.objects.filter(pk=pull.part_id).update(sha256=pull.digest)
    pull.state, pull.finished_at, pull.lease_until = Pull.State.DONE, timezone.now(), None
    pull.totals, pull.rows, pull.rejected_path = dict(totals), totals.get("rows_read"), rejected_path
    pull.progress, pull.error = {"stage": "pricing"}, ""
    pull.save()
    audit.record(actor=actor, verb="imported", subject=pull, data={"part": pull.part.name, **pull.totals})


def settle(*, pull_id: int, totals: Mapping[str, Any]) -> None:
    """Add what only the costs can say to the totals of a finished pull."""
    Pull.objects.filter(pk=pull_id, state=Pull.State.DONE).update(totals=dict(totals), progress={})


@transaction.atomic
def stop(*, actor: Actor, lease: Lease, state: Pull.State, reason: str) -> None:
    """End an attempt for good without having written anything: failed with a reason, or cancelled."""
    changed = _held(lease).update(state=state, error=reason, lease_until=None, finished_at=timezone.now(), progress={})
    if changed:
        verb = "import cancelled" if state == Pull.State.CANCELLED else "import failed"
        audit.record(actor=actor, verb=verb, subject=Pull.objects.get(pk=lease.pull_id), data={"reason": reason})


def try_again_later(lease: Lease, *, reason: str) -> None:
    """Put a pull back that stopped through no fault of its file: its database or its worker went away."""
    again_at = timezone.now() + PAUSE_AFTER_FAILURE * lease.attempt
    _held(lease).update(state=Pull.State.QUEUED, error=reason, lease_until=again_at, progress={})


@transaction.atomic
def request_cancel(*, actor: Actor, pull: Pull) -> Pull:
    """Stop a pull that waits or reads; one that is being written is past that and can be undone afterwards."""
    _require_manage(actor)
    locked = Pull.objects.select_for_update(skip_locked=True).filter(pk=pull.pk).first()
    if locked is None:
        raise Conflict("The rows are being written at this moment.", hint="Undo the import when it is done.")
    if locked.state == Pull.State.RUNNING:
        locked.cancel_requested = True
    elif locked.state in (Pull.State.DRAFT, Pull.State.QUEUED):
        locked.state, locked.finished_at = Pull.State.CANCELLED, timezone.now()
    else:
        raise Conflict(f"This import is {locked.get_state_display()} already.")
    locked.save(update_fields=("cancel_requested", "state", "finished_at"))
    audit.record(actor=actor, verb="asked to cancel import", subject=locked)
    return locked


@transaction.atomic
def retry(*, actor: Actor, pull: Pull) -> Pull:
    """Read a failed or cancelled pull again from its start, with attempts counted anew."""
    _require_manage(actor)
    pull = Pull.objects.select_for_update().get(pk=pull.pk)
    if pull.state not in (Pull.State.FAILED, Pull.State.CANCELLED):
        raise Conflict(f"This import is {pull.get_state_display()}.")
    if pull.file_path and pull.file_deleted_at:
        raise BadInput("Its file was deleted already.", hint="Upload it again.")
    pull.state, pull.attempt, pull.lease_until, pull.cancel_requested = Pull.State.QUEUED, 0, None, False
    pull.error, pull.finished_at, pull.progress = "", None, {}
    pull.save()
    audit.record(actor=actor, verb="asked to read import again", subject=pull)
    return pull


def mark_undone(*, actor: Actor, pull: Pull) -> None:
    """Last step of the transaction that took the rows out: the part holds again what the pull before it read."""
    if not connection.in_atomic_block:
        raise RuntimeError("A pull is marked undone in the transaction that takes its rows out.")
    _require_manage(actor)
    before = (
        Pull.objects.filter(part_id=pull.part_id, state=Pull.State.DONE)
        .exclude(pk=pull.pk)
        .order_by("-finished_at")
        .first()
    )
    Part.objects.filter(pk=pull.part_id).update(sha256=before.digest if before else "")
    pull.state = Pull.State.UNDONE
    pull.save(update_fields=("state",))
    audit.record(actor=actor, verb="undid import", subject=pull, data={"part": pull.part.name})


def _check_format(format: str) -> None:  # noqa: A002
    if format not in Pull.Format.values:
        raise BadInput(f"There is no format '{format[:40]}'.", hint=f"Use one of {', '.join(Pull.Format.values)}.")


def _require_manage(actor: Actor) -> None:
    require(actor, Right.MANAGE_SOURCES)


def _held(lease: Lease) -> Any:
    return Pull.objects.filter(pk=lease.pull_id, attempt=lease.attempt, state=Pull.State.RUNNING)


def _must_wait(pull: Pull) -> bool:
    """Whether another run over these hours of the part is under way or was asked for earlier."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [TAKING_LOCK, pull.part_id])
    running = _same_hours(pull).filter(state=Pull.State.RUNNING).exclude(pk=pull.pk)
    return running.exists() or ahead_of(pull).exists()


def _same_hours(pull: Pull) -> QuerySet[Pull]:
    """Pulls of the part whose windows meet this one's; a missing edge is the whole part."""
    found = Pull.objects.filter(part_id=pull.part_id)
    if pull.until is not None:
        found = found.filter(Q(since__isnull=True) | Q(since__lt=pull.until))
    return found if pull.since is None else found.filter(Q(until__isnull=True) | Q(until__gt=pull.since))


def _give_up(pull: Pull) -> None:
    reason = pull.error or "its worker was killed each time, perhaps for want of memory"
    pull.state, pull.finished_at, pull.lease_until, pull.progress = Pull.State.FAILED, timezone.now(), None, {}
    pull.error = f"Given up after {MOST_ATTEMPTS} attempts. The last one stopped in the middle: {reason}"
    pull.save()
    audit.record(actor=Actor.system("imports"), verb="import failed", subject=pull, data={"reason": pull.error})


def _refuse_loaded(pull: Pull) -> None:
    other = Part.objects.filter(sha256=pull.digest).exclude(pk=pull.part_id).select_related("source").first()
    if other is not None:
        raise Conflict(f"The same bytes are already loaded as part '{other.name}' of source {other.source.slug}.")

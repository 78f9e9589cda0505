"""Signing a month and opening it again: figures freeze, the pack is sealed, the database refuses what comes late."""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.accounts import rights
from apps.accounts.freshness import SessionTooOld, is_fresh
from apps.accounts.models import Role
from apps.accounts.rights import Right
from apps.core import audit, heads, periods
from apps.core.actor import Actor
from apps.core.errors import Conflict, NotAllowed
from apps.costs import selectors as costs
from apps.costs import services as costing
from apps.economics import services as economics
from apps.reviews import packs
from apps.reviews.access import require_person_at_page
from apps.reviews.blockers import LABELS, Blocker, blockers_of, not_waived
from apps.reviews.contents import pack_contents
from apps.reviews.models import Attestation, Cycle, Item, Pack, Waiver
from apps.reviews.services.cycles import refresh, take_into

log = logging.getLogger(__name__)


class Blocked(Conflict):
    """Something stands in the way that nobody has waived."""

    def __init__(self, cycle: Cycle, blockers: Sequence[Blocker]) -> None:
        keys = ", ".join(LABELS[blocker.key].lower() for blocker in blockers)
        super().__init__(
            f"{cycle} cannot be signed off yet: {keys}.", hint="Put it right, or have a second person waive it."
        )


class NewerFigures(Conflict):
    """The books moved since the agenda was taken: nobody signs what nobody has seen."""

    def __init__(self, cycle: Cycle) -> None:
        super().__init__(
            f"The figures of {cycle} are newer than the agenda; they have been taken in.",
            hint="Look at what changed, then sign.",
        )


def why_not_sign(actor: Actor, cycle: Cycle) -> str:
    """Why this person cannot sign this month, in a sentence; empty when they can."""
    if not rights.rights_of(actor).may(Right.REVIEW):
        return "Reviewers sign a month."
    behind = rights.behind(actor, Role.REVIEWER, None)
    if not behind:
        return "A month is signed as a whole: your role of reviewer is for a part of the organisation."
    attested = _attested(cycle, {actor.person_id or 0, *behind})
    if actor.person_id in attested:
        return "You attested figures of this month; somebody else signs it."
    if behind <= attested:
        return "You review for somebody who attested figures of this month; somebody else signs it."
    return ""


def _attested(cycle: Cycle, people: Collection[int]) -> set[int]:
    return set(Attestation.objects.filter(cycle=cycle, person__in=people).values_list("person", flat=True))


def sign(*, actor: Actor, cycle: Cycle, version: int, now: datetime, session_fresh_at: datetime | None) -> Pack:
    """Sign the month off: figures freeze, undecided items are carried, the pack is sealed, the month is locked.

    Raises NotAllowed for whoever may not, SessionTooOld where they did not log in within 15 minutes, Conflict for a
    stale page or a second signing, NewerFigures where the books moved since the agenda was taken (which is kept, though
    nothing is signed), Blocked for what stands in the way. What it leaves undecided goes to the next open review.
    """
    person = require_person_at_page(actor)
    if not is_fresh(session_fresh_at, now):
        raise SessionTooOld
    try:
        pack = _sign(actor, person, cycle, version, now)
    except NewerFigures:
        refresh(actor=actor, cycle=cycle, now=now)
        raise
    _carry_on(actor, cycle, now)
    return pack


def _carry_on(actor: Actor, cycle: Cycle, now: datetime) -> None:
    """What was left undecided goes to the reviews that are open. The month is signed, whatever becomes of this.

    Where it fails, the sweep finds those reviews behind the signature and takes it up again.
    """
    for later in Cycle.objects.filter(state=Cycle.State.OPEN, month__gt=cycle.month).order_by("month"):
        try:
            refresh(actor=actor, cycle=later, now=now)
        except Exception:  # the signature holds, and its page must say so
            log.exception("%s was signed; the agenda of %s is to be taken anew.", cycle, later)


@transaction.atomic
def _sign(actor: Actor, person: int, cycle: Cycle, version: int, now: datetime) -> Pack:
    """All of it or nothing. Locking the month is the last step, since whoever publishes usage waits from there on."""
    current = Cycle.objects.select_for_update().get(pk=cycle.pk)
    refusal = why_not_sign(actor, current)
    if refusal:
        raise NotAllowed(refusal)
    _check_open(current, version)
    mark = costs.month_mark(current.month)
    economics.freeze(month=current.month)
    if take_into(current, now=now).is_changed:
        raise NewerFigures(current)
    standing = not_waived(current, blockers_of(current, now=now))
    if standing:
        raise Blocked(current, standing)
    current.items.filter(state=Item.State.OPEN).update(state=Item.State.CARRIED)
    behind = rights.behind(actor, Role.REVIEWER, None)
    acted_for = rights.for_whom(actor, behind - _attested(current, behind))
    pack = _seal(current, person, now, acted_for)
    current.state, current.signed_at = Cycle.State.SIGNED, now
    current.revision, current.version = pack.revision, current.version + 1
    current.save(update_fields=["state", "signed_at", "revision", "version"])
    data: dict[str, object] = {"revision": pack.revision, "sha256": pack.sha256}
    if acted_for:
        data["acted_for"] = acted_for
    audit.record(actor=actor, verb="signed month", subject=current, data=data)
    costing.sign_month(month=current.month, pack_sha256=pack.sha256)
    if costs.month_mark(current.month) != mark:
        raise Conflict("Figures of the month changed while it was being signed.", hint="Look at them, then sign again.")
    return pack


@transaction.atomic
def reopen(*, actor: Actor, cycle: Cycle, reason: str, asked_by: int) -> Cycle:
    """Open a signed month again, as the second of two people; the pack that was signed stays.

    What was frozen stays frozen: the next signing seals restated figures beside it, as a new revision.
    """
    person = require_person_at_page(actor)
    if asked_by == person:
        raise NotAllowed("Whoever asks does not confirm.")
    current = Cycle.objects.select_for_update().get(pk=cycle.pk)
    if current.is_open:
        raise Conflict(f"The review of {current} is open already.")
    periods.reopen(current.month)
    current.state, current.version = Cycle.State.OPEN, current.version + 1
    current.save(update_fields=["state", "version"])
    current.items.filter(state=Item.State.CARRIED).update(state=Item.State.OPEN)
    data = {"reason": reason, "asked_by": asked_by, "revision": current.revision}
    audit.record(actor=actor, verb="reopened month", subject=current, data=data)
    return current


@transaction.atomic
def waive(
    *, actor: Actor, cycle: Cycle, blocker: str, digest: str, reason: str, asked_by: int, decision_id: int
) -> Waiver:
    """Let one blocker pass as it stands, as the second of two people; it covers what was looked at and no more."""
    person = require_person_at_page(actor)
    if asked_by == person:
        raise NotAllowed("Whoever asks does not confirm.")
    current = Cycle.objects.select_for_update().get(pk=cycle.pk)
    if not current.is_open:
        raise Conflict(f"The review of {current} is signed off.")
    waiver = Waiver.objects.create(
        cycle=current,
        blocker=blocker,
        digest=digest,
        reason=reason,
        asked_by_id=asked_by,
        confirmed_by_id=person,
        revision=current.revision,
        decision_id=decision_id,
    )
    data = {"blocker": blocker, "reason": reason, "asked_by": asked_by}
    audit.record(actor=actor, verb="waived blocker", subject=current, data=data)
    return waiver


def _check_open(cycle: Cycle, version: int) -> None:
    if not cycle.is_open:
        raise Conflict(f"{cycle} is signed off already.")
    if cycle.version != version:
        raise Conflict(f"The review of {cycle} changed while you read it.", hint="Look at it again, then sign.")


def _seal(cycle: Cycle, person: int, now: datetime, acted_for: list[int]) -> Pack:
    """The chain is brought up to date first, so that the head in the pack covers what was decided."""
    audit.seal()
    head: dict[str, Any] = heads.current(now=now)
    revision = cycle.revision + 1
    said = pack_contents(cycle, revision=revision, signed_by=person, signed_at=now, head=head, acted_for=acted_for)
    body = packs.canonical(said)
    return Pack.objects.create(
        cycle=cycle, revision=revision, body=body, sha256=packs.digest(body), audit_head=head, signed_by_id=person
    )

"""Asking, confirming, refusing, taking back. The database proves each of them; here the refusal is said in words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import DatabaseError, connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from apps.accounts import rights
from apps.accounts.freshness import SessionTooOld, is_fresh
from apps.accounts.models import Person, RoleGrant
from apps.approvals import kind as kinds
from apps.approvals import selectors
from apps.approvals.kind import Applying, Kind
from apps.approvals.models import Barred, Confirmation, Decision, Letter
from apps.approvals.statement import Values, digest_of, statement_of
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed

WAITS_FOR: Final = timedelta(days=30)
LONGEST_REASON: Final = 300


class NotTheirs(NotAllowed):
    """Somebody tried to decide what is for others to decide."""


@transaction.atomic
def ask(*, actor: Actor, kind: str, subject: models.Model, proposed: Mapping[str, Any], reason: str) -> Confirmation:
    """Propose a change; it takes effect when somebody else confirms it.

    Another proposal about the same thing takes the place of one that waits: what was seen of that one decides nothing
    about this one. The very same proposal by the same person is the one that waits already.
    """
    known = kinds.get(kind)
    if actor.person_id is None:
        raise NotAllowed("A change that somebody confirms is asked for by a person.")
    # As it is now: whoever holds an old object may have lost what they owned.
    subject = _found(known, subject.pk)
    if not known.may_ask(actor, subject):
        raise NotAllowed(f"You may not change this: {known.label.lower()}.")
    reason = _clean_reason(reason)
    values = known.clean(actor, subject, proposed)
    if known.standing(subject, values) == values:
        raise BadInput("Nothing would change.")
    drafted = _draft(actor, known, subject, values, reason)
    earlier = _take_the_place(actor, drafted)
    if earlier is not None and earlier.is_waiting:
        return earlier
    drafted.replaces = earlier
    drafted.save(force_insert=True)
    also = known.barred(subject, values)
    Barred.objects.bulk_create(Barred(person_id=pk, confirmation=drafted, why=why) for pk, why in also.items())
    Letter.objects.create(confirmation=drafted, occasion=Letter.Occasion.ASKED)
    drafted.refresh_from_db()
    audit.record(actor=actor, verb="asked for confirmation", subject=drafted, data=_evidence(drafted))
    return drafted


def confirm(*, actor: Actor, confirmation: Confirmation, digest: str, session_fresh_at: datetime | None) -> Decision:
    """Let a proposed change happen, now and in one transaction. `digest` is that of what the decider saw."""
    with _attempts_told(actor, confirmation, Decision.Verdict.CONFIRM):
        return _confirm(actor, confirmation, digest, session_fresh_at)


@transaction.atomic
def _confirm(actor: Actor, confirmation: Confirmation, digest: str, session_fresh_at: datetime | None) -> Decision:
    decider = _at_a_page(actor, session_fresh_at)
    waiting, earlier = _to_decide(decider, confirmation, digest, Decision.Verdict.CONFIRM)
    if earlier is not None:
        return earlier
    known = kinds.get(waiting.kind)
    subject = _found(known, waiting.subject_id)
    if known.stands(subject, waiting.proposed) != waiting.standing:
        raise Conflict(
            "What stands has changed since this was asked for.",
            hint="Whoever asked has to look at it and ask once more.",
        )
    decision = _decide(decider, waiting, Decision.Verdict.CONFIRM)
    asker = _asker(waiting)
    known.apply(Applying(asker, actor, subject, waiting.proposed, waiting.reason, decision.pk))
    data = {**_evidence(waiting), "decision": decision.pk, **_for_whom(decision)}
    audit.record(actor=actor, verb="confirmed", subject=waiting, data=data)
    return decision


def refuse(
    *, actor: Actor, confirmation: Confirmation, digest: str, session_fresh_at: datetime | None, reason: str
) -> Decision:
    """Let a proposed change not happen; whoever asked reads why."""
    with _attempts_told(actor, confirmation, Decision.Verdict.REFUSE):
        return _refuse(actor, confirmation, digest, session_fresh_at, reason)


@transaction.atomic
def _refuse(
    actor: Actor, confirmation: Confirmation, digest: str, session_fresh_at: datetime | None, reason: str
) -> Decision:
    reason = _clean_reason(reason)
    decider = _at_a_page(actor, session_fresh_at)
    waiting, earlier = _to_decide(decider, confirmation, digest, Decision.Verdict.REFUSE)
    if earlier is not None:
        return earlier
    decision = _decide(decider, waiting, Decision.Verdict.REFUSE, reason)
    data = {**_evidence(waiting), "decision": decision.pk, "reason": reason, **_for_whom(decision)}
    audit.record(actor=actor, verb="refused", subject=waiting, data=data)
    return decision


@transaction.atomic
def withdraw(*, actor: Actor, confirmation: Confirmation, reason: str = "") -> Confirmation:
    """Take a proposal back: whoever asked, or whoever could ask for the same."""
    waiting = Confirmation.objects.select_for_update(of=("self",)).get(pk=confirmation.pk)
    if not selectors.may_withdraw(actor, waiting):
        raise NotAllowed("Only whoever asked can take this back.")
    if waiting.state == Confirmation.State.WITHDRAWN:
        return waiting
    _require_waiting(waiting)
    _settle(waiting, Confirmation.State.WITHDRAWN)
    data = {**_evidence(waiting), "reason": " ".join(reason.split())[:LONGEST_REASON]}
    audit.record(actor=actor, verb="withdrew", subject=waiting, data=data)
    return waiting


@transaction.atomic
def end_waiting(*, actor: Actor, pk: int) -> bool:
    """Let a proposal end that has waited too long; whoever asked is told. False where it is settled by now."""
    waiting = Confirmation.objects.expired().select_for_update(of=("self",)).filter(pk=pk).first()
    if waiting is None:
        return False
    _settle(waiting, Confirmation.State.EXPIRED)
    Letter.objects.create(confirmation=waiting, occasion=Letter.Occasion.EXPIRED)
    audit.record(actor=actor, verb="let proposal expire", subject=waiting, data=_evidence(waiting))
    return True


# --- Asking -----------------------------------------------------------------------------------------------------------


def _draft(actor: Actor, known: Kind, subject: models.Model, proposed: Values, reason: str) -> Confirmation:
    workload, standing = known.workload_of(subject), known.stands(subject, proposed)
    about: Any = {
        "kind": known.name,
        "subject_kind": subject._meta.label_lower,  # noqa: SLF001
        "subject_id": subject.pk,
        "key": known.key_of(subject, proposed),
    }
    workload_id = workload.pk if workload else None
    statement = statement_of(**about, workload_id=workload_id, standing=standing, proposed=proposed)
    return Confirmation(
        **about,
        workload=workload,
        standing=standing,
        proposed=proposed,
        statement=statement,
        digest=digest_of(statement),
        reason=reason,
        roles=kinds.roles_with(known.deciders),
        stand_ins=kinds.roles_with(known.stand_ins),
        asked_by_id=actor.person_id or 0,
        asked_at=Now(),
        expires_at=Now() + WAITS_FOR,
    )


def _take_the_place(actor: Actor, drafted: Confirmation) -> Confirmation | None:
    """The waiting proposal about the same: as it is when it says the same, else made void."""
    same = {name: getattr(drafted, name) for name in ("kind", "subject_kind", "subject_id", "key")}
    with connection.cursor() as cursor:
        # Two who ask at once come one by one.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7301))", [f"{list(same.values())}"])
    rows = Confirmation.objects.select_for_update(of=("self",)).filter(**same, state=Confirmation.State.WAITING)
    earlier = rows.first()
    if earlier is None or _is_repetition(drafted, earlier):
        return earlier
    _settle(earlier, Confirmation.State.VOID)
    audit.record(actor=actor, verb="replaced proposal", subject=earlier, data=_evidence(earlier))
    return earlier


def _is_repetition(drafted: Confirmation, earlier: Confirmation) -> bool:
    is_same = (drafted.digest, drafted.asked_by_id) == (earlier.digest, earlier.asked_by_id)
    return is_same and earlier.expires_at > timezone.now()


# --- Deciding ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Decider:
    """A person at a page who proved who they are a moment ago."""

    actor: Actor
    person_id: int
    fresh_at: datetime


def _at_a_page(actor: Actor, fresh_at: datetime | None) -> _Decider:
    if actor.channel != "web" or actor.person_id is None:
        raise NotAllowed("A person decides, at a page.", hint="Tokens, commands and tasks decide nothing.")
    if fresh_at is None or not is_fresh(fresh_at, timezone.now()):
        raise SessionTooOld
    return _Decider(actor, actor.person_id, fresh_at)


def _to_decide(
    decider: _Decider, confirmation: Confirmation, digest: str, verdict: Decision.Verdict
) -> tuple[Confirmation, Decision | None]:
    """The row, held until the transaction ends; and the decision, where the same person pressed the button twice."""
    # Sending a person away and ending a role hold these rows too: nobody decides with a role that ends meanwhile.
    running = Q(passed_on__person=decider.person_id, passed_on__valid_to__gt=Now())
    holders = RoleGrant.objects.filter(running).values("person")
    people = Person.objects.filter(Q(pk=decider.person_id) | Q(pk__in=holders)).order_by("pk")
    list(people.select_for_update())
    waiting = Confirmation.objects.select_for_update(of=("self",)).get(pk=confirmation.pk)
    made = Decision.objects.filter(confirmation=waiting).first()
    if made and (made.person_id, made.verdict, made.digest) == (decider.person_id, verdict, digest):
        return waiting, made
    _require_waiting(waiting)
    if digest != waiting.digest:
        raise Conflict("This is not what you saw.", hint="Read what is asked for now, then decide.")
    rights.forget()
    obstacle = selectors.why_not(decider.actor, waiting)
    if obstacle:
        raise NotTheirs(obstacle)
    return waiting, None


@contextmanager
def _attempts_told(actor: Actor, confirmation: Confirmation, verdict: Decision.Verdict) -> Iterator[None]:
    """Who tried to decide what is not theirs stays in the trail, by a transaction of its own: the deed's is undone."""
    try:
        yield
    except NotTheirs as error:
        with transaction.atomic():
            data = {**_evidence(confirmation), "verdict": verdict, "why": str(error)}
            audit.record(actor=actor, verb="was not let decide", subject=confirmation, data=data)
        raise


def _require_waiting(confirmation: Confirmation) -> None:
    if not confirmation.is_waiting:
        replaced = confirmation.state == Confirmation.State.VOID
        hint = "Read the proposal that took its place." if replaced else "Nothing is left to decide."
        raise Conflict(f"This was {confirmation.get_state_display()} in the meantime.", hint=hint)
    if confirmation.expires_at <= timezone.now():
        raise Conflict("This has waited too long.", hint="Whoever asked can ask once more.")


def _decide(decider: _Decider, waiting: Confirmation, verdict: Decision.Verdict, reason: str = "") -> Decision:
    """Insert the decision; the database moves the confirmation with it."""
    with _proof_in_words():
        decision = Decision.objects.create(
            confirmation=waiting,
            person_id=decider.person_id,
            verdict=verdict,
            digest=waiting.digest,
            reason=reason,
            channel=decider.actor.channel,
            session_fresh_at=decider.fresh_at,
        )
    decision.refresh_from_db(fields=["acted_for"])
    waiting.refresh_from_db()
    return decision


@contextmanager
def _proof_in_words() -> Iterator[None]:
    """The database refused what the checks above let pass: something moved between them."""
    try:
        with transaction.atomic():
            yield
    except DatabaseError as error:
        raise Conflict(
            "Something changed at this moment, and the decision does not count.", hint="Read it again, then decide."
        ) from error


def _found(known: Kind, pk: int) -> Any:
    found = known.subjects([pk]).get(pk)
    if found is None:
        raise Conflict("What this is about is no longer there.")
    return found


def _asker(waiting: Confirmation) -> Actor:
    person = Person.objects.get(pk=waiting.asked_by_id)
    if not person.active:
        raise Conflict(
            f"{person.name}, who asked for this, is no longer here.", hint="Somebody else has to ask for it."
        )
    return Actor(person_id=person.pk, label=person.name, channel="web")


def _settle(confirmation: Confirmation, state: Confirmation.State) -> None:
    confirmation.state = state
    confirmation.settled_at = Now()
    confirmation.save(update_fields=["state", "settled_at"])
    confirmation.refresh_from_db()


def _clean_reason(reason: str) -> str:
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise BadInput(f"Say why, in 1 to {LONGEST_REASON} printable characters.")
    return reason


def _for_whom(decision: Decision) -> dict[str, object]:
    return {"acted_for": decision.acted_for_id} if decision.acted_for_id else {}


def _evidence(confirmation: Confirmation) -> dict[str, object]:
    return {
        "kind": confirmation.kind,
        "about": [confirmation.subject_kind, confirmation.subject_id],
        "workload": confirmation.workload_id,
        "standing": confirmation.standing,
        "proposed": confirmation.proposed,
        "digest": confirmation.digest,
    }

"""Which usage belongs to a workload. A binding is never changed: another one takes its place, and both stay readable.

These write bindings only. Whoever knows identities (the costs app) resolves them again in the same transaction.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict
from apps.workloads.attribution import Claim, IdentityRef, Pair, claims_in_force, lock_bindings
from apps.workloads.models import BEGINNING, END, Binding, Workload

MOST_PAIRS, LONGEST_KIND, LONGEST_VALUE = 20, 60, 1000


@transaction.atomic
def add_binding(
    *,
    actor: Actor,
    workload: Workload,
    pairs: Sequence[Sequence[str]],
    source_id: int | None = None,
    valid_from: datetime = BEGINNING,
    valid_to: datetime = END,
    identities: Iterable[IdentityRef] = (),
) -> Binding:
    """Usage with all these pairs is the workload's, from one full hour to another (half-open).

    `identities` are known spenders that match; a tie with another workload's binding over one of them is refused.
    """
    rights.require(actor, Right.ALLOCATE)
    lock_bindings(shared=False)
    _check_workload(workload)
    claim = draft_claim(workload, pairs, source_id, valid_from, valid_to)
    refuse_tie(claim, claims_in_force(), identities)
    return _store(actor, claim, verb="bound usage")


@transaction.atomic
def supersede(*, actor: Actor, binding: Binding, identities: Iterable[IdentityRef] = (), **changed: Any) -> Binding:
    """Put another binding in this one's place. `changed`: any of workload, pairs, source_id, valid_from, valid_to."""
    rights.require(actor, Right.ALLOCATE)
    lock_bindings(shared=False)
    old = _in_force(binding)
    values = {
        "workload": old.workload,
        "pairs": old.pairs,
        "source_id": old.source_id,
        "valid_from": old.valid_from,
        "valid_to": old.valid_to,
        **changed,
    }
    _check_workload(values["workload"])
    claim = draft_claim(**values)
    refuse_tie(claim, [other for other in claims_in_force() if other.id != old.pk], identities)
    new = _store(actor, claim, verb="replaced binding", replaces=old.pk)
    Binding.objects.filter(pk=old.pk).update(superseded_by=new)
    if new.workload_id != old.workload_id:
        # Taking usage away from a use case is a hand in it too.
        data = {"workload": old.workload_id, "replaced_by": new.pk}
        audit.record(actor=actor, verb="took binding back", subject=old, data=data)
    return new


@transaction.atomic
def end_binding(*, actor: Actor, binding: Binding, valid_to: datetime | None = None) -> Binding | None:
    """Let it end at a full hour; None, or an hour before it began, takes it back whole. Returns what stands now."""
    rights.require(actor, Right.ALLOCATE)
    lock_bindings(shared=False)
    old = _in_force(binding)
    if valid_to is not None and valid_to > old.valid_from:
        return supersede(actor=actor, binding=old, valid_to=min(valid_to, old.valid_to))
    Binding.objects.filter(pk=old.pk).update(ended_at=Now())
    audit.record(actor=actor, verb="took binding back", subject=old, data={"workload": old.workload_id})
    return None


def draft_claim(
    workload: Workload,
    pairs: Sequence[Sequence[str]],
    source_id: int | None = None,
    valid_from: datetime = BEGINNING,
    valid_to: datetime = END,
) -> Claim:
    """The binding as plain data with id 0, before anything is saved. Raises BadInput for what cannot be one."""
    _check_hours(valid_from, valid_to)
    return Claim(0, workload.pk, source_id, frozenset(clean_pairs(pairs)), valid_from, valid_to)


def clean_pairs(pairs: Sequence[Sequence[str]]) -> list[Pair]:
    """Sorted (kind, value) pairs without doubles. A kind has a name; a value may be empty, as a missing key is."""
    cleaned = sorted({(str(kind).strip(), str(value)) for kind, value in pairs})
    if not cleaned:
        raise BadInput("A binding needs at least one key.", hint="Otherwise it would claim all usage.")
    if len(cleaned) > MOST_PAIRS:
        raise BadInput(f"A binding has at most {MOST_PAIRS} keys.")
    for kind, value in cleaned:
        if not kind or len(kind) > LONGEST_KIND or len(value) > LONGEST_VALUE:
            raise BadInput(
                f"“{kind[:40]}={value[:40]}” is no usage key.", hint="Write kind=value, such as team=growth."
            )
    return cleaned


def refuse_tie(claim: Claim, others: Iterable[Claim], identities: Iterable[IdentityRef]) -> None:
    """Two bindings of the same rank over the same usage: refused here, since nothing could decide between them."""
    spenders = [(spender.source_id, frozenset(spender.pairs)) for spender in identities]
    rivals = [other for other in others if other.rank == claim.rank and other.overlaps(claim)]
    for other in rivals:
        if (other.pairs, other.source_id) == (claim.pairs, claim.source_id) or any(
            other.workload_id != claim.workload_id and other.matches(*s) and claim.matches(*s) for s in spenders
        ):
            raise Conflict(_tie_in_words(claim, other), hint="End that binding, or start this one at another hour.")


def _tie_in_words(claim: Claim, other: Claim) -> str:
    rival = Binding.objects.select_related("workload").get(pk=other.id)
    if other.workload_id == claim.workload_id and other.pairs == claim.pairs:
        return f"{rival.label} is bound to {rival.workload.name} already."
    owner = f"{rival.workload.name} ({rival.workload.ref})"
    return f"{rival.label} is claimed by {owner} with equal right from the same hour on."


def _check_workload(workload: Workload) -> None:
    state = Workload.objects.only("state").get(pk=workload.pk).state
    if state == Workload.State.DRAFT:
        raise Conflict(f"{workload.name} is still a draft.", hint="Register it first, then bind usage to it.")
    if state == Workload.State.CLOSED:
        raise Conflict(f"{workload.name} is closed.", hint="Bind the usage to a workload that runs.")


def _check_hours(valid_from: datetime, valid_to: datetime) -> None:
    for instant in (valid_from, valid_to):
        if instant.tzinfo is None or instant.minute or instant.second or instant.microsecond:
            raise BadInput(f"A binding runs from one full hour (UTC) to another; {instant.isoformat()} is none.")
        if not BEGINNING <= instant <= END:
            raise BadInput("The binding lies outside the calendar.", hint="Choose a time from 1970 on.")
    if valid_from >= valid_to:
        raise BadInput("The binding ends before it begins.", hint="Choose a later end, or leave it open.")


def _in_force(binding: Binding) -> Binding:
    current = Binding.objects.select_for_update(of=("self",)).select_related("workload").get(pk=binding.pk)
    if not current.in_force:
        raise Conflict("This binding was changed in the meantime.", hint="Look at the list of bindings again.")
    return current


def _store(actor: Actor, claim: Claim, *, verb: str, replaces: int | None = None) -> Binding:
    binding = Binding.objects.create(
        workload_id=claim.workload_id,
        source_id=claim.source_id,
        pairs=[list(pair) for pair in sorted(claim.pairs)],
        valid_from=claim.valid_from,
        valid_to=claim.valid_to,
        recorded_by_id=actor.person_id,
    )
    data = {"workload": claim.workload_id, "source": claim.source_id, "pairs": binding.pairs, "replaces": replaces}
    period = {"from": claim.valid_from, "to": claim.valid_to}
    audit.record(actor=actor, verb=verb, subject=binding, data=data | period)
    return binding

"""What a monthly review does to a workload: it may end, stop or slow it, and nothing that would loosen."""

from typing import Any

from django.db import transaction

from apps.accounts import rights
from apps.accounts.models import Role
from apps.accounts.rights import Right
from apps.catalog.models import LatencyBand
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.workloads.fields import REVISED
from apps.workloads.models import Workload, WorkloadRevision


def why_not_tighten(actor: Actor, workload: Workload) -> str:
    """Why the review of this workload is not this person's to decide, in a sentence; empty when it is.

    To see its money is not enough: a role of reviewer must cover its cost centre. Nobody decides about their own.
    """
    if not rights.rights_of(actor).may(Right.REVIEW):
        return f"You may not {Right.REVIEW}."
    owners = _owners(workload)
    if actor.person_id in owners:
        return f"You own {workload.name}; another reviewer decides about it."
    behind = rights.behind(actor, Role.REVIEWER, workload.cost_centre)
    if not behind:
        return f"{workload.name} belongs to a cost centre that you do not review."
    if behind <= owners:
        return f"You review for somebody who owns {workload.name}; another reviewer decides about it."
    return ""


def reviews_for(actor: Actor, workload: Workload) -> int | None:
    """Whose role of reviewer the actor decides about it by, where they have none of their own."""
    behind = rights.behind(actor, Role.REVIEWER, workload.cost_centre)
    return next(iter(rights.for_whom(actor, behind - _owners(workload))), None)


def _owners(workload: Workload) -> set[int | None]:
    return {workload.business_owner_id, workload.technical_owner_id, workload.budget_owner_id}


@transaction.atomic
def tighten(
    *,
    actor: Actor,
    workload: Workload,
    reason: str,
    suspend: bool = False,
    sunset: bool = False,
    latency_band: LatencyBand | None = None,
) -> Workload:
    """Suspend it, send it into its sunset, or give it more time for an answer; for reviewers within their scope."""
    current = Workload.objects.select_for_update(of=("self",)).select_related("cost_centre").get(pk=workload.pk)
    refusal = why_not_tighten(actor, current)
    if refusal:
        raise NotAllowed(refusal)
    if current.state == Workload.State.DRAFT:
        raise Conflict(f"{current.name} is a draft; there is nothing to review yet.")
    changes = _card_changes(current, suspend=suspend, sunset=sunset)
    if latency_band is not None:
        _slow_down(actor, current, latency_band, reason)
    if changes:
        current.version += 1
        current.save()
        data = {"version": current.version, "reason": reason, "changes": changes}
        data |= _in_the_name_of(actor, current)
        audit.record(actor=actor, verb="tightened workload", subject=current, data=data)
    return current


def _in_the_name_of(actor: Actor, workload: Workload) -> dict[str, Any]:
    """For the trail, where the role that the actor decides by was passed on to them."""
    holder = reviews_for(actor, workload)
    return {"acted_for": holder} if holder else {}


def _card_changes(current: Workload, *, suspend: bool, sunset: bool) -> dict[str, list[str]]:
    """Sets what changes on the row; returns both values of each."""
    changes: dict[str, list[str]] = {}
    if suspend and current.state == Workload.State.ACTIVE:
        changes["state"] = [current.state, Workload.State.SUSPENDED]
        current.state = Workload.State.SUSPENDED
    if sunset and current.stage != Workload.Stage.SUNSET:
        changes["stage"] = [current.stage, Workload.Stage.SUNSET]
        current.stage = Workload.Stage.SUNSET
    return changes


def _slow_down(actor: Actor, current: Workload, band: LatencyBand, reason: str) -> None:
    latest = current.revisions.select_related("latency_band").order_by("-version").first()
    standing = latest.latency_band if latest else None
    if standing is not None and _is_faster(band, standing):
        raise BadInput(f"{band.name} is faster than {standing.name}: a review does not loosen.", hint="Ask for it.")
    if latest and latest.latency_band_id == band.pk:
        return
    kept: dict[str, Any] = {name: getattr(latest, name) for name in REVISED} if latest else {}
    new = WorkloadRevision.objects.create(
        workload=current,
        version=latest.version + 1 if latest else 1,
        reason=reason[:300],
        recorded_by_id=actor.person_id,
        **{**kept, "latency_band": band},
    )
    changes = {"latency_band": [latest.latency_band_id if latest else None, band.pk]}
    data = {"revision": new.version, "reason": reason, "changes": changes, **_in_the_name_of(actor, current)}
    audit.record(actor=actor, verb="changed promise", subject=current, data=data)


def _is_faster(band: LatencyBand, standing: LatencyBand) -> bool:
    """None is no limit, the slowest there is."""
    if band.limit_ms is None:
        return False
    return standing.limit_ms is None or band.limit_ms < standing.limit_ms

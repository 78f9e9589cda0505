"""Reads of the register for pages: one workload for whoever asks, the list narrowed, bindings with their history."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import OuterRef, Q, QuerySet, Subquery

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.workloads.models import Binding, Workload, WorkloadRevision

REFERENCE: Final = re.compile(r"wl-0*([1-9][0-9]{0,17})", re.IGNORECASE)
WITH_PEOPLE: Final = ("cost_centre", "business_owner", "technical_owner", "budget_owner", "created_by")


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of workloads is narrowed to; empty filters nothing. `stage` "live" is everything but sunset."""

    words: str = ""
    stage: str = ""
    tier: str = ""
    band: str = ""
    audience: str = ""
    cost_centre: str = ""
    drafts: bool = False

    @property
    def is_filtering(self) -> bool:
        return self != Filters()


def get_workload_for(*, actor: Actor, ref: str) -> Workload:
    """By slug, or as people cite it (WL-007). A foreign draft does not exist for this actor."""
    cited = REFERENCE.fullmatch(ref)
    wanted = Q(pk=int(cited[1])) if cited else Q(slug=ref)
    found = Workload.objects.visible_to(actor).select_related(*WITH_PEOPLE).filter(wanted).first()
    if found is None:
        raise NotFound("This workload does not exist.", hint="It may have another name; search the portfolio.")
    return found


def get_binding_for(*, actor: Actor, workload: Workload, pk: int) -> Binding:
    found = Binding.objects.visible_to(actor).filter(workload=workload, pk=pk).select_related("workload").first()
    if found is None:
        raise NotFound("This binding does not exist.")
    return found


def listed(actor: Actor, filters: Filters) -> QuerySet[Workload]:
    """The register as the actor sees it, narrowed; drafts only when they are asked for."""
    found = Workload.objects.visible_to(actor)
    found = found.filter(state=Workload.State.DRAFT) if filters.drafts else found.active()
    if filters.words:
        found = found.filter(_has(filters.words))
    if filters.stage == "live":
        found = found.exclude(stage=Workload.Stage.SUNSET)
    elif filters.stage:
        found = found.filter(stage=filters.stage)
    for field, value in (("audience", filters.audience), ("cost_centre__code", filters.cost_centre)):
        if value:
            found = found.filter(**{field: value})
    return _with_promise(found, {"value_tier": filters.tier, "latency_band": filters.band})


def sees_any_money(actor: Actor) -> bool:
    """Whether any cost can be shown: by a role, or because one owns something that is more than a draft."""
    if rights.rights_of(actor).may(Right.SEE_MONEY):
        return True
    return actor.person_id is not None and Workload.objects.money_visible_to(actor).active().exists()


def orphans(actor: Actor) -> QuerySet[Workload]:
    """Registered workloads of which everybody who is named as an owner has left, and whose money the actor sees."""
    named = ("business_owner", "technical_owner", "budget_owner")
    answered = [Q(**{f"{owner}__active": True}) for owner in named]
    found = Workload.objects.money_visible_to(actor).active().exclude(state=Workload.State.CLOSED)
    return found.exclude(answered[0] | answered[1] | answered[2])


def promise_of(workload: Workload) -> WorkloadRevision:
    """Tier, band and failure cost as they are now."""
    return workload.revisions.select_related("value_tier", "latency_band").latest("version")


def bindings_of(actor: Actor, workload: Workload) -> list[Binding]:
    """Bindings of a workload, those in force first, each with who recorded it."""
    found = Binding.objects.visible_to(actor).filter(workload=workload)
    return sorted(
        found.select_related("recorded_by", "superseded_by__workload").order_by("-valid_from", "-pk"),
        key=lambda binding: not binding.in_force,
    )


def drafts_of(actor: Actor) -> QuerySet[Workload]:
    """Drafts that the actor began or is named in, the newest first."""
    mine = Q(created_by_id=actor.person_id) | Q(business_owner_id=actor.person_id)
    return Workload.objects.filter(mine, state=Workload.State.DRAFT).order_by("-updated_at")


def _has(words: str) -> Q:
    """Every word in the name, the purpose, the output unit or an owner's name; a reference finds its workload."""
    cited = REFERENCE.fullmatch(words.strip())
    if cited:
        return Q(pk=int(cited[1]))
    found = Q()
    for word in words.split()[:8]:
        anywhere = ("name", "purpose", "output_unit", "slug", "business_owner__name", "cost_centre__name")
        match = Q()
        for field in anywhere:
            match |= Q(**{f"{field}__icontains": word})
        found &= match
    return found


def _with_promise(found: QuerySet[Workload], wanted: Mapping[str, Any]) -> QuerySet[Workload]:
    latest = WorkloadRevision.objects.filter(workload=OuterRef("pk")).order_by("-version")
    for field, value in wanted.items():
        if value:
            found = found.alias(**{f"{field}_now": Subquery(latest.values(f"{field}_id")[:1])})
            found = found.filter(**{f"{field}_now": value})
    return found

"""A use case of Ben's in Care, and people who ask and decide; Gia is approver for Operations, Rolf reviewer there."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.accounts.models import Person, Role
from apps.approvals import services
from apps.approvals.models import Confirmation, Decision
from apps.catalog.models import LatencyBand, ValueTier
from apps.workloads import services as workloads
from apps.workloads.models import Workload
from tests.world import World, actor, give, make_member


def registered(world: World, name: str = "Summaries") -> Workload:
    """Registered by Ben, who owns it with Dan."""
    return workloads.register(
        actor=actor(world.ben),
        name=name,
        purpose="Three lines instead of a thread",
        output_unit="summary",
        audience="employee",
        benefit="labour",
        cost_centre=world.care,
        business_owner=world.ben,
        technical_owner=world.dan,
        budget_owner=world.ben,
        monthly_spend_expected=Decimal(4000),
        value_tier=tier("T3"),
        latency_band=LatencyBand.objects.get(code="batch"),
        failure_severity="little",
        failure_cost=Decimal(2),
    )


def approver(world: World, name: str = "Gia Rossi") -> Person:
    person = make_member(name)
    give(person, Role.APPROVER, world.operations, by=world.ada)
    return person


def tier(code: str) -> ValueTier:
    return ValueTier.objects.get(pk=code)


def ask_tier(workload: Workload, by: Person, code: str = "T1", reason: str = "Agents rely on it") -> Confirmation:
    return ask(workload, by, "tier", {"value_tier": tier(code)}, reason)


def ask(subject: Any, by: Person, kind: str, proposed: Mapping[str, Any], reason: str = "It changed") -> Confirmation:
    return services.ask(actor=actor(by), kind=kind, subject=subject, proposed=proposed, reason=reason)


def confirm(confirmation: Confirmation, by: Person, **more: Any) -> Decision:
    told: dict[str, Any] = {"digest": confirmation.digest, "session_fresh_at": timezone.now()}
    return services.confirm(**{"actor": actor(by), "confirmation": confirmation, **told, **more})


def refuse(confirmation: Confirmation, by: Person, reason: str = "Not yet", **more: Any) -> Decision:
    told: dict[str, Any] = {"digest": confirmation.digest, "session_fresh_at": timezone.now()}
    return services.refuse(actor=actor(by), confirmation=confirmation, reason=reason, **{**told, **more})


def state_of(confirmation: Confirmation) -> str:
    return Confirmation.objects.get(pk=confirmation.pk).state


def decide_raw(confirmation: Confirmation, by: Person, **more: Any) -> Decision:
    """A decision put straight into the table, past every service."""
    told: dict[str, Any] = {
        "verdict": "confirm",
        "digest": confirmation.digest,
        "channel": "web",
        "session_fresh_at": timezone.now(),
    }
    return Decision.objects.create(confirmation=confirmation, person=by, **{**told, **more})


def fresh() -> datetime:
    return timezone.now()

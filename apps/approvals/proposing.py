"""What a form or a table says about a use case, cut into the changes that are confirmed one by one."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from apps.approvals import kind as kinds
from apps.approvals.models import Confirmation
from apps.approvals.promise import OfPromise
from apps.approvals.services import ask
from apps.core.actor import Actor
from apps.economics import services as economics
from apps.economics.models import ValueCase
from apps.workloads import fields
from apps.workloads import services as workloads
from apps.workloads.models import Workload


@transaction.atomic
def propose(*, actor: Actor, workload: Workload, reason: str, values: Mapping[str, Any]) -> list[Confirmation]:
    """Ask for every change among `values` that somebody else confirms; empty when nothing would change."""
    about = [known for known in kinds.registry().values() if isinstance(known, OfPromise)]
    asked = []
    for known in about:
        wanted = {name: value for name, value in values.items() if name in known.fields}
        stands = known.standing(workload, {})
        if any(fields.as_text(value) != stands[name] for name, value in wanted.items()):
            asked.append(ask(actor=actor, kind=known.name, subject=workload, proposed=wanted, reason=reason))
    return asked


@transaction.atomic
def edit_card(
    *, actor: Actor, workload: Workload, reason: str, values: Mapping[str, Any], version: int | None = None
) -> list[Confirmation]:
    """Change the card, and ask for what of it somebody else confirms; a draft needs nobody."""
    if workload.state == Workload.State.DRAFT:
        workloads.edit(actor=actor, workload=workload, version=version, **values)
        return []
    own: Any = {name: value for name, value in values.items() if name not in fields.CONFIRMED}
    workloads.edit(actor=actor, workload=workload, version=version, **own)
    others = {name: value for name, value in values.items() if name in fields.CONFIRMED}
    return propose(actor=actor, workload=workload, reason=reason, values=others)


@transaction.atomic
def write_case_and_ask(
    *, actor: Actor, workload: Workload, file: tuple[str, bytes] | None, reason: str, **values: Any
) -> ValueCase:
    """Write the next version of the value case, with its evidence file if any, and ask for its attestation."""
    evidence = None
    if file is not None:
        name, content = file
        evidence = economics.add_evidence(actor=actor, workload=workload, name=name, content=content)
    case = economics.write_case(actor=actor, workload=workload, evidence=evidence, reason=reason, **values)
    words = reason or f"Version {case.version} of the value case"
    ask(actor=actor, kind="attestation", subject=case, proposed={}, reason=words)
    return case

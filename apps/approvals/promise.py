"""What the kinds about a workload have in common: some fields of its revision, or of its card."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Final

from apps.accounts.models import CostCentre, Person
from apps.accounts.rights import Right
from apps.approvals.kind import Applying, Kind, Row
from apps.approvals.statement import Values
from apps.catalog.models import LatencyBand, ValueTier
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.workloads import fields, selectors, services
from apps.workloads.models import Workload

_READ: Final[dict[str, Callable[[str], Any]]] = {
    "value_tier": lambda text: ValueTier.objects.get(pk=text),
    "latency_band": lambda text: LatencyBand.objects.get(pk=text),
    "failure_severity": str,
    "failure_cost": Decimal,
    "mandated_reason": str,
    "mandated_by": lambda text: Person.objects.get(pk=int(text)),
    "mandated_until": date.fromisoformat,
    "cost_centre": lambda text: CostCentre.objects.get(pk=int(text)),
    "output_unit": str,
    "stage": str,
}


class OfPromise(Kind):
    """A change of some fields of the revision. Approvers of its cost centre decide; reviewers where there is none."""

    fields: ClassVar[tuple[str, ...]]
    model = Workload
    deciders = (Right.DECIDE,)
    stand_ins = (Right.REVIEW,)

    def subjects(self, ids: list[int]) -> dict[int, Any]:
        return Workload.objects.select_related("cost_centre").in_bulk(ids)

    def may_ask(self, actor: Actor, subject: Workload) -> bool:
        return actor.person_id is not None and services.may_edit(actor, subject)

    def clean(self, actor: Actor, subject: Workload, proposed: Mapping[str, Any]) -> Values:  # noqa: ARG002
        if subject.state == Workload.State.DRAFT:
            raise BadInput(f"{subject.name} is a draft: its first values need nobody else.")
        cleaned = fields.clean(proposed, frozenset(self.fields))
        emptied = [fields.REQUIRED[name] for name in cleaned if name in fields.REQUIRED and cleaned[name] in (None, "")]
        if emptied:
            raise BadInput(f"A registered use case needs {' and '.join(emptied)}.")
        return self.standing(subject, {}) | {name: fields.as_text(value) for name, value in cleaned.items()}

    def standing(self, subject: Workload, proposed: Values) -> Values:  # noqa: ARG002
        latest = selectors.promise_of(subject)
        return {name: fields.as_text(getattr(latest, name)) for name in self.fields}

    def title(self, subject: Workload, proposed: Values) -> str:  # noqa: ARG002
        """Value tier T1: codes instead of names, since a list shows many."""
        return f"{self.label}: {proposed[self.fields[0]] or 'none'}"

    def rows(self, subject: Workload, standing: Values, proposed: Values) -> list[Row]:  # noqa: ARG002
        return [
            Row(fields.LABELS[name], _words(name, standing[name]), _words(name, proposed[name])) for name in self.fields
        ]

    def apply(self, change: Applying) -> None:
        values: Any = {name: read(name, text) for name, text in change.proposed.items()}
        services.change_revision(
            actor=change.asker,
            workload=change.subject,
            reason=change.reason,
            decision_id=change.decision_id,
            **values,
        )


class OfCard(OfPromise):
    """A change of what the register says to everybody, and which its owner does not make alone."""

    def standing(self, subject: Workload, proposed: Values) -> Values:  # noqa: ARG002
        return {name: fields.as_text(getattr(subject, name)) for name in self.fields}

    def apply(self, change: Applying) -> None:
        values: Any = {name: read(name, change.proposed[name]) for name in self.fields}
        services.change_confirmed(
            actor=change.asker,
            workload=change.subject,
            reason=change.reason,
            decision_id=change.decision_id,
            **values,
        )


def read(name: str, text: str | None) -> Any:
    """A value of the revision from the text under which it is kept."""
    if not text:
        return "" if name in ("failure_severity", "mandated_reason") else None
    return _READ[name](text)


def _words(name: str, text: str | None) -> str:
    return fields.in_words(name, read(name, text))

"""To hang a cost centre somewhere else: roles and budgets reach along the tree, so two administrators do it."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from apps.accounts import rights, services
from apps.accounts.models import CostCentre
from apps.accounts.rights import Right
from apps.approvals.kind import Applying, Kind, Row
from apps.approvals.statement import Values
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict


class CentreMove(Kind):
    """Proposed: `parent` (a CostCentre, or None for the top)."""

    name = "centre_move"
    label = "Move of a cost centre"
    icon = "sitemap"
    model = CostCentre
    deciders = (Right.MANAGE_PEOPLE,)
    stand_ins = (Right.READ_AUDIT,)
    seen_with = Right.SEE_PEOPLE

    def subjects(self, ids: list[int]) -> dict[int, Any]:
        return CostCentre.objects.select_related("parent").in_bulk(ids)

    def may_ask(self, actor: Actor, subject: CostCentre) -> bool:  # noqa: ARG002
        return actor.person_id is not None and rights.rights_of(actor).may(Right.MANAGE_PEOPLE)

    def clean(self, actor: Actor, subject: CostCentre, proposed: Mapping[str, Any]) -> Values:
        """Tried and taken back, so that what could never be is told at once."""
        parent: CostCentre | None = proposed.get("parent")
        if (parent.pk if parent else None) == subject.parent_id:
            raise BadInput("Nothing would change.")
        with transaction.atomic():
            services.move_cost_centre(actor=actor, centre=subject, parent=parent, decision_id=0)
            transaction.set_rollback(True)
        rights.forget()
        return {"parent": parent.pk if parent else None, "below": parent.name if parent else ""}

    def standing(self, subject: CostCentre, proposed: Values) -> Values:  # noqa: ARG002
        return {"parent": subject.parent_id, "path": subject.path, "below": str(subject.parent or "")}

    def title(self, subject: CostCentre, proposed: Values) -> str:  # noqa: ARG002
        return f"Move it below {proposed['below']}" if proposed["below"] else "Move it to the top"

    def rows(self, subject: CostCentre, standing: Values, proposed: Values) -> list[Row]:  # noqa: ARG002
        before, after = (said["below"] or "the top" for said in (standing, proposed))
        return [Row("Below", before, after)]

    def apply(self, change: Applying) -> None:
        parent = CostCentre.objects.filter(pk=change.proposed["parent"]).first()
        if change.proposed["parent"] and parent is None:
            raise Conflict("The cost centre to hang it below is no longer there.")
        services.move_cost_centre(
            actor=change.asker, centre=change.subject, parent=parent, decision_id=change.decision_id
        )

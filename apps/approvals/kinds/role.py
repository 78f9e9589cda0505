"""A role for a person: given by one administrator, confirmed by another; by an auditor where there is no other."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.accounts import rights, services
from apps.accounts.models import CostCentre, Person, Role
from apps.accounts.rights import Right
from apps.approvals.kind import Applying, Kind, Row
from apps.approvals.models import Barred
from apps.approvals.statement import Values
from apps.core.actor import Actor
from apps.core.errors import BadInput


class GiveRole(Kind):
    """Proposed: role, cost_centre (a CostCentre or None), valid_from and valid_to (instants or None)."""

    name = "role"
    label = "Role"
    icon = "user-shield"
    model = Person
    deciders = (Right.MANAGE_PEOPLE,)
    stand_ins = (Right.READ_AUDIT,)
    seen_with = Right.SEE_PEOPLE

    def key_of(self, subject: Person, proposed: Values) -> str:  # noqa: ARG002
        return f"{proposed['role']}/{proposed['cost_centre'] or ''}"

    def barred(self, subject: Person, proposed: Values) -> Mapping[int, Barred.Why]:  # noqa: ARG002
        return {subject.pk: Barred.Why.RECEIVES}

    def may_ask(self, actor: Actor, subject: Person) -> bool:  # noqa: ARG002
        return actor.person_id is not None and rights.rights_of(actor).may(Right.MANAGE_PEOPLE)

    def clean(self, actor: Actor, subject: Person, proposed: Mapping[str, Any]) -> Values:
        """What could not be given today is not asked for."""
        centre: CostCentre | None = proposed.get("cost_centre")
        values: Values = {
            "role": str(proposed.get("role", "")),
            "cost_centre": centre.pk if centre else None,
            "cost_centre_name": centre.name if centre else None,
            "valid_from": _instant(proposed.get("valid_from")),
            "valid_to": _instant(proposed.get("valid_to")),
        }
        services.check_role(actor=actor, person=subject, **_told(values))
        return values

    def standing(self, subject: Person, proposed: Values) -> Values:
        held = subject.grants.in_force().filter(role=proposed["role"], cost_centre=proposed["cost_centre"])
        return {"held": held.exists()}

    def title(self, subject: Person, proposed: Values) -> str:
        return f"{Role(proposed['role']).label} for {subject.name}"

    def rows(self, subject: Person, standing: Values, proposed: Values) -> list[Row]:  # noqa: ARG002
        dates = [proposed[name] and datetime.fromisoformat(proposed[name]) for name in ("valid_from", "valid_to")]
        return [
            Row("Role", "", str(Role(proposed["role"]).label)),
            Row("In", "", proposed["cost_centre_name"] or "The whole organisation"),
            Row("From", "", f"{dates[0]:%-d %b %Y}" if dates[0] else "when it is confirmed"),
            Row("To", "", f"{dates[1]:%-d %b %Y, %H:%M}" if dates[1] else "open"),
        ]

    def apply(self, change: Applying) -> None:
        services.grant_role(
            actor=change.asker, person=change.subject, decision_id=change.decision_id, **_told(change.proposed)
        )


def _told(proposed: Values) -> dict[str, Any]:
    """The arguments of the service, from the texts and ids under which they are kept."""
    centre = CostCentre.objects.filter(pk=proposed["cost_centre"]).first()
    if proposed["cost_centre"] and centre is None:
        raise BadInput("This cost centre does not exist.")
    dates = {name: proposed[name] and datetime.fromisoformat(proposed[name]) for name in ("valid_from", "valid_to")}
    return {"role": proposed["role"], "cost_centre": centre, **dates}


def _instant(value: datetime | None) -> str | None:
    return value.isoformat() if value else None

"""It must run whatever it is worth: a mandate takes the verdict "stop" away, with a reason, an owner and an end."""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from apps.approvals.models import Barred
from apps.approvals.promise import OfPromise
from apps.approvals.statement import Values
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.workloads.models import Workload


def _today() -> str:
    return timezone.now().astimezone(organisation.zone()).date().isoformat()


class Mandate(OfPromise):
    name = "mandate"
    label = "Mandate"
    icon = "gavel"
    fields = ("mandated_reason", "mandated_by", "mandated_until")

    def clean(self, actor: Actor, subject: Workload, proposed: Mapping[str, Any]) -> Values:
        values = super().clean(actor, subject, proposed)
        said = [bool(values[name]) for name in self.fields]
        if any(said) and not all(said):
            raise BadInput("A mandate has a reason, somebody who answers for it, and a last day.")
        if values["mandated_until"] and values["mandated_until"] < _today():
            raise BadInput("The mandate would have ended already.", hint="Choose a last day from today on.")
        return values

    def barred(self, subject: Workload, proposed: Values) -> Mapping[int, Barred.Why]:
        """Whoever answers for the mandate, as it stands and as it would be."""
        named = {said["mandated_by"] for said in (self.standing(subject, proposed), proposed)}
        return {int(pk): Barred.Why.NAMED for pk in named if pk}

    def title(self, subject: Workload, proposed: Values) -> str:  # noqa: ARG002
        return f"Mandated until {proposed['mandated_until']}" if proposed["mandated_until"] else "End of the mandate"

"""Where it belongs: the cost centre says whose roles reach a use case, so its owner does not choose it alone."""

from collections.abc import Mapping
from typing import Any

from apps.approvals.promise import OfCard
from apps.approvals.statement import Values
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.workloads.models import Workload


class Centre(OfCard):
    """Decided in the cost centre that it leaves."""

    name = "cost_centre"
    label = "Cost centre"
    icon = "sitemap"
    fields = ("cost_centre",)

    def clean(self, actor: Actor, subject: Workload, proposed: Mapping[str, Any]) -> Values:
        values = super().clean(actor, subject, proposed)
        if values == self.standing(subject, {}):
            raise BadInput("Nothing would change.")
        # Its name is kept, so that a list need not look it up.
        return {**values, "name": str(proposed["cost_centre"])}

    def title(self, subject: Workload, proposed: Values) -> str:  # noqa: ARG002
        return f"{self.label}: {proposed['name']}"

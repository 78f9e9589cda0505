"""What a wrong answer costs: it lowers the value of every useful one."""

from apps.approvals.promise import OfPromise
from apps.approvals.statement import Values
from apps.workloads.models import Workload


class FailureCost(OfPromise):
    name = "failure_cost"
    label = "Cost of a wrong answer"
    icon = "alert-triangle"
    fields = ("failure_cost", "failure_severity")

    def title(self, subject: Workload, proposed: Values) -> str:  # noqa: ARG002
        return f"{self.label}: {proposed['failure_cost'] or 'unknown'}"

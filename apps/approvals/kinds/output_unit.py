"""What one useful answer is: outcomes and the value case count it, so that another word is another count."""

from apps.approvals.kind import Row
from apps.approvals.promise import OfCard
from apps.approvals.statement import Values
from apps.economics.models import ValueCase
from apps.workloads.models import Workload


class OutputUnit(OfCard):
    name = "output_unit"
    label = "Useful answer"
    icon = "ruler-2"
    fields = ("output_unit",)

    def rows(self, subject: Workload, standing: Values, proposed: Values) -> list[Row]:
        rows = super().rows(subject, standing, proposed)
        if ValueCase.objects.filter(workload=subject, attested_at__isnull=False, ended_at__isnull=True).exists():
            before, after = (f"counts each {said['output_unit']}" for said in (standing, proposed))
            rows.append(Row("Attested value case", before, f"goes on with the same figures, and {after}"))
        return rows

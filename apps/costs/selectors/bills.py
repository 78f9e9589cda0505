"""What a bill says beside what was computed, by provider and month, where the bill covers the same calls."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from django.db import connection

from apps.core import periods
from apps.core.actor import Actor
from apps.costs.selectors.scope import BasisChoice, CostScope, rows_of, split


@dataclass(frozen=True, slots=True)
class BilledMonth:
    """One provider in one whole month. `billed` is what was invoiced, `effective` what the month bears of it."""

    provider: str
    month: date
    billed: Decimal
    effective: Decimal
    computed: Decimal

    @property
    def residual(self) -> Decimal:
        """Bill less computed: positive where the bill knows more."""
        return self.effective - self.computed


def billed_months(*, actor: Actor, scope: CostScope) -> list[BilledMonth]:
    """Whole months of the scope in which a checking bill stands beside computed cost; others have no bill.

    A charge of a bill may stand on one day for a whole month, so single days are never compared.
    """
    months, _ = split(scope.first, scope.end)
    if not months or scope.component:
        return []
    end = periods.next_month(months[-1])
    rows = rows_of(actor, replace(scope, first=months[0], end=end, basis=BasisChoice.ANY, provider=""))
    with connection.cursor() as cursor:
        cursor.execute(_COMPARE.format(rows=rows.text), rows.values)
        found = [BilledMonth(*row) for row in cursor.fetchall()]
    return [month for month in found if not scope.provider or month.provider == scope.provider]


# A line of a bill without a model still belongs to the bill's provider: the first charge of the source names it.
_COMPARE = """
WITH x AS MATERIALIZED (
    SELECT date_trunc('month', day)::date AS month, offering_id, source_id, basis, sum(cost) AS cost FROM ({rows}) r
    WHERE (basis = 'computed' AND role = 'counts') OR (basis IN ('billed', 'effective') AND role = 'checks')
    GROUP BY 1, 2, 3, 4
), named AS (
    SELECT s.source_id, (
        SELECT c.provider FROM sources_part p JOIN usage_charge c ON c.part_id = p.id
        WHERE p.source_id = s.source_id LIMIT 1
    ) AS provider
    FROM (SELECT DISTINCT source_id FROM x WHERE basis <> 'computed' AND offering_id IS NULL) s
), told AS (
    SELECT coalesce(o.provider, n.provider, '') AS provider, x.month, x.basis, x.cost
    FROM x LEFT JOIN catalog_offering o ON o.id = x.offering_id LEFT JOIN named n ON n.source_id = x.source_id
)
SELECT provider, month, coalesce(sum(cost) FILTER (WHERE basis = 'billed'), 0),
    coalesce(sum(cost) FILTER (WHERE basis = 'effective'), 0), coalesce(sum(cost) FILTER (WHERE basis = 'computed'), 0)
FROM told GROUP BY provider, month
HAVING bool_or(basis <> 'computed') AND bool_or(basis = 'computed')
ORDER BY month DESC, provider
"""

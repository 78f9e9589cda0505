"""What a bill says beside what was computed, by provider and month, where the bill covers the same calls."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from django.db import connection

from apps.core import periods
from apps.core.actor import Actor
from apps.costs.limits import bill_tolerance
from apps.costs.rating_sql import COMPONENT_OF_CHARGE, COVERED, IN_SCOPE, MEASURE_OF_CHARGE, ROLE_OF_CHARGE
from apps.costs.selectors.scope import BasisChoice, CostScope, Sql, line_conditions, owner_conditions, rows_of, split
from apps.usage.corrections import STANDING_CHARGE


@dataclass(frozen=True, slots=True)
class BilledMonth:
    """One provider in one whole month. `billed` is what was invoiced, `effective` what the month bears of it; `allowed`
    is the share of the bill that may be missing or too much."""

    provider: str
    month: date
    billed: Decimal
    effective: Decimal
    computed: Decimal
    allowed: Decimal

    @property
    def residual(self) -> Decimal:
        """Bill less computed: positive where the bill knows more."""
        return self.effective - self.computed

    @property
    def is_over_tolerance(self) -> bool:
        """So far apart that the month is not signed before somebody explains it."""
        return abs(self.residual) > self.allowed * abs(self.effective or self.computed)


def apart(bills: Sequence[BilledMonth]) -> Decimal:
    """By how much bills and computed cost differ in all: too much here does not make up for too little there."""
    return sum((abs(bill.residual) for bill in bills), Decimal(0))


def billed_months(*, actor: Actor, scope: CostScope) -> list[BilledMonth]:
    """Whole months of the scope in which a checking bill stands beside computed cost; others have no bill.

    By the month of use, with all that became known of it. A charge of a bill may stand on one day for a whole month, so
    single days are never compared.
    """
    months, _ = split(scope.first, scope.end)
    if not months or scope.component:
        return []
    whole = replace(scope, first=months[0], end=periods.next_month(months[-1]), basis=BasisChoice.ANY, provider=None)
    found = _compared(rows_of(actor, whole), line_conditions(actor, whole), booked=None)
    return [month for month in found if scope.provider in (None, month.provider)]


def bills_booked(*, actor: Actor, month: date) -> list[BilledMonth]:
    """What is booked in a month, as it is signed: its own use, and what became known in it of signed months."""
    owners = owner_conditions(actor, CostScope(month, periods.next_month(month)))
    only = f"AND ({owners.text})" if owners.text else ""
    rows = Sql(_BOOKED.format(only=only), (month, month, month, *owners.values))
    return _compared(rows, Sql(f"t.booked_month = %s {only}", (month, *owners.values)), booked=month)


def _compared(rows: Sql, of_lines: Sql, *, booked: date | None) -> list[BilledMonth]:
    statement = _COMPARE.format(rows=rows.text, conditions=of_lines.text)
    with connection.cursor() as cursor:
        # Where no bill checks, and that is most months of many, planning the comparison costs ten times this.
        cursor.execute(_ANY_BILL.format(rows=rows.text), rows.values)
        if not cursor.fetchone()[0]:
            return []
        cursor.execute(statement, [*rows.values, *of_lines.values, booked, booked])
        found = cursor.fetchall()
    allowed = bill_tolerance() if found else Decimal(0)
    return [
        BilledMonth(provider, month, billed, effective, computed, allowed)
        for provider, month, billed, effective, computed in found
    ]


_BOOKED = """
SELECT t.charge_month AS day, t.offering_id, t.source_id, t.component, t.basis, t.role, t.amount_org AS cost, t.lines
FROM costs_month t
WHERE ((t.charge_month = %s AND t.booked_month = t.charge_month)
    OR (t.booked_month = %s AND t.booked_month <> t.charge_month)) AND t.charge_month <= %s {only}
"""
_ANY_BILL = "SELECT EXISTS (SELECT FROM ({rows}) r WHERE basis IN ('billed', 'effective') AND role = 'checks')"
_COVERED = COVERED.replace("%(months)s", "ARRAY(SELECT month FROM x)")
# Tokens are compared with tokens and GPU time with GPU time; what else of a bill checks goes with the tokens. A line
# of a bill that names no model still belongs to a provider: that of the rows of the bill it was made from, by their
# amounts where several providers share a line. Rows made a line as `rating_sql.CHARGE_DAYS` says: in scope or
# claimed, by the day where they last longer than a month, a purchase as billed only, and those of a provider that
# nothing covers counted and are in no line that checks. A signed line stays when the role of all its rows has moved
# since: then it belongs to all of them. What was taken back whole, so that no line is left of it, is no bill of zero.
_COMPARE = f"""
WITH x AS MATERIALIZED (
    SELECT date_trunc('month', day)::date AS month, offering_id, source_id, component LIKE 'gpu%%' AS is_gpu, basis,
        sum(cost) AS cost
    FROM ({{rows}}) r
    WHERE (basis = 'computed' AND role = 'counts') OR (basis IN ('billed', 'effective') AND role = 'checks')
    GROUP BY 1, 2, 3, 4, 5
    HAVING basis = 'computed' OR sum(cost) <> 0 OR sum(lines) > 0
), charge AS (
    SELECT c.*, silent.month, p.source_id, a.workload_id, {COMPONENT_OF_CHARGE} AS component, held.at AS held_at,
        k.day::date = span.first_day AS is_first, span.last_day - span.first_day + 1 AS days
    FROM (SELECT DISTINCT month, source_id FROM x WHERE basis <> 'computed' AND offering_id IS NULL) silent
    CROSS JOIN core_organisation org JOIN sources_part p ON p.source_id = silent.source_id
    JOIN usage_charge c ON c.part_id = p.id AND c.offering_id IS NULL AND {STANDING_CHARGE}
        AND c.charge_start < (silent.month + interval '1 month') AT TIME ZONE org.zone
        AND CASE WHEN c.accrued THEN c.charge_end > silent.month::timestamp AT TIME ZONE org.zone
            ELSE c.charge_start >= silent.month::timestamp AT TIME ZONE org.zone END
    CROSS JOIN LATERAL (SELECT (c.charge_start AT TIME ZONE org.zone)::date AS first_day,
        ((c.charge_end - interval '1 microsecond') AT TIME ZONE org.zone)::date AS last_day) span
    CROSS JOIN LATERAL generate_series(greatest(span.first_day, silent.month)::timestamp,
        CASE WHEN c.accrued THEN least(span.last_day, silent.month + interval '1 month - 1 day')
            ELSE span.first_day END, interval '1 day') k (day)
    CROSS JOIN LATERAL (SELECT greatest(c.charge_start, k.day AT TIME ZONE org.zone) AS at) held
    JOIN workloads_attribution a ON a.identity_id = c.identity_id AND a.valid_from <= held.at AND a.valid_to > held.at
    WHERE {IN_SCOPE}
), said AS MATERIALIZED (
    SELECT c.month, c.identity_id, c.component, c.currency, v.basis, c.provider,
        {ROLE_OF_CHARGE} = 'checks' AS checks, sum(v.amount) AS amount
    FROM charge c
    LEFT JOIN ({_COVERED}) covered ON covered.provider = c.provider AND covered.month = c.month
        AND covered.measure = {MEASURE_OF_CHARGE}
    CROSS JOIN LATERAL (VALUES ('billed', CASE WHEN is_first THEN billed END),
        ('effective', CASE WHEN category <> 'Purchase' THEN
            coalesce(effective, billed) / CASE WHEN accrued THEN days ELSE 1 END END)) v (basis, amount)
    WHERE v.amount IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7
), share AS (
    SELECT *, sum(amount) OVER same AS total, count(*) OVER same AS number
    FROM (SELECT *, bool_or(checks) OVER (PARTITION BY month, identity_id, component, currency, basis) AS any_checks
        FROM said) every
    WHERE checks OR NOT any_checks
    WINDOW same AS (PARTITION BY month, identity_id, component, currency, basis)
), line AS (
    SELECT spender.month, t.identity_id, t.component, t.currency, t.basis, sum(t.amount_org) AS cost
    FROM (SELECT DISTINCT month, identity_id FROM said) spender
    CROSS JOIN LATERAL generate_series(
        spender.month::timestamp, spender.month + interval '1 month - 1 day', interval '1 day') each
    JOIN costs_line t ON t.day = each::date AND t.identity_id = spender.identity_id
    WHERE {{conditions}} AND t.offering_id IS NULL AND t.role = 'checks' AND t.basis IN ('billed', 'effective')
    GROUP BY 1, 2, 3, 4, 5
), told AS (
    SELECT coalesce(o.provider, '') AS provider, x.month, x.is_gpu, x.basis, x.cost
    FROM x LEFT JOIN catalog_offering o ON o.id = x.offering_id
    WHERE x.basis = 'computed' OR x.offering_id IS NOT NULL
    UNION ALL
    SELECT s.provider, l.month, l.component LIKE 'gpu%%', l.basis,
        round(CASE WHEN s.total = 0 THEN l.cost / s.number ELSE l.cost * s.amount / s.total END, 18)
    FROM line l JOIN share s USING (month, identity_id, component, currency, basis)
    WHERE s.checks OR l.cost <> 0
), compared AS (
    SELECT provider, coalesce(%s::date, month) AS month,
        coalesce(sum(cost) FILTER (WHERE basis = 'billed'), 0) AS billed,
        coalesce(sum(cost) FILTER (WHERE basis = 'effective'), 0) AS effective,
        coalesce(sum(cost) FILTER (WHERE basis = 'computed'), 0) AS computed
    FROM told GROUP BY provider, coalesce(%s::date, month), is_gpu
    HAVING bool_or(basis <> 'computed') AND bool_or(basis = 'computed')
)
SELECT provider, month, sum(billed), sum(effective), sum(computed) FROM compared
GROUP BY provider, month ORDER BY month DESC, provider
"""

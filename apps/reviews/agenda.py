"""The agenda and figures of a month, taken from the books set by set: as many statements for 5,000 workloads as for 5.

Taken anew it changes only what is still open: what was decided stays, what is no longer so is marked, nothing vanishes.
"""

from typing import Any, Final

from django.db import connection

from apps.core import periods
from apps.costs.limits import unallocated_limit
from apps.costs.models import DIRECT, components_of
from apps.reviews.measuring import measure_promises
from apps.reviews.models import Cycle

# A case that ends before the review after the next one is held must be spoken about now.
EXPIRY_MONTHS: Final = 3


def take(cycle: Cycle) -> int:
    """Figures, measured promises, agenda; returns how many items stand on it. Inside the caller's transaction."""
    take_figures(cycle)
    measure_promises(cycle)
    values = values_of(cycle)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS reviews_candidate")
        cursor.execute(_CANDIDATE)
        for statement in COMPONENTS.values():
            cursor.execute(f"INSERT INTO reviews_candidate {statement}", values)
        cursor.execute(_CARRIED, values)
        cursor.execute(_UPSERT, values)
        cursor.execute(_CLEAR, values)
        cursor.execute(_ORDER, values)
        cursor.execute("DROP TABLE reviews_candidate")
        cursor.execute("SELECT count(*) FROM reviews_item WHERE cycle_id = %(cycle)s AND state <> 'cleared'", values)
        return int(cursor.fetchone()[0])


def take_figures(cycle: Cycle) -> None:
    """One row a workload with cost or value in the month, as the books have it now."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM reviews_figure WHERE cycle_id = %s", [cycle.pk])
        cursor.execute(_KEEP_FIGURES, values_of(cycle))


def values_of(cycle: Cycle) -> dict[str, Any]:
    """What the statements below ask for."""
    month = cycle.month
    until = month
    for _ in range(EXPIRY_MONTHS):
        until = periods.next_month(until)
    return {
        "cycle": cycle.pk,
        "month": month,
        "before": periods.previous_month(month),
        "until": until,
        "limit": unallocated_limit(),
        "direct": components_of(DIRECT),
    }


_COUNTS: Final = "role = 'counts' AND basis <> 'billed'"

FIGURES: Final = """
SELECT %(cycle)s::bigint AS cycle, workload_id, cost_centre_id, cost, value, review_cost, net_low, net, net_high,
    produced, useful, verdict,
    encode(sha256(convert_to(concat_ws('|', workload_id, coalesce(cost::text, '-'), coalesce(value::text, '-'),
        coalesce(review_cost::text, '-'), coalesce(net_low::text, '-'), coalesce(net::text, '-'),
        coalesce(net_high::text, '-'), coalesce(produced::text, '-'), coalesce(useful::text, '-'), verdict), 'UTF8')),
        'hex') AS digest
FROM (
    SELECT e.workload_id, w.cost_centre_id, e.cost, e.value_base AS value, e.review_base AS review_cost, e.net_low,
        e.net_base AS net, e.net_high, e.produced::bigint AS produced, e.useful::bigint AS useful, e.verdict
    FROM economics_month e JOIN workloads_workload w ON w.id = e.workload_id
    WHERE e.month = %(month)s AND e.is_current
) x
"""

_KEEP_FIGURES: Final = f"""
INSERT INTO reviews_figure (cycle_id, workload_id, cost_centre_id, cost, value, review_cost, net_low, net, net_high,
    produced, useful, verdict, digest) {FIGURES}
"""

_CANDIDATE: Final = """
CREATE TEMP TABLE reviews_candidate (
    kind text NOT NULL, workload_id bigint, subject text NOT NULL, money numeric, facts jsonb NOT NULL
) ON COMMIT DROP
"""

# One statement a component; each gives kind, workload, subject, money at stake, facts. Money in facts is text.
COMPONENTS: Final[dict[str, str]] = {
    "restatement": f"""
SELECT 'restatement', NULL::bigint, to_char(charge_month, 'YYYY-MM'),
    greatest(abs(sum(amount)), sum(abs(amount)) / 2),
    jsonb_build_object('month', charge_month, 'amount', sum(amount)::text, 'workloads', count(*))
FROM (
    SELECT charge_month, workload_id, sum(amount_org) AS amount, sum(lines) AS lines FROM costs_owner_month
    WHERE booked_month = %(month)s AND charge_month < %(month)s AND {_COUNTS} GROUP BY 1, 2
) x GROUP BY charge_month HAVING bool_or(amount <> 0)
""",
    "unpriced": f"""
SELECT 'unpriced', NULL::bigint, coalesce(m.offering_id, 0)::text, NULL::numeric,
    jsonb_build_object('model', coalesce(nullif(o.name, ''), 'model not reported'),
        'offering', m.offering_id, 'tokens', sum(m.unpriced_tokens), 'workloads', count(DISTINCT m.workload_id))
FROM costs_month m LEFT JOIN catalog_offering o ON o.id = m.offering_id
WHERE m.charge_month = %(month)s AND m.unpriced_lines > 0 AND m.{_COUNTS.replace("basis", "m.basis")}
GROUP BY m.offering_id, o.name
""",
    "unallocated": f"""
SELECT 'unallocated', NULL::bigint, '', nobodys,
    jsonb_build_object('cost', nobodys::text, 'of', total::text, 'share', round(nobodys / total, 6)::text)
FROM (
    SELECT sum(amount_org) FILTER (WHERE workload_id IS NULL) AS nobodys, sum(amount_org) AS total
    FROM costs_owner_month WHERE charge_month = %(month)s AND {_COUNTS}
) x WHERE total > 0 AND nobodys > total * %(limit)s
""",
    "verdict": """
SELECT f.verdict, f.workload_id, '',
    CASE WHEN f.verdict = 'stop' THEN greatest(-f.net, 0) WHEN f.net_low < 0 THEN -f.net_low ELSE f.cost END,
    jsonb_build_object('cost', f.cost::text, 'value', f.value::text, 'net', f.net::text, 'net_low', f.net_low::text,
        'net_high', f.net_high::text, 'useful', f.useful, 'sentence', e.reasons ->> 'sentence',
        'rule', e.reasons ->> 'rule', 'would_change', e.reasons -> 'would_change')
FROM reviews_figure f
JOIN economics_month e ON e.workload_id = f.workload_id AND e.month = %(month)s AND e.is_current
WHERE f.cycle_id = %(cycle)s AND f.verdict IN ('stop', 'fix')
""",
    "over_budget": f"""
SELECT 'over_budget', b.workload_id, '', s.spent - b.amount,
    jsonb_build_object('spent', s.spent::text, 'amount', b.amount::text)
FROM (
    SELECT DISTINCT ON (workload_id) workload_id, amount, state FROM budgets_budget
    WHERE workload_id IS NOT NULL AND month <= %(month)s AND state <> 'superseded' ORDER BY workload_id, month DESC
) b JOIN (
    SELECT workload_id, sum(amount_org) AS spent FROM costs_month
    WHERE booked_month = %(month)s AND {_COUNTS} AND component = ANY(%(direct)s) GROUP BY 1
) s USING (workload_id) WHERE b.state <> 'ended' AND s.spent > b.amount
""",
    "expiring_case": """
SELECT 'expiring_case', c.workload_id, c.id::text, f.value,
    jsonb_build_object('expires', c.expires, 'version', c.version, 'value', f.value::text)
FROM economics_value_case c
LEFT JOIN reviews_figure f ON f.cycle_id = %(cycle)s AND f.workload_id = c.workload_id
WHERE c.superseded_by_id IS NULL AND c.attested_at IS NOT NULL AND c.expires >= %(month)s AND c.expires < %(until)s
""",
    "promise": """
SELECT 'promise', a.workload_id, a.id::text, a.promised_saving,
    jsonb_build_object('action', a.id, 'due', a.due, 'promised', a.promised_saving::text, 'saved', m.saved::text,
        'why', m.why, 'since', a.baseline_month, 'state', a.state)
FROM reviews_action a JOIN reviews_measurement m ON m.action_id = a.id AND m.cycle_id = %(cycle)s
WHERE a.state = 'open' OR (a.baseline_month = %(before)s AND m.saved < a.promised_saving)
""",
}

# What the last review left undecided, unless the same stands on this agenda of itself.
_CARRIED: Final = """
INSERT INTO reviews_candidate
SELECT 'carried', i.workload_id, i.kind || ' ' || i.id, i.money_at_stake,
    jsonb_build_object('kind', i.kind, 'item', i.id, 'facts', i.facts, 'since', c.month)
FROM reviews_item i JOIN reviews_cycle c ON c.id = i.cycle_id
WHERE c.month = (SELECT max(month) FROM reviews_cycle WHERE month < %(month)s) AND i.state = 'carried'
    AND NOT EXISTS (
        SELECT FROM reviews_candidate n WHERE n.kind = i.kind AND n.workload_id IS NOT DISTINCT FROM i.workload_id
            AND n.subject = i.subject
    )
"""

_UPSERT: Final = """
INSERT INTO reviews_item (cycle_id, kind, workload_id, subject, money_at_stake, facts, position, state, version)
SELECT %(cycle)s, kind, workload_id, subject, money, facts, 0, 'open', 1 FROM reviews_candidate
ON CONFLICT (cycle_id, kind, workload_id, subject) DO UPDATE
SET money_at_stake = excluded.money_at_stake, facts = excluded.facts, state = 'open', version = reviews_item.version + 1
WHERE reviews_item.state IN ('open', 'cleared') AND (reviews_item.state = 'cleared'
    OR (reviews_item.facts, reviews_item.money_at_stake) IS DISTINCT FROM (excluded.facts, excluded.money_at_stake))
"""

_CLEAR: Final = """
UPDATE reviews_item i SET state = 'cleared', version = version + 1
WHERE i.cycle_id = %(cycle)s AND i.state = 'open' AND NOT EXISTS (
    SELECT FROM reviews_candidate n WHERE n.kind = i.kind AND n.workload_id IS NOT DISTINCT FROM i.workload_id
        AND n.subject = i.subject
)
"""

_ORDER: Final = """
UPDATE reviews_item i SET position = o.place FROM (
    SELECT id, row_number() OVER (ORDER BY kind <> 'restatement', money_at_stake DESC NULLS LAST, kind, id) AS place
    FROM reviews_item WHERE cycle_id = %(cycle)s AND state <> 'cleared'
) o WHERE i.id = o.id AND i.position <> o.place
"""

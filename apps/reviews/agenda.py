"""The agenda and figures of a month, taken from the books set by set: as many statements for 5,000 workloads as for 5.

Taken anew it changes only what is still open: what was decided stays, what is no longer so is marked, nothing vanishes.
"""

from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from apps.core import periods
from apps.costs.limits import unallocated_limit
from apps.costs.models import DIRECT, components_of
from apps.reviews.measuring import measure_promises
from apps.reviews.models import Cycle

# A case that ends before the review after the next one is held must be spoken about now.
EXPIRY_MONTHS: Final = 3


@dataclass(frozen=True, slots=True)
class Taken:
    """How many items stand on the agenda; `is_changed`: figures, items or the cost behind them are not what they were.

    `books` is a digest of that cost: what belongs to nobody has no figure, and a decided item keeps the facts it had.
    """

    items: int
    is_changed: bool
    books: str


def take(cycle: Cycle) -> Taken:
    """Figures, measured promises, agenda, as the books have them now. Inside the caller's transaction."""
    values = values_of(cycle)
    before = _mark(values)
    _take_figures(values)
    measure_promises(cycle)
    _take_items(values)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM reviews_item WHERE cycle_id = %(cycle)s AND state <> 'cleared'", values)
        items = int(cursor.fetchone()[0])
        cursor.execute(_BOOKS, values)
        books = str(cursor.fetchone()[0])
    return Taken(items, is_changed=_mark(values) != before or books != cycle.books, books=books)


def _take_items(values: dict[str, Any]) -> None:
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


def _take_figures(values: dict[str, Any]) -> None:
    """One row a workload with cost or value in the month."""
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_FIGURES, values)
        cursor.execute(_DROP_FIGURES, values)


def _mark(values: dict[str, Any]) -> str:
    """Changes with every figure, every measured promise and every item that is still spoken about."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK, values)
        return str(cursor.fetchone()[0])


def values_of(cycle: Cycle) -> dict[str, Any]:
    """What the statements below ask for."""
    month = cycle.month
    return {
        "cycle": cycle.pk,
        "month": month,
        "before": periods.previous_month(month),
        "until": periods.shifted(month, EXPIRY_MONTHS),
        "was_signed": cycle.revision > 0,
        "limit": unallocated_limit(),
        "direct": components_of(DIRECT),
    }


_COUNTS: Final = "role = 'counts' AND basis <> 'billed'"

# Lines of the month, and lines of earlier ones that became known in it, which nobody could price or convert and still
# nobody can: what is said later takes them away again under the month in which it is said.
_STILL_UNKNOWN: Final = f"""
FROM costs_month m LEFT JOIN catalog_offering o ON o.id = m.offering_id
WHERE {_COUNTS} AND (charge_month = %(month)s
    OR (charge_month < %(month)s AND booked_month >= %(month)s AND booked_month <> charge_month))
"""
UNPRICED: Final = f"""
SELECT charge_month, offering_id, coalesce(nullif(o.name, ''), 'model not reported') AS model,
    sum(unpriced_tokens) AS tokens, sum(unpriced_lines) AS lines, count(DISTINCT workload_id) AS workloads
{_STILL_UNKNOWN} GROUP BY charge_month, offering_id, o.name
HAVING sum(unpriced_lines) > 0 AND bool_or(unpriced_lines > 0 AND %(month)s IN (charge_month, booked_month))
"""
UNCONVERTED: Final = f"""
SELECT charge_month, currency, sum(amount) AS amount, sum(unconverted_lines) AS lines
{_STILL_UNKNOWN} GROUP BY charge_month, currency
HAVING sum(unconverted_lines) > 0 AND bool_or(unconverted_lines > 0 AND %(month)s IN (charge_month, booked_month))
"""

FIGURES: Final = """
SELECT %(cycle)s::bigint AS cycle, workload_id, cost_centre_id, cost, value, review_cost, net_low, net, net_high,
    produced, useful, is_declared, verdict,
    encode(sha256(convert_to(concat_ws('|', workload_id, coalesce(cost::text, '-'), coalesce(value::text, '-'),
        coalesce(review_cost::text, '-'), coalesce(net_low::text, '-'), coalesce(net::text, '-'),
        coalesce(net_high::text, '-'), coalesce(produced::text, '-'), coalesce(useful::text, '-'), verdict,
        CASE WHEN is_declared THEN 'declared' END), 'UTF8')), 'hex') AS digest
FROM (
    SELECT e.workload_id, w.cost_centre_id, e.cost, e.value_base AS value, e.review_base AS review_cost, e.net_low,
        e.net_base AS net, e.net_high, e.produced::bigint AS produced, e.useful::bigint AS useful, e.is_declared,
        e.verdict
    FROM economics_month e JOIN workloads_workload w ON w.id = e.workload_id
    WHERE e.month = %(month)s AND e.is_current
) x
"""

# A month that was signed once keeps the cost centre that bore each workload then.
_KEEP_FIGURES: Final = f"""
INSERT INTO reviews_figure AS f (cycle_id, workload_id, cost_centre_id, cost, value, review_cost, net_low, net,
    net_high, produced, useful, is_declared, verdict, digest) {FIGURES}
ON CONFLICT (cycle_id, workload_id) DO UPDATE
SET cost_centre_id = CASE WHEN %(was_signed)s THEN f.cost_centre_id ELSE excluded.cost_centre_id END,
    cost = excluded.cost, value = excluded.value, review_cost = excluded.review_cost, net_low = excluded.net_low,
    net = excluded.net, net_high = excluded.net_high, produced = excluded.produced, useful = excluded.useful,
    is_declared = excluded.is_declared, verdict = excluded.verdict, digest = excluded.digest
WHERE f.digest <> excluded.digest
    OR (NOT %(was_signed)s AND f.cost_centre_id IS DISTINCT FROM excluded.cost_centre_id)
"""
_DROP_FIGURES: Final = """
DELETE FROM reviews_figure f WHERE f.cycle_id = %(cycle)s AND NOT EXISTS (
    SELECT FROM economics_month e WHERE e.workload_id = f.workload_id AND e.month = %(month)s AND e.is_current
)
"""
_MARK: Final = """
SELECT md5(concat(
    (SELECT string_agg(concat(digest, ':', cost_centre_id), ',' ORDER BY workload_id)
        FROM reviews_figure WHERE cycle_id = %(cycle)s), ';',
    (SELECT string_agg(concat(action_id, ':', saved, why), ',' ORDER BY action_id)
        FROM reviews_measurement WHERE cycle_id = %(cycle)s), ';',
    (SELECT string_agg(concat(id, ':', version), ',' ORDER BY id) FROM reviews_item WHERE cycle_id = %(cycle)s)
))
"""

_BOOKS: Final = f"""
SELECT md5(coalesce(string_agg(concat_ws(' ', charge_month, booked_month, workload_id, basis, amount_org, lines), ','
    ORDER BY charge_month, booked_month, workload_id, basis), ''))
FROM costs_owner_month WHERE {_COUNTS} AND (charge_month = %(month)s
    OR (booked_month = %(month)s AND booked_month <> charge_month))
"""

_CANDIDATE: Final = """
CREATE TEMP TABLE reviews_candidate (
    kind text NOT NULL, workload_id bigint, subject text NOT NULL, money numeric, facts jsonb NOT NULL
) ON COMMIT DROP
"""

# One statement a component; each gives kind, workload, subject, money at stake, facts. Money in facts is text.
COMPONENTS: Final[dict[str, str]] = {
    # What became known of signed months: cost that was booked in this month, lines of it that nobody can price or
    # convert, and useful outputs and value beyond what the last review of them said. `known` is all since signing;
    # `turned` counts workloads of which one side knows something that the other does not: no difference of amounts.
    "restatement": f"""
WITH booked AS (
    SELECT charge_month AS month, workload_id, sum(amount_org) AS amount, sum(unpriced_lines) AS unpriced,
        sum(unconverted_lines) AS unconverted
    FROM costs_month WHERE booked_month = %(month)s AND booked_month <> charge_month AND {_COUNTS} GROUP BY 1, 2
), costs AS (
    SELECT month, sum(amount) AS amount, greatest(abs(sum(amount)), sum(abs(amount)) / 2) AS moved,
        greatest(sum(unpriced), 0) AS unpriced, greatest(sum(unconverted), 0) AS unconverted,
        count(*) FILTER (WHERE amount <> 0 OR unpriced <> 0 OR unconverted <> 0) AS workloads
    FROM booked GROUP BY 1 HAVING bool_or(amount <> 0 OR unpriced > 0 OR unconverted > 0)
), worth AS (
    SELECT e.month, coalesce(sum(e.useful - f.useful), 0) AS useful, coalesce(sum(e.value_base - f.value), 0) AS value,
        count(*) FILTER (
            WHERE (e.useful IS NULL) <> (f.useful IS NULL) OR (e.value_base IS NULL) <> (f.value IS NULL)
        ) AS turned,
        count(*) FILTER (WHERE (e.useful, e.value_base) IS DISTINCT FROM (f.useful, f.value)) AS workloads
    FROM economics_month e JOIN reviews_cycle c ON c.month = e.month AND c.revision > 0
    LEFT JOIN reviews_figure f ON f.cycle_id = c.id AND f.workload_id = e.workload_id
    WHERE e.month < %(month)s AND e.is_current AND e.state = 'restated' GROUP BY 1
), told AS (
    SELECT DISTINCT ON (i.subject) i.subject, i.facts #> '{{outcomes,known}}' AS known FROM reviews_item i
    JOIN reviews_cycle c ON c.id = i.cycle_id
    WHERE i.kind = 'restatement' AND i.state <> 'cleared' AND c.month < %(month)s
        AND jsonb_typeof(i.facts -> 'outcomes') = 'object' ORDER BY i.subject, c.month DESC
), news AS (
    SELECT x.*, useful - useful_told AS more_useful, value - value_told AS more_value,
        CASE WHEN turned <> turned_told THEN turned ELSE 0 END AS now_turned
    FROM (
        SELECT w.*, coalesce((t.known ->> 'useful')::numeric, 0) AS useful_told,
            coalesce((t.known ->> 'value')::numeric, 0) AS value_told,
            coalesce((t.known ->> 'turned')::bigint, 0) AS turned_told
        FROM worth w LEFT JOIN told t ON t.subject = to_char(w.month, 'YYYY-MM')
    ) x WHERE (useful, value, turned) IS DISTINCT FROM (useful_told, value_told, turned_told)
), causes AS (
    SELECT charge_month AS month, jsonb_object_agg(cause, amount::text) AS amounts FROM (
        SELECT charge_month, cause, sum(amount_org) AS amount FROM costs_line
        WHERE booked_month = %(month)s AND revision > 0 AND {_COUNTS} GROUP BY 1, 2
    ) x WHERE amount <> 0 GROUP BY 1
)
SELECT 'restatement', NULL::bigint, to_char(month, 'YYYY-MM'), nullif(greatest(c.moved, abs(n.more_value)), 0),
    jsonb_build_object('month', month, 'amount', coalesce(c.amount, 0)::text,
        'workloads', greatest(c.workloads, n.workloads), 'unpriced_lines', coalesce(c.unpriced, 0),
        'unconverted_lines', coalesce(c.unconverted, 0), 'causes', coalesce(a.amounts, '{{}}'), 'outcomes',
        CASE WHEN n.month IS NOT NULL THEN jsonb_build_object('useful', n.more_useful::text,
            'value', n.more_value::text, 'turned', n.now_turned, 'known', jsonb_build_object(
            'useful', n.useful::text, 'value', n.value::text, 'turned', n.turned)) END)
FROM costs c FULL JOIN news n USING (month) LEFT JOIN causes a USING (month)
""",
    "unpriced": f"""
SELECT 'unpriced', NULL::bigint, coalesce(offering_id, 0)::text, NULL::numeric,
    jsonb_build_object('model', model, 'offering', offering_id, 'tokens', sum(tokens), 'workloads', max(workloads))
FROM ({UNPRICED}) x GROUP BY offering_id, model
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
    # Of a suspended budget nothing may be spent. A cost centre's covers all workloads below it.
    "over_budget": f"""
WITH b AS (
    SELECT DISTINCT ON (workload_id, cost_centre_id) workload_id, cost_centre_id, state,
        CASE WHEN state = 'suspended' THEN 0 ELSE amount END AS amount
    FROM budgets_budget WHERE month <= %(month)s AND state <> 'superseded'
    ORDER BY workload_id, cost_centre_id, month DESC
), s AS (
    SELECT workload_id, sum(amount_org) AS spent FROM costs_month
    WHERE booked_month = %(month)s AND {_COUNTS} AND component = ANY(%(direct)s) AND workload_id IS NOT NULL GROUP BY 1
), centres AS (
    SELECT b.cost_centre_id, cc.name, b.amount, b.state, sum(s.spent) AS spent
    FROM b JOIN accounts_cost_centre cc ON cc.id = b.cost_centre_id
    JOIN accounts_cost_centre below ON starts_with(below.path, cc.path)
    JOIN workloads_workload w ON w.cost_centre_id = below.id JOIN s ON s.workload_id = w.id
    WHERE b.state <> 'ended' GROUP BY 1, 2, 3, 4
)
SELECT 'over_budget', b.workload_id, '', s.spent - b.amount,
    jsonb_build_object('spent', s.spent::text, 'amount', b.amount::text, 'state', b.state)
FROM b JOIN s USING (workload_id) WHERE b.state <> 'ended' AND s.spent > b.amount
UNION ALL
SELECT 'over_budget', NULL, 'centre ' || cost_centre_id, spent - amount,
    jsonb_build_object('spent', spent::text, 'amount', amount::text, 'centre', name, 'state', state)
FROM centres WHERE spent > amount
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
    # It costs, and everybody who answered for it has left: nobody attests its figures, no decision reaches anybody.
    "orphan": """
SELECT 'orphan', f.workload_id, '', f.cost, jsonb_build_object('cost', f.cost::text)
FROM reviews_figure f JOIN workloads_workload w ON w.id = f.workload_id
WHERE f.cycle_id = %(cycle)s AND f.cost IS DISTINCT FROM 0 AND NOT EXISTS (
    SELECT FROM accounts_person p
    WHERE p.active AND p.id IN (w.business_owner_id, w.technical_owner_id, w.budget_owner_id)
)
""",
}

# What a signed review left undecided goes to the next review that is held, as the matter it was and with its age,
# unless the same stands on that agenda of itself. A review between that one and this one has it, or had it.
_CARRIED: Final = """
WITH left_over AS (
    SELECT i.id, i.workload_id, i.money_at_stake, c.month,
        CASE WHEN i.kind = 'carried' THEN i.facts ->> 'kind' ELSE i.kind END AS kind,
        CASE WHEN i.kind = 'carried' THEN coalesce(i.facts ->> 'subject', '') ELSE i.subject END AS subject,
        CASE WHEN i.kind = 'carried' THEN i.facts -> 'facts' ELSE i.facts END AS facts,
        CASE WHEN i.kind = 'carried' THEN (i.facts ->> 'since')::date ELSE c.month END AS since
    FROM reviews_item i JOIN reviews_cycle c ON c.id = i.cycle_id
    WHERE c.month < %(month)s AND c.state = 'signed' AND i.state = 'carried'
        AND NOT EXISTS (
            SELECT FROM reviews_cycle o WHERE o.month > c.month AND o.month < %(month)s AND o.state = 'open'
        )
)
INSERT INTO reviews_candidate
SELECT DISTINCT ON (l.workload_id, l.kind, l.subject) 'carried', l.workload_id,
    rtrim(concat(l.kind, ' ', l.subject)), l.money_at_stake, jsonb_build_object('kind', l.kind, 'subject', l.subject,
        'item', l.id, 'facts', l.facts, 'since', l.since)
FROM left_over l
WHERE NOT EXISTS (
    SELECT FROM reviews_candidate n WHERE n.kind = l.kind AND n.subject = l.subject
        AND coalesce(n.workload_id, 0) = coalesce(l.workload_id, 0)
) AND NOT EXISTS (
    SELECT FROM reviews_item n JOIN reviews_cycle c ON c.id = n.cycle_id
    WHERE c.month > l.month AND c.month < %(month)s AND n.state <> 'cleared'
        AND n.workload_id IS NOT DISTINCT FROM l.workload_id
        AND ((n.kind = l.kind AND n.subject = l.subject)
            OR (n.kind = 'carried' AND n.facts ->> 'kind' = l.kind AND n.facts ->> 'subject' = l.subject))
)
ORDER BY l.workload_id, l.kind, l.subject, l.since
"""

_UPSERT: Final = """
INSERT INTO reviews_item (cycle_id, kind, workload_id, subject, money_at_stake, facts, position, state, version)
SELECT %(cycle)s, kind, workload_id, subject, money, facts, 0, 'open', 1 FROM reviews_candidate
ON CONFLICT (cycle_id, kind, workload_id, subject) DO UPDATE
SET money_at_stake = excluded.money_at_stake, facts = excluded.facts, state = 'open', version = reviews_item.version + 1
WHERE reviews_item.state IN ('open', 'cleared') AND (reviews_item.state = 'cleared'
    OR (reviews_item.facts, reviews_item.money_at_stake) IS DISTINCT FROM (excluded.facts, excluded.money_at_stake))
"""

# Equality instead of IS NOT DISTINCT FROM, which no hash join serves: items times candidates would be looked at.
_CLEAR: Final = """
UPDATE reviews_item i SET state = 'cleared', version = version + 1
WHERE i.cycle_id = %(cycle)s AND i.state = 'open' AND NOT EXISTS (
    SELECT FROM reviews_candidate n WHERE n.kind = i.kind AND n.subject = i.subject
        AND coalesce(n.workload_id, 0) = coalesce(i.workload_id, 0)
)
"""

_ORDER: Final = """
UPDATE reviews_item i SET position = o.place FROM (
    SELECT id, row_number() OVER (ORDER BY kind <> 'restatement', money_at_stake DESC NULLS LAST, kind, id) AS place
    FROM reviews_item WHERE cycle_id = %(cycle)s AND state <> 'cleared'
) o WHERE i.id = o.id AND i.position <> o.place
"""

"""The SQL of months.py, apart so that each can be read whole. Parameters by name, see `facts.about`."""

from typing import Final

from apps.catalog.edges import LATENCY_EDGES_MS
from apps.sources.roles_sql import role_at

BUCKETS: Final = len(LATENCY_EDGES_MS) + 1

# --- What changed -----------------------------------------------------------------------------------------------------

TAKE_DAYS = """
CREATE TEMP TABLE economics_day ON COMMIT DROP AS
WITH taken AS (DELETE FROM costs_changed_day RETURNING workload_id, day)
SELECT DISTINCT workload_id, day FROM taken
"""

# Only delivered calls promise a latency; a source that checks latency does not count it.
LATENCY_COUNTS: Final = ", ".join(f"coalesce(sum(h.latency_counts[{at}]), 0)" for at in range(1, BUCKETS + 1))


def latency_role(workload: str) -> str:
    """Whether the source of an hour counts how fast a workload answers; the argument is an SQL expression."""
    return role_at(source="p.source_id", measure="'latency'", workload=workload, at="h.hour")


SERVICE_DAYS = f"""
WITH gone AS (
    DELETE FROM economics_service_day s USING economics_day d WHERE s.workload_id = d.workload_id AND s.day = d.day
), window_ AS (
    SELECT d.workload_id, d.day, d.day::timestamp AT TIME ZONE %(zone)s AS starts_at,
        (d.day + 1)::timestamp AT TIME ZONE %(zone)s AS ends_at
    FROM economics_day d
)
INSERT INTO economics_service_day (workload_id, day, counts)
SELECT w.workload_id, w.day, ARRAY[{LATENCY_COUNTS}]
FROM window_ w
JOIN workloads_attribution a
    ON a.workload_id = w.workload_id AND a.valid_from < w.ends_at AND a.valid_to > w.starts_at
JOIN usage_series q ON q.identity_id = a.identity_id AND q.call_kind <> 'retry_failed'
JOIN sources_part p ON p.id = q.part_id
JOIN usage_hour h ON h.series_id = q.id AND h.hour >= w.starts_at AND h.hour < w.ends_at
    AND h.hour >= a.valid_from AND h.hour < a.valid_to AND h.latency_counts IS NOT NULL
WHERE {latency_role("w.workload_id")} IS DISTINCT FROM 'checks'
GROUP BY 1, 2
ON CONFLICT (workload_id, day) DO UPDATE SET counts = excluded.counts
"""

MARK_DAYS = """
INSERT INTO economics_dirty (workload_id, month, reason, recorded_at)
SELECT DISTINCT workload_id, date_trunc('month', day)::date, 'cost', now() FROM economics_day
"""

# A month that was open when it was worked out and is over now reads its verdict without 'so far'.
MARK_OVER = """
INSERT INTO economics_dirty (workload_id, month, reason, recorded_at)
SELECT workload_id, month, 'month over', now() FROM economics_month
WHERE is_current AND NOT is_complete AND month < date_trunc('month', %(today)s::date)
"""
# What a new band, limit or mandate says is taken over into months that nobody has signed.
TAKE_PROMISES = """
WITH taken AS (DELETE FROM economics_changed_promise RETURNING workload_id)
INSERT INTO economics_dirty (workload_id, month, reason, recorded_at)
SELECT DISTINCT m.workload_id, m.month, 'promise', now()
FROM taken JOIN economics_month m USING (workload_id) WHERE m.is_current AND m.state <> 'signed'
"""

TAKE_MONTH = """
CREATE TEMP TABLE economics_todo ON COMMIT DROP AS
WITH taken AS (DELETE FROM economics_dirty WHERE month = %(month)s RETURNING workload_id)
SELECT DISTINCT workload_id FROM taken
"""

# Whether cost rises faster than value is judged over four months: a month that moved may turn the three after it.
MARK_FOLLOWING = """
INSERT INTO economics_dirty (workload_id, month, reason, recorded_at)
SELECT workload_id, month, 'trend', now() FROM economics_month
WHERE is_current AND workload_id = ANY(%(moved)s)
  AND month > %(month)s AND month <= %(month)s::date + interval '3 months'
"""

# --- The facts of a month ---------------------------------------------------------------------------------------------

_LATENCY: Final = ", ".join(f"sum(counts[{at}])" for at in range(1, BUCKETS + 1))

# Which workloads are asked for, and the cases that count: those that there are, or one that nobody has attested yet in
# the place that it would take.
TODO = "WITH"
ONE = "WITH economics_todo AS (SELECT %(workload)s::bigint AS workload_id),"
CASES = """
SELECT c.id, c.workload_id, c.version, c.assumptions, c.grade_id, c.review_grade_id, c.valid_from, c.expires,
    c.counts_from, c.counts_to,
    c.attested_at IS NULL AND c.superseded_by_id IS NULL AND c.ended_at IS NULL AS is_waiting
FROM economics_value_case c JOIN economics_todo t USING (workload_id)
"""
ASSUMED_CASE = """
SELECT c.id, c.workload_id, c.version, c.assumptions, c.grade_id, c.review_grade_id, c.valid_from, c.expires,
    c.counts_from, CASE WHEN c.counts_to > %(starts)s THEN greatest(%(starts)s, c.counts_from) ELSE c.counts_to END,
    false AS is_waiting
FROM economics_value_case c WHERE c.workload_id = %(workload)s AND c.counts_from IS NOT NULL
UNION ALL
SELECT 0, %(workload)s, 0, %(assumptions)s::jsonb, %(grade)s, %(review_grade)s, %(starts)s::date, %(ends)s::date,
    %(starts)s::date, %(ends)s::date, false
"""

# On how many delivered calls a declared share counts: those that there are, or with those that would enter.
CALLS = "SELECT workload_id, delivered FROM money"
CALLS_WITH_ENTERING = """
SELECT t.workload_id, coalesce(m.delivered, 0) + %(entering)s
FROM economics_todo t LEFT JOIN money m USING (workload_id)
WHERE m.workload_id IS NOT NULL OR %(enters)s
"""

# One row for each workload of `economics_todo`. Token counts stand in for the share of cost that has no price, since
# nobody knows what it would have cost; `blind_lines` lack a price or a rate and have no tokens to be measured by.
# A day has usage where calls, time or a quantity were used on it: a subscription alone is none.
FACTS = f"""
{{todo}} value_case (id, workload_id, version, assumptions, grade_id, review_grade_id, valid_from, expires,
    counts_from, counts_to, is_waiting) AS ({{cases}}
), component AS (
    SELECT m.workload_id, m.component, sum(m.amount_org) AS amount, sum(m.requests) AS requests,
        sum(CASE WHEN m.basis = 'computed' AND m.component IN ('token', 'retry_failed', 'fallback')
            THEN m.quantity ELSE 0 END) AS tokens,
        sum(m.unpriced_tokens) AS unpriced_tokens, sum(m.unpriced_lines) AS unpriced_lines,
        sum(m.unpriced_lines) FILTER (WHERE m.unpriced_tokens = 0) AS blind_lines,
        sum(m.unconverted_lines) AS unconverted_lines, sum(m.lines) AS lines
    FROM costs_month m JOIN economics_todo t USING (workload_id)
    WHERE m.charge_month = %(month)s AND m.role = 'counts' AND m.basis <> 'billed'
    GROUP BY 1, 2
), money AS (
    SELECT workload_id, sum(amount) AS cost,
        jsonb_object_agg(component, trim_scale(amount)::text) FILTER (WHERE lines <> 0) AS components,
        coalesce(sum(requests), 0)::bigint AS requests,
        (coalesce(sum(requests), 0) - coalesce(sum(requests) FILTER (WHERE component = 'retry_failed'), 0))::bigint
            AS delivered,
        sum(tokens) AS tokens, sum(unpriced_tokens) AS unpriced_tokens, sum(unpriced_lines)::bigint AS unpriced_lines,
        coalesce(sum(blind_lines), 0)::bigint AS blind_lines,
        sum(unconverted_lines)::bigint AS unconverted_lines, sum(lines)::bigint AS lines
    FROM component GROUP BY 1 HAVING sum(lines) > 0
), silent AS MATERIALIZED (
    SELECT source_id, (seen_to - covered_to)::numeric / (seen_to - month) AS share
    FROM economics_silent_source WHERE month = %(month)s
), of_source AS (
    SELECT m.workload_id, m.source_id, sum(abs(m.amount_org)) AS amount
    FROM costs_month m JOIN economics_todo t USING (workload_id)
    WHERE EXISTS (SELECT FROM silent) AND m.charge_month IN (%(month)s, %(before)s)
      AND m.role = 'counts' AND m.basis <> 'billed'
    GROUP BY 1, 2
), missing AS (
    SELECT o.workload_id, sum(s.share * coalesce(o.amount / nullif(whole.amount, 0), 1)) AS share
    FROM of_source o JOIN silent s USING (source_id)
    JOIN (SELECT workload_id, sum(amount) AS amount FROM of_source GROUP BY 1) whole USING (workload_id)
    GROUP BY 1
), outcome AS (
    SELECT o.* FROM economics_outcome o JOIN economics_todo t USING (workload_id)
    WHERE o.is_latest AND NOT o.is_withdrawn AND o.period_start >= %(month)s AND o.period_start < %(end)s
), counted AS (
    SELECT workload_id, period_start, period_end, produced::numeric AS produced, accepted::numeric AS accepted,
        reviewed::numeric AS reviewed, false AS is_declared
    FROM outcome WHERE produced IS NOT NULL
), calls (workload_id, delivered) AS ({{calls}}
), figure AS (
    SELECT * FROM counted
    UNION ALL
    SELECT o.workload_id, o.period_start, o.period_end, c.delivered, c.delivered * o.declared,
        c.delivered * o.declared_reviewed, true
    FROM outcome o JOIN calls c USING (workload_id)
    WHERE o.declared IS NOT NULL AND NOT EXISTS (SELECT FROM counted c WHERE c.workload_id = o.workload_id)
), out AS (
    SELECT workload_id, sum(produced) AS produced, sum(accepted) AS useful,
        CASE WHEN bool_and(reviewed IS NOT NULL) THEN sum(reviewed) END AS reviewed,
        bool_or(is_declared) AS is_declared, bool_or(period_end - period_start > 1) AS covers_all
    FROM figure GROUP BY 1
), usage_day AS (
    -- One workload at a time, by the index: for a changed day a scan of the month would cost as much as all of it.
    SELECT t.workload_id, l.day FROM economics_todo t CROSS JOIN LATERAL (
        SELECT day FROM costs_line
        WHERE workload_id = t.workload_id AND day >= %(month)s AND day < %(end)s AND role = 'counts'
          AND basis <> 'billed' AND component <> 'gpu_idle' AND (basis = 'computed' OR requests <> 0 OR quantity <> 0)
        GROUP BY day HAVING sum(lines) > 0
    ) l
), days AS (
    SELECT u.workload_id, count(*) AS usage_days, count(*) FILTER (WHERE f.workload_id IS NULL) AS uncounted_days
    FROM usage_day u LEFT JOIN (SELECT DISTINCT workload_id, period_start FROM counted) f
        ON f.workload_id = u.workload_id AND f.period_start = u.day
    GROUP BY 1
), change AS (
    SELECT DISTINCT grade_id, valid_from AS day FROM economics_grade_rate
    WHERE valid_from > %(month)s AND valid_from < %(end)s
), counting AS (
    SELECT f.*, c.id AS case_id, c.version, c.assumptions, c.grade_id, c.review_grade_id,
        greatest(c.counts_from, f.period_start) AS starts, least(c.counts_to, f.period_end) AS ends
    FROM figure f JOIN value_case c ON c.workload_id = f.workload_id
        AND c.counts_from < f.period_end AND c.counts_to > f.period_start AND c.counts_from < c.counts_to
), span AS (
    SELECT f.workload_id, f.case_id, f.version, f.assumptions, pay.hourly, check_pay.hourly AS review_hourly,
        min(cut.first) AS first, max(cut.end_) AS end_,
        sum(f.accepted * (cut.end_ - cut.first)) / max(f.period_end - f.period_start) AS useful,
        CASE WHEN bool_and(f.reviewed IS NOT NULL)
            THEN sum(f.reviewed * (cut.end_ - cut.first)) / max(f.period_end - f.period_start) END AS reviewed
    FROM counting f
    CROSS JOIN LATERAL (
        SELECT first, coalesce(lead(first) OVER (ORDER BY first), f.ends) AS end_ FROM (
            SELECT f.starts AS first
            UNION SELECT day FROM change
            WHERE day > f.starts AND day < f.ends AND grade_id IN (f.grade_id, f.review_grade_id)
        ) edge
    ) cut
    LEFT JOIN LATERAL (
        SELECT hourly FROM economics_grade_rate r WHERE r.grade_id = f.grade_id AND r.valid_from <= cut.first
        ORDER BY r.valid_from DESC, r.id DESC LIMIT 1
    ) pay ON true
    LEFT JOIN LATERAL (
        SELECT hourly FROM economics_grade_rate r WHERE r.grade_id = f.review_grade_id AND r.valid_from <= cut.first
        ORDER BY r.valid_from DESC, r.id DESC LIMIT 1
    ) check_pay ON true
    GROUP BY 1, 2, 3, 4, 5, 6
), spans AS (
    SELECT workload_id, jsonb_agg(jsonb_build_object(
        'case', case_id, 'version', version, 'first', first, 'end', end_, 'assumptions', assumptions,
        'hourly_rate', trim_scale(hourly)::text, 'review_rate', trim_scale(review_hourly)::text,
        'useful', trim_scale(useful)::text, 'reviewed', trim_scale(reviewed)::text
    ) ORDER BY first, case_id) AS spans
    FROM span GROUP BY 1
), claim AS (
    SELECT c.workload_id,
        bool_or(c.counts_from <= %(last)s AND c.counts_to > %(last)s) AS is_attested,
        bool_or(c.is_waiting AND c.valid_from <= %(last)s AND c.expires > %(last)s) AS is_waiting,
        bool_or(c.counts_from < c.counts_to AND c.counts_to <= %(last)s
            OR c.counts_from IS NULL AND c.expires <= %(last)s) AS is_expired
    FROM value_case c GROUP BY 1
), speed AS (
    SELECT workload_id, ARRAY[{_LATENCY}]::bigint[] AS counts
    FROM economics_service_day JOIN economics_todo t USING (workload_id)
    WHERE day >= %(month)s AND day < %(end)s GROUP BY 1
), past AS (
    -- What an unproven month comes to is known in part only: no trend rests on it.
    SELECT workload_id, jsonb_agg(jsonb_build_object('month', month,
        'cost', CASE WHEN verdict <> 'unproven' THEN trim_scale(cost)::text END,
        'useful', CASE WHEN verdict <> 'unproven' THEN trim_scale(useful)::text END,
        'value', CASE WHEN verdict <> 'unproven' THEN trim_scale(value_base)::text END) ORDER BY month) AS months
    FROM economics_month JOIN economics_todo t USING (workload_id)
    WHERE is_current AND is_complete AND month >= %(month)s::date - interval '3 months' AND month < %(month)s
    GROUP BY 1
)
SELECT t.workload_id, m.cost, coalesce(m.components, '{{}}')::text, coalesce(m.requests, 0), coalesce(m.delivered, 0),
    coalesce(m.tokens, 0), coalesce(m.unpriced_tokens, 0), coalesce(m.unpriced_lines, 0),
    coalesce(m.blind_lines, 0), coalesce(m.unconverted_lines, 0), coalesce(x.share, 0), coalesce(m.lines, 0),
    trim_scale(o.produced), trim_scale(o.useful), trim_scale(o.reviewed), coalesce(o.is_declared, false),
    coalesce(d.usage_days, 0), CASE WHEN o.covers_all THEN 0 ELSE coalesce(d.uncounted_days, 0) END,
    coalesce(s.spans, '[]')::text, coalesce(c.is_attested, false), coalesce(c.is_waiting, false),
    coalesce(c.is_expired, false), v.counts,
    CASE WHEN signed_.id IS NULL THEN p.limit_ms ELSE (signed_.coverage ->> 'band_limit_ms')::int END,
    coalesce(p.is_mandated, false),
    coalesce(h.months, '[]')::text, now_.id, now_.revision, now_.state, now_.inputs_digest
FROM economics_todo t
LEFT JOIN money m USING (workload_id)
LEFT JOIN missing x USING (workload_id)
LEFT JOIN out o USING (workload_id)
LEFT JOIN days d USING (workload_id)
LEFT JOIN spans s USING (workload_id)
LEFT JOIN claim c USING (workload_id)
LEFT JOIN speed v USING (workload_id)
LEFT JOIN past h USING (workload_id)
LEFT JOIN economics_month now_ ON now_.workload_id = t.workload_id AND now_.month = %(month)s AND now_.is_current
LEFT JOIN economics_month signed_
    ON signed_.workload_id = t.workload_id AND signed_.month = %(month)s AND signed_.is_signed_now
LEFT JOIN LATERAL (
    SELECT b.limit_ms, r.mandated_until >= %(last)s AS is_mandated
    FROM workloads_revision r LEFT JOIN catalog_latency_band b ON b.code = r.latency_band_id
    WHERE r.workload_id = t.workload_id
    ORDER BY r.recorded_at >= %(ends_at)s, CASE WHEN r.recorded_at < %(ends_at)s THEN -r.version ELSE r.version END
    LIMIT 1
) p ON true
ORDER BY t.workload_id
"""

# --- Writing ----------------------------------------------------------------------------------------------------------

COLUMNS: Final = (
    *("workload_id", "month", "state", "revision", "is_complete", "inputs_digest", "cost", "components", "requests"),
    *("delivered", "produced", "useful", "reviewed", "is_declared", "value_low", "value_base", "value_high"),
    *("review_low", "review_base", "review_high", "net_low", "net_base", "net_high", "verdict", "reasons", "coverage"),
    "spans",
)
_NAMES: Final = ", ".join(COLUMNS)
_KEY: Final = ("workload_id", "month", "revision")
_TAKEN_OVER: Final = ", ".join(f"{name} = n.{name}" for name in COLUMNS if name not in _KEY)

NEW = f"CREATE TEMP TABLE economics_new ON COMMIT DROP AS SELECT {_NAMES} FROM economics_month WHERE false"
COPY = f"COPY economics_new ({_NAMES}) FROM STDIN"
# A signed row stays and loses the mark of the newest one; whatever nobody has signed is written over.
STEP_BACK = """
UPDATE economics_month m SET is_current = false FROM economics_new n
WHERE m.workload_id = n.workload_id AND m.month = n.month AND m.is_current AND m.state = 'signed'
"""
WRITE_OVER = f"""
UPDATE economics_month m SET {_TAKEN_OVER}, computed_at = now() FROM economics_new n
WHERE m.workload_id = n.workload_id AND m.month = n.month AND m.is_current AND m.revision = n.revision
"""
WRITE_NEW = f"""
INSERT INTO economics_month ({_NAMES}, is_current, is_signed_now, computed_at)
SELECT {_NAMES}, true, false, now() FROM economics_new n
WHERE NOT EXISTS (
    SELECT FROM economics_month m WHERE m.workload_id = n.workload_id AND m.month = n.month AND m.is_current
)
"""

UNSIGN_OLD = """
UPDATE economics_month SET is_signed_now = false
WHERE month = %(month)s AND is_signed_now AND NOT is_current
"""
SIGN = """
UPDATE economics_month SET state = 'signed', is_signed_now = true, signed_at = now()
WHERE month = %(month)s AND is_current AND state <> 'signed'
"""

"""The SQL of rating.py, apart so that each can be read whole. Parameters by name, see `rating._values`."""

from typing import Final

from apps.sources.roles_sql import role_at
from apps.usage.corrections import STANDING_CHARGE, standing
from apps.usage.fields import Flag

FLAGS: Final = (
    "RATE_ASSUMED", "UNPRICED", "REPORTED_PRICE", "RATE_CARRIED", "QUANTITY_UNKNOWN", "EFFECTIVE_UNUSABLE",
    "UNCONVERTED",
)  # fmt: skip
# What made a day be worked out again, and as what a correction of a signed month tells it. Where several did, the first
# of them here is told: what a source says anew explains more than what follows from it.
CAUSES: Final = (
    ("undone import", "source restatement"),
    ("source restatement", "source restatement"),
    ("import", "late data"),
    ("binding", "binding"),
    ("price", "price"),
    ("exchange rate", "exchange rate"),
    ("allocation rule", "allocation rule"),
    ("role", "source role"),
    ("bill role", "source role"),
)
_OTHER: Final = 3  # late data
_RANK = " ".join(f"WHEN '{reason}' THEN {rank}" for rank, (reason, _) in enumerate(CAUSES, 1))
_CAUSE = " ".join(f"WHEN {rank} THEN '{cause}'" for rank, (_, cause) in enumerate(CAUSES, 1))

CLAIM = f"""
CREATE TEMP TABLE costs_claimed ON COMMIT DROP AS
WITH taken AS (DELETE FROM costs_dirty_day WHERE day >= %s AND day < %s RETURNING day, identity_id, reason)
SELECT day, identity_id, min(CASE reason {_RANK} ELSE {_OTHER} END) AS cause FROM taken GROUP BY day, identity_id
"""


def _segment_role(measure: str) -> str:
    return role_at(source="s.source_id", measure=f"'{measure}'", workload="a.workload_id", at="span.starts_at")


# Cut points of a series: the window's start, and each change of owner, price or role inside the window. `part` narrows
# the series to one part's, for the totals of an import.
SEGMENTS = f"""
CREATE TEMP TABLE costs_segment ON COMMIT DROP AS
WITH series AS (
    SELECT s.id, s.identity_id, s.offering_id, s.call_kind, s.service_tier, s.prompt_band, p.source_id
    FROM usage_series s JOIN sources_part p ON p.id = s.part_id
    WHERE s.identity_id IN (SELECT identity_id FROM costs_claimed)
      AND (%(part)s::bigint IS NULL OR s.part_id = %(part)s)
), cut AS (
    SELECT id, %(starts_at)s::timestamptz AS at FROM series
    UNION
    SELECT s.id, a.valid_from FROM series s JOIN workloads_attribution a USING (identity_id)
    WHERE a.valid_from > %(starts_at)s AND a.valid_from < %(ends_at)s
    UNION
    SELECT s.id, edge FROM series s JOIN catalog_effective_rate r USING (offering_id, service_tier, prompt_band)
        CROSS JOIN LATERAL (VALUES (r.valid_from), (r.valid_to)) edges (edge)
    WHERE edge > %(starts_at)s AND edge < %(ends_at)s
    UNION
    SELECT s.id, r.valid_from FROM series s JOIN sources_role r USING (source_id)
    WHERE r.valid_from > %(starts_at)s AND r.valid_from < %(ends_at)s
), span AS (
    SELECT id AS series_id, at AS starts_at, lead(at, 1, %(ends_at)s) OVER (PARTITION BY id ORDER BY at) AS ends_at
    FROM cut
)
SELECT row_number() OVER () AS segment_id, span.*, s.identity_id, s.offering_id, s.call_kind, s.source_id,
    a.workload_id, r.rate_id, r.input AS input_price, r.cached AS cached_price, r.cache_write AS cache_write_price,
    r.cache_write_1h AS cache_write_1h_price, r.output AS output_price, r.reasoning AS reasoning_price,
    r.gpu_hour AS gpu_hour_price, r.currency AS price_currency,
    coalesce(r.cached_assumed, false) AS cached_assumed, coalesce(r.cache_write_assumed, false) AS cache_write_assumed,
    coalesce(r.cache_write_1h_assumed, false) AS cache_write_1h_assumed,
    coalesce(r.reasoning_assumed, false) AS reasoning_assumed,
    coalesce({_segment_role("token_cost")}, 'counts') AS token_role,
    coalesce({_segment_role("gpu")}, 'counts') AS gpu_role
FROM span JOIN series s ON s.id = span.series_id
JOIN workloads_attribution a
    ON a.identity_id = s.identity_id AND a.valid_from <= span.starts_at AND a.valid_to > span.starts_at
LEFT JOIN catalog_effective_rate r
    ON r.offering_id = s.offering_id AND r.service_tier = s.service_tier AND r.prompt_band = s.prompt_band
    AND r.valid_from <= span.starts_at AND r.valid_to > span.starts_at
"""

# Prices are per 1,000,000 tokens; multiplying by 0.000001 is exact where dividing is not. An unknown token count adds
# nothing (its tokens stand in another type), a known one without a price makes the amount NULL; where an accelerator of
# our own is paid by the hour, its tokens cost nothing more. Idle GPU time is what the allocated time costs less what
# its busy share costs, so that the two add up to the last digit. Costs that the source reports in several currencies
# stay apart.
_HOUR_LINES = """
CREATE TEMP TABLE costs_new ON COMMIT DROP AS
WITH summed AS (
    SELECT g.segment_id, (h.hour AT TIME ZONE %(zone)s)::date AS day, sum(h.requests) AS requests,
        sum(h.input) AS input, sum(h.cached) AS cached, sum(h.cache_write) AS cache_write,
        sum(h.cache_write_1h) AS cache_write_1h, sum(h.output) AS output, sum(h.reasoning) AS reasoning,
        sum(h.gpu_seconds) AS gpu_seconds, sum(coalesce(h.gpu_busy_seconds, h.gpu_seconds)) AS gpu_busy_seconds,
        sum(h.reported_cost) AS reported_cost, bit_or(h.flags) AS flags,
        CASE WHEN h.reported_cost IS NOT NULL THEN h.currency END AS reported_currency
    FROM {hours} h
    JOIN costs_segment g ON g.series_id = h.series_id AND h.hour >= g.starts_at AND h.hour < g.ends_at
    WHERE h.hour >= %(starts_at)s AND h.hour < %(ends_at)s
    GROUP BY 1, 2, reported_currency
), counted AS (
    SELECT s.*, g.identity_id, g.offering_id, g.call_kind, g.source_id, g.workload_id, g.token_role, g.gpu_role,
        g.price_currency,
        coalesce(s.input, s.cached, s.cache_write, s.cache_write_1h, s.output, s.reasoning) IS NOT NULL AS has_tokens,
        coalesce(s.input, 0) + coalesce(s.cached, 0) + coalesce(s.cache_write, 0) + coalesce(s.cache_write_1h, 0)
            + coalesce(s.output, 0) + coalesce(s.reasoning, 0) AS tokens,
        CASE WHEN g.gpu_hour_price IS NOT NULL AND g.input_price IS NULL AND g.output_price IS NULL THEN 0 ELSE (
            CASE WHEN s.input > 0 THEN s.input * g.input_price ELSE 0 END
            + CASE WHEN s.cached > 0 THEN s.cached * g.cached_price ELSE 0 END
            + CASE WHEN s.cache_write > 0 THEN s.cache_write * g.cache_write_price ELSE 0 END
            + CASE WHEN s.cache_write_1h > 0 THEN s.cache_write_1h * g.cache_write_1h_price ELSE 0 END
            + CASE WHEN s.output > 0 THEN s.output * g.output_price ELSE 0 END
            + CASE WHEN s.reasoning > 0 THEN s.reasoning * g.reasoning_price ELSE 0 END) * 0.000001 END AS token_amount,
        CASE WHEN (s.cached > 0 AND g.cached_assumed) OR (s.cache_write > 0 AND g.cache_write_assumed)
                OR (s.cache_write_1h > 0 AND g.cache_write_1h_assumed) OR (s.reasoning > 0 AND g.reasoning_assumed)
            THEN %(rate_assumed)s ELSE 0 END AS assumed,
        round(s.gpu_seconds * g.gpu_hour_price / 3600, 18) AS gpu_amount,
        round(s.gpu_busy_seconds * g.gpu_hour_price / 3600, 18) AS gpu_used_amount
    FROM summed s JOIN costs_segment g USING (segment_id)
    JOIN costs_claimed c ON c.identity_id = g.identity_id AND c.day = s.day
), line AS (
    SELECT n.day, n.workload_id, n.identity_id, n.offering_id, n.source_id, n.flags, n.assumed, n.price_currency,
        n.reported_currency, v.*
    FROM counted n CROSS JOIN LATERAL (VALUES
        (n.call_kind, n.token_role, n.has_tokens OR n.requests IS NOT NULL,
            CASE WHEN n.has_tokens THEN n.tokens END, n.requests,
            CASE WHEN n.has_tokens THEN n.token_amount END, n.reported_cost),
        ('gpu_used', n.gpu_role, n.gpu_seconds IS NOT NULL, n.gpu_busy_seconds, NULL,
            n.gpu_used_amount, CASE WHEN NOT n.has_tokens THEN n.reported_cost END),
        ('gpu_idle', n.gpu_role, n.gpu_seconds > n.gpu_busy_seconds, n.gpu_seconds - n.gpu_busy_seconds, NULL,
            n.gpu_amount - n.gpu_used_amount, NULL),
        ('other_shared', n.token_role, n.reported_cost IS NOT NULL AND NOT n.has_tokens AND n.requests IS NULL
            AND n.gpu_seconds IS NULL, NULL, NULL, NULL, n.reported_cost)
    ) v (component, role, present, quantity, requests, amount, reported)
    WHERE v.present
)
SELECT day, date_trunc('month', day)::date AS charge_month, workload_id, identity_id, offering_id, source_id, component,
    'computed' AS basis, role, sum(quantity)::numeric(38,18) AS quantity, sum(requests)::bigint AS requests,
    sum(coalesce(amount, reported))::numeric(38,18) AS amount,
    CASE WHEN amount IS NULL AND reported IS NOT NULL THEN coalesce(reported_currency, %(currency)s)
        WHEN amount IS NULL THEN %(currency)s ELSE coalesce(price_currency, %(currency)s) END AS currency,
    NULL::numeric(38,18) AS amount_org,
    coalesce(sum(quantity) FILTER (WHERE amount IS NULL AND reported IS NULL AND component NOT LIKE 'gpu%%'), 0)::bigint
        AS unpriced_tokens,
    bit_or(flags | assumed
        | CASE WHEN amount IS NULL AND reported IS NULL AND quantity > 0 THEN %(unpriced)s ELSE 0 END
        | CASE WHEN amount IS NULL AND reported IS NOT NULL THEN %(reported_price)s ELSE 0 END
        | CASE WHEN quantity IS NULL AND component <> 'other_shared' THEN %(quantity_unknown)s ELSE 0 END) AS flags
FROM line
GROUP BY day, workload_id, identity_id, offering_id, source_id, component, role,
    CASE WHEN amount IS NULL AND reported IS NOT NULL THEN coalesce(reported_currency, %(currency)s)
        WHEN amount IS NULL THEN %(currency)s ELSE coalesce(price_currency, %(currency)s) END
"""
# Open months have one row an hour. Where a month is signed, all revisions of an hour say together what it is now.
HOURS_OF_SEGMENTS: Final = standing("""(
    SELECT * FROM usage_hour WHERE series_id IN (SELECT series_id FROM costs_segment)
      AND hour >= %(starts_at)s AND hour < %(ends_at)s)""")
HOUR_LINES = _HOUR_LINES.replace("{hours}", "usage_hour")
SIGNED_HOUR_LINES = _HOUR_LINES.replace("{hours}", HOURS_OF_SEGMENTS)

# What of each provider something counts that month: tokens, GPU time. Signed months keep rows of what came and went.
COVERED = """
SELECT m.charge_month AS month, o.provider,
    CASE WHEN m.component LIKE 'gpu%%' THEN 'gpu' ELSE 'token_cost' END AS measure
FROM costs_month m JOIN catalog_offering o ON o.id = m.offering_id
WHERE m.charge_month = ANY(%(months)s) AND m.basis = 'computed' AND m.role = 'counts'
  AND m.component IN ('token', 'retry_failed', 'fallback', 'gpu_used', 'gpu_idle')
GROUP BY 1, 2, 3 HAVING sum(m.lines) > 0
"""

# What a row of a bill is for. Taxes and credits are no use of anything, whatever model they name.
COMPONENT_OF_CHARGE = """CASE WHEN c.category IN ('Tax', 'Credit', 'Adjustment') THEN 'other_shared'
            WHEN c.meter ~* '(transfer|egress|bandwidth)' THEN 'data_transfer'
            WHEN c.offering_id IS NOT NULL OR c.meter ~* 'token' OR c.unit ~* 'token' THEN 'token'
            WHEN c.meter ~* '(gpu|accelerator)' OR c.unit ~* 'gpu' THEN 'gpu_used'
            ELSE 'other_shared' END"""
# A role is said of a measure. Transfer, storage, taxes and credits are of none: whatever is said of tokens alone or of
# GPU time alone, they count. Where both check, the whole bill does, as one does that is here a second time.
MEASURE_OF_CHARGE = "CASE c.component WHEN 'token' THEN 'token_cost' WHEN 'gpu_used' THEN 'gpu' END"


def _role_said(measure: str) -> str:
    return role_at(source="c.source_id", measure=measure, workload="c.workload_id", at="c.held_at")


_ALL_CHECK = " AND ".join(f"{_role_said(measure)} = 'checks'" for measure in ("'token_cost'", "'gpu'"))
ROLE_OF_CHARGE = f"""CASE
            WHEN c.component IN ('token', 'gpu_used') THEN coalesce({_role_said(MEASURE_OF_CHARGE)},
                CASE WHEN covered.provider IS NULL THEN 'counts' ELSE 'checks' END)
            WHEN {_ALL_CHECK} THEN 'checks' ELSE 'counts' END"""

_OF_CHARGE = (
    "day, workload_id, identity_id, offering_id, source_id, component, role, currency, part_id, charge_start, "
    "row_digest, occurrence, pull_id, category, meter, unit, accrued"
)

IN_SCOPE = "(c.in_scope OR a.workload_id IS NOT NULL)"
# A charge counts in scope by its category or because a binding claims it, unless a log counts the same tokens or GPU
# time: no log holds storage, transfer, taxes or credits. Purchases count only as billed. An accrued charge gives each
# day an equal part; the units of the last digit that remain go to its first days. Owner and role are those of the day.
CHARGE_DAYS = f"""
WITH charge AS (
    SELECT c.*, k.day, p.source_id, a.workload_id,
        (c.charge_start AT TIME ZONE %(zone)s)::date AS first_day,
        ((c.charge_end - interval '1 microsecond') AT TIME ZONE %(zone)s)::date AS last_day,
        {COMPONENT_OF_CHARGE} AS component, held.at AS held_at
    FROM costs_claimed k
    JOIN usage_charge c ON c.identity_id = k.identity_id AND {STANDING_CHARGE}
        AND ((c.charge_start >= %(starts_at)s AND c.charge_start < %(ends_at)s)
            OR (c.accrued AND c.charge_start < %(ends_at)s AND c.charge_end > %(starts_at)s))
        AND k.day >= (c.charge_start AT TIME ZONE %(zone)s)::date
        AND k.day <= CASE WHEN c.accrued THEN ((c.charge_end - interval '1 microsecond') AT TIME ZONE %(zone)s)::date
            ELSE (c.charge_start AT TIME ZONE %(zone)s)::date END
    JOIN sources_part p ON p.id = c.part_id
    CROSS JOIN LATERAL (SELECT greatest(c.charge_start, k.day::timestamp AT TIME ZONE %(zone)s) AS at) held
    JOIN workloads_attribution a
        ON a.identity_id = c.identity_id AND a.valid_from <= held.at AND a.valid_to > held.at
    WHERE {IN_SCOPE}
), ruled AS (
    SELECT c.*,
        {ROLE_OF_CHARGE} AS role
    FROM charge c
    LEFT JOIN ({COVERED}) covered ON covered.provider = c.provider
        AND covered.month = date_trunc('month', c.day)::date
        AND covered.measure = {MEASURE_OF_CHARGE}
), line AS (
    SELECT {_OF_CHARGE}, 'billed' AS basis, quantity, billed AS amount, 0 AS flags
    FROM ruled WHERE day = first_day
    UNION ALL
    SELECT {_OF_CHARGE}, 'effective',
        CASE WHEN day = first_day THEN quantity END,
        CASE WHEN NOT accrued THEN coalesce(effective, billed)
            ELSE share.floor + CASE WHEN day - first_day < share.digits THEN share.digit ELSE 0 END END,
        CASE WHEN effective IS NULL THEN %(effective_unusable)s ELSE 0 END
    FROM (
        SELECT *, coalesce(effective, billed) AS total, last_day - first_day + 1 AS days FROM ruled
    ) r CROSS JOIN LATERAL (
        SELECT base AS floor, sign(r.total) * 0.000000000000000001 AS digit,
            abs(r.total - base * r.days) / 0.000000000000000001 AS digits
        FROM (SELECT trunc(r.total / r.days, 18) AS base) shared
    ) share
    WHERE category <> 'Purchase'
)
"""
CHARGE_LINES = f"""
CREATE TEMP TABLE costs_new ON COMMIT DROP AS
{CHARGE_DAYS}
SELECT day, date_trunc('month', day)::date AS charge_month, workload_id, identity_id, offering_id, source_id, component,
    basis, role, sum(quantity)::numeric(38,18) AS quantity, NULL::bigint AS requests,
    sum(amount)::numeric(38,18) AS amount, currency, NULL::numeric(38,18) AS amount_org, 0::bigint AS unpriced_tokens,
    bit_or(flags) AS flags
FROM line GROUP BY day, workload_id, identity_id, offering_id, source_id, component, basis, role, currency
"""

# Charges of providers that have just become covered, or just ceased to be: their role is to be worked out again.
MARK_CHARGES = """
WITH moved AS (
    SELECT identity_id, (charge_start AT TIME ZONE %(zone)s)::date AS first_day,
        CASE WHEN accrued THEN ((charge_end - interval '1 microsecond') AT TIME ZONE %(zone)s)::date
            ELSE (charge_start AT TIME ZONE %(zone)s)::date END AS last_day
    FROM usage_charge
    WHERE provider = ANY(%(providers)s)
      AND (charge_start AT TIME ZONE %(zone)s)::date < (%(month)s::date + interval '1 month')
      AND (charge_end AT TIME ZONE %(zone)s)::date >= %(month)s::date
)
INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at)
SELECT DISTINCT day::date, m.identity_id, 'bill role', now()
FROM moved m, generate_series(
    greatest(m.first_day, %(month)s::date), least(m.last_day, %(month)s::date + interval '1 month - 1 day'),
    interval '1 day') day
WHERE NOT EXISTS (SELECT 1 FROM costs_claimed c WHERE c.identity_id = m.identity_id AND c.day = day::date)
"""

# The rate of the day is kept with the lines that it converts. In an open month it follows the day's rate; in a signed
# one it stays, and only a day that had none gets one.
_KEEP_RATES = """
INSERT INTO costs_fx AS kept (day, currency, quote, rate, as_of)
SELECT DISTINCT f.day, f.currency, f.quote, f.rate, f.as_of
FROM costs_new n JOIN catalog_fx f ON f.day = n.day AND f.currency = n.currency AND f.quote = %(currency)s
WHERE n.currency <> %(currency)s
ON CONFLICT (day, currency, quote)
"""
KEEP_RATES = (
    f"{_KEEP_RATES} DO UPDATE SET rate = excluded.rate, as_of = excluded.as_of "
    "WHERE (kept.rate, kept.as_of) <> (excluded.rate, excluded.as_of)"
)
KEEP_SIGNED_RATES = f"{_KEEP_RATES} DO NOTHING"
_CONVERT = """
UPDATE costs_new n SET
    amount_org = CASE WHEN n.currency = %(currency)s THEN n.amount ELSE n.amount * f.rate END,
    flags = n.flags | CASE WHEN f.as_of < f.day THEN %(rate_carried)s ELSE 0 END
        | CASE WHEN n.amount IS NOT NULL AND n.currency <> %(currency)s AND f.rate IS NULL
            THEN %(unconverted)s ELSE 0 END
FROM costs_new o LEFT JOIN {rates} f
    ON f.day = o.day AND f.currency = o.currency AND f.quote = %(currency)s
WHERE o.ctid = n.ctid
"""
CONVERT = _CONVERT.replace("{rates}", "costs_fx")
# For totals that write nothing: kept rates where there are some, else those of the day.
CONVERT_AS_KEPT = _CONVERT.replace(
    "{rates}",
    """(
    SELECT f.day, f.currency, f.quote, coalesce(k.rate, f.rate) AS rate, coalesce(k.as_of, f.as_of) AS as_of
    FROM catalog_fx f LEFT JOIN costs_fx k USING (day, currency, quote))""",
)

REMOVE_OLD = """
CREATE TEMP TABLE costs_delta ON COMMIT DROP AS
WITH gone AS (
    DELETE FROM costs_line l USING costs_claimed c
    WHERE l.day = c.day AND l.identity_id = c.identity_id AND l.basis = ANY(%(bases)s)
      AND l.day BETWEEN %(first)s AND %(last)s AND l.revision = 0 AND l.allocation_run_id IS NULL
    RETURNING l.*
)
SELECT -1 AS sign, day, charge_month, booked_month, workload_id, offering_id, source_id, component, basis, role,
    currency, quantity, requests, amount, amount_org, unpriced_tokens, flags, cleared, lines
FROM gone
"""

ADD_NEW = """
WITH delta AS (
    INSERT INTO costs_delta
    SELECT 1, day, charge_month, charge_month, workload_id, offering_id, source_id, component, basis, role, currency,
        quantity, requests, amount, amount_org, unpriced_tokens, flags, 0, 1
    FROM costs_new
)
INSERT INTO costs_line (day, charge_month, booked_month, workload_id, identity_id, offering_id, source_id, component,
    basis, role, quantity, requests, amount, currency, amount_org, unpriced_tokens, flags)
SELECT day, charge_month, charge_month, workload_id, identity_id, offering_id, source_id, component, basis, role,
    quantity, requests, amount, currency, amount_org, unpriced_tokens, flags
FROM costs_new
"""

# Two marks that are counted as one must not come and go in turn: while either stands, what stood keeps standing.
_UPPER_BOUND, _TIER_ASSUMED = int(Flag.UPPER_BOUND), int(Flag.TIER_ASSUMED | Flag.BAND_UNKNOWN)
_MARKS_NOW = f"""CASE WHEN n.day IS NULL THEN 0
            WHEN coalesce(o.flags, 0) & {_TIER_ASSUMED} <> 0 AND n.flags & {_TIER_ASSUMED} <> 0
            THEN n.flags & ~{_TIER_ASSUMED} | o.flags & {_TIER_ASSUMED} ELSE n.flags END"""
_LINE_KEY = "day, workload_id, identity_id, offering_id, source_id, component, basis, role, currency"


def _difference(name: str) -> str:
    """Unknown stays unknown only if it was and is: all lines of a key add up to what is true now."""
    both = f"coalesce(n.{name}, 0) - coalesce(o.{name}, 0)"
    return f"CASE WHEN n.{name} IS NULL AND o.{name} IS NULL THEN NULL ELSE {both} END AS {name}"


# Signed months: what is true now, less all that stands there, as lines of the next revision.
CORRECT = f"""
CREATE TEMP TABLE costs_delta ON COMMIT DROP AS
WITH stood AS MATERIALIZED (
    SELECT {", ".join(f"l.{name}" for name in _LINE_KEY.split(", "))}, sum(l.amount) AS amount,
        sum(l.amount_org) AS amount_org, sum(l.quantity) AS quantity, sum(l.requests) AS requests,
        sum(l.unpriced_tokens) AS unpriced_tokens, bit_xor(l.flags) # bit_xor(l.cleared) AS flags,
        sum(l.lines)::int AS lines, max(l.revision) AS revision
    FROM costs_line l JOIN costs_claimed c ON l.day = c.day AND l.identity_id = c.identity_id
    WHERE l.basis = ANY(%(bases)s) AND l.day BETWEEN %(first)s AND %(last)s AND l.allocation_run_id IS NULL
    GROUP BY {", ".join(f"l.{name}" for name in _LINE_KEY.split(", "))}
), last AS (
    SELECT day, identity_id, max(revision) AS revision FROM stood GROUP BY 1, 2
), compared AS (
    SELECT coalesce(n.day, o.day) AS day, coalesce(n.workload_id, o.workload_id) AS workload_id,
        coalesce(n.identity_id, o.identity_id) AS identity_id, coalesce(n.offering_id, o.offering_id) AS offering_id,
        coalesce(n.source_id, o.source_id) AS source_id, coalesce(n.component, o.component) AS component,
        coalesce(n.basis, o.basis) AS basis, coalesce(n.role, o.role) AS role,
        coalesce(n.currency, o.currency) AS currency, {_difference("quantity")}, {_difference("requests")},
        {_difference("amount")}, {_difference("amount_org")}, {_difference("unpriced_tokens")},
        coalesce(o.flags, 0) AS marks_before, {_MARKS_NOW} AS marks_now,
        CASE WHEN n.day IS NULL THEN 0 ELSE 1 END - coalesce(o.lines, 0) AS lines
    FROM costs_new n FULL JOIN stood o ON o.day = n.day AND o.identity_id = n.identity_id
        AND coalesce(o.workload_id, 0) = coalesce(n.workload_id, 0)
        AND coalesce(o.offering_id, 0) = coalesce(n.offering_id, 0) AND o.source_id = n.source_id
        AND o.component = n.component AND o.basis = n.basis AND o.role = n.role AND o.currency = n.currency
)
SELECT 1 AS sign, c.day, date_trunc('month', c.day)::date AS charge_month, %(booked)s::date AS booked_month,
    c.workload_id, c.offering_id, c.source_id, c.component, c.basis, c.role, c.currency, c.quantity,
    c.requests::bigint AS requests, c.amount, c.amount_org, c.unpriced_tokens::bigint AS unpriced_tokens,
    c.marks_now & ~c.marks_before AS flags, c.marks_before & ~c.marks_now AS cleared, c.lines::smallint AS lines,
    c.identity_id, (coalesce(last.revision, 0) + 1)::smallint AS revision,
    CASE k.cause {_CAUSE} END AS cause
FROM compared c JOIN costs_claimed k ON k.day = c.day AND k.identity_id = c.identity_id
LEFT JOIN last ON last.day = c.day AND last.identity_id = c.identity_id
WHERE c.marks_now <> c.marks_before OR c.lines <> 0
    OR (coalesce(c.quantity, 0), coalesce(c.requests, 0), coalesce(c.amount, 0), coalesce(c.amount_org, 0),
        coalesce(c.unpriced_tokens, 0)) <> (0, 0, 0, 0, 0)
"""
ADD_CORRECTIONS = """
INSERT INTO costs_line (day, charge_month, booked_month, revision, cause, workload_id, identity_id, offering_id,
    source_id, component, basis, role, quantity, requests, amount, currency, amount_org, unpriced_tokens, flags,
    cleared, lines)
SELECT day, charge_month, booked_month, revision, cause, workload_id, identity_id, offering_id, source_id, component,
    basis, role, quantity, requests, amount, currency, amount_org, unpriced_tokens, flags, cleared, lines
FROM costs_delta
"""

_MEASURES = (
    "amount, amount_org, quantity, requests, unpriced_tokens, unpriced_lines, unconverted_lines, assumed_lines, "
    "upper_bound_lines, tier_assumed_lines, carried_lines, lines"
)
# Marks are counted, since a difference can be taken from a count and not from a union of bits. What is said of an
# hour's tokens says nothing of its GPU time.


def _marked(bits: str, *, of_tokens: bool = False) -> str:
    only = " FILTER (WHERE component NOT LIKE 'gpu%%')" if of_tokens else ""
    return f"coalesce(sum(sign * ((flags & {bits} <> 0)::int - (cleared & {bits} <> 0)::int)){only}, 0)"


_SUMS = f"""
    coalesce(sum(sign * amount), 0), coalesce(sum(sign * amount_org), 0), coalesce(sum(sign * quantity), 0),
    coalesce(sum(sign * requests), 0), sum(sign * unpriced_tokens), {_marked("%(unpriced)s")},
    {_marked("%(unconverted)s")}, {_marked("%(rate_assumed)s")}, {_marked(str(_UPPER_BOUND), of_tokens=True)},
    {_marked(str(_TIER_ASSUMED), of_tokens=True)}, {_marked("%(rate_carried)s")}, sum(sign * lines)
"""
_ADDED = ", ".join(f"{name} = r.{name} + excluded.{name}" for name in _MEASURES.split(", "))


def _roll_up(table: str, key: str, grain: str) -> str:
    return f"""
        INSERT INTO {table} AS r ({key}, {_MEASURES})
        SELECT {grain}, {_SUMS} FROM costs_delta GROUP BY {grain}
        ON CONFLICT ON CONSTRAINT {table}_key DO UPDATE SET {_ADDED}
    """


_MONTH_KEY = "charge_month, booked_month, workload_id, offering_id, source_id, component, basis, role, currency"
_DAY_KEY = "day, booked_month, allocated, offering_id, source_id, component, basis, role, currency"

# Narrow on purpose: by it thousands of workloads are ranked over a year.
_OWNER_MONTH = """
    INSERT INTO costs_owner_month AS r
        (charge_month, booked_month, workload_id, basis, role, amount_org, requests, lines)
    SELECT charge_month, booked_month, workload_id, basis, role, coalesce(sum(sign * amount_org), 0),
        coalesce(sum(sign * requests), 0), sum(sign * lines)
    FROM costs_delta GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT ON CONSTRAINT costs_owner_month_key DO UPDATE SET amount_org = r.amount_org + excluded.amount_org,
        requests = r.requests + excluded.requests, lines = r.lines + excluded.lines
"""

# For those above this app: what rests on a workload's day is to be looked at again. Rows are only ever added here, so
# that taking some away can never lose a change which commits a moment later.
_CHANGED_DAYS = """
    INSERT INTO costs_changed_day (workload_id, day)
    SELECT DISTINCT workload_id, day FROM costs_delta WHERE workload_id IS NOT NULL
"""

ROLL_UP = (
    _roll_up("costs_month", _MONTH_KEY, _MONTH_KEY),
    "DELETE FROM costs_month WHERE charge_month = %(month)s AND booked_month = charge_month AND lines = 0",
    _roll_up("costs_day", _DAY_KEY, _DAY_KEY.replace("allocated", "workload_id IS NOT NULL")),
    "DELETE FROM costs_day WHERE day BETWEEN %(first)s AND %(last)s AND booked_month = %(month)s AND lines = 0",
    _OWNER_MONTH,
    "DELETE FROM costs_owner_month WHERE charge_month = %(month)s AND booked_month = charge_month AND lines = 0",
    _CHANGED_DAYS,
)

CLAIM_PART = """
CREATE TEMP TABLE costs_claimed ON COMMIT DROP AS
SELECT DISTINCT s.identity_id, (h.hour AT TIME ZONE %(zone)s)::date AS day
FROM usage_series s JOIN usage_hour h ON h.series_id = s.id WHERE s.part_id = %(part)s
"""

# Where nothing is unallocated its cost is nothing; where all of it lacks a price or a rate, it is unknown.
TOTALS_OF_HOURS = """
SELECT sum(amount_org),
    CASE WHEN bool_or(workload_id IS NULL) THEN sum(amount_org) FILTER (WHERE workload_id IS NULL) ELSE 0 END, count(*),
    count(*) FILTER (WHERE amount IS NOT NULL AND amount_org IS NULL),
    coalesce(array_agg(DISTINCT o.name ORDER BY o.name) FILTER (WHERE n.flags & %(unpriced)s <> 0), '{}')
FROM costs_new n LEFT JOIN catalog_offering o ON o.id = n.offering_id
"""

# What of a bill is in scope, in the organisation's currency where a rate is known; a bill without such rows costs 0.
TOTALS_OF_CHARGES = f"""
SELECT CASE WHEN count(*) > 0 THEN sum(c.cost) ELSE 0 END,
    CASE WHEN bool_or(c.workload_id IS NULL) THEN sum(c.cost) FILTER (WHERE c.workload_id IS NULL) ELSE 0 END,
    count(*), count(*) FILTER (WHERE c.cost IS NULL)
FROM (
    SELECT a.workload_id,
        coalesce(c.effective, c.billed) * CASE WHEN c.currency = %(currency)s THEN 1 ELSE f.rate END AS cost
    FROM usage_charge c
    JOIN workloads_attribution a ON a.identity_id = c.identity_id
        AND a.valid_from <= c.charge_start AND a.valid_to > c.charge_start
    LEFT JOIN catalog_fx f ON f.day = (c.charge_start AT TIME ZONE %(zone)s)::date AND f.currency = c.currency
        AND f.quote = %(currency)s
    WHERE c.part_id = %(part)s AND {STANDING_CHARGE} AND c.category <> 'Purchase'
      AND (c.in_scope OR a.workload_id IS NOT NULL)
) c
"""

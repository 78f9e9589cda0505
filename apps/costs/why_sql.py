"""The SQL of why.py. Hours meet prices exactly as in rating_sql.py, only apart by token type and without a trace.

Segments are the very ones of the rating. Grain and rounding must stay those of `rating_sql.HOUR_LINES`: GPU amounts
are rounded once per segment and day, and a segment whose tokens lack one price has no amount but the source's own. Each
step is a temporary table with statistics: in one statement the planner guesses one row and joins by nested loops.
"""

from typing import Final

from apps.costs import rating_sql
from apps.usage.corrections import STANDING_CHARGE

# Half of the last stored digit and more: what rounding of a day line can have taken, and no change of a price.
ROUNDING: Final = "0.000000000001"

TABLES: Final = "why_lines, costs_claimed, costs_segment, why_item, why_proof, why_charge"
SIGNED_TABLES: Final = f"{TABLES}, why_unproven"

# A line and its corrections are one, as long as something of it is left; its number is the first one's.
_KEY: Final = (
    "t.day, t.charge_month, t.workload_id, t.identity_id, t.offering_id, t.source_id, t.component, t.basis, t.role, "
    "t.currency"
)
LINES: Final = f"""
CREATE TEMP TABLE why_lines ON COMMIT DROP AS
SELECT min(t.id) AS id, {_KEY}, sum(t.quantity) AS quantity, sum(t.requests) AS requests, sum(t.amount) AS amount,
    sum(t.amount_org) AS amount_org, sum(t.unpriced_tokens) AS unpriced_tokens,
    bit_xor(t.flags) # bit_xor(t.cleared) AS flags
FROM costs_line t WHERE {{conditions}} GROUP BY {_KEY}
HAVING sum(t.lines) > 0 OR sum(t.amount) <> 0
"""
CORRECTIONS: Final = """
SELECT t.charge_month, t.booked_month, t.cause, sum(t.amount_org), count(*) FROM costs_line t
WHERE t.revision > 0 AND {conditions} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
CLAIMED: Final = """
CREATE TEMP TABLE costs_claimed ON COMMIT DROP AS
SELECT DISTINCT day, identity_id FROM why_lines WHERE basis = 'computed' AND identity_id IS NOT NULL
"""
BILLED: Final = """
INSERT INTO costs_claimed (day, identity_id)
SELECT DISTINCT day, identity_id FROM why_lines WHERE basis IN ('billed', 'effective') AND identity_id IS NOT NULL
"""

_ITEMS: Final = """
CREATE TEMP TABLE why_item ON COMMIT DROP AS
WITH summed AS MATERIALIZED (
    SELECT g.segment_id, (h.hour AT TIME ZONE %(zone)s)::date AS day, count(*) AS hours,
        sum(h.input) AS input, sum(h.cached) AS cached, sum(h.cache_write) AS cache_write,
        sum(h.cache_write_1h) AS cache_write_1h, sum(h.output) AS output, sum(h.reasoning) AS reasoning,
        sum(h.requests) AS requests, sum(h.gpu_seconds) AS gpu_seconds,
        sum(coalesce(h.gpu_busy_seconds, h.gpu_seconds)) AS gpu_busy_seconds,
        sum(h.reported_cost) AS reported, CASE WHEN h.reported_cost IS NOT NULL THEN h.currency END AS reported_currency
    FROM {hours} h
    JOIN costs_segment g ON g.series_id = h.series_id AND h.hour >= g.starts_at AND h.hour < g.ends_at
    WHERE h.hour >= %(starts_at)s AND h.hour < %(ends_at)s
    GROUP BY 1, 2, reported_currency
), counted AS MATERIALIZED (
    SELECT s.*, g.series_id, g.identity_id, g.offering_id, g.call_kind, g.source_id, g.workload_id, g.token_role,
        g.gpu_role, g.rate_id, coalesce(g.price_currency, %(currency)s) AS price_currency, g.gpu_hour_price, p.*,
        coalesce(s.input, s.cached, s.cache_write, s.cache_write_1h, s.output, s.reasoning) IS NOT NULL AS has_tokens,
        (coalesce(s.input, 0) > 0 AND p.input_price IS NULL) OR (coalesce(s.cached, 0) > 0 AND p.cached_price IS NULL)
            OR (coalesce(s.cache_write, 0) > 0 AND p.cache_write_price IS NULL)
            OR (coalesce(s.cache_write_1h, 0) > 0 AND p.cache_write_1h_price IS NULL)
            OR (coalesce(s.output, 0) > 0 AND p.output_price IS NULL)
            OR (coalesce(s.reasoning, 0) > 0 AND p.reasoning_price IS NULL) AS lacks_a_price,
        round(s.gpu_seconds * g.gpu_hour_price / 3600, 18) AS gpu_amount,
        round(s.gpu_busy_seconds * g.gpu_hour_price / 3600, 18) AS gpu_used_amount
    FROM summed s JOIN costs_segment g USING (segment_id)
    JOIN costs_claimed c ON c.identity_id = g.identity_id AND c.day = s.day
    -- The tokens of an accelerator that is paid by the hour cost nothing more.
    CROSS JOIN LATERAL (
        SELECT g.input_price, g.cached_price, g.cache_write_price, g.cache_write_1h_price, g.output_price,
            g.reasoning_price
        WHERE g.gpu_hour_price IS NULL OR g.input_price IS NOT NULL OR g.output_price IS NOT NULL
        UNION ALL
        SELECT 0, 0, 0, 0, 0, 0 WHERE g.gpu_hour_price IS NOT NULL AND g.input_price IS NULL AND g.output_price IS NULL
    ) p
)
    SELECT n.day, n.segment_id, n.series_id, n.identity_id, n.offering_id, n.source_id, n.workload_id, n.rate_id,
        n.hours, v.component, v.role, v.kind, v.quantity, v.price, v.currency, v.amount
    FROM counted n CROSS JOIN LATERAL (VALUES
        (n.call_kind, n.token_role, 'input', n.input, n.input_price, n.price_currency,
            n.input * n.input_price * 0.000001),
        (n.call_kind, n.token_role, 'cached', n.cached, n.cached_price, n.price_currency,
            n.cached * n.cached_price * 0.000001),
        (n.call_kind, n.token_role, 'cache_write', n.cache_write, n.cache_write_price, n.price_currency,
            n.cache_write * n.cache_write_price * 0.000001),
        (n.call_kind, n.token_role, 'cache_write_1h', n.cache_write_1h, n.cache_write_1h_price, n.price_currency,
            n.cache_write_1h * n.cache_write_1h_price * 0.000001),
        (n.call_kind, n.token_role, 'output', n.output, n.output_price, n.price_currency,
            n.output * n.output_price * 0.000001),
        (n.call_kind, n.token_role, 'reasoning', n.reasoning, n.reasoning_price, n.price_currency,
            n.reasoning * n.reasoning_price * 0.000001)
    ) v (component, role, kind, quantity, price, currency, amount)
    WHERE v.quantity > 0 AND NOT n.lacks_a_price
    UNION ALL
    SELECT n.day, n.segment_id, n.series_id, n.identity_id, n.offering_id, n.source_id, n.workload_id,
        CASE WHEN v.kind = 'gpu' THEN n.rate_id END, n.hours, v.component, v.role, v.kind, v.quantity, v.price,
        v.currency, v.amount
    FROM counted n CROSS JOIN LATERAL (VALUES
        (n.call_kind, n.token_role, 'unpriced',
            coalesce(n.input, 0) + coalesce(n.cached, 0) + coalesce(n.cache_write, 0) + coalesce(n.cache_write_1h, 0)
                + coalesce(n.output, 0) + coalesce(n.reasoning, 0),
            NULL::numeric, %(currency)s, NULL::numeric, n.has_tokens AND n.lacks_a_price AND n.reported IS NULL),
        (n.call_kind, n.token_role, 'reported', NULL, NULL, coalesce(n.reported_currency, %(currency)s), n.reported,
            n.reported IS NOT NULL AND (n.lacks_a_price OR (NOT n.has_tokens AND n.requests IS NOT NULL))),
        ('gpu_used', n.gpu_role, 'gpu', n.gpu_busy_seconds, n.gpu_hour_price, n.price_currency, n.gpu_used_amount,
            n.gpu_used_amount IS NOT NULL),
        ('gpu_idle', n.gpu_role, 'gpu', n.gpu_seconds - n.gpu_busy_seconds, n.gpu_hour_price, n.price_currency,
            n.gpu_amount - n.gpu_used_amount, n.gpu_seconds > n.gpu_busy_seconds),
        ('gpu_used', n.gpu_role, 'reported', n.gpu_busy_seconds, NULL, coalesce(n.reported_currency, %(currency)s),
            n.reported, n.gpu_seconds IS NOT NULL AND n.gpu_used_amount IS NULL AND NOT n.has_tokens
                AND n.reported IS NOT NULL),
        ('other_shared', n.token_role, 'reported', NULL, NULL, coalesce(n.reported_currency, %(currency)s), n.reported,
            n.reported IS NOT NULL AND NOT n.has_tokens AND n.requests IS NULL AND n.gpu_seconds IS NULL)
    ) v (component, role, kind, quantity, price, currency, amount, present)
    WHERE v.present
"""

ITEMS: Final = _ITEMS.replace("{hours}", "usage_hour")
RESTATED_ITEMS: Final = _ITEMS.replace("{hours}", rating_sql.HOURS_OF_SEGMENTS)
SIGNED_ITEMS: Final = _ITEMS.replace("{hours}", "(SELECT * FROM usage_hour WHERE revision = 0)")

PROOF: Final = f"""
CREATE TEMP TABLE why_proof ON COMMIT DROP AS
WITH matched AS (
    SELECT i.*, l.id AS line_id, l.amount AS line_amount, l.amount_org AS line_amount_org,
        sum(i.amount) OVER line AS proven,
        row_number() OVER (PARTITION BY l.id ORDER BY i.amount IS NULL, i.segment_id, i.kind) AS place,
        CASE WHEN l.currency = %(currency)s THEN 1 ELSE f.rate END AS fx_rate
    FROM why_item i JOIN why_lines l ON l.basis = 'computed' AND l.day = i.day AND l.identity_id = i.identity_id
        AND l.offering_id = i.offering_id AND l.source_id = i.source_id AND l.component = i.component
        AND l.role = i.role AND l.currency = i.currency AND coalesce(l.workload_id, 0) = coalesce(i.workload_id, 0)
    LEFT JOIN costs_fx f ON f.day = l.day AND f.currency = l.currency AND f.quote = %(currency)s
    WINDOW line AS (PARTITION BY l.id)
)
    -- The first item of a line carries what rounding the line to 18 decimals took, so that items add up to the line.
    SELECT m.*, round(m.amount, 18) + CASE WHEN place = 1 AND abs(line_amount - proven) < {ROUNDING}
            THEN line_amount - sum(round(m.amount, 18)) OVER line ELSE 0 END AS exact,
        round(m.amount * fx_rate, 18) + CASE WHEN place = 1 AND abs(line_amount - proven) < {ROUNDING}
            THEN coalesce(line_amount_org - sum(round(m.amount * fx_rate, 18)) OVER line, 0) ELSE 0 END AS exact_org
    FROM matched m WINDOW line AS (PARTITION BY line_id)
"""

# Rows of bills as the rating spreads them over days, each with its line.
CHARGE_ITEMS: Final = f"""
CREATE TEMP TABLE why_charge ON COMMIT DROP AS
{rating_sql.CHARGE_DAYS}, matched AS (
    SELECT c.*, l.id AS line_id, l.amount AS line_amount, l.amount_org AS line_amount_org,
        sum(c.amount) OVER same AS proven,
        row_number() OVER (PARTITION BY l.id ORDER BY c.part_id, c.charge_start, c.row_digest, c.occurrence) AS place,
        CASE WHEN l.currency = %(currency)s THEN 1 ELSE f.rate END AS fx_rate
    FROM line c JOIN why_lines l ON l.basis = c.basis AND l.day = c.day AND l.identity_id = c.identity_id
        AND coalesce(l.offering_id, 0) = coalesce(c.offering_id, 0) AND l.source_id = c.source_id
        AND l.component = c.component AND l.role = c.role AND l.currency = c.currency
        AND coalesce(l.workload_id, 0) = coalesce(c.workload_id, 0)
    LEFT JOIN costs_fx f ON f.day = l.day AND f.currency = l.currency AND f.quote = %(currency)s
    WINDOW same AS (PARTITION BY l.id)
)
SELECT m.*, round(m.amount * fx_rate, 18) + CASE WHEN place = 1 AND abs(line_amount - proven) < {ROUNDING}
        THEN coalesce(line_amount_org - sum(round(m.amount * fx_rate, 18)) OVER (PARTITION BY line_id), 0) ELSE 0 END
    AS amount_org
FROM matched m
"""

SIGNED_CHARGE_ITEMS: Final = CHARGE_ITEMS.replace(STANDING_CHARGE, "c.revision = 0")

PREPARE: Final = (
    LINES,
    "ANALYZE why_lines",
    CLAIMED,
    "ANALYZE costs_claimed",
    rating_sql.SEGMENTS,
    "ANALYZE costs_segment",
    ITEMS,
    "ANALYZE why_item",
    PROOF,
    "ANALYZE why_proof",
    "TRUNCATE costs_claimed",
    BILLED,
    "ANALYZE costs_claimed",
    CHARGE_ITEMS,
)

# What follows once `why_lines`, `costs_claimed` and `costs_segment` are there.
OF_LINES: Final = PREPARE[PREPARE.index(ITEMS) :]

# A line that nothing proves, or not to the last digit: its day waits to be worked out again.
_INEXACT: Final = f"""
FROM why_lines l
LEFT JOIN (SELECT line_id, max(proven) AS proven FROM why_proof GROUP BY 1) p ON p.line_id = l.id
LEFT JOIN (SELECT line_id, max(proven) AS proven FROM why_charge GROUP BY 1) c ON c.line_id = l.id
WHERE l.basis <> 'internal' AND abs(coalesce(l.amount, 0) - coalesce(p.proven, c.proven, 0)) >= {ROUNDING}
"""
INEXACT: Final = f"SELECT EXISTS (SELECT {_INEXACT})"

# A signed line that owners, roles and prices of today no longer prove, with what of them has moved. Hours and rows of
# bills of revision 0 stand still, so a bill's line can have lost its owner or its role and nothing else.
UNPROVEN: Final = f"""
CREATE TEMP TABLE why_unproven ON COMMIT DROP AS
SELECT l.id AS line_id, l.source_id, l.amount_org, CASE
    WHEN l.identity_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM workloads_attribution a
        WHERE a.identity_id = l.identity_id AND a.workload_id IS NOT DISTINCT FROM l.workload_id
          AND a.valid_from < (l.day + 1)::timestamp AT TIME ZONE %(zone)s
          AND a.valid_to > l.day::timestamp AT TIME ZONE %(zone)s) THEN 'owner'
    WHEN l.basis <> 'computed' THEN 'role'
    WHEN EXISTS (
        SELECT FROM why_item i
        WHERE i.day = l.day AND i.identity_id = l.identity_id AND i.offering_id = l.offering_id
          AND i.source_id = l.source_id AND i.component = l.component AND i.role <> l.role
          AND i.workload_id IS NOT DISTINCT FROM l.workload_id) THEN 'role'
    WHEN EXISTS (
        SELECT FROM catalog_rate r JOIN core_period m ON m.month = l.charge_month
        WHERE r.offering_id = l.offering_id AND r.recorded_at > m.signed_at) THEN 'price'
    ELSE 'other' END AS moved
{_INEXACT} AND l.charge_month IN (SELECT month FROM core_period WHERE revision > 0)
"""
# Such a line is shown whole, and nothing that does not add up to it.
PROVEN_ONLY: Final = (
    "CREATE INDEX ON why_item (identity_id, day)",  # each such line looks for its own items
    UNPROVEN,
    "DELETE FROM why_proof WHERE line_id IN (SELECT line_id FROM why_unproven)",
    "DELETE FROM why_charge WHERE line_id IN (SELECT line_id FROM why_unproven)",
)
SIGNED_INEXACT: Final = f"SELECT EXISTS (SELECT {_INEXACT} AND l.id NOT IN (SELECT line_id FROM why_unproven))"
MOVED: Final = """
SELECT u.moved, src.name, count(*), sum(u.amount_org) FROM why_unproven u
JOIN sources_source src ON src.id = u.source_id GROUP BY 1, 2 ORDER BY 1, 2
"""

COMPONENTS: Final = """
SELECT component, basis, currency, count(*), sum(amount), sum(amount_org), sum(quantity), sum(requests),
    sum(unpriced_tokens), bit_or(flags), min(day), max(day), count(*) FILTER (WHERE amount IS NULL)
FROM why_lines GROUP BY 1, 2, 3
"""

PRICES: Final = """
SELECT p.component, p.kind, o.provider, o.name, s.service_tier, s.prompt_band, p.price, p.currency, r.scope,
    r.list_version, r.valid_from, r.valid_to, p.rate_id, sum(p.quantity), sum(p.exact), sum(p.exact_org), sum(p.hours)
FROM why_proof p JOIN usage_series s ON s.id = p.series_id JOIN catalog_offering o ON o.id = p.offering_id
LEFT JOIN catalog_rate r ON r.id = p.rate_id
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
ORDER BY sum(p.exact_org) DESC NULLS LAST, o.name, p.kind
"""

PULLS: Final = """
WITH used AS (
    SELECT h.pull_id, count(*) AS hours, 0 AS charges FROM usage_hour h
    JOIN costs_segment g ON g.series_id = h.series_id AND h.hour >= g.starts_at AND h.hour < g.ends_at
    WHERE h.hour >= %(starts_at)s AND h.hour < %(ends_at)s
      AND (g.identity_id, (h.hour AT TIME ZONE %(zone)s)::date, g.offering_id, coalesce(g.workload_id, 0),
          g.call_kind) IN (
          SELECT identity_id, day, offering_id, coalesce(workload_id, 0), kind FROM why_lines
          CROSS JOIN LATERAL (VALUES ('token'), ('retry_failed'), ('fallback')) kinds (kind)
          WHERE basis = 'computed' AND component IN (kind, 'gpu_used', 'gpu_idle', 'other_shared'))
    GROUP BY 1
    UNION ALL
    SELECT pull_id, 0, count(DISTINCT (part_id, charge_start, row_digest, occurrence)) FROM why_charge GROUP BY 1
)
SELECT u.id, src.name, src.slug, p.name, u.digest, u.rows, u.finished_at, sum(used.hours)::bigint,
    sum(used.charges)::bigint
FROM used JOIN sources_pull u ON u.id = used.pull_id JOIN sources_part p ON p.id = u.part_id
JOIN sources_source src ON src.id = p.source_id
GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY sum(used.hours) + sum(used.charges) DESC, u.id LIMIT 200
"""
SIGNED_PULLS: Final = PULLS.replace("WHERE h.hour >=", "WHERE h.revision = 0 AND h.hour >=")

BINDINGS: Final = """
WITH spender AS (SELECT DISTINCT identity_id, workload_id FROM why_lines WHERE identity_id IS NOT NULL)
SELECT i.pairs, src.name, w.name, w.slug, a.valid_from, a.valid_to, b.pairs, b.id
FROM spender s JOIN usage_identity i ON i.id = s.identity_id JOIN sources_source src ON src.id = i.source_id
JOIN workloads_attribution a ON a.identity_id = s.identity_id AND a.workload_id IS NOT DISTINCT FROM s.workload_id
    AND a.valid_from < %(ends_at)s AND a.valid_to > %(starts_at)s
LEFT JOIN workloads_binding b ON b.id = a.binding_id LEFT JOIN workloads_workload w ON w.id = a.workload_id
ORDER BY w.name NULLS LAST, src.name, i.pairs::text, a.valid_from LIMIT 200
"""

CHARGES: Final = """
SELECT src.name, c.category, c.meter, c.unit, c.currency,
    count(DISTINCT (c.part_id, c.charge_start, c.row_digest, c.occurrence)), sum(c.quantity), sum(c.amount),
    sum(c.amount_org), bool_or(c.accrued)
FROM why_charge c JOIN sources_source src ON src.id = c.source_id
GROUP BY 1, 2, 3, 4, 5 ORDER BY sum(c.amount_org) DESC NULLS LAST, src.name, c.meter, c.category
"""

EXPORT: Final = """
WITH all_rows AS (
    SELECT line_id, kind, quantity, price, currency, exact AS amount, exact_org AS amount_org, hours, series_id,
        rate_id, NULL::bigint AS part_id, NULL AS row_digest
    FROM why_proof
    UNION ALL
    SELECT line_id, 'row of the bill', quantity, NULL, currency, amount, amount_org, NULL, NULL, NULL, part_id,
        row_digest
    FROM why_charge
    UNION ALL
    SELECT l.id, 'day line', l.quantity, NULL, l.currency, l.amount, l.amount_org, NULL, NULL, NULL, NULL, NULL
    FROM why_lines l WHERE NOT EXISTS (SELECT FROM why_proof p WHERE p.line_id = l.id)
        AND NOT EXISTS (SELECT FROM why_charge c WHERE c.line_id = l.id)
)
SELECT l.day, coalesce(w.name, 'unallocated'), src.name, part.name, i.pairs, o.provider, o.name, l.component, l.basis,
    s.service_tier, s.prompt_band, r.kind, r.hours, r.quantity, r.price, r.currency, r.amount, r.amount_org,
    rate.scope, rate.list_version, rate.valid_from, l.id, r.row_digest, l.workload_id
FROM all_rows r JOIN why_lines l ON l.id = r.line_id JOIN sources_source src ON src.id = l.source_id
LEFT JOIN usage_series s ON s.id = r.series_id LEFT JOIN sources_part part ON part.id = coalesce(r.part_id, s.part_id)
LEFT JOIN usage_identity i ON i.id = l.identity_id LEFT JOIN workloads_workload w ON w.id = l.workload_id
LEFT JOIN catalog_offering o ON o.id = l.offering_id LEFT JOIN catalog_rate rate ON rate.id = r.rate_id
ORDER BY l.day, l.id, r.kind, r.row_digest
"""

# --- Of an import: the lines that its part alone would make (rating.lines_of_part), or its rows of a bill -------------

TABLES_OF_PART: Final = f"{TABLES}, costs_new"
LINES_OF_PART: Final = """
CREATE TEMP TABLE why_lines ON COMMIT DROP AS
SELECT row_number() OVER () AS id, day, charge_month, workload_id, identity_id, offering_id, source_id, component,
    basis, role, currency, quantity, requests, amount, amount_org, unpriced_tokens, flags
FROM costs_new
"""
# As in rating_sql.TOTALS_OF_CHARGES: a row counts whole, on the day on which it begins.
CHARGES_OF_PART: Final = f"""
CREATE TEMP TABLE why_charge ON COMMIT DROP AS
SELECT dense_rank() OVER (ORDER BY c.day, c.workload_id, c.identity_id, c.offering_id, c.component, c.currency)
    AS line_id, c.*, sum(c.amount) OVER (
        PARTITION BY c.day, c.workload_id, c.identity_id, c.offering_id, c.component, c.currency) AS proven
FROM (
    SELECT c.*, (c.charge_start AT TIME ZONE %(zone)s)::date AS day, p.source_id, a.workload_id,
        {rating_sql.COMPONENT_OF_CHARGE} AS component, coalesce(c.effective, c.billed) AS amount,
        coalesce(c.effective, c.billed) * CASE WHEN c.currency = %(currency)s THEN 1 ELSE f.rate END AS amount_org
    FROM usage_charge c JOIN sources_part p ON p.id = c.part_id
    JOIN workloads_attribution a ON a.identity_id = c.identity_id
        AND a.valid_from <= c.charge_start AND a.valid_to > c.charge_start
    LEFT JOIN catalog_fx f ON f.day = (c.charge_start AT TIME ZONE %(zone)s)::date AND f.currency = c.currency
        AND f.quote = %(currency)s
    WHERE c.part_id = %(part)s AND {STANDING_CHARGE} AND c.category <> 'Purchase'
      AND (c.in_scope OR a.workload_id IS NOT NULL)
) c
"""
LINES_OF_BILL: Final = """
CREATE TEMP TABLE why_lines ON COMMIT DROP AS
SELECT line_id AS id, day, date_trunc('month', day)::date AS charge_month, workload_id, identity_id, offering_id,
    source_id, component, 'effective' AS basis, 'counts' AS role, currency, sum(quantity) AS quantity,
    NULL::bigint AS requests, sum(amount) AS amount, sum(amount_org) AS amount_org, 0::bigint AS unpriced_tokens,
    bit_or(CASE WHEN effective IS NULL THEN %(effective_unusable)s ELSE 0 END) AS flags
FROM why_charge GROUP BY line_id, day, workload_id, identity_id, offering_id, source_id, component, currency
"""
SPAN_OF_BILL: Final = """
SELECT coalesce(min(charge_start), now()), coalesce(max(charge_end), now()) FROM usage_charge WHERE part_id = %(part)s
"""
NOTHING_CLAIMED: Final = "CREATE TEMP TABLE costs_claimed (day date, identity_id bigint) ON COMMIT DROP"
BILL_PREPARE: Final = (NOTHING_CLAIMED, rating_sql.SEGMENTS, CHARGES_OF_PART, LINES_OF_BILL, ITEMS, PROOF)

SUM: Final = "SELECT count(*), sum(amount_org) FROM why_lines"
KEYS: Final = """
SELECT i.pairs, l.workload_id, w.name, w.slug, sum(l.amount_org), sum(l.unpriced_tokens)::bigint
FROM why_lines l JOIN usage_identity i ON i.id = l.identity_id LEFT JOIN workloads_workload w ON w.id = l.workload_id
GROUP BY i.id, i.pairs, 2, 3, 4 ORDER BY sum(l.amount_org) DESC NULLS LAST, i.id, 3
"""
MODELS: Final = """
SELECT coalesce(o.provider, ''), coalesce(o.name, ''), sum(l.amount_org), sum(l.unpriced_tokens)::bigint
FROM why_lines l LEFT JOIN catalog_offering o ON o.id = l.offering_id
GROUP BY 1, 2 ORDER BY sum(l.amount_org) DESC NULLS LAST, 2, 1
"""

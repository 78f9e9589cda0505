"""What must be true of the ledger whatever happened to it; run at the end of every fault.

The references and roll-ups are proved by the statements of the nightly job. Conservation is worked out here a second
time and in another way than by the rating: hour by hour, without owners, segments or roles.
"""

from typing import Final

from apps.costs import proof
from tests.books import rate_all
from tests.faults.ledger import TABLES, Cursor, table_hash

# Every hour at the price that held in it. No price for tokens that are there makes the hour's part unknown, as it does
# its line; the sums below leave both out.
_COMPUTED: Final = """
WITH priced AS (
    SELECT p.source_id, (h.hour AT TIME ZONE org.zone)::date AS day, coalesce(r.currency, org.currency) AS currency,
        0.000001 * (coalesce(h.input, 0) * coalesce(r.input, 0) + coalesce(h.cached, 0) * coalesce(r.cached, 0)
            + coalesce(h.cache_write, 0) * coalesce(r.cache_write, 0)
            + coalesce(h.cache_write_1h, 0) * coalesce(r.cache_write_1h, 0)
            + coalesce(h.output, 0) * coalesce(r.output, 0)
            + coalesce(h.reasoning, 0) * coalesce(r.reasoning, 0)) AS cost,
        coalesce(h.gpu_seconds * r.gpu_hour / 3600, 0) AS gpu_cost,
        CASE WHEN r.id IS NULL THEN coalesce(h.input, 0) + coalesce(h.cached, 0) + coalesce(h.cache_write, 0)
            + coalesce(h.cache_write_1h, 0) + coalesce(h.output, 0) + coalesce(h.reasoning, 0) ELSE 0 END AS unpriced,
        CASE WHEN r.id IS NULL THEN h.reported_cost END AS reported, h.currency AS reported_currency
    FROM usage_hour h JOIN usage_series s ON s.id = h.series_id JOIN sources_part p ON p.id = s.part_id
    CROSS JOIN core_organisation org
    LEFT JOIN catalog_effective_rate r ON r.offering_id = s.offering_id AND r.service_tier = s.service_tier
        AND r.prompt_band = s.prompt_band AND r.valid_from <= h.hour AND r.valid_to > h.hour
    WHERE h.revision = 0
), hours AS (
    SELECT source_id, day, currency, sum(cost + gpu_cost) AS amount FROM priced GROUP BY 1, 2, 3
    UNION ALL
    SELECT source_id, day, reported_currency, sum(reported) FROM priced WHERE reported IS NOT NULL GROUP BY 1, 2, 3
), lines AS (
    SELECT source_id, day, currency, sum(amount) AS amount FROM costs_line WHERE basis = 'computed' GROUP BY 1, 2, 3
)
SELECT source_id, day, currency, h.amount, l.amount
FROM (SELECT source_id, day, currency, sum(amount) AS amount FROM hours GROUP BY 1, 2, 3) h
FULL JOIN lines l USING (source_id, day, currency)
WHERE coalesce(h.amount, 0) <> coalesce(l.amount, 0)
"""
_TOKENS: Final = """
WITH hours AS (
    SELECT p.source_id, (h.hour AT TIME ZONE org.zone)::date AS day, sum(coalesce(h.input, 0) + coalesce(h.cached, 0)
        + coalesce(h.cache_write, 0) + coalesce(h.cache_write_1h, 0) + coalesce(h.output, 0)
        + coalesce(h.reasoning, 0)) AS tokens, sum(coalesce(h.requests, 0)) AS requests
    FROM usage_hour h JOIN usage_series s ON s.id = h.series_id JOIN sources_part p ON p.id = s.part_id
    CROSS JOIN core_organisation org WHERE h.revision = 0 GROUP BY 1, 2
), lines AS (
    SELECT source_id, day, sum(quantity) FILTER (WHERE component NOT LIKE 'gpu%%') AS tokens, sum(requests) AS requests
    FROM costs_line WHERE basis = 'computed' GROUP BY 1, 2
)
SELECT source_id, day, h.tokens, l.tokens, h.requests, l.requests FROM hours h FULL JOIN lines l USING (source_id, day)
WHERE coalesce(h.tokens, 0) <> coalesce(l.tokens, 0) OR coalesce(h.requests, 0) <> coalesce(l.requests, 0)
"""
_BILLED: Final = """
WITH charged AS (
    SELECT p.source_id, c.currency, v.basis, sum(v.amount) AS amount
    FROM usage_charge c JOIN sources_part p ON p.id = c.part_id
    JOIN workloads_attribution a
        ON a.identity_id = c.identity_id AND a.valid_from <= c.charge_start AND a.valid_to > c.charge_start
    CROSS JOIN LATERAL (VALUES ('billed', c.billed),
        ('effective', CASE WHEN c.category <> 'Purchase' THEN coalesce(c.effective, c.billed) END)) v (basis, amount)
    WHERE c.revision = 0 AND (c.in_scope OR a.workload_id IS NOT NULL) GROUP BY 1, 2, 3
), lines AS (
    SELECT source_id, currency, basis, sum(amount) AS amount
    FROM costs_line WHERE basis IN ('billed', 'effective') GROUP BY 1, 2, 3
)
SELECT source_id, currency, basis, c.amount, l.amount
FROM charged c FULL JOIN lines l USING (source_id, currency, basis)
WHERE coalesce(c.amount, 0) <> coalesce(l.amount, 0)
"""
# A bill's tokens count exactly where nothing else counts those of its provider in that month, unless somebody said so;
# taxes and credits always do. No log of these tests holds GPU time.
_ONE_COUNTS: Final = """
SELECT l.charge_month, o.provider, l.role FROM costs_line l JOIN catalog_offering o ON o.id = l.offering_id
WHERE l.basis = 'effective' AND NOT EXISTS (SELECT FROM sources_role r WHERE r.source_id = l.source_id)
    AND (l.role = 'counts') = (l.component = 'token' AND EXISTS (
        SELECT FROM costs_line c JOIN catalog_offering p ON p.id = c.offering_id
        WHERE p.provider = o.provider AND c.charge_month = l.charge_month AND c.basis = 'computed'
          AND c.role = 'counts' AND c.component IN ('token', 'retry_failed', 'fallback')))
"""
_MONTH: Final = "SELECT id, day FROM costs_line WHERE charge_month <> date_trunc('month', day)"
_NOT_CONVERTED: Final = """
SELECT l.id, l.day FROM costs_line l CROSS JOIN core_organisation org
LEFT JOIN catalog_fx f ON f.day = l.day AND f.currency = l.currency AND f.quote = org.currency
WHERE l.amount_org IS DISTINCT FROM
    (CASE WHEN l.currency = org.currency THEN l.amount ELSE l.amount * f.rate END)::numeric(38, 18)
"""
CONSERVATION: Final = {
    "computed lines are the hours times their prices": _COMPUTED,
    "computed lines hold the hours' tokens and calls": _TOKENS,
    "lines of bills are the charges in scope": _BILLED,
    "what a log counts, a bill only checks": _ONE_COUNTS,
    "a line stands in the month of its day": _MONTH,
    "a line is converted at its day's rate": _NOT_CONVERTED,
}
_WAITING: Final = {
    "no day waits to be priced": "SELECT day, identity_id FROM costs_dirty_day",
    "no import hangs": "SELECT id, state FROM sources_pull WHERE state IN ('running', 'queued')",
}


def check_ledger(cursor: Cursor, *, at_rest: bool = True) -> None:
    """Assert all of it; `at_rest` also that nothing is left to do."""
    promises = {check.promise: check.sql for check in (*proof.REFERENCES, *proof.ROLL_UPS)} | CONSERVATION
    if at_rest:
        promises |= _WAITING
    for promise, sql in promises.items():
        cursor.execute(sql.replace("%%", "%"))
        broken = cursor.fetchall()
        assert not broken, f"{promise}: {broken[:5]}"


def check_rebuild(cursor: Cursor) -> None:
    """Assert that lines and roll-ups are those that the hours, charges, owners and prices of now alone would give."""
    before = {table: table_hash(cursor, table) for table in TABLES}
    for table in TABLES:
        if table.startswith("costs_"):
            cursor.execute(f"DELETE FROM {table}")
    cursor.execute(_EVERY_DAY)
    rate_all()
    assert {table: table_hash(cursor, table) for table in TABLES} == before


_EVERY_DAY: Final = """
INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at)
SELECT DISTINCT (h.hour AT TIME ZONE org.zone)::date, s.identity_id, 'test', now()
FROM core_organisation org CROSS JOIN usage_hour h JOIN usage_series s ON s.id = h.series_id
UNION
SELECT day::date, c.identity_id, 'test', now()
FROM core_organisation org CROSS JOIN usage_charge c,
    generate_series((c.charge_start AT TIME ZONE org.zone)::date,
        ((c.charge_end - interval '1 microsecond') AT TIME ZONE org.zone)::date, interval '1 day') day
"""

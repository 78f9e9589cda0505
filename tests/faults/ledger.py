"""One fingerprint of the whole ledger: what it says, whoever wrote it, in which order and after how many tries."""

import hashlib
from typing import Any, Final, Protocol


class Cursor(Protocol):
    """Django's cursor or psycopg's own."""

    def execute(self, query: Any, params: Any = None, /) -> Any: ...
    def fetchall(self) -> list[Any]: ...


_MEASURES: Final = (
    "amount, amount_org, quantity, requests, unpriced_tokens, unpriced_lines, unconverted_lines, assumed_lines, "
    "upper_bound_lines, tier_assumed_lines, carried_lines, lines"
)
# Names in the place of numbers: whose number a row got depends on what was tried before.
_NAMES: Final = """
LEFT JOIN workloads_workload w ON w.id = x.workload_id LEFT JOIN catalog_offering o ON o.id = x.offering_id
JOIN sources_source src ON src.id = x.source_id
"""
_OF: Final = "(%(source)s::text IS NULL OR src.slug = %(source)s)"
_SOURCE: Final = "CASE WHEN %(source)s::text IS NULL THEN src.slug END"
TABLES: Final = {
    "usage_hour": f"""
        SELECT {_SOURCE} AS source, p.name, i.pairs::text, o.provider, o.name, s.call_kind, s.service_tier,
            s.prompt_band, h.hour AT TIME ZONE 'UTC', h.revision, h.requests, h.input, h.cached, h.cache_write,
            h.cache_write_1h, h.output, h.reasoning, h.gpu_seconds, h.gpu_busy_seconds, h.reported_cost, h.currency,
            h.latency_counts, h.latency_sum_ms, h.ttft_counts, h.flags
        FROM usage_hour h JOIN usage_series s ON s.id = h.series_id JOIN usage_identity i ON i.id = s.identity_id
        JOIN catalog_offering o ON o.id = s.offering_id JOIN sources_part p ON p.id = s.part_id
        JOIN sources_source src ON src.id = p.source_id WHERE {_OF}""",
    "usage_charge": f"""
        SELECT {_SOURCE} AS source, p.name, i.pairs::text, o.name, c.charge_start AT TIME ZONE 'UTC',
            c.charge_end AT TIME ZONE 'UTC', c.row_digest, c.occurrence, c.revision, c.billing_month, c.category,
            c.class, c.provider, c.service_category, c.meter, c.quantity, c.unit, c.billed, c.effective, c.list,
            c.currency, c.in_scope, c.accrued, c.extra::text
        FROM usage_charge c JOIN usage_identity i ON i.id = c.identity_id
        LEFT JOIN catalog_offering o ON o.id = c.offering_id JOIN sources_part p ON p.id = c.part_id
        JOIN sources_source src ON src.id = p.source_id WHERE {_OF}""",
    "costs_line": f"""
        SELECT {_SOURCE} AS source, x.day, x.charge_month, x.booked_month, x.revision, x.cause, w.slug, i.pairs::text,
            o.provider, o.name, x.component, x.basis, x.role, x.quantity, x.requests, x.amount, x.currency,
            x.amount_org, x.unpriced_tokens, x.flags
        FROM costs_line x LEFT JOIN usage_identity i ON i.id = x.identity_id {_NAMES} WHERE {_OF}""",
    "costs_month": f"""
        SELECT {_SOURCE} AS source, x.charge_month, w.slug, o.provider, o.name, x.component, x.basis, x.role,
            x.currency, {_MEASURES} FROM costs_month x {_NAMES} WHERE {_OF}""",
    "costs_day": f"""
        SELECT {_SOURCE} AS source, x.day, x.allocated, o.provider, o.name, x.component, x.basis, x.role, x.currency,
            {_MEASURES} FROM costs_day x {_NAMES.replace("w.id = x.workload_id", "false")} WHERE {_OF}""",
    # This one knows no source: of one source alone it says nothing.
    "costs_owner_month": """
        SELECT x.charge_month, w.slug, x.basis, x.role, x.amount_org, x.requests, x.lines
        FROM costs_owner_month x LEFT JOIN workloads_workload w ON w.id = x.workload_id
        WHERE %(source)s::text IS NULL""",
}


def ledger_hash(cursor: Cursor, source: str | None = None) -> str:
    """SHA-256 over hours, charges, lines and roll-ups; of one source alone, that source's name does not count."""
    parts = [table_hash(cursor, table, source) for table in TABLES]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def table_hash(cursor: Cursor, table: str, source: str | None = None) -> str:
    """Hashed by the database, row by row and in the order of their text: a million rows need not travel."""
    row = "sha256(convert_to(named::text, 'UTF8'))"
    rows = f"SELECT string_agg({row}, '' ORDER BY {row}) FROM ({TABLES[table]}) named"
    cursor.execute(f"SELECT encode(sha256(coalesce(({rows}), '')), 'hex')", {"source": source})
    return str(cursor.fetchall()[0][0])

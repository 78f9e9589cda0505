"""Publishing the rows of a bill, each at its own charge period; called by `services.publish` and `services.undo`."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from django.db import connection

from apps.catalog import services as catalog
from apps.core import organisation, periods
from apps.sources.models import Pull
from apps.usage import corrections, staging
from apps.usage.identities import canonical_pairs, record_identities
from apps.usage.staging import Published

AI_CATEGORY = "AI and Machine Learning"
# A charge longer than this is accrued by day in the effective basis (ledger: "longer than a month").
LONGEST_UNACCRUED_DAYS = 31


def publish(*, pull: Pull, rows_file: Path, work_dir: Path) -> Published:
    """Replace the charges of the pull's window of its part; same contract as `services.publish`."""
    usable = bool(json.loads((work_dir / "result.json").read_text())["effective_cost_usable"])
    with staging.staged(work_dir) as db:
        db.execute(f"CREATE VIEW charges AS SELECT * FROM read_parquet('{rows_file}')")
        staging.refuse_what_no_ledger_holds(db, "charges", ("billed", "effective", "list", "quantity"))
        _number(db, pull)
        _write(db, work_dir / "charges.csv", pull, effective_is_usable=usable)
    return replace(pull, work_dir / "charges.csv")


def replace(pull: Pull, rows: Path) -> Published:
    """Remove what the source no longer says of the window, add what is new, leave alone what is the same."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.usage_staged_charge")
        cursor.execute("CREATE TEMP TABLE usage_staged_charge (LIKE usage_charge INCLUDING DEFAULTS) ON COMMIT DROP")
        staged = staging.copy_in("usage_staged_charge", staging.CHARGE_COLUMNS, rows)
        cursor.execute(_REMOVE, [pull.part_id, pull.since, pull.until, pull.pk])
        removed = cursor.rowcount
        cursor.execute(_ADD)
        written = cursor.rowcount
    if periods.frozen_between(pull.since, pull.until):
        corrected = corrections.correct_charges(pull)
        written, removed = written + corrected.written, removed + corrected.removed
    _touch(pull)
    return Published(written=written, unchanged=staged - written, removed=removed)


def undo(*, pull: Pull) -> None:
    """Take out what this pull brought and put back what it replaced."""
    _touch(pull)
    if periods.frozen_between(None, None):
        corrections.undo_charges(pull)
    with connection.cursor() as cursor:
        cursor.execute(_UNDO_OUT, [pull.pk, pull.part_id])
        cursor.execute(_UNDO_IN, [pull.pk])
        cursor.execute("DELETE FROM usage_charge_replaced WHERE replaced_by = %s", [pull.pk])


def _number(db: duckdb.DuckDBPyConnection, pull: Pull) -> None:
    """Hand DuckDB the ids of spenders and offerings of the bill."""
    spenders = db.execute("SELECT identity, min(charge_start)::TIMESTAMPTZ FROM charges GROUP BY identity").fetchall()
    first_seen: dict[str, datetime] = {canonical_pairs(pairs): at for pairs, at in spenders}
    ids = record_identities(pull.part.source_id, first_seen)
    identities = [(pairs, ids[canonical_pairs(pairs)]) for pairs, _ in spenders]
    named = db.execute("SELECT DISTINCT provider, model FROM charges WHERE model IS NOT NULL").fetchall()
    found = catalog.resolve_many({(provider or "", model) for provider, model in named})
    offerings = [(*pair, found[pair[0] or "", pair[1]]) for pair in named]
    _register(db, "identities", {"identity": [i[0] for i in identities], "identity_id": [i[1] for i in identities]})
    _register(
        db,
        "offerings",
        {
            "provider": [o[0] for o in offerings],
            "model": [o[1] for o in offerings],
            "offering_id": [o[2].pk for o in offerings],
            "offering_provider": [o[2].provider for o in offerings],
        },
    )


def _register(db: duckdb.DuckDBPyConnection, name: str, columns: dict[str, list[Any]]) -> None:
    texts = {"identity", "provider", "model", "offering_provider"}
    types = {column: pa.string() if column in texts else pa.int64() for column in columns}
    db.register(name, pa.table({column: pa.array(values, types[column]) for column, values in columns.items()}))


def _write(db: duckdb.DuckDBPyConnection, target: Path, pull: Pull, *, effective_is_usable: bool) -> None:
    categories = [AI_CATEGORY, *pull.part.source.scope_filter.get("service_categories", [])]
    in_scope = ", ".join("'" + category.replace("'", "''") + "'" for category in categories)
    effective = "c.effective" if effective_is_usable else "NULL"
    db.execute(f"""
        COPY (
            SELECT {pull.part_id}, c.charge_start, c.charge_end, c.row_digest, c.occurrence, 0, {pull.pk},
                c.billing_month, c.category, coalesce(c.class, ''), i.identity_id, o.offering_id,
                coalesce(o.offering_provider, lower(c.provider), ''), coalesce(c.service_category, ''),
                coalesce(c.meter, ''), c.quantity, coalesce(c.unit, ''), c.billed, {effective}, c.list, c.currency,
                coalesce(c.service_category, '') IN ({in_scope}),
                c.charge_end > c.charge_start + INTERVAL {LONGEST_UNACCRUED_DAYS} DAY, coalesce(c.extra, '{{}}')
            FROM charges c
            JOIN identities i ON i.identity = c.identity
            LEFT JOIN offerings o ON o.model = c.model AND o.provider IS NOT DISTINCT FROM c.provider
        ) TO '{target}' (FORMAT csv, HEADER false)
    """)


def _touch(pull: Pull) -> None:
    """Every day of every charge that came or went: one day each, all days of an accrued one."""
    zone = organisation.get().zone
    with connection.cursor() as cursor:
        cursor.execute(_TOUCH, [zone, zone, pull.pk, pull.part_id, pull.pk])


_COLUMNS = staging.CHARGE_COLUMNS
_SAME_KEY = (
    "t.part_id = c.part_id AND t.charge_start = c.charge_start AND t.row_digest = c.row_digest "
    "AND t.occurrence = c.occurrence"
)
# The digest covers the whole row as the bill had it; what this side decides about it is compared besides.
_SAME = f"{_SAME_KEY} AND t.effective IS NOT DISTINCT FROM c.effective AND t.in_scope = c.in_scope"
_OPEN = (
    "NOT EXISTS (SELECT FROM core_period f "
    "WHERE f.revision > 0 AND {of}.charge_start >= f.starts_at AND {of}.charge_start < f.ends_at)"
)
_UNDO_OUT = f"DELETE FROM usage_charge c WHERE c.pull_id = %s AND c.part_id = %s AND {_OPEN.format(of='c')}"
_UNDO_IN = f"""
INSERT INTO usage_charge ({_COLUMNS}) SELECT {_COLUMNS} FROM usage_charge_replaced c
WHERE c.replaced_by = %s AND {_OPEN.format(of="c")}
"""
_REMOVE = f"""
WITH gone AS (
    DELETE FROM usage_charge c WHERE c.part_id = %s AND c.revision = 0
      AND c.charge_start >= coalesce(%s, '-infinity'::timestamptz)
      AND c.charge_start < coalesce(%s, 'infinity'::timestamptz) AND {_OPEN.format(of="c")}
      AND NOT EXISTS (SELECT 1 FROM usage_staged_charge t WHERE {_SAME})
    RETURNING c.*
)
INSERT INTO usage_charge_replaced ({_COLUMNS}, replaced_by) SELECT {_COLUMNS}, %s FROM gone
"""
_ADD = f"""
INSERT INTO usage_charge ({_COLUMNS})
SELECT {_COLUMNS} FROM usage_staged_charge t
WHERE {_OPEN.format(of="t")} AND NOT EXISTS (SELECT 1 FROM usage_charge c WHERE {_SAME_KEY} AND c.revision = 0)
"""
_TOUCH = """
WITH moved AS (
    SELECT identity_id, accrued, cancels, (charge_start AT TIME ZONE %s)::date AS first_day,
        ((charge_end - interval '1 microsecond') AT TIME ZONE %s)::date AS last_day
    FROM (
        SELECT identity_id, charge_start, charge_end, accrued, cancels FROM usage_charge
        WHERE pull_id = %s AND part_id = %s
        UNION ALL
        SELECT identity_id, charge_start, charge_end, accrued, false FROM usage_charge_replaced WHERE replaced_by = %s
    ) rows
)
INSERT INTO usage_touched (identity_id, day, restates)
SELECT m.identity_id, day::date, bool_or(m.cancels)
FROM moved m, generate_series(
    m.first_day, CASE WHEN m.accrued THEN m.last_day ELSE m.first_day END, interval '1 day') day
GROUP BY 1, 2
"""

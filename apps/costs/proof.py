"""Proof that the ledger holds together: what no foreign key guards, and what the roll-ups must sum to.

Open partitions have no foreign keys, because COPY is ten times slower with them, and the roll-ups are moved by
differences. Both are proved here instead, every night and on request; each statement returns what is broken, and
nothing where all is well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.db import connection, transaction

from apps.catalog import proof as rates
from apps.costs import flags
from apps.usage.fields import Flag
from apps.workloads.models import BEGINNING, END

SHOWN = 5  # examples of one fault that are named


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of the ledger; `sql` selects one text per place where it is broken."""

    promise: str
    sql: str


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that does not hold, how many places break it, and the first few of them."""

    promise: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.promise}: {self.count:,} times not so ({', '.join(self.examples)}{more})"


def broken_references() -> list[Broken]:
    """Rows that name something which does not exist, and spenders whose owner is unknown for some time."""
    return broken(REFERENCES)


def roll_up_differences() -> list[Broken]:
    """Roll-ups that are not, to the last digit, the sums of their lines."""
    return broken(ROLL_UPS)


def rate_differences() -> list[Broken]:
    """Rates that rating uses and that are not what was stated: worked out anew in Python, as they were made."""
    wrong = [f"offering {number}" for number in rates.wrong_offerings()]
    return [Broken(rates.PROMISE, len(wrong), tuple(wrong[:SHOWN]))] if wrong else []


def prove() -> list[Broken]:
    """Everything that is broken in the ledger; empty where it holds."""
    return [*broken_references(), *roll_up_differences(), *rate_differences()]


def broken(checks: tuple[Check, ...]) -> list[Broken]:
    """Which of these promises do not hold, all looked at in one transaction."""
    with transaction.atomic():
        return list(_broken(checks))


def _broken(checks: tuple[Check, ...]) -> Iterator[Broken]:
    with connection.cursor() as cursor:
        for check in checks:
            cursor.execute(f"SELECT place, count(*) OVER () FROM ({check.sql}) AS broken (place) LIMIT {SHOWN}")
            if found := cursor.fetchall():
                yield Broken(check.promise, found[0][1], tuple(place for place, _ in found))


def _names(table: str, column: str, target: str) -> Check:
    """`column` of `table` names a row of `target` wherever it names one. Each number is looked for once."""
    sql = f"""
        SELECT '{column} ' || named.id FROM (SELECT DISTINCT {column} AS id FROM {table}) AS named
        WHERE named.id IS NOT NULL AND NOT EXISTS (SELECT FROM {target} WHERE {target}.id = named.id)
        ORDER BY named.id"""
    return Check(f"every {column} in {table} exists", sql)


def _marked(bits: int, *, of_tokens: bool = False) -> str:
    """Lines with a mark, less those that lost it; what is said of an hour's tokens is not counted for its GPU time."""
    only = " FILTER (WHERE component NOT LIKE 'gpu%')" if of_tokens else ""
    return f"coalesce(sum((flags & {bits} <> 0)::int - (cleared & {bits} <> 0)::int){only}, 0)"


_NAMED: Final = {
    "usage_hour": {"series_id": "usage_series", "pull_id": "sources_pull"},
    "usage_replaced": {"series_id": "usage_series", "pull_id": "sources_pull", "replaced_by": "sources_pull"},
    "usage_charge": {
        "part_id": "sources_part",
        "pull_id": "sources_pull",
        "identity_id": "usage_identity",
        "offering_id": "catalog_offering",
    },
    "usage_charge_replaced": {
        "identity_id": "usage_identity",
        "pull_id": "sources_pull",
        "replaced_by": "sources_pull",
    },
    "workloads_attribution": {"identity_id": "usage_identity"},
    "costs_dirty_day": {"identity_id": "usage_identity"},
    "costs_line": {
        "workload_id": "workloads_workload",
        "identity_id": "usage_identity",
        "offering_id": "catalog_offering",
        "source_id": "sources_source",
    },
    "costs_month": {
        "workload_id": "workloads_workload",
        "offering_id": "catalog_offering",
        "source_id": "sources_source",
    },
    "costs_day": {"offering_id": "catalog_offering", "source_id": "sources_source"},
    "costs_owner_month": {"workload_id": "workloads_workload"},
}

# Each period begins where the one before it ended; the first at the beginning of time, the last at its end.
_GAPLESS = f"""
SELECT 'identity ' || i.id FROM usage_identity i LEFT JOIN (
    SELECT identity_id, min(valid_from) AS first, max(valid_to) AS last,
        bool_and(before IS NULL OR before = valid_from) AS touching
    FROM (
        SELECT *, lag(valid_to) OVER (PARTITION BY identity_id ORDER BY valid_from) AS before
        FROM workloads_attribution
    ) AS periods GROUP BY identity_id
) AS whole ON whole.identity_id = i.id
WHERE whole.first IS DISTINCT FROM '{BEGINNING.isoformat()}' OR whole.last IS DISTINCT FROM '{END.isoformat()}'
    OR NOT whole.touching
ORDER BY i.id
"""
# A series belongs to a part and an identity of one and the same source: else its cost would stand with another.
_ONE_SOURCE = """
SELECT 'series ' || s.id FROM usage_series s
JOIN sources_part p ON p.id = s.part_id JOIN usage_identity i ON i.id = s.identity_id
WHERE p.source_id <> i.source_id ORDER BY s.id
"""
# Whoever owns the tables can take the locks of a signed month away; it must not go unseen.
_UNLOCKED: Final = """
SELECT t.name || ' of ' || p.month FROM core_period p CROSS JOIN core_monthly_table t
LEFT JOIN pg_class c ON c.relname = t.name || to_char(p.month, '_YYYY_MM') AND c.relnamespace = 'public'::regnamespace
WHERE p.revision > 0 AND (
    SELECT count(*) FROM pg_trigger g JOIN pg_proc f ON f.oid = g.tgfoid
    WHERE g.tgrelid = c.oid AND g.tgenabled = 'A' AND f.proname = 'core_refuse_signed'
      AND g.tgname IN ('signed_insert', 'signed_change', 'signed_truncate')) < 3
ORDER BY p.month, t.name"""
# Two corrections of one hour follow each other without a gap, so that none can have been taken out of the middle.
_GAP: Final = """
SELECT 'series ' || series_id || ' ' || hour FROM usage_hour h JOIN core_period p
    ON p.revision > 0 AND h.hour >= p.starts_at AND h.hour < p.ends_at
GROUP BY series_id, hour HAVING max(h.revision) - min(h.revision) + 1 <> count(*) OR min(h.revision) > 1
ORDER BY 1"""
# Open partitions carry no trigger that would refuse a line of another month (core migration 0004).
_CORRECTS_NOTHING: Final = """
SELECT l.charge_month || ' booked in ' || l.booked_month FROM costs_line l
LEFT JOIN core_period p ON p.month = l.charge_month AND p.revision > 0
WHERE l.revision > 0 AND p.month IS NULL GROUP BY 1 ORDER BY 1"""
REFERENCES: Final = (
    *(_names(table, column, target) for table, columns in _NAMED.items() for column, target in columns.items()),
    Check("every identity has an owner, or none, at every instant", _GAPLESS),
    Check("every series has the source of its part", _ONE_SOURCE),
    Check("every signed month is locked in the database", _UNLOCKED),
    Check("revisions of a signed hour follow each other", _GAP),
    Check("only signed months are corrected", _CORRECTS_NOTHING),
)

_TIER_ASSUMED: Final = int(Flag.TIER_ASSUMED | Flag.BAND_UNKNOWN)
_MEASURES: Final = {
    "amount": "coalesce(sum(amount), 0)",
    "amount_org": "coalesce(sum(amount_org), 0)",
    "quantity": "coalesce(sum(quantity), 0)",
    "requests": "coalesce(sum(requests), 0)",
    "unpriced_tokens": "sum(unpriced_tokens)",
    "unpriced_lines": _marked(flags.UNPRICED),
    "unconverted_lines": _marked(flags.UNCONVERTED),
    "assumed_lines": _marked(flags.RATE_ASSUMED),
    "upper_bound_lines": _marked(int(Flag.UPPER_BOUND), of_tokens=True),
    "tier_assumed_lines": _marked(_TIER_ASSUMED, of_tokens=True),
    "carried_lines": _marked(flags.RATE_CARRIED),
    "lines": "sum(lines)",
}


def _sums(table: str, key: dict[str, str]) -> Check:
    """Both ways: a row that the lines do not explain, and lines that no row sums. NULLs of a key are alike."""
    names = ", ".join(key)
    summed = ", ".join(f"{sql} AS {name}" for name, sql in _MEASURES.items())
    grain = ", ".join(f"{sql} AS {name}" for name, sql in key.items())
    same = " AND ".join(f"summed.{name} IS NOT DISTINCT FROM kept.{name}" for name in _MEASURES)
    hashed = " AND ".join(_joined(name) for name in key)
    first = next(iter(key))
    sql = f"""
        SELECT coalesce(kept.{first}, summed.{first}) || ' source ' || coalesce(kept.source_id, summed.source_id)
            || ' ' || coalesce(kept.component, summed.component) || ' ' || coalesce(kept.basis, summed.basis)
        FROM (SELECT {grain}, {summed} FROM costs_line GROUP BY {", ".join(key.values())}) AS summed
        FULL JOIN (SELECT {names}, {", ".join(_MEASURES)} FROM {table}) AS kept ON {hashed}
        WHERE NOT ({same}) ORDER BY 1"""
    return Check(f"{table} is the sum of its lines", sql)


def _joined(name: str) -> str:
    """NULL-safe and still an equality, which alone can be hashed: no id is 0."""
    if name in ("workload_id", "offering_id"):
        return f"coalesce(kept.{name}, 0) = coalesce(summed.{name}, 0)"
    return f"kept.{name} = summed.{name}"


_OWNER_MONTH: Final = """
    SELECT coalesce(kept.charge_month, summed.charge_month) || ' workload '
        || coalesce(kept.workload_id, summed.workload_id, 0) || ' ' || coalesce(kept.basis, summed.basis)
    FROM (
        SELECT charge_month, booked_month, workload_id, basis, role, coalesce(sum(amount_org), 0) AS amount_org,
            coalesce(sum(requests), 0) AS requests, sum(lines) AS lines
        FROM costs_line GROUP BY 1, 2, 3, 4, 5
    ) AS summed
    FULL JOIN costs_owner_month AS kept ON kept.charge_month = summed.charge_month
        AND kept.booked_month = summed.booked_month AND coalesce(kept.workload_id, 0) = coalesce(summed.workload_id, 0)
        AND kept.basis = summed.basis AND kept.role = summed.role
    WHERE (kept.amount_org, kept.requests, kept.lines)
        IS DISTINCT FROM (summed.amount_org, summed.requests, summed.lines)
    ORDER BY 1"""
_KEY: Final = ("offering_id", "source_id", "component", "basis", "role", "currency")
ROLL_UPS: Final = (
    _sums("costs_month", {name: name for name in ("charge_month", "booked_month", "workload_id", *_KEY)}),
    _sums(
        "costs_day",
        {
            "day": "day",
            "booked_month": "booked_month",
            "allocated": "workload_id IS NOT NULL",
            **{name: name for name in _KEY},
        },
    ),
    Check("costs_owner_month is the sum of its lines", _OWNER_MONTH),
)
PROMISES: Final = len(REFERENCES) + len(ROLL_UPS) + 1  # the last is rate_differences

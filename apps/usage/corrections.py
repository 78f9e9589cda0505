"""Signed months: what a pull says of them becomes rows of a later revision, never a change of what is there.

All revisions of an hour add up to what its source says now. A correction is the difference; where a difference cannot
say it (the hour is gone, the currency is another, a figure is no longer known) the hour is taken back whole by a row
marked CANCELS and, if it still is, said anew by one more. Charges have no differences and are always taken back whole.

What stood before goes to `usage_replaced`, as it does in open months, so that a pull can be undone whether its month
was signed before or after it. The last row of an hour names the pull by which it stands.
"""

from typing import Any, Final

from django.db import connection

from apps.core import organisation
from apps.sources.models import Pull
from apps.usage import staging
from apps.usage.fields import AMENDS, CANCELS
from apps.usage.staging import Published

NUMBERS: Final = staging.SUMMED
COUNTS: Final = ("latency_counts", "ttft_counts")
MEASURES: Final = (*NUMBERS, *COUNTS)
FROZEN_HOUR: Final = "core_period f ON f.revision > 0 AND h.hour >= f.starts_at AND h.hour < f.ends_at"
OPEN_HOUR: Final = (
    "NOT EXISTS (SELECT FROM core_period f WHERE f.revision > 0 AND {hour} >= f.starts_at AND {hour} < f.ends_at)"
)


def standing(rows: str) -> str:
    """The hours as they are now, from all `rows` of usage_hour that there are of each of them."""
    sums = ", ".join(f"sum({name}) AS {name}" for name in NUMBERS)
    counts = ", ".join(f"usage_counts_sum({name} ORDER BY revision) AS {name}" for name in COUNTS)
    return f"""(
        SELECT series_id, hour, {sums}, {counts}, (array_agg(currency ORDER BY revision DESC))[1] AS currency,
            (array_agg(flags ORDER BY revision DESC))[1] & ~{AMENDS} AS flags,
            (array_agg(pull_id ORDER BY revision DESC))[1] AS pull_id
        FROM (
            SELECT r.*, max(revision) FILTER (WHERE flags & {CANCELS} <> 0) OVER (PARTITION BY series_id, hour) AS gone
            FROM {rows} r
        ) r WHERE gone IS NULL OR revision > gone GROUP BY series_id, hour)"""


# Charges that no later row of theirs takes back or says anew.
STANDING_CHARGE: Final = """NOT c.cancels AND NOT EXISTS (
        SELECT FROM usage_charge later WHERE later.part_id = c.part_id AND later.charge_start = c.charge_start
          AND later.row_digest = c.row_digest AND later.occurrence = c.occurrence AND later.revision > c.revision)"""


def correct_hours(pull: Pull) -> Published:
    """Make the signed hours of the pull's window what `usage_staged` says; `unchanged` is left to the caller."""
    return _correct(_CORRECT_HOURS.format(scope=_IN_WINDOW, kept=_KEEP_HOURS), pull)


def correct_charges(pull: Pull) -> Published:
    """The same for charges, of `usage_staged_charge`."""
    return _correct(_CORRECT_CHARGES.format(scope=_CHARGE_IN_WINDOW, kept=_KEEP_CHARGES), pull)


def undo_hours(pull: Pull) -> None:
    """Put signed hours back to what they were before the pull, by corrections; the caller forgets what it replaced."""
    _run(_UNDO_HOURS, pull)
    scope = "(h.series_id, h.hour) IN (SELECT series_id, hour FROM usage_scope)"
    _correct(_CORRECT_HOURS.format(scope=scope, kept=""), pull)
    _run(("DROP TABLE usage_staged, usage_scope",), pull)


def undo_charges(pull: Pull) -> None:
    """The same for charges."""
    _run(_UNDO_CHARGES, pull)
    scope = f"({_KEY.format(of='c')}) IN (SELECT {_KEY.format(of='u')} FROM usage_scope u)"
    _correct(_CORRECT_CHARGES.format(scope=scope, kept=""), pull)
    _run(("DROP TABLE usage_staged_charge, usage_scope",), pull)


def _correct(statement: str, pull: Pull) -> Published:
    with connection.cursor() as cursor:
        cursor.execute(statement, _values(pull))
        written, removed = cursor.fetchone()
    return Published(written=written, unchanged=0, removed=removed)


def _run(statements: tuple[str, ...], pull: Pull) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, _values(pull))


def _values(pull: Pull) -> dict[str, Any]:
    zone = organisation.get().zone
    return {"pull": pull.pk, "part": pull.part_id, "since": pull.since, "until": pull.until, "zone": zone}


# --- Hours ------------------------------------------------------------------------------------------------------------

_IN_WINDOW: Final = (
    "h.hour >= coalesce(%(since)s, '-infinity'::timestamptz) AND h.hour < coalesce(%(until)s, 'infinity'::timestamptz)"
)
_VALUES: Final = (*MEASURES, "currency", "flags")
_SAME: Final = " AND ".join(f"o.{name} IS NOT DISTINCT FROM t.{name}" for name in _VALUES)
_FORGOTTEN: Final = " OR ".join(f"(o.{name} IS NOT NULL AND t.{name} IS NULL)" for name in MEASURES)
_OLD: Final = ", ".join(f"o.{name} AS old_{name}" for name in _VALUES)
_NEW: Final = ", ".join(f"t.{name} AS new_{name}" for name in _VALUES)
_DIFFERENCE: Final = ", ".join([
    *(f"new_{name} - coalesce(old_{name}, 0) AS {name}" for name in NUMBERS),
    *(f"usage_counts_added(new_{name}, usage_counts_negated(old_{name})) AS {name}" for name in COUNTS),
])  # fmt: skip
_NEGATED: Final = ", ".join(
    [*(f"-old_{n} AS {n}" for n in NUMBERS), *(f"usage_counts_negated(old_{n}) AS {n}" for n in COUNTS)]
)
_SAID: Final = ", ".join(f"new_{name} AS {name}" for name in MEASURES)
_FALLS: Final = f"least({', '.join(NUMBERS)}) < 0"
_FILLED: Final = f"series_id, hour, revision, pull_id, {', '.join(MEASURES)}, currency, flags"

_CORRECT_HOURS: Final = f"""
WITH rows AS MATERIALIZED (
    SELECT h.* FROM usage_series s JOIN usage_hour h ON h.series_id = s.id JOIN {FROZEN_HOUR}
    WHERE s.part_id = %(part)s AND {{scope}}
), last AS (
    SELECT series_id, hour, max(revision) AS revision FROM rows GROUP BY 1, 2
), target AS (
    SELECT h.* FROM usage_staged h JOIN {FROZEN_HOUR}
), compared AS MATERIALIZED (
    SELECT series_id, hour, coalesce(last.revision, 0) AS revision, {_OLD}, {_NEW}, o.pull_id AS old_pull_id,
        t.pull_id AS new_pull_id, o.series_id IS NOT NULL AS stood,
        t.series_id IS NOT NULL AS stands,
        o.series_id IS NOT NULL AND t.series_id IS NOT NULL
            AND (o.currency IS DISTINCT FROM t.currency OR {_FORGOTTEN}) AS anew
    FROM {standing("rows")} o FULL JOIN target t USING (series_id, hour) LEFT JOIN last USING (series_id, hour)
    WHERE NOT ({_SAME}) OR o.series_id IS NULL OR t.series_id IS NULL
), correction AS (
    SELECT series_id, hour, revision + 1 AS revision, %(pull)s::bigint AS pull_id, {_NEGATED},
        old_currency AS currency, old_flags | {CANCELS} AS flags, NOT stands AS ends, true AS cancels
    FROM compared WHERE stood AND (anew OR NOT stands)
    UNION ALL
    SELECT series_id, hour, revision + 1 + anew::int, new_pull_id, {_SAID}, new_currency, new_flags, false, false
    FROM compared WHERE stands AND (anew OR NOT stood)
    UNION ALL
    SELECT series_id, hour, revision + 1, new_pull_id, {_DIFFERENCE}, new_currency, new_flags | {AMENDS}, false, false
    FROM compared WHERE stood AND stands AND NOT anew
), written AS (
    INSERT INTO usage_hour ({_FILLED}) SELECT {_FILLED} FROM correction
){{kept}}, touched AS (
    INSERT INTO usage_touched (identity_id, day, restates)
    SELECT s.identity_id, (c.hour AT TIME ZONE %(zone)s)::date, bool_or(coalesce(c.cancels OR {_FALLS}, false))
    FROM correction c JOIN usage_series s ON s.id = c.series_id GROUP BY 1, 2
)
SELECT count(*) FILTER (WHERE stands), count(*) FILTER (WHERE stood) FROM compared
"""

_KEEP_HOURS: Final = f"""
, kept AS (
    INSERT INTO usage_replaced ({_FILLED}, replaced_by)
    SELECT series_id, hour, 0, old_pull_id, {", ".join(f"old_{name}" for name in MEASURES)}, old_currency, old_flags,
        %(pull)s
    FROM compared WHERE stood
)"""

# The hours that stand by the pull, and those that it replaced or took away: the latter come back.
_UNDO_HOURS: Final = (
    "DROP TABLE IF EXISTS pg_temp.usage_staged",
    "CREATE TEMP TABLE usage_staged (LIKE usage_hour) ON COMMIT DROP",
    f"""
    INSERT INTO usage_staged ({_FILLED}) SELECT {", ".join(f"h.{name}" for name in _FILLED.split(", "))}
    FROM usage_replaced h JOIN {FROZEN_HOUR} WHERE h.replaced_by = %(pull)s
    """,
    f"""
    CREATE TEMP TABLE usage_scope ON COMMIT DROP AS
    SELECT series_id, hour FROM (
        SELECT DISTINCT ON (h.series_id, h.hour) h.series_id, h.hour, h.pull_id
        FROM usage_series s JOIN usage_hour h ON h.series_id = s.id JOIN {FROZEN_HOUR} WHERE s.part_id = %(part)s
        ORDER BY h.series_id, h.hour, h.revision DESC
    ) last WHERE pull_id = %(pull)s
    UNION SELECT series_id, hour FROM usage_staged
    """,
)

# --- Charges ----------------------------------------------------------------------------------------------------------

FROZEN_CHARGE: Final = (
    "core_period f ON f.revision > 0 AND {of}.charge_start >= f.starts_at AND {of}.charge_start < f.ends_at"
)
_CHARGE_IN_WINDOW: Final = (
    "c.charge_start >= coalesce(%(since)s, '-infinity'::timestamptz) "
    "AND c.charge_start < coalesce(%(until)s, 'infinity'::timestamptz)"
)
_KEY: Final = "{of}.charge_start, {of}.row_digest, {of}.occurrence"
_COLUMNS: Final = staging.CHARGE_COLUMNS
_SIGNED: Final = ("quantity", "billed", "effective", "list")


def _charge(of: str, revision: str, *, negated: bool = False) -> str:
    """The columns of a charge with another revision; one that is taken back has the pull's number."""
    given = {"revision": revision}
    if negated:
        given |= {"pull_id": "%(pull)s", **{name: f"-{of}.{name}" for name in _SIGNED}}
    return ", ".join(f"{given.get(name, f'{of}.{name}')} AS {name}" for name in _COLUMNS.split(", "))


_CORRECT_CHARGES: Final = f"""
WITH rows AS MATERIALIZED (
    SELECT c.*, max(c.revision) OVER (PARTITION BY c.charge_start, c.row_digest, c.occurrence) AS last
    FROM usage_charge c JOIN {FROZEN_CHARGE.format(of="c")} WHERE c.part_id = %(part)s AND {{scope}}
), target AS (
    SELECT t.* FROM usage_staged_charge t JOIN {FROZEN_CHARGE.format(of="t")}
), ended AS MATERIALIZED (
    SELECT r.* FROM rows r WHERE r.revision = r.last AND NOT r.cancels AND NOT EXISTS (
        SELECT FROM target t WHERE ({_KEY.format(of="t")}) = ({_KEY.format(of="r")})
          AND t.effective IS NOT DISTINCT FROM r.effective AND t.in_scope = r.in_scope)
), begun AS MATERIALIZED (
    SELECT t.*, coalesce((SELECT max(r.last) FROM rows r WHERE ({_KEY.format(of="r")}) = ({_KEY.format(of="t")})), 0)
        + (SELECT count(*) FROM ended e WHERE ({_KEY.format(of="e")}) = ({_KEY.format(of="t")})) AS last
    FROM target t WHERE NOT EXISTS (
        SELECT FROM rows r WHERE ({_KEY.format(of="t")}) = ({_KEY.format(of="r")}) AND r.revision = r.last
          AND NOT r.cancels AND t.effective IS NOT DISTINCT FROM r.effective AND t.in_scope = r.in_scope)
), cancelled AS (
    INSERT INTO usage_charge ({_COLUMNS}, cancels) SELECT {_charge("e", "e.last + 1", negated=True)}, true FROM ended e
), said AS (
    INSERT INTO usage_charge ({_COLUMNS}) SELECT {_charge("b", "b.last + 1")} FROM begun b
){{kept}}
SELECT (SELECT count(*) FROM begun), (SELECT count(*) FROM ended)
"""

_KEEP_CHARGES: Final = f"""
, kept AS (
    INSERT INTO usage_charge_replaced ({_COLUMNS}, replaced_by) SELECT {_charge("e", "0")}, %(pull)s FROM ended e
)"""

_UNDO_CHARGES: Final = (
    "DROP TABLE IF EXISTS pg_temp.usage_staged_charge",
    "CREATE TEMP TABLE usage_staged_charge (LIKE usage_charge INCLUDING DEFAULTS) ON COMMIT DROP",
    f"""
    INSERT INTO usage_staged_charge ({_COLUMNS}) SELECT {_charge("c", "0")}
    FROM usage_charge_replaced c JOIN {FROZEN_CHARGE.format(of="c")} WHERE c.replaced_by = %(pull)s
    """,
    f"""
    CREATE TEMP TABLE usage_scope ON COMMIT DROP AS
    SELECT {_KEY.format(of="last")} FROM (
        SELECT DISTINCT ON ({_KEY.format(of="c")}) c.* FROM usage_charge c JOIN {FROZEN_CHARGE.format(of="c")}
        WHERE c.part_id = %(part)s ORDER BY {_KEY.format(of="c")}, c.revision DESC
    ) last WHERE last.pull_id = %(pull)s
    UNION SELECT {_KEY.format(of="t")} FROM usage_staged_charge t
    """,
)

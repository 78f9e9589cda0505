"""A month's unit economics and verdicts of 5,000 workloads, against one hand-written sum over a year of day lines; and
the portfolio page over them."""

import json
import statistics
from datetime import date
from pathlib import Path

from django.db import connection

from apps.economics import services as economics
from bench import pages
from bench.harness import Measured, compare, say, scaled, seconds

WORKLOADS = 5_000
TODAY = date(2026, 11, 24)
LAST = date(2026, 10, 1)
ASSUMPTIONS = {
    "minutes_saved": {"low": "1.5", "base": "2", "high": "2.5"},
    "realisation": {"low": "0.5", "base": "0.6", "high": "0.7"},
    "review_minutes": {"low": "0.5", "base": "1", "high": "2"},
}


def fill(workloads: int) -> None:
    """So many workloads with a year of day lines, outcomes and value cases; all their months wait."""
    pages.fill(workloads)
    with connection.cursor() as cursor:
        cursor.execute(_WORTH, {"assumptions": json.dumps(ASSUMPTIONS)})
    _mark_year()


def measure(_home: Path) -> list[Measured]:
    fill(scaled(WORKLOADS, least=50))
    year = seconds(_recompute)
    result = compare("economics_month", subject=_recompute, floor=_by_hand, between=_mark_month, limit=2)
    month = statistics.median(seconds(_recompute) for _ in range(3) if _mark_month())
    day = statistics.median(seconds(_recompute) for _ in range(5) if _change_a_day())
    say(f"a year {year:.2f} s, a month {month:.2f} s, one changed day {day:.2f} s")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE economics_month")  # as the server does by itself a minute later
    return [
        result,
        Measured("economics_changed_day_of_month", day / month, 0.1),
        pages.against_empty(pages.logged_in(), "portfolio_page", "/workloads/?month=2026-10"),
    ]


def _recompute() -> None:
    economics.recompute_dirty(today=TODAY)


def _mark_year() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE economics_month, economics_dirty, costs_changed_day, economics_service_day")
        cursor.execute(
            "INSERT INTO economics_dirty (workload_id, month, reason, recorded_at) "
            "SELECT DISTINCT workload_id, charge_month, 'bench', now() FROM costs_owner_month"
        )


def _mark_month() -> bool:
    """The newest month of everybody waits and costs a little more, so that each row is written."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE costs_month SET amount_org = amount_org + 0.01 WHERE charge_month = %s", [LAST])
        cursor.execute(
            "INSERT INTO economics_dirty (workload_id, month, reason, recorded_at) "
            "SELECT DISTINCT workload_id, charge_month, 'bench', now() FROM costs_owner_month WHERE charge_month = %s",
            [LAST],
        )
    return True


def _change_a_day() -> bool:
    """A day touches a thirtieth of the month: the newest one of every thirtieth workload."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE costs_month SET amount_org = amount_org + 0.01 WHERE charge_month = %s AND workload_id %% 30 = 0",
            [LAST],
        )
        cursor.execute(
            "INSERT INTO costs_changed_day (workload_id, day) "
            "SELECT DISTINCT workload_id, date '2026-10-31' FROM costs_owner_month WHERE workload_id % 30 = 0"
        )
    return True


def _by_hand() -> None:
    """Cost by component, days with usage and calls of each workload's month, as one statement says it."""
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE TEMP TABLE bench_sum AS
            SELECT workload_id, charge_month, component, sum(amount_org) AS cost, sum(requests) AS requests,
                count(DISTINCT day) AS days
            FROM costs_line WHERE role = 'counts' AND basis <> 'billed' GROUP BY 1, 2, 3
        """)
        cursor.execute("DROP TABLE bench_sum")


_WORTH = """
SET session_replication_role = replica;
TRUNCATE economics_grade, economics_grade_rate, economics_value_case, economics_outcome CASCADE;
INSERT INTO economics_grade (name, active) VALUES ('Agent', true);
INSERT INTO economics_grade_rate (grade_id, hourly, valid_from, recorded_at)
SELECT id, 30, '2020-01-01', now() FROM economics_grade;
INSERT INTO economics_value_case (workload_id, kind, version, assumptions, grade_id, review_grade_id, reason,
    evidence_link, owner_id, written_at, valid_from, expires, attested_at, counts_from, counts_to)
SELECT w.id, 'labour', 1, %(assumptions)s::jsonb, g.id, g.id, '', 'https://example.com/', w.business_owner_id, now(),
    '2025-11-01', '2027-01-01', now(), '2025-11-01', '2027-01-01'
FROM workloads_workload w, economics_grade g WHERE w.slug LIKE 'bench-%%';
INSERT INTO economics_outcome (workload_id, period_start, period_end, source, revision, produced, accepted, reviewed,
    is_withdrawn, is_latest, external_id, digest, recorded_at)
SELECT w.id, m::date, (m + interval '1 month')::date, 'reported', 0, 10000, 9000 + w.id %% 1000, 100, false, true, '',
    '', now()
FROM workloads_workload w, generate_series(date '2025-11-01', date '2026-10-01', interval '1 month') m
WHERE w.slug LIKE 'bench-%%';
SET session_replication_role = DEFAULT;
ANALYZE economics_outcome; ANALYZE economics_value_case
"""

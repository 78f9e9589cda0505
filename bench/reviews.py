"""Opening a review (figures, agenda, promises) of 5,000 workloads against one statement a component and a bare COPY."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from django.db import connection

from apps.core.actor import Actor
from apps.economics import services as economics_of
from apps.reviews import agenda
from apps.reviews import services as reviews
from apps.reviews.models import Cycle
from bench import economics
from bench.harness import Measured, compare, say, scaled, seconds

WORKLOADS = 5_000
MONTH, NOW = date(2026, 10, 1), datetime(2026, 11, 24, 12, tzinfo=UTC)
CLOCK = Actor.command("bench")


def measure(_home: Path) -> list[Measured]:
    """The ratio at full size, and what a workload costs there against a tenth of it."""
    number = scaled(WORKLOADS, least=500)
    economics.fill(number)
    economics_of.recompute_dirty(today=NOW.date())
    with connection.cursor() as cursor:
        cursor.execute(_BUDGETS)
    opened = compare("review_opened", subject=_open, floor=_by_hand, between=_forget, limit=3)
    many = _each(number)
    with connection.cursor() as cursor:
        cursor.execute(_A_TENTH)
    return [opened, Measured("review_cost_of_a_workload", many / _each(number // 10), 1.5)]


def _each(number: int) -> float:
    """Seconds that one of `number` workloads takes."""
    _forget()
    each = seconds(_open) / number
    say(f"{number} workloads: {Cycle.objects.get().items.count()} items, {each * 1e6:.0f} µs each")
    return each


def _open() -> None:
    reviews.open_cycle(actor=CLOCK, month=MONTH, now=NOW)


def _forget() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SET session_replication_role = replica; DELETE FROM reviews_item; DELETE FROM reviews_figure; "
            "DELETE FROM reviews_cycle; SET session_replication_role = DEFAULT"
        )


def _by_hand() -> None:
    """The same figures and candidates as plain statements, and their rows copied out and in again."""
    values: dict[str, Any] = agenda.values_of(Cycle(pk=1, month=MONTH))
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE bench_figure AS {agenda.FIGURES}", values)
        for name, statement in agenda.COMPONENTS.items():
            own = statement.replace("reviews_figure f", "bench_figure f").replace("f.cycle_id", "f.cycle")
            cursor.execute(f"CREATE TEMP TABLE bench_{name} (kind, workload, subject, money, facts) AS {own}", values)
        for table in ("figure", *agenda.COMPONENTS):
            cursor.execute(f"CREATE TEMP TABLE bench_copy (LIKE bench_{table})")
            with cursor.copy(f"COPY bench_{table} TO STDOUT (FORMAT binary)") as out:
                rows = b"".join(bytes(block) for block in out)
            with cursor.copy("COPY bench_copy FROM STDIN (FORMAT binary)") as into:
                into.write(rows)
            cursor.execute(f"DROP TABLE bench_copy, bench_{table}")


_BUDGETS = """
SET session_replication_role = replica;
DELETE FROM budgets_budget;
INSERT INTO budgets_budget (workload_id, month, version, amount, soft, hard, on_hard, state, reason, recorded_at)
SELECT id, '2025-11-01', 1, (id % 20) * 10, 0.8, 1, 'tell', 'active', '', now() FROM workloads_workload;
SET session_replication_role = DEFAULT; ANALYZE budgets_budget
"""
_A_TENTH = """
SET session_replication_role = replica;
DELETE FROM economics_month WHERE workload_id % 10 <> 0; DELETE FROM costs_owner_month WHERE workload_id % 10 <> 0;
DELETE FROM costs_month WHERE workload_id % 10 <> 0; DELETE FROM budgets_budget WHERE workload_id % 10 <> 0;
DELETE FROM economics_value_case WHERE workload_id % 10 <> 0;
SET session_replication_role = DEFAULT;
ANALYZE economics_month; ANALYZE costs_owner_month; ANALYZE costs_month
"""

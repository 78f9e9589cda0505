"""Any order of events, months signed among them: all revisions together say what is true, and revision 0 what was."""

from datetime import date
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from apps.catalog import fx
from apps.core import organisation, periods
from apps.core.models import Period
from apps.costs import proof
from apps.costs import services as costs
from apps.costs.models import Line
from apps.usage.corrections import STANDING_CHARGE, standing
from tests.books import make_workload, rate_all, unproved
from tests.faults import invariants
from tests.faults.test_random import Ledger, events, summed
from tests.world import make_world

MONTHS = (date(2026, 10, 1), date(2026, 11, 1))
FROZEN = "EXISTS (SELECT FROM core_period f WHERE f.revision > 0 AND f.month = l.charge_month)"
_KEY = "day, charge_month, workload_id, identity_id, offering_id, source_id, component, basis, role, currency"
# Of each key the sum of its lines at the kept rate of the day: each line is rounded by itself, so a digit may differ.
_CONVERTED = f"""
SELECT l.day, l.currency FROM (
    SELECT {_KEY}, sum(amount) AS amount, sum(amount_org) AS amount_org FROM costs_line GROUP BY {_KEY}
) l CROSS JOIN core_organisation org
LEFT JOIN costs_fx f ON f.day = l.day AND f.currency = l.currency AND f.quote = org.currency
WHERE l.currency <> org.currency AND l.amount <> 0 AND f.rate IS NOT NULL
    AND abs(l.amount_org - l.amount * f.rate) > 0.000000000000001
"""
_NET = f"(SELECT {_KEY} FROM costs_line GROUP BY {_KEY} HAVING sum(lines) > 0)"
PROMISES = {
    **{check.promise: check.sql for check in (*proof.REFERENCES, *proof.ROLL_UPS)},
    **{name: sql.replace("h.revision = 0", "true").replace("c.revision = 0", "true")
       for name, sql in invariants.CONSERVATION.items()},
    "what a log counts, a bill only checks":
        invariants.CONSERVATION["what a log counts, a bill only checks"].replace("costs_line", _NET),
    "a line is converted at its day's rate": _CONVERTED,
    "a key has one line more than it lost":
        f"SELECT {_KEY} FROM costs_line GROUP BY {_KEY} HAVING sum(lines) NOT IN (0, 1)",
}  # fmt: skip


def revision_zero() -> list[tuple[Any, ...]]:
    """Every row of revision 0 in signed months, whole."""
    with connection.cursor() as cursor:
        cursor.execute(f"""
            SELECT l::text FROM costs_line l WHERE l.revision = 0 AND {FROZEN}
            UNION ALL SELECT h::text FROM usage_hour h JOIN core_period p
                ON p.revision > 0 AND h.hour >= p.starts_at AND h.hour < p.ends_at WHERE h.revision = 0
            UNION ALL SELECT c::text FROM usage_charge c JOIN core_period p
                ON p.revision > 0 AND c.charge_start >= p.starts_at AND c.charge_start < p.ends_at WHERE c.revision = 0
            ORDER BY 1""")
        return list(cursor.fetchall())


class SignedLedger(Ledger):
    """The ledger of `test_random`, whose months are signed and reopened at any moment."""

    def teardown(self) -> None:
        try:
            self.settle()
            self.proves_what_it_holds()
            self.rating_again_changes_nothing()
        finally:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)
            self.folder.cleanup()

    @rule(event=events, rated=st.booleans())
    def happen(self, event: tuple[str, dict[str, Any]], rated: bool) -> None:
        before, frozen = revision_zero(), set(Period.objects.filter(revision__gt=0).values_list("month", flat=True))
        name, arguments = event
        if rated:
            rate_all()
        getattr(self, name)(**arguments)
        assert frozen == set(Period.objects.filter(revision__gt=0).values_list("month", flat=True))
        assert revision_zero() == before

    @rule(month=st.sampled_from(MONTHS))
    def sign(self, month: date) -> None:
        rate_all()
        with unproved():
            if periods.is_signed(month):
                periods.reopen(month)
            else:
                costs.sign_month(month=month, pack_sha256="")

    @rule()
    def settle(self) -> None:
        rate_all()
        with connection.cursor() as cursor:
            for promise, sql in PROMISES.items():
                cursor.execute(sql.replace("%%", "%"))
                assert not (broken := cursor.fetchall()), f"{promise}: {broken[:5]}"

    def proves_what_it_holds(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT src.slug, p.name, count(*), coalesce(sum(h.input), 0), coalesce(sum(h.gpu_seconds), 0)"
                f" FROM {standing('usage_hour')} h JOIN usage_series s ON s.id = h.series_id"
                " JOIN sources_part p ON p.id = s.part_id JOIN sources_source src ON src.id = p.source_id GROUP BY 1, 2"
            )
            found = {(slug, name): tuple(figures) for slug, name, *figures in cursor.fetchall()}
            cursor.execute(f"SELECT row_digest, occurrence, billed FROM usage_charge c WHERE {STANDING_CHARGE}")
            charged = sorted(cursor.fetchall())
        loads = {part: loads[-1][1] for part, loads in self.held.items() if loads and part[0] != "bill"}
        assert found == {part: summed(rows) for part, rows in loads.items() if rows}
        rows = [row for part, loads in self.held.items() if loads and part[0] == "bill" for row in loads[-1][1]]
        assert charged == sorted((row["row_digest"], row["occurrence"], row["billed"]) for row in rows)

    def rating_again_changes_nothing(self) -> None:
        lines = Line.objects.filter(revision__gt=0).count()
        with connection.cursor() as cursor:
            cursor.execute(invariants._EVERY_DAY)
        rate_all()
        assert Line.objects.filter(revision__gt=0).count() == lines


def drop_months() -> None:
    """Months whose edges are those of another zone, as tests before this one have left them behind."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent::regclass::text = ANY(%s)",
            [["usage_hour", "usage_charge", "costs_line"]],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")


def run(zone: str, *, examples: int, steps: int) -> None:
    world = make_world()
    company = organisation.get()
    company.zone = zone
    company.save()
    for name in ("Triage", "Summaries"):
        make_workload(name, world)
    fx.ensure("EUR", "USD")
    drop_months()
    options = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(SignedLedger, settings=options)


def test_signed_months_keep_what_was_signed_and_add_what_is_true(db: None) -> None:
    run("UTC", examples=4, steps=12)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_signed_months_in_any_order_of_many_events(db: None, zone: str) -> None:
    run(zone, examples=50, steps=20)

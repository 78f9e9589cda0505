"""The ledger's example E with real late rows: files, read by the command, as the application's role."""

import json
import subprocess
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pytest
from django.db import connection

from apps.costs import attribution
from apps.costs import services as costs
from apps.costs.models import Line
from apps.costs.selectors import Figures, restatements
from tests.books import at, make_offering, make_workload, prices, rate_all, unproved
from tests.costs.test_signed import booked, figure
from tests.world import MACHINE, make_world

Run = Callable[..., "subprocess.CompletedProcess[str]"]
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
HEADER = "time,usage_key,provider,model,input_tokens,output_tokens\n"


def write(path: Path, calls: list[tuple[datetime, int]], model: str) -> Path:
    """Calls of the key A with so many thousand input tokens each; a million costs 1,000."""
    path.write_text(HEADER + "".join(f"{when.isoformat()},A,openai,{model},{k}000,0\n" for when, k in calls))
    return path


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_late_rows_of_a_signed_month(run_command: Run, tmp_path: Path) -> None:
    # October signed with C 1,000. In November 120 of October cost arrive; November's own: 900.
    workload = make_workload("Copilot", make_world())
    prices(make_offering("openai", "own-model"), input="1000", output="0")
    attribution.bind(actor=MACHINE, workload=workload, pairs=[["key", "A"]])

    def ingest(name: str, calls: list[tuple[datetime, int]], model: str = "own-model") -> int:
        path = write(tmp_path / name, calls, model)
        done = run_command("ingest", str(path), "--source", "gateway", "--format", "requests", "--json")
        assert done.returncode == 0, done.stderr
        return int(json.loads(done.stdout)["hours_written"])

    october = [(at(5, hour), 100) for hour in range(10)]
    assert ingest("october.csv", october) == 10
    rate_all()  # the worker's clock would have taken the new price by now
    with unproved():
        costs.sign_month(month=OCTOBER, pack_sha256="ab" * 32)
    assert ingest("late.csv", [(at(20), 100), (at(20, 1), 20)]) == 2
    assert ingest("november.csv", [(at(3, hour, month=11), 100) for hour in range(9)]) == 9
    assert figure(OCTOBER, Figures.SIGNED, workload) == 1000
    assert figure(OCTOBER, Figures.RESTATED, workload) == 1120
    assert figure(NOVEMBER, Figures.SIGNED, workload) == figure(NOVEMBER, Figures.RESTATED, workload) == 900
    late = Line.objects.get(revision=1)
    assert (late.amount, late.cause, late.charge_month) == (120, "late data", OCTOBER)
    assert booked(late.booked_month)[OCTOBER] == 120
    assert [(row.workload_id, row.amount) for row in restatements(actor=MACHINE, charge_month=OCTOBER)] == [
        (workload.pk, 120)
    ]
    assert ingest("october.csv", [*october[:9], (at(5, 9), 50)]) == 1  # loaded again, half of one call less
    assert figure(OCTOBER, Figures.SIGNED, workload) == 1000
    assert figure(OCTOBER, Figures.RESTATED, workload) == 1070
    assert ingest("new.csv", [(at(4, month=11), 1)], model="never-seen") == 1
    with connection.cursor() as cursor:
        cursor.execute(_IN_ONE_TRANSACTION)
        assert cursor.fetchone() == (False,)  # who takes names in keeps others waiting, but not while rows are written


_IN_ONE_TRANSACTION = """
SELECT (SELECT max(xid::text::bigint) FROM core_audit_event WHERE verb = 'saw offerings')
    = (SELECT max(xid::text::bigint) FROM core_audit_event WHERE verb = 'imported')
"""

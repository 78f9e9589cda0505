"""What no foreign key guards is proved: every promise is broken here once, and named."""

import subprocess
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.catalog.models import Offering
from apps.costs import proof
from apps.workloads.models import BEGINNING, END
from tests.books import (
    add_hour,
    at,
    make_identity,
    make_offering,
    make_pull,
    make_series,
    make_source,
    make_workload,
    prices,
    rate_all,
)
from tests.world import World
from workers import costs as worker

GONE = 987_654_321


@pytest.fixture
def books(world: World) -> None:
    """One key with an owner from the third on, two days of hours, and their lines."""
    pull = make_pull(make_source())
    workload = make_workload("Triage", world)
    owned = make_identity(pull.part.source, "A", (BEGINNING, at(3), None), (at(3), END, workload))
    series = make_series(pull, owned, make_offering())
    for day in (2, 3):
        add_hour(pull, series, at(day), requests=1, input=1_000_000, output=500_000)
    rate_all()


def broken() -> dict[str, int]:
    return {fault.promise: fault.count for fault in proof.prove()}


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_books_that_hold_are_silent(books: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert broken() == {}
    call_command("check_ledger")
    assert capsys.readouterr().out.startswith("The ledger holds: ")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("usage_hour", "pull_id"),
        ("usage_hour", "series_id"),
        ("costs_line", "identity_id"),
    ],
)
def test_a_name_of_nothing_is_found(books: None, table: str, column: str) -> None:
    execute(f"UPDATE {table} SET {column} = {GONE}")
    assert broken()[f"every {column} in {table} exists"] == 1
    assert f"{column} {GONE}" in str(proof.broken_references()[0])


@pytest.mark.parametrize(
    ("roll_up", "column"),
    [(table, column) for table in ("costs_month", "costs_day") for column in ("source_id", "offering_id")],
)
def test_a_roll_up_of_nothing_is_found(books: None, roll_up: str, column: str) -> None:
    execute(f"UPDATE {roll_up} SET {column} = {GONE}")
    assert broken()[f"every {column} in {roll_up} exists"] == 1
    # Each of the two rows is unexplained, and the lines of each are in no row.
    assert broken()[f"{roll_up} is the sum of its lines"] == 4


@pytest.mark.parametrize("roll_up", ["costs_month", "costs_day"])
@pytest.mark.parametrize(
    "measure", ["amount", "amount_org", "quantity", "requests", "unpriced_tokens", "carried_lines"]
)
def test_one_unit_of_the_last_digit_is_found(books: None, roll_up: str, measure: str) -> None:
    unit = "0.000000000000000001" if measure in ("amount", "amount_org", "quantity") else "1"
    execute(f"UPDATE {roll_up} SET {measure} = {measure} + {unit} WHERE ctid = (SELECT ctid FROM {roll_up} LIMIT 1)")
    assert broken() == {f"{roll_up} is the sum of its lines": 1}


@pytest.mark.parametrize("measure", ["amount_org", "requests", "lines"])
def test_one_unit_too_much_of_an_owner_is_found(books: None, measure: str) -> None:
    execute(
        f"UPDATE costs_owner_month SET {measure} = {measure} + 1 "
        "WHERE ctid = (SELECT ctid FROM costs_owner_month LIMIT 1)"
    )
    assert broken() == {"costs_owner_month is the sum of its lines": 1}


def test_a_line_that_no_roll_up_knows_is_found(books: None) -> None:
    execute("UPDATE costs_line SET component = 'fallback' WHERE day = '2026-10-03'")
    assert broken() == {"costs_month is the sum of its lines": 2, "costs_day is the sum of its lines": 2}


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM workloads_attribution WHERE valid_from > '2000-01-01'",
        "DELETE FROM workloads_attribution WHERE valid_from < '2000-01-01'",
        "UPDATE workloads_attribution SET valid_to = valid_to - interval '1 hour' WHERE valid_from < '2000-01-01'",
        "UPDATE workloads_attribution SET valid_to = valid_to + interval '1 hour' WHERE valid_from < '2000-01-01'",
        "DELETE FROM workloads_attribution",
    ],
)
def test_an_hour_without_an_owner_or_with_two_is_found(books: None, damage: str) -> None:
    execute(damage)
    assert broken() == {"every identity has an owner, or none, at every instant": 1}


def test_a_series_of_two_sources_is_found(books: None) -> None:
    other = make_source("Other")
    execute(f"UPDATE sources_part SET source_id = {other.pk}")
    assert broken() == {"every series has the source of its part": 1}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE catalog_effective_rate SET cached = cached + 0.000000000000000001 WHERE prompt_band = 0",
        "UPDATE catalog_effective_rate SET reasoning_assumed = NOT reasoning_assumed WHERE service_tier = 'batch'",
        "UPDATE catalog_effective_rate SET valid_to = '2026-10-02' WHERE service_tier = 'flex' AND prompt_band = 0",
        "DELETE FROM catalog_effective_rate WHERE service_tier = 'priority' AND prompt_band = 0",
        (
            "INSERT INTO catalog_rate (scope, offering_id, service_tier, prompt_band, valid_from, input, currency, "
            "list_version, doubts) SELECT 'public', id, 'standard', 0, '2026-10-01', 2, 'USD', '', '' "
            "FROM catalog_offering WHERE name = 'unpriced'"
        ),
    ],
)
def test_a_rate_that_is_not_what_was_stated_is_found(books: None, damage: str) -> None:
    prices(Offering.objects.get(), input="1.00", output="1.00")
    make_offering("openai", "unpriced")
    rate_all()
    assert broken() == {}
    execute(damage)
    assert broken() == {"catalog_effective_rate is what catalog_rate comes to": 1}


def test_the_command_names_what_is_broken_and_the_night_says_it_in_the_log(
    books: None, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    execute("UPDATE costs_day SET amount = amount + 1")
    with pytest.raises(CommandError, match="1 promises are broken"):
        call_command("check_ledger")
    assert "costs_day is the sum of its lines: 2 times not so (2026-10-02 source" in capsys.readouterr().out
    worker.prove()
    assert "costs_day is the sum of its lines" in caplog.text


@pytest.mark.slow
def test_the_process_ends_with_one(run_command: Callable[..., "subprocess.CompletedProcess[str]"]) -> None:
    assert run_command("check_ledger").returncode == 0
    execute("INSERT INTO costs_dirty_day (day, identity_id, reason) VALUES ('2026-10-01', 5, 'test')")
    done = run_command("check_ledger")
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "CommandError: The ledger does not hold: 1 promises are broken.",
    )
    assert "every identity_id in costs_dirty_day exists" in done.stdout


def test_every_number_without_a_foreign_key_is_looked_at(db: None) -> None:
    """A new column `..._id` of the hand-made tables is to be proved too."""
    tables = (
        "('usage_hour', 'usage_charge', 'usage_replaced', "
        "'costs_line', 'costs_month', 'costs_day', 'costs_owner_month')"
    )
    proved = {check.promise for check in proof.REFERENCES}
    promises = {f"every {column} in {table} exists" for table, column in columns_named_id(tables)}
    assert promises - proved == {"every allocation_run_id in costs_line exists"}  # allocation has no table yet


def columns_named_id(tables: str) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            rf" AND table_name IN {tables} AND column_name LIKE '%\_id'"
        )
        return list(cursor.fetchall())

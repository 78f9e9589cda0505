"""The application's role against signed months and the trail; and nothing slips into a month while it is signed."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, transaction

from apps.config import embedded, roles
from apps.core import audit, periods
from apps.core.errors import Conflict
from apps.core.models import AuditSeal
from apps.costs import attribution, proof
from apps.costs import services as costs
from apps.costs.models import Line
from apps.usage import services as usage
from apps.usage.models import Hour
from tests.books import at, make_offering, make_pull, make_source, make_workload, prices, rate_all, unproved
from tests.costs.test_signed import bill, charge, tokens
from tests.faults.loads import mark_touched, publish_hours, write_hours
from tests.world import MACHINE, make_world

pytestmark = pytest.mark.django_db(transaction=True)
OCTOBER = date(2026, 10, 1)


@pytest.fixture
def books(transactional_db: None, tmp_path: Path) -> None:
    """October with hours, charges, lines and audit events; not signed yet."""
    workload = make_workload("Copilot", make_world())
    prices(make_offering("openai", "own-model"), input="1.00", output="1.00")
    attribution.bind(actor=MACHINE, workload=workload, pairs=[["key", "A"]])
    publish_hours(make_pull(make_source("Gateway"), "log"), tokens(10, at(5)), tmp_path)
    bill([charge(5, "10", "a")], tmp_path)
    rate_all()
    audit.seal()


@pytest.fixture
def as_app(books: None) -> Iterator[Callable[[str], Any]]:
    """Runs one statement as the application's role, in a connection of its own; October is signed."""
    with unproved():
        costs.sign_month(month=OCTOBER, pack_sha256="ab" * 32)
    chosen = embedded.database_settings("own")
    with psycopg.connect(
        host=chosen["HOST"], user=chosen["USER"], dbname=connection.settings_dict["NAME"], autocommit=True
    ) as session:

        def run(statement: str) -> Any:
            cursor = session.execute(statement)
            return cursor.fetchall() if cursor.description else cursor.rowcount

        yield run


BIG = ("usage_hour", "usage_charge", "costs_line")
REFUSED = [
    *(f"UPDATE {table} SET revision = revision + 1" for table in BIG),
    *(f"DELETE FROM {table}" for table in BIG),
    *(f"DELETE FROM {table} WHERE revision = 0" for table in BIG),
    *(f"TRUNCATE {table}" for table in BIG),
    *(f"INSERT INTO {table} SELECT * FROM {table} WHERE revision = 0" for table in BIG),
    *(f"INSERT INTO {table}_2026_10 SELECT * FROM {table}" for table in BIG),
    *(f"DELETE FROM {table}_2026_10" for table in BIG),
    *(f"DROP TRIGGER signed_change ON {table}_2026_10" for table in BIG),
    *(f"ALTER TABLE {table}_2026_10 DISABLE TRIGGER ALL" for table in BIG),
    *(f"ALTER TABLE {table} DETACH PARTITION {table}_2026_10" for table in BIG),
    *(f"DROP TABLE {table}_2026_10" for table in BIG),
    *(f"ALTER TABLE {table} ADD COLUMN more int" for table in BIG),
    *(f"{verb} core_audit_event" for verb in ("DELETE FROM", "TRUNCATE", "DROP TABLE")),
    "UPDATE core_audit_event SET verb = 'another'",
    "SET pgtrigger.ignore = '{core_audit_event:append_only}'; UPDATE core_audit_event SET verb = 'another'",
    "ALTER TABLE core_audit_event DISABLE TRIGGER ALL",
    *(f"{verb} core_audit_seal" for verb in ("DELETE FROM", "TRUNCATE", "DROP TABLE")),
    "UPDATE core_audit_seal SET sha256 = ''",
    "UPDATE core_period SET state = 'open', revision = 0",
    "DELETE FROM core_period",
    "TRUNCATE core_period",
    "INSERT INTO core_period SELECT '2030-01-01', starts_at, ends_at, state, 1, signed_at, '' FROM core_period",
    "INSERT INTO core_monthly_table VALUES ('core_audit_event', 'date')",
    "DELETE FROM core_monthly_table",
    "SELECT core_lock_partition('core_audit_event')",
    "SELECT core_sign_month('2026-10-01', 'another pack')",
    "SELECT core_move_month('2026-10-01', 'reopened')",
    (
        "SELECT core_ensure_month('2026-11-01', '2026-11-01Z', '2026-12-01Z', '{}');"
        " SELECT core_sign_month('2026-11-01', repeat('ab', 32))"
    ),
    "SET session_replication_role = replica",
    "SET ROLE tollgate",
    "SET SESSION AUTHORIZATION tollgate",
    "CREATE TABLE public.mine (i int)",
    "CREATE SCHEMA mine",
    "CREATE OR REPLACE FUNCTION core_refuse_signed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "DROP FUNCTION core_refuse_signed() CASCADE",
    "ALTER ROLE tollgate_app SUPERUSER",
    "CREATE EXTENSION IF NOT EXISTS file_fdw",
    "COPY core_audit_event TO '/tmp/events'",
]


def test_the_role_of_the_application_breaks_nothing(as_app: Callable[[str], Any]) -> None:
    everything = "SELECT count(*), sum(revision) FROM {}"
    before = {table: as_app(everything.format(table)) for table in BIG}
    allowed = []
    for statement in REFUSED:
        try:
            as_app(statement)
        except psycopg.Error:
            continue
        allowed.append(statement)
    assert allowed == []
    assert {table: as_app(everything.format(table)) for table in BIG} == before
    assert proof.broken_references() == []
    assert AuditSeal.objects.exists()
    assert audit.verify().holds


def test_the_same_name_in_a_temporary_table_deceives_no_function(as_app: Callable[[str], Any]) -> None:
    as_app("CREATE TEMP TABLE core_period (LIKE public.core_period); CREATE TEMP TABLE core_monthly_table (name text)")
    with pytest.raises(psycopg.Error, match="decision of a second person"):
        as_app("SELECT core_move_month('2026-10-01', 'reopened')")
    assert as_app("SELECT core_move_month('2026-10-01', 'closing')") == [(False,)]
    assert (periods.is_signed(OCTOBER), periods.is_frozen(OCTOBER)) == (True, True)
    with pytest.raises(psycopg.Error, match="holds a signed month"):
        as_app("DELETE FROM usage_hour")


def test_what_the_application_does_it_may(as_app: Callable[[str], Any]) -> None:
    assert as_app("SELECT core_ensure_month('2026-12-01', '2026-12-01Z', '2027-01-01Z', '{usage_hour,costs_line}')")
    as_app("INSERT INTO usage_hour (series_id, hour, pull_id) SELECT series_id, '2026-12-05Z', pull_id FROM usage_hour")
    assert as_app("DELETE FROM usage_hour WHERE hour >= '2026-12-01Z'") == 1
    as_app("INSERT INTO usage_hour (series_id, hour, pull_id, revision, requests)"
           " SELECT series_id, hour, pull_id, 1, -1 FROM usage_hour")  # fmt: skip
    as_app("CREATE TEMP TABLE touched (i int); TRUNCATE touched; ANALYZE touched; DROP TABLE touched")


def test_the_check_tells_a_role_that_owns_from_one_that_does_not(books: None) -> None:
    assert roles.faults() == ["the role tollgate is a superuser"]
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE tollgate_app")
        try:
            assert roles.faults() == []
        finally:
            cursor.execute("RESET ROLE")
        cursor.execute("CREATE ROLE half NOLOGIN; ALTER TABLE usage_series OWNER TO half; SET ROLE half")
        try:
            assert roles.faults() == ["the role half owns 1 tables"]
        finally:
            cursor.execute("RESET ROLE; ALTER TABLE usage_series OWNER TO tollgate; DROP OWNED BY half; DROP ROLE half")


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return run


def while_it_is_written(sign: Callable[[], Any], tmp_path: Path) -> Any:
    """What signing comes to that begins in the middle of an import, which ends only once the signing waits for it."""
    written, go_on = threading.Event(), threading.Event()

    def importing() -> None:
        write_hours(tokens(5, at(6)), tmp_path)
        with transaction.atomic():
            usage.publish(pull=make_pull(make_source("Proxy"), "late"), work_dir=tmp_path)
            mark_touched()
            written.set()
            go_on.wait(20)

    with ThreadPoolExecutor(2) as pool:
        imported = pool.submit(in_thread(importing))
        written.wait(20)
        signed = pool.submit(in_thread(sign))
        time.sleep(1.5)
        assert not signed.done()
        go_on.set()
        imported.result(20)
        return signed.result(40)


def test_a_signing_waits_for_an_import_that_is_being_written(books: None, tmp_path: Path) -> None:
    """The rows of the import were written before, so they are of revision 0 and are priced as such."""
    assert while_it_is_written(lambda: unproved()(periods.sign)(OCTOBER, ""), tmp_path).state == "signed"
    assert list(Hour.objects.filter(hour=at(6)).values_list("revision", flat=True)) == [0]
    costs.rate_dirty()
    assert list(Line.objects.filter(day=at(6).date()).values_list("revision", "amount")) == [(1, 5)]


def test_a_month_is_not_signed_over_what_an_import_wrote_while_the_signing_waited(books: None, tmp_path: Path) -> None:
    """Its hours lie in the month and have no cost yet: the sign-off would seal a sum that lacks them."""
    with pytest.raises(Conflict, match="still being worked out"):
        while_it_is_written(lambda: unproved()(costs.sign_month)(month=OCTOBER, pack_sha256=""), tmp_path)
    assert not periods.is_frozen(OCTOBER)
    costs.rate_dirty()
    with unproved():
        costs.sign_month(month=OCTOBER, pack_sha256="")
    assert list(Line.objects.filter(day=at(6).date()).values_list("revision", "amount")) == [(0, 5)]


def test_an_import_waits_for_a_signing_and_then_writes_corrections(books: None, tmp_path: Path) -> None:
    signed, go_on = threading.Event(), threading.Event()

    def signing() -> None:
        with unproved():
            costs.sign_month(month=OCTOBER, pack_sha256="")
            signed.set()
            go_on.wait(20)

    with ThreadPoolExecutor(2) as pool:
        sealed = pool.submit(in_thread(signing))
        signed.wait(20)
        source = make_source("Proxy")
        imported = pool.submit(in_thread(lambda: publish_hours(make_pull(source, "late"), tokens(5, at(6)), tmp_path)))
        time.sleep(1)
        assert not imported.done()
        go_on.set()
        sealed.result(20)
        imported.result(20)
    assert list(Hour.objects.filter(hour=at(6)).values_list("revision", flat=True)) == [1]
    costs.rate_dirty()
    assert proof.prove() == []

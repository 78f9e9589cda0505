"""What every test can ask for: the real database and broker, a real worker, a real browser, the public files."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations
from hypothesis import settings as hypothesis
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from apps.config import embedded, static
from tests import browser as browsers
from tests.world import World, make_world
from workers.app import QUEUES
from workers.app import app as celery

PROJECT = Path(__file__).resolve().parents[1]
PUBLIC_DATA = PROJECT.parent / "shared" / "data"
# No example fails for being slow: a machine that is busy says nothing about the code.
hypothesis.register_profile("tollgate", deadline=None)
hypothesis.load_profile("tollgate")


def pytest_unconfigure() -> None:
    home = Path(os.environ["TOLLGATE_TEST_HOME"])
    if home.exists() and home.name.startswith("tollgate-test-"):
        shutil.rmtree(home, ignore_errors=True)


# --- Database, broker, worker -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def servers() -> Iterator[None]:
    """PostgreSQL and Valkey of this run's own data folder."""
    with embedded.attached():
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(servers: None) -> None:
    """pytest-django asks for this before it makes the test database."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The migrated test database, with what migrations put into it kept aside."""
    with django_db_blocker.unblock():
        keep_reference_data()


def keep_reference_data() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept")
        for table in sorted(set(connection.introspection.table_names(cursor)) - {"django_migrations"}):
            cursor.execute(f'SELECT EXISTS (SELECT FROM public."{table}")')
            if cursor.fetchone()[0]:
                cursor.execute(f'CREATE TABLE kept."{table}" AS TABLE public."{table}"')


def restore_reference_data(cursor: Any) -> None:
    cursor.execute(
        "SELECT table_name, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)"
        " FROM information_schema.columns"
        " WHERE table_schema = 'public' AND is_generated = 'NEVER'"
        " AND table_name IN (SELECT tablename FROM pg_tables WHERE schemaname = 'kept') GROUP BY table_name"
    )
    for table, columns in cursor.fetchall():
        cursor.execute(
            f'INSERT INTO public."{table}" ({columns}) SELECT {columns} FROM kept."{table}" ON CONFLICT DO NOTHING'
        )


def empty_what_django_does_not_manage(cursor: Any) -> None:
    """The partitioned tables of the ledger and their like are made by hand, so Django's flush leaves them full.

    Months that a test signed are opened again; the locks of signed ones hold against this session, too.
    """
    cursor.execute(
        "SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger"
        " WHERE tgname IN ('signed_insert', 'signed_change', 'signed_truncate', 'signed_booking')"
    )
    for (statement,) in cursor.fetchall():
        cursor.execute(statement)
    cursor.execute(
        "SELECT string_agg(quote_ident(relname), ', ') FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition"
        " AND relname NOT IN ('django_migrations', 'core_monthly_table')"
    )
    cursor.execute(f"TRUNCATE {cursor.fetchone()[0]}")


@pytest.fixture(scope="session", autouse=True)
def _emptied_tables() -> Iterator[None]:
    """Between tests that commit: append-only tables are emptied too, and reference data is put back."""
    original = DatabaseOperations.execute_sql_flush

    def flush(self: DatabaseOperations, sql_list: list[str]) -> None:
        original(self, ["SET LOCAL session_replication_role = replica", *sql_list])
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            empty_what_django_does_not_manage(cursor)
            restore_reference_data(cursor)
            cursor.execute("RESET session_replication_role")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", flush)
        yield


def child_environment() -> dict[str, str]:
    """For processes that work on the test database, with the settings and the role of the application."""
    addresses = {
        "DATABASE_URL": address_of(embedded.database_settings("own")),
        "DATABASE_OWNER_URL": address_of(embedded.owner_settings("own")),
    }
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "apps.config.settings", **addresses}


def address_of(chosen: dict[str, Any]) -> str:
    name = connection.settings_dict["NAME"]
    where = f"@/{name}?host={chosen['HOST']}&port={chosen.get('PORT') or 5432}"
    return f"postgresql://{chosen['USER']}:{chosen.get('PASSWORD', '')}{where}"


@pytest.fixture
def run_command(transactional_db: None) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `manage.py ...` as a person would, in a process of its own, on the test database."""

    def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
        options = {"capture_output": True, "text": True, "env": child_environment(), **more}
        return subprocess.run(command, check=False, **options)

    return run


@pytest.fixture
def worker(transactional_db: None, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A real Celery worker in a process of its own, on the test database and the real broker; no beat."""
    celery.control.purge()
    log = (tmp_path / "worker.log").open("wb")
    process = start_worker(log)
    yield process
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
    log.close()


def start_worker(log: Any, include: str = "", **environment: str) -> "subprocess.Popen[bytes]":
    """Starts a worker and waits until it says that it is ready. `include` is a module with further tasks."""
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "--pool=threads", "--concurrency=2"]
    command += ["--without-gossip", "--without-mingle", "--loglevel=INFO", f"--queues={','.join(QUEUES)}"]
    command += [f"--include={include}"] if include else []
    environment = {**child_environment(), "TOLLGATE_ONLY_WORKER": "1", **environment}
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=PROJECT)
    try:
        wait_for(lambda: b" ready." in Path(log.name).read_bytes() or process.poll() is not None, seconds=90)
    except BaseException:
        process.kill()
        raise
    assert process.poll() is None, Path(log.name).read_text()
    return process


def wait_for(condition: Callable[[], Any], *, seconds: float = 15) -> Any:
    """Asks until the answer is true; fails after the time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {condition}")
        time.sleep(0.05)
    return answer


# --- Pages ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _static_files() -> Iterator[None]:
    """Pages use the collected files with their hashed names, as in production: WhiteNoise serves them in tests too."""
    static.collect()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StaticFilesHandler, "_should_handle", lambda *_: False)
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    browsers.use_own_node()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**browsers.find().launch_options())  # type: ignore[arg-type]
        yield chromium
        chromium.close()


@pytest.fixture
def page(live_server: Any, browser: Browser) -> Iterator[Page]:
    """A fresh browser window on the running application. Errors in its console fail the test."""
    errors: list[str] = []
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: note_error(message, errors))
    yield opened
    context.close()
    assert not errors, errors


def note_error(message: ConsoleMessage, errors: list[str]) -> None:
    """A page that answers 4xx on purpose is no error of the page, nor is a request that ends since the page is left."""
    is_left = message.text.startswith(("htmx:sendAbort", "htmx:afterRequest"))
    if message.type == "error" and "Failed to load resource" not in message.text and not is_left:
        errors.append(message.text)


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def public_data() -> Path:
    """Real traces and bills beside the project; tests that need them are left out where they are not."""
    if not PUBLIC_DATA.is_dir():
        pytest.skip("the public files are not beside the project")
    return PUBLIC_DATA


# --- The known company ------------------------------------------------------------------------------------------------


@pytest.fixture
def world(db: None) -> World:
    """Eight people in three cost centres, see tests/world.py. Works with `transactional_db` and `page` too."""
    return make_world()

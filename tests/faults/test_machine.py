"""The machine under an import gives way: a disk runs full, the database restarts, the broker is away."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from apps.config.embedded import Paths, Postgres, Valkey
from apps.core.models import AuditEvent
from apps.sources import files
from apps.sources import services as sources
from apps.sources.models import Pull
from tests.conftest import PROJECT, child_environment, wait_for
from tests.faults.invariants import check_ledger
from tests.faults.ledger import ledger_hash
from tests.world import MACHINE
from workers import imports
from workers.app import ring

pytestmark = pytest.mark.slow
OPTIONS = ("--format=requests", "--part=log", "--again", "--json")
HEADER = "time,usage_key,provider,model,input_tokens,output_tokens\n"


def write_log(path: Path, *, keys: int, year: int = 2025) -> Path:
    """`keys` x 240 hours, each of one call."""
    with path.open("w") as file:
        file.write(HEADER)
        for hour in range(240):
            day, clock = 1 + hour // 24, hour % 24
            file.writelines(
                f"{year}-11-{day:02}T{clock:02}:10:00Z,key-{key},openai,gpt-4o,{hour * key},10\n" for key in range(keys)
            )
    return path


def fingerprint(source: str | None = None) -> str:
    with connection.cursor() as cursor:
        check_ledger(cursor)
        return ledger_hash(cursor, source)


def refused(path: Path, source: str) -> str:
    with pytest.raises(CommandError) as caught:
        call_command("ingest", str(path), f"--source={source}", *OPTIONS)
    return str(caught.value)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own in the folder's place; left out where nobody may mount one."""
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode != 0:
        pytest.skip("only root can mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("size", ["32k", "700k", "3m"])
def test_a_full_disk_while_reading_or_writing_is_said_and_changes_nothing(
    transactional_db: None, tmp_path: Path, size: str
) -> None:
    """From no room for anything to room for all but the last file."""
    call_command("ingest", str(write_log(tmp_path / "small.csv", keys=2)), "--source=logs", *OPTIONS)
    before = fingerprint()
    big = write_log(tmp_path / "big.csv", keys=300)
    with small_disk(Path(settings.TOLLGATE_HOME) / "work", size):
        error = refused(big, "logs")
        assert "disk is full" in error, error
        assert len(error.splitlines()) == 1
        assert fingerprint() == before
    assert Pull.objects.filter(state=Pull.State.FAILED).count() == 1
    call_command("ingest", str(big), "--source=logs", *OPTIONS)
    assert fingerprint() != before


def test_a_limit_of_file_sizes_is_a_full_disk(
    run_command: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    limit = 300_000
    big = write_log(tmp_path / "big.csv", keys=300)
    done = run_command(
        "ingest", str(big), "--source=logs", *OPTIONS,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    assert "disk is full" in done.stderr.splitlines()[-1], done.stderr
    fingerprint()
    assert Pull.objects.get().state == Pull.State.FAILED


@pytest.fixture
def full_database(transactional_db: None) -> Iterator[Path]:
    """New tables of the ledger lie on a disk of 2 MB; whoever connects from now on makes them there."""
    server = Postgres(Paths(Path(settings.TOLLGATE_HOME)))
    folder = Path(tempfile.mkdtemp(dir=settings.TOLLGATE_HOME, prefix="small-"))
    name = connection.settings_dict["NAME"]
    with small_disk(folder, "2m"):
        os.chown(folder, server.owner.uid, server.owner.gid)
        execute(f"CREATE TABLESPACE small_disk LOCATION '{folder}'")
        execute(f"ALTER DATABASE {name} SET default_tablespace = 'small_disk'")
        connection.close()
        yield folder
        execute(f"ALTER DATABASE {name} RESET default_tablespace")
        connection.close()
        for table in ("usage_hour", "usage_charge", "costs_line"):
            execute(f"DROP TABLE IF EXISTS {table}_2021_11")
        execute("DROP TABLESPACE small_disk")
    shutil.rmtree(folder, ignore_errors=True)


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_full_disk_of_the_database_is_said_and_changes_nothing(full_database: Path, tmp_path: Path) -> None:
    big = write_log(tmp_path / "big.csv", keys=100, year=2021)  # a month of which no other test has made the tables
    before = fingerprint()
    error = refused(big, "logs")
    assert "disk is full" in error, error
    assert "No space left on device" in error
    assert fingerprint() == before
    subprocess.run(["mount", "-o", "remount,size=100m", str(full_database)], check=True)
    call_command("ingest", str(big), "--source=logs", *OPTIONS)
    assert fingerprint() != before


@pytest.mark.parametrize(
    "moment",
    [
        "SELECT 1 FROM sources_pull WHERE state = 'running' AND progress ->> 'stage' = 'reading'",
        "SELECT 1 FROM pg_stat_progress_copy WHERE tuples_processed > 0",
    ],
    ids=["reading", "copying"],
)
def test_a_database_that_restarts_in_the_middle_is_waited_for(
    transactional_db: None, tmp_path: Path, moment: str
) -> None:
    big = write_log(tmp_path / "big.csv", keys=300)
    call_command("ingest", str(big), "--source=calm", *OPTIONS)
    expected = fingerprint("calm")
    command = [sys.executable, "manage.py", "ingest", str(big), "--source=stormy", *OPTIONS]
    process = subprocess.Popen(
        command, cwd=PROJECT, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: answer(moment) or process.poll() is not None, seconds=60)
    restart_database()
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert json.loads(said)["computed_cost"] is not None
    assert fingerprint("stormy") == expected
    assert AuditEvent.objects.filter(verb="imported").count() == 2


def restart_database() -> None:
    """At once and without a good-bye to anybody."""
    server = Postgres(Paths(Path(settings.TOLLGATE_HOME)))
    connection.close()
    server.control("stop", "-m", "immediate")
    time.sleep(1)
    server.start()


def answer(question: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone() is not None


@pytest.fixture
def broker_away(transactional_db: None) -> Iterator[Valkey]:
    broker = Valkey(Paths(Path(settings.TOLLGATE_HOME)))
    broker.stop()
    yield broker
    broker.start()


def test_a_broker_that_is_away_at_commit_costs_no_work_and_doubles_none(broker_away: Valkey, tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.csv", keys=2)
    source, _ = sources.find_or_create(actor=MACHINE, slug="logs")
    digest, size = files.digest_of([path])
    began = time.monotonic()
    with transaction.atomic():
        part = sources.ensure_part(actor=MACHINE, source=source, name="log")
        pull = sources.request_pull(
            actor=MACHINE, part=part, format="requests", file_path=str(path), file_size=size, digest=digest
        )
        ring(imports.read, pull.pk)
    assert time.monotonic() - began < 10  # a page may not hang on it
    pull.refresh_from_db()
    assert pull.state == Pull.State.QUEUED
    broker_away.start()
    imports.sweep()
    imports.sweep()
    imports.read(pull.pk)  # the bell, heard late
    pull.refresh_from_db()
    assert pull.state == Pull.State.DONE
    assert AuditEvent.objects.filter(verb="imported").count() == 1
    fingerprint()

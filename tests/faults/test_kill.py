"""`kill -9` of every part of a running Tollgate, at twenty points of an import of 300,000 rows.

Everything runs as `make up` runs it and is started again as it does that. Only the lease is shorter than a minute, by
its own setting, and the sweep is rung every second instead of every ten.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from celery import Celery

from tests.config.tollgate import Tollgate
from tests.conftest import wait_for
from tests.faults.invariants import check_ledger
from tests.faults.ledger import ledger_hash

ROWS = 300_000
LEASE_SECONDS = "3"
SETTLED = "state = 'done' AND progress = '{}'"
POINTS = [
    ("celery", "reading"), ("celery", "reading"), ("celery", "writing"), ("celery", "copying"), ("celery", "pricing"),
    ("apps.usage.reduce", "reading"), ("apps.usage.reduce", "reading"), ("gunicorn", "reading"),
    ("postgres", "reading"), ("postgres", "copying"), ("postgres", "pricing"), ("a backend", "copying"),
    ("valkey", "reading"), ("valkey", "writing"),
]  # fmt: skip
AGAIN = [
    ("celery", "copying"), ("celery", "pricing"), ("celery", "writing"), ("postgres", "writing"),
    ("a backend", "copying"), ("gunicorn", "copying"),
]  # fmt: skip


class Stormy(Tollgate):
    """With the settings of an installation: what tests save on safety would not survive a kill."""

    def environment(self, **more: str) -> dict[str, str]:
        own = {"TOLLGATE_POSTGRES_OPTIONS": "", "TOLLGATE_IMPORT_LEASE_SECONDS": LEASE_SECONDS}
        return super().environment(**own, **more)


@dataclass
class Watched:
    """A running Tollgate, seen by its database."""

    tollgate: Stormy
    chance: random.Random

    @property
    def bell(self) -> Celery:
        socket = quote(str(self.tollgate.paths.broker_socket))
        return Celery(broker=f"redis+socket://{socket}?virtual_host=0")

    def ring(self, task: str, *arguments: int) -> None:
        """A bell that nobody hears, because the broker is away, changes nothing."""
        with contextlib.suppress(Exception), self.bell as bell:
            bell.send_task(f"workers.imports.{task}", arguments, queue="reduce", retry=False)

    def ask(self, statement: str) -> list[Any]:
        """Nothing while the database is away."""
        with contextlib.suppress(psycopg.OperationalError):
            return self.tollgate.query(statement) or []
        return []

    def is_so(self, condition: str) -> bool:
        return bool(self.ask(f"SELECT 1 FROM sources_pull WHERE {condition}"))

    def start(self, pull: int) -> None:
        self.ask(f"UPDATE sources_pull SET state = 'queued', requested_at = now() WHERE id = {pull}")
        self.ring("read", pull)

    def wait_for_point(self, pull: int, point: str) -> None:
        """Right at the point, and then up to a part of a second later."""
        this = f"id = {pull} AND "
        conditions = {
            "reading": f"{this} progress ->> 'stage' = 'reading'",
            "writing": f"{this} progress ->> 'stage' = 'writing'",
            "copying": f"{this} EXISTS (SELECT FROM pg_stat_progress_copy WHERE tuples_processed > 0)",
            "pricing": f"{this} progress ->> 'stage' = 'pricing'",
        }
        # An import that is through before we look has not been met at the point; that is then seen in `attempt`.
        wait_for(lambda: self.is_so(conditions[point]) or self.is_so(f"{this} {SETTLED}"), seconds=60)
        time.sleep(self.chance.uniform(0, {"reading": 1.5, "writing": 0.5}.get(point, 0.1)))

    def kill(self, victim: str) -> None:
        if victim == "a backend":
            busy = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query <> ''"
            for (pid,) in self.ask(f"{busy} ORDER BY (query LIKE 'COPY%') DESC LIMIT 1"):
                os.kill(pid, signal.SIGKILL)
        else:
            self.tollgate.kill(victim)

    def wait_until_settled(self, pull: int) -> None:
        deadline = time.monotonic() + 180
        while not self.is_so(f"id = {pull} AND {SETTLED}"):
            assert time.monotonic() < deadline, self.ask(
                f"SELECT state, attempt, error, progress FROM sources_pull WHERE id = {pull}"
            )
            self.ring("sweep")
            time.sleep(1)

    def hash_of(self, source: str) -> str:
        with psycopg.connect(host=str(self.tollgate.paths.sockets), user="tollgate", dbname="tollgate") as connection:
            return ledger_hash(connection.cursor(), source)

    def check_ledger(self) -> None:
        with psycopg.connect(host=str(self.tollgate.paths.sockets), user="tollgate", dbname="tollgate") as connection:
            check_ledger(connection.cursor())


@pytest.fixture
def watched() -> Iterator[Watched]:
    tollgate = Stormy()
    tollgate.up()
    yield Watched(tollgate, random.Random(20261124))
    tollgate.clear_up()


def write_log(path: Path, *, seed: int) -> Path:
    """300 keys, ten days, a price that is known: about 72,000 hours."""
    chance = random.Random(seed)
    with path.open("w") as file:
        file.write("time,usage_key,provider,model,input_tokens,cached_input_tokens,output_tokens,latency_ms,status\n")
        for number in range(ROWS):
            day, hour, key = chance.randrange(10, 20), number % 24, chance.randrange(300)
            tokens, status = chance.randrange(1, 9000), 500 if chance.random() < 0.02 else 200
            file.write(f"2026-10-{day}T{hour:02}:{number % 60:02}:00Z,key-{key},openai,gpt-4o-2024-08-06,")
            file.write(f"{tokens},{tokens // 3},{tokens % 700},{tokens},{status}\n")
    return path


DRAFT = """
from pathlib import Path
from apps.core.actor import Actor
from apps.sources import files, services
actor = Actor.command("test")
def draft(source, path):
    found, _ = services.find_or_create(actor=actor, slug=source)
    digest, size = files.digest_of([Path(path)])
    part = services.ensure_part(actor=actor, source=found, name="log.csv")
    pull = services.request_pull(actor=actor, part=part, format="requests", options={{"again": True}}, file_path=path,
                                 file_size=size, digest=digest, draft=True)
    print("drafted", source, pull.pk)
for source, path in {drafts!r}:
    draft(source, path)
"""


def draft(tollgate: Tollgate, drafts: list[tuple[str, str]]) -> list[int]:
    """The pulls of all rounds, waiting to be let go one by one."""
    done = tollgate.run("shell", "-v0", "-c", DRAFT.format(drafts=drafts))
    assert done.returncode == 0, done.stderr
    return [int(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("drafted")]


@pytest.mark.slow
def test_an_import_survives_the_death_of_any_part_at_any_point(watched: Watched, tmp_path: Path) -> None:
    first, second = write_log(tmp_path / "first.csv", seed=1), write_log(tmp_path / "second.csv", seed=2)
    rounds = [(f"source-{number}", first, *point) for number, point in enumerate(POINTS)]
    rounds += [(f"source-{number}", second, *point) for number, point in enumerate(AGAIN)]
    calm = [("calm", str(first)), ("calm", str(second))]
    pulls = draft(watched.tollgate, calm + [(source, str(path)) for source, path, _, _ in rounds])

    expected: dict[Path, str] = {}
    for path, pull in zip((first, second), pulls, strict=False):
        watched.start(pull)
        watched.wait_until_settled(pull)
        expected[path] = watched.hash_of("calm")
    assert expected[first] != expected[second]

    for (source, path, victim, point), pull in zip(rounds, pulls[2:], strict=True):
        watched.start(pull)
        watched.wait_for_point(pull, point)
        watched.kill(victim)
        watched.wait_until_settled(pull)
        assert watched.hash_of(source) == expected[path], f"{victim} killed while {point}"

    watched.check_ledger()
    imported = "SELECT count(*), count(DISTINCT subject_id) FROM core_audit_event WHERE verb = 'imported'"
    assert watched.ask(imported) == [(len(pulls), len(pulls))]  # nothing was published twice
    tries = watched.ask("SELECT count(*) FILTER (WHERE attempt > 1), max(attempt) FROM sources_pull")
    assert tries[0][0] >= 10  # so often the kill met an import that was not through
    assert tries[0][1] <= 3

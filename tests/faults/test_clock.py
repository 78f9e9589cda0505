"""The clock may tick twice, five times or late: each thing that it starts is done once."""

import importlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.core.models import AuditEvent
from apps.sources import services as sources
from apps.sources.models import Pull, Source
from tests.faults.ledger import ledger_hash
from tests.sources.test_folder import make_source, write
from tests.sources.test_push import push
from tests.world import MACHINE, World
from workers import imports
from workers.app import QUEUES, app, task_modules
from workers.schedule import SCHEDULE


@pytest.fixture
def at_work(world: World, tmp_path: Path, settings: Any) -> Iterator[None]:
    """A folder with a file, a program with events, and a bell that rings at once."""
    settings.IMPORT_ROOTS = [str(tmp_path)]
    settings.TOLLGATE_HOME = tmp_path
    app.conf.task_always_eager = True
    make_source(tmp_path)
    write(tmp_path, "a.csv", "A", "B")
    push(sources.create_source(actor=MACHINE, name="Bot", slug="bot", kind="push"), "1")
    yield
    app.conf.task_always_eager = False


@pytest.fixture(autouse=True)
def _tasks() -> None:
    """As a worker does when it starts."""
    for module in task_modules():
        importlib.import_module(module)


def tick(*, times: int) -> None:
    for entry in SCHEDULE.values():
        for _ in range(times):
            app.tasks[entry["task"]]()


def said() -> list[tuple[str, str]]:
    """Everything that happened, in words; the times at which somebody looked are not among it."""
    return list(AuditEvent.objects.order_by("id").values_list("verb", "subject_kind"))


def fingerprint() -> str:
    with connection.cursor() as cursor:
        return ledger_hash(cursor)


def test_a_clock_that_ticks_twice_does_everything_once(at_work: None) -> None:
    tick(times=2)
    done = sorted(Pull.objects.values_list("part__name", "state"))
    assert done == [("a.csv", "done"), ("live", "done")]
    before, happened = fingerprint(), said()
    tick(times=5)
    assert (fingerprint(), said()) == (before, happened)


def test_a_clock_that_stood_still_catches_up(at_work: None) -> None:
    tick(times=1)
    before = fingerprint()
    Source.objects.update(last_looked_at=timezone.now() - timedelta(days=3))
    tick(times=1)
    assert fingerprint() == before
    assert Pull.objects.count() == 2


def test_every_task_of_the_clock_exists_and_goes_to_a_queue_that_is_served() -> None:
    for entry in SCHEDULE.values():
        task = app.tasks[entry["task"]]
        queue = app.amqp.router.route({}, task.name)["queue"]
        assert queue.name in QUEUES
    assert app.amqp.router.route({}, imports.read.name)["queue"].name == "reduce"

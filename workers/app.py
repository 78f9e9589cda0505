"""The Celery app. Tasks stand in workers/<feature>.py, take ids, and call one service.

Queues: `pull` (waits for others), `reduce` (heavy on memory and disk), `default`. The embedded worker takes all three.
"""

import os
import pkgutil
from pathlib import Path
from typing import Any

from celery import Celery
from celery.beat import EmbeddedService
from celery.signals import worker_init, worker_ready, worker_shutdown
from django.db import transaction

from workers.schedule import SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "apps.config.settings")

QUEUES = ("default", "pull", "reduce")


def task_modules() -> list[str]:
    """Every module of this package that holds tasks: a new feature needs no list to be edited."""
    found = pkgutil.iter_modules([str(Path(__file__).parent)])
    return [f"workers.{module.name}" for module in found if module.name not in ("app", "schedule")]


# Everything else goes to `default`.
ROUTES = {
    "workers.imports.read": {"queue": "reduce"},
    "workers.imports.sweep": {"queue": "reduce"},
    "workers.sources.*": {"queue": "pull"},
}

app = Celery("tollgate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.include = task_modules()
app.conf.task_routes = ROUTES
app.conf.beat_schedule = SCHEDULE

_beat: list[Any] = []


def ring(task: Any, *ids: int) -> None:
    """Ring the bell for a task once the caller's transaction has committed.

    The due row is written already and a sweep takes what nobody rang for, so a broker that is away is no error here.
    """
    transaction.on_commit(lambda: task.apply_async(ids, retry=False), robust=True)


@worker_init.connect
def restore_unacked_work(**_: Any) -> None:
    """Puts tasks back that a killed worker had taken and not finished.

    Without this they wait for the visibility timeout (an hour). Only for the single embedded worker: with several, the
    un-acked tasks of the others are being worked on.
    """
    if not os.environ.get("TOLLGATE_ONLY_WORKER"):
        return
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        for tag in channel.client.hkeys(channel.unacked_key):
            channel.qos.restore_by_tag(tag, leftmost=True)


@worker_ready.connect
def start_clock(**_: Any) -> None:
    """Runs beat as a thread of the worker, where TOLLGATE_BEAT_FILE asks for it.

    Celery's own `--beat` forks a process that outlives a killed worker and goes on sending.
    """
    schedule_file = os.environ.get("TOLLGATE_BEAT_FILE")
    if schedule_file:
        _beat.append(EmbeddedService(app, thread=True, schedule_filename=schedule_file))
        _beat[-1].start()


@worker_shutdown.connect
def stop_clock(**_: Any) -> None:
    while _beat:
        _beat.pop().stop()

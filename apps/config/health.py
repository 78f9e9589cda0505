"""Probes. /livez: the process answers. /readyz: the database, its migrations and the broker do too.

A clock or worker that stands still is told by /readyz and makes nothing unready: pages answer without them.
"""

from collections.abc import Callable
from datetime import datetime

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils import timezone
from kombu.exceptions import OperationalError

from apps.core import heartbeat
from workers.app import app as celery

BROKER_SECONDS = 2


class HealthMiddleware:
    """Answers the two probes before hosts, sessions or the database are asked, so that a sick process can say so."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path == "/livez":
            return JsonResponse({"status": "ok"})
        if request.path == "/readyz":
            return readiness()
        return self.get_response(request)


def readiness() -> JsonResponse:
    """200 when every part is usable, else 503; each part says 'ok' or why not, without addresses or passwords."""
    database = database_state()
    checks = {
        "database": database,
        "migrations": migration_state() if database == "ok" else "unknown while the database is away",
        "broker": broker_state(),
    }
    ready = all(state == "ok" for state in checks.values())
    told = {"status": "ok" if ready else "unavailable", "checks": checks}
    if database == "ok":
        told["clock"] = clock_state(timezone.now())
    return JsonResponse(told, status=200 if ready else 503)


def database_state() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        connection.close()
        return f"no answer from PostgreSQL ({type(error).__name__})"
    return "ok"


def clock_state(now: datetime) -> str:
    """'ok', or since when nothing was priced, pulled or sealed any more."""
    try:
        heard = heartbeat.last()
    except DatabaseError:
        return "unknown: the table of the cache is not made yet"
    if heard is None:
        return "no worker was heard of yet; is one running, with the clock (beat)?"
    if now - heard > heartbeat.STILL_AFTER:
        return f"no worker was heard of since {heard:%Y-%m-%d %H:%M} UTC; is one running, with the clock (beat)?"
    return "ok"


def migration_state() -> str:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return "ok" if not waiting else f"{len(waiting)} migrations are not applied; run `manage.py migrate`"


def broker_state() -> str:
    try:
        with celery.connection_for_write(connect_timeout=BROKER_SECONDS) as broker:
            broker.ensure_connection(max_retries=1, timeout=BROKER_SECONDS, interval_start=0)
    except (OperationalError, OSError) as error:
        return f"no answer from the broker ({type(error).__name__})"
    return "ok"

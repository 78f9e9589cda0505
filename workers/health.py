"""The clock's sign of life, for /readyz: it takes both the clock that sends it and a worker that runs it."""

from django.utils import timezone

from apps.core import heartbeat
from workers.app import app


@app.task
def beat() -> None:
    heartbeat.beat(now=timezone.now())

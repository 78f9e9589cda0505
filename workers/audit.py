"""The clock of the audit trail: chain what was done, and keep the head outside once a day."""

from django.conf import settings
from django.utils import timezone

from apps.core import audit, heads
from workers.app import app


@app.task
def seal() -> None:
    audit.seal()


@app.task
def keep_head() -> None:
    heads.keep(folder=settings.TOLLGATE_HOME / "audit", now=timezone.now())

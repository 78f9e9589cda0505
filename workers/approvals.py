"""The clock of the confirmations: let end what waited too long, and tell of what waits."""

from django.utils import timezone

from apps.approvals import waiting
from workers.app import app


@app.task
def sweep() -> None:
    now = timezone.now()
    waiting.expire()
    waiting.escalate(now=now)
    waiting.send_letters(now=now)

"""The clock of the budgets: see which thresholds were passed, and tell those who answer for them."""

from django.utils import timezone

from apps.budgets import services as budgets
from workers.app import app


@app.task
def sweep() -> None:
    now = timezone.now()
    budgets.sweep(now=now)
    budgets.send_notices(now=now)

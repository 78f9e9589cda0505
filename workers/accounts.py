"""Mails with links for new passwords: at once when the bell rings, and every minute for what nobody rang for."""

from django.utils import timezone

from apps.accounts import services as accounts
from workers.app import app


@app.task
def sweep() -> None:
    accounts.send_resets(now=timezone.now())

"""Mails with links for new passwords, every few seconds: when one goes out tells nothing of the page that asked."""

from django.utils import timezone

from apps.accounts import services as accounts
from workers.app import app


@app.task
def sweep() -> None:
    accounts.send_resets(now=timezone.now())

"""The clock of the monthly review: it opens when the month is over, stays up to date, and writes to those it awaits."""

from django.utils import timezone

from apps.core import organisation
from apps.core.actor import Actor
from apps.reviews import services as reviews
from workers.app import app

CALENDAR = Actor(person_id=None, label="calendar", channel="task")


@app.task
def open_due() -> None:
    if organisation.find() is not None:
        now = timezone.now()
        reviews.open_due(actor=CALENDAR, now=now)
        reviews.refresh_due(actor=CALENDAR, now=now)


@app.task
def remind() -> None:
    reviews.send_letters(now=timezone.now())

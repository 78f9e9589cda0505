"""The clock of the monthly review: it opens when the month is over, and it writes to whom it waits for."""

import logging

from django.utils import timezone

from apps.core import organisation
from apps.core.actor import Actor
from apps.reviews import mails
from apps.reviews import services as reviews
from workers.app import app

log = logging.getLogger(__name__)


@app.task
def open_due() -> None:
    if organisation.find() is not None:
        reviews.open_due(actor=Actor(person_id=None, label="calendar", channel="task"), now=timezone.now())


@app.task
def remind() -> None:
    """Each letter by itself: one address that refuses keeps nobody else's from being sent."""
    for letter in reviews.letters_due(now=timezone.now()):
        if reviews.note_letter(letter):
            try:
                mails.send(letter)
            except OSError as error:
                log.warning("a reminder of %s could not be sent: %s", letter.cycle, error)

"""What the clock does about confirmations: it lets them end, tells of them, and never decides."""

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from apps.approvals import mails
from apps.approvals.models import Confirmation, Letter
from apps.approvals.services import WAITS_FOR, end_waiting
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.working_days import days_off, is_working_day

MAIL_FOR: Final = timedelta(days=3)
SYSTEM: Final = Actor.system("approvals")
log = logging.getLogger(__name__)


def expire() -> int:
    """End what has waited too long, and write to whoever asked; by the database's clock. Returns how many."""
    due = Confirmation.objects.expired().order_by("pk").values_list("pk", flat=True)
    return sum(end_waiting(actor=SYSTEM, pk=pk) for pk in list(due))


def escalate(*, now: datetime) -> int:
    """Write to the administrators where half of the time is over; on a working day, since nobody reads it before."""
    if not is_working_day(now.astimezone(organisation.zone()).date(), days_off()):
        return 0
    waiting = Confirmation.objects.waiting().filter(asked_at__lte=now - WAITS_FOR / 2)
    late = waiting.exclude(letters__occasion=Letter.Occasion.HALF)
    made = [Letter(confirmation=row, occasion=Letter.Occasion.HALF, due_at=now) for row in late]
    Letter.objects.bulk_create(made, ignore_conflicts=True)
    return len(made)


def send_letters(*, now: datetime) -> int:
    """Mail what is due, as long as it is news; a mail server that is away is asked again at the next turn."""
    due = Letter.objects.unsent().filter(due_at__gte=now - MAIL_FOR).order_by("pk").values_list("pk", flat=True)
    return sum(_send(pk, now) for pk in list(due))


def _send(pk: int, now: datetime) -> int:
    """Marked in the transaction that sends it: if the process dies in between, it goes out twice rather than never."""
    with transaction.atomic():
        rows = Letter.objects.unsent().select_related("confirmation__workload", "confirmation__asked_by")
        letter = rows.select_for_update(of=("self",), skip_locked=True).filter(pk=pk).first()
        if letter is None:
            return 0
        try:
            sent = mails.send(letter)
        except OSError as error:
            log.warning("the letter about confirmation %s could not be mailed: %s", letter.confirmation_id, error)
            return 0
        letter.sent_at = now
        letter.save(update_fields=["sent_at"])
    return sent

"""A new password: who asked is written down by the page, looked up and written to by the worker.

The page does the same whether an address is known or not, so that neither its words nor its duration tell who is here.
Links are made when a mail goes out, by allauth, and are kept nowhere. Requests make no audit events: a stranger's
address is nobody's to keep, and a new password makes its own.
"""

import logging
from datetime import datetime, timedelta
from smtplib import SMTPDataError, SMTPRecipientsRefused
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

from allauth.account.forms import ResetPasswordForm
from allauth.core.context import request_context
from django.conf import settings
from django.http import HttpRequest

from apps.accounts.models import ResetRequest

AGAIN_AFTER: Final = timedelta(minutes=1)
# Whoever still waits after that has asked anew, or remembered.
KEPT_FOR: Final = timedelta(hours=1)
# No turn is longer, so that what it took is not due again before it is sent.
TURN: Final = timedelta(seconds=30)
# The server is there, and it does not take this one mail.
REFUSED: Final = (SMTPRecipientsRefused, SMTPDataError)
log = logging.getLogger(__name__)


def ask_for_reset(*, email: str) -> None:
    """Somebody without a session wants a link for an address; whether it is anybody's is not looked at here."""
    if len(email) <= ResetRequest.LONGEST:  # what is longer, in capitals that are two letters when small, is nobody's
        ResetRequest.objects.create(email=email)


def send_resets(*, now: datetime) -> None:
    """Send a link to each known address that was asked for, and forget the request either way.

    A mail server that is away ends the turn, and what is left is due a minute later. If the process dies after it has
    sent one, that one goes out twice rather than never. What a slow server leaves of a turn is the next one's.
    """
    ends = monotonic() + TURN.total_seconds()
    ResetRequest.objects.filter(asked_at__lt=now - KEPT_FOR).delete()
    for pk in list(ResetRequest.objects.filter(due_at__lte=now).order_by("pk").values_list("pk", flat=True)):
        if monotonic() > ends:
            return
        # Nobody else takes it meanwhile, and no transaction waits for a mail server.
        if not ResetRequest.objects.filter(pk=pk, due_at__lte=now).update(due_at=now + AGAIN_AFTER):
            continue
        # Whoever took it more than a minute ago may be done with it just now.
        email = ResetRequest.objects.filter(pk=pk).values_list("email", flat=True).first()
        if email is None:
            continue
        try:
            _send(email)
        except REFUSED as error:
            log.warning("a mail with a link for a new password was refused: %s", error)
        except OSError as error:
            log.warning("links for new passwords wait, since the mail server is away: %s", error)
            return
        ResetRequest.objects.filter(pk=pk).delete()


def _send(email: str) -> None:
    """allauth's own form finds the accounts, makes the links and writes to them; to a stranger it writes nothing."""
    request = _our_request()
    form = ResetPasswordForm({"email": email})
    with request_context(request):
        if form.is_valid():
            form.save(request)


def _our_request() -> HttpRequest:
    """What allauth's mails name as the site: the configured address."""
    request, address = HttpRequest(), urlsplit(settings.TOLLGATE_PUBLIC_URL)
    request.META = {"SERVER_NAME": address.hostname or "localhost", "SERVER_PORT": str(address.port or 80)}
    return request

"""Mail where no server is configured: printed, and kept as files, so that an invitation is never lost."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.console import EmailBackend as ConsoleBackend

from apps.config.environment import make_folder


class ConsoleAndFileBackend(ConsoleBackend):
    """Prints each message and keeps it as one .eml file under TOLLGATE_HOME/mail, readable by the owner only."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            keep(message, folder=Path(settings.TOLLGATE_HOME) / "mail")
        return super().send_messages(email_messages) or 0


def keep(message: EmailMessage, *, folder: Path) -> Path:
    make_folder(folder)
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}.eml"
    path.touch(mode=0o600)
    path.write_bytes(message.message().as_bytes())
    return path

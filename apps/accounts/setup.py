"""The first visit: whether anybody is here yet, and how the first one proves to be the owner of the machine."""

import os
import secrets
from pathlib import Path

from django.conf import settings
from django.utils.crypto import constant_time_compare

from apps.accounts.models import Account

# Without the letters and digits that are mistaken for each other.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


def is_needed() -> bool:
    """True until the first account stands."""
    return not Account.objects.exists()


def setup_code() -> str:
    """The code that opens the wizard from another machine: made once, kept under TOLLGATE_HOME for its owner only."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(_new_code())
    return path.read_text().strip()


def is_setup_code(code: str) -> bool:
    typed = "".join(code.lower().split())
    return constant_time_compare(typed, setup_code())


def spend_setup_code() -> None:
    """The wizard has done its work; the code opens nothing any more."""
    _path().unlink(missing_ok=True)


def _path() -> Path:
    return Path(settings.TOLLGATE_HOME) / "setup-code"


def _new_code() -> str:
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))
    return "-".join(groups)

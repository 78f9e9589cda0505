"""Who proved who they are a moment ago: what is decided or passed on takes a session that gave the password lately."""

from datetime import datetime, timedelta
from typing import Final

from apps.core.errors import NotAllowed

FRESH_FOR: Final = timedelta(minutes=15)
CLOCKS_DIFFER: Final = timedelta(minutes=1)


class SessionTooOld(NotAllowed):
    """Somebody has to log in again first."""

    def __init__(self, deed: str = "to decide") -> None:
        super().__init__(f"Log in again {deed}.", hint="It takes a session of the last 15 minutes.")


def is_fresh(fresh_at: datetime | None, now: datetime) -> bool:
    return fresh_at is not None and now - FRESH_FOR <= fresh_at <= now + CLOCKS_DIFFER

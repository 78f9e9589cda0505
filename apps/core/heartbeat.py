"""Whether the clock and a worker are alive: a task notes the time, and whoever wonders looks how long ago that was.

Nothing else tells: work that is not done makes no noise. Kept in the cache, which the database holds, since losing it
only means that the next beat is the first one.
"""

from datetime import datetime, timedelta
from typing import Final

from django.core.cache import cache

EVERY: Final = timedelta(minutes=1)
STILL_AFTER: Final = 5 * EVERY
_KEY: Final = "heartbeat"


def beat(*, now: datetime) -> None:
    cache.set(_KEY, now, timeout=None)


def last() -> datetime | None:
    """When the clock's task last ran; None: never, as far as is known."""
    found = cache.get(_KEY)
    return found if isinstance(found, datetime) else None

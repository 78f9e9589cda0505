"""When the offset of a zone changes, worked out here, since engines read local times in ways of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
BEFORE_ALL = datetime(1, 1, 1)  # noqa: DTZ001 - a local time
STEP = timedelta(minutes=15)  # offsets have changed at quarters of an hour, never between


@dataclass(frozen=True, slots=True)
class Change:
    """From this local time on (naive), clocks are `offset` ahead of UTC.

    An hour that happens twice is read as the first of the two, one that is skipped as if clocks had not changed yet.
    """

    local: datetime
    offset: timedelta


@cache
def changes(zone: str, first: datetime, last: datetime) -> tuple[Change, ...]:
    """The offset at `first` and every later one until `last`, oldest first; both in UTC."""
    tz = ZoneInfo(zone)
    start = Change(BEFORE_ALL, _offset(tz, first))
    return start, *_later(tz, first, last)


def _later(tz: ZoneInfo, day: datetime, last: datetime) -> Iterator[Change]:
    while day < last:
        before, after = _offset(tz, day), _offset(tz, day + DAY)
        if before != after:
            instant = next(at for at in _steps(day) if _offset(tz, at) == after)
            yield Change(instant.replace(tzinfo=None) + max(before, after), after)
        day += DAY


def _steps(day: datetime) -> Iterator[datetime]:
    return (day + number * STEP for number in range(DAY // STEP + 1))


def _offset(tz: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(UTC).astimezone(tz).utcoffset() or timedelta(0)

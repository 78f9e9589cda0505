"""The usage API: programs send events, and an hour is worked out again from all of its events."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from django.utils import timezone

from apps.sources.connector import Row, RowConnector, Window
from apps.sources.models import Event, Source

HOUR = timedelta(hours=1)
LONGEST_WINDOW = timedelta(days=31)


class Push(RowConnector):
    kind = "push"
    label = "Usage API"
    explanation = (
        "Programs send what they used to POST /api/v1/usage/, with a token that may send usage for this source."
    )

    def check(self) -> str:
        number = Event.objects.filter(source=self.source).count()
        return f"{number:,} events have arrived." if number else "No event has arrived yet."

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._fresh: list[int] = []

    def windows(self, now: datetime) -> list[Window]:  # noqa: ARG002 - what arrived is due, whatever the time
        """The hours with events that are not in the ledger yet, neighbours joined."""
        waiting = Event.objects.filter(source=self.source, folded_at__isnull=True)
        hours = list(waiting.order_by("hour").values_list("hour", flat=True).distinct())
        return _joined(hours)

    def rows(self, since: datetime, until: datetime) -> Iterator[Row]:
        """All events of the window; which of them are new to the ledger is remembered for `published`."""
        self._fresh = []
        events = Event.objects.filter(source=self.source, hour__gte=since, hour__lt=until).order_by("id")
        for number, folded_at, data in events.values_list("id", "folded_at", "data").iterator(chunk_size=5000):
            if folded_at is None:
                self._fresh.append(number)
            yield data

    def published(self) -> None:
        """Exactly the events that were read: one that was committed since stays due, whatever its number and time."""
        Event.objects.filter(pk__in=self._fresh).update(folded_at=timezone.now())


def _joined(hours: list[datetime]) -> list[Window]:
    """Windows over runs of hours that lie a day apart at most; none grows over a month."""
    if not hours:
        return []
    windows, first = [], hours[0]
    for hour, following in pairwise([*hours, hours[-1] + LONGEST_WINDOW]):
        if following - hour > timedelta(days=1) or following - first > LONGEST_WINDOW:
            windows.append(Window(first, hour + HOUR))
            first = following
    return windows

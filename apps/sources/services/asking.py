"""Asking live sources what they have: on their schedule, or when somebody asks. Reading it is the imports' task."""

from datetime import datetime, timedelta

from django.utils import timezone

from apps.core.actor import Actor
from apps.core.errors import Conflict
from apps.sources.connector import FileConnector, RowConnector, Window, connector_of
from apps.sources.models import Pull, Source
from apps.sources.services.folders import look, mark_looked, take_files
from apps.sources.services.pulls import request_pull
from apps.sources.services.sources import ensure_part, review_state

SYSTEM = Actor.system("sources")
# Without a schedule of its own a live source is asked this often.
DEFAULT_MINUTES = 1
EARLY = timedelta(seconds=30)
FAILED_WINDOW_RESTS = timedelta(hours=1)


def due_sources(now: datetime | None = None) -> list[Source]:
    """Live sources that are not paused and were not asked for as long as their schedule says."""
    now = now or timezone.now()
    live = Source.objects.exclude(state=Source.State.PAUSED).exclude(kind="file").order_by("pk")
    return [source for source in live if _is_due(source, now)]


def _is_due(source: Source, now: datetime) -> bool:
    every = timedelta(minutes=source.pull_every_minutes or DEFAULT_MINUTES)
    # The clock ticks once a minute and not on the dot: half a tick early is on time.
    return source.last_looked_at is None or source.last_looked_at <= now - every + EARLY


def ask(
    *,
    actor: Actor,
    source: Source,
    since: datetime | None = None,
    until: datetime | None = None,
    now: datetime | None = None,
) -> list[Pull]:
    """The pulls that bring in what the source has now; their rows exist when this returns."""
    now = now or timezone.now()
    connector = connector_of(source)
    mark_looked(source=source, now=now)
    if isinstance(connector, FileConnector):
        ready = look(source=source, connector=connector, now=now)
        asked = take_files(actor=actor, source=source, connector=connector, ready=ready)
    elif isinstance(connector, RowConnector):
        windows = [Window(since, until)] if since and until else connector.windows(now)
        asked = [asked_ for window in windows if (asked_ := _window(actor, source, connector, window)) is not None]
    else:
        raise Conflict(f"Source {source.slug} takes files that you upload; there is nothing to pull.")
    review_state(actor=SYSTEM, source=source)
    return asked


def _window(actor: Actor, source: Source, connector: RowConnector, window: Window) -> Pull | None:
    """The pull of a window; the one that waits already, where there is one. None while a failed one rests."""
    part = ensure_part(actor=actor, source=source, name=connector.part_name)
    newest = Pull.objects.filter(part=part, since=window.since, until=window.until).order_by("-pk").first()
    if newest is not None and newest.state == Pull.State.QUEUED:
        return newest
    if newest is not None and newest.state == Pull.State.FAILED and _rests(newest):
        return None
    return request_pull(actor=actor, part=part, format=connector.format, since=window.since, until=window.until)


def _rests(pull: Pull) -> bool:
    return pull.finished_at is not None and pull.finished_at > timezone.now() - FAILED_WINDOW_RESTS

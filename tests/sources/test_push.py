"""Pushed events become hours, and an hour is always worked out again from all of its events."""

from datetime import UTC, datetime

import pytest

from apps.costs import imports
from apps.sources import services as sources
from apps.sources.models import Event, Pull, Source
from apps.sources.services import UsageEvent
from apps.usage.models import Hour
from tests.world import MACHINE


@pytest.fixture
def bot(db: None) -> Source:
    return sources.create_source(actor=MACHINE, name="Bot", slug="bot", kind="push")


def push(source: Source, event_id: str, *, hour: int = 8, day: int = 24, requests: int = 1, tokens: int = 100) -> None:
    start = datetime(2025, 10, day, hour, tzinfo=UTC)
    data = {"period_start": start.isoformat(), "usage_key": "A", "provider": "openai", "model": "gpt-4o"}
    data |= {"requests": requests, "input_tokens": tokens, "output_tokens": 10}
    sources.record_events(actor=MACHINE, source=source, events=[UsageEvent(event_id, start, data)])


def fold(source: Source) -> list[Pull]:
    pulls = sources.ask(actor=MACHINE, source=source)
    for pull in pulls:
        imports.run(pull.pk)
        pull.refresh_from_db()
        assert pull.state == "done", pull.error
    return pulls


def hours() -> dict[str, tuple[int | None, int | None]]:
    return {f"{row.hour:%d %H}": (row.requests, row.input) for row in Hour.objects.order_by("hour")}


def test_events_of_an_hour_add_up(bot: Source) -> None:
    push(bot, "1")
    push(bot, "2", requests=4, tokens=50)
    push(bot, "3", hour=9)
    assert len(fold(bot)) == 1
    assert hours() == {"24 08": (5, 150), "24 09": (1, 100)}
    assert Event.objects.filter(folded_at__isnull=True).count() == 0


def test_a_late_event_changes_its_hour_only(bot: Source) -> None:
    push(bot, "1")
    push(bot, "2", hour=20)
    fold(bot)
    push(bot, "3")
    pull = fold(bot)[0]
    assert hours() == {"24 08": (2, 200), "24 20": (1, 100)}
    assert (pull.totals["hours_written"], pull.totals["hours_unchanged"]) == (1, 0)


def test_days_far_apart_are_windows_of_their_own(bot: Source) -> None:
    push(bot, "1", day=1)
    push(bot, "2", day=20)
    assert len(fold(bot)) == 2
    assert hours() == {"01 08": (1, 100), "20 08": (1, 100)}


def test_nothing_new_asks_for_nothing(bot: Source) -> None:
    push(bot, "1")
    fold(bot)
    assert fold(bot) == []


def test_an_event_that_arrives_while_its_hour_is_read_stays_due(bot: Source) -> None:
    push(bot, "1")
    pull = sources.ask(actor=MACHINE, source=bot)[0]
    original = imports._reduce

    def push_meanwhile(*given: object) -> object:
        push(bot, "2")
        return original(*given)  # type: ignore[arg-type]

    imports._reduce = push_meanwhile  # type: ignore[assignment]
    try:
        imports.run(pull.pk)
    finally:
        imports._reduce = original
    assert hours() == {"24 08": (1, 100)}
    assert list(Event.objects.filter(folded_at__isnull=True).values_list("event_id", flat=True)) == ["2"]
    fold(bot)
    assert hours() == {"24 08": (2, 200)}


def test_asking_twice_before_reading_makes_one_pull(bot: Source) -> None:
    push(bot, "1")
    assert sources.ask(actor=MACHINE, source=bot) == sources.ask(actor=MACHINE, source=bot)
    assert Pull.objects.count() == 1

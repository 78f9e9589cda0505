"""When a source counts as stale, broken or silent."""

from datetime import UTC, date, datetime, timedelta

import pytest

from apps.costs.selectors import figure_state, silent_sources
from apps.sources.models import Source
from tests.books import add_hour, at, make_identity, make_offering, make_pull, make_series, make_source, rate_all
from tests.world import World

pytestmark = pytest.mark.django_db
NOVEMBER = date(2026, 11, 1)


def delivered(source: Source, *days: int) -> None:
    """Usage of the source on these days of October."""
    pull = make_pull(source)
    series = make_series(pull, make_identity(source, "A"), make_offering())
    for day in days:
        add_hour(pull, series, at(day, 12), requests=1, input=1000, output=0)
    rate_all()


def looked_at(source: Source, when: datetime) -> Source:
    Source.objects.filter(pk=source.pk).update(last_looked_at=when)
    return source


def test_a_live_source_without_a_schedule_is_stale_when_nobody_asks_it(world: World) -> None:
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    looked_at(make_source("Folder", kind="folder"), now - timedelta(hours=3))
    looked_at(make_source("Just asked", kind="folder"), now - timedelta(hours=1))
    looked_at(make_source("Daily", kind="folder", pull_every_minutes=1440), now - timedelta(days=2))
    looked_at(make_source("Paused", kind="push", state="paused"), now - timedelta(days=9))
    make_source("Uploads")
    assert figure_state(now=now).stale == ("Folder",)


def test_a_gateway_that_stops_in_the_middle_of_the_month_is_silent(world: World) -> None:
    gateway = make_source("Gateway", kind="push")
    delivered(gateway, *range(1, 15))
    delivered(make_source("Other", kind="push"), *range(1, 30))
    now = datetime(2026, 10, 19, 9, tzinfo=UTC)
    Source.objects.update(last_looked_at=now)
    assert figure_state(now=now).silent == ("Gateway",)
    assert figure_state(now=now - timedelta(days=2)).silent == ()  # two full days without it may be a weekend
    [silent] = silent_sources(until=NOVEMBER)
    assert (silent.slug, silent.name, silent.last_day) == ("gateway", "Gateway", date(2026, 10, 14))


def test_a_source_that_stopped_stays_silent_through_the_whole_month_after(world: World) -> None:
    gateway = make_source("Gateway", kind="push")
    delivered(gateway, *range(1, 21))
    looked_at(gateway, datetime(2026, 11, 29, 8, tzinfo=UTC))
    assert figure_state(now=datetime(2026, 11, 29, 9, tzinfo=UTC)).silent == ("Gateway",)
    [silent] = silent_sources(until=date(2026, 12, 1))
    assert silent.last_day == date(2026, 10, 20)
    assert silent_sources(until=date(2027, 1, 1)) == []  # it ended longer ago than December


def test_a_source_that_speaks_again_today_is_silent_no_more(world: World) -> None:
    gateway = make_source("Gateway", kind="push")
    delivered(gateway, *range(1, 15), 25)
    now = datetime(2026, 10, 25, 18, tzinfo=UTC)
    looked_at(gateway, now)
    assert figure_state(now=now).silent == ()


def test_a_source_is_silent_only_after_its_own_longest_pause(world: World) -> None:
    weekly = make_source("Weekly", kind="folder")
    delivered(weekly, 1, 8, 15, 22, 24)
    assert silent_sources(until=date(2026, 10, 31)) == []  # six days is how long it pauses anyway
    assert [silent.name for silent in silent_sources(until=NOVEMBER)] == ["Weekly"]


def test_few_days_say_nothing_about_silence(world: World) -> None:
    delivered(make_source("New", kind="push"), 1, 2, 3, 4)
    assert silent_sources(until=NOVEMBER) == []


def test_uploads_are_judged_for_a_month_and_not_for_now(world: World) -> None:
    delivered(make_source("Uploads"), *range(1, 25))
    assert figure_state(now=datetime(2026, 11, 1, 9, tzinfo=UTC)).silent == ()
    assert [silent.name for silent in silent_sources(until=NOVEMBER)] == ["Uploads"]

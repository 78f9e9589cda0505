"""A live source is asked for windows: what it says replaces the window whole, also when it says 'nothing'.

An empty window is an answer. No answer (an empty body, a page of HTML, a connection that breaks) is a failed pull.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.core.errors import BadInput
from apps.costs import imports
from apps.costs.models import Line
from apps.sources import connector
from apps.sources import services as sources
from apps.sources.connector import Row, RowConnector, Window
from apps.sources.models import Pull, Source
from apps.usage.models import Charge, Hour
from tests.world import MACHINE

DAY = datetime(2025, 11, 3, tzinfo=UTC)
Said = dict[datetime, list[dict[str, Any]]]


class Meter(RowConnector):
    """A source of which a test says what it answers: rows by hour, or an error."""

    said: Said = {}
    fails: Exception | None = None

    def windows(self, now: datetime) -> list[Window]:  # noqa: ARG002 - the same whatever the time
        return [Window(DAY, DAY + timedelta(hours=4))]

    def rows(self, since: datetime, until: datetime) -> Iterator[Row]:
        for hour, rows in self.said.items():
            if since <= hour < until:
                yield from rows
        if self.fails:
            raise self.fails


@pytest.fixture
def meter(db: None, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A source of the kind above; the registry of kinds is read once, so it is replaced."""
    monkeypatch.setattr(Meter, "said", {})
    monkeypatch.setattr(Meter, "fails", None)
    monkeypatch.setattr(Meter, "format", Pull.Format.USAGE)
    source = Source.objects.create(slug="meter", name="Meter", kind="meter")
    known = connector.registry()
    for place in (connector, sources.sources):
        monkeypatch.setattr(place, "registry", lambda: {**known, "meter": Meter})
    return source


def usage(hour: int, requests: int = 1) -> dict[str, Any]:
    start = (DAY + timedelta(hours=hour)).isoformat()
    row = {"period_start": start, "usage_key": "A", "provider": "openai", "model": "gpt-4o"}
    return {**row, "requests": requests, "input_tokens": 1000 * requests, "output_tokens": 100}


def say(*rows: dict[str, Any]) -> None:
    Meter.said = {}
    for row in rows:
        at = datetime.fromisoformat(row.get("period_start") or row["ChargePeriodStart"])
        Meter.said.setdefault(at, []).append(row)


def pull(source: Source, since: int = 0, until: int = 4) -> Pull:
    """Ask for hours of the day and read them."""
    start, end = DAY + timedelta(hours=since), DAY + timedelta(hours=until)
    (asked,) = sources.ask(actor=MACHINE, source=source, since=start, until=end)
    done = imports.run(asked.pk)
    assert done is not None
    return done


def hours() -> dict[int, int | None]:
    return {row.hour.hour: row.requests for row in Hour.objects.order_by("hour")}


def test_an_empty_window_replaces_what_was_there_and_nothing_beside_it(meter: Source) -> None:
    say(usage(0), usage(1, 5), usage(2))
    pull(meter)
    assert hours() == {0: 1, 1: 5, 2: 1}
    say(usage(0), usage(2))
    done = pull(meter, 1, 2)
    assert (done.state, done.error) == ("done", "")
    assert (done.totals["hours_written"], done.totals["hours_removed"], done.rows) == (0, 1, 0)
    assert hours() == {0: 1, 2: 1}


def test_what_an_empty_window_takes_out_is_taken_out_of_the_costs_too(meter: Source) -> None:
    say(usage(1, 5))
    pull(meter)
    assert sum(line.amount or Decimal(0) for line in Line.objects.all()) == Decimal("0.0135")
    say()
    pull(meter)
    assert sum(line.amount or Decimal(0) for line in Line.objects.all()) == 0
    assert hours() == {}


def test_an_emptied_window_can_be_undone(meter: Source) -> None:
    say(usage(1, 5))
    pull(meter)
    say()
    emptied = pull(meter)
    imports.undo(actor=MACHINE, pull=emptied)
    assert hours() == {1: 5}


def test_a_window_that_was_empty_and_stays_so_is_done(meter: Source) -> None:
    done = pull(meter)
    assert (done.state, done.totals["hours_written"], done.totals["hours_removed"]) == ("done", 0, 0)
    meter.refresh_from_db()
    assert meter.state == "active"


def charge(hour: int, cost: str) -> dict[str, Any]:
    start = DAY + timedelta(hours=hour)
    return {
        "ChargePeriodStart": start.isoformat(),
        "ChargePeriodEnd": (start + timedelta(hours=1)).isoformat(),
        "ChargeCategory": "Usage",
        "BilledCost": cost,
        "EffectiveCost": cost,
        "BillingCurrency": "USD",
        "BillingAccountId": "1",
        "ProviderName": "OpenAI",
        "ServiceCategory": "AI and Machine Learning",
    }


def billed() -> list[str]:
    return [f"{row.billed:.2f}" for row in Charge.objects.order_by("charge_start")]


def test_a_window_of_a_bill_replaces_its_own_charges_only(meter: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Meter, "format", Pull.Format.FOCUS)
    say(charge(0, "1.00"), charge(1, "2.00"), charge(2, "4.00"))
    assert pull(meter).error == ""
    assert billed() == ["1.00", "2.00", "4.00"]
    say(charge(1, "3.00"))
    pull(meter, 1, 2)
    assert billed() == ["1.00", "3.00", "4.00"]
    say()
    pull(meter, 1, 3)
    assert billed() == ["1.00"]


@pytest.mark.parametrize(
    ("error", "state", "sentence"),
    [
        (BadInput("The source answered with an empty body."), "failed", "empty body"),
        (ConnectionResetError("Connection reset by peer"), "queued", "The source broke off: Connection reset by peer."),
        (TimeoutError(), "queued", "The source broke off: TimeoutError."),
        (json.JSONDecodeError("Expecting value", "<html>", 0), "failed", "Something unforeseen happened"),
    ],
)
def test_no_answer_is_never_an_empty_window(meter: Source, error: Exception, state: str, sentence: str) -> None:
    """Also not half of one: rows came, then the source broke off."""
    say(usage(0), usage(1, 5))
    pull(meter)
    for rows in ((), (usage(0, 7),)):
        say(*rows)
        Meter.fails = error
        Pull.objects.filter(state="queued").update(state="cancelled")
        ended = pull(meter)
        assert (ended.state, sentence in ended.error) == (state, True), ended.error
        assert hours() == {0: 1, 1: 5}
        Pull.objects.filter(state="failed").update(finished_at=timezone.now() - timedelta(hours=2))


def test_a_source_that_keeps_breaking_off_is_given_up_and_said(meter: Source) -> None:
    Meter.fails = ConnectionResetError("Connection reset by peer")
    asked = pull(meter)
    for _ in range(3):
        Pull.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        imports.sweep()
    asked.refresh_from_db()
    assert asked.state == "failed"
    assert "3 attempts" in asked.error
    assert "The source broke off" in asked.error


def test_rows_beside_the_window_are_refused_whole(meter: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    say(usage(0), usage(3, 2))
    pull(meter)
    monkeypatch.setattr(Meter, "rows", lambda *_: iter([usage(0), usage(3, 9)]))
    ended = pull(meter, 0, 2)
    assert ended.state == "failed"
    assert "when asked for 2025-11-03T00:00Z to 2025-11-03T02:00Z" in ended.error
    assert hours() == {0: 1, 3: 2}


def test_a_slow_source_keeps_its_lease_and_can_be_cancelled(meter: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "TICK_SECONDS", 0)
    leases = []

    def slowly(self: Meter, since: datetime, until: datetime) -> Iterator[Row]:
        for number in range(3):
            leases.append(Pull.objects.get().lease_until)
            yield usage(number)
        Pull.objects.update(cancel_requested=True)
        yield usage(3)

    monkeypatch.setattr(Meter, "rows", slowly)
    ended = pull(meter)
    assert ended.state == "cancelled"
    assert leases == sorted(set(leases))
    assert hours() == {}

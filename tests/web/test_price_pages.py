"""Exchange rates and latency bands: seen by those who see prices, changed with a trace."""

import re
from datetime import date
from decimal import Decimal

import pytest

from apps.catalog.models import Fx, LatencyBand, RateChange
from apps.core import organisation
from tests.books import make_workload
from tests.world import MACHINE, World, log_in

pytestmark = pytest.mark.django_db
RATES, BANDS = "/prices/exchange/", "/prices/bands/"


@pytest.fixture(autouse=True)
def company(world: World) -> None:
    organisation.make(actor=MACHINE, name="Larch", currency="USD", zone="UTC")


def test_a_stated_rate_goes_before_the_published_one_and_leaves_its_reason(world: World) -> None:
    client = log_in(world.cleo)
    form = {"currency": "EUR", "day": "2025-10-01", "rate": "1.2345", "reason": "The bank's own rate"}
    assert client.post(RATES, form).status_code == 302
    row = Fx.objects.get(currency="EUR", quote="USD", day=date(2025, 10, 1))
    assert (row.rate, row.source) == (Decimal("1.2345"), "by hand")
    assert RateChange.objects.get().currency == "EUR"
    page = client.get(f"{RATES}?currency=EUR").content.decode()
    assert "The bank&#x27;s own rate" in page
    assert "became 1.2345 for 2025-10-01" in page
    assert "Cleo Park" in page


def test_the_list_shows_the_newest_day_of_each_currency_and_a_file_of_one_has_all_days(world: World) -> None:
    for day, rate in ((1, "1.10"), (2, "1.20"), (3, "1.30")):
        Fx.objects.create(
            day=date(2026, 10, day),
            currency="EUR",
            quote="USD",
            rate=Decimal(rate),
            as_of=date(2026, 10, 1),
            source="ECB",
        )
    client = log_in(world.finn)
    page = client.get(RATES).content.decode()
    assert "$1.30" in page
    assert "$1.20" not in page
    assert "carried on" in page
    assert "State a rate" not in page, "the auditor changes nothing"
    lines = b"".join(client.get(f"{RATES}?currency=EUR&format=csv").streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "Currency,Day,One unit in USD,Rate of,From"
    assert [line.split(",")[1] for line in lines[1:]] == ["2026-10-03", "2026-10-02", "2026-10-01"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rate": "0"}, "is no exchange rate"),
        ({"rate": "-1"}, "greater than or equal to 0"),
        ({"rate": "NaN"}, "Enter a number"),
        ({"reason": ""}, "This field is required"),
        ({"day": "2099-01-01"}, "has not come yet"),
        ({"currency": "USD"}, "Select a valid choice"),
    ],
)
def test_what_is_no_rate_is_refused_in_words(world: World, values: dict[str, str], words: str) -> None:
    form = {"currency": "EUR", "day": "2026-10-01", "rate": "1.1", "reason": "x", **values}
    answer = log_in(world.ada).post(RATES, form)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Fx.objects.filter(source="by hand").exists()


def test_a_currency_that_has_no_rates_is_said(world: World) -> None:
    assert "Everything is in one currency" in log_in(world.cleo).get(RATES).content.decode()
    assert "No rates of this currency" in log_in(world.cleo).get(f"{RATES}?currency=CHF").content.decode()
    assert log_in(world.cleo).get(f"{RATES}?currency=XXX").status_code == 400


def test_a_band_is_changed_by_an_administrator_only_to_an_edge_and_with_a_trace(world: World) -> None:
    client, band = log_in(world.ada), LatencyBand.objects.get(code="conversational")
    form = {"name": band.name, "limit_ms": "2500", "sentence": band.sentence}
    assert client.post(f"{BANDS}conversational/", form).status_code == 302
    band.refresh_from_db()
    assert band.limit_ms == 2500
    assert "2 s became 2.5 s" in client.get(BANDS).content.decode()
    assert client.post(f"{BANDS}conversational/", {**form, "limit_ms": "2100"}).status_code == 422
    assert log_in(world.cleo).post(f"{BANDS}conversational/", form).status_code == 403
    assert client.get(f"{BANDS}none/").status_code == 404


def test_a_band_counts_the_workloads_that_promise_it_now(world: World) -> None:
    workload = make_workload("Ticket summaries", world)
    for version, code in enumerate(("conversational", "batch"), start=1):
        workload.revisions.create(version=version, value_tier_id="T3", latency_band_id=code, failure_severity="little")
    lines = b"".join(log_in(world.finn).get(f"{BANDS}?format=csv").streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    counted = {line.split(",")[1]: re.sub(r"^.*,", "", line) for line in lines[1:]}
    assert (counted["conversational"], counted["batch"]) == ("0", "1")

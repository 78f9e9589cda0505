"""Tokens of a month in lots of one price: a copilot on a model of 2.00, with a small one of 0.50 beside it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from apps.catalog import services as catalog
from apps.catalog.models import Fx, Offering
from apps.costs.repricing import Rates, Tokens
from apps.costs.selectors import Lots, token_lots
from apps.sources.models import SourceRole
from apps.usage.models import Series
from apps.workloads.models import BEGINNING, END, Workload
from tests.books import (
    add_hour,
    at,
    make_identity,
    make_offering,
    make_pull,
    make_series,
    make_source,
    make_workload,
    prices,
    rate_all,
)
from tests.world import MACHINE, World

pytestmark = pytest.mark.django_db
OCTOBER = date(2026, 10, 1)
D = Decimal
HALF = Rates(*[D("0.50")] * 6)


class Books:
    """The copilot's key at the gateway; it is the copilot's from the second of October on."""

    def __init__(self, world: World) -> None:
        self.copilot = make_workload("Copilot", world)
        self.source = make_source()
        self.pull = make_pull(self.source)
        self.key = make_identity(self.source, "copilot", (BEGINNING, at(2), None), (at(2), END, self.copilot))
        self.large, self.small = self.model("large", "2.00", "premium"), self.model("small", "0.50", "economy")
        self.model("larger", "0.10", "frontier")

    def model(self, name: str, price: str, model_class: str) -> Offering:
        offering = make_offering("maker", name)
        prices(offering, input=price, output=price)
        catalog.set_offering_class(
            actor=MACHINE, offering=offering, model_class=model_class, valid_from=BEGINNING, reason="As it is."
        )
        return offering

    def series(self, offering: Offering | None = None, **values: Any) -> Series:
        return make_series(self.pull, self.key, offering or self.large, **values)

    def use(self, series: Series, millions: int, when: datetime, **values: Any) -> None:
        told = {"requests": 1, "input": millions * 1_000_000, "cached": 0, "output": 0, **values}
        add_hour(self.pull, series, when, **told)

    def lots(self, workload: Workload | None = None) -> Lots:
        rate_all()
        return token_lots(workload_id=(workload or self.copilot).pk, month=OCTOBER)


@pytest.fixture
def books(world: World) -> Books:
    return Books(world)


def test_calls_of_one_tier_and_prompt_band_are_a_lot_with_the_rates_of_lower_classes(books: Books) -> None:
    short, long = books.series(), books.series(prompt_band=2)
    for day in (1, 5, 20):  # the first is not the copilot's yet
        books.use(short, 3, at(day))
    books.use(long, 1, at(7), output=500_000)

    lots = books.lots().lots

    assert [(lot.model, lot.tier, lot.prompt_band, lot.tokens) for lot in lots] == [
        ("maker/large", "standard", 0, Tokens(input=6_000_000)),
        ("maker/large", "standard", 2, Tokens(input=1_000_000, output=500_000)),
    ]
    assert [lot.now.input for lot in lots] == [D(2), D(2)]
    assert [lot.lower for lot in lots] == [{"maker/small": HALF}] * 2
    assert [lot.batch for lot in lots] == [None, None]  # its batch calls would cost what others do, as nobody says


def test_a_price_that_changes_within_the_month_cuts_a_lot_in_two(books: Books) -> None:
    prices(books.small, valid_from=at(16), input="0.40", output="0.40")
    series = books.series()
    books.use(series, 3, at(15, 23))
    books.use(series, 4, at(16))

    assert [(lot.tokens.input, lot.lower["maker/small"].input) for lot in books.lots().lots] == [
        (3_000_000, D("0.50")),
        (4_000_000, D("0.40")),
    ]


def test_batch_rates_that_are_stated_stand_beside_each_lot(books: Books) -> None:
    catalog.add_contract_rate(
        actor=MACHINE,
        offering=books.large,
        prices=catalog.Prices(input=D(1), output=D(1)),
        currency="USD",
        valid_from=BEGINNING,
        service_tier="batch",
        confirmed=True,
    )
    books.use(books.series(), 3, at(5))
    books.use(books.series(service_tier="batch"), 5, at(5))

    batch, standard = books.lots().lots

    assert (standard.now.input, standard.batch and standard.batch.input) == (D(2), D(1))
    assert (batch.now.input, batch.batch) == (D(1), None)


def test_a_rate_in_another_currency_is_what_it_was_worth_on_the_day(books: Books) -> None:
    prices(books.small, currency="EUR", input="0.50", output="0.50")
    series = books.series()
    rate_all()
    Fx.objects.filter(currency="EUR", quote="USD").delete()
    for day, worth in ((5, "1.10"), (6, "1.20")):
        when = date(2026, 10, day)
        Fx.objects.create(day=when, currency="EUR", quote="USD", rate=D(worth), as_of=when, source="by hand")
        books.use(series, 1, at(day))
    books.use(series, 1, at(7))

    lower = [lot.lower.get("maker/small") for lot in books.lots().lots]

    assert [rates and rates.input for rates in lower] == [D("0.55"), D("0.60"), None]


def test_what_only_checks_is_in_no_lot(books: Books) -> None:
    books.use(books.series(), 3, at(5))
    SourceRole.objects.create(source=books.source, measure="token_cost", role="checks", valid_from=BEGINNING)

    assert books.lots() == Lots((), ())


def test_a_model_whose_cost_is_not_that_of_its_tokens_stands_apart(books: Books) -> None:
    """The source told what the odd one cost, and nobody knows its rates."""
    books.use(books.series(), 3, at(5))
    books.use(books.series(make_offering("maker", "odd")), 1, at(5), reported_cost=D(7), currency="USD")

    found = books.lots()

    assert [lot.model for lot in found.lots] == ["maker/large"]
    assert found.apart == ("maker/odd",)


def test_our_own_model_paid_by_the_gpu_hour_is_no_price_for_the_tokens_of_another(books: Books) -> None:
    """Nobody knows how many hours the tokens of the large one would take on it; its own tokens cost nothing more."""
    llama = make_offering("ourselves", "llama")
    prices(llama, gpu_hour="2.00")
    catalog.set_hosting(actor=MACHINE, offering=llama, hosted="own", accelerator="H100")
    catalog.set_offering_class(
        actor=MACHINE, offering=llama, model_class="economy", valid_from=BEGINNING, reason="As it is."
    )
    books.use(books.series(), 3, at(5))
    books.use(books.series(llama), 1, at(5), gpu_seconds=D(3600), gpu_busy_seconds=D(1800))

    found = {lot.model: lot for lot in books.lots().lots}

    assert found["maker/large"].lower == {"maker/small": HALF}
    assert found["ourselves/llama"].now == Rates(*[D(0)] * 6)

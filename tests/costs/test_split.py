"""Why a cost changed: parts worked out by hand, that add up to the change to the last digit."""

from datetime import date
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.money import MAX_DIGITS
from apps.costs.selectors import CostChange, CostScope, Lack, Unknown, cost_change
from apps.costs.selectors.split import ModelUse, Part, Spending, split
from apps.workloads.models import BEGINNING, END
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

DEAR, CHEAP = 1, 2


def use(dollars: str, calls: int, tokens: int) -> ModelUse:
    return ModelUse(Decimal(dollars), calls, tokens)


def moved(before: Spending, now: Spending) -> dict[str, Decimal]:
    return {part.value: amount for part, amount in split(before, now).parts.items() if amount}


def test_twice_the_calls_at_the_same_price_are_all_volume() -> None:
    before, now = Spending({DEAR: use("10", 100, 10_000_000)}), Spending({DEAR: use("20", 200, 20_000_000)})
    assert moved(before, now) == {"volume": Decimal(10)}


def test_longer_calls_another_model_and_retries_are_told_apart() -> None:
    """100 calls of 100,000 tokens at 1 a million become 150 of 200,000, and 50 calls of a dearer model for 20."""
    before = Spending({DEAR: use("10", 100, 10_000_000)}, {"retry_failed": Decimal(2)})
    now = Spending(
        {DEAR: use("30", 150, 30_000_000), CHEAP: use("20", 50, 5_000_000)},
        {"retry_failed": Decimal(4), "fallback": Decimal(1)},
    )
    assert moved(before, now) == {
        "volume": Decimal(10),  # 200 calls at 0.10 instead of 100
        "mix": Decimal(15),  # 150 calls at 0.10 and the 20 of the new model, instead of 200 at 0.10
        "intensity": Decimal(15),  # 150 calls with 100,000 tokens more, at 1 a million
        "waste": Decimal(3),
    }


def test_a_higher_list_price_is_price() -> None:
    before, now = Spending({DEAR: use("10", 100, 10_000_000)}), Spending({DEAR: use("10.80", 100, 10_000_000)})
    assert moved(before, now) == {"price": Decimal("0.80")}


def test_a_model_whose_calls_nobody_tells_is_not_guessed_at() -> None:
    before, now = Spending({DEAR: use("10", 0, 0)}), Spending({DEAR: use("16", 0, 0), CHEAP: use("5", 50, 5_000_000)})
    assert moved(before, now) == {"volume": Decimal(5), "untold": Decimal(6)}


def test_a_model_without_a_price_is_not_free() -> None:
    """Its calls and tokens would make each call cheaper than it was, and the change a mix of models."""
    before = Spending({DEAR: use("10", 100, 10_000_000)})
    now = Spending({DEAR: use("5", 50, 5_000_000), CHEAP: ModelUse(Decimal(0), 50, 5_000_000, is_priced=False)})
    assert moved(before, now) == {"volume": Decimal(-5)}


def test_what_began_or_ended_is_volume() -> None:
    some = Spending({DEAR: use("10", 100, 10_000_000)})
    assert moved(Spending(), some) == {"volume": Decimal(10)}
    assert moved(some, Spending()) == {"volume": Decimal(-10)}


def test_gpu_time_and_shared_components_have_their_own_parts() -> None:
    before = Spending({}, {"gpu_used": Decimal(4), "gpu_idle": Decimal(1), "guardrail": Decimal(2)})
    now = Spending({}, {"gpu_used": Decimal(7), "retrieval": Decimal(3)})
    assert moved(before, now) == {"gpu": Decimal(3), "waste": Decimal(-1), "shared": Decimal(1)}


money = st.decimals(min_value="0", max_value="1e9", places=18)
uses = st.builds(ModelUse, money, st.integers(0, 10**7), st.integers(0, 10**12))
spendings = st.builds(
    Spending,
    st.dictionaries(st.integers(1, 4), uses),
    st.dictionaries(st.sampled_from(["retry_failed", "gpu_used", "gpu_idle", "retrieval"]), money),
)


@given(spendings, spendings)
def test_the_parts_add_up_to_the_change_to_the_last_digit(before: Spending, now: Spending) -> None:
    change = split(before, now)
    with localcontext(prec=2 * MAX_DIGITS):  # ten thousand millions with 18 places have more digits than the usual 28
        assert sum(change.parts.values(), Decimal(0)) == change.amount


def test_parts_of_thousands_of_millions_add_up_to_the_last_digit() -> None:
    """1e9 for 97,510 calls becomes nothing for 110 of many more tokens: intensity 11,566,696,189.75… has 29 digits."""
    before, now = Spending({DEAR: use("1e9", 97_510, 2_607_090)}), Spending({DEAR: use("0", 110, 30_158_359)})
    assert moved(before, now) == {
        "volume": Decimal("-998871910.573274535945031279"),
        "intensity": Decimal("11566696189.750441415492726218"),
        "price": Decimal("-11567824279.177166879547694939"),
    }
    with localcontext(prec=2 * MAX_DIGITS):
        assert sum(split(before, now).parts.values(), Decimal(0)) == Decimal(-1000000000)


@pytest.mark.django_db
def test_day_lines_of_two_months_are_split_as_by_hand(world: World) -> None:
    """September: 10 calls of 1,000,000 tokens in all, for 1.00. October: 20 of 3,000,000; 2,000,000 more failed."""
    offering = make_offering("own", "dollar")
    prices(offering, input="1.00", output="1.00")
    pull = make_pull(make_source())
    workload = make_workload("Summaries", world)
    identity = make_identity(pull.part.source, "key-0", (BEGINNING, END, workload))
    plain = make_series(pull, identity, offering)
    failed = make_series(pull, identity, offering, call_kind="retry_failed")
    add_hour(pull, plain, at(20, month=9), requests=10, input=1_000_000, cached=0, output=0)
    add_hour(pull, plain, at(1), requests=20, input=3_000_000, cached=0, output=0)
    add_hour(pull, failed, at(1), requests=5, input=2_000_000, cached=0, output=0)
    rate_all()
    scope = CostScope(date(2026, 10, 1), date(2026, 11, 1), workload_id=workload.pk)
    change = cost_change(actor=MACHINE, scope=scope, before=(date(2026, 9, 1), date(2026, 10, 1)))
    assert {part: amount for part, amount in change.parts.items() if amount} == {
        Part.VOLUME: Decimal(1),
        Part.INTENSITY: Decimal(1),
        Part.WASTE: Decimal(2),
    }
    assert change.amount == Decimal(4)
    assert (change.before.tokens_a_call(), change.now.tokens_a_call()) == (Decimal(100_000), Decimal(150_000))


@pytest.mark.django_db
@pytest.mark.parametrize("is_before", [True, False])
def test_a_change_is_not_known_where_usage_of_either_month_has_no_price(world: World, is_before: bool) -> None:
    """1,000 dollars in one month, in the other the same calls on a model of which nobody knows the price."""
    priced, unpriced = make_offering("own", "dollar"), make_offering("own", "nobody-knows")
    prices(priced, input="1.00", output="1.00")
    pull = make_pull(make_source())
    workload = make_workload("Summaries", world)
    identity = make_identity(pull.part.source, "key-0", (BEGINNING, END, workload))
    october, november = (unpriced, priced) if is_before else (priced, unpriced)
    for offering, month in ((october, 10), (november, 11)):
        series = make_series(pull, identity, offering)
        add_hour(pull, series, at(1, month=month), requests=1000, input=1_000_000_000, cached=0, output=0)
    rate_all()

    def found() -> CostChange:
        scope = CostScope(date(2026, 11, 1), date(2026, 12, 1), workload_id=workload.pk)
        return cost_change(actor=MACHINE, scope=scope, before=(date(2026, 10, 1), date(2026, 11, 1)))

    change, lacking = found(), {Unknown(Lack.PRICE, "token", "nobody-knows")}
    assert not change.is_known
    assert (change.before.unknown, change.now.unknown) == ((lacking, set()) if is_before else (set(), lacking))

    prices(unpriced, input="3.00", output="3.00")
    rate_all()
    assert (found().is_known, found().amount) == (True, -2000 if is_before else 2000)


@pytest.mark.django_db
def test_gpu_time_without_a_price_and_money_without_an_exchange_rate_leave_the_change_unknown(world: World) -> None:
    pull = make_pull(make_source())
    workload = make_workload("Summaries", world)
    identity = make_identity(pull.part.source, "key-0", (BEGINNING, END, workload))
    card, odd = make_series(pull, identity, make_offering("own", "h100")), make_series(pull, identity, make_offering())
    told = {"requests": 1, "input": None, "cached": None, "output": None}
    add_hour(pull, card, at(1), gpu_seconds=Decimal(3600), gpu_busy_seconds=Decimal(3600))
    add_hour(pull, odd, at(1), reported_cost=Decimal(5), currency="XAF", **told)
    rate_all()
    scope = CostScope(date(2026, 10, 1), date(2026, 11, 1), workload_id=workload.pk)
    change = cost_change(actor=MACHINE, scope=scope, before=(date(2026, 9, 1), date(2026, 10, 1)))
    assert change.now.unknown == {
        Unknown(Lack.PRICE, "gpu_used", "h100"),
        Unknown(Lack.RATE, "token", "gpt-4o"),
    }

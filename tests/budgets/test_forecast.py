"""The end of the month from its first days: what is expected, how sure, and when there is too little to say."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.budgets.forecast import forecast, full_days, running_total, runs_out, weekday_weights

# A machine that does other work as well draws the first example slowly.
MAY_BE_SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOVEMBER, DECEMBER = date(2026, 11, 1), date(2026, 12, 1)


def november(day: int) -> date:
    return date(2026, 11, day)


def spent(*amounts: int, first: date = NOVEMBER) -> dict[date, Decimal]:
    """Money a day from the first on."""
    return {first + timedelta(days=at): Decimal(amount) for at, amount in enumerate(amounts)}


def test_even_days_go_on_to_the_end_and_nothing_is_uncertain() -> None:
    seen = forecast(month=NOVEMBER, end=DECEMBER, today=november(11), days=spent(*[100] * 10))

    assert (seen.run_rate, seen.expected, seen.low, seen.high) == (Decimal(100), *[Decimal(3000)] * 3)
    assert (seen.full_days, seen.by_weekday, seen.why_not) == (10, False, "")


def test_three_uneven_days_give_a_rate_and_a_wide_interval() -> None:
    """t(2, 80 %) = 1.886, s = 10, 27 days to come: 1.886 * 10 * sqrt(27 + 27 * 27 / 3) = 309.90."""
    seen = forecast(month=NOVEMBER, end=DECEMBER, today=november(4), days=spent(90, 100, 110))

    assert seen.expected == 3000
    assert seen.low is not None
    assert seen.high is not None
    assert round(seen.low, 2) == Decimal("2690.10")
    assert round(seen.high, 2) == Decimal("3309.90")


@pytest.mark.parametrize(
    ("amounts", "words"),
    [
        ((), "none has passed"),
        ((40,), "1 has passed"),
        ((40, 60), "2 have passed"),
        ((0, 0, 0, 0, 0, 0), "none has passed"),
    ],
)
def test_no_one_or_two_days_or_nothing_but_zero_is_not_enough_history(amounts: tuple[int, ...], words: str) -> None:
    today = NOVEMBER + timedelta(days=len(amounts))

    seen = forecast(month=NOVEMBER, end=DECEMBER, today=today, days=spent(*amounts))

    assert not seen.is_known
    assert (seen.run_rate, seen.expected, seen.low, seen.high) == (None, None, None, None)
    assert seen.why_not == f"Not enough history: a rate needs three full days with usage, and {words}."


def test_one_spike_is_shown_with_an_interval_that_says_how_little_is_known() -> None:
    """The mean is 20 a day; t(4, 80 %) = 1.533, s = 44.72: half of the width is 839.66. The spent stays spent."""
    seen = forecast(month=NOVEMBER, end=DECEMBER, today=november(6), days=spent(100, 0, 0, 0, 0))

    assert (seen.run_rate, seen.expected, seen.low) == (Decimal(20), Decimal(600), Decimal(100))
    assert seen.high is not None
    assert round(seen.high, 2) == Decimal("1439.66")


def test_the_days_before_the_first_usage_are_unknown_and_not_free() -> None:
    days = spent(50, 50, 50, first=november(10))

    seen = forecast(month=NOVEMBER, end=DECEMBER, today=november(13), days=days)

    assert (seen.run_rate, seen.expected, seen.full_days) == (Decimal(50), Decimal(1050), 3)


def test_todays_money_is_still_arriving_and_lowers_nothing() -> None:
    quiet = forecast(month=NOVEMBER, end=DECEMBER, today=november(4), days=spent(100, 100, 100, 5))
    busy = forecast(month=NOVEMBER, end=DECEMBER, today=november(4), days=spent(100, 100, 100, 700))

    assert quiet.expected == 3000
    assert busy.expected == 3600


def test_four_weeks_show_which_weekdays_are_quiet() -> None:
    """Mondays to Fridays 100, weekends 0; November 2026 has 21 working days, and 8 of them have passed on the 12th."""
    first = date(2026, 9, 14)
    days = {
        day: Decimal(100 if day.weekday() < 5 else 0)
        for day in (first + timedelta(days=at) for at in range((november(12) - first).days))
    }

    seen = forecast(month=NOVEMBER, end=DECEMBER, today=november(12), days=days)

    assert seen.by_weekday
    assert seen.expected is not None
    assert round(seen.expected, 9) == 2100
    assert seen.high == seen.low == seen.expected


def test_three_weeks_are_too_few_to_tell_weekdays_apart() -> None:
    assert weekday_weights(full_days(spent(*[100] * 27), NOVEMBER + timedelta(days=27))) == {}
    assert weekday_weights(full_days(spent(*[100] * 28), NOVEMBER + timedelta(days=28))) == dict.fromkeys(range(7), 1)


def test_what_was_booked_late_counts_and_is_no_rate() -> None:
    seen = forecast(month=NOVEMBER, end=DECEMBER, today=november(11), days=spent(*[100] * 10), beside=Decimal(120))

    assert (seen.run_rate, seen.expected) == (Decimal(100), Decimal(3120))


def test_the_money_runs_out_on_the_day_that_ends_above_it() -> None:
    days = spent(*[100] * 10)
    seen = forecast(month=NOVEMBER, end=DECEMBER, today=november(11), days=days)
    so_far = running_total(days, NOVEMBER, november(10))

    assert runs_out(amount=Decimal(1500), spent_by_day=so_far, path=seen.path) == november(16)
    assert runs_out(amount=Decimal(999), spent_by_day=so_far, path=seen.path) == november(10)
    assert runs_out(amount=Decimal(0), spent_by_day=so_far, path=seen.path) == NOVEMBER
    assert runs_out(amount=Decimal(3000), spent_by_day=so_far, path=seen.path) is None


def test_the_last_day_leaves_nothing_to_expect_but_itself() -> None:
    seen = forecast(month=NOVEMBER, end=DECEMBER, today=november(30), days=spent(*[10] * 29))

    assert seen.expected == 300
    assert [day for day, _ in seen.path] == [november(30)]


def from_cents(cents: list[int]) -> dict[date, Decimal]:
    """Money of consecutive days from sixty days before November on."""
    return {NOVEMBER + timedelta(days=at - 60): Decimal(amount) / 100 for at, amount in enumerate(cents)}


days_of_money = st.lists(st.integers(min_value=0, max_value=10**11), max_size=90).map(from_cents)
days_with_credits = st.lists(st.integers(min_value=-(10**8), max_value=10**8), max_size=90).map(from_cents)


@MAY_BE_SLOW
@given(days=days_of_money, passed=st.integers(min_value=0, max_value=30))
def test_a_forecast_is_never_less_than_what_is_spent_and_lies_in_its_interval(
    days: dict[date, Decimal], passed: int
) -> None:
    today = NOVEMBER + timedelta(days=passed)
    days = {day: cost for day, cost in days.items() if day <= today}

    seen = forecast(month=NOVEMBER, end=DECEMBER, today=today, days=days)

    if seen.expected is None or seen.low is None or seen.high is None:
        assert seen.why_not
        return
    total = sum((cost for day, cost in days.items() if NOVEMBER <= day < DECEMBER), Decimal(0))
    assert seen.low <= seen.expected <= seen.high
    assert seen.expected >= total or total - seen.expected < Decimal("1e-9")
    assert seen.run_rate is not None
    assert seen.run_rate >= 0


@MAY_BE_SLOW
@given(days=days_of_money, factor=st.integers(min_value=1, max_value=1000))
def test_twice_the_money_is_twice_the_forecast(days: dict[date, Decimal], factor: int) -> None:
    today = november(15)
    once = forecast(month=NOVEMBER, end=DECEMBER, today=today, days=days)
    scaled = forecast(
        month=NOVEMBER, end=DECEMBER, today=today, days={day: cost * factor for day, cost in days.items()}
    )

    assert once.is_known == scaled.is_known
    if once.expected is not None and scaled.expected is not None:
        assert abs(scaled.expected - once.expected * factor) <= abs(scaled.expected) * Decimal("1e-12")


@MAY_BE_SLOW
@given(days=days_with_credits)
def test_credits_crash_nothing(days: dict[date, Decimal]) -> None:
    seen = forecast(month=NOVEMBER, end=DECEMBER, today=november(20), days=days)

    assert seen.why_not or (seen.low is not None and seen.high is not None and seen.low <= seen.high)

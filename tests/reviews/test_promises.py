"""Promised against arrived: one workload, whole months, one basis; else nothing is measured and the reason is said."""

from datetime import date
from decimal import Decimal

from apps.reviews.promises import Arrived, MonthCost, age_in_months, measure

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
BEFORE = MonthCost(OCTOBER, Decimal(4100))


def test_what_it_costs_less_has_arrived() -> None:
    assert measure(BEFORE, MonthCost(NOVEMBER, Decimal("2170.50"))) == Arrived(Decimal("2170.50"), Decimal("1929.50"))


def test_a_saving_that_did_not_come_is_zero_and_dearer_is_negative() -> None:
    assert measure(BEFORE, MonthCost(NOVEMBER, Decimal(4100))).saved == 0
    assert measure(BEFORE, MonthCost(NOVEMBER, Decimal(5000))).saved == -900


def test_what_was_switched_off_saves_all_of_it() -> None:
    assert measure(BEFORE, MonthCost(NOVEMBER, None)) == Arrived(Decimal(0), Decimal(4100))


def test_a_month_that_lacks_a_price_measures_nothing() -> None:
    found = measure(BEFORE, MonthCost(NOVEMBER, Decimal(100), is_whole=False))

    assert (found.saved, found.why) == (None, "the cost of November is not known to the end")


def test_an_unknown_beginning_measures_nothing() -> None:
    assert measure(MonthCost(OCTOBER, None), MonthCost(NOVEMBER, Decimal(1))).why == "the cost of October was not known"


def test_the_same_month_measures_nothing() -> None:
    assert measure(BEFORE, MonthCost(OCTOBER, Decimal(1))).saved is None


def test_age_counts_reviews_across_the_year() -> None:
    assert age_in_months(OCTOBER, date(2027, 1, 1)) == 3

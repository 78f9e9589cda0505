"""Figures read as the design says; every expectation is a literal."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.template import Context, Template
from hypothesis import given
from hypothesis import strategies as st

from apps.web import figures


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        (Decimal(352108), "USD", "$352,108"),
        (Decimal("352107.51"), "USD", "$352,108"),
        (Decimal("99.994"), "USD", "$99.99"),
        (Decimal("99.996"), "USD", "$100"),
        (Decimal("57.2"), "USD", "$57.20"),
        (Decimal(0), "USD", "$0"),
        (Decimal("0.00042"), "USD", "$0.000420"),
        (Decimal(-15073), "USD", "−$15,073"),
        (Decimal("-0.5"), "EUR", "−€0.50"),
        (Decimal(1204), "GBP", "£1,204"),
        (Decimal(1204), "CHF", "CHF\u00a01,204"),
        (Decimal("57.6"), "JPY", "¥58"),
        (None, "USD", "–"),
        (float("nan"), "USD", "–"),
    ],
)
def test_money_is_whole_from_a_hundred_and_never_shows_something_as_nothing(value, currency, text):
    assert figures.money(value, currency) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal(41780), "$41,780.00"),
        (Decimal("3.888888888888888889"), "$3.888888888888888889"),
        (Decimal("1E+3"), "$1,000.00"),
        (Decimal("1E-7"), "$0.0000001"),
        (Decimal("-2.5"), "−$2.50"),
        (None, "–"),
    ],
)
def test_exact_money_shows_the_last_digit(value, text):
    assert figures.money_exact(value, "USD") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.03", "$0.0300"),
        ("0.433", "$0.433"),
        ("0.08", "$0.0800"),
        ("0.0167", "$0.0167"),
        ("7.2", "$7.20"),
        ("24.5", "$24.50"),
        ("0.9996", "$1.00"),
        ("0.000000255", "$0.000000255"),
        ("1234.5", "$1,234"),
        ("-0.063333", "−$0.0633"),
    ],
)
def test_unit_prices_keep_three_significant_digits_and_are_never_scientific(value, text):
    assert figures.unit_price(Decimal(value), "USD") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (116921, "$117k"),
        (83952, "$84.0k"),
        (1_260_000, "$1.26M"),
        (860, "$860"),
        (999_950, "$1.00M"),
        (-17_092, "−$17.1k"),
        (999.6, "$1.00k"),
        (2_500_000_000, "$2.50B"),
        (0, "$0"),
        (None, "–"),
    ],
)
def test_compact_money(value, text):
    assert figures.compact(value, "USD") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (41_234_567, "41.2M"),
        (8_720_000_000_000, "8.72T"),
        (999_950_000_000, "1.00T"),
        (7_310_000_000, "7.31B"),
        (486_000_000, "486M"),
        (9_999, "9,999"),
        (12_040, "12.0k"),
        (0, "0"),
        (None, "–"),
    ],
)
def test_tokens(value, text):
    assert figures.tokens(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        ("0.041", 1, "4.1%"),
        ("0.9249", 0, "92%"),
        ("0.0006", 1, "0.06%"),
        ("0", 1, "0.0%"),
        ("-0.207", 1, "−20.7%"),
        ("12.5", 1, "1,250.0%"),
    ],
)
def test_percent(value, digits, text):
    assert figures.percent(Decimal(value), digits) == text


@pytest.mark.parametrize(("value", "text"), [(0.048, "+4.8%"), (-0.018, "−1.8%"), (0, "0.0%"), (None, "–")])
def test_a_change_carries_its_sign(value, text):
    assert figures.delta(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (842, "842 ms"),
        (999.6, "1 s"),
        (2640, "2.64 s"),
        (2000, "2 s"),
        (20_000, "20 s"),
        (600_000, "10 min"),
        (90_000, "90 s"),
        (None, "–"),
    ],
)
def test_latency(value, text):
    assert figures.latency(value) == text


def test_dates_are_written_with_the_month_in_letters():
    assert figures.day(date(2026, 11, 12)) == "12 Nov 2026"
    assert figures.day_short(date(2026, 11, 2)) == "2 Nov"
    assert figures.month_name(date(2026, 10, 1)) == "October 2026"
    assert figures.day(None) == figures.month_name(None) == "–"


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=4), "4 min ago"),
        (timedelta(hours=6), "6 h ago"),
        (timedelta(days=2), "2 days ago"),
    ],
)
def test_ago(age, text):
    now = datetime(2026, 11, 12, 9, 40, tzinfo=UTC)
    assert figures.ago(now - age, now) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**18), max_value=10**18))
def test_no_figure_is_ever_scientific_or_loses_its_sign(value):
    for text in (
        figures.money(value, "USD"),
        figures.money_exact(value, "USD"),
        figures.unit_price(value, "USD"),
        figures.compact(value, "USD"),
    ):
        assert "e" not in text.lower()
        assert text.startswith("−") == (value < 0)
        assert (text in ("$0", "$0.00")) == (value == 0)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**18), max_value=10**18))
def test_exact_money_reads_back_as_the_same_number(value):
    text = figures.money_exact(value, "USD").replace("−", "-").replace("$", "").replace(",", "")
    assert Decimal(text) == value


def test_the_unknown_is_a_dash_that_a_screen_reader_reads():
    html = Template("{% load figures %}{{ missing|money:currency }}").render(Context({"currency": "USD"}))
    assert "–" in html
    assert "not known" in html
    assert Template("{% load figures %}{{ zero|money:'USD' }}").render(Context({"zero": Decimal(0)})) == "$0"

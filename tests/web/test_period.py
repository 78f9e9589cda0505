"""The period in the URL."""

from datetime import date

import pytest

from apps.core.errors import BadInput
from apps.web.period import fiscal_year_start, parse

TODAY = date(2026, 11, 12)


def read(query: dict[str, str], fiscal_start: int = 1):
    return parse(query, today=TODAY, default=lambda: date(2026, 10, 1), fiscal_start=fiscal_start)


def test_a_month_is_half_open_and_knows_its_neighbours():
    october = read({"month": "2026-10"})
    assert (october.start, october.end, october.label) == (date(2026, 10, 1), date(2026, 11, 1), "October 2026")
    assert october.before.query == "month=2026-09"
    assert october.previous_query == "month=2026-09"
    assert october.next_query == "month=2026-11"
    assert october.compare_label == "September"


def test_a_running_month_is_compared_with_all_of_the_one_before():
    running = read({"month": "2026-11"})
    assert running.compare_label == "all of October"


def test_january_is_compared_with_december_of_the_year_before():
    assert read({"month": "2026-01"}).compare_label == "December 2025"


def test_the_month_that_runs_has_no_next_one_and_says_so():
    november = read({"month": "2026-11"})
    assert november.next_query == ""
    assert november.is_incomplete
    assert november.state == "still running"


def test_a_range_includes_its_last_day():
    days = read({"from": "2026-10-01", "to": "2026-10-15"})
    assert (days.start, days.end, days.days) == (date(2026, 10, 1), date(2026, 10, 16), 15)
    assert days.label == "1 Oct to 15 Oct 2026"
    assert days.query == "from=2026-10-01&to=2026-10-15"
    assert days.before.query == "from=2026-09-16&to=2026-09-30"
    assert days.compare_label == "the 15 days before"


def test_a_range_over_a_new_year_says_both_years():
    assert read({"from": "2025-12-31", "to": "2026-01-01"}).label == "31 Dec 2025 to 1 Jan 2026"


def test_a_range_that_is_a_month_is_that_month():
    assert read({"from": "2026-10-01", "to": "2026-10-31"}).query == "month=2026-10"


def test_without_a_period_the_default_stands():
    assert read({}).query == "month=2026-10"


def test_presets_are_plain_periods_so_that_a_shared_link_shows_the_same_days():
    presets = {preset.label: preset.query for preset in read({"month": "2026-10"}, fiscal_start=4).presets}
    assert presets == {
        "This month so far": "month=2026-11",
        "Last month": "month=2026-10",
        "Quarter to date": "from=2026-10-01&to=2026-11-12",
        "Last 7 days": "from=2026-11-05&to=2026-11-11",
        "Last 30 days": "from=2026-10-13&to=2026-11-11",
        "Last 90 days": "from=2026-08-14&to=2026-11-11",
        "Fiscal year to date": "from=2026-04-01&to=2026-11-12",
    }


def test_the_chosen_preset_is_marked():
    assert [preset.label for preset in read({"month": "2026-10"}).presets if preset.is_current] == ["Last month"]


def test_fiscal_years_may_begin_in_any_month():
    assert fiscal_year_start(date(2026, 3, 31), 4) == date(2025, 4, 1)
    assert fiscal_year_start(date(2026, 4, 1), 4) == date(2026, 4, 1)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"month": "2026-13"}, "is not a month"),
        ({"month": "october"}, "is not a month"),
        ({"month": "２０２６-10"}, "is not a month"),
        ({"month": "0000-01"}, "outside the calendar"),
        ({"month": "9999-12"}, "outside the calendar"),
        ({"from": "2026-10-01"}, "last day"),
        ({"to": "2026-10-01"}, "first day"),
        ({"from": "2026-02-30", "to": "2026-03-01"}, "not a day of the calendar"),
        ({"from": "2026-10-02", "to": "2026-10-01"}, "ends before it begins"),
        ({"from": "2016-10-02", "to": "2026-10-01"}, "five years"),
        ({"month": "2026-10' OR 1=1"}, "is not a month"),
    ],
)
def test_nonsense_is_refused_in_words(query, words):
    with pytest.raises(BadInput, match=words):
        read(query)

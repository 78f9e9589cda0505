"""Months: how to step over them."""

from datetime import date

import pytest

from apps.core import periods


@pytest.mark.parametrize(
    ("by", "found"),
    [(0, (2026, 1)), (1, (2026, 2)), (12, (2027, 1)), (23, (2027, 12)), (-1, (2025, 12)), (-13, (2024, 12))],
)
def test_a_month_is_stepped_over_across_years_both_ways(by: int, found: tuple[int, int]) -> None:
    assert periods.shifted(date(2026, 1, 1), by) == date(*found, 1)

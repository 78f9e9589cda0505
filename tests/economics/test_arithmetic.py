"""Worth against cost, on the literal figures of the ledger's page; and what must hold for any figures."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.economics.arithmetic import Appraisal, Input, Labour, Span, Special, Three, appraise, sensitivity, trailing

D = Decimal
CASE = Labour(
    minutes_saved=Three(D("1.5"), D(2), D("2.5")),
    realisation=Three(D("0.5"), D("0.6"), D("0.7")),
    review_minutes=Three(D("0.5"), D(1), D(2)),
)
SURE = Labour(Three(D(2), D(2), D(2)), Three(D(1), D(1), D(1)), Three(D(0), D(0), D(0)))
EXAMPLE_C = Span(CASE, hourly_rate=D(30), review_rate=D(30), useful=D(9200), reviewed=D(1150))


def per_call(cost: str, minutes: str) -> Appraisal:
    """One useful output at this cost that saves these minutes at 30 an hour."""
    saved = D(minutes)
    case = Labour(Three(saved, saved, saved), SURE.realisation, SURE.review_minutes)
    return appraise([Span(case, D(30), None, D(1), D(0))], cost=D(cost), useful=D(1))


def test_example_c() -> None:
    month = appraise([EXAMPLE_C], cost=D(2400), useful=D(9200))

    assert month.value == Three(D(3450), D(5520), D(8050))
    assert month.net == Three(D(-100), D(2545), D("5362.5"))
    assert month.review == Three(D(1150), D(575), D("287.5"))
    assert isinstance(month.roi, D)
    assert round(month.roi, 4) == D("1.0604")
    assert month.break_even_cost == D("0.5375")
    assert isinstance(month.cost_per_useful, D)
    assert round(month.cost_per_useful, 6) == D("0.260870")


def test_a_three_cent_summary_that_saves_two_minutes() -> None:
    month = per_call("0.03", "2")

    assert isinstance(month.pays_back, D)
    assert isinstance(month.roi, D)
    assert round(month.pays_back, 2) == D("33.33")
    assert round(month.roi, 2) == D("32.33")


def test_an_eight_cent_label_that_saves_two_seconds() -> None:
    """Two seconds at 30 an hour are two minutes at 0.50, which needs no endless fraction of a minute."""
    month = appraise(
        [Span(Labour(Three(*[D(2)] * 3), SURE.realisation, SURE.review_minutes), D("0.5"), None, D(1), D(0))],
        cost=D("0.08"),
        useful=D(1),
    )

    assert month.net is not None
    assert round(month.net.base, 6) == D("-0.063333")


@pytest.mark.parametrize(
    ("cost", "useful", "roi", "per_useful"),
    [("0", "9200", Special.NO_COST, D(0)), ("2400", "0", D(-1) - D("0.239583333"), Special.NO_USEFUL_OUTPUT)],
)
def test_ratios_without_a_number_say_so(cost: str, useful: str, roi: object, per_useful: object) -> None:
    span = Span(CASE, D(30), D(30), D(useful), D(1150))
    month = appraise([span], cost=D(cost), useful=D(useful))

    assert month.cost_per_useful == per_useful
    assert (round(month.roi, 9) if isinstance(month.roi, D) else month.roi) == roi


def test_what_is_unknown_stays_unknown() -> None:
    assert appraise([EXAMPLE_C], cost=None, useful=D(9200)).net is None
    assert appraise([], cost=D(1), useful=D(2)).value is None
    nobody_knows = Span(CASE, D(30), D(30), D(9200), None)
    month = appraise([nobody_knows], cost=D(2400), useful=D(9200))
    assert month.review is None
    assert month.net is None
    assert month.value is not None


def test_where_nothing_is_reviewed_no_review_rate_is_needed() -> None:
    month = appraise([Span(CASE, D(30), None, D(100), D(0))], cost=D(1), useful=D(100))

    assert month.review == Three(D(0), D(0), D(0))


def test_months_together_are_ratios_of_sums() -> None:
    """900 / 4,500 and 1,120 / 5,300: neither the mean of the ratios nor weighted by months."""
    months = [
        appraise([Span(SURE, D(30), None, D(u), D(0))], cost=D(c), useful=D(u)) for c, u in ((900, 4500), (1120, 5300))
    ]

    found = trailing(months).cost_per_useful
    assert isinstance(found, D)
    assert round(found, 6) == D("0.206122")
    assert trailing([*months, appraise([], cost=D(1), useful=None)]).cost == D(2020)


def test_what_breaks_the_case_first() -> None:
    points = {point.input: point for point in sensitivity([EXAMPLE_C], cost=D(2400))}

    # 2,400 + 575 of 5,520 is left: each proportional input may fall by 46.1 %.
    assert round(points[Input.MINUTES_SAVED].at or D(0), 6) == D("1.077899")
    assert points[Input.COST].at == D(4945)
    assert round(points[Input.REVIEW_MINUTES].at or D(0), 6) == round(D(3120) / D(575), 6)
    first = sensitivity([EXAMPLE_C], cost=D(2400))[0]
    assert first.input in (Input.MINUTES_SAVED, Input.REALISATION, Input.HOURLY_RATE, Input.USEFUL)
    assert points[Input.REALISATION].in_range is False


def test_a_share_of_time_beyond_all_of_it_is_no_way_out() -> None:
    points = {point.input: point for point in sensitivity([EXAMPLE_C], cost=D(20_000))}

    assert points[Input.REALISATION].at is None
    assert points[Input.COST].at == D(4945)
    assert points[Input.REVIEW_MINUTES].at is None


amounts = st.decimals(0, 10**9, places=6)
shares = st.decimals(0, 1, places=4)


def ranges(values: st.SearchStrategy[D]) -> st.SearchStrategy[Three]:
    return st.lists(values, min_size=3, max_size=3).map(lambda found: Three(*sorted(found)))


cases = st.builds(Labour, ranges(st.decimals(0, 600, places=3)), ranges(shares), ranges(st.decimals(0, 60, places=3)))
spans = st.builds(Span, cases, amounts, amounts, amounts, amounts)

# A busy machine is slow and not wrong.
calmly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@calmly
@given(st.lists(spans, min_size=1, max_size=4), amounts)
def test_the_low_case_is_never_better_than_the_base_nor_that_than_the_high(found: list[Span], cost: D) -> None:
    month = appraise(found, cost=cost, useful=D(1))

    assert month.net is not None
    assert month.net.low <= month.net.base <= month.net.high


@calmly
@given(spans, st.integers(1, 30))
def test_a_month_in_two_parts_is_worth_what_it_is_in_one(span: Span, day: int) -> None:
    parts = [
        Span(
            span.case, span.hourly_rate, span.review_rate, (span.useful * at) / 32, ((span.reviewed or D(0)) * at) / 32
        )
        for at in (day, 32 - day)
    ]
    whole, cut = (appraise(found, cost=D(0), useful=D(1)).net for found in ([span], parts))

    assert whole is not None
    assert cut is not None
    assert abs(whole.base - cut.base) < D("1e-9") * max(D(1), abs(whole.base))


@calmly
@given(spans, amounts)
def test_at_its_break_even_value_each_input_leaves_nothing(span: Span, cost: D) -> None:
    for point in sensitivity([span], cost=cost):
        if point.input is Input.COST and point.at is not None:
            month = appraise([span], cost=point.at, useful=span.useful)
            assert month.net is not None
            assert abs(month.net.base) < D("1e-17")

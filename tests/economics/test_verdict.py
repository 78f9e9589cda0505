"""The verdict's rules in their order, each threshold at, under and over; example D of the ledger's page literally."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.economics.arithmetic import Appraisal, Special, Three, appraise
from apps.economics.verdict import (
    Band,
    CaseState,
    Facts,
    Gap,
    MonthRatios,
    Rule,
    Supplier,
    Word,
    band_of,
    is_louder,
    verdict,
)
from tests.economics.test_arithmetic import EXAMPLE_C, amounts, calmly, spans

D = Decimal
RANK = {Word.STOP: 0, Word.FIX: 1, Word.KEEP: 2, Word.SCALE: 3}


def facts(**values: Any) -> Facts:
    """Example C: attested, complete, observed."""
    told = {
        "appraisal": appraise([EXAMPLE_C], cost=D(2400), useful=D(9200)),
        "case": CaseState.ATTESTED,
        "usage_days": 31,
        "produced": D(10_000),
    }
    return Facts(**{**told, **values})


def of(net: tuple[str, str, str], *, cost: str = "1000", value: str = "2000", **values: Any) -> Facts:
    """A month with these nets in the three cases."""
    worth, nothing = Three(*[D(value)] * 3), Three(D(0), D(0), D(0))
    return facts(appraisal=Appraisal(D(100), D(cost), worth, nothing, Three(*map(D, net))), **values)


def test_example_d() -> None:
    """Example C's base net 2,545, low -100, base value 5,520 (tolerance 276) -> keep."""
    found = verdict(facts())

    assert found.word is Word.KEEP
    assert [(number.name, number.value, number.limit) for number in found.numbers[:2]] == [
        ("base net value", D(2545), D(0)),
        ("low net value", D(-100), D(-276)),
    ]
    assert found.sentence == ("It pays: $2,545 net. In the low case it nets −$100, within the $276 that are tolerated.")
    assert "A low net value above zero ($100 more) would help it to scale." in found.would_change


@pytest.mark.parametrize(("net", "word"), [("-0.01", Word.STOP), ("0", Word.STOP), ("0.01", Word.KEEP)])
def test_stop_at_a_base_net_of_zero_and_below(net: str, word: Word) -> None:
    assert verdict(of((net, net, net))).word is word


@pytest.mark.parametrize(("low", "word"), [("-100.01", Word.FIX), ("-100", Word.KEEP), ("-99.99", Word.KEEP)])
def test_fix_beyond_five_per_cent_of_base_value(low: str, word: Word) -> None:
    assert verdict(of((low, "500", "900"))).word is word


@pytest.mark.parametrize(
    ("low", "base", "word"),
    [
        ("0.01", "1000", Word.SCALE),
        ("0.01", "1000.01", Word.SCALE),
        ("0.01", "999.99", Word.KEEP),
        ("0", "1000", Word.KEEP),
        ("-0.01", "1000", Word.KEEP),
    ],
)
def test_scale_needs_a_positive_low_net_and_a_return_of_one(low: str, base: str, word: Word) -> None:
    assert verdict(of((low, base, "3000"))).word is word


@pytest.mark.parametrize(("missing", "word"), [(3, Word.KEEP), (4, Word.UNPROVEN)])
def test_outcomes_may_be_missing_on_a_tenth_of_the_days_with_usage(missing: int, word: Word) -> None:
    assert verdict(facts(usage_days=30, missing_days=missing)).word is word


@pytest.mark.parametrize(("share", "word"), [("0.0099", Word.KEEP), ("0.01", Word.KEEP), ("0.0101", Word.UNPROVEN)])
def test_a_hundredth_of_the_cost_may_be_unknown(share: str, word: Word) -> None:
    assert verdict(facts(unknown_cost_share=D(share))).word is word


@pytest.mark.parametrize(("produced", "word"), [(29, Word.UNPROVEN), (30, Word.KEEP), (31, Word.KEEP)])
def test_thirty_outputs_are_enough(produced: int, word: Word) -> None:
    assert verdict(facts(produced=D(produced))).word is word


@pytest.mark.parametrize(
    ("values", "gap", "who"),
    [
        ({"case": CaseState.NONE}, Gap.CASE, Supplier.BUSINESS_OWNER),
        ({"case": CaseState.EXPIRED}, Gap.CASE, Supplier.BUSINESS_OWNER),
        ({"case": CaseState.WAITING}, Gap.CASE, Supplier.ATTESTER),
        ({"produced": None}, Gap.OUTCOMES, Supplier.BUSINESS_OWNER),
        ({"unknown_cost_share": D("0.5")}, Gap.COST, Supplier.ANALYST),
        ({"appraisal": appraise([EXAMPLE_C], cost=None, useful=D(9200))}, Gap.COST, Supplier.ANALYST),
        (
            {"appraisal": appraise([EXAMPLE_C], cost=None, useful=D(9200)), "usage_days": 0},
            Gap.USAGE,
            Supplier.TECHNICAL_OWNER,
        ),
        (
            {
                "appraisal": appraise([replace(EXAMPLE_C, reviewed=None)], cost=D(1), useful=D(1)),
                "reviewed_known": False,
            },
            Gap.REVIEWS,
            Supplier.BUSINESS_OWNER,
        ),
        ({"appraisal": appraise([], cost=D(1), useful=D(1)), "is_rate_known": False}, Gap.RATE, Supplier.ANALYST),
        ({"appraisal": appraise([], cost=D(1), useful=D(1))}, Gap.OUTCOMES, Supplier.BUSINESS_OWNER),
    ],
)
def test_unproven_says_what_is_missing_and_who_can_supply_it(values: dict[str, Any], gap: Gap, who: Supplier) -> None:
    found = verdict(facts(**values))

    assert found.word is Word.UNPROVEN
    assert (gap, who) in [(one.gap, one.who) for one in found.missing]
    assert found.missing[0].what in found.sentence


@pytest.mark.parametrize(
    ("delivered", "within", "band"),
    [(99, 0, Band.UNKNOWN), (100, 94, Band.BROKEN), (100, 95, Band.KEPT), (100, 96, Band.KEPT)],
)
def test_a_band_is_kept_by_95_of_100_calls(delivered: int, within: int, band: Band) -> None:
    assert band_of(delivered=delivered, within=within) is band


def test_a_broken_band_is_to_fix_and_an_unknown_one_is_not() -> None:
    assert verdict(facts(band=Band.BROKEN)).rule is Rule.BAND_BROKEN
    assert verdict(facts(band=Band.UNKNOWN)).word is Word.KEEP


def test_what_nobody_can_measure_is_more_than_any_limit() -> None:
    found = verdict(facts(unknown_cost_share=None))

    assert found.word is Word.UNPROVEN
    assert found.missing[0].gap is Gap.COST


def test_the_days_without_outcomes_stand_beside_their_limit_as_a_share() -> None:
    numbers = {one.name: (one.value, one.limit) for one in verdict(facts(usage_days=20, missing_days=5)).numbers}

    assert numbers["share of days without outcomes"] == (D("0.25"), D("0.10"))


def test_what_is_worth_exactly_what_it_costs_says_so() -> None:
    assert verdict(of(("0", "0", "0"))).sentence.startswith("It is worth exactly what it costs: ")
    assert verdict(of(("-1", "-1", "-1"))).sentence.startswith("It costs more than it is worth: ")


def test_whatever_else_is_to_be_fixed_is_said_with_it() -> None:
    louder = months(("1.00", "2"), ("1.10", "2"), ("1.20", "2"), ("1.30", "2"))
    found = verdict(of(("-200", "500", "900"), months=louder, band=Band.BROKEN, band_share=D("0.9")))

    assert found.rule is Rule.LOW_NET_TOO_LOW
    assert found.sentence == (
        "In the low case it loses $200, more than the $100 that are tolerated. And fewer than 95% of its answers come "
        "within the promised time. And for four months its cost for each useful output has risen faster than its value."
    )
    assert len(found.would_change) == 3
    assert ("share of answers within the promised time", D("0.9"), D("0.95")) in [
        (one.name, one.value, one.limit) for one in found.numbers
    ]


def months(*pairs: tuple[str | None, str | None], first: int = 7) -> list[MonthRatios]:
    return [
        MonthRatios(date(2026, first + at, 1), cost and D(cost), value and D(value))  # type: ignore[arg-type]
        for at, (cost, value) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("costs", "last_value", "louder"),
    [
        (("1.00", "1.10", "1.20", "1.30"), "2.00", True),
        (("1.00", "1.10", "1.20", "1.30"), "2.59", True),
        (("1.00", "1.10", "1.20", "1.30"), "2.60", False),  # value rose by the same 30 %
        (("1.00", "1.10", "1.20", "1.30"), "2.61", False),
        (("1.00", "1.10", "1.10", "1.30"), "2.00", False),  # one step that did not rise
        (("1.00", "1.20", "1.10", "1.30"), "2.00", False),
    ],
)
def test_louder_is_three_rises_in_a_row_by_more_than_value(
    costs: tuple[str, ...], last_value: str, *, louder: bool
) -> None:
    values = ("2.00", "2.00", "2.00", last_value)
    found = months(*zip(costs, values, strict=True))

    assert is_louder(found) is louder
    assert (verdict(facts(months=found)).rule is Rule.LOUDER) is louder


def test_louder_needs_four_complete_months_that_follow_each_other() -> None:
    rising = months(("1", "2"), ("2", "2"), ("3", "2"), ("4", "2"))

    assert is_louder(rising)
    assert not is_louder(rising[1:])
    assert not is_louder([*rising[:3], replace(rising[3], month=date(2026, 12, 1))])
    assert not is_louder([replace(rising[0], cost=None), *rising[1:]])
    assert not is_louder([replace(rising[0], value=None), *rising[1:]])


def test_what_is_mandated_is_not_stopped_and_shows_its_figures() -> None:
    found = verdict(of(("-50", "-20", "10"), is_mandated=True))

    assert found.word is Word.KEEP
    assert "mandated" in found.sentence
    assert found.numbers[0].value == D(-20)
    assert verdict(of(("-500", "-200", "10"), is_mandated=True)).word is Word.FIX


def test_declared_outcomes_are_at_most_keep() -> None:
    found = verdict(of(("1", "1000", "1000"), is_declared=True))

    assert (found.word, found.is_capped) == (Word.KEEP, True)
    assert verdict(of(("-1", "-1", "-1"), is_declared=True)).word is Word.STOP


def test_what_costs_nothing_is_over_the_hurdle() -> None:
    found = verdict(of(("1", "2", "3"), cost="0"))

    assert facts().appraisal.roi is not Special.NO_COST
    assert found.word is Word.SCALE
    assert "costs nothing" in found.sentence


def test_without_any_useful_output_it_stops() -> None:
    none_useful = appraise([replace(EXAMPLE_C, useful=D(0), reviewed=D(0))], cost=D(2400), useful=D(0))

    assert verdict(facts(appraisal=none_useful)).word is Word.STOP


def test_the_open_month_reads_so_far() -> None:
    for found in (verdict(facts(is_open=True)), verdict(facts(is_open=True, case=CaseState.NONE))):
        assert found.is_so_far
        assert found.sentence.startswith("So far: ")


@calmly
@given(spans, amounts, amounts, st.booleans(), st.booleans(), st.sampled_from(Band))
def test_a_higher_cost_never_makes_it_better(
    span: Any, cost: D, more: D, is_declared: bool, is_mandated: bool, band: Band
) -> None:
    known = {"is_declared": is_declared, "is_mandated": is_mandated, "band": band}
    before, after = (
        verdict(facts(appraisal=appraise([span], cost=total, useful=span.useful), **known)).word
        for total in (cost, cost + more)
    )

    assert RANK[after] <= RANK[before]


@calmly
@given(spans, amounts)
def test_every_verdict_explains_itself(span: Any, cost: D) -> None:
    found = verdict(facts(appraisal=appraise([span], cost=cost, useful=span.useful)))

    assert found.sentence.endswith(".")
    assert found.would_change
    assert found.numbers

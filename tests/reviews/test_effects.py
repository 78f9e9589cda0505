"""What each disposition would do to the voice agent: in production, conversational, 20,000 a month. Lena is 7."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.working_days import working_day
from apps.reviews.effects import Effect, Facts, Field, Limit, Refused, Wish, allowed, plan

TODAY = date(2026, 11, 12)
NOVEMBER, DECEMBER, JANUARY = date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)
AGENT = Facts(
    state="active",
    stage="production",
    band="conversational",
    band_limit_ms=2000,
    batch="batch",
    batch_limit_ms=600_000,
    budget=Limit(NOVEMBER, Decimal(20000)),
    cost=Decimal(15073),
)
BY_LENA = {"owner": 7, "due": date(2026, 11, 30)}


def done(what: str, facts: Facts | None = AGENT, **told: object) -> list[tuple[str, str | None, str, date | None]]:
    effects = plan(facts, Wish(what, "because", **told), today=TODAY)  # type: ignore[arg-type]
    return [(effect.field.value, effect.before, effect.after, effect.starts) for effect in effects]


def test_continue_changes_nothing() -> None:
    assert done("continue") == []


def test_optimise_gives_somebody_something_to_do() -> None:
    assert done("optimise", **BY_LENA) == [("action", None, "7", date(2026, 11, 30))]


def test_move_to_batch_gives_it_ten_minutes_and_an_action() -> None:
    assert done("move_to_batch", **BY_LENA) == [
        ("band", "conversational", "batch", None),
        ("action", None, "7", date(2026, 11, 30)),
    ]


@pytest.mark.parametrize("limit", [600_000, None])
def test_what_has_the_time_already_keeps_its_band(limit: int | None) -> None:
    slow = replace(AGENT, band="batch" if limit else "scheduled", band_limit_ms=limit)

    assert [field for field, *_ in done("move_to_batch", slow, **BY_LENA)] == ["action"]


def test_a_cap_lowers_the_running_months_budget_and_every_later_one_above_it_or_without_end() -> None:
    later = (Limit(DECEMBER, Decimal(30000)), Limit(JANUARY, Decimal(9000)), Limit(date(2027, 2, 1), None))

    assert done("cap", replace(AGENT, later=later), amount=Decimal(10000)) == [
        ("budget", "20000", "10000", NOVEMBER),
        ("budget", "30000", "10000", DECEMBER),
        ("budget", None, "10000", date(2027, 2, 1)),
    ]


def test_a_suspended_budget_keeps_its_amount_and_is_lowered_like_any_other() -> None:
    waiting = Limit(NOVEMBER, Decimal(20000), is_suspended=True)
    facts = replace(AGENT, budget=waiting, later=(Limit(DECEMBER, Decimal(25000), is_suspended=True),))

    (first, second) = plan(facts, Wish("cap", "because", Decimal(9000)), today=TODAY)

    assert first == Effect(Field.BUDGET, "20000", "9000", NOVEMBER, is_suspended=True)
    assert second.as_json() == {
        "field": "budget",
        "before": "25000",
        "after": "9000",
        "starts": "2026-12-01",
        "is_suspended": True,
    }
    assert [effect.after for effect in plan(facts, Wish("sunset", "because"), today=TODAY)] == ["sunset", "0", "0"]


def test_a_promise_stands_in_the_effect_with_who_made_it() -> None:
    (effect,) = plan(AGENT, Wish("optimise", "because", promised_saving=Decimal("200.50"), **BY_LENA), today=TODAY)  # type: ignore[arg-type]

    assert effect.as_json() == {
        "field": "action",
        "before": None,
        "after": "7",
        "starts": "2026-11-30",
        "saving": "200.5",
    }


def test_a_cap_may_be_the_first_budget() -> None:
    none = replace(AGENT, budget=Limit(NOVEMBER, None))

    assert done("cap", none, amount=Decimal(500)) == [("budget", None, "500", NOVEMBER)]


def test_a_cap_at_the_budget_holds_it_there() -> None:
    assert done("cap", amount=Decimal(20000)) == [("budget", "20000", "20000", NOVEMBER)]


def test_suspend_takes_effect_at_once() -> None:
    assert done("suspend") == [("state", "active", "suspended", None)]
    for state in ("suspended", "closed", "draft"):
        assert done("suspend", replace(AGENT, state=state)) == []


def test_sunset_ends_it_and_its_money() -> None:
    assert done("sunset") == [("stage", "production", "sunset", None), ("budget", "20000", "0", NOVEMBER)]


@pytest.mark.parametrize(
    ("what", "told", "field"),
    [
        ("cap", {"amount": Decimal("20000.01")}, "amount"),
        ("cap", {"amount": Decimal(-1)}, "amount"),
        ("cap", {"amount": Decimal("NaN")}, "amount"),
        ("cap", {"amount": Decimal("Infinity")}, "amount"),
        ("cap", {}, "amount"),
        ("optimise", {}, "owner"),
        ("downgrade", {"owner": 7}, "due"),
        ("move_to_batch", {"owner": 7, "due": date(2026, 11, 11)}, "due"),
        ("optimise", {**BY_LENA, "promised_saving": Decimal(-1)}, "promised_saving"),
        ("optimise", {**BY_LENA, "promised_saving": Decimal("15073.01")}, "promised_saving"),
        ("continue", {"promised_saving": Decimal(5)}, "owner"),
        ("raise", {}, "what"),
    ],
)
def test_what_is_incomplete_or_would_loosen_is_refused(what: str, told: dict[str, object], field: str) -> None:
    with pytest.raises(Refused) as refused:
        done(what, **told)

    assert refused.value.field == field


def test_what_is_about_no_workload_is_noted_or_given_to_somebody() -> None:
    assert allowed(is_about_one=False) == ("continue", "optimise")
    with pytest.raises(Refused):
        done("suspend", None)


def test_a_date_at_the_weekend_moves_to_monday() -> None:
    assert [working_day(date(2026, 11, day)) for day in (27, 28, 29, 30)] == [
        date(2026, 11, 27),
        *[date(2026, 11, 30)] * 3,
    ]


def test_a_date_on_a_day_off_moves_to_the_next_day_on_which_somebody_works() -> None:
    christmas = {date(2026, 12, 25), date(2026, 12, 28)}  # a Friday and the Monday after it
    wish = Wish("optimise", "because", owner=7, due=date(2026, 12, 25))

    (effect,) = plan(AGENT, wish, today=TODAY, off=christmas)

    assert effect.starts == date(2026, 12, 29)


@given(
    what=st.sampled_from(allowed(is_about_one=True)),
    amount=st.none() | st.decimals(0, 50_000, places=2),
    budget=st.none() | st.decimals(0, 30_000, places=2),
    is_suspended=st.booleans(),
    later=st.lists(st.tuples(st.none() | st.decimals(0, 30_000, places=2), st.booleans()), max_size=3),
    state=st.sampled_from(["active", "suspended", "closed"]),
    stage=st.sampled_from(["pilot", "production", "sunset"]),
    limit=st.sampled_from([800, 2000, 600_000, None]),
)
def test_whatever_is_recorded_only_keeps_or_tightens(  # type: ignore[no-untyped-def]
    what, amount, budget, is_suspended, later, state, stage, limit
) -> None:
    now = Limit(NOVEMBER, budget, is_suspended)
    months = tuple(Limit(date(2027, 1 + at, 1), *standing) for at, standing in enumerate(later))
    facts = replace(AGENT, budget=now, later=months, state=state, stage=stage, band_limit_ms=limit)
    try:
        effects = plan(facts, Wish(what, "because", amount, **BY_LENA), today=TODAY)
    except Refused:
        return
    assert all(_tightens(effect, facts) for effect in effects)


def _tightens(effect: Effect, facts: Facts) -> bool:
    if effect.field == Field.BUDGET:
        standing = next(limit for limit in (facts.budget, *facts.later) if limit.month == effect.starts)
        is_lower = effect.before is None or Decimal(effect.after) <= Decimal(effect.before)
        return is_lower and effect.is_suspended == standing.is_suspended
    if effect.field == Field.BAND:
        return facts.band_limit_ms is not None and facts.band_limit_ms < 600_000
    return effect.after in ("suspended", "sunset", "7")

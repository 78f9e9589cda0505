"""What stands in the way of signing: it blocks, goes when put right, and is waived as it was looked at and no more."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.approvals import services as approvals
from apps.approvals.selectors import proposals, rows_of, table_of, why_not
from apps.catalog import services as catalog
from apps.core.errors import BadInput
from apps.costs.models import DirtyDay
from apps.economics import services as economics
from apps.reviews.blockers import Blocker, Key, blockers_of, not_waived
from apps.reviews.models import Cycle, Item
from apps.reviews.services import cycles
from apps.sources.models import Pull, Source
from tests.books import at, make_offering, make_pull, prices, rate_all
from tests.costs.test_signed import bill, charge
from tests.economics.ledger import settle, spend
from tests.faults.loads import Key as UsageKey
from tests.faults.loads import Used, publish_hours
from tests.reviews.meeting import NOVEMBER, NOW, Meeting
from tests.reviews.test_signing import IN_DECEMBER
from tests.world import MACHINE, actor


@pytest.fixture
def cycle(meeting: Meeting) -> Cycle:
    """October, with every item decided: nothing blocks it."""
    cycle = meeting.open()
    meeting.decide_all(cycle)
    assert blockers_of(cycle, now=NOW) == []
    return cycle


def only(cycle: Cycle) -> Blocker:
    (found,) = blockers_of(cycle, now=NOW)
    return found


def passes(cycle: Cycle) -> bool:
    return not not_waived(cycle, blockers_of(cycle, now=NOW))


def used(source: Source, model: str, tokens: int, folder: Path, day: int = 20) -> None:
    """As late usage of nobody's key comes, whatever its model costs."""
    rows = {UsageKey("nobodys", model, at(day), provider="own"): Used(requests=1, input=tokens, output=0)}
    publish_hours(make_pull(source, f"{model} of {day}"), rows, folder)
    settle()


def check_waiver(meeting: Meeting, cycle: Cycle, grow: Callable[[], Any], mend: Callable[[], Any]) -> None:
    """Two people let it pass; when it grows it blocks again; when it is put right it is gone."""
    key = only(cycle).key
    assert not passes(cycle)
    meeting.waive(cycle, key)
    assert passes(cycle)
    grow()
    assert [blocker.key for blocker in not_waived(cycle, blockers_of(cycle, now=NOW))] == [key]
    mend()
    assert blockers_of(cycle, now=NOW) == []


def test_an_import_that_still_runs(meeting: Meeting, cycle: Cycle) -> None:
    source = meeting.labels.series.part.source
    running = {"state": Pull.State.RUNNING, "finished_at": None}
    pull = make_pull(source, "late.csv", **running)

    assert (only(cycle).key, only(cycle).facts) == (Key.PULLS, {"imports": [pull.pk], "names": ["late.csv"]})
    check_waiver(
        meeting,
        cycle,
        grow=lambda: make_pull(source, "later.csv", **running),
        mend=lambda: Pull.objects.unfinished().update(state=Pull.State.DONE),
    )


def test_days_that_wait_to_be_priced_are_waived_by_nobody(meeting: Meeting, cycle: Cycle) -> None:
    DirtyDay.objects.create(day=at(5).date(), identity=meeting.labels.identity, reason="test")

    assert (only(cycle).key, only(cycle).facts) == (Key.RATING, {"days": ["2026-10-05"]})
    assert not only(cycle).is_waivable
    with pytest.raises(BadInput, match="cannot be waived"):
        meeting.waive(cycle, Key.RATING)
    rate_all()
    assert blockers_of(cycle, now=NOW) == []


def test_a_source_that_refuses(meeting: Meeting, cycle: Cycle) -> None:
    sources = Source.objects.filter(pk__in=[meeting.labels.series.part.source_id])
    sources.update(state=Source.State.NEEDS_ATTENTION, state_reason="It answered 401.")

    assert (only(cycle).key, only(cycle).facts) == (Key.SOURCES, {"sources": ["Gateway of Labels: It answered 401."]})
    check_waiver(
        meeting,
        cycle,
        grow=lambda: sources.update(state_reason="It answers nothing."),
        mend=lambda: sources.update(state=Source.State.ACTIVE, state_reason=""),
    )


def test_a_source_that_fell_silent_in_the_month_whoever_looks_at_it(meeting: Meeting) -> None:
    for day in range(6, 13):
        spend(meeting.summaries, 1, at(day))
    settle()
    cycle = meeting.open()
    meeting.decide_all(cycle)

    assert only(cycle).facts == {"sources": ["Gateway of Summaries: nothing after 2026-10-12"]}
    for day in range(13, 32):
        spend(meeting.summaries, 1, at(day))
    settle()
    assert blockers_of(cycle, now=NOW) == []


def test_a_month_is_signed_in_spite_of_a_silent_source_that_two_people_let_pass(meeting: Meeting) -> None:
    for day in range(6, 13):
        spend(meeting.summaries, 1, at(day))
    settle()
    cycle = meeting.open()
    meeting.decide_all(cycle)
    meeting.waive(cycle, Key.SOURCES)

    assert meeting.sign(cycle).revision == 1


def test_a_model_without_a_price(meeting: Meeting, cycle: Cycle, tmp_path: Path) -> None:
    source = meeting.labels.series.part.source
    used(source, "nobody-knows", 5000, tmp_path)

    assert only(cycle).facts == {"models": ["nobody-knows"], "tokens": [5000], "lines": [1]}
    check_waiver(
        meeting,
        cycle,
        grow=lambda: used(source, "nobody-knows", 1, tmp_path, 21),
        mend=lambda: (prices(make_offering("own", "nobody-knows"), input="1.00", output="1.00"), settle()),
    )


def test_a_currency_without_an_exchange_rate(meeting: Meeting, cycle: Cycle, tmp_path: Path) -> None:
    source = meeting.labels.series.part.source
    prices(make_offering("own", "shell-model"), currency="XTS", input="1.00", output="1.00")
    used(source, "shell-model", 10_000_000, tmp_path)

    assert only(cycle).facts == {"currencies": ["XTS"], "amounts": ["10"], "lines": [1]}

    def convert() -> None:
        for day in (20, 21):
            on = {"day": at(day).date(), "currency": "XTS", "quote": "USD", "rate": Decimal("0.5"), "reason": "agreed"}
            catalog.set_exchange_rate(actor=MACHINE, **on)  # type: ignore[arg-type]
        settle()

    check_waiver(meeting, cycle, grow=lambda: used(source, "shell-model", 1_000_000, tmp_path, 21), mend=convert)


@pytest.mark.parametrize(
    ("billed", "blocks"), [("99.99", False), ("100", False), ("100.01", True), ("96.08", False), ("96.07", True)]
)
def test_a_bill_that_differs_by_more_than_two_hundredths(
    meeting: Meeting, cycle: Cycle, tmp_path: Path, billed: str, blocks: bool
) -> None:
    """98 were computed: a bill of 100 differs by just as much as it may."""
    source = meeting.labels.series.part.source
    prices(make_offering("openai", "own-model"), input="1.00", output="1.00")
    rows = {UsageKey("nobodys", "own-model", at(20)): Used(requests=1, input=98_000_000, output=0)}
    publish_hours(make_pull(source, "openai"), rows, tmp_path)
    bill([charge(5, billed, "a", identity='[["key","nobodys"]]')], tmp_path)
    settle()

    found = blockers_of(cycle, now=NOW)

    assert [blocker.key for blocker in found] == ([Key.BILL] if blocks else [])
    if billed == "100.01":
        assert found[0].facts == {"providers": ["openai"], "residuals": ["2.01"]}
        check_waiver(
            meeting,
            cycle,
            grow=lambda: (bill([charge(5, "103", "b", identity='[["key","nobodys"]]')], tmp_path), settle()),
            mend=lambda: (bill([charge(5, "98", "c", identity='[["key","nobodys"]]')], tmp_path), settle()),
        )


def test_undecided_items_and_one_of_them_that_grew(meeting: Meeting) -> None:
    cycle = meeting.open()
    pks = list(cycle.items.order_by("pk").values_list("pk", flat=True))

    assert only(cycle).facts == {"items": pks, "versions": [1, 1]}

    def grow() -> None:
        spend(meeting.labels, 100, at(9))
        settle()
        meeting.open()

    check_waiver(meeting, cycle, grow=grow, mend=lambda: meeting.decide_all(cycle))


# --- Late usage of a month that was signed ----------------------------------------------------------------------------


def test_late_usage_without_a_price_is_on_the_next_agenda_and_blocks_it(
    meeting: Meeting, cycle: Cycle, tmp_path: Path
) -> None:
    meeting.sign(cycle)
    source = meeting.labels.series.part.source
    used(source, "nobody-knows", 5000, tmp_path)

    november = meeting.open(month=NOVEMBER, now=IN_DECEMBER)

    restated = meeting.item(november, "restatement")
    assert (restated.subject, restated.money_at_stake, restated.facts["unpriced_lines"]) == ("2026-10", None, 1)
    assert meeting.item(november, "unpriced").facts["tokens"] == 5000
    meeting.decide_all(november)
    assert only(november).facts["models"] == ["nobody-knows of October 2026"]
    prices(make_offering("own", "nobody-knows"), input="1000.00", output="1.00")
    settle()
    assert blockers_of(november, now=NOW) == []


def test_a_restatement_says_what_it_comes_of(meeting: Meeting, cycle: Cycle, tmp_path: Path) -> None:
    meeting.sign(cycle)
    used(meeting.labels.series.part.source, "dollar", 120_000_000, tmp_path)

    november = meeting.open(month=NOVEMBER, now=IN_DECEMBER)

    facts = meeting.item(november, "restatement").facts
    assert {cause: Decimal(amount) for cause, amount in facts["causes"].items()} == {"late data": 120}
    assert (Decimal(facts["amount"]), facts["outcomes"]) == (120, None)


def test_outcomes_that_came_late_are_spoken_about_once(meeting: Meeting, cycle: Cycle) -> None:
    """100 more labels that save a minute each, at 30 an hour: 50 of value, and no cost."""
    meeting.sign(cycle)
    entry = economics.OutcomeEntry(meeting.labels.workload, cycle.month, NOVEMBER, 1100, 1100, 0)
    economics.record_outcomes(actor=MACHINE, entries=[entry], today=NOW.date())
    settle()

    november = meeting.open(month=NOVEMBER, now=IN_DECEMBER)

    item = meeting.item(november, "restatement")
    assert (item.money_at_stake, *told_of(item)) == (50, 100, 50)
    meeting.decide_all(november)
    meeting.sign(november, now=IN_DECEMBER)
    december = meeting.open(month=NOVEMBER + timedelta(days=30), now=IN_DECEMBER + timedelta(days=31))
    assert not december.items.filter(kind="restatement").exists()


def test_more_outcomes_are_told_as_what_came_since_the_last_review_and_their_taking_back_too(
    meeting: Meeting, cycle: Cycle
) -> None:
    """1,000 labels were signed: November tells of 100 more and 50 of value, December of 40 and 20 beyond."""
    meeting.sign(cycle)

    def counted(labels: int) -> None:
        entry = economics.OutcomeEntry(meeting.labels.workload, cycle.month, NOVEMBER, labels, labels, 0)
        economics.record_outcomes(actor=MACHINE, entries=[entry], today=NOW.date())
        settle()

    counted(1100)
    november = meeting.open(month=NOVEMBER, now=IN_DECEMBER)
    assert told_of(meeting.item(november, "restatement")) == (100, 50)
    meeting.decide_all(november)
    meeting.sign(november, now=IN_DECEMBER)

    counted(1140)
    december = meeting.open(month=NOVEMBER + timedelta(days=30), now=IN_DECEMBER + timedelta(days=31))
    assert told_of(meeting.item(december, "restatement")) == (40, 20)

    counted(1000)
    cycles.refresh(actor=MACHINE, cycle=december, now=IN_DECEMBER + timedelta(days=31))
    assert told_of(meeting.item(december, "restatement")) == (-100, -50)


def told_of(item: Item) -> tuple[Decimal, Decimal]:
    outcomes = item.facts["outcomes"]
    return Decimal(outcomes["useful"]), Decimal(outcomes["value"])


def test_a_reviewer_of_a_part_lets_nothing_of_the_whole_month_pass_and_a_second_person_sees_what(
    meeting: Meeting, cycle: Cycle
) -> None:
    """Hana reviews Operations alone, so neither a waiver nor a reopening is hers."""
    running = {"state": Pull.State.RUNNING, "finished_at": None}
    pull = make_pull(meeting.labels.series.part.source, "late.csv", **running)
    asked = approvals.ask(
        actor=actor(meeting.nora), kind="waiver", subject=cycle, proposed={"blocker": "pulls"}, reason="It is empty."
    )

    assert "Reviewer or Administrator for the whole organisation" in why_not(actor(meeting.world.hana), asked)
    assert [seat.name for seat in table_of(asked).may] == [meeting.olaf.name]
    said = {(row.label, row.before) for row in rows_of(proposals([asked])[0])[1:]}
    assert dict(said) == {"How many": "1", "Imports": str(pull.pk), "Names": "late.csv"}

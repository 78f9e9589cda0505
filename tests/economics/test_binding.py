"""What a binding would do to a verdict: said before it, and so after it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from apps.catalog.models import LatencyBand
from apps.core.errors import NotFound
from apps.costs.attribution import bind, preview_bind
from apps.economics import services as economics
from apps.economics.binding import BindingWorth, preview_binding
from apps.usage.models import Identity, Series
from apps.workloads.models import WorkloadRevision
from tests.books import add_hour, at, make_identity, make_offering, make_pull, make_series, make_workload, rate_all
from tests.economics.ledger import (
    OCTOBER,
    TODAY,
    Ledger,
    attested,
    came_out,
    example_c,
    make_ledger,
    month_of,
    settle,
    spend,
)
from tests.world import MACHINE, World, actor

pytestmark = pytest.mark.django_db


def nobodys(
    ledger: Ledger, dollars: int, when: datetime | None = None, model: str = "dollar", **values: Any
) -> Identity:
    """A key of the same source that nobody claims."""
    pull = make_pull(ledger.series.part.source)
    key = make_identity(ledger.identity.source, "nobodys")
    told = {"requests": 10, "input": dollars * 1_000_000, "cached": 0, "output": 0}
    add_hour(pull, make_series(pull, key, make_offering("own", model)), when or at(5), **{**told, **values})
    rate_all()
    return key


def would_be(ledger: Ledger, key: Identity) -> BindingWorth:
    preview = preview_bind(
        actor=MACHINE, workload=ledger.workload, pairs=key.pairs, source=key.source, valid_from=at(1)
    )
    return preview_binding(actor=MACHINE, preview=preview, month=preview.months[0], today=TODAY)


def is_then(ledger: Ledger, key: Identity) -> tuple[str, Decimal | None, Decimal | None]:
    """Verdict, cost and useful outputs once the key is bound."""
    bind(actor=MACHINE, workload=ledger.workload, pairs=key.pairs, source=key.source, valid_from=at(1))
    settle()
    october = month_of(ledger)
    return october.verdict, october.cost, october.useful


def said(worth: BindingWorth) -> tuple[str, Decimal | None, Decimal | None]:
    return worth.after.verdict.word, worth.after.appraisal.cost, worth.after.appraisal.useful


def test_cost_that_enters_turns_example_c_from_keep_to_stop(world: World) -> None:
    """Value 5,520, reviews 575, cost 2,400: with 3,000 more it nets -455."""
    ledger = example_c(world)
    key = nobodys(ledger, 3000)
    worth = would_be(ledger, key)
    assert (worth.before.verdict.word, worth.before.net) == ("keep", Decimal(2545))
    assert (worth.after.verdict.word, worth.after.net) == ("stop", Decimal(-455))
    assert worth.changes_verdict
    assert said(worth) == is_then(ledger, key) == ("stop", Decimal(5400), Decimal(9200))
    assert month_of(ledger).net_base == Decimal(-455)


def test_what_was_declared_of_the_calls_grows_with_them(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 1, requests=1000)
    attested(ledger)
    economics.declare_outcomes(
        actor=actor(world.ben), workload=ledger.workload, month=OCTOBER, share=Decimal("0.8"),
        reviewed_share=Decimal(0), today=TODAY,
    )  # fmt: skip
    settle()
    key = nobodys(ledger, 2, requests=500)
    worth = would_be(ledger, key)
    assert worth.before.appraisal.useful == 800
    assert worth.after.net == Decimal(717)  # 1,200 x 2 minutes x 0.6 at 30 an hour, less 3
    assert said(worth) == is_then(ledger, key) == ("keep", Decimal(3), Decimal(1200))


def test_what_was_declared_of_a_month_without_usage_counts_on_the_first_key_that_is_bound(world: World) -> None:
    """0.8 of 500 calls: 400 x 2 minutes x 0.6 at 30 an hour is 240, less 2."""
    ledger = make_ledger(world)
    attested(ledger)
    economics.declare_outcomes(
        actor=actor(world.ben), workload=ledger.workload, month=OCTOBER, share=Decimal("0.8"),
        reviewed_share=Decimal(0), today=TODAY,
    )  # fmt: skip
    settle()
    key = nobodys(ledger, 2, requests=500)
    worth = would_be(ledger, key)
    assert worth.before.verdict.word == "unproven"
    assert worth.after.net == Decimal(238)
    assert said(worth) == is_then(ledger, key) == ("keep", Decimal(2), Decimal(400))


def test_calls_that_come_too_slowly_break_the_band(world: World) -> None:
    ledger = make_ledger(world)
    band = LatencyBand.objects.get(limit_ms=2000)
    WorkloadRevision.objects.create(workload=ledger.workload, version=1, latency_band=band)
    quick, slow = [0] * 26, [0] * 26
    quick[4], slow[4], slow[12] = 100, 88, 12  # 300 to 500 ms, and 10 to 15 s: 188 of 200 are 94%
    spend(ledger, 1, latency_counts=quick, requests=100)
    attested(ledger)
    came_out(ledger, 1000, 1000, 0)
    settle()
    key = nobodys(ledger, 1, latency_counts=slow, requests=100)
    worth = would_be(ledger, key)
    assert worth.before.verdict.word == "scale"
    assert said(worth) == is_then(ledger, key) == ("fix", Decimal(2), Decimal(1000))


def test_a_day_of_which_no_outcome_is_told_makes_it_unproven(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 1)
    attested(ledger)
    came_out(ledger, 100, 100, 0, day=5)
    settle()
    key = nobodys(ledger, 1, at(6))
    worth = would_be(ledger, key)
    assert worth.before.verdict.word == "scale"
    assert "outcomes are missing on 1 of 2 days with usage" in worth.after.verdict.sentence
    assert said(worth) == is_then(ledger, key) == ("unproven", Decimal(2), Decimal(100))


def test_a_day_that_comes_from_two_owners_is_one_day(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 1)
    attested(ledger)
    came_out(ledger, 100, 100, 0, day=5)
    settle()
    key = nobodys(ledger, 1, at(6, 2))
    add_hour(make_pull(key.source), Series.objects.get(identity=key), at(6, 20), requests=10, input=0, output=0)
    chat = make_workload("Chat", world)
    bind(actor=MACHINE, workload=chat, pairs=key.pairs, source=key.source, valid_to=at(6, 12))
    rate_all()
    sentence = would_be(ledger, key).after.verdict.sentence
    assert "outcomes are missing on 1 of 2 days with usage" in sentence


def test_usage_without_a_price_adds_no_cost_and_makes_it_unproven(world: World) -> None:
    ledger = example_c(world)
    key = nobodys(ledger, 600, model="mystery")
    worth = would_be(ledger, key)
    assert "20% of its cost has no price" in worth.after.verdict.sentence
    assert said(worth) == is_then(ledger, key) == ("unproven", Decimal(2400), Decimal(9200))


def test_who_may_not_see_the_money_is_told_nothing(world: World) -> None:
    ledger = example_c(world)
    key = nobodys(ledger, 3000)
    preview = preview_bind(actor=MACHINE, workload=ledger.workload, pairs=key.pairs, source=key.source)
    with pytest.raises(NotFound):
        preview_binding(actor=actor(world.gus), preview=preview, month=preview.months[0], today=TODAY)

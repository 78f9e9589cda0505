"""The page of a workload of which it is known what it is worth: example C of the ledger, read by its owner."""

from datetime import date
from decimal import Decimal

import pytest
from django.test import Client

from apps.economics import services as economics
from apps.web.workload_worth import Changed, marks_on
from apps.workloads.models import WorkloadRevision
from tests.books import add_hour, at, make_offering, make_pull, make_series
from tests.economics.ledger import OCTOBER, TODAY, Ledger, came_out, settle, spend
from tests.economics.ledger import example_c as example_c_of
from tests.economics.ledger import make_ledger as make_ledger_of
from tests.world import World, actor, log_in

pytestmark = pytest.mark.django_db
PAGE = "/workloads/ticket-summaries/?month=2026-10"


def example_c(world: World) -> Ledger:
    return registered(example_c_of(world))


def make_ledger(world: World) -> Ledger:
    return registered(make_ledger_of(world))


def registered(ledger: Ledger) -> Ledger:
    """A page of a workload shows its promise, and whoever registers one makes its first version."""
    if not ledger.workload.revisions.exists():
        WorkloadRevision.objects.create(workload=ledger.workload, version=1)
    return ledger


def kpis(client: Client, address: str = PAGE) -> dict[str, tuple[str, str, str]]:
    return {kpi.label: (kpi.figure, kpi.strong, kpi.context) for kpi in client.get(address).context["kpis"]}


def test_verdict_sentence_and_figures_of_worth_stand_on_the_page(world: World) -> None:
    example_c(world)
    answer = log_in(world.ben).get(PAGE)
    shown = kpis(log_in(world.ben))
    assert list(shown) == [
        "Cost per answer",
        "Value per answer",
        "Net value",
        "Full cost",
        "Latency, p95",
        "Cache share",
    ]
    assert shown["Cost per answer"] == ("$0.261", "", "full cost ÷ useful outputs")
    assert shown["Value per answer"] == ("$0.600", "", "between $0.375 and $0.875")
    assert shown["Net value"] == ("$2,545", "", "between −$100 and $5,362")
    body = answer.content.decode()
    assert "tg-verdict--keep" in body
    assert answer.context["sentence"].startswith("It pays: $2,545 net.")
    assert answer.context["sentence"].endswith("It cost $2,400 in October 2026.")
    assert "Cost and value per useful output" in body


def test_every_figure_of_the_strip_leads_to_its_proof(world: World) -> None:
    example_c(world)
    client = log_in(world.ben)
    proofs = [kpi.why for kpi in client.get(PAGE).context["kpis"] if kpi.why]
    assert len(proofs) == 5
    assert [client.get(address).status_code for address in proofs] == [200] * 5


def test_net_value_is_compared_with_the_month_before(world: World) -> None:
    ledger = example_c(world)
    spend(ledger, 1200, at(5, month=9))
    came_out(ledger, 5_000, 4600, 575, month=date(2026, 9, 1))
    settle()
    shown = kpis(log_in(world.ben))
    assert shown["Net value"] == ("$2,545", "+100.0%", "from $1,272")
    assert shown["Cost per answer"] == ("$0.261", "0.0%", "from $0.261")


def test_a_month_with_usage_without_a_price_moves_neither_cost_of_an_answer_nor_net_value(world: World) -> None:
    """As above, with some usage of September that has no price: neither +100.0% nor 0.0% is known."""
    ledger = example_c(world)
    spend(ledger, 1200, at(5, month=9))
    pull = make_pull(ledger.series.part.source)
    add_hour(pull, make_series(pull, ledger.identity, make_offering("nobody", "unheard-of")), at(6, month=9), input=4)
    came_out(ledger, 5_000, 4600, 575, month=date(2026, 9, 1))
    settle()
    shown = kpis(log_in(world.ben))
    assert shown["Net value"] == ("$2,545", "", "between −$100 and $5,362")
    assert shown["Cost per answer"] == ("$0.261", "", "full cost ÷ useful outputs")
    assert shown["Full cost"][1] == ""
    value = kpis(log_in(world.ben), "/workloads/ticket-summaries/value/?month=2026-10")
    assert value["Cost per answer"][1:] == ("", "cost ÷ useful outputs")


def test_outcomes_without_a_value_case_keep_cost_and_calls(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 2400)
    came_out(ledger, 10_000, 9200, 1150)
    settle()
    answer = log_in(world.ben).get(PAGE)
    shown = kpis(log_in(world.ben))
    assert list(shown) == ["Cost per answer", "Full cost", "Calls", "Latency, p95", "Cache share", "Failed share"]
    body = answer.content.decode()
    assert "tg-verdict--unproven" in body
    assert "Write the value case" in body


def test_without_outcomes_the_strip_is_that_of_its_cost_and_the_page_says_who_can_supply_them(world: World) -> None:
    spend(make_ledger(world), 2400)
    settle()
    answer = log_in(world.ben).get(PAGE)
    assert list(kpis(log_in(world.ben)))[:2] == ["Full cost", "Cost per call"]
    body = answer.content.decode()
    assert "What is missing, and who can supply it" in body
    assert "/workloads/ticket-summaries/outcomes/" in body
    assert "Cost and value per useful output" not in body


def test_whoever_may_not_fill_a_gap_finds_the_link_that_asks_the_owner(world: World) -> None:
    spend(make_ledger(world), 2400)
    settle()
    ways = {words: href for _, words, href in log_in(world.hana).get(PAGE).context["worth"].missing}
    assert list(ways) == ["Ask Ben Okoro"]
    assert ways["Ask Ben Okoro"].startswith("mailto:ben@example.com?subject=Ticket%20summaries")
    own = [(words, href) for _, words, href in log_in(world.ben).get(PAGE).context["worth"].missing]
    assert own == [
        ("Write the value case", "/workloads/ticket-summaries/value/write/?month=2026-10"),
        ("Say what came out", "/workloads/ticket-summaries/outcomes/?month=2026-10"),
    ]


def test_declared_outputs_are_marked_at_the_cost_of_one(world: World) -> None:
    ledger = make_ledger(world)
    spend(ledger, 24, requests=1000)
    share = {"share": Decimal("0.8"), "reviewed_share": Decimal(0)}
    economics.declare_outcomes(actor=actor(world.ben), workload=ledger.workload, month=OCTOBER, today=TODAY, **share)
    settle()
    assert kpis(log_in(world.ben))["Cost per answer"] == ("$0.0300", "", "its outputs are declared, not counted")


@pytest.mark.parametrize("period", ["from=2026-10-01&to=2026-10-15", "from=2026-09-01&to=2026-10-31"])
def test_a_period_that_is_not_one_month_has_no_verdict(world: World, period: str) -> None:
    example_c(world)
    answer = log_in(world.ben).get(f"/workloads/ticket-summaries/?{period}")
    assert answer.context["worth"] is None
    assert "tg-verdict" not in answer.content.decode()


def test_a_signed_month_stands_beside_what_is_known_since(world: World) -> None:
    ledger = example_c(world)
    economics.freeze(month=OCTOBER, today=TODAY)
    body = log_in(world.ben).get(PAGE).content.decode()
    assert "Signed and restated" in body
    came_out(ledger, 10_000, 4600, 1150)
    settle()
    page = log_in(world.ben).get(PAGE).content.decode()
    assert "restated after sign-off" in page
    assert "9,200" in page
    assert "4,600" in page


def test_changes_of_a_month_share_a_letter() -> None:
    months = [date(2026, 8, 1), date(2026, 9, 1), date(2026, 10, 1)]
    changes = [
        Changed(date(2026, 10, 2), "value case 2 counts"),
        Changed(date(2026, 8, 12), "chat-key bound"),
        Changed(date(2026, 8, 3), "promise: faster"),
        Changed(date(2026, 7, 3), "too long ago"),
    ]
    marks = marks_on(months, changes)
    assert [(mark.at, mark.letter, mark.text) for mark in marks] == [
        (0, "A", "3 Aug, promise: faster; 12 Aug, chat-key bound"),
        (2, "B", "2 Oct, value case 2 counts"),
    ]

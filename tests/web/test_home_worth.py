"""Home of those who answer for a value: cases to write or renew, outcomes to tell, figures to attest, and the month."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.accounts.models import Person
from apps.core import periods
from apps.economics import services as economics
from apps.economics.models import ValueCase
from apps.reviews.models import Cycle, Figure, Item, ItemKind
from apps.web.home_parts import Task
from tests.economics.ledger import Ledger, attested, example_c, make_ledger, settle, spend, write_case
from tests.world import World, actor, log_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def today() -> date:
    return timezone.localdate()


@pytest.fixture
def last(today: date) -> date:
    """The last complete month."""
    return periods.previous_month(today.replace(day=1))


def tasks(person: Person) -> list[Task]:
    groups = log_in(person).get("/").context["groups"]
    return [task for _, those in groups for task in those]


def spent(ledger: Ledger, last: date) -> None:
    spend(ledger, 300, datetime(last.year, last.month, 3, tzinfo=UTC))
    settle(timezone.localdate())


def test_a_missing_case_and_missing_outcomes_wait_for_the_business_owner(world: World, last: date) -> None:
    spent(make_ledger(world), last)
    found = {task.title: task for task in tasks(world.ben)}
    case = found["Say what Ticket summaries is worth"]
    assert (case.group, case.money, case.action) == ("This week", "$300", "Write it")
    assert case.href == "/workloads/ticket-summaries/value/write/"
    outcomes = found[f"Say what came out of Ticket summaries in {last:%B}"]
    assert (outcomes.group, outcomes.money) == ("This week", "$300")
    assert outcomes.href == f"/workloads/ticket-summaries/outcomes/?month={last:%Y-%m}"
    assert not [task for task in tasks(world.eve) if "Ticket summaries" in task.title]


def test_a_case_that_somebody_else_has_to_attest_does_not_wait_for_its_writer(world: World, last: date) -> None:
    ledger = make_ledger(world)
    write_case(ledger)
    spent(ledger, last)
    assert not [task for task in tasks(world.ben) if "worth" in task.title]


def test_a_workload_without_cost_asks_for_nothing(world: World) -> None:
    make_ledger(world)
    assert not [task for task in tasks(world.ben) if "Ticket summaries" in task.title]


@pytest.mark.parametrize(
    ("days", "group", "due_tone"), [(-3, "Today", "bad"), (5, "This week", "warn"), (25, "Later", ""), (31, None, "")]
)
def test_a_case_is_renewed_before_it_ends(
    world: World, today: date, days: int, group: str | None, due_tone: str
) -> None:
    end = today + timedelta(days=days)
    attested(make_ledger(world), valid_from=date(2026, 1, 1), expires=end)
    assert ValueCase.objects.get().counts_to == end
    found = [(t.group, t.due_tone) for t in tasks(world.ben) if t.title == "Renew the value case of Ticket summaries"]
    assert found == ([(group, due_tone)] if group else [])


def test_the_most_pressing_and_the_most_money_come_first_in_their_group() -> None:
    def row(title: str, tone: str, stake: int) -> Task:
        return Task("Today", "wallet", title, "", "/", "Go", due_tone=tone, stake=Decimal(stake))

    rows = [row("small", "", 1), row("large", "", 9), row("soon", "warn", 2), row("late", "bad", 1)]
    assert [one.title for one in sorted(rows, key=lambda one: one.order)] == ["late", "soon", "large", "small"]


def test_an_open_review_asks_its_reviewer_to_decide_and_owners_to_attest(world: World) -> None:
    ledger = example_c(world)
    cycle = Cycle.objects.create(month=date(2026, 10, 1), figures_at=timezone.now())
    Figure.objects.create(cycle=cycle, workload=ledger.workload, cost=Decimal(2400), digest="a" * 64)
    Item.objects.create(
        cycle=cycle, kind=ItemKind.STOP, workload=ledger.workload, money_at_stake=Decimal(2400), position=1
    )
    found = {task.title: task for task in tasks(world.ben)}
    attest = found["Attest the October figures of Ticket summaries"]
    assert (attest.money, attest.href) == ("$2,400", "/reviews/2026-10/figures/")
    assert "Monthly review, October 2026" not in found
    agenda = {task.title: task for task in tasks(world.hana)}["Monthly review, October 2026"]
    assert (agenda.group, agenda.money, agenda.href) == ("Today", "$2,400", "/reviews/2026-10/")
    assert "1 item on the agenda is undecided." in agenda.why


def test_the_month_in_three_figures_and_by_verdict(world: World) -> None:
    example_c(world)
    spent(make_ledger(world, "Labels"), date(2026, 10, 1))
    answer = log_in(world.cleo).get("/?month=2026-10")
    facts = [(label, figure) for label, figure, _ in answer.context["facts"]]
    assert facts == [("Full cost", "$2,700"), ("Value", "$5,520"), ("Net value", "$2,545")]
    worth = answer.context["worth"]
    assert [(row.label, row.count, row.cost) for row in worth.rows if row.count] == [
        ("Keep", 1, Decimal(2400)),
        ("Unproven", 1, Decimal(300)),
    ]
    assert "2 workloads by verdict" in answer.content.decode()


def test_a_period_that_is_not_a_month_has_no_verdicts(world: World) -> None:
    example_c(world)
    assert log_in(world.cleo).get("/?from=2026-10-01&to=2026-10-15").context["worth"] is None


def test_outcomes_that_came_wait_no_longer(world: World, last: date) -> None:
    ledger = make_ledger(world)
    entry = economics.OutcomeEntry(ledger.workload, last, periods.next_month(last), 100, 90, 0)
    economics.record_outcomes(actor=actor(world.ben), entries=[entry], today=timezone.localdate())
    spent(ledger, last)
    assert not [task for task in tasks(world.ben) if task.title.startswith("Say what came out")]

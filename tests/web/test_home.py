"""Home: what waits for whom, and a next step when nothing does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from apps.accounts.models import Person, Role
from apps.catalog.models import LatencyBand
from apps.core import periods
from apps.costs.selectors.waiting import unclaimed_keys
from apps.sources.models import Pull, Source
from apps.web import figures
from apps.web.home_parts import Task
from apps.workloads.models import Workload, WorkloadRevision
from tests.approvals.deciding import ask
from tests.books import at, make_offering, make_pull, make_source, october, rate_all
from tests.economics.ledger import make_ledger, settle, spend
from tests.web.company import Company, make_company, make_two_bills
from tests.world import MACHINE, World, actor, give, log_in

pytestmark = pytest.mark.django_db
HOME = "/?month=2026-10"


@pytest.fixture
def company(world: World) -> Company:
    return make_company(world)


def waiting(person: object, address: str = HOME) -> dict[str, list[str]]:
    answer = log_in(person).get(address)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.content
    return {group: [task.title for task in tasks] for group, tasks in answer.context["groups"] if tasks}


def test_what_nobody_claims_waits_for_those_who_can_say_whose_it_is(company: Company, world: World) -> None:
    assert waiting(world.ada) == {"This week": ["1 usage key belongs to nobody"]}
    assert waiting(world.cleo) == {"This week": ["1 usage key belongs to nobody"]}
    assert waiting(world.ben) == {}
    body = log_in(world.ada).get(HOME).content.decode()
    assert "8.0% of full cost" in body
    assert "nobodys-key" in body


def test_the_largest_unclaimed_key_is_named(company: Company, world: World) -> None:
    keys = unclaimed_keys(actor=MACHINE, first=october(1), end=october(31))
    assert (keys.count, keys.largest) == (1, "nobodys-key")
    assert unclaimed_keys(actor=actor(world.ben), first=october(1), end=october(31)).count == 0


def test_a_model_without_a_price_waits_for_the_analyst(company: Company, world: World) -> None:
    company.spend(None, 3, at(9), offering=make_offering("nobody", "unheard-of"))
    rate_all()
    assert "1 model has no price" in waiting(world.cleo)["This week"]
    assert waiting(world.gus) == {}


def test_imports_and_sources_wait_for_the_platform_engineer(company: Company, world: World) -> None:
    source = make_source("Cloud bill")
    make_pull(
        source,
        "october.csv",
        state=Pull.State.FAILED,
        error="The file ends in the middle of a line.",
        finished_at=timezone.now(),
    )
    make_pull(source, "november.csv", state=Pull.State.DRAFT, requested_by=world.dan, finished_at=None)
    make_pull(source, "rest.csv", totals={"rows_rejected": 1204, "rows_read": 2113880}, finished_at=timezone.now())
    Source.objects.create(
        slug="cluster", name="Cluster", state=Source.State.NEEDS_ATTENTION, state_reason="Its folder is gone."
    )
    found = waiting(world.dan)
    assert found["Today"] == [
        "Cluster cannot be read",
        "Import failed: october.csv",
        "Check the columns of november.csv",
    ]
    assert found["This week"] == ["Import finished with rejected rows"]
    assert "1,204 of 2,113,880 rows of <code" in log_in(world.dan).get(HOME).content.decode()
    assert waiting(world.ben) == {}


def test_only_today_has_filled_buttons(company: Company, world: World) -> None:
    body = log_in(world.ada).get(HOME).content.decode()
    assert "tg-item" in body
    assert "tg-btn--primary" not in body


def test_an_import_that_went_well_the_next_time_waits_no_longer(company: Company, world: World) -> None:
    source = make_source("Cloud bill")
    make_pull(source, "october.csv", state=Pull.State.FAILED, finished_at=timezone.now())
    make_pull(source, "october.csv", finished_at=timezone.now())
    assert "Today" not in waiting(world.dan)


def test_own_drafts_wait_for_later(company: Company, world: World) -> None:
    Workload.objects.create(slug="idea", name="A new idea", created_by=world.eve)
    assert waiting(world.eve) == {"Later": ["Finish registering A new idea"]}
    assert waiting(world.gus) == {}


@pytest.mark.parametrize("name", ["ada", "ben", "cleo", "dan", "eve", "finn", "gus", "hana"])
def test_home_is_never_without_a_next_step(world: World, name: str) -> None:
    answer = log_in(world.people[name]).get("/")
    assert answer.status_code == 200
    step = answer.context["step"]
    assert step.action
    assert step.href


def test_the_month_stands_beside_it_with_proofs(company: Company, world: World) -> None:
    client = log_in(world.ada)
    facts = client.get(HOME).context["facts"]
    assert [(label, figure) for label, figure, _ in facts] == [
        ("Full cost", "$87.00"),
        ("Workloads", "$80.00"),
        ("Unallocated", "$7.00"),
    ]
    for _, figure, proof in facts:
        assert client.get(proof).context["explained"].figure == figure


def test_two_bills_are_as_far_from_what_was_computed_as_both_together(world: World, tmp_path: Path) -> None:
    """One says 10 less and the other 5 more: neither hides a part of the other."""
    make_two_bills(world, tmp_path)
    page = log_in(world.cleo).get(HOME)
    assert ("Residual to the bill", "$15.00") in [(label, figure) for label, figure, _ in page.context["facts"]]
    assert [check.note for check in page.context["checks"] if "differs from what was computed" in check.text] == [
        "$15.00 residual"
    ]


def test_an_owner_sees_what_their_own_workloads_cost(company: Company, world: World) -> None:
    client = log_in(world.ben)
    ((row, cost, proof),) = client.get(HOME).context["own"]
    assert (row.name, cost) == ("Summaries", "$30.00")
    assert client.get(proof).context["explained"].figure == "$30.00"


def test_keys_that_nobody_claims_wait_though_nobody_knows_what_they_cost(world: World) -> None:
    company = Company(world)
    company.spend(None, 3, at(9), offering=make_offering("nobody", "unheard-of"))
    rate_all()
    (task,) = [
        task
        for _, tasks in log_in(world.ada).get(HOME).context["groups"]
        for task in tasks
        if task.code == "nobodys-key"
    ]
    assert (task.title, task.money) == ("1 usage key belongs to nobody", "–")
    assert task.why.startswith("What they cost is unknown and not zero.")


def test_a_use_case_whose_owners_have_left_waits_for_those_who_can_name_others(company: Company, world: World) -> None:
    assert "Nobody answers for Summaries" not in waiting(world.ada)["This week"]
    Person.objects.filter(pk__in=[world.ben.pk, world.dan.pk]).update(active=False)
    assert "Nobody answers for Summaries" in waiting(world.ada)["This week"]
    assert "Nobody answers for Summaries" in waiting(world.cleo)["This week"]
    assert "Nobody answers for Triage" not in waiting(world.ada)["This week"]
    assert waiting(world.eve).get("This week") is None
    assert log_in(world.ada).get("/workloads/summaries/edit/").status_code == 200


def test_a_change_waits_with_the_cost_of_its_use_case_and_its_deadline(world: World) -> None:
    ledger = make_ledger(world)
    last = periods.previous_month(timezone.localdate().replace(day=1))
    spend(ledger, 300, datetime(last.year, last.month, 3, tzinfo=UTC))
    settle(timezone.localdate())
    give(world.gus, Role.APPROVER, world.care, by=world.ada)
    WorkloadRevision.objects.create(workload=ledger.workload, version=1)
    asked = ask(ledger.workload, world.ben, "band", {"latency_band": LatencyBand.objects.get(code="scheduled")})

    def task() -> Task:
        found = [task for _, tasks in log_in(world.gus).get("/").context["groups"] for task in tasks]
        return next(task for task in found if task.title.startswith("Decide"))

    first = task()
    assert (first.group, first.money, first.stake) == ("This week", "$300", 300)
    assert first.due == f"until {figures.day_short(asked.expires_at)}"


def test_a_source_that_is_not_asked_any_more_is_not_ticked(company: Company, world: World) -> None:
    checks = {check.text: check for check in log_in(world.ada).get(HOME).context["checks"]}
    assert checks["Every source has delivered"].is_done
    long_ago = timezone.now() - timedelta(days=9)
    Source.objects.create(slug="old", name="Old gateway", kind="folder", last_looked_at=long_ago, pull_every_minutes=5)
    page = log_in(world.ada).get(HOME)
    (late,) = [each for each in page.context["sources"] if each.trouble]
    assert (late.row.source.name, late.trouble) == ("Old gateway", "stale")
    assert page.context["blocker"].text == "1 source to look at"
    assert "2 of 5 done" in page.content.decode()
    assert 'href="/sources/">Look at the sources</a>' in page.content.decode()

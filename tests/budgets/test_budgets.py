"""Setting budgets: versions from a month on, three things that are not the same, and who may."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from apps.accounts.models import Role
from apps.budgets import csv_import, selectors, services
from apps.budgets.models import Budget
from apps.budgets.selectors import Standing
from apps.core.errors import BadInput, Conflict, NotAllowed, NotFound
from apps.core.models import AuditEvent, Period
from apps.workloads.csv_table import Kind, read_table
from apps.workloads.models import Workload
from tests.approvals.deciding import approver, ask, confirm
from tests.books import at, make_workload, rate_all
from tests.web.company import make_company
from tests.world import MACHINE, World, actor, give

pytestmark = pytest.mark.django_db
INSERT = "INSERT INTO budgets_budget (workload_id, month, version, amount, soft, hard, on_hard, state, reason) "
SEPTEMBER, OCTOBER, NOVEMBER, DECEMBER = (date(2026, month, 1) for month in (9, 10, 11, 12))


@pytest.fixture
def summaries(world: World) -> Workload:
    return make_workload("Summaries", world)


def set_for(owner: Workload, month: date, amount: int | str, **more: object) -> Budget:
    return services.set_budget(actor=MACHINE, owner=owner, month=month, amount=Decimal(amount), **more)  # type: ignore[arg-type]


def sign(month: date) -> None:
    """The month's row as a signature leaves it."""
    Period.objects.update_or_create(
        month=month,
        defaults={
            "starts_at": datetime(month.year, month.month, 1, tzinfo=UTC),
            "ends_at": datetime(month.year, month.month + 1, 1, tzinfo=UTC),
            "state": Period.State.SIGNED,
        },
    )


def amount_in(owner: Workload, month: date) -> Decimal | None:
    found = selectors.budgets_at(month).get(owner.pk)
    return found.amount if found else None


def test_a_budget_holds_from_its_month_until_the_next_one(summaries: Workload) -> None:
    set_for(summaries, SEPTEMBER, 100)
    set_for(summaries, NOVEMBER, 300)

    assert amount_in(summaries, date(2026, 8, 1)) is None
    assert amount_in(summaries, SEPTEMBER) == 100
    assert amount_in(summaries, OCTOBER) == 100
    assert amount_in(summaries, NOVEMBER) == 300
    assert amount_in(summaries, date(2027, 6, 1)) == 300


def test_a_new_version_keeps_the_old_one_and_says_who_and_why(world: World, summaries: Workload) -> None:
    set_for(summaries, OCTOBER, 100)
    services.set_budget(
        actor=actor(world.ben), owner=summaries, month=OCTOBER, amount=Decimal(200), reason="Two teams more"
    )

    newest, oldest = selectors.history_of(summaries)
    assert (newest.version, newest.amount, newest.state, newest.recorded_by) == (2, 200, "active", world.ben)
    assert (oldest.version, oldest.amount, oldest.state) == (1, 100, "superseded")
    event = AuditEvent.objects.filter(verb="set budget").latest("pk")
    assert event.data["before"]["amount"] == "100"
    assert (event.data["after"]["amount"], event.data["reason"]) == ("200", "Two teams more")


def test_the_same_values_twice_are_one_version(summaries: Workload) -> None:
    first = set_for(summaries, OCTOBER, 100)
    again = set_for(summaries, OCTOBER, "100.00")

    assert first == again
    assert Budget.objects.count() == 1


def test_no_budget_a_budget_of_zero_and_a_suspended_one_are_three_things(world: World) -> None:
    company = make_company(world)
    none, zero, waiting = (make_workload(name, world) for name in ("None", "Zero", "Waiting"))
    for workload in (none, zero, waiting):
        company.spend(workload, 5, at(3))
    rate_all()
    set_for(zero, OCTOBER, 0)
    set_for(waiting, OCTOBER, 100)
    services.suspend(actor=MACHINE, owner=waiting, month=OCTOBER)

    burns = selectors.burns(month=OCTOBER)
    assert [burns[each.pk].standing for each in (none, zero, waiting)] == [
        Standing.NONE,
        Standing.OVER,
        Standing.SUSPENDED,
    ]
    assert [burns[each.pk].amount for each in (none, zero, waiting)] == [None, 0, 100]
    assert [burns[each.pk].words for each in (none, zero, waiting)] == ["no budget", "over budget", "suspended"]
    assert [burns[each.pk].ratio for each in (none, zero, waiting)] == [None, None, Decimal("0.05")]


def test_a_budget_of_zero_that_is_kept_says_that_nothing_may_be_spent(world: World, summaries: Workload) -> None:
    set_for(summaries, OCTOBER, 0)

    burn = selectors.burns(month=OCTOBER)[summaries.pk]
    assert (burn.standing, burn.words, burn.is_over) == (Standing.WITHIN, "nothing may be spent", False)


def test_suspending_holds_for_later_months_too_until_it_is_resumed(summaries: Workload) -> None:
    set_for(summaries, OCTOBER, 100)
    set_for(summaries, DECEMBER, 300)
    services.suspend(actor=MACHINE, owner=summaries, month=NOVEMBER, reason="Keys leaked")

    states = {month: selectors.budgets_at(month)[summaries.pk].state for month in (OCTOBER, NOVEMBER, DECEMBER)}
    assert states == {OCTOBER: "active", NOVEMBER: "suspended", DECEMBER: "suspended"}

    services.resume(actor=MACHINE, owner=summaries, month=NOVEMBER)
    assert [amount_in(summaries, month) for month in (NOVEMBER, DECEMBER)] == [100, 300]
    assert not selectors.budgets_at(DECEMBER)[summaries.pk].is_suspended


def test_an_ended_budget_is_none_and_no_zero(summaries: Workload) -> None:
    set_for(summaries, OCTOBER, 100)
    services.end(actor=MACHINE, owner=summaries, month=NOVEMBER)

    assert amount_in(summaries, OCTOBER) == 100
    assert amount_in(summaries, NOVEMBER) is None
    with pytest.raises(Conflict, match="has no budget"):
        services.suspend(actor=MACHINE, owner=summaries, month=NOVEMBER)


def test_a_budget_may_be_lowered_below_what_is_spent(world: World) -> None:
    make_company(world)
    summaries = Workload.objects.get(name="Summaries")
    set_for(summaries, OCTOBER, 100)
    assert selectors.burns(month=OCTOBER)[summaries.pk].standing is Standing.WITHIN

    set_for(summaries, OCTOBER, 20)

    burn = selectors.burns(month=OCTOBER)[summaries.pk]
    assert (burn.direct, burn.amount, burn.ratio) == (Decimal(30), Decimal(20), Decimal("1.5"))
    assert burn.is_over


def test_a_transfer_moves_a_part_from_one_budget_to_another_and_keeps_the_sum(
    world: World, summaries: Workload
) -> None:
    sorting = make_workload("Sorting", world)
    set_for(summaries, OCTOBER, 100)
    set_for(sorting, SEPTEMBER, 40)

    with pytest.raises(NotAllowed, match="confirmed by somebody else"):
        services.transfer(actor=actor(world.cleo), giver=summaries, taker=sorting, month=NOVEMBER, amount=Decimal(30))
    services.transfer(actor=MACHINE, giver=summaries, taker=sorting, month=NOVEMBER, amount=Decimal(30))

    assert [amount_in(each, OCTOBER) for each in (summaries, sorting)] == [100, 40]
    assert [amount_in(each, NOVEMBER) for each in (summaries, sorting)] == [70, 70]


def test_a_command_transfers_nothing_alone_once_somebody_could_confirm(world: World, summaries: Workload) -> None:
    sorting = make_workload("Sorting", world)
    for owner in (summaries, sorting):
        services.set_budget(actor=MACHINE, owner=owner, month=OCTOBER, amount=Decimal(100))
    give(world.hana, Role.ADMINISTRATOR, by=world.ada)
    with pytest.raises(NotAllowed, match="confirmed by somebody else"):
        services.transfer(actor=MACHINE, giver=summaries, taker=sorting, month=OCTOBER, amount=Decimal(10))


@pytest.mark.parametrize(
    ("amount", "words"), [("101", "has 100 a month"), ("0", "has 100 a month"), ("-1", "A budget")]
)
def test_a_transfer_that_cannot_be_changes_neither_side(
    world: World, summaries: Workload, amount: str, words: str
) -> None:
    sorting = make_workload("Sorting", world)
    set_for(summaries, OCTOBER, 100)
    set_for(sorting, OCTOBER, 40)

    with pytest.raises(BadInput, match=words):
        services.transfer(actor=MACHINE, giver=summaries, taker=sorting, month=OCTOBER, amount=Decimal(amount))
    assert [amount_in(each, OCTOBER) for each in (summaries, sorting)] == [100, 40]


def test_a_transfer_is_atomic_and_takes_somebody_who_may_set_both(world: World, summaries: Workload) -> None:
    """The second side is signed against change or not Ben's: then the first one stays as well."""
    triage = make_workload("Triage", world, cost_centre=world.legal, business_owner=world.eve, budget_owner=world.eve)
    set_for(summaries, OCTOBER, 100)

    with pytest.raises(Conflict, match="Triage has no budget that holds"):
        services.transfer(actor=MACHINE, giver=summaries, taker=triage, month=OCTOBER, amount=Decimal(10))
    set_for(triage, OCTOBER, 40)
    told = {"giver": summaries, "taker": triage, "month": OCTOBER, "amount": Decimal(10)}
    for who in (world.ben, world.eve, world.cleo, world.hana):
        with pytest.raises(NotAllowed, match="You may not set the budget"):
            services.transfer(actor=actor(who), decision_id=1, **told)  # type: ignore[arg-type]
    services.suspend(actor=MACHINE, owner=triage, month=OCTOBER)
    with pytest.raises(Conflict):
        services.transfer(actor=MACHINE, giver=summaries, taker=triage, month=OCTOBER, amount=Decimal(10))
    assert [amount_in(each, OCTOBER) for each in (summaries, triage)] == [100, 40]
    assert Budget.objects.filter(workload=summaries).count() == 1


def test_a_signed_month_keeps_its_budget(summaries: Workload) -> None:
    set_for(summaries, SEPTEMBER, 100)
    sign(OCTOBER)

    for month in (SEPTEMBER, OCTOBER):
        with pytest.raises(BadInput, match="The budget of October 2026 would change, and that month is signed"):
            set_for(summaries, month, 50)
    set_for(summaries, NOVEMBER, 50)
    assert [amount_in(summaries, month) for month in (OCTOBER, NOVEMBER)] == [100, 50]


def test_before_a_signed_month_with_its_own_budget_an_open_one_may_still_change(summaries: Workload) -> None:
    set_for(summaries, OCTOBER, 100)
    sign(OCTOBER)

    set_for(summaries, SEPTEMBER, 70)

    assert [amount_in(summaries, month) for month in (SEPTEMBER, OCTOBER)] == [70, 100]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE budgets_budget SET amount = 1",
        "UPDATE budgets_budget SET state = 'suspended'",
        "DELETE FROM budgets_budget",
        INSERT + "SELECT workload_id, month, 2, -1, soft, hard, on_hard, 'superseded', '' FROM budgets_budget",
        INSERT + "SELECT workload_id, month, 2, 'NaN', soft, hard, on_hard, 'superseded', '' FROM budgets_budget",
        INSERT + "SELECT workload_id, month, 2, 5, soft, hard, on_hard, 'active', '' FROM budgets_budget",
        INSERT + "VALUES (NULL, '2026-10-01', 1, 5, 0.8, 1, 'tell', 'active', '')",
        INSERT + "SELECT workload_id, '2026-10-02', 1, 5, soft, hard, on_hard, 'active', '' FROM budgets_budget",
        INSERT + "SELECT workload_id, '2026-11-01', 1, 5, 0.9, 0.8, on_hard, 'active', '' FROM budgets_budget",
    ],
)
def test_the_database_refuses_what_no_budget_may_be(summaries: Workload, statement: str) -> None:
    set_for(summaries, OCTOBER, 100)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert [(row.amount, row.state) for row in Budget.objects.all()] == [(100, "active")]


def test_the_database_keeps_the_budget_of_a_signed_month(summaries: Workload) -> None:
    set_for(summaries, SEPTEMBER, 100)
    sign(OCTOBER)

    for statement in (
        "UPDATE budgets_budget SET state = 'superseded'",
        INSERT + "SELECT workload_id, '2026-10-01', 1, 5, soft, hard, on_hard, 'active', '' FROM budgets_budget",
    ):
        with pytest.raises(DatabaseError, match="A signed month keeps its budget"), transaction.atomic():
            connection.cursor().execute(statement)


@pytest.mark.parametrize("amount", ["-0.01", "NaN", "Infinity", "1E+20", "0.0000000000000000001"])
def test_an_amount_that_is_none_is_refused_in_words(summaries: Workload, amount: str) -> None:
    with pytest.raises(BadInput, match="A budget"):
        set_for(summaries, OCTOBER, amount)


@pytest.mark.parametrize(("soft", "hard"), [("0", "1"), ("1.1", "1"), ("-1", "1"), ("0.8", "11"), ("NaN", "1")])
def test_thresholds_out_of_order_are_refused_in_words(summaries: Workload, soft: str, hard: str) -> None:
    with pytest.raises(BadInput, match="The soft threshold"):
        set_for(summaries, OCTOBER, 100, soft=Decimal(soft), hard=Decimal(hard))


def test_a_stale_page_changes_nothing(summaries: Workload) -> None:
    seen = set_for(summaries, OCTOBER, 100)
    set_for(summaries, OCTOBER, 200, expected_id=seen.pk)

    with pytest.raises(Conflict, match="Somebody changed this budget"):
        set_for(summaries, OCTOBER, 300, expected_id=seen.pk)
    assert amount_in(summaries, OCTOBER) == 200


# --- Who may ----------------------------------------------------------------------------------------------------------

ALLOWED = {"ada": True, "ben": True, "cleo": True, "dan": False, "eve": False, "finn": False, "gus": False}


@pytest.mark.parametrize("name", ALLOWED)
def test_its_budget_owner_the_analysts_and_administrators_set_a_budget(
    world: World, summaries: Workload, name: str
) -> None:
    who = actor(world.people[name])

    assert services.may_set(who, summaries) is ALLOWED[name]
    if ALLOWED[name]:
        services.set_budget(actor=who, owner=summaries, month=OCTOBER, amount=Decimal(7))
    else:
        with pytest.raises(NotAllowed, match="You may not set the budget of Summaries"):
            services.set_budget(actor=who, owner=summaries, month=OCTOBER, amount=Decimal(7))


def test_an_analyst_sets_no_budget_beside_their_cost_centres(world: World) -> None:
    triage = make_workload("Triage", world, cost_centre=world.legal, business_owner=world.eve, budget_owner=world.eve)

    assert services.may_set(actor(world.cleo), world.care)
    for owner in (triage, world.legal):
        with pytest.raises(NotAllowed):
            services.set_budget(actor=actor(world.cleo), owner=owner, month=OCTOBER, amount=Decimal(7))


def test_a_reviewer_lowers_and_suspends_and_does_nothing_else(world: World, summaries: Workload) -> None:
    hana = actor(world.hana)
    set_for(summaries, OCTOBER, 100, soft=Decimal("0.5"))

    lowered = services.lower(actor=hana, owner=summaries, month=NOVEMBER, amount=Decimal(60))
    assert (lowered.amount, lowered.soft) == (60, Decimal("0.5"))
    with pytest.raises(NotAllowed, match="A review may only lower a budget"):
        services.lower(actor=hana, owner=summaries, month=NOVEMBER, amount=Decimal(61))
    assert services.suspend(actor=hana, owner=summaries, month=NOVEMBER).is_suspended
    for deed in (services.resume, services.end):
        with pytest.raises(NotAllowed):
            deed(actor=hana, owner=summaries, month=NOVEMBER)
    with pytest.raises(NotAllowed):
        services.set_budget(actor=hana, owner=summaries, month=NOVEMBER, amount=Decimal(10))


def test_what_a_review_lowers_stays_suspended_also_for_whoever_may_resume_it(world: World, summaries: Workload) -> None:
    set_for(summaries, OCTOBER, 100)
    services.suspend(actor=MACHINE, owner=summaries, month=NOVEMBER)

    lowered = services.lower(actor=MACHINE, owner=summaries, month=NOVEMBER, amount=Decimal(10))

    assert (lowered.amount, lowered.is_suspended) == (10, True)


def test_to_see_money_is_not_to_review_it_and_nobody_lowers_as_reviewer_what_they_own(
    world: World, summaries: Workload
) -> None:
    set_for(summaries, OCTOBER, 100)
    give(world.gus, Role.REVIEWER, world.legal, by=world.ada)
    give(world.gus, Role.PLATFORM_ENGINEER, world.operations, by=world.ada)
    Workload.objects.filter(pk=summaries.pk).update(technical_owner=world.hana)

    for person in (world.gus, world.hana):
        with pytest.raises(NotAllowed):
            services.lower(actor=actor(person), owner=summaries, month=NOVEMBER, amount=Decimal(60))


def test_whoever_sees_no_money_sees_no_burn(world: World, summaries: Workload) -> None:
    set_for(summaries, OCTOBER, 100)

    assert selectors.burn_for(actor=actor(world.ben), workload=summaries, month=OCTOBER).amount == 100
    for name in ("eve", "gus"):
        with pytest.raises(NotFound):
            selectors.burn_for(actor=actor(world.people[name]), workload=summaries, month=OCTOBER)
        assert not Budget.objects.visible_to(actor(world.people[name])).exists()


# --- By file and by program -------------------------------------------------------------------------------------------

NO_MONTHS = "2026-1 2026-13 2026-00 0000-01 2026-11-01 2026-W45 202611 2026-02-30 epoch infinity -infinity now today"


@pytest.mark.parametrize("month", NO_MONTHS.split())
def test_what_is_no_month_sets_no_budget_and_least_of_all_that_of_this_month(summaries: Workload, month: str) -> None:
    text = f"workload,month,amount\nSummaries,{month},700\n".encode()
    lines = read_table(text, columns=csv_import.COLUMNS, required=csv_import.REQUIRED)
    (row,) = csv_import.import_budgets(actor=MACHINE, lines=lines, dry_run=False).rows
    assert (row.kind, f"“{month}” is no month. Write it like 2026-11." in row.error) == (Kind.ERROR, True)
    assert not Budget.objects.exists()


# --- What it may spend, as registered ---------------------------------------------------------------------------------


def test_what_a_registration_said_becomes_the_budget_once(world: World) -> None:
    workload = make_workload("Told", world, monthly_spend_expected=Decimal(4000))

    assert services.adopt_registered(actor=MACHINE) == 1
    assert services.adopt_registered(actor=MACHINE) == 0
    budget = selectors.budgets_at(OCTOBER)[workload.pk]
    assert (budget.amount, budget.month, budget.reason) == (4000, OCTOBER, "What it may spend, as registered.")


def test_a_budget_that_was_ended_is_not_adopted_again(world: World) -> None:
    workload = make_workload("Told", world, monthly_spend_expected=Decimal(4000))
    services.adopt_registered(actor=MACHINE)
    services.end(actor=MACHINE, owner=workload, month=NOVEMBER)

    assert services.adopt_registered(actor=MACHINE) == 0
    assert amount_in(workload, NOVEMBER) is None


def test_what_was_registered_in_a_signed_month_begins_after_it(world: World) -> None:
    workload = make_workload("Told", world, monthly_spend_expected=Decimal(4000))
    sign(OCTOBER)

    services.adopt_registered(actor=MACHINE)

    assert amount_in(workload, OCTOBER) is None
    assert amount_in(workload, NOVEMBER) == 4000


def test_a_draft_and_a_use_case_that_said_nothing_have_no_budget(world: World) -> None:
    make_workload("Draft", world, state=Workload.State.DRAFT, monthly_spend_expected=Decimal(4000))
    make_workload("Silent", world)

    assert services.adopt_registered(actor=MACHINE) == 0


# --- What a review has capped -----------------------------------------------------------------------------------------


def test_what_a_review_capped_is_lowered_alone_and_raised_by_a_decision(world: World, summaries: Workload) -> None:
    set_for(summaries, OCTOBER, 100)
    services.lower(actor=actor(world.hana), owner=summaries, month=NOVEMBER, amount=Decimal(60))
    ben = actor(world.ben)

    with pytest.raises(NotAllowed, match="capped the budget of Summaries at 60 a month"):
        services.set_budget(actor=ben, owner=summaries, month=DECEMBER, amount=Decimal("60.01"))
    with pytest.raises(NotAllowed, match="it does not end"):
        services.end(actor=ben, owner=summaries, month=NOVEMBER)
    services.set_budget(actor=ben, owner=summaries, month=NOVEMBER, amount=Decimal(40))
    services.set_budget(actor=ben, owner=summaries, month=NOVEMBER, amount=Decimal(60))
    with pytest.raises(DatabaseError, match="takes the decision of somebody else"), transaction.atomic():
        services.set_budget(actor=ben, owner=summaries, month=NOVEMBER, amount=Decimal(80), decision_id=1)
    gia = approver(world)
    confirm(ask(summaries, world.ben, "budget", {"month": NOVEMBER, "amount": Decimal(80)}), gia)
    services.set_budget(actor=ben, owner=summaries, month=OCTOBER, amount=Decimal(150))

    assert [amount_in(summaries, month) for month in (OCTOBER, NOVEMBER, DECEMBER)] == [150, 80, 80]
    assert [selectors.cap_at(summaries, month) for month in (OCTOBER, DECEMBER)] == [None, 80]


def test_a_cap_at_what_it_has_is_a_cap_too(world: World, summaries: Workload) -> None:
    set_for(summaries, OCTOBER, 100)
    services.lower(actor=actor(world.hana), owner=summaries, month=OCTOBER, amount=Decimal(100))
    services.lower(actor=actor(world.hana), owner=summaries, month=OCTOBER, amount=Decimal(100))

    assert selectors.cap_at(summaries, OCTOBER) == 100
    assert [row.version for row in selectors.history_of(summaries)] == [2, 1]


def test_no_transfer_lifts_a_cap(world: World, summaries: Workload) -> None:
    sorting = make_workload("Sorting", world)
    set_for(sorting, OCTOBER, 50)
    set_for(summaries, OCTOBER, 100)
    services.lower(actor=actor(world.hana), owner=sorting, month=OCTOBER, amount=Decimal(50))

    with pytest.raises(NotAllowed, match="capped the budget of Sorting"):
        services.transfer(
            actor=MACHINE, giver=summaries, taker=sorting, month=OCTOBER, amount=Decimal(1), decision_id=1
        )
    assert [amount_in(each, OCTOBER) for each in (summaries, sorting)] == [100, 50]

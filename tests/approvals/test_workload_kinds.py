"""What the owners of a use case do not do alone: choose who decides, rename what is counted, undo a review."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Role
from apps.approvals import kind as kinds
from apps.approvals import selectors
from apps.approvals.proposing import edit_card
from apps.budgets import selectors as budget_selectors
from apps.budgets import services as budgets
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import AuditEvent
from apps.workloads import services as workloads
from apps.workloads.models import Workload, WorkloadRevision
from tests.approvals.deciding import approver, ask, ask_tier, confirm, registered, state_of
from tests.books import make_workload
from tests.economics.ledger import attested, make_ledger, write_case
from tests.world import MACHINE, World, actor, give, log_in

pytestmark = pytest.mark.django_db
NOVEMBER = date(2026, 11, 1)


def now(workload: Workload) -> Workload:
    return Workload.objects.get(pk=workload.pk)


# --- Where it belongs -------------------------------------------------------------------------------------------------


def test_an_owner_does_not_choose_whose_roles_reach_the_use_case(world: World) -> None:
    """Gus approves in Legal, where it would go; Hana reviews where it is, and she decides."""
    workload = registered(world)
    with pytest.raises(NotAllowed, match="Cost centre of a registered use case is confirmed by somebody else"):
        workloads.edit(actor=actor(world.ben), workload=workload, cost_centre=world.legal)

    waiting = ask(workload, world.ben, "cost_centre", {"cost_centre": world.legal})
    assert not selectors.may_decide(actor(world.gus), waiting)
    confirm(waiting, world.hana)

    assert now(workload).cost_centre == world.legal
    with pytest.raises(BadInput, match="Nothing would change"):
        ask(now(workload), world.ben, "cost_centre", {"cost_centre": world.legal})


def test_a_draft_goes_where_its_owner_says(world: World) -> None:
    draft = workloads.start_draft(actor=actor(world.ben), name="Idea", cost_centre=world.care)

    assert edit_card(actor=actor(world.ben), workload=draft, reason="", values={"cost_centre": world.legal}) == []
    assert now(draft).cost_centre == world.legal


def test_what_waits_is_another_question_once_the_use_case_or_its_cost_centre_has_moved(world: World) -> None:
    for move in ("workload", "tree"):
        workload = registered(world, f"Moved by {move}")
        waiting = ask_tier(workload, world.ben)
        if move == "workload":
            confirm(ask(workload, world.ben, "cost_centre", {"cost_centre": world.legal}), world.hana)
        else:
            accounts.move_cost_centre(actor=MACHINE, centre=world.care, parent=world.legal)

        assert selectors.has_moved(selectors.proposals([waiting])[0])
        with pytest.raises(Conflict, match="What stands has changed"):
            confirm(waiting, world.gus)


def test_a_cost_centre_is_moved_by_two_administrators(world: World) -> None:
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)
    with pytest.raises(NotAllowed, match="moved by one administrator and confirmed by another"):
        accounts.move_cost_centre(actor=actor(world.ada), centre=world.care, parent=world.legal)
    with pytest.raises(BadInput, match="circle"):
        ask(world.operations, world.ada, "centre_move", {"parent": world.care})

    waiting = ask(world.care, world.ada, "centre_move", {"parent": world.legal})
    world.care.refresh_from_db()
    assert world.care.parent == world.operations
    with pytest.raises(NotAllowed, match="You asked for this"):
        confirm(waiting, world.ada)
    confirm(waiting, world.eve)

    world.care.refresh_from_db()
    assert (world.care.parent, world.care.path) == (world.legal, f"/{world.legal.pk}/{world.care.pk}/")
    assert AuditEvent.objects.get(verb="moved cost centre").data["decision"] == waiting.decision.pk


# --- What is counted --------------------------------------------------------------------------------------------------


def test_what_one_useful_answer_is_changes_only_once_somebody_else_has_seen_what_counts_by_it(world: World) -> None:
    ledger = make_ledger(world)
    WorkloadRevision.objects.create(workload=ledger.workload, version=1)
    attested(ledger)
    gia = approver(world)
    with pytest.raises(NotAllowed, match="Useful answer of a registered use case"):
        workloads.edit(actor=actor(world.ben), workload=ledger.workload, output_unit="word")

    waiting = ask(ledger.workload, world.ben, "output_unit", {"output_unit": "word"})
    said = [(row.label, row.before, row.after) for row in selectors.rows_of(selectors.proposals([waiting])[0])]
    confirm(waiting, gia)

    assert said == [
        ("Useful answer", "answer", "word"),
        ("Attested value case", "counts each answer", "goes on with the same figures, and counts each word"),
    ]
    assert now(ledger.workload).output_unit == "word"


def test_whoever_attests_reads_dates_in_words_and_opens_the_evidence(world: World) -> None:
    ledger, gia = make_ledger(world), approver(world)
    case = write_case(
        ledger,
        valid_from=date(2026, 1, 5),
        expires=date(2027, 1, 1),
        evidence_link="https://wiki.example/study",
    )
    waiting = ask(case, world.ben, "attestation", {})
    said = {row.label: row.before for row in selectors.rows_of(selectors.proposals([waiting])[0])}
    assert (said["Counts from"], said["Until"]) == ("5 Jan 2026", "1 Jan 2027")
    page = log_in(gia).get(f"/inbox/{waiting.pk}/").content.decode()
    assert '<a href="https://wiki.example/study" rel="noopener noreferrer">' in page


def test_an_attestation_is_about_what_its_use_case_counts(world: World) -> None:
    ledger, gia, gil = make_ledger(world), approver(world), approver(world, "Gil Rossi")
    waiting = ask(write_case(ledger), world.ben, "attestation", {})
    confirm(ask(ledger.workload, world.ben, "output_unit", {"output_unit": "word"}), gia)

    with pytest.raises(Conflict, match="What stands has changed"):
        confirm(waiting, gil)


# --- A mandate --------------------------------------------------------------------------------------------------------


def test_whoever_answers_for_a_mandate_does_not_confirm_it(world: World) -> None:
    """Neither the one who would answer for it, nor the one who does when it ends."""
    workload, gia, gil = registered(world), approver(world), approver(world, "Gil Rossi")
    until = timezone.now().date() + timedelta(days=90)
    waiting = ask(
        workload, world.ben, "mandate", {"mandated_reason": "Law", "mandated_by": gia, "mandated_until": until}
    )
    with pytest.raises(NotAllowed, match="You are named in this"):
        confirm(waiting, gia)
    confirm(waiting, gil)

    over = {"mandated_reason": "", "mandated_by": None, "mandated_until": None}
    with pytest.raises(NotAllowed, match="You are named in this"):
        confirm(ask(workload, world.ben, "mandate", over), gia)


# --- What a review decided --------------------------------------------------------------------------------------------


def test_what_a_review_stopped_goes_on_once_somebody_else_has_confirmed_it(world: World) -> None:
    workload, gia = registered(world), approver(world)
    with pytest.raises(BadInput, match="neither suspended nor being switched off"):
        ask(workload, world.ben, "resume", {})
    workloads.tighten(actor=actor(world.hana), workload=workload, reason="It lost money", suspend=True, sunset=True)
    with pytest.raises(NotAllowed, match="being switched off"):
        workloads.edit(actor=actor(world.ben), workload=workload, stage="production")
    with pytest.raises(BadInput, match="at which stage"):
        ask(workload, world.ben, "resume", {"stage": "sunset"})

    waiting = ask(workload, world.ben, "resume", {"stage": "pilot"})
    assert (now(workload).state, now(workload).stage) == ("suspended", "sunset")
    confirm(waiting, gia)

    assert (now(workload).state, now(workload).stage) == ("active", "pilot")


def test_a_cap_is_raised_by_what_was_confirmed_and_no_more(world: World) -> None:
    workload, gia = registered(world), approver(world)
    budgets.set_budget(actor=MACHINE, owner=workload, month=NOVEMBER, amount=Decimal(100))
    asked = {"month": NOVEMBER, "amount": Decimal(80)}
    with pytest.raises(BadInput, match="No review has capped"):
        ask(workload, world.ben, "budget", asked)
    budgets.lower(actor=actor(world.hana), owner=workload, month=NOVEMBER, amount=Decimal(60))

    confirm(ask(workload, world.ben, "budget", asked), gia)

    assert budget_selectors.budgets_at(NOVEMBER)[workload.pk].amount == 80
    assert budget_selectors.cap_at(workload, NOVEMBER) == 80


def test_nothing_moves_between_budgets_before_somebody_else_has_confirmed_it(world: World) -> None:
    """Gia owns what would gain by it, so Gil decides."""
    giver, gia, gil = registered(world), approver(world), approver(world, "Gil Rossi")
    taker = make_workload("Sorting", world, technical_owner=gia)
    for owner, amount in ((giver, 100), (taker, 40)):
        budgets.set_budget(actor=MACHINE, owner=owner, month=NOVEMBER, amount=Decimal(amount))
    move = {"taker": taker, "month": NOVEMBER, "amount": Decimal(30)}
    with pytest.raises(NotAllowed):
        ask(giver, world.eve, "budget_transfer", move)

    waiting = ask(giver, world.ben, "budget_transfer", move)
    with pytest.raises(NotAllowed, match="You would receive this"):
        confirm(waiting, gia)
    confirm(waiting, gil)

    held = budget_selectors.budgets_at(NOVEMBER)
    assert [held[each.pk].amount for each in (giver, taker)] == [70, 70]
    assert state_of(waiting) == "confirmed"
    stale = ask(giver, world.ben, "budget_transfer", move)
    budgets.set_budget(actor=MACHINE, owner=taker, month=NOVEMBER, amount=Decimal(500))
    with pytest.raises(Conflict, match="What stands has changed"):
        confirm(stale, gil)


def test_what_concerns_the_whole_organisation_says_so() -> None:
    assert [known.name for known in kinds.registry().values() if known.of_all] == ["reopen", "waiver"]

"""A change waits for somebody else, who lets it happen or not; what was seen is what happens."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.freshness import SessionTooOld
from apps.accounts.models import Role, RoleGrant
from apps.approvals import kind as kinds
from apps.approvals import selectors, services
from apps.approvals.models import Barred, Confirmation, Decision
from apps.catalog.models import LatencyBand
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import AuditEvent
from apps.workloads import services as workloads
from apps.workloads.selectors import promise_of
from tests.approvals.deciding import approver, ask, ask_tier, confirm, refuse, registered, state_of, tier
from tests.world import MACHINE, World, actor, give, make_account, make_member

pytestmark = pytest.mark.django_db


def test_the_kinds_are_found_by_being_there() -> None:
    assert {"tier", "band", "failure_cost", "mandate", "contract_rate", "role"} <= set(kinds.registry())
    for known in kinds.registry().values():
        assert known.label
        assert kinds.roles_with(known.deciders)


def test_a_proposed_tier_counts_only_once_somebody_else_confirmed_it(world: World) -> None:
    workload, gia = registered(world), approver(world)

    waiting = ask_tier(workload, world.ben)
    assert promise_of(workload).value_tier_id == "T3"
    decision = confirm(waiting, gia)

    stands = promise_of(workload)
    assert (stands.value_tier_id, stands.reason, stands.recorded_by) == ("T1", "Agents rely on it", world.ben)
    assert stands.decision_id == decision.pk
    assert state_of(waiting) == "confirmed"
    assert [e.verb for e in AuditEvent.objects.order_by("pk")][-3:] == [
        "asked for confirmation",
        "changed promise",
        "confirmed",
    ]


@pytest.mark.parametrize("attempt", [confirm, lambda waiting, by: refuse(waiting, by, reason="Not so")])
def test_who_tries_to_decide_what_is_not_theirs_stands_in_the_trail(world: World, attempt: Any) -> None:
    workload = registered(world)
    waiting = ask_tier(workload, world.ben)

    with pytest.raises(NotAllowed):
        attempt(waiting, world.ben)

    event = AuditEvent.objects.latest("pk")
    assert (event.verb, event.person_id) == ("was not let decide", world.ben.pk)
    assert "somebody else decides" in event.data["why"]
    assert state_of(waiting) == "waiting"


def test_a_refusal_says_why_and_changes_nothing(world: World) -> None:
    workload, gia = registered(world), approver(world)
    waiting = ask_tier(workload, world.ben)

    with pytest.raises(BadInput, match="Say why"):
        refuse(waiting, gia, reason="  ")
    decision = refuse(waiting, gia, reason="T2 is enough")

    assert decision.reason == "T2 is enough"
    assert state_of(waiting) == "refused"
    assert promise_of(workload).value_tier_id == "T3"
    with pytest.raises(Conflict, match="refused in the meantime"):
        confirm(waiting, approver(world, "Gil Rossi"))


def test_whoever_asks_does_not_confirm_but_takes_it_back(world: World) -> None:
    workload = registered(world)
    give(world.ben, Role.APPROVER, world.operations, by=world.ada)
    waiting = ask_tier(workload, world.ben)

    for decide in (confirm, refuse):
        with pytest.raises(NotAllowed, match="You asked for this"):
            decide(waiting, world.ben)
    assert services.withdraw(actor=actor(world.ben), confirmation=waiting).state == "withdrawn"
    with pytest.raises(NotAllowed, match="Only whoever asked"):
        services.withdraw(actor=actor(world.eve), confirmation=waiting)


def test_a_second_account_is_the_same_person(world: World) -> None:
    workload = registered(world)
    give(world.ben, Role.APPROVER, world.operations, by=world.ada)
    second = make_account(world.ben, "ben.second@example.com")
    waiting = ask_tier(workload, world.ben)

    with pytest.raises(NotAllowed, match="You asked for this"):
        confirm(waiting, second.person)


def test_somebody_who_edited_one_field_is_barred(world: World) -> None:
    """Cleo owned it for a day and corrected a word of the card; that is enough, though it is Dan's again."""
    workload = registered(world)
    give(world.cleo, Role.APPROVER, world.operations, by=world.ada)
    workloads.edit(actor=actor(world.ben), workload=workload, technical_owner=world.cleo)
    workloads.edit(actor=actor(world.cleo), workload=workload, purpose="Four lines instead of a thread")
    workloads.edit(actor=actor(world.ben), workload=workload, technical_owner=world.dan)
    waiting = ask_tier(workload, world.ben)

    with pytest.raises(NotAllowed, match="You edited the use case in the last 90 days"):
        confirm(waiting, world.cleo)


def test_editing_after_it_was_asked_for_bars_too(world: World) -> None:
    workload = registered(world)
    give(world.cleo, Role.APPROVER, world.operations, by=world.ada)
    waiting = ask_tier(workload, world.ben)
    assert selectors.may_decide(actor(world.cleo), waiting)

    workloads.edit(actor=actor(world.ben), workload=workload, technical_owner=world.cleo)
    workloads.edit(actor=actor(world.ben), workload=workload, technical_owner=world.dan)

    assert not selectors.may_decide(actor(world.cleo), waiting)


def test_hand_over_confirm_and_take_back_fails(world: World) -> None:
    """Gia owns it for a moment, and Ben, who handed it over, remains barred as well."""
    workload, gia = registered(world), approver(world)
    give(world.ben, Role.APPROVER, world.operations, by=world.ada)
    workloads.edit(actor=actor(world.ben), workload=workload, business_owner=gia)
    workloads.edit(actor=actor(world.dan), workload=workload, business_owner=world.eve, budget_owner=world.eve)
    waiting = ask_tier(workload, world.eve)

    for former in (gia, world.ben):
        with pytest.raises(NotAllowed, match=r"You (own|edited) the use case"):
            confirm(waiting, former)


def test_what_somebody_did_91_days_ago_bars_no_more(world: World) -> None:
    workload, gia = registered(world), approver(world)
    Barred.objects.create(person=gia, workload=workload, why="edited", since=timezone.now() - timedelta(days=91))
    waiting = ask_tier(workload, world.ben)

    assert selectors.may_decide(actor(gia), waiting)
    Barred.objects.create(person=gia, workload=workload, why="edited", since=timezone.now() - timedelta(days=89))
    assert not selectors.may_decide(actor(gia), waiting)


def test_another_proposal_takes_the_place_and_bars_whoever_wrote_the_first(world: World) -> None:
    workload, gia = registered(world), approver(world)
    give(world.dan, Role.APPROVER, world.operations, by=world.ada)
    first = ask_tier(workload, world.ben, "T1")
    second = ask_tier(workload, world.dan, "T2")

    assert (state_of(first), second.replaces) == ("void", first)
    with pytest.raises(Conflict, match="replaced in the meantime"):
        confirm(first, gia)
    assert {(b.person, b.why) for b in second.barred.all()} == {(world.dan, "asked"), (world.ben, "wrote")}
    confirm(second, gia)
    assert promise_of(workload).value_tier_id == "T2"


def test_asking_the_same_twice_is_one_proposal(world: World) -> None:
    workload = registered(world)

    assert ask_tier(workload, world.ben) == ask_tier(workload, world.ben)
    assert Confirmation.objects.count() == 1


def test_a_stale_page_decides_nothing(world: World) -> None:
    workload, gia = registered(world), approver(world)
    seen = ask_tier(workload, world.ben, "T1").digest
    waiting = ask_tier(workload, world.ben, "T2")

    with pytest.raises(Conflict, match="not what you saw"):
        confirm(waiting, gia, digest=seen)


def test_what_stands_has_moved_since(world: World) -> None:
    """Two kinds of one workload do not get into each other's way; the same field changed otherwise does."""
    workload, gia = registered(world), approver(world)
    tier_waits = ask_tier(workload, world.ben)
    band_waits = ask(workload, world.ben, "band", {"latency_band": LatencyBand.objects.get(code="scheduled")})
    confirm(band_waits, gia)
    confirm(tier_waits, gia)
    assert (promise_of(workload).value_tier_id, promise_of(workload).latency_band_id) == ("T1", "scheduled")

    again = ask(workload, world.ben, "band", {"latency_band": LatencyBand.objects.get(code="batch")})
    Confirmation.objects.filter(pk=again.pk)
    assert not selectors.has_moved(selectors.proposals([again])[0])


def test_pressing_twice_decides_once(world: World) -> None:
    workload, gia = registered(world), approver(world)
    waiting = ask_tier(workload, world.ben)

    assert confirm(waiting, gia) == confirm(waiting, gia)
    assert Decision.objects.count() == 1
    with pytest.raises(Conflict, match="confirmed in the meantime"):
        refuse(waiting, gia)


@pytest.mark.parametrize("channel", ["api", "command", "task", "system"])
def test_tokens_commands_and_tasks_decide_nothing(world: World, channel: str) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)

    for who in (Actor(gia.pk, gia.name, channel), MACHINE):  # type: ignore[arg-type]
        with pytest.raises(NotAllowed, match="A person decides, at a page"):
            confirm(waiting, gia, actor=who)


@pytest.mark.parametrize("ago", [None, timedelta(minutes=15, seconds=1), -timedelta(minutes=2)])
def test_deciding_takes_a_session_that_logged_in_again(world: World, ago: timedelta | None) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)

    with pytest.raises(SessionTooOld, match="Log in again"):
        confirm(waiting, gia, session_fresh_at=ago and timezone.now() - ago)
    confirm(waiting, gia, session_fresh_at=timezone.now() - timedelta(minutes=14, seconds=50))


def test_a_role_in_another_cost_centre_decides_nothing(world: World) -> None:
    waiting = ask_tier(registered(world), world.ben)

    with pytest.raises(NotAllowed, match="decided by the role Approver or Reviewer"):
        confirm(waiting, world.gus)


def test_a_role_that_one_gave_oneself_does_not_count(world: World) -> None:
    waiting = ask_tier(registered(world), world.ben)
    give(world.ada, Role.APPROVER, by=world.ada)

    assert not selectors.may_decide(actor(world.ada), waiting)


def test_a_reviewer_stands_in_only_where_no_approver_can(world: World) -> None:
    """Hana reviews Operations; nobody there is approver until Gia is, and she counts for what is asked after that."""
    workload = registered(world)
    waiting = ask_tier(workload, world.ben)
    table = selectors.table_of(waiting)
    assert ([seat.name for seat in table.may], table.is_standing_in) == (["Hana Ito"], True)

    gia = approver(world)
    assert not selectors.may_decide(actor(gia), waiting)
    waiting = ask_tier(workload, world.ben, "T2")
    assert selectors.may_decide(actor(gia), waiting)
    assert not selectors.may_decide(actor(world.hana), waiting)
    RoleGrant.objects.filter(person=gia).update(valid_to=timezone.now())
    confirm(waiting, world.hana)


def test_nobody_can_and_the_page_is_told_so(world: World) -> None:
    RoleGrant.objects.filter(person=world.hana).update(valid_to=timezone.now())
    waiting = ask_tier(registered(world), world.ben)

    table = selectors.table_of(waiting)

    assert table.may == []
    assert {seat.name: seat.why_not for seat in table.barred} == {
        "Ben Okoro": "asked for it",
        "Dan Reyes": "owned it in the 90 days before, or since",
    }
    assert state_of(waiting) == "waiting"


def test_a_decider_who_left_decides_nothing_and_what_they_decided_stays(world: World) -> None:
    workload, gia = registered(world), approver(world)
    waiting = ask_tier(workload, world.ben)
    confirm(waiting, gia)
    other = ask(workload, world.ben, "failure_cost", {"failure_cost": Decimal(9)})

    accounts.deactivate_person(actor=MACHINE, person=gia)

    with pytest.raises(NotAllowed):
        confirm(other, gia)
    assert state_of(waiting) == "confirmed"


def test_a_role_that_ended_between_look_and_click_is_refused(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)
    accounts.end_role(actor=MACHINE, grant=RoleGrant.objects.get(person=gia))

    with pytest.raises(NotAllowed, match="decided by the role"):
        confirm(waiting, gia)


def test_whoever_asked_and_left_asks_for_nothing_any_more(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)
    accounts.deactivate_person(actor=MACHINE, person=world.ben)

    with pytest.raises(Conflict, match="no longer here"):
        confirm(waiting, gia)
    assert services.withdraw(actor=actor(world.dan), confirmation=waiting).state == "withdrawn"


def test_only_a_person_asks_and_only_one_who_may(world: World) -> None:
    workload = registered(world)

    for who in (MACHINE, actor(world.eve)):
        with pytest.raises(NotAllowed):
            services.ask(actor=who, kind="tier", subject=workload, proposed={"value_tier": tier("T1")}, reason="x")
    with pytest.raises(BadInput, match="Nothing would change"):
        ask_tier(workload, world.ben, "T3")
    with pytest.raises(BadInput, match="Say why"):
        ask_tier(workload, world.ben, reason=" ")
    with pytest.raises(BadInput, match="is no kind of change"):
        ask(workload, world.ben, "colour", {})


def test_a_draft_needs_nobody_else(world: World) -> None:
    draft = workloads.start_draft(actor=actor(world.ben), name="Idea", value_tier=tier("T3"))
    workloads.save_draft(actor=actor(world.ben), workload=draft, value_tier=tier("T1"))

    with pytest.raises(BadInput, match="is a draft"):
        ask_tier(draft, world.ben)
    workloads.discard_draft(actor=actor(world.ben), workload=draft)


def test_a_mandate_is_whole_and_lies_ahead(world: World) -> None:
    workload, gia = registered(world), approver(world)
    until = timezone.now().date() + timedelta(days=90)
    whole = {"mandated_reason": "Required by law", "mandated_by": world.ben, "mandated_until": until}

    with pytest.raises(BadInput, match="a reason, somebody who answers"):
        ask(workload, world.ben, "mandate", {"mandated_reason": "Required by law"})
    with pytest.raises(BadInput, match="ended already"):
        ask(workload, world.ben, "mandate", {**whole, "mandated_until": until - timedelta(days=91)})
    waiting = ask(workload, world.ben, "mandate", whole)
    assert not promise_of(workload).is_mandated(until)
    confirm(waiting, gia)

    assert promise_of(workload).is_mandated(until)
    assert not promise_of(workload).is_mandated(until + timedelta(days=1))
    ended = dict.fromkeys(whole) | {"mandated_reason": ""}
    confirm(ask(workload, world.ben, "mandate", ended), gia)
    assert promise_of(workload).mandated_until is None


def test_a_role_is_given_by_one_administrator_and_confirmed_by_another(world: World) -> None:
    give(world.finn, Role.ADMINISTRATOR, by=world.ada)
    with pytest.raises(NotAllowed, match="confirmed by another"):
        accounts.grant_role(actor=actor(world.ada), person=world.eve, role=Role.REVIEWER)

    waiting = ask(world.eve, world.ada, "role", {"role": "reviewer", "cost_centre": world.care})
    assert not world.eve.grants.exists()
    confirm(waiting, world.finn)

    grant = world.eve.grants.get()
    assert (grant.role, grant.cost_centre, grant.granted_by) == ("reviewer", world.care, world.ada)
    assert grant.decision_id == waiting.decision.pk


def test_nobody_confirms_a_role_of_their_own(world: World) -> None:
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)
    waiting = ask(world.eve, world.ada, "role", {"role": "approver"})

    with pytest.raises(NotAllowed, match="You would receive this"):
        confirm(waiting, world.eve)


def test_where_one_administrator_is_left_an_auditor_confirms_roles(world: World) -> None:
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)
    accounts.end_role(actor=MACHINE, grant=RoleGrant.objects.get(person=world.eve))
    assert not accounts.is_founding()

    waiting = ask(world.eve, world.ada, "role", {"role": "administrator"})

    assert [seat.name for seat in selectors.table_of(waiting).may] == ["Finn Weber"]
    confirm(waiting, world.finn)
    assert world.eve.grants.in_force().exists()


def test_while_one_person_has_ever_been_administrator_they_give_roles_alone(world: World) -> None:
    assert accounts.is_founding()
    accounts.grant_role(actor=actor(world.ada), person=world.eve, role=Role.ADMINISTRATOR)

    assert not accounts.is_founding()
    for giver in (actor(world.ada), MACHINE):
        with pytest.raises(NotAllowed, match="confirmed by another"):
            accounts.grant_role(actor=giver, person=world.ben, role=Role.ANALYST)


def test_what_is_asked_for_cannot_be_what_could_never_be_given(world: World) -> None:
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)

    with pytest.raises(BadInput, match="whole organisation"):
        ask(world.ben, world.ada, "role", {"role": "auditor", "cost_centre": world.care})
    with pytest.raises(Conflict, match="already"):
        ask(world.cleo, world.ada, "role", {"role": "analyst", "cost_centre": world.operations})
    assert not RoleGrant.objects.filter(person=world.ben).exists()


def test_an_applied_change_that_is_no_longer_possible_leaves_no_decision(world: World) -> None:
    """The cost centre closes between asking and confirming: all of it is taken back."""
    give(world.finn, Role.ADMINISTRATOR, by=world.ada)
    waiting = ask(world.eve, world.ada, "role", {"role": "reviewer", "cost_centre": world.care})
    accounts.change_cost_centre_activity(actor=actor(world.ada), centre=world.care, active=False)

    with pytest.raises(Conflict, match="closed"):
        confirm(waiting, world.finn)
    assert state_of(waiting) == "waiting"
    assert not Decision.objects.exists()


def test_an_outsider_sees_nothing_of_it(world: World) -> None:
    waiting = ask_tier(registered(world), world.ben)
    stranger = make_member("Sam Stone")

    assert waiting not in selectors.visible(actor(stranger))
    assert waiting not in selectors.visible(actor(world.gus))
    for sees in (world.ben, world.dan, world.hana, world.finn, world.ada):
        assert waiting in selectors.visible(actor(sees))

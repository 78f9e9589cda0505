"""A decision takes effect when it is recorded, is written once, and only keeps or tightens."""

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Person, Role
from apps.budgets import services as budgets
from apps.budgets.models import Budget
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import AuditEvent
from apps.reviews import services as reviews
from apps.reviews.models import Action, Disposition, Item, Measurement
from apps.reviews.services import StaleItem, Told
from apps.workloads.models import Workload
from tests.books import at
from tests.economics.ledger import came_out, settle, spend
from tests.reviews.meeting import LAST_OF_NOVEMBER, NOVEMBER, NOW, OCTOBER, Meeting, spend_nobodys
from tests.world import MACHINE, actor, give, log_in, make_member

DECEMBER, JANUARY = date(2026, 12, 1), date(2027, 1, 1)


def test_suspending_stops_the_workload_at_once(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")

    disposition = meeting.decide(item, "suspend", reason="Loses money in every case")

    workload = Workload.objects.get(pk=meeting.labels.workload.pk)
    item.refresh_from_db()
    assert workload.state == Workload.State.SUSPENDED
    assert item.state == Item.State.DECIDED
    assert disposition.effect == [{"field": "state", "before": "active", "after": "suspended", "starts": None}]
    assert AuditEvent.objects.filter(verb="decided in review", person_id=meeting.nora.pk).count() == 1


def test_what_is_decided_for_somebody_says_so_on_page_in_pack_minutes_and_trail(meeting: Meeting) -> None:
    """Nora and Olaf are away, Eve acts for both; Labels is Nora's by now, so that it is decided for Olaf alone."""
    cycle, eve = meeting.open(), meeting.world.eve
    for holder in (meeting.nora, meeting.olaf):
        act_for(holder, eve)
    Workload.objects.filter(pk=meeting.labels.workload.pk).update(budget_owner=meeting.nora)
    meeting.decide(meeting.item(cycle, "stop"), "suspend", by=eve)
    meeting.decide(meeting.item(cycle, "unallocated"), "continue", by=eve)
    client, stop = log_in(meeting.nora), meeting.item(cycle, "stop")
    page = client.get(reverse("reviews:item", args=["2026-10", stop.pk])).content.decode()

    assert list(Disposition.objects.values_list("by", "acted_for")) == [
        (eve.pk, meeting.olaf.pk), (eve.pk, meeting.nora.pk),
    ]  # fmt: skip
    assert "Eve Stone for Olaf Rank, " in page
    events = AuditEvent.objects.filter(verb__in=("decided in review", "tightened workload"))
    assert sorted(event.data["acted_for"] for event in events) == [meeting.nora.pk, meeting.olaf.pk, meeting.olaf.pk]
    meeting.decide_all(cycle)
    minutes = client.get(reverse("reviews:minutes", args=["2026-10"])).content.decode()
    assert "Eve Stone for Olaf Rank" in minutes
    assert "Eve Stone for Nora Quist" in minutes
    items = json.loads(meeting.sign(cycle, by=meeting.olaf).body)["items"]
    assert [each["acted_for"] for item in items if item["id"] == stop.pk for each in item["dispositions"]] == [
        meeting.olaf.pk
    ]


def test_what_is_decided_by_a_role_of_ones_own_names_nobody_else(meeting: Meeting) -> None:
    cycle = meeting.open()
    act_for(meeting.nora, meeting.olaf)
    meeting.decide(meeting.item(cycle, "stop"), "suspend", by=meeting.olaf)
    meeting.decide_all(cycle)

    assert set(Disposition.objects.values_list("acted_for", flat=True)) == {None}
    assert "acted_for" not in meeting.sign(cycle, by=meeting.olaf).body
    assert not AuditEvent.objects.filter(data__has_key="acted_for").exists()


def act_for(holder: Person, to: Person) -> None:
    now = timezone.now()
    told: dict[str, Any] = {"valid_from": None, "valid_to": now + timedelta(days=7), "session_fresh_at": now}
    accounts.pass_on(actor=actor(holder), grant=holder.grants.get(), to=to, **told)


def test_the_preview_is_what_happens(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")
    told = Told("sunset", "It ends.", owner=meeting.world.ben, due=LAST_OF_NOVEMBER, promised_saving=Decimal(300))
    budgets.set_budget(actor=MACHINE, owner=meeting.labels.workload, month=OCTOBER, amount=Decimal(20_000))

    seen = reviews.preview(actor=actor(meeting.nora), item=item, told=told, now=NOW)
    done = reviews.record_disposition(
        actor=actor(meeting.nora), item=item, version=1, told=told, key="a-key-of-a-form", now=NOW
    )

    assert done.effect == [effect.as_json() for effect in seen]
    assert [effect.field.value for effect in seen] == ["stage", "budget", "action"]
    assert Workload.objects.get(pk=meeting.labels.workload.pk).stage == Workload.Stage.SUNSET
    assert Budget.objects.current().get(workload=meeting.labels.workload, month=NOVEMBER).amount == 0
    action = Action.objects.get()
    assert (action.owner, action.due, action.promised_saving) == (meeting.world.ben, LAST_OF_NOVEMBER, 300)
    assert (action.baseline_month, action.baseline_cost) == (OCTOBER, 800)


def test_a_cap_lowers_the_budget_from_the_running_month_on_and_raises_none(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")
    budgets.set_budget(actor=MACHINE, owner=meeting.labels.workload, month=OCTOBER, amount=Decimal(1000))

    with pytest.raises(BadInput, match="cannot raise"):
        meeting.decide(item, "cap", amount=Decimal(1001))
    meeting.decide(item, "cap", amount=Decimal(400))

    rows = Budget.objects.current().filter(workload=meeting.labels.workload).order_by("month")
    assert [(row.month, row.amount) for row in rows] == [(OCTOBER, 1000), (NOVEMBER, 400)]


def test_sunset_leaves_no_money_to_a_suspended_budget_nor_after_one_that_ends(meeting: Meeting) -> None:
    labels = meeting.labels.workload
    item = meeting.item(meeting.open(), "stop")
    budgets.set_budget(actor=MACHINE, owner=labels, month=OCTOBER, amount=Decimal(1000))
    budgets.end(actor=MACHINE, owner=labels, month=JANUARY)
    budgets.suspend(actor=MACHINE, owner=labels, month=NOVEMBER)

    meeting.decide(item, "sunset")

    rows = Budget.objects.current().filter(workload=labels, month__gte=NOVEMBER).order_by("month")
    assert [(row.month, row.amount, row.state) for row in rows] == [
        (NOVEMBER, 0, "suspended"),
        (JANUARY, 0, "active"),
    ]


def test_a_promise_stands_in_the_trail_with_its_owner_and_its_saving(meeting: Meeting) -> None:
    promised(meeting)

    (effect,) = AuditEvent.objects.get(verb="decided in review").data["effect"]
    assert (effect["after"], effect["saving"]) == (f"{meeting.world.ben.pk}", "200")


def test_nothing_is_said_to_stop_what_is_closed(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")
    Workload.objects.filter(pk=meeting.labels.workload.pk).update(state=Workload.State.CLOSED)

    assert meeting.decide(item, "suspend").effect == []


def test_move_to_batch_gives_a_slower_band_and_keeps_the_rest(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")

    meeting.decide(item, "move_to_batch", owner=meeting.world.ben, due=LAST_OF_NOVEMBER)

    revision = meeting.labels.workload.revisions.latest("version")
    assert revision.latency_band is not None
    assert revision.latency_band.limit_ms == 600_000


def test_the_same_form_sent_twice_is_written_once(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")

    first = meeting.decide(item, "suspend", key="one-and-the-same")
    again = meeting.decide(item, "suspend", key="one-and-the-same")

    assert first == again
    assert Disposition.objects.count() == 1


def test_a_stale_page_is_told_what_stands_and_writes_nothing(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")
    meeting.decide(item, "continue", by=meeting.olaf, reason="Wait a month")

    with pytest.raises(StaleItem) as stale:
        meeting.decide(item, "suspend", version=1)

    assert stale.value.status == 409
    assert stale.value.standing is not None
    assert stale.value.standing.reason == "Wait a month"
    assert Disposition.objects.count() == 1
    assert Workload.objects.get(pk=meeting.labels.workload.pk).state == Workload.State.ACTIVE


def test_a_second_look_may_tighten_what_was_decided(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide(meeting.item(cycle, "stop"), "continue")

    meeting.decide(meeting.item(cycle, "stop"), "suspend", by=meeting.olaf)

    assert [each.what for each in meeting.item(cycle, "stop").dispositions.all()] == ["continue", "suspend"]


@pytest.mark.parametrize("channel", ["api", "command", "task", "system"])
def test_no_program_decides(meeting: Meeting, channel: str) -> None:
    item = meeting.item(meeting.open(), "stop")

    with pytest.raises(NotAllowed):
        reviews.record_disposition(
            actor=Actor(meeting.nora.pk, "Nora", channel),  # type: ignore[arg-type]
            item=item,
            version=1,
            told=Told("continue", "because"),
            key="a-key-of-a-form",
            now=NOW,
        )


def test_who_does_not_review_decides_nothing_nor_beyond_the_own_cost_centre(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")
    for person in (meeting.world.ben, meeting.world.cleo, meeting.world.ada, meeting.world.finn):
        with pytest.raises(NotAllowed):
            meeting.decide(item, "continue", by=person)
    with pytest.raises(NotAllowed, match="a part of the organisation"):
        meeting.decide(meeting.item(item.cycle, "unallocated"), "continue", by=meeting.world.hana)

    meeting.decide(item, "continue", by=meeting.world.hana)  # Operations is hers


def test_nobody_decides_about_what_they_own_nor_where_they_only_see_the_money(meeting: Meeting) -> None:
    item = meeting.item(meeting.open(), "stop")
    gus, hana = meeting.world.gus, meeting.world.hana
    give(gus, Role.REVIEWER, meeting.world.legal, by=meeting.world.ada)
    give(gus, Role.PLATFORM_ENGINEER, meeting.world.operations, by=meeting.world.ada)
    Workload.objects.filter(pk=meeting.labels.workload.pk).update(technical_owner=hana)
    item.refresh_from_db()

    with pytest.raises(NotAllowed, match="Labels belongs to a cost centre that you do not review"):
        meeting.decide(item, "continue", by=gus)
    for what in ("continue", "suspend"):
        with pytest.raises(NotAllowed, match="You own Labels; another reviewer decides about it"):
            meeting.decide(item, what, by=hana)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_a_reason_is_told_in_up_to_500_characters(meeting: Meeting, reason: str) -> None:
    with pytest.raises(BadInput):
        meeting.decide(meeting.item(meeting.open(), "stop"), "continue", reason=reason)


def test_decisions_are_never_changed_nor_taken_away(meeting: Meeting) -> None:
    meeting.decide(meeting.item(meeting.open(), "stop"), "continue")

    for statement in (
        "UPDATE reviews_disposition SET reason = 'x'",
        "DELETE FROM reviews_disposition",
        "TRUNCATE reviews_disposition CASCADE",
        "DELETE FROM reviews_item",
        "DELETE FROM reviews_cycle",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


# --- Actions ----------------------------------------------------------------------------------------------------------


def promised(meeting: Meeting, saving: str = "200") -> Action:
    item = meeting.item(meeting.open(), "stop")
    meeting.decide(item, "optimise", owner=meeting.world.ben, due=LAST_OF_NOVEMBER, promised_saving=Decimal(saving))
    return Action.objects.get()


def november(meeting: Meeting, dollars: int) -> Measurement:
    """The next review, of a November in which the labels cost so much."""
    spend(meeting.labels, dollars, at(5, month=11))
    came_out(meeting.labels, 1000, 1000, 0, month=NOVEMBER)
    settle(DECEMBER)
    cycle = meeting.open(month=NOVEMBER, now=NOW.replace(month=12))
    return Measurement.objects.get(cycle=cycle)


def test_the_next_review_measures_what_arrived_of_a_promise(meeting: Meeting) -> None:
    promised(meeting)

    assert november(meeting, 650).saved == 150


def test_a_source_that_says_nothing_of_the_month_saves_nothing(meeting: Meeting) -> None:
    action = promised(meeting)

    cycle = meeting.open(month=NOVEMBER, now=NOW.replace(month=12))

    measured = action.measurements.get(cycle=cycle)
    assert (measured.saved, measured.why) == (None, "Gateway of Labels has not delivered all of November")


def test_what_was_switched_off_saves_all_of_it_where_its_source_delivers(meeting: Meeting) -> None:
    action = promised(meeting)
    spend_nobodys(meeting.labels, 1, at(20, month=11))
    settle(DECEMBER)

    cycle = meeting.open(month=NOVEMBER, now=NOW.replace(month=12))

    assert action.measurements.get(cycle=cycle).saved == 800


def test_a_saving_that_did_not_come_is_on_the_agenda_and_carries_its_age(meeting: Meeting) -> None:
    action = promised(meeting)

    measured = november(meeting, 900)

    item = meeting.item(measured.cycle, "promise")
    assert (measured.saved, item.money_at_stake) == (-100, 200)
    assert (item.facts["action"], item.facts["since"]) == (action.pk, "2026-10-01")


def test_an_open_action_cannot_vanish(meeting: Meeting) -> None:
    action = promised(meeting)

    for statement in ("DELETE FROM reviews_action", "UPDATE reviews_action SET promised_saving = 1"):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    with pytest.raises(NotAllowed):
        reviews.close_action(actor=actor(meeting.world.ben), action=action, is_done=False, note="No time")
    with pytest.raises(BadInput):
        reviews.close_action(actor=actor(meeting.world.ben), action=action, is_done=True, note=" ")


def test_its_owner_says_that_it_is_done_and_the_review_gives_it_up(meeting: Meeting) -> None:
    action = promised(meeting)

    reviews.close_action(actor=actor(meeting.world.ben), action=action, is_done=True, note="The cache is on.")

    action.refresh_from_db()
    assert (action.state, action.closed_by) == (Action.State.DONE, meeting.world.ben)
    with pytest.raises(Conflict):
        reviews.close_action(actor=actor(meeting.nora), action=action, is_done=False, note="Too late")


def test_an_action_is_handed_to_somebody_who_is_here_by_a_day_to_come(meeting: Meeting) -> None:
    action, nora, today = promised(meeting), actor(meeting.nora), NOW.date()
    leaver = make_member("Lou Gone")
    Person.objects.filter(pk=leaver.pk).update(active=False)
    leaver.refresh_from_db()

    for owner, due in ((leaver, LAST_OF_NOVEMBER), (meeting.world.eve, date(2026, 11, 11))):
        with pytest.raises(BadInput):
            reviews.hand_over_action(actor=nora, action=action, owner=owner, due=due, today=today)
    with pytest.raises(NotAllowed):
        reviews.hand_over_action(
            actor=actor(meeting.world.ben), action=action, owner=meeting.world.eve, due=LAST_OF_NOVEMBER, today=today
        )
    reviews.hand_over_action(actor=nora, action=action, owner=meeting.world.eve, due=LAST_OF_NOVEMBER, today=today)

    action.refresh_from_db()
    assert (action.owner, action.promised_saving) == (meeting.world.eve, 200)


def test_an_action_handed_on_or_given_up_for_somebody_says_for_whom(meeting: Meeting) -> None:
    action, eve = promised(meeting), meeting.world.eve
    act_for(meeting.nora, eve)
    to_ben: dict[str, Any] = {"owner": meeting.world.ben, "due": LAST_OF_NOVEMBER, "today": NOW.date()}

    reviews.hand_over_action(actor=actor(eve), action=action, **to_ben)
    reviews.close_action(actor=actor(eve), action=action, is_done=False, note="Nobody has time")

    events = AuditEvent.objects.filter(subject_kind="reviews.action", person_id=eve.pk).order_by("pk")
    assert [event.data.get("acted_for") for event in events] == [meeting.nora.pk, meeting.nora.pk]


def test_an_owner_who_stands_in_for_the_review_says_for_themselves_that_it_is_done(meeting: Meeting) -> None:
    action, ben = promised(meeting), meeting.world.ben
    act_for(meeting.nora, ben)

    reviews.close_action(actor=actor(ben), action=action, is_done=True, note="The cache is on.")

    assert "acted_for" not in AuditEvent.objects.get(verb="done action").data

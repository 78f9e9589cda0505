"""A month is signed once, by somebody who attested nothing in it, when nothing blocks it; then it stays."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from apps.approvals import services as approvals
from apps.approvals.services import SessionTooOld
from apps.core.actor import Actor
from apps.core.errors import Conflict, NotAllowed
from apps.core.models import Period
from apps.reviews import packs
from apps.reviews import services as reviews
from apps.reviews.blockers import Key, blockers_of, not_waived
from apps.reviews.models import Figure, Item, Pack, Waiver
from apps.reviews.services import Blocked
from apps.sources.models import Pull
from tests.books import make_pull
from tests.economics.ledger import came_out, settle
from tests.reviews.meeting import NOW, OCTOBER, Meeting
from tests.world import actor


def test_a_signed_month_has_a_pack_that_anybody_can_verify(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)

    pack = meeting.sign(cycle)

    cycle.refresh_from_db()
    period = Period.objects.get(month=OCTOBER)
    assert (cycle.state, cycle.revision) == ("signed", 1)
    assert (period.state, period.pack_sha256) == ("signed", pack.sha256)
    assert pack.sha256 == packs.digest(pack.body)
    contents = json.loads(pack.body)
    assert contents["totals"] == {"cost": "3400", "workloads": "3200", "unallocated": "200", "signed": "3400"}
    assert sum(Decimal(row["cost"]) for row in contents["workloads"]) == 3200
    assert contents["audit_head"]["signature"]
    assert "Nora" not in pack.body  # persons stand in it as keys


def test_open_items_block_until_they_are_decided(meeting: Meeting) -> None:
    cycle = meeting.open()

    with pytest.raises(Blocked, match="undecided items"):
        meeting.sign(cycle)
    assert not Pack.objects.exists()


def test_a_running_import_blocks(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    make_pull(meeting.labels.series.part.source, part="late.csv", state=Pull.State.RUNNING, finished_at=None)

    with pytest.raises(Blocked, match="imports still running"):
        meeting.sign(cycle)


def test_whoever_attested_figures_does_not_sign_also_when_handed_over(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    workload = meeting.labels.workload
    workload.budget_owner = meeting.nora
    workload.save()
    digest = Figure.objects.get(cycle=cycle, workload=workload).digest
    reviews.attest_figures(actor=actor(meeting.nora), cycle=cycle, workload=workload, digest=digest)
    workload.budget_owner = meeting.world.ben
    workload.save()

    with pytest.raises(NotAllowed, match="somebody else signs"):
        meeting.sign(cycle)
    with pytest.raises(DatabaseError, match="does not sign"), transaction.atomic():
        Pack.objects.create(
            cycle=cycle, revision=1, body="{}", sha256=packs.digest("{}"), audit_head={}, signed_by=meeting.nora
        )
    meeting.sign(cycle, by=meeting.olaf)


def test_a_month_is_signed_once(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    meeting.sign(cycle)

    with pytest.raises(Conflict, match="signed off already"):
        meeting.sign(cycle, by=meeting.olaf)
    assert Pack.objects.count() == 1


def test_a_stale_page_signs_nothing(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    reviews.take_facilitation(actor=actor(meeting.olaf), cycle=cycle, version=cycle.version)

    with pytest.raises(Conflict, match="changed while you read"):
        reviews.sign(actor=actor(meeting.nora), cycle=cycle, version=1, now=NOW, session_fresh_at=NOW)


def test_signing_takes_a_session_of_the_last_15_minutes_and_a_person(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    for fresh_at in (None, NOW - timedelta(minutes=16)):
        with pytest.raises(SessionTooOld):
            reviews.sign(actor=actor(meeting.nora), cycle=cycle, version=1, now=NOW, session_fresh_at=fresh_at)
    for channel in ("api", "command", "task"):
        with pytest.raises(NotAllowed):
            reviews.sign(
                actor=Actor(meeting.nora.pk, "Nora", channel),  # type: ignore[arg-type]
                cycle=cycle,
                version=1,
                now=NOW,
                session_fresh_at=NOW,
            )


@pytest.mark.parametrize("who", ["ada", "ben", "cleo", "finn", "hana"])
def test_a_part_of_the_organisation_does_not_sign_for_the_whole(meeting: Meeting, who: str) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)

    with pytest.raises(NotAllowed):
        meeting.sign(cycle, by=meeting.world.people[who])


def test_a_signed_review_takes_no_decision_any_more(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    meeting.sign(cycle)

    with pytest.raises(Conflict):
        meeting.decide(meeting.item(cycle, "stop"), "suspend")
    with pytest.raises(DatabaseError, match="signed off"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO reviews_disposition (item_id, what, reason, effect, by_id, key)"
            " VALUES (%s, 'continue', 'x', '[]', %s, 'by-hand-12345')",
            [meeting.item(cycle, "stop").pk, meeting.nora.pk],
        )


@pytest.mark.parametrize(
    "statement",
    ["UPDATE reviews_pack SET body = '{}'", "DELETE FROM reviews_pack", "TRUNCATE reviews_pack CASCADE"],
)
def test_a_pack_is_never_changed(meeting: Meeting, statement: str) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    meeting.sign(cycle)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_pack_with_another_digest_is_refused(meeting: Meeting) -> None:
    cycle = meeting.open()

    with pytest.raises(DatabaseError, match="digest"), transaction.atomic():
        Pack.objects.create(cycle=cycle, revision=1, body="{}", sha256="0" * 64, audit_head={}, signed_by=meeting.nora)


# --- Waivers and reopening --------------------------------------------------------------------------------------------


def waived(meeting: Meeting, cycle: object, blocker: str) -> Waiver:
    confirmation = approvals.ask(
        actor=actor(meeting.nora),
        kind="waiver",
        subject=cycle,
        proposed={"blocker": blocker},
        reason="It is agreed.",  # type: ignore[arg-type]
    )
    fresh = confirmation.asked_at
    approvals.confirm(
        actor=actor(meeting.olaf), confirmation=confirmation, digest=confirmation.digest, session_fresh_at=fresh
    )
    return Waiver.objects.latest("pk")


def test_a_second_person_lets_undecided_items_pass_and_they_are_carried(meeting: Meeting) -> None:
    cycle = meeting.open()
    waiver = waived(meeting, cycle, "items")

    meeting.sign(cycle)

    assert (waiver.asked_by, waiver.confirmed_by) == (meeting.nora, meeting.olaf)
    assert set(cycle.items.values_list("state", flat=True)) == {Item.State.CARRIED}


def test_nobody_waives_alone(meeting: Meeting) -> None:
    cycle = meeting.open()
    confirmation = approvals.ask(
        actor=actor(meeting.nora), kind="waiver", subject=cycle, proposed={"blocker": "items"}, reason="Quick."
    )

    with pytest.raises(NotAllowed):
        approvals.confirm(
            actor=actor(meeting.nora),
            confirmation=confirmation,
            digest=confirmation.digest,
            session_fresh_at=confirmation.asked_at,
        )


def test_a_waiver_covers_what_was_looked_at_and_no_more(meeting: Meeting) -> None:
    cycle = meeting.open()
    waived(meeting, cycle, "items")
    assert not_waived(cycle, blockers_of(cycle, now=NOW)) == []

    meeting.decide(meeting.item(cycle, "stop"), "continue")

    assert [blocker.key for blocker in not_waived(cycle, blockers_of(cycle, now=NOW))] == [Key.ITEMS]


def test_two_people_open_a_signed_month_and_the_next_pack_says_what_differs(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    first = meeting.sign(cycle)
    cycle.refresh_from_db()
    confirmation = approvals.ask(
        actor=actor(meeting.nora), kind="reopen", subject=cycle, proposed={}, reason="A late bill."
    )
    approvals.confirm(
        actor=actor(meeting.olaf),
        confirmation=confirmation,
        digest=confirmation.digest,
        session_fresh_at=confirmation.asked_at,
    )
    came_out(meeting.labels, 1100, 1100, 0)
    settle()
    meeting.open()
    meeting.decide_all(cycle)

    second = meeting.sign(cycle)

    assert (first.revision, second.revision) == (1, 2)
    found = packs.differences(json.loads(first.body), json.loads(second.body))
    assert ("Labels", "useful", "1000", "1100") in [(each.name, each.figure, each.before, each.after) for each in found]
    assert Pack.objects.get(revision=1).body == first.body

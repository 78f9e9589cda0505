"""A month is signed once, by somebody who attested nothing in it, when nothing blocks it; then it stays."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.freshness import SessionTooOld
from apps.approvals import services as approvals
from apps.core.actor import Actor
from apps.core.errors import Conflict, NotAllowed
from apps.core.models import AuditEvent, Period
from apps.reviews import packs
from apps.reviews import services as reviews
from apps.reviews.blockers import Key, blockers_of, not_waived
from apps.reviews.models import Figure, Item, Pack
from apps.reviews.selectors import statement
from apps.reviews.services import Blocked
from apps.reviews.services.signing import NewerFigures
from apps.sources.models import Pull
from apps.workloads.models import Workload
from tests.books import at, make_pull
from tests.economics.ledger import came_out, settle, spend
from tests.reviews.meeting import NOVEMBER, NOW, OCTOBER, Meeting, spend_nobodys
from tests.world import MACHINE, actor, log_in

DECEMBER = date(2026, 12, 1)
# What is carried comes onto no agenda.
FAILING = """
CREATE FUNCTION pg_temp.failing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room'; END $$;
CREATE TRIGGER failing BEFORE INSERT ON reviews_item FOR EACH ROW WHEN (NEW.kind = 'carried')
    EXECUTE FUNCTION pg_temp.failing()
"""
IN_DECEMBER, IN_JANUARY = datetime(2026, 12, 10, 9, tzinfo=UTC), datetime(2027, 1, 10, 9, tzinfo=UTC)


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
    totals = {"cost": "3400", "workloads": "3200", "unallocated": "200", "signed": "3400"}
    assert contents["totals"] == {**totals, "unpriced": 0, "unconverted": 0}
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


def test_who_signs_for_somebody_who_attested_figures_signs_as_little_as_they(meeting: Meeting) -> None:
    """Nora is away and Eve signs for her; what Nora attested, neither of them signs."""
    cycle, eve = meeting.open(), meeting.world.eve
    meeting.decide_all(cycle)
    now = timezone.now()
    accounts.pass_on(
        actor=actor(meeting.nora),
        grant=meeting.nora.grants.get(),
        to=eve,
        valid_from=None,
        valid_to=now + timedelta(days=7),
        session_fresh_at=now,
    )
    assert reviews.why_not_sign(actor(eve), cycle) == ""
    workload = meeting.labels.workload
    workload.budget_owner = meeting.nora
    workload.save()
    digest = Figure.objects.get(cycle=cycle, workload=workload).digest
    reviews.attest_figures(actor=actor(meeting.nora), cycle=cycle, workload=workload, digest=digest)

    with pytest.raises(NotAllowed, match="You review for somebody who attested figures of this month"):
        meeting.sign(cycle, by=eve)
    body = json.dumps({"month": "2026-10-01", "revision": 1, "signed_by": eve.pk})
    with pytest.raises(DatabaseError, match="signed by a reviewer of the whole"), transaction.atomic():
        Pack.objects.create(cycle=cycle, revision=1, body=body, sha256=packs.digest(body), audit_head={}, signed_by=eve)
    meeting.sign(cycle, by=meeting.olaf)


def test_who_acts_for_a_reviewer_signs_the_month(meeting: Meeting) -> None:
    cycle, eve = meeting.open(), meeting.world.eve
    meeting.decide_all(cycle)
    now = timezone.now()
    told = {"valid_from": None, "valid_to": now + timedelta(days=7), "session_fresh_at": now}
    accounts.pass_on(actor=actor(meeting.nora), grant=meeting.nora.grants.get(), to=eve, **told)

    pack = meeting.sign(cycle, by=eve)

    assert (pack.signed_by, json.loads(pack.body)["acted_for"]) == (eve, [meeting.nora.pk])
    assert AuditEvent.objects.get(verb="signed month").data["acted_for"] == [meeting.nora.pk]
    minutes = log_in(meeting.olaf).get(reverse("reviews:minutes", args=["2026-10"])).content.decode()
    assert f"Signed off by {eve.name} for {meeting.nora.name} on " in minutes


def test_a_pack_signed_by_a_role_of_ones_own_names_nobody_else(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)

    assert "acted_for" not in json.loads(meeting.sign(cycle, by=meeting.nora).body)


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


# --- Figures that moved -----------------------------------------------------------------------------------------------


def test_nobody_signs_figures_that_nobody_has_seen_and_they_are_taken_in(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    spend(meeting.labels, 50, at(9))
    settle()

    with pytest.raises(NewerFigures, match="newer than the agenda"):
        meeting.sign(cycle)

    assert not Pack.objects.exists()
    assert Figure.objects.get(cycle=cycle, workload=meeting.labels.workload).cost == 850
    with pytest.raises(Conflict, match="changed while you read"):
        reviews.sign(actor=actor(meeting.nora), cycle=cycle, version=1, now=NOW, session_fresh_at=NOW)
    assert json.loads(meeting.sign(cycle).body)["totals"]["cost"] == "3450"


def test_what_turned_into_a_loss_since_is_on_the_agenda_before_anybody_signs(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    spend(meeting.summaries, 9000, at(9))
    settle()

    with pytest.raises(NewerFigures):
        meeting.sign(cycle)
    with pytest.raises(Blocked, match="undecided items"):
        meeting.sign(cycle)

    assert meeting.item(cycle, "stop", meeting.summaries).state == Item.State.OPEN


def test_what_belongs_to_nobody_is_not_signed_unseen_either(meeting: Meeting) -> None:
    """The item was decided when 200 belonged to nobody; then 1,000 more came."""
    cycle = meeting.open()
    meeting.decide_all(cycle)
    spend_nobodys(meeting.labels, 1000, at(9))
    settle()

    with pytest.raises(NewerFigures):
        meeting.sign(cycle)

    assert json.loads(meeting.sign(cycle).body)["totals"]["unallocated"] == "1200"


def test_newer_figures_make_a_page_stale_and_the_same_ones_do_not(meeting: Meeting) -> None:
    first = meeting.open()
    assert meeting.open().version == first.version

    spend(meeting.labels, 50, at(9))
    settle()

    assert meeting.open().version == first.version + 1


# --- What is carried --------------------------------------------------------------------------------------------------


def test_what_is_left_undecided_reaches_the_review_that_is_open_already(meeting: Meeting) -> None:
    """November was opened before October was signed."""
    october, november = meeting.open(), meeting.open(month=NOVEMBER, now=IN_DECEMBER)
    assert not november.items.filter(kind="carried").exists()
    meeting.waive(october, "items")

    meeting.sign(october)

    carried = {item.facts["kind"]: item for item in november.items.filter(kind="carried", state="open")}
    assert sorted(carried) == ["stop", "unallocated"]
    assert carried["stop"].workload == meeting.labels.workload
    assert {item.facts["since"] for item in carried.values()} == {"2026-10-01"}


def test_a_month_is_signed_though_the_next_agenda_fails_which_the_sweep_takes_up(meeting: Meeting) -> None:
    october, november = meeting.open(), meeting.open(month=NOVEMBER, now=IN_DECEMBER)
    meeting.waive(october, "items")
    later = IN_DECEMBER + timedelta(hours=1)
    with connection.cursor() as cursor:
        cursor.execute(FAILING)

    pack = meeting.sign(october, now=later)

    assert (pack.revision, Period.objects.get(month=OCTOBER).state) == (1, "signed")
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER failing ON reviews_item")
    assert not november.items.filter(kind="carried").exists()
    assert reviews.refresh_due(actor=MACHINE, now=later + timedelta(minutes=10)) == [november]
    assert november.items.filter(kind="carried").count() == 2
    assert reviews.refresh_due(actor=MACHINE, now=later + timedelta(minutes=20)) == []


def test_an_agenda_taken_while_the_month_before_is_signed_is_taken_up_by_the_sweep(meeting: Meeting) -> None:
    """The signature bears the moment at which it was asked for and holds some seconds later."""
    october, november = meeting.open(), meeting.open(month=NOVEMBER, now=IN_DECEMBER)
    meeting.waive(october, "items")
    asked = IN_DECEMBER + timedelta(hours=1)
    reviews.refresh(actor=MACHINE, cycle=november, now=asked + timedelta(seconds=5))
    with connection.cursor() as cursor:
        cursor.execute(FAILING)
    meeting.sign(october, now=asked)
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER failing ON reviews_item")

    assert reviews.refresh_due(actor=MACHINE, now=asked + timedelta(minutes=1)) == [november]
    assert november.items.filter(kind="carried").count() == 2


def test_what_is_carried_twice_keeps_its_age_and_stays_the_matter_it_was(meeting: Meeting) -> None:
    october = meeting.open()
    meeting.waive(october, "items")
    meeting.sign(october)
    november = meeting.open(month=NOVEMBER, now=IN_DECEMBER)
    meeting.waive(november, "items")
    meeting.sign(november, now=IN_DECEMBER)

    december = meeting.open(month=DECEMBER, now=IN_JANUARY)

    stop = december.items.get(workload=meeting.labels.workload, facts__kind="stop")
    assert (stop.kind, stop.subject, stop.money_at_stake) == ("carried", "stop", 300)
    assert (stop.facts["kind"], stop.facts["since"]) == ("stop", "2026-10-01")
    assert stop.facts["facts"]["cost"] == "800.000000000000000000"


def test_what_stands_on_the_next_agenda_of_itself_is_not_carried_beside_it_nor_after_it(meeting: Meeting) -> None:
    october = meeting.open()
    meeting.waive(october, "items")
    meeting.sign(october)
    spend(meeting.labels, 800, at(5, month=11))
    came_out(meeting.labels, 1000, 1000, 0, month=NOVEMBER)
    settle(IN_DECEMBER.date())

    november = meeting.open(month=NOVEMBER, now=IN_DECEMBER)

    about = november.items.filter(workload=meeting.labels.workload).exclude(kind="expiring_case")
    assert [item.kind for item in about] == ["stop"]
    meeting.decide_all(november)
    meeting.sign(november, now=IN_DECEMBER)
    december = meeting.open(month=DECEMBER, now=IN_JANUARY)
    assert not december.items.filter(kind="carried").exists()


# --- Waivers and reopening --------------------------------------------------------------------------------------------


def test_a_second_person_lets_undecided_items_pass_and_they_are_carried(meeting: Meeting) -> None:
    cycle = meeting.open()
    waiver = meeting.waive(cycle, "items")

    meeting.sign(cycle)

    assert (waiver.asked_by, waiver.confirmed_by) == (meeting.nora, meeting.olaf)
    assert set(cycle.items.values_list("state", flat=True)) == {Item.State.CARRIED}


def test_pack_and_minutes_say_for_whom_a_waiver_was_confirmed(meeting: Meeting) -> None:
    cycle, eve, now = meeting.open(), meeting.world.eve, timezone.now()
    told = {"valid_from": None, "valid_to": now + timedelta(days=7), "session_fresh_at": now}
    accounts.pass_on(actor=actor(meeting.olaf), grant=meeting.olaf.grants.get(), to=eve, **told)
    meeting.waive(cycle, "items", by=eve)

    (waiver,) = json.loads(meeting.sign(cycle).body)["waivers"]

    assert (waiver["by"], waiver["acted_for"]) == (eve.pk, meeting.olaf.pk)
    minutes = log_in(meeting.nora).get(reverse("reviews:minutes", args=["2026-10"])).content.decode()
    assert f"{eve.name} for {meeting.olaf.name}" in minutes


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
    meeting.waive(cycle, "items")
    assert not_waived(cycle, blockers_of(cycle, now=NOW)) == []

    meeting.decide(meeting.item(cycle, "stop"), "continue")

    assert [blocker.key for blocker in not_waived(cycle, blockers_of(cycle, now=NOW))] == [Key.ITEMS]


def test_two_people_open_a_signed_month_and_the_next_pack_says_what_differs(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    first = meeting.sign(cycle)
    cycle.refresh_from_db()
    meeting.reopen(cycle)
    came_out(meeting.labels, 1100, 1100, 0)
    settle()
    meeting.open()
    meeting.decide_all(cycle)

    second = meeting.sign(cycle)

    assert (first.revision, second.revision) == (1, 2)
    found = packs.differences(json.loads(first.body), json.loads(second.body))
    assert ("Labels", "useful", "1000", "1100") in [(each.name, each.figure, each.before, each.after) for each in found]
    assert not any(each.about == "month" for each in found)
    assert Pack.objects.get(revision=1).body == first.body


def test_a_month_that_is_opened_again_keeps_the_cost_centre_of_its_first_signature(meeting: Meeting) -> None:
    cycle, care = meeting.open(), meeting.world.care
    meeting.decide_all(cycle)
    meeting.sign(cycle)
    Workload.objects.filter(pk=meeting.labels.workload.pk).update(cost_centre=meeting.world.legal)
    meeting.reopen(cycle)
    meeting.open()

    assert Figure.objects.get(cycle=cycle, workload=meeting.labels.workload).cost_centre == care
    assert statement(actor=actor(meeting.world.ada), cost_centre=care, month=OCTOBER).total == 3200
    assert "Legal" not in meeting.sign(cycle).body

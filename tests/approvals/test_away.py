"""A role passed on while its holder is away: what it decides, and what neither of the two may decide through it.

Gia is approver for Operations and goes away; Eve, a member and nothing else, acts for her.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.freshness import SessionTooOld
from apps.accounts.models import Person, Role, RoleGrant
from apps.accounts.rights import Right, rights_of
from apps.approvals import mails, selectors
from apps.approvals.models import Barred, Decision
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import AuditEvent
from apps.web.people import KEPT_AWAY
from apps.workloads.selectors import promise_of
from apps.workloads.services import why_not_tighten
from tests.approvals.deciding import approver, ask, ask_tier, confirm, decide_raw, refuse, registered, state_of
from tests.approvals.test_pages import at_the_desk
from tests.economics.ledger import make_ledger, write_case
from tests.world import PASSWORD, World, actor, give, log_in, make_cost_centre, make_member

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def gia(world: World) -> Person:
    return approver(world)


def pass_on(holder: Person, to: Person, *, days: float = 7, after: float = 0, **told: Any) -> RoleGrant:
    """From now, or some days after it, for some days."""
    begins = timezone.now() + after * DAY
    return accounts.pass_on(
        **{
            "actor": actor(holder),
            "grant": holder.grants.filter(passed_on_from=None).first(),
            "to": to,
            "valid_from": begins,
            "valid_to": begins + days * DAY,
            "session_fresh_at": timezone.now(),
            **told,
        }
    )


def test_who_acts_for_somebody_decides_also_what_waited_before(world: World, gia: Person) -> None:
    workload = registered(world)
    waiting = ask_tier(workload, world.ben)
    assert not selectors.may_decide(actor(world.eve), waiting)
    pass_on(gia, world.eve)

    assert [(seat.name, seat.acts_for) for seat in selectors.table_of(waiting).may] == [
        ("Eve Stone", "Gia Rossi"), ("Gia Rossi", ""),
    ]  # fmt: skip
    decision = confirm(waiting, world.eve)

    assert promise_of(workload).value_tier_id == "T1"
    assert (decision.person, decision.acted_for) == (world.eve, gia)
    assert AuditEvent.objects.get(verb="confirmed").data["acted_for"] == gia.pk


def test_whoever_decides_by_a_role_of_their_own_decides_for_nobody(world: World, gia: Person) -> None:
    give(world.eve, Role.APPROVER, world.operations, by=world.ada)
    waiting = ask_tier(registered(world), world.ben)
    pass_on(gia, world.eve)

    assert refuse(waiting, world.eve).acted_for is None


def test_not_before_its_beginning(world: World, gia: Person) -> None:
    waiting = ask_tier(registered(world), world.ben)
    pass_on(gia, world.eve, after=1)

    assert not rights_of(actor(world.eve)).may(Right.DECIDE)
    with pytest.raises(NotAllowed, match="decided by the role Approver"):
        confirm(waiting, world.eve)
    with pytest.raises(DatabaseError, match="no role that counts"), transaction.atomic():
        decide_raw(waiting, world.eve)


@pytest.mark.parametrize("who", ["gia", "eve", "ada"])
def test_not_after_its_end_whoever_of_the_three_ends_it(world: World, gia: Person, who: str) -> None:
    waiting = ask_tier(registered(world), world.ben)
    passed_on = pass_on(gia, world.eve)
    with pytest.raises(NotAllowed):
        accounts.end_role(actor=actor(world.ben), grant=passed_on)

    accounts.end_role(actor=actor({"gia": gia, **world.people}[who]), grant=passed_on)

    with pytest.raises(NotAllowed):
        confirm(waiting, world.eve)
    with pytest.raises(DatabaseError, match="no role that counts"), transaction.atomic():
        decide_raw(waiting, world.eve)
    assert confirm(waiting, gia).acted_for is None


def test_not_what_its_holder_is_barred_from(world: World, gia: Person) -> None:
    waiting = ask_tier(registered(world), world.ben)
    pass_on(gia, world.eve)
    Barred.objects.create(person=gia, workload=waiting.workload, why="edited")

    with pytest.raises(NotAllowed, match="for Gia Rossi, who edited the use case in the last 90 days"):
        confirm(waiting, world.eve)
    with pytest.raises(DatabaseError, match="no role that counts"), transaction.atomic():
        decide_raw(waiting, world.eve)
    assert not selectors.table_of(waiting).may or "Eve Stone" not in str(selectors.table_of(waiting).may)


def test_not_what_they_are_barred_from_themselves(world: World, gia: Person) -> None:
    """Ben owns it and asks; the role of an approver does not make him somebody else."""
    waiting = ask_tier(registered(world), world.ben)
    pass_on(gia, world.ben)

    with pytest.raises(NotAllowed, match="You asked for this"):
        confirm(waiting, world.ben)
    with pytest.raises(DatabaseError, match="is barred from confirmation"), transaction.atomic():
        decide_raw(waiting, world.ben)


def test_whoever_is_barred_for_one_holder_decides_for_another(world: World, gia: Person) -> None:
    """Two are away; one of them has had a hand in it."""
    ivo = approver(world, "Ivo Berg")
    waiting = ask_tier(registered(world), world.ben)
    for holder in (gia, ivo):
        pass_on(holder, world.eve)
    Barred.objects.create(person=gia, workload=waiting.workload, why="edited")

    assert confirm(waiting, world.eve).acted_for == ivo


def test_a_holder_whose_role_came_after_the_question_lends_no_answer(world: World) -> None:
    waiting = ask_tier(registered(world), world.ben)
    late = approver(world, "Lea Roth")
    pass_on(late, world.eve)

    with pytest.raises(NotAllowed, match="given before it was asked for"):
        confirm(waiting, world.eve)
    with pytest.raises(DatabaseError, match="no role that counts"), transaction.atomic():
        decide_raw(waiting, world.eve)


@pytest.mark.parametrize("why_not", ["elsewhere", "too late"])
def test_a_holder_who_could_not_decide_anyhow_is_not_named_as_what_bars(world: World, why_not: str) -> None:
    """Lea has had a hand in it, but her role is for another cost centre, or came after the question."""
    lea = make_member("Lea Roth")
    if why_not == "elsewhere":
        give(lea, Role.APPROVER, make_cost_centre("SALES", "Sales"), by=world.ada)
    waiting = ask_tier(registered(world), world.ben)
    if why_not == "too late":
        give(lea, Role.APPROVER, world.operations, by=world.ada)
    pass_on(lea, world.eve)
    Barred.objects.create(person=lea, workload=waiting.workload, why="edited")

    assert selectors.why_not(actor(world.eve), waiting).startswith("This is decided by the role Approver")


def test_deciding_holds_those_alone_for_whom_one_acts_now(world: World, gia: Person) -> None:
    """Ivo was away once; nothing that is done about him waits for Eve's decision."""
    ivo = approver(world, "Ivo Berg")
    waiting = ask_tier(registered(world), world.ben)
    passed_on = pass_on(ivo, world.eve)
    RoleGrant.objects.filter(pk=passed_on.pk).update(valid_to=passed_on.valid_from)
    pass_on(gia, world.eve)
    with CaptureQueriesContext(connection) as asked:
        confirm(waiting, world.eve)

    (held,) = [one["sql"] for one in asked if 'FROM "accounts_person"' in one["sql"] and "FOR UPDATE" in one["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(held)
        assert {row[0] for row in cursor.fetchall()} == {gia.pk, world.eve.pk}


def test_it_is_over_with_the_holders_own_role(world: World, gia: Person) -> None:
    passed_on, later = pass_on(gia, world.eve), pass_on(gia, world.finn, after=3)

    accounts.end_role(actor=actor(world.ada), grant=gia.grants.get())

    for grant in (passed_on, later):
        grant.refresh_from_db()
    assert passed_on.valid_to <= timezone.now()
    assert later.valid_to == later.valid_from
    assert not rights_of(actor(world.eve)).may(Right.DECIDE)
    own, *fallen = AuditEvent.objects.filter(verb="ended role").order_by("pk")
    assert own.data["passed_on"] == [passed_on.pk, later.pk]
    assert [event.subject_id for event in fallen] == [f"{passed_on.pk}", f"{later.pk}"]
    assert {event.person_id for event in fallen} == {world.ada.pk}


def test_it_is_over_when_either_leaves(world: World, gia: Person) -> None:
    passed_on = pass_on(gia, world.eve)
    accounts.deactivate_person(actor=actor(world.ada), person=gia)
    passed_on.refresh_from_db()

    assert passed_on.valid_to <= timezone.now()
    assert not rights_of(actor(world.eve)).may(Right.DECIDE)
    assert AuditEvent.objects.get(verb="deactivated person").data["passed_on"] == [passed_on.pk]
    assert AuditEvent.objects.get(verb="ended role").subject_id == f"{passed_on.pk}"
    other = pass_on(approver(world, "Ivo Berg"), world.eve)
    accounts.deactivate_person(actor=actor(world.ada), person=world.eve)
    other.refresh_from_db()
    assert other.valid_to <= timezone.now()
    assert AuditEvent.objects.filter(verb="ended role").latest("pk").subject_id == f"{other.pk}"


def test_it_goes_no_further(world: World, gia: Person) -> None:
    passed_on = pass_on(gia, world.eve)

    with pytest.raises(NotAllowed, match="your own role of approver or reviewer"):
        pass_on(world.eve, world.cleo, grant=passed_on)


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"days": 46}, "for 45 days at most"),
        ({"days": -1}, "end before it begins"),
        ({"to": "gia"}, "somebody else than yourself"),
    ],
)
def test_what_is_refused_in_words(world: World, gia: Person, told: dict[str, Any], match: str) -> None:
    to = gia if told.pop("to", "") else world.eve
    with pytest.raises(BadInput, match=match):
        pass_on(gia, to, **told)


def test_forty_five_days_within_any_ninety_however_they_are_strung_together(world: World, gia: Person) -> None:
    own = gia.grants.get()
    pass_on(gia, world.eve, days=20)
    pass_on(gia, world.finn, days=15, after=70)
    for to, days, after in ((world.eve, 11, 30), (world.cleo, 11, 50), (world.eve, 26, 20)):
        with pytest.raises(BadInput, match="for 45 days at most within any 90, to all together"):
            pass_on(gia, to, days=days, after=after)
        begins = timezone.now() + after * DAY
        with pytest.raises(DatabaseError, match="45 days at most"):
            put(own, to, valid_from=begins, valid_to=begins + days * DAY)
    pass_on(gia, world.eve, days=10, after=30)


def test_what_ended_early_counts_for_as_long_as_it_was(world: World, gia: Person) -> None:
    accounts.end_role(actor=actor(gia), grant=pass_on(gia, world.eve, days=45))

    assert pass_on(gia, world.finn, days=45)


def test_nothing_is_passed_on_for_days_that_are_far(world: World, gia: Person) -> None:
    with pytest.raises(BadInput, match="within 90 days from now"):
        pass_on(gia, world.eve, days=5, after=86)
    with pytest.raises(DatabaseError, match="45 days at most"):
        put(gia.grants.get(), world.eve, valid_from=timezone.now() + 86 * DAY, valid_to=timezone.now() + 91 * DAY)


def test_forty_five_days_with_the_end_of_summer_time_have_an_hour_more(world: World, gia: Person) -> None:
    with pytest.raises(BadInput, match="for 45 days at most"):
        pass_on(gia, world.eve, days=45 + 2 / 24)

    assert pass_on(gia, world.eve, days=45 + 1 / 24)


def test_twice_in_the_same_days_and_longer_than_ones_own_are_refused(world: World, gia: Person) -> None:
    pass_on(gia, world.eve)
    with pytest.raises(Conflict, match="Eve Stone has this role from you already"):
        pass_on(gia, world.eve, after=2)
    RoleGrant.objects.filter(person=gia).update(valid_to=timezone.now() + 10 * DAY)
    with pytest.raises(BadInput, match="Your own role ends on"):
        pass_on(gia, world.cleo, days=11)


@pytest.mark.parametrize("name", ["ada", "cleo", "dan", "finn"])
def test_only_approvers_and_reviewers_pass_their_role_on(world: World, name: str) -> None:
    with pytest.raises(NotAllowed, match="your own role of approver or reviewer"):
        pass_on(world.people[name], world.eve)


def test_only_its_holder_at_a_page_with_a_fresh_session_passes_it_on(world: World, gia: Person) -> None:
    grant = gia.grants.get()
    with pytest.raises(NotAllowed, match="your own role"):
        pass_on(gia, world.eve, actor=actor(world.ada))
    for channel in ("api", "command", "task"):
        with pytest.raises(NotAllowed, match="Tokens, commands and tasks pass nothing on"):
            pass_on(gia, world.eve, actor=Actor(gia.pk, "Gia", channel))  # type: ignore[arg-type]
    for moment in (None, timezone.now() - timedelta(minutes=16)):
        with pytest.raises(SessionTooOld):
            pass_on(gia, world.eve, session_fresh_at=moment)
    assert not grant.passed_on.exists()


def test_those_who_act_are_written_to_as_well(world: World, gia: Person) -> None:
    pass_on(gia, world.eve)
    waiting = ask_tier(registered(world), world.ben)
    readers = mails._readers(waiting.letters.get(), selectors.table_of(waiting))

    assert set(readers) == {gia.pk, world.eve.pk}


def test_nobody_attests_a_value_case_for_whoever_wrote_it(world: World) -> None:
    """Ben writes it and is made approver; whom he passes that on to attests it as little as he does."""
    give(world.ben, Role.APPROVER, world.operations, by=world.ada)
    pass_on(world.ben, world.eve)
    case = write_case(make_ledger(world))
    waiting = ask(case, world.ben, "attestation", {})

    with pytest.raises(NotAllowed, match="You would decide for Ben Okoro, who asked for this"):
        confirm(waiting, world.eve)
    with pytest.raises(DatabaseError, match="no role that counts"), transaction.atomic():
        decide_raw(waiting, world.eve)


# --- At the page ------------------------------------------------------------------------------------------------------


def ask_for_it(client: Client, gia: Person, to: Person, **told: Any) -> Any:
    last_day = timezone.localdate() + 7 * DAY
    values = {"grant": gia.grants.get(passed_on_from=None).pk, "to": to.pk, "last_day": f"{last_day}", **told}
    return client.post(reverse("people:pass-on", args=[gia.pk]), values)


def test_passing_it_on_and_ending_it_at_ones_own_page(world: World, gia: Person) -> None:
    client, mine = at_the_desk(gia), reverse("people:detail", args=[gia.pk])
    assert "While I am away" in client.get(mine).content.decode()

    assert ask_for_it(client, gia, world.eve)["Location"] == mine

    passed_on = world.eve.grants.get()
    text = client.get(mine).content.decode()
    assert "Eve Stone acts for you as Approver, Operations" in text
    assert "for Gia Rossi" in log_in(world.eve).get(reverse("people:detail", args=[world.eve.pk])).content.decode()
    last_day = timezone.localdate() + 7 * DAY
    settings = log_in(world.eve).get(reverse("settings:overview")).content.decode()
    assert f"for Gia Rossi, until the end of {last_day.day} {last_day:%b %Y}" in settings
    end = reverse("people:end-grant", args=[world.eve.pk, passed_on.pk])
    assert log_in(world.hana).post(end).status_code == 404
    assert client.post(end)["Location"] == mine
    passed_on.refresh_from_db()
    assert passed_on.ended_by == gia


def test_whoever_is_to_act_is_told_by_mail(world: World, gia: Person, mailoutbox: list[EmailMessage]) -> None:
    ask_for_it(at_the_desk(gia), gia, world.eve)

    (mail,) = mailoutbox
    assert (mail.to, mail.subject) == (["eve@example.com"], "Tollgate: you act for Gia Rossi while they are away")
    assert "you act as Approver, Operations, from" in mail.body
    assert "/inbox/" in mail.body


def test_an_old_session_gives_the_password_first_and_finds_its_form_as_it_was(world: World, gia: Person) -> None:
    client, mine = at_the_desk(gia, minutes_ago=16), reverse("people:detail", args=[gia.pk])
    last_day = timezone.localdate() + 7 * DAY

    answer = ask_for_it(client, gia, world.eve, reason="A long journey")

    assert answer["Location"] == f"/accounts/reauthenticate/?next=%2Fsettings%2Fpeople%2F{gia.pk}%2F"
    assert not world.eve.grants.exists()
    client.get(answer["Location"])
    answer = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": mine})
    assert answer["Location"] == mine
    text = client.get(mine).content.decode()
    assert "Nothing was passed on yet: look at it and send it once more." in text
    assert "A long journey" in text
    assert f'value="{last_day}"' in text
    assert f'<option value="{world.eve.pk}" selected>' in text
    assert "A long journey" not in client.get(mine).content.decode()
    session = client.session
    session[KEPT_AWAY] = {"reason": "Another tab, before the password was given"}
    session.save()
    assert ask_for_it(client, gia, world.eve)["Location"] == mine
    assert world.eve.grants.get().passed_on_from == gia.grants.get()
    assert "Nothing was passed on yet" not in client.get(mine).content.decode()


def test_what_is_refused_stays_in_the_form_with_its_reason(world: World, gia: Person) -> None:
    far = timezone.localdate() + 60 * DAY
    answer = ask_for_it(at_the_desk(gia), gia, world.eve, last_day=f"{far}", reason="A long journey")

    assert answer.status_code == 400
    assert "for 45 days at most" in answer.content.decode()
    assert "A long journey" in answer.content.decode()


def test_the_inbox_the_decision_and_the_files_say_for_whom(world: World, gia: Person) -> None:
    waiting = ask_tier(registered(world), world.ben)
    pass_on(gia, world.eve)
    eve = at_the_desk(world.eve)

    text = eve.get(reverse("inbox:list")).content.decode()
    assert f"{waiting.ref}, for Gia Rossi" in text
    assert "You decide for Gia Rossi." in text
    assert "Decide for Gia Rossi: Value tier: T1" in eve.get("/").content.decode()
    assert "Decide: Value tier: T1" in log_in(gia).get("/").content.decode()
    confirm(waiting, world.eve)

    assert "Eve Stone for Gia Rossi" in eve.get(reverse("inbox:detail", args=[waiting.pk])).content.decode()
    done = b"".join(eve.get(reverse("inbox:list"), {"tab": "done", "format": "csv"})).decode()
    assert "Eve Stone for Gia Rossi" in done
    people = b"".join(log_in(world.ada).get(reverse("people:list"), {"format": "csv"})).decode()
    assert "Approver (Operations) for Gia Rossi, " in people
    assert "for Gia Rossi" in log_in(world.ada).get(reverse("people:list")).content.decode()


def test_the_list_of_people_names_the_last_day_and_not_the_one_that_begins_at_its_end(
    world: World, gia: Person
) -> None:
    today = timezone.localdate()
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0) + 3 * DAY
    pass_on(gia, world.eve, valid_to=midnight)

    text = log_in(world.ada).get(reverse("people:list")).content.decode()

    last = today + timedelta(days=2)
    assert f"to {last.day} {last:%b %Y}" in text


# --- Past every service -----------------------------------------------------------------------------------------------


def put(own: RoleGrant, to: Person, **told: Any) -> None:
    values = {
        "role": own.role,
        "cost_centre_id": own.cost_centre_id,
        "granted_by_id": own.person_id,
        "valid_to": timezone.now() + DAY,
    }
    with transaction.atomic():
        RoleGrant.objects.create(passed_on_from=own, person=to, **{**values, **told})


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"valid_to": timezone.now() + 60 * DAY}, "45 days at most"),
        ({"valid_to": None}, "45 days at most"),
        ({"role": "reviewer"}, "as it is"),
        ({"role": "administrator"}, "as it is"),
        ({"cost_centre_id": None}, "as it is"),
        ({"granted_by_id": None}, "by whoever holds it"),
        ({"decision_id": 1}, "by whoever holds it"),
    ],
)
def test_more_than_the_holder_has_or_for_longer(world: World, gia: Person, told: dict[str, Any], match: str) -> None:
    with pytest.raises(DatabaseError, match=match):
        put(gia.grants.get(), world.eve, **told)


def test_for_oneself_by_somebody_else_again_or_of_a_role_that_cannot(world: World, gia: Person) -> None:
    own = gia.grants.get()
    with pytest.raises(DatabaseError, match="to somebody else"):
        put(own, gia)
    with pytest.raises(DatabaseError, match="by whoever holds it"):
        put(own, world.eve, granted_by_id=world.eve.pk)
    for name in ("ada", "cleo", "finn"):
        with pytest.raises(DatabaseError, match="an approver or reviewer, as it is"):
            put(world.people[name].grants.get(), world.eve)
    put(own, world.eve)
    with pytest.raises(DatabaseError, match="not passed on again"):
        put(own.passed_on.get(), world.finn)
    own_giver = make_member("Sid Self")
    give(own_giver, Role.APPROVER, by=own_giver)
    with pytest.raises(DatabaseError, match="gave oneself"):
        put(own_giver.grants.get(), world.eve)


def test_of_a_role_that_has_ended_or_to_somebody_who_left(world: World, gia: Person) -> None:
    own = gia.grants.get()
    Person.objects.filter(pk=world.eve.pk).update(active=False)
    with pytest.raises(DatabaseError, match="to somebody who is here"):
        put(own, world.eve)
    RoleGrant.objects.filter(pk=own.pk).update(valid_to=timezone.now())
    with pytest.raises(DatabaseError, match="while it counts"):
        put(own, world.finn)


def test_a_beginning_in_the_past_is_not_taken(world: World, gia: Person) -> None:
    put(gia.grants.get(), world.eve, valid_from=timezone.now() - 30 * DAY, granted_at=timezone.now() - 30 * DAY)

    passed_on = world.eve.grants.get()
    assert timezone.now() - passed_on.valid_from < timedelta(minutes=5)
    assert timezone.now() - passed_on.granted_at < timedelta(minutes=5)


def test_no_role_is_made_longer_and_none_becomes_another(world: World, gia: Person) -> None:
    passed_on = pass_on(gia, world.eve)
    for grant, later in ((passed_on, passed_on.valid_to + DAY), (passed_on, None)):
        with pytest.raises(DatabaseError, match="and never later"), transaction.atomic():
            RoleGrant.objects.filter(pk=grant.pk).update(valid_to=later)
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        RoleGrant.objects.filter(pk=passed_on.pk).update(passed_on_from=None)
    RoleGrant.objects.filter(person=gia).update(valid_to=timezone.now())
    with pytest.raises(DatabaseError, match="and never later"), transaction.atomic():
        RoleGrant.objects.filter(person=gia).update(valid_to=None)


def test_a_person_set_inactive_by_hand_leaves_nothing_passed_on(world: World, gia: Person) -> None:
    passed_on = pass_on(gia, world.eve)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_person SET active = false WHERE id = %s", [gia.pk])
        cursor.execute("UPDATE accounts_person SET active = true WHERE id = %s", [gia.pk])
    passed_on.refresh_from_db()

    assert passed_on.valid_to <= timezone.now() + timedelta(minutes=1)
    assert not rights_of(actor(world.eve)).may(Right.DECIDE)


def test_for_whom_it_was_is_said_by_the_database(world: World, gia: Person) -> None:
    waiting = ask_tier(registered(world), world.ben)

    decide_raw(waiting, gia, acted_for=world.hana)

    assert Decision.objects.get().acted_for is None
    assert state_of(waiting) == "confirmed"


# --- The monthly review -----------------------------------------------------------------------------------------------


def test_whoever_reviews_for_an_owner_decides_nothing_about_what_is_owned(world: World) -> None:
    workload = registered(world)
    pass_on(world.hana, world.eve)
    assert why_not_tighten(actor(world.eve), workload) == ""

    workload.budget_owner = world.hana
    workload.save()

    assert "You review for somebody who owns Summaries" in why_not_tighten(actor(world.eve), workload)
    give(world.eve, Role.REVIEWER, world.care, by=world.ada)
    assert why_not_tighten(actor(world.eve), workload) == ""

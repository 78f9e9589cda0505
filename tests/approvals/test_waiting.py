"""What waits is told of, escalated and ended by the clock; the clock never decides."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Person, RoleGrant
from apps.approvals import services, waiting
from apps.approvals.models import Confirmation, Letter
from apps.core.errors import Conflict
from apps.core.models import AuditEvent
from apps.workloads.models import Workload
from tests.approvals.deciding import approver, ask_tier, confirm, refuse, registered, state_of
from tests.world import MACHINE, World, log_in
from workers import approvals as worker
from workers.schedule import SCHEDULE

pytestmark = pytest.mark.django_db


def send() -> int:
    return waiting.send_letters(now=timezone.now())


def ask_for_a_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> Confirmation:
    """It may be decided for a millisecond, which is over."""
    monkeypatch.setattr(services, "WAITS_FOR", timedelta(milliseconds=1))
    return ask_tier(registered(world), world.ben)


def test_whoever_may_decide_gets_one_letter(world: World) -> None:
    approver(world)
    asked = ask_tier(registered(world), world.ben)

    assert (send(), send()) == (1, 0)
    (letter,) = mail.outbox
    assert (letter.to, letter.subject) == (["gia@example.com"], f"Tollgate: {asked.ref} waits for your decision")
    assert "Ben Okoro asks: Summaries: Value tier: T1\n“Agents rely on it”" in letter.body
    assert f"/inbox/{asked.pk}/" in letter.body


def test_what_people_typed_is_one_plain_line_and_never_in_the_subject(world: World) -> None:
    workload = registered(world)
    Workload.objects.filter(pk=workload.pk).update(name="Bad\r\nBcc: eve@example.com\u202egnp.exe")
    ask_tier(workload, world.ben)

    send()

    assert mail.outbox[0].subject.startswith("Tollgate: CF-")
    assert mail.outbox[0].recipients() == ["hana@example.com"]
    assert "Bad Bcc: eve@example.com gnp.exe: Value tier: T1" in mail.outbox[0].body


def test_where_nobody_can_decide_the_administrators_hear_of_it_and_the_page_says_so(world: World) -> None:
    RoleGrant.objects.filter(person=world.hana).update(valid_to=timezone.now())
    workload = registered(world)
    promise = {"value_tier": "T1", "latency_band": "batch", "failure_severity": "little", "failure_cost": "2"}

    page = log_in(world.ben).post(f"/workloads/{workload.slug}/promise/", {**promise, "reason": "More"}, follow=True)
    send()

    assert "Nobody can confirm CF-" in page.content.decode()
    (letter,) = mail.outbox
    assert letter.to == ["ada@example.com"]
    assert "it takes the role Approver or Reviewer" in letter.body


def test_what_is_settled_is_not_told_any_more(world: World) -> None:
    refuse(ask_tier(registered(world), world.ben), world.hana)

    assert (send(), mail.outbox) == (0, [])
    assert not Letter.objects.unsent().exists()


def test_a_mail_server_that_is_away_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask_tier(registered(world), world.ben)
    original = EmailBackend.send_messages

    def away(*_: object) -> int:
        raise ConnectionRefusedError("no server")

    monkeypatch.setattr(EmailBackend, "send_messages", away)
    assert send() == 0
    monkeypatch.setattr(EmailBackend, "send_messages", original)
    assert send() == 1


def test_at_half_time_the_administrators_are_written_to_on_a_working_day(world: World) -> None:
    asked = ask_tier(registered(world), world.ben)
    send()
    half = asked.asked_at + timedelta(days=15)
    saturday = half + timedelta(days=(5 - half.weekday()) % 7, hours=1)
    monday = saturday + timedelta(days=2)

    assert waiting.escalate(now=half - timedelta(days=1)) == 0
    assert waiting.escalate(now=saturday.replace(hour=12)) == 0
    assert (waiting.escalate(now=monday), waiting.escalate(now=monday)) == (1, 0)
    waiting.send_letters(now=monday)

    assert mail.outbox[-1].to == ["ada@example.com"]
    assert "These may: Hana Ito." in mail.outbox[-1].body
    assert state_of(asked) == "waiting"


def test_what_has_waited_too_long_ends_and_whoever_asked_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ask_for_a_moment(world, monkeypatch)

    worker.sweep()
    worker.sweep()

    assert state_of(asked) == "expired"
    assert AuditEvent.objects.filter(verb="let proposal expire", subject_id=str(asked.pk)).count() == 1
    assert [letter.to for letter in mail.outbox] == [["ben@example.com"]]
    with pytest.raises(Conflict, match="expired in the meantime"):
        confirm(asked, world.hana)
    page = log_in(world.ben).get(f"/inbox/{asked.pk}/").content.decode()
    assert "This has waited too long." in page


def test_the_clock_ends_nothing_that_can_still_be_decided(world: World) -> None:
    asked = ask_tier(registered(world), world.ben)

    assert waiting.expire() == 0
    assert state_of(asked) == "waiting"


def test_a_decider_who_left_is_marked_beside_what_they_decided(world: World) -> None:
    gia = approver(world)
    asked = ask_tier(registered(world), world.ben)
    confirm(asked, gia)
    accounts.deactivate_person(actor=MACHINE, person=gia)
    Person.objects.filter(pk=gia.pk).update(deactivated_at=datetime(2026, 10, 5, 12, tzinfo=UTC))

    page = " ".join(log_in(world.ben).get(f"/inbox/{asked.pk}/").content.decode().split())

    assert "(left on 5 Oct 2026)" in page


def test_the_clock_knows_the_sweep() -> None:
    assert "workers.approvals.sweep" in {entry["task"] for entry in SCHEDULE.values()}

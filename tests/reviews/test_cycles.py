"""A review opens when its month is over, once; its agenda is what the books say, by money at stake."""

import socket
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Event, Thread
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Person
from apps.budgets import services as budgets
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import AuditEvent
from apps.reviews import services as reviews
from apps.reviews.models import Attestation, Cycle, Figure, Item
from apps.reviews.services.letters import LETTERS_LOCK
from apps.workloads.models import Workload
from tests.books import at
from tests.economics.ledger import settle, spend
from tests.reviews.meeting import NOVEMBER, NOW, OCTOBER, Meeting
from tests.world import MACHINE, actor, make_member

CALENDAR = Actor(person_id=None, label="calendar", channel="task")


def test_the_agenda_begins_with_the_most_money(meeting: Meeting) -> None:
    cycle = meeting.open()

    rows = [(item.kind, item.workload_id, item.money_at_stake) for item in cycle.items.order_by("position")]
    assert rows == [
        ("stop", meeting.labels.workload.pk, Decimal(300)),
        ("unallocated", None, Decimal(200)),
    ]
    stop = meeting.item(cycle, "stop")
    assert stop.facts["cost"] == "800.000000000000000000"
    assert stop.facts["sentence"].startswith("It costs more than it is worth")


def test_the_figures_of_every_workload_stand_beside_it(meeting: Meeting) -> None:
    cycle = meeting.open()

    figure = Figure.objects.get(cycle=cycle, workload=meeting.summaries.workload)
    assert (figure.cost, figure.value, figure.review_cost) == (2400, 5520, 575)
    assert (figure.net_low, figure.net, figure.net_high) == (-100, 2545, Decimal("5362.5"))
    assert (figure.useful, figure.verdict, figure.cost_centre) == (9200, "keep", meeting.world.care)


def test_opening_twice_changes_nothing(meeting: Meeting) -> None:
    first = meeting.open()
    before = list(first.items.values_list("pk", "version", "facts"))

    again = meeting.open()

    assert again == first
    assert list(again.items.values_list("pk", "version", "facts")) == before


def test_newer_figures_change_what_is_open_and_leave_what_is_decided(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide(meeting.item(cycle, "stop"), "continue")
    spend(meeting.labels, 100, at(9))
    settle()

    meeting.open()

    assert meeting.item(cycle, "stop").money_at_stake == 300
    assert Figure.objects.get(cycle=cycle, workload=meeting.labels.workload).cost == 900


def test_what_is_no_longer_so_is_marked_and_not_lost(meeting: Meeting) -> None:
    cycle = meeting.open()
    spend(meeting.labels, 1, at(9))
    spend(meeting.summaries, 100_000, at(9))  # now three per cent are more than what nobody claims
    settle()

    meeting.open()

    assert meeting.item(cycle, "unallocated").state == Item.State.CLEARED


def test_a_month_that_still_runs_has_no_review(meeting: Meeting) -> None:
    with pytest.raises(BadInput, match="November 2026 is not over"):
        meeting.open(month=NOVEMBER)


def test_a_member_opens_no_review(meeting: Meeting) -> None:
    with pytest.raises(NotAllowed):
        reviews.open_cycle(actor=actor(meeting.world.eve), month=OCTOBER, now=NOW)


# --- The calendar -----------------------------------------------------------------------------------------------------


def test_the_calendar_opens_a_month_once_however_often_it_asks(meeting: Meeting) -> None:
    opened = [reviews.open_due(actor=CALENDAR, now=NOW) for _ in range(5)]

    assert [len(cycles) for cycles in opened] == [1, 0, 0, 0, 0]
    assert Cycle.objects.get().by_calendar


def test_a_missed_month_is_opened_later(meeting: Meeting) -> None:
    reviews.open_due(actor=CALENDAR, now=NOW)
    spend(meeting.labels, 5, datetime(2026, 11, 5, tzinfo=UTC))
    spend(meeting.labels, 5, datetime(2026, 12, 5, tzinfo=UTC))
    settle(date(2027, 1, 3))

    reviews.open_due(actor=CALENDAR, now=datetime(2027, 1, 3, tzinfo=UTC))

    assert [cycle.month for cycle in Cycle.objects.order_by("month")] == [OCTOBER, NOVEMBER, date(2026, 12, 1)]


def test_a_month_without_cost_is_not_reviewed(meeting: Meeting) -> None:
    assert reviews.open_due(actor=CALENDAR, now=datetime(2027, 3, 3, tzinfo=UTC)) == []


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        ("Europe/Berlin", datetime(2026, 10, 31, 22, 59, 59, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 1, 3, 59, 59, tzinfo=UTC), datetime(2026, 11, 1, 4, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 10, 31, 12, 59, 59, tzinfo=UTC), datetime(2026, 10, 31, 13, tzinfo=UTC)),
        ("Asia/Kolkata", datetime(2026, 10, 31, 18, 29, 59, tzinfo=UTC), datetime(2026, 10, 31, 18, 30, tzinfo=UTC)),
    ],
)
def test_a_month_is_over_at_local_midnight(meeting: Meeting, zone: str, before: datetime, after: datetime) -> None:
    company = organisation.get()
    company.zone = zone
    company.save()

    assert reviews.open_due(actor=CALENDAR, now=before) == []
    assert [cycle.month for cycle in reviews.open_due(actor=CALENDAR, now=after)] == [OCTOBER]


def test_every_month_with_cost_and_without_a_review_can_be_opened_by_hand(meeting: Meeting) -> None:
    spend(meeting.labels, 5, datetime(2026, 8, 5, tzinfo=UTC))
    spend(meeting.labels, 5, datetime(2026, 11, 5, tzinfo=UTC))
    settle(date(2026, 12, 3))
    meeting.open()

    assert reviews.months_to_open(now=datetime(2026, 12, 3, tzinfo=UTC)) == [date(2026, 8, 1), NOVEMBER]


def test_the_clock_keeps_an_open_review_up_to_date(meeting: Meeting) -> None:
    cycle = meeting.open(now=timezone.now())
    spend(meeting.labels, 100, at(9))
    settle()
    later = timezone.now() + timedelta(minutes=10)

    assert reviews.refresh_due(actor=CALENDAR, now=later) == [cycle]

    assert Figure.objects.get(cycle=cycle, workload=meeting.labels.workload).cost == 900
    assert reviews.refresh_due(actor=CALENDAR, now=later) == []
    cycle.refresh_from_db()
    assert cycle.version == 2


def test_nobody_leads_or_joins_a_review_that_is_signed(meeting: Meeting) -> None:
    cycle = meeting.open()
    meeting.decide_all(cycle)
    meeting.sign(cycle)
    stale = Cycle.objects.get(pk=cycle.pk)
    stale.state = Cycle.State.OPEN  # as a page had it before the signature

    with pytest.raises(Conflict, match="signed off"):
        reviews.attend(actor=actor(meeting.nora), cycle=stale)
    with pytest.raises(Conflict, match="signed off"):
        reviews.take_facilitation(actor=actor(meeting.olaf), cycle=stale, version=stale.version)


# --- Budgets ----------------------------------------------------------------------------------------------------------


def test_whatever_is_spent_of_a_suspended_budget_is_over_it(meeting: Meeting) -> None:
    budgets.set_budget(actor=MACHINE, owner=meeting.labels.workload, month=OCTOBER, amount=Decimal(1000))
    budgets.suspend(actor=MACHINE, owner=meeting.labels.workload, month=OCTOBER)

    item = meeting.item(meeting.open(), "over_budget")

    assert (item.workload, item.money_at_stake, item.facts["state"]) == (meeting.labels.workload, 800, "suspended")


def test_a_cost_centre_over_its_budget_is_spoken_about(meeting: Meeting) -> None:
    budgets.set_budget(actor=MACHINE, owner=meeting.world.operations, month=OCTOBER, amount=Decimal(3000))

    item = meeting.item(meeting.open(), "over_budget")

    assert (item.workload, item.money_at_stake) == (None, 200)
    assert (item.facts["centre"], item.facts["amount"]) == ("Operations", "3000.000000000000000000")


# --- Owners -----------------------------------------------------------------------------------------------------------


def test_an_owner_attests_own_figures_once(meeting: Meeting) -> None:
    cycle, ben = meeting.open(), meeting.world.ben
    digest = Figure.objects.get(cycle=cycle, workload=meeting.labels.workload).digest

    for _ in range(2):
        reviews.attest_figures(actor=actor(ben), cycle=cycle, workload=meeting.labels.workload, digest=digest)

    assert Attestation.objects.get().person == ben


def test_nobody_else_attests_them_nor_figures_that_changed(meeting: Meeting) -> None:
    cycle = meeting.open()
    digest = Figure.objects.get(cycle=cycle, workload=meeting.labels.workload).digest
    with pytest.raises(NotAllowed):
        reviews.attest_figures(
            actor=actor(meeting.world.eve), cycle=cycle, workload=meeting.labels.workload, digest=digest
        )
    spend(meeting.labels, 1, at(9))
    settle()
    meeting.open()

    with pytest.raises(Conflict, match="changed"):
        reviews.attest_figures(
            actor=actor(meeting.world.ben), cycle=cycle, workload=meeting.labels.workload, digest=digest
        )


@pytest.mark.parametrize("channel", ["api", "command", "task"])
def test_a_program_attests_nothing(meeting: Meeting, channel: str) -> None:
    cycle, ben = meeting.open(), meeting.world.ben
    digest = Figure.objects.get(cycle=cycle, workload=meeting.labels.workload).digest

    with pytest.raises(NotAllowed):
        reviews.attest_figures(
            actor=Actor(ben.pk, "Ben", channel),  # type: ignore[arg-type]
            cycle=cycle,
            workload=meeting.labels.workload,
            digest=digest,
        )


def test_owners_are_written_to_once_and_again_every_three_days(meeting: Meeting) -> None:
    cycle = meeting.open()

    sent = [reviews.send_letters(now=cycle.opened_at + timedelta(days=days)) for days in (0, 0, 1, 3, 3)]

    assert sent == [1, 0, 0, 1, 0]
    assert [message.to for message in mail.outbox] == [["ben@example.com"]] * 2
    assert "- Labels\n- Summaries" in mail.outbox[0].body
    assert "/reviews/2026-10/figures/" in mail.outbox[0].body
    written = AuditEvent.objects.filter(verb="wrote about review").order_by("pk").values_list("data", flat=True)
    assert list(written) == [{"to": meeting.world.ben.pk, "number": at, "workloads": 2} for at in (0, 1)]


def test_a_letter_that_the_mail_server_refused_goes_at_the_next_turn(meeting: Meeting, settings: Any) -> None:
    cycle, backend = meeting.open(), settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1  # where nobody listens

    assert reviews.send_letters(now=cycle.opened_at) == 0

    assert not cycle.reminders.exists()
    settings.EMAIL_BACKEND = backend
    assert reviews.send_letters(now=cycle.opened_at) == 1


def test_a_turn_ends_at_the_first_letter_for_which_no_mail_server_is_there(meeting: Meeting, settings: Any) -> None:
    """Two owners are to be written to; the server hangs up, and is asked once."""
    Workload.objects.filter(pk=meeting.labels.workload.pk).update(business_owner=meeting.world.dan)
    cycle = meeting.open()
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.getsockname()
        asked: list[int] = []
        enough = Event()
        hanging_up = Thread(target=_hang_up, args=(server, asked, enough), daemon=True)
        hanging_up.start()

        assert reviews.send_letters(now=cycle.opened_at) == 0
        enough.set()
        socket.create_connection(server.getsockname()).close()
        hanging_up.join()

    assert len(asked) == 1
    assert len(list(reviews.letters_due(now=cycle.opened_at))) == 2


def _hang_up(server: socket.socket, asked: list[int], enough: Event) -> None:
    """Take each connection and close it, until the one after it was said to be enough."""
    while True:
        caller, (_, port) = server.accept()
        with caller:
            if enough.is_set():
                return
            asked.append(port)


def test_while_somebody_sends_letters_nobody_else_does(meeting: Meeting) -> None:
    """No transaction is held meanwhile; what is held is a turn."""
    cycle, other = meeting.open(), connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LETTERS_LOCK])
        assert reviews.send_letters(now=cycle.opened_at) == 0
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LETTERS_LOCK])
    finally:
        other.close()
    assert reviews.send_letters(now=cycle.opened_at) == 1


def test_who_left_is_not_written_to_but_who_answers_in_their_place(meeting: Meeting) -> None:
    Person.objects.filter(pk=meeting.world.ben.pk).update(active=False)
    meeting.open()

    assert [(letter.person, letter.workloads) for letter in reviews.letters_due(now=NOW)] == [
        (meeting.world.dan, ("Labels", "Summaries"))
    ]


def test_what_nobody_answers_for_is_on_the_agenda(meeting: Meeting) -> None:
    gone = make_member("Ivy Gone")
    Person.objects.filter(pk=gone.pk).update(active=False)
    workload = meeting.summaries.workload
    Workload.objects.filter(pk=workload.pk).update(business_owner=gone, technical_owner=gone, budget_owner=gone)

    cycle = meeting.open()

    orphan = meeting.item(cycle, "orphan")
    assert (orphan.workload, orphan.money_at_stake) == (workload, 2400)
    Workload.objects.filter(pk=workload.pk).update(technical_owner=meeting.world.dan)
    meeting.open()
    assert meeting.item(cycle, "orphan").state == Item.State.CLEARED


def test_a_review_that_stays_unsigned_is_told_to_every_reviewer_of_the_whole(meeting: Meeting) -> None:
    cycle = meeting.open()
    late = cycle.opened_at + timedelta(days=11)

    told = [letter for letter in reviews.letters_due(now=late) if letter.is_escalation]

    assert {letter.person.name for letter in told} == {"Nora Quist", "Olaf Rank"}

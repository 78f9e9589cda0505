"""What came out: by service, file, and API; corrections are kept, nonsense is refused, sent twice counts once."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, InternalError, transaction
from django.db.utils import ProgrammingError
from django.test import Client

from apps.core.errors import BadInput, NotFound
from apps.core.models import AuditEvent
from apps.economics import services as economics
from apps.economics.models import Dirty, Outcome
from apps.economics.outcomes_csv import COLUMNS, REQUIRED, import_outcomes
from apps.economics.services import OutcomeEntry, OutcomesRefused
from apps.workloads.csv_table import Kind, read_table
from tests.books import make_workload
from tests.economics.ledger import OCTOBER, TODAY, Ledger, came_out, make_ledger, month_of, settle, spend
from tests.rights.cast import make_token
from tests.world import World, actor

BODY = {
    "id": "one",
    "workload": "ticket-summaries",
    "period_start": "2026-10-24",
    "produced": 412,
    "accepted": 371,
    "reviewed": 40,
}


@pytest.fixture
def ledger(world: World) -> Ledger:
    return make_ledger(world)


def test_a_correction_is_a_revision_and_the_first_figure_stays(ledger: Ledger) -> None:
    came_out(ledger, 100, 90, 5)
    came_out(ledger, 100, 80, 5)
    came_out(ledger, 100, 80, 5)

    rows = Outcome.objects.order_by("revision")
    assert [(row.revision, row.accepted, row.is_latest) for row in rows] == [(0, 90, False), (1, 80, True)]
    assert AuditEvent.objects.filter(verb="recorded outcomes").count() == 2


def test_what_is_taken_back_counts_no_longer(ledger: Ledger) -> None:
    came_out(ledger, 100, 90, 5)
    spend(ledger, 1)
    settle()
    assert month_of(ledger).useful == 90
    economics.withdraw_outcomes(
        actor=actor(ledger.world.ben), workload=ledger.workload, period_start=OCTOBER, period_end=date(2026, 11, 1)
    )
    settle()

    assert month_of(ledger).useful is None
    with pytest.raises(NotFound):
        economics.withdraw_outcomes(
            actor=actor(ledger.world.ben), workload=ledger.workload, period_start=OCTOBER, period_end=date(2026, 11, 1)
        )
    came_out(ledger, 100, 70, 5, day=3)
    assert Outcome.objects.current().get().accepted == 70


def test_days_and_the_whole_month_do_not_stand_side_by_side(ledger: Ledger) -> None:
    came_out(ledger, 100, 90)

    with pytest.raises(OutcomesRefused, match="figures for the whole month already"):
        came_out(ledger, 10, 9, day=3)
    came_out(ledger, 10, 9, month=date(2026, 9, 1), day=3)
    with pytest.raises(OutcomesRefused, match="figures for single days already"):
        came_out(ledger, 10, 9, month=date(2026, 9, 1))


def test_several_sources_add_up(ledger: Ledger) -> None:
    spend(ledger, 1)
    for source in ("helpdesk", "chat"):
        entry = OutcomeEntry(ledger.workload, OCTOBER, date(2026, 11, 1), 100, 50, 0)
        economics.record_outcomes(actor=actor(ledger.world.ben), entries=[entry], today=TODAY, source=source)
    settle()

    assert month_of(ledger).useful == 100


@pytest.mark.parametrize(
    ("start", "end", "counts", "says"),
    [
        (date(2026, 10, 1), date(2026, 10, 3), (1, 1, 1), "a day or a whole month"),
        (date(2026, 10, 2), date(2026, 11, 2), (1, 1, 1), "a day or a whole month"),
        (date(2026, 11, 25), date(2026, 11, 26), (1, 1, 1), "in the future"),
        (date(9999, 12, 31), date(9999, 12, 31), (1, 1, 1), "in the future"),
        (date(2014, 12, 31), date(2015, 1, 1), (1, 1, 1), "before 2015"),
        (OCTOBER, date(2026, 11, 1), (10, 11, 0), "11 accepted are more than the 10 produced"),
        (OCTOBER, date(2026, 11, 1), (10, 9, 11), "11 reviewed are more than the 10 produced"),
        (OCTOBER, date(2026, 11, 1), (-1, -1, 0), "Produced is a count"),
        (OCTOBER, date(2026, 11, 1), (10**15, 1, 0), "Produced is a count"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_stored(
    ledger: Ledger, start: date, end: date, counts: tuple[int, int, int], says: str
) -> None:
    good = OutcomeEntry(ledger.workload, date(2026, 9, 1), date(2026, 10, 1), 10, 9, 1)
    with pytest.raises(OutcomesRefused, match=says) as refused:
        economics.record_outcomes(
            actor=actor(ledger.world.ben),
            entries=[good, OutcomeEntry(ledger.workload, start, end, *counts)],
            today=TODAY,
        )

    assert list(refused.value.errors) == [1]
    assert not Outcome.objects.exists()
    assert not Dirty.objects.exists()


@pytest.mark.parametrize("share", ["-0.01", "1.01", "NaN", "Infinity"])
def test_a_declared_share_lies_between_nothing_and_all(ledger: Ledger, share: str) -> None:
    with pytest.raises(BadInput, match="between 0 and 1"):
        economics.declare_outcomes(
            actor=actor(ledger.world.ben), workload=ledger.workload, month=OCTOBER, share=Decimal(share), today=TODAY
        )


def test_only_owners_and_analysts_say_what_came_out(ledger: Ledger) -> None:
    entry = OutcomeEntry(ledger.workload, OCTOBER, date(2026, 11, 1), 10, 9, 1)
    for who, may in (("ben", True), ("cleo", True), ("eve", False), ("gus", False), ("finn", False)):
        person = ledger.world.people[who]
        if may:
            economics.record_outcomes(actor=actor(person), entries=[entry], today=TODAY)
        else:
            with pytest.raises(OutcomesRefused) as refused:
                economics.record_outcomes(actor=actor(person), entries=[entry], today=TODAY)
            assert refused.value.status == 403


def test_the_database_refuses_what_no_service_would_write(ledger: Ledger) -> None:
    told = {"workload": ledger.workload, "period_start": OCTOBER, "period_end": date(2026, 11, 1), "source": "x"}
    wrong: list[dict[str, Any]] = [
        {"produced": 1, "accepted": 2},
        {"produced": -1, "accepted": -1},
        {"produced": 1, "accepted": 1, "reviewed": 2},
        {"produced": 1, "accepted": 1, "period_end": date(2026, 10, 5)},
        {"produced": 1, "accepted": 1, "declared": Decimal("0.5")},
        {"declared": Decimal("1.5"), "declared_reviewed": 0},
        {},
    ]
    for values in wrong:
        with pytest.raises(IntegrityError), transaction.atomic():
            Outcome.objects.create(**{**told, **values})
    kept = Outcome.objects.create(**told, produced=1, accepted=1)
    with pytest.raises((InternalError, ProgrammingError)), transaction.atomic():
        Outcome.objects.filter(pk=kept.pk).update(accepted=0)
    with pytest.raises((InternalError, ProgrammingError)), transaction.atomic():
        kept.delete()


# --- By file ----------------------------------------------------------------------------------------------------------


def run(ledger: Ledger, text: str, *, dry_run: bool = False) -> Any:
    lines = read_table(text.encode(), columns=COLUMNS, required=REQUIRED)
    return import_outcomes(actor=actor(ledger.world.ben), lines=lines, today=TODAY, dry_run=dry_run)


def test_a_file_is_looked_at_before_it_is_taken(ledger: Ledger) -> None:
    came_out(ledger, 10, 9, 1, day=2)
    text = (
        "workload,period,produced,accepted,reviewed\n"
        "Ticket summaries,2026-10-01,100,90,5\n"
        "WL-999,2026-10-01,1,1,1\n"
        f"{ledger.workload.ref},2026-10-02,10,8,1\n"
        "ticket-summaries,2026-10-03,10,11,\n"
        "ticket-summaries,2026-10-04,1e3,1,\n"
        "ticket-summaries,2026-10-32,1,1,\n"
        "ticket-summaries,2026-10,1,1,\n"
        "ticket-summaries,2026-09,500,400,\n"
    )
    tried = run(ledger, text, dry_run=True)

    assert Outcome.objects.count() == 1
    assert [row.kind for row in tried.rows] == [
        *(Kind.NEW, Kind.ERROR, Kind.CHANGED, Kind.ERROR, Kind.ERROR, Kind.ERROR, Kind.ERROR, Kind.NEW)
    ]
    assert [(one.label, one.before, one.after) for one in tried.rows[2].changes] == [("Accepted", "9", "8")]
    done = run(ledger, text)
    assert done.digest == tried.digest
    assert Outcome.objects.current().count() == 3
    assert Outcome.objects.get(period_start=date(2026, 9, 1)).reviewed is None


NO_DAYS = (
    "2026-02-30",
    "2026-13",
    "2026-1-40",
    "2026-01-05T24:00:00Z",
    "epoch",
    "infinity",
    "-infinity",
    "now",
    "today",
)


@pytest.mark.parametrize("period", [*NO_DAYS, "2026-1-4", "2026-1", "2026", "2026-W02-1", "20260105"])
def test_what_is_no_day_and_no_month_is_refused_in_a_file(ledger: Ledger, period: str) -> None:
    (row,) = run(ledger, f"workload,period,produced,accepted\nTicket summaries,{period},100,90\n").rows
    assert row.kind is Kind.ERROR
    assert "is no day and no month" in row.error
    assert not Outcome.objects.exists()


def test_a_second_run_of_a_file_changes_nothing(ledger: Ledger) -> None:
    text = "workload,period,produced,accepted\nTicket summaries,2026-10,100,90\n"
    run(ledger, text)

    assert [row.kind for row in run(ledger, text).rows] == [Kind.UNCHANGED]


# --- By API -----------------------------------------------------------------------------------------------------------


def send(world: World, body: Any, who: str = "ben", **headers: str) -> Any:
    token = make_token(world.people[who])
    return Client().post(
        "/api/v1/outcomes/",
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}", **headers},
    )


def test_sent_twice_it_counts_once(ledger: Ledger) -> None:
    world = ledger.world

    assert send(world, BODY).status_code == 201
    again = send(world, BODY)
    assert (again.status_code, again.json()) == (200, {"new": 0, "corrected": 0, "same": 1})
    other = send(world, {**BODY, "accepted": 370})
    assert other.status_code == 409
    assert other.headers["Content-Type"] == "application/problem+json"
    assert Outcome.objects.get().accepted == 371
    corrected = send(world, {**BODY, "id": "two", "accepted": 370})
    assert corrected.json() == {"new": 0, "corrected": 1, "same": 0}
    assert Outcome.objects.current().get().accepted == 370


@pytest.mark.parametrize("field", ["period_start", "period_end"])
def test_what_is_no_day_is_refused_from_a_program(ledger: Ledger, field: str) -> None:
    for day in (*NO_DAYS, "2026-10", 20260105, None):
        answer = send(ledger.world, {**BODY, field: day})
        assert (day, answer.status_code) == (day, 400)
    assert not Outcome.objects.exists()


def test_an_id_sent_twice_in_one_list_is_one_entry_or_a_conflict(ledger: Ledger) -> None:
    other = {**BODY, "period_start": "2026-10-25"}
    refused = send(ledger.world, [BODY, other])

    assert refused.status_code == 409
    assert [error["entry"] for error in refused.json()["errors"]] == [1]
    assert not Outcome.objects.exists()
    assert send(ledger.world, [BODY, BODY]).json() == {"new": 1, "corrected": 0, "same": 1}
    assert Outcome.objects.get().accepted == 371


def test_every_fault_of_a_list_is_told_and_none_of_it_stored(ledger: Ledger) -> None:
    bad = [
        BODY,
        {**BODY, "id": "two", "period_start": "2026-10-25", "accepted": 999},
        {**BODY, "id": "three", "period_start": "2031-01-01"},
    ]
    answer = send(ledger.world, bad)

    assert answer.status_code == 400
    assert [error["entry"] for error in answer.json()["errors"]] == [1, 2]
    assert not Outcome.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"produced": -1},
        {"produced": "many"},
        {"produced": 1.5},
        {"produced": True},
        {"accepted": None},
        {"workload": "no such"},
        {"period_start": "yesterday"},
        {"period_start": "9999-12-31"},
        {"useful": 3},
        {"id": ""},
        {"id": "x" * 201},
    ],
)
def test_a_body_that_cannot_be_is_a_400(ledger: Ledger, change: dict[str, Any]) -> None:
    answer = send(ledger.world, {**BODY, **change})

    assert answer.status_code == 400, answer.content
    assert not Outcome.objects.exists()


def test_an_unknown_workload_and_a_foreign_one(ledger: Ledger) -> None:
    make_workload("Contracts", ledger.world, cost_centre=ledger.world.legal, business_owner=ledger.world.eve)

    assert send(ledger.world, {**BODY, "workload": "nothing-here"}).status_code == 404
    assert send(ledger.world, BODY, who="eve").status_code == 403


def test_the_same_key_with_the_same_body_is_done_once(ledger: Ledger) -> None:
    token = make_token(ledger.world.ben)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    answers = [
        Client().post("/api/v1/outcomes/", BODY, content_type="application/json", headers=headers) for _ in range(2)
    ]
    other = Client().post("/api/v1/outcomes/", {**BODY, "id": "2"}, content_type="application/json", headers=headers)

    assert [answer.status_code for answer in answers] == [201, 201]
    assert other.status_code == 422
    assert Outcome.objects.count() == 1

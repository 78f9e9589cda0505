"""Value cases: who writes, who attests, which version counts when, and what may support one."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import DatabaseError, IntegrityError, InternalError, connection, transaction
from django.db.utils import ProgrammingError

from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import AuditEvent, Period
from apps.core.periods import bounds, ensure_months
from apps.economics import services as economics
from apps.economics.models import EconomicsMonth, ValueCase
from tests.books import make_workload, unproved
from tests.economics.ledger import (
    ASSUMPTIONS,
    OCTOBER,
    TODAY,
    Ledger,
    attest,
    attested,
    came_out,
    make_ledger,
    month_of,
    settle,
    spend,
    write_case,
)
from tests.world import World, actor

TODAY_AT = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def ledger(world: World) -> Ledger:
    return make_ledger(world)


def test_a_case_counts_only_once_somebody_else_has_attested_it(ledger: Ledger) -> None:
    spend(ledger, 1)
    came_out(ledger, 1000, 900)
    case = write_case(ledger)
    settle()
    assert [gap["gap"] for gap in month_of(ledger).reasons["missing"]] == ["case"]

    attest(ledger, case)
    settle()
    assert month_of(ledger).verdict == "scale"


def test_whoever_wrote_or_owns_it_cannot_attest_it(ledger: Ledger) -> None:
    case = write_case(ledger, owner=ledger.world.dan)

    for person in (ledger.world.ben, ledger.world.dan):
        with pytest.raises(NotAllowed):
            economics.mark_attested(actor=actor(person), case=case)
    assert not ValueCase.objects.get().is_attested
    with pytest.raises(DatabaseError, match="by the decision of somebody else"), transaction.atomic():
        ValueCase.objects.filter(pk=case.pk).update(
            attested_by=ledger.world.ben, attested_at=case.written_at, counts_from=OCTOBER, counts_to=TODAY
        )


def test_a_new_version_counts_from_its_own_first_day(ledger: Ledger) -> None:
    spend(ledger, 1)
    for day in (1, 20):
        came_out(ledger, 60, 60, 0, day=day)
    first = attested(ledger)
    second = write_case(ledger, valid_from=date(2026, 10, 15))
    settle()
    assert [span["version"] for span in month_of(ledger).spans] == [1]

    attest(ledger, second)
    settle()
    first.refresh_from_db()
    assert (first.counts_to, first.superseded_by) == (date(2026, 10, 15), second)
    assert [(span["version"], span["useful"]) for span in month_of(ledger).spans] == [(1, "60"), (2, "60")]


def test_a_signed_month_keeps_the_case_by_which_it_was_signed(ledger: Ledger) -> None:
    spend(ledger, 1)
    came_out(ledger, 1000, 900)
    attested(ledger)
    settle()
    economics.freeze(month=OCTOBER, today=TODAY)
    ensure_months(*[bounds(OCTOBER, ZoneInfo("UTC"))[0]] * 2, {})
    with unproved():
        Period.objects.filter(month=OCTOBER).update(state=Period.State.SIGNED)
    second = attest(ledger, write_case(ledger, valid_from=date(2026, 1, 1)))
    settle()

    assert second.counts_from == date(2026, 11, 1)
    assert month_of(ledger).state == EconomicsMonth.State.SIGNED
    with pytest.raises(BadInput, match="are signed"):
        write_case(ledger, valid_from=date(2026, 1, 1), expires=date(2026, 11, 1))


def test_an_expired_case_proves_nothing_any_more(ledger: Ledger) -> None:
    spend(ledger, 1)
    came_out(ledger, 1000, 900)
    attested(ledger, expires=date(2026, 10, 31))
    settle()
    assert "expired" in month_of(ledger).reasons["sentence"]

    attest(ledger, write_case(ledger, expires=date(2026, 11, 1)))
    settle()
    assert month_of(ledger).verdict == "scale"


def test_a_case_can_end_before_its_time(ledger: Ledger) -> None:
    case = attested(ledger)
    ended = economics.expire_case(actor=actor(ledger.world.ben), case=case, reason="Nobody uses it", today=TODAY)

    assert ended.counts_to == TODAY
    with pytest.raises(Conflict):
        economics.expire_case(actor=actor(ledger.world.ben), case=case, reason="Again", today=TODAY)


def test_what_a_version_says_never_changes(ledger: Ledger) -> None:
    case = attested(ledger)
    found = ValueCase.objects.filter(pk=case.pk)

    for change in ({"assumptions": {}}, {"expires": date(2030, 1, 1)}, {"owner": ledger.world.eve}):
        with pytest.raises((InternalError, ProgrammingError)), transaction.atomic():
            found.update(**change)
    with pytest.raises((InternalError, ProgrammingError)), transaction.atomic():
        found.delete()


def test_two_writers_are_told_of_each_other(ledger: Ledger) -> None:
    write_case(ledger, expected_version=0)

    with pytest.raises(Conflict, match="in the meantime"):
        write_case(ledger, expected_version=0)


def test_only_one_version_counts_on_a_day_says_the_database(ledger: Ledger) -> None:
    attested(ledger)
    second = ValueCase(
        workload=ledger.workload, version=9, assumptions=ASSUMPTIONS, evidence_link="https://x.example",
        owner=ledger.world.ben, valid_from=date(2026, 5, 1), expires=date(2026, 6, 1),
        attested_at=TODAY_AT, counts_from=date(2026, 5, 1), counts_to=date(2026, 6, 1),
    )  # fmt: skip
    with connection.cursor() as cursor:
        # Past the trigger that asks for a decision, to the constraint behind it.
        cursor.execute("SET LOCAL session_replication_role = replica")
    with pytest.raises(IntegrityError), transaction.atomic():
        second.save()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"evidence_link": ""}, "a link or a file"),
        ({"evidence_link": "javascript:alert(1)"}, "no web address"),
        ({"evidence_link": "https://user:pass@example.com/"}, "no web address"),
        ({"expires": date(2026, 1, 1)}, "ends before it begins"),
        ({"expires": date(2029, 1, 1)}, "two years"),
        ({"review_grade": None}, "who reviews"),
        ({"assumptions": {}}, "are numbers"),
        ({"assumptions": {**ASSUMPTIONS, "magic": {}}}, "nothing called magic"),
        (
            {"assumptions": {**ASSUMPTIONS, "realisation": {"low": "0.5", "base": "0.6", "high": "1.1"}}},
            "between 0 and 1",
        ),
        (
            {"assumptions": {**ASSUMPTIONS, "realisation": {"low": "0.7", "base": "0.6", "high": "0.8"}}},
            "must not fall",
        ),
        ({"assumptions": {**ASSUMPTIONS, "minutes_saved": {"low": "NaN", "base": "1", "high": "2"}}}, "between 0 and"),
        ({"assumptions": {**ASSUMPTIONS, "minutes_saved": {"low": "-1", "base": "1", "high": "2"}}}, "between 0 and"),
        ({"assumptions": {**ASSUMPTIONS, "minutes_saved": {"low": "0.0000001", "base": "1", "high": "2"}}}, "6 places"),
    ],
)
def test_a_case_that_cannot_be_is_refused_in_words(ledger: Ledger, values: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        write_case(ledger, **values)
    assert not ValueCase.objects.exists()


def test_only_those_who_answer_for_it_write_one(ledger: Ledger) -> None:
    told = {
        "workload": ledger.workload,
        "assumptions": ASSUMPTIONS,
        "grade": ledger.grade,
        "review_grade": ledger.grade,
        "owner": ledger.world.ben,
        "valid_from": OCTOBER,
        "expires": date(2027, 1, 1),
        "evidence_link": "https://example.com/",
    }
    for who in ("eve", "gus", "finn", "hana", "cleo"):
        with pytest.raises(NotAllowed):
            economics.write_case(actor=actor(ledger.world.people[who]), **told)
    economics.write_case(actor=actor(ledger.world.dan), **told)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("run.exe", b"MZ", "cannot be kept"),
        ("page.html", b"<script>", "cannot be kept"),
        ("drawing.svg", b"<svg/>", "cannot be kept"),
        ("study.pdf", b"<html>", "not what its name says"),
        ("study.pdf", b"", "empty or larger"),
        ("study.pdf", b"%PDF-" + b"0" * 10 * 1024 * 1024, "empty or larger"),
    ],
)
def test_evidence_that_could_do_more_than_be_read_is_refused(
    ledger: Ledger, name: str, content: bytes, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        economics.add_evidence(actor=actor(ledger.world.ben), workload=ledger.workload, name=name, content=content)


def test_evidence_is_kept_with_its_digest_and_belongs_to_its_workload(ledger: Ledger) -> None:
    ben = actor(ledger.world.ben)
    file = economics.add_evidence(
        actor=ben, workload=ledger.workload, name="../../etc/time study.pdf", content=b"%PDF-1.7"
    )
    assert (file.name, file.content_type, file.size) == ("time study.pdf", "application/pdf", 8)
    write_case(ledger, evidence_link="", evidence=file)

    other = make_workload("Labels", ledger.world)
    with pytest.raises(BadInput, match="another workload"):
        write_case(Ledger(ledger.world, other, ledger.series, ledger.identity, ledger.grade), evidence=file)


def test_the_trail_says_who_wrote_and_attested_and_no_rate(ledger: Ledger) -> None:
    attested(ledger)
    events = AuditEvent.objects.filter(verb__in=("wrote value case", "attested value case", "set hourly rate"))

    assert [event.verb for event in events.order_by("id")] == [
        *("set hourly rate", "wrote value case", "attested value case")
    ]
    assert events.get(verb="wrote value case").data["workload"] == ledger.workload.pk
    assert "30" not in str(events.get(verb="set hourly rate").data.get("hourly", ""))

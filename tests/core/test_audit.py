"""What was done is written with the deed, never changed, and provable."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from threading import Event

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from apps.core import audit, heads
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.core.models import AuditEvent, AuditSeal
from tests.world import MACHINE
from workers import audit as clock

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def do(verb: str, **data: object) -> None:
    with transaction.atomic():
        audit.record(actor=MACHINE, verb=verb, data=dict(data))


def tamper(sql: str) -> None:
    """As the owner of the database could, and as no role of the application can: with the triggers off."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql)


def test_an_event_without_its_deed_is_refused(transactional_db: None) -> None:
    with pytest.raises(RuntimeError, match="transaction of its deed"):
        audit.record(actor=MACHINE, verb="floated")


def test_an_event_goes_when_its_deed_goes(transactional_db: None) -> None:
    with transaction.atomic():
        audit.record(actor=MACHINE, verb="vanished")
        transaction.set_rollback(True)

    assert not AuditEvent.objects.exists()


def test_an_event_holds_the_number_of_a_person_and_no_name(transactional_db: None) -> None:
    with transaction.atomic():
        audit.record(actor=Actor(person_id=7, label="Ada Moss", channel="web"), verb="acted")

    assert "Ada" not in str(AuditEvent.objects.values().get())


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE core_audit_event SET verb = 'nothing'",
        "DELETE FROM core_audit_event",
        "TRUNCATE core_audit_event CASCADE",
        "UPDATE core_audit_seal SET sha256 = 'x'",
        "DELETE FROM core_audit_seal",
        "TRUNCATE core_audit_seal",
    ],
)
def test_the_database_refuses_to_change_what_was_done(transactional_db: None, sql: str) -> None:
    do("deed")
    audit.seal()

    with pytest.raises(DatabaseError, match=r"[Cc]annot (update|delete|truncate)"), connection.cursor() as cursor:
        cursor.execute(sql)


def test_a_chain_of_deeds_holds(transactional_db: None) -> None:
    for verb in ("one", "two", "three"):
        do(verb)
    assert audit.seal() == 3
    assert audit.seal() == 0
    do("four")

    status = audit.verify()
    assert status.holds
    assert (status.sealed, status.waiting) == (3, 1)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE core_audit_event SET verb = 'nothing' WHERE verb = 'two'",
        """UPDATE core_audit_event SET data = '{"amount": "9"}' WHERE verb = 'two'""",
        "UPDATE core_audit_event SET person_id = 1 WHERE verb = 'two'",
        "UPDATE core_audit_event SET at = at - interval '1 second' WHERE verb = 'two'",
        "DELETE FROM core_audit_seal WHERE position = 2",
        "UPDATE core_audit_seal SET position = position + 10 WHERE position = 3",
    ],
)
def test_tampering_with_the_middle_is_found(transactional_db: None, sql: str) -> None:
    for verb in ("one", "two", "three"):
        do(verb, amount="1")
    audit.seal()

    tamper(sql)

    assert not audit.verify().holds


def test_an_event_taken_out_together_with_its_seal_is_found(transactional_db: None) -> None:
    for verb in ("one", "two", "three"):
        do(verb)
    audit.seal()

    tamper("DELETE FROM core_audit_seal WHERE position = 2; DELETE FROM core_audit_event WHERE verb = 'two'")

    status = audit.verify()
    assert not status.holds
    assert status.broken_at == AuditEvent.objects.get(verb="three").pk


def test_a_chain_cut_at_its_end_is_found_by_a_head_kept_outside(transactional_db: None, tmp_path: Path) -> None:
    do("one")
    do("two")
    kept = heads.read(heads.keep(folder=tmp_path, now=NOON))
    assert audit.verify(expected_head=kept.sha256).holds

    tamper("DELETE FROM core_audit_seal WHERE position = 2; DELETE FROM core_audit_event WHERE verb = 'two'")

    assert audit.verify().holds
    assert not audit.verify(expected_head=kept.sha256).holds


def test_a_kept_head_that_was_changed_is_no_proof(transactional_db: None, tmp_path: Path) -> None:
    do("one")
    path = heads.keep(folder=tmp_path, now=NOON)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "position": 7}))

    with pytest.raises(BadInput, match="signature"):
        heads.read(path)
    for text in ("", "[]", "{}", '{"position": null}'):
        path.write_text(text)
        with pytest.raises(BadInput, match="no head"):
            heads.read(path)
    with pytest.raises(BadInput, match="cannot be read"):
        heads.read(tmp_path / "missing.json")


def test_a_deed_that_commits_late_is_sealed_later_and_the_chain_holds(transactional_db: None) -> None:
    """Its id is lower than those of events that committed before it; sealing in haste would leave it out for ever."""
    written, sealed_around = Event(), Event()

    def slow_deed() -> None:
        with transaction.atomic():
            audit.record(actor=MACHINE, verb="slow")
            written.set()
            assert sealed_around.wait(10)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(slow_deed)
        assert written.wait(10)
        do("quick")
        early = audit.seal()
        sealed_around.set()
        running.result()
    late = audit.seal()

    assert (early, late) == (0, 2)
    assert AuditEvent.objects.get(verb="slow").pk < AuditEvent.objects.get(verb="quick").pk
    assert audit.verify().holds


def test_two_sealers_at_once_do_not_fork_the_chain(transactional_db: None) -> None:
    for number in range(50):
        do(f"deed {number}")

    def run(_: int) -> int:
        try:
            return audit.seal(limit=10)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(20)))
    while audit.seal(limit=10):
        pass

    status = audit.verify()
    assert status.holds
    assert (status.sealed, status.waiting) == (50, 0)
    assert list(AuditSeal.objects.values_list("position", flat=True).order_by("position")) == list(range(1, 51))


def test_the_command_proves_the_chain_and_says_where_it_breaks(transactional_db: None, tmp_path: Path) -> None:
    do("one")
    do("two")
    call_command("audit", "seal", stdout=StringIO())
    head = heads.keep(folder=tmp_path, now=NOON)
    said = StringIO()

    call_command("audit", "verify", "--head", str(head), stdout=said)

    assert said.getvalue().startswith("The chain holds: 2 events sealed, 0 waiting, head ")
    tamper("UPDATE core_audit_event SET verb = 'nothing' WHERE verb = 'two'")
    with pytest.raises(CommandError, match=f"at event {AuditEvent.objects.get(verb='nothing').pk}"):
        call_command("audit", "verify", stdout=StringIO())


def test_the_clock_seals_and_keeps_the_head_of_the_day(
    transactional_db: None, settings: object, tmp_path: Path
) -> None:
    settings.TOLLGATE_HOME = tmp_path  # type: ignore[attr-defined]
    do("one")

    clock.seal()
    clock.keep_head()

    assert audit.status().sealed == 1
    (path,) = (tmp_path / "audit").iterdir()
    assert heads.read(path).sha256 == audit.status().head

"""As the application's role, straight at the tables: what was attested, waived, decided and signed stays so."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from apps.accounts import services as accounts
from apps.approvals import services as approvals
from apps.config import embedded, roles
from apps.core.errors import Conflict
from apps.reviews import packs, proof
from apps.reviews import services as reviews
from apps.reviews.models import Cycle, Figure, Pack
from apps.reviews.selectors import get_pack_for
from tests.books import make_workload, unproved
from tests.reviews.meeting import Meeting, make_meeting
from tests.world import MACHINE, actor, make_world

pytestmark = pytest.mark.django_db(transaction=True)
Run = Callable[[str], Any]


@pytest.fixture
def meeting(transactional_db: None) -> Meeting:
    return make_meeting(make_world())


@pytest.fixture
def open_review(meeting: Meeting) -> Cycle:
    """October with figures that Ben attested, items that were decided, and a waiver by Nora and Olaf."""
    cycle = meeting.open()
    workload = meeting.labels.workload
    digest = Figure.objects.get(cycle=cycle, workload=workload).digest
    reviews.attest_figures(actor=actor(meeting.world.ben), cycle=cycle, workload=workload, digest=digest)
    reviews.attend(actor=actor(meeting.nora), cycle=cycle)
    meeting.decide(meeting.item(cycle, "stop"), "continue")
    confirmed(meeting, "waiver", cycle, blocker="items")
    return cycle


@pytest.fixture
def signed(meeting: Meeting, open_review: Cycle) -> Pack:
    pack: Pack = meeting.sign(open_review)
    return pack


@pytest.fixture
def as_app(transactional_db: None) -> Iterator[Run]:
    """Runs one statement as the application's role, in a connection of its own."""
    chosen = embedded.database_settings("own")
    with psycopg.connect(
        host=chosen["HOST"], user=chosen["USER"], dbname=connection.settings_dict["NAME"], autocommit=True
    ) as session:
        yield session.execute


def confirmed(meeting: Meeting, kind: str, cycle: Cycle, **proposed: Any) -> None:
    """Nora asks, Olaf confirms."""
    waiting = approvals.ask(
        actor=actor(meeting.nora), kind=kind, subject=cycle, proposed=proposed, reason="It is agreed."
    )
    approvals.confirm(
        actor=actor(meeting.olaf),
        confirmation=waiting,
        digest=waiting.digest,
        session_fresh_at=waiting.asked_at,
    )


def let_through(as_app: Run, statements: list[str]) -> list[str]:
    """Those that the database did not refuse; each in a transaction of its own that is taken back."""
    allowed = []
    for statement in statements:
        as_app("BEGIN")
        try:
            as_app(statement)
            as_app("SET CONSTRAINTS ALL IMMEDIATE")
            allowed.append(statement)
        except psycopg.Error:
            pass
        as_app("ROLLBACK")
    return allowed


KEPT = (
    "approvals_confirmation",
    "approvals_decision",
    "approvals_barred",
    "reviews_pack",
    "reviews_disposition",
    "reviews_attestation",
    "reviews_attendance",
    "reviews_waiver",
    "reviews_cycle",
    "reviews_figure",
    "reviews_item",
)
ALTERED = (
    "UPDATE approvals_confirmation SET reason = 'another'",
    "UPDATE approvals_confirmation SET state = 'waiting', settled_at = NULL",
    "UPDATE approvals_decision SET person_id = person_id + 1",
    "UPDATE approvals_barred SET since = since - interval '1 year'",
    "UPDATE reviews_pack SET body = '{}'",
    "UPDATE reviews_disposition SET what = 'suspend'",
    "UPDATE reviews_attestation SET person_id = person_id + 1",
    "UPDATE reviews_waiver SET reason = 'another'",
    "UPDATE reviews_cycle SET state = 'open'",
    "UPDATE reviews_cycle SET revision = revision + 1",
    "UPDATE reviews_cycle SET month = '2026-09-01'",
    "UPDATE reviews_figure SET cost = 0",
    "UPDATE reviews_item SET facts = '{}'",
    "UPDATE economics_month SET cost = 0, verdict = 'scale' WHERE state = 'signed'",
    "UPDATE economics_month SET is_signed_now = false WHERE state = 'signed'",
    "UPDATE economics_month SET state = 'restated', is_signed_now = false WHERE state = 'signed'",
    "DELETE FROM economics_month WHERE state = 'signed'",
    "UPDATE economics_value_case SET assumptions = '{}' WHERE attested_at IS NOT NULL",
    "UPDATE economics_value_case SET attested_by_id = NULL, attested_at = NULL WHERE attested_at IS NOT NULL",
    "DELETE FROM economics_value_case",
    "UPDATE economics_outcome SET accepted = accepted - 1",
    "DELETE FROM economics_outcome",
    "UPDATE accounts_role_grant SET role = 'administrator'",
    "UPDATE accounts_role_grant SET granted_at = granted_at - interval '1 year'",
    "DELETE FROM accounts_role_grant",
)
# Names of triggers, as django-pgtrigger would ask for them before it goes on.
IGNORING = "SELECT 'SET LOCAL pgtrigger.ignore = ''{' || string_agg(tgname, ',') || '}''; ' FROM pg_trigger"


def test_the_application_changes_nothing_of_a_signed_review(as_app: Run, signed: Pack) -> None:
    gone = [f"{verb} {table}" for table in KEPT for verb in ("DELETE FROM", "TRUNCATE")]
    assert let_through(as_app, [*ALTERED, *gone]) == []


def test_no_setting_switches_the_triggers_off(as_app: Run, signed: Pack) -> None:
    """`SET pgtrigger.ignore` is free to everybody, and lists the triggers that are to be ignored."""
    (ignoring,) = as_app(IGNORING).fetchone()
    assert let_through(as_app, [ignoring + statement for statement in ALTERED]) == []


ADDED = {
    "figure": "INSERT INTO reviews_figure (cycle_id, workload_id, cost, verdict, digest)"
    " SELECT c.id, w.id, 0, 'scale', '' FROM reviews_cycle c, workloads_workload w WHERE w.name = 'Unused'",
    "item": "INSERT INTO reviews_item (cycle_id, kind, subject, facts, position, state, version)"
    " SELECT id, 'unallocated', 'mine', '{}', 99, 'open', 1 FROM reviews_cycle",
    "attestation": "INSERT INTO reviews_attestation (cycle_id, workload_id, person_id, digest, note)"
    " SELECT cycle_id, workload_id, person_id, repeat('0', 64), '' FROM reviews_attestation",
    "attendance": "INSERT INTO reviews_attendance (cycle_id, person_id)"
    " SELECT c.id, p.id FROM reviews_cycle c, accounts_person p WHERE p.name = 'Eve Stone'",
    "disposition": "INSERT INTO reviews_disposition (item_id, what, reason, effect, by_id, key)"
    " SELECT id, 'continue', 'x', '[]', (SELECT min(id) FROM accounts_person), 'by-hand-' || id FROM reviews_item",
    "waiver": "INSERT INTO reviews_waiver (cycle_id, blocker, digest, reason, asked_by_id, confirmed_by_id, revision)"
    " SELECT cycle_id, 'bill', digest, reason, asked_by_id, confirmed_by_id, 1 FROM reviews_waiver",
    "pack": "INSERT INTO reviews_pack (cycle_id, revision, body, sha256, audit_head, signed_by_id)"
    " SELECT cycle_id, 2, body || ' ', encode(sha256(convert_to(body || ' ', 'UTF8')), 'hex'), audit_head, signed_by_id"
    " FROM reviews_pack",
    "worth": "INSERT INTO economics_month (workload_id, month, revision, state, is_current, is_signed_now, is_complete,"
    " inputs_digest, components, requests, delivered, is_declared, verdict, reasons, coverage, spans)"
    " SELECT workload_id, month, 9, 'signed', false, false, true, '', '{}', 0, 0, false, 'scale', '{}', '{}', '[]'"
    " FROM economics_month WHERE state = 'signed'",
    "reopening": "SELECT core_move_month('2026-10-01', 'reopened')",
}


def test_nothing_is_added_to_a_signed_review(as_app: Run, meeting: Meeting, signed: Pack) -> None:
    make_workload("Unused", meeting.world)
    said = {}
    for what, statement in ADDED.items():
        with pytest.raises(psycopg.errors.RaiseException) as refusal:
            as_app(statement)
        said[what] = refusal.value.diag.message_primary
    off = "This review is signed off"
    assert said == {
        **dict.fromkeys(("figure", "item", "attestation", "attendance", "disposition"), off),
        "waiver": "A waiver takes the decision of a second person.",
        "pack": "A pack is the next one of an open review.",
        "worth": "What 2026-10 was worth is signed",
        "reopening": "A signed month is opened again by the decision of a second person.",
    }


FORGED = (
    "INSERT INTO reviews_pack (cycle_id, revision, body, sha256, audit_head, signed_by_id)"
    " SELECT id, {revision}, '{body}', encode(sha256(convert_to('{body}', 'UTF8')), 'hex'), '{{}}', {by}"
    " FROM reviews_cycle"
)


def test_a_pack_that_nobody_could_have_signed(as_app: Run, meeting: Meeting, open_review: Cycle) -> None:
    olaf = meeting.olaf.pk

    def forged(revision: int, month: str, by: int) -> str:
        body = json.dumps({"month": month, "revision": revision, "signed_by": by})
        return FORGED.format(revision=revision, body=body, by=by)

    for revision, month, by, why in (
        (2, "2026-10-01", olaf, "next one of an open review"),
        (1, "2026-09-01", olaf, "another month"),
        (1, "2026-10-01", meeting.world.ben.pk, "does not sign"),
        (1, "2026-10-01", meeting.world.eve.pk, "reviewer of the whole"),
        (1, "2026-10-01", meeting.world.hana.pk, "reviewer of the whole"),
    ):
        with pytest.raises(psycopg.Error, match=why):
            as_app(forged(revision, month, by))
    with pytest.raises(psycopg.Error, match="signed off with its pack"):
        as_app("UPDATE reviews_cycle SET state = 'signed', revision = 1")
    with pytest.raises(psycopg.Error, match="begins open"):
        as_app("INSERT INTO reviews_cycle (month, state, revision, version, by_calendar, figures_at)"
               " VALUES ('2026-09-01', 'signed', 0, 1, false, now())")  # fmt: skip


def test_a_waiver_says_what_two_people_decided_and_once(as_app: Run, open_review: Cycle) -> None:
    copied = (
        "INSERT INTO reviews_waiver (cycle_id, blocker, digest, reason, asked_by_id, confirmed_by_id, revision,"
        " decision_id) SELECT cycle_id, {blocker}, digest, reason, asked_by_id, {by}, revision, decision_id"
        " FROM reviews_waiver"
    )
    for values in ({"blocker": "'bill'", "by": "confirmed_by_id"}, {"blocker": "blocker", "by": "asked_by_id - 1"}):
        with pytest.raises(psycopg.Error, match="decision of a second person"):
            as_app(copied.format(**values))
    with pytest.raises(psycopg.errors.UniqueViolation):
        as_app(copied.format(blocker="blocker", by="confirmed_by_id"))


def test_a_decision_opens_one_signature_and_no_later_one(as_app: Run, meeting: Meeting, signed: Pack) -> None:
    cycle = signed.cycle
    confirmed(meeting, "reopen", cycle)
    meeting.open()
    meeting.decide_all(cycle)
    meeting.sign(cycle)

    with pytest.raises(psycopg.Error, match="decision of a second person"):
        as_app("UPDATE reviews_cycle SET state = 'open'")
    with pytest.raises(psycopg.Error, match="decision of a second person"):
        as_app(ADDED["reopening"])


# --- Names and proofs -------------------------------------------------------------------------------------------------


def test_no_guard_can_be_switched_off_or_deceived(transactional_db: None) -> None:
    """Every function in the database that is ours, those of later migrations included."""
    assert roles.open_guards() == []
    with connection.cursor() as cursor:
        cursor.execute("CREATE FUNCTION of_a_later_migration() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'")
        cursor.execute(
            "CREATE OR REPLACE FUNCTION _pgtrigger_should_ignore(trigger_name name) RETURNS boolean"
            " LANGUAGE plpgsql AS 'BEGIN RETURN true; END'"
        )
        assert roles.open_guards() == [
            "a setting switches its triggers off",
            "a temporary table deceives of_a_later_migration()",
        ]
        roles.harden()
        assert roles.open_guards() == []
        cursor.execute("DROP FUNCTION of_a_later_migration()")


def test_who_attested_figures_signs_for_nobody_either(meeting: Meeting, open_review: Cycle) -> None:
    """Ben attested his; the role of Nora, who attested nothing, does not make him somebody else."""
    ben, now = meeting.world.ben, timezone.now()
    told = {"valid_from": None, "valid_to": now + timedelta(days=7), "session_fresh_at": now}
    accounts.pass_on(actor=actor(meeting.nora), grant=meeting.nora.grants.get(), to=ben, **told)
    assert reviews.why_not_sign(actor(ben), open_review).startswith("You attested figures of this month")

    body = json.dumps({"month": "2026-10-01", "revision": 1, "signed_by": ben.pk})
    with pytest.raises(DatabaseError, match="Whoever attested figures of a month does not sign it"):
        Pack.objects.create(
            cycle=open_review, revision=1, body=body, sha256=packs.digest(body), audit_head={}, signed_by=ben
        )


def test_a_temporary_table_of_the_same_name_deceives_no_proof(
    as_app: Run, meeting: Meeting, open_review: Cycle
) -> None:
    for table in ("reviews_attestation", "reviews_cycle", "accounts_role_grant", "approvals_barred", "core_period"):
        as_app(f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING DEFAULTS)")
    body = json.dumps({"month": "2026-10-01", "revision": 1, "signed_by": meeting.world.ben.pk})
    values = {"revision": 1, "body": body, "by": meeting.world.ben.pk}
    with pytest.raises(psycopg.Error, match="does not sign"):
        as_app(FORGED.format(**values).replace("FROM reviews_cycle", "FROM public.reviews_cycle"))
    (bars,) = as_app("SELECT approvals_barrier(asked_by_id, id) FROM approvals_confirmation").fetchone()
    assert bars == "asked"


def test_the_nightly_proof_tells_what_the_owner_of_the_tables_did(meeting: Meeting, signed: Pack) -> None:
    """Whoever owns the tables can get past every trigger; it does not go unseen."""
    assert proof.prove() == []
    body = signed.body.replace('"3400"', '"1"')
    with unproved(), connection.cursor() as cursor:
        cursor.execute("UPDATE reviews_pack SET body = %s, sha256 = %s", [body, packs.digest(body)])
        cursor.execute("UPDATE approvals_confirmation SET reason = 'x', statement = statement || ' '"
                       " , digest = encode(sha256(convert_to(statement || ' ', 'UTF8')), 'hex')")  # fmt: skip
    promises = [broken.promise for broken in proof.prove()]
    assert promises == [
        "every decision is about the digest of its confirmation",
        "every signed month has the pack of its signature",
        "every pack is the one that the trail says was signed",
    ]
    with pytest.raises(Conflict, match="not the one that was signed"):
        get_pack_for(actor=MACHINE, cycle=signed.cycle)

"""Past every service, straight at the tables: the database refuses what must not be."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.accounts.models import Person, Role, RoleGrant
from apps.approvals.models import Barred, Confirmation, Decision
from apps.budgets import services as budgets
from apps.budgets.models import Budget
from apps.catalog.models import Offering, Rate
from apps.catalog.services import Prices
from apps.costs import attribution
from apps.workloads.models import Workload, WorkloadRevision
from tests.approvals.deciding import approver, ask, ask_tier, confirm, decide_raw, registered, state_of, tier
from tests.books import at, make_offering
from tests.world import MACHINE, World, actor, give, make_member

pytestmark = pytest.mark.django_db


def refused(match: str) -> Any:
    return pytest.raises(DatabaseError, match=match)


def run(sql: str, *values: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(sql, values)


@pytest.fixture
def gia(world: World) -> Person:
    return approver(world)


@pytest.fixture
def waiting(world: World, gia: Person) -> Confirmation:
    return ask_tier(registered(world), world.ben)


def test_a_decision_by_whoever_asked_owns_edited_or_has_no_role(world: World, waiting: Confirmation) -> None:
    for person in (world.ben, world.dan):
        give(person, Role.APPROVER, by=world.ada)
        with refused("is barred from confirmation"), transaction.atomic():
            decide_raw(waiting, person)
    for person in (world.eve, world.gus, make_member("Sam Stone")):
        with refused("has no role that counts"), transaction.atomic():
            decide_raw(waiting, person)
    assert state_of(waiting) == "waiting"


@pytest.mark.parametrize(
    ("told", "match"),
    [
        ({"digest": "0" * 64}, "about another proposal"),
        ({"channel": "api"}, "takes a web session"),
        ({"session_fresh_at": timezone.now() - timedelta(days=1)}, "logged in again within 15 minutes"),
        ({"session_fresh_at": timezone.now() + timedelta(days=1)}, "logged in again within 15 minutes"),
        ({"verdict": "refuse"}, "approvals_refusal_says_why"),
        ({"verdict": "maybe", "reason": "x"}, "approvals_verdict_known"),
    ],
)
def test_a_decision_that_is_none(waiting: Confirmation, gia: Person, told: dict[str, Any], match: str) -> None:
    with refused(match), transaction.atomic():
        decide_raw(waiting, gia, **told)
    assert state_of(waiting) == "waiting"


def test_a_second_decision(world: World, waiting: Confirmation, gia: Person) -> None:
    decide_raw(waiting, gia)

    assert state_of(waiting) == "confirmed"
    with refused("no longer waiting"), transaction.atomic():
        decide_raw(waiting, world.hana, verdict="refuse", reason="No")


def test_a_decision_after_its_time_by_the_clock_of_the_database(waiting: Confirmation, gia: Person) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(
            "UPDATE approvals_confirmation SET asked_at = asked_at - interval '31 days',"
            " expires_at = clock_timestamp() - interval '1 second'"
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    with refused("has expired"), transaction.atomic():
        decide_raw(waiting, gia)


@pytest.mark.parametrize("state", ["confirmed", "refused"])
def test_a_state_without_a_decision(waiting: Confirmation, state: str) -> None:
    with refused("settled by a decision and by nothing else"):
        run("UPDATE approvals_confirmation SET state = %s, settled_at = now() WHERE id = %s", state, waiting.pk)


@pytest.mark.parametrize(
    "change",
    [
        'proposed = \'{"value_tier": "T2"}\'',
        "digest = repeat('0', 64)",
        "asked_by_id = asked_by_id + 1",
        "asked_at = asked_at - interval '1 day'",
        "expires_at = expires_at + interval '1 day'",
        "roles = ARRAY['auditor']",
        "workload_id = NULL",
    ],
)
def test_a_proposal_that_is_edited_while_it_waits(waiting: Confirmation, change: str) -> None:
    with refused("is not edited; another one takes its place"):
        run(f"UPDATE approvals_confirmation SET {change} WHERE id = %s", waiting.pk)


def test_a_settled_confirmation_that_waits_again(waiting: Confirmation, gia: Person) -> None:
    confirm(waiting, gia)

    for state in ("waiting", "withdrawn"):
        with refused("and stays so"):
            run("UPDATE approvals_confirmation SET state = %s, settled_at = NULL WHERE id = %s", state, waiting.pk)


@pytest.mark.parametrize("table", ["approvals_decision", "approvals_barred", "approvals_confirmation"])
def test_what_was_decided_asked_or_barred_is_neither_deleted_nor_truncated(
    waiting: Confirmation, gia: Person, table: str
) -> None:
    confirm(waiting, gia)

    with refused("Cannot (update or )?delete"):
        run(f"DELETE FROM {table}")
    with refused("Cannot truncate|referenced in a foreign key"):
        run(f"TRUNCATE {table}")
    if table != "approvals_confirmation":
        with refused("Cannot update"):
            run(f"UPDATE {table} SET person_id = %s", gia.pk)


def test_a_digest_of_another_statement_or_a_statement_of_another_proposal(waiting: Confirmation) -> None:
    copy = {f.attname: getattr(waiting, f.attname) for f in Confirmation._meta.concrete_fields if f.name != "id"}
    copy |= {"key": "other", "replaces_id": None}

    with refused("approvals_digest_of_statement|approvals_statement_of_columns"), transaction.atomic():
        Confirmation.objects.create(**copy)
    with refused("approvals_digest_of_statement|approvals_statement_of_columns"), transaction.atomic():
        Confirmation.objects.create(**{**copy, "key": "", "kind": "band"})
    with refused("begins waiting"), transaction.atomic():
        Confirmation.objects.create(**{**copy, "state": "confirmed", "settled_at": timezone.now()})
    with refused("approvals_one_waiting"), transaction.atomic():
        Confirmation.objects.create(**{**copy, "key": ""})


def test_a_date_of_ones_own_choice_is_not_taken(world: World) -> None:
    """A proposal dated ahead would let a role given meanwhile count; one dated back would forget who owned it."""
    waiting = ask_tier(registered(world), world.ben)
    copy = {f.attname: getattr(waiting, f.attname) for f in Confirmation._meta.concrete_fields if f.name != "id"}
    Confirmation.objects.filter(pk=waiting.pk).update(state="withdrawn", settled_at=timezone.now())
    ahead = timezone.now() + timedelta(days=300)

    again = Confirmation.objects.create(**{**copy, "asked_at": ahead, "expires_at": ahead + timedelta(days=30)})

    again.refresh_from_db()
    assert abs(again.asked_at - timezone.now()) < timedelta(minutes=5)
    assert abs(again.expires_at - again.asked_at - timedelta(days=30)) < timedelta(seconds=1)


# --- What hangs on a decision -----------------------------------------------------------------------------------------


def revise(workload: Workload, **told: Any) -> WorkloadRevision:
    latest = workload.revisions.latest("version")
    kept = ("value_tier", "latency_band", "failure_severity", "failure_cost")
    values = {name: getattr(latest, name) for name in kept}
    return WorkloadRevision.objects.create(
        workload=workload, **{**values, "version": latest.version + 1, "reason": "x", **told}
    )


def test_a_revision_of_a_registered_workload_without_a_decision(world: World) -> None:
    workload = registered(world)

    with refused("takes the decision of somebody else"), transaction.atomic():
        revise(workload, value_tier=tier("T1"))
    with refused("Cannot rewrite a revision"):
        run("UPDATE workloads_revision SET value_tier_id = 'T1' WHERE workload_id = %s", workload.pk)
    with refused("Cannot delete a revision"):
        run("DELETE FROM workloads_revision WHERE workload_id = %s", workload.pk)
    with refused("does not become a draft again"):
        run("UPDATE workloads_workload SET state = 'draft' WHERE id = %s", workload.pk)


def test_a_revision_that_says_more_than_was_confirmed(world: World, gia: Person) -> None:
    workload = registered(world)
    waiting = ask_tier(workload, world.ben, "T1")
    decision = decide_raw(waiting, gia)

    with refused("The revision says"), transaction.atomic():
        revise(workload, value_tier=tier("T2"), decision_id=decision.pk)
    with refused("The revision says"), transaction.atomic():
        revise(workload, value_tier=tier("T1"), failure_cost=0, decision_id=decision.pk)
    with refused("takes the decision of somebody else"), transaction.atomic():
        revise(registered(world, "Another"), value_tier=tier("T1"), decision_id=decision.pk)
    revise(workload, value_tier=tier("T1"), decision_id=decision.pk)
    with refused("decision_id|unique"), transaction.atomic():
        revise(workload, value_tier=tier("T1"), decision_id=decision.pk)


def test_a_refused_proposal_is_no_ground_for_a_revision(world: World, gia: Person) -> None:
    workload = registered(world)
    refusal = decide_raw(ask_tier(workload, world.ben), gia, verdict="refuse", reason="No")

    with refused("takes the decision of somebody else"), transaction.atomic():
        revise(workload, value_tier=tier("T1"), decision_id=refusal.pk)


def test_more_time_is_no_loosening_and_needs_nobody(world: World) -> None:
    workload = registered(world)
    with refused("takes the decision"), transaction.atomic():
        revise(workload, latency_band_id="interactive", latency_band=None)
    slower = revise(workload, latency_band=None, latency_band_id="scheduled")

    assert slower.version == 2


def grant(person: Person, role: str, **told: Any) -> None:
    """A role put straight into the table."""
    with transaction.atomic():
        RoleGrant.objects.create(person=person, role=role, **told)


def test_a_role_without_a_decision_or_beyond_it(world: World) -> None:
    grant(world.eve, "administrator", granted_by=world.ada)  # the second one ever: from here on somebody can confirm
    for giver in (world.ada, world.eve, None):
        with refused("takes the decision of somebody else"):
            grant(world.ben, "approver", granted_by=giver)
    waiting = ask(world.ben, world.ada, "role", {"role": "approver", "cost_centre": world.care})
    decision = decide_raw(waiting, world.eve)
    given = {"granted_by": world.ada, "decision_id": decision.pk}

    for told in ({"cost_centre": None}, {"cost_centre": world.care, "valid_from": at(1)}):
        with refused("says more than was confirmed"):
            grant(world.ben, "approver", **given, **told)
    with refused("says more than was confirmed"):
        grant(world.ben, "reviewer", **given, cost_centre=world.care)
    for person, giver in ((world.dan, world.ada), (world.ben, world.eve)):
        with refused("takes the decision of somebody else"):
            grant(person, "approver", cost_centre=world.care, **{**given, "granted_by": giver})
    grant(world.ben, "approver", **given, cost_centre=world.care, granted_at=at(1))

    given_at = RoleGrant.objects.get(decision_id=decision.pk).granted_at
    assert abs(given_at - timezone.now()) < timedelta(minutes=5)
    with refused("decision_id|unique"):
        grant(world.ben, "approver", **given, cost_centre=world.care)


def ask_price(offering: Offering, by: Person, **more: Any) -> Confirmation:
    told = {
        "deed": "add",
        "prices": Prices(input=Decimal(2)),
        "currency": "USD",
        "valid_from": at(1),
        "confirmed": True,
    }
    return ask(offering, by, "contract_rate", {**told, **more})


def lay(offering: Offering, price: str, **told: Any) -> None:
    """A contract price put straight into the table; what is looked at when all is done is looked at here."""
    values = {"scope": "contract", "offering": offering, "currency": "USD", "valid_from": at(1), "recorded_by": 1}
    with transaction.atomic():
        Rate.objects.create(input=Decimal(price), **{**values, **told})
        look_at_all()


def look_at_all() -> None:
    """What the end of a transaction does; the proof first, which would else hide behind another constraint."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS approvals_guard_price, approvals_guard_price_end IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def test_a_contract_price_without_a_decision_or_beyond_it(world: World) -> None:
    offering = make_offering("openai", "own-model")
    nina = make_member("Nina Ode")
    give(nina, Role.ANALYST, by=world.ada)
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)
    with refused("takes the decision of somebody else"):
        lay(offering, "2")
    confirm(ask_price(offering, world.cleo, valid_to=at(20)), nina)
    (standing,) = Rate.objects.filter(offering=offering, scope="contract")
    for price, told in (
        ("1", {}),
        ("2", {"currency": "EUR"}),
        ("2", {"prompt_band": 1}),
        ("2", {"valid_from": at(20)}),
    ):
        with refused("takes the decision of somebody else"):
            lay(offering, price, **told)

    shorter = {"valid_from": at(1), "valid_to": at(10), "scope": "contract", "offering": offering, "currency": "USD"}
    with refused("is ended by the decision of somebody else"), transaction.atomic():
        Rate.objects.filter(pk=standing.pk).update(superseded_by=Rate.objects.create(input=Decimal(2), **shorter))
        look_at_all()


def test_a_decided_price_is_laid_corrected_and_ended(world: World) -> None:
    """What the catalogue makes of decisions: new prices, copies of what they leave of the old one, an earlier end."""
    offering = make_offering("openai", "own-model")
    nina = make_member("Nina Ode")
    give(nina, Role.ANALYST, by=world.ada)
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)
    confirm(ask_price(offering, world.cleo), nina)
    confirm(ask_price(offering, nina, prices=Prices(input=Decimal(3)), valid_from=at(5), valid_to=at(9)), world.cleo)
    look_at_all()
    first = Rate.objects.get(offering=offering, input=2, valid_to=at(5), superseded_by=None)
    told = {"deed": "correct", "rate": first, "prices": Prices(input=Decimal(4)), "confirmed": True}
    confirm(ask(offering, world.cleo, "contract_rate", told), nina)
    look_at_all()
    last = Rate.objects.get(offering=offering, input=2, valid_from=at(9), superseded_by=None)
    confirm(ask(offering, nina, "contract_rate", {"deed": "end", "rate": last, "valid_to": at(15)}), world.cleo)
    look_at_all()

    standing = Rate.objects.filter(offering=offering, scope="contract", superseded_by=None).order_by("valid_from")
    assert [(rate.valid_from.day, rate.input, rate.valid_to and rate.valid_to.day) for rate in standing] == [
        (1, 4, 5), (5, 3, 9), (9, 2, 15),
    ]  # fmt: skip


def put(workload: Workload, change: str) -> None:
    run(f"UPDATE workloads_workload SET {change} WHERE id = %s", workload.pk)


def test_a_card_that_moves_is_counted_otherwise_or_goes_on_without_a_decision(world: World, gia: Person) -> None:
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)
    workload = registered(world)
    move = f"cost_centre_id = {world.legal.pk}"
    with refused("cost centre of a registered workload takes the decision"):
        put(workload, move)
    with refused("What counts as useful takes the decision"):
        put(workload, "output_unit = 'word'")
    put(workload, "purpose = 'Four lines'")

    for verdict, told in (("refuse", {"reason": "No"}), ("confirm", {})):
        waiting = ask(workload, world.ben, "output_unit", {"output_unit": "word"})
        decide_raw(waiting, gia, verdict=verdict, **told)
        with refused("cost centre of a registered workload takes the decision"):
            put(workload, move)
        with refused("What counts as useful takes the decision"):
            put(workload, "output_unit = 'line'" if verdict == "confirm" else "output_unit = 'word'")
    with refused("What counts as useful takes the decision"):
        put(registered(world, "Another"), "output_unit = 'word'")
    put(workload, "output_unit = 'word'")
    with refused("What counts as useful takes the decision"):
        put(workload, "output_unit = 'summary'")


def test_what_a_review_stopped_does_not_go_on_without_a_decision_by_any_way(world: World, gia: Person) -> None:
    workload = registered(world)
    put(workload, "state = 'suspended', stage = 'sunset'")
    for change in ("state = 'active'", "stage = 'pilot'", "state = 'active', stage = 'pilot'"):
        with refused("way back of a workload takes the decision"):
            put(workload, change)
    put(workload, "state = 'closed'")
    with refused("way back of a workload takes the decision"):
        put(workload, "state = 'active'")
    put(workload, "state = 'suspended'")

    workload.refresh_from_db()
    decide_raw(ask(workload, world.ben, "resume", {"stage": "pilot"}), gia)
    with refused("way back of a workload takes the decision"):
        put(workload, "state = 'active', stage = 'production'")
    put(workload, "state = 'active', stage = 'pilot'")


@pytest.mark.django_db(transaction=True)
def test_a_decision_of_another_transaction_takes_nothing_up_again(world: World, gia: Person) -> None:
    workload = registered(world)
    put(workload, "state = 'suspended'")
    workload.refresh_from_db()
    confirm(ask(workload, world.ben, "resume", {}), gia)
    put(workload, "state = 'suspended'")

    with refused("way back of a workload takes the decision"):
        put(workload, "state = 'active'")


def test_a_cap_is_neither_passed_nor_raised_nor_ended_without_its_decision(world: World, gia: Person) -> None:
    workload, month = registered(world), date(2026, 11, 1)
    budgets.set_budget(actor=MACHINE, owner=workload, month=month, amount=Decimal(100))
    budgets.lower(actor=actor(world.hana), owner=workload, month=month, amount=Decimal(60))

    def put_budget(amount: int, **told: Any) -> None:
        with transaction.atomic():
            Budget.objects.create(
                **{"workload": workload, "month": date(2026, 12, 1), "version": 1, "amount": amount, **told}
            )

    for amount, told in ((61, {}), (50, {"cap": 90}), (90, {"cap": 90}), (50, {"state": "ended"})):
        with refused("More than a review capped a budget at"):
            put_budget(amount, **told)
    asked = {"month": date(2026, 12, 1), "amount": Decimal(80)}
    decision = decide_raw(ask(workload, world.ben, "budget", asked), gia)
    for amount, told in ((81, {"cap": 81}), (80, {"cap": 90}), (80, {"month": date(2027, 1, 1), "cap": 80})):
        with refused("More than a review capped a budget at"):
            put_budget(amount, decision_id=decision.pk, **told)
    with refused("More than a review capped a budget at"):
        put_budget(80, cap=80)
    put_budget(80, cap=80, decision_id=decision.pk)


def test_a_cost_centre_moves_neither_by_its_parent_nor_by_its_path_alone(world: World) -> None:
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)
    care, legal = world.care, world.legal
    there = f"/{legal.pk}/{care.pk}/"
    for change in (f"parent_id = {legal.pk}, path = '{there}'", "parent_id = NULL, path = '/' || id || '/'"):
        with refused("A cost centre moves by the decision of somebody else"):
            run(f"UPDATE accounts_cost_centre SET {change} WHERE id = %s", care.pk)
    with refused("The path of a cost centre leads over its parent"):
        run("UPDATE accounts_cost_centre SET path = %s WHERE id = %s", there, care.pk)

    decide_raw(ask(care, world.ada, "centre_move", {"parent": legal}), world.eve)
    with refused("The path of a cost centre leads over its parent"):
        run("UPDATE accounts_cost_centre SET parent_id = %s WHERE id = %s", legal.pk, care.pk)
    run("UPDATE accounts_cost_centre SET parent_id = %s, path = %s WHERE id = %s", legal.pk, there, care.pk)


# --- Nobody is forgotten ----------------------------------------------------------------------------------------------


def test_owning_and_editing_leave_a_row_by_whatever_way(world: World) -> None:
    workload = registered(world)
    Barred.objects.filter(workload=workload).count()
    run("UPDATE workloads_workload SET business_owner_id = %s WHERE id = %s", world.eve.pk, workload.pk)
    run("UPDATE workloads_workload SET business_owner_id = %s WHERE id = %s", world.hana.pk, workload.pk)

    barred = set(Barred.objects.filter(workload=workload).values_list("person_id", "why"))

    assert {(p.pk, "owned") for p in (world.ben, world.dan, world.eve, world.hana)} <= barred
    assert (world.ben.pk, "edited") in barred


def test_whoever_says_which_keys_are_whose_is_barred(world: World) -> None:
    workload = registered(world)
    attribution.bind(actor=actor(world.cleo), workload=workload, pairs=[["key", "A"]])

    assert Barred.objects.filter(workload=workload, person=world.cleo, why="edited").exists()


def test_the_database_knows_no_way_to_count_somebody_as_not_barred(world: World, gia: Person) -> None:
    workload = registered(world)
    run("UPDATE workloads_workload SET budget_owner_id = %s WHERE id = %s", gia.pk, workload.pk)
    run("UPDATE workloads_workload SET budget_owner_id = %s WHERE id = %s", world.ben.pk, workload.pk)
    waiting = ask_tier(workload, world.ben)

    with refused("is barred from confirmation"), transaction.atomic():
        decide_raw(waiting, gia)
    assert not Decision.objects.exists()

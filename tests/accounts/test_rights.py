"""Roles reach down the tree of cost centres and nowhere else."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts import rights
from apps.accounts import services as accounts
from apps.accounts.models import CostCentre, Role, RoleGrant
from apps.accounts.rights import BY_ROLE, Right, rights_of
from apps.core.actor import Actor
from apps.core.errors import NotAllowed
from tests.world import MACHINE, World, actor

SEEN = {
    "ada": {"OPS", "CARE", "LEG"},
    "ben": set(),
    "cleo": {"OPS", "CARE"},
    "dan": {"OPS", "CARE"},
    "eve": set(),
    "finn": {"OPS", "CARE", "LEG"},
    "gus": {"LEG"},
    "hana": {"OPS", "CARE"},
}


@pytest.mark.parametrize("name", SEEN)
def test_a_role_shows_the_money_of_its_cost_centre_and_below(world: World, name: str) -> None:
    who = actor(world.people[name])

    assert {centre.code for centre in rights.cost_centres_visible(who)} == SEEN[name]
    assert {grant.cost_centre.code for grant in centred_grants().filter(rights.money_scope(who, "cost_centre"))} == (
        SEEN[name] & {"OPS", "LEG"}
    )
    assert {centre.code for centre in CostCentre.objects.all() if rights_of(who).sees_money_of(centre)} == SEEN[name]


def centred_grants() -> "QuerySet[RoleGrant]":
    """Rows with a foreign key to a cost centre, as workloads have one."""
    return RoleGrant.objects.filter(cost_centre__isnull=False)


@pytest.mark.parametrize("name", SEEN)
def test_only_those_who_see_all_see_what_belongs_to_no_cost_centre(world: World, name: str) -> None:
    who = actor(world.people[name])
    centreless = RoleGrant.objects.filter(cost_centre__isnull=True)

    assert centreless.filter(rights.money_scope(who, "cost_centre")).exists() == (name in ("ada", "finn"))
    assert rights_of(who).sees_all_money == (name in ("ada", "finn"))


def test_the_scope_of_money_is_one_query(world: World) -> None:
    with CaptureQueriesContext(connection) as queries:
        list(RoleGrant.objects.filter(rights.money_scope(actor(world.cleo), "cost_centre")))

    assert len(queries) == 1


def test_rights_cost_one_query_and_none_when_remembered(world: World) -> None:
    with rights.remembering():
        with CaptureQueriesContext(connection) as first:
            rights_of(actor(world.cleo))
        with CaptureQueriesContext(connection) as second:
            rights_of(actor(world.cleo))

    assert (len(first), len(second)) == (1, 0)


def test_a_centre_whose_number_begins_alike_is_not_below(world: World) -> None:
    number = int(f"{world.operations.pk}7")
    CostCentre.objects.create(pk=number, code="X", name="Alike", path=f"/{number}/")

    assert "X" not in {centre.code for centre in rights.cost_centres_visible(actor(world.cleo))}


def test_the_clock_sees_everything_and_decides_nothing(world: World) -> None:
    machine = rights_of(Actor.system("clock"))

    assert machine.sees_all_money
    assert rights.cost_centres_visible(MACHINE).count() == 3
    assert RoleGrant.objects.filter(rights.money_scope(MACHINE, "cost_centre")).count() == RoleGrant.objects.count()
    assert not machine.may(Right.DECIDE)
    assert not machine.may(Right.REVIEW)


def test_a_caller_without_a_person_has_no_rights(world: World) -> None:
    stranger = Actor(person_id=None, label="somebody", channel="web")

    assert rights_of(stranger) == rights.NOBODY
    assert not rights.cost_centres_visible(stranger).exists()


def test_roles_count_only_between_their_dates(world: World) -> None:
    now = timezone.now()
    over = RoleGrant(person=world.eve, role=Role.ANALYST, valid_from=now - timedelta(2), valid_to=now - timedelta(1))
    ahead = RoleGrant(person=world.eve, role=Role.ADMINISTRATOR, valid_from=now + timedelta(days=1))
    RoleGrant.objects.bulk_create([over, ahead])

    assert rights_of(actor(world.eve)).roles == frozenset()
    assert not rights.cost_centres_visible(actor(world.eve)).exists()


def test_a_person_sent_away_has_no_rights_left(world: World) -> None:
    accounts.deactivate_person(actor=actor(world.ada), person=world.cleo)

    assert rights_of(actor(world.cleo)) == rights.NOBODY


def test_a_change_of_roles_is_seen_within_the_same_request(world: World) -> None:
    with rights.remembering():
        assert not rights_of(actor(world.eve)).may(Right.SEE_SOURCES)
        accounts.grant_role(actor=actor(world.ada), person=world.eve, role=Role.ANALYST)
        assert rights_of(actor(world.eve)).may(Right.SEE_SOURCES)


def test_a_refusal_says_who_can_give_the_right(world: World) -> None:
    with pytest.raises(NotAllowed) as refusal:
        rights.require(actor(world.eve), Right.EDIT_RATES)

    assert str(refusal.value) == (
        "You may not edit prices. The roles FinOps analyst and Administrator may; Ada Moss can give one to you."
    )


def test_the_table_of_rights_is_the_one_of_the_design() -> None:
    may = {right: {role.value for role, rights_ in BY_ROLE.items() if right in rights_} for right in Right}

    everybody = {"platform_engineer", "analyst", "approver", "reviewer", "auditor", "administrator"}
    assert may[Right.SEE_MONEY] == everybody
    assert may[Right.SEE_GRADES] == {"analyst", "administrator"}
    assert may[Right.SEE_SOURCES] == {"platform_engineer", "analyst", "auditor", "administrator"}
    assert may[Right.MANAGE_SOURCES] == {"platform_engineer", "analyst", "administrator"}
    assert may[Right.SEE_UNALLOCATED] == {"analyst", "auditor", "administrator"}
    assert may[Right.ALLOCATE] == {"analyst", "administrator"}
    assert may[Right.SEE_RATES] == {"analyst", "auditor", "administrator"}
    assert may[Right.EDIT_RATES] == {"analyst", "administrator"}
    assert may[Right.DECIDE] == {"approver"}
    assert may[Right.REVIEW] == {"reviewer"}
    assert may[Right.SEE_PEOPLE] == {"auditor", "administrator"}
    assert may[Right.MANAGE_PEOPLE] == {"administrator"}
    assert may[Right.READ_AUDIT] == {"auditor", "administrator"}

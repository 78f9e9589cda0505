"""Roles are given by somebody else, dated, and never deleted."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Role, RoleGrant
from apps.accounts.rights import Right, rights_of
from apps.accounts.selectors import grants_at
from apps.core.errors import BadInput, Conflict, NotAllowed
from tests.world import World, actor, give


def test_a_role_given_counts_at_once_and_names_who_gave_it(world: World) -> None:
    grant = accounts.grant_role(actor=actor(world.ada), person=world.eve, role=Role.REVIEWER, cost_centre=world.care)

    assert grant.granted_by == world.ada
    assert rights_of(actor(world.eve)).may(Right.REVIEW)


def test_nobody_gives_a_role_to_themselves_while_another_administrator_could(world: World) -> None:
    give(world.ben, Role.ADMINISTRATOR, by=world.ada)

    with pytest.raises(NotAllowed, match="Nobody gives a role to themselves"):
        accounts.grant_role(actor=actor(world.ada), person=world.ada, role=Role.APPROVER)


def test_the_only_administrator_may_take_a_second_role(world: World) -> None:
    grant = accounts.grant_role(actor=actor(world.ada), person=world.ada, role=Role.ANALYST)

    assert grant.granted_by == world.ada


def test_an_ended_role_stops_at_once_and_stays_on_record(world: World) -> None:
    grant = RoleGrant.objects.get(person=world.cleo)

    accounts.end_role(actor=actor(world.ada), grant=grant)

    grant.refresh_from_db()
    assert grant.ended_by == world.ada
    assert rights_of(actor(world.cleo)).roles == frozenset()
    assert grants_at(grant.valid_to - timedelta(microseconds=1)).filter(pk=grant.pk).exists()
    assert not grants_at(grant.valid_to).filter(pk=grant.pk).exists()
    with pytest.raises(Conflict, match="ended already"):
        accounts.end_role(actor=actor(world.ada), grant=grant)


def test_a_role_that_has_not_begun_can_be_taken_back(world: World) -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    grant = accounts.grant_role(actor=actor(world.ada), person=world.eve, role=Role.ANALYST, valid_from=tomorrow)

    accounts.end_role(actor=actor(world.ada), grant=grant)

    grant.refresh_from_db()
    assert grant.valid_to == grant.valid_from


def test_the_last_administrator_keeps_the_role(world: World) -> None:
    grant = RoleGrant.objects.get(person=world.ada)

    with pytest.raises(Conflict, match="only administrator"):
        accounts.end_role(actor=actor(world.ada), grant=grant)


def test_the_same_role_is_not_given_twice(world: World) -> None:
    with pytest.raises(Conflict, match="Cleo Park is FinOps analyst in Operations already"):
        accounts.grant_role(actor=actor(world.ada), person=world.cleo, role=Role.ANALYST, cost_centre=world.operations)


def test_administrators_and_auditors_are_for_the_whole_organisation(world: World) -> None:
    for role in (Role.ADMINISTRATOR, Role.AUDITOR):
        with pytest.raises(BadInput, match="whole organisation"):
            accounts.grant_role(actor=actor(world.ada), person=world.eve, role=role, cost_centre=world.care)
        with pytest.raises(IntegrityError), transaction.atomic():
            give(world.eve, role, world.care, by=world.ada)


def test_a_role_of_one_nobody_knows_is_refused(world: World) -> None:
    with pytest.raises(BadInput, match="is no role"):
        accounts.grant_role(actor=actor(world.ada), person=world.eve, role="superuser")  # type: ignore[arg-type]


def test_dates_the_wrong_way_round_are_refused(world: World) -> None:
    now = timezone.now()

    with pytest.raises(BadInput, match="end before it begins"):
        accounts.grant_role(
            actor=actor(world.ada), person=world.eve, role=Role.ANALYST, valid_from=now, valid_to=now - timedelta(1)
        )


def test_the_database_refuses_to_delete_or_rewrite_a_role(world: World) -> None:
    grant = RoleGrant.objects.get(person=world.cleo)

    with pytest.raises(DatabaseError, match="Cannot delete"), transaction.atomic():
        RoleGrant.objects.filter(pk=grant.pk).delete()
    for change in ({"role": Role.ADMINISTRATOR, "cost_centre": None}, {"person": world.eve}, {"granted_by": world.eve}):
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            RoleGrant.objects.filter(pk=grant.pk).update(**change)

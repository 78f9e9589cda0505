"""The tree of cost centres keeps its paths whatever is moved where."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from apps.accounts import rights
from apps.accounts import services as accounts
from apps.accounts.models import CostCentre, Role
from apps.accounts.selectors import cost_centre_tree
from apps.core.errors import BadInput, Conflict, NotAllowed, TollgateError
from tests.world import MACHINE, World, actor, give, make_world


def codes_visible_to_gus(world: World) -> set[str]:
    return {centre.code for centre in rights.cost_centres_visible(actor(world.gus))}


def test_a_new_cost_centre_hangs_below_its_parent(world: World) -> None:
    tier2 = accounts.make_cost_centre(actor=actor(world.ada), code="T2", name="Second line", parent=world.care)

    assert tier2.path == f"/{world.operations.pk}/{world.care.pk}/{tier2.pk}/"
    assert tier2.depth == 2


def test_a_moved_cost_centre_takes_everything_below_along(world: World) -> None:
    tier2 = accounts.make_cost_centre(actor=actor(world.ada), code="T2", name="Second line", parent=world.care)

    accounts.move_cost_centre(actor=actor(world.ada), centre=world.care, parent=world.legal)

    tier2.refresh_from_db()
    assert tier2.path == f"/{world.legal.pk}/{world.care.pk}/{tier2.pk}/"
    assert codes_visible_to_gus(world) == {"LEG", "CARE", "T2"}


def test_a_command_moves_none_once_there_is_a_second_administrator(world: World) -> None:
    give(world.hana, Role.ADMINISTRATOR, by=world.ada)
    with pytest.raises(NotAllowed, match="confirmed by another"):
        accounts.move_cost_centre(actor=MACHINE, centre=world.care, parent=world.legal)


def test_a_cost_centre_becomes_a_root(world: World) -> None:
    moved = accounts.move_cost_centre(actor=actor(world.ada), centre=world.care, parent=None)

    assert moved.path == f"/{moved.pk}/"


def test_a_tree_never_becomes_a_circle(world: World) -> None:
    for below in (world.operations, world.care):
        with pytest.raises(BadInput, match="circle"):
            accounts.move_cost_centre(actor=actor(world.ada), centre=world.operations, parent=below)


def test_two_moves_at_once_make_no_circle(transactional_db: None) -> None:
    world = make_world()

    def hang(pair: tuple[CostCentre, CostCentre]) -> None:
        try:
            accounts.move_cost_centre(actor=MACHINE, centre=pair[0], parent=pair[1])
        except TollgateError:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(hang, [(world.operations, world.legal), (world.legal, world.operations)]))

    for centre in CostCentre.objects.select_related("parent"):
        assert centre.path == f"{centre.parent.path if centre.parent else '/'}{centre.pk}/"


def test_codes_are_unique_whatever_their_case(world: World) -> None:
    with pytest.raises(Conflict, match="exists already"):
        accounts.make_cost_centre(actor=actor(world.ada), code="ops", name="Again")
    with pytest.raises(Conflict, match="exists already"):
        accounts.rename_cost_centre(actor=actor(world.ada), centre=world.care, code="leg", name="Care")


def test_nothing_new_hangs_below_a_closed_cost_centre(world: World) -> None:
    accounts.change_cost_centre_activity(actor=actor(world.ada), centre=world.legal, active=False)

    with pytest.raises(Conflict, match="closed"):
        accounts.make_cost_centre(actor=actor(world.ada), code="L2", name="New", parent=world.legal)


def test_the_tree_lists_children_below_their_parents(world: World) -> None:
    assert [centre.code for centre in cost_centre_tree()] == ["LEG", "OPS", "CARE"]

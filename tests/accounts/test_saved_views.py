"""A saved view is one's own, and is shown to others only when shared."""

import pytest

from apps.accounts import services as accounts
from apps.accounts.models import SavedView
from apps.core.errors import BadInput, NotAllowed, NotFound
from tests.world import MACHINE, World, actor


def test_a_view_saved_again_replaces_itself(world: World) -> None:
    accounts.save_view(actor=actor(world.cleo), page="workloads:list", name="Mine", query="?tier=T1")
    accounts.save_view(actor=actor(world.cleo), page="workloads:list", name="Mine", query="tier=T2", shared=True)

    assert SavedView.objects.get().query == "tier=T2"


def test_others_see_a_view_only_when_it_is_shared(world: World) -> None:
    accounts.save_view(actor=actor(world.cleo), page="p", name="Private", query="")
    accounts.save_view(actor=actor(world.cleo), page="p", name="Shared", query="", shared=True)

    names = set(SavedView.objects.visible_to_person(world.eve.pk).values_list("name", flat=True))
    assert names == {"Shared"}


def test_nobody_deletes_a_view_of_others(world: World) -> None:
    view = accounts.save_view(actor=actor(world.cleo), page="p", name="Shared", query="", shared=True)

    with pytest.raises(NotFound):
        accounts.delete_view(actor=actor(world.ada), view_id=view.pk)
    accounts.delete_view(actor=actor(world.cleo), view_id=view.pk)
    assert not SavedView.objects.exists()


def test_a_view_has_a_name_a_person_and_a_limit(world: World) -> None:
    with pytest.raises(BadInput):
        accounts.save_view(actor=actor(world.cleo), page="p", name=" ", query="")
    with pytest.raises(BadInput):
        accounts.save_view(actor=actor(world.cleo), page="p", name="x", query="y" * 2001)
    with pytest.raises(NotAllowed):
        accounts.save_view(actor=MACHINE, page="p", name="x", query="")

"""Bindings: what is refused when saved, and that none is ever changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import AuditEvent
from apps.workloads.attribution import IdentityRef
from apps.workloads.models import BEGINNING, END, Binding, Workload
from apps.workloads.services import add_binding, end_binding, supersede
from tests.books import OCTOBER, make_workload
from tests.world import MACHINE, World, actor

pytestmark = pytest.mark.django_db
KEY = [["key", "bot"]]


@pytest.fixture
def chat(world: World) -> Workload:
    return make_workload("Chat", world)


@pytest.fixture
def search(world: World) -> Workload:
    return make_workload("Search", world)


def test_a_binding_keeps_its_pairs_sorted_and_once(chat: Workload) -> None:
    binding = add_binding(actor=MACHINE, workload=chat, pairs=[("team", "x"), ("env", "prod"), ("team", "x")])
    assert binding.pairs == [["env", "prod"], ["team", "x"]]
    assert (binding.valid_from, binding.valid_to) == (BEGINNING, END)
    event = AuditEvent.objects.get(verb="bound usage")
    assert event.data["workload"] == chat.pk


@pytest.mark.parametrize(
    "wrong",
    [
        {"pairs": []},
        {"pairs": [("", "x")]},
        {"pairs": [("k" * 61, "x")]},
        {"valid_from": datetime(2026, 10, 1, 0, 30, tzinfo=UTC)},
        {"valid_from": datetime(2026, 10, 1)},
        {"valid_from": OCTOBER, "valid_to": OCTOBER},
        {"valid_from": BEGINNING - timedelta(hours=1)},
    ],
)
def test_what_cannot_be_a_binding_is_refused(chat: Workload, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        add_binding(**{"actor": MACHINE, "workload": chat, "pairs": KEY, **wrong})
    assert not Binding.objects.exists()


def test_a_tie_is_refused_and_names_the_other_binding(chat: Workload, search: Workload) -> None:
    add_binding(actor=MACHINE, workload=chat, pairs=KEY, source_id=3, valid_from=OCTOBER)
    with pytest.raises(Conflict, match="Chat"):
        add_binding(actor=MACHINE, workload=search, pairs=KEY, source_id=3, valid_from=OCTOBER)
    # A later start, an earlier end or a narrower source decides, so these stand beside it.
    add_binding(actor=MACHINE, workload=search, pairs=KEY, source_id=3, valid_from=OCTOBER + timedelta(days=9))
    add_binding(actor=MACHINE, workload=search, pairs=KEY, source_id=None, valid_from=OCTOBER)


def test_different_keys_tie_only_over_a_spender_that_has_both(chat: Workload, search: Workload) -> None:
    add_binding(actor=MACHINE, workload=chat, pairs=[("team", "growth")])
    both = IdentityRef(1, 1, [("team", "growth"), ("env", "prod")])
    with pytest.raises(Conflict, match="Chat"):
        add_binding(actor=MACHINE, workload=search, pairs=[("env", "prod")], identities=[both])
    add_binding(actor=MACHINE, workload=search, pairs=[("env", "prod")])


def test_only_those_who_place_usage_may_bind(world: World, chat: Workload) -> None:
    for person in (world.ben, world.dan, world.eve, world.finn, world.gus, world.hana):
        with pytest.raises(NotAllowed):
            add_binding(actor=actor(person), workload=chat, pairs=KEY)
    add_binding(actor=actor(world.cleo), workload=chat, pairs=KEY)


def test_a_draft_cannot_be_bound_to(world: World) -> None:
    draft = make_workload("Half", world, state=Workload.State.DRAFT)
    with pytest.raises(Conflict, match="draft"):
        add_binding(actor=MACHINE, workload=draft, pairs=KEY)


def test_ending_puts_a_shorter_binding_in_its_place(chat: Workload) -> None:
    first = add_binding(actor=MACHINE, workload=chat, pairs=KEY)
    ended = end_binding(actor=MACHINE, binding=first, valid_to=OCTOBER)
    first.refresh_from_db()
    assert first.valid_to == END
    assert ended is not None
    assert first.superseded_by == ended
    assert ended.valid_to == OCTOBER
    with pytest.raises(Conflict):
        end_binding(actor=MACHINE, binding=first, valid_to=OCTOBER)
    assert end_binding(actor=MACHINE, binding=ended) is None
    assert not Binding.objects.in_force().exists()


def test_superseding_may_give_the_same_hours_to_another_workload(chat: Workload, search: Workload) -> None:
    first = add_binding(actor=MACHINE, workload=chat, pairs=KEY, source_id=4)
    second = supersede(actor=MACHINE, binding=first, workload=search)
    assert (second.workload, second.source_id, second.pairs) == (search, 4, KEY)
    assert list(Binding.objects.in_force()) == [second]


def test_bindings_are_seen_by_those_who_see_the_workloads_usage(world: World, chat: Workload) -> None:
    add_binding(actor=MACHINE, workload=chat, pairs=KEY)
    seers = {name for name, person in world.people.items() if Binding.objects.visible_to(actor(person)).exists()}
    # Owners, roles in Operations above Care, auditor and administrator; not the member, not Legal's approver.
    assert seers == {"ben", "dan", "cleo", "hana", "finn", "ada"}

"""What was typed last of a form arrives while, or after, the form itself is registered: nothing of it is left over."""

from typing import Any

import pytest

from apps.workloads import services
from apps.workloads.models import Workload
from tests.approvals.test_races import one_inside_the_other
from tests.web.test_workloads import HTMX, answers, begin
from tests.world import World, actor, log_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("name", ["ben", "eve"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_typing_that_waits_for_its_form_to_be_registered_is_done_and_no_error(
    world: World, name: str, number: int
) -> None:
    """Ben owns what he registers and might still change it; Eve registers for others and no longer may."""
    person = world.people[name]
    client = log_in(person)
    form = begin(client)
    for step in (1, 2, 3):
        client.post(f"{form}{step}/", {**answers(world)[step], "go": "here"})
    draft = Workload.objects.get()
    late: list[Any] = []

    ends = one_inside_the_other(
        lambda: services.activate(actor=actor(person), workload=draft),
        lambda: late.append(client.post(f"{form}{number}/save/", {"name": "Typed too late"}, headers=HTMX)),
    )

    assert ends == ["ok", "ok"]
    assert (late[0].status_code, late[0].content) == (204, b"")
    assert list(Workload.objects.values_list("name", "state")) == [("Return reasons", "active")]


def test_typing_after_its_form_was_registered_begins_no_other_draft(world: World) -> None:
    client = log_in(world.eve)
    form = begin(client)
    for number, step in answers(world).items():
        client.post(f"{form}{number}/", step)
    for number in answers(world):
        assert client.post(f"{form}{number}/save/", {"name": "Typed too late"}, headers=HTMX).status_code == 204
    assert list(Workload.objects.values_list("name", "state")) == [("Return reasons", "active")]

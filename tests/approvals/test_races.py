"""Two at the same instant, on the real database: one ends it, the other is told."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from apps.accounts import services as accounts
from apps.accounts.models import RoleGrant
from apps.approvals import services
from apps.approvals.models import Confirmation, Decision
from apps.core.errors import TollgateError
from apps.workloads.selectors import promise_of
from tests.approvals.deciding import approver, ask_tier, confirm, refuse, registered, state_of
from tests.world import MACHINE, World, actor

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*deeds: Callable[[], object]) -> list[str]:
    """Each in a thread and a connection of its own, released together; how each ended: "ok" or the error's name."""
    gate, ends = threading.Barrier(len(deeds)), [""] * len(deeds)

    def run(place: int, deed: Callable[[], object]) -> None:
        try:
            gate.wait(timeout=30)
            deed()
            ends[place] = "ok"
        except TollgateError as error:
            ends[place] = type(error).__name__
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return ends


def test_two_deciders_in_the_same_instant(world: World) -> None:
    workload, gia, gil = registered(world), approver(world), approver(world, "Gil Rossi")
    waiting = ask_tier(workload, world.ben)

    ends = at_once(lambda: confirm(waiting, gia), lambda: confirm(waiting, gil))

    assert sorted(ends) == ["Conflict", "ok"]
    assert Decision.objects.count() == 1
    assert workload.revisions.count() == 2


def test_confirming_and_refusing_in_the_same_instant(world: World) -> None:
    workload, gia, gil = registered(world), approver(world), approver(world, "Gil Rossi")
    for code in ("T1", "T2", "T1"):
        before = promise_of(workload).value_tier_id
        if before == code:
            continue
        waiting = ask_tier(workload, world.ben, code)

        ends = at_once(lambda: confirm(waiting, gia), lambda: refuse(waiting, gil))  # noqa: B023

        assert sorted(ends) == ["Conflict", "ok"]
        assert state_of(waiting) == ("confirmed" if ends[0] == "ok" else "refused")
        assert promise_of(workload).value_tier_id == (code if ends[0] == "ok" else before)


def test_the_same_person_in_two_tabs_decides_once(world: World) -> None:
    gia, waiting = approver(world), ask_tier(registered(world), world.ben)

    assert at_once(lambda: confirm(waiting, gia), lambda: confirm(waiting, gia)) == ["ok", "ok"]
    assert Decision.objects.count() == 1


def test_confirming_while_it_is_withdrawn_or_replaced(world: World) -> None:
    workload, gia = registered(world), approver(world)
    waiting = ask_tier(workload, world.ben)
    withdraw = lambda: services.withdraw(actor=actor(world.ben), confirmation=waiting)  # noqa: E731

    ends = at_once(lambda: confirm(waiting, gia), withdraw)
    assert sorted(ends) == ["Conflict", "ok"]
    assert promise_of(workload).value_tier_id == ("T1" if ends[0] == "ok" else "T3")

    seen = ask_tier(workload, world.ben, "T2")
    ends = at_once(lambda: confirm(seen, gia), lambda: ask_tier(workload, world.dan, "T4"))
    assert ends[1] == "ok" or ends == ["ok", "Conflict"]
    assert ends[0] == ("ok" if promise_of(workload).value_tier_id == "T2" else "Conflict")


def test_asking_twice_at_once_leaves_one_that_waits(world: World) -> None:
    workload = registered(world)

    ends = at_once(lambda: ask_tier(workload, world.ben, "T1"), lambda: ask_tier(workload, world.dan, "T2"))

    assert ends == ["ok", "ok"]
    assert Confirmation.objects.filter(state="waiting").count() == 1


def test_a_role_that_ends_in_the_instant_of_the_click(world: World) -> None:
    """Either the decision came first and stays, or the role ended first and nothing was decided."""
    workload, gia = registered(world), approver(world)
    waiting = ask_tier(workload, world.ben)
    grant = RoleGrant.objects.get(person=gia)

    ends = at_once(lambda: confirm(waiting, gia), lambda: accounts.end_role(actor=MACHINE, grant=grant))

    assert ends[1] == "ok"
    assert ends[0] in ("ok", "NotTheirs")
    assert state_of(waiting) == ("confirmed" if ends[0] == "ok" else "waiting")

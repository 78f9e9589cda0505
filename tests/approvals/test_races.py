"""Two at the same instant, on the real database: one ends it, the other is told."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Person, Role, RoleGrant
from apps.approvals import services
from apps.approvals.models import Confirmation, Decision
from apps.core.errors import TollgateError
from apps.workloads.selectors import promise_of
from tests.approvals.deciding import approver, ask_tier, confirm, refuse, registered, state_of
from tests.approvals.test_away import pass_on
from tests.world import MACHINE, World, actor, give, make_member

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


def one_inside_the_other(first: Callable[[], object], second: Callable[[], object]) -> list[str]:
    """The second begins when the first has done its deed; that is committed once the second waits or is over."""
    is_done, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            first()
            is_done.set()
            wait_for_a_waiter(is_over)

    def follow() -> None:
        assert is_done.wait(timeout=30)
        try:
            second()
        finally:
            is_over.set()

    return at_once(hold, follow)


def wait_for_a_waiter(is_over: threading.Event) -> None:
    for _ in range(200):
        if is_over.wait(timeout=0.05):
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))")
            if cursor.rowcount:
                return
    raise AssertionError("nobody waits")


def over(grant: RoleGrant) -> bool:
    grant.refresh_from_db()
    return grant.valid_to is not None and grant.valid_to <= timezone.now()


def test_a_role_that_ends_while_it_is_passed_on_ends_both(world: World) -> None:
    gia = approver(world)
    own = gia.grants.get()

    ends = one_inside_the_other(
        lambda: pass_on(gia, world.eve), lambda: accounts.end_role(actor=actor(world.ada), grant=own)
    )

    assert ends == ["ok", "ok"]
    assert over(own)
    assert over(own.passed_on.get())


@pytest.mark.parametrize("name", ["gia", "eve"])
def test_a_person_who_leaves_while_a_role_is_passed_on_leaves_nothing_of_it(world: World, name: str) -> None:
    gia = approver(world)
    leaving: Person = {"gia": gia, "eve": world.eve}[name]

    ends = one_inside_the_other(
        lambda: pass_on(gia, world.eve), lambda: accounts.deactivate_person(actor=actor(world.ada), person=leaving)
    )

    assert ends == ["ok", "ok"]
    assert over(world.eve.grants.get())


def test_two_who_pass_their_roles_on_to_each_other_at_once(world: World) -> None:
    gia, gil = approver(world), approver(world, "Gil Rossi")

    assert one_inside_the_other(lambda: pass_on(gia, gil), lambda: pass_on(gil, gia)) == ["ok", "ok"]


def test_a_role_that_is_given_back_while_it_is_passed_on_again(world: World) -> None:
    gia = approver(world)
    earlier = pass_on(gia, world.eve)

    ends = one_inside_the_other(
        lambda: accounts.end_role(actor=actor(gia), grant=earlier), lambda: pass_on(gia, world.eve)
    )

    assert ends == ["ok", "ok"]
    assert over(earlier)
    assert world.eve.grants.in_force().count() == 1


def test_two_administrators_who_end_a_role_of_each_other_at_once(world: World) -> None:
    zoe = make_member("Zoe Lind")
    give(zoe, Role.ADMINISTRATOR, by=world.ada)
    of_ada, of_zoe = (give(person, Role.ANALYST, by=world.hana) for person in (world.ada, zoe))

    ends = one_inside_the_other(
        lambda: accounts.end_role(actor=actor(world.ada), grant=of_zoe),
        lambda: accounts.end_role(actor=actor(zoe), grant=of_ada),
    )

    assert ends == ["ok", "ok"]
    assert over(of_ada)
    assert over(of_zoe)


@pytest.mark.parametrize("ended", ["passed on", "own"])
def test_a_role_that_ends_while_whoever_has_it_passed_on_decides(world: World, ended: str) -> None:
    """What came first holds: a decision stays, and after the end there is none."""
    gia = approver(world)
    passed_on = pass_on(gia, world.eve)
    grant = passed_on if ended == "passed on" else gia.grants.get()
    waiting = ask_tier(registered(world), world.ben)

    def end() -> None:
        accounts.end_role(actor=actor(world.ada), grant=grant)

    assert one_inside_the_other(lambda: refuse(waiting, world.eve), end) == ["ok", "ok"]
    assert Decision.objects.get().acted_for == gia


@pytest.mark.parametrize("ended", ["passed on", "own"])
def test_whoever_has_a_role_passed_on_decides_nothing_by_it_while_it_ends(world: World, ended: str) -> None:
    gia = approver(world)
    passed_on = pass_on(gia, world.eve)
    grant = passed_on if ended == "passed on" else gia.grants.get()
    waiting = ask_tier(registered(world), world.ben)

    ends = one_inside_the_other(
        lambda: accounts.end_role(actor=actor(world.ada), grant=grant), lambda: confirm(waiting, world.eve)
    )

    assert ends == ["ok", "NotTheirs"]
    assert state_of(waiting) == "waiting"

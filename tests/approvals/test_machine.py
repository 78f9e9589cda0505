"""Chance asks, edits, hands over, decides and takes back; after each step what must hold is asked of the database."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from apps.accounts import services as accounts
from apps.accounts.models import Person, Role
from apps.approvals import selectors, services
from apps.approvals.models import Confirmation, Decision
from apps.budgets import selectors as budget_selectors
from apps.budgets import services as budgets
from apps.core.errors import Conflict, NotAllowed, TollgateError
from apps.workloads import services as workloads
from apps.workloads.models import WorkloadRevision
from apps.workloads.selectors import promise_of
from tests.approvals.deciding import ask, ask_tier, confirm, decide_raw, refuse, registered, state_of
from tests.world import MACHINE, World, actor, give, make_member, make_world

pytestmark = pytest.mark.slow
PEOPLE = ("ben", "dan", "cleo", "pia", "quinn", "rita")
WHO = st.sampled_from(PEOPLE)
TIERS = st.sampled_from(["T1", "T2", "T3", "T4"])


class Company(RuleBasedStateMachine):
    """Everybody here is approver of the whole organisation: only what they did keeps them from deciding.

    Eve is a member and nothing else; she acts for whoever is away.
    """

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.world: World = make_world()
        world = self.world
        more = {name: make_member(f"{name.title()} Vane") for name in ("pia", "quinn", "rita")}
        self.people: dict[str, Person] = {"ben": world.ben, "dan": world.dan, "cleo": world.cleo, **more}
        for person in self.people.values():
            give(person, Role.APPROVER, by=world.ada)
        self.workload = registered(world)
        self.away: str | None = None

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    @rule(who=WHO)
    def goes_away(self, who: str) -> None:
        """Eve acts for one at a time; whoever was away before is back."""
        if self.away:
            accounts.end_role(actor=actor(self.people[self.away]), grant=self.world.eve.grants.latest("pk"))
        now, holder = timezone.now(), self.people[who]
        own = holder.grants.get(role=Role.APPROVER)
        told: Any = {"valid_from": None, "valid_to": now + timedelta(days=9), "session_fresh_at": now}
        accounts.pass_on(actor=actor(holder), grant=own, to=self.world.eve, **told)
        self.away = who

    @invariant()
    def nobody_decided_what_they_asked_for(self) -> None:
        for decision in Decision.objects.select_related("confirmation"):
            assert decision.person_id != decision.confirmation.asked_by_id
            assert decision.digest == decision.confirmation.digest
            assert state_of(decision.confirmation) in ("confirmed", "refused")


class Deciding(Company):
    """One kind of change, and a use case that changes hands."""

    def __init__(self) -> None:
        super().__init__()
        # What the model knows: who has had a hand in the workload, and in the proposal that waits.
        self.touched = {"ben", "dan"}
        self.waiting: Confirmation | None = None
        self.wrote: set[str] = set()
        self.stands = "T3"

    def owners(self) -> set[int | None]:
        self.workload.refresh_from_db()
        return {self.workload.business_owner_id, self.workload.technical_owner_id, self.workload.budget_owner_id}

    @rule(who=WHO, code=TIERS)
    def asks(self, who: str, code: str) -> None:
        person = self.people[who]
        may = person.pk in self.owners()
        try:
            asked = ask_tier(self.workload, person, code)
        except TollgateError:
            assert not may or code == self.stands
            return
        assert may
        if self.waiting is None or asked.pk != self.waiting.pk:
            self.wrote = {who} | (self.wrote if self.waiting else set())
        self.waiting = asked

    @rule(who=WHO, by=WHO)
    def hands_over(self, who: str, by: str) -> None:
        deed: Any = {"business_owner": self.people[who]}
        try:
            workloads.edit(actor=actor(self.people[by]), workload=self.workload, **deed)
        except TollgateError:
            return
        if self.workload.business_owner_id != self.people[who].pk:
            self.touched |= {who, by}
        self.workload.refresh_from_db()

    @precondition(lambda self: self.waiting)
    @rule(who=WHO, is_confirmed=st.booleans(), raw=st.booleans())
    def decides(self, who: str, is_confirmed: bool, raw: bool) -> None:
        assert self.waiting
        person, waiting = self.people[who], self.waiting
        is_barred = who in self.touched | self.wrote
        assert selectors.may_decide(actor(person), waiting) is not is_barred
        try:
            with transaction.atomic():
                if raw:
                    # Past the service; taken back, since nothing would be applied.
                    decide_raw(waiting, person)
                    transaction.set_rollback(True)
                elif is_confirmed:
                    confirm(waiting, person)
                else:
                    refuse(waiting, person)
        except (NotAllowed, DatabaseError):
            assert is_barred
            return
        assert not is_barred
        if not raw:
            if is_confirmed:
                self.stands = waiting.proposed["value_tier"]
                # The change is the asker's, who so has edited the workload.
                self.touched |= {name for name, one in self.people.items() if one.pk == waiting.asked_by_id}
            self.waiting, self.wrote = None, set()

    @precondition(lambda self: self.waiting)
    @rule(raw=st.booleans())
    def refuses_for_somebody(self, raw: bool) -> None:
        assert self.waiting
        may = self.away is not None and self.away not in self.touched | self.wrote
        assert selectors.may_decide(actor(self.world.eve), self.waiting) is may
        try:
            with transaction.atomic():
                if raw:
                    decide_raw(self.waiting, self.world.eve)
                    transaction.set_rollback(True)
                else:
                    refuse(self.waiting, self.world.eve)
        except (NotAllowed, DatabaseError):
            assert not may
            return
        assert may
        if not raw:
            self.waiting, self.wrote = None, set()

    @precondition(lambda self: self.waiting)
    @rule(who=WHO)
    def takes_back(self, who: str) -> None:
        assert self.waiting
        person = self.people[who]
        may = person.pk in {*self.owners(), self.waiting.asked_by_id}
        try:
            services.withdraw(actor=actor(person), confirmation=self.waiting)
        except NotAllowed:
            assert not may
            return
        assert may
        self.waiting, self.wrote = None, set()

    @precondition(lambda self: self.waiting)
    @rule(who=WHO)
    def decides_from_an_old_page_or_session(self, who: str) -> None:
        assert self.waiting
        with pytest.raises((Conflict, NotAllowed)):
            confirm(self.waiting, self.people[who], digest="0" * 64)
        with pytest.raises(NotAllowed):
            confirm(self.waiting, self.people[who], session_fresh_at=timezone.now() - timedelta(hours=1))

    @invariant()
    def what_stands_is_what_was_confirmed(self) -> None:
        assert promise_of(self.workload).value_tier_id == self.stands
        later = WorkloadRevision.objects.filter(workload=self.workload, version__gt=1)
        assert not later.filter(decision_id__isnull=True).exists()
        assert later.count() == Decision.objects.filter(verdict="confirm").count()

    @invariant()
    def at_most_one_waits(self) -> None:
        found = Confirmation.objects.filter(state="waiting")
        assert [row.pk for row in found] == ([self.waiting.pk] if self.waiting else [])


NOVEMBER = date(2026, 11, 1)
CARE, LEGAL, OPERATIONS = "care", "legal", "operations"
WISHES = {
    "cost_centre": (CARE, LEGAL, OPERATIONS),
    "output_unit": ("summary", "word"),
    "resume": ("pilot", "production"),
    "budget": (60, 80, 120),
    "centre_move": (LEGAL, OPERATIONS, None),
}
ADMINISTRATORS = {"pia", "quinn"}
WISH = st.sampled_from([(kind, value) for kind, values in WISHES.items() for value in values])
WHICH = st.integers(0, len(WISHES) - 1)


@dataclass
class Asked:
    """What the model knows of a proposal that waits."""

    row: Confirmation
    value: Any
    stood: Any
    wrote: set[str] = field(default_factory=set)


class DecidingSideBySide(Company):
    """One proposal of each kind may wait; to confirm one can make the others questions about what no longer stands."""

    def __init__(self) -> None:
        super().__init__()
        give(self.world.hana, Role.REVIEWER, by=self.world.ada)
        for name in ADMINISTRATORS:
            give(self.people[name], Role.ADMINISTRATOR, by=self.world.ada)
        budgets.set_budget(actor=MACHINE, owner=self.workload, month=NOVEMBER, amount=Decimal(100))
        self.asked: dict[str, Asked] = {}
        self.centre, self.parent, self.unit = CARE, OPERATIONS, "summary"
        self.state, self.stage = "active", "pilot"
        self.amount, self.cap = 100, None
        self.confirmed = 0
        # So that each kind can be asked for from the first step on.
        self.a_review_stops_it(suspend=True, sunset=True)
        self.a_review_caps_it(amount=70)

    def stands(self, kind: str) -> Any:
        """What a proposal of the kind is about, and for a use case where that lies: it says whose roles reach it."""
        place = (self.centre, self.parent if self.centre == CARE else None)
        return {
            "cost_centre": place,
            "output_unit": (place, self.unit),
            "resume": (place, self.state, self.stage),
            "budget": (place, self.amount, self.cap),
            "centre_move": self.parent,
        }[kind]

    def would_change(self, kind: str, value: Any) -> bool:
        if kind == "resume":
            return self.state == "suspended" or self.stage == "sunset"
        if kind == "budget":
            return self.cap is not None and value > self.cap
        return bool(value != {"cost_centre": self.centre, "output_unit": self.unit, "centre_move": self.parent}[kind])

    def askers(self, kind: str) -> set[str]:
        """Ben and Dan own it, Ben its budget too; administrators keep all budgets, and Cleo those below Operations."""
        if kind == "centre_move":
            return ADMINISTRATORS
        if kind == "budget":
            below = self.centre == OPERATIONS or (self.centre, self.parent) == (CARE, OPERATIONS)
            return {"ben", *ADMINISTRATORS} | ({"cleo"} if below else set())
        return {"ben", "dan"}

    def is_barred(self, kind: str, who: str) -> bool:
        wrote = who in self.asked[kind].wrote
        if kind == "centre_move":
            return wrote or who not in ADMINISTRATORS
        return wrote or who in ("ben", "dan")

    @initialize(which=WHICH)
    def all_kinds_wait(self, which: int) -> None:
        for kind, values in WISHES.items():
            self._ask(min(self.askers(kind)), kind, values[which % len(values)])

    @rule(who=WHO, wish=WISH)
    def asks(self, who: str, wish: tuple[str, Any]) -> None:
        self._ask(who, *wish)

    @rule(first=st.booleans(), wish=WISH)
    def one_who_may_asks(self, first: bool, wish: tuple[str, Any]) -> None:
        may = sorted(self.askers(wish[0]))
        self._ask(may[0] if first else may[-1], *wish)

    def _ask(self, who: str, kind: str, value: Any) -> None:
        centre = {CARE: self.world.care, LEGAL: self.world.legal, OPERATIONS: self.world.operations}.get(value)
        proposed: dict[str, Any] = {
            "cost_centre": {"cost_centre": centre},
            "output_unit": {"output_unit": value},
            "resume": {"stage": value},
            "budget": {"month": NOVEMBER, "amount": Decimal(value) if kind == "budget" else None},
            "centre_move": {"parent": centre},
        }[kind]
        may = who in self.askers(kind) and self.would_change(kind, value)
        try:
            row = ask(self.world.care if kind == "centre_move" else self.workload, self.people[who], kind, proposed)
        except TollgateError:
            assert not may
            return
        assert may
        earlier = self.asked.get(kind)
        if earlier is None or row.pk != earlier.row.pk:
            wrote = {who} | (earlier.wrote if earlier else set())
            self.asked[kind] = Asked(row, value, self.stands(kind), wrote)

    @rule(suspend=st.booleans(), sunset=st.booleans())
    def a_review_stops_it(self, suspend: bool, sunset: bool) -> None:
        hana = actor(self.world.hana)
        workloads.tighten(actor=hana, workload=self.workload, reason="Lost", suspend=suspend, sunset=sunset)
        self.state = "suspended" if suspend else self.state
        self.stage = "sunset" if sunset else self.stage

    @rule(amount=st.sampled_from([50, 70]))
    def a_review_caps_it(self, amount: int) -> None:
        told: Any = {"actor": actor(self.world.hana), "owner": self.workload, "month": NOVEMBER}
        try:
            budgets.lower(**told, amount=Decimal(amount))
        except NotAllowed:
            assert amount > self.amount
            return
        assert amount <= self.amount
        self.amount = self.cap = amount

    def one_of_those_that_wait(self, which: int) -> str:
        return sorted(self.asked)[which % len(self.asked)]

    @precondition(lambda self: self.asked)
    @rule(who=WHO, which=WHICH)
    def confirms(self, who: str, which: int) -> None:
        kind = self.one_of_those_that_wait(which)
        self._decide(self.people[who], kind, self.is_barred(kind, who), is_confirmed=True, raw=False)

    @precondition(lambda self: self.asked)
    @rule(which=WHICH)
    def one_who_may_confirms(self, which: int) -> None:
        kind = self.one_of_those_that_wait(which)
        free = [name for name in PEOPLE if not self.is_barred(kind, name)]
        if free:
            self._decide(self.people[free[which % len(free)]], kind, is_barred=False, is_confirmed=True, raw=False)

    @precondition(lambda self: self.asked)
    @rule(who=WHO, which=WHICH, raw=st.booleans())
    def refuses(self, who: str, which: int, raw: bool) -> None:
        kind = self.one_of_those_that_wait(which)
        self._decide(self.people[who], kind, self.is_barred(kind, who), is_confirmed=False, raw=raw)

    @precondition(lambda self: self.asked)
    @rule(which=WHICH, is_confirmed=st.booleans(), raw=st.booleans())
    def decides_for_somebody(self, which: int, is_confirmed: bool, raw: bool) -> None:
        """Eve has the approver's role of whoever is away, and none of an administrator."""
        kind = self.one_of_those_that_wait(which)
        barred = self.away is None or kind == "centre_move" or self.is_barred(kind, self.away)
        self._decide(self.world.eve, kind, barred, is_confirmed=is_confirmed, raw=raw)

    def _decide(self, person: Person, kind: str, is_barred: bool, *, is_confirmed: bool, raw: bool) -> None:
        asked = self.asked[kind]
        assert selectors.may_decide(actor(person), asked.row) is not is_barred
        try:
            with transaction.atomic():
                if raw:
                    # Past the service; taken back, since nothing would be applied.
                    decide_raw(asked.row, person)
                    transaction.set_rollback(True)
                elif is_confirmed:
                    confirm(asked.row, person)
                else:
                    refuse(asked.row, person)
        except (NotAllowed, DatabaseError):
            assert is_barred
            return
        except Conflict:
            assert is_confirmed
            assert asked.stood != self.stands(kind)
            return
        assert not is_barred
        if not raw:
            if is_confirmed:
                assert asked.stood == self.stands(kind)
                self._apply(kind, asked.value)
            del self.asked[kind]

    def _apply(self, kind: str, value: Any) -> None:
        self.confirmed += 1
        if kind == "cost_centre":
            self.centre = value
        elif kind == "output_unit":
            self.unit = value
        elif kind == "resume":
            self.state, self.stage = "active", value if self.stage == "sunset" else self.stage
        elif kind == "budget":
            self.amount = self.cap = value
        else:
            self.parent = value

    @precondition(lambda self: self.asked)
    @rule(who=WHO, which=WHICH)
    def takes_back(self, who: str, which: int) -> None:
        kind = self.one_of_those_that_wait(which)
        person, row = self.people[who], self.asked[kind].row
        may = who in self.askers(kind) or person.pk == row.asked_by_id
        try:
            services.withdraw(actor=actor(person), confirmation=row)
        except NotAllowed:
            assert not may
            return
        assert may
        del self.asked[kind]

    @invariant()
    def what_stands_is_what_was_confirmed_or_a_review_decided(self) -> None:
        self.workload.refresh_from_db()
        self.world.care.refresh_from_db()
        workload, care = self.workload, self.world.care
        centres = {getattr(self.world, name).pk: name for name in (CARE, LEGAL, OPERATIONS)}
        assert (centres[workload.cost_centre_id], workload.output_unit) == (self.centre, self.unit)  # type: ignore[index]
        assert (workload.state, workload.stage) == (self.state, self.stage)
        assert (centres[care.parent_id] if care.parent_id else None) == self.parent
        assert budget_selectors.budgets_at(NOVEMBER)[workload.pk].amount == self.amount
        assert budget_selectors.cap_at(workload, NOVEMBER) == self.cap
        assert Decision.objects.filter(verdict="confirm").count() == self.confirmed

    @invariant()
    def at_most_one_of_each_kind_waits(self) -> None:
        found = Confirmation.objects.filter(state="waiting").values_list("pk", flat=True)
        assert set(found) == {asked.row.pk for asked in self.asked.values()}


@pytest.mark.django_db(transaction=False)
@pytest.mark.parametrize("machine", [Deciding, DecidingSideBySide])
def test_whatever_happens_whoever_had_a_hand_in_it_does_not_decide(machine: type[Company]) -> None:
    chosen = settings(
        max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(machine, settings=chosen)

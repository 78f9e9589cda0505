"""Chance asks, edits, hands over, decides and takes back; after each step what must hold is asked of the database."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from apps.accounts import services as accounts
from apps.accounts.models import Person, Role
from apps.approvals import selectors, services
from apps.approvals.models import Confirmation, Decision
from apps.core.errors import Conflict, NotAllowed, TollgateError
from apps.workloads import services as workloads
from apps.workloads.models import WorkloadRevision
from apps.workloads.selectors import promise_of
from tests.approvals.deciding import ask_tier, confirm, decide_raw, refuse, registered, state_of
from tests.world import World, actor, give, make_member, make_world

pytestmark = pytest.mark.slow
PEOPLE = ("ben", "dan", "cleo", "pia", "quinn", "rita")
WHO = st.sampled_from(PEOPLE)
TIERS = st.sampled_from(["T1", "T2", "T3", "T4"])


class Deciding(RuleBasedStateMachine):
    """Everybody here is approver of the whole organisation: only what they did keeps them from deciding."""

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
        # What the model knows: who has had a hand in the workload, and in the proposal that waits.
        self.touched = {"ben", "dan"}
        self.waiting: Confirmation | None = None
        self.wrote: set[str] = set()
        self.stands = "T3"
        # Eve is a member and nothing else; whose role she has at the moment.
        self.away: str | None = None

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

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

    @invariant()
    def nobody_decided_what_they_asked_for(self) -> None:
        for decision in Decision.objects.select_related("confirmation"):
            assert decision.person_id != decision.confirmation.asked_by_id
            assert decision.digest == decision.confirmation.digest
            assert state_of(decision.confirmation) in ("confirmed", "refused")


@pytest.mark.django_db(transaction=False)
def test_whatever_happens_whoever_had_a_hand_in_it_does_not_decide() -> None:
    chosen = settings(
        max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    run_state_machine_as_test(Deciding, settings=chosen)

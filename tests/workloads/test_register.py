"""From a draft to a registered use case: what is asked, what is kept, what nobody can set."""

from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.db import models

from apps.accounts.models import Person, Role
from apps.catalog.models import LatencyBand, ValueTier
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed, TollgateError
from apps.core.models import AuditEvent
from apps.workloads import services
from apps.workloads.fields import MANDATE
from apps.workloads.models import Workload
from apps.workloads.services import StaleEdit
from tests.approvals.deciding import ask, confirm
from tests.world import MACHINE, World, actor, give

pytestmark = pytest.mark.django_db


def told(world: World, **values: Any) -> dict[str, Any]:
    """All answers of a complete registration."""
    return {
        "name": "Return reason summaries",
        "purpose": "Says why a parcel came back",
        "output_unit": "summary",
        "audience": "employee",
        "benefit": "labour",
        "cost_centre": world.care,
        "business_owner": world.ben,
        "technical_owner": world.dan,
        "budget_owner": world.ben,
        "monthly_spend_expected": Decimal(4000),
        "value_tier": ValueTier.objects.get(pk="T3"),
        "latency_band": LatencyBand.objects.get(pk="batch"),
        "failure_severity": "little",
        "failure_cost": Decimal("2.00"),
        **values,
    }


def test_a_name_is_enough_for_a_draft_and_all_answers_make_it_active(world: World) -> None:
    eve = actor(world.eve)
    draft = services.start_draft(actor=eve, name="  Return   reason summaries ")
    assert (draft.name, draft.state, draft.created_by) == ("Return reason summaries", "draft", world.eve)
    answers = told(world)
    services.save_draft(actor=eve, workload=draft, **answers)
    active = services.activate(actor=eve, workload=draft)
    assert (active.state, active.slug, active.activated_at is not None) == ("active", "return-reason-summaries", True)
    promise = active.revisions.get()
    assert (promise.version, promise.value_tier_id, promise.failure_cost) == (1, "T3", Decimal("2.00"))
    assert list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True)) == [
        "started draft",
        "saved draft",
        "registered workload",
    ]


def test_an_incomplete_draft_is_told_what_is_missing_in_words(world: World) -> None:
    draft = services.start_draft(actor=actor(world.eve), name="Half")
    with pytest.raises(BadInput) as refused:
        services.activate(actor=actor(world.eve), workload=draft)
    assert "what one useful answer is" in str(refused.value)
    assert "a budget owner" in str(refused.value)
    assert "_" not in str(refused.value)


def test_equal_names_get_different_addresses(world: World) -> None:
    made = [services.register(actor=MACHINE, **told(world)) for _ in range(3)]
    assert [workload.slug for workload in made] == [f"return-reason-summaries{end}" for end in ("", "-2", "-3")]


def test_what_only_one_of_two_people_changed_is_merged(world: World) -> None:
    eve = actor(world.eve)
    draft = services.start_draft(actor=eve, **told(world))
    opened = draft.version
    services.save_draft(actor=actor(world.dan), workload=draft, version=opened, purpose="Theirs")
    # The second page still shows the old purpose and changed the unit only.
    merged = services.save_draft(
        actor=eve, workload=draft, version=opened, purpose="Says why a parcel came back", output_unit="reason"
    )
    assert (merged.purpose, merged.output_unit, merged.version) == ("Theirs", "reason", 3)


def test_two_who_change_the_same_field_are_told_both_values(world: World) -> None:
    eve = actor(world.eve)
    draft = services.start_draft(actor=eve, **told(world))
    services.save_draft(actor=actor(world.dan), workload=draft, version=1, purpose="Theirs", stage="production")
    with pytest.raises(StaleEdit) as stale:
        services.save_draft(actor=eve, workload=draft, version=1, purpose="Mine", stage="production")
    assert [(clash.field, clash.stands, clash.wanted) for clash in stale.value.clashes] == [
        ("purpose", "Theirs", "Mine")
    ]
    draft.refresh_from_db()
    assert draft.purpose == "Theirs"


def test_ones_own_save_of_a_moment_ago_is_no_clash(world: World) -> None:
    eve = actor(world.eve)
    draft = services.start_draft(actor=eve, name="Mine")
    services.save_draft(actor=eve, workload=draft, version=1, purpose="Says wh")
    assert services.save_draft(actor=eve, workload=draft, version=1, purpose="Says why").purpose == "Says why"


def test_one_form_makes_one_draft_however_often_it_is_sent(world: World) -> None:
    eve, token = actor(world.eve), services.new_token()
    first = services.start_draft(actor=eve, token=token, name="Twice")
    second = services.start_draft(actor=eve, token=token, name="Twice", purpose="More")
    assert (second.pk, second.purpose, Workload.objects.count()) == (first.pk, "More", 1)
    with pytest.raises(NotAllowed):
        services.start_draft(actor=actor(world.gus), token=token, name="Not mine")


def test_a_name_never_takes_the_address_of_a_page(world: World) -> None:
    assert services.register(actor=MACHINE, **told(world, name="Import")).slug == "import-2"


def test_saving_the_same_again_writes_nothing(world: World) -> None:
    draft = services.start_draft(actor=actor(world.eve), **told(world))
    events = AuditEvent.objects.count()
    assert services.save_draft(actor=actor(world.eve), workload=draft, **told(world)).version == 1
    assert AuditEvent.objects.count() == events


def test_no_field_beyond_the_answers_can_be_set(world: World) -> None:
    draft = services.start_draft(actor=actor(world.eve), name="Mine")
    writers: Any = (services.save_draft, services.edit, services.change_revision)
    answers = set(told(world)) | {"stage"}
    parameters = {"actor", "workload", "version", "reason", "differs_from"}
    columns = {f.name for model in apps.get_models() for f in model._meta.get_fields() if isinstance(f, models.Field)}
    for field in columns - answers - parameters:
        for writer in writers:
            if writer is services.change_revision and field in {*MANDATE, "decision_id"}:
                continue
            if writer is not services.change_revision and field == "first_estimate":
                continue  # an answer of a draft, which has a test of its own
            more = {"reason": "x"} if writer is services.change_revision else {}
            with pytest.raises(BadInput, match="cannot be set"):
                writer(actor=actor(world.eve), workload=draft, **{**more, field: "1"})
    draft.refresh_from_db()
    assert draft.state == Workload.State.DRAFT


def test_a_first_estimate_takes_its_own_figures_only(world: World) -> None:
    draft = services.start_draft(actor=actor(world.eve), name="Mine")
    wrong: Any
    for wrong, why in (("1", "is no set of named figures"), ({"salary": 1}, "says nothing of salary")):
        with pytest.raises(BadInput, match=why):
            services.save_draft(actor=actor(world.eve), workload=draft, first_estimate=wrong)
    draft.refresh_from_db()
    assert draft.first_estimate is None
    registered: Any = services.register(actor=MACHINE, **told(world))
    figures: Any = {"first_estimate": {"minutes_low": 1}}
    with pytest.raises(BadInput, match="cannot be set"):
        services.edit(actor=MACHINE, workload=registered, **figures)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "x" * 121},
        {"audience": "everybody"},
        {"stage": ""},
        {"monthly_spend_expected": Decimal("NaN")},
        {"monthly_spend_expected": Decimal(-1)},
        {"failure_cost": Decimal("1e20")},
        {"failure_severity": "huge"},
    ],
)
def test_values_that_are_none_are_refused(world: World, wrong: dict[str, Any]) -> None:
    with pytest.raises(TollgateError):
        services.start_draft(actor=MACHINE, **told(world, **wrong))


def test_text_keeps_its_letters_and_loses_what_turns_it_round(world: World) -> None:
    draft = services.start_draft(
        actor=MACHINE, **told(world, name="Pay\u202eroll\x00 <script>", purpose="a\r\nb\u2066c")
    )
    assert (draft.name, draft.purpose) == ("Payroll <script>", "a\nbc")


def test_a_promise_keeps_its_history(world: World) -> None:
    workload = services.register(actor=MACHINE, **told(world))
    owner = actor(world.ben)
    with pytest.raises(BadInput, match="why"):
        services.change_revision(actor=owner, workload=workload, reason=" ", failure_cost=Decimal(5))
    with pytest.raises(NotAllowed, match="confirmed by somebody else"):
        services.change_revision(actor=owner, workload=workload, reason="A refund was paid", failure_cost=Decimal(5))
    waiting = ask(workload, world.ben, "failure_cost", {"failure_cost": Decimal(5)}, "A refund was paid")
    confirm(waiting, world.hana)
    new = workload.revisions.latest("version")
    assert [(r.version, r.failure_cost, r.value_tier_id) for r in workload.revisions.all()] == [
        (1, Decimal("2.00"), "T3"),
        (2, Decimal(5), "T3"),
    ]
    assert new.recorded_by == world.ben
    with pytest.raises(Conflict):
        services.change_revision(actor=owner, workload=workload, reason="Old page", version=1, failure_cost=Decimal(6))


def test_a_registered_use_case_cannot_lose_what_it_needs(world: World) -> None:
    workload = services.register(actor=MACHINE, **told(world))
    with pytest.raises(BadInput, match="a budget owner"):
        services.edit(actor=MACHINE, workload=workload, budget_owner=None)
    assert services.edit(actor=MACHINE, workload=workload, stage="sunset").stage == "sunset"


def test_a_command_moves_a_use_case_alone_only_while_nobody_could_confirm(world: World) -> None:
    """Afterwards the database would refuse it, in words that nobody could act upon."""
    workload = services.register(actor=MACHINE, **told(world))
    assert services.edit(actor=MACHINE, workload=workload, output_unit="label").output_unit == "label"
    give(world.hana, Role.ADMINISTRATOR, by=world.ada)
    for wanted in ({"output_unit": "summary"}, {"cost_centre": world.legal}):
        with pytest.raises(NotAllowed, match="confirmed by somebody else"):
            services.edit(actor=MACHINE, workload=workload, **wanted)
    going = services.edit(actor=MACHINE, workload=workload, stage="sunset")
    with pytest.raises(NotAllowed, match="switched off"):
        services.edit(actor=MACHINE, workload=going, stage="production")


def test_owners_edit_and_nobody_else(world: World) -> None:
    workload = services.register(actor=MACHINE, **told(world))
    may = {name for name, person in world.people.items() if services.may_edit(actor(person), workload)}
    assert may == {"ben", "dan"}
    for person in (world.gus, world.cleo, world.ada):
        with pytest.raises(NotAllowed):
            services.edit(actor=actor(person), workload=workload, purpose="Mine")
    nobody = Actor(person_id=None, label="nobody", channel="web")
    assert not services.may_edit(nobody, services.start_draft(actor=MACHINE, name="Without owners"))


def test_an_administrator_names_owners_where_none_is_left(world: World) -> None:
    """Else a use case whose owners have all left could never be changed again."""
    workload = services.register(actor=MACHINE, **told(world))
    Person.objects.filter(pk__in=(world.ben.pk, world.dan.pk)).update(active=False)
    assert services.may_edit(actor(world.ada), workload)
    assert not services.may_edit(actor(world.cleo), workload)
    services.edit(actor=actor(world.ada), workload=workload, business_owner=world.eve)
    workload.refresh_from_db()
    assert services.may_edit(actor(world.eve), workload)
    assert not services.may_edit(actor(world.ada), workload)


def test_owners_and_those_who_keep_the_books_of_the_place_report_what_came_out(world: World) -> None:
    workload = services.register(actor=MACHINE, **told(world))
    may = {name for name, person in world.people.items() if services.may_report(actor(person), workload)}
    assert may == {"ben", "dan", "cleo", "ada"}


def test_a_draft_is_seen_by_whom_it_names(world: World) -> None:
    draft = services.start_draft(actor=actor(world.eve), name="Secret", technical_owner=world.dan)
    seers = {name for name, person in world.people.items() if draft in Workload.objects.visible_to(actor(person))}
    assert seers == {"eve", "dan", "ada"}


def test_a_draft_can_be_thrown_away_and_a_registered_one_cannot(world: World) -> None:
    eve = actor(world.eve)
    services.discard_draft(actor=eve, workload=services.start_draft(actor=eve, name="Never mind"))
    assert not Workload.objects.exists()
    with pytest.raises(Conflict):
        services.discard_draft(actor=MACHINE, workload=services.register(actor=MACHINE, **told(world)))

"""Binding real usage: what moves, what a preview says before, and which days are worked out again."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from apps.core.errors import Conflict, NotAllowed
from apps.costs.attribution import bind, preview_bind, rebind, unbind
from apps.costs.models import DirtyDay
from apps.sources.models import Source
from apps.usage.models import Identity
from apps.usage.services import record_identities
from apps.workloads.models import BEGINNING, END, Attribution, Workload
from tests.books import (
    add_hour,
    at,
    cost,
    make_identity,
    make_offering,
    make_pull,
    make_series,
    make_source,
    prices,
    rate_all,
)
from tests.books import make_workload as make
from tests.world import MACHINE, World, actor

pytestmark = pytest.mark.django_db
KEY = [["key", "growth-exp"]]


@pytest.fixture
def source() -> Source:
    return make_source()


@pytest.fixture
def email(world: World) -> Workload:
    return make("Personalised e-mail", world)


@pytest.fixture
def books(source: Source) -> Identity:
    """One key, 1,000 input tokens an hour at 1.00 per 1,000: 1.00 on 30 Sep, 1.00 on 1 Oct, 3.00 on 5 Oct."""
    offering = make_offering("own", "plain")
    prices(offering, input="1000", output="1000")
    pull, identity = make_pull(source), make_identity(source, "growth-exp")
    series = make_series(pull, identity, offering)
    for hour in (at(30, month=9), at(1), at(5), at(5, 1), at(5, 2)):
        add_hour(pull, series, hour, requests=1, input=1000)
    rate_all()
    return identity


def owners(identity: Identity) -> list[tuple[Any, Any, Any]]:
    rows = Attribution.objects.filter(identity_id=identity.pk).order_by("valid_from")
    return list(rows.values_list("valid_from", "valid_to", "workload_id"))


def dirty() -> list[date]:
    return sorted(DirtyDay.objects.values_list("day", flat=True))


def test_binding_moves_the_cost_from_its_start_on_and_nothing_else(
    books: Identity, source: Source, email: Workload
) -> None:
    bind(actor=MACHINE, workload=email, pairs=KEY, source=source, valid_from=at(5, 1))
    assert owners(books) == [(BEGINNING, at(5, 1), None), (at(5, 1), END, email.pk)]
    assert dirty() == [date(2026, 10, 5)]
    rate_all()
    assert cost(workload=email) == Decimal(2)
    assert cost(workload=None) == Decimal(3)


def test_a_preview_says_what_then_happens_and_writes_nothing(books: Identity, source: Source, email: Workload) -> None:
    preview = preview_bind(actor=MACHINE, workload=email, pairs=KEY, source=source, valid_from=at(1))
    (october,) = preview.months
    assert (october.unallocated_before, october.unallocated_after) == (Decimal(4), Decimal(0))
    assert (october.workload_before, october.workload_after, october.moved) == (Decimal(0), Decimal(4), Decimal(4))
    assert (october.share_before, october.share_after, october.state) == (1, 0, "open")
    assert (preview.identities, preview.hours, preview.keys) == (1, 4, ("growth-exp",))
    assert not preview.splits_a_day
    assert owners(books) == [(BEGINNING, END, None)]
    bind(actor=MACHINE, workload=email, pairs=KEY, source=source, valid_from=at(1))
    rate_all()
    assert cost(workload=email) == preview.moved


def test_a_preview_names_the_month_and_the_workload_that_lose(
    books: Identity, source: Source, email: Workload, world: World
) -> None:
    chat = make("Chat", world)
    bind(actor=MACHINE, workload=chat, pairs=KEY)
    rate_all()
    preview = preview_bind(actor=MACHINE, workload=email, pairs=KEY, source=source)
    assert [(month.month, month.moved, month.unallocated_before) for month in preview.months] == [
        (date(2026, 9, 1), Decimal(1), Decimal(0)),
        (date(2026, 10, 1), Decimal(4), Decimal(0)),
    ]
    assert preview.taken_from == ((chat, Decimal(5)),)


def test_an_edge_inside_a_day_is_said(books: Identity, source: Source, email: Workload) -> None:
    assert preview_bind(actor=MACHINE, workload=email, pairs=KEY, source=source, valid_from=at(5, 1)).splits_a_day


def test_a_tie_is_refused_by_the_preview_as_by_the_binding(
    books: Identity, source: Source, email: Workload, world: World
) -> None:
    bind(actor=MACHINE, workload=make("Chat", world), pairs=KEY, source=source)
    for attempt in (preview_bind, bind):
        with pytest.raises(Conflict, match="Chat"):
            attempt(actor=MACHINE, workload=email, pairs=KEY, source=source)


def test_taking_a_binding_back_restores_what_was(books: Identity, source: Source, email: Workload) -> None:
    binding = bind(actor=MACHINE, workload=email, pairs=KEY, source=source)
    rate_all()
    unbind(actor=MACHINE, binding=binding, valid_to=at(5))
    assert dirty() == [date(2026, 10, 5)]
    rate_all()
    assert cost(workload=email) == Decimal(2)
    assert owners(books) == [(BEGINNING, at(5), email.pk), (at(5), END, None)]


def test_another_binding_in_its_place_moves_only_what_differs(
    books: Identity, source: Source, email: Workload, world: World
) -> None:
    binding = bind(actor=MACHINE, workload=email, pairs=KEY, source=source, valid_from=at(1))
    rate_all()
    rebind(actor=MACHINE, binding=binding, valid_from=at(5))
    assert dirty() == [date(2026, 10, 1)]
    chat = make("Chat", world)
    bind(actor=MACHINE, workload=chat, pairs=KEY, source=None)
    rate_all()
    assert (cost(workload=email), cost(workload=chat), cost(workload=None)) == (Decimal(3), Decimal(2), Decimal(0))


def test_a_new_spender_finds_its_binding(source: Source, email: Workload) -> None:
    bind(actor=MACHINE, workload=email, pairs=[["team", "growth"]], source=source)
    ids = record_identities(source.pk, {'[["key","a"],["team","growth"]]': at(1), '[["key","b"]]': at(1)})
    found = Attribution.objects.filter(identity_id__in=ids.values()).order_by("identity_id")
    assert list(found.values_list("workload_id", flat=True)) == [email.pk, None]


def test_pairs_match_as_pairs_and_not_as_a_bag_of_words(source: Source, email: Workload) -> None:
    turned = Identity.objects.create(source=source, pairs=[["growth", "team"]], digest="turned")
    bind(actor=MACHINE, workload=email, pairs=[["team", "growth"]])
    assert owners(turned) == []


def test_a_bill_out_of_scope_is_counted_before_it_is_claimed(source: Source, email: Workload) -> None:
    identity, pull = make_identity(source, "growth-exp"), make_pull(source, format="focus")
    from apps.core import periods

    periods.ensure_months(at(1), at(1), {"usage_charge": "timestamptz"})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO usage_charge (part_id, charge_start, charge_end, row_digest, occurrence, pull_id, category,"
            " identity_id, provider, service_category, meter, unit, billed, currency, in_scope, accrued)"
            " VALUES (%s, %s, %s, 'd', 0, %s, 'Usage', %s, 'aws', 'Compute', 'm', 'h', 7, 'USD', false, false)",
            [pull.part_id, at(1), at(1) + timedelta(hours=1), pull.pk, identity.pk],
        )
    preview = preview_bind(actor=MACHINE, workload=email, pairs=KEY)
    assert (preview.charges_out_of_scope, preview.months) == (1, ())
    bind(actor=MACHINE, workload=email, pairs=KEY)
    assert dirty() == [date(2026, 10, 1)]
    rate_all()
    assert cost(workload=email) == Decimal(7)


def test_only_those_who_place_usage_may_look_or_bind(books: Identity, email: Workload, world: World) -> None:
    for attempt in (preview_bind, bind):
        with pytest.raises(NotAllowed):
            attempt(actor=actor(world.finn), workload=email, pairs=KEY)

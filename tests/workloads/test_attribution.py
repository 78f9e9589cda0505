"""Whose usage is: the pure resolution by property, and its rows in the database."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.workloads.attribution import Claim, IdentityRef, Segment, moves, resolve, resolve_all, resolve_attribution
from apps.workloads.models import BEGINNING, END, Attribution
from apps.workloads.services import add_binding
from tests.books import make_workload
from tests.world import MACHINE, World

START = datetime(2026, 10, 1, tzinfo=UTC)
HOURS = st.integers(0, 40).map(lambda hours: START + timedelta(hours=hours))
EDGES = st.one_of(HOURS, st.just(BEGINNING), st.just(END))
PAIRS = st.frozensets(
    st.tuples(st.sampled_from(["key", "team", "env"]), st.sampled_from(["a", "b"])), min_size=1, max_size=3
)


@st.composite
def claims(draw: Any) -> list[Claim]:
    found = []
    for number in range(draw(st.integers(0, 7))):
        first, last = sorted((draw(EDGES), draw(EDGES)))
        if first == last:
            continue
        found.append(
            Claim(number, draw(st.integers(1, 3)), draw(st.sampled_from([None, 1, 2])), draw(PAIRS), first, last)
        )
    return found


def at(segments: list[Segment], instant: datetime) -> Segment:
    (found,) = [segment for segment in segments if segment.valid_from <= instant < segment.valid_to]
    return found


@given(PAIRS, claims())
def test_segments_run_from_the_beginning_to_the_end_without_gap_or_overlap(pairs: Any, bindings: Any) -> None:
    segments = resolve(pairs, 1, bindings)
    assert segments[0].valid_from == BEGINNING
    assert segments[-1].valid_to == END
    assert all(one.valid_to == next_.valid_from for one, next_ in itertools.pairwise(segments))
    assert all(segment.valid_from < segment.valid_to for segment in segments)
    assert all(one.binding != next_.binding for one, next_ in itertools.pairwise(segments))


@given(PAIRS, claims(), HOURS)
def test_at_every_instant_the_best_match_wins_and_two_workloads_that_tie_get_nothing(
    pairs: Any, bindings: Any, instant: datetime
) -> None:
    matching = [
        claim
        for claim in bindings
        if claim.source_id in (None, 1) and claim.pairs <= pairs and claim.valid_from <= instant < claim.valid_to
    ]
    winner = at(resolve(pairs, 1, bindings), instant).binding
    if winner is None:
        best = (
            [
                c
                for c in matching
                if (len(c.pairs), c.source_id is not None, c.valid_from)
                == max((len(o.pairs), o.source_id is not None, o.valid_from) for o in matching)
            ]
            if matching
            else []
        )
        assert not matching or len({claim.workload_id for claim in best}) > 1
        return
    assert winner in matching
    for other in matching:
        assert len(winner.pairs) >= len(other.pairs)
        if len(winner.pairs) == len(other.pairs):
            assert (winner.source_id is not None) >= (other.source_id is not None)
            if (winner.source_id is None) == (other.source_id is None):
                assert winner.valid_from >= other.valid_from


@given(PAIRS, claims(), st.randoms(use_true_random=False))
def test_the_order_of_bindings_does_not_matter(pairs: Any, bindings: list[Claim], random: Any) -> None:
    shuffled = list(bindings)
    random.shuffle(shuffled)
    assert resolve(pairs, 1, shuffled) == resolve(pairs, 1, bindings)


@given(PAIRS, claims())
def test_looking_up_many_gives_what_looking_up_one_gives(pairs: Any, bindings: list[Claim]) -> None:
    spender = IdentityRef(9, 1, sorted(pairs))
    assert resolve_all([spender], bindings)[9] == resolve(pairs, 1, bindings)


@given(PAIRS, claims(), claims(), HOURS)
def test_moves_are_exactly_the_instants_whose_owner_changes(pairs: Any, old: Any, new: Any, instant: datetime) -> None:
    before, after = resolve(pairs, 1, old), resolve(pairs, 1, new)
    hit = [move for move in moves(5, before, after) if move.valid_from <= instant < move.valid_to]
    owners = (at(before, instant).workload_id, at(after, instant).workload_id)
    assert [(move.before, move.after) for move in hit] == ([owners] if owners[0] != owners[1] else [])


def test_a_key_that_changes_hands_belongs_to_each_in_turn() -> None:
    key = frozenset({("key", "shared")})
    first = Claim(1, 10, 7, key, BEGINNING, END)
    second = Claim(2, 20, 7, key, START, END)
    assert [(s.valid_from, s.workload_id) for s in resolve(key, 7, [second, first])] == [(BEGINNING, 10), (START, 20)]


@pytest.mark.django_db
def test_new_spenders_are_attributed_in_a_number_of_queries_that_does_not_grow(
    world: World, django_assert_num_queries: Any
) -> None:
    chat = make_workload("Chat", world)
    add_binding(actor=MACHINE, workload=chat, pairs=[("key", "k7")], source_id=1)
    few = [IdentityRef(n, 1, [("key", f"k{n}")]) for n in range(10)]
    many = [IdentityRef(n, 1, [("key", f"k{n}")]) for n in range(3000)]
    for spenders in (few, many):
        with transaction.atomic(), django_assert_num_queries(4):
            resolve_attribution(spenders)
    rows = Attribution.objects.all()
    assert rows.count() == 3000
    assert list(rows.exclude(workload=None).values_list("identity_id", "workload_id")) == [(7, chat.pk)]
    assert set(rows.values_list("valid_from", "valid_to")) == {(BEGINNING, END)}


@pytest.mark.django_db(transaction=True)
def test_attribution_outside_a_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError):
        resolve_attribution([IdentityRef(1, 1, [("key", "a")])])

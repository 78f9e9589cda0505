"""Whose usage is: bindings resolved, per identity, into periods without gap or overlap.

A binding names some (kind, value) pairs; an identity that has all of them matches. Where several match, the one with
most pairs wins, then the one for a single source, then the one that started last. Two workloads that still tie make the
period unallocated: usage that two claim is nobody's until somebody says whose it is, and is never counted twice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from django.db import connection, models

from apps.workloads.models import BEGINNING, END, Binding

Pair = tuple[str, str]
# Readers of bindings hold it shared, a writer alone: no identity slips in between a binding and its resolution.
BINDINGS_LOCK = 7_304


@dataclass(frozen=True, slots=True)
class IdentityRef:
    """A spender as far as attribution must know it; sources and identities belong to apps above this one."""

    id: int
    source_id: int
    pairs: Sequence[Pair]


@dataclass(frozen=True, slots=True)
class Claim:
    """A binding as plain data. `source_id` None is any source; from and to are half-open."""

    id: int
    workload_id: int
    source_id: int | None
    pairs: frozenset[Pair]
    valid_from: datetime
    valid_to: datetime

    @property
    def rank(self) -> tuple[int, bool, datetime]:
        """The larger wins: more pairs, then the narrower source, then the newer start."""
        return len(self.pairs), self.source_id is not None, self.valid_from

    def matches(self, source_id: int, pairs: Collection[Pair]) -> bool:
        return self.source_id in (None, source_id) and self.pairs <= frozenset(pairs)

    def overlaps(self, other: "Claim") -> bool:
        return self.valid_from < other.valid_to and other.valid_from < self.valid_to


@dataclass(frozen=True, slots=True)
class Segment:
    """A period of an identity and the binding that claims it; None is unallocated."""

    valid_from: datetime
    valid_to: datetime
    binding: Claim | None

    @property
    def workload_id(self) -> int | None:
        return self.binding.workload_id if self.binding else None


@dataclass(frozen=True, slots=True)
class Move:
    """A period in which an identity changes its owner."""

    identity_id: int
    valid_from: datetime
    valid_to: datetime
    before: int | None
    after: int | None


def resolve(identity_pairs: Collection[Pair], source_id: int, bindings: Iterable[Claim]) -> list[Segment]:
    """The owner of an identity from BEGINNING to END, gapless; the order of `bindings` does not matter."""
    candidates = [claim for claim in bindings if claim.matches(source_id, identity_pairs)]
    edges = {BEGINNING, END}.union(*({claim.valid_from, claim.valid_to} for claim in candidates))
    inside = sorted(edge for edge in edges if BEGINNING <= edge <= END)
    segments: list[Segment] = []
    for start, end in pairwise(inside):
        winner = _winner([claim for claim in candidates if claim.valid_from <= start and claim.valid_to >= end])
        if segments and segments[-1].binding == winner:
            start = segments.pop().valid_from
        segments.append(Segment(start, end, winner))
    return segments


def moves(identity_id: int, before: Sequence[Segment], after: Sequence[Segment]) -> list[Move]:
    """The periods in which two resolutions of one identity name different workloads."""
    edges = sorted({segment.valid_from for segment in (*before, *after)} | {END})
    found: list[Move] = []
    for start, end in pairwise(edges):
        old, new = _owner_at(before, start), _owner_at(after, start)
        if old == new:
            continue
        last = found[-1] if found else None
        if last and (last.valid_to, last.before, last.after) == (start, old, new):
            start = found.pop().valid_from
        found.append(Move(identity_id, start, end, old, new))
    return found


def claims_of(bindings: models.QuerySet[Binding]) -> list[Claim]:
    return [claim_of(binding) for binding in bindings]


def claim_of(binding: Binding) -> Claim:
    return Claim(
        id=binding.pk,
        workload_id=binding.workload_id,
        source_id=binding.source_id,
        pairs=frozenset(_as_pair(pair) for pair in binding.pairs),
        valid_from=binding.valid_from,
        valid_to=binding.valid_to,
    )


def claims_in_force(source_ids: Collection[int] | None = None, *, pairs: Collection[Pair] | None = None) -> list[Claim]:
    """All bindings that count now, one query. Left out are those for other sources than `source_ids`, and those that
    ask for a pair beyond `pairs`, which match no spender that has only these."""
    bindings = Binding.objects.in_force()
    if pairs is not None:
        bindings = bindings.filter(pairs__contained_by=[list(pair) for pair in pairs])
    if source_ids is not None:
        bindings = bindings.filter(models.Q(source_id__isnull=True) | models.Q(source_id__in=source_ids))
    return claims_of(bindings)


def resolve_attribution(identities: Iterable[IdentityRef]) -> None:
    """Write the attribution of these identities anew, in a number of queries that does not grow with them.

    Must run inside the caller's transaction: identities, bindings and attribution stand or fall together.
    """
    known = list(identities)
    if not known:
        return
    if not connection.in_atomic_block:
        raise RuntimeError("resolve_attribution() belongs into the transaction of its cause.")
    lock_bindings(shared=True)
    write_attribution(resolve_all(known, claims_in_force({identity.source_id for identity in known})))


def resolve_all(identities: Iterable[IdentityRef], claims: Iterable[Claim]) -> dict[int, list[Segment]]:
    """Segments by identity. Claims are looked up by one of their pairs, so that thousands meet thousands quickly."""
    by_pair: dict[Pair, list[Claim]] = {}
    for claim in claims:
        by_pair.setdefault(min(claim.pairs), []).append(claim)
    return {
        identity.id: resolve(identity.pairs, identity.source_id, _candidates(identity.pairs, by_pair))
        for identity in identities
    }


def write_attribution(resolved: Mapping[int, Sequence[Segment]]) -> None:
    """Replace the rows of these identities; two statements whatever their number."""
    rows = [(identity_id, segment) for identity_id, segments in resolved.items() for segment in segments]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM workloads_attribution WHERE identity_id = ANY(%s::bigint[])", [list(resolved)])
        cursor.execute(
            _INSERT,
            [
                [identity_id for identity_id, _ in rows],
                [segment.valid_from for _, segment in rows],
                [segment.valid_to for _, segment in rows],
                [segment.workload_id for _, segment in rows],
                [segment.binding.id if segment.binding else None for _, segment in rows],
            ],
        )


def lock_bindings(*, shared: bool) -> None:
    """Until the transaction ends: shared to read bindings for new identities, alone to change them."""
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [BINDINGS_LOCK])


def _candidates(pairs: Sequence[Pair], by_pair: Mapping[Pair, list[Claim]]) -> list[Claim]:
    return [claim for pair in set(pairs) for claim in by_pair.get(pair, ())]


def _winner(candidates: Sequence[Claim]) -> Claim | None:
    if not candidates:
        return None
    best = max(claim.rank for claim in candidates)
    first = [claim for claim in candidates if claim.rank == best]
    if len({claim.workload_id for claim in first}) > 1:
        return None
    return min(first, key=lambda claim: claim.id)


def _owner_at(segments: Sequence[Segment], instant: datetime) -> int | None:
    return next((s.workload_id for s in segments if s.valid_from <= instant < s.valid_to), None)


def _as_pair(pair: Sequence[str]) -> Pair:
    kind, value = pair
    return kind, value


_INSERT = """
INSERT INTO workloads_attribution (identity_id, valid_from, valid_to, workload_id, binding_id)
SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::bigint[])
"""

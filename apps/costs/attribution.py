"""Saying whose usage is, with all that follows: identities are resolved again and the days that moved are queued.

One door for the page, the import and the demo. `preview_bind` answers from the lines that stand what a binding would
move, and writes nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.models import Period
from apps.costs import flags
from apps.costs.models import DIRECT, components_of
from apps.sources.models import Source
from apps.usage.models import Identity
from apps.workloads import attribution
from apps.workloads import services as workloads
from apps.workloads.attribution import Claim, IdentityRef, Move
from apps.workloads.models import BEGINNING, END, Binding, Workload
from apps.workloads.services.bindings import clean_pairs, draft_claim, refuse_tie

REASON: Final = "binding"
FEW_PAIRS: Final = 100  # so many pairs narrow thousands of bindings down quicker than they are read
Pairs = Sequence[Sequence[str]]


@transaction.atomic
def bind(
    *,
    actor: Actor,
    workload: Workload,
    pairs: Pairs,
    source: Source | None = None,
    valid_from: datetime = BEGINNING,
    valid_to: datetime = END,
) -> Binding:
    """Usage with all these pairs is the workload's from one full hour to another (half-open)."""
    attribution.lock_bindings(shared=False)
    source_id = source.pk if source else None
    spenders = spenders_with(pairs, source_id)
    before = attribution.claims_in_force()
    binding = workloads.add_binding(
        actor=actor, workload=workload, pairs=pairs, source_id=source_id, valid_from=valid_from, valid_to=valid_to,
        identities=spenders,
    )  # fmt: skip
    _follow(spenders, before)
    return binding


@transaction.atomic
def unbind(*, actor: Actor, binding: Binding, valid_to: datetime | None = None) -> Binding | None:
    """End a binding at a full hour, or take it back whole; what it claimed goes to the next binding or to nobody."""
    attribution.lock_bindings(shared=False)
    before = attribution.claims_in_force()
    left = workloads.end_binding(actor=actor, binding=binding, valid_to=valid_to)
    _follow(spenders_with(binding.pairs, binding.source_id), before)
    return left


@transaction.atomic
def rebind(*, actor: Actor, binding: Binding, **changed: Any) -> Binding:
    """Put another binding in the place of this one; see `workloads.services.supersede` for what may change."""
    attribution.lock_bindings(shared=False)
    before = attribution.claims_in_force()
    target = (changed.get("pairs", binding.pairs), changed.get("source_id", binding.source_id))
    spenders = spenders_with(*target)
    new = workloads.supersede(actor=actor, binding=binding, identities=spenders, **changed)
    _follow(_distinct([*spenders, *spenders_with(binding.pairs, binding.source_id)]), before)
    return new


def spenders_with(pairs: Pairs, source_id: int | None) -> list[IdentityRef]:
    """Identities that have all these pairs, of one source or of any."""
    wanted = set(clean_pairs(pairs))
    # JSON containment ignores order inside a pair, so it only preselects.
    found = Identity.objects.filter(pairs__contains=[list(pair) for pair in wanted])
    if source_id is not None:
        found = found.filter(source_id=source_id)
    return [ref for ref in map(_ref, found) if wanted <= set(ref.pairs)]


# --- What a binding would move ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entering:
    """What comes to a workload in one month, as its verdict and its budget rest on it.

    `direct` is the part of the cost that burns budgets; `failed` of the `requests` were not delivered; `days` are those
    on which something was used. `blind_lines` have neither a price nor tokens by which to measure them.
    """

    cost: Decimal = Decimal(0)
    direct: Decimal = Decimal(0)
    lines: int = 0
    direct_lines: int = 0
    direct_unknown: int = 0
    requests: int = 0
    failed: int = 0
    tokens: Decimal = Decimal(0)
    unpriced_tokens: int = 0
    unpriced_lines: int = 0
    blind_lines: int = 0
    unconverted_lines: int = 0
    days: tuple[date, ...] = ()

    def __add__(self, other: "Entering") -> "Entering":
        return Entering(**{name: getattr(self, name) + getattr(other, name) for name in _ENTERING})


_ENTERING: Final = tuple(field.name for field in fields(Entering))  # in the order in which they are read


@dataclass(frozen=True, slots=True)
class MonthMove:
    """One month before and after, in the organisation's currency. `moved` enters the workload, whoever had it."""

    month: date
    state: str
    bill: Decimal
    unallocated_before: Decimal
    unallocated_after: Decimal
    workload_before: Decimal
    workload_after: Decimal
    moved: Decimal
    unpriced_tokens: int
    entering: Entering

    @property
    def from_nobody(self) -> Decimal:
        """The part of what moves that nobody claims until now."""
        return self.unallocated_before - self.unallocated_after

    @property
    def share_before(self) -> Decimal | None:
        return self.unallocated_before / self.bill if self.bill else None

    @property
    def share_after(self) -> Decimal | None:
        return self.unallocated_after / self.bill if self.bill else None

    @property
    def is_closed(self) -> bool:
        return self.state != Period.State.OPEN


@dataclass(frozen=True, slots=True)
class BindPreview:
    """What binding would do. `taken_from` names workloads that lose money to it; `splits_a_day` says that an edge lies
    inside a day, whose cost is then counted whole here and split by the hour when it is worked out."""

    workload: Workload
    months: tuple[MonthMove, ...]
    identities: int
    hours: int
    charges_out_of_scope: int
    keys: tuple[str, ...]
    taken_from: tuple[tuple[Workload, Decimal], ...]
    splits_a_day: bool
    moves: tuple[Move, ...]

    @property
    def moved(self) -> Decimal:
        return sum((month.moved for month in self.months), Decimal(0))

    @property
    def closed_months(self) -> tuple[MonthMove, ...]:
        return tuple(month for month in self.months if month.is_closed)

    @property
    def is_empty(self) -> bool:
        return not self.hours and not self.months and not self.charges_out_of_scope


def preview_bind(
    *,
    actor: Actor,
    workload: Workload,
    pairs: Pairs,
    source: Source | None = None,
    valid_from: datetime = BEGINNING,
    valid_to: datetime = END,
) -> BindPreview:
    """What `bind` with the same arguments would move; refuses what it would refuse."""
    rights.require(actor, Right.ALLOCATE)
    spenders, moved = _would_move(workload, pairs, source, valid_from, valid_to)
    lines = _lines_of(moved)
    return BindPreview(
        workload=workload,
        months=_months(workload, lines),
        identities=len({move.identity_id for move in moved}),
        hours=_count(_HOURS, moved),
        charges_out_of_scope=_count(_OUT_OF_SCOPE, moved),
        keys=tuple(sorted({_label(spender) for spender in spenders})),
        taken_from=_taken_from(lines),
        splits_a_day=any(_is_inside_a_day(edge) for move in moved for edge in (move.valid_from, move.valid_to)),
        moves=tuple(moved),
    )


@dataclass(frozen=True, slots=True)
class Restating:
    """Closed months that a binding would change, by how much cost that enters, and who would lose a part of it."""

    months: tuple[date, ...]
    amount: Decimal
    losers: frozenset[int]


def would_restate(
    *, actor: Actor, workload: Workload, pairs: Pairs, source: Source | None, valid_from: datetime, valid_to: datetime
) -> Restating:
    """What a binding of that time would change in closed months alone: less to read than the whole preview."""
    rights.require(actor, Right.ALLOCATE)
    _, moved = _would_move(workload, pairs, source, valid_from, valid_to)
    entering = [line for line in _lines_of(moved) if line.after == workload.pk]
    states = Period.objects.filter(month__in={line.month for line in entering}).exclude(state=Period.State.OPEN)
    closed = frozenset(states.values_list("month", flat=True))
    changed = [line for line in entering if line.month in closed]
    return Restating(
        months=tuple(sorted(closed)),
        amount=sum((line.entering.cost for line in changed), Decimal(0)),
        losers=frozenset(line.before for line in changed if line.before is not None),
    )


def _would_move(
    workload: Workload, pairs: Pairs, source: Source | None, valid_from: datetime, valid_to: datetime
) -> tuple[list[IdentityRef], list[Move]]:
    source_id = source.pk if source else None
    claim = draft_claim(workload, pairs, source_id, valid_from, valid_to)
    spenders = spenders_with(pairs, source_id)
    known = {*claim.pairs, *(pair for spender in spenders for pair in spender.pairs)}
    before = attribution.claims_in_force(pairs=known if len(known) <= FEW_PAIRS else None)
    refuse_tie(claim, before, spenders)
    return spenders, _moves(spenders, before, [*before, claim])


@dataclass(frozen=True, slots=True)
class _MovedLines:
    month: date
    before: int | None
    after: int | None
    entering: Entering


def _lines_of(moved: Collection[Move]) -> list[_MovedLines]:
    if not moved:
        return []
    values = {
        **_parameters(moved),
        "direct": components_of(DIRECT),
        "unpriced": flags.UNPRICED,
        "unconverted": flags.UNCONVERTED,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVED_LINES, values)
        return [_moved_lines(row) for row in cursor.fetchall()]


def _moved_lines(row: Sequence[Any]) -> _MovedLines:
    month, before, after, *sums, days = row
    return _MovedLines(month, before, after, Entering(**dict(zip(_ENTERING, [*sums, tuple(days)], strict=True))))


def _months(workload: Workload, lines: Sequence[_MovedLines]) -> tuple[MonthMove, ...]:
    months = sorted({line.month for line in lines})
    states = dict(Period.objects.filter(month__in=months).values_list("month", "state"))
    with connection.cursor() as cursor:
        cursor.execute(_MONTH_TOTALS, {"workload": workload.pk, "months": months})
        totals = {row[0]: row[1:] for row in cursor.fetchall()}
    return tuple(
        _month(month, states, totals, workload, [line for line in lines if line.month == month]) for month in months
    )


def _month(
    month: date, states: dict[date, str], totals: dict[date, Any], workload: Workload, lines: Sequence[_MovedLines]
) -> MonthMove:
    bill, unallocated, own = totals.get(month, (Decimal(0), Decimal(0), Decimal(0)))
    out_of_nowhere = sum((line.entering.cost for line in lines if line.before is None), Decimal(0))
    entering = sum((line.entering for line in lines if line.after == workload.pk), Entering())
    return MonthMove(
        month=month,
        state=states.get(month, Period.State.OPEN),
        bill=bill,
        unallocated_before=unallocated,
        unallocated_after=unallocated - out_of_nowhere,
        workload_before=own,
        workload_after=own + entering.cost,
        moved=entering.cost,
        unpriced_tokens=sum(line.entering.unpriced_tokens for line in lines),
        entering=entering,
    )


def _taken_from(lines: Sequence[_MovedLines]) -> tuple[tuple[Workload, Decimal], ...]:
    losses: dict[int, Decimal] = {}
    for line in lines:
        if line.before is not None:
            losses[line.before] = losses.get(line.before, Decimal(0)) + line.entering.cost
    losers = Workload.objects.in_bulk(losses)
    return tuple((losers[pk], amount) for pk, amount in sorted(losses.items(), key=lambda loss: -loss[1]))


# --- Below ------------------------------------------------------------------------------------------------------------


def _follow(spenders: Sequence[IdentityRef], before: Sequence[Claim]) -> None:
    """Resolve the spenders again and queue the days on which somebody else owns them now."""
    after = attribution.claims_in_force()
    moved = _moves(spenders, before, after)
    attribution.write_attribution(attribution.resolve_all(spenders, after))
    if moved:
        with connection.cursor() as cursor:
            cursor.execute(_MARK_MOVED, {**_parameters(moved), "reason": REASON})


def _moves(spenders: Iterable[IdentityRef], before: Sequence[Claim], after: Sequence[Claim]) -> list[Move]:
    known = list(spenders)
    old, new = attribution.resolve_all(known, before), attribution.resolve_all(known, after)
    return [move for ref in known for move in attribution.moves(ref.id, old[ref.id], new[ref.id])]


def _parameters(moved: Collection[Move]) -> dict[str, Any]:
    return {
        "identities": [move.identity_id for move in moved],
        "starts": [move.valid_from for move in moved],
        "ends": [move.valid_to for move in moved],
        "before": [move.before for move in moved],
        "after": [move.after for move in moved],
        "zone": organisation.get().zone,
    }


def _count(statement: str, moved: Collection[Move]) -> int:
    if not moved:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(statement, _parameters(moved))
        return int(cursor.fetchone()[0])


def _is_inside_a_day(edge: datetime) -> bool:
    """Zones with half hours put no midnight on a full hour; the first hour of a day is its edge there."""
    local = edge.astimezone(organisation.zone())
    return edge not in (BEGINNING, END) and local.hour != 0


def _ref(identity: Identity) -> IdentityRef:
    return IdentityRef(identity.pk, identity.source_id, [(kind, value) for kind, value in identity.pairs])


def _label(spender: IdentityRef) -> str:
    return Identity(pairs=[list(pair) for pair in spender.pairs]).label


def _distinct(spenders: Iterable[IdentityRef]) -> list[IdentityRef]:
    return list({spender.id: spender for spender in spenders}.values())


_MOVED = """
moved AS (
    SELECT *, (starts_at AT TIME ZONE %(zone)s)::date AS first_day,
        ((ends_at - interval '1 microsecond') AT TIME ZONE %(zone)s)::date AS last_day
    FROM unnest(%(identities)s::bigint[], %(starts)s::timestamptz[], %(ends)s::timestamptz[],
        %(before)s::bigint[], %(after)s::bigint[]) AS m (identity_id, starts_at, ends_at, before, after)
)
"""
_MARK_MOVED = f"""
WITH {_MOVED}, touched AS (
    SELECT m.identity_id, (h.hour AT TIME ZONE %(zone)s)::date AS day
    FROM moved m JOIN usage_series s USING (identity_id)
    JOIN usage_hour h ON h.series_id = s.id AND h.hour >= m.starts_at AND h.hour < m.ends_at
    UNION
    SELECT m.identity_id, day::date
    FROM moved m JOIN usage_charge c ON c.identity_id = m.identity_id
        AND c.charge_start < m.ends_at AND (c.charge_start >= m.starts_at OR (c.accrued AND c.charge_end > m.starts_at))
    CROSS JOIN LATERAL generate_series(
        greatest((c.charge_start AT TIME ZONE %(zone)s)::date, m.first_day),
        least(m.last_day, CASE WHEN c.accrued
            THEN ((c.charge_end - interval '1 microsecond') AT TIME ZONE %(zone)s)::date
            ELSE (c.charge_start AT TIME ZONE %(zone)s)::date END), interval '1 day') day
)
INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at)
SELECT day, identity_id, %(reason)s, now() FROM touched
"""
_DIRECT = "WHERE l.component = ANY(%(direct)s)"
_UNPRICED = "((l.flags & %(unpriced)s <> 0)::int - (l.cleared & %(unpriced)s <> 0)::int)"
_UNCONVERTED = _UNPRICED.replace("unpriced", "unconverted")
# Days one by one, so that each (day, identity) is a look into the lines' own key and not a scan of the months.
_MOVED_LINES = f"""
WITH {_MOVED}, known AS (
    SELECT min(month) AS first_day, (max(month) + interval '1 month - 1 day')::date AS last_day FROM core_period
)
SELECT l.charge_month, m.before, m.after, coalesce(sum(l.amount_org), 0),
    coalesce(sum(l.amount_org) FILTER ({_DIRECT}), 0), sum(l.lines)::bigint,
    coalesce(sum(l.lines) FILTER ({_DIRECT}), 0)::bigint,
    coalesce(sum({_UNPRICED} + {_UNCONVERTED}) FILTER ({_DIRECT}), 0)::bigint, coalesce(sum(l.requests), 0)::bigint,
    coalesce(sum(l.requests) FILTER (WHERE l.component = 'retry_failed'), 0)::bigint,
    coalesce(sum(l.quantity) FILTER (
        WHERE l.basis = 'computed' AND l.component IN ('token', 'retry_failed', 'fallback')), 0),
    sum(l.unpriced_tokens)::bigint, sum({_UNPRICED})::bigint,
    coalesce(sum({_UNPRICED}) FILTER (WHERE l.unpriced_tokens = 0), 0)::bigint, sum({_UNCONVERTED})::bigint,
    coalesce(array_agg(DISTINCT l.day) FILTER (WHERE l.component <> 'gpu_idle'
        AND (l.basis = 'computed' OR l.requests <> 0 OR l.quantity <> 0)), '{{}}')
FROM moved m CROSS JOIN known k
CROSS JOIN LATERAL generate_series(
    greatest(m.first_day, k.first_day), least(m.last_day, k.last_day), interval '1 day') each
JOIN costs_line l ON l.day = each::date AND l.identity_id = m.identity_id
    AND l.workload_id IS NOT DISTINCT FROM m.before AND l.role = 'counts' AND l.basis <> 'billed'
GROUP BY 1, 2, 3
"""
# The bill and what is nobody's from the daily sums, which are few; the workload's own by its index.
_MONTH_TOTALS = """
SELECT month, coalesce(bill, 0), coalesce(unallocated, 0), coalesce(own, 0)
FROM unnest(%(months)s::date[]) month
LEFT JOIN LATERAL (
    SELECT sum(amount_org) AS bill, sum(amount_org) FILTER (WHERE NOT allocated) AS unallocated FROM costs_day
    WHERE day >= month AND day < month + interval '1 month' AND role = 'counts' AND basis <> 'billed'
) everybody ON true
LEFT JOIN LATERAL (
    SELECT sum(amount_org) AS own FROM costs_month
    WHERE workload_id = %(workload)s AND charge_month = month AND role = 'counts' AND basis <> 'billed'
) mine ON true
"""
_HOURS = f"""
WITH {_MOVED}
SELECT count(DISTINCT (m.identity_id, h.hour)) FROM moved m JOIN usage_series s USING (identity_id)
JOIN usage_hour h ON h.series_id = s.id AND h.hour >= m.starts_at AND h.hour < m.ends_at
"""
_OUT_OF_SCOPE = f"""
WITH {_MOVED}
SELECT count(*) FROM moved m JOIN usage_charge c ON c.identity_id = m.identity_id AND NOT c.in_scope
    AND c.charge_start >= m.starts_at AND c.charge_start < m.ends_at
"""

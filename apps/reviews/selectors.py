"""What the pages of the review read: agenda, promises and what came of them, figures, a cost centre's statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.db import connection
from django.db.models import F, OuterRef, Prefetch, Subquery

from apps.accounts import rights
from apps.accounts.models import CostCentre
from apps.core.actor import Actor
from apps.core.errors import Conflict, NotFound
from apps.core.models import Period
from apps.costs.sums import known_sum
from apps.reviews.models import (
    Action,
    Attestation,
    Cycle,
    Disposition,
    Figure,
    Item,
    Measurement,
    Pack,
)
from apps.reviews.promises import age_in_months
from apps.workloads.models import Workload


@dataclass(frozen=True, slots=True)
class Promise:
    """An action as a later review finds it. `saved` None: not measured, `why` says so. `age` counts reviews."""

    action: Action
    saved: Decimal | None
    why: str
    age: int


@dataclass(frozen=True, slots=True)
class OwnFigure:
    """A workload's figures beside who attested them; `is_mine` when the actor may."""

    figure: Figure
    attested_by: Sequence[Attestation]
    is_mine: bool


def agenda_for(*, actor: Actor, cycle: Cycle) -> list[Item]:
    """What the actor may see of the agenda, in its order, each with its last disposition."""
    items = Item.objects.visible_to(actor).on_agenda().filter(cycle=cycle)
    decided = Disposition.objects.select_related("by", "acted_for").order_by("id")
    return list(
        items.select_related("workload__cost_centre", "workload__business_owner", "workload__technical_owner")
        .prefetch_related(Prefetch("dispositions", queryset=decided, to_attr="decided"))
        .order_by("position", "id")
    )


def decided_since(*, actor: Actor, cycle: Cycle, after: int) -> list[Disposition]:
    """What others decided of the items that the actor sees, after the disposition with this key."""
    found = Disposition.objects.filter(item__in=Item.objects.visible_to(actor).filter(cycle=cycle), pk__gt=after)
    return list(found.exclude(by_id=actor.person_id).select_related("by", "acted_for", "item__workload").order_by("pk"))


def promises_for(*, actor: Actor, cycle: Cycle) -> list[Promise]:
    """What earlier reviews were promised, as far as the actor may see it, the largest promise first."""
    measured = Measurement.objects.filter(cycle=cycle, action__in=Action.objects.visible_to(actor))
    rows = measured.select_related("action__workload", "action__owner")
    return [
        Promise(row.action, row.saved, row.why, age_in_months(row.action.baseline_month, cycle.month))
        for row in rows.order_by(F("action__promised_saving").desc(nulls_last=True), "action_id")
    ]


def figures_for(*, actor: Actor, cycle: Cycle, only_own: bool = False) -> list[OwnFigure]:
    """Figures of the cycle that the actor may see, dearest first; a fixed number of queries."""
    own = set(Workload.objects.owned_by(actor).values_list("pk", flat=True))
    figures = Figure.objects.visible_to(actor).filter(cycle=cycle).select_related("workload")
    if only_own:
        figures = figures.filter(workload__in=own)
    attested: dict[tuple[int, str], list[Attestation]] = {}
    for each in Attestation.objects.filter(cycle=cycle).select_related("person"):
        attested.setdefault((each.workload_id, each.digest), []).append(each)
    return [
        OwnFigure(figure, attested.get((figure.workload_id, figure.digest), []), figure.workload_id in own)
        for figure in figures.order_by(F("cost").desc(nulls_last=True), "workload__name")
    ]


def sees_whole(actor: Actor) -> bool:
    """Whether the actor reads reviews and sees the money of the whole organisation."""
    held = rights.rights_of(actor)
    return actor.is_machine or (held.may(rights.Right.SEE_REVIEWS) and held.sees_all_money)


def get_pack_for(*, actor: Actor, cycle: Cycle, revision: int | None = None) -> Pack:
    """A pack holds the whole organisation's money: for those who see the whole of a review."""
    if not sees_whole(actor):
        raise NotFound("There is no such pack.")
    seal = Period.objects.filter(month=OuterRef("cycle__month")).values("pack_sha256")
    packs = cycle.packs.select_related("signed_by").annotate(sealed_as=Subquery(seal)).order_by("-revision")
    found = packs.filter(revision=revision).first() if revision else packs.first()
    if found is None:
        raise NotFound(f"{cycle} is not signed off.", hint="The pack comes with the signature.")
    if found.revision == found.cycle.revision and found.sha256 != found.sealed_as:
        raise Conflict(
            f"This pack of {cycle} is not the one that was signed.", hint="Run `manage.py check_ledger` and ask why."
        )
    return found


# --- Statements -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One workload's cost of one month, booked in the statement's month. `amount` None: nothing of it has a price."""

    workload_id: int
    name: str
    slug: str
    cost_centre: str
    charge_month: date
    amount: Decimal | None
    unpriced_tokens: int


@dataclass(frozen=True, slots=True)
class Statement:
    """What a cost centre (and all below it) bears in a month: its own cost, and apart from it what was restated."""

    cost_centre: CostCentre
    month: date
    own: Sequence[StatementLine]
    restated: Sequence[StatementLine]

    @property
    def own_total(self) -> Decimal:
        return _sum(self.own)

    @property
    def restated_total(self) -> Decimal:
        return _sum(self.restated)

    @property
    def total(self) -> Decimal:
        return self.own_total + self.restated_total

    @property
    def is_incomplete(self) -> bool:
        """Something that was used has no price or exchange rate; the total is a lower bound."""
        return any(line.amount is None or line.unpriced_tokens for line in (*self.own, *self.restated))


def statement(*, actor: Actor, cost_centre: CostCentre, month: date) -> Statement:
    """The booked amounts of a month. A signed month keeps the cost centre that each workload had when it was signed.

    Raises NotFound where the actor may not see the money of the cost centre.
    """
    if not (actor.is_machine or rights.rights_of(actor).sees_money_of(cost_centre)):
        raise NotFound("There is no such statement.")
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT, {"month": month, "path": cost_centre.path})
        lines = [_line(row) for row in cursor.fetchall()]
    return Statement(
        cost_centre=cost_centre,
        month=month,
        own=[line for line in lines if line.charge_month == month],
        restated=[line for line in lines if line.charge_month != month],
    )


def _line(row: Sequence[Any]) -> StatementLine:
    workload, name, slug, centre, charged, amount, unknown, lines, tokens = row
    known = known_sum(amount, lines=lines, unknown=unknown)
    return StatementLine(workload, name, slug, centre, charged, known, int(tokens))


def _sum(lines: Sequence[StatementLine]) -> Decimal:
    return sum((line.amount for line in lines if line.amount is not None), Decimal(0))


_STATEMENT: Final = """
WITH placed AS (
    SELECT w.id, w.name, w.slug, coalesce(f.cost_centre_id, w.cost_centre_id) AS cost_centre_id
    FROM workloads_workload w
    LEFT JOIN reviews_cycle c ON c.month = %(month)s AND c.revision > 0
    LEFT JOIN reviews_figure f ON f.cycle_id = c.id AND f.workload_id = w.id
)
SELECT p.id, p.name, p.slug, cc.name, m.charge_month, sum(m.amount_org), sum(m.unpriced_lines + m.unconverted_lines),
    sum(m.lines), sum(m.unpriced_tokens)
FROM costs_month m JOIN placed p ON p.id = m.workload_id JOIN accounts_cost_centre cc ON cc.id = p.cost_centre_id
WHERE m.booked_month = %(month)s AND m.role = 'counts' AND m.basis <> 'billed' AND starts_with(cc.path, %(path)s)
GROUP BY p.id, p.name, p.slug, cc.name, m.charge_month
HAVING sum(m.amount_org) <> 0 OR sum(m.lines) <> 0
ORDER BY m.charge_month DESC, sum(m.amount_org) DESC, p.name, p.id
"""

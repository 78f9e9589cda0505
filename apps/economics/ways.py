"""Ways out of a workload's month, as `scenarios` finds them, on what the books say of it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from apps.catalog.models import LatencyBand
from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.costs import selectors as costs
from apps.costs.models import DIRECT
from apps.costs.selectors import Figures, Lots
from apps.economics.figures import figures_of
from apps.economics.models import EconomicsMonth
from apps.economics.scenarios import Facts, WaysOut, ways_out
from apps.workloads.models import Workload

BATCH = "batch"


@dataclass(frozen=True, slots=True)
class WaysOfMonth:
    """`is_as_of_now`: as it was signed the month cannot be priced anew any more, so it is told as it is known now."""

    facts: Facts
    found: WaysOut
    is_as_of_now: bool = False


def ways_for(*, actor: Actor, workload: Workload, month: date, is_signed: bool) -> WaysOfMonth | None:
    """The ways out of a month, as it is known now or as it was signed; None where nobody knows what it cost.

    Raises NotFound where the actor may not see the workload's money.
    """
    if not Workload.objects.money_visible_to(actor).filter(pk=workload.pk).exists():
        raise NotFound("There is no such workload.")
    rows = list(EconomicsMonth.objects.filter(workload=workload, month=month))
    now = next((row for row in rows if row.is_current), None)
    signed = next((row for row in rows if row.is_signed_now), None) if is_signed else None
    if signed is None or signed.is_current:
        return _ways(signed or now, costs.token_lots(workload_id=workload.pk, month=month))
    # The tokens of a signature are kept for the first alone: what was signed again rests on more than those.
    if not signed.revision:
        lots = costs.token_lots(workload_id=workload.pk, month=month, figures=Figures.SIGNED)
        if not lots.apart:
            return _ways(signed, lots)
    return _ways(now, costs.token_lots(workload_id=workload.pk, month=month), is_as_of_now=True)


def _ways(row: EconomicsMonth | None, lots: Lots, *, is_as_of_now: bool = False) -> WaysOfMonth | None:
    """Every figure of the row is in the base case."""
    figures = figures_of(row) if row is not None else None
    if figures is None or figures.cost is None:
        return None
    value, review = figures.appraisal.value, figures.appraisal.review
    facts = Facts(
        cost=figures.cost,
        direct=sum((figures.components.get(component, Decimal(0)) for component in DIRECT), Decimal(0)),
        worth=value.base - review.base if value and review else None,
        components=figures.components,
        lots=lots.lots,
        apart=lots.apart,
        band_limit_ms=figures.coverage.band_limit_ms,
        batch_limit_ms=LatencyBand.objects.values_list("limit_ms", flat=True).get(code=BATCH),
        is_mandated=figures.coverage.is_mandated,
    )
    return WaysOfMonth(facts, ways_out(facts), is_as_of_now)

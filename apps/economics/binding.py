"""What binding usage does to a workload's verdict: its own facts with what would enter added, judged as always.

Nothing is stored. What was counted as outcome stays; where a share of the calls was declared, more calls are more
outcome. Days, prices, and how fast the entering calls were answered come with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, localcontext
from typing import Final

from django.db import connection
from django.utils import timezone

from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.costs.attribution import BindPreview, Entering, MonthMove
from apps.economics import months_sql
from apps.economics.arithmetic import EXACT, Appraisal
from apps.economics.facts import About, Row, about, facts_of, row_of, row_with
from apps.economics.verdict import Verdict, verdict
from apps.workloads.models import Workload


@dataclass(frozen=True, slots=True)
class Judged:
    """A month as it stands or would stand."""

    appraisal: Appraisal
    verdict: Verdict

    @property
    def net(self) -> Decimal | None:
        """In the base case."""
        return self.appraisal.net.base if self.appraisal.net else None


@dataclass(frozen=True, slots=True)
class BindingWorth:
    """A workload's month before and after a binding."""

    before: Judged
    after: Judged

    @property
    def changes_verdict(self) -> bool:
        return self.before.verdict.word is not self.after.verdict.word


def preview_binding(*, actor: Actor, preview: BindPreview, month: MonthMove, today: date | None = None) -> BindingWorth:
    """The verdict of one month of a previewed binding, before and after; for those who see the workload's money."""
    if not Workload.objects.money_visible_to(actor).filter(pk=preview.workload.pk).exists():
        raise NotFound("This workload does not exist.")
    working = about(month.month, today or timezone.now().astimezone(organisation.zone()).date())
    with localcontext(EXACT):
        row, grown = row_of(working, workload_id=preview.workload.pk), _grown(working, preview, month.entering)
        return BindingWorth(_judged(working, row), _judged(working, _with(grown, working, preview, month.entering)))


# --- Below ------------------------------------------------------------------------------------------------------------


def _judged(working: About, row: Row) -> Judged:
    facts = facts_of(working, row)
    return Judged(facts.appraisal, verdict(facts, working.settings))


def _grown(working: About, preview: BindPreview, entering: Entering) -> Row:
    """The workload's facts with what was declared of the calls counted on those that enter too."""
    delivered = entering.requests - entering.failed
    return row_with(working, workload_id=preview.workload.pk, delivered=delivered, enters=entering.lines > 0)


def _with(row: Row, working: About, preview: BindPreview, entering: Entering) -> Row:
    """Such facts with all else that enters added to them."""
    days, uncounted = _new_days(row, working, entering)
    return replace(
        row,
        cost=row.cost if row.cost is None and not entering.lines else (row.cost or 0) + entering.cost,
        lines=row.lines + entering.lines,
        requests=row.requests + entering.requests,
        delivered=row.delivered + entering.requests - entering.failed,
        tokens=row.tokens + entering.tokens,
        unpriced_tokens=row.unpriced_tokens + entering.unpriced_tokens,
        unpriced_lines=row.unpriced_lines + entering.unpriced_lines,
        blind_lines=row.blind_lines + entering.blind_lines,
        unconverted_lines=row.unconverted_lines + entering.unconverted_lines,
        usage_days=row.usage_days + days,
        uncounted_days=row.uncounted_days + uncounted,
        latency_counts=_with_latency(row.latency_counts, working, preview),
    )


def _new_days(row: Row, working: About, entering: Entering) -> tuple[int, int]:
    """Days on which only what enters was used, and those of them of which no outcome is told."""
    values = {**working.values, "workload": row.workload_id, "days": sorted(set(entering.days))}
    with connection.cursor() as cursor:
        cursor.execute(_NEW_DAYS, {**values, "is_declared": row.is_declared})
        days, uncounted = cursor.fetchone()
    return int(days), int(uncounted)


def _with_latency(counts: list[int] | None, working: About, preview: BindPreview) -> list[int] | None:
    entering = [move for move in preview.moves if move.after == preview.workload.pk]
    values = {
        **working.values,
        "zone": organisation.get().zone,
        "workload": preview.workload.pk,
        "identities": [move.identity_id for move in entering],
        "starts": [move.valid_from for move in entering],
        "ends": [move.valid_to for move in entering],
    }
    with connection.cursor() as cursor:
        cursor.execute(_LATENCY, values)
        more: Sequence[int] = cursor.fetchone()[0]
    return [int(one + other) for one, other in zip(counts, more, strict=True)] if counts else _counted(more)


def _counted(counts: Sequence[int]) -> list[int] | None:
    return [int(one) for one in counts] if any(counts) else None


_NEW_DAYS: Final = """
WITH told AS (
    SELECT period_start, period_end, produced FROM economics_outcome
    WHERE workload_id = %(workload)s AND is_latest AND NOT is_withdrawn
      AND period_start >= %(month)s AND period_start < %(end)s AND (produced IS NOT NULL OR %(is_declared)s)
)
SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (
    SELECT FROM told WHERE period_end - period_start > 1 OR (period_start = each.day AND produced IS NOT NULL)))
FROM unnest(%(days)s::date[]) AS each (day)
WHERE each.day >= %(month)s AND each.day < %(end)s AND NOT EXISTS (
    SELECT FROM costs_line l
    WHERE l.workload_id = %(workload)s AND l.day = each.day AND role = 'counts' AND basis <> 'billed'
      AND component <> 'gpu_idle' AND (basis = 'computed' OR requests <> 0 OR quantity <> 0) HAVING sum(lines) > 0
)
"""
_LATENCY: Final = f"""
SELECT ARRAY[{months_sql.LATENCY_COUNTS}] FROM unnest(
    %(identities)s::bigint[], %(starts)s::timestamptz[], %(ends)s::timestamptz[]
) AS w (identity_id, starts_at, ends_at)
JOIN usage_series q ON q.identity_id = w.identity_id AND q.call_kind <> 'retry_failed'
JOIN sources_part p ON p.id = q.part_id
JOIN usage_hour h ON h.series_id = q.id AND h.hour >= greatest(w.starts_at, %(month)s::timestamp AT TIME ZONE %(zone)s)
    AND h.hour < least(w.ends_at, %(ends_at)s) AND h.latency_counts IS NOT NULL
WHERE {months_sql.latency_role("%(workload)s")} IS DISTINCT FROM 'checks'
"""

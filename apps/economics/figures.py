"""A stored month as plain data for pages, programs and packs: the same shape on the signed and on the restated side."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from apps.economics.arithmetic import Appraisal, BreakPoint, Span, Three, sensitivity
from apps.economics.facts import CASES, span_of
from apps.economics.models import EconomicsMonth
from apps.economics.verdict import (
    CaseState,
    Facts,
    Gap,
    Missing,
    Number,
    Rule,
    Supplier,
    Verdict,
    Word,
    verdict,
)

UNKNOWN = Appraisal(None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the month the figures rest on. Shares are of one; `unknown_cost_share` None: nobody can say how much.

    Latency counts None: not measured.
    """

    usage_days: int = 0
    missing_days: int = 0
    unknown_cost_share: Decimal | None = Decimal(0)
    unpriced_lines: int = 0
    unconverted_lines: int = 0
    missing_share: Decimal = Decimal(0)
    lines: int = 0
    case: str = CaseState.NONE.value
    band: str = "unknown"
    band_limit_ms: int | None = None
    calls_within_band: int | None = None
    calls_measured: int | None = None
    is_mandated: bool = False

    @property
    def lacks(self) -> int:
        """Lines of its cost without a price or without an exchange rate."""
        return self.unpriced_lines + self.unconverted_lines

    @property
    def days_with_outcomes(self) -> int:
        return self.usage_days - self.missing_days


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """Days of the month on which one version of the value case counted, half-open. `span` None: no hourly rate."""

    case_id: int
    version: int
    first: date
    end: date
    assumptions: Mapping[str, Mapping[str, str]]
    useful: Decimal
    reviewed: Decimal | None
    span: Span | None


@dataclass(frozen=True, slots=True)
class Figures:
    """One month of one workload. `state` is empty where nothing is known of the month."""

    month: date
    state: str
    revision: int
    is_complete: bool
    appraisal: Appraisal
    verdict: Verdict
    coverage: Coverage
    components: Mapping[str, Decimal] = field(default_factory=dict)
    requests: int = 0
    delivered: int = 0
    produced: Decimal | None = None
    reviewed: Decimal | None = None
    is_declared: bool = False
    spans: tuple[StoredSpan, ...] = ()
    computed_at: datetime | None = None
    signed_at: datetime | None = None

    @property
    def cost(self) -> Decimal | None:
        return self.appraisal.cost

    @property
    def useful(self) -> Decimal | None:
        return self.appraisal.useful

    @property
    def breaks(self) -> list[BreakPoint]:
        """What breaks the case first, whatever versions and rates the month had."""
        known = [one.span for one in self.spans if one.span is not None]
        return [] if self.appraisal.net is None or self.cost is None else sensitivity(known, cost=self.cost)


def figures_of(row: EconomicsMonth) -> Figures:
    return Figures(
        month=row.month,
        state=row.state,
        revision=row.revision,
        is_complete=row.is_complete,
        appraisal=appraisal_of(row),
        verdict=verdict_of(row.reasons),
        coverage=_coverage(row.coverage),
        components={name: Decimal(amount) for name, amount in row.components.items()},
        requests=row.requests,
        delivered=row.delivered,
        produced=row.produced,
        reviewed=row.reviewed,
        is_declared=row.is_declared,
        spans=tuple(_span(one) for one in row.spans),
        computed_at=row.computed_at,
        signed_at=row.signed_at,
    )


def nothing_known(month: date, case: CaseState, *, is_open: bool) -> Figures:
    """A month without usage and without outcomes: unproven, and it says what is missing."""
    facts = Facts(appraisal=UNKNOWN, is_open=is_open, case=case)
    return Figures(month, "", 0, not is_open, UNKNOWN, verdict(facts), Coverage(case=case.value))


def appraisal_of(row: EconomicsMonth) -> Appraisal:
    return Appraisal(row.useful, row.cost, *(_three(row, name) for name in ("value", "review", "net")))


def verdict_of(said: Mapping[str, Any]) -> Verdict:
    """A stored verdict as it was given, not worked out anew: a signed month keeps its words."""
    return Verdict(
        word=Word(said["word"]),
        rule=Rule(said["rule"]),
        sentence=said["sentence"],
        numbers=tuple(Number(n["name"], _decimal(n["value"]), _decimal(n["limit"])) for n in said["numbers"]),
        would_change=tuple(said["would_change"]),
        missing=tuple(Missing(Gap(m["gap"]), m["what"], Supplier(m["who"])) for m in said["missing"]),
        is_so_far=said["is_so_far"],
        is_capped=said["is_capped"],
    )


def _three(row: EconomicsMonth, name: str) -> Three | None:
    ends = [getattr(row, f"{name}_{case}") for case in CASES]
    return None if any(end is None for end in ends) else Three(*ends)


def _coverage(said: Mapping[str, Any]) -> Coverage:
    told = {name: said[name] for name in Coverage.__slots__ if name in said}
    told |= {name: _decimal(told[name]) for name in ("unknown_cost_share", "missing_share") if name in told}
    return Coverage(**told)


def _span(said: Mapping[str, Any]) -> StoredSpan:
    return StoredSpan(
        case_id=said["case"],
        version=said["version"],
        first=date.fromisoformat(said["first"]),
        end=date.fromisoformat(said["end"]),
        assumptions=said["assumptions"],
        useful=Decimal(said["useful"]),
        reviewed=_decimal(said["reviewed"]),
        span=span_of(said),
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)

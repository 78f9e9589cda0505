"""Reads of worth for pages and programs: a workload's month and history, its cases, and what a new one would make.

Whoever may not see a workload's money is told that it does not exist.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import QuerySet
from django.utils import timezone

from apps.core import organisation, periods
from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.economics.arithmetic import Appraisal, BreakPoint, Labour, Ratio, sensitivity, trailing
from apps.economics.cases import CASES, LIMITS, labour_of
from apps.economics.facts import AssumedCase, about, facts_if
from apps.economics.figures import Figures, figures_of, nothing_known
from apps.economics.models import EconomicsMonth, Evidence, Grade, GradeRate, Outcome, ValueCase
from apps.economics.portfolio import Portfolio, PortfolioRow, VerdictSum, points, portfolio
from apps.economics.verdict import CaseState, Gap, Verdict, Word, verdict
from apps.economics.why import FIGURES, WhyWorth, why_worth
from apps.workloads.models import Workload

__all__ = (
    "CaseVersion",
    "Change",
    "Figures",
    "MonthOfWorkload",
    "Portfolio",
    "PortfolioRow",
    "Preview",
    "Trailing",
    "UnitEconomics",
    "VerdictSum",
    "case_history",
    "get_case_for",
    "get_evidence_for",
    "grade_rates_for",
    "grades",
    "month_for",
    "outcomes_of",
    "page_of_month",
    "points",
    "portfolio",
    "preview_case",
    "series_for",
    "what_changed",
    "why_for",
)


@dataclass(frozen=True, slots=True)
class UnitEconomics:
    """A workload's month: as it is known now, as it was signed, and the months that led to it.

    `case` is the version that counts on the month's last day, `waiting` one that somebody else has yet to attest;
    `months` are the twelve up to this one, the oldest first.
    """

    workload: Workload
    month: date
    now: Figures
    signed: Figures | None
    before: Figures | None
    last_3: "Trailing"
    last_12: "Trailing"
    months: tuple[Figures | None, ...]
    case: ValueCase | None
    waiting: ValueCase | None

    @property
    def sides(self) -> tuple["Side", ...]:
        """What was signed, and what is known now."""
        return (Side(self.signed, is_signed=True), Side(self.now, is_signed=False)) if self.signed else ()

    @property
    def comparable(self) -> Figures | None:
        """The month before, where the cost of both is known whole: else nothing that rests on it is known to move."""
        is_known = self.before is not None and not (self.now.coverage.lacks or self.before.coverage.lacks)
        return self.before if is_known else None

    @property
    def is_restated(self) -> bool:
        return self.signed is not None and self.now.state == EconomicsMonth.State.RESTATED


@dataclass(frozen=True, slots=True)
class Side:
    """A month as it was signed, or as it is known now."""

    figures: Figures
    is_signed: bool


@dataclass(frozen=True, slots=True)
class Trailing:
    """Some months as one: sums of those that are proven, and the cost of an output over all whose two sides are known.

    `number` months were looked at, `known` of them are in `sums`, `counted` in `cost_per_useful`.
    """

    number: int
    known: int
    sums: Appraisal
    counted: int
    cost_per_useful: Ratio


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is another than before. `unit` of figures: money, each (for one output) or outputs; else words."""

    label: str
    before: str | Decimal | None
    after: str | Decimal | None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class CaseVersion:
    """A version of the value case with what it changed of the one before."""

    case: ValueCase
    labour: Labour
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a case would make of a month, if somebody attested it. `is_as_if`: it holds on no day of that month."""

    month: date
    appraisal: Appraisal
    verdict: Verdict
    breaks: tuple[BreakPoint, ...]
    is_as_if: bool = False


@dataclass(frozen=True, slots=True)
class MonthOfWorkload:
    """A workload's month as it is known now, and as it was signed if it was."""

    workload: Workload
    now: Figures
    signed: Figures | None


def month_for(*, actor: Actor, workload: Workload, month: date, today: date | None = None) -> UnitEconomics:
    """Everything about one month of one workload; a constant number of statements."""
    _require_seen(actor, workload)
    found = _rows(workload, [_back(month, 11 - at) for at in range(12)])
    cases = _cases(workload)
    now = found.get(month) or nothing_known(month, _case_state(cases, month), is_open=_is_open(month, today))
    signed = EconomicsMonth.objects.signed().filter(workload=workload, month=month).first()
    return UnitEconomics(
        workload=workload,
        month=month,
        now=now,
        signed=figures_of(signed) if signed else None,
        before=found.get(periods.previous_month(month)),
        last_3=_together(found, month, 3),
        last_12=_together(found, month, 12),
        months=tuple(found.get(_back(month, 11 - at)) for at in range(12)),
        case=_counting(cases, _last_day(month)),
        waiting=next((case for case in cases if _is_waiting(case)), None),
    )


def series_for(*, actor: Actor, workload: Workload, months: Sequence[date]) -> list[Figures | None]:
    """The months as they are known now, in the order asked; None where nothing is known of one."""
    _require_seen(actor, workload)
    found = _rows(workload, months)
    return [found.get(month) for month in months]


def page_of_month(
    *,
    actor: Actor,
    month: date,
    workload: Workload | None = None,
    limit: int | None = None,
    offset: int = 0,
    today: date | None = None,
) -> tuple[int, list[MonthOfWorkload]]:
    """How many workloads' money the actor may see, and some of them by name, also those of which nothing is known."""
    found = Workload.objects.money_visible_to(actor).active().order_by("name", "pk")
    if workload is not None:
        found = found.filter(pk=workload.pk)
    count = found.count()
    page = list(found[offset : None if limit is None else offset + limit])
    rows = EconomicsMonth.objects.filter(workload__in=page, month=month)
    now = {row.workload_id: figures_of(row) for row in rows.current()}
    signed = {row.workload_id: figures_of(row) for row in rows.signed()}
    cases: dict[int, list[ValueCase]] = {}
    for case in ValueCase.objects.filter(workload__in=[one.pk for one in page if one.pk not in now]):
        cases.setdefault(case.workload_id, []).append(case)
    is_open = _is_open(month, today)
    return count, [
        MonthOfWorkload(
            one,
            now.get(one.pk) or nothing_known(month, _case_state(cases.get(one.pk, []), month), is_open=is_open),
            signed.get(one.pk),
        )
        for one in page
    ]


def why_for(*, actor: Actor, workload: Workload, month: date, figure: str, signed: bool = False) -> WhyWorth:
    """The proof of a figure: its formula with every input. NotFound for a figure or a month that there is not."""
    _require_seen(actor, workload)
    rows = EconomicsMonth.objects.signed() if signed else EconomicsMonth.objects.current()
    row = rows.filter(workload=workload, month=month).first()
    if row is None or figure not in FIGURES:
        raise NotFound("There is no such figure.")
    return why_worth(actor=actor, figures=figures_of(row), figure=figure)


def outcomes_of(*, actor: Actor, workload: Workload, month: date) -> QuerySet[Outcome]:
    """What was said to have come out of a month, with every correction, the newest of each period first."""
    end = periods.next_month(month)
    found = Outcome.objects.visible_to(actor).filter(workload=workload, period_start__gte=month, period_start__lt=end)
    return found.select_related("recorded_by").order_by("period_start", "source", "-revision")


# --- Value cases ------------------------------------------------------------------------------------------------------


def case_history(*, actor: Actor, workload: Workload) -> list[CaseVersion]:
    """Every version, the newest first, with what it changed and who attested it."""
    _require_seen(actor, workload)
    people = ("written_by", "attested_by", "owner", "grade", "review_grade", "evidence_file")
    cases = list(_cases(workload).select_related(*people).defer("evidence_file__content"))
    older = [*cases[1:], None][: len(cases)]
    return [
        CaseVersion(case, labour_of(case), tuple(_changes(old, case))) for case, old in zip(cases, older, strict=True)
    ]


def get_case_for(*, actor: Actor, workload: Workload, version: int) -> ValueCase:
    _require_seen(actor, workload)
    case = _cases(workload).filter(version=version).select_related("workload", "owner", "written_by").first()
    if case is None:
        raise NotFound("There is no such version of the value case.")
    return case


def get_evidence_for(*, actor: Actor, pk: int) -> Evidence:
    """The file with its content; to be given out as an attachment that no browser opens by itself."""
    found = Evidence.objects.visible_to(actor).filter(pk=pk).first()
    if found is None:
        raise NotFound("There is no such file.")
    return found


def grades() -> QuerySet[Grade]:
    """Kinds of work to choose from; their names say nothing of what they cost."""
    return Grade.objects.filter(active=True)


def grade_rates_for(actor: Actor) -> QuerySet[GradeRate]:
    return GradeRate.objects.visible_to(actor).select_related("grade", "recorded_by")


def preview_case(
    *,
    actor: Actor,
    workload: Workload,
    labour: Labour,
    grade: Grade,
    review_grade: Grade | None = None,
    valid_from: date | None = None,
    expires: date | None = None,
    month: date,
    today: date | None = None,
) -> Preview:
    """What the case would make of the month if it were attested: the same facts, the same verdict, nothing stored.

    A case that holds on no day of the month is looked at as if it had held on all of it. Rates are used and not shown.
    """
    _require_seen(actor, workload)
    end = periods.next_month(month)
    starts, ends = max(valid_from or month, month), min(expires or end, end)
    is_as_if = starts >= ends
    if is_as_if:
        starts, ends = month, end
    review = review_grade.pk if review_grade else None
    working = about(month, _today(today))
    facts, spans = facts_if(
        working,
        workload_id=workload.pk,
        case=AssumedCase(labour, grade.pk, review, starts, ends),
    )
    appraisal = facts.appraisal
    is_known = appraisal.net is not None and appraisal.cost is not None
    breaks = tuple(sensitivity(spans, cost=appraisal.cost or Decimal(0))) if is_known else ()
    return Preview(month, appraisal, verdict(facts, working.settings), breaks, is_as_if)


def what_changed(now: Figures, before: Figures | None) -> list[Change]:
    """What is another in a month than in the one before: figures, and the version of the case."""
    if before is None or not now.state:
        return []
    pairs = [(label, unit, read(before), read(now)) for label, (unit, read) in _COMPARED.items()]
    return [Change(label, old, new, unit) for label, unit, old, new in pairs if old != new]


# --- Below ------------------------------------------------------------------------------------------------------------

_COMPARED: Mapping[str, tuple[str, Callable[[Figures], str | Decimal | None]]] = {
    "Verdict": ("", lambda f: f.verdict.word.value),
    "Full cost": ("money", lambda f: f.cost),
    "Useful outputs": ("outputs", lambda f: f.useful),
    "Cost of a useful output": ("each", lambda f: f.appraisal.cost_per_useful),
    "Value of a useful output": ("each", lambda f: f.appraisal.value_per_useful),
    "Net value": ("money", lambda f: f.appraisal.net.base if f.appraisal.net else None),
    "Value case": ("", lambda f: ", ".join(f"version {span.version}" for span in f.spans) or "none counts"),
}


def _require_seen(actor: Actor, workload: Workload) -> None:
    if not Workload.objects.money_visible_to(actor).filter(pk=workload.pk).exists():
        raise NotFound("This workload does not exist.")


def _rows(workload: Workload, months: Iterable[date]) -> dict[date, Figures]:
    rows = EconomicsMonth.objects.current().filter(workload=workload, month__in=list(months))
    return {row.month: figures_of(row) for row in rows}


def _cases(workload: Workload) -> QuerySet[ValueCase]:
    return ValueCase.objects.filter(workload=workload, kind=ValueCase.Kind.LABOUR).order_by("-version")


def _counting(cases: Iterable[ValueCase], day: date) -> ValueCase | None:
    return next(
        (one for one in cases if one.counts_from and one.counts_to and one.counts_from <= day < one.counts_to), None
    )


def _is_waiting(case: ValueCase) -> bool:
    return not (case.is_attested or case.superseded_by_id or case.ended_at)


def _case_state(cases: Iterable[ValueCase], month: date) -> CaseState:
    known, day = list(cases), _last_day(month)
    if _counting(known, day):
        return CaseState.ATTESTED
    if any(_is_waiting(one) and one.valid_from <= day < one.expires for one in known):
        return CaseState.WAITING
    return CaseState.EXPIRED if any((one.counts_to or one.expires) <= day for one in known) else CaseState.NONE


def _together(found: Mapping[date, Figures], month: date, number: int) -> Trailing:
    """The last months up to this one as one. What an unproven month comes to is known in part only."""
    there = [found[one] for one in (_back(month, at) for at in range(number)) if one in found]
    proven = [one.appraisal for one in there if one.verdict.word is not Word.UNPROVEN]
    counted = [one for one in there if one.cost is not None and one.useful is not None and _is_cost_known(one)]
    cost, useful = (sum((getattr(one, name) for one in counted), Decimal(0)) for name in ("cost", "useful"))
    each = Appraisal(useful, cost, None, None, None).cost_per_useful if counted else None
    return Trailing(number, len(proven), trailing(proven), len(counted), each)


def _is_cost_known(one: Figures) -> bool:
    """Whether no gap of its verdict lies in the cost or in what came out."""
    return not any(gap.gap in (Gap.COST, Gap.USAGE, Gap.OUTCOMES) for gap in one.verdict.missing)


def _back(month: date, number: int) -> date:
    for _ in range(number):
        month = periods.previous_month(month)
    return month


def _last_day(month: date) -> date:
    return periods.next_month(month) - timedelta(days=1)


def _is_open(month: date, today: date | None) -> bool:
    return periods.next_month(month) > _today(today)


def _today(today: date | None) -> date:
    return today or timezone.now().astimezone(organisation.zone()).date()


def _changes(old: ValueCase | None, new: ValueCase) -> Iterable[Change]:
    if old is None:
        return
    for name, (label, _, _) in LIMITS.items():
        before, after = (" / ".join(one.assumptions[name][case] for case in CASES) for one in (old, new))
        if before != after:
            yield Change(label, before, after)
    for label, name in _COMPARED_OF_CASES.items():
        before, after = (str(getattr(one, name) or "") for one in (old, new))
        if before != after:
            yield Change(label, before, after)


_COMPARED_OF_CASES: Mapping[str, str] = {
    "Grade": "grade",
    "Reviewers' grade": "review_grade",
    "Owner": "owner",
    "Valid from": "valid_from",
    "Expires": "expires",
    "Evidence": "evidence_link",
    "Evidence file": "evidence_file",
}

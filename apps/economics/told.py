"""A month as JSON: the one shape that the API, the command and the pack share. Money and counts as exact text."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from apps.core.money import plain
from apps.economics.arithmetic import Ratio, Three, rounded
from apps.economics.facts import CASES
from apps.economics.figures import Figures
from apps.economics.months import verdict_as_json
from apps.economics.selectors import MonthOfWorkload


def workload_as_json(one: MonthOfWorkload) -> dict[str, Any]:
    """A workload's month as it is known now, and beside it as it was signed (null where nobody did)."""
    return {
        "workload": one.workload.slug,
        "name": one.workload.name,
        "output_unit": one.workload.output_unit,
        **figures_as_json(one.now),
        "signed": figures_as_json(one.signed) if one.signed else None,
    }


def figures_as_json(figures: Figures) -> dict[str, Any]:
    """Figures in full. null is unknown; a ratio without a number says why, such as "no cost"."""
    appraisal = figures.appraisal
    return {
        "month": f"{figures.month:%Y-%m}",
        "state": figures.state or "unknown",
        "revision": figures.revision,
        "is_complete": figures.is_complete,
        "cost": _text(appraisal.cost),
        "components": {name: _text(amount) for name, amount in figures.components.items()},
        "requests": figures.requests,
        "delivered": figures.delivered,
        "produced": _text(figures.produced),
        "useful": _text(appraisal.useful),
        "reviewed": _text(figures.reviewed),
        "is_declared": figures.is_declared,
        "value": _three(appraisal.value),
        "review_cost": _three(appraisal.review),
        "net": _three(appraisal.net),
        "margin": _text(appraisal.margin),
        "roi": _text(appraisal.roi),
        "pays_back": _text(appraisal.pays_back),
        "break_even_cost_per_output": _text(appraisal.break_even_cost),
        "cost_per_useful_output": _text(appraisal.cost_per_useful),
        "value_per_useful_output": _text(appraisal.value_per_useful),
        "verdict": verdict_as_json(figures.verdict),
        "coverage": _coverage(figures),
        "case_versions": [span.version for span in figures.spans],
    }


def month_as_json(*, month: date, currency: str, zone: str, count: int, rows: list[MonthOfWorkload]) -> dict[str, Any]:
    return {
        "month": f"{month:%Y-%m}",
        "currency": currency,
        "zone": zone,
        "count": count,
        "rows": [workload_as_json(row) for row in rows],
    }


def _coverage(figures: Figures) -> Mapping[str, Any]:
    found = figures.coverage
    return {
        "usage_days": found.usage_days,
        "days_without_outcomes": found.missing_days,
        "unknown_cost_share": _text(found.unknown_cost_share),
        "case": found.case,
        "band": found.band,
        "calls_within_band": found.calls_within_band,
        "calls_measured": found.calls_measured,
        "is_mandated": found.is_mandated,
    }


def _three(figure: Three | None) -> dict[str, str | None] | None:
    return None if figure is None else {case: _text(getattr(figure, case)) for case in CASES}


def _text(figure: Ratio) -> str | None:
    return plain(rounded(figure)) if isinstance(figure, Decimal) else figure and str(figure)

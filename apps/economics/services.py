"""Every write of this app: what came out, why it is worth something, what an hour costs, and the months themselves."""

from apps.economics.cases import add_evidence, expire_case, mark_attested, write_case
from apps.economics.grades import add_grade, add_grade_with_rate, set_grade_rate
from apps.economics.months import freeze, notice_sources, recompute_dirty
from apps.economics.outcomes import (
    Effect,
    OutcomeEntry,
    OutcomesRefused,
    declare_outcomes,
    record_outcomes,
    withdraw_outcomes,
)
from apps.economics.thresholds import set_thresholds

__all__ = (
    "Effect",
    "OutcomeEntry",
    "OutcomesRefused",
    "add_evidence",
    "add_grade",
    "add_grade_with_rate",
    "declare_outcomes",
    "expire_case",
    "freeze",
    "mark_attested",
    "notice_sources",
    "recompute_dirty",
    "record_outcomes",
    "set_grade_rate",
    "set_thresholds",
    "withdraw_outcomes",
    "write_case",
)

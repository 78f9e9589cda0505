"""Reads of money for pages: scope (which money), tables (sums, groups, time), bills (against what was invoiced)."""

from apps.costs.selectors.bills import BilledMonth, apart, billed_months, bills_booked
from apps.costs.selectors.freshness import FigureState, SilentSource, figure_state, newest_month, silent_sources
from apps.costs.selectors.lots import Lots, token_lots
from apps.costs.selectors.restatements import Restatement, month_mark, restatements
from apps.costs.selectors.scope import (
    LONGEST_BY_DAY,
    BasisChoice,
    CostScope,
    Figures,
    Measures,
    may_see_unallocated,
    whole_months,
)
from apps.costs.selectors.split import CostChange, Lack, Part, Unknown, cost_change
from apps.costs.selectors.tables import (
    NO_COST_CENTRE,
    NOBODY,
    CostOverTime,
    CostRow,
    CostTable,
    CostTotals,
    Grouping,
    Order,
    cost_over_time,
    cost_table,
    cost_totals,
    month_costs,
)

__all__ = (
    "LONGEST_BY_DAY",
    "NOBODY",
    "NO_COST_CENTRE",
    "BasisChoice",
    "BilledMonth",
    "CostChange",
    "CostOverTime",
    "CostRow",
    "CostScope",
    "CostTable",
    "CostTotals",
    "FigureState",
    "Figures",
    "Grouping",
    "Lack",
    "Lots",
    "Measures",
    "Order",
    "Part",
    "Restatement",
    "SilentSource",
    "Unknown",
    "apart",
    "billed_months",
    "bills_booked",
    "cost_change",
    "cost_over_time",
    "cost_table",
    "cost_totals",
    "figure_state",
    "may_see_unallocated",
    "month_costs",
    "month_mark",
    "newest_month",
    "restatements",
    "silent_sources",
    "token_lots",
    "whole_months",
)

"""The columns of the workload list: what each is called, how it sorts, and what it is in a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from apps.costs.selectors.portfolio import Portfolio, PortfolioRow
from apps.web.exports import Cell
from apps.web.parts import Column


def _day(row: PortfolioRow) -> date | None:
    return row.workload.activated_at.date() if row.workload.activated_at else None


@dataclass(frozen=True, slots=True)
class ListColumn:
    """`value` is the cell of a file. `is_money` columns are left out for whoever sees no money at all."""

    key: str
    head: Column
    value: Callable[[PortfolioRow], Cell]
    is_money: bool = False

    @property
    def label(self) -> str:
        return self.head.title or self.head.label


def _number(key: str, label: str, sort: str, value: Callable[[PortfolioRow], Cell], title: str = "") -> ListColumn:
    return ListColumn(key, Column(label, sort=sort, is_number=True, title=title), value, is_money=True)


def _text(key: str, label: str, value: Callable[[PortfolioRow], Cell], sort: str = "", title: str = "") -> ListColumn:
    return ListColumn(key, Column(label, sort=sort, title=title), value)


def _spend(row: PortfolioRow) -> Decimal | None:
    return row.workload.monthly_spend_expected if row.money is not None else None


COLUMNS: Final = {
    column.key: column
    for column in (
        _number("cost", "Full cost", "cost", lambda row: row.cost),
        _number("change", "Change", "change", lambda row: row.change, "Change from the period before"),
        ListColumn("months", Column("12 months", title="Cost of the last 12 months"), lambda _row: None, is_money=True),
        _number("calls", "Calls", "requests", lambda row: row.calls, "Delivered calls"),
        _number("per_call", "Cost / call", "per_call", lambda row: row.per_call, "Full cost per delivered call"),
        _number("spend", "May spend", "spend", _spend, "What it may spend a month"),
        _text("stage", "Stage", lambda row: row.workload.get_stage_display(), "stage"),
        _text("tier", "Tier", lambda row: row.tier, "tier", "Value tier"),
        _text("owner", "Owner", lambda row: _name(row.workload.business_owner), title="Business owner"),
        _text("technical", "Technical", lambda row: _name(row.workload.technical_owner), title="Technical owner"),
        _text("budget", "Budget", lambda row: _name(row.workload.budget_owner), title="Budget owner"),
        _text("cost_centre", "Cost centre", lambda row: _name(row.workload.cost_centre), "cost_centre"),
        _text("audience", "Audience", lambda row: row.workload.get_audience_display()),
        _text("band", "Speed", lambda row: row.band, title="Latency band"),
        _text("unit", "Useful answer", lambda row: row.workload.output_unit),
        _text("purpose", "Purpose", lambda row: row.workload.purpose),
        _text("since", "Registered", _day, "since"),
    )
}
SHOWN_AT_FIRST: Final = ("cost", "change", "months", "calls", "per_call", "stage", "owner")


def chosen_columns(text: str, *, sees_money: bool) -> list[ListColumn]:
    """The columns that the URL names, in the order of the table; without any, those shown at first."""
    keys = {key for key in text.split(",") if key in COLUMNS} or set(SHOWN_AT_FIRST)
    return [column for column in COLUMNS.values() if column.key in keys and (sees_money or not column.is_money)]


def file_columns(columns: Sequence[ListColumn], months: Sequence[date], currency: str) -> list[str]:
    """Headings of the file: amounts name their currency, the sparkline becomes a column a month."""
    heads = ["Workload", "Reference"]
    for column in columns:
        if column.key == "months":
            heads += [f"Cost {month:%Y-%m} ({currency})" for month in months]
        else:
            is_amount = column.key in ("cost", "per_call", "spend")
            heads.append(f"{column.label} ({currency})" if is_amount else column.label)
    return heads


def file_row(columns: Sequence[ListColumn], row: PortfolioRow, months: Sequence[date]) -> list[Cell]:
    cells: list[Cell] = [row.workload.name, row.workload.ref]
    for column in columns:
        cells += _months(row, months) if column.key == "months" else [column.value(row)]
    return cells


def totals_row(columns: Sequence[ListColumn], found: Portfolio, months: Sequence[date]) -> list[Cell]:
    """The totals under the file's rows; only sums and their quotients have one."""
    sums: dict[str, Cell] = {
        "cost": found.totals.cost if found.totals.lines else None,
        "change": found.change,
        "calls": found.calls,
        "per_call": found.per_call,
    }
    cells: list[Cell] = [f"All {found.count} workloads", ""]
    for column in columns:
        cells += [None] * len(months) if column.key == "months" else [sums.get(column.key)]
    return cells


def _months(row: PortfolioRow, months: Sequence[date]) -> list[Cell]:
    return list(row.months) if row.months else [None] * len(months)


def _name(thing: object) -> str:
    return "" if thing is None else str(thing)

"""The columns of the workload list: what each is called, how it sorts, and what it is in a file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from apps.budgets.selectors import Burn
from apps.costs.selectors.portfolio import Portfolio, PortfolioRow
from apps.economics.portfolio import PortfolioRow as Worth
from apps.web.exports import Cell
from apps.web.parts import Column


@dataclass(frozen=True, slots=True)
class Entry:
    """A workload with its money and, where the actor may see them, its worth and its budget of the month."""

    row: PortfolioRow
    worth: Worth | None = None
    burn: Burn | None = None


def _day(entry: Entry) -> date | None:
    return entry.row.workload.activated_at.date() if entry.row.workload.activated_at else None


@dataclass(frozen=True, slots=True)
class ListColumn:
    """`value` is the cell of a file. `is_money` columns are left out for whoever sees no money at all."""

    key: str
    head: Column
    value: Callable[[Entry], Cell]
    is_money: bool = False
    is_worth: bool = False  # by whole months only

    @property
    def label(self) -> str:
        return self.head.title or self.head.label


def _number(
    key: str, label: str, sort: str, value: Callable[[Entry], Cell], title: str = "", *, worth: bool = False
) -> ListColumn:
    return ListColumn(key, Column(label, sort=sort, is_number=True, title=title), value, is_money=True, is_worth=worth)


def _text(key: str, label: str, value: Callable[[Entry], Cell], sort: str = "", title: str = "") -> ListColumn:
    return ListColumn(key, Column(label, sort=sort, title=title), value)


def _spend(entry: Entry) -> Decimal | None:
    return entry.burn.amount if entry.burn else None


def _left_out(entry: Entry) -> str:
    return entry.burn.mark if entry.burn and entry.burn.budget else ""


def _outcomes(entry: Entry) -> str:
    """How it is known what came out; empty where it is not."""
    if entry.worth is None or entry.worth.useful is None:
        return ""
    return "declared" if entry.worth.is_declared else "counted"


def _worth(name: str) -> Callable[[Entry], Cell]:
    return lambda entry: getattr(entry.worth, name) if entry.worth else None


COLUMNS: Final = {
    column.key: column
    for column in (
        ListColumn(
            "verdict",
            Column("Verdict", sort="verdict"),
            lambda entry: entry.worth.verdict.value if entry.worth else None,
            is_money=True,
            is_worth=True,
        ),
        _number("cost", "Full cost", "cost", lambda entry: entry.row.cost),
        _number("change", "Change", "change", lambda entry: entry.row.change, "Change from the period before"),
        _number("value", "Value", "value", _worth("value"), worth=True),
        _number("net", "Net value", "net", _worth("net"), worth=True),
        _number(
            "cost_useful",
            "Cost / useful",
            "cost_useful",
            _worth("cost_per_useful"),
            "Full cost per useful output",
            worth=True,
        ),
        _number(
            "value_useful",
            "Value / useful",
            "value_useful",
            _worth("value_per_useful"),
            "Value per useful output",
            worth=True,
        ),
        ListColumn("useful_months", Column("12 months, per useful"), lambda _entry: None, is_money=True, is_worth=True),
        ListColumn(
            "burn",
            Column("Budget", title="Budget used"),
            lambda entry: entry.burn.ratio if entry.burn else None,
            is_money=True,
            is_worth=True,
        ),
        ListColumn("months", Column("12 months", title="Cost of the last 12 months"), lambda _row: None, is_money=True),
        _number("calls", "Calls", "requests", lambda entry: entry.row.calls, "Delivered calls"),
        _number(
            "per_call", "Cost / call", "per_call", lambda entry: entry.row.per_call, "Full cost per delivered call"
        ),
        ListColumn("outcomes", Column("Outcomes"), _outcomes, is_money=True, is_worth=True),
        _number("spend", "May spend", "", _spend, "What it may spend in the month", worth=True),
        _text("stage", "Stage", lambda entry: entry.row.workload.get_stage_display(), "stage"),
        _text("tier", "Tier", lambda entry: entry.row.tier, "tier", "Value tier"),
        _text("owner", "Owner", lambda entry: _name(entry.row.workload.business_owner), title="Business owner"),
        _text(
            "technical", "Technical", lambda entry: _name(entry.row.workload.technical_owner), title="Technical owner"
        ),
        _text("budget", "Budget", lambda entry: _name(entry.row.workload.budget_owner), title="Budget owner"),
        _text("cost_centre", "Cost centre", lambda entry: _name(entry.row.workload.cost_centre), "cost_centre"),
        _text("audience", "Audience", lambda entry: entry.row.workload.get_audience_display()),
        _text("band", "Speed", lambda entry: entry.row.band, title="Latency band"),
        _text("unit", "Useful answer", lambda entry: entry.row.workload.output_unit),
        _text("purpose", "Purpose", lambda entry: entry.row.workload.purpose),
        _text("since", "Registered", _day, "since"),
    )
}
# Of files alone: what a mark beside the figure says on the page.
COST_LEFT_OUT: Final = _text(
    "cost_left_out", "Left out of the cost", lambda entry: entry.row.money.left_out if entry.row.money else ""
)
BURN_LEFT_OUT: Final = _text("burn_left_out", "Left out of the budget used", _left_out)
SHOWN_AT_FIRST: Final = (
    "verdict", "cost", "change", "value", "net", "cost_useful", "value_useful", "useful_months", "burn",
)  # fmt: skip
AMOUNTS: Final = frozenset({"cost", "per_call", "spend", "value", "net", "cost_useful", "value_useful"})
WITHOUT_WORTH: Final = ("cost", "change", "months", "calls", "per_call", "stage", "owner")


def chosen_columns(text: str, *, sees_money: bool, has_worth: bool) -> list[ListColumn]:
    """The columns that the URL names, in the order of the table; without any, those shown at first.

    Worth is by whole months: of other periods there is none to show.
    """
    at_first = SHOWN_AT_FIRST if has_worth else WITHOUT_WORTH
    keys = {key for key in text.split(",") if key in COLUMNS} or set(at_first)
    return [
        column
        for column in COLUMNS.values()
        if column.key in keys and (sees_money or not column.is_money) and (has_worth or not column.is_worth)
    ]


def for_file(columns: list[ListColumn]) -> list[ListColumn]:
    """What marks say on the page is in columns of its own here: that outcomes are only declared, and what the cost and
    the used share of a budget leave out."""
    marks, outcomes = {"cost": COST_LEFT_OUT, "burn": BURN_LEFT_OUT}, COLUMNS["outcomes"]
    found = [each for column in columns for each in (column, marks.get(column.key)) if each]
    return found if COLUMNS["verdict"] not in columns or outcomes in columns else [*found, outcomes]


def file_columns(columns: Sequence[ListColumn], months: Sequence[date], currency: str) -> list[str]:
    """Headings of the file: amounts name their currency, the sparkline becomes a column a month."""
    heads = ["Workload", "Reference"]
    for column in columns:
        if column.key == "months":
            heads += [f"Cost {month:%Y-%m} ({currency})" for month in months]
        elif column.key == "useful_months":
            heads += [f"{what} per useful {month:%Y-%m} ({currency})" for month in months for what in ("Cost", "Value")]
        else:
            is_amount = column.key in AMOUNTS
            heads.append(f"{column.label} ({currency})" if is_amount else column.label)
    return heads


def file_row(columns: Sequence[ListColumn], entry: Entry, months: Sequence[date]) -> list[Cell]:
    cells: list[Cell] = [entry.row.workload.name, entry.row.workload.ref]
    for column in columns:
        if column.key == "months":
            cells += _months(entry.row, months)
        elif column.key == "useful_months":
            cells += _useful_months(entry, months)
        else:
            cells.append(column.value(entry))
    return cells


def totals_row(
    columns: Sequence[ListColumn], found: Portfolio, months: Sequence[date], worth: Mapping[str, Cell]
) -> list[Cell]:
    """The totals under the file's rows; only sums and their quotients have one."""
    sums: dict[str, Cell] = {
        "cost": found.totals.cost if found.totals.lines else None,
        "cost_left_out": found.totals.left_out,
        "change": found.change,
        "calls": found.calls,
        "per_call": found.per_call,
        **worth,
    }
    cells: list[Cell] = [f"All {found.count} workloads", ""]
    for column in columns:
        width = {"months": len(months), "useful_months": 2 * len(months)}.get(column.key)
        cells += [sums.get(column.key)] if width is None else [None] * width
    return cells


def _useful_months(entry: Entry, months: Sequence[date]) -> list[Cell]:
    known = {point.month: point for point in entry.worth.months} if entry.worth else {}
    found: list[Cell] = []
    for month in months:
        point = known.get(month)
        found += [point.cost_per_useful, point.value_per_useful] if point else [None, None]
    return found


def _months(row: PortfolioRow, months: Sequence[date]) -> list[Cell]:
    return list(row.months) if row.months else [None] * len(months)


def _name(thing: object) -> str:
    return "" if thing is None else str(thing)

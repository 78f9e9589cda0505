"""The cards of a value page: months and sums of months, the rule's numbers, what the data covers, and what changed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from apps.economics.arithmetic import Appraisal, Ratio, Three
from apps.economics.figures import Coverage, Figures
from apps.economics.selectors import Change, Trailing, UnitEconomics
from apps.economics.verdict import Number
from apps.web import figures
from apps.web.worth_why import worth_address
from apps.workloads.models import Workload

BANDS: Final[Mapping[str, str]] = {"kept": "kept", "broken": "broken", "unknown": "not known"}


def number_of(ratio: Ratio) -> Decimal | None:
    """The number of a ratio that has one."""
    return ratio if isinstance(ratio, Decimal) else None


def ratio_text(ratio: Ratio, shown: Callable[[Decimal], str]) -> str:
    """The number as it reads, or the words that stand for it, such as “no cost”."""
    if ratio is None:
        return figures.UNKNOWN
    return shown(ratio) if isinstance(ratio, Decimal) else str(ratio).capitalize()


def times(ratio: Decimal) -> str:
    return f"{figures.MINUS if ratio < 0 else ''}{abs(ratio):,.2f}"


# --- Month by month ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorthRow:
    """A month, or several as one; low, likely and high stand in this order. `why` leads to the proof of the net value.

    `note` says how many of the months are known; `word` is empty for several.
    """

    label: str
    word: str
    cost_per_useful: str
    value: str
    net: tuple[str, ...]
    roi: tuple[str, ...]
    note: str = ""
    why: str = ""
    is_declared: bool = False


def month_rows(found: UnitEconomics, currency: str) -> list[WorthRow]:
    """The months of which something is known, the newest first."""
    return [_month_row(one, found.workload, currency) for one in reversed(found.months) if one is not None]


def trailing_rows(found: UnitEconomics, currency: str) -> list[WorthRow]:
    return [_trailing_row(sums, currency) for sums in (found.last_3, found.last_12)]


def _month_row(one: Figures, workload: Workload, currency: str) -> WorthRow:
    label = f"{one.month:%B %Y}" if one.is_complete else f"{one.month:%B %Y} so far"
    each = one.appraisal.cost_per_useful
    why = worth_address(workload, one.month, "net")
    return WorthRow(
        label,
        one.verdict.word.value,
        ratio_text(each, lambda amount: figures.unit_price(amount, currency)),
        *_ends(one.appraisal, currency),
        why=why,
        is_declared=one.is_declared,
    )


def _trailing_row(sums: Trailing, currency: str) -> WorthRow:
    note = f"{sums.known} of {sums.number} months proven"
    if sums.counted != sums.known:
        note += f"; the cost per output is that of {sums.counted}"
    each = ratio_text(sums.cost_per_useful, lambda amount: figures.unit_price(amount, currency))
    return WorthRow(f"Last {sums.number} months", "", each, *_ends(sums.sums, currency), note=note)


def _ends(sums: Appraisal, currency: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    value = figures.compact(sums.value.base if sums.value else None, currency)
    net = tuple(figures.compact(end, currency) for end in _three(sums.net))
    return value, net, tuple(_return_of(end, sums.cost) for end in _three(sums.net))


def _three(amounts: Three | None) -> tuple[Decimal | None, ...]:
    return (amounts.low, amounts.base, amounts.high) if amounts else (None, None, None)


def _return_of(net: Decimal | None, cost: Decimal | None) -> str:
    if net is None or cost is None:
        return figures.UNKNOWN
    return times(net / cost) if cost else "No cost"


# --- The rule, the data, the changes ----------------------------------------------------------------------------------


def number_rows(numbers: Sequence[Number], currency: str) -> list[tuple[str, str, str]]:
    """What the rule looked at: name, figure, and what it was held against."""
    return [
        (
            one.name.capitalize(),
            _in_its_unit(one.name, one.value, currency),
            _in_its_unit(one.name, one.limit, currency),
        )
        for one in numbers
    ]


def _in_its_unit(name: str, value: Decimal | None, currency: str) -> str:
    if name.startswith("share"):
        return figures.percent(value)
    if name.endswith("net value"):
        return figures.money(value, currency)
    if name.endswith("output"):
        return figures.unit_price(value, currency)
    if name == "return":
        return figures.UNKNOWN if value is None else times(value)
    return figures.count(value)


def coverage_rows(now: Figures) -> Iterator[tuple[str, str]]:
    """How much of the month its figures rest on."""
    data = now.coverage
    yield "Days with outcomes", f"{data.days_with_outcomes} of {data.usage_days}" if data.usage_days else "no usage"
    share = data.unknown_cost_share
    yield "Cost that is not known", "nobody can say how much" if share is None else figures.percent(share)
    yield "Day lines without a price", f"{figures.count(data.unpriced_lines)} of {figures.count(data.lines)}"
    yield (
        "Day lines without an exchange rate",
        f"{figures.count(data.unconverted_lines)} of {figures.count(data.lines)}",
    )
    yield "Cost that sources have not delivered", figures.percent(data.missing_share)
    yield "Calls whose speed is measured", _measured(now)
    yield "Latency band", _band(data)


def _measured(now: Figures) -> str:
    return f"{figures.count(now.coverage.calls_measured or 0)} of {figures.count(now.delivered)}"


def _band(data: Coverage) -> str:
    if data.band_limit_ms is None or not data.calls_measured:
        return BANDS["unknown"]
    share = Decimal(data.calls_within_band or 0) / data.calls_measured
    return f"{figures.percent(share)} within {figures.latency(data.band_limit_ms)}: {BANDS[data.band]}"


def change_rows(changes: Sequence[Change], currency: str) -> list[tuple[str, str, str]]:
    """What is another than in the month before: name, then, now."""
    return [(one.label, _changed(one, one.before, currency), _changed(one, one.after, currency)) for one in changes]


def _changed(one: Change, value: object, currency: str) -> str:
    if not isinstance(value, Decimal):
        return figures.UNKNOWN if value is None else str(value).capitalize()
    if one.unit == "outputs":
        return figures.count(value)
    return figures.unit_price(value, currency) if one.unit == "each" else figures.money(value, currency)


def month_before(month: date) -> str:
    return figures.month_name(date.fromordinal(month.toordinal() - 1))

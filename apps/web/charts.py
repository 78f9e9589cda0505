"""Charts as data: one description draws the picture (static/js/charts.js) and the table of the same figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Literal

from apps.core.currencies import sign
from apps.web import figures
from apps.web.figures import Number

Kind = Literal["lines", "bars", "rows", "waterfall"]
Unit = Literal["money", "unit_price", "count", "tokens", "percent", "latency"]

# Components in the order and tone in which they always stand; waste is hatched: paid, nothing useful.
COMPONENTS: dict[str, str] = {
    "token": "Token",
    "retry_failed": "Retries, failed",
    "fallback": "Fallback",
    "gpu_used": "GPU used",
    "gpu_idle": "GPU idle",
    "guardrail": "Guardrail",
    "orchestration": "Orchestration",
    "retrieval": "Retrieval",
    "data_transfer": "Data transfer",
    "support_labour": "Support labour",
    "other_shared": "Other shared",
}
PLAIN: dict[str, Callable[[Number | None], str]] = {
    "count": figures.count,
    "tokens": figures.count,
    "percent": figures.percent,
    "latency": figures.latency,
}
WASTE = frozenset({"retry_failed", "fallback", "gpu_idle"})


@dataclass(frozen=True)
class Series:
    """One line, or one layer of bars. `tone`: cost, value, a component, a verdict, series1 to series8, rest."""

    label: str
    values: Sequence[Number | None]
    tone: str = "cost"
    is_dashed: bool = False
    is_hatched: bool = False


@dataclass(frozen=True)
class Mark:
    """A lettered change on a time axis; `at` is the index of the category."""

    at: int
    letter: str
    text: str


@dataclass(frozen=True)
class Limit:
    """A dashed line with its name on it; the area beyond is tinted when that is where things go wrong."""

    value: Number
    label: str
    tone: Literal["stop", "fix"] = "stop"
    is_tinted: bool = False


@dataclass(frozen=True)
class NotKnown:
    """Why there is nothing to draw although there was something, and the link to where that is mended."""

    title: str
    text: str
    action: str
    href: str


@dataclass(frozen=True)
class Chart:
    """A chart and its table. `finding` is what it shows, in a sentence: the picture's text alternative.

    A waterfall has a tone for each category, since each bar is a component; `links` may hold an address for each.
    `is_signed`: the figures are changes, so that growth has its sign.
    `incomplete` holds the indices of categories whose figures are still arriving; they are hatched and marked.
    """

    kind: Kind
    categories: Sequence[str]
    series: Sequence[Series]
    unit: Unit
    finding: str
    currency: str = "USD"
    note: str = ""
    category_label: str = "Day"
    incomplete: frozenset[int] = frozenset()
    marks: Sequence[Mark] = ()
    limits: Sequence[Limit] = ()
    band: tuple[Sequence[Number | None], Sequence[Number | None], str] | None = None
    tones: Sequence[str] = ()
    links: Sequence[str] = ()
    is_signed: bool = False
    not_known: NotKnown | None = None

    @property
    def is_empty(self) -> bool:
        return not any(value is not None for series in self.series for value in series.values)

    @property
    def is_keyed(self) -> bool:
        """Several layers of bars need a key; lines carry their names at their ends."""
        return self.kind == "bars" and len(self.series) > 1

    @property
    def sums(self) -> bool:
        """Layers of money or counts add up to a total; shares and durations do not."""
        return self.is_keyed and self.unit in ("money", "count", "tokens")

    def drawing(self) -> dict[str, Any]:
        """What the script reads. Floats are enough for a picture; the table keeps every digit."""
        return {
            "kind": self.kind,
            "categories": list(self.categories),
            "unit": self.unit,
            "symbol": sign(self.currency),
            "series": [_layer(series) for series in self.series],
            "incomplete": sorted(self.incomplete),
            "marks": [{"at": mark.at, "letter": mark.letter, "text": mark.text} for mark in self.marks],
            "limits": [_limit(limit) for limit in self.limits],
            "band": _band(self.band),
            "tones": list(self.tones),
            "hatched": [at for at, tone in enumerate(self.tones) if tone in WASTE],
            "links": list(self.links),
            "signed": self.is_signed,
        }

    def rows(self) -> list[tuple[str, list[str]]]:
        """The table: a category and its figures, with the total where layers add up."""
        show = self._show()
        return [(self._name(at), [show(value) for value in self._figures(at)]) for at in range(len(self.categories))]

    def figures(self) -> list[list[str | Number | None]]:
        """The rows of the table with every digit and without units, for a file."""
        return [[self._name(at), *self._figures(at)] for at in range(len(self.categories))]

    @property
    def headings(self) -> list[str]:
        return [series.label for series in self.series] + (["Total"] if self.sums else [])

    def _figures(self, at: int) -> list[Number | None]:
        values = [series.values[at] if at < len(series.values) else None for series in self.series]
        return [*values, _total(values)] if self.sums else values

    def _name(self, at: int) -> str:
        name = self.categories[at]
        return f"{name}, so far" if at in self.incomplete else name

    def _show(self) -> Callable[[Number | None], str]:
        if self.unit == "money":
            return partial(figures.money_exact, currency=self.currency)
        if self.unit == "unit_price":
            return partial(figures.unit_price, currency=self.currency)
        return PLAIN[self.unit]


def _layer(series: Series) -> dict[str, Any]:
    return {
        "label": series.label,
        "tone": series.tone,
        "values": _floats(series.values),
        "dashed": series.is_dashed,
        "hatched": series.is_hatched,
    }


def _limit(limit: Limit) -> dict[str, Any]:
    return {"value": float(limit.value), "label": limit.label, "tone": limit.tone, "tinted": limit.is_tinted}


def _band(band: tuple[Sequence[Number | None], Sequence[Number | None], str] | None) -> dict[str, Any] | None:
    if band is None:
        return None
    low, high, tone = band
    return {"low": _floats(low), "high": _floats(high), "tone": tone}


def _floats(values: Sequence[Number | None]) -> list[float | None]:
    return [None if value is None else float(value) for value in values]


def _total(values: Sequence[Number | None]) -> Decimal | None:
    known = [Decimal(str(value)) for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None

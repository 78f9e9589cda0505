"""Why a figure of worth is what it is: its formula, and each input with where it comes from.

Costs go on from here to hours and prices by the address of the cost's own proof. Hourly rates are shown only to those
who may see the grade table; the proof says then that there is one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core.actor import Actor
from apps.economics.arithmetic import Ratio, Three, labour_value, review_cost
from apps.economics.figures import Figures, StoredSpan


class Origin(StrEnum):
    """Where an input comes from, and so where a link leads."""

    COST = "cost"  # the proof of the cost: hours, prices, files
    OUTCOMES = "outcomes"
    CASE = "case"
    RATE = "rate"  # the grade table
    FIGURE = "figure"  # another figure of the same month


@dataclass(frozen=True, slots=True)
class Term:
    """One input. `value` None with `is_hidden`: known, and not for this reader. `ref` is a case's version, say."""

    name: str
    value: Decimal | Three | None
    unit: str
    origin: Origin
    ref: str = ""
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """The terms of some days, where a month has several cases or rates; `first` and `end` half-open, as text."""

    label: str
    result: Three | None
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class WhyWorth:
    """The proof of one figure. `result` is of the base case where the figure has three."""

    figure: str
    title: str
    formula: str
    result: Ratio | Three
    terms: tuple[Term, ...] = ()
    parts: tuple[Part, ...] = ()


def why_worth(*, actor: Actor, figures: Figures, figure: str) -> WhyWorth:
    """The proof of a figure of `FIGURES`; KeyError for any other."""
    sees_rates = rights.rights_of(actor).may(Right.SEE_GRADES)
    title, formula, result, terms = FIGURES[figure]
    parts = _parts(figures, figure, sees_rates=sees_rates) if figure in ("value", "review") else ()
    return WhyWorth(figure, title, formula, result(figures), tuple(terms(figures)), tuple(parts))


def _parts(figures: Figures, figure: str, *, sees_rates: bool) -> Iterator[Part]:
    for one in figures.spans:
        result = None
        if one.span is not None:
            result = labour_value(one.span) if figure == "value" else review_cost(one.span)
        terms = _value_terms(one, sees_rates) if figure == "value" else _review_terms(one, sees_rates)
        yield Part(f"{one.first} to {one.end}, case version {one.version}", result, tuple(terms))


def _value_terms(one: StoredSpan, sees_rates: bool) -> Iterator[Term]:
    yield Term("useful outputs", one.useful, "outputs", Origin.OUTCOMES)
    yield _assumed(one, "minutes_saved", "minutes saved", "minutes each")
    yield _rate("hourly rate", one.span.hourly_rate if one.span else None, sees_rates=sees_rates)
    yield _assumed(one, "realisation", "realisation", "of one")


def _review_terms(one: StoredSpan, sees_rates: bool) -> Iterator[Term]:
    yield Term("reviewed outputs", one.reviewed, "outputs", Origin.OUTCOMES)
    yield _assumed(one, "review_minutes", "review minutes", "minutes each")
    yield _rate("reviewers' hourly rate", one.span.review_rate if one.span else None, sees_rates=sees_rates)


def _assumed(one: StoredSpan, name: str, label: str, unit: str) -> Term:
    said = one.assumptions[name]
    value = Three(*(Decimal(said[case]) for case in ("low", "base", "high")))
    return Term(label, value, unit, Origin.CASE, ref=str(one.version))


def _rate(label: str, rate: Decimal | None, *, sees_rates: bool) -> Term:
    hidden = rate is not None and not sees_rates
    return Term(label, None if hidden else rate, "an hour", Origin.RATE, is_hidden=hidden)


def _cost(figures: Figures) -> Term:
    return Term("full cost", figures.cost, "money", Origin.COST)


def _useful(figures: Figures) -> Term:
    return Term("useful outputs", figures.useful, "outputs", Origin.OUTCOMES)


def _of(figures: Figures, name: str, label: str) -> Term:
    return Term(label, getattr(figures.appraisal, name), "money", Origin.FIGURE, ref=name)


def _value(figures: Figures) -> Term:
    return _of(figures, "value", "value")


def _review(figures: Figures) -> Term:
    return _of(figures, "review", "review cost")


def _net(figures: Figures) -> Term:
    return _of(figures, "net", "net value")


_Terms = Callable[[Figures], list[Term]]
FIGURES: Final[dict[str, tuple[str, str, Callable[[Figures], Ratio | Three], _Terms]]] = {
    "cost": (
        "Full cost",
        "sum of its components",
        lambda f: f.cost,
        lambda f: [Term(name, amount, "money", Origin.COST, ref=name) for name, amount in f.components.items()],
    ),
    "value": (
        "Value",
        "useful outputs × minutes saved ÷ 60 × hourly rate × realisation",
        lambda f: f.appraisal.value,
        lambda _: [],
    ),
    "review": (
        "Review cost",
        "reviewed outputs × review minutes ÷ 60 × reviewers' hourly rate",
        lambda f: f.appraisal.review,
        lambda _: [],
    ),
    "net": (
        "Net value",
        "value − review cost − full cost",
        lambda f: f.appraisal.net,
        lambda f: [_value(f), _review(f), _cost(f)],
    ),
    "useful": (
        "Useful outputs",
        "accepted outputs of the month",
        lambda f: f.appraisal.useful,
        lambda f: [Term("produced", f.produced, "outputs", Origin.OUTCOMES), _useful(f)],
    ),
    "margin": ("Margin", "net value ÷ value", lambda f: f.appraisal.margin, lambda f: [_net(f), _value(f)]),
    "roi": ("Return", "net value ÷ full cost", lambda f: f.appraisal.roi, lambda f: [_net(f), _cost(f)]),
    "pays_back": ("Pays back", "value ÷ full cost", lambda f: f.appraisal.pays_back, lambda f: [_value(f), _cost(f)]),
    "break_even": (
        "Break-even cost of a useful output",
        "(value − review cost) ÷ useful outputs",
        lambda f: f.appraisal.break_even_cost,
        lambda f: [_value(f), _review(f), _useful(f)],
    ),
    "cost_per_useful": (
        "Cost of a useful output",
        "full cost ÷ useful outputs",
        lambda f: f.appraisal.cost_per_useful,
        lambda f: [_cost(f), _useful(f)],
    ),
    "value_per_useful": (
        "Value of a useful output",
        "value ÷ useful outputs",
        lambda f: f.appraisal.value_per_useful,
        lambda f: [_value(f), _useful(f)],
    ),
}

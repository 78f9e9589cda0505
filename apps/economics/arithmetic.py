"""What a use of AI is worth, set against what it costs: exact decimals, plain data, nothing of Django.

Low, base and high are *cases*: the low one takes of each range the end that lowers the net value. What was observed
(cost, outcomes, hourly rates) is a fact and the same in all three. None is unknown, which is never zero.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, getcontext, localcontext
from enum import StrEnum
from functools import wraps
from typing import Final, ParamSpec, TypeVar

MINUTES: Final = Decimal(60)  # in an hour: minutes are said, hours are paid
# Sums of NUMERIC(38,18) and their quotients; what is stored is rounded once, at the end.
PRECISION: Final = 76
EXACT: Final = Context(prec=PRECISION)
STORED: Final = Decimal(1).scaleb(-18)
ZERO: Final = Decimal(0)

_P = ParamSpec("_P")
_R = TypeVar("_R")


def exactly(work: Callable[_P, _R]) -> Callable[_P, _R]:
    """Runs with more digits than the database keeps; Python's own 28 are fewer."""

    @wraps(work)
    def precise(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if getcontext().prec == PRECISION:
            return work(*args, **kwargs)
        with localcontext(EXACT):
            return work(*args, **kwargs)

    return precise


@dataclass(frozen=True, slots=True)
class Three:
    """One figure in the low, the base and the high case."""

    low: Decimal
    base: Decimal
    high: Decimal

    def __add__(self, other: "Three") -> "Three":
        return Three(self.low + other.low, self.base + other.base, self.high + other.high)

    def __sub__(self, other: "Three") -> "Three":
        """Case by case, not end by end."""
        return Three(self.low - other.low, self.base - other.base, self.high - other.high)

    def less(self, amount: Decimal) -> "Three":
        return Three(self.low - amount, self.base - amount, self.high - amount)


NOTHING: Final = Three(ZERO, ZERO, ZERO)


@dataclass(frozen=True, slots=True)
class Labour:
    """What a value case of the kind *labour saved* assumes. Each range is written from its small to its large end.

    `realisation` (0 to 1) is the share of the freed time that becomes other work.
    """

    minutes_saved: Three
    realisation: Three
    review_minutes: Three


@dataclass(frozen=True, slots=True)
class Span:
    """Days of a month on which one case counted at one pair of hourly rates, and what came out on them.

    `useful` and `reviewed` may be fractions where a share was declared or a month's count is cut by days; `reviewed`
    None is unknown. `review_rate` None is unknown too, and only matters where something is reviewed.
    """

    case: Labour
    hourly_rate: Decimal
    review_rate: Decimal | None
    useful: Decimal
    reviewed: Decimal | None


class Special(StrEnum):
    """Ratios that have no number, and what is said instead."""

    NO_COST = "no cost"
    NO_VALUE = "no value"
    NO_USEFUL_OUTPUT = "no useful output"


Ratio = Decimal | Special | None


@dataclass(frozen=True, slots=True)
class Appraisal:
    """Value, review cost and net of a month in three cases; ratios are those of the base case.

    `net` is None where the cost or the number of reviews is unknown; `value` where no case counted.
    """

    useful: Decimal | None
    cost: Decimal | None
    value: Three | None
    review: Three | None
    net: Three | None

    @property
    def margin(self) -> Ratio:
        """net / value."""
        return _ratio(_base(self.net), _base(self.value), Special.NO_VALUE)

    @property
    def roi(self) -> Ratio:
        """net / full cost; without any cost it counts as over every hurdle."""
        return _ratio(_base(self.net), self.cost, Special.NO_COST)

    @property
    def pays_back(self) -> Ratio:
        """value / full cost: what one unit of money spent brings."""
        return _ratio(_base(self.value), self.cost, Special.NO_COST)

    @property
    @exactly
    def break_even_cost(self) -> Ratio:
        """What a useful output may cost at most: (value - review cost) / useful outputs."""
        worth = self.value.base - self.review.base if self.value and self.review else None
        return _ratio(worth, self.useful, Special.NO_USEFUL_OUTPUT)

    @property
    def cost_per_useful(self) -> Ratio:
        return _ratio(self.cost, self.useful, Special.NO_USEFUL_OUTPUT)

    @property
    def value_per_useful(self) -> Ratio:
        """Gross, before reviews."""
        return _ratio(_base(self.value), self.useful, Special.NO_USEFUL_OUTPUT)


def labour_value(span: Span) -> Three:
    """useful outputs x minutes saved / 60 x hourly rate x realisation."""
    hours, share = span.case.minutes_saved, span.case.realisation
    return _per_hour(
        span.useful * span.hourly_rate,
        Three(hours.low * share.low, hours.base * share.base, hours.high * share.high),
    )


def review_cost(span: Span) -> Three | None:
    """reviewed x review minutes / 60 x its own rate. Its low *case* has the most minutes. None: unknown."""
    minutes = span.case.review_minutes
    if minutes.high == 0 or span.reviewed == 0:
        return NOTHING
    if span.reviewed is None or span.review_rate is None:
        return None
    return _per_hour(span.reviewed * span.review_rate, Three(minutes.high, minutes.base, minutes.low))


@exactly
def appraise(spans: Iterable[Span], *, cost: Decimal | None, useful: Decimal | None) -> Appraisal:
    """Add up the days on which a case counted and set them against the month's full cost.

    `useful` is all that came out in the month, also on days without a case: costs are shared by all of it.
    """
    counted = list(spans)
    if not counted:
        return Appraisal(useful, cost, None, None, None)
    value, review = NOTHING, _plus(review_cost(span) for span in counted)
    for span in counted:
        value += labour_value(span)
    net = (value - review).less(cost) if review is not None and cost is not None else None
    return Appraisal(useful, cost, value, review, net)


@exactly
def trailing(months: Iterable[Appraisal]) -> Appraisal:
    """Several months as one: sums, whose ratios are then taken. Months of which something is unknown are left out."""
    known = [month for month in months if month.net is not None and month.useful is not None]
    if not known:
        return Appraisal(None, None, None, None, None)
    useful, cost = sum((m.useful or ZERO for m in known), ZERO), sum((m.cost or ZERO for m in known), ZERO)
    value, review, net = (_plus(getattr(month, name) for month in known) for name in ("value", "review", "net"))
    return Appraisal(useful, cost, value, review, net)


# --- What breaks the case first ---------------------------------------------------------------------------------------


class Input(StrEnum):
    MINUTES_SAVED = "minutes saved"
    REALISATION = "realisation"
    HOURLY_RATE = "hourly rate"
    USEFUL = "useful outputs"
    COST = "full cost"
    REVIEW_MINUTES = "review minutes"
    REVIEWED = "reviewed outputs"


@dataclass(frozen=True, slots=True)
class BreakPoint:
    """One input alone moved to where the base net is zero. `at` None: no value of it alone gets there.

    `change` is the move as a share of the base value; `in_range` says whether the case itself thinks it possible.
    """

    input: Input
    base: Decimal
    at: Decimal | None
    change: Decimal | None
    in_range: bool


@exactly
def sensitivity(spans: Sequence[Span], *, cost: Decimal) -> list[BreakPoint]:
    """What breaks the case first: each input by itself, the smallest relative move first. Base case throughout.

    A month with several versions or rates has one input for each; all of them move by the same factor, and what is
    told are their means, weighted by what came out.
    """
    value = _plus(labour_value(span) for span in spans)
    review = _plus(review_cost(span) for span in spans)
    if not spans or value is None or review is None:
        return []
    worth = value.base - review.base
    # The value is proportional to each of these, so each meets zero at the same relative move.
    factor = (cost + review.base) / value.base if value.base else None
    minutes, share = (_mean(spans, name) for name in ("minutes_saved", "realisation"))
    points = [
        _point(Input.MINUTES_SAVED, minutes.base, factor, minutes),
        _point(Input.REALISATION, share.base, factor, share, most=Decimal(1)),
        _point(Input.HOURLY_RATE, _weighted([(span.hourly_rate, span.useful) for span in spans]), factor),
        _point(Input.USEFUL, sum((span.useful for span in spans), ZERO), factor),
    ]
    if cost:
        points.append(_point(Input.COST, cost, worth / cost if worth >= 0 else None))
    if review.base:
        rest = (value.base - cost) / review.base
        factor, minutes = rest if rest >= 0 else None, _mean(spans, "review_minutes")
        points.append(_point(Input.REVIEW_MINUTES, minutes.base, factor, minutes))
        points.append(_point(Input.REVIEWED, sum((span.reviewed or ZERO for span in spans), ZERO), factor))
    return sorted(points, key=lambda point: (point.change is None, abs(point.change or ZERO)))


def _mean(spans: Sequence[Span], name: str) -> Three:
    """An assumption of several versions as one, by the outputs to which each was applied."""
    is_review = name == "review_minutes"
    weighted = [(getattr(span.case, name), (span.reviewed or ZERO) if is_review else span.useful) for span in spans]
    ends = ([(getattr(three, case), weight) for three, weight in weighted] for case in ("low", "base", "high"))
    return Three(*(_weighted(pairs) for pairs in ends))


def _weighted(pairs: Sequence[tuple[Decimal, Decimal]]) -> Decimal:
    """The mean of (figure, weight); of one figure it is that figure, whatever its weight."""
    if len({figure for figure, _ in pairs}) == 1:
        return pairs[0][0]
    total = sum((weight for _, weight in pairs), ZERO)
    return sum((figure * weight for figure, weight in pairs), ZERO) / total if total else pairs[-1][0]


def _point(
    name: Input, base: Decimal, factor: Decimal | None, known: Three | None = None, *, most: Decimal | None = None
) -> BreakPoint:
    at = None if factor is None else rounded(base * factor)
    if at is None or factor is None or not base or (most is not None and at > most):
        return BreakPoint(name, base, None, None, in_range=False)
    in_range = known is not None and known.low <= at <= known.high
    return BreakPoint(name, base, at, factor - 1, in_range=in_range)


# --- Below ------------------------------------------------------------------------------------------------------------


def rounded(amount: Decimal) -> Decimal:
    """Half-even to what the database keeps."""
    return amount.quantize(STORED, context=EXACT)


def _ratio(above: Decimal | None, below: Decimal | None, without: Special) -> Ratio:
    if above is None or below is None:
        return None
    return EXACT.divide(above, below) if below else without


def _base(figure: Three | None) -> Decimal | None:
    return None if figure is None else figure.base


def _per_hour(money_per_hour: Decimal, minutes: Three) -> Three:
    """Divided last: 9,200 x 2 / 60 has no end, 9,200 x 2 x 30 / 60 has."""
    return Three(
        money_per_hour * minutes.low / MINUTES,
        money_per_hour * minutes.base / MINUTES,
        money_per_hour * minutes.high / MINUTES,
    )


def _plus(parts: Iterable[Three | None]) -> Three | None:
    """None as soon as one of them is unknown."""
    total = NOTHING
    for part in parts:
        if part is None:
            return None
        total += part
    return total

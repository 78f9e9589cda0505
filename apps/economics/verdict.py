"""One word for a month of a workload: scale, keep, fix, stop or unproven. The first rule that matches decides.

Plain data in, plain data out, nothing of Django: page, API, pack, agenda and the live preview of a form all call this.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Final

from apps.core.currencies import sign
from apps.economics.arithmetic import Appraisal, Ratio, Special, Three, exactly

ZERO: Final = Decimal(0)
COMPLETE_MONTHS: Final = 4


class Word(StrEnum):
    SCALE = "scale"
    KEEP = "keep"
    FIX = "fix"
    STOP = "stop"
    UNPROVEN = "unproven"


class Rule(StrEnum):
    """Which rule fired; several may share a word."""

    UNPROVEN = "unproven"
    NET_NOT_POSITIVE = "base net is not positive"
    LOW_NET_TOO_LOW = "low net is too low"
    BAND_BROKEN = "latency band is broken"
    LOUDER = "cost rises faster than value"
    OVER_HURDLE = "low net is positive and return is over the hurdle"
    NOTHING_ELSE = "no other rule"


class Gap(StrEnum):
    """What keeps a month unproven."""

    USAGE = "usage"
    COST = "cost"
    CASE = "case"
    OUTCOMES = "outcomes"
    TOO_FEW = "too few"
    REVIEWS = "reviews"
    RATE = "rate"


class Supplier(StrEnum):
    """Who can fill a gap."""

    BUSINESS_OWNER = "the business owner"
    TECHNICAL_OWNER = "the technical owner"
    ATTESTER = "somebody who did not write it"
    ANALYST = "a FinOps analyst"


class CaseState(StrEnum):
    NONE = "none"
    WAITING = "waiting"
    EXPIRED = "expired"
    ATTESTED = "attested"


class Band(StrEnum):
    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Settings:
    """Thresholds. Shares are of one; each is crossed only beyond itself, except where its text says otherwise."""

    missing_days_share: Decimal = Decimal("0.10")
    unknown_cost_share: Decimal = Decimal("0.01")
    least_produced: int = 30  # fewer is unproven
    fix_tolerance: Decimal = Decimal("0.05")  # of base value
    scale_roi: Decimal = Decimal(1)  # at it is enough
    band_share: Decimal = Decimal("0.95")
    band_least: int = 100


DEFAULTS: Final = Settings()


@dataclass(frozen=True, slots=True)
class MonthRatios:
    """A complete month's cost and gross value for each useful output; None where unknown or without any output."""

    month: date
    cost: Decimal | None
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the verdict of a month rests on.

    `usage_days` have usage, `missing_days` of them no outcomes. `unknown_cost_share` is the part of the cost that has
    no price or no exchange rate or whose source has not delivered; None: nobody can say how large it is. `band_share`
    of the measured calls stayed within the limit. `months`: up to four complete ones, this the last.
    """

    appraisal: Appraisal
    is_open: bool = False
    case: CaseState = CaseState.NONE
    usage_days: int = 0
    missing_days: int = 0
    unknown_cost_share: Decimal | None = ZERO
    produced: Decimal | None = None
    reviewed_known: bool = True
    is_rate_known: bool = True
    is_declared: bool = False
    band: Band = Band.UNKNOWN
    band_share: Decimal | None = None
    months: Sequence[MonthRatios] = ()
    is_mandated: bool = False
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Missing:
    """A gap in words, and who can fill it."""

    gap: Gap
    what: str
    who: Supplier


@dataclass(frozen=True, slots=True)
class Number:
    """A figure that the rule looked at, beside its limit; both None where there is none."""

    name: str
    value: Decimal | None
    limit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, the rule that gave it, and the sentence that explains it in plain words."""

    word: Word
    rule: Rule
    sentence: str
    numbers: tuple[Number, ...] = ()
    would_change: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()
    is_so_far: bool = False
    is_capped: bool = False  # declared outcomes: it would have been scale


@exactly
def verdict(facts: Facts, settings: Settings = DEFAULTS) -> Verdict:
    """The first rule that matches, in the order of `_RULES`; there is always one."""
    for rule in _RULES:
        found = rule(facts, settings)
        if found is not None:
            return found
    raise AssertionError("The last rule matches always.")


def band_of(*, delivered: int, within: int, settings: Settings = DEFAULTS) -> Band:
    """Whether enough of the delivered calls stayed within the band's limit; too few calls tell nothing."""
    if delivered < settings.band_least:
        return Band.UNKNOWN
    return Band.KEPT if within >= settings.band_share * delivered else Band.BROKEN


@exactly
def is_louder(months: Sequence[MonthRatios]) -> bool:
    """Over four complete months cost rose in all three steps, in total by more percent than gross value did."""
    costs = [month.cost for month in months]
    if len(costs) != COMPLETE_MONTHS or not _follow_each_other(months):
        return False
    if any(later is None or earlier is None or later <= earlier for earlier, later in pairwise(costs)):
        return False
    first, last = months[0], months[-1]
    if first.cost is None or last.cost is None or first.value is None or last.value is None:
        return False
    # Compared without dividing, so that a first month without any cost or value is no exception.
    return last.cost * first.value > last.value * first.cost


# --- The rules --------------------------------------------------------------------------------------------------------


def _unproven(facts: Facts, settings: Settings) -> Verdict | None:
    missing = tuple(_missing(facts, settings))
    if not missing:
        return None
    found = missing[0].what if len(missing) == 1 else f"{len(missing)} things are missing: {_listed(missing)}"
    return Verdict(
        Word.UNPROVEN,
        Rule.UNPROVEN,
        _sentence(facts, f"Whether this pays is unproven: {found}."),
        numbers=(
            Number("share of days without outcomes", _missing_share(facts), settings.missing_days_share),
            Number("share of cost that is unknown", facts.unknown_cost_share, settings.unknown_cost_share),
            Number("outputs produced", facts.produced, Decimal(settings.least_produced)),
        ),
        would_change=tuple(f"{_capital(str(gap.who))} can supply it: {gap.what}." for gap in missing),
        missing=missing,
        is_so_far=facts.is_open,
    )


def _stop(facts: Facts, settings: Settings) -> Verdict | None:  # noqa: ARG001 - all rules are called alike
    net, value = _net(facts).base, _value(facts).base
    if net > 0 or facts.is_mandated:
        return None
    money = _money(facts)
    opening = "It costs more than it is worth" if net else "It is worth exactly what it costs"
    more = f"{money(-net)} more value, or less cost" if net else "any more value, or less cost"
    return Verdict(
        Word.STOP,
        Rule.NET_NOT_POSITIVE,
        _sentence(
            facts,
            f"{opening}: {money(_cost(facts))} of cost and {money(_review(facts))} of reviews "
            f"against {money(value)} of value.",
        ),
        numbers=(Number("base net value", net, ZERO),),
        would_change=(f"A base net value above zero: {more}.",),
        is_so_far=facts.is_open,
    )


def _fix(facts: Facts, settings: Settings) -> Verdict | None:
    """The first fault gives the rule; whatever else is wrong is said with it, since mending one would not be enough."""
    faults = [
        *_loses_in_the_low_case(facts, settings),
        *_is_too_slow(facts, settings),
        *_grows_louder(facts),
    ]
    if not faults:
        return None
    first, *others = faults
    return Verdict(
        Word.FIX,
        first.rule,
        " ".join([_sentence(facts, first.text), *(other.also for other in others)]),
        numbers=tuple(number for fault in faults for number in fault.numbers),
        would_change=tuple(fault.way for fault in faults),
        is_so_far=facts.is_open,
    )


@dataclass(frozen=True, slots=True)
class _Fault:
    """Something to be fixed: as a sentence of its own, and as one after another."""

    rule: Rule
    text: str
    also: str
    numbers: tuple[Number, ...]
    way: str


def _loses_in_the_low_case(facts: Facts, settings: Settings) -> Iterator[_Fault]:
    tolerance, low, money = settings.fix_tolerance * _value(facts).base, _net(facts).low, _money(facts)
    if low < -tolerance:
        text = f"In the low case it loses {money(-low)}, more than the {money(tolerance)} that are tolerated."
        numbers = (Number("low net value", low, -tolerance),)
        way = f"A low net value of {money(-tolerance)} or more: narrow the assumptions, or lower the cost."
        yield _Fault(Rule.LOW_NET_TOO_LOW, text, text, numbers, way)


def _is_too_slow(facts: Facts, settings: Settings) -> Iterator[_Fault]:
    if facts.band is Band.BROKEN:
        found = f"fewer than {_percent(settings.band_share)} of its answers come within the promised time."
        numbers = (Number("share of answers within the promised time", facts.band_share, settings.band_share),)
        way = "Answers within the latency band again, or another band."
        yield _Fault(Rule.BAND_BROKEN, f"It pays, but {found}", f"And {found}", numbers, way)


def _grows_louder(facts: Facts) -> Iterator[_Fault]:
    if is_louder(facts.months):
        first, last = facts.months[0], facts.months[-1]
        found = "for four months its cost for each useful output has risen faster than its value."
        numbers = (
            Number("cost per useful output", last.cost, first.cost),
            Number("value per output", last.value, first.value),
        )
        way = "A month in which a useful output costs no more than in the month before."
        yield _Fault(Rule.LOUDER, f"It pays, but {found}", f"And {found}", numbers, way)


def _scale(facts: Facts, settings: Settings) -> Verdict | None:
    low, roi = _net(facts).low, facts.appraisal.roi
    if low <= 0 or not _over_hurdle(roi, settings):
        return None
    money = _money(facts)
    returns = "it costs nothing" if roi is Special.NO_COST else f"each {money(Decimal(1))} returns {_times(roi)} net"
    numbers = (Number("low net value", low, ZERO), Number("return", _number(roi), settings.scale_roi))
    if facts.is_declared:
        return Verdict(
            Word.KEEP,
            Rule.OVER_HURDLE,
            _sentence(facts, f"It pays in every case and {returns}, but what came out was declared and not counted."),
            numbers=numbers,
            would_change=("Counted outcomes instead of a declared share: then it would be scale.",),
            is_so_far=facts.is_open,
            is_capped=True,
        )
    return Verdict(
        Word.SCALE,
        Rule.OVER_HURDLE,
        _sentence(facts, f"It pays even in the low case, and {returns}."),
        numbers=numbers,
        would_change=(f"A low net value of {money(ZERO)} or less, or a return below {settings.scale_roi}.",),
        is_so_far=facts.is_open,
    )


def _keep(facts: Facts, settings: Settings) -> Verdict:
    net, value, roi = _net(facts), _value(facts), facts.appraisal.roi
    money, tolerance = _money(facts), settings.fix_tolerance * value.base
    if net.base <= 0:
        text = f"It is mandated, so it goes on although it nets {money(net.base)}."
    elif net.low <= 0:
        text = (
            f"It pays: {money(net.base)} net. In the low case it nets {money(net.low)}, "
            f"within the {money(tolerance)} that are tolerated."
        )
    else:
        text = (
            f"It pays: {money(net.base)} net, in the low case {money(net.low)}. "
            f"Its return of {_times(roi)} is below the hurdle of {settings.scale_roi}."
        )
    return Verdict(
        Word.KEEP,
        Rule.NOTHING_ELSE,
        _sentence(facts, text),
        numbers=(
            Number("base net value", net.base, ZERO),
            Number("low net value", net.low, -tolerance),
            Number("return", _number(roi), settings.scale_roi),
        ),
        would_change=tuple(_ways_from_keep(facts, settings)),
        is_so_far=facts.is_open,
    )


_RULES: Final[tuple[Callable[[Facts, Settings], Verdict | None], ...]] = (_unproven, _stop, _fix, _scale, _keep)


# --- What is missing --------------------------------------------------------------------------------------------------


def _missing(facts: Facts, settings: Settings) -> Iterator[Missing]:
    appraisal = facts.appraisal
    if appraisal.cost is None and facts.usage_days == 0:
        yield Missing(Gap.USAGE, "no usage of it is known in this month", Supplier.TECHNICAL_OWNER)
    elif appraisal.cost is None:
        yield Missing(Gap.COST, "all of its cost has no price, no exchange rate or no data", Supplier.ANALYST)
    elif facts.unknown_cost_share is None:
        what = "a part of its cost has no price or no exchange rate, and nobody can say how large it is"
        yield Missing(Gap.COST, what, Supplier.ANALYST)
    elif facts.unknown_cost_share > settings.unknown_cost_share:
        what = f"{_percent(facts.unknown_cost_share)} of its cost has no price, no exchange rate or no data"
        yield Missing(Gap.COST, what, Supplier.ANALYST)
    yield from _missing_case(facts.case)
    yield from _missing_outcomes(facts, settings)
    if facts.case is CaseState.ATTESTED and appraisal.value is not None and appraisal.review is None:
        if facts.reviewed_known:
            yield Missing(Gap.RATE, "the hourly rate of its reviewers is not known", Supplier.ANALYST)
        else:
            yield Missing(Gap.REVIEWS, "nobody says how many outputs were reviewed", Supplier.BUSINESS_OWNER)
    elif facts.case is CaseState.ATTESTED and appraisal.value is None and appraisal.useful is not None:
        if facts.is_rate_known:
            what = "no outcomes are known of the days on which its value case counts"
            yield Missing(Gap.OUTCOMES, what, Supplier.BUSINESS_OWNER)
        else:
            yield Missing(Gap.RATE, "the hourly rate of its value case is not known", Supplier.ANALYST)


def _missing_case(case: CaseState) -> Iterator[Missing]:
    if case is CaseState.NONE:
        yield Missing(Gap.CASE, "it has no value case", Supplier.BUSINESS_OWNER)
    elif case is CaseState.EXPIRED:
        yield Missing(Gap.CASE, "its value case has expired", Supplier.BUSINESS_OWNER)
    elif case is CaseState.WAITING:
        yield Missing(Gap.CASE, "its value case is not attested", Supplier.ATTESTER)


def _missing_outcomes(facts: Facts, settings: Settings) -> Iterator[Missing]:
    if facts.produced is None:
        yield Missing(Gap.OUTCOMES, "no outcomes are known", Supplier.BUSINESS_OWNER)
        return
    if facts.missing_days > settings.missing_days_share * facts.usage_days:
        what = f"outcomes are missing on {facts.missing_days} of {facts.usage_days} days with usage"
        yield Missing(Gap.OUTCOMES, what, Supplier.BUSINESS_OWNER)
    if facts.produced < settings.least_produced:
        what = f"only {_plain(facts.produced)} outputs were produced, {settings.least_produced} are needed"
        yield Missing(Gap.TOO_FEW, what, Supplier.BUSINESS_OWNER)


def _ways_from_keep(facts: Facts, settings: Settings) -> Iterator[str]:
    net, cost, money = _net(facts), _cost(facts), _money(facts)
    if net.low <= 0:
        yield f"A low net value above zero ({money(-net.low)} more) would help it to scale."
    needed = settings.scale_roi * cost - net.base
    if needed > 0:
        yield f"{money(needed)} more net value a month would bring its return to {settings.scale_roi}."
    room = net.low + settings.fix_tolerance * _value(facts).base
    yield f"{money(room)} less in the low case would make it fix."


# --- Words and figures ------------------------------------------------------------------------------------------------


def _missing_share(facts: Facts) -> Decimal | None:
    return Decimal(facts.missing_days) / facts.usage_days if facts.usage_days else None


def _sentence(facts: Facts, text: str) -> str:
    return f"So far: {text[0].lower()}{text[1:]}" if facts.is_open else text


def _follow_each_other(months: Sequence[MonthRatios]) -> bool:
    numbers = [month.month.year * 12 + month.month.month for month in months]
    return all(later == earlier + 1 for earlier, later in pairwise(numbers))


def _over_hurdle(roi: Decimal | Special | None, settings: Settings) -> bool:
    return roi is Special.NO_COST or (isinstance(roi, Decimal) and roi >= settings.scale_roi)


def _net(facts: Facts) -> Three:
    return _known(facts.appraisal.net)


def _value(facts: Facts) -> Three:
    return _known(facts.appraisal.value)


def _known(figure: Three | None) -> Three:
    """The first rule lets nothing pass whose value, reviews or cost are unknown."""
    if figure is None:
        raise AssertionError("Something unknown came past the rule 'unproven'.")
    return figure


def _cost(facts: Facts) -> Decimal:
    return facts.appraisal.cost or ZERO


def _review(facts: Facts) -> Decimal:
    return _known(facts.appraisal.review).base


def _number(ratio: Ratio) -> Decimal | None:
    return ratio if isinstance(ratio, Decimal) else None


def _money(facts: Facts) -> Callable[[Decimal], str]:
    """Whole units from a hundred on, cents below; for sentences, where every digit would hide the point."""

    def text(amount: Decimal) -> str:
        shown = amount.quantize(Decimal(1) if abs(amount) >= 100 else Decimal("0.01"), ROUND_HALF_EVEN)
        return f"{'−' if shown < 0 else ''}{sign(facts.currency)}{abs(shown):,f}"

    return text


def _percent(share: Decimal) -> str:
    return f"{_plain((share * 100).quantize(Decimal('0.1'), ROUND_HALF_EVEN))}%"


def _times(ratio: Ratio) -> str:
    return f"{ratio.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,f}" if isinstance(ratio, Decimal) else str(ratio)


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _listed(missing: Sequence[Missing]) -> str:
    words = [gap.what for gap in missing]
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]

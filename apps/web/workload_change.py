"""Why a workload costs more or less than before: the parts of the change, and what a call carries now."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from apps.costs.selectors import CostChange, Lack, Part, Unknown
from apps.web import figures
from apps.web.charts import COMPONENTS, Chart, NotKnown, Series

NAMES: Final[dict[Part, str]] = {
    Part.VOLUME: "Number of calls",
    Part.MIX: "Mix of models",
    Part.INTENSITY: "Tokens per call",
    Part.PRICE: "Price of a token",
    Part.UNTOLD: "Models without calls",
    Part.WASTE: "Retries, fallback, idle",
    Part.GPU: "GPU used",
    Part.SHARED: "Shared cost",
}
_ALWAYS: Final = (Part.VOLUME, Part.MIX, Part.INTENSITY, Part.PRICE)
# Below this, tokens per call are said to be about the same: a twentieth.
TOLD_FROM: Final = Decimal("0.05")
NAMED: Final = 3  # so many things without a price are told by name


class Models(NamedTuple):
    """A period as it is told, and where the cost of its models stands."""

    period: str
    href: str


def change_chart(
    change: CostChange, *, currency: str, now: str, before: str, why: str, models: tuple[Models, Models]
) -> Chart:
    """Bars of what made the cost grow or shrink, and their sum; empty where there was nothing before to compare.

    None either where a part of the cost is not known; `models` are those of the period, and of the one before.
    """
    if not change.is_known and (change.before.total or change.before.unknown):
        finding = f"What {now} cost more or less than {before} is not known."
        return _unknown(change, currency, finding, *models)
    shown = [part for part in Part if part in _ALWAYS or change.parts[part]] if change.before.total else []
    amounts = [change.parts[part] for part in shown]
    return Chart(
        kind="rows",
        categories=[*(NAMES[part] for part in shown), "Sum"] if shown else [],
        series=[Series("Change", [*amounts, change.amount] if shown else [])],
        unit="money",
        finding=_finding(change, currency, now, before),
        currency=currency,
        note=_note(change, before),
        category_label="Part",
        links=[*("" for _ in shown), why] if shown else [],
        is_signed=True,
    )


def _unknown(change: CostChange, currency: str, finding: str, now: Models, before: Models) -> Chart:
    """What has no price is not free: neither the sum of the change nor the share of a part in it can be told."""
    lacks = [*_lacks(change.now.unknown, now.period), *_lacks(change.before.unknown, before.period)]
    return Chart(
        kind="rows",
        categories=[],
        series=[],
        unit="money",
        finding=finding,
        currency=currency,
        not_known=NotKnown(
            "The change is not known",
            " ".join((*lacks, "An analyst can give one.")),
            "See what is missing",
            (now if change.now.unknown else before).href,
        ),
    )


def _lacks(unknown: Iterable[Unknown], period: str) -> Iterable[str]:
    for lack in Lack:
        if names := sorted({_name(each) for each in unknown if each.lack is lack}):
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield f"Some usage has no {lack.value}: {', '.join(names[:NAMED])}{more} ({period})."


def _name(unknown: Unknown) -> str:
    if unknown.component == "token":
        return unknown.model or "a model that was not reported"
    return unknown.model or COMPONENTS[unknown.component].lower()


def _finding(change: CostChange, currency: str, now: str, before: str) -> str:
    if not change.amount:
        return f"{now} cost as much as {before}."
    more = "more" if change.amount > 0 else "less"
    largest = max(change.parts, key=lambda part: abs(change.parts[part]))
    return (
        f"{now} cost {figures.money(abs(change.amount), currency)} {more} than {before}; "
        f"the largest part is {NAMES[largest].lower()}."
    )


def _note(change: CostChange, before: str) -> str:
    """What a call carries: the part of the change that its owner can do most about."""
    was, is_now = change.before.tokens_a_call(), change.now.tokens_a_call()
    if not was or not is_now:
        return "Each part takes those above it as they are now."
    carried = f"{figures.count(round(is_now))} tokens"
    if abs(is_now / was - 1) < TOLD_FROM:
        return f"A call carries {carried}, about as many as in {before}."
    return f"A call now carries {carried}; in {before} it was {figures.count(round(was))}."

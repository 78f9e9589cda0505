"""The pack as bytes: canonical JSON, its SHA-256, and what differs between two packs. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from apps.approvals import statement

FORMAT: Final = 2  # 1 had no counts of what has no price, no names beside items and promises, no declared outcomes
TOTALS: Final = ("cost", "unallocated", "unpriced", "unconverted")
FIGURES: Final = ("cost", "value", "review_cost", "net_low", "net", "net_high", "useful", "verdict")


class About(StrEnum):
    """What two packs may say otherwise about."""

    MONTH = "month"
    WORKLOAD = "workload"
    ITEM = "item"
    WAIVER = "waiver"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a later pack states otherwise; None where a pack does not have it.

    `name` is a use case's; of an item about none, and of a waiver, what kind it is of.
    """

    about: About
    name: str
    figure: str
    before: str | None
    after: str | None


def canonical(figures: Mapping[str, Any]) -> str:
    """One text for one content: sorted keys, no white space, money as text, so that any program finds the digest."""
    return statement.canonical(figures, plain=_plain)


def digest(body: str) -> str:
    return statement.digest_of(body)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """The month as a whole, workload by workload, what was decided and what was let pass; later pack's order."""
    return [
        *_between(About.MONTH, "", TOTALS, before.get("totals", {}), after.get("totals", {})),
        *_pairs(About.WORKLOAD, FIGURES, _by_id(before, "workloads"), _by_id(after, "workloads")),
        *_pairs(About.ITEM, ("money_at_stake", "decided"), _items(before), _items(after)),
        *_pairs(About.WAIVER, ("reason",), _waivers(before), _waivers(after)),
    ]


Rows = Mapping[Any, Mapping[str, Any]]


def _pairs(about: About, figures: tuple[str, ...], old: Rows, new: Rows) -> Iterator[Difference]:
    for key in dict.fromkeys((*new, *old)):
        before, after = old.get(key, {}), new.get(key, {})
        yield from _between(about, str(after.get("name") or before.get("name") or ""), figures, before, after)


def _between(
    about: About, name: str, figures: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Difference]:
    for figure in figures:
        before, after = old.get(figure), new.get(figure)
        # Where both packs have the row, a figure that only one of them has is of a newer form of pack.
        is_comparable = not (old and new) or (figure in old and figure in new)
        if is_comparable and before != after:
            yield Difference(about, name, figure, _text(before), _text(after))


def _by_id(pack: Mapping[str, Any], part: str) -> Rows:
    return {row["id"]: row for row in pack.get(part, ())}


def _items(pack: Mapping[str, Any]) -> Rows:
    """What was decided as one text: a second decision about an item stands beside the first."""
    return {
        row["id"]: {
            "name": row.get("name") or row["kind"],
            "money_at_stake": row["money_at_stake"],
            "decided": "; ".join(f"{each['what']}: {each['reason']}" for each in row["dispositions"]) or row["state"],
        }
        for row in pack.get("items", ())
    }


def _waivers(pack: Mapping[str, Any]) -> Rows:
    rows = pack.get("waivers", ())
    return {(row["blocker"], row["reason"]): {"name": row["blocker"], "reason": row["reason"]} for row in rows}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical form")

"""The pack as bytes: canonical JSON, its SHA-256, and what differs between two packs. Pure."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

FORMAT: Final = 1
COMPARED: Final = ("cost", "value", "review_cost", "net_low", "net", "net_high", "useful", "verdict")


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of one workload that a later pack states otherwise; None where a pack does not have it."""

    workload: int
    name: str
    figure: str
    before: str | None
    after: str | None


def canonical(figures: Mapping[str, Any]) -> str:
    """One text for one content: sorted keys, no white space, money as text, so that any program finds the digest."""
    return json.dumps(figures, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Workload by workload, figure by figure, in the order of the later pack."""
    old = {row["id"]: row for row in before["workloads"]}
    new = {row["id"]: row for row in after["workloads"]}
    return [each for key in dict.fromkeys((*new, *old)) for each in _between(key, old.get(key, {}), new.get(key, {}))]


def _between(key: int, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    name = str(new.get("name") or old.get("name"))
    for figure in COMPARED:
        before, after = old.get(figure), new.get(figure)
        if before != after:
            yield Difference(key, name, figure, _text(before), _text(after))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical form")

"""Small sockets for the frame: what waits in the navigation, how fresh the figures are, what search finds.

A page's module fills its own socket when the URL conf loads it, so the frame imports no feature and asks them all.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from apps.core.actor import Actor

Counter = Callable[[Actor], int]


@dataclass(frozen=True, slots=True)
class Freshness:
    """Up to when the figures reach; `state` says in a word whether every source has delivered."""

    as_of: datetime | None
    state: Literal["fresh", "stale", "broken", "none"] = "fresh"
    why: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """One result of the search."""

    label: str
    href: str
    icon: str = "file"
    meta: str = ""


Finder = Callable[[Actor, str], Iterable[Found]]

counters: dict[str, Counter] = {}
finders: dict[str, Finder] = {}
_freshness: list[Callable[[Actor], Freshness]] = []
_newest_month: list[Callable[[Actor], date | None]] = []


def counts(entry: str) -> Callable[[Counter], Counter]:
    """Register how many things wait behind a navigation entry, by its key (`unallocated`, `imports`, ...)."""

    def register(counter: Counter) -> Counter:
        counters[entry] = counter
        return counter

    return register


def finds(group: str) -> Callable[[Finder], Finder]:
    """Register a finder; `group` is the heading over its results. A finder sees only what its actor may see."""

    def register(finder: Finder) -> Finder:
        finders[group] = finder
        return finder

    return register


def tells_freshness(source: Callable[[Actor], Freshness]) -> Callable[[Actor], Freshness]:
    """Register the one function that knows how fresh the figures are."""
    _freshness[:] = [source]
    return source


def tells_newest_month(source: Callable[[Actor], date | None]) -> Callable[[Actor], date | None]:
    """Register the one function that knows the newest month with figures: the period shown when the URL names none."""
    _newest_month[:] = [source]
    return source


def freshness(actor: Actor) -> Freshness:
    return _freshness[0](actor) if _freshness else Freshness(as_of=None, state="none")


def newest_month(actor: Actor) -> date | None:
    return _newest_month[0](actor) if _newest_month else None

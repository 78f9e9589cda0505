"""Who may have this use case already: likeness of words, so that one is found before it is registered twice."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rapidfuzz import fuzz, process, utils

from apps.core.actor import Actor
from apps.workloads.models import Workload

MOST: Final = 3
ALIKE: Final = 68.0  # of 100; below it the words merely belong to one language
SHORTEST: Final = 4


@dataclass(frozen=True, slots=True)
class Likeness:
    """A workload that reads alike: how much, from 0 to 100, and in what."""

    workload: Workload
    score: float
    grounds: str


@dataclass(frozen=True, slots=True)
class Description:
    """The words by which use cases are compared."""

    name: str
    purpose: str = ""
    output_unit: str = ""


def likely_duplicates(*, actor: Actor, about: Description, besides: Iterable[int] = ()) -> list[Likeness]:
    """At most three of the register that read alike, the most alike first; `besides` are left out. Two queries."""
    if len(about.name.strip()) < SHORTEST and len(about.purpose.strip()) < SHORTEST:
        return []
    register = Workload.objects.visible_to(actor).exclude(pk__in=list(besides))
    known = list(register.values_list("pk", "name", "purpose", "output_unit"))
    found = alike(about, [Description(*words) for _, *words in known])[:MOST]
    owned = Workload.objects.select_related("cost_centre", "business_owner")
    workloads = owned.in_bulk([known[at][0] for at, _, _ in found])
    return [Likeness(workloads[known[at][0]], score, grounds) for at, score, grounds in found]


def alike(about: Description, others: Sequence[Description]) -> list[tuple[int, float, str]]:
    """Which of the others read alike: position, score, grounds; the most alike first. Pure."""
    names = _scores(about.name, [other.name for other in others])
    purposes = _scores(about.purpose, [other.purpose for other in others])
    crossed = _scores(about.name, [other.purpose for other in others])
    units = _scores(about.output_unit, [other.output_unit for other in others])
    found = []
    for at in range(len(others)):
        parts = {"name": names[at], "purpose": purposes[at], "useful answer": units[at]}
        score = max(names[at], crossed[at] * 0.85, purposes[at] * 0.9, (names[at] + purposes[at] + units[at]) / 2.6)
        if score >= ALIKE:
            found.append((at, min(score, 100.0), _in_words([part for part, value in parts.items() if value >= ALIKE])))
    return sorted(found, key=lambda item: -item[1])


def _scores(text: str, others: Sequence[str]) -> Sequence[float]:
    """Likeness of a text to each other text; words in any order count, an empty text is like nothing."""
    if len(text.strip()) < SHORTEST:
        return [0.0] * len(others)
    shared, whole = (
        process.cdist([text], others, scorer=scorer, processor=utils.default_process)[0]
        for scorer in (fuzz.token_set_ratio, fuzz.token_sort_ratio)
    )
    # One shared word of many is little, all words of a longer name are much: the mean of both tells them apart.
    return [float(one + other) / 2 for one, other in zip(shared, whole, strict=True)]


def _in_words(parts: Sequence[str]) -> str:
    if not parts:
        return "its purpose reads like this name"
    return "similar " + (" and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}")

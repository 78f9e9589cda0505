"""Whose an unclaimed key may be: a guess with its grounds, from names, places and models. Pure, on plain data."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rapidfuzz import fuzz

NAME_ALIKE: Final = 84.0  # of 100: how alike a word must be to count as the same
SHARED_MODELS: Final = 0.5  # share of the key's models that the workload uses too
# Words that say nothing about whose a key is.
EMPTY_WORDS: Final = frozenset(
    (
        "a", "ai", "an", "and", "api", "app", "bot", "default", "dev", "exp", "for", "key", "llm", "ml", "of", "prod",
        "production", "project", "proj", "sandbox", "service", "sk", "svc", "team", "test", "the", "tmp", "to", "user",
        "v1", "v2", "with",
    )
)  # fmt: skip


class Strength(StrEnum):
    WEAK = "weak"
    FAIR = "fair"
    STRONG = "strong"


@dataclass(frozen=True, slots=True)
class Spender:
    """A key that nobody claims: the words in it and the models it used. `claimed_by`: registered for this very key."""

    words: frozenset[str]
    models: frozenset[int]
    claimed_by: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A workload as far as a guess needs it."""

    workload_id: int
    name: frozenset[str]
    place: frozenset[str]
    models: frozenset[int]
    keys: tuple[frozenset[str], ...] = ()  # the words of each key that is bound to it

    @property
    def words(self) -> frozenset[str]:
        return self.name.union(self.place, *self.keys)


@dataclass(frozen=True, slots=True)
class Suggestion:
    workload_id: int
    strength: Strength
    grounds: tuple[str, ...]


def words_of(*texts: str) -> frozenset[str]:
    """The telling words of names and keys: team-growth_exp -> growth."""
    found = re.findall(r"[^\W_]+", " ".join(texts).casefold())
    return frozenset(word for word in found if len(word) > 1 and not word.isdigit() and word not in EMPTY_WORDS)


class Guesser:
    """Answers for many keys: thousands of workloads are looked up by the beginnings of their words."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._by_start: dict[str, set[Candidate]] = {}
        self._by_models: dict[frozenset[int], list[Candidate]] = {}
        for candidate in candidates:
            for word in candidate.words:
                self._by_start.setdefault(word[:2], set()).add(candidate)
            self._by_models.setdefault(candidate.models, []).append(candidate)

    def guess(self, spender: Spender) -> Suggestion | None:
        """The likeliest workload, or None where nothing but chance speaks for one."""
        if spender.claimed_by is not None:
            return Suggestion(spender.claimed_by, Strength.STRONG, ("registered for this key",))
        return self._by_words(spender) or self._by_models_only(spender)

    def _by_words(self, spender: Spender) -> Suggestion | None:
        near = set().union(*(self._by_start.get(word[:2], ()) for word in spender.words))
        scored = [(candidate, *_evidence(spender, candidate)) for candidate in near]
        likely = [item for item in scored if item[1] > 0]
        if not likely:
            return None
        best = max(likely, key=lambda item: (item[1], -item[0].workload_id))
        is_alone = sum(item[1] == best[1] for item in likely) == 1
        return Suggestion(best[0].workload_id, _strength(best[1], is_alone=is_alone), best[2])

    def _by_models_only(self, spender: Spender) -> Suggestion | None:
        """Models alone fit many; they count only when they fit one."""
        fitting = [found for known, found in self._by_models.items() if _models_shared(spender.models, known)]
        if len(fitting) != 1 or len(fitting[0]) != 1:
            return None
        return Suggestion(fitting[0][0].workload_id, Strength.WEAK, ("models",))


def _evidence(spender: Spender, candidate: Candidate) -> tuple[float, tuple[str, ...]]:
    """How much the words speak for a workload, 0 to 1.6, and what does; models only add to words."""
    name = _share_in(spender.words, candidate.name)
    key = max((_share_in(spender.words, words) for words in candidate.keys), default=0.0)
    place = bool(_common(spender.words, candidate.place))
    if not name and not key and not place:
        return 0.0, ()
    models = _models_shared(spender.models, candidate.models)
    told = {"name": name > 0, "similar key": key > name, "cost centre": place, "models": models}
    return max(name, 0.8 * key) + 0.35 * place + 0.25 * models, tuple(word for word, counts in told.items() if counts)


def _strength(score: float, *, is_alone: bool) -> Strength:
    if score >= 0.9 and is_alone:
        return Strength.STRONG
    return Strength.FAIR if score >= 0.5 else Strength.WEAK


def _share_in(words: Collection[str], name: Collection[str]) -> float:
    """The share of the name's words that stand in the key, or of the key's in the name where that is the shorter."""
    common = len(_common(words, name))
    return common / min(len(words), len(name)) if common else 0.0


def _common(words: Collection[str], others: Collection[str]) -> set[str]:
    return {word for word in words if any(_alike(word, other) for other in others)}


def _alike(word: str, other: str) -> bool:
    """Equal, or near enough: a plural, a typo, another ending."""
    if word == other:
        return True
    if min(len(word), len(other)) < 4:
        return False
    is_beginning = word.startswith(other) or other.startswith(word)
    return (is_beginning and abs(len(word) - len(other)) <= 3) or fuzz.ratio(word, other) >= NAME_ALIKE


def _models_shared(used: Collection[int], known: Collection[int]) -> bool:
    return bool(used) and len(set(used) & set(known)) / len(set(used)) >= SHARED_MODELS


def grounds_in_words(grounds: Sequence[str]) -> str:
    """name, cost centre, models; models only where nothing else speaks for it."""
    return "models only" if list(grounds) == ["models"] else ", ".join(grounds)

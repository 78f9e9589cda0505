"""Guesses whose a key is, and likenesses of use cases: grounds, strength, and silence where chance speaks."""

import pytest

from apps.costs.suggestions import Candidate, Guesser, Spender, Strength, words_of
from apps.workloads.duplicates import Description, alike

EMAIL = Candidate(1, words_of("Personalised e-mail"), words_of("Marketing"), frozenset({10, 11}))
STUDIO = Candidate(2, words_of("Image studio"), words_of("Marketing"), frozenset({12}))
GROWTH = Candidate(3, words_of("Growth letters"), words_of("Sales"), frozenset({10}), (words_of("mailer-prod"),))
GUESSER = Guesser([EMAIL, STUDIO, GROWTH])


def spender(key: str, *models: int, claimed_by: int | None = None) -> Spender:
    return Spender(words_of(key), frozenset(models), claimed_by)


def test_telling_words_are_left_of_a_key() -> None:
    assert words_of("team-growth_exp/PROD 2") == {"growth"}


@pytest.mark.parametrize(
    ("key", "models", "workload", "strength", "grounds"),
    [
        ("team-growth-exp", (10,), 3, Strength.STRONG, ("name", "models")),
        ("image-tests", (), 2, Strength.FAIR, ("name",)),
        ("sales-trial", (), 3, Strength.WEAK, ("cost centre",)),
        ("mailer-stage", (), 3, Strength.FAIR, ("similar key",)),
        ("zzz", (12,), 2, Strength.WEAK, ("models",)),
    ],
)
def test_a_guess_says_on_what_it_stands(
    key: str, models: tuple[int, ...], workload: int, strength: Strength, grounds: tuple[str, ...]
) -> None:
    guess = GUESSER.guess(spender(key, *models))
    assert guess is not None
    assert (guess.workload_id, guess.strength, guess.grounds) == (workload, strength, grounds)


def test_no_guess_where_only_chance_speaks() -> None:
    assert GUESSER.guess(spender("notebook-jh")) is None
    # Two workloads use this model, so the model alone says nothing.
    assert GUESSER.guess(spender("zzz", 10)) is None
    assert GUESSER.guess(spender("default")) is None


def test_who_registered_for_this_very_key_comes_first() -> None:
    guess = GUESSER.guess(spender("image", 12, claimed_by=1))
    assert guess is not None
    assert (guess.workload_id, guess.strength) == (1, Strength.STRONG)


def test_the_order_of_candidates_does_not_matter() -> None:
    for key in ("marketing-x", "image-letters"):
        assert Guesser([GROWTH, STUDIO, EMAIL]).guess(spender(key)) == GUESSER.guess(spender(key))


REGISTER = [
    Description("Support ticket summaries", "Summarises support tickets for agents", "ticket summary"),
    Description("Shop search", "Finds goods by what people mean", "search with a click"),
    Description("Contract risk review", "Marks risky clauses", "reviewed contract"),
]


@pytest.mark.parametrize(
    ("about", "found"),
    [
        (Description("Ticket summaries"), [0]),
        (Description("support-ticket summary"), [0]),
        (Description("Search in the shop"), [1]),
        (Description("Voice agent", "Answers calls"), []),
        (Description("ab"), []),
        (Description("Something else", "Summarises support tickets for our agents"), [0]),
    ],
)
def test_likely_duplicates_are_found_by_their_words(about: Description, found: list[int]) -> None:
    assert [at for at, _, _ in alike(about, REGISTER)] == found

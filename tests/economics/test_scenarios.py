"""Ways out of a month of labels: 10,000,000 tokens in and 1,000,000 out on a model of 2.50 and 10.00, worth 12.00."""

from dataclasses import replace
from decimal import Decimal

from apps.costs.repricing import Lot, Rates, Tokens, cost_at
from apps.economics.scenarios import Facts, Kind, Way, ways_out

D = Decimal
LARGE = Rates(input=D("2.50"), cached=D("1.25"), output=D(10))
BATCH = Rates(input=D("1.25"), cached=D("1.25"), output=D(5))
SMALL = Rates(input=D("0.15"), cached=D("0.075"), output=D("0.60"))
MIDDLE = Rates(input=D("0.40"), cached=D("0.10"), output=D("1.60"))
LOT = Lot(
    model="openai/large",
    tier="standard",
    prompt_band=0,
    tokens=Tokens(input=10_000_000, output=1_000_000),
    now=LARGE,
    batch=BATCH,
    lower={"openai/middle": MIDDLE, "openai/small": SMALL},
)
# 25.00 for input and 10.00 for output, of which 3.00 for attempts that failed; and 5.00 that calls do not cause.
FACTS = Facts(
    cost=D(40),
    direct=D(35),
    worth=D(12),
    components={"token": D(32), "retry_failed": D(3), "support_labour": D(5)},
    lots=[LOT],
    band_limit_ms=600_000,
    batch_limit_ms=600_000,
)


def told(facts: Facts) -> list[tuple[str, Decimal, Decimal | None]]:
    return [(way.kind.value, way.saves, way.net) for way in ways_out(facts).ways]


def one(facts: Facts, kind: Kind) -> Way:
    return next(way for way in ways_out(facts).ways if way.kind is kind)


def test_the_ways_that_save_the_best_first_and_no_more_than_four() -> None:
    """It nets -28 today. Small costs 1.50 + 0.60, batch half; a cap at 12 - 5 is a fifth of the calls and the worth."""
    assert told(FACTS) == [
        ("downgrade", D("32.9"), D("4.9")),
        ("stop", D(40), D(0)),
        ("cap", D(28), D("-9.6")),
        ("batch", D("17.5"), D("-10.5")),
    ]


def test_what_goes_away_with_a_cap_and_with_an_end_is_said() -> None:
    cap, stop = one(FACTS, Kind.CAP), one(FACTS, Kind.STOP)

    assert (cap.cap, cap.loses) == (D(7), D("9.6"))
    assert stop.loses == D(12)


def test_attempts_that_failed_and_idle_accelerators_are_saved_whole() -> None:
    facts = replace(FACTS, lots=[], worth=D(100), components={"retry_failed": D(3), "gpu_idle": D(9)})

    assert told(facts) == [("idle", D(9), D(69)), ("retries", D(3), D(63))]


def test_what_pays_is_neither_ended_nor_capped_and_what_is_mandated_is_not_either() -> None:
    for facts in (replace(FACTS, worth=D(41)), replace(FACTS, is_mandated=True)):
        assert [kind for kind, *_ in told(facts)] == ["downgrade", "batch", "retries"]


def test_where_nobody_knows_the_worth_the_net_is_unknown_and_an_end_comes_last() -> None:
    assert told(replace(FACTS, worth=None)) == [
        ("downgrade", D("32.9"), None),
        ("batch", D("17.5"), None),
        ("retries", D(3), None),
        ("stop", D(40), D(0)),
    ]
    assert one(replace(FACTS, worth=None), Kind.STOP).loses is None


def test_batch_for_who_was_promised_seconds_is_marked_and_comes_last() -> None:
    found = ways_out(replace(FACTS, worth=D(41), band_limit_ms=2_000))

    assert [(way.kind.value, way.breaks_band) for way in found.ways] == [
        ("downgrade", False),
        ("retries", False),
        ("batch", True),
    ]
    assert not one(replace(FACTS, band_limit_ms=None), Kind.BATCH).breaks_band


def test_a_rate_that_nobody_states_is_no_rate_of_zero() -> None:
    """A model that states no price for output cannot answer; where none is left that way is said to be unknown."""
    embeds = Rates(input=D("0.02"))
    facts = replace(FACTS, lots=[replace(LOT, batch=None, lower={"openai/embed": embeds})], apart=["openai/odd"])

    found = ways_out(facts)

    assert cost_at(LOT.tokens, embeds) is None
    assert [way.kind.value for way in found.ways] == ["stop", "cap", "retries"]
    assert (found.no_batch, found.no_lower, found.apart) == (("openai/large",), ("openai/large",), ("openai/odd",))


def test_a_model_moves_whole_to_one_that_has_a_price_for_all_its_prompts() -> None:
    """Small is the cheaper one, and has no price for long prompts."""
    long = replace(LOT, prompt_band=2, tokens=Tokens(input=2_000_000), lower={"openai/middle": MIDDLE})

    way = one(replace(FACTS, lots=[LOT, long]), Kind.DOWNGRADE)

    assert {move.to for move in way.moves} == {"openai/middle"}
    assert way.saves == D("33.6")  # 35 + 5 less 4 + 1.60 + 0.80


def test_lots_that_only_another_price_set_apart_are_told_as_one() -> None:
    later = replace(LOT, lower={"openai/middle": replace(MIDDLE, input=D("0.50")), "openai/small": SMALL})

    (move,) = one(replace(FACTS, lots=[LOT, later]), Kind.DOWNGRADE).moves

    assert (move.to, move.tokens) == ("openai/small", Tokens(input=20_000_000, output=2_000_000))
    assert (move.cost_now, move.cost_then) == (D(70), D("4.2"))


def test_a_model_that_would_become_dearer_stays() -> None:
    dearer = Rates(input=D(3), output=D(12))
    other = replace(LOT, model="google/other", lower={"google/dear": dearer}, batch=dearer)

    found = ways_out(replace(FACTS, lots=[LOT, other]))

    assert {move.model for way in found.ways for move in way.moves} == {"openai/large"}


def test_what_is_batch_already_is_not_said_to_lack_batch_rates() -> None:
    found = ways_out(replace(FACTS, lots=[replace(LOT, tier="batch", batch=None)]))

    assert "batch" not in [way.kind.value for way in found.ways]
    assert found.no_batch == ()

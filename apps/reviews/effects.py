"""What a disposition does to a workload: pure, so that the preview and the deed are the same list.

A disposition only keeps or tightens. What would loosen is refused with a sentence; a request is the way to that.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

CONTINUE, OPTIMISE, DOWNGRADE, MOVE_TO_BATCH, CAP, SUSPEND, SUNSET = (
    *("continue", "optimise", "downgrade", "move_to_batch", "cap", "suspend", "sunset"),
)
# These ask somebody to do something: without owner and date it would not be done.
NEED_AN_ACTION: Final = frozenset({OPTIMISE, DOWNGRADE, MOVE_TO_BATCH})
# What is about no single workload can be noted, or given to somebody.
WITHOUT_WORKLOAD: Final = (CONTINUE, OPTIMISE)
ALL: Final = (CONTINUE, OPTIMISE, DOWNGRADE, MOVE_TO_BATCH, CAP, SUSPEND, SUNSET)
LONGEST_REASON: Final = 500


class Field(StrEnum):
    """What changes."""

    STATE = "state"
    STAGE = "stage"
    BAND = "band"
    BUDGET = "budget"
    ACTION = "action"


class Refused(ValueError):
    """The disposition cannot be recorded as it is asked for; the message says why, `field` where."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Facts:
    """The workload as it stands. Money a month; `band_limit_ms` None has no limit (scheduled).

    `budget` holds from `next_month` on, None is no budget: then a cap is the first one. `cost` is of the
    reviewed month, `later` are budgets that begin after `next_month`.
    """

    state: str
    stage: str
    band: str
    band_limit_ms: int | None
    batch: str
    batch_limit_ms: int | None
    budget: Decimal | None
    next_month: date
    cost: Decimal | None = None
    later: tuple[tuple[date, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to record. `owner` is the name of who acts."""

    what: str
    reason: str = ""
    amount: Decimal | None = None
    owner: str = ""
    due: date | None = None
    promised_saving: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that changes, from `starts` on (None: at once)."""

    field: Field
    before: str | None
    after: str
    starts: date | None = None

    def as_json(self) -> dict[str, Any]:
        starts = self.starts.isoformat() if self.starts else None
        return {"field": self.field.value, "before": self.before, "after": self.after, "starts": starts}


def allowed(facts: Facts | None) -> tuple[str, ...]:
    """The dispositions that an item offers, in the order of their keys; `facts` None: no workload behind it."""
    if facts is None:
        return WITHOUT_WORKLOAD
    return ALL


def plan(facts: Facts | None, wish: Wish, *, today: date) -> tuple[Effect, ...]:
    """Everything that recording the wish will do; raises Refused for what is incomplete or would loosen."""
    if wish.what not in allowed(facts):
        raise Refused("This is not about one workload, so there is nothing to change.", "what")
    _check_action(wish, today)
    if facts and facts.cost is not None and wish.promised_saving is not None and wish.promised_saving > facts.cost:
        raise Refused(f"It costs {_plain(facts.cost)} a month; more than that cannot be saved.", "promised_saving")
    effects = _on_workload(facts, wish) if facts else ()
    return (*effects, *_action(wish))


def working_day(day: date) -> date:
    """The day itself, or the Monday after a weekend: nobody is late for not working on a Sunday."""
    return day + timedelta(days=max(0, 7 - day.weekday())) if day.weekday() >= 5 else day


def _check_action(wish: Wish, today: date) -> None:
    if wish.promised_saving is not None and (not wish.promised_saving.is_finite() or wish.promised_saving < 0):
        raise Refused("A promised saving is an amount of money, zero or more.", "promised_saving")
    if wish.what in NEED_AN_ACTION and not wish.owner:
        raise Refused("Say who does it.", "owner")
    if wish.owner and wish.due is None:
        raise Refused("Say by when it is to be done.", "due")
    if wish.due is not None and not wish.owner:
        raise Refused("Say who does it.", "owner")
    if wish.promised_saving is not None and not wish.owner:
        raise Refused("A saving is promised by somebody: say who.", "owner")
    if wish.due is not None and wish.due < today:
        raise Refused("The date has passed already.", "due")


def _action(wish: Wish) -> tuple[Effect, ...]:
    if not wish.owner or wish.due is None:
        return ()
    return (Effect(Field.ACTION, None, wish.owner, working_day(wish.due)),)


def _on_workload(facts: Facts, wish: Wish) -> tuple[Effect, ...]:
    if wish.what == MOVE_TO_BATCH:
        return _slower(facts)
    if wish.what == CAP:
        return _capped(facts, wish.amount)
    if wish.what == SUSPEND:
        return _suspended(facts)
    if wish.what == SUNSET:
        return (*_ending(facts), *_budget(facts, Decimal(0)))
    return ()


def _slower(facts: Facts) -> tuple[Effect, ...]:
    """The band of batch, unless the workload has that much time already."""
    has_time = facts.band_limit_ms is None or (
        facts.batch_limit_ms is not None and facts.band_limit_ms >= facts.batch_limit_ms
    )
    if facts.band and has_time:
        return ()
    return (Effect(Field.BAND, facts.band or None, facts.batch),)


def _capped(facts: Facts, amount: Decimal | None) -> tuple[Effect, ...]:
    if amount is None:
        raise Refused("Say at which amount a month.", "amount")
    if not amount.is_finite() or amount < 0:
        raise Refused("A cap is an amount of money, zero or more.", "amount")
    if facts.budget is not None and amount > facts.budget:
        raise Refused(
            f"A review cannot raise a budget: {_plain(facts.budget)} a month is what it has. Ask for more instead.",
            "amount",
        )
    return _budget(facts, amount)


def _suspended(facts: Facts) -> tuple[Effect, ...]:
    return () if facts.state == "suspended" else (Effect(Field.STATE, facts.state, "suspended"),)


def _ending(facts: Facts) -> tuple[Effect, ...]:
    return () if facts.stage == "sunset" else (Effect(Field.STAGE, facts.stage, "sunset"),)


def _budget(facts: Facts, amount: Decimal) -> tuple[Effect, ...]:
    """From next month on, and wherever a later budget would let more be spent again."""
    next_one = Effect(Field.BUDGET, _or_none(facts.budget), _plain(amount), facts.next_month)
    found = [] if facts.budget == amount else [next_one]
    above = ((month, later) for month, later in facts.later if later > amount)
    return (*found, *(Effect(Field.BUDGET, _plain(later), _plain(amount), month) for month, later in above))


def _or_none(amount: Decimal | None) -> str | None:
    return None if amount is None else _plain(amount)


def _plain(amount: Decimal) -> str:
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text

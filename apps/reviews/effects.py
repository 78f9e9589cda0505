"""What a disposition does to a workload: pure, so that the preview and the deed are the same list.

A disposition only keeps or tightens. What would loosen is refused with a sentence; a request is the way to that.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from apps.core.working_days import working_day

LONGEST_REASON: Final = 500
ACTIVE, SUSPENDED, ENDING = "active", "suspended", "sunset"


class Kind(StrEnum):
    """What may be decided, in the order of the keys 1 to 7."""

    CONTINUE = "continue"
    OPTIMISE = "optimise"
    DOWNGRADE = "downgrade"
    MOVE_TO_BATCH = "move_to_batch"
    CAP = "cap"
    SUSPEND = "suspend"
    SUNSET = "sunset"


# These ask somebody to do something: without owner and date it would not be done.
NEED_AN_ACTION: Final = frozenset({Kind.OPTIMISE, Kind.DOWNGRADE, Kind.MOVE_TO_BATCH})


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
class Limit:
    """A budget as it holds from `month` on; `amount` None: there is none any more, so nothing limits the spending.

    A suspended one keeps its amount, which holds again once it is resumed: it is no budget of 0.
    """

    month: date
    amount: Decimal | None
    is_suspended: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """The workload as it stands. Money a month; `band_limit_ms` None has no limit (scheduled).

    `budget` holds in the running month, from which a decision holds too; without an amount a cap is the first one.
    `later` are budgets that begin after it. `cost` is of the reviewed month.
    """

    state: str
    stage: str
    band: str
    band_limit_ms: int | None
    batch: str
    batch_limit_ms: int | None
    budget: Limit
    cost: Decimal | None = None
    later: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to record. `owner` is the key of who acts: what is decided stays, and names can be erased."""

    what: str
    reason: str = ""
    amount: Decimal | None = None
    owner: int | None = None
    due: date | None = None
    promised_saving: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that changes, from `starts` on (None: at once). Of an action `after` is the key of who acts until then.

    `saving` is what was promised with an action; `is_suspended` marks a budget that is lowered and stays suspended.
    """

    field: Field
    before: str | None
    after: str
    starts: date | None = None
    saving: str | None = None
    is_suspended: bool = False

    def as_json(self) -> dict[str, Any]:
        starts = self.starts.isoformat() if self.starts else None
        told = {"field": self.field.value, "before": self.before, "after": self.after, "starts": starts}
        more = {"saving": self.saving, "is_suspended": self.is_suspended}
        return {**told, **{name: value for name, value in more.items() if value}}


def allowed(*, is_about_one: bool) -> tuple[Kind, ...]:
    """What an item offers, in the order of the keys; what is about no single workload is noted or given to somebody."""
    return tuple(Kind) if is_about_one else (Kind.CONTINUE, Kind.OPTIMISE)


def plan(
    facts: Facts | None, wish: Wish, *, today: date, off: Collection[date] = ()
) -> tuple[Effect, ...]:  # fmt: skip
    """Everything that recording the wish will do; raises Refused for what is incomplete or would loosen.

    `off` are the organisation's days off: what is due on one of them, or at a weekend, is due on the next working day.
    """
    if wish.what not in allowed(is_about_one=facts is not None):
        raise Refused("This is not about one workload, so there is nothing to change.", "what")
    _check_action(wish, today)
    if facts and facts.cost is not None and wish.promised_saving is not None and wish.promised_saving > facts.cost:
        raise Refused(f"It costs {_plain(facts.cost)} a month; more than that cannot be saved.", "promised_saving")
    effects = _on_workload(facts, wish) if facts else ()
    return (*effects, *_action(wish, off))


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


def _action(wish: Wish, off: Collection[date]) -> tuple[Effect, ...]:
    if not wish.owner or wish.due is None:
        return ()
    due = working_day(wish.due, off)
    return (Effect(Field.ACTION, None, str(wish.owner), due, _or_none(wish.promised_saving)),)


def _on_workload(facts: Facts, wish: Wish) -> tuple[Effect, ...]:
    if wish.what == Kind.MOVE_TO_BATCH:
        return _slower(facts)
    if wish.what == Kind.CAP:
        return _capped(facts, wish.amount)
    if wish.what == Kind.SUSPEND:
        return _suspended(facts)
    if wish.what == Kind.SUNSET:
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
    standing = facts.budget.amount
    if standing is not None and amount > standing:
        raise Refused(
            f"A review cannot raise a budget: {_plain(standing)} a month is what it has. Ask for more instead.",
            "amount",
        )
    return _budget(facts, amount)


def _suspended(facts: Facts) -> tuple[Effect, ...]:
    """Only what runs can be stopped."""
    return (Effect(Field.STATE, facts.state, SUSPENDED),) if facts.state == ACTIVE else ()


def _ending(facts: Facts) -> tuple[Effect, ...]:
    return () if facts.stage == ENDING else (Effect(Field.STAGE, facts.stage, ENDING),)


def _budget(facts: Facts, amount: Decimal) -> tuple[Effect, ...]:
    """From the running month on, and wherever a later budget, or the end of one, would let more be spent again.

    Also at the amount that holds already: from then on it takes somebody else's decision to raise it.
    """
    changed = [facts.budget, *(limit for limit in facts.later if limit.amount is None or limit.amount > amount)]
    return tuple(
        Effect(Field.BUDGET, _or_none(limit.amount), _plain(amount), limit.month, is_suspended=limit.is_suspended)
        for limit in changed
    )


def _or_none(amount: Decimal | None) -> str | None:
    return None if amount is None else _plain(amount)


def _plain(amount: Decimal) -> str:
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text

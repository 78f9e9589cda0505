"""What Home is made of: its rows, its checks, and who looks at which period."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from apps.accounts.rights import Right, Rights
from apps.core.actor import Actor
from apps.costs.selectors import CostTotals
from apps.web import figures
from apps.web.period import PeriodChoice

Group = Literal["Today", "This week", "Later"]
GROUPS: Final[tuple[Group, ...]] = ("Today", "This week", "Later")
MOST_OF_A_KIND: Final = 5
_PRESSING: Final = {"bad": 0, "warn": 1}


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the list: icon, verb and object, why me, money, due, one button. `code` and `after` end the why.

    `stake` is the money behind the row in the organisation's currency; rows with more of it come first.
    """

    group: Group
    icon: str
    title: str
    why: str
    href: str
    action: str
    money: str = figures.UNKNOWN
    money_note: str = ""
    due: str = ""
    due_tone: str = ""
    code: str = ""
    after: str = "."
    stake: Decimal = Decimal(0)

    @property
    def order(self) -> tuple[int, Decimal]:
        """Within its group: what is late, what soon is, then the most money."""
        return _PRESSING.get(self.due_tone, 2), -self.stake


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be right before a month is closed; `text` says what is, or what is not yet.

    `action` is the word of the button that leads to `href` while it is open.
    """

    text: str
    is_done: bool
    note: str = ""
    href: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do when nothing waits."""

    title: str
    text: str
    action: str
    href: str


@dataclass(frozen=True)
class Looker:
    """Who looks at which period, and the money that they may see of it."""

    actor: Actor
    rights: Rights
    period: PeriodChoice
    currency: str
    unallocated_limit: Decimal
    totals: CostTotals

    @property
    def sees_money(self) -> bool:
        return self.rights.may(Right.SEE_MONEY) or bool(self.totals.now.lines)

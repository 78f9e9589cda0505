"""Who does something, and through which door."""

from dataclasses import dataclass
from typing import Literal

Channel = Literal["web", "api", "command", "task", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """The person (or clock) behind a write; every service takes one first.

    `person_id` is None when no person is behind it (a schedule, a command on the machine itself).
    """

    person_id: int | None
    label: str
    channel: Channel

    @classmethod
    def system(cls, label: str) -> "Actor":
        return cls(person_id=None, label=label, channel="system")

    @classmethod
    def command(cls, label: str) -> "Actor":
        return cls(person_id=None, label=label, channel="command")

    @property
    def is_machine(self) -> bool:
        """The clock and the commands run on the organisation's own machine; they see everything and decide nothing."""
        return self.person_id is None and self.channel in ("system", "command", "task")

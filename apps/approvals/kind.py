"""What a kind of change is: one class in one file of `kinds/`, found by being there.

Inbox, page, history and proof read `registry()`. An app above this one has a package `kinds` of its own. A kind applies
what was confirmed through the service of the app that owns the subject, inside the transaction of the decision.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar

from django.apps import apps
from django.db import models

from apps.accounts.models import Role
from apps.accounts.rights import BY_ROLE, Right
from apps.approvals.models import Barred
from apps.approvals.statement import Values
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.workloads.models import Workload


@dataclass(frozen=True, slots=True)
class Row:
    """One line of what changes, in words; empty before is "nothing"."""

    label: str
    before: str
    after: str

    @property
    def is_changed(self) -> bool:
        return self.before != self.after

    @property
    def address(self) -> str:
        """What stands, where it is the address of a page: evidence, for one."""
        return self.before if self.before.startswith(("https://", "http://")) else ""


@dataclass(frozen=True, slots=True)
class Applying:
    """A confirmed change on its way into the app that owns it; `asker` is who does it, `decider` who let it."""

    asker: Actor
    decider: Actor
    subject: Any
    proposed: Values
    reason: str
    decision_id: int


class Kind(ABC):
    """One kind of change. Values that it keeps are JSON: texts, ids, None; money as text with all digits."""

    name: ClassVar[str]
    label: ClassVar[str]
    icon: ClassVar[str] = "circle-check"
    model: ClassVar[type[models.Model]]
    # Any of these rights lets one decide; the second ones count where nobody has the first.
    deciders: ClassVar[tuple[Right, ...]]
    stand_ins: ClassVar[tuple[Right, ...]] = ()
    # Whether only a role for the whole organisation decides it; the database reads it off the kind's name.
    of_all: ClassVar[bool] = False
    # Who sees it beside asker and deciders; None: whoever sees the workload's money.
    seen_with: ClassVar[Right | None] = None

    def workload_of(self, subject: Any) -> Workload | None:
        """The workload whose owners and editors are barred, and whose cost centre says which roles reach it."""
        return subject if isinstance(subject, Workload) else None

    def key_of(self, subject: Any, proposed: Values) -> str:  # noqa: ARG002
        """Tells changes of one subject apart that may wait side by side."""
        return ""

    def barred(self, subject: Any, proposed: Values) -> Mapping[int, Barred.Why]:  # noqa: ARG002
        """Persons who may not decide beyond those whom every kind bars, and why."""
        return {}

    def subjects(self, ids: list[int]) -> dict[int, Any]:
        """The subjects of many confirmations in one query, with what `title` reads."""
        return dict(self.model._default_manager.in_bulk(ids))  # noqa: SLF001

    @abstractmethod
    def may_ask(self, actor: Actor, subject: Any) -> bool: ...

    @abstractmethod
    def clean(self, actor: Actor, subject: Any, proposed: Mapping[str, Any]) -> Values:
        """The proposal, checked, as JSON. Raises BadInput for what could not be applied."""

    @abstractmethod
    def standing(self, subject: Any, proposed: Values) -> Values:
        """What stands now, under the same names; compared again when it is decided."""

    def stands(self, subject: Any, proposed: Values) -> Values:
        """What stands, and where: the cost centre says whose roles reach it, so a moved one is another question."""
        workload = self.workload_of(subject)
        centre = workload.cost_centre if workload else None
        return {**self.standing(subject, proposed), **({"placed_in": centre.path} if centre else {})}

    @abstractmethod
    def title(self, subject: Any, proposed: Values) -> str:
        """What is asked for, in a few words, without the subject's name where a workload is named beside it."""

    @abstractmethod
    def rows(self, subject: Any, standing: Values, proposed: Values) -> list[Row]: ...

    @abstractmethod
    def apply(self, change: Applying) -> None: ...


def roles_with(rights: tuple[Right, ...]) -> list[Role]:
    return [role for role, held in BY_ROLE.items() if held.intersection(rights)]


@cache
def registry() -> dict[str, Kind]:
    """Every kind by its name, from the package `kinds` of every app that has one."""
    found = {kind.name: kind() for kind in _classes()}
    return dict(sorted(found.items()))


def get(name: str) -> Kind:
    try:
        return registry()[name]
    except KeyError as error:
        raise BadInput(f"“{name}” is no kind of change.", hint=f"Known: {', '.join(registry())}.") from error


def _classes() -> Iterator[type[Kind]]:
    for config in apps.get_app_configs():
        package = f"{config.name}.kinds"
        if not config.name.startswith("apps.") or find_spec(package) is None:
            continue
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            values = vars(importlib.import_module(module.name)).values()
            yield from (value for value in values if _is_kind(value, module.name))


def _is_kind(value: object, module: str) -> bool:
    return isinstance(value, type) and issubclass(value, Kind) and value.__module__ == module

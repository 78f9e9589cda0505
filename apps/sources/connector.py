"""What a connector is: one class in one file of `connectors/`, found by being there.

The form for adding a source, its choices, the table in the documentation and the contract test all read `registry()`.
"""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from django import forms

from apps.core.errors import BadInput
from apps.sources import connectors, vault
from apps.sources.models import Pull, Source

Row = Mapping[str, object]


class SecretField(forms.CharField):
    """A value that is stored encrypted and never shown again; left empty on a change it stays as it is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off"}), **kwargs)


class NoConfig(forms.Form):
    """For a kind that needs nothing set."""


@dataclass(frozen=True, slots=True)
class Window:
    """Full hours, half-open, in UTC."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that a source offers now. `name` is its part, unique within the source; `changed_ns` since 1970."""

    name: str
    path: Path
    size: int
    changed_ns: int


class Connector(ABC):
    """One kind of source. Subclass `FileConnector` or `RowConnector`, or this one where nothing is ever pulled."""

    kind: ClassVar[str]
    label: ClassVar[str]
    explanation: ClassVar[str] = ""
    Config: ClassVar[type[forms.Form]] = NoConfig
    # Pages are handed the class itself; a template would else try to make one.
    do_not_call_in_templates: ClassVar[bool] = True

    def __init__(self, source: Source) -> None:
        self.source = source
        self.config: dict[str, Any] = source.config

    @property
    def secrets(self) -> dict[str, str]:
        return vault.open_(self.source.secret)

    def check(self) -> str:
        """Try it: a sentence that says what was found; a `TollgateError` says what is wrong."""
        return "Nothing needs to be set up."

    @classmethod
    def split(cls, cleaned: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
        """The values of the form as what may be stored in the open, and the secrets."""
        fields = cls.Config.base_fields
        secret = {name for name, field in fields.items() if isinstance(field, SecretField)}
        open_values = {name: value for name, value in cleaned.items() if name in fields and name not in secret}
        return open_values, {name: str(cleaned[name]) for name in secret if cleaned.get(name)}


class FileConnector(Connector):
    """A source that offers whole files; each is a part, loaded again when it changed."""

    @abstractmethod
    def files(self) -> Iterable[FoundFile]:
        """Every file that is offered now, complete or not."""

    @abstractmethod
    def reading(self) -> tuple[Pull.Format, dict[str, Any]]:
        """The format of the files and the options with which they are read."""

    @property
    def settle_seconds(self) -> int:
        """A file that has not changed for so long counts as complete at the first look."""
        return 60


class RowConnector(Connector):
    """A source that is asked for a window; its rows are written to a file and read like any other."""

    part_name: ClassVar[str] = "live"
    format: ClassVar[Pull.Format] = Pull.Format.USAGE

    @abstractmethod
    def windows(self, now: datetime) -> list[Window]:
        """What is due, oldest first; empty when nothing is new."""

    @abstractmethod
    def rows(self, since: datetime, until: datetime) -> Iterator[Row]:
        """Everything that the source says about the window, in the fields of `format`; no row of another hour.

        To end without a row says that nothing was used, and empties the window. So whatever is no clear answer must
        raise: an empty body, a page of HTML, an object without its list. `TollgateError` says what is wrong,
        `ConnectionError` and `TimeoutError` are tried again.
        """

    def published(self) -> None:
        """Called in the transaction that publishes the window whose rows this object gave last."""


@cache
def registry() -> dict[str, type[Connector]]:
    """All kinds by name, in the order of their labels."""
    for module in pkgutil.iter_modules(connectors.__path__, f"{connectors.__name__}."):
        importlib.import_module(module.name)
    found = sorted(_concrete(Connector), key=lambda kind: kind.label)
    return {kind.kind: kind for kind in found}


def connector_of(source: Source) -> Connector:
    kind = registry().get(source.kind)
    if kind is None:
        raise BadInput(f"The kind '{source.kind}' of source {source.slug} is not installed.")
    return kind(source)


def _concrete(base: type[Connector]) -> Iterator[type[Connector]]:
    for kind in base.__subclasses__():
        if "kind" in vars(kind):
            yield kind
        yield from _concrete(kind)

"""The shapes that components take: a page's selector or view builds them, the template only places them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Kpi:
    """One figure of a strip. `strong` is the bold start of the context line; `why` is the address of its proof."""

    label: str
    figure: str
    context: str = ""
    strong: str = ""
    tone: Tone = ""
    why: str = ""
    help: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. An empty `sort` means that the table cannot be sorted by it."""

    label: str
    sort: str = ""
    is_number: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of a chip's menu."""

    label: str
    href: str
    is_chosen: bool = False
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter: active with a link that takes it off, or possible with a link or a menu that puts it on."""

    label: str
    href: str = ""
    is_on: bool = False
    is_add: bool = False
    choices: Sequence[Choice] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a form in pages; only one that is done may be gone back to."""

    label: str
    state: Literal["done", "current", "ahead"]
    href: str = ""


@dataclass(frozen=True, slots=True)
class Tab:
    label: str
    href: str
    is_current: bool = False
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Crumb:
    label: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a stacked bar: its share as a ratio, and the tone that fills it."""

    ratio: float
    tone: str
    label: str = ""
    is_hatched: bool = False

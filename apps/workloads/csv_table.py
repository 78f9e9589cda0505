"""Reading a small table that a person made in a spreadsheet: every cell as text, every refusal with its line."""

import csv
import hashlib
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from apps.core.errors import BadInput

MOST_BYTES: Final = 1_000_000
MOST_LINES: Final = 5_000
LONGEST_CELL: Final = 5_000
# Our own exports put an apostrophe before what a spreadsheet would run; reading takes it off again.
FORMULA_STARTS: Final = "=+-@\t\r|＝＋－＠"


@dataclass(frozen=True, slots=True)
class Line:
    """One row: its number in the file, and the cells that are not empty, by column."""

    number: int
    cells: Mapping[str, str]


class Kind(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a row: what stands and what the file says."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RowResult:
    """What a row does, or would do."""

    number: int
    kind: Kind
    label: str
    changes: tuple[Change, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    rows: tuple[RowResult, ...]

    def count(self, kind: Kind) -> int:
        return sum(row.kind is kind for row in self.rows)

    @property
    def does_something(self) -> bool:
        return any(row.kind in (Kind.NEW, Kind.CHANGED) for row in self.rows)

    @property
    def digest(self) -> str:
        """Two runs with the same digest do the same."""
        return hashlib.sha256(repr(self.rows).encode()).hexdigest()


def read_table(content: bytes, *, columns: Collection[str], required: Collection[str]) -> list[Line]:
    """The rows of a CSV file. Raises BadInput with a sentence for what is no such table."""
    if len(content) > MOST_BYTES:
        raise BadInput(f"The file is larger than {MOST_BYTES // 1_000_000} MB.", hint="Split it.")
    rows = list(_rows(_decoded(content)))
    if not rows:
        raise BadInput("The file is empty.", hint="Start from the template.")
    head = _head(rows[0][1], columns, required)
    lines = [_line(number, head, row) for number, row in rows[1:] if any(cell.strip() for cell in row)]
    if not lines:
        raise BadInput("The file has a header and no rows.", hint="Add a row for each entry.")
    if len(lines) > MOST_LINES:
        raise BadInput(f"The file has more than {MOST_LINES:,} rows.", hint="Split it.")
    return lines


def _decoded(content: bytes) -> str:
    """UTF-8, or UTF-16 where the file says so; anything else would turn names into nonsense."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadInput("The file is not UTF-8.", hint="Save it as “CSV UTF-8” and try again.") from error


def _rows(text: str) -> list[tuple[int, list[str]]]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, begins = [], 1
    try:
        for row in reader:
            rows.append((begins, row))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(f"Line {reader.line_num} cannot be read: {error}.", hint="Is a quote left open?") from error
    return rows


def _head(row: Sequence[str], columns: Collection[str], required: Collection[str]) -> list[str]:
    names = [cell.strip().casefold().replace(" ", "_") for cell in row]
    strangers = [name for name in names if name not in columns]
    if strangers:
        shown = ", ".join(f"“{name[:40]}”" for name in strangers[:5])
        raise BadInput(f"There is no column {shown}.", hint=f"Columns are {', '.join(columns)}.")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise BadInput(f"The column {', '.join(doubled)} stands there twice.")
    missing = [name for name in required if name not in names]
    if missing:
        raise BadInput(f"The column {', '.join(missing)} is missing.", hint="Start from the template.")
    return names


def _line(number: int, head: Sequence[str], row: Sequence[str]) -> Line:
    if len(row) > len(head) and any(cell.strip() for cell in row[len(head) :]):
        raise BadInput(f"Line {number} has more cells than the header.", hint="Put text with commas in quotes.")
    cells = {name: _plain(cell) for name, cell in zip(head, row, strict=False) if cell.strip()}
    if any(len(cell) > LONGEST_CELL for cell in cells.values()):
        raise BadInput(f"Line {number} has a cell of more than {LONGEST_CELL:,} characters.")
    return Line(number, cells)


def _plain(cell: str) -> str:
    text = cell.strip()
    return text[1:] if text[:1] == "'" and text[1:2] in tuple(FORMULA_STARTS) else text

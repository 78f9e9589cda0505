"""Open files as one DuckDB view of raw columns, and refuse in words what nobody could read.

DuckDB sees the job's work folder and the job's files and nothing else. Files are linked into the folder under plain
names, so that no name of a file is ever taken for a pattern.
"""

import csv
import errno
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

CSV, JSON, PARQUET = "csv", "json", "parquet"
HEAD_BYTES = 1 << 20
COPY_BYTES = 1 << 20
# A control character, which JSON never holds, keeps DuckDB from splitting the line.
JSON_QUOTING = "delim = chr(1), quote = '', escape = '', skip = 0"
DELIMITERS = ",;\t|"
MIB = 1 << 20
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class FileError(Exception):
    """A file that cannot be read, in a sentence for its owner; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Guards:
    """What a file may cost before it is refused."""

    max_columns: int = 2_000
    max_line_bytes: int = 8 * MIB
    max_gzip_ratio: int = 250


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written. `path` is what is read, `name` what its owner calls it, `skip` lines of header,
    `rows` about how many rows it has.
    """

    path: Path
    name: str
    kind: str
    columns: tuple[str, ...]
    gzip: bool = False
    delimiter: str = ","
    skip: int = 0
    encoding: str = "utf-8"
    rows: int = 0
    types: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def shape(self) -> tuple[object, ...]:
        """Files of one shape are read together."""
        return self.kind, self.columns, self.gzip, self.delimiter, self.skip, tuple(sorted(self.types.items()))


@contextmanager
def engine(work_dir: Path, layouts: Sequence[Layout], *, memory_mb: int, in_order: bool = False) -> Iterator[Backend]:
    """DuckDB under Ibis over these files, spilling to the work folder, with nothing else of the machine in reach."""
    settings: dict[str, Any] = {
        "memory_limit": f"{memory_mb}MB",
        "temp_directory": str(work_dir / "spill"),
        "preserve_insertion_order": in_order,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        **({"threads": 1} if in_order else {}),
    }
    # Ibis would write each value's formula into all places that use it, and a number would be parsed three times.
    ibis.options.sql.fuse_selects = False
    backend = ibis.duckdb.connect(":memory:", **settings)
    files = ", ".join(literal(str(layout.path.resolve())) for layout in layouts)
    try:
        backend.raw_sql("SET TimeZone = 'UTC'")
        backend.raw_sql(f"SET allowed_directories = [{literal(str(work_dir) + '/')}]")
        backend.raw_sql(f"SET allowed_paths = [{files}]")
        backend.raw_sql("SET enable_external_access = false")
        backend.raw_sql("SET lock_configuration = true")
        yield backend
    finally:
        backend.disconnect()


def look_at(path: Path, work_dir: Path, guards: Guards) -> Layout:
    """Find out how a file is written, from its first bytes; a link to it is left in the work folder."""
    head = _first_bytes(path)
    if head.startswith(b"PAR1"):
        return _parquet(path, _linked(path, work_dir, ".parquet"), guards)
    packed = head.startswith(b"\x1f\x8b")
    start = _unpacked_head(path) if packed else head
    if encoding := _utf16(start):
        plain = _transcoded(path, work_dir, encoding, packed=packed)
        return _text(path.name, plain, _first_bytes(plain).decode("utf-8", "replace"), guards, encoding=encoding)
    _refuse_what_is_no_text(path.name, start)
    link = _linked(path, work_dir, ".txt.gz" if packed else ".txt")
    return _text(path.name, link, start.decode("utf-8-sig", "replace"), guards, packed=packed)


@contextmanager
def opened(layout: Layout) -> Iterator[Iterator[str]]:
    """The lines of a text file, from its first, whatever it is packed in."""
    unpack = gzip.open if layout.gzip else open
    with unpack(layout.path, "rt", encoding="utf-8-sig", errors="replace", newline="") as lines:
        yield lines


def raw_sql(layouts: Sequence[Layout], columns: dict[str, str], constants: dict[str, str], guards: Guards) -> str:
    """A query over the files with the mapped columns under their fields' names, and constants beside them."""
    by_shape = groupby(sorted(layouts, key=lambda layout: repr(layout.shape)), key=lambda layout: layout.shape)
    parts = [_select(list(group), columns, constants, guards) for _, group in by_shape]
    return " UNION ALL BY NAME ".join(parts)


def json_lines(layout: Layout, guards: Guards) -> str:
    """A source of the single column `line`: the objects of a JSON file as they are written."""
    files = f"[{literal(str(layout.path))}]"
    return _lines(files, layout, ["line"], JSON_QUOTING, guards)


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def copy(sql: str, target: Path) -> str:
    return f"COPY ({sql}) TO {literal(str(target))} (FORMAT parquet)"


def _select(layouts: list[Layout], columns: dict[str, str], constants: dict[str, str], guards: Guards) -> str:
    source, chosen = _source(layouts, columns, guards)
    fixed = {name: literal(value) for name, value in constants.items()}
    listed = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in {**chosen, **fixed}.items())
    return f"SELECT {listed} FROM {source}"


def _source(layouts: list[Layout], columns: dict[str, str], guards: Guards) -> tuple[str, dict[str, str]]:
    """What to read from, and the expression of each mapped field that these files have."""
    first = layouts[0]
    present = {name: column for name, column in columns.items() if column in first.columns}
    files = "[" + ", ".join(literal(str(layout.path)) for layout in layouts) + "]"
    if first.kind == PARQUET:
        return f"read_parquet({files})", {name: identifier(column) for name, column in present.items()}
    if first.kind == JSON:
        return _json_source(files, first, present, guards)
    names = [f"c{number}" for number in range(len(first.columns))]
    chosen = {name: identifier(names[first.columns.index(column)]) for name, column in present.items()}
    quoting = f"delim = {literal(first.delimiter)}, quote = '\"', escape = '\"', skip = {first.skip}"
    return _lines(files, first, names, quoting, guards), chosen


def _json_source(files: str, first: Layout, present: dict[str, str], guards: Guards) -> tuple[str, dict[str, str]]:
    """One object a line."""
    lines = _lines(files, first, ["line"], JSON_QUOTING, guards)
    pointers = ", ".join(literal(_pointer(column)) for column in present.values()) or "'/'"
    read = f"TRY(json_extract_string(line, [{pointers}])) AS got, TRY(json_type(line)) AS kind"
    chosen = {name: f"got[{place}]" for place, name in enumerate(present, start=1)}
    chosen["broken_json"] = "coalesce(kind, '') <> 'OBJECT'"
    return f"(SELECT {read} FROM {lines} WHERE trim(line) <> '')", chosen


def _lines(files: str, first: Layout, names: list[str], quoting: str, guards: Guards) -> str:
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    packing = "gzip" if first.gzip else "none"
    return (
        f"read_csv({files}, columns = {{{types}}}, auto_detect = false, header = false, {quoting}, "
        f"compression = '{packing}', max_line_size = {guards.max_line_bytes}, "
        f"buffer_size = {4 * guards.max_line_bytes}, store_rejects = true, rejects_limit = 0, strict_mode = true)"
    )


def _pointer(column: str) -> str:
    """A JSON pointer; dots of a column that was found inside another object step down."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in column.split("."))


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise FileError(f"{path.name} cannot be opened: {error.strerror}.") from None
    if not head:
        raise FileError(f"{path.name} is empty: it has no data.", "Export it again and look at its size.")
    return head


def _unpacked_head(path: Path) -> bytes:
    """The first part of what is packed; the rest is looked at while it is read."""
    try:
        with gzip.open(path, "rb") as file:
            return file.read(HEAD_BYTES)
    except EOFError:
        raise truncated(path.name) from None
    except (OSError, zlib.error):
        raise FileError(f"{path.name} starts like gzip but cannot be unpacked.", "Export or copy it again.") from None


def truncated(name: str) -> FileError:
    return FileError(f"{name} is cut off: the gzip data ends too early.", "Copy it again; nothing of it was loaded.")


def _utf16(start: bytes) -> str:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if start[1:40:2].count(0) > 15:
        return "utf-16-le"
    return "utf-16-be" if start[0:40:2].count(0) > 15 else ""


def _transcoded(path: Path, work_dir: Path, encoding: str, *, packed: bool) -> Path:
    target = work_dir / f"{_unique(work_dir)}.txt"
    unpack = gzip.open if packed else open
    try:
        with unpack(path, "rb") as source, target.open("w", encoding="utf-8", newline="") as out:
            words = io.TextIOWrapper(source, encoding=encoding, newline="")
            while chunk := words.read(COPY_BYTES):
                out.write(chunk)
    except UnicodeDecodeError:
        raise FileError(f"{path.name} looks like UTF-16 but breaks off in it.", "Save it as UTF-8.") from None
    except EOFError:
        raise truncated(path.name) from None
    return target


def _refuse_what_is_no_text(name: str, start: bytes) -> None:
    lowered = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if lowered.startswith(b"pk\x03\x04"):
        raise FileError(f"{name} is a ZIP archive or an Excel workbook.", "Save the sheet as CSV, or unpack it.")
    if lowered.startswith((b"<!doctype", b"<html", b"<?xml", b"<")):
        raise FileError(f"{name} is a web page or XML, not data.", "A log-in page was perhaps saved in its place.")
    if b"\x00" in start[:4096]:
        raise FileError(f"{name} is a binary file.", "CSV, JSON lines (both also with gzip) and Parquet can be read.")


def _linked(path: Path, work_dir: Path, suffix: str) -> Path:
    link = work_dir / f"{_unique(work_dir)}{suffix}"
    link.symlink_to(path.resolve())
    return link


def _unique(work_dir: Path) -> str:
    return f"in{sum(1 for _ in work_dir.glob('in*')):06d}"


def _parquet(path: Path, link: Path, guards: Guards) -> Layout:
    try:
        meta = pq.read_metadata(link)
        schema = meta.schema.to_arrow_schema()
    except (OSError, ValueError) as error:
        raise FileError(f"{path.name} is a damaged Parquet file: {error}.", "Copy it again.") from None
    columns = tuple(schema.names)
    _check_columns(path.name, columns, guards)
    types = {name: str(kind) for name, kind in zip(columns, schema.types, strict=True)}
    return Layout(path=link, name=path.name, kind=PARQUET, columns=columns, rows=meta.num_rows, types=types)


def _text(
    name: str, path: Path, start: str, guards: Guards, *, packed: bool = False, encoding: str = "utf-8"
) -> Layout:
    first = start.lstrip("\ufeff \t\r\n")[:1]
    rows = _about_rows(path, start, packed=packed)
    if first == "[":
        raise FileError(f"{name} is one JSON array.", "Write one object a line (JSON lines).")
    if first == "{":
        columns = _json_columns(name, start)
        return Layout(path, name, JSON, columns, gzip=packed, encoding=encoding, rows=rows)
    delimiter, columns, skip = _header(name, start.lstrip("\ufeff"), guards)
    return Layout(path, name, CSV, columns, gzip=packed, delimiter=delimiter, skip=skip, encoding=encoding, rows=rows)


def _about_rows(path: Path, start: str, *, packed: bool) -> int:
    """A guess from the first part of the file; a packed one holds some five times its size."""
    size = path.stat().st_size * (5 if packed else 1)
    return max(start.count("\n"), size * start.count("\n") // max(len(start), 1))


def _json_columns(name: str, start: str) -> tuple[str, ...]:
    """The keys of the objects in the file's head, those of objects inside as 'outer.inner'."""
    seen: dict[str, None] = {}
    for line in start.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        seen |= dict.fromkeys(_keys(found)) if isinstance(found, dict) else {}
    if not seen:
        raise FileError(f"{name} starts like JSON, but no line of it is a JSON object.", "Write one object a line.")
    return tuple(seen)


def _keys(found: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in found.items():
        if isinstance(value, dict) and value and not above:
            yield from _keys(value, f"{key}.")
        else:
            yield above + key


def _header(name: str, start: str, guards: Guards) -> tuple[str, tuple[str, ...], int]:
    """Delimiter, column names, and the number of lines until the data begin."""
    lines = start.splitlines(keepends=True)
    blank = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    if blank == len(lines):
        raise FileError(f"{name} has no data.", "Its first lines are empty.")
    if not lines[-1].endswith(("\n", "\r")) and blank == len(lines) - 1 and len(start) >= HEAD_BYTES - 4:
        raise FileError(f"The first line of {name} is longer than 1 MiB.", "Is it a table with a header line?")
    delimiter = _delimiter(lines[blank])
    reader = csv.reader(iter(lines[blank:]), delimiter=delimiter)
    columns = tuple(column.strip() for column in next(reader))
    _check_columns(name, columns, guards)
    return delimiter, columns, blank + reader.line_num


def _delimiter(line: str) -> str:
    """The sign that stands most often in the header line outside quotes; a comma where none does."""
    outside = "".join(line.split('"')[::2])
    return max(DELIMITERS, key=outside.count)


def _check_columns(name: str, columns: Sequence[str], guards: Guards) -> None:
    if len(columns) > guards.max_columns:
        raise FileError(
            f"{name} has {len(columns):,} columns; at most {guards.max_columns:,} are read.",
            "Export only the columns that are needed.",
        )
    doubled = [column for column, count in Counter(columns).items() if count > 1 and column]
    if doubled:
        listed = ", ".join(repr(column) for column in doubled[:5])
        raise FileError(f"{name} has the column {listed} twice.", "Rename one of the two in the header line.")

"""Rejected rows: which line of the file, why, and what it said in the fields that were mapped, never in others.

Only a file that has such rows is read a second time, in its order, since only then do line numbers matter.
"""

import csv
import gzip
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import duckdb
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from apps.usage.job import Cancelled, Reject, Watch
from apps.usage.parsing import NUMBER, Check
from apps.usage.reading import CSV, PARQUET, Layout, copy, engine, identifier
from apps.usage.running import run
from apps.usage.task import Task

LONGEST_TEXT = 200
BATCH_ROWS = 10_000
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
STRUCTURE = {
    "TOO MANY COLUMNS": "line: too many columns",
    "MISSING COLUMNS": "line: too few columns",
    "UNQUOTED VALUE": "line: a quote is not closed",
    "LINE SIZE OVER MAXIMUM": "line: too long",
    "INVALID ENCODING": "line: not UTF-8 text",
    "INVALID STATE": "line: a quote stands inside a value",
}
BROKEN = "SELECT scan_id, file_id, line_byte_position AS byte, error_type::VARCHAR AS kind FROM reject_errors"
REMEDIES = (
    ("before 2015", "Times that count from a start need --time-origin; times in ms or s need --time-unit."),
    ("in the future", "Check the clock that wrote the log, and the zone the file is read in."),
    ("not a time", "Times are like 2026-10-24T08:00:00Z; numbers need --time-unit s, ms or h."),
    ("not a number", "Numbers are like 1234.5 or 1.2E3: ASCII digits, a point, no thousands separators."),
    ("not a whole number", "Counts have no fractions."),
    ("negative", "Take it out, or send it as a correction of a bill."),
    ("too large", "Nothing above 10,000,000,000,000 is read; is the column the right one?"),
    ("usage_key: empty", "Every row needs a key, team or project that names the spender."),
    ("empty", "Fill it in at the source."),
    ("columns", "Check quotes and separators in that line."),
    ("quote", "Write a quote inside a value twice and quote the value."),
    ("UTF-8", "Save the file as UTF-8."),
    ("more than", "The larger figure must include the smaller one."),
    ("JSON", "Write one complete JSON object a line."),
    ("currency", "Use the ISO code, such as USD."),
)


@dataclass
class Tally:
    """Counts by reason, with the first example of each."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[int | None, str]] = field(default_factory=dict)

    def add(self, reason: str, line: int | None, texts: Sequence[str | None]) -> None:
        self.counts[reason] += 1
        if reason not in self.first:
            self.first[reason] = (line, ", ".join(text for text in texts if text)[:LONGEST_TEXT])

    def rejects(self) -> list[Reject]:
        return [
            Reject(reason, count, *self.first[reason], remedy(reason)) for reason, count in self.counts.most_common()
        ]


@dataclass(frozen=True)
class Suspect:
    """A file with rejected rows: the query of those rows (row_no, reason, raw fields...) and the reasons' words."""

    layout: Layout
    db: duckdb.DuckDBPyConnection
    sql: str
    reasons: Sequence[str]


class Opener(Protocol):
    """Makes the view `raw` of some files in DuckDB; `numbered` adds row_no, counted from 1 in each file."""

    def __call__(self, task: Task, db: Backend, layouts: list[Layout], *, numbered: bool = False) -> object: ...


def reject(task: Task, opened: Opener, check: Check, names: Sequence[str]) -> list[Reject]:
    """Read the files again in their order, to write down what was rejected and where it stands."""
    task.tell(3, "writing down rejected rows")
    suspects = _suspects(task, opened, check, names)
    return write(suspects, task.work_dir / "rejected.csv.gz", names, task.watch, many=len(task.layouts) > 1)


def write(suspects: Iterator[Suspect], target: Path, names: Sequence[str], watch: Watch, *, many: bool) -> list[Reject]:
    """Write rejected.csv.gz and return the reasons, the most frequent first."""
    tally = Tally()
    with gzip.open(target, "wt", encoding="utf-8", newline="", compresslevel=5) as out:
        writer = csv.writer(out)
        writer.writerow([*(["file"] if many else []), "line", "reason", *names])
        for suspect in suspects:
            for line, reason, texts in _rejected(suspect, target.with_name("suspect.parquet"), watch):
                reason_texts = [_own_field(reason, names, texts)]
                tally.add(reason, line, reason_texts if any(reason_texts) else texts)
                file = [suspect.layout.name] if many else []
                writer.writerow([*map(harmless, file), line, reason, *map(harmless, texts)])
    return tally.rejects()


def remedy(reason: str) -> str:
    return next((words for part, words in REMEDIES if part in reason), "Look at that line of the file.")


def harmless(text: str | None) -> str:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if text and text.startswith(FORMULA) and not re.fullmatch(NUMBER, text):
        return "'" + text
    return text or ""


def _suspects(task: Task, opened: Opener, check: Check, names: Sequence[str]) -> Iterator[Suspect]:
    for layout in task.layouts:
        with engine(task.work_dir, [layout], memory_mb=task.job.max_memory_mb, in_order=True) as db:
            opened(task, db, [layout], numbered=True)
            checked = check(db.table("raw"), task.clock)
            there = set(checked.rows.columns)
            listed = ", ".join(
                f"{identifier(name)}::VARCHAR AS {identifier(name)}" if name in there else "NULL" for name in names
            )
            rows = db.compile(checked.rows)
            sql = f"SELECT row_no, reason, {listed} FROM ({rows}) WHERE reason > 0 ORDER BY row_no"
            yield Suspect(layout, db.con, sql, checked.reasons)


def _own_field(reason: str, names: Sequence[str], texts: Sequence[str | None]) -> str | None:
    """What stood in the field that the reason is about."""
    name = reason.split(":", 1)[0]
    return texts[names.index(name)] if name in names and texts else None


def _rejected(suspect: Suspect, found: Path, watch: Watch) -> Iterator[tuple[int | None, str, list[str | None]]]:
    """Rejected rows of one file in its order: (line, reason, raw texts)."""
    run(suspect.db, copy(suspect.sql, found), watch, lambda _: None)
    rows = _batches(found)
    if suspect.layout.kind == PARQUET:
        yield from ((row[0], suspect.reasons[row[1] - 1], row[2:]) for row in rows)
    else:
        yield from _with_lines(suspect, rows, watch)
    found.unlink()


def _with_lines(
    suspect: Suspect, rows: Iterator[list[Any]], watch: Watch
) -> Iterator[tuple[int | None, str, list[str | None]]]:
    """Walk through the file beside the rejected rows, to learn in which line each of them begins."""
    broken = _broken_lines(suspect.db)
    waiting = next(rows, None)
    row_no = 0
    for line, end in _records(suspect.layout):
        if watch.stop.is_set():
            raise Cancelled
        if broken and broken[-1][0] < end:
            yield line, broken.pop()[1], []
            continue
        row_no += 1
        if waiting and waiting[0] == row_no:
            yield line, suspect.reasons[waiting[1] - 1], waiting[2:]
            waiting = next(rows, None)
        if not waiting and not broken:
            return
    # Line ends that this side reads in another way than the engine: the rows are listed, their lines are not known.
    yield from ((None, reason, []) for _, reason in reversed(broken))
    if waiting:
        yield from ((None, suspect.reasons[row[1] - 1], row[2:]) for row in (waiting, *rows))


def _broken_lines(db: duckdb.DuckDBPyConnection) -> list[tuple[int, str]]:
    """Lines that DuckDB could not split, the last one first, each by a byte at or near its beginning.

    That byte is now the line's first, now its second, now a blank line before it; it is never past the line.
    """
    found = db.execute(f"SELECT byte, min(kind) FROM ({BROKEN}) GROUP BY byte ORDER BY byte DESC").fetchall()
    return [(byte, STRUCTURE.get(kind, f"line: {kind.lower()}")) for byte, kind in found]


def count_broken(db: duckdb.DuckDBPyConnection) -> int:
    """Rows that DuckDB could not split; it keeps no list where no text file was read."""
    if not db.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'reject_errors'").fetchone():
        return 0
    row = db.execute(f"SELECT count(*) FROM (SELECT DISTINCT scan_id, file_id, byte FROM ({BROKEN}))").fetchone()
    return int(row[0]) if row else 0


def _batches(found: Path) -> Iterator[list[Any]]:
    with pq.ParquetFile(found) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield from (list(row) for row in zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _records(layout: Layout) -> Iterator[tuple[int, int]]:
    """Line (counted from 1) in which each row of data begins, and the byte after its end; blank lines are no rows."""
    opened: Callable[..., Any] = gzip.open if layout.gzip else open
    with opened(layout.path, "rb") as file:
        yield from (_csv_records(file, layout) if layout.kind == CSV else _plain_records(file))


def _plain_records(file: BinaryIO) -> Iterator[tuple[int, int]]:
    end = 0
    for line, content in enumerate(file, start=1):
        end += len(content)
        if content.strip():
            yield line, end + (not content.endswith(b"\n"))


def _csv_records(file: BinaryIO, layout: Layout) -> Iterator[tuple[int, int]]:
    csv.field_size_limit(1 << 30)
    end = 0

    def lines() -> Iterator[str]:
        nonlocal end
        for content in file:
            end += len(content) + (not content.endswith(b"\n"))
            yield content.decode("latin-1")  # one character a byte: only quotes and separators matter here

    source = lines()
    for _ in range(layout.skip):
        next(source, None)
    reader = csv.reader(source, delimiter=layout.delimiter)
    before = 0
    for record in reader:
        if record:
            yield layout.skip + before + 1, end
        before = reader.line_num

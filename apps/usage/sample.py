"""The first rows of a file as they would be read, with guesses for what nobody has said yet.

`python -m apps.usage.sample JOB.json` prints one JSON object (`Sample`). The rows are written as a small file of the
same kind and go through the very reduction that will read the whole, so that nothing else can be promised.
In a process of its own, like the reduction: the file is whatever somebody uploaded. Nothing here imports Django.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from apps.usage import bills, calls, fields, guess
from apps.usage.guess import Column
from apps.usage.hours import check_requests, check_usage
from apps.usage.job import Job, Watch
from apps.usage.reading import PARQUET, FileError, Layout, engine, look_at, opened
from apps.usage.reduce import reduce_files
from apps.usage.task import Task, prepare

MOST_ROWS = 10_000
MOST_BYTES = 8 << 20
ROWS_SHOWN = 5
SURE = 0.6  # a guess below wants a look
MEMORY_MB = 400
CHECKS = {fields.REQUESTS: check_requests, fields.USAGE: check_usage}
TEXTS = ("provider", "model", "status", "service_tier", "fallback_from")
SHOWN = (*fields.TOKEN_FIELDS, "latency_ms", "requests", "gpu_seconds", "cost", "attempt")
# A file up to this size is looked through for all of its spenders; of a larger one the sample must do.
PLAIN_BYTES, PACKED_BYTES = 64 << 20, 16 << 20


@dataclass(frozen=True, slots=True)
class ColumnSeen:
    """One column of the file: its first value, what it is taken for ('' = not read), and what to look at."""

    name: str
    first: str
    field: str
    confidence: float
    check: str


@dataclass(frozen=True, slots=True)
class Sample:
    """`rows_total` is about right, the figures of the sample are exact for its rows; `error` is what is in the way.

    `spenders`: (key, or pairs as JSON text of a bill, first instant, last), of the whole file if `compared_all`.
    """

    format: str
    rows_total: int
    columns: list[ColumnSeen]
    asks_zone: bool
    asks_unit: bool
    asks_origin: bool
    unit_guess: str
    missing: list[str]
    notes: list[str]
    error: str = ""
    hint: str = ""
    sample_rows: int = 0
    sample_rejected: int = 0
    first_hour: str | None = None
    last_hour: str | None = None
    hours: int = 0
    billed_cost: str | None = None
    rejects: list[dict[str, Any]] = field(default_factory=list)
    spenders: list[list[str]] = field(default_factory=list)
    compared_all: bool = False
    models: list[list[str]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def take_sample(job: Job) -> Sample:
    """Try a job on the first rows of its first file. Raises FileError where not even its columns can be told."""
    work_dir = Path(job.work_dir)
    seen = guess.preview(Path(job.paths[0]), job.guards, job.format or None)
    columns = job.columns or ({} if seen.format == fields.FOCUS else seen.mapping)
    unit = seen.time_unit if job.time_unit == "iso" else job.time_unit
    sample = Sample(
        format=seen.format,
        rows_total=seen.rows_estimate,
        columns=[_column(column, columns, seen.format) for column in seen.columns],
        asks_zone=seen.zone_open,
        asks_unit=seen.needs_origin,
        asks_origin=seen.needs_origin,
        unit_guess=seen.time_unit,
        missing=_missing(seen.format, columns, job.constants),
        notes=seen.notes,
    )
    try:
        layout = look_at(Path(job.paths[0]), work_dir, job.guards)
        whole = replace(job, format=seen.format, columns=columns, time_unit=unit, max_memory_mb=MEMORY_MB)
        tried = replace(whole, paths=[str(_head(layout, work_dir))])
        found = _read(sample, tried, work_dir)
        is_packed = layout.gzip or layout.kind == PARQUET
        is_small = Path(job.paths[0]).stat().st_size <= (PACKED_BYTES if is_packed else PLAIN_BYTES)
        spenders = _spenders(whole if is_small else tried, work_dir)
        return replace(found, spenders=spenders, compared_all=is_small)
    except FileError as error:
        return replace(sample, error=error.message, hint=error.hint)


def main(arguments: list[str]) -> int:
    try:
        print(json.dumps(asdict(take_sample(Job.from_json(Path(arguments[0]).read_text())))))  # noqa: T201 - its answer
    except FileError as error:
        print(json.dumps({"error": error.message, "hint": error.hint, "columns": []}))  # noqa: T201
        return 1
    return 0


def _read(seen: Sample, job: Job, work_dir: Path) -> Sample:
    rows = _calls_as_read(job, work_dir) if job.format in CHECKS else []
    result = reduce_files(job)
    return replace(
        seen,
        sample_rows=result.rows_read,
        sample_rejected=result.rows_rejected,
        first_hour=result.first_hour,
        last_hour=result.last_hour,
        hours=_hours(work_dir / "hours.parquet"),
        billed_cost=result.billed_cost,
        rejects=[asdict(reject) for reject in result.rejects],
        models=_models(work_dir / "hours.parquet"),
        rows=rows or _charges_as_read(work_dir / "charges.parquet"),
    )


# --- The head of the file ---------------------------------------------------------------------------------------------


def _head(layout: Layout, work_dir: Path) -> Path:
    """A small file with the first rows, written as the whole one is and called like it."""
    folder = work_dir / "head"
    folder.mkdir()
    target = folder / layout.name
    if layout.kind == PARQUET:
        with pq.ParquetFile(layout.path) as file:
            first = islice(file.iter_batches(MOST_ROWS), 1)
            pq.write_table(pa.Table.from_batches(first, schema=file.schema_arrow), target)
        return target
    with opened(layout) as source, target.open("w", encoding="utf-8", newline="") as out:
        out.writelines(_lines(source))
    return target


def _lines(source: Iterator[str]) -> Iterator[str]:
    """So many lines and bytes at most, and no line that is cut off. A quoted value over the edge costs one row."""
    size = 0
    for line in islice(source, MOST_ROWS + 1):
        size += len(line)
        if size > MOST_BYTES:
            return
        yield line


# --- What is said about it --------------------------------------------------------------------------------------------


def _column(column: Column, columns: dict[str, str], format_: str) -> ColumnSeen:
    guessed = column.guess
    means = next((name for name, chosen in columns.items() if chosen == column.name), "")
    if format_ == fields.FOCUS and guessed:
        means = guessed.field
    first = column.values[0] if column.values else ""
    if guessed is None or (means and means != guessed.field):
        return ColumnSeen(column.name, first, means, 0.0, "")
    check = guessed.note if guessed.confidence < SURE else ""
    return ColumnSeen(column.name, first, means, guessed.confidence, check)


def _missing(format_: str, columns: dict[str, str], constants: dict[str, str]) -> list[str]:
    if format_ == fields.FOCUS:
        return []
    return fields.missing(format_, {*(name for name, column in columns.items() if column), *constants})


# --- Rows as they are read --------------------------------------------------------------------------------------------


def _calls_as_read(job: Job, work_dir: Path) -> list[dict[str, Any]]:
    """The first rows after every check, with the reason of those that are rejected."""
    task = prepare(job, work_dir, Watch())
    with engine(work_dir, task.layouts, memory_mb=MEMORY_MB, in_order=True) as db:
        db.raw_sql(f"CREATE VIEW raw AS SELECT * FROM ({task.raw(task.layouts, task.columns, task.job.constants)})")
        checked = CHECKS[job.format](db.table("raw"), task.clock)
        found = checked.rows.limit(ROWS_SHOWN).to_pyarrow().to_pylist()
    return [_call(row, checked.reasons, task) for row in found]


def _call(row: dict[str, Any], reasons: Sequence[str], task: Task) -> dict[str, Any]:
    read = {name: row.get(f"{name}_") for name in SHOWN if f"{name}_" in row}
    at = row.get("at")
    texts = {name: str(row.get(name) or "") for name in TEXTS}
    return {
        **texts,
        **{name: None if value is None else str(value) for name, value in read.items()},
        "usage_key": row.get("who") or "",
        "at": None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "raw_time": str(row.get(fields.TIME_FIELDS[task.job.format][0]) or ""),
        "problem": reasons[row["reason"] - 1] if row["reason"] else "",
    }


def _charges_as_read(charges: Path) -> list[dict[str, Any]]:
    if not charges.exists():
        return []
    with pq.ParquetFile(charges) as file:
        table = next(file.iter_batches(ROWS_SHOWN), None)
    names = ("charge_start", "charge_end", "category", "service_category", "provider", "model", "identity", "billed")
    rows = table.to_pylist() if table is not None else []
    return [{name: _text(row.get(name)) for name in (*names, "currency")} for row in rows]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _models(hours: Path) -> list[list[str]]:
    if not hours.exists():
        return []
    table = pq.read_table(hours, columns=["provider", "model"])
    pairs = zip(table["provider"].to_pylist(), table["model"].to_pylist(), strict=True)
    return [list(pair) for pair in sorted(set(pairs))]


def _spenders(job: Job, work_dir: Path) -> list[list[str]]:
    """Who spends in the good rows of a file, and from when to when; of a bill by the starts of its charges."""
    task = prepare(job, work_dir, Watch())
    with engine(work_dir, task.layouts, memory_mb=MEMORY_MB) as db:
        found = bills.spenders(task, db) if job.format == fields.FOCUS else calls.spenders(task, db)
    return [[who, f"{first:%Y-%m-%dT%H:%M:%SZ}", f"{last:%Y-%m-%dT%H:%M:%SZ}"] for who, first, last in found]


def _hours(hours: Path) -> int:
    if not hours.exists():
        return 0
    return len(set(pq.read_table(hours, columns=["hour"])["hour"].to_pylist()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

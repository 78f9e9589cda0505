"""A job with all that is found out before its rows are read: how files are written, which column is which field."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.usage import fields
from apps.usage.job import Job, Progress, Watch
from apps.usage.parsing import SECONDS, Clock
from apps.usage.reading import HEAD_BYTES, JSON, FileError, Layout, engine, json_lines, literal, look_at, raw_sql
from apps.usage.running import run

FUTURE_TOLERANCE = timedelta(hours=24)
ORIGIN_HINT = (
    "If the times count from a start, say it: --time-origin 2026-10-01T00:00:00Z "
    "(with --time-unit s, ms or h for their unit)."
)


@dataclass(frozen=True, slots=True)
class Task:
    """A job with all that was found out about it before its rows are read."""

    job: Job
    layouts: list[Layout]
    columns: dict[str, str]
    clock: Clock
    work_dir: Path
    watch: Watch

    def raw(self, layouts: list[Layout], columns: dict[str, str], constants: dict[str, str]) -> str:
        """The query of the mapped columns and constants of these files, under their fields' names."""
        return raw_sql(layouts, columns, constants, self.job.guards)

    def tell(self, step: int, label: str, share: float = 0.0) -> None:
        total = sum(layout.rows for layout in self.layouts)
        self.watch.tell(Progress(step, label, rows=int(total * share), total=total))


def prepare(job: Job, work_dir: Path, watch: Watch) -> Task:
    watch.tell(Progress(1, "looking at the file"))
    if job.format not in fields.FORMATS:
        raise FileError(f"There is no format {job.format!r}.", f"Use one of {', '.join(fields.FORMATS)}.")
    layouts = [look_at(Path(path), work_dir, job.guards) for path in job.paths]
    if not layouts:
        raise FileError("There is no file to read.", "Give a file, a folder with files, or a pattern.")
    layouts = [_with_late_keys(job, layout, work_dir, watch) for layout in layouts]
    columns = _mapping(job, layouts)
    return Task(job, layouts, columns, _clock(job), work_dir, watch)


def _with_late_keys(job: Job, layout: Layout, work_dir: Path, watch: Watch) -> Layout:
    """A JSON file with the fields that only later objects have.

    Objects leave out what does not apply (`fallback_from`, cached tokens), so the head of a file proves nothing; a
    field that went unseen would count as unknown in all rows.
    """
    wanted = dict.fromkeys((*fields.FIELDS.get(job.format, fields.FOCUS_COLUMNS), *job.columns.values()))
    names = [name for name in wanted if name and name not in layout.columns and name not in job.constants]
    all_seen = not layout.gzip and layout.path.stat().st_size <= HEAD_BYTES
    if layout.kind != JSON or all_seen or not names:
        return layout
    looked_for = ", ".join(f"bool_or(contains(line, {literal(json.dumps(name))}))" for name in names)
    with engine(work_dir, [layout], memory_mb=job.max_memory_mb) as db:
        source = json_lines(layout, job.guards)
        run(db.con, f"CREATE TABLE late AS SELECT [{looked_for}] AS found FROM {source}", watch, lambda _: None)
        row = db.con.execute("SELECT found FROM late").fetchone()
    late = [name for name, found in zip(names, row[0], strict=True) if found]
    return replace(layout, columns=(*layout.columns, *late))


def _mapping(job: Job, layouts: list[Layout]) -> dict[str, str]:
    """The file's column of each field; every file must have the mandatory ones."""
    known = fields.FIELDS.get(job.format, fields.FOCUS_COLUMNS)
    if unknown := [name for name in (*job.columns, *job.constants) if name not in known]:
        raise FileError(f"There is no field {unknown[0]!r} in the format {job.format}.", f"Fields: {', '.join(known)}.")
    there = dict.fromkeys(column for layout in layouts for column in layout.columns)
    by_lower = {column.lower(): column for column in reversed(there)}
    columns = {name: by_lower[name.lower()] for name in known if name.lower() in by_lower} | job.columns
    # '' says: leave the field out, although a column has its name.
    columns = {name: column for name, column in columns.items() if column and name not in job.constants}
    for layout in layouts:
        _check_mapping(job, layout, columns)
    return columns


def _check_mapping(job: Job, layout: Layout, columns: dict[str, str]) -> None:
    listed = ", ".join(column for column in layout.columns[:40] if column)
    for name in job.columns:
        if columns.get(name) not in (None, *layout.columns):
            raise FileError(f"{layout.name} has no column {columns[name]!r}.", f"Its columns: {listed}.")
    missing = [
        name
        for name in fields.MANDATORY[job.format]
        if name not in job.constants and columns.get(name) not in layout.columns
    ]
    if missing:
        option = f"--column {missing[0]}=NAME names the column, --set {missing[0]}=VALUE gives one value to all rows."
        words = " and ".join(missing) if len(missing) < 3 else ", ".join(missing)
        raise FileError(f"{layout.name} has no column for {words}. Its columns: {listed}.", option)
    if "cache_write_1h_tokens" in columns and "cache_write_tokens" not in columns:
        raise FileError("cache_write_1h_tokens is a part of cache_write_tokens, which is missing.", "Map both or none.")


def _clock(job: Job) -> Clock:
    try:
        ZoneInfo(job.zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise FileError(f"There is no time zone {job.zone!r}.", "Use a name such as Europe/Berlin or UTC.") from None
    if job.time_unit not in ("iso", *SECONDS):
        raise FileError(f"There is no time unit {job.time_unit!r}.", "Use iso, s, ms or h.")
    if job.time_unit == "h" and not job.time_origin:
        raise FileError("Hours count from a start that the file does not say.", ORIGIN_HINT)
    origin = int(_instant(job.time_origin).timestamp()) if job.time_origin else None
    now = _instant(job.now) if job.now else datetime.now(UTC)
    return Clock(job.time_unit, job.zone, origin, int((now + FUTURE_TOLERANCE).timestamp()))


def _instant(written: str) -> datetime:
    try:
        read = datetime.fromisoformat(written)
    except ValueError:
        raise FileError(f"{written!r} is not a time.", "Times are like 2026-10-01T00:00:00Z.") from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)

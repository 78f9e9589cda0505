"""Request logs and ready usage: their files to hours.parquet and rejected.csv.gz."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from apps.usage import fields, rejects
from apps.usage.fields import NOTES
from apps.usage.hours import check_requests, check_usage, requests_to_hours, usage_to_hours
from apps.usage.job import Reduction, Reject, plain
from apps.usage.parsing import TOO_EARLY, Check, Checked, Clock
from apps.usage.reading import FileError, Layout, copy, engine, literal
from apps.usage.running import run
from apps.usage.task import ORIGIN_HINT, Task

STEPS: dict[str, tuple[Check, Callable[[Checked, Clock], ir.Table]]] = {
    fields.REQUESTS: (check_requests, requests_to_hours),
    fields.USAGE: (check_usage, usage_to_hours),
}
GOOD = "FILTER (reason = 0)"
SUMMARY = f"""
SELECT sum(rows) AS rows_read, sum(rows) FILTER (reason > 0) AS rows_rejected, count(*) {GOOD} AS hours,
    sum(requests) {GOOD} AS requests, sum(requests) FILTER (reason = 0 AND call_kind = 'retry_failed') AS failed,
    sum(input) {GOOD} AS input, sum(cached) {GOOD} AS cached, sum(cache_write) {GOOD} AS cache_write,
    sum(cache_write_1h) {GOOD} AS cache_write_1h, sum(output) {GOOD} AS output, sum(reasoning) {GOOD} AS reasoning,
    sum(reported_cost) {GOOD} AS reported_cost, min(hour) AS first_hour, max(hour) AS last_hour,
    bit_or(flags) {GOOD} AS flags, list_sort(list(DISTINCT model) {GOOD}) AS models,
    list_sort(list(DISTINCT currency) FILTER (reason = 0 AND currency IS NOT NULL)) AS currencies,
    min(usage_key) FILTER (currency <> other_currency) AS mixed,
    bool_or(contains(concat(usage_key, provider, model), chr(0))) AS has_nul
FROM grouped
"""


def reduce_calls(task: Task) -> Reduction:
    """Add a file's calls up to hours in one pass; only a file with rejected rows is read again, for their lines."""
    check, to_hours = STEPS[task.job.format]
    grouped = task.work_dir / "grouped.parquet"
    with engine(task.work_dir, task.layouts, memory_mb=task.job.max_memory_mb) as db:
        opened(task, db, task.layouts)
        checked = check(db.table("raw"), task.clock)
        hours = db.compile(to_hours(checked, task.clock))
        run(db.con, copy(hours, grouped), task.watch, lambda share: task.tell(2, "reading", share))
        db.raw_sql(f"CREATE VIEW grouped AS SELECT * FROM read_parquet({literal(str(grouped))})")
        broken = rejects.count_broken(db.con)
        summary = _row(db, SUMMARY)
        _refuse_useless(db, summary, checked.reasons, broken)
        rejected = int(summary["rows_rejected"] or 0) + broken
        _keep_good(db, grouped, task.work_dir / "hours.parquet", all_good=not summary["rows_rejected"])
    names = [name for name in fields.FIELDS[task.job.format] if name in task.columns]
    found = rejects.reject(task, opened, check, names) if rejected else []
    return _reduction(task, summary, rejected, broken, found)


def spenders(task: Task, db: Backend) -> list[tuple[str, datetime, datetime]]:
    """The keys of the good rows with their first and last instant, without adding anything up."""
    check, _ = STEPS[task.job.format]
    opened(task, db, task.layouts)
    rows = check(db.table("raw"), task.clock).rows
    spans = rows.filter(rows.reason == 0).group_by("who").agg(first=rows["at"].min(), last=rows["at"].max())
    return list(db.con.execute(db.compile(spans.order_by("who"))).fetchall())


def _row(db: Backend, sql: str) -> dict[str, Any]:
    cursor = db.con.execute(sql)
    names = [column[0] for column in cursor.description]
    return dict(zip(names, cursor.fetchone(), strict=True))


def _refuse_useless(db: Backend, summary: dict[str, Any], reasons: list[str], broken: int) -> None:
    """Refuse a file as a whole where its rows as such are not the trouble."""
    if not (summary["rows_read"] or 0) + broken:
        raise FileError("There is no data: the file has a header line and no row.", "Export it again with its rows.")
    counts = dict(db.con.execute("SELECT reason, sum(rows) FROM grouped WHERE reason > 0 GROUP BY reason").fetchall())
    too_early = sum(count for number, count in counts.items() if reasons[number - 1].endswith(TOO_EARLY))
    if too_early and not summary["hours"]:
        raise FileError("Its times lie before 2015.", ORIGIN_HINT)
    if summary["has_nul"]:
        raise FileError("A key or a model of the file holds a NUL character.", "Export it again as text.")
    if summary["mixed"] is not None:
        raise FileError(
            f"{summary['mixed']} has costs in two currencies in one hour.",
            "Load each currency as a part of its own (--part).",
        )


def _keep_good(db: Backend, grouped: Path, target: Path, *, all_good: bool) -> None:
    """Leave the groups of rejected rows behind; where there are none, the file is taken as it is."""
    if all_good:
        grouped.rename(target)
    else:
        db.raw_sql(copy("SELECT * FROM grouped WHERE reason = 0", target))


def opened(task: Task, db: Backend, layouts: list[Layout], *, numbered: bool = False) -> None:
    """Make the view `raw` of the files' mapped columns."""
    number = ", row_number() OVER () AS row_no" if numbered else ""
    written = task.raw(layouts, task.columns, task.job.constants)
    db.raw_sql(f"CREATE VIEW raw AS SELECT *{number} FROM ({written})")


def _reduction(task: Task, summary: dict[str, Any], rejected: int, broken: int, found: list[Reject]) -> Reduction:
    return Reduction(
        rows_read=int(summary["rows_read"] or 0) + broken,
        rows_rejected=rejected,
        rejects=found,
        rejected_file="rejected.csv.gz" if rejected else None,
        hours=summary["hours"],
        requests=_whole(summary["requests"]),
        failed_requests=_failed(task, summary),
        input_tokens=_total(summary, "input", "cached", "cache_write", "cache_write_1h"),
        cached_input_tokens=_whole(summary["cached"]),
        output_tokens=_total(summary, "output", "reasoning"),
        first_hour=_stamp(summary["first_hour"]),
        last_hour=_stamp(summary["last_hour"]),
        models=summary["models"] or [],
        currencies=summary["currencies"] or [],
        missing_fields=fields.missing(task.job.format, {*task.columns, *task.job.constants}),
        notes=_notes(task, int(summary["flags"] or 0)),
        reported_cost=plain(summary["reported_cost"]),
    )


def _total(summary: dict[str, Any], *parts: str) -> int | None:
    """The inclusive figure of disjoint sums; unknown only where its main part is."""
    return None if summary[parts[0]] is None else int(sum(summary[part] or 0 for part in parts))


def _failed(task: Task, summary: dict[str, Any]) -> int | None:
    """Attempts that were not delivered; unknown where the file says nothing of it."""
    says = {"status", "failed_requests"} & {*task.columns, *task.job.constants}
    return int(summary["failed"] or 0) if says else None


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _stamp(hour: Any) -> str | None:
    return None if hour is None else f"{hour:%Y-%m-%dT%H:%M:%SZ}"


def _notes(task: Task, flags: int) -> list[str]:
    return [words.format(zone=task.job.zone) for flag, words in NOTES.items() if flags & flag]

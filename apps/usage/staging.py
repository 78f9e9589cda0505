"""Reduced rows on their way into the ledger: DuckDB gives every row its series, COPY carries it into PostgreSQL."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
from django.db import connection

from apps.core.errors import BadInput
from apps.usage.fields import LARGEST

CHUNK_BYTES = 1 << 20
HOUR_COLUMNS = (
    "series_id, hour, revision, pull_id, requests, input, cached, cache_write, cache_write_1h, output, reasoning, "
    "gpu_seconds, gpu_busy_seconds, reported_cost, currency, latency_counts, latency_sum_ms, ttft_counts, flags"
)
SIZES, LARGEST_SIZE = ("quantity", "latency_sum_ms"), 10**16  # bytes and milliseconds run to larger numbers
SUMMED = (
    "requests", "input", "cached", "cache_write", "cache_write_1h", "output", "reasoning", "gpu_seconds",
    "gpu_busy_seconds", "reported_cost", "latency_sum_ms",
)  # fmt: skip
CHARGE_COLUMNS = (
    "part_id, charge_start, charge_end, row_digest, occurrence, revision, pull_id, billing_month, category, class, "
    "identity_id, offering_id, provider, service_category, meter, quantity, unit, billed, effective, list, currency, "
    "in_scope, accrued, extra"
)


class SeriesKey(NamedTuple):
    """Everything of a reduced row's key but the hour, in the words of its source."""

    usage_key: str
    provider: str
    model: str
    call_kind: str
    service_tier: str
    prompt_band: int


class KeySeen(NamedTuple):
    key: SeriesKey
    first_hour: datetime


class NumberedSeries(NamedTuple):
    series_id: int
    identity_id: int


@dataclass(frozen=True, slots=True)
class Published:
    """Ledger rows (hours or charges) of one publication; `written` had other content before or none."""

    written: int
    unchanged: int
    removed: int


@contextmanager
def staged(work_dir: Path, *, memory_mb: int = 512) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB over the reduced files of one work folder and nothing else, spilling beside them."""
    with duckdb.connect(":memory:", config={"memory_limit": f"{memory_mb}MB"}) as db:
        db.execute("SET TimeZone = 'UTC'")
        db.execute(f"SET temp_directory = '{_quoted(work_dir / 'spill')}'")
        db.execute(f"SET allowed_directories = ['{_quoted(work_dir)}/']")
        db.execute("SET enable_external_access = false; SET lock_configuration = true")
        yield db


def series_keys(db: duckdb.DuckDBPyConnection, hours: Path) -> list[KeySeen]:
    """Every distinct key of the reduced hours with the first hour in which it occurs."""
    columns = ", ".join(SeriesKey._fields)
    db.execute(f"CREATE VIEW hours AS SELECT * FROM read_parquet('{_quoted(hours)}')")
    rows = db.execute(f"SELECT {columns}, min(hour)::TIMESTAMPTZ FROM hours GROUP BY ALL ORDER BY ALL").fetchall()
    return [KeySeen(SeriesKey(*row[:-1]), row[-1]) for row in rows]


def models_of(rows: Path) -> set[tuple[str, str]]:
    """Every provider and model that hours or charges name."""
    read = f"read_parquet('{_quoted(rows)}')"
    with duckdb.connect() as db:
        named = db.execute(f"SELECT DISTINCT coalesce(provider, ''), model FROM {read} WHERE model IS NOT NULL")
        return set(named.fetchall())


def span(db: duckdb.DuckDBPyConnection) -> tuple[datetime | None, datetime | None]:
    """The first and the last of the reduced hours; None of both where there are none."""
    first, last = db.execute("SELECT min(hour)::TIMESTAMPTZ, max(hour)::TIMESTAMPTZ FROM hours").fetchall()[0]
    return first, last


def refuse_what_no_ledger_holds(db: duckdb.DuckDBPyConnection, view: str, measures: Iterable[str]) -> None:
    """Raise `BadInput` naming the first measure that is too large in some row, either side of zero."""
    names = list(measures)
    largest = ", ".join(f"max(abs({name}))" for name in names)
    row = db.execute(f"SELECT {largest} FROM {view}").fetchall()[0]
    for name, found in zip(names, row, strict=True):
        limit = LARGEST_SIZE if name in SIZES else LARGEST
        if found is not None and found > limit:
            raise BadInput(
                f"{name.replace('_', ' ').capitalize()} reaches {found:,.0f} in one row or hour, which cannot be.",
                hint=f"Is the column the right one? Nothing above {limit:,} is taken.",
            )


def number_series(db: duckdb.DuckDBPyConnection, series: dict[SeriesKey, NumberedSeries]) -> None:
    """Hand DuckDB the database's ids of the keys, as the table it joins the hours with."""
    columns: dict[str, list[Any]] = {name: [key[at] for key in series] for at, name in enumerate(SeriesKey._fields)}
    columns["series_id"] = [numbered.series_id for numbered in series.values()]
    columns["identity_id"] = [numbered.identity_id for numbered in series.values()]
    db.register("numbered_arrow", pa.table(columns))
    # Two names of a source may mean one offering (an alias, a date suffix): their hours are one series and add up.
    db.execute("CREATE TABLE numbered AS SELECT * FROM numbered_arrow")


def write_hours(db: duckdb.DuckDBPyConnection, target: Path, *, pull_id: int) -> None:
    """The hours with their series, sorted by the ledger's key, as CSV that COPY reads."""
    join = ", ".join(SeriesKey._fields)
    merge = db.execute("SELECT count(DISTINCT series_id) < count(*) FROM numbered").fetchone()
    if merge and merge[0]:
        _refuse_mixed_currencies(db, join)
        source = _merged_hours(join)
    else:
        source = f"hours JOIN numbered USING ({join})"
    db.execute(f"""
        COPY (
            SELECT series_id, hour, 0, {int(pull_id)}, requests, input, cached, cache_write, cache_write_1h, output,
                reasoning, gpu_seconds, gpu_busy_seconds, reported_cost, currency, {_array("latency_counts")},
                latency_sum_ms, {_array("ttft_counts")}, flags
            FROM {source} ORDER BY series_id, hour
        ) TO '{_quoted(target)}' (FORMAT csv, HEADER false)
    """)


def write_touched(db: duckdb.DuckDBPyConnection, target: Path, *, zone: str) -> None:
    """The days of each identity that the hours touch, in the organisation's zone."""
    join = ", ".join(SeriesKey._fields)
    db.execute(f"""
        COPY (
            SELECT DISTINCT identity_id, CAST(timezone('{zone}', hour::TIMESTAMPTZ) AS DATE)
            FROM hours JOIN numbered USING ({join})
        ) TO '{_quoted(target)}' (FORMAT csv, HEADER false)
    """)


def copy_in(table: str, columns: str, source: Path) -> int:
    """COPY a CSV file into a table; returns the number of rows."""
    # Django does not translate what COPY raises, and a server that went away is to be met like everywhere else.
    with connection.wrap_database_errors, connection.cursor() as cursor, source.open("rb") as file:
        with cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)") as copy:
            while chunk := file.read(CHUNK_BYTES):
                copy.write(chunk)
        return int(cursor.rowcount)


def _refuse_mixed_currencies(db: duckdb.DuckDBPyConnection, join: str) -> None:
    """Names of one model may report costs in two currencies, which cannot be added."""
    mixed = db.execute(f"""
        SELECT min(usage_key), list_sort(list(DISTINCT model)), list_sort(list(DISTINCT currency))
        FROM hours JOIN numbered USING ({join}) WHERE currency IS NOT NULL
        GROUP BY series_id, hour HAVING min(currency) <> max(currency) ORDER BY ALL LIMIT 1
    """).fetchone()
    if mixed:
        key, models, currencies = mixed[0], " and ".join(mixed[1]), " and ".join(mixed[2])
        raise BadInput(
            f"{key} has costs in {currencies} in one hour for {models}, which are one model.",
            hint="Load each currency as a part of its own (--part).",
        )


def _merged_hours(join: str) -> str:
    """Hours summed where several keys of the source share one series; unknown stays unknown only if all are.

    Of GPU time whose busy share only some of them know, the others' counts as busy, as it does within one key.
    """
    values = {name: name for name in SUMMED} | {"gpu_busy_seconds": "coalesce(gpu_busy_seconds, gpu_seconds)"}
    sums = {name: f"sum({value})" for name, value in values.items()}
    sums["gpu_busy_seconds"] = f"CASE WHEN count(gpu_busy_seconds) > 0 THEN {sums['gpu_busy_seconds']} END"
    summed = ", ".join(f"{value} AS {name}" for name, value in sums.items())
    histograms = ", ".join(f"{_summed_list(name)} AS {name}" for name in ("latency_counts", "ttft_counts"))
    return f"""(
        SELECT series_id, hour, {summed}, {histograms}, max(currency) AS currency, bit_or(flags) AS flags
        FROM hours JOIN numbered USING ({join}) GROUP BY series_id, hour)"""


def _summed_list(name: str) -> str:
    added = "list_transform(list_zip(a, b), lambda pair: coalesce(pair[1], 0) + coalesce(pair[2], 0))"
    return f"list_reduce(list({name}) FILTER ({name} IS NOT NULL), lambda a, b: {added})"


def _array(name: str) -> str:
    return f"CASE WHEN {name} IS NULL THEN NULL ELSE '{{' || array_to_string({name}, ',') || '}}' END"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")

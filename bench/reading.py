"""From a request log to committed hours, against DuckDB doing the bare sums and a bare COPY."""

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from django.db import connection, transaction

from apps.catalog.bands import LATENCY_EDGES_MS, PROMPT_BAND_EDGES
from apps.core import organisation
from apps.sources.models import Part, Pull, Source
from apps.usage import services as usage
from apps.usage import staging
from apps.usage.job import Job
from bench.harness import Measured, compare, run_measured, say, scaled
from bench.publishing import publish

ROWS, KEYS, MODELS = 20_000_000, 300, ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini")
MEMORY_LIMIT = 2 << 30
FIRST, LAST = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC)


def measure(home: Path) -> list[Measured]:
    folder = home / "reading"
    folder.mkdir()
    organisation.get()
    rows = scaled(ROWS)
    log = write_log(folder / "log.parquet", rows)
    results = [
        compare(
            "requests_parquet",
            subject=lambda: _load(folder, log),
            floor=lambda: _bare_sums(folder, f"'{log}'"),
            between=_empty_hours,
            limit=1.5,
        )
    ]
    results += _memory(folder, log, rows)
    zipped = write_csv(log, folder / "log.csv.gz")
    # Against reading alone, and against reading with the sums and the COPY that an import cannot do without.
    floors = {"": lambda: _read_as_text(zipped), "_with_sums": lambda: _bare_sums(folder, _from_text(zipped))}
    for name, floor in floors.items():
        results.append(
            compare(
                f"requests_csv_gz{name}",
                subject=lambda: _load(folder, zipped),
                floor=floor,
                between=_empty_hours,
                limit=1.5,
            )
        )
    shutil.rmtree(folder)
    _empty_hours()
    return results


def write_log(target: Path, rows: int) -> Path:
    """A month of calls: 300 keys x 4 models, whole tokens, latencies in ms, one call in fifty failed."""
    models = ", ".join(f"'{model}'" for model in MODELS)
    duckdb.connect().execute(f"""
        COPY (
            SELECT TIMESTAMPTZ '2026-10-01 00:00:00+00'
                    + to_milliseconds(CAST(i * {31 * 86_400_000} / {rows} AS BIGINT)) AS time,
                'key-' || (i * 7919 % {KEYS}) AS usage_key, 'openai' AS provider,
                [{models}][1 + (i * 104729 // {KEYS}) % {len(MODELS)}] AS model,
                CAST(200 + i * 31 % 9000 AS BIGINT) AS input_tokens,
                CAST(i * 17 % 200 AS BIGINT) AS cached_input_tokens,
                CAST(20 + i * 13 % 900 AS BIGINT) AS output_tokens,
                CAST(60 + i * 37 % 9000 AS BIGINT) AS latency_ms,
                CASE WHEN i % 50 = 0 THEN '500' ELSE '200' END AS status
            FROM range({rows}) t (i)
        ) TO '{target}' (FORMAT parquet)
    """)
    return target


def write_csv(log: Path, target: Path) -> Path:
    duckdb.connect().execute(f"COPY (FROM '{log}') TO '{target}' (FORMAT csv, HEADER, COMPRESSION gzip)")
    return target


def _load(folder: Path, log: Path) -> None:
    """What an import does until its hours are committed."""
    work_dir, _ = _read(folder, log)
    usage.make_room(first=FIRST, last=LAST)
    published = publish(work_dir, _new_pull())
    result = json.loads((work_dir / "result.json").read_text())
    if published.written != result["hours"]:
        raise RuntimeError(f"{published.written} hours written, {result['hours']} read")


def _read(folder: Path, log: Path) -> tuple[Path, int]:
    """The reading process; returns its work folder and its peak memory."""
    work_dir = folder / "work"
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir()
    job = folder / "job.json"
    job.write_text(Job(paths=[str(log)], format="requests", work_dir=str(work_dir)).to_json())
    return work_dir, run_measured([sys.executable, "-m", "apps.usage.reduce", str(job)])


def _peak(folder: Path, log: Path) -> int:
    """The larger peak of reading and publishing, which never live at once. Published twice, so that it compares too;
    read three times, for how far two threads are apart at the worst moment is chance."""
    _empty_hours()
    reads = [_read(folder, log) for _ in range(3)]
    work_dir, reading = reads[-1][0], max(peak for _, peak in reads)
    usage.make_room(first=FIRST, last=LAST)
    command = [sys.executable, "-m", "bench.publishing", str(work_dir), str(_new_pull().pk)]
    publishing = max(run_measured(command) for _ in range(2))
    _empty_hours()
    say(f"peak memory: reading {reading >> 20} MiB, publishing {publishing >> 20} MiB")
    return max(reading, publishing)


def _bare_sums(folder: Path, rows: str) -> None:
    """The same columns and edges in one plain aggregation, and a bare COPY into a table with the same key."""
    edges = "".join(f" WHEN latency_ms <= {edge} THEN {at}" for at, edge in enumerate(LATENCY_EDGES_MS))
    band = " + ".join(f"CAST(input_tokens > {edge} AS INT)" for edge in PROMPT_BAND_EDGES)
    counts = ", ".join(f"count(*) FILTER (bucket = {at})" for at in range(len(LATENCY_EDGES_MS) + 1))
    target = folder / "floor.csv"
    with duckdb.connect(config={"memory_limit": "2GB"}) as db:
        db.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
        db.execute(f"""
            COPY (
                SELECT dense_rank() OVER (ORDER BY usage_key, provider, model, kind, band) AS series_id, hour, 0, 1,
                    requests, input, cached, NULL, NULL, output, NULL, NULL, NULL, NULL, NULL,
                    '{{' || array_to_string(counts, ',') || '}}', latency_sum_ms, NULL, 0
                FROM (
                    SELECT usage_key, provider, model,
                        CASE WHEN status = '200' THEN 'token' ELSE 'retry_failed' END AS kind,
                        {band} AS band, date_trunc('hour', time) AS hour, count(*) AS requests,
                        sum(input_tokens - cached_input_tokens) AS input, sum(cached_input_tokens) AS cached,
                        sum(output_tokens) AS output, sum(latency_ms) AS latency_sum_ms, [{counts}] AS counts
                    FROM (SELECT *, CASE {edges} ELSE {len(LATENCY_EDGES_MS)} END AS bucket FROM {rows})
                    GROUP BY ALL
                ) ORDER BY series_id, hour
            ) TO '{target}' (FORMAT csv, HEADER false)
        """)
    usage.make_room(first=FIRST, last=LAST)
    with transaction.atomic():
        staging.copy_in("usage_hour", staging.HOUR_COLUMNS, target)


def _memory(folder: Path, log: Path, rows: int) -> list[Measured]:
    """Peak memory from file to committed hours, as a share of 2 GiB, and of three times the rows against one."""
    peak = _peak(folder, log)
    larger = write_log(folder / "larger.parquet", 3 * rows)
    larger_peak = _peak(folder, larger)
    larger.unlink()
    return [
        Measured("requests_memory_of_2GiB", max(peak, larger_peak) / MEMORY_LIMIT, 1),
        Measured("requests_memory_three_times_the_rows", larger_peak / peak, 1.1),
    ]


def _read_as_text(zipped: Path) -> None:
    with duckdb.connect(config={"memory_limit": "2GB"}) as db:
        columns = "count(time), count(usage_key), count(model), count(input_tokens), count(cached_input_tokens), "
        columns += "count(output_tokens), count(latency_ms), count(status), count(provider)"
        db.execute(f"SELECT {columns} FROM read_csv('{zipped}', all_varchar = true, header = true)").fetchall()


def _from_text(zipped: Path) -> str:
    """Its columns as plain casts of the text: no check, no rejected row, no identity."""
    whole = ", ".join(
        f"CAST({name} AS BIGINT) AS {name}"
        for name in ("input_tokens", "cached_input_tokens", "output_tokens", "latency_ms")
    )
    text = f"read_csv('{zipped}', all_varchar = true, header = true)"
    return f"(SELECT * REPLACE (CAST(time AS TIMESTAMPTZ) AS time, {whole}) FROM {text})"


def _new_pull() -> Pull:
    source, _ = Source.objects.get_or_create(slug="bench", defaults={"name": "Bench"})
    part, _ = Part.objects.get_or_create(source=source, name="log")
    return Pull.objects.create(part=part, format=Pull.Format.REQUESTS, state=Pull.State.DONE)


def _empty_hours() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE usage_hour, usage_replaced, costs_dirty_day")

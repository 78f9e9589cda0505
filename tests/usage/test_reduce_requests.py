"""Request logs to hours: figures, call kinds, bands, latencies, and what is said about them."""

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.usage.fields import Flag
from apps.usage.job import Job, Reduction
from apps.usage.reading import FileError
from apps.usage.reduce import reduce_files

NOW = "2026-11-24T12:00:00Z"
HEADER = "time,usage_key,model,input_tokens,output_tokens"
GPT = {"provider": "openai", "model": "gpt-4o-2024-08-06", "usage_key": "code"}


def reduce_text(folder: Path, text: str, **job: Any) -> Reduction:
    path = folder / "log.csv"
    path.write_text(text)
    return reduce_path(path, folder, **job)


def reduce_path(path: Path, folder: Path, **job: Any) -> Reduction:
    return reduce_files(
        Job(**{"paths": [str(path)], "format": "requests", "work_dir": str(folder / "work"), "now": NOW, **job})
    )


def hours(folder: Path, columns: str = "*") -> list[tuple[Any, ...]]:
    file = folder / "work" / "hours.parquet"
    return duckdb.sql(f"SELECT {columns} FROM '{file}' ORDER BY ALL").fetchall()


def test_a_call_is_stored_disjoint(tmp_path: Path) -> None:
    """Example A: 10,000 in of which 6,000 cached and 1,000 written; 1,200 out of which 800 reasoning."""
    text = f"{HEADER},cached_input_tokens,cache_write_tokens,reasoning_tokens\n"
    text += "2026-10-24T08:15:00Z,a,m,10000,1200,6000,1000,800\n"
    result = reduce_text(tmp_path, text)
    assert hours(tmp_path, "input, cached, cache_write, output, reasoning") == [(3000, 6000, 1000, 400, 800)]
    assert (result.input_tokens, result.cached_input_tokens, result.output_tokens) == (10_000, 6_000, 1_200)


def test_the_azure_code_trace(tmp_path: Path, public_data: Path) -> None:
    columns = {"time": "TIMESTAMP", "input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"}
    path = public_data / "llm-traces" / "azure_llm_2023_code.csv.gz"
    result = reduce_path(path, tmp_path, columns=columns, constants=GPT)
    assert (result.rows_read, result.rows_rejected, result.requests) == (8_819, 0, 8_819)
    assert (result.input_tokens, result.output_tokens) == (18_059_974, 245_896)
    assert (result.first_hour, result.last_hour) == ("2023-11-16T18:00:00Z", "2023-11-16T19:00:00Z")
    assert "Times had no zone; read as UTC." in result.notes
    assert result.cached_input_tokens is None
    assert result.sha256 == "c9e4d56843d2a9c52d14f37d9fc9aa82992f16a8ea2e1686b2bbc781b4f98691"


def test_the_mooncake_conversation_counts_from_an_origin(tmp_path: Path, public_data: Path) -> None:
    path = public_data / "llm-traces" / "mooncake_conversation_first40min.jsonl.gz"
    columns = {"time": "timestamp", "input_tokens": "input_length", "output_tokens": "output_length"}
    given = {"columns": columns, "constants": GPT, "time_unit": "ms"}
    result = reduce_path(path, tmp_path, **given, time_origin="2026-10-01T08:30:00Z")
    assert (result.rows_read, result.input_tokens, result.output_tokens) == (7_851, 97_571_920, 2_724_903)
    assert (result.first_hour, result.last_hour) == ("2026-10-01T08:00:00Z", "2026-10-01T09:00:00Z")
    with pytest.raises(FileError) as refused:
        reduce_path(path, tmp_path, **given)
    assert "--time-origin" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "rows", "requests", "input_tokens", "output_tokens"),
    [
        ("m-small", 5_705, 613_549_778, 73_422_849_640, 9_136_292_903),
        ("m-large", 14_967, 148_588_305, 135_851_014_286, 23_044_936_542),
        ("deepseek-r1", 625, 1_383_669, 1_754_837_741, 2_113_442_998),
    ],
)
def test_servegen_hours(
    tmp_path: Path, public_data: Path, name: str, rows: int, requests: int, input_tokens: int, output_tokens: int
) -> None:
    path = public_data / "llm-traces" / f"servegen_{name}_hourly.csv.gz"
    columns = {"period_start": "hour", "usage_key": "client", "model": "workload"}
    result = reduce_path(
        path, tmp_path, format="usage", columns=columns, time_unit="h", time_origin="2026-10-01T00:00:00Z"
    )
    assert (result.rows_read, result.rows_rejected) == (rows, 0)
    assert (result.requests, result.input_tokens, result.output_tokens) == (requests, input_tokens, output_tokens)
    assert hours(tmp_path, "DISTINCT prompt_band, service_tier, call_kind") == [(-1, "unknown", "token")]


@pytest.mark.parametrize(
    ("status", "fallback_from", "kind"),
    [
        ("200", "", "token"),
        ("204.0", "", "token"),
        ("OK", "", "token"),
        ("success", "gpt-5", "fallback"),
        ("302", "", "retry_failed"),
        ("429", "gpt-5", "retry_failed"),
        ("timeout", "", "retry_failed"),
        ("Error", "", "retry_failed"),
        ("", "", "token"),
        ("", "gpt-5", "fallback"),
    ],
)
def test_every_call_has_one_kind(tmp_path: Path, status: str, fallback_from: str, kind: str) -> None:
    reduce_text(tmp_path, f"{HEADER},status,fallback_from\n2026-10-24T08:15:00Z,a,m,1,1,{status},{fallback_from}\n")
    ((found, flags),) = hours(tmp_path, "call_kind, flags")
    assert found == kind
    assert bool(flags & Flag.STATUS_ASSUMED) == (status == "")


def test_a_successful_second_attempt_is_no_retry(tmp_path: Path) -> None:
    text = f"{HEADER},status,attempt,request_id\n"
    text += "2026-10-24T08:15:00Z,a,m,100,0,500,1,r1\n2026-10-24T08:15:01Z,a,m,100,7,200,2,r1\n"
    result = reduce_text(tmp_path, text)
    assert hours(tmp_path, "call_kind, requests, input, output") == [("retry_failed", 1, 100, 0), ("token", 1, 100, 7)]
    assert (result.requests, result.failed_requests) == (2, 1)


def test_rows_that_are_the_same_all_count(tmp_path: Path) -> None:
    assert reduce_text(tmp_path, HEADER + "\n" + "2026-10-24T08:15:00Z,a,m,5,5\n" * 3).requests == 3


@pytest.mark.parametrize(
    ("tokens", "band"),
    [
        (0, 0),
        (128_000, 0),
        (128_001, 1),
        (200_000, 1),
        (200_001, 2),
        (272_000, 2),
        (272_001, 3),
        (512_000, 3),
        (512_001, 4),
    ],
)
def test_the_prompt_band_is_that_of_the_call(tmp_path: Path, tokens: int, band: int) -> None:
    reduce_text(tmp_path, f"{HEADER}\n2026-10-24T08:15:00Z,a,m,{tokens},5\n")
    assert hours(tmp_path, "prompt_band") == [(band,)]


@pytest.mark.parametrize(
    ("latency", "bucket"),
    [("0", 0), ("50", 0), ("50.0001", 1), ("51", 1), ("800", 5), ("7.68E6", 24), ("7680001", 25), ("99999999", 25)],
)
def test_a_latency_falls_into_its_bucket(tmp_path: Path, latency: str, bucket: int) -> None:
    reduce_text(tmp_path, f"{HEADER},latency_ms\n2026-10-24T08:15:00Z,a,m,5,5,{latency}\n")
    ((counts,),) = hours(tmp_path, "latency_counts")
    assert len(counts) == 26
    assert [place for place, count in enumerate(counts) if count] == [bucket]


def test_an_hour_without_latencies_has_no_counts(tmp_path: Path) -> None:
    reduce_text(tmp_path, f"{HEADER},latency_ms\n2026-10-24T08:15:00Z,a,m,5,5,\n2026-10-24T09:15:00Z,a,m,5,5,70\n")
    assert hours(tmp_path, "latency_counts IS NULL, latency_sum_ms") == [(False, 70), (True, None)]


def test_what_the_file_lacks_is_unknown_and_not_zero(tmp_path: Path) -> None:
    result = reduce_text(tmp_path, f"{HEADER}\n2026-10-24T08:15:00Z,a,m,5,5\n")
    assert hours(tmp_path, "cached, cache_write, reasoning, latency_counts, reported_cost") == [(None,) * 5]
    assert (result.cached_input_tokens, result.failed_requests) == (None, None)
    ((flags,),) = hours(tmp_path, "flags")
    assert Flag(flags) == Flag.STATUS_ASSUMED | Flag.UPPER_BOUND | Flag.TIER_ASSUMED
    assert "cached_input_tokens" in result.missing_fields


def test_a_delivered_call_without_tokens_is_marked(tmp_path: Path) -> None:
    reduce_text(tmp_path, f"{HEADER},status\n2026-10-24T08:15:00Z,a,m,,,200\n2026-10-24T09:15:00Z,a,m,,,500\n")
    found = hours(tmp_path, "call_kind, input, output, flags")
    assert [(kind, i, o, bool(flags & Flag.TOKENS_MISSING)) for kind, i, o, flags in found] == [
        ("retry_failed", None, None, False),
        ("token", None, None, True),
    ]


@pytest.mark.parametrize(
    ("written", "hour"),
    [
        ("2026-10-24T08:15:00Z", "08:00"),
        ("2026-10-24 08:15:00.1234567", "08:00"),
        ("2026-10-24T08:15", "08:00"),
        ("2026-10-24T08:15:00+02:00", "06:00"),
        ("2026-10-24T08:15:00.5+0530", "02:00"),
        ("2026-10-24 08:15:00-03", "11:00"),
        ("2026-10-24 08:15:00 UTC", "08:00"),
        ("2026-10-24T08:15+02:00", "06:00"),
        ("2026-10-24T08:15z", "08:00"),
        ("2026-10-24 08:15:00.536+00", "08:00"),
        ("2026-10-24T08:15:00 +00:00", "08:00"),
        ("2026-10-24T08:15:00-0000", "08:00"),
        ("2026-10-24", "00:00"),
        ("2026-10-24T08:59:60Z", "08:00"),
    ],
)
def test_times_in_many_spellings(tmp_path: Path, written: str, hour: str) -> None:
    result = reduce_text(tmp_path, f"{HEADER}\n{written},a,m,5,5\n")
    assert result.first_hour == f"2026-10-24T{hour}:00Z"


def test_naive_times_are_read_in_the_zone_that_was_given(tmp_path: Path) -> None:
    text = f"{HEADER}\n2026-10-24 08:15:00,a,m,5,5\n2026-10-26 08:15:00,a,m,5,5\n2026-10-26 08:15:00Z,a,m,5,5\n"
    result = reduce_text(tmp_path, text, zone="Europe/Berlin")
    stamps = [f"{hour:%d %H}" for (hour,) in hours(tmp_path, "hour")]
    assert stamps == ["24 06", "26 07", "26 08"]
    assert "Times had no zone; read as Europe/Berlin." in result.notes


@pytest.mark.parametrize(("unit", "value"), [("s", "1792828800"), ("ms", "1792828800123"), ("s", "1792828800.75")])
def test_times_as_numbers(tmp_path: Path, unit: str, value: str) -> None:
    result = reduce_text(tmp_path, f"{HEADER}\n{value},a,m,5,5\n", time_unit=unit)
    assert result.first_hour == "2026-10-24T08:00:00Z"


def test_sums_are_exact_beyond_what_a_float_holds(tmp_path: Path) -> None:
    result = reduce_text(tmp_path, HEADER + "\n" + "2026-10-24T08:15:00Z,a,m,9999999999999,1E3\n" * 2_001)
    assert (result.input_tokens, result.output_tokens) == (20_009_999_999_997_999, 2_001_000)


def test_a_latency_may_come_in_seconds(tmp_path: Path) -> None:
    text = f"{HEADER},took\n2026-10-24T08:15:00Z,a,m,5,5,0.8\n2026-10-24T08:15:00Z,a,m,5,5,0.8001\n"
    text += "2026-10-24T08:15:00Z,a,m,5,5,1e15\n"
    result = reduce_text(tmp_path, text, columns={"latency_s": "took"})
    ((counts, total),) = hours(tmp_path, "latency_counts, latency_sum_ms")
    assert (counts[5], counts[6], sum(counts), total) == (1, 1, 2, 1601)
    assert [reject.reason for reject in result.rejects] == ["latency_s: too large"]
    assert "latency_ms" not in result.missing_fields


def test_parquet_with_types_gives_the_same_hours_as_text(tmp_path: Path) -> None:
    rows = {
        "time": pa.array([1_792_829_700_000_000, 1_792_829_701_000_000], pa.timestamp("us", "UTC")),
        "usage_key": ["a", "a"],
        "model": pa.array(["m", "m"]).dictionary_encode(),
        "input_tokens": pa.array([10_000, 5], pa.int32()),
        "output_tokens": pa.array([1_200, None], pa.float64()),
        "cached_input_tokens": pa.array([6_000, 5], pa.uint64()),
        "latency_ms": pa.array([49.5, 50.1], pa.float64()),
        "status": pa.array([200, 200], pa.int16()),
    }
    pq.write_table(pa.table(rows), tmp_path / "log.parquet")
    reduce_path(tmp_path / "log.parquet", tmp_path)
    typed = hours(tmp_path)
    text = "2026-10-24T08:15:00Z,a,m,10000,1200,6000,49.5,200\n2026-10-24T08:15:01Z,a,m,5,,5,50.1,200\n"
    reduce_text(tmp_path, f"{HEADER},cached_input_tokens,latency_ms,status\n{text}")
    assert typed == hours(tmp_path)


def test_parquet_rows_are_rejected_by_type(tmp_path: Path) -> None:
    rows = {
        "time": pa.array([1_792_829_700] * 5 + [None], pa.timestamp("s")),
        "usage_key": ["a"] * 6,
        "model": ["m"] * 6,
        "input_tokens": pa.array([1.5, float("nan"), float("inf"), -1.0, 7.0, 7.0]),
        "output_tokens": pa.array([2**64 - 1, 1, 1, 1, 1, 1], pa.uint64()),
    }
    pq.write_table(pa.table(rows), tmp_path / "log.parquet")
    result = reduce_path(tmp_path / "log.parquet", tmp_path)
    assert {(reject.reason, reject.line) for reject in result.rejects} == {
        ("input_tokens: not a whole number", 1),
        ("input_tokens: not a number", 2),
        ("input_tokens: negative", 4),
        ("time: empty", 6),
    }
    assert (result.rows_read, result.rows_rejected, result.input_tokens) == (6, 5, 7)


def test_json_lines_with_objects_inside(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    call = {"ts": "2026-10-24T08:15:00Z", "key": 'a"b', "m": "m", "usage": {"in": 10, "out": 2}, "prompt": "secret"}
    path.write_text(json.dumps(call) + "\n\nnot json\n[1, 2]\n" + json.dumps(call | {"usage": {"in": "x"}}) + "\n")
    columns = {"time": "ts", "usage_key": "key", "model": "m", "input_tokens": "usage.in", "output_tokens": "usage.out"}
    result = reduce_path(path, tmp_path, columns=columns)
    assert (result.rows_read, result.rows_rejected, result.input_tokens) == (4, 3, 10)
    assert [(reject.reason, reject.line, reject.count) for reject in result.rejects] == [
        ("line: not a JSON object", 3, 2),
        ("input_tokens: not a number", 5, 1),
    ]
    assert hours(tmp_path, "usage_key") == [('a"b',)]


@pytest.mark.parametrize("packed", [False, True])
def test_a_field_that_only_late_objects_have_is_read(tmp_path: Path, packed: bool) -> None:
    """Objects leave out what does not apply: the first megabyte says nothing about the rest."""
    call = {"time": "2026-10-24T08:15:00Z", "model": "m", "input_tokens": 100, "output_tokens": 10, "usage_key": "a"}
    first = json.dumps({**call, "note": "x" * 2000}) + "\n"
    late = json.dumps({**call, "cached_input_tokens": 60, "fallback_from": "n"}) + "\n"
    text = (first * 1000 + late * 3).encode()
    path = tmp_path / "log.jsonl"
    path.write_bytes(gzip.compress(text, compresslevel=1) if packed else text)
    result = reduce_path(path, tmp_path)
    assert (result.rows_read, result.rows_rejected, result.cached_input_tokens) == (1003, 0, 180)
    assert {"cached_input_tokens", "fallback_from"}.isdisjoint(result.missing_fields)
    assert "status" in result.missing_fields
    assert hours(tmp_path, "call_kind, requests, input, cached") == [
        ("fallback", 3, 120, 180),
        ("token", 1000, 100_000, None),
    ]


def test_several_files_of_different_shape_are_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "a [1].csv").write_text(f"{HEADER}\n2026-10-24T08:15:00Z,a,m,1,1\n")
    (tmp_path / "b.csv").write_text(
        "model;usage_key;time;output_tokens;input_tokens\nm;a;2026-10-24T08:20:00Z;1;x\nm;a;2026-10-24T08:20:00Z;1;2\n"
    )
    paths = [str(tmp_path / "a [1].csv"), str(tmp_path / "b.csv")]
    result = reduce_path(tmp_path, tmp_path, paths=paths)
    assert (result.rows_read, result.rows_rejected, result.input_tokens) == (3, 1, 3)
    assert hours(tmp_path, "requests") == [(2,)]


def test_usage_splits_failed_calls_and_marks_coarse_periods(tmp_path: Path) -> None:
    text = "period_start,period_end,usage_key,model,requests,failed_requests,input_tokens,gpu_seconds,cost,currency\n"
    text += "2026-10-24T00:00:00Z,2026-10-25T00:00:00Z,a,m,100,4,5000,7.25,1E-7,EUR\n"
    result = reduce_text(tmp_path, text, format="usage")
    assert hours(tmp_path, "call_kind, requests, input, gpu_seconds::VARCHAR, reported_cost::VARCHAR") == [
        ("retry_failed", 4, None, None, None),
        ("token", 96, 5000, "7.250000000000000000", "0.000000100000000000"),
    ]
    assert (result.rows_read, result.requests, result.failed_requests) == (1, 100, 4)
    assert (result.reported_cost, result.currencies) == ("0.0000001", ["EUR"])
    assert all(flags & Flag.COARSE_PERIOD for (flags,) in hours(tmp_path, "flags"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-10-24T00:30:00Z,2026-10-25T00:00:00Z,a,m,1,0,,", "period_start: not at a full hour"),
        ("2026-10-01T00:00:00Z,2026-11-02T00:00:00Z,a,m,1,0,,", "period_end: more than 31 days after period_start"),
        ("2026-10-24T01:00:00Z,2026-10-24T01:00:00Z,a,m,1,0,,", "period_end: not after period_start"),
        ("2026-10-24T01:00:00Z,,a,m,1,2,,", "failed_requests: more than requests"),
        ("2026-10-24T01:00:00Z,,a,m,1,0,5,", "currency: empty"),
        ("2026-10-24T01:00:00Z,,a,m,1,0,5,usd", "currency: not a code of three capitals"),
        ("2026-10-24T01:00:00Z,,a,m,1,0,NaN,USD", "cost: not a number"),
    ],
)
def test_usage_rows_that_are_rejected(tmp_path: Path, row: str, reason: str) -> None:
    header = "period_start,period_end,usage_key,model,requests,failed_requests,cost,currency\n"
    result = reduce_text(tmp_path, header + row + "\n", format="usage")
    assert [reject.reason for reject in result.rejects] == [reason]


def test_two_currencies_in_one_hour_are_refused(tmp_path: Path) -> None:
    text = "period_start,usage_key,model,cost,currency\n"
    text += "2026-10-24T01:00:00Z,a,m,1,USD\n2026-10-24T01:20:00Z,a,m,1,EUR\n"
    with pytest.raises(FileError, match="two currencies"):
        reduce_text(tmp_path, text, format="usage")


def test_gpu_time_without_a_busy_share_counts_as_used_beside_time_with_one(tmp_path: Path) -> None:
    # An hour held twice: once half busy, once nobody knows. Used 1,800 + 3,600, idle 1,800.
    header = "period_start,usage_key,model,gpu_seconds,gpu_busy_seconds\n"
    rows = "2026-10-24T01:00:00Z,a,m,3600,1800\n2026-10-24T01:20:00Z,a,m,3600,\n2026-10-24T02:00:00Z,a,m,60,\n"
    result = reduce_text(tmp_path, header + rows, format="usage")
    assert hours(tmp_path, "gpu_seconds::INTEGER, gpu_busy_seconds::INTEGER") == [(60, None), (7200, 5400)]
    assert "The busy share of some GPU time is unknown; all that was allocated counts as used." in result.notes
    known = reduce_text(tmp_path, header + "2026-10-24T01:00:00Z,a,m,3600,1800\n", format="usage")
    assert not any("busy" in note for note in known.notes)

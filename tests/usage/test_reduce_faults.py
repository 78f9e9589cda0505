"""Bad rows are rejected with line and reason and the rest loads; bad files are refused whole, in words."""

import csv
import errno
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.usage import unpacking
from apps.usage.job import Cancelled, Job, Progress, Reduction
from apps.usage.reading import FileError, Guards
from apps.usage.reduce import main, reduce_files

PROJECT = Path(__file__).resolve().parents[2]
WITHOUT_DJANGO = """
import runpy, sys
sys.modules["django"] = None
sys.argv = ["reduce", sys.argv[1]]
runpy.run_module("apps.usage.reduce", run_name="__main__")
"""
NOW = "2026-11-24T12:00:00Z"
HEADER = "time,usage_key,model,input_tokens,output_tokens"
GOOD = "2026-10-24T08:15:00Z,a,m,5,5"


def job_of(path: Path, **given: Any) -> Job:
    return Job(
        **{"paths": [str(path)], "format": "requests", "work_dir": str(path.parent / "work"), "now": NOW, **given}
    )


def reduce_bytes(folder: Path, content: bytes, name: str = "log.csv", **given: Any) -> Reduction:
    path = folder / name
    path.write_bytes(content)
    return reduce_files(job_of(path, **given))


def reduce_text(folder: Path, text: str, **given: Any) -> Reduction:
    return reduce_bytes(folder, text.encode(), **given)


def refused(folder: Path, content: bytes, name: str = "log.csv", **given: Any) -> str:
    with pytest.raises(FileError) as error:
        reduce_bytes(folder, content, name, **given)
    left = {path.name for path in (folder / "work").iterdir()}
    assert left == set()
    return f"{error.value.message} {error.value.hint}"


def rejected_rows(folder: Path) -> list[dict[str, str]]:
    with gzip.open(folder / "work" / "rejected.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ("NaN", "not a number"),
        ("Infinity", "not a number"),
        ("-inf", "not a number"),
        ("1e999", "too large"),
        ("0x10", "not a number"),
        ('"1,234.56"', "not a number"),
        ("1.234,56", "too many columns"),
        ('"1.234,56"', "not a number"),
        ("\uff11\uff12", "not a number"),
        ("1_000", "not a number"),
        (" 5", "not a number"),
        ("5.5", "not a whole number"),
        ("1E-7", "not a whole number"),
        ("-5", "negative"),
        ("-0.5", "not a whole number"),
        ("10000000000001", "too large"),
        ("1000000000000000000", "too large"),
        ("99999999999999999999999999", "too large"),
    ],
)
def test_what_is_no_count_is_rejected_and_never_zero(tmp_path: Path, tokens: str, reason: str) -> None:
    result = reduce_text(tmp_path, f"{HEADER}\n{GOOD}\n2026-10-24T08:15:00Z,a,m,{tokens},5\n{GOOD}\n")
    assert (result.rows_read, result.rows_rejected, result.input_tokens) == (3, 1, 10)
    (reject,) = result.rejects
    assert (reject.line, reject.count) == (3, 1)
    assert reason in reject.reason
    assert reject.remedy


@pytest.mark.parametrize(("tokens", "read"), [("1E3", 1000), ("+5", 5), ("5.0", 5), (str(10**13), 10**13), ("007", 7)])
def test_what_is_a_count_in_another_spelling_is_read(tmp_path: Path, tokens: str, read: int) -> None:
    assert reduce_text(tmp_path, f"{HEADER}\n2026-10-24T08:15:00Z,a,m,{tokens},5\n").input_tokens == read


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-10-24T08:15:00Z,,m,5,5,,,", "usage_key: empty"),
        ("2026-10-24T08:15:00Z,   ,m,5,5,,,", "usage_key: empty"),
        (",a,m,5,5,,,", "time: empty"),
        ("yesterday,a,m,5,5,,,", "time: not a time"),
        ("2026-13-24T08:15:00Z,a,m,5,5,,,", "time: not a time"),
        ("2026-02-30T08:15:00Z,a,m,5,5,,,", "time: not a time"),
        ("2026-02-30,a,m,5,5,,,", "time: not a time"),
        ("2026-1-4 8:15,a,m,5,5,,,", "time: not a time"),
        ("2026-W02-1,a,m,5,5,,,", "time: not a time"),
        ("20260105,a,m,5,5,,,", "time: not a time"),
        ("2026-01-05T08,a,m,5,5,,,", "time: not a time"),
        ("epoch,a,m,5,5,,,", "time: not a time"),
        ("infinity,a,m,5,5,,,", "time: not a time"),
        ("-infinity,a,m,5,5,,,", "time: not a time"),
        ("now,a,m,5,5,,,", "time: not a time"),
        ("today,a,m,5,5,,,", "time: not a time"),
        ("2026-01-05T24:00:00Z,a,m,5,5,,,", "time: not a time"),
        ("2026-01-05T12:61:00Z,a,m,5,5,,,", "time: not a time"),
        ("2026-06-30T23:59:61Z,a,m,5,5,,,", "time: not a time"),
        ("2026-01-05T08:15:00+25:00,a,m,5,5,,,", "time: not a time"),
        ("2026-01-05T08:15:00+02:99,a,m,5,5,,,", "time: not a time"),
        ("2026-10-24T25:15:00Z,a,m,5,5,,,", "time: not a time"),
        ("1970-01-01T00:00:00Z,a,m,5,5,,,", "time: before 2015"),
        ("2026-11-25T12:00:01Z,a,m,5,5,,,", ""),
        ("2026-11-25T13:00:00Z,a,m,5,5,,,", "time: in the future"),
        ("2026-10-24T08:15:00Z,a,m,5,5,3,3,", "cached and cache-write tokens: more than input_tokens"),
        ("2026-10-24T08:15:00Z,a,m,,5,3,,", "cached and cache-write tokens: more than input_tokens"),
        ("2026-10-24T08:15:00Z,a,m,5,5,2,3,", ""),
        ("2026-10-24T08:15:00Z,a,m,5,5,,,6", "reasoning_tokens: more than output_tokens"),
    ],
)
def test_rows_that_cannot_be_true(tmp_path: Path, row: str, reason: str) -> None:
    header = f"{HEADER},cached_input_tokens,cache_write_tokens,reasoning_tokens"
    result = reduce_text(tmp_path, f"{header}\n{GOOD},,,\n{row}\n")
    assert [reject.reason for reject in result.rejects] == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("time", "hour"),
    [
        ("2026-06-30T23:59:60Z", "2026-06-30T23:00:00Z"),
        ("2026-07-01T01:59:60+02:00", "2026-06-30T23:00:00Z"),
        ("2026-01-05T08:59:59.999999999Z", "2026-01-05T08:00:00Z"),
        ("2026-01-05T08:15:00+1400", "2026-01-04T18:00:00Z"),
        ("2026-01-05 00:15 -01", "2026-01-05T01:00:00Z"),
        ("2026-01-05", "2026-01-05T00:00:00Z"),
    ],
)
def test_a_time_at_the_edge_of_its_hour_falls_into_it(tmp_path: Path, time: str, hour: str) -> None:
    result = reduce_text(tmp_path, f"{HEADER}\n{time},a,m,5,5\n", zone="UTC")
    assert (result.rows_rejected, result.first_hour, result.last_hour) == (0, hour, hour)


@pytest.mark.parametrize("time", ["9" * 19, "9" * 30, "-5", "1e300", "NaN"])
def test_a_time_beyond_all_calendars_rejects_its_row_only(tmp_path: Path, time: str) -> None:
    given = {"time_unit": "h", "time_origin": "2026-10-01T00:00:00Z"}
    result = reduce_text(tmp_path, f"{HEADER}\n5,a,m,5,5\n{time},a,m,5,5\n-200000,a,m,5,5\n", **given)
    assert result.rows_rejected == (1 if time == "-5" else 2)


def test_a_row_two_hours_ahead_of_the_clock_is_tolerated(tmp_path: Path) -> None:
    assert reduce_text(tmp_path, f"{HEADER}\n2026-11-24T14:00:00Z,a,m,5,5\n").rows_rejected == 0


def test_a_file_of_rejected_rows_only_says_so_and_has_no_hours(tmp_path: Path) -> None:
    result = reduce_text(tmp_path, f"{HEADER}\n2026-10-24T08:15:00Z,a,m,x,5\n")
    assert (result.rows_read, result.rows_rejected, result.hours) == (1, 1, 0)


def test_the_rejected_file_holds_mapped_fields_only_and_no_formula(tmp_path: Path) -> None:
    text = f"{HEADER},prompt\n2026-10-24T08:15:00Z,=cmd|' /C calc'!A0,m,-5,x,tell me a secret\n"
    reduce_text(tmp_path, text)
    (row,) = rejected_rows(tmp_path)
    assert row["line"] == "2"
    assert row["reason"] == "input_tokens: negative" or row["reason"] == "output_tokens: not a number"
    assert row["usage_key"] == "'=cmd|' /C calc'!A0"
    assert row["input_tokens"] == "-5"
    assert "secret" not in json.dumps(row)


def test_lines_of_rejected_rows_are_those_of_the_file(tmp_path: Path) -> None:
    text = f'{HEADER},prompt\r\n{GOOD},"two\r\nlines"\r\n\r\n{GOOD},"a ""quote"""\r\n2026-10-24,a,m,x,5,p\r\n'
    text += f'{GOOD},1,2\r\n{GOOD}\r\n2026-10-24,a,m,y,5,"more\nand\nmore"\r\n2026-10-24,a,m,z,5,p\r\n'
    result = reduce_text(tmp_path, text)
    assert [(row["line"], row["reason"]) for row in rejected_rows(tmp_path)] == [
        ("6", "input_tokens: not a number"),
        ("7", "line: too many columns"),
        ("8", "line: too few columns"),
        ("9", "input_tokens: not a number"),
        ("12", "input_tokens: not a number"),
    ]
    assert (result.rows_read, result.rows_rejected, result.requests) == (7, 5, 2)


def test_lines_are_right_in_big_gzip_files_too(tmp_path: Path) -> None:
    lines = [GOOD] * 300_000
    lines[250_000] = "2026-10-24T08:15:00Z,a,m,x,5"
    lines[260_000] = GOOD + ",6"
    lines[299_999] = "2026-10-24T08:15:00Z,a,m,-1,5"
    content = gzip.compress("\n".join([HEADER, *lines]).encode(), 1)
    result = reduce_bytes(tmp_path, content, "log.csv.gz")
    assert [int(row["line"]) for row in rejected_rows(tmp_path)] == [250_002, 260_002, 300_001]
    assert (result.rows_read, result.requests) == (300_000, 299_997)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + f"{HEADER}\n{GOOD}\n".encode(),
        f"{HEADER}\n{GOOD}\n".encode("utf-16"),
        f"{HEADER}\n{GOOD}\n".encode("utf-16-le"),
        f"{HEADER}\n{GOOD}\n".encode("utf-16-be"),
        f"{HEADER}\r\n{GOOD}\r\n".encode(),
        f"{HEADER}\n{GOOD}".encode(),
        f"\n\n{HEADER}\n\n{GOOD}\n\n".encode(),
        f"{HEADER}\n{GOOD}\n".replace(",", ";").encode(),
        f"{HEADER}\n{GOOD}\n".replace(",", "\t").encode(),
        f"Time,USAGE_KEY,Model,Input_Tokens,output_tokens\n{GOOD}\n".encode(),
        f'"{HEADER.replace(",", chr(34) + "," + chr(34))}"\n"{GOOD.replace(",", chr(34) + "," + chr(34))}"\n'.encode(),
        gzip.compress(f"{HEADER}\n".encode()) + gzip.compress(f"{GOOD}\n".encode()),
    ],
)
def test_files_written_in_many_ways_load(tmp_path: Path, content: bytes) -> None:
    result = reduce_bytes(tmp_path, content)
    assert (result.rows_read, result.rows_rejected, result.input_tokens, result.output_tokens) == (1, 0, 5, 5)


def test_a_row_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    content = f"{HEADER}\n{GOOD}\n".encode() + b"2026-10-24T08:15:00Z,caf\xe9,m,5,5\n" + f"{GOOD}\n".encode()
    result = reduce_bytes(tmp_path, content)
    assert (result.rows_read, result.rows_rejected) == (3, 1)
    assert [(reject.reason, reject.line) for reject in result.rejects] == [("line: not UTF-8 text", 3)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (f"{HEADER}\n".encode(), "no data"),
        (HEADER.encode(), "no data"),
        (b"\n\n\n", "no data"),
        (f"{HEADER},model\n{GOOD},m\n".encode(), "'model' twice"),
        (b"time,usage_key,model,tokens_in,output_tokens\n" + GOOD.encode(), "no column for input_tokens"),
        (b"<!DOCTYPE html><html><body>Log in</body></html>", "web page"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "binary"),
        (b"PK\x03\x04rest", "ZIP"),
        (b"PAR1 not really PAR1", "damaged Parquet"),
        (b'[{"time": 1}]', "JSON array"),
        (b'{"a": \n', "no line of it is a JSON object"),
        (b"\x1f\x8b\x08\x00garbage", "gzip"),
        ((",".join(f"c{number}" for number in range(1_000_000)) + "\n").encode(), "line"),
        ((",".join(f"c{number}" for number in range(3_000)) + "\n").encode(), "3,000 columns"),
    ],
)
def test_files_that_nobody_could_read_are_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    assert words in refused(tmp_path, content)


def test_a_missing_column_is_named_with_what_is_there(tmp_path: Path) -> None:
    said = refused(tmp_path, b"ts,usage_key,model,prompt_tokens,output_tokens\n")
    assert "no column for time and input_tokens" in said
    assert "ts, usage_key, model, prompt_tokens, output_tokens" in said
    assert "--column time=" in said


def test_a_mapping_to_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, f"{HEADER}\n{GOOD}\n".encode(), columns={"latency_ms": "took"})
    assert "no column 'took'" in said


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"columns": {"nonsense": "time"}}, "no field 'nonsense'"),
        ({"zone": "Mars/Olympus"}, "no time zone"),
        ({"time_unit": "m"}, "no time unit"),
        ({"time_unit": "h"}, "--time-origin"),
        ({"time_unit": "s", "time_origin": "soon"}, "not a time"),
        ({"format": "xml"}, "no format"),
        ({"paths": []}, "no file"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    assert words in refused(tmp_path, f"{HEADER}\n{GOOD}\n".encode(), **given)


def test_a_truncated_gzip_file_is_refused_whole(tmp_path: Path) -> None:
    rows = "".join(
        f"2026-10-24T08:15:{number % 60:02}Z,key-{number * 7919 % 10_007},m,{number},5\n" for number in range(200_000)
    )
    content = gzip.compress(f"{HEADER}\n{rows}".encode())
    assert "cut off" in refused(tmp_path, content[: len(content) // 2], "log.csv.gz")
    assert "cut off" in refused(tmp_path, content[:-3], "log.csv.gz")


def test_a_gzip_file_with_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    rows = "".join(
        f"2026-10-24T08:15:{number % 60:02}Z,key-{number * 7919 % 10_007},m,{number},5\n" for number in range(200_000)
    )
    content = bytearray(gzip.compress(f"{HEADER}\n{rows}".encode()))
    content[-6] ^= 1
    assert "damaged" in refused(tmp_path, bytes(content), "log.csv.gz")


@pytest.mark.parametrize("free", [0, 3000])
def test_where_the_disk_has_no_room_to_spare_a_file_stays_packed_and_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    content = gzip.compress(f"{HEADER}\n{GOOD}\n".encode() * 100)
    roomy = reduce_bytes(tmp_path, content, "log.csv.gz")
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert reduce_bytes(tmp_path, content, "log.csv.gz") == roomy
    assert roomy.sha256 == hashlib.sha256(content).hexdigest()
    bomb = gzip.compress(f"{HEADER}\n{GOOD}\n".encode() + b" " * 200_000_000)
    assert "unpacks to" in refused(tmp_path, bomb, "log.csv.gz")
    assert "cut off" in refused(tmp_path, content[:-3], "log.csv.gz")


def test_a_disk_that_fills_up_while_a_file_is_unpacked_leaves_it_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unpacking, "_write", full)
    result = reduce_bytes(tmp_path, gzip.compress(f"{HEADER}\n{GOOD}\n".encode()), "log.csv.gz")
    assert (result.rows_read, result.rows_rejected) == (1, 0)


def test_text_that_packs_well_is_unpacked_to_its_last_byte(tmp_path: Path) -> None:
    """A full buffer of the unpacker says nothing of the end; nor does the end of one of several streams."""
    long = f"{HEADER},note\n{GOOD},{'x' * 7_000_000}\n".encode()
    content = gzip.compress(long) + gzip.compress(f"{GOOD},\n".encode()) + b"\x00" * 512
    result = reduce_bytes(tmp_path, content, "log.csv.gz")
    assert (result.rows_read, result.rows_rejected, result.input_tokens) == (2, 0, 10)


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(f"{HEADER}\n{GOOD}\n".encode() + b" " * 400_000_000)
    assert "unpacks to" in refused(tmp_path, content, "log.csv.gz")


def test_a_line_without_end_is_rejected_and_not_kept_in_memory(tmp_path: Path) -> None:
    text = f"{HEADER}\n{GOOD}\n2026-10-24T08:15:00Z,{'a' * 3_000_000},m,5,5\n{GOOD}\n"
    result = reduce_text(tmp_path, text, guards=Guards(max_line_bytes=1_000_000))
    assert (result.rows_rejected, result.rejects[0].line) == (1, 3)


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"time": ["x"] * 1000}), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    assert "damaged" in refused(tmp_path, content[:-20], "log.parquet")


def test_a_column_name_is_never_code(tmp_path: Path) -> None:
    nasty = 'input"; DROP TABLE x; --'
    quoted = nasty.replace('"', '""')
    text = f'time,usage_key,model,"{quoted}",output_tokens\n{GOOD}\n'
    assert reduce_text(tmp_path, text, columns={"input_tokens": nasty}).input_tokens == 5
    pq.write_table(
        pa.table({"time": ["2026-10-24"], "usage_key": ["a"], "model": ["m"], nasty: [5], "output_tokens": [5]}),
        tmp_path / "log.parquet",
    )
    assert reduce_files(job_of(tmp_path / "log.parquet", columns={"input_tokens": nasty})).input_tokens == 5


def test_constants_are_never_code(tmp_path: Path) -> None:
    text = f"{HEADER}\n{GOOD}\n"
    result = reduce_text(tmp_path, text, constants={"model": "it's ' || 1/0 --"})
    assert result.models == ["it's ' || 1/0 --"]


def test_progress_goes_up_and_a_stop_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(f"{HEADER}\n" + f"{GOOD}\n" * 1000)
    seen: list[Progress] = []
    reduce_files(job_of(tmp_path / "log.csv"), seen.append)
    assert [progress.step for progress in seen] == sorted(progress.step for progress in seen)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        reduce_files(job_of(tmp_path / "log.csv"), stop=stop)
    assert list((tmp_path / "work").iterdir()) == []


def test_as_a_process_it_prints_progress_and_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.csv").write_text(f"{HEADER}\n{GOOD}\n")
    (tmp_path / "job.json").write_text(job_of(tmp_path / "log.csv").to_json())
    assert main([str(tmp_path / "job.json")]) == 0
    *progress, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert progress[0] == {"step": 1, "steps": 3, "label": "looking at the file", "rows": 0, "total": 0}
    assert last["result"]["input_tokens"] == 5


def test_as_a_process_it_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.json").write_text(job_of(tmp_path / "absent.csv").to_json())
    assert main([str(tmp_path / "job.json")]) == 1
    error = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert "absent.csv cannot be opened" in error["message"]


def test_the_process_itself_takes_no_word_for_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that engines and databases read as some instant of their own; the good row beside them counts alone."""
    words = ("epoch", "infinity", "-infinity", "now", "today", "2026-1-4 8:15", "2026-01-05T24:00:00Z")
    lines = [HEADER, GOOD, *(f"{word},a,m,5,5" for word in words)]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    (tmp_path / "job.json").write_text(job_of(tmp_path / "log.csv").to_json())
    assert main([str(tmp_path / "job.json")]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    assert (result["rows_read"], result["rows_rejected"], result["input_tokens"]) == (8, 7, 5)
    assert (result["first_hour"], result["last_hour"]) == ("2026-10-24T08:00:00Z", "2026-10-24T08:00:00Z")
    assert {row["reason"] for row in rejected_rows(tmp_path)} == {"time: not a time"}


def test_it_runs_without_django_and_stops_on_sigterm(tmp_path: Path) -> None:
    with (tmp_path / "log.csv").open("w") as file:
        file.write(HEADER + "\n")
        for _ in range(60):
            file.write(f"{GOOD}\n" * 50_000)
    (tmp_path / "job.json").write_text(job_of(tmp_path / "log.csv").to_json())
    command = [sys.executable, "-c", WITHOUT_DJANGO, str(tmp_path / "job.json")]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DJANGO")}
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        for line in process.stdout:
            if '"step": 2' in line:
                process.send_signal(signal.SIGTERM)
                break
        rest = process.stdout.read()
    assert process.returncode == 3, rest
    assert list((tmp_path / "work").iterdir()) == []

"""Bad files through `manage.py ingest` as a person runs it: the sentence, the exit code, the ledger left as it was."""

import csv
import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.sources.models import Part, Pull
from tests.faults.invariants import check_ledger
from tests.faults.ledger import ledger_hash

pytestmark = pytest.mark.slow
Ingest = Callable[..., tuple[str, str]]  # what it prints, and its error
HEADER = "time,usage_key,provider,model,input_tokens,output_tokens\n"
ROW = "2025-11-03T14:10:00Z,A,openai,gpt-4o,100,10\n"
GOOD = HEADER + ROW * 3 + ROW.replace("14:10", "15:10")


OPTIONS = ("--source=logs", "--part=log", "--format=requests")


@pytest.fixture
def ingest(transactional_db: None, capsys: pytest.CaptureFixture[str]) -> Ingest:
    """Runs the command in this process and its reading process beside it: starting the former takes seconds."""

    def run(path: Path, *options: str) -> tuple[str, str]:
        capsys.readouterr()
        try:
            call_command("ingest", str(path), *OPTIONS, *options)
        except CommandError as error:
            return capsys.readouterr().out, str(error)
        return capsys.readouterr().out, ""

    return run


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def fingerprint() -> str:
    with connection.cursor() as cursor:
        check_ledger(cursor)
        return ledger_hash(cursor)


def many_rows() -> str:
    return HEADER + "".join(ROW.replace(",100,", f",{number},") for number in range(30_000))


def bomb(path: Path) -> Path:
    """100 MB in some 100 kB."""
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(HEADER.replace("\n", ",note\n").encode())
        for _ in range(100):
            file.write((ROW.replace("\n", f",{'x' * 10_000}\n") * 100).encode())
    return path


WHOLE_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "cut off": (lambda at: write(at / "x.csv.gz", gzip.compress(many_rows().encode())[:-9000]), "is cut off"),
    "without its end": (lambda at: write(at / "x.csv.gz", gzip.compress(many_rows().encode())[:-6]), "is cut off"),
    "bomb": (lambda at: bomb(at / "x.csv.gz"), "unpacks to more than"),
    "header only": (lambda at: write(at / "x.csv", HEADER), "no data"),
    "empty": (lambda at: write(at / "x.csv", ""), "no data"),
    "missing column": (
        lambda at: write(at / "x.csv", GOOD.replace(",model", "").replace(",gpt-4o", "")),
        "no column for model",
    ),
    "doubled column": (lambda at: write(at / "x.csv", GOOD.replace("output_", "input_")), "'input_tokens' twice"),
    "a million columns": (
        lambda at: write(at / "x.csv", ",".join(f"c{number}" for number in range(1_000_000)) + "\n" + "," * 999_999),
        "first line of x.csv is longer than",
    ),
    "ten thousand columns": (
        lambda at: write(at / "x.csv", ",".join(f"c{number}" for number in range(10_000)) + "\n" + "," * 9_999),
        "10,000 columns",
    ),
    "broken UTF-16": (lambda at: write(at / "x.csv", GOOD.encode("utf-16") + b"\x00"), "UTF-16"),
    "no row is usable": (lambda at: write(at / "x.csv", GOOD.replace(",100,", ",NaN,")), "None of the 4 rows"),
    "more than there is": (
        lambda at: write(at / "x.csv", HEADER + ROW.replace(",100,", f",{9 * 10**12},") * 10),
        "Input reaches 90,000,000,000,000",
    ),
}


def test_a_file_that_cannot_be_read_ends_with_one_and_changes_nothing(ingest: Ingest, tmp_path: Path) -> None:
    """One after the other over the same part, so that each would have something to destroy."""
    ingest(write(tmp_path / "good.csv", GOOD))
    before, sha256 = fingerprint(), Part.objects.get().sha256
    for name, (make, sentence) in WHOLE_FILES.items():
        _, error = ingest(make(tmp_path))
        assert sentence in error, (name, error)
        assert len(error.splitlines()) == 1, (name, error)
        assert fingerprint() == before, name
        assert Part.objects.get().sha256 == sha256, name
    failed = Pull.objects.filter(state=Pull.State.FAILED)
    assert failed.count() == len(WHOLE_FILES)
    unusable = failed.get(error__startswith="None of the")
    assert rejected(unusable.rejected_path)[2] == "input_tokens: not a number"


def test_bytes_that_only_look_strange_are_read(ingest: Ingest, tmp_path: Path) -> None:
    """UTF-16 both ways, a byte order mark, Windows' line ends, and a line end inside quotes: all the same content."""
    strange = GOOD.replace(",A,", ',"team ""A""\nnight shift",')
    contents = {
        "plain": strange.encode(),
        "UTF-16": strange.encode("utf-16"),
        "UTF-16 the other way, without a mark": strange.encode("utf-16-be"),
        "mark": b"\xef\xbb\xbf" + strange.encode(),
        "packed": gzip.compress(strange.encode()),
        "blank lines": b"\n\n" + strange.encode(),
    }
    seen = set()
    for name, content in contents.items():
        said, error = ingest(write(tmp_path / "x.csv", content), "--json")
        assert not error, name
        assert json.loads(said)["input_tokens"] == 400, name
        seen.add(fingerprint())
    assert len(seen) == 1


def test_the_process_says_it_in_one_line_and_ends_with_one(
    run_command: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    assert run_command("ingest", str(write(tmp_path / "x.csv", GOOD)), *OPTIONS).returncode == 0
    before = fingerprint()
    done = run_command("ingest", str(write(tmp_path / "x.csv", GOOD.replace(",100,", ",0x10,"))), *OPTIONS)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: None of the 4 rows can be used, so nothing was changed: input_tokens:")
    assert len(done.stderr.splitlines()) == 1
    assert fingerprint() == before


ROWS = [
    ("NaN", "not a number"), ("Infinity", "not a number"), ("-inf", "not a number"), ("0x10", "not a number"),
    ("1.234,56", "not a number"), ("1,234.56", "not a number"), ("１００", "not a number"), ("٣", "not a number"),
    ("1_000", "not a number"), ("1 000", "not a number"), ("1e999", "too large"), ("-5", "negative"),
    ("1.5", "whole"), ("1E-7", "whole"), ("1000000000000000001", "too large"), ("99999999999999999999999", "too large"),
    ("null", "not a number"), ("=1+1", "not a number"),
]  # fmt: skip


def test_a_bad_number_is_rejected_with_its_line_and_never_becomes_zero(ingest: Ingest, tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", GOOD)
    ingest(good)
    before = fingerprint()
    bad = "".join(ROW.replace(",100,", f',"{number}",') for number, _ in ROWS)
    said, error = ingest(write(tmp_path / "mixed.csv", HEADER + bad + GOOD.removeprefix(HEADER)), "--json")
    assert not error
    result = json.loads(said)
    assert (result["rows_read"], result["rows_rejected"]) == (len(ROWS) + 4, len(ROWS))
    assert (result["requests"], result["input_tokens"]) == (4, 400)
    assert fingerprint() == before
    found = rejected(result["rejected_file"])
    for line, (number, reason) in enumerate(ROWS, start=2):
        assert reason in found[line], (number, found[line])


def rejected(path: str) -> dict[int, str]:
    """Line -> reason."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    return {int(row["line"]): row["reason"] for row in rows}

"""From a file of calls, ready usage or a bill to clean rows, in a process of its own.

`python -m apps.usage.reduce JOB.json` prints one JSON object a line: progress, and at last `{"result": ...}` or
`{"error": {"message", "hint"}}`. Exit codes: 0 done, 1 the file is not usable, 2 anything else, 3 cancelled.
What it leaves in the work folder: hours.parquet or charges.parquet, rejected.csv.gz where rows were rejected,
result.json. Nothing here imports Django.
"""

import json
import shutil
import signal
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from apps.usage import bills, calls, fields
from apps.usage.fingerprint import fingerprint
from apps.usage.job import Cancelled, Job, OnProgress, Reduction, Watch
from apps.usage.reading import FileError
from apps.usage.task import prepare
from apps.usage.unpacking import unpacked

OUTPUT = ("hours.parquet", "charges.parquet", "rejected.csv.gz", "result.json")
LEFTOVERS = ("in[0-9]*", "grouped.parquet", "suspect.parquet", "spill")


def reduce_files(job: Job, on_progress: OnProgress = lambda _: None, stop: threading.Event | None = None) -> Reduction:
    """Read a job's files into its work folder. Raises FileError or Cancelled; then nothing is left there."""
    watch = Watch(on_progress, stop or threading.Event())
    work_dir = Path(job.work_dir).resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    _remove(work_dir, *LEFTOVERS, *OUTPUT)
    try:
        task, digests = unpacked(prepare(job, work_dir, watch))
        with fingerprint([Path(path) for path in job.paths], digests, job.guards, watch) as sha256:
            reduction = bills.reduce_bill(task) if job.format == fields.FOCUS else calls.reduce_calls(task)
            reduction = replace(reduction, sha256=sha256())
        (work_dir / "result.json").write_text(json.dumps(asdict(reduction), indent=1))
    except BaseException:
        _remove(work_dir, *OUTPUT)
        raise
    finally:
        _remove(work_dir, *LEFTOVERS)
    return reduction


def main(arguments: list[str]) -> int:
    """Run the job of a JSON file; the last line printed is the result or the error."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        job = Job.from_json(Path(arguments[0]).read_text())
        reduction = reduce_files(job, lambda progress: _say(asdict(progress)), stop)
    except FileError as error:
        return _fail(error.message, error.hint, code=1)
    except Cancelled:
        return _fail("The import was cancelled.", "", code=3)
    except Exception as error:  # noqa: BLE001 - whoever reads our output must always hear why
        return _fail(f"The import stopped: {type(error).__name__}: {error}"[:500], "", code=2)
    _say({"result": asdict(reduction)})
    return 0


def _remove(folder: Path, *patterns: str) -> None:
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _fail(message: str, hint: str, *, code: int) -> int:
    _say({"error": {"message": message, "hint": hint}})
    return code


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

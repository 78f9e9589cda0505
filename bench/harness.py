"""Timing a subject and its floor in turn, and saying the ratio of the medians."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 0.02
SCALE = float(os.environ.get("BENCH_SCALE", "1"))


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the result: `ratio` of medians against `limit`."""

    name: str
    ratio: float
    limit: float

    def __str__(self) -> str:
        verdict = "ok" if self.ratio <= self.limit else "over"
        return f"bench {self.name} ratio={self.ratio:.2f} limit={self.limit:g} {verdict}"


def scaled(full: int, *, least: int = 1) -> int:
    """A size named in the requirements, at this run's scale."""
    return max(least, int(full * SCALE))


def compare(
    name: str,
    *,
    subject: Callable[[], object],
    floor: Callable[[], object],
    limit: float,
    between: Callable[[], object] = lambda: None,
    runs: int = 3,
) -> Measured:
    """Run floor and subject in turn, `between` before each, and divide the medians (seconds of wall clock)."""
    floors, subjects = [], []
    for _ in range(runs):
        between()
        floors.append(seconds(floor))
        between()
        subjects.append(seconds(subject))
    low, high = statistics.median(floors), statistics.median(subjects)
    say(f"{name}: floor {low:.2f} s, subject {high:.2f} s")
    return Measured(name, high / low, limit)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run_measured(command: list[str], **environment: str) -> int:
    """Run a process to its end; returns its peak resident memory in bytes. Raises with what it said when it fails."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _high_water(process.pid))
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=TICK_SECONDS)
        output.seek(0)
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}: {output.read()[-2000:]}")
    return peak


def _high_water(pid: int) -> int:
    """The kernel's mark, which only rises; that of `wait4` begins at the memory of whoever started the process."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def say(text: str) -> None:
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()

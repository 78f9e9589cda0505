"""The cost page over 5,000 workloads and a year of day lines, against an empty page in the same frame."""

from pathlib import Path

from bench.harness import Measured


def measure(home: Path) -> list[Measured]:
    return []

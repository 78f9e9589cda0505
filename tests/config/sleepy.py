"""A task that takes its time, for tests that kill the worker meanwhile."""

import time
from pathlib import Path

from workers.app import app


@app.task
def sleep_and_note(folder: str, seconds: float) -> None:
    (Path(folder) / "begun").open("a").write(".")
    time.sleep(seconds)
    (Path(folder) / "done").open("a").write(".")

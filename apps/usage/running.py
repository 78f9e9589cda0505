"""Run one statement of DuckDB in a thread of its own, so that progress can be told and a stop be heard meanwhile."""

import re
import threading
from collections.abc import Callable

import duckdb

from apps.usage.job import Cancelled, Watch
from apps.usage.reading import FileError

TICK_SECONDS = 0.3
SAVE_AGAIN = "Export or copy it again."


def run(db: duckdb.DuckDBPyConnection, sql: str, watch: Watch, tick: Callable[[float], None]) -> None:
    """Execute `sql`; `tick` hears the share that is done (0 to 1). Raises FileError in words, or Cancelled."""
    failures: list[BaseException] = []
    worker = threading.Thread(target=_execute, args=(db, sql, failures), daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(TICK_SECONDS)
        if watch.stop.is_set():
            db.interrupt()
        else:
            tick(max(db.query_progress(), 0.0) / 100)
    if watch.stop.is_set():
        raise Cancelled
    if failures:
        raise in_words(failures[0]) from failures[0]


def in_words(error: BaseException) -> BaseException:
    """What DuckDB's error means for the owner of the file."""
    said = str(error)
    if "No space left" in said or "max_temp_directory_size" in said:
        return FileError("The disk is full: there is no room for the working files.", "Free some space and try again.")
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        return FileError("The file needs more memory than it may take.", "Import it in smaller parts.")
    if "GZIP" in said.upper() and "end" in said:
        return FileError("The file is cut off: its gzip data end too early.", SAVE_AGAIN)
    if "state machine" in said:
        return FileError("Its rows cannot be told apart: two kinds of line ends, or open quotes.", SAVE_AGAIN)
    if isinstance(error, duckdb.IOException | duckdb.InvalidInputException | duckdb.InternalException):
        return FileError(f"The file cannot be read: {_first_sentence(said)}", SAVE_AGAIN)
    return error


def _execute(db: duckdb.DuckDBPyConnection, sql: str, failures: list[BaseException]) -> None:
    try:
        db.execute(sql)
    except Exception as error:  # noqa: BLE001 - handed to the thread that waits
        failures.append(error)


def _first_sentence(said: str) -> str:
    """The engine's words without paths of the work folder and without parts of the file."""
    line = said.split("\n", 1)[0]
    return re.sub(r"(/[^\s:'\"]+)+", "the file", line)[:200]

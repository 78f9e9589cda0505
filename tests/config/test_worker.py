"""Work that a killed worker had taken comes back when the next one starts, at once and once."""

from pathlib import Path

import pytest

from tests.config.sleepy import sleep_and_note
from tests.conftest import start_worker, wait_for
from workers.app import app


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.slow
def test_a_task_survives_the_kill_of_its_worker(transactional_db: None, tmp_path: Path) -> None:
    app.control.purge()
    with (tmp_path / "first.log").open("wb") as log:
        first = start_worker(log, include="tests.config.sleepy")
        sleep_and_note.delay(str(tmp_path), 4)
        wait_for(lambda: read(tmp_path / "begun"))
        first.kill()
        first.wait()
    assert read(tmp_path / "done") == ""
    with (tmp_path / "second.log").open("wb") as log:
        second = start_worker(log, include="tests.config.sleepy")
        wait_for(lambda: read(tmp_path / "done"), seconds=30)
        second.terminate()
        second.wait(timeout=20)
    assert (read(tmp_path / "begun"), read(tmp_path / "done")) == ("..", ".")

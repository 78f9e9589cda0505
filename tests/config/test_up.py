"""Start, watch, stop, and come back after every part was killed."""

import signal
import subprocess
import sys

import pytest

from tests.config.tollgate import Tollgate
from tests.conftest import wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything_it_started_and_nothing_else(tollgate: Tollgate, how: signal.Signals) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    tollgate.up()
    assert len(tollgate.all_pids()) >= 5
    said = tollgate.stop(how)
    assert said.splitlines()[-2:] == ["Stopping ...", "Stopped."]
    assert tollgate.process is not None
    assert tollgate.process.returncode == 0
    assert tollgate.all_pids() == []
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_second_up_is_refused_and_the_first_goes_on(tollgate: Tollgate) -> None:
    tollgate.up()
    second = tollgate.run("up")
    assert second.returncode == 1
    running = f"Tollgate already runs from {tollgate.home} at http://127.0.0.1:{tollgate.port}"
    assert second.stderr.startswith(running)
    assert len(second.stderr.splitlines()) == 1
    assert tollgate.ready() == 200


@pytest.mark.parametrize("part", ["postgres", "valkey", "celery", "gunicorn", "up"])
def test_the_next_up_has_all_data_after_a_kill(tollgate: Tollgate, part: str) -> None:
    tollgate.up()
    tollgate.query("CREATE TABLE kept_note AS SELECT n FROM generate_series(1, 1000) AS n")
    tollgate.kill(part)
    if part != "up":
        tollgate.kill("up")
    tollgate.up()
    assert tollgate.query("SELECT count(*), sum(n) FROM kept_note") == [(1000, 500500)]
    tollgate.stop()
    assert tollgate.all_pids() == []


@pytest.mark.parametrize("part", ["postgres", "valkey", "celery", "gunicorn"])
def test_a_part_that_dies_is_started_again(tollgate: Tollgate, part: str) -> None:
    tollgate.up()
    before = tollgate.pids(part)
    tollgate.kill(part)
    wait_for(lambda: tollgate.pids(part) not in ([], before) and tollgate.ready() == 200, seconds=30)
    assert "died" in tollgate.stop()


def test_children_of_a_killed_up_end_with_it(tollgate: Tollgate) -> None:
    tollgate.up()
    tollgate.kill("up")
    wait_for(lambda: not tollgate.pids("celery") and not tollgate.pids("gunicorn"), seconds=15)


def test_a_command_that_outlives_up_keeps_its_database(tollgate: Tollgate) -> None:
    tollgate.up()
    command = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", KEEPS_WORKING],
        env=tollgate.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "in\n"
    tollgate.stop()
    assert command.communicate(timeout=60)[0] == "still here\n"
    assert tollgate.all_pids() == []


KEEPS_WORKING = """
import time
from django.db import connection
print("in", flush=True)
time.sleep(6)
connection.cursor().execute("SELECT 1")
print("still here", flush=True)
"""

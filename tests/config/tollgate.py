"""A whole Tollgate in a data folder of its own, started and ended as a person would."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from apps.config.embedded import Paths, Postgres, Valkey

PROJECT = Path(__file__).resolve().parents[2]
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Tollgate:
    """Runs commands of one data folder; short, and as root open to PostgreSQL's own user."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="tollgate-up-"))
        self.home.chmod(0o711)
        self.paths = Paths(self.home)
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None

    def environment(self, **more: str) -> dict[str, str]:
        of_tests = ("DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_ALLOW_ASYNC_UNSAFE", "TOLLGATE_POSTGRES_OPTIONS")
        kept = {name: value for name, value in os.environ.items() if name not in of_tests}
        chosen = {"TOLLGATE_HOME": str(self.home), "PORT": str(self.port), "EMPTY": "1", "TOLLGATE_DATABASE": "own"}
        return {**kept, "DJANGO_SETTINGS_MODULE": "apps.config.settings", **chosen, **more}

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
        return subprocess.run(
            command, env=self.environment(**environment), capture_output=True, text=True, check=False, timeout=300
        )

    def start_command(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(PROJECT / "manage.py"), *arguments]
        return subprocess.Popen(
            command,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @contextmanager
    def servers(self) -> Iterator[None]:
        """Both servers run inside this block, so that each command need not start them."""
        idle = self.start_command("shell", "-c", "print('here', flush=True); import time; time.sleep(3600)")
        try:
            assert idle.stdout is not None
            while "here" not in (line := idle.stdout.readline()):
                assert line, "it ended at once"
            yield
        finally:
            idle.terminate()
            idle.wait(timeout=30)

    def up(self) -> None:
        """Starts it and waits until it answers."""
        self.process = self.start_command("up")
        deadline = time.monotonic() + 180
        while not (self.says_running() and self.ready() == 200):
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline, "not ready in time"
            time.sleep(0.1)

    def ready(self) -> int:
        try:
            with DIRECT.open(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def stop(self, how: signal.Signals = signal.SIGTERM) -> str:
        """Ends it and returns what it printed."""
        assert self.process is not None
        self.process.send_signal(how)
        said, _ = self.process.communicate(timeout=60)
        return said

    def kill(self, part: str) -> None:
        for pid in self.pids(part):
            os.kill(pid, signal.SIGKILL)
        if part == "up" and self.process:
            self.process.wait(timeout=10)

    def pids(self, part: str) -> list[int]:
        if part == "postgres":
            found = [Postgres(self.paths).process()]
        elif part == "valkey":
            found = [Valkey(self.paths).process()]
        elif part == "up":
            found = [self.process.pid if self.process else None]
        else:
            found = [pid for pid in self.all_pids() if part in command_of(pid) and self.is_child_of_up(pid)]
        return [pid for pid in found if pid]

    def is_child_of_up(self, pid: int) -> bool:
        return bool(self.process and parent_of(pid) == self.process.pid)

    def all_pids(self) -> list[int]:
        """Every living process that was started with this data folder, or whose command names it."""
        others = (entry for entry in Path("/proc").glob("[0-9]*") if int(entry.name) != os.getpid())
        return [int(entry.name) for entry in others if self.is_of_us(entry)]

    def is_of_us(self, entry: Path) -> bool:
        needle = str(self.home).encode()
        try:
            command = (entry / "cmdline").read_bytes()
            return bool(command) and (needle in command or needle in (entry / "environ").read_bytes())
        except OSError:
            return False

    def query(self, statement: str) -> Any:
        with psycopg.connect(
            host=str(self.paths.sockets), user="tollgate", dbname="tollgate", autocommit=True
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def says_running(self) -> bool:
        """Right after a kill, what is left of an earlier web server may still answer for a moment."""
        try:
            found = json.loads((self.home / "up.lock").read_text())
        except (OSError, ValueError):
            return False
        return bool(
            self.process and found == {"pid": self.process.pid, "address": found["address"], "state": "running"}
        )

    def clear_up(self) -> None:
        for pid in self.all_pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        shutil.rmtree(self.home, ignore_errors=True)


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

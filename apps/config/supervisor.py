"""`manage.py up`: starts everything in order, says what it does, and looks after it until it is told to stop.

The two servers are daemons of the data folder (see embedded.py); the worker and the web server are children of this
process, each the head of a process group, and end with it even when it is killed.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from django.conf import settings

from apps.config import embedded
from apps.config.embedded import Paths, last_line
from apps.config.environment import PROJECT, SetupError, number

READY_SECONDS = 60
STOP_SECONDS = 10
ORPHAN_SECONDS = 10
LOOK_EVERY = 0.5
QUICK_DEATH_SECONDS = 3
QUICK_DEATHS = 5


class Stopped(BaseException):
    """Ctrl-C or SIGTERM. No `Exception`, so that nothing on the way takes it for an error of its own."""


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT, SIGTERM and a closed terminal end the block by `Stopped`; while it clears up further ones are ignored."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped

    for each in signals:
        signal.signal(each, stop)
    with contextlib.suppress(Stopped):
        yield


# --- Only one, and only on a free port --------------------------------------------------------------------------------


@contextlib.contextmanager
def only_one(paths: Paths, address: str) -> Iterator["Lock"]:
    """Holds up.lock. A second one is refused, naming the first; one that is just stopping is waited for."""
    with (paths.home / "up.lock").open("a+") as handle:
        deadline = time.monotonic() + embedded.STOP_SECONDS
        while not try_lock(handle):
            holder = holder_of(handle)
            if holder.get("state") != "stopping" or time.monotonic() > deadline:
                message = f"Tollgate already runs from {paths.home} at {holder.get('address', 'another address')}"
                hint = "Stop it first, or name another folder in TOLLGATE_HOME and another PORT."
                raise SetupError(f"{message} (process {holder.get('pid', 'unknown')}).", hint=hint)
            time.sleep(0.1)
        killed = bool(holder_of(handle))  # an orderly end leaves the file empty
        note_state(handle, address, "starting")
        try:
            yield Lock(handle, address, killed=killed)
        finally:
            handle.truncate(0)


@dataclass(frozen=True)
class Lock:
    handle: IO[str]
    address: str
    killed: bool  # whether the one before us was, rather than stopped

    def note(self, state: str) -> None:
        note_state(self.handle, self.address, state)


def try_lock(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder_of(handle: IO[str]) -> dict[str, str]:
    handle.seek(0)
    try:
        found: dict[str, str] = json.loads(handle.read())
    except ValueError:
        return {}
    return found


def note_state(handle: IO[str], address: str, state: str) -> None:
    handle.truncate(0)
    json.dump({"pid": os.getpid(), "address": address, "state": state}, handle)
    handle.flush()


def check_port(bind: str, port: int, *, killed: bool) -> None:
    """The port is free. After a kill, what was left of the web server needs a moment to notice that it is alone."""
    deadline = time.monotonic() + (ORPHAN_SECONDS if killed else 0)
    while problem := port_problem(bind, port):
        if time.monotonic() > deadline:
            message = f"Port {port} on {bind} cannot be used: {problem}."
            raise SetupError(message, hint="Stop what listens there, or name another one: PORT=8001 make up.")
        time.sleep(0.1)


def port_problem(bind: str, port: int) -> str:
    """Tried by binding, as the web server will: who listens is told apart from who may not."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
            probe.listen(1)
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""


# --- Children ---------------------------------------------------------------------------------------------------------


@dataclass
class Child:
    """A process that is started again when it dies, unless it dies at once every time."""

    name: str
    command: list[str]
    log: Path
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0
    quick_deaths: int = 0  # in a row: what was killed in the middle of its work is no hopeless case

    def start(self) -> None:
        now = time.monotonic()
        died_at_once = self.process is not None and now - self.started_at < QUICK_DEATH_SECONDS
        self.quick_deaths = self.quick_deaths + 1 if died_at_once else 0
        self.started_at = now
        if self.quick_deaths >= QUICK_DEATHS:
            raise SetupError(f"The {self.name} ends again and again: {last_line(self.log)}")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*ends_with_parent(), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=PROJECT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """To the whole group: a killed gunicorn leaves its workers behind, still holding the port."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def ask_to_end(self) -> None:
        if self.process is not None and self.alive:
            self.process.terminate()

    def stop(self) -> None:
        """Waits for the head to finish what it is doing; what it cannot finish in time is redone at the next start."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        self.send(signal.SIGKILL)
        self.process.wait()


def ends_with_parent() -> list[str]:
    """Linux tells a child when its parent was killed. Elsewhere orphans of a killed `up` have to be ended by hand."""
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def web_server(paths: Paths, bind: str, port: int, database: str) -> Child:
    host = f"[{bind}]" if ":" in bind else bind
    options = ["--bind", f"{host}:{port}", "--workers", str(number("WEB_WORKERS", 2, least=1)), "--threads", "4"]
    options += ["--worker-class", "gthread", "--timeout", "120", "--graceful-timeout", "8", "--no-control-socket"]
    options += ["--preload", "--log-level", "warning", "--name", "tollgate"]
    command = [sys.executable, "-m", "gunicorn", *options, "apps.config.wsgi:application"]
    return Child("web server", command, paths.logs / "web.log", {"TOLLGATE_DATABASE": database})


def background_worker(paths: Paths, database: str) -> Child:
    from workers.app import QUEUES  # noqa: PLC0415  the Celery app reads settings when it is imported

    schedule = paths.home / "beat"
    schedule.mkdir(mode=0o700, exist_ok=True)
    options = ["--pool=threads", f"--concurrency={number('WORKER_THREADS', 4, least=1)}", "--loglevel=INFO"]
    options += ["--without-gossip", "--without-mingle", f"--queues={','.join(QUEUES)}", f"--hostname={database}@%h"]
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", *options]
    environment = {"TOLLGATE_DATABASE": database, "TOLLGATE_BEAT_FILE": str(schedule / database)}
    if embedded.broker_is_embedded():
        environment["TOLLGATE_ONLY_WORKER"] = "1"
    return Child("worker", command, paths.logs / "worker.log", environment)


def wait_until_ready(children: list[Child], address: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    state = ""
    while (state := probe(address)) != "ok":
        dead = next((child for child in children if not child.alive), None)
        if dead is not None:
            raise SetupError(f"The {dead.name} does not start: {last_line(dead.log)}")
        if time.monotonic() > deadline:
            raise SetupError(f"The web server is not ready after {READY_SECONDS} s: {state}")
        time.sleep(0.1)


def probe(address: str) -> str:
    """'ok', or why not."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{address}/readyz", timeout=5) as answer:
            return "ok" if answer.status == 200 else str(answer.status)
    except urllib.error.HTTPError as error:
        return error.read().decode(errors="replace")
    except OSError as error:
        return str(error)


def look_after(children: list[Child]) -> None:
    """Until `Stopped`: starts again what died, servers first, for the others need them."""
    while True:
        time.sleep(LOOK_EVERY)
        embedded.restart_dead(say)
        for child in children:
            if not child.alive:
                say(f"The {child.name} had died and is started again; its log is {child.log}.")
                child.send(signal.SIGKILL)
                child.start()


def local_address(bind: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(bind, bind)  # noqa: S104
    return f"http://{host if ':' not in host or host.startswith('[') else f'[{host}]'}:{port}"


def log_folder() -> Path:
    return Paths(Path(settings.TOLLGATE_HOME)).logs

"""The real web server on the test database, and a client that says exactly what it is told to on the wire."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client

from apps.accounts.models import Person
from tests.config.tollgate import free_port
from tests.conftest import PROJECT, child_environment, wait_for

CSRF = "a" * 32
BOUNDARY = "----tollgate"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status 0 where the connection ended without one."""

    status: int
    head: str
    body: str

    @property
    def told(self) -> dict[str, Any]:
        """The JSON object of the answer, also where it came in chunks."""
        found: dict[str, Any] = json.loads(self.body[self.body.index("{") : self.body.rindex("}") + 1])
        return found


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    log: Path

    def send(self, head: list[str], *pieces: bytes, hang_up: bool = False) -> Answer:
        """Send a request as it is given; `hang_up` ends the sending side after the last piece."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as wire:
            wire.sendall("\r\n".join([*head, f"Host: 127.0.0.1:{self.port}", "Connection: close", "", ""]).encode())
            try:
                for piece in pieces:
                    wire.sendall(piece)
                if hang_up:
                    wire.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has answered already and listens no more
            return _answer(_all_of(wire))


@contextmanager
def web_server(folder: Path, **environment: str) -> Iterator[Server]:
    """gunicorn as `make up` starts it, with one worker."""
    log = folder / "web.log"
    port = free_port()
    options = ["--workers", "1", "--threads", "4", "--worker-class", "gthread", "--timeout", "120"]
    command = [sys.executable, "-m", "gunicorn", *options, "--no-control-socket", "--bind", f"127.0.0.1:{port}"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "apps.config.wsgi:application"],
            stdout=out, stderr=subprocess.STDOUT, cwd=PROJECT, env={**child_environment(), **environment},
        )  # fmt: skip
        try:
            server = Server(port, log)
            wait_for(lambda: _is_up(server) or process.poll() is not None, seconds=90)
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)


def cookies_of(person: Person) -> str:
    """The header of a browser in which the person is logged in, with the token of its forms."""
    client = Client()
    client.force_login(person.accounts.earliest("pk"))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    return f"Cookie: {settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={CSRF}"


def form(content: bytes, *, name: str = "log.csv", whole: bool = True, **values: str) -> bytes:
    """The body of the upload page's form, the file last."""
    fields = {"csrfmiddlewaretoken": CSRF, "source": "new", "new_source": "Gateway", "format": "", **values}
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
    text = "".join(parts) + head + "Content-Type: text/csv\r\n\r\n"
    return text.encode() + content + (f"\r\n--{BOUNDARY}--\r\n".encode() if whole else b"")


def upload_head(person: Person, *more: str) -> list[str]:
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    return ["POST /imports/new/ HTTP/1.1", cookies_of(person), kind, *more]


def chunked(body: bytes, *, size: int = 65_536) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    yield b"0\r\n\r\n"


def _is_up(server: Server) -> bool:
    try:
        return server.send(["GET /livez HTTP/1.1"]).status == 200
    except OSError:
        return False


def _all_of(wire: socket.socket) -> bytes:
    found = b""
    try:
        while piece := wire.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def _answer(said: bytes) -> Answer:
    head, _, body = said.decode(errors="replace").partition("\r\n\r\n")
    status = int(head.split()[1]) if head.startswith("HTTP/") else 0
    return Answer(status, head, body)

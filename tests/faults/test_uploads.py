"""Uploads through the real web server: the limit holds whatever a client says, and what is no table changes nothing."""

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client

from apps.accounts import services as accounts
from apps.costs import imports
from apps.sources import services as sources
from apps.sources.models import Event, Pull
from apps.usage.models import Hour
from tests.faults.server import Server, chunked, cookies_of, form, upload_head, web_server
from tests.web.test_imports import drafted, read
from tests.world import MACHINE, World, actor, log_in

pytestmark = pytest.mark.slow
MB = 1024**2
HEADER = b"time,usage_key,provider,model,input_tokens,output_tokens\n"
ROW = b"2025-11-03T14:10:00Z,A,openai,gpt-4o,100,10\n"


@pytest.fixture
def server(transactional_db: None, tmp_path: Path) -> Iterator[Server]:
    with web_server(tmp_path, TOLLGATE_MAX_UPLOAD_MB="1") as found:
        yield found


def kept() -> list[Path]:
    return [path for path in (Path(os.environ["TOLLGATE_HOME"]) / "uploads").glob("*") if path.name.startswith("arr")]


def test_the_limit_holds_whatever_the_client_says(server: Server, world: World) -> None:
    """One server for all of it: starting it takes longer than every request."""
    small, barely, big, huge = (form(b"x" * size) for size in (10, MB + 10, 3 * MB, 80 * MB))
    tales: list[tuple[str, int, list[str], list[bytes], bool]] = [
        ("a byte too many", 413, [f"Content-Length: {len(barely)}"], [barely], False),
        ("three times the limit", 413, [f"Content-Length: {len(big)}"], [big], False),
        ("much more", 413, [f"Content-Length: {len(huge)}"], [huge], False),
        ("a length beyond all disks", 413, [f"Content-Length: {10**30}"], [small], True),
        ("in chunks", 411, ["Transfer-Encoding: chunked"], list(chunked(small)), False),
        ("in chunks and too large", 411, ["Transfer-Encoding: chunked"], list(chunked(big)), False),
        ("two lengths", 400, ["Transfer-Encoding: chunked", "Content-Length: 9"], list(chunked(small)), False),
        ("a negative length", 400, ["Content-Length: -5"], [small], False),
        ("a length that is no number", 400, ["Content-Length: 5x"], [small], False),
        ("less than it sends", 422, [f"Content-Length: {len(small) - 30}"], [small], False),
        ("more than it sends", 422, [f"Content-Length: {len(small) + 500}"], [small[:-30]], True),
        ("no length", 403, [], [small], True),
    ]
    for name, status, head, pieces, hang_up in tales:
        answer = server.send(upload_head(world.cleo, *head), *pieces, hang_up=hang_up)
        assert answer.status == status, (name, answer)
        if status == 413:
            assert "The file is larger than 1 MB." in answer.body, name
        assert (Pull.objects.count(), kept()) == (0, []), name
    whole = server.send(upload_head(world.cleo, f"Content-Length: {len(small)}"), small)
    assert (whole.status, Pull.objects.get().file_size) == (302, 10)
    assert "Traceback" not in server.log.read_text()


def test_the_api_refuses_before_it_reads(server: Server, world: World) -> None:
    sources.create_source(actor=MACHINE, name="Bot", slug="bot", kind="push")
    token = accounts.create_token(
        actor=actor(world.dan), name="Bot", scopes=("usage:write",), valid_days=1, source_slug=""
    )[1]
    head = ["POST /api/v1/usage/ HTTP/1.1", f"Authorization: Bearer {token}", "Content-Type: application/json"]
    data = {"period_start": "2025-10-24T08:00:00Z", "usage_key": "A", "model": "gpt-4o", "requests": 1}
    body = json.dumps({"specversion": "1.0", "type": "t", "source": "bot", "id": "1", "data": data}).encode()
    for size in (3, 12, 60):
        padded = body + b" " * (size * MB)
        answer = server.send([*head, f"Content-Length: {len(padded)}"], padded)
        assert (answer.status, answer.told["status"]) == (413, 413)
    answer = server.send([*head, "Transfer-Encoding: chunked"], *chunked(body))
    assert (answer.status, answer.told["title"]) == (411, "Length Required")
    assert server.send([*head, f"Content-Length: {len(body) + 40}"], body, hang_up=True).status in (0, 201, 400)
    assert server.send([*head, f"Content-Length: {len(body)}"], body).status in (200, 201)
    assert Event.objects.count() == 1


def bomb() -> bytes:
    """100 MB in some 100 kB."""
    with io.BytesIO() as out:
        with gzip.open(out, "wb", compresslevel=9) as file:
            file.write(HEADER.replace(b"\n", b",note\n"))
            for _ in range(100):
                file.write(ROW.replace(b"\n", b"," + b"x" * 10_000 + b"\n") * 100)
        return out.getvalue()


def archive() -> bytes:
    with io.BytesIO() as out:
        with zipfile.ZipFile(out, "w") as file:
            file.writestr("log.csv", HEADER + ROW)
        return out.getvalue()


NO_TABLES: dict[str, tuple[Callable[[], bytes], str]] = {
    "page.html": (lambda: b"<!doctype html><script>alert(1)</script>", "is a web page or XML"),
    "picture.svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "is a web page or XML"),
    "zipped.csv": (archive, "is a ZIP archive or an Excel workbook"),
    "polyglot.csv": (lambda: b"GIF89a,\x00\x01" + HEADER + archive(), "is a binary file"),
    "paper.csv": (lambda: b"%PDF-1.7\n" + HEADER + ROW, "no column for"),
    "wide.csv": (lambda: b",".join(b"c%d" % number for number in range(10**6)) + b"\n", "first line of wide.csv"),
    "header.csv": (lambda: HEADER, "no data"),
    "bomb.csv.gz": (bomb, "unpacks to more than"),
    "cut.csv.gz": (lambda: gzip.compress(HEADER + ROW * 9000)[:-9], "cut off"),
}


def test_what_is_no_table_is_said_on_the_page_and_changes_nothing(transactional_db: None, world: World) -> None:
    """Whether the preview sees it or only the reading of the whole file does."""
    client = log_in(world.cleo)
    for name, (content, sentence) in NO_TABLES.items():
        pull = drafted(client, content(), name=name, new_source=f"Source of {name}")
        shown = client.get(f"/imports/{pull.pk}/")
        assert shown.status_code == 200, name
        assert "<script>alert" not in shown.content.decode(), name
        answer = read(client, pull, format="requests")
        told = answer.content.decode() if answer.status_code == 422 else _read_whole(client, pull)
        assert sentence in told, (name, told[-3000:])
    assert Hour.objects.count() == 0


def _read_whole(client: Client, pull: Pull) -> str:
    imports.run(pull.pk)
    pull.refresh_from_db()
    assert pull.state == "failed", pull.part.name
    return str(client.get(f"/imports/{pull.pk}/").content.decode())


HOSTILE = (
    "<img src=x onerror=alert(1)>.csv", "..%2f..%2fetc%2fpasswd", "a\u202ecsv.exe", "'; DROP TABLE sources_part;--.csv",
    "*.csv", "[a-z]?.csv", "-rf.csv", "con.csv", "x" * 300 + ".csv", "{{ 7|add:7 }}.csv", "=cmd|'x'!A1.csv",
)  # fmt: skip


def test_a_hostile_name_of_a_file_is_only_a_name(transactional_db: None, world: World) -> None:
    client = log_in(world.cleo)
    for number, name in enumerate(HOSTILE):
        content = HEADER + ROW * (number + 1)
        pull = drafted(client, content, name=name, new_source=f"Source {number}")
        page = client.get(f"/imports/{pull.pk}/").content.decode()
        assert "<img src=x" not in page
        assert Path(pull.file_path).parent == Path(os.environ["TOLLGATE_HOME"]) / "uploads" / str(pull.pk)
        assert read(client, pull, format="requests").status_code == 302, name
        imports.run(pull.pk)
        pull.refresh_from_db()
        assert (pull.state, pull.rows) == ("done", number + 1), (name, pull.error)


def test_a_session_of_somebody_else_cannot_upload(server: Server, world: World) -> None:
    body = form(HEADER + ROW)
    head = upload_head(world.eve, f"Content-Length: {len(body)}")
    assert server.send(head, body).status == 403
    nobody = [line for line in head if not line.startswith("Cookie")]
    assert server.send(nobody, body).status == 302
    assert cookies_of(world.eve) != cookies_of(world.cleo)
    assert (Pull.objects.count(), kept()) == (0, [])

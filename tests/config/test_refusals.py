"""What keeps Tollgate from running is said in one sentence, with an exit code that is not 0."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from apps.config import embedded
from apps.config.embedded import Paths
from apps.config.environment import SetupError
from tests.config.tollgate import PROJECT, Tollgate


def refusal(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_taken_port(tollgate: Tollgate) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", tollgate.port))
        other.listen()
        assert f"Port {tollgate.port} on 127.0.0.1 cannot be used: address already in use." in refusal(
            tollgate.run("up")
        )
    assert tollgate.all_pids() == []


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1"])
def test_a_port_that_is_none(tollgate: Tollgate, port: str) -> None:
    assert refusal(tollgate.run("up", PORT=port)) == f"PORT is '{port}'; it takes a whole number from 1 to 65535."


def test_a_data_folder_that_cannot_be_written(tollgate: Tollgate) -> None:
    done = tollgate.run("up", TOLLGATE_HOME="/proc/tollgate")
    assert refusal(done).startswith("The data folder /proc/tollgate cannot be written:")


def test_a_full_data_folder(tollgate: Tollgate, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(free=3 * 2**20)
    monkeypatch.setattr(embedded.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SetupError, match="is full: 3 MB are free, Tollgate needs at least 200 MB"):
        embedded.prepare_home(tollgate.paths)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands PostgreSQL to another user")
def test_a_data_folder_that_the_system_user_cannot_reach(tollgate: Tollgate) -> None:
    closed = tollgate.home / "closed"
    closed.mkdir(mode=0o700)
    said = refusal(tollgate.run("showmigrations", TOLLGATE_HOME=str(closed / "home")))
    assert f"who cannot enter {closed}." in said
    assert closed.stat().st_mode & 0o777 == 0o700, "folders above the data folder are not ours to open"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("mysql://me:canary@db.example/x", "DATABASE_URL begins with mysql; it takes postgres://, postgresql://."),
        ("postgresql://me:canary@db.example/", "DATABASE_URL names no database"),
        (
            "postgresql://me:canary@127.0.0.1:1/books",
            "DATABASE_URL (database books on 127.0.0.1:1 as me) cannot be reached",
        ),
        ("postgresql://me:canary@db.example:port/x", "DATABASE_URL is not a URL"),
    ],
)
def test_a_wrong_database_url(tollgate: Tollgate, address: str, why: str) -> None:
    said = refusal(tollgate.run("showmigrations", DATABASE_URL=address))
    assert why in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("sqs://me:canary@broker.example", "CELERY_BROKER_URL begins with sqs"),
        ("redis://me:canary@127.0.0.1:1/0", "CELERY_BROKER_URL (redis://me@127.0.0.1:1/0) cannot be reached"),
        ("amqp://me:canary@127.0.0.1:1/x", "CELERY_BROKER_URL (amqp://me@127.0.0.1:1/x) cannot be reached"),
    ],
)
@pytest.mark.slow
def test_a_wrong_broker_url(tollgate: Tollgate, address: str, why: str) -> None:
    said = refusal(tollgate.run("up", CELERY_BROKER_URL=address))
    assert why in said
    assert "canary" not in said


def test_a_wildcard_host(tollgate: Tollgate) -> None:
    assert "TOLLGATE_ALLOWED_HOSTS holds *" in refusal(tollgate.run("check", TOLLGATE_ALLOWED_HOSTS="*"))


def test_a_database_that_is_neither_own_nor_demo(tollgate: Tollgate) -> None:
    assert "it takes own or demo" in refusal(tollgate.run("check", TOLLGATE_DATABASE="prod"))


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    for name in ("Makefile", "requirements-dev.lock", "requirements-uv.lock", "package-lock.json"):
        shutil.copy(PROJECT / name, tmp_path)
    done = subprocess.run(["make", "up", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith(f"Tollgate needs Python 3.11 or newer; {old} is Python 3.9.2.")


def test_a_long_data_folder_gets_a_short_socket() -> None:
    deep = Paths(Path("/tmp") / ("x" * 90))
    assert deep.sockets.parent == Path("/tmp")
    assert len(str(deep.broker_socket)) <= embedded.SOCKET_PATH_BYTES
    assert Paths(Path("/srv/t")).sockets == Path("/srv/t/run")


@pytest.mark.slow
def test_a_migration_does_not_wait_for_a_table_in_use_and_says_so(
    run_command: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    """Who waits for a lock keeps everybody waiting who comes later."""
    chosen = embedded.owner_settings("own")
    with psycopg.connect(host=chosen["HOST"], user=chosen["USER"], dbname=connection.settings_dict["NAME"]) as session:
        session.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        done = run_command("migrate")
    assert "was not migrated to the end: a table was in use for 10s." in refusal(done)
    assert run_command("migrate").returncode == 0

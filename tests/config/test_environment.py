"""Variables: what they may hold, and what is said when they hold something else."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.mail import EmailMessage

from apps.config import embedded, environment
from apps.config.environment import SetupError
from apps.config.mail import ConsoleAndFileBackend


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOLLGATE_HOME", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    return tmp_path


def test_the_secret_key_is_made_once_and_readable_by_nobody_else(home: Path) -> None:
    first = environment.secret_key()
    assert len(first) >= 50
    assert environment.secret_key() == first
    assert (home / "secret-key").stat().st_mode & 0o777 == 0o600


def test_a_given_key_leaves_no_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer, older = (Fernet.generate_key().decode() for _ in range(2))
    monkeypatch.setenv("TOLLGATE_FIELD_KEYS", f"{newer}, {older}")
    assert environment.field_keys() == [newer, older]
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(("value", "read"), [("1", True), ("yes", True), ("Off", False), ("", False), ("0", False)])
def test_flags(monkeypatch: pytest.MonkeyPatch, value: str, read: bool) -> None:
    monkeypatch.setenv("TOLLGATE_DEBUG", value)
    assert environment.flag("TOLLGATE_DEBUG") is read


def test_a_flag_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_DEBUG", "perhaps")
    with pytest.raises(SetupError, match="TOLLGATE_DEBUG is 'perhaps'; it takes 1 or 0"):
        environment.flag("TOLLGATE_DEBUG")


def test_a_database_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:p%40ss@db.example:6432/books?sslmode=require")
    own, demo = embedded.database_settings("own"), embedded.database_settings("demo")
    assert (own["NAME"], own["HOST"], own["PORT"], own["PASSWORD"]) == ("books", "db.example", "6432", "p@ss")
    assert own["OPTIONS"] == {"connect_timeout": 5, "sslmode": "require"}
    assert demo["NAME"] == "books_demo"


def test_the_owner_of_a_database_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app@db.example/books")
    assert embedded.owner_settings("own") == embedded.database_settings("own")
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://owner:secret@direct.example:6432")
    owner = embedded.owner_settings("demo")
    assert (owner["NAME"], owner["USER"], owner["HOST"], owner["PORT"]) == (
        "books_demo", "owner", "direct.example", "6432",
    )  # fmt: skip
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://owner:secret@direct.example/others")
    with pytest.raises(SetupError, match="names another database than DATABASE_URL, which names books"):
        embedded.owner_settings("own")


def test_the_embedded_database_has_two_roles(home: Path) -> None:
    assert embedded.database_settings("own")["USER"] == "tollgate_app"
    assert embedded.owner_settings("own")["USER"] == "tollgate"


def test_own_and_demo_do_not_share_a_queue(home: Path) -> None:
    assert embedded.broker_url("own") != embedded.broker_url("demo")
    assert embedded.broker_url("own").startswith(f"redis+socket://{home}/run/valkey.sock")


def test_mail_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.mail() == {}
    monkeypatch.setenv("EMAIL_URL", "smtps://me:p%40ss@mail.example")
    found = environment.mail()
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_HOST_PASSWORD"]) == ("mail.example", 465, "p@ss")
    assert (found["EMAIL_USE_SSL"], found["EMAIL_USE_TLS"]) == (True, False)


def test_mail_without_a_server_is_printed_and_kept(
    home: Path, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.TOLLGATE_HOME = home
    message = EmailMessage("Welcome", "Follow this link", "a@example.com", ["b@example.com"])
    assert ConsoleAndFileBackend().send_messages([message]) == 1
    (kept,) = (home / "mail").iterdir()
    assert "Follow this link" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "Follow this link" in capsys.readouterr().out

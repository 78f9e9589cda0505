"""Reading the environment: every setting comes from here, and a wrong one says its name and why."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from cryptography.fernet import Fernet

from apps.core.errors import TollgateError

PROJECT = Path(__file__).resolve().parents[2]


class SetupError(TollgateError):
    """Something outside Tollgate (a variable, a folder, a port, a server) keeps it from running."""


def text(name: str, default: str = "") -> str:
    """The variable without blanks around it; an empty one counts as not set."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, *, default: bool = False) -> bool:
    value = text(name).lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    if value:
        raise SetupError(f"{name} is {value!r}; it takes 1 or 0.")
    return default


def number(name: str, default: int, *, least: int = 0, most: int = 2**31 - 1) -> int:
    value = text(name, str(default))
    if not value.isdecimal() or not least <= int(value) <= most:
        raise SetupError(f"{name} is {value!r}; it takes a whole number from {least} to {most}.")
    return int(value)


def words(name: str, default: list[str]) -> list[str]:
    """Comma-separated words."""
    return [word.strip() for word in text(name).split(",") if word.strip()] or default


def url(name: str, schemes: tuple[str, ...]) -> SplitResult | None:
    """The variable as a URL of one of the schemes; None when it is not set.

    The error never repeats the value: it may hold a password.
    """
    value = text(name)
    if not value:
        return None
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise SetupError(f"{name} is not a URL: {error}.") from None
    if parts.scheme not in schemes:
        known = ", ".join(f"{scheme}://" for scheme in schemes)
        raise SetupError(f"{name} begins with {parts.scheme or 'no scheme'}; it takes {known}.")
    return parts


def home() -> Path:
    """TOLLGATE_HOME: the data folder, where all that is not in the database lives. Absolute; it need not exist yet."""
    named = text("TOLLGATE_HOME")
    if named:
        return Path(named).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/tollgate")
    shared = text("XDG_DATA_HOME")
    return (Path(shared) if shared else Path("~/.local/share").expanduser()) / "tollgate"


def kept_secret(variable: str, file: str, make: Callable[[], str]) -> str:
    """A secret from the environment, else the one kept in the data folder, made at the first use (mode 0600)."""
    given = text(variable)
    if given:
        return given
    path = home() / file
    try:
        make_folder(home())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(make())
    except FileExistsError:
        pass
    except OSError as error:
        raise SetupError(f"The data folder {home()} cannot be written: {error.strerror}.", hint=HOME_HINT) from None
    return path.read_text().strip()


HOME_HINT = "Make it writable, or name another folder in TOLLGATE_HOME."


def make_folder(path: Path) -> None:
    """Makes a folder that others may pass through but not list; an existing one keeps its mode."""
    path.mkdir(mode=0o711, parents=True, exist_ok=True)


def secret_key() -> str:
    return kept_secret("TOLLGATE_SECRET_KEY", "secret-key", lambda: secrets.token_urlsafe(64))


def field_keys() -> list[str]:
    """Keys that encrypt secrets at rest, newest first; older ones still open what they closed."""
    kept = kept_secret("TOLLGATE_FIELD_KEYS", "field-keys", lambda: Fernet.generate_key().decode())
    return [key.strip() for key in kept.replace("\n", ",").split(",") if key.strip()]


def mail() -> dict[str, str | int | bool]:
    """Django's e-mail settings from EMAIL_URL (smtp://, smtps://, smtp+tls://) or EMAIL_HOST; {} without either."""
    parts = url("EMAIL_URL", ("smtp", "smtps", "smtp+tls"))
    if parts is not None:
        return {
            "EMAIL_HOST": parts.hostname or "localhost",
            "EMAIL_PORT": parts.port or {"smtp": 25, "smtps": 465, "smtp+tls": 587}[parts.scheme],
            "EMAIL_HOST_USER": unquote(parts.username or ""),
            "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
            "EMAIL_USE_SSL": parts.scheme == "smtps",
            "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        }
    if not text("EMAIL_HOST"):
        return {}
    return {
        "EMAIL_HOST": text("EMAIL_HOST"),
        "EMAIL_PORT": number("EMAIL_PORT", 25, most=65535),
        "EMAIL_HOST_USER": text("EMAIL_HOST_USER"),
        "EMAIL_HOST_PASSWORD": text("EMAIL_HOST_PASSWORD"),
        "EMAIL_USE_SSL": flag("EMAIL_USE_SSL"),
        "EMAIL_USE_TLS": flag("EMAIL_USE_TLS"),
    }

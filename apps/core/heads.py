"""The head of the audit chain as a signed file: kept outside the database, it shows if the chain was rewritten."""

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.core import audit
from apps.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class Head:
    """The last link at an instant: after `position` events the chain read `sha256`."""

    position: int
    sha256: str
    at: str


def current(*, now: datetime) -> dict[str, Any]:
    """The head as it stands now, with its signature, for whatever is to prove later what the trail was then."""
    status = audit.status()
    head = Head(position=status.sealed, sha256=status.head, at=now.isoformat(timespec="seconds"))
    return {**asdict(head), "signature": _signature(head)}


def keep(*, folder: Path, now: datetime) -> Path:
    """Seal what can be sealed and keep the head of the day, signed; a second one of the day replaces the first."""
    audit.seal()
    head = current(now=now)
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    path = folder / f"head-{now:%Y-%m-%d}.json"
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(head, indent=2) + "\n")
    # Renamed when complete: a full disk must not leave half a head where a whole one was.
    beside.replace(path)
    return path


def read(path: Path) -> Head:
    """A kept head, its signature proved; BadInput says what is wrong with the file."""
    try:
        content = json.loads(path.read_text())
        head = Head(position=int(content["position"]), sha256=str(content["sha256"]), at=str(content["at"]))
        signature = str(content["signature"])
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is no head of an audit chain.") from error
    if not hmac.compare_digest(signature, _signature(head)):
        raise BadInput(f"The signature of {path} does not fit: it was changed, or is of another installation.")
    return head


def _signature(head: Head) -> str:
    """HMAC-SHA256 with a key of its own, derived from the installation's secret."""
    key = hashlib.sha256(f"audit-head:{settings.SECRET_KEY}".encode()).digest()
    return hmac.new(key, json.dumps(asdict(head), sort_keys=True).encode(), hashlib.sha256).hexdigest()

"""Secrets of sources at rest: closed with the newest key of the installation, opened with any of its keys."""

import json

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from apps.core.errors import BadInput


def close(secrets: dict[str, str]) -> bytes | None:
    """The secrets as one encrypted blob; None when there are none."""
    kept = {name: value for name, value in secrets.items() if value}
    return _keys().encrypt(json.dumps(kept).encode()) if kept else None


def open_(blob: bytes | memoryview | None) -> dict[str, str]:
    """The secrets of a blob; an error where no key of the installation fits."""
    if blob is None:
        return {}
    try:
        opened: dict[str, str] = json.loads(_keys().decrypt(bytes(blob)))
    except InvalidToken:
        raise BadInput(
            "The stored secrets cannot be opened with the keys of this installation.", hint="Enter them anew."
        ) from None
    return opened


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.FIELD_KEYS])

"""One-time links and API tokens: long random text for the person, a digest for us."""

import hashlib
import secrets

TOKEN_PREFIX = "tg_"  # noqa: S105  a mark by which scanners and people recognise our tokens


def new_secret(prefix: str = "") -> tuple[str, str]:
    """A fresh secret of 256 bits and its SHA-256. A plain digest is enough: nobody can guess 256 random bits."""
    plain = prefix + secrets.token_urlsafe(32)
    return plain, digest(plain)


def digest(plain: str) -> str:
    return hashlib.sha256(plain.encode()).hexdigest()

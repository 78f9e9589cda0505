"""Asking as somebody: one request, whose writes are taken back."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse

from apps.core.models import AuditEvent
from tests.rights.cast import Cast, Side, Who
from tests.rights.table import Address


@dataclass(frozen=True, slots=True)
class Given:
    """What came back: the status, the text (of a page, a part or a file) and whether anything was recorded."""

    status: int
    text: str
    location: str
    has_written: bool


def address_of(name: str, entry: Address, side: Side, **other: Any) -> str:
    values = {key: side.objects.get(value, value) for key, value in entry.arguments.items()} | other
    return reverse(name, kwargs=values or None)


@cache
def _browser(**options: Any) -> Client:
    """One for all: a new one would load every middleware again."""
    return Client(**options)


def client_of(cast: Cast, side: Side, who: Who, **options: Any) -> Client:
    """The browser in which this person, and nobody else, is logged in."""
    client = _browser(**options)
    client.cookies.clear()
    if who is not Who.VISITOR:
        client.cookies[settings.SESSION_COOKIE_NAME] = cast.sessions[side.people[who].pk]
    return client


def ask(client: Client, method: str, path: str, data: Any = None, **headers: str) -> Given:
    with transaction.atomic():
        before = AuditEvent.objects.count()
        response = getattr(client, method)(path, data or {}, headers=headers or None)
        given = Given(
            response.status_code,
            text_of(response),
            response.headers.get("Location", response.headers.get("HX-Redirect", "")),
            AuditEvent.objects.count() > before,
        )
        transaction.set_rollback(True)
    return given


def text_of(response: HttpResponseBase) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]
    return content.decode("utf-8", errors="replace")

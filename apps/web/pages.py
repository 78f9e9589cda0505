"""What every page function uses: the typed request, and one helper that answers with the page or with a part of it."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails

from apps.core.actor import Actor


class PageRequest(HttpRequest):
    """A request as it reaches a page: the middleware has put the actor and htmx's details on it."""

    actor: Actor
    htmx: HtmxDetails


def wants_part(request: HttpRequest) -> bool:
    """True when htmx asks for a part; a boosted link or the browser's history wants the whole page."""
    details: HtmxDetails | None = getattr(request, "htmx", None)
    return bool(details) and details is not None and not details.boosted and not details.history_restore_request


def page_or_part(
    request: HttpRequest, template: str, part: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """The part `template#part` for htmx, else the page; both come from one file, so that they cannot drift apart."""
    name = f"{template}#{part}" if wants_part(request) else template
    response = render(request, name, dict(context or {}), status=status)
    # The same address has two bodies; a cache or the back button must not mix them.
    patch_vary_headers(response, ["HX-Request"])
    return response

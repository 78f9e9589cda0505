"""What every page relies on: who asks, the organisation's zone, how long a session lasts, and errors in words."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from apps.accounts import rights
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import TollgateError
from apps.web.pages import wants_part

Answer = Callable[[HttpRequest], HttpResponse]
BEGAN = "began_at"
NOBODY = Actor(person_id=None, label="somebody not logged in", channel="web")


class LengthMiddleware:
    """Refuses a body of unknown length: nothing of it would be read, and it would be taken for an empty one."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "HTTP_TRANSFER_ENCODING" not in request.META:
            return self.get_response(request)
        detail = "Send the body with its Content-Length, not in chunks."
        if not request.path.startswith("/api/"):
            return HttpResponse(detail, status=411, content_type="text/plain")
        problem = {"type": "about:blank", "title": "Length Required", "status": 411, "detail": detail}
        return JsonResponse(problem, status=411, content_type="application/problem+json")


class ActorMiddleware:
    """Sets `request.actor` and `request.organisation`, and the organisation's zone for every time that is shown."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.actor = _actor(request)  # type: ignore[attr-defined]
        if not request.user.is_authenticated:
            return self.get_response(request)
        found = request.organisation = organisation.find()  # type: ignore[attr-defined]
        # Rights are asked for by the frame, the page and each query: once a request is enough.
        with rights.remembering(), timezone.override(ZoneInfo(found.zone) if found else UTC):
            return self.get_response(request)


class SessionMiddleware:
    """Ends a session after the absolute limit, however busy it was, and keeps figures out of the browser's cache."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            return self.get_response(request)
        if _is_too_old(request):
            return _ended(request)
        response = self.get_response(request)
        # After log-out the back button must show nothing.
        response.headers.setdefault("Cache-Control", "no-store")
        return response


class ErrorMiddleware:
    """Turns the domain's errors into a page, or into a part of one, that says what is wrong and what helps."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, TollgateError) or request.path.startswith("/api/"):
            return None
        template = "components/error.html" if wants_part(request) else _error_page(error.status)
        return render(request, template, {"message": error.message, "hint": error.hint}, status=error.status)


def _actor(request: HttpRequest) -> Actor:
    account = request.user
    if not account.is_authenticated:
        return NOBODY
    return Actor(person_id=account.person_id, label=str(account.person), channel="web")


def _is_too_old(request: HttpRequest) -> bool:
    now = datetime.now(UTC).timestamp()
    began = request.session.setdefault(BEGAN, now)
    return bool(now - began > settings.SESSION_ABSOLUTE_SECONDS)


def _ended(request: HttpRequest) -> HttpResponse:
    address = f"{reverse(settings.LOGIN_URL)}?{urlencode({'next': request.get_full_path()})}"
    logout(request)
    messages.info(request, "Your session has ended after twelve hours. Please log in again.")
    if not wants_part(request):
        return HttpResponseRedirect(address)
    # htmx would put the log-in page into the part; this header makes it leave the page instead.
    return HttpResponse(status=204, headers={"HX-Redirect": address})


def _error_page(status: int) -> str:
    return f"{status}.html" if status in (403, 404) else "400.html"

"""What every page relies on: who asks, the organisation's zone, how long a session lasts, and errors in words."""

import logging
import secrets
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.shortcuts import render
from django.template import loader
from django.urls import is_valid_path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.defaults import page_not_found

from apps.accounts import rights
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput, TollgateError
from apps.web.pages import wants_part

Answer = Callable[[HttpRequest], HttpResponse]
BEGAN = "began_at"
HEADROOM = 1024**2  # what a form weighs beside its file
LOG_IN = "account_login"
logger = logging.getLogger(__name__)
NOBODY = Actor(person_id=None, label="somebody not logged in", channel="web")


class LengthMiddleware:
    """Refuses a body by its length before anything of it is read.

    Of one that names none nothing would be read, and it would be taken for an empty one. A large one goes to the page
    of imports only, which looks at it while it arrives; elsewhere it would be stored whole before a form measures it.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "HTTP_TRANSFER_ENCODING" in request.META:
            detail = "Send the body with its Content-Length, not in chunks."
            if not _is_of_api(request):
                return HttpResponse(detail, status=411, content_type="text/plain")
            return _problem(411, detail)
        if _length(request) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE + HEADROOM and not _is_import(request):
            return _too_large(request)
        return self.get_response(request)


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


class PartMiddleware:
    """Sends htmx away from the page when the session is over: it would put the log-in page into the part."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        return _leaving(request) if wants_part(request) and _leads_to_log_in(response) else response


class ErrorMiddleware:
    """Turns the domain's errors into a page, or into a part of one, that says what is wrong and what helps."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_lost = response.status_code == HTTPStatus.METHOD_NOT_ALLOWED and request.method in ("GET", "HEAD")
        if not is_lost or _is_of_api(request) or not request.user.is_authenticated:
            return response
        return HttpResponseRedirect(_page_above(request))

    def process_view(self, request: HttpRequest, view: Answer, *_given: object) -> HttpResponse | None:
        """The database keeps no NUL in a text, so that none gets as far as a query."""
        # A form has been read for its token; whoever reads the body another way looks for it there.
        form = None if getattr(view, "csrf_exempt", False) else request.POST
        if not _holds_nul(request, form):
            return None
        error = BadInput("What was sent holds a character that no text has (NUL).", hint="Take it out and try again.")
        return _problem(error.status, str(error)) if _is_of_api(request) else _refusal(request, error)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, TollgateError) or _is_of_api(request):
            return None
        return _refusal(request, error)


def _length(request: HttpRequest) -> int:
    length = request.META.get("CONTENT_LENGTH") or ""
    return int(length) if length.isdecimal() else 0


def _is_import(request: HttpRequest) -> bool:
    return request.path_info == reverse("imports:new")


def _too_large(request: HttpRequest) -> HttpResponse:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024**2
    detail = f"What was sent is larger than {limit} MB, so nothing of it was read."
    if _is_of_api(request):
        return _problem(413, detail)
    words = {"message": detail, "hint": "Split it. Logs and bills may be larger: import them as files."}
    return render(request, "400.html", words, status=413)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """No such address (`handler404`)."""
    if _is_of_api(request):
        return _problem(404, "There is no such address in the API; /api/v1/schema/ lists them.")
    return page_not_found(request, exception)


def _page_above(request: HttpRequest) -> str:
    """Where a deed's address belongs: a refused form is drawn there, and its relative links come back to it."""
    above = request.path_info
    while above != "/":
        above = above.rstrip("/").rpartition("/")[0] + "/"
        if is_valid_path(above):
            break
    query = request.META["QUERY_STRING"]
    return f"{above}?{query}" if query else above


def broke(request: HttpRequest) -> HttpResponse:
    """A fault of ours (`handler500`): its number stands in the answer and, with the fault itself, in the log."""
    error_id = secrets.token_hex(4)
    logger.error("Error %s at %s %s", error_id, request.method, request.path, exc_info=sys.exception())
    if _is_of_api(request):
        return _problem(500, f"This broke on our side. Its number in the log is {error_id}.")
    if not wants_part(request):
        return HttpResponse(loader.render_to_string("500.html", {"error_id": error_id}), status=500)
    words = {"message": "This broke on our side.", "hint": "The rest of the page stands, and nothing was half done."}
    context = {**words, "error_id": error_id, "retry": request.htmx.current_url_abs_path}  # type: ignore[attr-defined]
    return HttpResponse(loader.render_to_string("components/error.html", context), status=500)


def _refusal(request: HttpRequest, error: TollgateError) -> HttpResponse:
    template = "components/error.html" if wants_part(request) else _error_page(error.status)
    return render(request, template, {"message": error.message, "hint": error.hint}, status=error.status)


def _is_of_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _problem(status: int, detail: str) -> HttpResponse:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JsonResponse(body, status=status, content_type="application/problem+json")


def _holds_nul(request: HttpRequest, form: QueryDict | None) -> bool:
    sent = [request.path_info, *_texts(request.GET), *(_texts(form) if form else ())]
    return any("\x00" in text for text in sent)


def _texts(values: QueryDict) -> list[str]:
    return [str(text) for name, given in values.lists() for text in (name, *given)]


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
    address = f"{reverse(LOG_IN)}?{urlencode({'next': request.get_full_path()})}"
    logout(request)
    messages.info(request, "Your session has ended after twelve hours. Please log in again.")
    return HttpResponseRedirect(address)


def _leads_to_log_in(response: HttpResponse) -> bool:
    return response.status_code == HTTPStatus.FOUND and urlsplit(response["Location"]).path == reverse(LOG_IN)


def _leaving(request: HttpRequest) -> HttpResponse:
    """After log-in one comes back to the page, and not to its part."""
    page = request.htmx.current_url_abs_path or request.get_full_path()  # type: ignore[attr-defined]
    address = f"{reverse(LOG_IN)}?{urlencode({'next': page})}"
    return HttpResponse(status=204, headers={"HX-Redirect": address})


def _error_page(status: int) -> str:
    return f"{status}.html" if status in (403, 404) else "400.html"

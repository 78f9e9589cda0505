"""Errors of the API as application/problem+json (RFC 9457): the sentence a person would read, and what helps."""

from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from apps.core.errors import TollgateError

CONTENT_TYPE = "application/problem+json"


def problem_handler(error: Exception, context: dict[str, Any]) -> Response | None:  # noqa: ARG001
    """DRF's exception handler. None lets an unexpected error become a 500 and reach the log."""
    response = _response(error)
    if response is not None:
        set_rollback()
    return response


def _response(error: Exception) -> Response | None:
    if isinstance(error, TollgateError):
        return problem(error.status, error.message, hint=error.hint)
    if isinstance(error, Http404):
        return problem(404, "There is nothing here, or not for you.")
    if isinstance(error, PermissionDenied):
        return problem(403, "You may not do this.")
    if isinstance(error, exceptions.ValidationError):
        return problem(400, "The input cannot be used as it is; nothing was changed.", errors=error.detail)
    if isinstance(error, exceptions.APIException):
        return problem(error.status_code, _sentence(error), headers=_headers(error))
    return None


def problem(
    status: int, detail: str, *, hint: str = "", errors: Any = None, headers: dict[str, str] | None = None
) -> Response:
    """A problem document. `errors` holds, per field, what is wrong with it."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if hint:
        body["hint"] = hint
    if errors:
        body["errors"] = errors
    return Response(body, status=status, headers=headers, content_type=CONTENT_TYPE)


def _sentence(error: exceptions.APIException) -> str:
    detail = error.detail
    return detail if isinstance(detail, str) else str(error.default_detail)


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if auth_header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = f"{wait:.0f}"
    return headers

"""A page's own query string with some of it changed: links of filters, orders and pages are made from it."""

from urllib.parse import urlencode

from django.http import HttpRequest

LAST_PAGE = 100_000


def query_with(request: HttpRequest, **changes: str | None) -> str:
    """The address' query with these values; None takes one out. A download's format never stays."""
    values = {**request.GET.dict(), **changes}
    return "?" + urlencode({name: value for name, value in values.items() if value is not None and name != "format"})


def page_number(request: HttpRequest) -> int:
    """`?page=`, 1 for whatever is no page."""
    text = request.GET.get("page", "1")
    return min(max(int(text), 1), LAST_PAGE) if text.isascii() and text.isdigit() and len(text) < 8 else 1

"""A page's own query string with some of it changed: links of filters, orders and pages are made from it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from django.core.paginator import Page, Paginator
from django.http import HttpRequest
from django.urls import reverse

from apps.web.parts import Chip, Choice

LAST_PAGE = 100_000


class Cut(Protocol):
    """Rows of one page, cut in SQL, and how many there are in all."""

    @property
    def rows(self) -> Sequence[Any]: ...

    @property
    def count(self) -> int: ...


Found = TypeVar("Found", bound=Cut)


def query_with(request: HttpRequest, **changes: str | None) -> str:
    """The address' query with these values; None takes one out. A download's format never stays by itself."""
    values = {**request.GET.dict(), "format": None, **changes}
    return "?" + urlencode({name: value for name, value in values.items() if value is not None})


def addresses(name: str, *others: str) -> Callable[[str], str]:
    """The address of each slug: a page with hundreds of links looks their pattern up once."""
    begin, _, end = reverse(name, args=["slug", *others]).partition("slug")
    return lambda slug: f"{begin}{slug}{end}"


def choice_chip(
    request: HttpRequest,
    key: str,
    label: str,
    chosen: str,
    choices: Sequence[tuple[str, str]],
    *,
    are_names: bool = False,
) -> Chip:
    """A filter by one of several: a menu of them, or the chosen one with a link that takes it off.

    A word of ours begins large in the menu; names stay as they are written.
    """
    if chosen:
        word = dict(choices).get(chosen, chosen)
        return Chip(f"{label} is {word}", href=query_with(request, **{key: None, "page": None}), is_on=True)
    entries = [(word if are_names else word[:1].upper() + word[1:], value) for value, word in choices]
    return Chip(label, choices=[Choice(word, query_with(request, **{key: at, "page": None})) for word, at in entries])


def page_number(request: HttpRequest) -> int:
    """`?page=`, 1 for whatever is no page."""
    text = request.GET.get("page", "1")
    return min(max(int(text), 1), LAST_PAGE) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def read_page(read: Callable[[int], Found], number: int, size: int) -> tuple[Found, Page[Any]]:
    """What `read` finds from the page's offset on, as Django's page; beyond the last page, the first one."""
    found = read((number - 1) * size)
    if not found.rows and number > 1:
        number, found = 1, read(0)
    # The paginator only counts: the rows of the page are here already.
    paginator: Paginator[Any] = Paginator(range(found.count), size)
    return found, Page(found.rows, number, paginator)

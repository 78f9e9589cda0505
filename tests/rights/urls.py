"""Walks the URL conf: every address of the application by its full name."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver


@dataclass(frozen=True, slots=True)
class Found:
    """One pattern of the URL conf. `name` holds its namespaces: `people:detail`."""

    name: str
    route: str
    module: str


def every_address() -> list[Found]:
    return list(_walk(get_resolver(), (), ""))


def _walk(resolver: URLResolver, spaces: tuple[str, ...], before: str) -> Iterator[Found]:
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            space = (str(pattern.namespace),) if pattern.namespace else ()
            yield from _walk(pattern, (*spaces, *space), route)
        elif isinstance(pattern, URLPattern):
            yield Found(":".join((*spaces, pattern.name or "")), route, pattern.callback.__module__)

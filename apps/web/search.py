"""Search over everything that a person may see: a page of its own, and the palette that htmx fills."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from apps.accounts.rights import rights_of
from apps.core.actor import Actor
from apps.web import hooks, navigation
from apps.web.pages import page_or_part

LONGEST_QUERY = 200
MOST_IN_A_GROUP = 8


@dataclass(frozen=True, slots=True)
class ResultGroup:
    title: str
    found: list[hooks.Found]


@login_required
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:LONGEST_QUERY]
    actor: Actor = request.actor  # type: ignore[attr-defined]
    groups = [*_pages(actor, words), *(_found(actor, words) if words else ())]
    return page_or_part(request, "search/index.html", "results", {"words": words, "groups": groups})


def _pages(actor: Actor, words: str) -> Iterable[ResultGroup]:
    nav = navigation.links_for(actor=actor, rights=rights_of(actor), current="")
    links = [link for group in nav for link in group.links if words.casefold() in link.label.casefold()]
    if links:
        yield ResultGroup("Pages", [hooks.Found(label=link.label, href=link.href, icon=link.icon) for link in links])


def _found(actor: Actor, words: str) -> Iterable[ResultGroup]:
    for title, finder in hooks.finders.items():
        found = list(finder(actor, words))[:MOST_IN_A_GROUP]
        if found:
            yield ResultGroup(title, found)

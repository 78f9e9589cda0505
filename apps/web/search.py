"""Search over everything that a person may see: a page of its own, and the palette that htmx fills.

What is written right is found in SQL by the finders of the pages. Where a group then has nothing, its names are
compared with what was typed, so that a slip of the finger still finds.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET
from rapidfuzz import fuzz, process, utils

from apps.accounts.models import Person
from apps.accounts.rights import Right, rights_of
from apps.catalog.models import Offering
from apps.core.actor import Actor
from apps.web import hooks, navigation
from apps.web.hooks import Found
from apps.web.pages import PageRequest, page_or_part
from apps.workloads.models import Workload

LONGEST_QUERY: Final = 200
MOST_IN_A_GROUP: Final = 8
SHORTEST_TYPO: Final = 3
CLOSE_ENOUGH: Final = 72  # of 100
ACTIONS: Final = (
    ("Register a use case", "workloads:new", Right.REGISTER, "plus"),
    ("Import a file", "imports:new", Right.MANAGE_SOURCES, "file-import"),
    ("Invite a person", "people:invite", Right.MANAGE_PEOPLE, "user-plus"),
    ("Make an API token", "tokens:list", Right.MANAGE_TOKENS, "key"),
)


@dataclass(frozen=True, slots=True)
class ResultGroup:
    title: str
    found: list[Found]


@login_required
@require_GET
def search(request: PageRequest) -> HttpResponse:
    """Results by kind; without words, the pages and what can be done."""
    words = request.GET.get("q", "").strip()[:LONGEST_QUERY]
    groups = [*(_found(request.actor, words) if words else ()), *_pages(request.actor, words)]
    return page_or_part(request, "search/index.html", "results", {"words": words, "groups": groups})


def _found(actor: Actor, words: str) -> Iterator[ResultGroup]:
    for title in dict.fromkeys((*_POOLS, *hooks.finders)):
        finder, pool = hooks.finders.get(title), _POOLS.get(title)
        found = list(finder(actor, words))[:MOST_IN_A_GROUP] if finder else []
        if not found and pool:
            found = closest(words, pool(actor))
        if found:
            yield ResultGroup(title, found)


def _pages(actor: Actor, words: str) -> Iterator[ResultGroup]:
    nav = navigation.links_for(actor=actor, rights=rights_of(actor), current="")
    pages = [Found(label=link.label, href=link.href, icon=link.icon) for group in nav for link in group.links]
    for title, pool in (("Pages", pages), ("Actions", list(_actions(actor)))):
        named = [entry for entry in pool if words.casefold() in entry.label.casefold()]
        if found := named or closest(words, pool):
            yield ResultGroup(title, found)


def closest(words: str, pool: Iterable[Found]) -> list[Found]:
    """Entries whose names are close to the words, the closest first; three letters say too little."""
    if len(words) <= SHORTEST_TYPO:
        return []
    entries = list(pool)
    scored = process.extract(
        words,
        [entry.label for entry in entries],
        scorer=fuzz.WRatio,
        processor=utils.default_process,
        score_cutoff=CLOSE_ENOUGH,
        limit=MOST_IN_A_GROUP,
    )
    return [entries[at] for _, _, at in scored]


def _actions(actor: Actor) -> Iterator[Found]:
    for label, url_name, right, icon in ACTIONS:
        if rights_of(actor).may(right):
            yield Found(label, reverse(url_name), icon)


def _workloads(actor: Actor) -> Iterator[Found]:
    named = Workload.objects.visible_to(actor).values_list("name", "slug", "cost_centre__name")
    return (
        Found(name, reverse("workloads:detail", args=[slug]), "chart-bubble", centre or "")
        for name, slug, centre in named
    )


def _people(actor: Actor) -> Iterator[Found]:
    if not rights_of(actor).may(Right.SEE_PEOPLE):
        return iter(())
    named = Person.objects.filter(active=True).values_list("name", "pk", "email")
    return (Found(name, reverse("people:detail", args=[pk]), "user", email) for name, pk, email in named)


def _models(actor: Actor) -> Iterator[Found]:
    if not rights_of(actor).may(Right.SEE_RATES):
        return iter(())
    named = Offering.objects.exclude(name="").values_list("name", "pk", "provider")
    return (Found(name, reverse("rates:offering", args=[pk]), "tag", provider) for name, pk, provider in named)


_POOLS: Final[dict[str, Callable[[Actor], Iterable[Found]]]] = {
    "Workloads": _workloads,
    "People": _people,
    "Models": _models,
}

"""Every address x everybody x objects of both sides, generated from the URL conf and held against table.py."""

from collections.abc import Iterator

import pytest
from django.urls import reverse

from tests.rights.asking import Given, address_of, ask, client_of
from tests.rights.cast import Cast, Secret, Side, Who
from tests.rights.table import TABLE, Address, Answer
from tests.rights.urls import every_address

ELSEWHERE_TESTED = ("allauth.", "apps.api.")
NAMES = sorted({found.name for found in every_address() if not found.module.startswith(ELSEWHERE_TESTED)} - {""})
# The token of a form that nobody has saved yet is no object: it opens an empty form.
NO_OBJECT = {"pk": 999_999_999, "grant_pk": 999_999_999, "slug": "nothing-here", "secret": "nothing", "kind": "nothing"}
METHODS = ("get", "post")
# A part and a file come out of the page's own function; these show that none of them forgets to ask.
MOST_DIFFERENT = {Who.VISITOR, Who.MEMBER, Who.OWNER, Who.OWNER_ELSEWHERE, Who.ANALYST_ELSEWHERE, Who.ADMINISTRATOR}
# On the other side only these get something else than on the first.
SCOPED = [
    who for who in Who if who is Who.OWNER or f"{who.name.removesuffix('_ELSEWHERE')}_ELSEWHERE" in Who.__members__
]


def test_every_address_has_an_entry() -> None:
    missing = set(NAMES) - set(TABLE)

    assert not missing, (
        f"Nobody has said who may open {', '.join(sorted(missing))}. Add an entry to tests/rights/table.py, by part 3 "
        "of the design: who may, what they get, and 404 for the others where the address names an object."
    )


def test_every_entry_has_an_address() -> None:
    gone = set(TABLE) - set(NAMES)

    assert not gone, f"tests/rights/table.py has entries for addresses that are gone: {', '.join(sorted(gone))}."


@pytest.mark.parametrize("name", NAMES)
def test_everybody_gets_what_the_table_says(cast: Cast, name: str) -> None:
    entry = TABLE[name]
    wrong = [line for side in sides(cast, entry) for line in differences(cast, side, name, entry)]

    assert not wrong, "\n".join([f"{name}:", *wrong])


def sides(cast: Cast, entry: Address) -> list[Side]:
    """Both, where the address leads to something else on the other side."""
    differ = any(cast.care.objects.get(value) != cast.legal.objects.get(value) for value in entry.arguments.values())
    return list(cast.sides) if differ else [cast.care]


def differences(cast: Cast, side: Side, name: str, entry: Address) -> Iterator[str]:
    path = address_of(name, entry, side)
    for who in Who if side is cast.care else SCOPED:
        if entry.get:
            for query, headers in ways_to_get(entry, who):
                given = ask(client_of(cast, side, who), "get", f"{path}?{query}", **headers)
                yield from compared(given, entry.get, who, f"{side.name}: GET ?{query} {headers or ''}")
                yield from given_away(cast, side, who, given)
        if entry.post:
            given = ask(client_of(cast, side, who), "post", path, entry.post.data)
            yield from compared(given, entry.post, who, f"{side.name}: POST")
    yield from other_methods(cast, side, path, entry)


def ways_to_get(entry: Address, who: Who) -> Iterator[tuple[str, dict[str, str]]]:
    """As a page; and, by those whose rights differ most, as the part for htmx and as each file."""
    yield entry.query, {}
    if who in MOST_DIFFERENT:
        yield entry.query, {"HX-Request": "true"}
        for kind in entry.files:
            yield "&".join(filter(None, (entry.query, f"format={kind}"))), {}


def compared(given: Given, answer: Answer, who: Who, what: str) -> Iterator[str]:
    if who is Who.VISITOR and who not in answer.may:
        # htmx leaves the page for it (204), everybody else is redirected.
        if given.status not in (302, 204) or "/accounts/login/" not in given.location:
            yield f"  {what} as {who}: {given.status}, expected the log-in page"
    elif given.status != answer.of(who):
        yield f"  {what} as {who}: {given.status}, expected {answer.of(who)}"
    if who not in answer.may and given.has_written:
        yield f"  {what} as {who}: refused, and something was written all the same"


def given_away(cast: Cast, side: Side, who: Who, given: Given) -> Iterator[str]:
    for secret in cast.secrets:
        if may_read(secret, side, who):
            continue
        for words in secret.words:
            if words in given.text:
                yield f"  {side.name}: shown to {who}: {words} ({secret.what} of {secret.side})"
                break


def may_read(secret: Secret, side: Side, who: Who) -> bool:
    """Whether somebody, named as seen from `side`, may read the words."""
    here = secret.side == side.name
    scoped = {Who.ENGINEER: here, Who.ANALYST: here, Who.APPROVER: here, Who.REVIEWER: here, Who.OWNER: here}
    scoped |= {Who[f"{role.name}_ELSEWHERE"]: not here for role in scoped}
    sees_all = who in (Who.AUDITOR, Who.ADMINISTRATOR)
    sees_unallocated = sees_all or who in (Who.ANALYST, Who.ANALYST_ELSEWHERE)
    owns = who is (Who.OWNER if here else Who.OWNER_ELSEWHERE)
    return {
        "money": sees_all or scoped.get(who, False),
        "key": sees_unallocated or scoped.get(who, False),
        "unallocated": sees_unallocated,
        "draft": owns or sees_all,  # the auditor in the trail
        "view": owns,
        "people": sees_all,
    }[secret.what]


def other_methods(cast: Cast, side: Side, path: str, entry: Address) -> Iterator[str]:
    """What an address does not do it refuses by name, also to an administrator."""
    client = client_of(cast, side, Who.ADMINISTRATOR)
    unused = [method for method in METHODS if getattr(entry, method) is None]
    for method in (*unused, "put", "patch", "delete"):
        given = ask(client, method, path)
        above = given.location.partition("?")[0] if given.status == 302 else ""
        if method == "get" and above and path.startswith(above) and (above != "/" or path.count("/") == 2):
            continue  # to the page that the deed belongs to
        if given.status != 405:
            yield f"  {method.upper()} answers {given.status}: say in the table who may, or let the page refuse it"


@pytest.mark.parametrize("name", [name for name in NAMES if set(TABLE.get(name, Address()).arguments) & set(NO_OBJECT)])
def test_what_does_not_exist_is_not_found_by_anybody(cast: Cast, name: str) -> None:
    entry = TABLE[name]
    for key in set(entry.arguments) & set(NO_OBJECT):
        path = address_of(name, entry, cast.care, **{key: NO_OBJECT[key]})
        method = "get" if entry.get else "post"
        given = ask(client_of(cast, cast.care, Who.ADMINISTRATOR), method, path)
        assert given.status == 404, f"{method.upper()} {path}: {given.status}"


def test_filters_find_nothing_that_belongs_to_others(cast: Cast) -> None:
    """The cost pages take objects in their query: a foreign one is as unknown there as in an address."""
    for page in (reverse("costs:overview"), reverse("why:figure", args=["cost"])):
        for who, status in ((Who.OWNER, 200), (Who.OWNER_ELSEWHERE, 404), (Who.ANALYST_ELSEWHERE, 404)):
            for extra in ("", "&format=csv"):
                asked = f"{page}?month=2026-10&workload={cast.care.objects['workload']}{extra}"
                assert ask(client_of(cast, cast.care, who), "get", asked).status == status, (page, who)
        asked = f"{page}?month=2026-10&source={cast.care.objects['source']}"
        assert ask(client_of(cast, cast.care, Who.OWNER), "get", asked).status == 404


@pytest.mark.parametrize("words", ["canary", "summaries", "Ines", "dollar", "Gateway", "otto"])
def test_search_and_palette_show_only_what_one_may_see(cast: Cast, words: str) -> None:
    for who in set(Who) - {Who.VISITOR}:
        for headers in ({}, {"HX-Request": "true"}):
            given = ask(client_of(cast, cast.care, who), "get", f"{reverse('search')}?q={words}", **headers)
            assert given.status == 200
            # What was typed is said again; only what was found counts.
            found = given.text.replace("canary", "", 1)
            assert not list(given_away(cast, cast.care, who, Given(200, found, "", False)))
            assert ("own/dollar" in found or "/prices/" in found) <= (who.value in _RATES), who


_RATES = {"analyst in scope", "analyst out of scope", "auditor", "administrator"}

"""The side bar and the bottom bar as data. An entry is shown when its page exists and the person may see it."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from apps.accounts.rights import Right, Rights
from apps.core.actor import Actor
from apps.web import hooks
from apps.workloads.selectors import sees_any_money


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of the navigation; `key` names it for the count of what waits there."""

    key: str
    label: str
    icon: str
    url_name: str
    right: Right | None = None
    in_bottom_bar: bool = False
    short: str = ""  # where a small screen has no room for the label
    # Whoever owns a workload sees its money without any role, and so the way to it.
    is_for_owners: bool = False

    def is_for(self, actor: Actor, rights: Rights) -> bool:
        if self.right is None or rights.may(self.right):
            return True
        return self.is_for_owners and sees_any_money(actor)


@dataclass(frozen=True, slots=True)
class Group:
    """Entries under a heading; the first group has none, the last stands at the foot."""

    title: str
    entries: tuple[Entry, ...]
    at_foot: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as it is drawn for one person."""

    key: str
    label: str
    icon: str
    href: str
    count: int = 0
    is_current: bool = False
    in_bottom_bar: bool = False
    short: str = ""


@dataclass(frozen=True, slots=True)
class LinkGroup:
    title: str
    links: tuple[Link, ...]
    at_foot: bool = False


NAVIGATION = (
    Group(
        "",
        (
            Entry("home", "Home", "home", "home", in_bottom_bar=True),
            Entry("inbox", "Inbox", "inbox", "inbox:list", Right.SEE_REGISTER, in_bottom_bar=True),
        ),
    ),
    Group(
        "Workloads",
        (
            Entry("workloads", "Portfolio", "chart-bubble", "workloads:list", Right.SEE_REGISTER, in_bottom_bar=True),
            Entry(
                "reviews",
                "Monthly review",
                "calendar-check",
                "reviews:list",
                Right.SEE_REVIEWS,
                in_bottom_bar=True,
                short="Review",
            ),
        ),
    ),
    Group(
        "Money",
        (
            Entry(
                "costs",
                "Full cost",
                "receipt-dollar",
                "costs:overview",
                Right.SEE_MONEY,
                is_for_owners=True,
            ),
            Entry(
                "unallocated",
                "Unallocated",
                "help-hexagon",
                "unallocated:list",
                Right.SEE_UNALLOCATED,
            ),
            Entry("budgets", "Budgets", "wallet", "budgets:list", Right.SEE_MONEY, is_for_owners=True),
            Entry("rates", "Prices", "tags", "rates:list", Right.SEE_RATES),
        ),
    ),
    Group(
        "Data",
        (
            Entry("sources", "Sources", "plug-connected", "sources:list", Right.SEE_SOURCES),
            Entry("imports", "Imports", "file-import", "imports:list", Right.SEE_SOURCES),
            Entry("audit", "Audit", "history", "audit:list", Right.READ_AUDIT),
        ),
    ),
    Group("", (Entry("settings", "Settings", "settings", "settings:overview"),), at_foot=True),
)


def links_for(*, actor: Actor, rights: Rights, current: str, query: str = "") -> list[LinkGroup]:
    """The navigation of one person; `query` keeps the chosen period on the way, `current` is the key of the page."""
    groups = (LinkGroup(g.title, tuple(_links(g, actor, rights, current, query)), g.at_foot) for g in NAVIGATION)
    return [group for group in groups if group.links]


def current_key(request: HttpRequest) -> str:
    """The entry under which the page stands: the one whose address is the longest beginning of the page's own."""
    addresses = {entry.key: _address(entry.url_name) for group in NAVIGATION for entry in group.entries}
    above = [key for key, address in addresses.items() if address and _is_below(request.path, address)]
    return max(above, key=lambda key: len(addresses[key]), default="")


def _is_below(path: str, address: str) -> bool:
    """Everything lies below Home, so Home stands only for itself."""
    return path == address or (address != "/" and path.startswith(address))


def _links(group: Group, actor: Actor, rights: Rights, current: str, query: str) -> Iterator[Link]:
    for entry in group.entries:
        address = _address(entry.url_name)
        if not address or not entry.is_for(actor, rights):
            continue
        counter = hooks.counters.get(entry.key)
        yield Link(
            key=entry.key,
            label=entry.label,
            icon=entry.icon,
            href=f"{address}?{query}" if query else address,
            count=counter(actor) if counter else 0,
            is_current=entry.key == current,
            in_bottom_bar=entry.in_bottom_bar,
            short=entry.short or entry.label,
        )


def _address(url_name: str) -> str:
    """Empty while no such page exists: the side bar never links to nothing."""
    try:
        return reverse(url_name)
    except NoReverseMatch:
        return ""

"""The minutes of a review: a page that prints well, the same as a PDF, its figures as a table, the pack as signed.

All of them are made from the pack, or, while the review is open, from what the pack would hold now.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import typst
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.models import Person
from apps.core import heads
from apps.core.errors import NotFound
from apps.reviews import packs, selectors
from apps.reviews.blockers import LABELS, Key
from apps.reviews.contents import pack_contents
from apps.reviews.models import Cycle, Item, ItemKind, Pack, What
from apps.web import figures, reviews_words
from apps.web.exports import Cell, table_response
from apps.web.pages import PageRequest
from apps.web.reviews_addresses import crumbs_of, cycle_of
from apps.web.reviews_list import months_of

PROJECT: Final = Path(__file__).resolve().parents[2]
TEMPLATE: Final = PROJECT / "templates/reviews/minutes.typ"
NODE_MODULES: Final = PROJECT / "node_modules"
FONTS: Final = ("400Regular", "500Medium", "600SemiBold", "700Bold")
FIGURE_COLUMNS: Final = (
    *("Workload", "Cost centre", "Full cost", "Value", "Review cost", "Net value, low", "Net value"),
    *("Net value, high", "Useful outputs", "Verdict"),
)


@dataclass(frozen=True)
class Minutes:
    """What the page and the PDF place. `contents` is the pack's JSON; everything else is it in words."""

    cycle: Cycle
    pack: Pack | None
    contents: Mapping[str, Any]
    names: Mapping[int, str]

    @property
    def currency(self) -> str:
        return str(self.contents["currency"])

    @property
    def title(self) -> str:
        return f"Minutes of the review of {self.cycle}"

    @property
    def lead(self) -> str:
        if self.pack is None:
            return "Draft: the review is open, and this is what its pack would hold now."
        at = timezone.localtime(self.pack.signed_at)
        holders = " and ".join(self.name(person) for person in self.contents.get("acted_for", ()))
        signer = self.name(self.pack.signed_by_id) + (f" for {holders}" if holders else "")
        return f"Signed off by {signer} on {at:%d %B %Y, %H:%M}, revision {self.pack.revision}."

    @property
    def people(self) -> str:
        return ", ".join(self.name(person) for person in self.contents["attendance"])

    @property
    def lacks(self) -> str:
        """What the sums do not hold, in words; empty where they are whole."""
        totals = self.contents["totals"]
        said = (("unpriced", "without a price"), ("unconverted", "without an exchange rate"))
        return ", ".join(f"{totals[name]} lines {what}" for name, what in said if totals.get(name))

    @property
    def figures(self) -> list[dict[str, str]]:
        totals = self.contents["totals"]
        decided = sum(item["state"] == Item.State.DECIDED for item in self.contents["items"])
        return [
            {"label": "Full cost", "figure": self.money(totals["cost"]), "context": self.lacks or str(self.cycle)},
            {
                "label": "Workloads",
                "figure": self.money(totals["workloads"]),
                "context": f"{len(self.contents['workloads'])} of them",
            },
            {"label": "Unallocated", "figure": self.money(totals["unallocated"]), "context": "belongs to nobody"},
            {
                "label": "Decided",
                "figure": f"{decided} of {len(self.contents['items'])}",
                "context": "items of the agenda",
            },
        ]

    @property
    def items(self) -> list[dict[str, Any]]:
        names = {row["id"]: row["name"] for row in self.contents["workloads"]}
        return [self._item(item, names) for item in self.contents["items"]]

    @property
    def promises(self) -> list[list[str]]:
        return [
            [_titled(row), self.name(row["owner"]), self.money(row["promised_saving"]), self._arrived(row)]
            for row in self.contents["promises"]["measured"]
        ]

    @property
    def actions(self) -> list[list[str]]:
        return [
            [_titled(row), self.name(row["owner"]), row["due"], self.money(row["promised_saving"])]
            for row in self.contents["promises"]["made"]
        ]

    @property
    def waivers(self) -> list[list[str]]:
        return [
            [LABELS[Key(row["blocker"])], row["reason"], self.name(row["asked_by"]), self._doer(row)]
            for row in self.contents["waivers"]
        ]

    @property
    def workloads(self) -> list[list[str]]:
        """Dearest first."""
        rows = sorted(self.contents["workloads"], key=lambda row: -Decimal(row["cost"] or 0))
        return [
            [row["name"], *(self.money(row[name]) for name in ("cost", "value", "net")), _verdict(row)] for row in rows
        ]

    @property
    def totals(self) -> list[str]:
        return ["Full cost, with what is unallocated", self.money(self.contents["totals"]["cost"]), "", "", ""]

    def name(self, person: int) -> str:
        return self.names.get(person, f"person {person}")

    def money(self, amount: Any) -> str:
        return figures.money(None if amount is None else Decimal(str(amount)), self.currency)

    def _doer(self, deed: Mapping[str, Any]) -> str:
        """Who decided or confirmed it, with for whom."""
        holder = deed.get("acted_for")
        return self.name(deed["by"]) + (f" for {self.name(holder)}" if holder else "")

    def _arrived(self, row: Mapping[str, Any]) -> str:
        return self.money(row["saved"]) if row["saved"] is not None else str(row["why"])

    def _item(self, item: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, Any]:
        shown = Item(kind=item["kind"], facts=item["facts"], subject=item["subject"])
        workload = (item.get("name") or names.get(item["workload"])) if item["workload"] else None
        return {
            "title": workload or reviews_words.title(shown),
            "kind": str(ItemKind(item["kind"]).label),
            "tone": item["kind"] if item["kind"] in (ItemKind.STOP, ItemKind.FIX) else "",
            "money": self.money(item["money_at_stake"]),
            "sentence": reviews_words.sentence(shown, self.currency),
            "state": "" if item["state"] == Item.State.DECIDED else str(Item.State(item["state"]).label),
            "decided": [self._decided(each) for each in item["dispositions"]],
        }

    def _decided(self, each: Mapping[str, Any]) -> dict[str, str]:
        effect = ", ".join(reviews_words.effect_words(one, self.currency, self.names) for one in each["effect"])
        return {
            "what": str(What(each["what"]).label),
            "reason": each["reason"],
            "by": self._doer(each),
            "effect": effect,
        }


# --- Pages ------------------------------------------------------------------------------------------------------------


@login_required
@require_GET
def minutes(request: PageRequest, month: str) -> HttpResponseBase:
    cycle = cycle_of(request, month)
    shown = _minutes(request, cycle)
    kind = request.GET.get("format", "")
    if kind == "pdf":
        return _file(pdf(shown), "application/pdf", f"minutes-{month}.pdf")
    if kind == "json":
        name = f"pack-{month}.json" if shown.pack else f"draft-{month}.json"
        return _file(_body(shown).encode(), "application/json", name)
    if kind in ("csv", "xlsx"):
        return table_response(FIGURE_COLUMNS, figure_rows(shown), name=f"review-{month}", kind=kind)
    context = {
        "minutes": shown,
        "cycle": cycle,
        "month": month,
        "packs": list(cycle.packs.order_by("-revision")),
        "crumbs": crumbs_of(cycle, "Minutes"),
        "month_walk": months_of(request.actor, cycle.month),
    }
    return render(request, "reviews/minutes.html", context)


@login_required
@require_GET
def difference(request: PageRequest, month: str) -> HttpResponse:
    """What a later pack of the same month states otherwise than the one before it."""
    cycle = cycle_of(request, month)
    later = selectors.get_pack_for(actor=request.actor, cycle=cycle, revision=_revision(request))
    if later.revision < 2:
        raise NotFound(f"{cycle} was signed off once; there is nothing to compare.")
    earlier = selectors.get_pack_for(actor=request.actor, cycle=cycle, revision=later.revision - 1)
    before, after = json.loads(earlier.body), json.loads(later.body)
    currency = str(after["currency"])
    found = packs.differences(before, after)
    context = {
        "cycle": cycle,
        "month": month,
        "earlier": earlier,
        "later": later,
        "rows": [reviews_words.difference_words(each, currency) for each in found],
        "crumbs": crumbs_of(cycle, "What changed"),
        "month_walk": months_of(request.actor, cycle.month),
    }
    return render(request, "reviews/difference.html", context)


# --- Files ------------------------------------------------------------------------------------------------------------


def figure_rows(shown: Minutes) -> list[Sequence[Cell]]:
    """The workloads, what is nobody's, and the full cost, which is the sum of the column over it."""
    rows: list[Sequence[Cell]] = [_figure_row(row) for row in shown.contents["workloads"]]
    totals = {name: Decimal(str(amount)) for name, amount in shown.contents["totals"].items()}
    counted = sum((row[2] for row in rows if isinstance(row[2], Decimal)), Decimal(0))
    blank: list[Cell] = [None] * (len(FIGURE_COLUMNS) - 3)
    if totals["workloads"] != counted:
        rows.append(["In the books, and in the figures of no workload", "", totals["workloads"] - counted, *blank])
    rows.append(["Unallocated", "", totals["unallocated"], *blank])
    rows.append(["Full cost", "", totals["cost"], *blank])
    return rows


def _figure_row(row: Mapping[str, Any]) -> Sequence[Cell]:
    money = (_decimal(row[name]) for name in ("cost", "value", "review_cost", "net_low", "net", "net_high"))
    return [row["name"], row["cost_centre"] or "", *money, row["useful"], _verdict(row)]


def _verdict(row: Mapping[str, Any]) -> str:
    """With the mark of outcomes that somebody declared instead of counting them."""
    return f"{row['verdict']}, declared" if row.get("is_declared") else str(row["verdict"])


def _titled(row: Mapping[str, Any]) -> str:
    """What was promised, and for which use case."""
    return f"{row['name']}: {row['title']}" if row.get("name") else str(row["title"])


def pdf(shown: Minutes) -> bytes:
    """The same bytes for the same minutes: the only clock in it is that of the signature."""
    data = {
        "title": shown.title,
        "organisation": str(shown.contents["organisation"]),
        "lead": shown.lead,
        "figures": shown.figures,
        "people": shown.people,
        "items": shown.items,
        "promises": shown.promises,
        "actions": shown.actions,
        "waivers": shown.waivers,
        "workloads": shown.workloads,
        "totals": shown.totals,
        "sealed": shown.pack is not None,
        "seal": f"SHA-256 {shown.pack.sha256[:12]}…" if shown.pack else "Draft, not signed off",
        "sha256": shown.pack.sha256 if shown.pack else "",
        "head": str(shown.pack.audit_head["sha256"]) if shown.pack else "",
    }
    at = shown.pack.signed_at if shown.pack else shown.cycle.figures_at
    return typst.compile(
        TEMPLATE.read_bytes(),
        font_paths=_fonts(),
        ignore_system_fonts=True,
        sys_inputs={"minutes": json.dumps(data, ensure_ascii=False)},
        format="pdf",
        pdf_standards=["a-2a", "ua-1"],
        timestamp=int(at.timestamp()),
    )


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    """The sans of the pages as files; what the machine has installed would make other documents of the same minutes."""
    paths = [str(NODE_MODULES / "@expo-google-fonts/inter" / each) for each in FONTS]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=paths)


def _minutes(request: PageRequest, cycle: Cycle) -> Minutes:
    """From the pack that is asked for; of an open review, from what its pack would hold now."""
    revision = _revision(request)
    pack = None
    if revision or not cycle.is_open:
        pack = selectors.get_pack_for(actor=request.actor, cycle=cycle, revision=revision)
    elif not selectors.sees_whole(request.actor):
        raise NotFound("There are no minutes yet.", hint="They come with the signature.")
    contents = json.loads(pack.body) if pack else _draft(cycle)
    return Minutes(cycle, pack, contents, _names(contents, pack))


def _draft(cycle: Cycle) -> dict[str, Any]:
    now: datetime = cycle.figures_at
    head = heads.current(now=now)
    contents = pack_contents(cycle, revision=cycle.revision + 1, signed_by=None, signed_at=now, head=head)
    draft: dict[str, Any] = json.loads(packs.canonical(contents))
    return draft


def _names(contents: Mapping[str, Any], pack: Pack | None) -> dict[int, str]:
    """A pack holds keys of persons; their names stand where they can be erased."""
    ids = {pack.signed_by_id} if pack else set()
    ids |= {*contents["attendance"], *contents.get("acted_for", ())}
    decided = [each for item in contents["items"] for each in item["dispositions"]]
    ids = ids.union(*(reviews_words.who_acts(each["effect"]) for each in decided))
    ids |= {row["owner"] for rows in contents["promises"].values() for row in rows}
    deeds = (*decided, *contents["waivers"])
    ids |= {deed[name] for deed in deeds for name in ("asked_by", "by", "acted_for") if name in deed}
    return dict(Person.objects.filter(pk__in=ids).values_list("pk", "name"))


def _body(shown: Minutes) -> str:
    """Byte for byte what was signed."""
    return shown.pack.body if shown.pack else packs.canonical(shown.contents)


def _file(content: bytes, kind: str, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _revision(request: PageRequest) -> int | None:
    text = request.GET.get("revision", "")
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 6 else None


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))

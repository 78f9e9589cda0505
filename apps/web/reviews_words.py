"""How the review speaks: an item's title, sentence and figures, what a decision does, what stands in the way."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from apps.reviews.blockers import LABELS, Blocker, Key
from apps.reviews.models import Item, ItemKind, What
from apps.reviews.packs import About, Difference
from apps.web import figures
from apps.web.parts import Kpi

ICONS: Final = {
    ItemKind.RESTATEMENT: "history",
    ItemKind.UNPRICED: "tags",
    ItemKind.UNALLOCATED: "help-hexagon",
    ItemKind.OVER_BUDGET: "wallet",
    ItemKind.EXPIRING: "calendar-due",
    ItemKind.PROMISE: "flag",
    ItemKind.ORPHAN: "user-off",
    ItemKind.CARRIED: "arrow-forward-up",
}
WHAT_ICONS: Final = {
    What.CONTINUE: "player-play",
    What.OPTIMISE: "adjustments-alt",
    What.DOWNGRADE: "arrow-down",
    What.MOVE_TO_BATCH: "clock-pause",
    What.CAP: "weight",
    What.SUSPEND: "player-pause",
    What.SUNSET: "hand-stop",
}
WHAT_MEANS: Final = {
    What.CONTINUE: "no change",
    What.OPTIMISE: "action, owner, date",
    What.DOWNGRADE: "a cheaper model, by a date",
    What.MOVE_TO_BATCH: "band of batch, by a date",
    What.CAP: "at an amount a month",
    What.SUSPEND: "stopped at once",
    What.SUNSET: "budget 0 from this month",
}
# What tightened does not loosen by itself, and nobody loosens it alone.
WAYS_BACK: Final = {
    What.CAP: "Its owner may set less; to raise it again takes somebody else, too.",
    What.SUSPEND: "To let it run again, an owner asks for it on its page and somebody else confirms.",
    What.SUNSET: "To keep it after all, an owner asks for it on its page and somebody else confirms.",
}
FIGURE_NAMES: Final = {
    "cost": "Full cost",
    "value": "Value",
    "review_cost": "Review cost",
    "net_low": "Net value, low",
    "net": "Net value",
    "net_high": "Net value, high",
    "useful": "Useful outputs",
    "verdict": "Verdict",
    "unallocated": "Unallocated",
    "unpriced": "Lines without a price",
    "unconverted": "Lines without an exchange rate",
    "money_at_stake": "At stake",
    "decided": "Decided",
    "reason": "Waived because",
}
NO_MONEY: Final = ("useful", "verdict", "unpriced", "unconverted", "decided", "reason")


def amount(facts: dict[str, Any], name: str) -> Decimal | None:
    """Money in facts stands as text, to the last digit."""
    value = facts.get(name)
    return None if value is None else Decimal(str(value))


def title(item: Item) -> str:
    """What the item is about, in a few words."""
    if item.workload is not None:
        return item.workload.name
    return _title_of(item.kind, item.facts)


def _title_of(kind: str, facts: dict[str, Any]) -> str:
    if kind == ItemKind.RESTATEMENT:
        return f"Restatement of {_month(facts['month'])}"
    if kind == ItemKind.UNPRICED:
        return f"No price for {facts['model']}"
    if kind == ItemKind.UNALLOCATED:
        return "Unallocated"
    if kind == ItemKind.OVER_BUDGET and facts.get("centre"):
        return str(facts["centre"])
    if kind == ItemKind.CARRIED:
        return _title_of(facts["kind"], facts["facts"])
    return str(ItemKind(kind).label)


def verdict_of(item: Item) -> str:
    """The verdict whose shape stands beside the item; empty where it is about something else."""
    return item.kind if item.kind in (ItemKind.STOP, ItemKind.FIX) else ""


def icon_of(item: Item) -> str:
    return ICONS.get(ItemKind(item.kind), "file")


def meta(item: Item, currency: str) -> str:
    """The second line in the agenda: why it stands there."""
    facts = item.facts
    if item.kind == ItemKind.RESTATEMENT:
        return ", ".join(_restated(facts, currency))
    if item.kind == ItemKind.UNPRICED:
        return f"{figures.tokens(Decimal(str(facts['tokens'])))} tokens"
    if item.kind == ItemKind.UNALLOCATED:
        return f"{figures.percent(Decimal(facts['share']))} of the full cost"
    if item.kind == ItemKind.OVER_BUDGET:
        if facts.get("state") == "suspended":
            return "over a suspended budget"
        return f"over budget, {figures.money(amount(facts, 'amount'), currency)}"
    if item.kind == ItemKind.EXPIRING:
        return f"value case ends {figures.day(_date(facts['expires']))}"
    if item.kind == ItemKind.PROMISE:
        return _arrived(facts, currency)
    if item.kind == ItemKind.ORPHAN:
        return "nobody answers for it"
    if item.kind == ItemKind.CARRIED:
        return f"undecided since {_month(facts['since'])}"
    return "costs more than it is worth" if item.kind == ItemKind.STOP else str(facts.get("rule") or "needs fixing")


def sentence(item: Item, currency: str) -> str:
    """What is the matter, in plain words."""
    facts = item.facts
    if item.kind in (ItemKind.STOP, ItemKind.FIX):
        return str(facts.get("sentence") or "")
    if item.kind == ItemKind.RESTATEMENT:
        moved = ", ".join(_restated(facts, currency))
        causes = ", ".join(f"{cause} {_signed(Decimal(value), currency)}" for cause, value in _causes(facts))
        because = f" It comes of {causes}." if causes else ""
        return f"{_month(facts['month'])} was signed off; what became known since is booked here: {moved}.{because}"
    if item.kind == ItemKind.UNPRICED:
        count = figures.tokens(Decimal(str(facts["tokens"])))
        return f"{count} tokens of {facts['model']} have no price, so nobody knows what they cost."
    if item.kind == ItemKind.UNALLOCATED:
        part, whole = (figures.money(amount(facts, name), currency) for name in ("cost", "of"))
        return f"{part} of {whole} belongs to nobody: no binding claims the keys that spent it."
    if item.kind == ItemKind.OVER_BUDGET:
        spent, budget = (figures.money(amount(facts, name), currency) for name in ("spent", "amount"))
        if facts.get("state") == "suspended":
            return f"It spent {spent} although its budget is suspended."
        return f"It spent {spent} of a budget of {budget}."
    if item.kind == ItemKind.EXPIRING:
        end = figures.day(_date(facts["expires"]))
        return f"Its value case ends on {end}; from then on nothing says what it is worth."
    if item.kind == ItemKind.PROMISE:
        since = _month(facts["since"])
        promised, arrived = _promised(facts, currency), _arrived(facts, currency)
        return f"In the review of {since} somebody promised to save {promised}. {arrived}."
    if item.kind == ItemKind.ORPHAN:
        return "It costs money, and everybody who answered for it has left: give it an owner, or let it end."
    return f"It was left undecided in the review of {_month(facts['since'])}."


def kpis(item: Item, currency: str) -> list[Kpi]:
    """Up to four figures in large type, of what is not about worth."""
    facts = item.facts
    if item.kind == ItemKind.RESTATEMENT:
        return [
            Kpi("Booked since sign-off", _signed(amount(facts, "amount"), currency), context="in this month"),
            Kpi("Workloads", figures.count(facts["workloads"]), context="whose figures changed"),
        ]
    if item.kind == ItemKind.UNALLOCATED:
        return [
            Kpi("Belongs to nobody", figures.money(amount(facts, "cost"), currency)),
            Kpi("Of the full cost", figures.percent(Decimal(facts["share"]))),
        ]
    if item.kind == ItemKind.OVER_BUDGET:
        spent, budget = amount(facts, "spent"), amount(facts, "amount")
        return [
            Kpi("Spent", figures.money(spent, currency)),
            Kpi("Budget", "suspended" if facts.get("state") == "suspended" else figures.money(budget, currency)),
            Kpi("Over by", figures.money(item.money_at_stake, currency), tone="bad"),
        ]
    if item.kind == ItemKind.PROMISE:
        return [
            Kpi("Promised a month", figures.money(amount(facts, "promised"), currency)),
            Kpi("Arrived", figures.money(amount(facts, "saved"), currency), context=str(facts.get("why") or "")),
            Kpi("Due", figures.day(_date(facts["due"]))),
        ]
    return [Kpi("At stake", figures.money(item.money_at_stake, currency), context="a month")]


def effect_words(effect: Mapping[str, Any], currency: str, names: Mapping[int, str]) -> str:
    """'budget $20,000 to $0 from 1 Nov 2026'; `names` are of those whom `who_acts` finds."""
    field, before, after = effect["field"], effect["before"], effect["after"]
    starts = f" from {figures.day(_date(effect['starts']))}" if effect["starts"] else ""
    if field == "budget":
        shown = figures.money(Decimal(after), currency)
        stays = ", and stays suspended" if effect.get("is_suspended") else ""
        if before == after:
            return f"budget stays at {shown}{stays}"
        return f"budget {figures.money(Decimal(before), currency) if before else 'none'} to {shown}{starts}{stays}"
    if field == "action":
        who = names.get(int(after), f"person {after}") if after.isdigit() else after
        saving = effect.get("saving")
        promise = f" and saves {figures.money(Decimal(saving), currency)} a month" if saving else ""
        return f"{who} acts by {figures.day(_date(effect['starts']))}{promise}"
    if field == "band":
        return f"latency band {before or 'none'} to {after}, at once"
    return f"{field} {before} to {after}, at once"


def who_acts(effects: Sequence[Mapping[str, Any]]) -> set[int]:
    """Keys of the persons in what was decided. Older decisions hold a name instead."""
    return {int(each["after"]) for each in effects if each["field"] == "action" and each["after"].isdigit()}


def blocker_words(blocker: Blocker) -> str:
    """'2 models have no price'"""
    n = blocker.count
    said = {
        Key.PULLS: ("import is still running", "imports are still running"),
        Key.RATING: ("day is still being priced", "days are still being priced"),
        Key.SOURCES: ("source has not delivered", "sources have not delivered"),
        Key.UNPRICED: ("model has no price", "models have no price"),
        Key.UNCONVERTED: ("currency has no exchange rate", "currencies have no exchange rate"),
        Key.BILL: ("bill differs from what was computed", "bills differ from what was computed"),
        Key.ITEMS: ("item is undecided", "items are undecided"),
    }
    return f"{n} {said[blocker.key][0 if n == 1 else 1]}"


def remedy(blocker: Blocker, month: date) -> tuple[str, str]:
    """The words of a link and where it leads; an empty address where there is nothing to open."""
    words, name = {
        Key.PULLS: ("See imports", "imports:list"),
        Key.RATING: ("See imports", "imports:list"),
        Key.SOURCES: ("See sources", "sources:list"),
        Key.UNPRICED: ("Give prices", "rates:list"),
        Key.UNCONVERTED: ("Give rates", "fx:list"),
        Key.BILL: ("Compare", "costs:overview"),
        Key.ITEMS: ("Decide", ""),
    }[blocker.key]
    if not name:
        return words, ""
    try:
        return words, f"{reverse(name)}?{urlencode({'month': f'{month:%Y-%m}'})}"
    except NoReverseMatch:
        return "", ""


def difference_words(found: Difference, currency: str) -> tuple[str, str, str, str]:
    """What it is about, the figure's name, and both values as they read."""
    before, after = (_shown(value, currency, found.figure not in NO_MONEY) for value in (found.before, found.after))
    return _about(found), FIGURE_NAMES[found.figure], before, after


def _about(found: Difference) -> str:
    if found.about == About.MONTH:
        return "The month as a whole"
    if found.about == About.WAIVER:
        return LABELS[Key(found.name)]
    return str(ItemKind(found.name).label) if found.name in ItemKind.values else found.name


def _restated(facts: dict[str, Any], currency: str) -> list[str]:
    """What became known of a signed month: cost, what has no price, what came out."""
    told = []
    moved = amount(facts, "amount")
    if moved:
        told.append(f"{_signed(moved, currency)} of cost")
    for name, lacks in (("unpriced_lines", "price"), ("unconverted_lines", "exchange rate")):
        if facts.get(name):
            told.append(f"usage without {'a' if lacks == 'price' else 'an'} {lacks}")
    outcomes = facts.get("outcomes") or {}
    useful, value = (amount(outcomes, name) for name in ("useful", "value"))
    if useful:
        told.append(f"{'+' if useful > 0 else ''}{figures.count(useful)} useful outputs")
    if value:
        told.append(f"{_signed(value, currency)} of value")
    if turned := outcomes.get("turned"):
        told.append(f"the worth of {turned} use case{'' if turned == 1 else 's'} became known or unknown")
    return told or [f"{_signed(moved, currency)} of cost"]


def _causes(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """What moved the cost of a signed month, the largest first."""
    causes: dict[str, str] = facts.get("causes") or {}
    return sorted(causes.items(), key=lambda pair: (-abs(Decimal(pair[1])), pair[0]))


def _shown(value: str | None, currency: str, is_money: bool) -> str:
    if value is None:
        return figures.UNKNOWN
    return figures.money_exact(Decimal(value), currency) if is_money else value


def _signed(value: Decimal | None, currency: str) -> str:
    text = figures.money(value, currency)
    return f"+{text}" if value is not None and value > 0 else text


def _promised(facts: dict[str, Any], currency: str) -> str:
    promised = amount(facts, "promised")
    return f"{figures.money(promised, currency)} a month" if promised is not None else "something"


def _arrived(facts: dict[str, Any], currency: str) -> str:
    saved = amount(facts, "saved")
    if saved is None:
        return f"Not measured: {facts.get('why') or 'unknown'}"
    return f"{figures.money(saved, currency)} of {_promised(facts, currency)} arrived"


def _date(text: str) -> date:
    return date.fromisoformat(text[:10])


def _month(text: str) -> str:
    return f"{_date(text):%B %Y}"

"""Why a figure is what it is: from the sum down to day lines, hours x prices, the files they came from, and bindings.

Nothing is kept for this. The proof is worked out again from hours and prices, and must add up to the figure to the last
digit; where a day waits to be rated again it does not, and `is_exact` says so.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from apps.core import organisation, periods
from apps.core.actor import Actor
from apps.costs import flags, why_sql
from apps.costs.selectors.scope import CostScope, Figures, Sql, line_conditions
from apps.costs.selectors.tables import cost_totals
from apps.usage.fields import NOTES, Flag
from apps.usage.models import label_of

# More day lines than this are not taken apart for a page; its parts are, each on a page of its own.
MOST_LINES: Final = 20_000
NOTES_OF_LINES: Final = {
    flags.RATE_ASSUMED: "A token type without a price of its own takes the next wider one.",
    flags.UNPRICED: "Some tokens have no price; their cost is unknown and not zero.",
    flags.REPORTED_PRICE: "No price is known; the amount is the source's own figure.",
    flags.RATE_CARRIED: "The exchange rate of an earlier business day is used.",
    flags.QUANTITY_UNKNOWN: "Some calls came without token counts.",
    flags.EFFECTIVE_UNUSABLE: "The bill's effective cost cannot be used; its billed cost stands in.",
}
_OF_TOKENS: Final = Flag.UPPER_BOUND | Flag.TIER_ASSUMED | Flag.BAND_UNKNOWN | Flag.TOKENS_MISSING
EXPORT_COLUMNS: Final = (
    "Day", "Workload", "Source", "File or part", "Usage key", "Provider", "Model", "Component", "Basis", "Service tier",
    "Prompt band", "What", "Hours", "Quantity", "Price per million tokens or GPU-hour", "Currency", "Amount",
    "Amount in the organisation's currency", "Price from", "Price list", "Price valid from", "Day line",
    "Row of the bill (SHA-256)",
)  # fmt: skip

Read = Callable[[str], list[tuple[Any, ...]]]
"""Runs one of the statements of why_sql.py and gives its rows."""


@dataclass(frozen=True, slots=True)
class ComponentPart:
    """One component of the figure, in the organisation's currency; `amount` None is unknown."""

    component: str
    amount: Decimal | None
    lines: int
    requests: int
    quantity: Decimal
    bases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PricePart:
    """What one price was paid for: tokens at a price per million, or GPU-seconds (kind gpu) at one per hour."""

    component: str
    kind: str
    provider: str
    model: str
    service_tier: str
    prompt_band: int
    price: Decimal | None
    currency: str
    price_scope: str | None
    list_version: str | None
    valid_from: datetime | None
    valid_to: datetime | None
    rate_id: int | None
    quantity: Decimal | None
    amount: Decimal | None
    amount_org: Decimal | None
    hours: int


@dataclass(frozen=True, slots=True)
class CurrencyPart:
    """Lines of one currency: what they come to in it, and converted at each day's rate."""

    currency: str
    amount: Decimal | None
    amount_org: Decimal | None
    lines: int


@dataclass(frozen=True, slots=True)
class PullPart:
    """A file, or a run over a live source, from which hours or charges of the figure came."""

    pull_id: int
    source: str
    source_slug: str
    part: str
    digest: str
    rows: int | None
    finished_at: datetime | None
    hours: int
    charges: int


@dataclass(frozen=True, slots=True)
class BindingPart:
    """Whose a usage key was, from when to when; without a workload nobody claims it."""

    pairs: list[list[str]]
    source: str
    workload: str | None
    workload_slug: str | None
    valid_from: datetime
    valid_to: datetime
    bound_by: list[list[str]] | None
    binding_id: int | None

    @property
    def label(self) -> str:
        return label_of(self.pairs)


@dataclass(frozen=True, slots=True)
class ChargePart:
    """Rows of a bill that are alike, with what of them falls into the figure."""

    source: str
    category: str
    meter: str
    unit: str
    currency: str
    rows: int
    quantity: Decimal | None
    amount: Decimal
    amount_org: Decimal | None
    is_accrued: bool


@dataclass(frozen=True, slots=True)
class CorrectionPart:
    """What was corrected after a month was signed: of which month, where it is booked, why, and how much."""

    charge_month: date
    booked_month: date
    cause: str
    amount: Decimal | None
    lines: int


class Moved(StrEnum):
    """What has changed since a month was signed, so that one of its lines is no longer worked out alike."""

    OWNER = "owner"
    ROLE = "role"
    PRICE = "price"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class UnprovenPart:
    """Signed lines of a source that are not taken apart, since what they rest on is not kept as it stood then."""

    moved: Moved
    source: str
    lines: int
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class Why:
    """The proof of one figure. `is_apart` is False where it has too many day lines to be taken apart at once."""

    amount: Decimal | None
    lines: int
    is_apart: bool
    is_exact: bool
    components: list[ComponentPart] = field(default_factory=list)
    currencies: list[CurrencyPart] = field(default_factory=list)
    prices: list[PricePart] = field(default_factory=list)
    charges: list[ChargePart] = field(default_factory=list)
    pulls: list[PullPart] = field(default_factory=list)
    bindings: list[BindingPart] = field(default_factory=list)
    corrections: list[CorrectionPart] = field(default_factory=list)
    unproven: list[UnprovenPart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def hours(self) -> int:
        return sum(pull.hours for pull in self.pulls)

    @property
    def charge_rows(self) -> int:
        return sum(pull.charges for pull in self.pulls)

    @property
    def price_count(self) -> int:
        return len({part.rate_id for part in self.prices if part.rate_id is not None})


def why_cost(*, actor: Actor, scope: CostScope) -> Why:
    """The proof of a cost figure, as far as the actor may see its lines; its statements do not grow with them."""
    total = cost_totals(actor=actor, scope=scope).now
    if total.lines > MOST_LINES:
        return Why(total.cost, total.lines, is_apart=False, is_exact=True)
    with _taken_apart(actor, scope) as read:
        corrections = [CorrectionPart(*row) for row in read(why_sql.CORRECTIONS)]
        proof = proof_of(read, total.cost, total.lines, corrections)
        if not _is_of_signed(scope):
            return proof
        unproven = [UnprovenPart(Moved(moved), *rest) for moved, *rest in read(why_sql.MOVED)]
        return replace(proof, unproven=unproven)


def proof_of(read: Read, amount: Decimal | None, lines: int, corrections: list[CorrectionPart]) -> Why:
    """What the temporary tables of the proof say."""
    component_rows = read(why_sql.COMPONENTS)
    return Why(
        amount=amount,
        lines=lines,
        is_apart=True,
        is_exact=not read(why_sql.INEXACT)[0][0],
        components=_components(component_rows),
        currencies=_currencies(component_rows),
        prices=[PricePart(*row) for row in read(why_sql.PRICES)],
        charges=[ChargePart(*row) for row in read(why_sql.CHARGES)],
        pulls=[PullPart(*row) for row in read(why_sql.PULLS)],
        bindings=[_binding(row) for row in read(why_sql.BINDINGS)],
        corrections=corrections,
        notes=_notes(component_rows),
    )


def proof_rows(*, actor: Actor, scope: CostScope) -> Iterator[tuple[Any, ...]]:
    """The whole proof, one row for each line, series, price and token type; the amounts add up to the figure."""
    with _taken_apart(actor, scope) as read:
        rows = read(why_sql.EXPORT)
    yield from map(told, rows)


def told(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of the export as people are told it: its usage key in words, its workload by name alone."""
    day, workload, source, part, pairs, *rest, _ = row
    return (day, workload, source, part, label_of(json.loads(pairs)) if pairs else "", *rest)


@contextmanager
def _taken_apart(actor: Actor, scope: CostScope) -> Iterator[Read]:
    """The scope's lines and their proof as temporary tables; gives a function that reads from them."""
    company = organisation.get()
    zone = ZoneInfo(company.zone)
    conditions, values = _named(line_conditions(actor, scope))
    values |= {"starts_at": _midnight(scope.first, zone), "ends_at": _midnight(scope.end, zone), "part": None}
    values |= {"zone": company.zone, "currency": company.currency, "effective_unusable": flags.EFFECTIVE_UNUSABLE}
    values |= {"months": list(periods.months_between(scope.first, scope.end - timedelta(days=1)))}
    with transaction.atomic(), connection.cursor() as cursor:
        instead = _instead(scope, is_frozen=bool(periods.frozen_between(values["starts_at"], values["ends_at"])))

        def run(statement: str) -> None:
            cursor.execute(instead.get(statement, statement).replace("{conditions}", conditions), values)

        def read(statement: str) -> list[tuple[Any, ...]]:
            run(statement)
            return list(cursor.fetchall())

        for step in (*why_sql.PREPARE, *(why_sql.PROVEN_ONLY if _is_of_signed(scope) else ())):
            run(step)
        yield read
        cursor.execute(f"DROP TABLE {why_sql.SIGNED_TABLES if _is_of_signed(scope) else why_sql.TABLES}")


def _is_of_signed(scope: CostScope) -> bool:
    return scope.figures is Figures.SIGNED


def _instead(scope: CostScope, *, is_frozen: bool) -> dict[str, str]:
    """In a signed month the figure says which of its hours, rows and files are meant."""
    if _is_of_signed(scope):
        return {
            why_sql.ITEMS: why_sql.SIGNED_ITEMS,
            why_sql.CHARGE_ITEMS: why_sql.SIGNED_CHARGE_ITEMS,
            why_sql.PULLS: why_sql.SIGNED_PULLS,
            why_sql.INEXACT: why_sql.SIGNED_INEXACT,
        }
    return {why_sql.ITEMS: why_sql.RESTATED_ITEMS} if is_frozen else {}


def _named(sql: Sql) -> tuple[str, dict[str, Any]]:
    """The rating's statements name their values, so these get names too."""
    first, *others = sql.text.split("%s")
    text = first + "".join(f"%(v{at})s{other}" for at, other in enumerate(others))
    return text, {f"v{at}": value for at, value in enumerate(sql.values)}


def _components(rows: list[tuple[Any, ...]]) -> list[ComponentPart]:
    found: dict[str, ComponentPart] = {}
    for component, basis, _, lines, _, amount, quantity, requests, *_ in rows:
        old = found.get(component) or ComponentPart(component, None, 0, 0, Decimal(0), ())
        found[component] = replace(
            old,
            amount=amount if old.amount is None else old.amount + (amount or 0),
            lines=old.lines + lines,
            requests=old.requests + int(requests or 0),
            quantity=old.quantity + (quantity or 0),
            bases=tuple(dict.fromkeys((*old.bases, basis))),
        )
    return sorted(found.values(), key=lambda part: -(part.amount or 0))


def _currencies(rows: list[tuple[Any, ...]]) -> list[CurrencyPart]:
    found: dict[str, CurrencyPart] = {}
    for _, _, currency, lines, amount, amount_org, *_ in rows:
        old = found.get(currency) or CurrencyPart(currency, None, None, 0)
        found[currency] = CurrencyPart(
            currency, _plus(old.amount, amount), _plus(old.amount_org, amount_org), old.lines + lines
        )
    return [found[currency] for currency in sorted(found)]


def _notes(rows: list[tuple[Any, ...]]) -> list[str]:
    """What was assumed for some of it, in sentences."""
    marks = 0
    for component, *_, found, _, _, _ in rows:
        marks |= found & ~_OF_TOKENS if component.startswith("gpu") else found
    of_hours = [text for flag, text in NOTES.items() if marks & flag and flag is not Flag.ZONE_ASSUMED]
    return [text for flag, text in NOTES_OF_LINES.items() if marks & flag] + of_hours


def _plus(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return first if second is None else second if first is None else first + second


def _binding(row: tuple[Any, ...]) -> BindingPart:
    """JSON comes as text from a plain cursor."""
    pairs, source, workload, slug, valid_from, valid_to, bound_by, binding_id = row
    bound = json.loads(bound_by) if bound_by else None
    return BindingPart(json.loads(pairs), source, workload, slug, valid_from, valid_to, bound, binding_id)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone)

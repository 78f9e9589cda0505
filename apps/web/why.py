"""Why this number? One view for the proof of every figure: a panel beside the page, a page of its own, a file.

The address is the figure's name and the filters of apps/web/cost_scope.py: the same words as on the cost page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.contrib.auth.decorators import login_required
from django.http import HttpResponseBase
from django.urls import path, reverse
from django.views.decorators.http import require_GET

from apps.catalog.bands import band_label
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput, NotFound
from apps.costs import selectors, why
from apps.costs.models import Component
from apps.costs.selectors import Grouping, Measures
from apps.costs.why import Moved, PricePart, UnprovenPart, Why
from apps.usage.selectors import KEPT_SHARE, Latency, UsageMonth, bucket_names, usage_by_month
from apps.web import figures
from apps.web.cost_scope import AskedScope, asked_scope, row_filters, why_address
from apps.web.costs import costs_address, residual_of
from apps.web.exports import table_response
from apps.web.pages import PageRequest, page_or_part
from apps.web.period import PeriodChoice, period_of

MILLION: Final = 1_000_000
MOST_PARTS: Final = 12
PARTS: Final = 50
MOVED: Final = {
    Moved.OWNER: "The owner of a usage key has changed since this month was signed.",
    Moved.ROLE: "Whether this source counts or checks here has changed since this month was signed.",
    Moved.PRICE: "A price has changed since this month was signed.",
    Moved.OTHER: "What it was worked out from has changed since this month was signed.",
}
KINDS: Final = {
    "input": "input",
    "cached": "cached input",
    "cache_write": "cache write",
    "cache_write_1h": "cache write for an hour",
    "output": "output",
    "reasoning": "reasoning",
    "unpriced": "tokens without a price",
    "reported": "the source's own figure",
    "gpu": "GPU-hours",
}


@dataclass(frozen=True, slots=True)
class Term:
    """A figure in a formula, exactly, with its name; `sign` stands before it."""

    figure: str
    name: str
    sign: str = ""


@dataclass(frozen=True, slots=True)
class Amount:
    """To the cent for the eye, to the last digit under the pointer and in the file."""

    text: str
    exact: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Line:
    """A row of one of the panel's tables."""

    name: str
    cells: Sequence[str | Amount]
    note: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A numbered part of the panel: headings, rows, and the sum under them."""

    title: str
    meta: str
    headings: Sequence[str]
    lines: Sequence[Line]
    total: Sequence[str | Amount] = ()
    text_columns: int = 1

    @property
    def first_lines(self) -> Sequence[Line]:
        return self.lines[:MOST_PARTS]

    @property
    def more_lines(self) -> Sequence[Line]:
        return self.lines[MOST_PARTS:]


@dataclass(frozen=True)
class Explained:
    """What the panel shows: the figure, how it comes about, and the tables that prove it."""

    name: str
    figure: str
    formula: Sequence[Term]
    tables: Sequence[Table] = field(default=())
    sentence: str = ""


@dataclass(frozen=True)
class Asked:
    actor: Actor
    period: PeriodChoice
    about: AskedScope
    currency: str

    @property
    def title(self) -> str:
        return ", ".join(part for part in (self.about.title, self.period.label) if part)


@login_required
@require_GET
def figure(request: PageRequest, name: str) -> HttpResponseBase:
    explain = _FIGURES.get(name)
    if explain is None:
        raise NotFound("There is no such figure.")
    period = period_of(request)
    about = asked_scope(request.actor, request.GET.dict(), period)
    asked = Asked(request.actor, period, about, organisation.get().currency)
    if request.GET.get("format"):
        return _download(asked, name, request.GET["format"])
    proof = why.why_cost(actor=asked.actor, scope=about.scope)
    context = {
        "asked": asked,
        "proof": proof,
        "explained": explain(asked, proof),
        "address": request.get_full_path(),
        "file": f"{request.path}?{urlencode({**request.GET.dict(), 'format': 'csv'})}",
        "back": _back(asked),
        "rows": rows_in_words(proof),
    }
    return page_or_part(request, "costs/why.html", "panel_part", context)


def _back(asked: Asked) -> str:
    """Where the figure stands: closing the page's panel leads there."""
    if asked.about.workload:
        return f"{reverse('workloads:detail', args=[asked.about.workload.slug])}?{asked.period.query}"
    shown = {name: value for name, value in asked.about.filters.items() if name != "figures"}
    return costs_address(asked.period, **shown)


def _download(asked: Asked, name: str, kind: str) -> HttpResponseBase:
    """The whole proof. Its amounts add up to the figure, to the last digit."""
    if kind not in ("csv", "xlsx"):
        raise BadInput("The proof can be had as csv or xlsx.")
    rows = why.proof_rows(actor=asked.actor, scope=asked.about.scope)
    file = f"why-{name}-{asked.period.start}-to-{asked.period.last_day}"
    return table_response(why.EXPORT_COLUMNS, rows, name=file, kind=kind)


def rows_in_words(proof: Why) -> list[tuple[str, str]]:
    """Icon and words of what the figure rests on."""
    counts = [
        ("table", proof.hours, "hour"),
        ("receipt", proof.charge_rows, "bill row"),
        ("tags", proof.price_count, "price"),
    ]
    found = [(icon, f"{figures.count(n)} {word}{'' if n == 1 else 's'}") for icon, n, word in counts if n]
    return [*found, ("list-details", f"{figures.count(proof.lines)} day line{'' if proof.lines == 1 else 's'}")]


# --- Figures of money -------------------------------------------------------------------------------------------------


def _cost(asked: Asked, proof: Why) -> Explained:
    name = asked.about.words.get("basis", "Full cost")
    formula = [
        Term(_exact(asked, proof.amount), name.lower()),
        Term(figures.count(proof.lines), _lines_word(proof), "="),
    ]
    return Explained(name, _exact(asked, proof.amount), formula, _money_tables(asked, proof))


def _cost_per_call(asked: Asked, proof: Why) -> Explained:
    totals = _totals(asked)
    calls = totals.calls
    each = proof.amount / calls if proof.amount is not None and calls else None
    formula = [Term(_exact(asked, proof.amount), "full cost"), Term(figures.count(calls), "delivered calls", "÷")]
    return Explained("Cost per call", _exact(asked, each), formula, _money_tables(asked, proof))


def _residual(asked: Asked, proof: Why) -> Explained:
    bills = selectors.billed_months(actor=asked.actor, scope=asked.about.scope)
    bill = sum((month.effective for month in bills), Decimal(0))
    computed = sum((month.computed for month in bills), Decimal(0))
    formula = [Term(_exact(asked, bill), "bill"), Term(_exact(asked, computed), "computed", figures.MINUS)]
    sentence = ""
    if len(bills) > 1:
        over = sum((max(month.residual, Decimal(0)) for month in bills), Decimal(0))
        under = over - (bill - computed)
        formula = [Term(_exact(asked, over), "more billed"), Term(_exact(asked, under), "more computed", "+")]
        sentence = "How far bills and computed cost are apart in all: what one has too much makes up for no other."
    lines = [
        Line(
            f"{month.provider or 'not told'}, {figures.month_name(month.month)}",
            [_own(asked, month.effective), _own(asked, month.computed), _own(asked, month.residual)],
        )
        for month in bills
    ]
    total: list[str | Amount] = ["Sum", _own(asked, bill), _own(asked, computed), _own(asked, bill - computed)]
    table = Table("By provider and month", "", ("Provider", "Bill", "Computed", "Residual"), lines, total)
    if not bills:
        return Explained("Residual", "No bill", [], _money_tables(asked, proof))
    return Explained("Residual", _exact(asked, residual_of(bills)), formula, [table], sentence)


def _money_tables(asked: Asked, proof: Why) -> list[Table]:
    if not proof.is_apart:
        return [_parts_table(asked, proof)]
    tables = [_components_table(asked, proof)]
    if proof.prices:
        tables.append(prices_table(asked.currency, proof))
    if proof.charges:
        tables.append(charges_table(asked.currency, proof))
    if proof.unproven:
        tables.append(_unproven_table(asked, proof.unproven))
    if any(part.currency != asked.currency for part in proof.currencies):
        tables.append(_currencies_table(asked, proof))
    if proof.corrections:
        tables.append(_corrections_table(asked, proof))
    return tables


def _components_table(asked: Asked, proof: Why) -> Table:
    lines = [
        Line(
            Component(part.component).label,
            [_how(part.component, part.bases), _own(asked, part.amount)],
            href="" if asked.about.scope.component else _why(asked, component=part.component),
        )
        for part in proof.components
    ]
    number = f"{len(lines)} component{'' if len(lines) == 1 else 's'}"
    return Table(
        "Inputs",
        number,
        ("Component", "How", "Cost"),
        lines,
        ["Full cost", "", _own(asked, proof.amount)],
        text_columns=2,
    )


def _how(component: str, bases: Sequence[str]) -> str:
    if "computed" not in bases:
        return "from the bill"
    return "hours × price" if component.startswith("gpu") else "tokens × price"


def prices_table(currency: str, proof: Why) -> Table:
    total = sum((part.amount_org for part in proof.prices if part.amount_org is not None), Decimal(0))
    lines = [_price_line(part) for part in proof.prices]
    headings = ("Model, what", "Million", "Price", "Cost")
    return Table("By price", "million tokens × price", headings, lines, ["Sum", "", "", amount_of(total, currency)])


def _price_line(part: PricePart) -> Line:
    """Million tokens x price = cost, in the price's currency; GPU-hours x price where time is paid."""
    unit = 3600 if part.kind == "gpu" else MILLION
    quantity = None if part.quantity is None else part.quantity / unit
    price = figures.money_exact(part.price, part.currency)
    cells = [_quantity(quantity), price, amount_of(part.amount, part.currency)]
    what = "GPU idle, GPU-hours" if part.component == "gpu_idle" else KINDS[part.kind]
    return Line(f"{part.model or 'not reported'}, {what}", cells, note=_price_note(part))


def _price_note(part: PricePart) -> str:
    """Where the price is from and what of the call decided it."""
    kind = "" if part.component in ("token", "gpu_used", "gpu_idle") else Component(part.component).label
    is_gpu = part.kind == "gpu"
    tier = "" if part.service_tier == "standard" or is_gpu else f"tier {part.service_tier}"
    band = "" if part.prompt_band == 0 or is_gpu else band_label(part.prompt_band)
    since = f"from {figures.day(part.valid_from)}" if part.valid_from and part.valid_from.year > 1970 else ""
    until = f"to {figures.day(part.valid_to)}" if part.valid_to else ""
    origin = " ".join(word for word in (part.price_scope or "", part.list_version or "", since, until) if word)
    return ", ".join(word for word in (kind, tier, band, origin) if word)


def charges_table(currency: str, proof: Why) -> Table:
    lines = [
        Line(
            f"{charge.source}: {charge.meter or charge.category}",
            [
                figures.count(charge.rows),
                amount_of(charge.amount, charge.currency),
                amount_of(charge.amount_org, currency),
            ],
            note=_charge_note(charge),
        )
        for charge in proof.charges
    ]
    known = [charge.amount_org for charge in proof.charges if charge.amount_org is not None]
    total: list[str | Amount] = ["Sum", "", "", amount_of(sum(known, Decimal(0)) if known else None, currency)]
    return Table("Rows of the bill", "as far as they fall into it", ("Meter", "Rows", "Amount", "Cost"), lines, total)


def _charge_note(charge: why.ChargePart) -> str:
    quantity = f"{_quantity(charge.quantity)} {charge.unit}".strip() if charge.quantity is not None else ""
    accrued = "longer than a month: accrued by day" if charge.is_accrued else ""
    return ", ".join(word for word in (charge.category, quantity, accrued) if word)


def _currencies_table(asked: Asked, proof: Why) -> Table:
    lines = [
        Line(part.currency, [amount_of(part.amount, part.currency), _own(asked, part.amount_org)])
        for part in proof.currencies
    ]
    return Table("Converted at each day's rate", "", ("Currency", "Amount", asked.currency), lines)


def _corrections_table(asked: Asked, proof: Why) -> Table:
    """What became known after sign-off: the signed figure and these make the restated one."""
    known = [part.amount for part in proof.corrections if part.amount is not None]
    lines = [
        Line(
            f"{figures.month_name(part.charge_month)}, {part.cause}",
            [_own(asked, part.amount)],
            note=f"booked in {figures.month_name(part.booked_month)}",
        )
        for part in proof.corrections
    ]
    restated = sum(known, Decimal(0))
    signed = proof.amount - restated if proof.amount is not None else None
    lines.insert(0, Line("As it was signed", [_own(asked, signed)]))
    return Table("Signed and restated", "", ("Month and cause", "Cost"), lines, ["Restated", _own(asked, proof.amount)])


def _unproven_table(asked: Asked, parts: Sequence[UnprovenPart]) -> Table:
    """With the tables above it comes to the figure: these lines stand as they were signed, and whole."""
    lines = [
        Line(part.source, [figures.count(part.lines), _own(asked, part.amount)], note=MOVED[part.moved])
        for part in parts
    ]
    known = [part.amount for part in parts if part.amount is not None]
    total: list[str | Amount] = ["Sum", "", _own(asked, sum(known, Decimal(0)) if known else None)]
    return Table(
        "As signed, not taken apart", "what stood then is not kept", ("Source", "Day lines", "Cost"), lines, total
    )


def _parts_table(asked: Asked, proof: Why) -> Table:
    """Too much to take apart at once: its largest parts, each with a proof of its own."""
    by = Grouping.WORKLOAD if asked.about.workload is None else Grouping.DAY
    if asked.about.workload and asked.about.scope.days > selectors.LONGEST_BY_DAY:
        by = Grouping.MONTH
    table = selectors.cost_table(actor=asked.actor, scope=asked.about.scope, grouping=by, limit=PARTS)
    lines = [Line(row.name, [_own(asked, row.now.cost)], href=_part_why(asked, by, row)) for row in table.rows]
    rest = table.count - len(table.rows)
    if rest and proof.amount is not None:
        shown = sum((row.now.cost for row in table.rows if row.now.cost is not None), Decimal(0))
        lines.append(Line(f"The other {figures.count(rest)}", [_own(asked, proof.amount - shown)]))
    meta = f"{figures.count(table.count)} in all, the largest first"
    return Table("Its parts", meta, ("Part", "Cost"), lines, ["Sum", _own(asked, proof.amount)])


def _part_why(asked: Asked, by: Grouping, row: selectors.CostRow) -> str:
    if by in (Grouping.DAY, Grouping.MONTH):
        first = datetime.fromisoformat(row.key).date()
        end = first + timedelta(days=1 if by is Grouping.DAY else 31)
        end = end if by is Grouping.DAY else end.replace(day=1)
        days = PeriodChoice(max(first, asked.period.start), min(end, asked.period.end), asked.period.today)
        return why_address("cost", days, **asked.about.filters)
    return _why(asked, **(row_filters(by, row) or {}))


# --- Figures of calls and tokens --------------------------------------------------------------------------------------


def _calls(asked: Asked, _proof: Why) -> Explained:
    totals = _totals(asked)
    formula = [
        Term(figures.count(totals.requests), "attempts"),
        Term(figures.count(totals.failed), "failed", figures.MINUS),
    ]
    return Explained("Delivered calls", figures.count(totals.calls), formula, [_models_table(asked)])


def _failed_share(asked: Asked, _proof: Why) -> Explained:
    totals = _totals(asked)
    share = Decimal(totals.failed) / totals.requests if totals.requests else None
    formula = [
        Term(figures.count(totals.failed), "failed attempts"),
        Term(figures.count(totals.requests), "attempts", "÷"),
    ]
    return Explained("Failed share", figures.percent(share), formula, [_models_table(asked)])


def _unpriced(asked: Asked, _proof: Why) -> Explained:
    table = selectors.cost_table(actor=asked.actor, scope=asked.about.scope, grouping=Grouping.MODEL)
    rows = sorted((row for row in table.rows if row.now.unpriced_tokens), key=lambda row: -row.now.unpriced_tokens)
    lines = [Line(row.name, [figures.count(row.now.unpriced_tokens)], note=row.meta) for row in rows]
    total = figures.count(sum(row.now.unpriced_tokens for row in rows))
    formula = [Term(total, "tokens whose cost is unknown")]
    tables = [Table("By model", "", ("Model", "Tokens"), lines, ["Sum", total])]
    return Explained("Unpriced tokens", total, formula, tables)


def _tokens(asked: Asked, proof: Why) -> Explained:
    totals = _totals(asked)
    return Explained(
        "Tokens", figures.count(totals.tokens), [Term(figures.count(totals.tokens), "all types")], [_token_table(proof)]
    )


def _cache_share(asked: Asked, proof: Why) -> Explained:
    usage = _usage(asked)
    share = usage.cache_share if usage else None
    cached, whole = (usage.tokens["cached"], usage.input_tokens) if usage else (None, None)
    formula = [Term(figures.count(cached), "cached tokens"), Term(figures.count(whole), "input tokens", "÷")]
    return Explained("Cache share", figures.percent(share), formula, [_token_table(proof)])


def _latency(asked: Asked, _proof: Why) -> Explained:
    usage = _usage(asked)
    latency = usage.latency if usage else Latency(tuple(0 for _ in bucket_names()))
    sentence = (
        "Calls are counted between fixed edges, so a percentile is known as the edges around it; it is never averaged."
    )
    formula = [
        Term(figures.percent(KEPT_SHARE, digits=0), "of calls"),
        Term(figures.count(latency.calls), "delivered calls", "of"),
    ]
    return Explained(
        "Latency, p95", edges_text(latency.between(KEPT_SHARE)), formula, [_edges_table(latency)], sentence
    )


def edges_text(edges: tuple[int, int | None] | None) -> str:
    """2 to 2.5 s; over 128 min; unknown with too few calls."""
    if edges is None:
        return figures.UNKNOWN
    low, high = edges
    if high is None:
        return f"over {figures.latency(low)}"
    if low == 0:
        return f"up to {figures.latency(high)}"
    unit = figures.latency(high).rpartition(" ")[2]
    start = figures.latency(low)
    return f"{start.removesuffix(f' {unit}')} to {figures.latency(high)}"


def _edges_table(latency: Latency) -> Table:
    reached, lines = 0, []
    for edges, count in zip(bucket_names(), latency.counts, strict=True):
        reached += count
        share = Decimal(reached) / latency.calls if latency.calls else None
        if count:
            lines.append(Line(edges_text(edges), [figures.count(count), figures.percent(share)]))
    return Table("Delivered calls by time", "", ("Took", "Calls", "So far"), lines)


def _token_table(proof: Why) -> Table:
    counts: dict[str, Decimal] = {}
    for part in proof.prices:
        if part.kind not in ("gpu", "reported") and part.quantity is not None:
            counts[part.kind] = counts.get(part.kind, Decimal(0)) + part.quantity
    lines = [Line(KINDS[kind].capitalize(), [figures.count(counts[kind])]) for kind in KINDS if kind in counts]
    total = ["Sum", figures.count(sum(counts.values(), Decimal(0)))]
    return Table("By type", "types do not overlap", ("Tokens", "Count"), lines, total)


def _models_table(asked: Asked) -> Table:
    table = selectors.cost_table(
        actor=asked.actor, scope=asked.about.scope, grouping=Grouping.MODEL, sort="-requests", limit=50
    )
    lines = [
        Line(row.name, [figures.count(row.now.requests), figures.count(row.now.failed)])
        for row in table.rows
        if row.now.requests
    ]
    return Table("By model", "", ("Model", "Attempts", "Failed"), lines)


def _totals(asked: Asked) -> Measures:
    return selectors.cost_totals(actor=asked.actor, scope=asked.about.scope).now


def _usage(asked: Asked) -> UsageMonth | None:
    """The workload's usage over the period, as one; these figures exist for workloads only."""
    if asked.about.workload is None:
        raise BadInput("This figure is known for one workload at a time.", hint="Name one: &workload=...")
    zone = organisation.get().zone
    first, end = (
        datetime(d.year, d.month, d.day, tzinfo=ZoneInfo(zone)) for d in (asked.period.start, asked.period.end)
    )
    return usage_by_month(workload_id=asked.about.workload.pk, first=first, end=end, zone=zone, as_one=True).get(
        first.date()
    )


def _why(asked: Asked, **filters: str) -> str:
    return why_address("cost", asked.period, **{**asked.about.filters, **filters})


def amount_of(amount: Decimal | None, currency: str) -> Amount:
    """Below one whole unit every digit counts, since a cent would hide it."""
    exact = figures.money_exact(amount, currency)
    is_small = amount is None or abs(amount) < 1
    return Amount(exact if is_small else figures.money_exact(round(amount or Decimal(0), 2), currency), exact)


def _own(asked: Asked, amount: Decimal | None) -> Amount:
    return amount_of(amount, asked.currency)


def _exact(asked: Asked, amount: Decimal | None) -> str:
    return figures.money_exact(amount, asked.currency)


def _quantity(number: Decimal | None) -> str | Amount:
    """Millions or hours: two decimals from one on, every digit below."""
    if number is None:
        return figures.UNKNOWN
    exact = f"{number.normalize():,f}"
    return Amount(exact if abs(number) < 1 else f"{number:,.2f}", exact)


def _lines_word(proof: Why) -> str:
    return "day line" if proof.lines == 1 else "day lines, summed"


Explain = Callable[[Asked, Why], Explained]
_FIGURES: Final[dict[str, Explain]] = {
    "cost": _cost,
    "cost-per-call": _cost_per_call,
    "residual": _residual,
    "calls": _calls,
    "failed-share": _failed_share,
    "tokens": _tokens,
    "unpriced": _unpriced,
    "cache-share": _cache_share,
    "latency": _latency,
}

app_name = "why"
urlpatterns: list[Any] = [path("<slug:name>/", figure, name="figure")]

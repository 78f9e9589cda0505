"""Why this number? Of the figures of an import's result: down to the file, usage keys, models, hours and prices.

The figure stands as it was told when the import ended; what proves it is counted again from the ledger.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.rights import Right, require
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput, NotFound
from apps.costs import why
from apps.costs.why import PullPart, Why
from apps.costs.why_import import KeyPart, ModelPart, WhyImport, import_rows, why_import
from apps.sources import selectors
from apps.sources.models import Pull
from apps.usage.counted import HIDDEN, Billed, Counted, billed, counted
from apps.usage.models import CallKind
from apps.web import figures
from apps.web.exports import Cell, table_response
from apps.web.pages import PageRequest, page_or_part
from apps.web.why import (
    PARTS,
    Amount,
    Explained,
    Line,
    Table,
    Term,
    amount_of,
    charges_table,
    prices_table,
    rows_in_words,
)

MOVED: Final = "Since this import ended its part was read again, or prices or bindings changed."
SERIES_COLUMNS: Final = (
    "Usage key", "Provider", "Model", "Kind of call", "Service tier", "Prompt band",
)  # fmt: skip
BILL_COLUMNS: Final = ("Category", "Meter", "Unit", "Currency", "Rows written", "Rows", "Billed")


@dataclass(frozen=True)
class Proven:
    """A figure of an import with its proof; `changed` where the ledger says something else by now."""

    explained: Explained
    proof: Why
    rows: Sequence[tuple[str, str]]
    changed: str


@dataclass(frozen=True)
class Asked:
    """Title as apps/web/why.py's: what the figure is about."""

    actor: Actor
    pull: Pull
    currency: str

    @property
    def title(self) -> str:
        return self.pull.part.name

    @property
    def is_bill(self) -> bool:
        return self.pull.format == Pull.Format.FOCUS


@login_required
@require_GET
def figure(request: PageRequest, pk: int, name: str) -> HttpResponseBase:
    asked = Asked(request.actor, selectors.get_pull_for(actor=request.actor, pull_id=pk), organisation.get().currency)
    if name not in figures_of(asked.pull):
        raise NotFound("This import has no such figure.")
    if name in _MONEY:
        require(request.actor, Right.SEE_UNALLOCATED)
    kind = request.GET.get("format")
    return _download(asked, name, kind) if kind else _panel(request, asked, _FIGURES[name](asked))


def figures_of(pull: Pull) -> Sequence[str]:
    """The figures that have a proof: none where nothing of the import is left in the ledger."""
    if pull.state != Pull.State.DONE:
        return ()
    told = ("billed", "written") if pull.format == Pull.Format.FOCUS else ("requests", "written", "input-tokens")
    return told if "in_scope_cost" not in pull.totals else (*told, *_MONEY)


def why_address(pull: Pull, name: str) -> str:
    return reverse("imports:why", args=[pull.pk, name]) if name in figures_of(pull) else ""


def _panel(request: PageRequest, asked: Asked, proven: Proven) -> HttpResponse:
    context = {
        "asked": asked,
        "proof": proven.proof,
        "explained": proven.explained,
        "changed": proven.changed,
        "address": request.get_full_path(),
        "file": f"{request.path}?format=csv",
        "back": reverse("imports:show", args=[asked.pull.pk]),
        "rows": proven.rows,
    }
    return page_or_part(request, "costs/why.html", "panel_part", context)


def _download(asked: Asked, name: str, kind: str) -> HttpResponseBase:
    """The whole proof. Its rows add up to the figure; of a share to what it is a share of the whole."""
    if kind not in ("csv", "xlsx"):
        raise BadInput("The proof can be had as csv or xlsx.")
    file = f"why-{name}-{asked.pull.part.name}"
    if name in _MONEY:
        lines = import_rows(actor=asked.actor, pull=asked.pull, is_unallocated=name == "unallocated")
        return table_response(why.EXPORT_COLUMNS, lines, name=file, kind=kind)
    if asked.is_bill:
        bill = ((b.category, b.meter, b.unit, b.currency, b.rows, b.standing, b.billed) for b in billed(asked.pull))
        return table_response(BILL_COLUMNS, bill, name=file, kind=kind)
    column, measure = _MEASURES[name]
    parts = counted(actor=asked.actor, pull=asked.pull)
    rows: list[Sequence[Cell]] = [(*_series(part), measure(part)) for part in parts if part.key != HIDDEN]
    hidden = [measure(part) for part in parts if part.key == HIDDEN]
    if hidden:
        rows.append((HIDDEN, None, None, None, None, None, _known_sum(hidden)))
    return table_response((*SERIES_COLUMNS, column), rows, name=file, kind=kind)


def _series(part: Counted) -> tuple[str, str, str, str, str, int]:
    kind = CallKind(part.call_kind).label
    return part.key, part.provider, part.model, kind, part.service_tier, part.prompt_band


# --- Calls, tokens, hours ---------------------------------------------------------------------------------------------


def _requests(asked: Asked) -> Proven:
    totals = asked.pull.totals
    read, rejected = totals["rows_read"], totals["rows_rejected"]
    formula = [Term(figures.count(read), "rows read"), Term(figures.count(rejected), "rejected", figures.MINUS)]
    if totals["requests"] != read - rejected:
        formula = [Term(figures.count(totals["requests"]), f"calls told by {figures.count(read - rejected)} rows")]
    return _of_calls(asked, "requests", "Requests", totals["requests"], formula)


def _input_tokens(asked: Asked) -> Proven:
    told, cached = (asked.pull.totals.get(name) for name in ("input_tokens", "cached_input_tokens"))
    formula = [Term(figures.count(told), "input tokens")]
    if told is not None and cached is not None:
        formula = [Term(figures.count(told - cached), "not cached"), Term(figures.count(cached), "cached", "+")]
    return _of_calls(asked, "input-tokens", "Input tokens", told, formula)


def _written(asked: Asked) -> Proven:
    written, same = (asked.pull.totals[name] for name in ("hours_written", "hours_unchanged"))
    formula = [
        Term(figures.count(written + same), "in the file"),
        Term(figures.count(same), "unchanged", figures.MINUS),
    ]
    if asked.is_bill:
        return _of_bill(asked, "Ledger rows written", figures.count(written), formula, lambda part: part.rows, written)
    return _of_calls(asked, "written", "Ledger rows written", written, formula)


def _of_calls(asked: Asked, name: str, title: str, told: int | None, formula: list[Term]) -> Proven:
    parts, measure = counted(actor=asked.actor, pull=asked.pull), _MEASURES[name][1]
    by_key = _summed((part.key, measure(part)) for part in parts)
    by_model = _summed((part.model or "not reported", measure(part)) for part in parts)
    tables = [_count_table("By usage key", "Key", by_key), _count_table("By model", "Model", by_model)]
    explained = Explained(title, figures.count(told), formula, tables)
    known = [number for number in map(measure, parts) if number is not None]
    return _proven(asked, explained, is_so=(told or 0) == sum(known))


def _summed(pairs: Iterable[tuple[str, int | None]]) -> dict[str, int]:
    """By name, the largest first; what is not known adds nothing."""
    found: dict[str, int] = {}
    for name, number in pairs:
        if number is not None:
            found[name] = found.get(name, 0) + number
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _known_sum(numbers: Iterable[int | None]) -> int | None:
    """None where none of them is known."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _count_table(title: str, heading: str, counts: dict[str, int]) -> Table:
    lines = [Line(name, [figures.count(number)]) for name, number in list(counts.items())[:PARTS]]
    rest = list(counts.values())[PARTS:]
    if rest:
        lines.append(Line(f"The other {figures.count(len(rest))}", [figures.count(sum(rest))]))
    return Table(title, "", (heading, "Number"), lines, ["Sum", figures.count(_known_sum(counts.values()))])


# --- A bill as it was told --------------------------------------------------------------------------------------------


def _billed(asked: Asked) -> Proven:
    sums = {currency: told["billed_cost"] for currency, told in (asked.pull.totals.get("by_currency") or {}).items()}
    text = " and ".join(figures.money_exact(Decimal(told), currency) for currency, told in sums.items())
    rows = asked.pull.totals["rows_read"] - asked.pull.totals["rows_rejected"]
    formula = [Term(text or figures.UNKNOWN, "billed"), Term(figures.count(rows), "rows of the bill, summed", "=")]
    told = sum((Decimal(amount) for amount in sums.values()), Decimal(0))
    return _of_bill(asked, "Billed cost", text or figures.UNKNOWN, formula, lambda part: part.billed, told)


def _of_bill(
    asked: Asked,
    name: str,
    text: str,
    formula: list[Term],
    measure: Callable[[Billed], Decimal | int | None],
    told: Decimal | int,
) -> Proven:
    parts = billed(asked.pull)
    is_money = name == "Billed cost"
    lines = [
        Line(
            part.meter or part.category,
            [
                figures.count(part.standing),
                amount_of(part.billed, part.currency) if is_money else figures.count(part.rows),
            ],
            note=", ".join(filter(None, (part.category, part.unit))),
        )
        for part in parts
    ]
    headings = ("Meter", "Rows", "Billed" if is_money else "Written")
    explained = Explained(name, text, formula, [Table("By meter", "", headings, lines)])
    return _proven(asked, explained, is_so=sum(Decimal(measure(part) or 0) for part in parts) == told)


def _proven(asked: Asked, explained: Explained, *, is_so: bool) -> Proven:
    """Of what the file itself said: the file, its rows and what of them is in the ledger."""
    pull, totals = asked.pull, asked.pull.totals
    written, source = totals["hours_written"], pull.part.source
    hours, charges = (0, written) if asked.is_bill else (written, 0)
    file = PullPart(
        pull.pk, source.name, source.slug, pull.part.name, pull.digest, pull.rows, pull.finished_at, hours, charges
    )
    words = [
        ("file-text", f"{figures.count(totals['rows_read'])} rows read"),
        ("table", f"{figures.count(written)} ledger rows written"),
    ]
    proof = Why(None, 0, is_apart=True, is_exact=True, pulls=[file])
    return Proven(explained, proof, words, "" if is_so else MOVED)


# --- Money ------------------------------------------------------------------------------------------------------------


def _cost(asked: Asked) -> Proven:
    found = why_import(actor=asked.actor, pull=asked.pull)
    told = _told(asked, "in_scope_cost")
    loose = _told(asked, "unallocated_cost")
    formula = [Term(_money(asked, told), "cost")]
    if told is not None and loose is not None:
        formula = [
            Term(_money(asked, told - loose), "of workloads"),
            Term(_money(asked, loose), "nobody claims", "+"),
        ]
    name = "In scope" if asked.is_bill else "Computed cost"
    tables = [_keys_table(asked, found.keys), _models_table(asked, found.models), *_price_tables(asked, found)]
    explained = Explained(name, _money(asked, told), formula, tables, _sentence(found))
    return Proven(explained, found.proof, rows_in_words(found.proof), _moved(told, found.proof.amount))


def _unallocated(asked: Asked) -> Proven:
    found = why_import(actor=asked.actor, pull=asked.pull)
    cost, loose = _told(asked, "in_scope_cost"), _told(asked, "unallocated_cost")
    share = asked.pull.totals["unallocated_share"]
    formula = [Term(_money(asked, loose), "nobody claims"), Term(_money(asked, cost), "cost", "÷")]
    tables = [_keys_table(asked, [part for part in found.keys if part.workload is None])]
    name = "Names no workload" if asked.is_bill else "Unallocated"
    explained = Explained(name, figures.percent(share), formula, tables)
    return Proven(explained, found.proof, rows_in_words(found.proof), _moved(loose, found.unallocated))


def _keys_table(asked: Asked, keys: Sequence[KeyPart]) -> Table:
    lines = [
        Line(part.label, [_cell(asked, part.cost)], note=part.workload or "nobody claims it") for part in keys[:PARTS]
    ]
    if keys[PARTS:]:
        lines.append(Line(f"The other {figures.count(len(keys) - PARTS)}", [_summed_cell(asked, keys[PARTS:])]))
    return Table("By usage key", "", ("Key, whose", "Cost"), lines, ["Sum", _summed_cell(asked, keys)])


def _models_table(asked: Asked, models: Sequence[ModelPart]) -> Table:
    lines = [
        Line(part.model or "not reported", [_cell(asked, part.cost)], note=_model_note(part)) for part in models[:PARTS]
    ]
    if models[PARTS:]:
        lines.append(Line(f"The other {figures.count(len(models) - PARTS)}", [_summed_cell(asked, models[PARTS:])]))
    return Table("By model", "", ("Model", "Cost"), lines, ["Sum", _summed_cell(asked, models)])


def _model_note(part: ModelPart) -> str:
    unpriced = f"{figures.count(part.unpriced_tokens)} tokens without a price" if part.unpriced_tokens else ""
    return ", ".join(filter(None, (part.provider, unpriced)))


def _price_tables(asked: Asked, found: WhyImport) -> list[Table]:
    tables = [prices_table(asked.currency, found.proof)] if found.proof.prices else []
    return [*tables, charges_table(asked.currency, found.proof)] if found.proof.charges else tables


def _sentence(found: WhyImport) -> str:
    return "" if found.proof.is_apart else "It has many day lines: the CSV has the price of each."


def _moved(told: Decimal | None, proven: Decimal | None) -> str:
    return "" if (told or Decimal(0)) == (proven or Decimal(0)) else MOVED


def _told(asked: Asked, name: str) -> Decimal | None:
    text = asked.pull.totals.get(name)
    return None if text is None else Decimal(text)


def _summed_cell(asked: Asked, parts: Sequence[KeyPart | ModelPart]) -> Amount:
    known = [part.cost for part in parts if part.cost is not None]
    return _cell(asked, sum(known, Decimal(0)) if known else None)


def _cell(asked: Asked, amount: Decimal | None) -> Amount:
    return amount_of(amount, asked.currency)


def _money(asked: Asked, amount: Decimal | None) -> str:
    return figures.money_exact(amount, asked.currency)


_MEASURES: Final[dict[str, tuple[str, Callable[[Counted], int | None]]]] = {
    "requests": ("Requests", lambda part: part.requests),
    "input-tokens": ("Input tokens", lambda part: part.input_tokens),
    "written": ("Hours written", lambda part: part.rows),
}
_MONEY: Final = ("cost", "unallocated")
_FIGURES: Final[dict[str, Callable[[Asked], Proven]]] = {
    "requests": _requests,
    "input-tokens": _input_tokens,
    "written": _written,
    "billed": _billed,
    "cost": _cost,
    "unallocated": _unallocated,
}

"""What an import came to: its outcome, figures and rejected rows in words."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from apps.core import organisation
from apps.sources.models import Pull
from apps.web import figures
from apps.web.imports_forms import words_of
from apps.web.imports_why import why_address
from apps.web.parts import Kpi

PROBLEMS = {
    "empty": "is empty",
    "not a time": "cannot be read as a time",
    "not a number": "is not a number",
    "not a whole number": "is not a whole number",
    "negative": "is negative",
    "too large": "is too large",
    "in the future": "lies in the future",
    "before 2015": "lies before 2015",
}
OPTIONS = {"--time-unit": "the time unit", "--time-origin": "the start they count from", "--zone": "the zone"}


def title_of(pull: Pull) -> str:
    """The outcome in words."""
    totals = pull.totals
    if pull.state == Pull.State.FAILED:
        return "Nothing was imported"
    if pull.state == Pull.State.CANCELLED:
        return "Cancelled; nothing was imported"
    if pull.state == Pull.State.UNDONE:
        return "This import was undone"
    good, bad = (totals["rows_read"] or 0) - (totals["rows_rejected"] or 0), totals["rows_rejected"] or 0
    rows = f"{good:,} {'row is' if good == 1 else 'rows are'} in"
    if not totals["hours_written"] and not totals.get("hours_removed"):
        rows = f"All {good:,} rows were here already"
    if not bad:
        return f"{rows}; nothing changed" if rows.startswith("All") else f"{rows}; none was rejected"
    return f"{rows}; {bad:,} {'was' if bad == 1 else 'were'} rejected"


def lead_of(pull: Pull) -> str:
    if not pull.finished_at:
        return ""
    took = (pull.finished_at - pull.started_at).total_seconds() if pull.started_at else 0
    ended = f"Ended {timezone.localtime(pull.finished_at):%d %b %Y, %H:%M}, took {_duration(took)}."
    if pull.totals.get("rows_rejected"):
        return f"{ended} You can read the rejected rows again after fixing them; nothing counts twice."
    return f"{ended} Reading the same file again changes nothing."


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def kpis_of(pull: Pull, *, sees_money: bool) -> list[Kpi]:
    totals = pull.totals
    is_bill = pull.format == Pull.Format.FOCUS
    kpis = [_bill_kpi(pull) if is_bill else _requests_kpi(pull)]
    written, same = totals["hours_written"], totals["hours_unchanged"]
    proof = why_address(pull, "written")
    kpis.append(Kpi("Ledger rows written", f"{written:,}", context=f"{same:,} unchanged", why=proof))
    if not is_bill:
        cached = totals.get("cached_input_tokens")
        note = "cached share unknown" if cached is None else f"{figures.tokens(cached)} of them cached"
        tokens, proof = figures.tokens(totals.get("input_tokens")), why_address(pull, "input-tokens")
        kpis.append(Kpi("Input tokens", tokens, context=note, why=proof))
    return [*kpis, *_money_kpis(pull)] if sees_money else kpis


def _requests_kpi(pull: Pull) -> Kpi:
    requests, rows = figures.count(pull.totals.get("requests")), f"of {pull.totals['rows_read']:,} rows"
    return Kpi("Requests", requests, context=rows, why=why_address(pull, "requests"))


def _bill_kpi(pull: Pull) -> Kpi:
    """In the bill's own currency, whatever the organisation's is."""
    totals = pull.totals
    billed = [(currency, sums["billed_cost"]) for currency, sums in (totals.get("by_currency") or {}).items()]
    if len(billed) != 1:
        return Kpi("Billed cost", figures.UNKNOWN, context="in several currencies" if billed else "no row was read")
    [(currency, amount)] = billed
    rows = f"{totals['rows_read']:,} rows of the bill"
    return Kpi("Billed cost", _amount(amount, currency), context=rows, why=why_address(pull, "billed"))


def _money_kpis(pull: Pull) -> list[Kpi]:
    totals, currency = pull.totals, organisation.get().currency
    if "in_scope_cost" not in totals:
        return [Kpi("Cost", figures.UNKNOWN, context="is being worked out")]
    if pull.format == Pull.Format.FOCUS:
        note = _incomplete(totals) or "AI, or claimed by a binding"
        cost = Kpi(
            "In scope",
            _amount(totals["in_scope_cost"], currency),
            context=note,
            tone="warn" if totals.get("unconverted") else "",
            why=why_address(pull, "cost"),
        )
    else:
        models = totals.get("unpriced_models") or []
        unpriced = f"{len(models)} model{'s' if len(models) > 1 else ''} without a price" if models else ""
        missing = ", ".join(filter(None, (unpriced, _incomplete(totals))))
        cost = Kpi(
            "Computed cost",
            _amount(totals["computed_cost"], currency),
            context=missing or "at the rates that held",
            tone="warn" if missing else "",
            why=why_address(pull, "cost"),
        )
    share = totals.get("unallocated_share")
    proof = why_address(pull, "unallocated") if share is not None else ""
    loose = Kpi(
        "Unallocated",
        figures.percent(share) if share is not None else figures.UNKNOWN,
        context=_amount(totals.get("unallocated_cost"), currency) if share is not None else "insufficient data",
        tone="warn" if share else "",
        why=proof,
    )
    if pull.format == Pull.Format.FOCUS and share is not None:
        # Rows of a bill rarely name a use case: where a log covers their calls they only check it, so no alarm.
        note = f"{_amount(totals.get('unallocated_cost'), currency)}; checks where a log covers it"
        loose = Kpi("Names no workload", figures.percent(share), context=note, why=proof)
    return [cost, loose]


def _incomplete(totals: Mapping[str, Any]) -> str:
    return "incomplete: an exchange rate is missing" if totals.get("unconverted") else ""


def _amount(text: str | None, currency: str) -> str:
    """To the cent; below one unit with three digits, so that little money does not read as none."""
    if text is None:
        return figures.UNKNOWN
    amount = Decimal(text)
    return (
        figures.money_exact(round(amount, 2), currency)
        if abs(amount) >= 1 or not amount
        else figures.unit_price(amount, currency)
    )


def facts_of(pull: Pull) -> list[tuple[str, str]]:
    """What the file told of itself, to the last digit."""
    totals = pull.totals
    facts = []
    if totals.get("first_hour"):
        first, last = (datetime.fromisoformat(totals[name]).astimezone(UTC) for name in ("first_hour", "last_hour"))
        facts.append(("Hours, UTC", f"{first.day} {first:%b %Y, %H:%M} to {last.day} {last:%b %Y, %H:%M}"))
    for currency, sums in (totals.get("by_currency") or {}).items():
        for name, label in (("billed_cost", "Billed cost"), ("effective_cost", "Effective cost")):
            if sums[name] is not None:
                facts.append((label, figures.money_exact(Decimal(sums[name]), currency)))
    if totals.get("focus_version"):
        facts.append(("FOCUS version", totals["focus_version"]))
    return facts


def reject_in_words(reject: Mapping[str, Any]) -> dict[str, Any]:
    """A reason as a sentence, and its remedy without the options of the command line."""
    subject, _, problem = str(reject["reason"]).partition(": ")
    said = PROBLEMS.get(problem) or (f"are {problem}" if problem.startswith("more than") else f": {problem}")
    remedy = str(reject["remedy"])
    for option, words in OPTIONS.items():
        remedy = remedy.replace(option, words)
    reason = f"{words_of(subject)} {words_of(said)}".replace(" : ", ": ").replace("_", " ")
    return {**reject, "reason": reason, "remedy": remedy}

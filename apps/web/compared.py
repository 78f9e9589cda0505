"""The cost of a period beside that of the one before: by how much it changed, or why that cannot be told."""

from dataclasses import dataclass

from django.utils.html import format_html

from apps.costs.selectors import CostTotals
from apps.costs.sums import left_out
from apps.web import figures
from apps.web.cost_scope import why_address
from apps.web.period import PeriodChoice
from apps.web.templatetags.why import why_to


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a period's cost cannot be compared with that of the one before: what is not known of which of them."""

    what: str
    where: str
    since: str
    href: str = ""

    def __str__(self) -> str:
        return f"cannot be compared with {self.since}: {self.what} in {self.where}"


def lack_of(totals: CostTotals, period: PeriodChoice, **filters: str) -> Lack | None:
    """None where both are known, and where there is nothing to compare with."""
    now, then = totals.now, totals.then
    if not (then.lines or totals.before) or not (now.lacks or then.lacks):
        return None
    since = period.compare_label
    name = f"{period.start:%B}" if period.is_month else "these days"
    where = f"{name} and {since}" if now.lacks and then.lacks else name if now.lacks else since
    what = left_out(
        unpriced=now.unpriced_lines + then.unpriced_lines, unconverted=now.unconverted_lines + then.unconverted_lines
    )
    # The proof is of tokens: GPU hours without a price have none, nor has an exchange rate that is not known.
    shown, side = (period, now) if now.unpriced_tokens else (period.before, then)
    return Lack(what, where, since, why_address("unpriced", shown, **filters) if side.unpriced_tokens else "")


def since_of(totals: CostTotals, period: PeriodChoice, **filters: str) -> str:
    """What stands beside a change of the cost: from when; or that there is none, and where one sees what is missing."""
    lack = lack_of(totals, period, **filters)
    if lack is None:
        return f"{'from' if totals.change is not None else 'nothing in'} {period.compare_label}"
    what = why_to(lack.what, lack.href)
    return format_html("cannot be compared with {}: {} in {}", lack.since, what, lack.where)


def moved_of_all(totals: CostTotals, period: PeriodChoice, **filters: str) -> tuple[str, str]:
    """The change of a sum over many use cases, and what stands beside it.

    One model without a price shall not hide how everything else moves: where something lacks, the change is said to be
    of what is known. Of a single use case that would mislead; there it is `since_of`.
    """
    lack = lack_of(totals, period, **filters)
    if lack is None or totals.known_change is None or not totals.now.lines:
        return "" if totals.change is None else figures.delta(totals.change), since_of(totals, period, **filters)
    words = format_html("of what is known, from {}: {} in {}", lack.since, why_to(lack.what, lack.href), lack.where)
    return figures.delta(totals.known_change), words

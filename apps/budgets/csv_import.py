"""Budgets from a table. A dry run sets them and takes it back, so that it refuses exactly what the real run refuses."""

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from apps.accounts import rights
from apps.accounts.models import CostCentre
from apps.budgets import services
from apps.budgets.models import Budget
from apps.budgets.selectors import row_at, this_month
from apps.core.actor import Actor
from apps.core.errors import BadInput, TollgateError
from apps.core.money import plain
from apps.workloads.csv_table import Change, Kind, Line, Result, RowResult
from apps.workloads.models import Workload
from apps.workloads.selectors import REFERENCE

COLUMNS: Final = {
    "workload": "WL-007, the name in its address, or its exact name; or else",
    "cost_centre": "the code of a cost centre",
    "month": "from which month on, such as 2026-11; the month that runs when empty",
    "amount": "a month, such as 4000; 0 means that nothing may be spent",
    "soft": "per cent at which its owners are told first; 80 when empty and none was set",
    "hard": "per cent at which they are told again; 100 likewise",
    "on_hard": f"one of {', '.join(Budget.OnHard.values)}",
    "reason": "why; may stay empty",
}
REQUIRED: Final = ("amount",)
NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
Owner = Workload | CostCentre


def import_budgets(*, actor: Actor, lines: Iterable[Line], dry_run: bool) -> Result:
    """Set what the lines say; a line that cannot be is left out and says why."""
    with transaction.atomic():
        result = Result(tuple(_row(actor, line) for line in lines))
        transaction.set_rollback(dry_run)
    return result


def _row(actor: Actor, line: Line) -> RowResult:
    label = line.cells.get("workload") or line.cells.get("cost_centre", "")
    try:
        # A savepoint of its own: a line that fails leaves nothing behind.
        with transaction.atomic():
            return _take(actor, line)
    except TollgateError as error:
        return RowResult(line.number, Kind.ERROR, label, error=str(error))


def _take(actor: Actor, line: Line) -> RowResult:
    owner, month = _owner(actor, line), _month(line.cells.get("month", ""))
    standing = row_at(owner, month)
    set_ = services.set_budget(
        actor=actor,
        owner=owner,
        month=month,
        amount=_number("amount", line.cells.get("amount", "")),
        soft=_share(line, "soft"),
        hard=_share(line, "hard"),
        on_hard=_on_hard(line.cells.get("on_hard", "")),
        reason=line.cells.get("reason", ""),
    )
    if standing == set_:
        return RowResult(line.number, Kind.UNCHANGED, str(owner))
    before = {} if standing is None else _in_words(standing)
    after = _in_words(set_)
    changes = tuple(
        Change(name, before.get(name, ""), words) for name, words in after.items() if before.get(name) != words
    )
    return RowResult(line.number, Kind.NEW if standing is None else Kind.CHANGED, str(owner), changes)


def _owner(actor: Actor, line: Line) -> Owner:
    """What the line is about; what the actor may not see does not exist."""
    workload, code = line.cells.get("workload", ""), line.cells.get("cost_centre", "")
    if bool(workload) == bool(code):
        raise BadInput("A line names a workload or a cost centre, and not both.")
    return workload_meant(actor, workload) if workload else _centre(actor, code)


def workload_meant(actor: Actor, text: str) -> Workload:
    """By reference, the name in its address, or its exact name; what the actor may not see does not exist."""
    visible = Workload.objects.money_visible_to(actor).active()
    cited = REFERENCE.fullmatch(text)
    meant = Q(pk=int(cited[1])) if cited else Q(slug=text.casefold()) | Q(name__iexact=text)
    found = list(visible.filter(meant)[:2])
    if not found:
        raise BadInput(f"There is no workload “{text[:60]}” whose budget you see.")
    if len(found) > 1:
        raise BadInput("Several workloads have this name.", hint="Say which by its reference.")
    return found[0]


def _centre(actor: Actor, code: str) -> CostCentre:
    found = rights.cost_centres_visible(actor).filter(code__iexact=code).first()
    if found is None:
        raise BadInput(f"There is no cost centre “{code[:60]}” whose budget you see.")
    return found


def _month(text: str) -> date:
    if not text:
        return this_month(timezone.localdate())
    if not MONTH.fullmatch(text) or text < "0001":
        raise BadInput(f"“{text[:40]}” is no month.", hint="Write it like 2026-11.")
    return date.fromisoformat(f"{text}-01")


def _number(name: str, text: str) -> Decimal:
    """Plain digits with a point: 1.234,56 and full-width digits could mean two things, or nothing."""
    if not NUMBER.fullmatch(text):
        raise BadInput(f"“{text[:40]}” is no {name}.", hint="Write digits and a point, such as 4000.50.")
    return Decimal(text)


def _share(line: Line, name: str) -> Decimal | None:
    text = line.cells.get(name, "").removesuffix("%").strip()
    return _number(name, text) / 100 if text else None


def _on_hard(text: str) -> str:
    word = text.casefold()
    if word and word not in Budget.OnHard.values:
        raise BadInput(f"“{text[:40]}” is not known.", hint=f"Write one of {', '.join(Budget.OnHard.values)}.")
    return word


def _in_words(row: Budget) -> dict[str, str]:
    return {
        "From": f"{row.month:%B %Y}",
        "A month": plain(row.amount) or "",
        "Soft threshold": services.percent(row.soft),
        "Hard threshold": services.percent(row.hard),
        "At the hard threshold": row.get_on_hard_display(),
        "State": row.get_state_display(),
    }

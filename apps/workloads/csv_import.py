"""Workloads from a table: what is new, what changes field by field, what stays, and what cannot be.

A dry run does everything and takes it back, so that it says exactly what the real run does.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db import models, transaction

from apps.accounts.models import CostCentre, Person
from apps.catalog.models import LatencyBand, ValueTier
from apps.core.actor import Actor
from apps.core.errors import BadInput, TollgateError
from apps.workloads import fields, services
from apps.workloads.csv_table import Change, Kind, Line, Result, RowResult
from apps.workloads.models import Workload, WorkloadRevision
from apps.workloads.selectors import REFERENCE

# How some answers about a registered use case change: by asking somebody else, which a higher app knows.
Propose = Callable[..., Any]

COLUMNS: Final = {
    "reference": "WL-007 or the name in its address; empty for a new one",
    "name": "how people call it; without a reference, an equal name is the same use case",
    "purpose": "what it is for",
    "output_unit": "what one useful answer is, such as ticket summary",
    "audience": f"one of {', '.join(Workload.Audience.values)}",
    "benefit": f"one of {', '.join(Workload.Benefit.values)}",
    "stage": f"one of {', '.join(Workload.Stage.values)}; pilot when empty",
    "value_tier": "T1 to T4",
    "latency_band": "its code, such as batch",
    "failure_severity": f"one of {', '.join(WorkloadRevision.Severity.values)}",
    "failure_cost": "money lost for each wrong answer; may stay empty",
    "cost_centre": "its code",
    "business_owner": "e-mail, or the name where only one person has it",
    "technical_owner": "likewise",
    "budget_owner": "likewise",
    "monthly_spend_expected": "what it may spend a month, such as 4000",
}
REQUIRED: Final = ("name",)
NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything that cells may name, read once for the whole file."""

    people: Mapping[str, list[Person]]
    centres: Mapping[str, CostCentre]
    tiers: Mapping[str, ValueTier]
    bands: Mapping[str, LatencyBand]
    by_slug: Mapping[str, Workload]
    by_name: Mapping[str, list[Workload]]
    by_id: Mapping[int, Workload]


def import_workloads(*, actor: Actor, lines: Iterable[Line], dry_run: bool, propose: Propose) -> Result:
    """Register and change what the lines say; a line that cannot be is left out and says why.

    `propose` takes actor, workload, reason and values where something would change that somebody else confirms.
    """
    with transaction.atomic():
        known = _known(actor)
        result = Result(tuple(_row(actor, known, line, propose) for line in lines))
        transaction.set_rollback(dry_run)
    return result


def _row(actor: Actor, known: _Known, line: Line, propose: Propose) -> RowResult:
    label = line.cells.get("name") or line.cells.get("reference", "")
    try:
        # A savepoint of its own: a line that fails leaves nothing behind.
        with transaction.atomic():
            return _take(actor, known, line, label, propose)
    except TollgateError as error:
        return RowResult(line.number, Kind.ERROR, label, error=str(error))


def _take(actor: Actor, known: _Known, line: Line, label: str, propose: Propose) -> RowResult:
    values = {name: _READERS[name](known, cell) for name, cell in line.cells.items() if name in _READERS}
    workload = _meant(known, line)
    if workload is None:
        services.register(actor=actor, **values)
        told = [name for name in fields.LABELS if name in values]
        shown = tuple(Change(fields.LABELS[name], "", fields.in_words(name, values[name])) for name in told)
        return RowResult(line.number, Kind.NEW, label, shown)
    changes = _changes(workload, values)
    if not changes:
        return RowResult(line.number, Kind.UNCHANGED, workload.name)
    own: Any = {name: value for name, value in values.items() if name not in fields.CONFIRMED}
    services.edit(actor=actor, workload=workload, **own)
    others = {name: value for name, value in values.items() if name in fields.CONFIRMED}
    if others:
        propose(actor=actor, workload=workload, reason="Import of a table", values=others)
    return RowResult(line.number, Kind.CHANGED, workload.name, changes)


def _changes(workload: Workload, values: Mapping[str, Any]) -> tuple[Change, ...]:
    latest = workload.revisions.select_related("value_tier", "latency_band").latest("version")
    found = []
    for name in fields.LABELS:
        if name not in values:
            continue
        standing = getattr(latest if name in fields.PROMISE else workload, name)
        if fields.as_text(standing) != fields.as_text(values[name]):
            wanted = fields.in_words(name, values[name])
            waits = ", once somebody else has confirmed it" if name in fields.CONFIRMED else ""
            found.append(Change(fields.LABELS[name], fields.in_words(name, standing), f"{wanted}{waits}"))
    return tuple(found)


def _meant(known: _Known, line: Line) -> Workload | None:
    """The workload that a line is about; None for a new one."""
    reference = line.cells.get("reference", "")
    if reference:
        cited = REFERENCE.fullmatch(reference)
        found = known.by_id.get(int(cited[1])) if cited else known.by_slug.get(reference.casefold())
        if found is None:
            raise BadInput(f"There is no workload “{reference}”.", hint="Leave the reference empty for a new one.")
        return found
    if not line.cells.get("name"):
        raise BadInput("The line has neither a name nor a reference.")
    named = known.by_name.get(line.cells["name"].casefold(), [])
    if len(named) > 1:
        raise BadInput(f"{len(named)} workloads have this name.", hint="Say which by its reference.")
    return named[0] if named else None


def _known(actor: Actor) -> _Known:
    workloads = list(
        Workload.objects.visible_to(actor).active().select_related(
            "cost_centre", "business_owner", "technical_owner", "budget_owner"
        )
    )  # fmt: skip
    by_name: dict[str, list[Workload]] = {}
    for workload in workloads:
        by_name.setdefault(workload.name.casefold(), []).append(workload)
    return _Known(
        people=_people(),
        centres={centre.code.casefold(): centre for centre in CostCentre.objects.all()},
        tiers={tier.code.casefold(): tier for tier in ValueTier.objects.all()},
        bands={band.code.casefold(): band for band in LatencyBand.objects.all()},
        by_slug={workload.slug: workload for workload in workloads},
        by_name=by_name,
        by_id={workload.pk: workload for workload in workloads},
    )


def _people() -> dict[str, list[Person]]:
    found: dict[str, list[Person]] = {}
    for person in Person.objects.filter(active=True):
        for word in {person.name.casefold(), person.email.casefold()} - {""}:
            found.setdefault(word, []).append(person)
    return found


def _person(known: _Known, cell: str) -> Person:
    found = known.people.get(cell.casefold(), [])
    if not found:
        raise BadInput(f"Nobody here is called “{cell[:60]}”.", hint="Write the e-mail address, or invite the person.")
    if len(found) > 1:
        raise BadInput(f"{len(found)} people are called “{cell[:60]}”.", hint="Write the e-mail address.")
    return found[0]


def _one_of(table: str, noun: str) -> Callable[[_Known, str], models.Model]:
    def read(known: _Known, cell: str) -> models.Model:
        found: models.Model | None = getattr(known, table).get(cell.casefold())
        if found is None:
            raise BadInput(
                f"There is no {noun} “{cell[:60]}”.", hint=f"Known: {', '.join(list(getattr(known, table))[:12])}."
            )
        return found

    return read


def _amount(_known: _Known, cell: str) -> Decimal:
    """Plain digits with a point: 1.234,56 and full-width digits could mean two things, or nothing."""
    if not NUMBER.fullmatch(cell):
        raise BadInput(f"“{cell[:40]}” is no amount.", hint="Write digits and a point, such as 4000.50.")
    return Decimal(cell)


def _text(_known: _Known, cell: str) -> str:
    return cell


def _word(_known: _Known, cell: str) -> str:
    return cell.casefold()


_READERS: Final[dict[str, Callable[[_Known, str], Any]]] = {
    "name": _text,
    "purpose": _text,
    "output_unit": _text,
    "audience": _word,
    "benefit": _word,
    "stage": _word,
    "value_tier": _one_of("tiers", "value tier"),
    "latency_band": _one_of("bands", "latency band"),
    "failure_severity": _word,
    "failure_cost": _amount,
    "cost_centre": _one_of("centres", "cost centre"),
    "business_owner": _person,
    "technical_owner": _person,
    "budget_owner": _person,
    "monthly_spend_expected": _amount,
}

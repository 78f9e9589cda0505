"""Why the cost of an import is what it is: why.py, with the lines that its part alone would make.

What is told when an import ends stands still; prices, bindings and later imports of the part move on. So the proof is
of the part as it stands now, and whoever shows it says where the two differ.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.core import organisation, periods
from apps.core.actor import Actor
from apps.costs import flags, rating, why_sql
from apps.costs.why import MOST_LINES, Read, Why, proof_of, told
from apps.sources.models import Pull
from apps.usage.models import label_of
from apps.workloads.models import Workload

HIDDEN = "workloads that you may not see"
HIDDEN_KEYS = f"Keys of {HIDDEN}"


@dataclass(frozen=True, slots=True)
class KeyPart:
    """What one usage key came to for one owner; without a workload nobody claims it. `cost` None is unknown."""

    label: str
    workload: str | None
    workload_slug: str | None
    cost: Decimal | None
    unpriced_tokens: int


@dataclass(frozen=True, slots=True)
class ModelPart:
    provider: str
    model: str
    cost: Decimal | None
    unpriced_tokens: int


@dataclass(frozen=True, slots=True)
class WhyImport:
    """The proof of an import's cost. Keys of workloads that the actor may not see are one part, `HIDDEN_KEYS`."""

    proof: Why
    keys: list[KeyPart]
    models: list[ModelPart]

    @property
    def unallocated(self) -> Decimal:
        return sum((part.cost for part in self.keys if part.workload is None and part.cost is not None), Decimal(0))


def why_import(*, actor: Actor, pull: Pull) -> WhyImport:
    """What the rows of the import's part cost now, by price, model and usage key; the amounts add up."""
    with _taken_apart(pull, most_lines=MOST_LINES) as read:
        lines, amount = read(why_sql.SUM)[0]
        is_apart = lines <= MOST_LINES
        proof = proof_of(read, amount, lines, []) if is_apart else Why(amount, lines, is_apart=False, is_exact=True)
        models = [ModelPart(*row) for row in read(why_sql.MODELS)]
        keys = _keys(actor, read(why_sql.KEYS))
    # Those that have a line of their own above.
    seen = {part.workload_slug for part in keys if part.label != HIDDEN_KEYS}
    bindings = [binding for binding in proof.bindings if binding.workload_slug in seen]
    return WhyImport(replace(proof, bindings=bindings), keys, models)


def import_rows(*, actor: Actor, pull: Pull, is_unallocated: bool = False) -> Iterator[tuple[Any, ...]]:
    """Columns and rows of `why.proof_rows`, of everything or of what nobody claims; what workloads cost that the actor
    may not see is one row at the end."""
    with _taken_apart(pull) as read:
        rows = [row for row in read(why_sql.EXPORT) if not is_unallocated or row[-1] is None]
    hidden = _hidden(actor, {row[-1] for row in rows})
    amounts = []
    for row in rows:
        if row[-1] in hidden:
            amounts.append(row[17])
        else:
            yield told(row)
    if amounts:
        yield (None, HIDDEN, *[None] * 15, _sum(amounts), *[None] * 5)


def _keys(actor: Actor, rows: list[tuple[Any, ...]]) -> list[KeyPart]:
    hidden = _hidden(actor, {row[1] for row in rows})
    shown = [
        KeyPart(label_of(json.loads(pairs)), name, slug, cost, unpriced)
        for pairs, number, name, slug, cost, unpriced in rows
        if number not in hidden
    ]
    others = [row for row in rows if row[1] in hidden]
    if not others:
        return shown
    cost, unpriced = _sum(row[4] for row in others), sum(row[5] for row in others)
    return [*shown, KeyPart(HIDDEN_KEYS, "not shown", None, cost, unpriced)]


def _hidden(actor: Actor, numbers: set[int | None]) -> set[int]:
    """Those of these workloads whose money the actor may not see."""
    named = {number for number in numbers if number is not None}
    seen = Workload.objects.money_visible_to(actor).filter(pk__in=named).values_list("pk", flat=True)
    return named - set(seen)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None


@contextmanager
def _taken_apart(pull: Pull, *, most_lines: int | None = None) -> Iterator[Read]:
    """The part's lines as temporary tables, and their proof unless there are more than `most_lines`."""
    with transaction.atomic(), connection.cursor() as cursor:
        is_bill = pull.format == Pull.Format.FOCUS
        values = _charges(cursor, pull.part_id) if is_bill else _lines(cursor, pull.part_id)

        def read(statement: str) -> list[tuple[Any, ...]]:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

        if not is_bill and (most_lines is None or read(why_sql.SUM)[0][0] <= most_lines):
            _match(cursor, values)
        yield read
        cursor.execute(f"DROP TABLE IF EXISTS {why_sql.TABLES_OF_PART}")


def _lines(cursor: CursorWrapper, part_id: int) -> dict[str, Any]:
    values = rating.lines_of_part(cursor, part_id)
    cursor.execute(why_sql.LINES_OF_PART)
    return values


def _match(cursor: CursorWrapper, values: dict[str, Any]) -> None:
    """Hours x prices of each line."""
    frozen = periods.frozen_between(values["starts_at"], values["ends_at"])
    for statement in why_sql.OF_LINES:
        of_hours = frozen and statement == why_sql.ITEMS
        cursor.execute(why_sql.RESTATED_ITEMS if of_hours else statement, values)


def _charges(cursor: CursorWrapper, part_id: int) -> dict[str, Any]:
    company = organisation.get()
    values: dict[str, Any] = {"part": part_id, "zone": company.zone, "currency": company.currency}
    cursor.execute(why_sql.SPAN_OF_BILL, values)
    values["starts_at"], values["ends_at"] = cursor.fetchone()
    values["effective_unusable"] = flags.EFFECTIVE_UNUSABLE
    for statement in why_sql.BILL_PREPARE:
        cursor.execute(statement, values)
    return values

"""A part of one workload's budget for another: nothing moves before somebody else has confirmed it."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.accounts.rights import Right
from apps.approvals.kind import Applying, Kind, Row
from apps.approvals.models import Barred
from apps.approvals.statement import Values
from apps.budgets import selectors, services
from apps.core.actor import Actor
from apps.core.errors import Conflict
from apps.core.money import plain
from apps.workloads.models import Workload


class Transfer(Kind):
    """Proposed: `taker` (a Workload), `month` and `amount`. Decided where the money comes from."""

    name = "budget_transfer"
    label = "Transfer between budgets"
    icon = "arrows-exchange"
    model = Workload
    deciders = (Right.DECIDE,)
    stand_ins = (Right.REVIEW,)

    def key_of(self, subject: Workload, proposed: Values) -> str:  # noqa: ARG002
        return f"{proposed['taker']}/{proposed['month']}"

    def subjects(self, ids: list[int]) -> dict[int, Any]:
        return Workload.objects.select_related("cost_centre").in_bulk(ids)

    def barred(self, subject: Workload, proposed: Values) -> Mapping[int, Barred.Why]:  # noqa: ARG002
        """Whoever owns the workload that gains by it; those of the giving one are barred already."""
        taker = Workload.objects.get(pk=proposed["taker"])
        owners = (taker.business_owner_id, taker.technical_owner_id, taker.budget_owner_id)
        return {pk: Barred.Why.RECEIVES for pk in owners if pk is not None}

    def may_ask(self, actor: Actor, subject: Workload) -> bool:
        return actor.person_id is not None and services.may_set(actor, subject)

    def clean(self, actor: Actor, subject: Workload, proposed: Mapping[str, Any]) -> Values:
        """Tried and taken back, so that what cannot be moved is told at once."""
        taker: Workload = proposed["taker"]
        with transaction.atomic():
            services.transfer(
                actor=actor,
                giver=subject,
                taker=taker,
                month=proposed["month"],
                amount=proposed["amount"],
                decision_id=0,
            )
            transaction.set_rollback(True)
        month = proposed["month"].isoformat()
        return {"taker": taker.pk, "name": taker.name, "month": month, "amount": plain(proposed["amount"])}

    def standing(self, subject: Workload, proposed: Values) -> Values:
        """Both budgets as they are: a transfer from or to other amounts is another one."""
        month = date.fromisoformat(proposed["month"])
        rows = selectors.budgets_at(month, [subject.pk, proposed["taker"]])
        return {name: plain(rows[pk].limit) if pk in rows else None for name, pk in _sides(subject, proposed)}

    def title(self, subject: Workload, proposed: Values) -> str:  # noqa: ARG002
        return f"Move {proposed['amount']} a month to {proposed['name']}"

    def rows(self, subject: Workload, standing: Values, proposed: Values) -> list[Row]:
        month, moved = f"{date.fromisoformat(proposed['month']):%B %Y}", Decimal(proposed["amount"])
        given, taken = (Decimal(standing[name] or 0) for name in ("giver", "taker"))
        return [
            Row("From", month, month),
            Row(f"{subject.name}, a month", plain(given) or "", plain(given - moved) or ""),
            Row(f"{proposed['name']}, a month", plain(taken) or "", plain(taken + moved) or ""),
        ]

    def apply(self, change: Applying) -> None:
        taker = Workload.objects.filter(pk=change.proposed["taker"]).first()
        if taker is None:
            raise Conflict("The workload that would get it is no longer there.")
        services.transfer(
            actor=change.asker,
            giver=change.subject,
            taker=taker,
            month=date.fromisoformat(change.proposed["month"]),
            amount=Decimal(change.proposed["amount"]),
            reason=change.reason,
            decision_id=change.decision_id,
        )


def _sides(giver: Workload, proposed: Values) -> tuple[tuple[str, int], ...]:
    return ("giver", giver.pk), ("taker", proposed["taker"])

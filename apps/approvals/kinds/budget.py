"""More than a review capped a budget at: looser than what was decided, so somebody else confirms it."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from apps.accounts.rights import Right
from apps.approvals.kind import Applying, Kind, Row
from apps.approvals.statement import Values
from apps.budgets import selectors, services
from apps.budgets.models import Budget
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.core.money import plain
from apps.workloads.models import Workload

LABELS: Final = {
    "amount": "A month",
    "soft": "Soft threshold, share of it",
    "hard": "Hard threshold, share of it",
    "on_hard": "At the hard threshold",
}


class RaisedBudget(Kind):
    """Proposed: the arguments of `set_budget`, `expected_id` too. The confirmed amount is the new cap."""

    name = "budget"
    label = "Budget above its cap"
    icon = "wallet"
    model = Workload
    deciders = (Right.DECIDE,)
    stand_ins = (Right.REVIEW,)

    def key_of(self, subject: Workload, proposed: Values) -> str:  # noqa: ARG002
        return str(proposed["month"])

    def subjects(self, ids: list[int]) -> dict[int, Any]:
        return Workload.objects.select_related("cost_centre").in_bulk(ids)

    def may_ask(self, actor: Actor, subject: Workload) -> bool:
        return actor.person_id is not None and services.may_set(actor, subject)

    def clean(self, actor: Actor, subject: Workload, proposed: Mapping[str, Any]) -> Values:  # noqa: ARG002
        month: date = proposed["month"]
        services.refuse_stale(owner=subject, month=month, expected_id=proposed.get("expected_id"))
        wanted = services.checked(
            owner=subject,
            month=month,
            amount=proposed["amount"],
            soft=proposed.get("soft"),
            hard=proposed.get("hard"),
            on_hard=proposed.get("on_hard", ""),
        )
        cap = selectors.cap_at(subject, month)
        if cap is None or Decimal(str(wanted["amount"])) <= cap:
            raise BadInput("No review has capped this budget below that.", hint="Set it; nobody else is needed.")
        return {"month": month.isoformat(), **wanted}

    def standing(self, subject: Workload, proposed: Values) -> Values:
        month = date.fromisoformat(proposed["month"])
        row = selectors.row_at(subject, month)
        values = services.as_text(row) if row is not None and row.state != Budget.State.ENDED else {}
        return {"month": proposed["month"], "cap": plain(selectors.cap_at(subject, month)), **values}

    def title(self, subject: Workload, proposed: Values) -> str:  # noqa: ARG002
        return f"Budget of {proposed['amount']} a month, above its cap"

    def rows(self, subject: Workload, standing: Values, proposed: Values) -> list[Row]:  # noqa: ARG002
        month = f"{date.fromisoformat(proposed['month']):%B %Y}"
        cap = Row("Capped by a review at", standing["cap"] or "", proposed["amount"])
        said = [(LABELS[name], standing.get(name), proposed[name]) for name in LABELS]
        return [Row("From", month, month), cap, *(Row(label, was or "", to or "") for label, was, to in said)]

    def apply(self, change: Applying) -> None:
        told = change.proposed
        services.set_budget(
            actor=change.asker,
            owner=change.subject,
            month=date.fromisoformat(told["month"]),
            amount=Decimal(told["amount"]),
            soft=Decimal(told["soft"]),
            hard=Decimal(told["hard"]),
            on_hard=told["on_hard"],
            reason=change.reason,
            decision_id=change.decision_id,
        )

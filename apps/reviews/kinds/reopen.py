"""To open a signed month again."""

from collections.abc import Mapping
from typing import Any

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.approvals.kind import Applying, Kind, Row
from apps.approvals.statement import Values
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.reviews.models import Cycle
from apps.reviews.services import reopen


class Reopen(Kind):
    """The pack that was signed stays; the next one says what differs from it."""

    name = "reopen"
    label = "Open a signed month again"
    icon = "lock-open"
    model = Cycle
    deciders = (Right.REVIEW,)
    stand_ins = (Right.MANAGE_SETTINGS,)
    of_all = True
    seen_with = Right.SEE_REVIEWS

    def may_ask(self, actor: Actor, subject: Any) -> bool:  # noqa: ARG002
        held = rights.rights_of(actor)
        return held.may(Right.REVIEW) or held.may(Right.PREPARE_REVIEWS)

    def clean(self, actor: Actor, subject: Any, proposed: Mapping[str, Any]) -> Values:  # noqa: ARG002
        if subject.is_open:
            raise BadInput(f"The review of {subject} is open.")
        return {"state": Cycle.State.OPEN.value, "revision": subject.revision}

    def standing(self, subject: Any, proposed: Values) -> Values:  # noqa: ARG002
        return {"state": subject.state, "revision": subject.revision}

    def title(self, subject: Any, proposed: Values) -> str:  # noqa: ARG002
        return f"open {subject} again"

    def rows(self, subject: Any, standing: Values, proposed: Values) -> list[Row]:  # noqa: ARG002
        return [Row(f"{subject}, revision {standing['revision']}", "signed off", "open; the signed pack is kept")]

    def apply(self, change: Applying) -> None:
        reopen(
            actor=change.decider,
            cycle=change.subject,
            reason=change.reason,
            asked_by=change.asker.person_id or 0,
        )

"""To sign a month in spite of something that blocks it."""

from collections.abc import Mapping
from typing import Any, Final

from django.utils import timezone

from apps.accounts.rights import Right
from apps.approvals.kind import Applying, Kind, Row
from apps.approvals.statement import Values
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.reviews.access import may_prepare
from apps.reviews.blockers import LABELS, Key, blockers_of, get_blocker
from apps.reviews.models import Cycle
from apps.reviews.services import waive

MOST_FACTS: Final = 12


class Waiver(Kind):
    """Covers one blocker as it stood when it was asked for; should it grow, it blocks again."""

    name = "waiver"
    label = "Waiver for a sign-off"
    icon = "lock-open"
    model = Cycle
    deciders = (Right.REVIEW,)
    stand_ins = (Right.MANAGE_SETTINGS,)
    of_all = True
    seen_with = Right.SEE_REVIEWS

    def key_of(self, subject: Any, proposed: Values) -> str:  # noqa: ARG002
        return str(proposed["blocker"])

    def may_ask(self, actor: Actor, subject: Any) -> bool:  # noqa: ARG002
        return may_prepare(actor)

    def clean(self, actor: Actor, subject: Any, proposed: Mapping[str, Any]) -> Values:  # noqa: ARG002
        if not subject.is_open:
            raise BadInput(f"{subject} is signed off; there is nothing to waive.")
        blocker = get_blocker(subject, str(proposed.get("blocker", "")), now=timezone.now())
        return {
            "blocker": blocker.key.value,
            "digest": blocker.digest,
            "waived": True,
            "count": blocker.count,
            "facts": blocker.facts,
        }

    def standing(self, subject: Any, proposed: Values) -> Values:
        """What blocks now; a confirmation of something that changed since is refused."""
        found = blockers_of(subject, now=timezone.now())
        digest = next((each.digest for each in found if each.key == proposed["blocker"]), None)
        return {"blocker": proposed["blocker"], "digest": digest, "waived": False}

    def title(self, subject: Any, proposed: Values) -> str:
        return f"sign {subject} in spite of {LABELS[Key(str(proposed['blocker']))].lower()}"

    def rows(self, subject: Any, standing: Values, proposed: Values) -> list[Row]:  # noqa: ARG002
        """What blocks, and what exactly would be let pass: its number and every fact that the digest covers."""
        rows = [Row(LABELS[Key(str(proposed["blocker"]))], "blocks the sign-off", "is let pass as it stands")]
        rows += [Row("How many", str(said), str(said)) for said in [proposed.get("count")] if said is not None]
        for name, values in proposed.get("facts", {}).items():
            told = _listed(values)
            rows.append(Row(str(name).capitalize(), told, told))
        return rows

    def apply(self, change: Applying) -> None:
        waive(
            actor=change.decider,
            cycle=change.subject,
            blocker=str(change.proposed["blocker"]),
            digest=str(change.proposed["digest"]),
            reason=change.reason,
            asked_by=change.asker.person_id or 0,
            decision_id=change.decision_id,
        )


def _listed(values: Any) -> str:
    """a, b, c and 17 more."""
    if not isinstance(values, list):
        return str(values)
    shown = [f"{value:,}" if isinstance(value, int) else str(value) for value in values[:MOST_FACTS]]
    more = len(values) - MOST_FACTS
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")

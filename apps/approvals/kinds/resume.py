"""The way back for what a review suspended or is being switched off: looser, so somebody else confirms it."""

from collections.abc import Mapping
from typing import Any, Final

from apps.approvals.kind import Applying, Row
from apps.approvals.promise import OfPromise
from apps.approvals.statement import Values
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.workloads import services
from apps.workloads.models import Workload

RUNNING: Final = (Workload.Stage.CONCEPT, Workload.Stage.PILOT, Workload.Stage.PRODUCTION)


class Resume(OfPromise):
    """Proposed: the stage at which it goes on, needed where it is in its sunset."""

    name = "resume"
    label = "Take it up again"
    icon = "player-play"
    fields = ("state", "stage")

    def clean(self, actor: Actor, subject: Workload, proposed: Mapping[str, Any]) -> Values:  # noqa: ARG002
        is_ending = subject.stage == Workload.Stage.SUNSET
        if subject.state != Workload.State.SUSPENDED and not (is_ending and subject.state == Workload.State.ACTIVE):
            raise BadInput(f"{subject.name} is neither suspended nor being switched off.")
        stage = str(proposed.get("stage") or "") if is_ending else subject.stage
        if stage not in RUNNING:
            raise BadInput("Say at which stage it goes on.", hint=f"One of {', '.join(RUNNING)}.")
        return {"state": Workload.State.ACTIVE.value, "stage": stage}

    def standing(self, subject: Workload, proposed: Values) -> Values:  # noqa: ARG002
        return {"state": subject.state, "stage": subject.stage}

    def title(self, subject: Workload, proposed: Values) -> str:  # noqa: ARG002
        return f"Take it up again in {Workload.Stage(proposed['stage']).label.lower()}"

    def rows(self, subject: Workload, standing: Values, proposed: Values) -> list[Row]:  # noqa: ARG002
        stages = [str(Workload.Stage(said["stage"]).label) for said in (standing, proposed)]
        return [Row("State", standing["state"], proposed["state"]), Row("Stage", *stages)]

    def apply(self, change: Applying) -> None:
        services.change_confirmed(
            actor=change.asker,
            workload=change.subject,
            reason=change.reason,
            decision_id=change.decision_id,
            take_up=True,
            stage=change.proposed["stage"],
        )

"""That a value case is right: said by somebody who neither wrote it nor had a hand in the use case lately."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from apps.accounts.rights import Right
from apps.approvals.kind import Applying, Kind, Row
from apps.approvals.models import Barred
from apps.approvals.statement import Values
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.economics import services
from apps.economics.models import ValueCase
from apps.workloads.models import Workload
from apps.workloads.services import may_edit

LABELS: Final = {
    "minutes_saved": "Minutes saved for each useful answer",
    "realisation": "Share of the time that is used for something else",
    "review_minutes": "Minutes of checking for each one",
}


class Attestation(Kind):
    """Nothing is chosen: what is attested is the version as it stands, and the digest covers all it says."""

    name = "attestation"
    label = "Value case"
    icon = "certificate"
    model = ValueCase
    deciders = (Right.DECIDE, Right.REVIEW, Right.PREPARE_REVIEWS)

    def subjects(self, ids: list[int]) -> dict[int, Any]:
        return ValueCase.objects.select_related("workload__cost_centre", "owner", "grade", "review_grade").in_bulk(ids)

    def workload_of(self, subject: ValueCase) -> Workload:
        return subject.workload

    def barred(self, subject: ValueCase, proposed: Values) -> Mapping[int, Barred.Why]:  # noqa: ARG002
        writers = (subject.written_by_id, subject.owner_id)
        return {pk: Barred.Why.WROTE for pk in writers if pk is not None}

    def may_ask(self, actor: Actor, subject: ValueCase) -> bool:
        return actor.person_id is not None and may_edit(actor, subject.workload)

    def clean(self, actor: Actor, subject: ValueCase, proposed: Mapping[str, Any]) -> Values:  # noqa: ARG002
        if subject.attested_at is not None:
            raise BadInput("This version is attested already.")
        if subject.superseded_by_id is not None or subject.ended_at is not None:
            raise BadInput("This version was replaced or has ended.", hint="Ask for the newest one.")
        return {**_said(subject), "is_attested": True}

    def standing(self, subject: ValueCase, proposed: Values) -> Values:  # noqa: ARG002
        return {**_said(subject), "is_attested": subject.attested_at is not None}

    def title(self, subject: ValueCase, proposed: Values) -> str:  # noqa: ARG002
        return f"Attest version {subject.version} of the value case"

    def rows(self, subject: ValueCase, standing: Values, proposed: Values) -> list[Row]:  # noqa: ARG002
        """Whoever attests sees the grade's name and never its rate."""
        facts = [
            ("Version", str(subject.version)),
            ("One useful answer", proposed.get("output_unit", "")),
            *((LABELS.get(name, name), _range(said)) for name, said in proposed["assumptions"].items()),
            ("Whose time", str(subject.grade or "")),
            ("Who checks", str(subject.review_grade or "")),
            ("Counts from", _day(proposed["valid_from"])),
            ("Until", _day(proposed["expires"])),
            ("Evidence", subject.evidence_link or ("a file" if subject.evidence_file_id else "")),
            ("Owner", subject.owner.name),
        ]
        return [Row("State", "does not count", "attested, counts"), *(Row(label, said, said) for label, said in facts)]

    def apply(self, change: Applying) -> None:
        services.mark_attested(actor=change.decider, case=change.subject, decision_id=change.decision_id)


def _said(case: ValueCase) -> Values:
    """Everything that the version says, as JSON."""
    return {
        "version": case.version,
        "output_unit": case.workload.output_unit,
        "assumptions": case.assumptions,
        "grade": case.grade_id,
        "review_grade": case.review_grade_id,
        "evidence_link": case.evidence_link,
        "evidence_file": case.evidence_file_id,
        "owner": case.owner_id,
        "valid_from": case.valid_from.isoformat(),
        "expires": case.expires.isoformat(),
    }


def _day(iso: str) -> str:
    return f"{date.fromisoformat(iso):%-d %b %Y}"


def _range(said: Any) -> str:
    """1.5 to 3, likely 2; a single figure as it is."""
    if not isinstance(said, Mapping):
        return str(said)
    low, base, high = (said.get(name) for name in ("low", "base", "high"))
    return f"{low} to {high}, likely {base}" if base is not None else ""

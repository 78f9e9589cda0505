"""What waits, for whom, who may decide it and who may not."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, models
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts import rights
from apps.accounts.models import Role
from apps.approvals import kind as kinds
from apps.approvals.kind import Row
from apps.approvals.models import Barred, Confirmation, Decision
from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.workloads.models import Workload

_BARRED: Final = {
    "asked": "asked for this",
    "receives": "would receive this",
    "wrote": "wrote a part of this",
    "named": "are named in this",
    "owned": "own the use case, or did in the last 90 days",
    "edited": "edited the use case in the last 90 days",
    "attested": "attested the use case in the last 90 days",
}
BARRIERS: Final[dict[str, str]] = {str(value): str(label) for value, label in Barred.Why.choices}
_SHOWN: Final = ("workload", "asked_by", "decision__person", "decision__acted_for", "replaced_by")
_SEATS: Final = """
SELECT p.id, p.name,
       approvals_barrier(p.id, %(about)s) AS barrier,
       approvals_holds(p.id, %(about)s, %(roles)s) AS holds,
       approvals_holds(p.id, %(about)s, %(stand_ins)s) AS stands_in,
       coalesce(holder.name, '')
  FROM accounts_person p
  LEFT JOIN accounts_person holder ON holder.id = approvals_acts_for(p.id, %(about)s)
 WHERE p.active AND (
       EXISTS (SELECT FROM accounts_role_grant g WHERE g.person_id = p.id AND g.role = ANY (%(all)s))
       OR p.id IN (SELECT b.person_id FROM approvals_barred b WHERE b.confirmation_id = %(about)s)
       OR p.id IN (SELECT b.person_id FROM approvals_barred b WHERE b.workload_id = %(workload)s)
       OR p.id IN (SELECT unnest(ARRAY[w.business_owner_id, w.technical_owner_id, w.budget_owner_id])
                     FROM workloads_workload w WHERE w.id = %(workload)s))
 ORDER BY p.name, p.id
"""
_OF_HOLDER: Final = {
    **_BARRED,
    "named": "is named in this",
    "owned": "owns the use case, or did in the last 90 days",
}
# As approvals_behind, with those alone whom something bars.
_HOLDERS: Final = """
SELECT holder.name, approvals_barrier(holder.id, about.id)
  FROM approvals_confirmation about, accounts_role_grant g
  JOIN accounts_role_grant own ON own.id = g.passed_on_from_id
  JOIN accounts_person holder ON holder.id = own.person_id
  LEFT JOIN accounts_cost_centre granted ON granted.id = g.cost_centre_id
 WHERE about.id = %s AND g.person_id = %s AND g.role = ANY (%s)
   AND g.valid_from <= clock_timestamp() AND g.valid_to > clock_timestamp()
   AND own.valid_from <= about.asked_at AND own.granted_at <= about.asked_at
   AND (g.cost_centre_id IS NULL OR (about.workload_id IS NULL AND NOT %s)
        OR EXISTS (SELECT FROM workloads_workload w JOIN accounts_cost_centre paying ON paying.id = w.cost_centre_id
                    WHERE w.id = about.workload_id AND starts_with(paying.path, granted.path)))
   AND approvals_barrier(holder.id, about.id) IS NOT NULL
 ORDER BY holder.name LIMIT 1
"""
_ACTS_FOR: Final = """
SELECT c.id, holder.name FROM approvals_confirmation c
  JOIN accounts_person holder ON holder.id = approvals_acts_for(%s, c.id)
 WHERE c.id = ANY (%s)
   AND EXISTS (SELECT FROM accounts_role_grant g WHERE g.person_id = %s AND g.passed_on_from_id IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A confirmation as a list shows it."""

    confirmation: Confirmation
    subject: Any
    title: str
    icon: str
    label: str

    @property
    def name(self) -> str:
        """What it is about, as the head of a row."""
        workload = self.confirmation.workload
        return workload.name if workload else str(self.subject)


@dataclass(frozen=True, slots=True)
class Seat:
    """A person beside a confirmation: who may decide (`why_not` is empty), or why not.

    `acts_for` is whose role it is, where it was passed on to them.
    """

    person_id: int
    name: str
    why_not: str
    acts_for: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Who decides and who cannot; `roles` in words is who could be given the seat when nobody may."""

    may: list[Seat]
    barred: list[Seat]
    roles: str
    is_standing_in: bool


def visible(actor: Actor) -> QuerySet[Confirmation]:
    """What the actor asked for, may decide, or sees the subject of."""
    found = Confirmation.objects.select_related(*_SHOWN)
    if actor.is_machine:
        return found
    person = actor.person_id or 0
    held = rights.rights_of(actor)
    open_kinds = [k.name for k in kinds.registry().values() if k.seen_with and held.may(k.seen_with)]
    seen = Q(asked_by_id=person) | Q(kind__in=open_kinds) | Q(decision__person_id=person)
    seen |= Q(kind="role", subject_id=person)
    seen |= Q(workload__in=Workload.objects.money_visible_to(actor).values("pk"))
    return found.filter(seen) if held.is_member else found.none()


def get_confirmation_for(*, actor: Actor, pk: int) -> Confirmation:
    found = visible(actor).filter(pk=pk).first()
    if found is None:
        raise NotFound("This confirmation does not exist.")
    return found


def to_decide(actor: Actor) -> QuerySet[Confirmation]:
    """What waits for this person's decision, the oldest first."""
    found = Confirmation.objects.select_related(*_SHOWN)
    if not could_ever_decide(actor):
        return found.none()
    return found.decidable_by(actor.person_id)


def count_to_decide(actor: Actor) -> int:
    return to_decide(actor).count()


def waiting_for(actor: Actor, *, limit: int) -> list[Proposal]:
    """The oldest that wait for this person, for the list of what to do."""
    return proposals(to_decide(actor)[:limit]) if could_ever_decide(actor) else []


def could_ever_decide(actor: Actor) -> bool:
    """Without a query for those who hold no role that decides anything."""
    if actor.person_id is None:
        return False
    wanted = {role for k in kinds.registry().values() for role in kinds.roles_with((*k.deciders, *k.stand_ins))}
    return bool(wanted & rights.rights_of(actor).roles)


def waiting_elsewhere(actor: Actor) -> QuerySet[Confirmation]:
    """What the actor sees waiting for somebody else."""
    waiting = visible(actor).filter(state=Confirmation.State.WAITING)
    return waiting.exclude(pk__in=to_decide(actor).values("pk")) if could_ever_decide(actor) else waiting


def settled(actor: Actor) -> QuerySet[Confirmation]:
    return visible(actor).exclude(state=Confirmation.State.WAITING).order_by("-settled_at", "-pk")


def waiting_about(subject: models.Model, *, kind: str = "") -> list[Proposal]:
    """Proposals that wait about one subject (for a workload: about anything of it), for the page that shows it."""
    waiting = Confirmation.objects.waiting().select_related("workload", "asked_by")
    about = Q(subject_kind=subject._meta.label_lower, subject_id=subject.pk)  # noqa: SLF001
    if isinstance(subject, Workload):
        about |= Q(workload=subject)
    found = waiting.filter(about)
    return proposals(found.filter(kind=kind) if kind else found)


def proposals(confirmations: Iterable[Confirmation]) -> list[Proposal]:
    """With subjects and titles: one query for each kind that occurs."""
    rows = [row for row in confirmations if row.kind in kinds.registry()]
    ids: dict[str, list[int]] = {}
    for row in rows:
        ids.setdefault(row.kind, []).append(row.subject_id)
    subjects = {name: kinds.get(name).subjects(wanted) for name, wanted in ids.items()}
    return [_proposal(row, subjects[row.kind].get(row.subject_id)) for row in rows]


def _proposal(row: Confirmation, subject: Any) -> Proposal:
    known = kinds.get(row.kind)
    title = known.title(subject, row.proposed) if subject else known.label
    return Proposal(row, subject, title, known.icon, known.label)


def rows_of(proposal: Proposal) -> list[Row]:
    """What changes, before and after, in words; empty where the subject is gone."""
    if proposal.subject is None:
        return []
    row = proposal.confirmation
    return kinds.get(row.kind).rows(proposal.subject, row.standing, row.proposed)


def has_moved(proposal: Proposal) -> bool:
    """Whether what stands is no longer what stood when it was asked for."""
    row = proposal.confirmation
    if proposal.subject is None:
        return True
    stands: dict[str, Any] = row.standing
    return kinds.get(row.kind).stands(proposal.subject, row.proposed) != stands


def why_not(actor: Actor, confirmation: Confirmation) -> str:
    """Why the actor may not decide it, as a sentence; empty when they may."""
    known = kinds.get(confirmation.kind)
    person = actor.person_id or 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT approvals_barrier(%s, %s), approvals_may_decide(%s, %s)",
            [person, confirmation.pk, person, confirmation.pk],
        )
        barrier, may = cursor.fetchone()
    if barrier:
        return f"You {_BARRED[barrier]}; somebody else decides."
    # The rights of a role may have become less since it was asked for.
    roles = set(kinds.roles_with((*known.deciders, *known.stand_ins)))
    if may and roles & rights.rights_of(actor).roles:
        return ""
    if holder := _barred_holder(person, confirmation):
        name, barrier = holder
        return f"You would decide for {name}, who {_OF_HOLDER[barrier]}; somebody else decides."
    reach = " for the whole organisation" if known.of_all else ""
    return f"This is decided by the role {roles_in_words(confirmation)}{reach}, given before it was asked for."


def _barred_holder(person: int, confirmation: Confirmation) -> tuple[str, str] | None:
    """Name and barrier of somebody whose role the person has for a time, and who may not decide it themselves."""
    roles = [*confirmation.roles, *confirmation.stand_ins]
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS, [confirmation.pk, person, roles, kinds.get(confirmation.kind).of_all])
        found: tuple[str, str] | None = cursor.fetchone()
    return found


def act_for(actor: Actor, confirmations: Iterable[Confirmation]) -> dict[int, str]:
    """By confirmation, whose role it is by which the actor may decide it, where it is not their own."""
    ids = [row.pk for row in confirmations]
    if not ids or actor.person_id is None:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_ACTS_FOR, [actor.person_id, ids, actor.person_id])
        return dict(cursor.fetchall())


def may_decide(actor: Actor, confirmation: Confirmation) -> bool:
    return confirmation.is_waiting and not why_not(actor, confirmation)


def may_withdraw(actor: Actor, confirmation: Confirmation) -> bool:
    """Whoever asked; and whoever could ask for the same, since people leave."""
    if actor.person_id is None:
        return False
    if actor.person_id == confirmation.asked_by_id:
        return True
    known = kinds.get(confirmation.kind)
    subject = known.subjects([confirmation.subject_id]).get(confirmation.subject_id)
    return bool(subject) and known.may_ask(actor, subject)


def table_of(confirmation: Confirmation) -> Table:
    """Who may decide, who may not and why; one query."""
    parameters = {
        "about": confirmation.pk,
        "workload": confirmation.workload_id,
        "roles": confirmation.roles,
        "stand_ins": confirmation.stand_ins,
        "all": [*confirmation.roles, *confirmation.stand_ins],
    }
    with connection.cursor() as cursor:
        cursor.execute(_SEATS, parameters)
        found = cursor.fetchall()
    barred = [Seat(pk, name, BARRIERS[barrier]) for pk, name, barrier, _, _, _ in found if barrier]
    first = [Seat(pk, name, "", whose) for pk, name, barrier, holds, _, whose in found if holds and not barrier]
    second = [Seat(pk, name, "", whose) for pk, name, barrier, _, stands, whose in found if stands and not barrier]
    standing_in = bool(second and not first)
    return Table(first or second, barred, roles_in_words(confirmation), standing_in)


def roles_in_words(confirmation: Confirmation) -> str:
    names = [
        str(Role(role).label)
        for role in dict.fromkeys((*confirmation.roles, *confirmation.stand_ins))
        if role in Role.values
    ]
    *others, last = names or ["Administrator"]
    return f"{', '.join(others)} or {last}" if others else last


def is_expired(confirmation: Confirmation) -> bool:
    return confirmation.is_waiting and confirmation.expires_at <= timezone.now()


def decision_of(confirmation: Confirmation) -> Decision | None:
    return getattr(confirmation, "decision", None)


def administrators() -> list[str]:
    return list(rights.administrators().values_list("name", flat=True)[:2])

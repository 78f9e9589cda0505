"""Who may do what. The table of the design, as data; every page, endpoint and query asks here.

Rights come from dated roles and from nothing else. A role in a cost centre reaches everything below it. What belongs
to no cost centre (sources, prices, what is unallocated) goes with the role itself, wherever it is held.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from django.db import models
from django.db.models.functions import Coalesce, Now

from apps.accounts.models import CostCentre, Person, Role, RoleGrant
from apps.core.actor import Actor
from apps.core.errors import NotAllowed


class Right(StrEnum):
    SEE_REGISTER = "see the register"
    REGISTER = "register a use case"
    SEE_MONEY = "see cost and usage"
    SEE_GRADES = "see hourly rates of people"
    SEE_SOURCES = "see sources and imports"
    MANAGE_SOURCES = "manage sources and imports"
    SEE_UNALLOCATED = "see what is unallocated"
    ALLOCATE = "say whose usage is"
    SEE_RATES = "see prices"
    EDIT_RATES = "edit prices"
    MANAGE_TOKENS = "make API tokens"
    SET_BUDGETS = "set budgets"
    DECIDE = "decide requests"
    SEE_REVIEWS = "read the monthly review"
    PREPARE_REVIEWS = "prepare the monthly review"
    REVIEW = "decide and sign the monthly review"
    SEE_PEOPLE = "see people and settings"
    MANAGE_PEOPLE = "manage people and cost centres"
    MANAGE_SETTINGS = "change settings"
    READ_AUDIT = "read the audit trail of everybody"


MEMBER = frozenset({Right.SEE_REGISTER, Right.REGISTER})
_READ_ALL = frozenset(
    {
        Right.SEE_MONEY,
        Right.SEE_SOURCES,
        Right.SEE_UNALLOCATED,
        Right.SEE_RATES,
        Right.SEE_REVIEWS,
        Right.SEE_PEOPLE,
        Right.READ_AUDIT,
    }
)
_MANAGE = frozenset(
    {
        Right.SEE_SOURCES,
        Right.MANAGE_SOURCES,
        Right.SEE_UNALLOCATED,
        Right.ALLOCATE,
        Right.SEE_RATES,
        Right.EDIT_RATES,
        Right.SET_BUDGETS,
        Right.MANAGE_TOKENS,
        Right.SEE_GRADES,
    }
)
BY_ROLE: dict[Role, frozenset[Right]] = {
    Role.PLATFORM_ENGINEER: frozenset({Right.SEE_MONEY, Right.SEE_SOURCES, Right.MANAGE_SOURCES, Right.MANAGE_TOKENS}),
    Role.ANALYST: _MANAGE | {Right.SEE_MONEY, Right.SEE_REVIEWS, Right.PREPARE_REVIEWS},
    Role.APPROVER: frozenset({Right.SEE_MONEY, Right.DECIDE, Right.SEE_REVIEWS}),
    Role.REVIEWER: frozenset({Right.SEE_MONEY, Right.SEE_REVIEWS, Right.REVIEW}),
    Role.AUDITOR: _READ_ALL,
    Role.ADMINISTRATOR: _READ_ALL | _MANAGE | {Right.MANAGE_PEOPLE, Right.MANAGE_SETTINGS},
}
SEES_ALL_MONEY = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})
SEES_MONEY = frozenset(role for role, rights in BY_ROLE.items() if Right.SEE_MONEY in rights)
# The clock and the commands see and manage everything, but a decision is made by a person.
MACHINE = frozenset(Right) - {Right.DECIDE, Right.REVIEW}


@dataclass(frozen=True, slots=True)
class Rights:
    """What an actor may do now. `paths` are the cost centres of the roles that show money; a prefix is a subtree."""

    is_member: bool
    roles: frozenset[Role]
    rights: frozenset[Right]
    sees_all_money: bool
    paths: frozenset[str] = frozenset()

    def may(self, right: Right) -> bool:
        return right in self.rights

    def sees_money_of(self, cost_centre: CostCentre | None) -> bool:
        """Whether a role shows the money of a cost centre; owning a workload is another way to see its money."""
        if self.sees_all_money:
            return True
        return cost_centre is not None and any(cost_centre.path.startswith(path) for path in self.paths)


NOBODY = Rights(is_member=False, roles=frozenset(), rights=frozenset(), sees_all_money=False)
_OF_MACHINES = Rights(is_member=False, roles=frozenset(), rights=MACHINE, sees_all_money=True)
_remembered: ContextVar[dict[int, Rights] | None] = ContextVar("rights", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """Ask the database once per person inside this block: one request, one task."""
    token = _remembered.set({})
    try:
        yield
    finally:
        _remembered.reset(token)


def forget() -> None:
    """Called by whatever changes roles, so that the rest of the request sees the change."""
    known = _remembered.get()
    if known is not None:
        known.clear()


def rights_of(actor: Actor) -> Rights:
    """The rights of an actor now: one query, and none when remembered."""
    if actor.is_machine:
        return _OF_MACHINES
    if actor.person_id is None:
        return NOBODY
    known = _remembered.get()
    if known is None:
        return _read(actor.person_id)
    if actor.person_id not in known:
        known[actor.person_id] = _read(actor.person_id)
    return known[actor.person_id]


def require(actor: Actor, right: Right) -> None:
    """Refuse with a sentence that says what is missing and who can give it."""
    if not rights_of(actor).may(right):
        raise NotAllowed(f"You may not {right}.", hint=who_can_give(right))


def holds(actor: Actor, role: Role, cost_centre: CostCentre | None) -> bool:
    """Whether the actor has a role in a cost centre or above it; None asks for the whole organisation."""
    return _reaching(actor, role, cost_centre).exists()


def behind(actor: Actor, role: Role, cost_centre: CostCentre | None) -> frozenset[int]:
    """Whose role it is by which the actor acts there: their own, or that of those who passed it on to them."""
    holder = Coalesce("passed_on_from__person", "person")
    return frozenset(_reaching(actor, role, cost_centre).values_list(holder, flat=True))


def for_whom(actor: Actor, holders: Collection[int]) -> list[int]:
    """Of those behind a deed, for whom it is done; nobody where a role of the actor's own is among theirs."""
    return [] if actor.person_id in holders else sorted(holders)


def _reaching(actor: Actor, role: Role, cost_centre: CostCentre | None) -> models.QuerySet[RoleGrant]:
    at = models.Value(cost_centre.path if cost_centre else "", output_field=models.CharField())
    above = models.Q(cost_centre__isnull=True) | models.Q(at__startswith=models.F("cost_centre__path"))
    return _grants(actor).filter(role=role).alias(at=at).filter(above)


def who_can_give(right: Right) -> str:
    """'The roles Auditor and Administrator may; Ada Moss can give one to you.'"""
    roles = [role.label for role, rights in BY_ROLE.items() if right in rights]
    if not roles:
        return "Every person with an active account may; ask an administrator to invite you."
    names = list(administrators().values_list("name", flat=True)[:2])
    giver = " or ".join(names) if names else "An administrator"
    if len(roles) == 1:
        return f"The role {roles[0]} may; {giver} can give it to you."
    return f"The roles {', '.join(roles[:-1])} and {roles[-1]} may; {giver} can give one to you."


def administrators() -> models.QuerySet[Person]:
    held = RoleGrant.objects.in_force().filter(role=Role.ADMINISTRATOR, person=models.OuterRef("pk"))
    return Person.objects.filter(models.Exists(held)).order_by("name")


def sees_all(actor: Actor) -> models.Q:
    """A condition, not yet a query: the actor's roles show the money of the whole organisation."""
    if actor.is_machine:
        return models.Q(models.Value(True))
    everywhere = models.Q(role__in=SEES_ALL_MONEY) | models.Q(role__in=SEES_MONEY, cost_centre__isnull=True)
    return models.Q(models.Exists(_grants(actor).filter(everywhere)))


def cost_centres_visible(actor: Actor) -> models.QuerySet[CostCentre]:
    """Cost centres whose money the actor's roles show. Lazy: used as a subquery it costs no query of its own."""
    if actor.is_machine:
        return CostCentre.objects.all()
    return CostCentre.objects.filter(sees_all(actor) | models.Q(models.Exists(_granted_above(actor))))


def money_scope(actor: Actor, field: str) -> models.Q:
    """A condition on the foreign key `field` to a cost centre: rows whose money the actor's roles show.

    Rows without a cost centre are shown to those who see all.
    """
    if actor.is_machine:
        return sees_all(actor)
    below = CostCentre.objects.filter(models.Exists(_granted_above(actor)))
    return sees_all(actor) | models.Q(**{f"{field}__in": below.values("pk")})


def _granted_above(actor: Actor) -> models.QuerySet[RoleGrant]:
    """For a subquery over cost centres: grants that show money there or anywhere above."""
    below = models.ExpressionWrapper(models.OuterRef("path"), output_field=models.CharField())
    return (
        _grants(actor)
        .filter(role__in=SEES_MONEY)
        .alias(below=below)
        .filter(below__startswith=models.F("cost_centre__path"))
    )


def _grants(actor: Actor) -> models.QuerySet[RoleGrant]:
    return RoleGrant.objects.in_force().filter(person_id=actor.person_id or 0)


def _read(person_id: int) -> Rights:
    in_force = models.Q(grants__valid_from__lte=Now()) & (
        models.Q(grants__valid_to__isnull=True) | models.Q(grants__valid_to__gt=Now())
    )
    rows = list(
        Person.objects.filter(pk=person_id, active=True)
        .annotate(held=models.FilteredRelation("grants", condition=in_force))
        .values_list("held__role", "held__cost_centre__path")
    )
    return _from_grants([(Role(role), path) for role, path in rows if role]) if rows else NOBODY


def _from_grants(grants: list[tuple[Role, str | None]]) -> Rights:
    roles = frozenset(role for role, _ in grants)
    shown = [(role, path) for role, path in grants if role in SEES_MONEY]
    return Rights(
        is_member=True,
        roles=roles,
        rights=MEMBER.union(*(BY_ROLE[role] for role in roles)),
        sees_all_money=any(path is None for _, path in shown),
        paths=frozenset(path for _, path in shown if path),
    )

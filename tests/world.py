"""The small known company of the tests: three cost centres, eight people, one of each kind.

Operations            Legal
  Care

Ada   administrator                      Ben   business owner of what others register; no role
Cleo  FinOps analyst for Operations      Dan   platform engineer for Operations
Eve   a member and nothing else          Finn  auditor
Gus   approver for Legal                 Hana  reviewer for Operations
"""

from dataclasses import dataclass, fields
from functools import cache

from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.test import Client

from apps.accounts.models import Account, CostCentre, Person, Role, RoleGrant
from apps.core.actor import Actor

PASSWORD = "correct horse battery staple"
MACHINE = Actor.command("test")


@dataclass(frozen=True)
class World:
    operations: CostCentre
    care: CostCentre
    legal: CostCentre
    ada: Person
    ben: Person
    cleo: Person
    dan: Person
    eve: Person
    finn: Person
    gus: Person
    hana: Person

    @property
    def people(self) -> dict[str, Person]:
        """Every person by the name of the field: {'ada': ...}."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Person)}


def make_world() -> World:
    operations = make_cost_centre("OPS", "Operations")
    legal = make_cost_centre("LEG", "Legal")
    world = World(
        operations=operations,
        care=make_cost_centre("CARE", "Care", parent=operations),
        legal=legal,
        ada=make_member("Ada Moss"),
        ben=make_member("Ben Okoro"),
        cleo=make_member("Cleo Park"),
        dan=make_member("Dan Reyes"),
        eve=make_member("Eve Stone"),
        finn=make_member("Finn Weber"),
        gus=make_member("Gus Lind"),
        hana=make_member("Hana Ito"),
    )
    give(world.ada, Role.ADMINISTRATOR, by=None)
    give(world.cleo, Role.ANALYST, operations, by=world.ada)
    give(world.dan, Role.PLATFORM_ENGINEER, operations, by=world.ada)
    give(world.finn, Role.AUDITOR, by=world.ada)
    give(world.gus, Role.APPROVER, legal, by=world.ada)
    give(world.hana, Role.REVIEWER, operations, by=world.ada)
    return world


def make_member(name: str, email: str = "") -> Person:
    """A person with one account: 'Ada Moss' logs in as ada@example.com with PASSWORD."""
    email = email or f"{name.split(maxsplit=1)[0].lower()}@example.com"
    person = Person.objects.create(name=name, email=email)
    make_account(person, email)
    return person


def make_account(person: Person, email: str) -> Account:
    return Account.objects.create(person=person, email=email, password=_hashed_password())


def make_cost_centre(code: str, name: str, parent: CostCentre | None = None) -> CostCentre:
    centre = CostCentre.objects.create(code=code, name=name, parent=parent)
    centre.path = f"{parent.path if parent else '/'}{centre.pk}/"
    centre.save()
    return centre


def give(person: Person, role: Role, cost_centre: CostCentre | None = None, *, by: Person | None) -> RoleGrant:
    """As if another administrator had confirmed it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        grant = RoleGrant.objects.create(person=person, role=role, cost_centre=cost_centre, granted_by=by)
        cursor.execute("SET LOCAL session_replication_role = origin")
    return grant


def actor(person: Person) -> Actor:
    """The person at a web page."""
    return Actor(person_id=person.pk, label=person.name, channel="web")


def log_in(person: Person) -> Client:
    """A browser in which the person is logged in; it keeps to CSRF only when asked."""
    client = Client()
    client.force_login(person.accounts.earliest("pk"))
    return client


@cache
def _hashed_password() -> str:
    return make_password(PASSWORD)

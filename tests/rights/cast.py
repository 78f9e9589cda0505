"""Who asks, and for what: the known company of tests/world.py with one object of each kind on either side.

Everything exists twice: once in Care, which lies below Operations and is Ben's, and once in Legal, which is Otto's.
Each holds words and figures that stand nowhere else, so that an answer which shows too much gives itself away.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import ApiToken, Person, Role, SavedView, TokenScope
from apps.accounts.secrets import digest
from apps.approvals import services as approvals
from apps.budgets import services as budgets
from apps.catalog.models import LatencyBand, Rate, ValueTier
from apps.core import organisation
from apps.costs import attribution
from apps.economics import services as economics
from apps.economics.models import Evidence, Outcome, ValueCase
from apps.reviews import services as reviews
from apps.reviews.models import Action
from apps.sources.models import Pull
from apps.usage.models import Identity
from apps.workloads import services as workloads
from apps.workloads.models import BEGINNING, END, Workload, WorkloadRevision
from tests.books import (
    OCTOBER,
    add_hour,
    at,
    make_identity,
    make_offering,
    make_pull,
    make_series,
    make_source,
    make_workload,
    prices,
    rate_all,
)
from tests.world import MACHINE, World, actor, give, make_member, make_world


class Who(StrEnum):
    """Somebody who asks, as seen from the object; `elsewhere` is the same role in another cost centre."""

    VISITOR = "visitor"
    MEMBER = "member"
    OWNER = "owner of the object"
    OWNER_ELSEWHERE = "owner of something else"
    ENGINEER = "platform engineer"
    ENGINEER_ELSEWHERE = "platform engineer elsewhere"
    ANALYST = "analyst in scope"
    ANALYST_ELSEWHERE = "analyst out of scope"
    APPROVER = "approver in scope"
    APPROVER_ELSEWHERE = "approver out of scope"
    REVIEWER = "reviewer in scope"
    REVIEWER_ELSEWHERE = "reviewer out of scope"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


CARE_DOLLARS, LEGAL_DOLLARS, LOOSE_DOLLARS = 777_331, 555_113, 999_773


@dataclass(frozen=True)
class Side:
    """One half of the company: who is who from there, and the objects by the names that the table uses."""

    name: str
    people: dict[Who, Person]
    objects: dict[str, Any]


@dataclass(frozen=True)
class Secret:
    """Words that only some may read. Who they are is said from the side whose object it is."""

    side: str
    what: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Cast:
    world: World
    care: Side
    legal: Side
    secrets: tuple[Secret, ...]
    tokens: dict[tuple[str, Who], str]
    sessions: dict[int, str]

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.care, self.legal


def make_cast() -> Cast:
    organisation.get()
    world = make_world()
    people = _people(world)
    books = _Books(world, people["otto"])
    care = Side("care", _seen_from_care(world, people), books.objects("care"))
    legal = Side("legal", _seen_from_legal(world, people), books.objects("legal"))
    rate_all()
    economics.recompute_dirty()
    _review(world, care, legal)
    everybody = {person.pk: person for side in (care, legal) for person in side.people.values()}
    return Cast(
        world=world,
        care=care,
        legal=legal,
        secrets=tuple(_secrets(world, people)),
        tokens={(side.name, who): make_token(person) for side in (care, legal) for who, person in side.people.items()},
        sessions={pk: _session(person) for pk, person in everybody.items()},
    )


def _review(world: World, care: Side, legal: Side) -> None:
    """October's review, in which either side spent more than it may, and was given something to do about it."""
    for side in (care, legal):
        workload = Workload.objects.get(pk=side.objects["workload_pk"])
        budgets.set_budget(actor=MACHINE, owner=workload, month=OCTOBER.date(), amount=Decimal(1))
    cycle = reviews.open_cycle(actor=MACHINE, month=OCTOBER.date(), now=timezone.now())
    for side in (care, legal):
        item = cycle.items.get(workload=side.objects["workload_pk"], kind="over_budget")
        told = {
            "what": "optimise",
            "reason": f"canary-{side.name}-reason",
            "by": world.hana,
            "key": f"cast-{side.name}",
        }
        disposition = item.dispositions.create(**told)
        promise = {"title": f"canary-{side.name}-reason", "due": timezone.localdate(), "baseline_month": cycle.month}
        action = Action.objects.create(
            item=item,
            disposition=disposition,
            workload=item.workload,
            owner=side.people[Who.OWNER],
            **promise,
        )
        side.objects.update(item=item.pk, action=action.pk, review="2026-10")


def _session(person: Person) -> str:
    client = Client()
    client.force_login(person.accounts.get())
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def _people(world: World) -> dict[str, Person]:
    """Those whom tests/world.py lacks: the owner of the other side, and each scoped role there."""
    people = {
        "otto": make_member("Otto Lang"),
        "dora": make_member("Dora Fink"),
        "lia": make_member("Lia Costa"),
        "gia": make_member("Gia Rossi"),
        "rolf": make_member("Rolf Beck"),
    }
    give(people["dora"], Role.PLATFORM_ENGINEER, world.legal, by=world.ada)
    give(people["lia"], Role.ANALYST, world.legal, by=world.ada)
    give(people["gia"], Role.APPROVER, world.operations, by=world.ada)
    give(people["rolf"], Role.REVIEWER, world.legal, by=world.ada)
    return people


def _seen_from_care(world: World, people: dict[str, Person]) -> dict[Who, Person]:
    return {
        Who.MEMBER: world.eve,
        Who.OWNER: world.ben,
        Who.OWNER_ELSEWHERE: people["otto"],
        Who.ENGINEER: world.dan,
        Who.ENGINEER_ELSEWHERE: people["dora"],
        Who.ANALYST: world.cleo,
        Who.ANALYST_ELSEWHERE: people["lia"],
        Who.APPROVER: people["gia"],
        Who.APPROVER_ELSEWHERE: world.gus,
        Who.REVIEWER: world.hana,
        Who.REVIEWER_ELSEWHERE: people["rolf"],
        Who.AUDITOR: world.finn,
        Who.ADMINISTRATOR: world.ada,
    }


def _seen_from_legal(world: World, people: dict[str, Person]) -> dict[Who, Person]:
    """The same people with here and elsewhere exchanged."""
    care = _seen_from_care(world, people)
    pairs = {Who.OWNER: Who.OWNER_ELSEWHERE, Who.ENGINEER: Who.ENGINEER_ELSEWHERE, Who.ANALYST: Who.ANALYST_ELSEWHERE}
    pairs |= {Who.APPROVER: Who.APPROVER_ELSEWHERE, Who.REVIEWER: Who.REVIEWER_ELSEWHERE}
    other = {**pairs, **{there: here for here, there in pairs.items()}}
    return {who: care[other.get(who, who)] for who in care}


class _Books:
    """Objects of each kind, made as the services make them where that matters."""

    def __init__(self, world: World, otto: Person) -> None:
        self.world = world
        self.owners = {"care": world.ben, "legal": otto}
        self.centres = {"care": world.care, "legal": world.legal}
        self.offering = make_offering("own", "dollar")
        prices(self.offering, input="1.00", output="1.00")
        self.source = make_source()
        totals = {"rows_read": 2, "rows_rejected": 0, "requests": 20, "currency": "USD"}
        totals |= {"hours_written": 3, "hours_unchanged": 0}
        self.push = make_source("Push", kind="push")
        self.pull = make_pull(self.source, digest="9f3c" * 16, rows=2, totals=totals)
        self.running = make_pull(self.source, part="running.csv", state=Pull.State.QUEUED, finished_at=None)
        self.rejected = make_pull(self.source, part="poor.csv", rejected_path=str(_rejected_rows()))
        self.grade = economics.add_grade_with_rate(
            actor=MACHINE, name="Agent", hourly=Decimal(30), valid_from=date(2020, 1, 1)
        )
        self.loose = make_identity(self.source, "canary-loose-key")
        self._spend(self.loose, LOOSE_DOLLARS)
        self.invited = accounts.invite(actor=actor(world.ada), name="Ines Late", email="canary-invited@example.com")

    def objects(self, side: str) -> dict[str, Any]:
        workload = self._workload(side)
        draft = self._draft(side)
        bound = self._binding(workload, side)
        proposed = {"value_tier": ValueTier.objects.get(pk="T1")}
        asked = approvals.ask(
            actor=actor(self.owners[side]), kind="tier", subject=workload, proposed=proposed, reason="It grew"
        )
        return {
            "workload": workload.slug,
            "workload_pk": workload.pk,
            "draft": draft.slug,
            "draft_token": draft.slug.removeprefix("draft-"),
            "binding": bound.pk,
            "confirmation": asked.pk,
            "case_version": self._case(workload, side).version,
            "evidence": self._evidence(workload, side).pk,
            "outcome": self._outcome(workload, side).pk,
            "grade": self.grade.pk,
            "view": self._view(side).pk,
            "token": self._token(side).pk,
            "owner": self.owners[side].pk,
            "member": self.world.eve.pk,
            "member_grant": self.world.hana.grants.get().pk,
            "granted": self.world.hana.pk,
            "invited": self.invited.invitation.person_id,
            "invitation": self.invited.secret,
            "centre": self.centres[side].pk,
            "source": self.source.slug,
            "pull": self.pull.pk,
            "running_pull": self.running.pk,
            "rejected_pull": self.rejected.pk,
            "identity": self.loose.pk,
            "offering": self.offering.pk,
            "rate": Rate.objects.filter(offering=self.offering, scope=Rate.Scope.CONTRACT).earliest("pk").pk,
        }

    def _workload(self, side: str) -> Workload:
        owner = self.owners[side]
        owners = dict.fromkeys(("business_owner", "technical_owner", "budget_owner"), owner)
        workload = make_workload(f"{side.title()} summaries", self.world, cost_centre=self.centres[side], **owners)
        WorkloadRevision.objects.create(
            workload=workload,
            version=1,
            value_tier=ValueTier.objects.get(pk="T2"),
            latency_band=LatencyBand.objects.get(limit_ms=2000),
        )
        identity = make_identity(self.source, f"canary-{side}-key", (BEGINNING, END, workload))
        self._spend(identity, {"care": CARE_DOLLARS, "legal": LEGAL_DOLLARS}[side])
        return workload

    def _case(self, workload: Workload, side: str) -> ValueCase:
        """Why it is worth it, as its owner says; nobody has attested it."""
        nothing, some = {"low": "0", "base": "0", "high": "0"}, {"low": "0.1", "base": "0.2", "high": "0.3"}
        return economics.write_case(
            actor=actor(self.owners[side]),
            workload=workload,
            assumptions={"minutes_saved": some, "realisation": some, "review_minutes": nothing},
            grade=self.grade,
            owner=self.owners[side],
            valid_from=date(2026, 1, 1),
            expires=date(2027, 6, 1),
            evidence_link=f"https://example.com/canary-{side}-study",
        )

    def _evidence(self, workload: Workload, side: str) -> Evidence:
        content = f"canary-{side}-evidence".encode()
        return economics.add_evidence(
            actor=actor(self.owners[side]), workload=workload, name="study.txt", content=content
        )

    def _outcome(self, workload: Workload, side: str) -> Outcome:
        entry = economics.OutcomeEntry(workload, date(2026, 9, 1), date(2026, 10, 1), 50, 40)
        economics.record_outcomes(actor=actor(self.owners[side]), entries=[entry], today=date(2026, 11, 24))
        return Outcome.objects.get(workload=workload)

    def _draft(self, side: str) -> Workload:
        return workloads.start_draft(actor=actor(self.owners[side]), name=f"Canary draft of {side}")

    def _binding(self, workload: Workload, side: str) -> Any:
        return attribution.bind(actor=MACHINE, workload=workload, pairs=[["key", f"canary-{side}-key"]], source=None)

    def _view(self, side: str) -> SavedView:
        return SavedView.objects.create(
            person=self.owners[side], page="workloads:list", name=f"canary-{side}-view", query="q=x"
        )

    def _token(self, side: str) -> ApiToken:
        return ApiToken.objects.create(
            person=self.owners[side],
            name=f"canary-{side}-token",
            prefix="tg_canary",
            sha256=f"{side:0<64}",
            scopes=["read"],
            expires_at=timezone.now() + timedelta(days=30),
        )

    def _spend(self, identity: Identity, dollars: int) -> None:
        series = make_series(self.pull, identity, self.offering)
        add_hour(self.pull, series, at(5), requests=10, input=dollars * 1_000_000, cached=0, output=0)


def _rejected_rows() -> Path:
    """A file as the reading leaves it beside the import."""
    path = Path(settings.TOLLGATE_HOME) / "rejected-of-the-cast.csv.gz"
    path.write_bytes(gzip.compress(b"line,reason,row\n2,bad,canary\n"))
    return path


def _secrets(world: World, people: dict[str, Person]) -> Iterator[Secret]:
    yield Secret("care", "money", ("canary-care-reason",))
    yield Secret("legal", "money", ("canary-legal-reason",))
    yield Secret("care", "money", ("777,331", "777331", "$777"))
    yield Secret("legal", "money", ("555,113", "555113", "$555"))
    yield Secret("care", "key", ("canary-care-key",))
    yield Secret("legal", "key", ("canary-legal-key",))
    yield Secret("care", "unallocated", ("canary-loose-key", "999,773", "999773", "$999"))
    yield Secret("care", "money", ("canary-care-study", "canary-care-evidence"))
    yield Secret("legal", "money", ("canary-legal-study", "canary-legal-evidence"))
    yield Secret("care", "draft", ("Canary draft of care",))
    yield Secret("legal", "draft", ("Canary draft of legal",))
    yield Secret("care", "view", ("canary-care-view",))
    yield Secret("legal", "view", ("canary-legal-view",))
    yield Secret("care", "people", ("canary-invited@example.com",))


def make_token(person: Person, **values: Any) -> str:
    """A token with every scope for the person, whatever their role: it must not lift them."""
    plain = f"tg_{person.pk}_{ApiToken.objects.count()}"
    told = {
        "name": "test",
        "prefix": plain[:10],
        "sha256": digest(plain),
        "scopes": list(TokenScope.values),
        "expires_at": timezone.now() + timedelta(days=1),
    }
    ApiToken.objects.create(person=person, **{**told, **values})
    return plain

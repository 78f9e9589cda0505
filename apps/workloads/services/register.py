"""From a draft to an active workload, and every later word about it.

A page that was opened before somebody else saved sends the version that it showed. What only one of the two changed is
merged; where both changed the same field to different values, nothing is saved and both values are told.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Unpack

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.text import slugify

from apps.accounts import rights
from apps.accounts.models import Person
from apps.accounts.rights import Right
from apps.accounts.services import is_founding
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import AuditEvent
from apps.workloads import fields
from apps.workloads.fields import CARD, DRAFTED, NOTED, PROMISE, REVISED, Card, Revised, Values
from apps.workloads.models import Workload, WorkloadRevision

OWNERS: Final = ("business_owner_id", "technical_owner_id", "budget_owner_id")
SLUG_LENGTH: Final = 72
SLUG_LOCK: Final = 7_305
# Addresses under /workloads/ that pages have.
NOT_SLUGS: Final = frozenset({"new", "import", "views", "register", "likely"})


@dataclass(frozen=True, slots=True)
class Clash:
    """A field that two people changed: what stands now, and what the second one wanted."""

    field: str
    label: str
    stands: str
    wanted: str


class StaleEdit(Conflict):
    """Somebody saved the same fields in the meantime; `clashes` tells both values of each."""

    def __init__(self, clashes: list[Clash], version: int) -> None:
        names = ", ".join(clash.label.lower() for clash in clashes)
        super().__init__(
            f"Somebody else changed {names} while you were editing.",
            hint="Look at both values and save again what you want to stand.",
        )
        self.clashes = clashes
        self.version = version


def may_edit(actor: Actor, workload: Workload) -> bool:
    """Its owners, and whoever drafts it. Administrators clear up drafts and name owners where none is left."""
    if actor.is_machine:
        return True
    if actor.person_id is None:
        return False
    is_draft = workload.state == Workload.State.DRAFT
    if actor.person_id in _owners(workload) or (is_draft and workload.created_by_id == actor.person_id):
        return True
    return rights.rights_of(actor).may(Right.MANAGE_PEOPLE) and (is_draft or not _has_owner(workload))


def may_report(actor: Actor, workload: Workload) -> bool:
    """Whoever may say what came out of it: its owners, and those who keep the books of its cost centre."""
    held = rights.rights_of(actor)
    return may_edit(actor, workload) or (held.may(Right.ALLOCATE) and held.sees_money_of(workload.cost_centre))


def _owners(workload: Workload) -> set[int]:
    named = (getattr(workload, owner) for owner in OWNERS)
    return {person_id for person_id in named if person_id is not None}


def _has_owner(workload: Workload) -> bool:
    return Person.objects.filter(pk__in=_owners(workload), active=True).exists()


def new_token() -> str:
    """What tells one form from another before anything of it is saved."""
    return secrets.token_hex(6)


def draft_slug(token: str) -> str:
    """The address of a draft. Raises BadInput for what is no token."""
    if not re.fullmatch(r"[0-9a-f]{12}", token):
        raise BadInput("This form has no valid address.", hint="Begin again with “Register a use case”.")
    return f"draft-{token}"


@transaction.atomic
def start_draft(
    *, actor: Actor, token: str = "", registered_for: dict[str, Any] | None = None, **values: Unpack[Values]
) -> Workload:
    """Begin a registration; a name is all it takes. `registered_for` is usage to bind later: source_id and pairs.

    A form has a `token` of its own from its first sight on, so that saving twice at once makes one draft.
    """
    rights.require(actor, Right.REGISTER)
    cleaned = fields.clean(values, DRAFTED)
    if not cleaned.get("name"):
        raise BadInput("Give the use case a name.", hint="The draft is kept from then on.")
    card = {name: value for name, value in cleaned.items() if name in NOTED}
    slug = draft_slug(token or new_token())
    draft, made = Workload.objects.get_or_create(
        slug=slug, defaults={"created_by_id": actor.person_id, "registered_for": registered_for, **card}
    )
    if not made:
        return save_draft(actor=actor, workload=draft, **values)
    promise = {name: value for name, value in cleaned.items() if name in PROMISE}
    WorkloadRevision.objects.create(workload=draft, version=1, recorded_by_id=actor.person_id, **promise)
    audit.record(actor=actor, verb="started draft", subject=draft, data={"name": draft.name})
    return draft


@transaction.atomic
def save_draft(
    *,
    actor: Actor,
    workload: Workload,
    version: int | None = None,
    differs_from: list[int] | None = None,
    **values: Unpack[Values],
) -> Workload:
    """Save any part of a draft. Raises StaleEdit where `version` is old and the same field was changed since."""
    draft = _locked(actor, workload)
    if draft.state != Workload.State.DRAFT:
        raise Conflict(f"{draft.name} is registered already.", hint="Edit it on its own page.")
    if differs_from is not None:
        draft.differs_from = sorted({*draft.differs_from, *differs_from})
    return _change(actor, draft, version, fields.clean(values, DRAFTED), verb="saved draft")


@transaction.atomic
def discard_draft(*, actor: Actor, workload: Workload) -> None:
    """Throw a draft away; nothing hangs on it yet."""
    draft = _locked(actor, workload)
    if draft.state != Workload.State.DRAFT:
        raise Conflict(f"{draft.name} is registered and cannot be discarded.", hint="Set its stage to sunset instead.")
    audit.record(actor=actor, verb="discarded draft", subject=draft, data={"name": draft.name})
    draft.revisions.all().delete()
    draft.delete()


@transaction.atomic
def activate(*, actor: Actor, workload: Workload, version: int | None = None) -> Workload:
    """Put a complete draft into the register. Raises BadInput that lists, in words, what is missing."""
    draft = _locked(actor, workload)
    if draft.state != Workload.State.DRAFT:
        return draft
    if version is not None and version != draft.version:
        raise Conflict("The draft was changed in the meantime.", hint="Read it once more, then register it.")
    missing = missing_of(draft)
    if missing:
        raise BadInput(f"{draft.name} cannot be registered yet. Missing: {', '.join(missing.values())}.")
    draft.slug = _free_slug(draft.name)
    draft.state = Workload.State.ACTIVE
    draft.activated_at = Now()
    draft.version += 1
    draft.save()
    draft.refresh_from_db()
    audit.record(actor=actor, verb="registered workload", subject=draft, data={"slug": draft.slug})
    return draft


@transaction.atomic
def register(*, actor: Actor, **values: Unpack[Values]) -> Workload:
    """Draft and activate in one go: for imports, and for whoever knows all the answers."""
    return activate(actor=actor, workload=start_draft(actor=actor, **values))


@transaction.atomic
def edit(*, actor: Actor, workload: Workload, version: int | None = None, **values: Unpack[Card]) -> Workload:
    """Change the card of a registered workload. A required field cannot be emptied.

    Its cost centre, what counts as a useful answer and the way back from its sunset take the decision of somebody
    else (`change_confirmed`); of the first two, a command on the machine asks nobody while `is_founding`.
    """
    current = _locked(actor, workload)
    if current.state == Workload.State.DRAFT:
        return save_draft(actor=actor, workload=current, version=version, **values)
    cleaned = fields.clean(values, CARD)
    emptied = [fields.REQUIRED[name] for name in fields.REQUIRED if name in cleaned and cleaned[name] in (None, "")]
    if emptied:
        raise BadInput(f"A registered use case needs {' and '.join(emptied)}.")
    if cleaned.get("monthly_spend_expected", current.monthly_spend_expected) != current.monthly_spend_expected:
        # The answer of the registration became a budget, and two truths about money are none.
        raise BadInput("What it may spend is its budget now.", hint="Set it under Budgets, by page or by table.")
    return _change(actor, current, version, cleaned, verb="edited workload")


@transaction.atomic
def change_confirmed(
    *,
    actor: Actor,
    workload: Workload,
    reason: str,
    decision_id: int,
    take_up: bool = False,
    **values: Unpack[Card],
) -> Workload:
    """What an owner does not change alone, as somebody else confirmed it; `take_up` ends a suspension."""
    current = _locked(actor, workload)
    if current.state == Workload.State.DRAFT:
        raise Conflict(f"{current.name} is a draft: nobody else is needed.")
    cleaned = fields.clean(values, CARD)
    changes = _changes(current, cleaned)
    for name in changes:
        setattr(current, name, cleaned[name])
    if take_up and current.state == Workload.State.SUSPENDED:
        changes["state"] = [current.state, Workload.State.ACTIVE]
        current.state = Workload.State.ACTIVE
    current.version += bool(changes)
    current.save()
    data = {"version": current.version, "changes": changes, "reason": reason, "decision": decision_id}
    audit.record(actor=actor, verb="changed workload as confirmed", subject=current, data=data)
    return current


@transaction.atomic
def change_revision(
    *,
    actor: Actor,
    workload: Workload,
    reason: str,
    version: int | None = None,
    decision_id: int | None = None,
    **revised: Unpack[Revised],
) -> WorkloadRevision:
    """Record a new tier, band, failure cost or mandate beside the old one; a reason is asked for.

    Of a registered use case this takes the decision of somebody else, whoever asks: `decision_id` names it.
    """
    current = _locked(actor, workload)
    cleaned = fields.clean(revised, REVISED)
    latest = current.revisions.latest("version")
    if version is not None and version != latest.version:
        raise Conflict("Tier, band or failure cost were changed in the meantime.", hint="Read them again.")
    emptied = [fields.REQUIRED[name] for name in fields.REQUIRED if name in cleaned and cleaned[name] in (None, "")]
    if emptied and current.state != Workload.State.DRAFT:
        raise BadInput(f"A registered use case needs {' and '.join(emptied)}.")
    changes = _changes(latest, cleaned)
    if not changes:
        return latest
    reason = " ".join(reason.split())
    if not reason or len(reason) > 300:
        raise BadInput("Say in 1 to 300 characters why this changes.")
    if decision_id is None and current.state != Workload.State.DRAFT:
        raise NotAllowed(
            "Tier, band, failure cost and mandate of a registered use case are confirmed by somebody else.",
            hint="Propose the change; it waits in the inbox of whoever may confirm it.",
        )
    values = {name: getattr(latest, name) for name in REVISED} | cleaned
    new = WorkloadRevision.objects.create(
        workload=current,
        version=latest.version + 1,
        reason=reason,
        recorded_by_id=actor.person_id,
        decision_id=decision_id,
        **values,
    )
    data = {"revision": new.version, "reason": reason, "changes": changes, "decision": decision_id}
    audit.record(actor=actor, verb="changed promise", subject=current, data=data)
    return new


def missing_of(workload: Workload) -> dict[str, str]:
    """What an active workload needs and this one lacks: field -> words. Empty when it is complete."""
    latest = workload.revisions.latest("version")
    said = {name: getattr(latest if name in PROMISE else workload, name) for name in fields.REQUIRED}
    return {name: words for name, words in fields.REQUIRED.items() if said[name] in (None, "")}


def _locked(actor: Actor, workload: Workload) -> Workload:
    """The row as it stands, held until the transaction ends, for an actor who may edit it."""
    current = Workload.objects.select_for_update().get(pk=workload.pk)
    if not may_edit(actor, current):
        raise NotAllowed(f"You may not change {current.name}.", hint="Its owners may.")
    return current


def _change(actor: Actor, current: Workload, version: int | None, wanted: dict[str, Any], *, verb: str) -> Workload:
    latest = current.revisions.latest("version")
    wanted = _merged(actor, current, latest, version, wanted)
    if "name" in wanted and not wanted["name"]:
        raise BadInput("A use case needs a name.")
    card = _changes(current, {name: value for name, value in wanted.items() if name in NOTED})
    if current.state != Workload.State.DRAFT:
        _refuse_alone(actor, current, card)
    promise = _changes(latest, {name: value for name, value in wanted.items() if name in PROMISE})
    for name in (*card, *promise):
        setattr(latest if name in PROMISE else current, name, wanted[name])
    current.version += bool(card or promise)
    current.save()
    if promise:
        latest.save()
    if card or promise:
        data = {"version": current.version, "changes": card | promise}
        audit.record(actor=actor, verb=verb, subject=current, data=data)
    return current


def _refuse_alone(actor: Actor, current: Workload, changes: Mapping[str, Any]) -> None:
    """What the database demands a decision for (approvals 0009), said before it does."""
    changed = fields.CONFIRMED & changes.keys()
    for name in () if changed and actor.is_machine and is_founding() else sorted(changed):
        raise NotAllowed(
            f"{fields.LABELS[name]} of a registered use case is confirmed by somebody else.",
            hint="Propose it on the page of its card.",
        )
    if "stage" in changes and current.stage == Workload.Stage.SUNSET:
        raise NotAllowed(
            f"{current.name} is being switched off; that it goes on is confirmed by somebody else.",
            hint="Propose it under “Change what it promises”.",
        )


def _changes(row: Workload | WorkloadRevision, wanted: Mapping[str, Any]) -> dict[str, list[str | None]]:
    """Fields that would change, as texts before and after."""
    both = {name: [fields.as_text(getattr(row, name)), fields.as_text(value)] for name, value in wanted.items()}
    return {name: texts for name, texts in both.items() if texts[0] != texts[1]}


def _merged(
    actor: Actor, current: Workload, latest: WorkloadRevision, version: int | None, wanted: dict[str, Any]
) -> dict[str, Any]:
    """What is left to save of an edit that began at an older version; StaleEdit where both changed a field."""
    if version is None or version == current.version:
        return wanted
    began_with = _values_at(actor, current, version)
    clashes, kept = [], dict(wanted)
    for name in wanted.keys() & began_with.keys():
        standing = getattr(latest if name in PROMISE else current, name)
        mine, base, now = fields.as_text(wanted[name]), began_with[name], fields.as_text(standing)
        if mine == base:
            kept.pop(name)
        elif mine != now:
            clashes.append(_clash(name, standing, wanted[name]))
    if clashes:
        raise StaleEdit(sorted(clashes, key=lambda clash: list(fields.LABELS).index(clash.field)), current.version)
    return kept


def _clash(name: str, stands: Any, wanted: Any) -> Clash:
    return Clash(name, fields.LABELS[name], fields.in_words(name, stands), fields.in_words(name, wanted))


def _values_at(actor: Actor, workload: Workload, version: int) -> dict[str, str | None]:
    """Fields that others changed since that version, with the value they had then; the audit trail remembers.

    What the same person saved from the same form a moment ago is no clash: there the last word counts.
    """
    about = AuditEvent.objects.filter(subject_kind="workloads.workload", subject_id=str(workload.pk))
    events = about.filter(data__version__gt=version).order_by("id")
    if actor.person_id is not None:
        events = events.exclude(person_id=actor.person_id)
    before: dict[str, str | None] = {}
    for event in events:
        for name, (old, _) in event.data["changes"].items():
            before.setdefault(name, old)
    return before


def _free_slug(name: str) -> str:
    """shop-search, shop-search-2, ...; whoever registers at the same moment waits for this one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SLUG_LOCK])
    stem = slugify(name)[:SLUG_LENGTH].strip("-") or "workload"
    taken = set(Workload.objects.filter(slug__startswith=stem).values_list("slug", flat=True)) | NOT_SLUGS
    return next(slug for n in range(1, len(taken) + 2) if (slug := stem if n == 1 else f"{stem}-{n}") not in taken)

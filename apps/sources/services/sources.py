"""Sources, their parts and their roles."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils.text import slugify

from apps.accounts.rights import Right, require
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict
from apps.sources import vault
from apps.sources.connector import registry
from apps.sources.models import LookedAtFile, Measure, Part, Pull, Source, SourceRole
from apps.workloads.models import Workload

LONGEST_SLUG = 80
LEAST_MINUTES = 1
MOST_CATEGORIES, LONGEST_CATEGORY = 20, 100


@transaction.atomic
def create_source(
    *,
    actor: Actor,
    name: str,
    slug: str = "",
    kind: str = "file",
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    zone: str = "UTC",
    pull_every_minutes: int | None = None,
    service_categories: Iterable[str] = (),
) -> Source:
    """Make a source; a slug is worked out of the name where none is given."""
    require(actor, Right.MANAGE_SOURCES)
    _check(name=name, kind=kind, zone=zone, pull_every_minutes=pull_every_minutes)
    source = Source(
        name=name.strip(),
        slug=_free_slug(slug or name, given=bool(slug)),
        kind=kind,
        config=dict(config or {}),
        secret=vault.close(dict(secrets or {})),
        zone=zone,
        pull_every_minutes=pull_every_minutes,
        scope_filter=_scope_filter(service_categories),
    )
    source.save()
    audit.record(actor=actor, verb="made source", subject=source, data=_told(source))
    return source


@transaction.atomic
def change_source(
    *,
    actor: Actor,
    source: Source,
    name: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, str],
    zone: str,
    pull_every_minutes: int | None,
    service_categories: Iterable[str] = (),
) -> Source:
    """Change what a source is called and how it is pulled; a secret that is left empty stays.

    `service_categories` of a bill are in scope from its next reading on.
    """
    require(actor, Right.MANAGE_SOURCES)
    _check(name=name, kind=source.kind, zone=zone, pull_every_minutes=pull_every_minutes)
    source = Source.objects.select_for_update().get(pk=source.pk)
    before = _told(source)
    source.name, source.config, source.zone = name.strip(), dict(config), zone
    source.pull_every_minutes, source.scope_filter = pull_every_minutes, _scope_filter(service_categories)
    given = {key: value for key, value in secrets.items() if value}
    if given:
        source.secret = vault.close({**vault.open_(source.secret), **given})
    source.save()
    audit.record(
        actor=actor,
        verb="changed source",
        subject=source,
        data={"before": before, "after": _told(source), "secrets_changed": sorted(given)},
    )
    return source


@transaction.atomic
def find_or_create(*, actor: Actor, slug: str) -> tuple[Source, bool]:
    """The source of that slug, made as one of files when there is none; the flag says whether it was made."""
    require(actor, Right.MANAGE_SOURCES)
    found = Source.objects.filter(slug=slug).first()
    if found:
        return found, False
    if slug != slugify(slug)[:LONGEST_SLUG]:
        raise BadInput(
            f"'{slug}' is no short name of a source.", hint="Use small letters, digits and hyphens, at most 80."
        )
    return create_source(actor=actor, name=slug, slug=slug), True


@transaction.atomic
def ensure_part(*, actor: Actor, source: Source, name: str) -> Part:
    """The part of that name; made, and said in the trail, where the source has none."""
    name = name.strip()
    if not name or len(name) > 255 or not name.isprintable():
        raise BadInput("The name of a part has 1 to 255 printable characters.")
    part, made = Part.objects.get_or_create(source=source, name=name)
    if made:
        audit.record(actor=actor, verb="made part of source", subject=part, data={"name": name, "source": source.slug})
    return part


@transaction.atomic
def set_role(
    *,
    actor: Actor,
    source: Source,
    measure: Measure,
    role: SourceRole.Role,
    valid_from: datetime,
    workload: Workload | None = None,
) -> SourceRole:
    """Say that a source counts or checks from an instant on; for one workload or for all."""
    require(actor, Right.MANAGE_SOURCES)
    if valid_from.minute or valid_from.second or valid_from.microsecond:
        raise BadInput("A role changes at a full hour.")
    key = {"source": source, "measure": measure, "workload": workload, "valid_from": valid_from}
    if SourceRole.objects.filter(**key).exists():
        raise Conflict("There is a role from this hour on already.", hint="Choose another hour.")
    made = SourceRole.objects.create(**key, role=role)
    data = {"measure": measure, "role": role, "from": valid_from, "workload": workload and workload.slug}
    audit.record(actor=actor, verb="set role of source", subject=source, data=data)
    return made


def pause(*, actor: Actor, source: Source) -> None:
    """Stop its schedule; what is being read goes on."""
    require(actor, Right.MANAGE_SOURCES)
    _set_state(actor, source, Source.State.PAUSED, "paused source", "")


def resume(*, actor: Actor, source: Source) -> None:
    require(actor, Right.MANAGE_SOURCES)
    _set_state(actor, source, Source.State.ACTIVE, "resumed source", "")


def note_attention(*, actor: Actor, source: Source, reason: str) -> None:
    """Mark that a person must look at it, with the reason; its other parts go on. A paused source stays paused."""
    if source.state != Source.State.PAUSED:
        _set_state(actor, source, Source.State.NEEDS_ATTENTION, "source needs attention", reason)


def review_state(*, actor: Actor, source: Source) -> None:
    """Well when the newest try of every part went well and every file of a folder could be read."""
    source.refresh_from_db(fields=("state", "state_reason"))
    reason = _what_is_wrong(source)
    if reason:
        note_attention(actor=actor, source=source, reason=reason)
    elif source.state == Source.State.NEEDS_ATTENTION:
        _set_state(actor, source, Source.State.ACTIVE, "source is well again", "")


def _what_is_wrong(source: Source) -> str:
    newest = Pull.objects.filter(part=OuterRef("part")).exclude(state=Pull.State.DRAFT).order_by("-pk").values("pk")[:1]
    failed = Pull.objects.filter(part__source=source, state=Pull.State.FAILED, pk=Subquery(newest)).select_related(
        "part"
    )
    problems = [f"{pull.part.name}: {pull.error}" for pull in failed.order_by("-pk")[:20]]
    unread = LookedAtFile.objects.filter(source=source, unreadable=True)
    problems += [f"{file.name}: {file.problem}" for file in unread.order_by("name")[:20]]
    if len(problems) <= 1:
        return "".join(problems)
    return f"{len(problems)} parts could not be read, such as {problems[0]}"


@transaction.atomic
def _set_state(actor: Actor, source: Source, state: Source.State, verb: str, reason: str) -> None:
    """Said once: a source that fails every minute for the same reason would drown the audit trail."""
    changed = (
        Source.objects.filter(pk=source.pk)
        .exclude(state=state, state_reason=reason)
        .update(state=state, state_reason=reason)
    )
    source.state, source.state_reason = state, reason
    if changed:
        audit.record(actor=actor, verb=verb, subject=source, data={"reason": reason} if reason else {})


def _check(*, name: str, kind: str, zone: str, pull_every_minutes: int | None) -> None:
    if not name.strip() or len(name) > 120 or not name.isprintable():
        raise BadInput("The name of a source has 1 to 120 printable characters.")
    if kind not in registry():
        raise BadInput(f"'{kind}' is no kind of source.", hint=f"There are {', '.join(registry())}.")
    if zone not in available_timezones():
        raise BadInput(f"'{zone}' is no time zone.", hint="Use a name such as Europe/Berlin or UTC.")
    if pull_every_minutes is not None and pull_every_minutes < LEAST_MINUTES:
        raise BadInput("A schedule is one minute or longer.")


def _scope_filter(service_categories: Iterable[str]) -> dict[str, list[str]]:
    named = list(dict.fromkeys(name for given in service_categories if (name := given.strip())))
    if len(named) > MOST_CATEGORIES or any(len(name) > LONGEST_CATEGORY or not name.isprintable() for name in named):
        raise BadInput(f"A source has at most {MOST_CATEGORIES} service categories of {LONGEST_CATEGORY} characters.")
    return {"service_categories": named} if named else {}


def _free_slug(wanted: str, *, given: bool) -> str:
    slug = slugify(wanted)[:LONGEST_SLUG] or "source"
    if not Source.objects.filter(slug=slug).exists():
        return slug
    if given:
        raise Conflict(f"There is a source '{slug}' already.", hint="Choose another short name.")
    taken = set(Source.objects.filter(slug__startswith=slug).values_list("slug", flat=True))
    return next(name for number in range(2, 10_000) if (name := f"{slug[:74]}-{number}") not in taken)


def _told(source: Source) -> dict[str, Any]:
    """What the audit trail says of it: everything but the secrets."""
    return {
        "slug": source.slug,
        "name": source.name,
        "kind": source.kind,
        "config": source.config,
        "zone": source.zone,
        "pull_every_minutes": source.pull_every_minutes,
        "scope_filter": source.scope_filter,
    }

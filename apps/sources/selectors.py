"""Reads of sources and pulls for pages, commands and the API."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.sources.connector import registry
from apps.sources.models import LookedAtFile, Measure, Part, Pull, Source, SourceRole

BILL_FORMATS = (Pull.Format.FOCUS,)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source as the list shows it."""

    source: Source
    kind: str
    parts: int
    last_import: datetime | None
    last_failed: bool
    role: str
    role_is_set: bool


@dataclass(frozen=True, slots=True)
class RoleLine:
    """What was said about one measure of a source, newest first; nothing said leaves it to the default."""

    measure: Measure
    said: list[SourceRole]


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """Figures of one source; `failed` counts parts whose newest try failed."""

    last_import: datetime | None
    failed: int
    identities: int


def get_source_for(*, actor: Actor, slug: str) -> Source:
    source = Source.objects.visible_to(actor).filter(slug=slug).first()
    if source is None:
        raise NotFound("There is no such source.")
    return source


def get_pull_for(*, actor: Actor, pull_id: int) -> Pull:
    pulls = Pull.objects.visible_to(actor).select_related("part__source", "requested_by")
    pull = pulls.filter(pk=pull_id).first()
    if pull is None:
        raise NotFound("There is no such import.")
    return pull


def source_rows(*, actor: Actor) -> list[SourceRow]:
    """Every source with its freshness; the number of queries does not grow with them."""
    newest = Pull.objects.filter(part__source=OuterRef("pk")).exclude(state=Pull.State.DRAFT).order_by("-pk")
    found = (
        Source.objects.visible_to(actor)
        .annotate(
            part_count=Count("parts", distinct=True),
            last_import=Max("parts__pulls__finished_at", filter=Q(parts__pulls__state=Pull.State.DONE)),
            last_state=Subquery(newest.values("state")[:1]),
            last_format=Subquery(newest.values("format")[:1]),
            set_role=Subquery(_token_cost_role().values("role")[:1]),
        )
        .order_by("name")
    )
    return [_row(source) for source in found]


def _token_cost_role() -> QuerySet[SourceRole]:
    """What holds now; a role that begins later is not told yet."""
    of_source = SourceRole.objects.filter(source=OuterRef("pk"), measure=Measure.TOKEN_COST, workload__isnull=True)
    return of_source.filter(valid_from__lte=Now()).order_by("-valid_from")


def _row(source: Source) -> SourceRow:
    kind = registry().get(source.kind)
    default = "checks where a log covers it" if source.last_format in BILL_FORMATS else "counts"  # type: ignore[attr-defined]
    return SourceRow(
        source=source,
        kind=kind.label if kind else source.kind,
        parts=source.part_count,  # type: ignore[attr-defined]
        last_import=source.last_import,  # type: ignore[attr-defined]
        last_failed=source.last_state == Pull.State.FAILED,  # type: ignore[attr-defined]
        role=source.set_role or default,  # type: ignore[attr-defined]
        role_is_set=bool(source.set_role),  # type: ignore[attr-defined]
    )


def pulls_of(*, actor: Actor, source: Source | None = None, states: Iterable[str] = ()) -> QuerySet[Pull]:
    """Pulls, newest first; of one source and in some states only where asked."""
    pulls = Pull.objects.visible_to(actor).select_related("part__source", "requested_by").order_by("-pk")
    if source is not None:
        pulls = pulls.filter(part__source=source)
    return pulls.filter(state__in=list(states)) if states else pulls


def parts_of(source: Source) -> QuerySet[Part]:
    """Parts with when each was last loaded and how the last try ended."""
    newest = Pull.objects.filter(part=OuterRef("pk")).exclude(state=Pull.State.DRAFT).order_by("-pk")
    return (
        Part.objects.filter(source=source)
        .annotate(
            loaded_at=Max("pulls__finished_at", filter=Q(pulls__state=Pull.State.DONE)),
            last_pull=Subquery(newest.values("pk")[:1]),
            last_state=Subquery(newest.values("state")[:1]),
            last_rows=Subquery(newest.values("rows")[:1]),
            last_error=Subquery(newest.values("error")[:1]),
        )
        .order_by("-loaded_at", "name")
    )


def facts_of(source: Source) -> SourceFacts:
    newest = Pull.objects.filter(part=OuterRef("part")).exclude(state=Pull.State.DRAFT).order_by("-pk").values("pk")[:1]
    failed = Pull.objects.filter(part__source=source, state=Pull.State.FAILED, pk=Subquery(newest)).count()
    done = Pull.objects.filter(part__source=source, state=Pull.State.DONE)
    seen = Source.objects.filter(pk=source.pk).aggregate(number=Count("identities"))["number"]
    return SourceFacts(done.aggregate(last=Max("finished_at"))["last"], failed, seen)


def files_of(source: Source) -> QuerySet[LookedAtFile]:
    """What a folder showed at the last look and has a problem, or is not taken yet."""
    return LookedAtFile.objects.filter(source=source).filter(Q(taken_at__isnull=True) | ~Q(problem="")).order_by("name")


def role_lines(source: Source) -> list[RoleLine]:
    """Each measure with what was said about it, newest first."""
    rows = list(SourceRole.objects.filter(source=source).select_related("workload").order_by("-valid_from"))
    return [RoleLine(measure, [row for row in rows if row.measure == measure.value]) for measure in Measure]


def number_waiting(*, actor: Actor) -> int:
    """Imports that a person must look at: columns to check, and failures of the newest try of a part."""
    newest = Pull.objects.filter(part=OuterRef("part")).exclude(state=Pull.State.DRAFT).order_by("-pk").values("pk")[:1]
    failed = Q(state=Pull.State.FAILED, pk=Subquery(newest))
    return Pull.objects.visible_to(actor).filter(Q(state=Pull.State.DRAFT) | failed).count()


def pull_before(pull: Pull) -> Pull | None:
    """The import whose content comes back when this one is undone."""
    done = Pull.objects.filter(part_id=pull.part_id, state=Pull.State.DONE).exclude(pk=pull.pk)
    return done.order_by("-finished_at").first()

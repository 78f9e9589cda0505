"""Looking into a live folder: which files are complete and new, which were only renamed, which are broken."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import Conflict, TollgateError
from apps.sources import files
from apps.sources.connector import FileConnector, FoundFile
from apps.sources.models import LookedAtFile, Part, Pull, Source
from apps.sources.services.pulls import request_pull
from apps.sources.services.sources import ensure_part

LONGEST_PATH = 1000


@dataclass(frozen=True, slots=True)
class Ready:
    """A complete file whose bytes are not known yet."""

    file: FoundFile
    sha256: str
    size: int


def look(*, source: Source, connector: FileConnector, now: datetime | None = None) -> list[FoundFile]:
    """Note what the source offers and return what is complete and was not taken before.

    A file is complete when it looks the same twice, or has not changed for `settle_seconds`.
    """
    now = now or timezone.now()
    known = {seen.name: seen for seen in LookedAtFile.objects.filter(source=source)}
    settled_before = now - timedelta(seconds=connector.settle_seconds)
    ready, notes = [], []
    offered = list(connector.files())
    _forget_gone(source, {found.name for found in offered})
    for found in offered:
        seen = known.get(found.name)
        is_same = seen is not None and (seen.size, seen.changed_ns) == (found.size, found.changed_ns)
        is_settled = found.changed_ns < settled_before.timestamp() * 1e9
        if seen is not None and is_same and seen.taken_at:
            continue
        if is_same or is_settled:
            ready.append(found)
        notes.append(_note(source, found, now))
    _keep(notes)
    return ready


def _forget_gone(source: Source, here: set[str]) -> None:
    """What could not be read and was taken away needs nobody's attention any more."""
    unread = LookedAtFile.objects.filter(source=source, unreadable=True)
    gone = [seen.pk for seen in unread if seen.name not in here]
    LookedAtFile.objects.filter(pk__in=gone).delete()


def mark_looked(*, source: Source, now: datetime | None = None) -> None:
    Source.objects.filter(pk=source.pk).update(last_looked_at=now or timezone.now())


def take_files(*, actor: Actor, source: Source, connector: FileConnector, ready: Iterable[FoundFile]) -> list[Pull]:
    """Ask for a pull of each file with new bytes; one that cannot be read is noted and does not block the others."""
    offered = [_hash(source, found) for found in ready]
    complete = [item for item in offered if item is not None]
    _follow_renamed(actor, source, connector, complete)
    return [pull for item in complete if (pull := _take(actor, source, connector, item)) is not None]


def _take(actor: Actor, source: Source, connector: FileConnector, ready: Ready) -> Pull | None:
    """One file, one transaction: its pull and the note that it was taken."""
    file = ready.file
    try:
        with transaction.atomic():
            _mark_taken(source, file, "")
            part = ensure_part(actor=actor, source=source, name=file.name)
            if part.sha256 == ready.sha256:
                return None
            format_, options = connector.reading()
            return request_pull(
                actor=actor,
                part=part,
                format=format_,
                options=options,
                file_path=str(file.path),
                file_size=ready.size,
                digest=ready.sha256,
            )
    except Conflict as error:
        # The same bytes under two names is how copies look; they are left out and said so, nothing is wrong.
        _mark_taken(source, file, error.message)
    except TollgateError as error:
        _mark_taken(source, file, str(error), unreadable=True)
    return None


@transaction.atomic
def _follow_renamed(actor: Actor, source: Source, connector: FileConnector, ready: list[Ready]) -> None:
    """Log rotation renames files: a part follows its bytes, so that its rows neither vanish nor come twice.

    A part follows when its own file is gone or holds other bytes now. Whoever had the new name before keeps its rows
    under a name that says until when.
    """
    here = {file.name for file in connector.files()}
    changed = {item.file.name for item in ready}
    by_bytes = {part.sha256: part for part in Part.objects.select_for_update().filter(source=source).exclude(sha256="")}
    moves: dict[int, tuple[Part, str]] = {}
    for item in ready:
        part = by_bytes.get(item.sha256)
        if part is not None and part.name != item.file.name and (part.name not in here or part.name in changed):
            moves.setdefault(part.pk, (part, item.file.name))
    for part, new_name in moves.values():
        _stand_aside(source, new_name, moving=set(moves))
        audit.record(actor=actor, verb="part renamed", subject=part, data={"from": part.name, "to": new_name})
        Part.objects.filter(pk=part.pk).update(name=f"\N{RIGHTWARDS ARROW} {part.pk}")
    for part, new_name in moves.values():
        Part.objects.filter(pk=part.pk).update(name=new_name)


def _stand_aside(source: Source, name: str, *, moving: set[int]) -> None:
    occupant = Part.objects.filter(source=source, name=name).exclude(pk__in=moving).first()
    if occupant is not None:
        aside = f"{name[:220]} until {timezone.now():%Y-%m-%d %H:%M:%S}"
        Part.objects.filter(pk=occupant.pk).update(name=aside)


def _hash(source: Source, file: FoundFile) -> Ready | None:
    """None for what cannot be read, which is said, and for what changed or vanished meanwhile: the next look sees."""
    if len(str(file.path)) > LONGEST_PATH or not _is_text(str(file.path)):
        _mark_taken(source, file, "Its name cannot be kept; give it a shorter one, in plain letters.", unreadable=True)
        return None
    try:
        sha256, size = files.digest_of([file.path])
        return Ready(file, sha256, size) if _is_unchanged(file.path, file) else None
    except FileNotFoundError:
        return None
    except OSError as error:
        _mark_taken(source, file, f"It cannot be read: {error.strerror}.", unreadable=True)
        return None


def _is_text(path: str) -> bool:
    """Whether it has only letters that can be written down: names may hold any bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_unchanged(path: Path, file: FoundFile) -> bool:
    status = path.stat()
    return (status.st_size, status.st_mtime_ns) == (file.size, file.changed_ns)


def _note(source: Source, found: FoundFile, now: datetime) -> LookedAtFile:
    return LookedAtFile(
        source=source,
        name=found.name,
        size=found.size,
        changed_ns=found.changed_ns,
        looked_at=now,
        taken_at=None,
        problem="",
        unreadable=False,
    )


def _keep(notes: list[LookedAtFile]) -> None:
    LookedAtFile.objects.bulk_create(
        notes,
        update_conflicts=True,
        unique_fields=("source", "name"),
        update_fields=("size", "changed_ns", "looked_at", "taken_at", "problem", "unreadable"),
    )


def _mark_taken(source: Source, file: FoundFile, problem: str, *, unreadable: bool = False) -> None:
    seen = LookedAtFile.objects.filter(source=source, name=file.name)
    seen.update(taken_at=timezone.now(), problem=problem, unreadable=unreadable)

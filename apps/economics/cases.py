"""Value cases: written by those who answer for a workload, counted only while somebody else has attested them.

What a version says never changes. A new version waits beside the one that counts and takes its place from the first
day of its own; a signed month keeps the version by which it was signed.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import urlsplit

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from apps.accounts.models import Person
from apps.core import audit, periods
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import Period
from apps.core.money import plain
from apps.economics.arithmetic import Labour, Three
from apps.economics.models import Evidence, Grade, ValueCase
from apps.workloads.models import Workload
from apps.workloads.services import may_edit

MOST_BYTES: Final = 10 * 1024 * 1024
LONGEST_CASE: Final = timedelta(days=2 * 366)
# What a file may be, by its first bytes where its kind has any; the name's ending must agree.
KINDS: Final[dict[str, tuple[str, bytes]]] = {
    ".pdf": ("application/pdf", b"%PDF-"),
    ".png": ("image/png", b"\x89PNG\r\n\x1a\n"),
    ".jpg": ("image/jpeg", b"\xff\xd8\xff"),
    ".jpeg": ("image/jpeg", b"\xff\xd8\xff"),
    ".xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK\x03\x04"),
    ".docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"PK\x03\x04"),
    ".csv": ("text/csv", b""),
    ".txt": ("text/plain", b""),
}
# name -> (label, unit, most)
LIMITS: Final[dict[str, tuple[str, str, Decimal]]] = {
    "minutes_saved": ("Minutes saved", "minutes for each useful output", Decimal(10_080)),
    "realisation": ("Realisation", "share of the freed time that becomes other work", Decimal(1)),
    "review_minutes": ("Review minutes", "minutes for each reviewed output", Decimal(10_080)),
}
CASES: Final = ("low", "base", "high")
MOST_PLACES: Final = 6


def read_assumptions(said: Mapping[str, Mapping[str, Any]]) -> Labour:
    """The assumptions as numbers. Raises BadInput for what is none, lies outside its limits, or is out of order."""
    strangers = sorted(set(said) - set(LIMITS))
    if strangers:
        raise BadInput(f"A value case of saved labour assumes nothing called {', '.join(strangers)}.")
    return Labour(**{name: _range(name, said.get(name, {})) for name in LIMITS})


def labour_of(case: ValueCase) -> Labour:
    """What a stored case assumes."""
    return read_assumptions(case.assumptions)


@transaction.atomic
def write_case(
    *,
    actor: Actor,
    workload: Workload,
    assumptions: Mapping[str, Mapping[str, Any]],
    grade: Grade,
    owner: Person,
    valid_from: date,
    expires: date,
    review_grade: Grade | None = None,
    evidence_link: str = "",
    evidence: Evidence | None = None,
    reason: str = "",
    expected_version: int | None = None,
) -> ValueCase:
    """Write the next version. Versions that still waited are replaced; one that counts goes on counting until this
    one is attested. `expected_version` is the newest that the writer saw; Conflict where there is a newer one.
    """
    _require_owner(actor, workload)
    labour = read_assumptions(assumptions)
    _check_dates(valid_from, expires)
    _check_evidence(workload, evidence_link, evidence)
    _check_people(labour, review_grade, owner)
    newest = _held(workload).first()
    _check_version(newest, expected_version)
    made = ValueCase.objects.create(
        workload=workload,
        version=newest.version + 1 if newest else 1,
        assumptions=_as_json(labour),
        grade=grade,
        review_grade=review_grade,
        reason=_line(reason),
        evidence_link=evidence_link,
        evidence_file=evidence,
        owner=owner,
        written_by_id=actor.person_id,
        valid_from=valid_from,
        expires=expires,
    )
    _take_the_place_of_waiting(made)
    _tell_written(actor, made)
    return made


@transaction.atomic
def mark_attested(*, actor: Actor, case: ValueCase, decision_id: int | None = None) -> ValueCase:
    """Let a version count, from its first day on or from the first day after the newest signed month.

    Called when a confirmation is applied, never by a page. Refuses whoever wrote it.
    """
    versions = {one.pk: one for one in _held(case.workload)}
    current = versions[case.pk]
    if current.is_attested:
        raise Conflict("This version is attested already.")
    if current.superseded_by_id or current.ended_at:
        raise Conflict("This version was replaced or ended in the meantime.", hint="Look at the newest one.")
    if actor.person_id is not None and actor.person_id in (current.written_by_id, current.owner_id):
        raise NotAllowed("Whoever writes or owns a value case cannot attest it.", hint="Somebody else has to.")
    starts = max(current.valid_from, _first_unsigned_day())
    if starts >= current.expires:
        raise Conflict("Every month of this version is signed already.", hint="Write one that lasts longer.")
    for other in versions.values():
        _make_room(other, current, starts)
    current.attested_by_id = actor.person_id
    current.attested_at = Now()
    current.decision_id = decision_id
    current.counts_from, current.counts_to = starts, current.expires
    current.save()
    current.refresh_from_db()
    data = {"workload": current.workload_id, "version": current.version, "counts_from": starts}
    audit.record(actor=actor, verb="attested value case", subject=current, data=data | {"decision": decision_id})
    mark_months(current.workload_id, starts, current.expires, "value case")
    return current


@transaction.atomic
def expire_case(*, actor: Actor, case: ValueCase, reason: str, today: date) -> ValueCase:
    """Let a version end before its time: from today on it counts no longer; the months before keep it."""
    _require_owner(actor, case.workload)
    current = next(one for one in _held(case.workload) if one.pk == case.pk)
    if current.ended_at or current.superseded_by_id:
        raise Conflict("This version has ended already.")
    if not _line(reason):
        raise BadInput("Say why the case ends.")
    if current.counts_from and current.counts_to:
        current.counts_to = min(current.counts_to, max(today, current.counts_from, _first_unsigned_day()))
    current.ended_at = Now()
    current.save()
    current.refresh_from_db()
    data = {"workload": current.workload_id, "version": current.version, "reason": _line(reason)}
    audit.record(actor=actor, verb="ended value case", subject=current, data=data)
    mark_months(current.workload_id, current.valid_from, current.expires, "value case")
    return current


@transaction.atomic
def add_evidence(*, actor: Actor, workload: Workload, name: str, content: bytes) -> Evidence:
    """Keep a file of at most 10 MB. Raises BadInput for a kind that could do more than be read."""
    _require_owner(actor, workload)
    base = PurePath(name.replace("\\", "/")).name
    shown = "".join(char for char in base if char.isprintable())[-200:]
    kind = KINDS.get(PurePath(shown).suffix.lower())
    if kind is None:
        raise BadInput(f"A file such as “{shown[-40:]}” cannot be kept.", hint=f"Possible: {', '.join(KINDS)}.")
    if not content or len(content) > MOST_BYTES:
        raise BadInput("The file is empty or larger than 10 MB.", hint="Link to it instead.")
    content_type, begins = kind
    if not content.startswith(begins):
        raise BadInput(f"“{shown[-40:]}” is not what its name says.", hint="Save it again in that format.")
    made = Evidence.objects.create(
        workload=workload,
        name=shown,
        content_type=content_type,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        content=content,
        uploaded_by_id=actor.person_id,
    )
    data = {"workload": workload.pk, "name": shown, "sha256": made.sha256, "size": made.size}
    audit.record(actor=actor, verb="added evidence", subject=made, data=data)
    return made


def mark_months(workload_id: int, first: date, end: date, reason: str) -> None:
    """Queue the months of [first, end) that already have figures, usage or outcomes."""
    with connection.cursor() as cursor:
        cursor.execute(
            _MARK_KNOWN, {"workload": workload_id, "first": first.replace(day=1), "end": end, "reason": reason}
        )


# --- Checks -----------------------------------------------------------------------------------------------------------


def _require_owner(actor: Actor, workload: Workload) -> None:
    if not may_edit(actor, workload):
        raise NotAllowed(f"You may not say what {workload.name} is worth.", hint="Its owners may.")


def _held(workload: Workload) -> QuerySet[ValueCase]:
    """All versions, the newest first, while the workload is held: two writers take turns."""
    Workload.objects.select_for_update(no_key=True).get(pk=workload.pk)
    return ValueCase.objects.filter(workload=workload, kind=ValueCase.Kind.LABOUR).order_by("-version")


def _check_version(newest: ValueCase | None, expected: int | None) -> None:
    if expected is not None and expected != (newest.version if newest else 0):
        raise Conflict("Somebody else wrote a version in the meantime.", hint="Read it, then write yours again.")


def _check_dates(valid_from: date, expires: date) -> None:
    if valid_from >= expires:
        raise BadInput("The case ends before it begins.", hint="Choose a later end.")
    if expires - valid_from > LONGEST_CASE:
        raise BadInput("A value case is looked at again after two years at most.", hint="Choose an earlier end.")
    if valid_from < date(2015, 1, 1):
        raise BadInput("The case begins before 2015.")
    signed = _first_unsigned_day()
    if expires <= signed:
        raise BadInput(f"The months before {signed:%-d %B %Y} are signed and keep what they have.")


def _check_evidence(workload: Workload, link: str, evidence: Evidence | None) -> None:
    if not link and evidence is None:
        raise BadInput("Say what supports it: a link or a file.")
    if evidence is not None and evidence.workload_id != workload.pk:
        raise BadInput("The file belongs to another workload.")
    parts = urlsplit(link)
    if link and (parts.scheme not in ("http", "https") or not parts.hostname or len(link) > 500 or parts.username):
        raise BadInput("The link to the evidence is no web address.", hint="It begins with https://.")


def _check_people(labour: Labour, review_grade: Grade | None, owner: Person) -> None:
    if labour.review_minutes.high > 0 and review_grade is None:
        raise BadInput("Say who reviews: without a grade the reviews have no cost.")
    if not owner.active:
        raise BadInput(f"{owner} is no longer active.", hint="Choose another owner of the case.")


def _range(name: str, said: Mapping[str, Any]) -> Three:
    label, _, most = LIMITS[name]
    low, base, high = (_number(label, said.get(case), most) for case in CASES)
    if not low <= base <= high:
        raise BadInput(f"{label}: low, base and high must not fall.", hint="Low is the smallest, high the largest.")
    return Three(low, base, high)


def _number(label: str, value: Any, most: Decimal) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise BadInput(f"{label}: low, base and high are numbers.", hint="Write digits and a point.") from None
    if not number.is_finite() or not 0 <= number <= most:
        raise BadInput(f"{label} lies between 0 and {most}.")
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MOST_PLACES:
        raise BadInput(f"{label} has at most {MOST_PLACES} places.")
    return number


def _take_the_place_of_waiting(made: ValueCase) -> None:
    waiting = ValueCase.objects.waiting().filter(workload=made.workload_id, kind=made.kind).exclude(pk=made.pk)
    waiting.update(superseded_by=made)


def _tell_written(actor: Actor, made: ValueCase) -> None:
    data = {"workload": made.workload_id, "version": made.version, "assumptions": made.assumptions}
    more = {"valid_from": made.valid_from, "expires": made.expires, "reason": made.reason}
    audit.record(actor=actor, verb="wrote value case", subject=made, data=data | more)
    mark_months(made.workload_id, made.valid_from, made.expires, "value case")


def _as_json(labour: Labour) -> dict[str, dict[str, str | None]]:
    return {name: {case: plain(getattr(getattr(labour, name), case)) for case in CASES} for name in LIMITS}


def _line(text: str) -> str:
    line = " ".join(text.split())
    if len(line) > 300:
        raise BadInput("The reason has at most 300 characters.")
    return line


def _first_unsigned_day() -> date:
    """The day after the newest signed month; 1 January 1970 where none is signed."""
    newest = Period.objects.filter(state=Period.State.SIGNED).order_by("-month").first()
    return periods.next_month(newest.month) if newest else date(1970, 1, 1)


def _make_room(other: ValueCase, new: ValueCase, starts: date) -> None:
    """The version that counts ends where the new one begins; one that began later counts no day any more."""
    if other.counts_to is None or other.counts_from is None or other.counts_to <= starts:
        return
    other.counts_to = max(starts, other.counts_from)
    if other.counts_from >= starts:
        other.counts_to = other.counts_from
    other.superseded_by = new
    other.save()


_MARK_KNOWN = """
INSERT INTO economics_dirty (workload_id, month, reason, recorded_at)
SELECT %(workload)s, month, %(reason)s, now() FROM (
    SELECT month FROM economics_month WHERE workload_id = %(workload)s AND is_current
    UNION SELECT charge_month FROM costs_owner_month WHERE workload_id = %(workload)s
    UNION SELECT date_trunc('month', period_start)::date FROM economics_outcome WHERE workload_id = %(workload)s
) known WHERE month >= %(first)s AND month < %(end)s
"""

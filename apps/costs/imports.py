"""Reading what was asked for: from a file to the ledger's hours or charges, and to what they cost.

`run` is one attempt. All it writes it writes in one transaction at its end, so it may be killed at any moment and
started again. The file is read in a process of its own, which may run out of memory without taking the worker along.
"""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput, TollgateError
from apps.costs import services as costs
from apps.sources import files
from apps.sources import services as sources
from apps.sources.connector import Row, RowConnector, connector_of
from apps.sources.models import Pull
from apps.usage import services as usage
from apps.usage.job import Job, Reduction
from apps.usage.overlaps import overlaps_of

log = logging.getLogger(__name__)
SYSTEM = Actor.system("imports")
TICK_SECONDS = 0.5
KEPT_FOR = timedelta(days=7)
# By then whoever published it has priced it, or is dead.
SETTLE_AFTER = timedelta(seconds=settings.IMPORT_LEASE_SECONDS)
MOST_SECONDS = 6 * 3600  # of one attempt: who drips or hangs for longer will not come to an end
PATIENCE_SECONDS = 30  # how long a database may be away before an attempt is left to the sweep
FULL = ("No space left", "Disk quota exceeded", "File too large")  # in the words of the system, DuckDB and PostgreSQL
AWAY = (OperationalError, InterfaceError)  # what Django raises when the database is not there
PRICED_LATE = "The same part was imported again before this import was priced: the cost is that of the later import."
CANCELLED = "Cancelled before anything was written."
REFUSED = 1  # exit code of the reading process for a file that its owner must mend
FROM_RESULT = (
    "rows_read", "rows_rejected", "requests", "input_tokens", "cached_input_tokens", "output_tokens",
    "first_hour", "last_hour", "billed_cost", "effective_cost", "list_cost", "reported_cost", "by_currency", "rejects",
    "missing_fields", "failed_requests", "focus_version", "notes",
)  # fmt: skip
RESULT_KEYS = (
    "rows_read", "rows_rejected", "rejected_file", "requests", "input_tokens", "cached_input_tokens", "output_tokens",
    "hours_written", "hours_unchanged", "first_hour", "last_hour", "billed_cost", "effective_cost", "billed_currency",
    "by_currency", "in_scope_cost", "computed_cost", "currency", "unconverted", "unpriced_models", "unallocated_share",
    "notes",
)  # fmt: skip
OnProgress = Callable[[Mapping[str, Any]], None]
"""Called with stage, rows_done, rows_total as they are known; at most twice a second."""


class Cancelled(TollgateError):
    """A person asked to stop."""


class Interrupted(TollgateError):
    """Stopped through no fault of the file; the next attempt may well succeed."""


@dataclass(frozen=True, slots=True)
class Read:
    """What the reading process left in the work folder."""

    folder: Path
    result: Mapping[str, Any]


# --- One attempt ------------------------------------------------------------------------------------------------------


def run(pull_id: int, on_progress: OnProgress | None = None) -> Pull | None:
    """Take a pull and bring it to its end, or put it back; None when somebody else has it or nothing is to do."""
    lease = sources.take(pull_id)
    if lease is None:
        return None
    work = files.work_folder(lease.pull_id, lease.attempt)
    try:
        _attempt(lease, work, on_progress or (lambda _: None))
    except Exception as error:  # noqa: BLE001 - whatever happens, the row must say how it ended
        _end_badly(lease, error)
    finally:
        files.remove(work)
    return Pull.objects.select_related("part__source").get(pk=pull_id)


def run_to_end(pull_id: int, on_progress: OnProgress | None = None) -> Pull:
    """Like `run`, but stay with a pull that was put back until it is done or given up; for the command line."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            pull = _run_in_turn(pull_id, on_progress)
            deadline = time.monotonic() + PATIENCE_SECONDS
            if pull.state not in (Pull.State.QUEUED, Pull.State.RUNNING):
                return pull
        except AWAY as error:
            if time.monotonic() > deadline:
                raise Interrupted(f"The database stays away: {_first_line(error)}.") from None
        _rest()


def _run_in_turn(pull_id: int, on_progress: OnProgress | None) -> Pull:
    """Earlier pulls of the part first: those of a killed command wait for nobody else where no worker runs."""
    for ahead in sources.ahead_of(Pull.objects.get(pk=pull_id)):
        run(ahead.pk)
    run(pull_id, on_progress)
    pull = Pull.objects.select_related("part__source").get(pk=pull_id)
    if pull.state == Pull.State.DONE and pull.progress:
        _settle(pull.pk, pull.totals)  # its rows are in, and something went away before they were priced
        pull.refresh_from_db()
    return pull


def undo(*, actor: Actor, pull: Pull) -> None:
    """Take out what an import brought, put back what it replaced, and price the days again."""
    with transaction.atomic():
        pull = Pull.objects.select_for_update(of=("self",)).select_related("part__source").get(pk=pull.pk)
        usage.undo(pull=pull)
        costs.mark_dirty_touched("undone import")
        sources.mark_undone(actor=actor, pull=pull)
    costs.rate_dirty()


def sweep() -> None:
    """Take every pull that nobody rang for, or whose worker died; then add costs that a dead worker left out."""
    for pull_id in (
        Pull.objects.filter(sources.due(timezone.now())).order_by("requested_at").values_list("pk", flat=True)[:100]
    ):
        run(pull_id)
    for pull_id in Pull.objects.filter(state=Pull.State.DONE, progress__stage="pricing").values_list("pk", flat=True)[
        :100
    ]:
        _settle_left_over(pull_id)


def tidy() -> None:
    """Delete uploads and rejected rows a week after the import ended, and work folders of attempts that are over."""
    ended_before = timezone.now() - KEPT_FOR
    ended = Pull.objects.exclude(state__in=(Pull.State.QUEUED, Pull.State.RUNNING)).filter(file_deleted_at__isnull=True)
    old = Q(finished_at__lt=ended_before) | Q(finished_at__isnull=True, requested_at__lt=ended_before)
    for pull in ended.filter(old):
        files.remove(files.upload_folder(pull.pk))
        files.remove(files.rejected_file(pull.pk))
        Pull.objects.filter(pk=pull.pk).update(file_deleted_at=timezone.now(), rejected_path="")
    _remove_dead_work_folders()


def _attempt(lease: sources.Lease, work: Path, on_progress: OnProgress) -> None:
    pull = Pull.objects.select_related("part__source").get(pk=lease.pull_id)
    connector = connector_of(pull.part.source)
    files.fresh_folder(work)
    rows_of = connector if isinstance(connector, RowConnector) else None
    inputs = _fetch(lease, pull, rows_of, work) if rows_of and not pull.file_path else files.expand(pull.file_path)
    result = _reduce(lease, pull, inputs, work, on_progress) if inputs else asdict(Reduction(0, 0))
    _refuse_where_no_row_is_usable(lease, Read(work, result))
    _refuse_rows_outside(pull, result)
    on_progress({"stage": "writing"})
    sources.beat(lease, {"stage": "writing", "rows_total": result["rows_read"]})
    _make_room(result)
    usage.see_models(work)
    totals = _publish(lease, Read(work, result), rows_of)
    on_progress({"stage": "pricing"})
    _settle(lease.pull_id, totals)


def _refuse_where_no_row_is_usable(lease: sources.Lease, read_: Read) -> None:
    """Rows that cannot be read say nothing about what the part should hold, so it keeps what it has."""
    result = read_.result
    if result["hours"] or result["charges"] or not result["rows_rejected"]:
        return
    kept = _keep_rejected(lease, read_)
    Pull.objects.filter(pk=lease.pull_id).update(rows=result["rows_read"], rejected_path=kept)
    reasons = ", ".join(f"{reject['reason']} ({reject['count']:,})" for reject in result["rejects"][:3])
    raise BadInput(
        f"None of the {result['rows_read']:,} rows can be used, so nothing was changed: {reasons}.",
        hint=f"Each row with its line and reason: {kept}",
    )


def _refuse_rows_outside(pull: Pull, result: Mapping[str, Any]) -> None:
    """A window replaces its own hours and no others: rows beside it would be added again by every further window."""
    first, last = result["first_hour"], result["last_hour"]
    if pull.since is None or pull.until is None or first is None:
        return
    if _instant(first) < pull.since or _instant(last) >= pull.until:
        raise BadInput(
            f"The source gave hours from {first} to {last} when asked for {pull.since:%Y-%m-%dT%H:%MZ} "
            f"to {pull.until:%Y-%m-%dT%H:%MZ}; nothing was changed."
        )


def _publish(lease: sources.Lease, read_: Read, rows_of: RowConnector | None) -> dict[str, Any]:
    """The one transaction: hours or charges, the days to price again, the pull's row last."""
    rejected = _keep_rejected(lease, read_)
    with transaction.atomic():
        held = sources.hold(lease)
        if held.cancel_requested:
            raise Cancelled(CANCELLED)
        publish = usage.publish if read_.result["rows_read"] else usage.publish_nothing
        published = publish(pull=held, work_dir=read_.folder)
        costs.mark_dirty_touched("import")
        totals = _totals(read_.result, rejected)
        totals |= {
            "hours_written": published.written,
            "hours_unchanged": published.unchanged,
            "hours_removed": published.removed,
        }
        if rows_of:
            rows_of.published()
        sources.finish(actor=SYSTEM, pull=held, totals=totals, rejected_path=rejected)
        sources.review_state(actor=SYSTEM, source=held.part.source)
    return totals


def _fetch(lease: sources.Lease, pull: Pull, connector: RowConnector, work: Path) -> list[Path]:
    """The rows of a window as a file, so that they are checked and read exactly like an uploaded one.

    No file where the source says that its window is empty. A source that breaks off raises, and changes nothing.
    """
    if pull.since is None or pull.until is None:
        raise BadInput(f"Source {pull.part.source.slug} is asked for windows, and this pull names none.")
    target = work / "rows.jsonl"
    try:
        with target.open("w", encoding="utf-8") as handle:
            for row in _alive(lease, connector.rows(pull.since, pull.until)):
                handle.write(json.dumps(row, default=str) + "\n")
    except (ConnectionError, TimeoutError) as error:
        raise Interrupted(f"The source broke off: {str(error) or type(error).__name__}.") from error
    return [target] if target.stat().st_size else []


def _alive(lease: sources.Lease, rows: Iterable[Row]) -> Iterator[Row]:
    """Pass rows on, keep the lease of a slow source, and stop when somebody cancels."""
    told = time.monotonic()
    deadline = told + MOST_SECONDS
    for number, row in enumerate(rows, start=1):
        _refuse_after(deadline)
        if time.monotonic() > told + TICK_SECONDS:
            told = time.monotonic()
            if sources.beat(lease, {"stage": "reading", "label": "asking the source", "rows_done": number}):
                raise Cancelled(CANCELLED)
        yield row


def _refuse_after(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise Interrupted(f"It did not come to an end within {MOST_SECONDS // 3600} hours.")


def _reduce(
    lease: sources.Lease, pull: Pull, inputs: list[Path], work: Path, on_progress: OnProgress
) -> dict[str, Any]:
    """Run the reading process, hand on how far it is, and stop it when somebody cancels."""
    job = work / "job.json"
    job.write_text(_job(pull, inputs, work).to_json())
    with _process(job, work) as process:
        deadline = time.monotonic() + MOST_SECONDS
        while process.poll() is None:
            _refuse_after(deadline)
            progress = _progress_in(work)
            on_progress(progress)
            if sources.beat(lease, progress):
                raise Cancelled(CANCELLED)
            _wait(process)
    result = _result_of(process.returncode, work)
    if len(inputs) == 1 and pull.digest and result["sha256"] != pull.digest:
        raise BadInput(f"{inputs[0].name} has changed since its import was asked for.", hint="Import it again.")
    return result


def _job(pull: Pull, inputs: list[Path], work: Path) -> Job:
    options = pull.options
    return Job(
        paths=[str(path.absolute()) for path in inputs],
        format=pull.format,
        work_dir=str(work),
        columns=options.get("columns", {}),
        constants=options.get("constants", {}),
        zone=options.get("zone") or pull.part.source.zone,
        time_unit=options.get("time_unit") or "iso",
        time_origin=options.get("time_origin"),
        currency=organisation.get().currency,
    )


@contextmanager
def _process(job: Path, work: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The reading process; it never outlives the block, whatever happens in it."""
    with (work / "errors.txt").open("wb") as errors, (work / "output.txt").open("wb") as output:
        command = [sys.executable, "-m", "apps.usage.reduce", str(job)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=settings.PROJECT
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]") -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=TICK_SECONDS)


def _said(work: Path) -> list[dict[str, Any]]:
    """The whole lines that the process has printed so far."""
    with suppress(OSError, ValueError):
        text = (work / "output.txt").read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return []


def _progress_in(work: Path) -> dict[str, Any]:
    told = [line for line in _said(work) if "step" in line]
    if not told:
        return {"stage": "reading"}
    last = told[-1]
    return {**last, "stage": "reading", "rows_done": last["rows"], "rows_total": last["total"]}


def _result_of(code: int, work: Path) -> dict[str, Any]:
    """What was read; else `BadInput` where the file is at fault and `Interrupted` where the machine is."""
    said = _said(work)
    if code == 0:
        result: dict[str, Any] = said[-1]["result"]
        return result
    if code < 0:
        raise Interrupted(f"The reading process was stopped by signal {-code}, perhaps for want of memory.")
    error = said[-1].get("error") if said else None
    detail = error["message"] if error else _last_line(work / "errors.txt")
    if any(words in detail for words in FULL):
        raise BadInput("The disk is full: there is no room for the working files.", hint=files.room_hint())
    if code == REFUSED and error:
        raise BadInput(detail, hint=error["hint"])
    log.error("reading failed with code %s: %s", code, detail)
    raise BadInput("The file cannot be read.", hint=detail[:500])


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


def _make_room(result: Mapping[str, Any]) -> None:
    """Partitions ahead of the publishing transaction, which then locks nothing that pages need."""
    if result.get("first_hour"):
        usage.make_room(first=_instant(result["first_hour"]), last=_instant(result["last_hour"]))


def _keep_rejected(lease: sources.Lease, read_: Read) -> str:
    """Move the rejected rows to where they outlive the work folder; the same name for every attempt."""
    found = read_.folder / "rejected.csv.gz"
    if not read_.result["rows_rejected"] or not found.exists():
        return ""
    target = files.rejected_file(lease.pull_id)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found.replace(target)
    return str(target)


def _totals(result: Mapping[str, Any], rejected: str) -> dict[str, Any]:
    """What the file itself says, a bill's money in the bill's own currency; costs follow when they are worked out."""
    billed_in = list(result.get("by_currency") or {})
    return {
        **{name: result.get(name) for name in FROM_RESULT},
        "rejected_file": rejected or None,
        "billed_currency": billed_in[0] if len(billed_in) == 1 else None,
        "currency": organisation.get().currency,
    }


def _settle(pull_id: int, totals: Mapping[str, Any]) -> None:
    """Price what changed and add the costs to the totals. The rows are in already: a failure here only delays it."""
    costs.rate_dirty()
    pull = Pull.objects.select_related("part__source").get(pk=pull_id)
    told = [*(totals["notes"] or []), *map(str, overlaps_of(pull.part))]
    if _was_read_again(pull):
        told.append(PRICED_LATE)
    sources.settle(pull_id=pull_id, totals={**totals, "notes": told, **costs.totals_of_pull(pull)})


def _was_read_again(pull: Pull) -> bool:
    """Whether a later import of the part came in before this one was priced: only what stands can be priced."""
    later = Pull.objects.filter(part=pull.part_id, state=Pull.State.DONE, finished_at__gt=pull.finished_at)
    return pull.since is None and later.exists()


def _settle_left_over(pull_id: int) -> None:
    pull = Pull.objects.get(pk=pull_id)
    if pull.finished_at and pull.finished_at < timezone.now() - SETTLE_AFTER:
        _settle(pull_id, pull.totals)


def _end_badly(lease: sources.Lease, error: Exception) -> None:
    """Cancelled, failed with a sentence, or put back for another attempt."""
    if isinstance(error, sources.LeaseLost):
        return None
    _forget_broken_connection()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            return _record_end(lease, error)
        except AWAY:
            _rest()
    # The database stays away: the lease runs out by itself, and the sweep takes the pull again.
    log.warning("import %s stopped: %s", lease.pull_id, error)
    return None


def _rest() -> None:
    time.sleep(TICK_SECONDS)
    _forget_broken_connection()


def _forget_broken_connection() -> None:
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def _record_end(lease: sources.Lease, error: Exception) -> None:
    if isinstance(error, Cancelled):
        sources.stop(actor=SYSTEM, lease=lease, state=Pull.State.CANCELLED, reason=error.message)
    elif isinstance(error, (Interrupted, *AWAY)) and not _is_full(error):
        sources.try_again_later(lease, reason=_sentence(error))
    else:
        if not isinstance(error, TollgateError) and not _is_full(error):
            log.error("import %s failed", lease.pull_id, exc_info=error)
        sources.stop(actor=SYSTEM, lease=lease, state=Pull.State.FAILED, reason=_sentence(error))
        sources.review_state(actor=SYSTEM, source=Pull.objects.get(pk=lease.pull_id).part.source)


def _sentence(error: Exception) -> str:
    if isinstance(error, TollgateError):
        return str(error)
    if _is_full(error):
        return f"The disk is full: {_first_line(error)}. Nothing was written. {files.room_hint()}"
    if isinstance(error, OSError):
        return f"The disk refused: {error.strerror}."
    if isinstance(error, AWAY):
        return f"The database went away: {_first_line(error)}"
    return f"Something unforeseen happened ({type(error).__name__}). It is in the log; nothing was written."


def _is_full(error: Exception) -> bool:
    return any(words in str(error) for words in FULL)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _remove_dead_work_folders() -> None:
    running = {f"{pull}-{attempt}" for pull, attempt in Pull.objects.unfinished().values_list("pk", "attempt")}
    folder = Path(settings.TOLLGATE_HOME) / "work"
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name not in running:
            files.remove(path)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)

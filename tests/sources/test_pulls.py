"""A pull is taken by one worker, survives the death of that worker, and ends in exactly one way."""

import os
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from apps.core.errors import Conflict, NotAllowed
from apps.core.models import AuditEvent
from apps.costs import imports
from apps.sources import files
from apps.sources import services as sources
from apps.sources.models import Part, Pull
from apps.usage.models import Hour
from tests.world import MACHINE, World, actor, log_in

HEADER = "time,usage_key,provider,model,input_tokens,output_tokens\n"
ROW = "2025-11-03T14:10:00Z,A,openai,gpt-4o,100,10\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(HEADER + ROW)
    return path


def request_pull(path: Path, *, part: str = "log.csv", source: str = "logs", **more: Any) -> Pull:
    found, _ = sources.find_or_create(actor=MACHINE, slug=source)
    digest, size = files.digest_of([path])
    return sources.request_pull(
        actor=MACHINE,
        part=sources.ensure_part(actor=MACHINE, source=found, name=part),
        format="requests",
        file_path=str(path),
        file_size=size,
        digest=digest,
        **more,
    )


def state_of(pull: Pull) -> str:
    pull.refresh_from_db()
    return pull.state


def lapse(pull: Pull) -> None:
    """As if its worker had died a minute ago."""
    Pull.objects.filter(pk=pull.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_pull_is_read_and_says_who_did_what(db: None, log: Path) -> None:
    pull = request_pull(log)
    imports.run(pull.pk)
    assert state_of(pull) == "done"
    assert pull.totals["requests"] == 1
    assert pull.progress == {}
    assert Part.objects.get().sha256 == pull.digest
    said = AuditEvent.objects.filter(subject_kind__startswith="sources.").order_by("id")
    verbs = ["made source", "made part of source", "asked for import", "imported"]
    assert list(said.values_list("verb", flat=True)) == verbs


def test_a_pull_that_is_taken_is_not_taken_twice(db: None, log: Path) -> None:
    pull = request_pull(log)
    assert sources.take(pull.pk) is not None
    assert sources.take(pull.pk) is None


def test_another_worker_takes_over_when_the_lease_runs_out(db: None, log: Path) -> None:
    pull = request_pull(log)
    dead = sources.take(pull.pk)
    lapse(pull)
    assert imports.run(pull.pk) is not None
    assert state_of(pull) == "done"
    assert dead is not None
    with pytest.raises(sources.LeaseLost):
        sources.beat(dead, {})
    with pytest.raises(sources.LeaseLost):
        sources.hold(dead)


def test_a_pull_is_given_up_after_three_dead_workers(db: None, log: Path) -> None:
    pull = request_pull(log)
    for _ in range(3):
        assert sources.take(pull.pk) is not None
        lapse(pull)
    assert sources.take(pull.pk) is None
    assert state_of(pull) == "failed"
    assert "3 attempts" in pull.error


def test_the_sweep_finds_what_nobody_rang_for(db: None, log: Path) -> None:
    pull = request_pull(log)
    imports.sweep()
    assert state_of(pull) == "done"


def test_the_sweep_prices_what_a_dead_worker_left(db: None, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pull = request_pull(log)
    with monkeypatch.context() as patch:
        patch.setattr(imports, "_settle", lambda *_: None)
        imports.run(pull.pk)
    assert state_of(pull) == "done"
    assert "computed_cost" not in pull.totals
    Pull.objects.update(finished_at=timezone.now() - timedelta(minutes=5))
    imports.sweep()
    pull.refresh_from_db()
    assert pull.totals["computed_cost"] == "0.00035"


def test_two_pulls_of_one_part_run_one_after_the_other(db: None, log: Path) -> None:
    first = request_pull(log)
    sources.take(first.pk)
    second = request_pull(log)
    assert sources.take(second.pk) is None
    assert state_of(second) == "queued"


def test_a_broken_file_fails_once_with_the_reason_and_the_source_says_so(db: None, tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("one,two\n1,2\n")
    pull = request_pull(broken)
    imports.run(pull.pk)
    assert state_of(pull) == "failed"
    assert "no column for" in pull.error
    pull.part.source.refresh_from_db()
    assert pull.part.source.state == "attention"
    assert "no column for" in pull.part.source.state_reason


def test_a_good_import_makes_the_source_well_again(db: None, tmp_path: Path, log: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("one,two\n1,2\n")
    imports.run(request_pull(broken).pk)
    pull = request_pull(log)
    imports.run(pull.pk)
    assert state_of(pull) == "done"
    pull.part.source.refresh_from_db()
    assert pull.part.source.state == "active"


def test_a_database_that_goes_away_puts_the_pull_back(db: None, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pull = request_pull(log)
    with monkeypatch.context() as patch:
        patch.setattr(imports, "_publish", raising(OperationalError("server closed the connection")))
        imports.run(pull.pk)
    assert state_of(pull) == "queued"
    assert "went away" in pull.error
    assert sources.take(pull.pk) is None  # not at once
    lapse(pull)
    imports.run(pull.pk)
    assert state_of(pull) == "done"


def test_a_full_disk_is_said_and_leaves_nothing(db: None, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pull = request_pull(log)
    monkeypatch.setattr(imports, "_publish", raising(OSError(28, "No space left on device")))
    imports.run(pull.pk)
    assert state_of(pull) == "failed"
    assert "No space left on device" in pull.error
    assert "Free some space" in pull.error
    assert not list((Path(os.environ["TOLLGATE_HOME"]) / "work").glob("*"))


def test_a_reading_process_that_is_killed_is_tried_again(
    db: None, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o700)
    pull = request_pull(log)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(killed))
        imports.run(pull.pk)
    assert state_of(pull) == "queued"
    assert "signal 9" in pull.error
    lapse(pull)
    imports.run(pull.pk)
    assert state_of(pull) == "done"


def test_a_file_that_kills_its_reader_is_given_up_and_the_others_go_on(
    world: World, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead letter: three attempts, then a page that says so and offers to try again."""
    killed = tmp_path / "killed"
    killed.write_text(f"#!/bin/sh\ngrep -q poison.csv $3 && kill -9 $$\nexec {sys.executable} $@\n")
    killed.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(killed))
    poison = log.with_name("poison.csv")
    poison.write_text(HEADER + ROW + ROW)
    pull = request_pull(poison, part="poison.csv")
    other = request_pull(log)
    for _ in range(4):
        imports.sweep()
        lapse(pull)
    assert (state_of(pull), state_of(other)) == ("failed", "done")
    assert pull.attempt == 3
    page = log_in(world.cleo).get(f"/imports/{pull.pk}/").content.decode()
    assert "Given up after 3 attempts" in page
    assert "signal 9" in page
    assert f"/imports/{pull.pk}/retry/" in page
    assert "poison.csv" in log_in(world.cleo).get("/imports/?state=failed").content.decode()


def test_a_reader_that_never_ends_is_stopped_and_tried_again(
    db: None, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 600\n")
    hanging.chmod(0o700)
    pull = request_pull(log)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(hanging))
        patch.setattr(imports, "MOST_SECONDS", 1)
        imports.run(pull.pk)
    assert state_of(pull) == "queued"
    assert "did not come to an end" in pull.error
    lapse(pull)
    imports.run(pull.pk)
    assert state_of(pull) == "done"


def test_a_waiting_pull_is_cancelled_at_once(db: None, log: Path) -> None:
    pull = request_pull(log)
    sources.request_cancel(actor=MACHINE, pull=pull)
    assert imports.run(pull.pk) is None
    assert state_of(pull) == "cancelled"


def test_a_running_pull_stops_when_somebody_asks(db: None, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pull = request_pull(log)
    original = sources.beat

    def ask_then_beat(lease: sources.Lease, progress: Any) -> bool:
        Pull.objects.filter(pk=pull.pk).update(cancel_requested=True)
        return original(lease, progress)

    monkeypatch.setattr(sources, "beat", ask_then_beat)
    imports.run(pull.pk)
    assert state_of(pull) == "cancelled"
    assert Hour.objects.count() == 0


def test_a_cancel_that_was_accepted_before_the_rows_are_written_keeps_them_out(db: None, log: Path) -> None:
    pull = request_pull(log)

    def cancel_at_the_last_moment(progress: Mapping[str, Any]) -> None:
        if progress["stage"] == "writing":
            sources.request_cancel(actor=MACHINE, pull=pull)

    imports.run(pull.pk, cancel_at_the_last_moment)
    assert state_of(pull) == "cancelled"
    assert Hour.objects.count() == 0


def test_a_failed_pull_can_be_read_again(db: None, log: Path) -> None:
    pull = request_pull(log)
    log.rename(log.with_name("gone"))
    imports.run(pull.pk)
    assert state_of(pull) == "failed"
    log.with_name("gone").rename(log)
    sources.retry(actor=MACHINE, pull=pull)
    imports.run(pull.pk)
    assert state_of(pull) == "done"


def test_undo_puts_back_what_the_part_held_before(db: None, log: Path) -> None:
    first = request_pull(log)
    imports.run(first.pk)
    log.write_text(HEADER + ROW + ROW)
    second = request_pull(log)
    imports.run(second.pk)
    assert Hour.objects.get().requests == 2
    imports.undo(actor=MACHINE, pull=second)
    assert Hour.objects.get().requests == 1
    assert state_of(second) == "undone"
    assert Part.objects.get().sha256 == first.digest
    with pytest.raises(Conflict):
        imports.undo(actor=MACHINE, pull=second)
    first.refresh_from_db()
    imports.undo(actor=MACHINE, pull=first)
    assert Hour.objects.count() == 0


def test_only_those_who_manage_sources_may_import(world: World, log: Path) -> None:
    pull = request_pull(log)
    for person in (world.eve, world.finn, world.gus):
        with pytest.raises(NotAllowed):
            sources.request_cancel(actor=actor(person), pull=pull)


def test_uploads_are_deleted_a_week_later(db: None, log: Path) -> None:
    pull = request_pull(log)
    imports.run(pull.pk)
    kept = files.fresh_folder(files.upload_folder(pull.pk)) / "log.csv"
    kept.write_text("x")
    imports.tidy()
    assert kept.exists()
    Pull.objects.update(finished_at=timezone.now() - timedelta(days=8))
    imports.tidy()
    assert not kept.exists()
    pull.refresh_from_db()
    assert pull.file_deleted_at is not None
    assert log.exists()  # a file that was read where it lies is not ours to delete


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail

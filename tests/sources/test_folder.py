"""A live folder: what appears in it is read once, whole, and whatever happens to the names."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.core.errors import BadInput
from apps.costs import imports
from apps.sources import files
from apps.sources import services as sources
from apps.sources.connector import connector_of, registry
from apps.sources.connectors import folder
from apps.sources.models import LookedAtFile, Part, Pull, Source
from apps.usage.models import Hour
from tests.world import MACHINE
from workers import sources as bells

HEADER = "time,usage_key,provider,model,input_tokens,output_tokens\n"
Write = Callable[..., Path]


@pytest.fixture
def incoming(tmp_path: Path, settings: Any) -> Path:
    folder = tmp_path / "incoming"
    folder.mkdir()
    settings.IMPORT_ROOTS = [str(folder)]
    return folder


@pytest.fixture
def source(db: None, incoming: Path) -> Source:
    return make_source(incoming)


def make_source(folder: Path, *, pattern: str = "*.csv") -> Source:
    form = registry()["folder"].Config(
        {"folder": str(folder), "pattern": pattern, "format": "requests", "settle_seconds": 60}
    )
    assert form.is_valid(), form.errors
    config, secrets = registry()["folder"].split(form.cleaned_data)
    return sources.create_source(
        actor=MACHINE, name="Gateway", kind="folder", config=config, secrets=secrets, pull_every_minutes=5
    )


def write(folder: Path, name: str, *keys: str, age: int = 600, day: int = 3) -> Path:
    """A log with one call a key, last changed `age` seconds ago."""
    path = folder / name
    path.write_text(HEADER + "".join(f"2025-11-{day:02}T14:10:00Z,{key},openai,gpt-4o,100,10\n" for key in keys))
    changed = timezone.now().timestamp() - age
    os.utime(path, (changed, changed))
    return path


def ask(source: Source) -> list[str]:
    """Look once and read all that is ready; the names of the parts that were read."""
    pulls = sources.ask(actor=MACHINE, source=source)
    for pull in pulls:
        imports.run(pull.pk)
    return [pull.part.name for pull in pulls]


def requests_of(part: str) -> int:
    rows = Hour.objects.filter(series_id__in=Part.objects.get(name=part).series.values("pk"))
    return sum(row.requests or 0 for row in rows)


def test_what_appears_is_read_once(source: Source, incoming: Path) -> None:
    write(incoming, "a.csv", "A")
    assert ask(source) == ["a.csv"]
    assert ask(source) == []
    assert requests_of("a.csv") == 1


def test_a_file_that_still_grows_waits(source: Source, incoming: Path) -> None:
    write(incoming, "a.csv", "A", age=5)
    assert ask(source) == []
    write(incoming, "a.csv", "A", "B", age=2)
    assert ask(source) == []
    assert ask(source) == ["a.csv"]  # it looked the same twice
    assert requests_of("a.csv") == 2


def test_a_changed_file_is_loaded_again_and_a_touched_one_is_not(source: Source, incoming: Path) -> None:
    path = write(incoming, "a.csv", "A")
    ask(source)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert ask(source) == []
    write(incoming, "a.csv", "A", "B", "C", age=300)
    assert ask(source) == ["a.csv"]
    assert requests_of("a.csv") == 3


def test_a_broken_file_is_said_and_does_not_block_the_others(source: Source, incoming: Path) -> None:
    write(incoming, "good.csv", "A")
    (incoming / "bad.csv").write_text("one,two\n1,2\n")
    os.utime(incoming / "bad.csv", (1_700_000_000, 1_700_000_000))
    assert sorted(ask(source)) == ["bad.csv", "good.csv"]
    source.refresh_from_db()
    assert source.state == "attention"
    assert source.state_reason.startswith("bad.csv: ")
    assert requests_of("good.csv") == 1
    assert ask(source) == []  # the broken one is not tried again until it changes

    write(incoming, "bad.csv", "B")
    assert ask(source) == ["bad.csv"]
    source.refresh_from_db()
    assert source.state == "active"


def test_log_rotation_by_renaming_neither_loses_nor_doubles_rows(source: Source, incoming: Path) -> None:
    write(incoming, "app.csv", "A")
    ask(source)
    (incoming / "app.csv").rename(incoming / "app-1.csv")
    write(incoming, "app.csv", "B", "C", day=4)
    assert ask(source) == ["app.csv"]
    assert (requests_of("app-1.csv"), requests_of("app.csv")) == (1, 2)

    (incoming / "app-1.csv").rename(incoming / "app-2.csv")
    (incoming / "app.csv").rename(incoming / "app-1.csv")
    write(incoming, "app.csv", "D", day=5)
    assert ask(source) == ["app.csv"]
    assert [requests_of(f"app{n}.csv") for n in ("-2", "-1", "")] == [1, 2, 1]
    assert Hour.objects.count() == 4


def test_rows_of_a_file_that_was_deleted_or_overwritten_by_rotation_stay(source: Source, incoming: Path) -> None:
    write(incoming, "a.csv", "A")
    write(incoming, "b.csv", "B", day=4)
    ask(source)
    (incoming / "a.csv").rename(incoming / "b.csv")  # what b held is gone from the disk, not from the books
    assert ask(source) == []
    assert requests_of("b.csv") == 1
    assert Part.objects.filter(name__startswith="b.csv until").count() == 1
    assert Hour.objects.count() == 2


def test_a_copy_is_left_out_and_said(source: Source, incoming: Path) -> None:
    write(incoming, "a.csv", "A")
    ask(source)
    write(incoming, "copy.csv", "A")
    assert ask(source) == []
    assert "same bytes" in LookedAtFile.objects.get(name="copy.csv").problem
    source.refresh_from_db()
    assert source.state == "active"
    assert Hour.objects.count() == 1


def test_a_link_out_of_the_folder_is_left_alone(source: Source, incoming: Path, tmp_path: Path) -> None:
    outside = write(tmp_path, "secret.csv", "A")
    (incoming / "link.csv").symlink_to(outside)
    (incoming / "folder").symlink_to(tmp_path)
    assert ask(source) == []
    assert list(connector_of(make_source(incoming, pattern="**/*.csv")).files()) == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("folder", ["/etc", "/", "{root}/..", "{root}/link", "../../etc"])
def test_a_folder_outside_the_allowed_ones_is_refused(incoming: Path, folder: str) -> None:
    (incoming / "link").symlink_to("/etc")
    values = {"folder": folder.format(root=incoming), "pattern": "*", "format": "requests", "settle_seconds": 1}
    form = registry()["folder"].Config(values)
    assert not form.is_valid()
    assert "may not be read" in str(form.errors["folder"])


@pytest.mark.parametrize("pattern", ["../*.csv", "/etc/*", "a/../../b"])
def test_a_pattern_stays_inside_its_folder(incoming: Path, pattern: str) -> None:
    values = {"folder": str(incoming), "pattern": pattern, "format": "requests", "settle_seconds": 1}
    assert "pattern" in registry()["folder"].Config(values).errors


def test_a_link_that_is_swapped_in_later_is_refused_when_looking(
    source: Source, incoming: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    incoming.rename(tmp_path / "moved")
    incoming.symlink_to(elsewhere)
    source.config["folder"] = str(incoming / "..")
    with pytest.raises(BadInput, match="may not be read"):
        list(connector_of(source).files())  # type: ignore[attr-defined]


def test_the_schedule_asks_when_the_time_has_come_and_not_when_paused(source: Source) -> None:
    now = timezone.now()
    assert sources.due_sources(now) == [source]
    sources.mark_looked(source=source, now=now)
    assert sources.due_sources(now + timedelta(minutes=2)) == []
    assert sources.due_sources(now + timedelta(minutes=5)) == [source]
    sources.pause(actor=MACHINE, source=source)
    assert sources.due_sources(now + timedelta(minutes=5)) == []


def test_a_folder_that_vanished_needs_attention(source: Source, incoming: Path) -> None:
    incoming.rmdir()
    bells.pull(source.pk)
    source.refresh_from_db()
    assert source.state == "attention"
    assert "There is no folder" in source.state_reason


def test_a_file_that_changes_between_being_seen_and_being_read_is_read_later(source: Source, incoming: Path) -> None:
    """What was asked for is exactly the bytes that were seen; half a file never gets into the books."""
    write(incoming, "a.csv", "A")
    (asked,) = sources.ask(actor=MACHINE, source=source)
    write(incoming, "a.csv", "A", "B", age=300)
    imports.run(asked.pk)
    asked.refresh_from_db()
    assert asked.state == "failed"
    assert "has changed since" in asked.error
    assert Hour.objects.count() == 0
    assert ask(source) == ["a.csv"]
    assert requests_of("a.csv") == 2
    source.refresh_from_db()
    assert source.state == "active"


def test_a_file_that_vanishes_while_it_is_looked_at_is_let_go(
    source: Source, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(incoming, "a.csv", "A")
    write(incoming, "b.csv", "B")
    original = files.digest_of

    def vanish(paths: list[Path]) -> tuple[str, int]:
        found = original(paths)
        paths[0].with_name("a.csv").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(files, "digest_of", vanish)
    assert ask(source) == ["b.csv"]
    source.refresh_from_db()
    assert source.state == "active"


def test_an_unreadable_file_is_said_until_it_can_be_read_or_is_gone(
    source: Source, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(incoming, "good.csv", "A")
    bad = write(incoming, "locked.csv", "B")
    original = files.digest_of

    def refuse(paths: list[Path]) -> tuple[str, int]:
        if paths[0].name == "locked.csv":
            raise PermissionError(13, "Permission denied")
        return original(paths)

    with monkeypatch.context() as patch:
        patch.setattr(files, "digest_of", refuse)
        assert ask(source) == ["good.csv"]
    source.refresh_from_db()
    assert (source.state, source.state_reason) == ("attention", "locked.csv: It cannot be read: Permission denied.")
    bad.unlink()
    assert ask(source) == []
    source.refresh_from_db()
    assert source.state == "active"


def test_a_folder_that_may_not_be_read_needs_attention_until_it_may(
    source: Source, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> list[Path]:
        raise PermissionError(13, "Permission denied", str(incoming))

    write(incoming, "a.csv", "A")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "glob", refuse)
        bells.pull(source.pk)
    source.refresh_from_db()
    assert (source.state, source.state_reason) == ("attention", f"{incoming} cannot be read: Permission denied.")
    assert ask(source) == ["a.csv"]
    source.refresh_from_db()
    assert source.state == "active"


def test_what_is_no_file_is_left_alone(source: Source, incoming: Path) -> None:
    """A pipe above all: to open one waits for ever."""
    (incoming / "folder.csv").mkdir()
    os.mkfifo(incoming / "pipe.csv")
    (incoming / "broken.csv").symlink_to(incoming / "nowhere")
    (incoming / "round.csv").symlink_to(incoming / "round.csv")
    write(incoming, ".hidden.csv", "A")
    assert ask(source) == []
    source.refresh_from_db()
    assert source.state == "active"


def test_a_name_that_cannot_be_kept_is_said_and_does_not_block_the_others(db: None, incoming: Path) -> None:
    source = make_source(incoming, pattern="**/*.csv")
    write(incoming, "good.csv", "A")
    (incoming / os.fsdecode(b"caf\xe9.csv")).write_text(HEADER)
    deep = incoming / ("x" * 200) / ("y" * 200)
    deep.mkdir(parents=True)
    write(deep, "deep.csv", "B")
    for path in incoming.glob("*.csv"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    assert len(ask(source)) == 2
    assert Hour.objects.count() == 2
    source.refresh_from_db()
    assert source.state == "attention"
    assert "Its name cannot be kept" in source.state_reason


def test_thousands_of_files_are_looked_at_at_once_and_too_many_are_said(
    source: Source, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2_000):
        write(incoming, f"{number:05}.csv", age=5)
    with CaptureQueriesContext(connection) as queries:
        assert ask(source) == []
    assert len(queries) < 40
    assert LookedAtFile.objects.count() == 2_000
    monkeypatch.setattr(folder, "MOST_FILES", 1_999)
    bells.pull(source.pk)
    source.refresh_from_db()
    assert source.state == "attention"
    assert source.state_reason.startswith("More than 1,999 files match")


def test_a_header_without_rows_takes_nothing_out(source: Source, incoming: Path) -> None:
    """A file is no window: one without rows is no data, and its part keeps what it held."""
    write(incoming, "a.csv", "A", "B")
    ask(source)
    write(incoming, "a.csv", age=300)
    assert ask(source) == ["a.csv"]
    assert requests_of("a.csv") == 2
    source.refresh_from_db()
    assert source.state == "attention"
    assert "no data" in source.state_reason


def test_the_pull_command_reads_and_tells(source: Source, incoming: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(incoming, "a.csv", "A")
    call_command("pull")
    assert capsys.readouterr().out.strip() == "gateway, a.csv: 1 ledger rows written"
    call_command("pull", "gateway")
    assert capsys.readouterr().out.strip() == "gateway: nothing new"
    assert Pull.objects.get().state == "done"

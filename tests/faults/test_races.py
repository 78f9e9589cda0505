"""Several at once: workers, clocks, undos, prices and raters, in threads with connections of their own."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.catalog import services as catalog
from apps.core.errors import Conflict, TollgateError
from apps.core.models import AuditEvent
from apps.costs import attribution, imports
from apps.costs import services as costs
from apps.sources import files
from apps.sources import services as sources
from apps.sources.models import Pull, Source
from apps.usage import services as usage
from apps.workloads.models import Binding, Workload
from tests.books import at, make_pull, make_source, make_workload, rate_all
from tests.faults.invariants import check_ledger, check_rebuild
from tests.faults.ledger import ledger_hash
from tests.faults.loads import Key, Used, publish_hours, write_hours
from tests.world import MACHINE, make_world

pytestmark = pytest.mark.slow
HEADER = "time,usage_key,provider,model,input_tokens,output_tokens\n"


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Runs them in threads that start together; returns what each returned or raised."""
    results: list[Any] = [None] * len(acts)
    barrier = threading.Barrier(len(acts))

    def run(number: int, act: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[number] = act()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number, act)) for number, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "two wait for each other"
    return results


def write_log(path: Path, tokens: int, rows: int = 50) -> Path:
    with path.open("w") as file:
        file.write(HEADER)
        for row in range(rows):
            file.write(f"2025-11-0{1 + row % 9}T1{row % 7}:10:00Z,key-{row % 3},openai,gpt-4o,{tokens + row},10\n")
    return path


def ask(path: Path, source: str, part: str, **options: Any) -> Pull:
    found, _ = sources.find_or_create(actor=MACHINE, slug=source)
    digest, size = files.digest_of([path])
    return sources.request_pull(
        actor=MACHINE, part=sources.ensure_part(actor=MACHINE, source=found, name=part), format="requests",
        file_path=str(path), file_size=size, digest=digest, options=options,
    )  # fmt: skip


def finish_all() -> None:
    while Pull.objects.unfinished().exists():
        Pull.objects.unfinished().update(lease_until=None)
        imports.sweep()


def check() -> None:
    with connection.cursor() as cursor:
        check_ledger(cursor)
        check_rebuild(cursor)


def hash_of(source: str) -> str:
    with connection.cursor() as cursor:
        return ledger_hash(cursor, source)


def imported() -> int:
    return AuditEvent.objects.filter(verb="imported").count()


def test_two_workers_over_one_part_are_as_one_after_the_other(transactional_db: None, tmp_path: Path) -> None:
    one, two = write_log(tmp_path / "one.csv", 100), write_log(tmp_path / "two.csv", 7, rows=20)
    for path in (one, two):
        imports.run(ask(path, "calm", "log").pk)
    pulls = [ask(path, "busy", "log", again=True) for path in (one, two)]
    results = at_once(*(lambda pk=pull.pk: imports.run(pk) for pull in pulls))
    assert not [result for result in results if isinstance(result, Exception)]
    finish_all()
    assert hash_of("busy") == hash_of("calm")
    assert imported() == 4
    check()


def test_one_pull_is_run_by_one_of_four(transactional_db: None, tmp_path: Path) -> None:
    pull = ask(write_log(tmp_path / "log.csv", 100), "logs", "log")
    results = at_once(*[lambda: imports.run(pull.pk)] * 4)
    assert sorted(result is None for result in results) == [False, True, True, True]
    assert imported() == 1
    check()


def test_the_same_bytes_under_two_parts_at_once_are_loaded_once(transactional_db: None, tmp_path: Path) -> None:
    path = write_log(tmp_path / "log.csv", 100)
    sources.find_or_create(actor=MACHINE, slug="logs")
    asked = at_once(lambda: ask(path, "logs", "one"), lambda: ask(path, "logs", "two"))
    assert not [found for found in asked if not isinstance(found, Pull | Conflict)]
    pulls = [found for found in asked if isinstance(found, Pull)]
    at_once(*(lambda pk=pull.pk: imports.run(pk) for pull in pulls))
    finish_all()
    assert Pull.objects.filter(state=Pull.State.DONE).count() == 1
    assert imported() == 1
    for refused in Pull.objects.filter(state=Pull.State.FAILED):
        assert "same bytes" in refused.error
    check()


def read_one_number(_lease: Any, _pull: Pull, inputs: list[Path], work: Path, _on_progress: Any) -> dict[str, Any]:
    """What the reading process would leave for a file of one row, without starting one for each of a hundred."""
    tokens = int(inputs[0].read_text())
    hour = at(1 + tokens % 28)
    write_hours({Key(f"key-{tokens % 7}", "gpt-4o", hour): Used(requests=1, input=tokens)}, work)
    hours = {"first_hour": hour.isoformat(), "last_hour": hour.isoformat(), "hours": 1, "charges": 0}
    return {"rows_read": 1, "rows_rejected": 0, **hours}


def test_a_hundred_waiting_imports_are_each_taken_once_by_two_clocks(
    transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "_reduce", read_one_number)
    for number in range(100):
        path = tmp_path / f"{number}.csv"
        path.write_text(str(1000 + number))
        ask(path, "logs", path.name)
    results = at_once(imports.sweep, imports.sweep, costs.rate_dirty)
    assert results == [None, None, results[2]]
    finish_all()
    assert imported() == Pull.objects.filter(state=Pull.State.DONE).count() == 100
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(input), count(*) FROM usage_hour")
        assert cursor.fetchone() == (sum(range(1000, 1100)), 100)
    check()


def test_a_month_is_made_once_by_four(transactional_db: None) -> None:
    for number in range(10):
        hour = at(1, month=1).replace(year=2016 + number)
        made = at_once(*[lambda hour=hour: usage.make_room(first=hour, last=hour)] * 4)
        assert made == [None] * 4


def test_two_raters_give_what_one_gives(transactional_db: None, tmp_path: Path) -> None:
    for slug in ("calm", "busy"):
        rows = {Key(f"key-{n % 40}", "gpt-4o", at(1 + n % 28, n % 24)): Used(requests=1, input=n) for n in range(800)}
        publish_hours(make_pull(make_source(slug), "log"), rows, tmp_path)
        results = at_once(*[costs.rate_dirty] * (1 if slug == "calm" else 3))
        assert sum(results) == len({(key.usage_key, key.hour.date()) for key in rows})  # each day is rated by one
    assert hash_of("busy") == hash_of("calm")
    check()


# --- Everything against everything ------------------------------------------------------------------------------------


class Storm:
    """Loads, undos, prices, exchange rates, owners and raters, all at once for some seconds."""

    def __init__(self, folder: Path, seconds: float) -> None:
        world = make_world()
        self.workloads: list[Workload] = [make_workload(name, world) for name in ("Triage", "Summaries")]
        self.source: Source = make_source("Gateway")
        self.folder, self.ends_at = folder, time.monotonic() + seconds
        self.loaded: dict[int, dict[Key, Used]] = {}
        self.numbers = iter(range(10**6))
        self.offering = catalog.resolve("openai", "gpt-4o")

    def repeat(self, act: Callable[[random.Random], None], seed: int) -> Callable[[], int]:
        def run() -> int:
            chance, times = random.Random(seed), 0
            while time.monotonic() < self.ends_at:
                # A tie, an overlap, or an import that is no longer the newest.
                with suppress(TollgateError):
                    act(chance)
                times += 1
            return times

        return run

    def load(self, chance: random.Random) -> None:
        pull = make_pull(self.source, chance.choice(("one", "two")), state=Pull.State.DRAFT, finished_at=None)
        hours = [at(1 + chance.randrange(3), chance.randrange(24), month=chance.choice((10, 11))) for _ in range(20)]
        rows = {Key(f"key-{chance.randrange(4)}", "gpt-4o", hour): Used(requests=1, input=chance.randrange(10**6))
                for hour in hours}  # fmt: skip
        folder = self.folder / str(pull.pk)
        folder.mkdir()
        write_hours(rows, folder)
        usage.make_room(first=min(hours), last=max(hours))
        with transaction.atomic():
            held = Pull.objects.select_for_update(of=("self",)).select_related("part__source").get(pk=pull.pk)
            usage.publish(pull=held, work_dir=folder)
            costs.mark_dirty_touched("import")
            self.loaded[pull.pk] = rows
            held.state, held.finished_at = Pull.State.DONE, timezone.now()
            held.save()

    def undo(self, chance: random.Random) -> None:
        newest = Pull.objects.filter(part__name=chance.choice(("one", "two")), state=Pull.State.DONE)
        pull = newest.order_by("-finished_at", "-pk").first()
        if pull is not None and chance.random() < 0.3:
            imports.undo(actor=MACHINE, pull=pull)

    def price(self, chance: random.Random) -> None:
        first = at(1 + chance.randrange(3), chance.randrange(24), month=chance.choice((10, 11)))
        price = Decimal(chance.randrange(1, 10**6)).scaleb(-4)
        catalog.add_contract_rate(
            actor=MACHINE, offering=self.offering, prices=catalog.Prices(input=price, output=price), valid_from=first,
            valid_to=first + timedelta(hours=1 + chance.randrange(5)), currency=chance.choice(("USD", "EUR")),
            confirmed=True,
        )  # fmt: skip

    def exchange(self, chance: random.Random) -> None:
        day = at(1 + chance.randrange(3), month=chance.choice((10, 11))).date()
        rate = Decimal(chance.randrange(5000, 20000)).scaleb(-4)
        catalog.set_exchange_rate(actor=MACHINE, day=day, currency="EUR", quote="USD", rate=rate, reason="the bank")

    def own(self, chance: random.Random) -> None:
        standing = list(Binding.objects.in_force())
        if standing and chance.random() < 0.5:
            attribution.unbind(actor=MACHINE, binding=chance.choice(standing))
            return
        attribution.bind(
            actor=MACHINE, workload=chance.choice(self.workloads), pairs=[["key", f"key-{chance.randrange(4)}"]],
            valid_from=at(1 + chance.randrange(3), chance.randrange(24)),
        )  # fmt: skip

    def rate(self, _: random.Random) -> None:
        rate_all()

    def content(self) -> dict[str, dict[Key, Used]]:
        """What each part must hold: what the newest pull that stands has brought."""
        done = Pull.objects.filter(state=Pull.State.DONE).select_related("part").order_by("finished_at", "pk")
        return {pull.part.name: self.loaded[pull.pk] for pull in done}


def test_everything_against_everything(transactional_db: None, tmp_path: Path) -> None:
    catalog.set_exchange_rate(
        actor=MACHINE, day=at(1).date(), currency="EUR", quote="USD", rate=Decimal("1.1"), reason="the bank"
    )
    storm = Storm(tmp_path, seconds=15)
    acts = (storm.load, storm.load, storm.undo, storm.price, storm.exchange, storm.own, storm.rate, storm.rate)
    results = at_once(*(storm.repeat(act, seed) for seed, act in enumerate(acts)))
    assert all(isinstance(times, int) and times > 0 for times in results), results
    rate_all()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.name, count(*), sum(h.input) FROM usage_hour h JOIN usage_series s ON s.id = h.series_id"
            " JOIN sources_part p ON p.id = s.part_id GROUP BY 1"
        )
        found = {name: (hours, int(tokens)) for name, hours, tokens in cursor.fetchall()}
    content = storm.content()
    assert found == {part: (len(rows), sum(row.input or 0 for row in rows.values())) for part, rows in content.items()}
    check()

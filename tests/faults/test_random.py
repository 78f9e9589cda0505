"""Any order of loads, undos, bindings, prices and rates leads to the ledger that the final state alone gives."""

import hashlib
import json
import tempfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from apps.catalog import fx
from apps.catalog import services as catalog
from apps.catalog.bands import ServiceTier
from apps.core import organisation
from apps.core.errors import TollgateError
from apps.costs import attribution
from apps.costs.models import Line
from apps.sources.models import Pull, Source
from apps.usage.models import Charge
from apps.workloads.models import BEGINNING, END, Binding, Workload
from tests.books import make_pull, make_source, make_workload, rate_all
from tests.faults.invariants import check_ledger, check_rebuild
from tests.faults.ledger import ledger_hash
from tests.faults.loads import Key, Used, publish_charges, publish_hours, undo
from tests.world import MACHINE, make_world

# The last hours of October and the first of November, in UTC and in a zone that is ahead of it.
FIRST_HOUR = datetime.fromisoformat("2026-10-30T21:00:00+00:00")
HOURS = [FIRST_HOUR + timedelta(hours=step) for step in (0, 1, 2, 3, 26, 27, 28, 50, 51, 52)]
MODELS = ("gpt-4o-2024-08-06", "gpt-4o-mini", "nobody-knows", "own-llama")
KEYS = ("A", "B", "C")
PARTS = (("gateway", "one"), ("gateway", "two"), ("proxy", "one"))

counts = st.integers(0, 5_000_000)
keys = st.builds(
    Key,
    usage_key=st.sampled_from(KEYS),
    model=st.sampled_from(MODELS),
    hour=st.sampled_from(HOURS),
    call_kind=st.sampled_from(("token", "retry_failed", "fallback")),
    service_tier=st.sampled_from((ServiceTier.STANDARD, ServiceTier.BATCH, ServiceTier.UNKNOWN)).map(str),
    prompt_band=st.sampled_from((-1, 0, 2)),
)
used = st.one_of(
    st.builds(Used, requests=counts, input=counts, cached=st.none() | counts, output=counts),
    # A known busy share is never above the time held.
    st.builds(Used, requests=st.none(), gpu_seconds=st.integers(500, 900).map(lambda n: n * 36),
              gpu_busy_seconds=st.none() | st.integers(0, 500).map(lambda n: n * 36)),
    st.builds(Used, requests=counts, input=counts, output=counts,
              reported_cost=st.decimals(0, 1000, places=9), currency=st.sampled_from(("USD", "EUR"))),
)  # fmt: skip
hours = st.dictionaries(keys, used, max_size=12)
prices = st.decimals("0.01", 500, places=6)
edges = st.sampled_from((BEGINNING, *HOURS, END))


@st.composite
def charges(draw: st.DrawFn) -> dict[str, Any]:
    start = draw(st.sampled_from(HOURS))
    category = draw(st.sampled_from(("Usage", "Usage", "Usage", "Purchase", "Credit", "Tax")))
    days = draw(st.sampled_from((1, 1, 1, 40))) if category == "Usage" else 1
    in_scope = draw(st.booleans()) or days > 1  # see _BILLED: a long charge without scope is counted day by day
    cost = draw(st.decimals(-100 if category == "Credit" else 0, 1000, places=10))
    return {
        "charge_start": start, "charge_end": start + timedelta(days=days), "billing_month": date(2026, 10, 1),
        "category": category, "class": "", "identity": json.dumps([["key", draw(st.sampled_from(KEYS))]]),
        "provider": "OpenAI", "model": draw(st.sampled_from((None, "gpt-4o-mini"))),
        "service_category": "AI and Machine Learning" if in_scope else "Storage", "meter": "Tokens",
        "quantity": Decimal(draw(st.integers(0, 100))), "unit": "Tokens", "billed": cost,
        "effective": draw(st.just(cost) | st.decimals(0, 100, places=10)), "list": cost,
        "currency": draw(st.sampled_from(("USD", "EUR"))), "extra": "{}",
    }  # fmt: skip


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Like rows of a bill are told apart by their number."""
    seen: dict[str, int] = {}
    for row in rows:
        row["row_digest"] = hashlib.sha256(repr(sorted(row.items())).encode()).hexdigest()
        row["occurrence"] = seen[row["row_digest"]] = seen.get(row["row_digest"], 0) + 1
    return rows


def event(name: str, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


bills = event("load_bill", rows=st.lists(charges(), max_size=5).map(numbered), usable=st.booleans())
loads = event("load", part=st.sampled_from(PARTS), rows=hours)
undos = event("undo", number=st.integers(0, 5))
currencies = st.sampled_from(("USD", "EUR"))
events = st.one_of(
    loads, loads, loads, bills, bills, undos, undos,
    event("load_the_same_again", part=st.sampled_from(PARTS)),
    event("bind", key=st.sampled_from(KEYS), number=st.integers(0, 1), first=edges, last=edges, narrow=st.booleans()),
    event("unbind", number=st.integers(0, 3), until=st.none() | edges),
    event("price", model=st.sampled_from(MODELS), first=edges, last=st.none() | edges, a=prices, b=prices,
          currency=currencies),
    event("exchange_rate", hour=st.sampled_from(HOURS), rate=st.decimals("0.5", 2, places=5)),
)  # fmt: skip


class Ledger(RuleBasedStateMachine):
    """What each part should hold is kept as a stack: a load lays one on top, an undo takes one off."""

    @initialize()
    def begin(self) -> None:
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.folder = tempfile.TemporaryDirectory()
        self.held: dict[tuple[str, str], list[tuple[Pull, Any]]] = {}
        self.sources = {slug: make_source(slug) for slug in ("gateway", "proxy", "bill")}
        self.workloads = list(Workload.objects.order_by("pk"))

    def teardown(self) -> None:
        try:
            self.settle()
            self.proves_what_it_holds()
            with connection.cursor() as cursor:
                check_rebuild(cursor)
        finally:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)
            self.folder.cleanup()

    @rule(event=events, rated=st.booleans())
    def happen(self, event: tuple[str, dict[str, Any]], rated: bool) -> None:
        """One rule for all, so that each run has some of everything; half of the time what came before is priced."""
        name, arguments = event
        if rated:
            rate_all()
        getattr(self, name)(**arguments)

    def load(self, part: tuple[str, str], rows: dict[Key, Used]) -> None:
        pull = make_pull(self.sources[part[0]], part[1])
        publish_hours(pull, rows, Path(self.folder.name))
        self.held.setdefault(part, []).append((pull, rows))

    def load_the_same_again(self, part: tuple[str, str]) -> None:
        if not self.held.get(part):
            return
        rows = self.held[part][-1][1]
        pull = make_pull(self.sources[part[0]], part[1])
        published = publish_hours(pull, rows, Path(self.folder.name))
        assert (published.written, published.removed) == (0, 0)
        self.held[part].append((pull, rows))

    def load_bill(self, rows: list[dict[str, Any]], usable: bool) -> None:
        pull = make_pull(self.sources["bill"], "bill", format="focus")
        publish_charges(pull, rows, Path(self.folder.name), usable=usable)
        self.held.setdefault(("bill", "bill"), []).append((pull, rows))

    def undo(self, number: int) -> None:
        loaded = sorted(part for part, loads in self.held.items() if loads)
        if loaded:
            pull, _ = self.held[loaded[number % len(loaded)]].pop()
            undo(pull)

    def bind(self, key: str, number: int, first: datetime, last: datetime, narrow: bool) -> None:
        source: Source | None = self.sources["gateway"] if narrow else None
        self.refusable(
            lambda: attribution.bind(
                actor=MACHINE, workload=self.workloads[number], pairs=[["key", key]], source=source, valid_from=first,
                valid_to=last,
            )
        )  # fmt: skip

    def unbind(self, number: int, until: datetime | None) -> None:
        standing = list(Binding.objects.in_force().order_by("pk"))
        if number < len(standing):
            self.refusable(lambda: attribution.unbind(actor=MACHINE, binding=standing[number], valid_to=until))

    def price(self, model: str, first: datetime, last: datetime | None, a: Decimal, b: Decimal, currency: str) -> None:
        own = model == "own-llama"
        stated = catalog.Prices(gpu_hour=a) if own else catalog.Prices(input=a, output=b)
        self.refusable(
            lambda: catalog.add_contract_rate(
                actor=MACHINE, offering=catalog.resolve("openai", model), prices=stated, currency=currency,
                valid_from=first, valid_to=last, confirmed=True,
            )
        )  # fmt: skip

    def exchange_rate(self, hour: datetime, rate: Decimal) -> None:
        catalog.set_exchange_rate(
            actor=MACHINE, day=hour.date(), currency="EUR", quote="USD", rate=rate, reason="the bank said so"
        )

    @rule()
    def settle(self) -> None:
        """What the worker does whenever it comes to it: the order of everything else must not matter to it."""
        rate_all()
        with connection.cursor() as cursor:
            check_ledger(cursor)

    def refusable(self, act: Any) -> None:
        """Ties, overlaps and empty spans are refused, and then nothing has happened."""
        try:
            with transaction.atomic():
                act()
        except TollgateError:
            pass

    def proves_what_it_holds(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT src.slug, p.name, count(*), coalesce(sum(h.input), 0), coalesce(sum(h.gpu_seconds), 0)"
                " FROM usage_hour h JOIN usage_series s ON s.id = h.series_id JOIN sources_part p ON p.id = s.part_id"
                " JOIN sources_source src ON src.id = p.source_id GROUP BY 1, 2"
            )
            found = {(slug, name): tuple(figures) for slug, name, *figures in cursor.fetchall()}
        loads = {part: loads[-1][1] for part, loads in self.held.items() if loads and part[0] != "bill"}
        assert found == {part: summed(rows) for part, rows in loads.items() if rows}
        bills = [loads[-1][1] for part, loads in self.held.items() if loads and part[0] == "bill"]
        charged = sorted(Charge.objects.values_list("row_digest", "occurrence", "billed"))
        rows = [row for bill in bills for row in bill]
        assert charged == sorted((row["row_digest"], row["occurrence"], row["billed"]) for row in rows)


def summed(rows: dict[Key, Used]) -> tuple[int, int, int]:
    return len(rows), sum(row.input or 0 for row in rows.values()), sum(row.gpu_seconds or 0 for row in rows.values())


def run(zone: str, *, examples: int, steps: int) -> None:
    world = make_world()
    company = organisation.get()
    company.zone = zone
    company.save()
    for name in ("Triage", "Summaries"):
        make_workload(name, world)
    fx.ensure("EUR", "USD")
    options = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Ledger, settings=options)


def test_any_order_of_events_leads_to_the_same_ledger(db: None) -> None:
    run("UTC", examples=4, steps=10)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
def test_any_order_of_many_events_leads_to_the_same_ledger(db: None, zone: str) -> None:
    run(zone, examples=50, steps=20)


def test_the_fingerprint_sees_every_table(db: None) -> None:
    nothing = hashlib.sha256(b"").hexdigest()
    with connection.cursor() as cursor:
        assert ledger_hash(cursor) == hashlib.sha256(" ".join([nothing] * 6).encode()).hexdigest()


def test_reported_costs_in_two_currencies_on_one_day_stay_apart(db: None, tmp_path: Path) -> None:
    """No price is known, so what the source says counts: 3 USD in one hour, 5 EUR in the next, 2 USD later."""
    reported = {0: (3, "USD"), 1: (5, "EUR"), 4: (2, "USD")}
    rows = {
        Key("A", "nobody-knows", HOURS[hour]): Used(1, 100, output=10, reported_cost=Decimal(cost), currency=currency)
        for hour, (cost, currency) in reported.items()
    }
    publish_hours(make_pull(make_source(), "log"), rows, tmp_path)
    rate_all()
    found = {(line.day.day, line.currency): (line.amount, line.quantity) for line in Line.objects.all()}
    assert found == {(30, "USD"): (3, 110), (30, "EUR"): (5, 110), (31, "USD"): (2, 110)}
    with connection.cursor() as cursor:
        check_ledger(cursor)

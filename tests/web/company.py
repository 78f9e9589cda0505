"""A month of a small company for the page tests: what it costs is known by heart.

October 2026: Summaries (Care, Ben's) 30, Triage (Legal, Eve's) 50 of which 20 failed, unallocated 7. September:
Summaries 20. One million tokens of the model own/dollar cost one dollar.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from apps.catalog.models import LatencyBand, Offering, ValueTier
from apps.costs import attribution
from apps.usage.models import Identity, Series
from apps.workloads.models import BEGINNING, END, Workload, WorkloadRevision
from tests.books import (
    add_hour,
    at,
    make_identity,
    make_offering,
    make_pull,
    make_series,
    make_source,
    make_workload,
    prices,
    rate_all,
)
from tests.costs.test_signed import bill, charge, load
from tests.faults.loads import Key, Used
from tests.world import MACHINE, World


class Company:
    """Usage by workload; `spend` writes one hour, `close` has it rated."""

    def __init__(self, world: World, source: str = "Gateway") -> None:
        self.world = world
        self.offering = make_offering("own", "dollar")
        if not self.offering.rates.exists():
            prices(self.offering, input="1.00", output="1.00")
        self.pull = make_pull(make_source(source), digest="9f3c" * 16, rows=2)
        self.keys: dict[int | None, Identity] = {}
        self.series: dict[tuple[int | None, str, int], Series] = {}

    def spend(
        self,
        workload: Workload | None,
        dollars: int,
        when: datetime,
        *,
        kind: str = "token",
        offering: Offering | None = None,
        **more: Any,
    ) -> None:
        offering = offering or self.offering
        owner = workload.pk if workload else None
        if owner not in self.keys:
            label = workload.slug if workload else "nobodys"
            self.keys[owner] = make_identity(self.pull.part.source, f"{label}-key", (BEGINNING, END, workload))
        key = (owner, kind, offering.pk)
        if key not in self.series:
            self.series[key] = make_series(self.pull, self.keys[owner], offering, call_kind=kind)
        add_hour(self.pull, self.series[key], when, requests=10, input=dollars * 1_000_000, cached=0, output=0, **more)


def make_company(world: World) -> Company:
    company = Company(world)
    summaries = make_workload("Summaries", world)
    triage = make_workload("Triage", world, cost_centre=world.legal, business_owner=world.eve, budget_owner=world.eve)
    WorkloadRevision.objects.create(
        workload=summaries,
        version=1,
        value_tier=ValueTier.objects.get(pk="T2"),
        latency_band=LatencyBand.objects.get(limit_ms=2000),
    )
    WorkloadRevision.objects.create(workload=triage, version=1)
    counts = [0] * 26
    counts[7], counts[9] = 180, 20  # 180 calls took 1 to 1.5 s, 20 took 2 to 2.5 s
    company.spend(summaries, 10, at(1), latency_counts=counts)
    company.spend(summaries, 20, at(20))
    company.spend(summaries, 20, at(20, month=9))
    company.spend(triage, 30, at(5))
    company.spend(triage, 20, at(5), kind="retry_failed")
    company.spend(None, 7, at(7))
    rate_all()
    return company


def make_two_bills(world: World, folder: Path) -> None:
    """October: openai computed 110 and billed 100, anthropic computed 45 and billed 50, all of one workload."""
    attribution.bind(actor=MACHINE, workload=make_workload("Copilot", world), pairs=[["key", "A"]])
    used: dict[Key, Used] = {}
    for provider, millions in (("openai", 110), ("anthropic", 45)):
        prices(make_offering(provider, f"model-of-{provider}"), input="1.00", output="1.00")
        key = Key("A", f"model-of-{provider}", at(5), provider=provider)
        used[key] = Used(requests=1, input=millions * 1_000_000, output=0)
    load(make_source("Gateway"), used, folder)
    bill([charge(5, "100", "a"), charge(5, "50", "b", provider="Anthropic")], folder)
    rate_all()

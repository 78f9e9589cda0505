"""Small hand-made books for tests: a source, its keys, and hours written as a pull would write them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from apps.catalog import services as catalog
from apps.catalog.models import Offering
from apps.core import organisation, periods
from apps.costs import services as costs
from apps.costs.models import DirtyDay, Line
from apps.sources.models import Part, Pull, Source
from apps.usage.models import Identity, Series
from apps.usage.services import TABLES
from apps.workloads.models import BEGINNING, END, Attribution, Workload
from tests.world import MACHINE

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)


def make_workload(name: str, world: Any, **values: Any) -> Workload:
    """An active workload of Ben's in Care, told in full."""
    told = {
        "slug": name.lower().replace(" ", "-"),
        "purpose": f"{name} for the team",
        "output_unit": "answer",
        "audience": Workload.Audience.EMPLOYEE,
        "state": Workload.State.ACTIVE,
        "stage": Workload.Stage.PRODUCTION,
        "cost_centre": world.care,
        "business_owner": world.ben,
        "technical_owner": world.dan,
        "budget_owner": world.ben,
        "activated_at": OCTOBER,
    }
    return Workload.objects.create(name=name, **{**told, **values})


def make_source(name: str = "Gateway", **values: Any) -> Source:
    return Source.objects.create(name=name, slug=name.lower().replace(" ", "-"), **values)


def make_pull(source: Source, part: str = "log.csv", **values: Any) -> Pull:
    """A finished pull of a part of the source, which is made when it is new."""
    part_row, _ = Part.objects.get_or_create(source=source, name=part)
    told = {"format": Pull.Format.REQUESTS, "state": Pull.State.DONE, "finished_at": OCTOBER}
    return Pull.objects.create(part=part_row, **{**told, **values})


def make_identity(source: Source, key: str, *spans: tuple[datetime, datetime, Workload | None]) -> Identity:
    """A usage key of the source, unallocated unless spans of owners are given."""
    identity = Identity.objects.create(source=source, pairs=[["key", key]], digest=f"{source.pk}-{key}")
    for valid_from, valid_to, workload in spans or ((BEGINNING, END, None),):
        Attribution.objects.create(identity_id=identity.pk, valid_from=valid_from, valid_to=valid_to, workload=workload)
    return identity


def make_offering(provider: str = "openai", model: str = "gpt-4o-2024-08-06") -> Offering:
    return catalog.resolve(provider, model)


def make_series(pull: Pull, identity: Identity, offering: Offering, **values: Any) -> Series:
    told = {"call_kind": "token", "service_tier": "standard", "prompt_band": 0}
    return Series.objects.create(part=pull.part, identity=identity, offering=offering, **{**told, **values})


def add_hour(pull: Pull, series: Series, hour: datetime, **values: Any) -> None:
    """One stored hour (token types disjoint) and its day marked dirty, as a publication does it."""
    periods.ensure_months(hour, hour, TABLES)
    row = {"series_id": series.pk, "hour": hour, "pull_id": pull.pk, **values}
    with connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(row))
        cursor.execute(f"INSERT INTO usage_hour ({', '.join(row)}) VALUES ({marks})", list(row.values()))
    DirtyDay.objects.create(day=hour.astimezone(organisation.zone()).date(), identity=series.identity, reason="test")


def rate_all() -> None:
    """What the worker does in the end."""
    costs.sweep_rate_changes()
    costs.rate_dirty()


def prices(offering: Offering, *, valid_from: datetime = BEGINNING, currency: str = "USD", **per_million: str) -> None:
    """A contract with these prices per 1,000,000 tokens (or `gpu_hour`)."""
    stated = catalog.Prices(**{name: Decimal(price) for name, price in per_million.items()})
    catalog.add_contract_rate(
        actor=MACHINE, offering=offering, prices=stated, currency=currency, valid_from=valid_from, confirmed=True
    )


@contextmanager
def unproved() -> Iterator[None]:
    """As the tables' owner can, past the proofs: a month is signed and opened again without review and decision."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = origin")


def cost(**filters: Any) -> Decimal:
    """The sum of the full-cost lines that match."""
    return sum((line.amount or Decimal(0) for line in Line.objects.full_cost().filter(**filters)), Decimal(0))


def at(day: int, hour: int = 0, *, month: int = 10) -> datetime:
    """An hour of October 2026, UTC."""
    return datetime(2026, month, day, hour, tzinfo=UTC)


def october(day: int) -> date:
    return date(2026, 10, day)


HOUR = timedelta(hours=1)

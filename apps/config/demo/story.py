"""What happens at Larkfield: the things that its FinOps people find out about, as changes to plain traffic."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apps.accounts import services as accounts
from apps.accounts.models import CostCentre, Person
from apps.config.demo.company import Use
from apps.config.demo.traffic import Flow, Price, one_call
from apps.core import periods
from apps.core.actor import Actor
from apps.costs import imports
from apps.sources import services as sources
from apps.sources.models import Pull, Source
from apps.workloads import services as workloads
from apps.workloads.models import Workload

MOVED_KEY = "care-labels"
BLOATING, RETRYING, SLOWING = "Sales copilot", "Order status bot", "Sales copilot"
BEFORE_BLOAT, BLOAT_SINCE = 6_900, 5  # tokens of a call until five months before the last complete month
# What two actions of the last review saved: from the last complete month on, and only there.
CACHING, BEFORE_CACHE = "Claims triage", 0.0124
COPIED, BEFORE_COPY = "Product descriptions", 4_500


def tokens_in(use: Use, ago: int) -> float:
    """Input tokens of a call: those of one use grow from month to month, since its prompt takes in ever more."""
    if use.name == COPIED and ago > 0:
        return BEFORE_COPY
    if use.name != BLOATING:
        return use.tokens[0]
    step = (use.tokens[0] - BEFORE_BLOAT) / BLOAT_SINCE
    return max(BEFORE_BLOAT, use.tokens[0] - step * max(ago, 0))


def cached(use: Use, ago: int) -> float:
    """The share of the input that is cached: one use began to do so with the last complete month."""
    return BEFORE_CACHE if use.name == CACHING and ago > 0 else use.cached


def slowness(use: Use, ago: int) -> float:
    """How much of its last p95 a use had then."""
    return max(0.66, 1 - 0.045 * max(ago, 0)) if use.name == SLOWING else 1.0


def failing(use: Use, ago: int, starts_at: datetime, ends_at: datetime) -> Iterator[tuple[float, datetime, datetime]]:
    """Failed attempts for each call and the span in which that holds: a storm begins on the last month's third day."""
    if use.name != RETRYING or ago > 0:
        yield use.failed, starts_at, ends_at
        return
    storm = starts_at + timedelta(days=2) if ago == 0 else starts_at
    yield 0.054, starts_at, storm
    yield 0.29, storm, ends_at


def unpriced(ago: int, starts_at: datetime, ends_at: datetime) -> Iterator[Flow]:
    """Two models of a small vendor that no price list knows, tried since the last complete month."""
    if ago <= 0:
        for model, calls in (("pixel-xl-beta", 38_400), ("pixel-edit-beta", 2_800)):
            yield Flow(
                "studio-batch",
                "pixelworks",
                model,
                "token",
                "employee",
                calls,
                880,
                0,
                120,
                starts_at,
                ends_at,
                7_000,
                16_000,
            )


def key_moved_at(today: datetime) -> datetime:
    """Noon of the 15th in the month before the last complete one: in the middle of a month and of a day."""
    month = periods.previous_month(periods.previous_month(today.date().replace(day=1)))
    return datetime(month.year, month.month, 15, 12, tzinfo=UTC)


def moved_key(price: Price, starts_at: datetime, ends_at: datetime) -> Iterator[Flow]:
    """The key that served one workload and now serves another, about 260 dollars a month."""
    calls = 260 / one_call((2_400, 50), 0, price)
    yield Flow(
        MOVED_KEY, "openai", "gpt-4o-mini", "token", "automation", calls, 2_400, 0, 50, starts_at, ends_at, 400, 900
    )


def before_correction(flows: list[Flow], starts_at: datetime) -> Iterator[Flow]:
    """A month as the gateway told it first: of the second week it had lost a tenth of the calls."""
    week, after = starts_at + timedelta(days=11), starts_at + timedelta(days=18)
    for flow in flows:
        yield replace(flow, until=min(flow.until, week))
        yield replace(flow, since=max(flow.since, week), until=min(flow.until, after), share=0.9)
        yield replace(flow, since=max(flow.since, after))


def part_of_last_month(since: datetime, today: datetime) -> float:
    """The share of the last complete month that lies after `since`."""
    ends_at = today.replace(day=1)
    starts_at = datetime.combine(periods.previous_month(ends_at.date()), datetime.min.time(), UTC)
    return (ends_at - max(since, starts_at)) / (ends_at - starts_at)


def tell(*, people: dict[str, Person], gateway: Source, folder: Path) -> None:
    """A draft somebody has not finished, a file that could not be read, a view that is shared, a token."""
    _leave_draft(people["Tom Becker"])
    _fail_import(gateway, folder)
    analyst, engineer = _actor(people["Felix Adeyemi"]), _actor(people["Priya Raman"])
    accounts.save_view(
        actor=analyst,
        page="workloads",
        name="Largest customer-facing",
        query="audience=customer&sort=-cost",
        shared=True,
    )
    accounts.create_token(actor=engineer, name="Gateway in Frankfurt", scopes=["usage:write"], valid_days=180)


def _leave_draft(owner: Person) -> None:
    workloads.start_draft(
        actor=_actor(owner),
        name="Return reason summaries",
        purpose="Sums up why an article comes back, for the buyers.",
        output_unit="return summary",
        audience=Workload.Audience.EMPLOYEE,
        cost_centre=CostCentre.objects.get(code="ECO"),
        business_owner=owner,
    )


def _fail_import(gateway: Source, folder: Path) -> None:
    broken = folder / "gateway-export.csv"
    broken.write_text("date,team,spend\n2026-10-01,care,12.40\n")
    machine = Actor.command("demo")
    part = sources.ensure_part(actor=machine, source=gateway, name=broken.name)
    asked = sources.request_pull(actor=machine, part=part, format=Pull.Format.REQUESTS, file_path=str(broken))
    imports.run_to_end(asked.pk)


def _actor(person: Person) -> Actor:
    return Actor(person_id=person.pk, label=person.name, channel="web")

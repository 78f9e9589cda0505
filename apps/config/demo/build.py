"""Building Larkfield Group in the current database, step by step, through the services that real data takes."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from apps.accounts import services as accounts
from apps.accounts.models import Account, CostCentre, Person, Role
from apps.catalog import services as catalog
from apps.catalog.models import EffectiveRate, LatencyBand, ValueTier
from apps.config.demo import budgets, company, files, meetings, story, worth
from apps.config.demo.company import STRAYS, USES, Use
from apps.config.demo.traffic import Flow, Price, calls_for, one_call, write_hours
from apps.core import organisation, periods
from apps.core.actor import Actor
from apps.costs import attribution, imports
from apps.costs import services as costs
from apps.sources import files as store
from apps.sources import services as sources
from apps.sources.models import Part, Pull, Source
from apps.usage import services as usage
from apps.workloads import services as workloads
from apps.workloads.models import Workload

SETUP = Actor.command("demo")
MONTHS = 12  # complete ones, before the current month
SIGNED = 3  # of them, the last ones
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Calendar:
    """The months of the demo; `today` is the first instant that has not happened yet."""

    today: datetime

    @property
    def last_month(self) -> date:
        """The last complete month, of which the figures of company.py are."""
        return periods.previous_month(self.today.date().replace(day=1))

    @property
    def months(self) -> list[date]:
        """Oldest first; the current, incomplete month is the last."""
        month = self.today.date().replace(day=1)
        found = [month]
        for _ in range(MONTHS):
            month = periods.previous_month(month)
            found.append(month)
        return found[::-1]

    @property
    def begun(self) -> list[date]:
        """Those of which something has happened: on the first of a month nothing of it has."""
        return [month for month in self.months if month < self.today.date()]

    def ago(self, month: date) -> int:
        """How many months before the last complete one; -1 for the current month."""
        return (self.last_month.year - month.year) * 12 + self.last_month.month - month.month

    def span(self, month: date) -> tuple[datetime, datetime]:
        """The month in UTC, as far as it has happened."""
        starts_at, ends_at = periods.bounds(month, UTC_ZONE)
        return starts_at, min(ends_at, self.today)


UTC_ZONE = ZoneInfo("UTC")


def exists() -> bool:
    return Account.objects.exists()


def build(say: Say, *, as_of: datetime | None = None, signed: int = SIGNED) -> None:
    """Make the company unless the database has people already; `as_of` stands for now (default: now).

    `signed`: how many months before it were reviewed and signed off; without any, nothing came late either.
    """
    if exists():
        say("There are people here already; nothing was changed.")
        return
    moment = (as_of or timezone.now()).astimezone(UTC)
    calendar = Calendar(moment.replace(hour=0, minute=0, second=0, microsecond=0))
    folder = Path(tempfile.mkdtemp(prefix="tollgate-demo-"))
    try:
        _build(say, calendar, folder, signed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _build(say: Say, calendar: Calendar, folder: Path, signed: int) -> None:
    say("People and cost centres ...")
    organisation.make(actor=SETUP, name=company.NAME)
    people = make_people()
    say(f"Registering {len(USES)} use cases ...")
    made = register(people)
    gateway, cluster = make_sources()
    with transaction.atomic():
        bind_keys(made, actor(people["Felix Adeyemi"]), gateway, cluster, calendar)
    say("Prices of our own hardware ...")
    prices = state_prices()
    costs.sweep_rate_changes()  # as the worker does each minute; no month is signed before
    say(f"A year of calls through the gateway ({len(calendar.months)} months) ...")
    pulls = [load_month(gateway, month, calendar, prices, folder) for month in calendar.begun]
    say("GPU hours, a request log of yesterday's, a bill ...")
    store_files(calendar, cluster, folder)
    costs.rate_dirty()
    for pull in pulls:
        settle(pull)
    load_bill(calendar, folder)
    say("What it is worth ...")
    first = calendar.months[0]
    budgets.tell_budgets(people=people, made=made, first_month=first, last_month=calendar.last_month)
    worth.tell_worth(people=people, made=made, months=calendar.months, today=calendar.today.date())
    accounts.deactivate_person(actor=actor(people["Anna Lindqvist"]), person=people[worth.LEAVER])
    if signed:
        say(f"Reviewing and signing {signed} months ...")
        review(calendar, people, made, gateway, folder, signed)
    say("What else happens in a company ...")
    story.tell(people=people, gateway=gateway, folder=folder)


def review(
    calendar: Calendar, people: dict[str, Person], made: dict[str, Workload], gateway: Source, folder: Path, count: int
) -> None:
    """The reviews of the last months, and what became known when they were signed."""
    month, today = calendar.last_month, calendar.today.date()
    meetings.hold(people=people, last_month=month, now=calendar.today, count=count)
    late = meetings.write_late_hours(folder / f"gateway-late-{month:%Y-%m}.csv", month)
    bring_in(gateway, late, Pull.Format.USAGE)
    costs.rate_dirty(today)
    meetings.count_late_outcomes(people=people, workload=made[meetings.LATE_USE], month=month, today=today)


def make_people() -> dict[str, Person]:
    centres: dict[str, CostCentre] = {}
    for code, name, parent in company.COST_CENTRES:
        centres[code] = accounts.make_cost_centre(actor=SETUP, code=code, name=name, parent=centres.get(parent))
    people: dict[str, Person] = {}
    for name, role, _ in company.PEOPLE:
        person = accounts.make_person(actor=SETUP, name=name, email=email_of(name))
        people[name] = person
        if role:
            accounts.make_account(actor=SETUP, person=person, email=email_of(name), password=company.PASSWORD)
        if role and role not in ("business_owner", "member"):
            giver = actor(people["Anna Lindqvist"]) if name != "Anna Lindqvist" else SETUP
            accounts.grant_role(actor=giver, person=person, role=Role(role))
    return people


def email_of(name: str) -> str:
    return f"{name.lower().replace(' ', '.')}@larkfield.example"


def actor(person: Person) -> Actor:
    return Actor(person_id=person.pk, label=person.name, channel="web")


def register(people: dict[str, Person]) -> dict[str, Workload]:
    """Every use by its own owner, as the three steps of the form would."""
    centres = {centre.code: centre for centre in CostCentre.objects.all()}
    tiers, bands = ValueTier.objects.in_bulk(), LatencyBand.objects.in_bulk()
    made: dict[str, Workload] = {}
    for use in USES:
        owner = people[use.owner]
        made[use.name] = workloads.register(
            actor=actor(owner),
            name=use.name,
            purpose=use.purpose,
            output_unit=use.unit,
            audience=use.audience,
            benefit=use.benefit,
            stage=use.stage,
            cost_centre=centres[use.centre],
            business_owner=owner,
            technical_owner=people["Priya Raman"] if use.cost > 5_000 else people["Daniel Kovac"],
            budget_owner=people["Marta Oyelaran"],
            monthly_spend_expected=Decimal(round(use.cost * 1.12, -2)),
            value_tier=tiers[use.tier],
            latency_band=bands[use.band],
            failure_severity=use.severity,
            failure_cost=Decimal(use.failure_cost),
        )
    return made


def make_sources() -> tuple[Source, Source]:
    gateway = sources.create_source(actor=SETUP, name="LiteLLM gateway", slug="litellm-gateway")
    cluster = sources.create_source(actor=SETUP, name="GPU cluster", slug="gpu-cluster")
    sources.create_source(actor=SETUP, name="Legal gateway", slug="legal-gateway")
    sources.create_source(actor=SETUP, name="Cloud bill (FOCUS)", slug="cloud-bill")
    return gateway, cluster


def bind_keys(made: dict[str, Workload], analyst: Actor, gateway: Source, cluster: Source, calendar: Calendar) -> None:
    """Which key is whose, and from when for the one that moved."""
    for use in USES:
        attribution.bind(actor=analyst, workload=made[use.name], pairs=[["key", use.key]], source=gateway)
    for key, workload in files.OTHER_KEYS.items():
        attribution.bind(actor=analyst, workload=made[workload], pairs=[["key", key]], source=None)
    for key, holder in files.GPU_KEYS.items():
        if holder:
            attribution.bind(actor=analyst, workload=made[holder], pairs=[["key", key]], source=cluster)
    moved = story.key_moved_at(calendar.today)
    labels, hints = made["Enquiry classification"], made["Returns fraud hints"]
    pairs = [["key", story.MOVED_KEY]]
    attribution.bind(actor=analyst, workload=labels, pairs=pairs, source=gateway, valid_to=moved)
    attribution.bind(actor=analyst, workload=hints, pairs=pairs, source=gateway, valid_from=moved)


def state_prices() -> dict[tuple[str, str], Price]:
    """List prices of what is called, and what the cluster's accelerators cost an hour by our own rate card."""
    for model, hourly in files.GPU_RATES.items():
        offering = catalog.resolve(files.GPU_PROVIDER, model)
        catalog.add_contract_rate(
            actor=SETUP,
            offering=offering,
            prices=catalog.Prices(gpu_hour=Decimal(hourly)),
            currency="USD",
            valid_from=datetime(2025, 1, 1, tzinfo=UTC),
            contract="Rate card of the cluster",
            confirmed=True,
        )
    named = {model for use in USES for model, _ in use.models} | {stray.model for stray in STRAYS}
    offerings = {model: catalog.resolve(*model) for model in sorted(named)}
    rates = EffectiveRate.objects.filter(
        offering__in=offerings.values(), service_tier="standard", prompt_band=0, valid_to__year=9999
    )
    by_offering = {rate.offering_id: Price(rate.input, rate.cached, rate.output) for rate in rates}
    return {model: by_offering[offering.pk] for model, offering in offerings.items()}


def load_month(
    gateway: Source, month: date, calendar: Calendar, prices: dict[tuple[str, str], Price], folder: Path
) -> Pull:
    """One month of the gateway, published as the worker publishes what it has read."""
    starts_at, ends_at = calendar.span(month)
    work = folder / f"{month:%Y-%m}"
    work.mkdir()
    flows = list(flows_of(month, calendar, prices))
    if calendar.ago(month) == 0:
        # What the gateway said first about a week of that month, and what that cost; then it corrected itself.
        settle(publish(gateway, month, list(story.before_correction(flows, starts_at)), work, starts_at, ends_at))
    return publish(gateway, month, flows, work, starts_at, ends_at)


def settle(pull: Pull) -> None:
    sources.settle(pull_id=pull.pk, totals={**pull.totals, **costs.totals_of_pull(pull)})


def publish(
    gateway: Source, month: date, flows: list[Flow], work: Path, starts_at: datetime, ends_at: datetime
) -> Pull:
    # Calls are spread over the whole month, also where only its first days have happened.
    whole = periods.bounds(month, UTC_ZONE)
    rows = write_hours(flows, work / "hours.parquet", starts_at=whole[0], ends_at=whole[1])
    part = sources.ensure_part(actor=SETUP, source=gateway, name=f"gateway-{month:%Y-%m}")
    asked = sources.request_pull(actor=SETUP, part=part, format=Pull.Format.REQUESTS, file_path=part.name)
    lease = sources.take(asked.pk)
    if lease is None:
        raise RuntimeError(f"{part} is busy")
    usage.make_room(first=starts_at, last=ends_at - timedelta(hours=1))
    with transaction.atomic():
        pull = sources.hold(lease)
        published = usage.publish(pull=pull, work_dir=work)
        costs.mark_dirty_touched("import")
        totals = {**files.sums_of(work / "hours.parquet"), "hours_written": published.written}
        totals |= {"hours_unchanged": published.unchanged, "rows_rejected": 0, "rejects": [], "notes": []}
        sources.finish(actor=SETUP, pull=pull, totals=totals, rejected_path="")
    if published.written + published.unchanged != rows:
        raise RuntimeError(f"{part}: {rows} hours made, {published.written} written")
    return pull


def flows_of(month: date, calendar: Calendar, prices: dict[tuple[str, str], Price]) -> Iterator[Flow]:
    """Everything that passes through the gateway in a month."""
    ago = calendar.ago(month)
    starts_at, ends_at = calendar.span(month)
    for use in USES:
        if ago < use.months:
            yield from flows_of_use(use, ago, prices, starts_at, ends_at)
    for stray in STRAYS:
        since = calendar.today.replace(day=1) - timedelta(days=stray.since)
        calls = (
            stray.cost
            / one_call((3_000, 400), 0, prices[stray.model])
            / story.part_of_last_month(since, calendar.today)
        )
        if since < ends_at:
            yield Flow(
                stray.key,
                *stray.model,
                "token",
                "employee",
                calls,
                3_000,
                0,
                400,
                max(since, starts_at),
                ends_at,
                800,
                1_900,
            )
    yield from story.unpriced(ago, starts_at, ends_at)
    yield from story.moved_key(prices[company.MINI], starts_at, ends_at)


def flows_of_use(
    use: Use,
    ago: int,
    prices: dict[tuple[str, str], Price],
    starts_at: datetime,
    ends_at: datetime,
) -> Iterator[Flow]:
    """Delivered calls, fallbacks and failed attempts of one use, split over its models."""
    calls = calls_for(use, prices) * use.growth**-ago
    tokens_in = story.tokens_in(use, ago)
    share_cached = story.cached(use, ago)
    plain, cached = tokens_in * (1 - share_cached), tokens_in * share_cached
    p95 = use.p95 * story.slowness(use, ago)
    for (provider, model), weight in use.models:
        of_model = calls * weight
        common = (use.key, provider, model)
        delivered = of_model * (1 - use.fallback)
        yield Flow(
            *common, "token", use.audience, delivered, plain, cached, use.tokens[1], starts_at, ends_at, use.p50, p95
        )
        if use.fallback:
            share = of_model * use.fallback
            yield Flow(
                *common, "fallback", use.audience, share, plain, 0, use.tokens[1], starts_at, ends_at, use.p50, p95
            )
        for failed, since, until in story.failing(use, ago, starts_at, ends_at):
            yield Flow(*common, "retry_failed", use.audience, of_model * failed, plain, cached, 0, since, until)


def store_files(calendar: Calendar, cluster: Source, folder: Path) -> None:
    """The files that people bring in by hand, through the whole import."""
    gpu_hours = files.write_gpu_hours(folder / "gpu-hours.csv", calendar.months, calendar.span)
    bring_in(cluster, gpu_hours, Pull.Format.USAGE)
    log = files.write_request_log(folder / f"gateway-eu-{calendar.today:%Y-%m-%d}.csv.gz", calendar.today)
    bring_in(Source.objects.get(slug="legal-gateway"), log, Pull.Format.REQUESTS, columns=files.LOG_COLUMNS)


def load_bill(calendar: Calendar, folder: Path) -> None:
    """The cloud bill of every complete month; what it repeats of the gateway's calls is worked out from the lines."""
    bills = folder / "cloud-bill"
    bills.mkdir()
    for month in calendar.months[:-1]:
        files.write_bill(bills / f"focus-{month:%Y-%m}.csv", month, last=month == calendar.last_month)
    bring_in(Source.objects.get(slug="cloud-bill"), bills, Pull.Format.FOCUS)


def bring_in(source: Source, path: Path, format: Pull.Format, **options: object) -> Pull:  # noqa: A002
    """Import a file or a folder as `manage.py ingest` does, and insist that it worked."""
    found = store.expand(str(path))
    digest, size = store.digest_of(found)
    part: Part = sources.ensure_part(actor=SETUP, source=source, name=path.name)
    asked = sources.request_pull(
        actor=SETUP, part=part, format=format, options=options, file_path=str(path), file_size=size, digest=digest
    )
    pull = imports.run_to_end(asked.pk)
    if pull.state != Pull.State.DONE:
        raise RuntimeError(f"{part}: {pull.error}")
    return pull


def logins() -> list[dict[str, str]]:
    """One log-in a role."""
    return [
        {"role": role, "email": email_of(name), "password": company.PASSWORD}
        for name, role, _ in company.PEOPLE
        if role
    ]

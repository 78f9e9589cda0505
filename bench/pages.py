"""The cost page over 5,000 workloads and a year of day lines, against an empty page in the same frame."""

from datetime import date
from pathlib import Path

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.accounts.models import Account, CostCentre, Person, Role, RoleGrant
from apps.catalog import services as catalog
from apps.core import organisation, periods
from apps.costs import flags, rating_sql
from apps.costs.rating import TABLES
from apps.sources.models import Source
from apps.workloads.models import Workload
from bench.harness import Measured, compare, say, scaled

WORKLOADS = 5_000
FIRST, LAST = date(2025, 11, 1), date(2026, 10, 31)
EMPTY = "/settings/tokens/"
SMALL = 10  # workloads, for the count of queries


def measure(_home: Path) -> list[Measured]:
    client = logged_in()
    few = _queries_of(client, SMALL)
    many = _queries_of(client, scaled(WORKLOADS, least=SMALL + 1))
    say(f"queries of the cost page: {few} over {SMALL} workloads, {many} over {scaled(WORKLOADS)}")
    return [
        against_empty(client, "cost_page_year", "/costs/?from=2025-11-01&to=2026-10-31"),
        against_empty(client, "cost_page_month", "/costs/?month=2026-10"),
        Measured("cost_page_queries_many_to_few", many / few, 1),
    ]


def against_empty(client: Client, name: str, address: str) -> Measured:
    """The server's time for a page, against an empty page in the same frame."""
    for each in (address, EMPTY):
        client.get(each)
    return compare(name, subject=lambda: get(client, address), floor=lambda: get(client, EMPTY), limit=3, runs=9)


def get(client: Client, address: str) -> None:
    answer = client.get(address)
    if answer.status_code != 200:
        raise RuntimeError(f"{address} answers {answer.status_code}")


def _queries_of(client: Client, workloads: int) -> int:
    fill(workloads)
    client.get("/costs/?from=2025-11-01&to=2026-10-31")
    connection.force_debug_cursor = True
    before = len(connection.queries_log)
    get(client, "/costs/?from=2025-11-01&to=2026-10-31")
    connection.force_debug_cursor = False
    return len(connection.queries_log) - before


def logged_in() -> Client:
    """An administrator's browser, whichever part of the bench asks first."""
    organisation.get()
    if "testserver" not in settings.ALLOWED_HOSTS:
        settings.ALLOWED_HOSTS.append("testserver")
    person = _person()
    account = Account.objects.filter(person=person).first()
    if account is None:
        account = Account.objects.create(person=person, email=person.email, password=make_password("bench"))
        RoleGrant.objects.create(person=person, role=Role.ADMINISTRATOR, granted_by=None)
    client = Client()
    client.force_login(account)
    return client


def _person() -> Person:
    return Person.objects.get_or_create(email="bench@example.com", defaults={"name": "Bench Administrator"})[0]


def fill(workloads: int) -> None:
    """A year of lines for each workload: three components a day of one model, and their roll-ups."""
    source, _ = Source.objects.get_or_create(slug="bench", defaults={"name": "Bench"})
    centre, _ = CostCentre.objects.get_or_create(code="BENCH", defaults={"name": "Bench", "path": "/1/"})
    owner = _person()
    offering = catalog.resolve("openai", "gpt-4o").pk
    for month in periods.months_between(FIRST, LAST):
        starts_at, _ = periods.bounds(month, organisation.zone())
        periods.ensure_months(starts_at, starts_at, TABLES)
    Workload.objects.bulk_create(
        [_workload(number, centre, owner) for number in range(workloads)], ignore_conflicts=True, batch_size=1000
    )
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE costs_line, costs_month, costs_day, costs_owner_month")
        cursor.execute(_LINES, [offering, source.pk, FIRST, LAST, workloads])
        cursor.execute("CREATE TEMP TABLE costs_delta AS SELECT 1 AS sign, l.* FROM costs_line l")
        for statement in rating_sql.ROLL_UP:
            if statement.strip().startswith("INSERT"):
                cursor.execute(statement, {name.lower(): getattr(flags, name) for name in rating_sql.FLAGS})
        cursor.execute(
            "DROP TABLE costs_delta; ANALYZE costs_line; ANALYZE costs_month; ANALYZE costs_day; "
            "ANALYZE costs_owner_month"
        )


def _workload(number: int, centre: CostCentre, owner: Person) -> Workload:
    return Workload(
        slug=f"bench-{number}",
        name=f"Bench workload {number}",
        purpose="bench",
        output_unit="answer",
        audience=Workload.Audience.EMPLOYEE,
        state=Workload.State.ACTIVE,
        cost_centre=centre,
        business_owner=owner,
        technical_owner=owner,
        budget_owner=owner,
        activated_at=timezone.now(),
    )


_LINES = """
INSERT INTO costs_line (day, charge_month, booked_month, workload_id, identity_id, offering_id, source_id, component,
    basis, role, quantity, requests, amount, currency, amount_org)
SELECT day::date, date_trunc('month', day), date_trunc('month', day), w.id, w.id, %s, %s, component, 'computed',
    'counts', 1000, 10, w.id * 0.001, 'USD', w.id * 0.001
FROM workloads_workload w, unnest(ARRAY['token', 'retry_failed', 'fallback']) component,
    generate_series(%s::date, %s::date, interval '1 day') day
WHERE w.slug LIKE 'bench-%%' AND w.id IN (
    SELECT id FROM workloads_workload WHERE slug LIKE 'bench-%%' ORDER BY id LIMIT %s)
"""

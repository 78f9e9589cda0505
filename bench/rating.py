"""From hours to day lines, against one hand-written SQL that does the same."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from django.db import connection

from apps.catalog import services as catalog
from apps.core import organisation, periods
from apps.costs import services as costs
from apps.sources.models import Part, Source
from apps.usage.services import TABLES
from bench.harness import Measured, compare, scaled

HOURS_A_MONTH = 744  # October has 31 days
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini")
MONTH = date(2026, 10, 1)


def measure(_home: Path) -> list[Measured]:
    organisation.get()
    identities = scaled(20_000_000 // HOURS_A_MONTH // len(MODELS), least=20)
    make_series(identities)
    fill_month(MONTH)
    results = [compare("rating_month", subject=_rate_month, floor=_by_hand, between=_empty_lines, limit=2)]
    results.append(compare("rating_changed_day_of_month", subject=_rate_day, floor=_rate_month, limit=0.1))
    results.append(_newest_day())
    _clean()
    return results


def _newest_day() -> Measured:
    """The newest day with five months and thirty days of hours behind it, against a table that holds that day alone."""
    month = MONTH
    for _ in range(5):  # 5 x 20 million older hours at full scale
        month = periods.previous_month(month)
        fill_month(month)
    with connection.cursor() as cursor:
        cursor.execute(_THAT_DAY_ALONE)
    _empty_lines()
    _rate_day()
    name = "rating_newest_day_with_100M_older"
    return compare(name, subject=_rate_day, floor=_rate_day_alone, limit=1.2, runs=7)


def make_series(identities: int) -> None:
    source, _ = Source.objects.get_or_create(slug="bench", defaults={"name": "Bench"})
    part, _ = Part.objects.get_or_create(source=source, name="rating")
    offerings = [catalog.resolve("openai", model).pk for model in MODELS]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO usage_identity (source_id, pairs, digest, first_seen) "
            "SELECT %s, jsonb_build_array(jsonb_build_array('key', 'k' || i)), 'rating-' || i, now() "
            "FROM generate_series(1, %s) i ON CONFLICT DO NOTHING",
            [source.pk, identities],
        )
        cursor.execute(
            "INSERT INTO workloads_attribution (identity_id, valid_from, valid_to) "
            "SELECT id, '1970-01-01Z', '9999-01-01Z' FROM usage_identity WHERE digest LIKE 'rating-%%' "
            "ON CONFLICT DO NOTHING"
        )
        cursor.execute(
            "INSERT INTO usage_series (part_id, identity_id, offering_id, call_kind, service_tier, prompt_band) "
            "SELECT %s, i.id, o, 'token', 'standard', 0 FROM usage_identity i, unnest(%s::bigint[]) o "
            "WHERE i.digest LIKE 'rating-%%' ON CONFLICT DO NOTHING",
            [part.pk, offerings],
        )


def fill_month(month: date) -> None:
    starts_at, ends_at = periods.bounds(month, ZoneInfo("UTC"))
    periods.ensure_months(starts_at, starts_at, {**TABLES, "costs_line": "date"})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO usage_hour (series_id, hour, revision, pull_id, requests, input, cached, output) "
            "SELECT s.id, h, 0, 1, 10, 9000 + s.id %% 1000, 500, 700 FROM usage_series s "
            "JOIN usage_identity i ON i.id = s.identity_id AND i.digest LIKE 'rating-%%', "
            "generate_series(%s::timestamptz, %s::timestamptz - interval '1 hour', '1 hour') h",
            [starts_at, ends_at],
        )
        cursor.execute(f"ANALYZE usage_hour_{month:%Y_%m}")


def _rate_month() -> None:
    _mark("generate_series(date '2026-10-01', date '2026-10-31', '1 day')")
    costs.rate_dirty()


def _rate_day() -> None:
    _mark("generate_series(date '2026-10-31', date '2026-10-31', '1 day')")
    costs.rate_dirty()


def _rate_day_alone() -> None:
    """The same statements, which meet the table of the one day first."""
    with connection.cursor() as cursor:
        cursor.execute("SET search_path = bench_alone, public")
        try:
            _rate_day()
        finally:
            cursor.execute("RESET search_path")


def _mark(days: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at) "
            f"SELECT day::date, id, 'bench', now() FROM usage_identity, {days} day WHERE digest LIKE 'rating-%%'"
        )


def _by_hand() -> None:
    """Each hour meets its owner and its price, and the products are summed into a table with the same key."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_line; CREATE TABLE bench_line (LIKE costs_line INCLUDING ALL)")
        cursor.execute("""
            INSERT INTO bench_line (day, charge_month, booked_month, workload_id, identity_id, offering_id, source_id,
                component, basis, role, quantity, requests, amount, currency, amount_org)
            SELECT (h.hour AT TIME ZONE 'UTC')::date, '2026-10-01', '2026-10-01', a.workload_id, s.identity_id,
                s.offering_id, p.source_id, s.call_kind, 'computed', 'counts', sum(h.input + h.cached + h.output),
                sum(h.requests), sum((h.input * r.input + h.cached * r.cached + h.output * r.output) * 0.000001),
                r.currency, sum((h.input * r.input + h.cached * r.cached + h.output * r.output) * 0.000001)
            FROM usage_hour h JOIN usage_series s ON s.id = h.series_id JOIN sources_part p ON p.id = s.part_id
            JOIN workloads_attribution a
                ON a.identity_id = s.identity_id AND h.hour >= a.valid_from AND h.hour < a.valid_to
            JOIN catalog_effective_rate r ON r.offering_id = s.offering_id AND r.service_tier = s.service_tier
                AND r.prompt_band = s.prompt_band AND h.hour >= r.valid_from AND h.hour < r.valid_to
            WHERE h.hour >= '2026-10-01Z' AND h.hour < '2026-11-01Z' AND h.revision = 0
            GROUP BY 1, a.workload_id, s.identity_id, s.offering_id, p.source_id, s.call_kind, r.currency
        """)


def _empty_lines() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE costs_line, costs_month, costs_day, costs_owner_month, costs_dirty_day")


def _clean() -> None:
    _empty_lines()
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE usage_hour; DROP TABLE IF EXISTS bench_line; DROP SCHEMA IF EXISTS bench_alone CASCADE"
        )


_THAT_DAY_ALONE = """
CREATE SCHEMA bench_alone;
CREATE TABLE bench_alone.usage_hour (LIKE public.usage_hour INCLUDING ALL) PARTITION BY RANGE (hour);
CREATE TABLE bench_alone.usage_hour_2026_10 PARTITION OF bench_alone.usage_hour
    FOR VALUES FROM ('2026-10-01Z') TO ('2026-11-01Z');
INSERT INTO bench_alone.usage_hour SELECT * FROM public.usage_hour WHERE hour >= '2026-10-31Z' AND hour < '2026-11-01Z';
ANALYZE bench_alone.usage_hour_2026_10
"""

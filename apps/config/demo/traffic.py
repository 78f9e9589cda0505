"""The gateway's hours of one month, made by DuckDB as the reduction of a request log would leave them.

A year of single calls would be a hundred million rows; their hours are enough for everything that is shown. All chance
is integer arithmetic on a seed, so that the same company comes out on every machine.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from statistics import NormalDist

import duckdb
import pyarrow as pa

from apps.catalog.bands import LATENCY_EDGES_MS, prompt_band
from apps.config.demo.company import Use

SEED = 20_261_112
# Work by hour of the day in the offices' zone, of weekdays; weekends keep a third. Machines work around the clock.
OFFICE = (1, 1, 1, 1, 1, 2, 5, 12, 20, 24, 25, 23, 18, 21, 24, 23, 20, 14, 8, 5, 4, 3, 2, 1)
SHOPPERS = (3, 2, 1, 1, 1, 2, 4, 7, 10, 12, 13, 14, 15, 14, 13, 13, 14, 16, 19, 22, 23, 19, 12, 6)
MACHINE = (10,) * 24
PROFILES = {"employee": (OFFICE, 0.33), "customer": (SHOPPERS, 1.15), "automation": (MACHINE, 1.0)}


@dataclass(frozen=True, slots=True)
class Flow:
    """One series of a month: `calls` of the whole month, of which only those in [since, until) happen."""

    key: str
    provider: str
    model: str
    call_kind: str
    audience: str
    calls: float
    input: float  # tokens of one call, without cached ones
    cached: float
    output: float
    since: datetime
    until: datetime
    p50: float = 0
    p95: float = 0
    share: float = 1.0  # of the calls in each hour: what a restatement takes away or adds


@dataclass(frozen=True, slots=True)
class Price:
    """USD per 1,000,000 tokens."""

    input: Decimal
    cached: Decimal
    output: Decimal


def one_call(tokens: tuple[float, float], cached: float, price: Price) -> float:
    """What one delivered call costs in USD; `cached` is the share of its input."""
    plain, kept = tokens[0] * (1 - cached), tokens[0] * cached
    return (plain * float(price.input) + kept * float(price.cached) + tokens[1] * float(price.output)) / 1e6


def calls_for(use: Use, prices: dict[tuple[str, str], Price]) -> float:
    """Delivered calls that bring a use to its cost in a month, what its failed attempts cost included."""
    cost = 0.0
    for model, weight in use.models:
        delivered = one_call(use.tokens, use.cached, prices[model])
        failed = one_call((use.tokens[0], 0), use.cached, prices[model])
        cost += weight * (delivered + use.failed * failed)
    return use.cost / cost


def latency_shares(p50: float, p95: float) -> list[float]:
    """Share of calls up to each edge (and 1 above the last) of a log-normal latency with these percentiles, in ms."""
    sigma = math.log(p95 / p50) / NormalDist().inv_cdf(0.95)
    return [round(NormalDist().cdf(math.log(edge / p50) / sigma), 6) for edge in LATENCY_EDGES_MS] + [1.0]


def write_hours(flows: Iterable[Flow], target: Path, *, starts_at: datetime, ends_at: datetime) -> int:
    """Write the month's hours of these flows to a Parquet file; returns how many."""
    with duckdb.connect(config={"memory_limit": "1GB"}) as db:
        db.execute("SET TimeZone = 'UTC'")
        db.register("flow", _table(list(flows)))
        db.register("profile", _profile())
        db.execute(
            "CREATE TABLE month AS SELECT * FROM generate_series(?, ?, INTERVAL 1 HOUR) t (hour)",
            _span(starts_at, ends_at),
        )
        db.execute(f"COPY ({_HOURS}) TO '{target}' (FORMAT parquet)")
        row = db.execute(f"SELECT count(*) FROM '{target}'").fetchone()
    return int(row[0]) if row else 0


def _span(starts_at: datetime, ends_at: datetime) -> list[datetime]:
    return [starts_at.replace(tzinfo=None), (ends_at.replace(tzinfo=None) - _HOUR)]


_HOUR = datetime(2000, 1, 1, 1) - datetime(2000, 1, 1)  # noqa: DTZ001

# An hour's part of the month's calls follows the profile; what is lost by whole calls comes back by a threshold that
# differs from hour to hour. Tokens of a call vary by a few per cent.
_HOURS = f"""
WITH weighed AS (
    SELECT f.*, m.hour,
        p.weight * (850 + (f.number * 7919 + epoch(m.hour)::BIGINT // 3600 * 104729 + {SEED}) % 301) AS weight
    FROM flow f CROSS JOIN month m
    JOIN profile p ON p.audience = f.audience AND p.hour = hour(m.hour) AND p.weekend = (isodow(m.hour) > 5)
), counted AS (
    SELECT *, CAST(floor(calls * weight / sum(weight) OVER (PARTITION BY number) * share
        + ((number * 31 + epoch(hour)::BIGINT // 3600 * 17) % 97) / 97.0) AS BIGINT) AS requests,
        (980 + (number * 13 + epoch(hour)::BIGINT // 3600 * 29) % 41) / 1000.0 AS vary
    FROM weighed
)
SELECT key AS usage_key, provider, model, call_kind, 'standard' AS service_tier, prompt_band, hour, requests,
    CAST(round(requests * input * vary) AS BIGINT) AS input, CAST(round(requests * cached * vary) AS BIGINT) AS cached,
    NULL::BIGINT AS cache_write, NULL::BIGINT AS cache_write_1h,
    CAST(round(requests * output * vary) AS BIGINT) AS output, NULL::BIGINT AS reasoning,
    NULL::DECIMAL(38,18) AS gpu_seconds, NULL::DECIMAL(38,18) AS gpu_busy_seconds,
    NULL::DECIMAL(38,18) AS reported_cost, NULL::VARCHAR AS currency,
    CASE WHEN len(shares) > 0 THEN list_transform(range(1, len(shares) + 1), lambda i:
        CAST(floor(requests * shares[i]) - CASE WHEN i = 1 THEN 0 ELSE floor(requests * shares[i - 1]) END AS BIGINT))
    END AS latency_counts,
    CASE WHEN len(shares) > 0 THEN CAST(requests * mean AS DECIMAL(38,18)) END AS latency_sum_ms,
    NULL::BIGINT[] AS ttft_counts, 0 AS flags
FROM counted WHERE requests > 0 AND hour >= since AND hour < until
"""


def _table(flows: list[Flow]) -> pa.Table:
    plain = {
        name: [getattr(flow, name) for flow in flows]
        for name in ("key", "provider", "model", "call_kind", "audience", "calls", "input", "cached", "output", "share")
    }
    times = {name: [getattr(flow, name).replace(tzinfo=None) for flow in flows] for name in ("since", "until")}
    shares = [latency_shares(flow.p50, flow.p95) if flow.p50 else [] for flow in flows]
    return pa.table(
        {
            **plain,
            **{name: pa.array(values, pa.timestamp("us")) for name, values in times.items()},
            "number": list(range(1, len(flows) + 1)),
            "prompt_band": [prompt_band(int(flow.input + flow.cached)) for flow in flows],
            "shares": pa.array(shares, pa.list_(pa.float64())),
            "mean": [round(flow.p50 * 1.12) for flow in flows],
        }
    )


def _profile() -> pa.Table:
    rows = list(_profile_rows())
    names = ("audience", "hour", "weekend", "weight")
    return pa.table({name: [row[at] for row in rows] for at, name in enumerate(names)})


def _profile_rows() -> Iterator[tuple[str, int, bool, float]]:
    for audience, (weights, weekend_share) in PROFILES.items():
        for hour, weight in enumerate(weights):
            yield audience, hour, False, float(weight)
            yield audience, hour, True, weight * weekend_share

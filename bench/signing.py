"""Signing a month: what a page and a pull beside it wait for, against what they take when nobody signs."""

import threading
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from django.db import connection, connections, transaction

from apps.core import organisation, periods
from apps.costs import services as costs
from apps.usage.services import TABLES
from bench import rating
from bench.harness import Measured, say, scaled

MONTH = date(2024, 3, 1)  # far from what other measures fill and empty
LONGEST_SECONDS = 1.0
PAGE = "SELECT count(*), sum(amount_org) FROM costs_line WHERE day >= %s AND day < %s"
PULL = (
    "INSERT INTO usage_hour (series_id, hour, revision, pull_id, requests) SELECT id, %s, "
    "(SELECT coalesce(max(h.revision), 0) + 1 FROM usage_hour h WHERE h.series_id = s.id AND h.hour = %s), 1, 1 "
    "FROM usage_series s LIMIT 1"
)


def measure(_home: Path) -> list[Measured]:
    """The longest wait beside a signing, in seconds, less the longest of a run without one; the limit is a second."""
    organisation.get()
    rating.make_series(scaled(20_000_000 // rating.HOURS_A_MONTH // len(rating.MODELS), least=20))
    rating.fill_month(MONTH)
    starts_at, _ = periods.bounds(MONTH, ZoneInfo("UTC"))
    periods.ensure_months(starts_at, starts_at, {**TABLES, "costs_line": "date"})
    calm = _beside(lambda: time.sleep(3))
    signing = _beside(_sign)
    for name in ("page", "pull"):
        say(f"{name}: longest wait {calm[name]:.3f} s without, {signing[name]:.3f} s beside a signing")
    _clean()
    waited = max(signing[name] - calm[name] for name in ("page", "pull"))
    return [Measured("signing_locks", max(waited, 0.0), LONGEST_SECONDS)]


def _sign() -> None:
    """As a review does it: the pack's work first, the signing last."""
    time.sleep(1)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PAGE, [MONTH, periods.next_month(MONTH)])
        # Without a review, and so without the pack that the database asks for.
        cursor.execute("SET LOCAL session_replication_role = replica")
        costs.sign_month(month=MONTH, pack_sha256="00" * 32)
    time.sleep(1)


def _clean() -> None:
    """A signed month cannot be emptied; as the owner of its tables this process can drop them."""
    with connection.cursor() as cursor:
        for table in (*TABLES, "costs_line"):
            cursor.execute(f"DROP TABLE {table}_{MONTH:%Y_%m}")


def _beside(work: Callable[[], None]) -> dict[str, float]:
    """Run `work` while a page and a pull of the same month go on without a pause; the longest that each took."""
    stop = threading.Event()
    longest = {"page": 0.0, "pull": 0.0}
    hour = periods.bounds(MONTH, ZoneInfo("UTC"))[0] + timedelta(hours=5)

    def go_on(name: str, once: Callable[[], None]) -> None:
        while not stop.is_set():
            start = time.perf_counter()
            once()
            longest[name] = max(longest[name], time.perf_counter() - start)
            time.sleep(0.01)
        connections.close_all()

    acts: dict[str, Callable[[], None]] = {"page": _page, "pull": lambda: _pull(hour)}
    threads = [threading.Thread(target=go_on, args=act) for act in acts.items()]
    for thread in threads:
        thread.start()
    try:
        work()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return longest


def _page() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(amount_org) FROM costs_month WHERE charge_month = %s", [MONTH])
        cursor.execute(PAGE, [MONTH, MONTH + timedelta(days=1)])


def _pull(hour: datetime) -> None:
    """What a pull locks and writes: the signing lock shared, then rows of the month."""
    with transaction.atomic(), connection.cursor() as cursor:
        periods.hold_still()
        cursor.execute(PULL, [hour, hour])

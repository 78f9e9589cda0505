"""Months to be worked out again: rows are added in the transaction of the cause, and taken by the worker."""

from collections.abc import Iterable
from datetime import date

from apps.economics.models import Dirty


def mark(pairs: Iterable[tuple[int, date]], reason: str) -> None:
    """Queue months (workload, first day). Doubles cost nothing: they are taken together."""
    Dirty.objects.bulk_create(
        [Dirty(workload_id=workload, month=month, reason=reason) for workload, month in sorted(set(pairs))]
    )

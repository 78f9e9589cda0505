"""What pushed events come to, asked before they are taken: an event never changes, so one that no hour of the ledger
can hold would keep its source's hours out of the books for ever.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import connection

from apps.core.errors import BadInput
from apps.sources.models import Source
from apps.usage.fields import LARGEST, TOKEN_FIELDS

SUMMED = ("requests", *TOKEN_FIELDS, "gpu_seconds", "gpu_busy_seconds", "cost")
_SUMS = ", ".join(f"sum((data->>'{name}')::numeric)" for name in SUMMED)
_TOO_MUCH = f"""
SELECT hour, data->>'usage_key', count(DISTINCT data->>'currency') FROM sources_event
WHERE source_id = %s AND hour = ANY(%s)
GROUP BY hour, data->>'usage_key', lower(data->>'provider'), data->>'model'
HAVING count(DISTINCT data->>'currency') > 1 OR greatest({_SUMS}) > %s
LIMIT 1
"""


def refuse_what_no_hour_holds(*, source: Source, hours: Collection[datetime]) -> None:
    """Raise `BadInput` where a key's events of an hour are in two currencies, or sum up to what cannot be."""
    with connection.cursor() as cursor:
        cursor.execute(_TOO_MUCH, [source.pk, list(hours), LARGEST])
        found = cursor.fetchone()
    if found is None:
        return
    hour, key, currencies = found
    when = f"in the hour {hour:%Y-%m-%dT%H:%MZ}"
    if currencies > 1:
        raise BadInput(
            f"Key '{key}' would have costs in two currencies {when}.", hint="Send one of them for another source."
        )
    raise BadInput(f"Key '{key}' would reach more than {LARGEST:,} {when}, which cannot be.")

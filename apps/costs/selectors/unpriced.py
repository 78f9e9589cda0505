"""What waits for a price: tokens whose cost is unknown."""

from django.db import connection

_UNPRICED = """
SELECT offering_id, sum(unpriced_tokens)::bigint FROM costs_month
WHERE unpriced_tokens > 0 AND offering_id IS NOT NULL GROUP BY offering_id
"""


def unpriced_tokens() -> dict[int, int]:
    """Tokens without a price by offering, over all months; one query on the monthly sums."""
    with connection.cursor() as cursor:
        cursor.execute(_UNPRICED)
        return dict(cursor.fetchall())
